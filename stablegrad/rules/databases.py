"""The databases that rules are declared in."""

from stablegrad.rewrite import Database

stabilize = Database("stabilize")
