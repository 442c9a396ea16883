"""Optimizers and schedules of step sizes, with torch.optim's names and meanings."""

from __future__ import annotations

from stablegrad.optim import lr_scheduler
from stablegrad.optim.adagrad import Adagrad
from stablegrad.optim.adam import Adam
from stablegrad.optim.adamw import AdamW
from stablegrad.optim.adaptive import Adadelta, Adamax, NAdam, RAdam, Rprop
from stablegrad.optim.lbfgs import LBFGS
from stablegrad.optim.optimizer import NoParametersError, Optimizer
from stablegrad.optim.rmsprop import RMSprop
from stablegrad.optim.sgd import SGD

__all__ = [
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "NAdam",
    "NoParametersError",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "lr_scheduler",
]
