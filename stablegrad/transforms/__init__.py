"""Transforms from terms to terms: differentiation, stabilizing, lowering."""
