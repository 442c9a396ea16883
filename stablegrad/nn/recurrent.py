"""Recurrent layers, with torch.nn's names, parameters and meanings."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from stablegrad import numpy as arrays
from stablegrad import ops
from stablegrad.errors import DomainError, ShapeError, message
from stablegrad.nn import functional, init
from stablegrad.nn.layers import empty_parameter
from stablegrad.nn.module import Module, Parameter
from stablegrad.tensor import Tensor, as_tensor

State = Sequence[Tensor]


def _rnn(gates: Tensor, hidden: Tensor, state: State, activation: Any) -> State:
    return (activation(gates + hidden),)


def _lstm(gates: Tensor, hidden: Tensor, state: State, activation: Any) -> State:
    i, f, g, o = arrays.split(gates + hidden, 4, -1)
    c = ops.sigmoid(f) * state[1] + ops.sigmoid(i) * ops.tanh(g)
    return ops.sigmoid(o) * ops.tanh(c), c


def _gru(gates: Tensor, hidden: Tensor, state: State, activation: Any) -> State:
    (r, z, n), (hr, hz, hn) = arrays.split(gates, 3, -1), arrays.split(hidden, 3, -1)
    new = ops.tanh(n + ops.sigmoid(r + hr) * hn)
    update = ops.sigmoid(z + hz)
    return (new + update * (state[0] - new),)


STEPS: dict[str, tuple[int, int, Callable[..., State]]] = {
    "RNN": (1, 1, _rnn),
    "LSTM": (4, 2, _lstm),
    "GRU": (3, 1, _gru),
}
"""For each kind its gates, the parts of its state, and a step."""


def _nonlinearity(name: str) -> Callable[[Any], Tensor]:
    if name not in ("tanh", "relu"):
        raise DomainError(message(f"nonlinearity={name!r}", "'tanh' or 'relu'"))
    return ops.tanh if name == "tanh" else functional.relu


class _Recurrent(Module):
    """Parameters of one kind of step, named as torch names them."""

    kind: ClassVar[str]

    def __init__(self, input_size: int, hidden_size: int, bias: bool, nonlinearity: str) -> None:
        super().__init__()
        if input_size < 1 or hidden_size < 1:
            raise DomainError(
                message(f"input_size={input_size}, hidden_size={hidden_size}", "1 or more")
            )
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        self.nonlinearity = nonlinearity
        _nonlinearity(nonlinearity)

    def _add(self, suffix: str, width: int, dtype: Any, generator: np.random.Generator) -> None:
        rows = STEPS[self.kind][0] * self.hidden_size
        bound = 1 / math.sqrt(self.hidden_size)
        shapes: dict[str, tuple[int, ...]] = {
            f"weight_ih{suffix}": (rows, width),
            f"weight_hh{suffix}": (rows, self.hidden_size),
        }
        if self.bias:
            shapes |= {f"bias_ih{suffix}": (rows,), f"bias_hh{suffix}": (rows,)}
        for name, shape in shapes.items():
            made: Parameter = empty_parameter(shape, dtype)
            init.uniform_(made, -bound, bound, generator)
            setattr(self, name, made)

    def _step(self, x: Tensor, state: State, suffix: str) -> State:
        gates, hidden = (
            functional.linear(
                value,
                getattr(self, f"weight_{part}{suffix}"),
                getattr(self, f"bias_{part}{suffix}") if self.bias else None,
            )
            for part, value in (("ih", x), ("hh", state[0]))
        )
        return STEPS[self.kind][2](gates, hidden, state, _nonlinearity(self.nonlinearity))

    def _given(self, state: Any, shape: tuple[int, ...], dtype: Any) -> State:
        """The state to begin with, zeros by default."""
        parts = STEPS[self.kind][1]
        if state is None:
            return (as_tensor(np.zeros(shape, dtype)),) * parts
        given = tuple([as_tensor(s) for s in state]) if parts > 1 else (as_tensor(state),)
        if len(given) != parts or any(s.shape != shape for s in given):
            got = " and ".join(str(s.shape) for s in given)
            raise ShapeError(message(f"a state of shape {got}", f"{parts} of shape {shape}"))
        return given

    def _checked(self, x: Tensor) -> None:
        if x.shape[-1:] != (self.input_size,):
            raise ShapeError(
                message(f"an input of shape {x.shape}", f"a last axis of length {self.input_size}")
            )

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}"


class _Cell(_Recurrent):
    """One step of a recurrent layer.

    Args:
        input_size: the length of the input.
        hidden_size: the length of the state.
        bias: whether to add biases.
        dtype: of the parameters; the default dtype if None.
        seed: for the initial values, uniform between -1/sqrt(hidden_size) and its opposite.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        nonlinearity: str = "tanh",
        dtype: Any = None,
        seed: init.Seed = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, nonlinearity)
        self._add("", input_size, dtype, init.generator_of(seed))

    def forward(self, input: Any, hx: Any = None) -> Any:
        x = as_tensor(input)
        self._checked(x)
        state = self._given(hx, (*x.shape[:-1], self.hidden_size), x.dtype)
        found = self._step(x, state, "")
        return found if len(found) > 1 else found[0]


class RNNCell(_Cell):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu of it."""

    kind = "RNN"


class LSTMCell(_Cell):
    """One step of long short-term memory: (h, c) from the input and (h, c)."""

    kind = "LSTM"


class GRUCell(_Cell):
    """One step of a gated recurrent unit: h from the input and h."""

    kind = "GRU"


class _Layer(_Recurrent):
    """A recurrent layer over a sequence: see ``LSTM``."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        nonlinearity: str = "tanh",
        dtype: Any = None,
        seed: init.Seed = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, nonlinearity)
        if num_layers < 1 or not 0 <= dropout < 1:
            got = f"{num_layers=}, {dropout=}"
            raise DomainError(message(got, "num_layers >= 1, 0 <= dropout < 1"))
        self.num_layers, self.batch_first = num_layers, batch_first
        self.dropout, self.bidirectional = dropout, bidirectional
        self.generator = init.generator_of(seed)
        ways = len(self._ways)
        for layer in range(num_layers):
            for way in self._ways:
                width = input_size if layer == 0 else hidden_size * ways
                self._add(f"_l{layer}{way}", width, dtype, self.generator)

    @property
    def _ways(self) -> tuple[str, ...]:
        return ("", "_reverse") if self.bidirectional else ("",)

    def forward(self, input: Any, hx: Any = None) -> Any:
        x = as_tensor(input)
        self._checked(x)
        if x.ndim not in (2, 3):
            raise ShapeError(message(f"an input of shape {x.shape}", "a sequence or a batch"))
        alone = x.ndim == 2
        x = x.reshape((x.shape[0], 1, x.shape[1])) if alone else x
        x = x.swapaxes(0, 1) if self.batch_first and not alone else x
        count = self.num_layers * len(self._ways)
        shape = (count, x.shape[1], self.hidden_size)
        if alone and hx is not None:
            parts = hx if STEPS[self.kind][1] > 1 else (hx,)
            parts = [as_tensor(s).reshape(shape) for s in parts]
            hx = parts if STEPS[self.kind][1] > 1 else parts[0]
        state = self._given(hx, shape, x.dtype)
        output, ends = self._run(x, state)
        if alone:
            output = output.squeeze(1)
            ends = [e.squeeze(1) for e in ends]
        elif self.batch_first:
            output = output.swapaxes(0, 1)
        return output, tuple(ends) if STEPS[self.kind][1] > 1 else ends[0]

    def _run(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        rows = list(x)
        ends: list[State] = []
        for layer in range(self.num_layers):
            found: list[list[Tensor]] = []
            for way in self._ways:
                at = tuple([s[len(ends)] for s in state])
                steps = []
                for row in reversed(rows) if way else rows:
                    at = self._step(row, at, f"_l{layer}{way}")
                    steps.append(at[0])
                ends.append(at)
                found.append(steps[::-1] if way else steps)
            rows = found[0]
            if len(found) > 1:
                rows = [arrays.concatenate(both, -1) for both in zip(*found, strict=True)]
            if self.dropout and self.training and layer + 1 < self.num_layers:
                rows = [functional.dropout(r, self.dropout, generator=self.generator) for r in rows]
        parts = zip(*ends, strict=True)
        return arrays.stack(rows), [arrays.stack(part) for part in parts]


class RNN(_Layer):
    """A plain recurrent layer: h' = tanh(W_ih x + b_ih + W_hh h + b_hh). See ``LSTM``."""

    kind = "RNN"


class LSTM(_Layer):
    """Long short-term memory over a sequence: gives (output, (h, c)).

    Args:
        input_size: the length of an input.
        hidden_size: the length of a state.
        num_layers: how many layers, each over the results of the one before.
        bias: whether to add biases.
        batch_first: whether the input is (n, length, input_size), not (length, n, input_size).
        dropout: the share of results set to 0 between layers while training.
        bidirectional: whether to run backwards too.
        nonlinearity: "tanh" or "relu", of RNN.
        dtype: of the parameters; the default dtype if None.
        seed: for the initial values and dropout.

    Example:
        >>> layer = sg.nn.LSTM(3, 2, seed=0)
        >>> output, (h, c) = layer(np.ones((5, 4, 3), np.float32))
        >>> output.shape, h.shape, c.shape
        ((5, 4, 2), (1, 4, 2), (1, 4, 2))
    """

    kind = "LSTM"


class GRU(_Layer):
    """Gated recurrent units over a sequence: gives (output, h). Arguments are those of ``LSTM``."""

    kind = "GRU"
