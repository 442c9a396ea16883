"""Functions as modules: what activations, pooling, losses and other layers without state share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from stablegrad.nn.module import Module
from stablegrad.tensor import Tensor


class FunctionModule(Module):
    """A function as a module: its settings are attributes, passed on by name at each call.

    Args:
        settings: the arguments of the function beside its inputs.
    """

    function: ClassVar[Callable[..., Tensor]]

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self._names = tuple(settings)
        for name, value in settings.items():
            setattr(self, name, value)

    def forward(self, *inputs: Any) -> Tensor:
        return self.function(*inputs, **{name: getattr(self, name) for name in self._names})

    def extra_repr(self) -> str:
        found = {name: getattr(self, name) for name in self._names}
        return ", ".join(f"{k}={v!r}" for k, v in found.items() if not isinstance(v, Tensor))
