"""Engines: how lowered programs run."""
