"""Functions and constants as source of their own: a function comes with all that it calls."""

from __future__ import annotations

import ast
import base64
import builtins
import collections
import dataclasses
import functools
import inspect
import sys
import types
import zlib
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np
import scipy.linalg
import scipy.special

from stablegrad.audit.syntax import (
    EmitError,
    attributes_of,
    bare,
    class_definition,
    definition,
    free_places,
    renamed,
)
from stablegrad.ir import OPS
from stablegrad.ops.record import Op
from stablegrad.synthesis.build import DeclinedError
from stablegrad.synthesis.layout import layout_of
from stablegrad.synthesis.recipe import Recipe
from stablegrad.synthesis.store import table_for, table_of

Array = np.ndarray[Any, Any]

_MODULES = {
    "numpy": "np",
    "math": "math",
    "functools": "functools",
    "itertools": "itertools",
    "operator": "operator",
    "dataclasses": "dataclasses",
    "typing": "typing",
    "fractions": "fractions",
    "decimal": "decimal",
    "zlib": "zlib",
    "ml_dtypes": "ml_dtypes",
    "scipy.special": "special",
    "scipy.linalg": "linalg",
}
_LIBRARY = (
    "math",
    "functools",
    "itertools",
    "operator",
    "dataclasses",
    "typing",
    "fractions",
    "decimal",
    "zlib",
)
RESTORED = """def _restored(cls, cached=(), **attributes):
    made = object.__new__(cls)
    vars(made).update(attributes)
    for name, method in cached:
        setattr(made, name, functools.cache(getattr(made, method)))
    return made"""
MANY = 64
"""Elements from which on an array is written as its bytes."""
SHORT = 60
"""Characters of a constant that is written where it is used."""
_PLAIN = (bool, int, float, str, type(None))


@dataclass
class Shaken:
    """Functions and constants that emitted source needs, each once, what is called first."""

    texts: dict[str, str] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    kept: list[Any] = field(default_factory=list)
    """What ``names`` knows by its id, so that no id is used twice."""
    uses_ops: bool = False

    def name(self, wanted: str, value: Any) -> str:
        """A name of its own for an object."""
        base = wanted if wanted.isidentifier() else "kernel"
        base = base if base.startswith("_") else f"_{base}"  # no local name begins so
        name, count = base, 2
        while name in self.texts or name in ("xp", "np", "special", "math", "functools"):
            name, count = f"{base}_{count}", count + 1
        self.texts[name] = ""
        self.names[id(value)] = name
        self.kept.append(value)
        return name

    def refer(self, wanted: str, value: Any) -> str:
        """Text that stands for an object; its definition is added where it needs one."""
        if isinstance(value, types.ModuleType):
            if value.__name__ in _MODULES:
                return _MODULES[value.__name__]
            raise EmitError(f"{wanted} is the module {value.__name__}")
        if value is OPS:
            self.uses_ops = True
            self.texts.setdefault("_OPS", "_OPS = {}")
            return "_OPS"
        if isinstance(value, ContextVar):  # what a running plan shares; source has no plan
            return "types.SimpleNamespace(get=lambda: None)"
        if isinstance(value, _PLAIN):
            return literal(value)
        if value is table_for:  # recipes are written as their tables
            return "(lambda table, x: table)"
        if id(value) in self.names:
            return self.names[id(value)]
        if isinstance(value, Recipe):
            return self.table(value)
        if isinstance(value, Op):
            name = self.name(value.name, value)
            text = self.record(value.name, self.refer(f"{value.name}_kernel", value.kernel))
            del self.texts[name]
            self.texts[name] = f"{name} = {text}"
            return name
        module = getattr(value, "__module__", None) or ""
        public = _public(value, wanted)
        if public:
            return public
        if module == "stablegrad.errors":  # errors are told in words; the words suffice
            return "ValueError" if isinstance(value, type) else '(lambda *words: ", ".join(words))'
        if isinstance(value, functools.partial):
            inner = self.refer(getattr(value.func, "__name__", "kernel"), value.func)
            parts = [self.refer("argument", a) for a in value.args]
            parts += [f"{k}={self.refer(k, v)}" for k, v in value.keywords.items()]
            return f"functools.partial({', '.join([inner, *parts])})"
        if isinstance(value, type) and module == "builtins":
            return value.__name__
        value = inspect.unwrap(value) if callable(value) else value
        if isinstance(value, types.FunctionType):
            return self.function(wanted, value)
        if isinstance(value, type) and module.startswith("stablegrad."):
            return self.type(value)
        text = self.constant(value)
        if len(text) < SHORT:
            return text
        name = self.name(wanted, value)
        self.texts[name] = f"{name} = {text}"
        return name

    def constant(self, value: Any) -> str:
        """A constant, which may hold objects of our own classes and functions."""
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            parts = [
                f"{f.name}={self.refer(f.name, getattr(value, f.name))}"
                for f in dataclasses.fields(value)
                if f.init
            ]
            return f"{self.refer(type(value).__name__, type(value))}({', '.join(parts)})"
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            parts = [self.refer("part", v) for v in value]
            return f"{self.refer(type(value).__name__, type(value))}({', '.join(parts)})"
        if isinstance(value, tuple | list):
            inner = [self.refer("part", v) for v in value]
            comma = "," if isinstance(value, tuple) and len(inner) == 1 else ""
            text = ", ".join(inner)
            return f"({text}{comma})" if isinstance(value, tuple) else f"[{text}]"
        if isinstance(value, dict):
            parts = [f"{literal(k)}: {self.refer('part', v)}" for k, v in value.items()]
            return "{" + ", ".join(parts) + "}"
        if type(value).__module__.startswith("stablegrad.") and isinstance(
            getattr(value, "__dict__", None), dict
        ):
            return self.restored(value)
        return literal(value)

    def restored(self, value: Any) -> str:
        """An object of a class of ours: made without its constructor, its attributes put back."""
        self.texts.setdefault("_restored", RESTORED)
        methods = {k: getattr(v, "__wrapped__", None) for k, v in vars(value).items()}
        cached = {k: m for k, m in methods.items() if getattr(m, "__self__", None) is value}
        rest = {k: v for k, v in vars(value).items() if k not in cached}
        parts = [self.refer(type(value).__name__, type(value))]
        parts += [repr(tuple([(k, getattr(m, "__name__", "")) for k, m in cached.items()]))]
        parts += [f"{k}={self.refer(k, v)}" for k, v in rest.items()]
        return f"_restored({', '.join(parts)})"

    def ops(self, body: str) -> str:
        """Entries of the table of ops for all that is looked up in it by a name in the source."""
        entries: dict[str, str] = {}
        words = set[str]()
        read = set[str]()
        while self.uses_ops:
            for text in {body, *self.texts.values()} - read:
                words |= _words(text)
                read.add(text)
            fresh = sorted(n for n in words if n in OPS and n not in entries)
            if not fresh:
                break
            for n in fresh:
                try:
                    entries[n] = self.refer(f"{n}_kernel", OPS[n].kernel)
                except EmitError:
                    entries[n] = "None"  # found out by the check, should it be called
        return "\n".join([f"_OPS[{n!r}] = {self.record(n, k)}" for n, k in entries.items()])

    @staticmethod
    def record(name: str, kernel: str) -> str:
        """What kernels read of an op's record."""
        known = f"name={name!r}, params={OPS[name].params!r}, kernel={kernel}"
        return f"types.SimpleNamespace({known}, engine_kernels={{}})"

    def table(self, recipe: Recipe) -> str:
        """The table of a synthesized kernel, under a name; None where nothing is proved of it."""
        try:
            table = table_of(recipe)
        except DeclinedError:
            return "None"
        name = self.name("table", recipe)
        fields = (
            "coefficients center scale slope kind kinds sides zones points total format".split()
        )
        parts = [f"{f}={self.refer(f, getattr(table, f))}" for f in fields]
        text = f"types.SimpleNamespace({', '.join(parts)})"
        layout = self.refer("layout_of", layout_of)
        del self.texts[name]
        self.texts[name] = f"{name} = {text}\n{name}.layout = {layout}({name})"
        return name

    def type(self, cls: type) -> str:
        """Define a class, after all that it uses."""
        name = self.name(cls.__name__, cls)
        node = class_definition(cls)
        for n in ast.walk(node):
            if isinstance(n, ast.FunctionDef):
                n.returns = None
            elif isinstance(n, ast.arg):
                n.annotation = None
        outside = vars(sys.modules[cls.__module__])
        node.name = name
        text = ast.unparse(self.bound(node, outside, {cls.__name__: name}))
        del self.texts[name]
        self.texts[name] = text
        return name

    def bound(self, node: Any, outside: Mapping[str, Any], known: Mapping[str, str]) -> Any:
        """A tree with text for every name that comes from outside of it."""
        texts = dict(known)
        attributes: dict[tuple[str, str], str] = {}
        places = free_places(node)
        read = attributes_of(node, places)
        for name in sorted({n.id for n in places} - set(known)):
            if name not in outside:
                continue
            value = outside[name]
            opened = isinstance(value, types.ModuleType) and value.__name__ not in _MODULES
            if opened or isinstance(value, Op):  # what is read of it, not all that it holds
                for used in sorted(read.get(name, ())):
                    attributes[name, used] = self.refer(used, getattr(value, used))
            else:
                texts[name] = self.refer(name, value)
        return renamed(node, texts, attributes, places)

    def function(self, wanted: str, f: types.FunctionType) -> str:
        """Define a function, after all that it calls."""
        if id(f) in self.names:
            return self.names[id(f)]
        label = f.__name__ if f.__name__ != "<lambda>" else wanted
        name = self.name(label, f)
        node = definition(f)
        outside = {**f.__globals__, **inspect.getclosurevars(f).nonlocals}
        if isinstance(node, ast.Lambda):
            text = f"{name} = {ast.unparse(self.bound(node, outside, {}))}"
        else:
            known = {node.name: name}
            text = ast.unparse(self.bound(bare(node), outside, known))
        del self.texts[name]  # it comes after what it calls
        self.texts[name] = text
        return name


def _words(text: str) -> set[str]:
    """The strings in a source."""
    constants = (n.value for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Constant))
    return {c for c in constants if isinstance(c, str)}


def _public(value: Any, wanted: str) -> str:
    """The public name of a function or class of NumPy, SciPy or the standard library."""
    if not callable(value):
        return ""
    homes = [(np, "np"), (np.linalg, "np.linalg"), (scipy.special, "special")]
    homes += [(scipy.linalg, "linalg"), (ml_dtypes, "ml_dtypes")]
    homes += [(builtins, "builtins"), (collections, "collections")]
    homes += [(sys.modules[m], m) for m in _LIBRARY if m in sys.modules]
    for module, text in homes:
        for name in (getattr(value, "__name__", wanted), wanted):
            if getattr(module, name, None) is value:
                return f"{text}.{name}"
    return ""


def packed(value: Array) -> str:
    """A large array as its bytes: text that nobody could read as numbers either."""
    data = base64.b85encode(zlib.compress(np.ascontiguousarray(value).tobytes(), 9)).decode()
    lines = "\n".join([f"    {data[i : i + 80]!r}" for i in range(0, len(data), 80)])
    flat = f"np.frombuffer(zlib.decompress(base64.b85decode(\n{lines}\n)), np.{value.dtype.name})"
    return f"{flat}.reshape({value.shape})"


def literal(value: Any) -> str:
    """A constant as text that gives it back."""
    if isinstance(value, float) and (value != value or value in (np.inf, -np.inf)):
        return f'float("{value}")'
    if isinstance(value, np.ndarray) and value.size > MANY:
        return packed(value)
    if isinstance(value, np.ndarray):
        return f"np.array({literal(value.tolist())}, np.{value.dtype.name})"
    if isinstance(value, np.generic):
        return f"np.{value.dtype.name}({literal(value.item())})"
    if isinstance(value, tuple | list):
        inner = ", ".join([literal(v) for v in value])
        comma = "," if isinstance(value, tuple) and len(value) == 1 else ""
        return f"({inner}{comma})" if isinstance(value, tuple) else f"[{inner}]"
    if isinstance(value, dict):
        return "{" + ", ".join([f"{literal(k)}: {literal(v)}" for k, v in value.items()]) + "}"
    if isinstance(value, np.dtype):
        foreign = value.isbuiltin != 1
        return f"np.dtype({f'ml_dtypes.{value.name}' if foreign else repr(value.name)})"
    if isinstance(value, range):
        return repr(value)
    if isinstance(value, slice):
        return f"slice({literal(value.start)}, {literal(value.stop)}, {literal(value.step)})"
    text = repr(value)
    if isinstance(value, (*_PLAIN, frozenset, set)):
        return text
    if text.startswith("Fraction("):
        return f"fractions.{text}"
    if text.startswith("Decimal("):
        return f"decimal.{text}"
    if value is Ellipsis:
        return "..."
    raise EmitError(f"a constant of type {type(value).__name__}: {text[:200]}")
