"""What optimizers share: groups of parameters with their settings, state, and the step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from stablegrad.errors import (
    DomainError,
    DTypeError,
    ShapeError,
    StablegradError,
    UnknownNameError,
    message,
)
from stablegrad.ops.dtypes import converted, is_half
from stablegrad.tensor import Tensor, no_grad

Array = np.ndarray[Any, Any]
Group = dict[str, Any]


class NoParametersError(StablegradError, ValueError):
    """An optimizer without anything to optimize."""


class Optimizer:
    """Base of optimizers: ``step`` changes parameters by their ``.grad``, ``zero_grad`` clears it.

    A subclass gives ``_change``, which says what to take off a parameter. Steps are computed in the
    parameter's dtype, those of half-precision parameters in float32, and rounded once.

    Args:
        params: parameters, or mappings with "params" and settings of their own.
        defaults: the settings of all groups that have none of their own.

    Attributes:
        param_groups: one mapping for each group, with "params" and the settings, which may be
            changed between steps.

    Raises:
        NoParametersError: there are none.
        DTypeError: something else than leaf tensors, or a parameter named twice.
        DomainError: a setting out of its range.
    """

    _nonnegative: ClassVar[tuple[str, ...]] = ("lr", "weight_decay")
    _fractions: ClassVar[tuple[str, ...]] = ()
    """Settings, numbers or pairs of them, that are 0 or more and less than 1."""
    _decays_apart: ClassVar[bool] = False
    """Whether weight decay takes a share of the parameter, instead of joining the gradient."""

    def __init__(self, params: Iterable[Any], defaults: Group) -> None:
        self.defaults = defaults
        self.param_groups: list[Group] = []
        self._state: dict[int, dict[str, Any]] = {}
        if isinstance(params, Tensor | Mapping):
            raise DTypeError(
                message(f"{type(params).__name__} as parameters", "a list of parameters")
            )
        found = list(params)
        if not found:
            raise NoParametersError(
                message("no parameters", "at least one, as from model.parameters()")
            )
        groups = found if isinstance(found[0], Mapping) else [{"params": found}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Add parameters with settings of their own.

        Args:
            param_group: a mapping with "params" and any of the optimizer's settings.

        Raises:
            NoParametersError: a group without parameters.
            DTypeError: something else than leaf tensors, or a parameter named before.
            DomainError: a setting out of its range, or unknown.
        """
        group = {**self.defaults, **param_group}
        given = group["params"]
        group["params"] = [given] if isinstance(given, Tensor) else list(given)
        if not group["params"]:
            raise NoParametersError(message("a group without parameters", "at least one"))
        known = {id(p) for g in self.param_groups for p in g["params"]}
        for p in group["params"]:
            if not isinstance(p, Tensor) or not p.is_leaf:
                kind = "a computed tensor" if isinstance(p, Tensor) else type(p).__name__
                raise DTypeError(message(f"{kind} as a parameter", "leaf tensors"))
            if id(p) in known:
                raise DTypeError(message("a parameter that is named twice", "each once"))
            known.add(id(p))
        self._check(group)
        self.param_groups.append(group)

    def _check(self, group: Group) -> None:
        for name in self._nonnegative:
            if name in group and not group[name] >= 0:
                raise DomainError(message(f"{name}={group[name]}", "0 or more"))
        for name in self._fractions:
            usual = np.shape(self.defaults[name])
            shares = np.asarray(group[name], float)
            if shares.shape != usual or not ((shares >= 0) & (shares < 1)).all():
                expected = "two numbers, " if usual else ""
                raise DomainError(
                    message(f"{name}={group[name]}", f"{expected}0 or more and less than 1")
                )
        unknown = group.keys() - {*self.defaults, "params"}
        if unknown:
            raise DomainError(
                message(f"the setting {min(unknown)!r}", f"one of {sorted(self.defaults)}")
            )

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters."""
        for group in self.param_groups:
            for p in group["params"]:
                p.zero_grad()

    def step(self) -> None:
        """Change every parameter that has a gradient; the others stay."""
        with no_grad(), np.errstate(all="ignore"):
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        p.assign_(self._stepped(p, group))

    def _stepped(self, p: Tensor, group: Group) -> Array:
        value = p.numpy()
        gradient = p.grad.numpy() if p.grad is not None else np.zeros_like(value)
        if is_half(p.dtype):  # steps and their state in float32, so that squares keep their range
            value, gradient = value.astype(np.float32), gradient.astype(np.float32)
        if group["maximize"]:
            gradient = -gradient
        decay = group.get("weight_decay", 0.0)
        if decay and not self._decays_apart:
            gradient = gradient + decay * value
        state = self._state.setdefault(id(p), {})
        change = np.asarray(self._change(gradient, state, group), value.dtype)
        if decay and self._decays_apart:
            change += group["lr"] * decay * value
        new = converted(np.subtract(value, change, out=change), p.dtype, copy=False)
        new.setflags(write=False)  # what nobody can change is taken over without a copy
        return new

    def state_dict(self) -> dict[str, Array]:
        """What is kept between steps: arrays by the parameter's number and the value's name.

        The settings are not among it: they are the constructor's. ``sg.nn.save`` writes it.
        """
        return {
            f"{i}.{name}": np.array(value)
            for i, p in enumerate(self._parameters())
            for name, value in self._state.get(id(p), {}).items()
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from where a ``state_dict`` of an optimizer of the same kind was taken.

        Raises:
            UnknownNameError: names of parameters that are not there. Nothing is changed then.
            ShapeError: a value of another shape than its parameter. Nothing is changed then.
        """
        parameters = self._parameters()
        found: dict[int, dict[str, Any]] = {}
        for key, given in state_dict.items():
            number, _, name = key.partition(".")
            if not number.isdecimal() or int(number) >= len(parameters) or not name:
                raise UnknownNameError(
                    message(f"the state {key!r}", f"numbers from 0 to {len(parameters) - 1}")
                )
            p, value = parameters[int(number)], np.array(given)
            if value.ndim and value.shape != p.shape:
                raise ShapeError(message(f"{key!r} of shape {value.shape}", f"{p.shape}"))
            counts = value.dtype.kind in "iu" and not value.ndim
            found.setdefault(id(p), {})[name] = int(value) if counts else value
        self._state = found

    def _parameters(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def _change(self, gradient: Array, state: dict[str, Any], group: Group) -> Array:
        """A new array: what to take off a parameter, from its gradient and its state."""
        raise NotImplementedError

    def __repr__(self) -> str:
        settings = ", ".join(f"{k}={v}" for k, v in self.defaults.items())
        count = sum(len(g["params"]) for g in self.param_groups)
        return f"{type(self).__name__}({count} parameters, {settings})"
