"""L-BFGS, with a line search by the strong Wolfe conditions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from stablegrad.errors import DomainError, UnknownNameError, message
from stablegrad.ops.dtypes import converted
from stablegrad.optim.optimizer import Array, Group, Optimizer
from stablegrad.tensor import Tensor, no_grad

_KEPT = ("n_iter", "func_evals", "d", "t", "prev_flat_grad", "prev_loss", "old_stps", "old_dirs")


class _Point(NamedTuple):
    """A step along a line: its length, the loss, the gradient and its component along the line."""

    t: float
    loss: float
    gradient: Array
    slope: float


class LBFGS(Optimizer):
    """L-BFGS, as torch.optim.LBFGS: ``step`` takes a closure and calls it several times.

    Vectors are kept in float64, whatever the parameters are.

    Args:
        params: parameters, in one group.
        lr: the step size, or the first step that a line search tries.
        max_iter: how many iterations a step makes at most.
        max_eval: how often it calls the closure at most; by default 5/4 of that.
        tolerance_grad: where no component of the gradient is larger, a step ends.
        tolerance_change: where parameters or loss change by less, a step ends.
        history_size: how many changes are kept.
        line_search_fn: "strong_wolfe" or None.

    Raises:
        NoParametersError: there are none.
        DomainError: more than one group, a negative setting, or another line search.

    Example:
        >>> w = sg.tensor(1.0, requires_grad=True)
        >>> optimizer = sg.optim.LBFGS([w], line_search_fn="strong_wolfe")
        >>> def closure():
        ...     optimizer.zero_grad()
        ...     loss = (w - 3) ** 2
        ...     loss.backward()
        ...     return loss
        >>> optimizer.step(closure).item()
        4.0
        >>> w.item()
        3.0
    """

    _nonnegative = ("lr", "max_iter", "max_eval", "tolerance_grad", "tolerance_change")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        defaults: Group = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        self._memory: dict[str, Any] = {}
        super().__init__(params, defaults)

    def _check(self, group: Group) -> None:
        super()._check(group)
        if self.param_groups:
            raise DomainError(message("a second group", "all parameters of LBFGS in one"))
        if group["line_search_fn"] not in (None, "strong_wolfe"):
            raise DomainError(
                message(f"line_search_fn={group['line_search_fn']!r}", "'strong_wolfe' or None")
            )

    # -- parameters as one vector ---------------------------------------------------------

    def _flat(self) -> Array:
        return np.concatenate([p.numpy().astype(np.float64).ravel() for p in self._parameters()])

    def _gradient(self) -> Array:
        parts = [
            np.zeros(p.numpy().size) if p.grad is None else p.grad.numpy().astype(float).ravel()
            for p in self._parameters()
        ]
        return np.concatenate(parts)

    def _assign(self, vector: Array) -> None:
        start = 0
        with no_grad():
            for p in self._parameters():
                size = p.numpy().size
                part = vector[start : start + size].reshape(p.shape)
                p.assign_(converted(part, p.dtype))
                start += size

    # -- steps ------------------------------------------------------------------------------

    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Iterate until a tolerance or a limit is reached.

        Args:
            closure: clears the gradients, computes the loss, calls its ``backward`` and returns it.

        Returns:
            The loss before the step.

        Raises:
            DomainError: no closure.
        """
        if closure is None:
            raise DomainError(message("step()", "LBFGS evaluates anew: step(closure)"))
        group, memory = self.param_groups[0], self._memory
        first = closure()
        loss, gradient, evaluations = _number(first), self._gradient(), 1
        memory["func_evals"] = memory.get("func_evals", 0) + 1
        small = np.abs(gradient).max() <= group["tolerance_grad"]
        done = 0
        while not small and done < group["max_iter"]:
            done += 1
            memory["n_iter"] = memory.get("n_iter", 0) + 1
            direction = self._direction(gradient)
            before = loss
            memory.update(d=direction, prev_flat_grad=gradient, prev_loss=before)
            t = group["lr"]
            if memory["n_iter"] == 1:
                t *= min(1.0, 1.0 / np.abs(gradient).sum())
            slope = float(gradient @ direction)
            memory["t"] = t
            if slope > -group["tolerance_change"]:
                break
            start = self._flat()
            calls = 0

            def at(t: float, start: Array = start, direction: Array = direction) -> _Point:
                nonlocal calls
                calls += 1
                self._assign(start + t * direction)
                found = _number(closure())
                gradient = self._gradient()
                return _Point(t, found, gradient, float(gradient @ direction))

            if group["line_search_fn"]:
                here = _Point(0.0, loss, gradient, slope)
                reach = float(np.abs(direction).max())
                t, loss, gradient, _ = _search(at, here, t, reach, group["tolerance_change"])
                self._assign(start + t * direction)
            elif done < group["max_iter"]:
                _, loss, gradient, _ = at(t)
            else:
                self._assign(start + t * direction)
            memory["t"] = t
            evaluations += calls
            memory["func_evals"] += calls
            small = np.abs(gradient).max() <= group["tolerance_grad"]
            still = np.abs(direction * t).max() <= group["tolerance_change"]
            level = abs(loss - before) < group["tolerance_change"]
            if evaluations >= group["max_eval"] or still or level:
                break
        return first

    def _direction(self, gradient: Array) -> Array:
        """Downhill by the approximate inverse Hessian of the changes kept (two loops)."""
        memory = self._memory
        if memory["n_iter"] == 1:
            memory["old_stps"], memory["old_dirs"] = [], []
            memory["scale"] = 1.0
            return -gradient
        steps, changes = memory["old_stps"], memory["old_dirs"]
        change, step = gradient - memory["prev_flat_grad"], memory["d"] * memory["t"]
        if change @ step > 1e-10:
            if len(steps) == self.param_groups[0]["history_size"]:
                del steps[0], changes[0]
            steps.append(step)
            changes.append(change)
        scale = 1.0
        if steps:
            scale = (changes[-1] @ steps[-1]) / (changes[-1] @ changes[-1])
        q = -gradient
        shares = []
        for s, y in zip(steps[::-1], changes[::-1], strict=True):
            shares.append((s @ q) / (y @ s))
            q = q - shares[-1] * y
        q = q * scale
        for s, y, share in zip(steps, changes, shares[::-1], strict=True):
            q = q + s * (share - (y @ q) / (y @ s))
        return q

    # -- state --------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Array]:
        """What is kept between steps, of all parameters together."""
        return {f"0.{k}": np.array(self._memory[k]) for k in _KEPT if k in self._memory}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from where a ``state_dict`` was taken.

        Raises:
            UnknownNameError: names that are no part of it, or vectors of another length.
        """
        size = sum(p.numpy().size for p in self._parameters())
        found: dict[str, Any] = {}
        for key, given in state_dict.items():
            name, value = key.removeprefix("0."), np.array(given)
            if name not in _KEPT or (value.ndim and value.size and value.shape[-1] != size):
                raise UnknownNameError(
                    message(f"the state {key!r} of shape {value.shape}", f"that of {size} numbers")
                )
            if name.startswith("old_"):
                found[name] = list(value.reshape(-1, size))
            else:
                found[name] = value.copy() if value.ndim else value.item()
        self._memory = found


def _number(loss: Any) -> float:
    return float(loss.item() if isinstance(loss, Tensor) else loss)


# -- the line search ------------------------------------------------------------------------

_DECREASE, _CURVATURE, _TRIES = 1e-4, 0.9, 25


def _minimum(a: _Point, b: _Point, low: float, high: float) -> float:
    """Where the cubic through two points with their slopes is least, within bounds."""
    if a.t > b.t:
        a, b = b, a
    bend = a.slope + b.slope - 3.0 * (a.loss - b.loss) / (a.t - b.t)
    square = bend * bend - a.slope * b.slope
    if not square >= 0.0:
        return 0.5 * (low + high)
    root = math.sqrt(square)
    below = b.slope - a.slope + 2.0 * root
    if below == 0.0:
        return 0.5 * (low + high)
    t = b.t - (b.t - a.t) * ((b.slope + root - bend) / below)
    return min(max(t, low), high)


def _search(
    at: Callable[[float], _Point], start: _Point, t: float, reach: float, tolerance: float
) -> _Point:
    """A step that satisfies the strong Wolfe conditions (Nocedal and Wright, algorithm 3.5)."""

    def falls_short(p: _Point) -> bool:
        return p.loss > start.loss + _DECREASE * p.t * start.slope

    before, now = start, at(t)
    for tried in range(_TRIES):
        if falls_short(now) or (tried > 1 and now.loss >= before.loss):
            return _zoom(at, start, before, now, _TRIES - tried, reach, tolerance)
        if abs(now.slope) <= -_CURVATURE * start.slope:
            return now
        if now.slope >= 0.0:
            return _zoom(at, start, before, now, _TRIES - tried, reach, tolerance)
        t = _minimum(before, now, now.t + 0.01 * (now.t - before.t), 10.0 * now.t)
        before, now = now, at(t)
    return now if now.loss < start.loss else start


def _zoom(
    at: Callable[[float], _Point],
    start: _Point,
    a: _Point,
    b: _Point,
    tries: int,
    reach: float,
    tolerance: float,
) -> _Point:
    """The same between two points, the lower of which is kept (algorithm 3.6)."""
    low, high = (a, b) if a.loss <= b.loss else (b, a)
    stuck = False
    for _ in range(tries):
        left, right = sorted((low.t, high.t))
        if (right - left) * reach < tolerance:
            break
        t = _minimum(low, high, left, right)
        margin = 0.1 * (right - left)
        if min(right - t, t - left) < margin:  # too near an end, for the second time or at it
            if stuck or t >= right or t <= left:
                t = right - margin if abs(t - right) < abs(t - left) else left + margin
                stuck = False
            else:
                stuck = True
        else:
            stuck = False
        new = at(t)
        if new.loss > start.loss + _DECREASE * t * start.slope or new.loss >= low.loss:
            high = new
            if high.loss < low.loss:
                low, high = high, low
            continue
        if abs(new.slope) <= -_CURVATURE * start.slope:
            return new
        if new.slope * (high.t - low.t) >= 0.0:
            high = low
        low = new
    return low
