"""Functions with their own gradient, and the check that it is right."""

from __future__ import annotations

from stablegrad.function.custom import Function, call_custom, custom_gradient

__all__ = ["Function", "call_custom", "custom_gradient"]
