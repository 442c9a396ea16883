"""Optimizers, with torch.optim's names and meanings."""

from __future__ import annotations

from stablegrad.optim.adam import Adam
from stablegrad.optim.optimizer import NoParametersError, Optimizer
from stablegrad.optim.sgd import SGD

__all__ = ["SGD", "Adam", "NoParametersError", "Optimizer"]
