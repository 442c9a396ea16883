"""Module and Parameter: what has state, as in torch.nn.

A module's parameters and children are its attributes, in the order in which they were set;
there is nothing to register.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

import numpy as np

from stablegrad.errors import DTypeError, ShapeError, UnknownNameError, message
from stablegrad.ops.dtypes import BFLOAT16, is_float
from stablegrad.tensor import Tensor, tensor
from stablegrad.tensor.cells import Cell, as_dtype, frozen


class Parameter(Tensor):
    """A tensor that a module owns and an optimizer changes.

    Args:
        data: numbers of any shape: an array, a tensor, a float or nested lists.
        requires_grad: whether ``backward`` gathers a gradient for it.
        dtype: the dtype of the values; by default that of the data.

    Raises:
        DTypeError: integers or booleans, which have no derivative.

    Example:
        >>> sg.nn.Parameter([1.0, 2.0]).requires_grad
        True
    """

    __slots__ = ()
    _floating = True

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Make one: unlike a plain tensor, a parameter is made by calling its class."""
        return object.__new__(cls)

    def __init__(self, data: Any, requires_grad: bool = True, dtype: Any = None) -> None:
        made = tensor(data, dtype=dtype, requires_grad=requires_grad)
        if self._floating and not is_float(made.dtype):
            raise DTypeError(message(f"a parameter of dtype {made.dtype}", "a floating dtype"))
        self._term = made.term
        self._settings = made.settings
        self._requires = requires_grad
        self._value = made.numpy()
        self._program = None
        self._gathered = self._term.params[0].hold()

    def _convert(self, dtype: np.dtype[Any]) -> None:
        """Bring the value, and the gradient if there is one, to another dtype."""
        grad = self.grad
        cell = Cell(frozen(self.numpy(), dtype), requires_grad=self.requires_grad)
        self._replace(cell)
        self.grad = None if grad is None else grad.detach().astype(dtype)

    def __reduce__(self) -> Any:
        return Parameter, (np.array(self.numpy()), self.requires_grad)

    def __repr__(self) -> str:
        return f"Parameter({super().__repr__().removeprefix('tensor(')}"


class Buffer(Parameter):
    """A tensor that belongs to a module's state but is not learnt, as running statistics are.

    Args:
        data: numbers of any shape and dtype.
        dtype: the dtype of the values; by default that of the data.

    Example:
        >>> sg.nn.Buffer([0.0, 1.0]).requires_grad
        False
    """

    __slots__ = ()
    _floating = False

    def __init__(self, data: Any, dtype: Any = None) -> None:
        super().__init__(data, requires_grad=False, dtype=dtype)

    def __reduce__(self) -> Any:
        return Buffer, (np.array(self.numpy()),)

    def __repr__(self) -> str:
        return "Buffer" + super().__repr__().removeprefix("Parameter")


class Module:
    """Base of all layers, losses and models.

    A subclass sets parameters and other modules as attributes in ``__init__`` and computes in
    ``forward``.

    Example:
        >>> class Line(sg.nn.Module):
        ...     def __init__(self):
        ...         self.slope = sg.nn.Parameter(2.0)
        ...
        ...     def forward(self, x):
        ...         return self.slope * x
        >>> Line()(3.0).item()
        6.0
    """

    training: bool = True
    """Whether the module is being trained; ``train`` and ``eval`` set it."""

    def __init__(self) -> None:
        """Nothing to set up; subclasses need not call it."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compute: what ``forward`` gives."""
        return self.forward(*args, **kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the result; each subclass has its own."""
        raise NotImplementedError(
            message(f"{type(self).__name__} without forward", "a module that defines forward")
        )

    def __setattr__(self, name: str, value: Any) -> None:
        old = vars(self).get(name)
        if isinstance(old, Parameter) and not (value is None or isinstance(value, Parameter)):
            raise DTypeError(
                message(
                    f"{type(value).__name__} for the parameter {name!r}",
                    "a Parameter or None",
                    f"To change its value, use {name}.assign_(value).",
                )
            )
        super().__setattr__(name, value)

    # -- what it is made of -------------------------------------------------------------

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Each module that is an attribute of this one, with its name, once."""
        seen: set[int] = set()
        for name, value in vars(self).items():
            if isinstance(value, Module) and id(value) not in seen:
                seen.add(id(value))
                yield name, value

    def children(self) -> Iterator[Module]:
        """Each module that is an attribute of this one."""
        for _, child in self.named_children():
            yield child

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and all below it, each once, with dotted names."""
        seen: set[int] = set()
        stack: list[tuple[str, Module]] = [(prefix, self)]
        while stack:
            name, module = stack.pop()
            if id(module) in seen:
                continue
            seen.add(id(module))
            yield name, module
            below = [(f"{name}.{n}" if name else n, m) for n, m in module.named_children()]
            stack.extend(reversed(below))

    def modules(self) -> Iterator[Module]:
        """This module and all below it, each once."""
        for _, module in self.named_modules():
            yield module

    def named_parameters(
        self, prefix: str = "", recurse: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Each parameter with its dotted name, a shared one once.

        Args:
            prefix: put before every name.
            recurse: whether to include those of the modules below.
        """
        seen: set[int] = set()
        owners = self.named_modules(prefix) if recurse else [(prefix, self)]
        for owner, module in owners:
            for name, value in vars(module).items():
                learnt = isinstance(value, Parameter) and not isinstance(value, Buffer)
                if learnt and id(value) not in seen:
                    seen.add(id(value))
                    yield f"{owner}.{name}" if owner else name, value

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Each parameter, a shared one once."""
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Set a parameter by name; the same as setting the attribute."""
        setattr(self, name, param)

    def named_buffers(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Buffer]]:
        """Each buffer with its dotted name: state that is not learnt."""
        owners = self.named_modules(prefix) if recurse else [(prefix, self)]
        for owner, module in owners:
            for name, value in vars(module).items():
                if isinstance(value, Buffer):
                    yield f"{owner}.{name}" if owner else name, value

    def buffers(self, recurse: bool = True) -> Iterator[Buffer]:
        """Each buffer: state that is not learnt."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def register_buffer(self, name: str, tensor: Any) -> None:
        """Set a buffer by name, made of a tensor or an array; None sets None."""
        made = tensor if tensor is None or isinstance(tensor, Buffer) else Buffer(tensor)
        setattr(self, name, made)

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call a function with each module below, then with this one; returns the module."""
        for module in reversed(list(self.modules())):
            fn(module)
        return self

    def add_module(self, name: str, module: Module | None) -> None:
        """Set a module by name; the same as setting the attribute."""
        setattr(self, name, module)

    # -- state --------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Self:
        """Set this module and all below to training, or with False to evaluation."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Set this module and all below to evaluation."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Say of all parameters whether they gather gradients."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def to(self, dtype: Any) -> Self:
        """Bring all parameters and floating-point buffers to a dtype, in place.

        Args:
            dtype: a floating-point dtype, or its name: "float16", "bfloat16", "float32", "float64".

        Returns:
            The module itself. Optimizers of its parameters stay valid.

        Raises:
            DTypeError: what is no floating-point dtype.

        Example:
            >>> sg.nn.Linear(2, 1).to("bfloat16").weight.dtype
            dtype(bfloat16)
        """
        wanted = as_dtype(dtype)
        if not is_float(wanted):
            raise DTypeError(message(f"the dtype {wanted} for a module", "a floating-point dtype"))
        for value in (*self.parameters(), *self.buffers()):
            if is_float(value.dtype) and value.dtype != wanted:
                value._convert(wanted)  # noqa: SLF001 - a parameter is this file's own
        return self

    def half(self) -> Self:
        """Bring all parameters and floating-point buffers to float16."""
        return self.to(np.float16)

    def bfloat16(self) -> Self:
        """Bring all parameters and floating-point buffers to bfloat16."""
        return self.to(BFLOAT16)

    def float(self) -> Self:
        """Bring all parameters and floating-point buffers to float32."""
        return self.to(np.float32)

    def double(self) -> Self:
        """Bring all parameters and floating-point buffers to float64."""
        return self.to(np.float64)

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters():
            parameter.zero_grad()

    def state_dict(self) -> dict[str, Any]:
        """The values of all parameters and buffers by name; ``sg.nn.save`` writes them to a file.

        Returns:
            Read-only arrays that later steps of an optimizer do not change.

        Example:
            >>> sorted(sg.nn.Linear(2, 1).state_dict())
            ['bias', 'weight']
        """
        return {
            name: value.numpy()
            for owner, module in self.named_modules()
            for name, value in _own_state(owner, module)
        }

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> None:
        """Give parameters the values of a ``state_dict``, also one that ``np.load`` opened.

        Args:
            state_dict: arrays or tensors by name, each of its parameter's shape.
            strict: whether names must agree exactly.

        Raises:
            UnknownNameError: names that are missing, or too many, if strict.
            ShapeError: a value of another shape. Nothing is changed then.

        Example:
            >>> model = sg.nn.Linear(2, 1)
            >>> model.load_state_dict({"weight": [[1.0, 2.0]], "bias": [3.0]})
            >>> model([[1.0, 1.0]]).item()
            6.0
        """
        own = {
            name: value
            for owner, module in self.named_modules()
            for name, value in _own_state(owner, module)
        }
        missing = [name for name in own if name not in state_dict]
        unknown = [name for name in state_dict if name not in own]
        if strict and (missing or unknown):
            parts = [f"without {missing}"] if missing else []
            parts += [f"with the unknown names {unknown}"] if unknown else []
            raise UnknownNameError(
                message(
                    f"a state {' and '.join(parts)}",
                    f"the names {list(own)} of {type(self).__name__}",
                    "strict=False takes what there is.",
                )
            )
        values = {name: np.asarray(state_dict[name]) for name in own if name in state_dict}
        for name, value in values.items():
            if value.shape != own[name].shape:
                raise ShapeError(
                    message(f"{name} of shape {value.shape}", f"the shape {own[name].shape}")
                )
        for name, value in values.items():
            own[name].assign_(value.astype(own[name].dtype))

    # -- looks --------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What stands between the parentheses of the module's text."""
        return ""

    def __repr__(self) -> str:
        name = type(self).__name__
        lines = [
            f"  ({child}): " + repr(module).replace("\n", "\n  ")
            for child, module in vars(self).items()
            if isinstance(module, Module)
        ]
        if not lines:
            return f"{name}({self.extra_repr()})"
        return "\n".join([f"{name}({self.extra_repr()}", *lines, ")"])


def _own_state(owner: str, module: Module) -> Iterator[tuple[str, Parameter]]:
    """The parameters set on a module itself; a shared one under each of its names."""
    for name, value in vars(module).items():
        if isinstance(value, Parameter):
            yield f"{owner}.{name}" if owner else name, value
