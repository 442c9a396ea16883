"""The databases that rules are declared in."""

from stablegrad.rewrite import Database

stabilize = Database("stabilize")

RARE = "rare branches"
"""The group of rules that put a careful form where few elements need it (``rarely``)."""
