"""Modules made of modules, with torch.nn's names and meanings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from stablegrad.errors import DTypeError, OutOfRangeError, message
from stablegrad.nn.module import Module
from stablegrad.ops.structured import integer


def _checked(module: Any, where: str) -> Module:
    if not isinstance(module, Module):
        hint = "Did you mean a module's instance, with parentheses?" if callable(module) else ""
        raise DTypeError(message(f"{module!r} in {where}", "a module", hint))
    return module


class _Numbered(Module):
    """Modules in an order, each an attribute named by its number."""

    def _list(self) -> list[Module]:
        return [m for m in vars(self).values() if isinstance(m, Module)]

    def append(self, module: Module) -> Any:
        """Add a module at the end; returns the container."""
        setattr(self, str(len(self)), _checked(module, type(self).__name__))
        return self

    def extend(self, modules: Iterable[Module]) -> Any:
        """Add modules at the end; returns the container."""
        for module in modules:
            self.append(module)
        return self

    def __len__(self) -> int:
        return len(self._list())

    def __iter__(self) -> Iterator[Module]:
        return iter(self._list())


class Sequential(_Numbered):
    """Modules one after the other.

    Args:
        modules: the modules, or one mapping from names to modules.

    Raises:
        DTypeError: what is no module.

    Example:
        >>> sg.nn.Sequential(sg.nn.Linear(2, 3), sg.nn.Sigmoid())
        Sequential(
          (0): Linear(in_features=2, out_features=3, bias=True)
          (1): Sigmoid()
        )
    """

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            named = list(modules[0].items())
        else:
            named = [(str(i), m) for i, m in enumerate(modules)]
        for name, module in named:
            setattr(self, name, _checked(module, "Sequential"))

    def forward(self, input: Any) -> Any:
        for module in self._list():
            input = module(input)
        return input

    def __getitem__(self, index: int | slice) -> Any:
        found = self._list()[index]
        return Sequential(*found) if isinstance(found, list) else found


class ModuleList(_Numbered):
    """Modules in a list; it has no ``forward`` of its own.

    Args:
        modules: the modules.

    Raises:
        DTypeError: what is no module.

    Example:
        >>> layers = sg.nn.ModuleList([sg.nn.Linear(2, 2) for _ in range(3)])
        >>> len(layers), len(list(layers.parameters()))
        (3, 6)
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        self.extend(modules)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return ModuleList(self._list()[index])
        return self._list()[self._place(index)]

    def __setitem__(self, index: int, module: Module) -> None:
        setattr(self, str(self._place(index)), _checked(module, "ModuleList"))

    def _place(self, index: int) -> int:
        n = len(self)
        if not -n <= integer(index, "the index") < n:
            raise OutOfRangeError(message(f"module {index} of {n}", f"{-n} to {n - 1}"))
        return index % n


class ModuleDict(Module):
    """Modules by name; it has no ``forward`` of its own.

    Args:
        modules: a mapping from names to modules.

    Raises:
        DTypeError: what is no module.

    Example:
        >>> heads = sg.nn.ModuleDict({"a": sg.nn.Linear(2, 1)})
        >>> heads["a"]
        Linear(in_features=2, out_features=1, bias=True)
    """

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        super().__init__()
        for name, module in (modules or {}).items():
            self[name] = module

    def __getitem__(self, name: str) -> Module:
        return dict(self.items())[name]

    def __setitem__(self, name: str, module: Module) -> None:
        if hasattr(type(self), name):
            raise DTypeError(message(f"the module name {name!r}", "no name of a method"))
        setattr(self, name, _checked(module, "ModuleDict"))

    def __len__(self) -> int:
        return len(self.items())

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __contains__(self, name: object) -> bool:
        return name in self.keys()

    def items(self) -> list[tuple[str, Module]]:
        """Names and modules."""
        return [(n, m) for n, m in vars(self).items() if isinstance(m, Module)]

    def keys(self) -> list[str]:
        """The names."""
        return [name for name, _ in self.items()]

    def values(self) -> list[Module]:
        """The modules."""
        return [module for _, module in self.items()]
