"""Syntax trees of functions: found, their free names, and texts in place of names."""

from __future__ import annotations

import ast
import copy
import functools
import inspect
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stablegrad.errors import StablegradError


class EmitError(StablegradError):
    """A program that cannot be written as source of its own."""


@functools.cache
def tree_of(file: str) -> ast.Module:
    """The tree of a file."""
    return ast.parse(Path(file).read_text("utf8"))


@functools.cache
def _functions_of(file: str) -> Mapping[tuple[type, int], Sequence[Any]]:
    """The functions and the lambdas of a file by the line on which their code begins."""
    found: dict[tuple[type, int], list[Any]] = {}
    for n in ast.walk(tree_of(file)):
        if isinstance(n, ast.Lambda | ast.FunctionDef):
            first = min([n.lineno, *[d.lineno for d in getattr(n, "decorator_list", [])]])
            found.setdefault((type(n), first), []).append(n)
    return found


@functools.cache
def _classes_of(file: str) -> Mapping[str, ast.ClassDef]:
    """The classes of a file by name."""
    return {n.name: n for n in ast.walk(tree_of(file)) if isinstance(n, ast.ClassDef)}


def definition(f: types.FunctionType) -> Any:
    """The syntax tree of a function or lambda."""
    code = f.__code__
    kind = ast.Lambda if f.__name__ == "<lambda>" else ast.FunctionDef
    found = _functions_of(code.co_filename).get((kind, code.co_firstlineno), [])
    if len(found) > 1:  # several lambdas on a line: by where their code stands
        places = [p for p in code.co_positions() if p[0] is not None and p[2]]
        found = [n for n in found if all(_within(n.body, p) for p in places)]
    if not found:
        raise EmitError(f"no source of {f.__qualname__}")
    return copy.deepcopy(found[-1])


def class_definition(cls: type) -> ast.ClassDef:
    """The syntax tree of a class."""
    file = inspect.getsourcefile(cls)
    assert file is not None
    return copy.deepcopy(_classes_of(file)[cls.__name__])


def _within(node: Any, place: tuple[Any, Any, Any, Any]) -> bool:
    start, end = (place[0], place[2]), (place[1], place[3])
    return (node.lineno, node.col_offset) <= start and end <= (
        node.end_lineno or 0,
        node.end_col_offset or 0,
    )


def free(node: ast.AST) -> set[str]:
    """Names that are read and not bound where they are read; annotations do not count."""
    return {n.id for n in free_places(node)}


def attributes_of(node: ast.AST, places: Sequence[ast.Name]) -> dict[str, set[str]]:
    """What is read of the names at some places of a tree: their attributes."""
    names = {id(n): n.id for n in places}
    found: dict[str, set[str]] = {}
    for n in ast.walk(node):
        if isinstance(n, ast.Attribute) and id(n.value) in names:
            found.setdefault(names[id(n.value)], set()).add(n.attr)
    return found


_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_SCOPES = (ast.FunctionDef, ast.Lambda, *_COMPREHENSIONS)


def free_places(root: ast.AST) -> list[ast.Name]:
    """Where names are read that come from outside; each scope binds its own names alone."""
    found: list[ast.Name] = []
    todo: list[tuple[ast.AST, frozenset[str]]] = [(root, frozenset())]
    while todo:
        node, bound = todo.pop()
        if isinstance(node, ast.Name):
            if node.id not in bound:
                found.append(node)
        elif isinstance(node, _SCOPES):
            inner = bound | _bound(node)
            within, outside = _parts(node)
            todo += [(n, inner) for n in within] + [(n, bound) for n in outside]
        elif isinstance(node, ast.ClassDef):  # methods do not see what its body binds
            own = bound | _bound(node)
            todo += [(n, bound if isinstance(n, _SCOPES) else own) for n in node.body]
            todo += [(n, bound) for n in [*node.bases, *node.keywords, *node.decorator_list]]
        else:
            todo += [(n, bound) for n in _children(node)]
    return found


def _children(node: ast.AST) -> list[ast.AST]:
    """The parts of a node that are run."""
    unread = node.annotation if isinstance(node, ast.AnnAssign) else None
    return [n for n in ast.iter_child_nodes(node) if n is not unread]


def _parts(node: Any) -> tuple[list[ast.AST], list[ast.AST]]:
    """What is evaluated inside of a scope, and outside of it."""
    if isinstance(node, ast.FunctionDef | ast.Lambda):
        outside = [*node.args.defaults, *[d for d in node.args.kw_defaults if d is not None]]
        body = node.body if isinstance(node, ast.FunctionDef) else [node.body]
        return list(body), [*outside, *getattr(node, "decorator_list", [])]
    first = node.generators[0].iter
    rest = [n for g in node.generators for n in (g.target, g.iter, *g.ifs) if n is not first]
    values = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
    return [*values, *rest], [first]


def _bound(node: Any) -> frozenset[str]:
    """The names that a scope binds itself."""
    names: set[str] = set()
    if isinstance(node, ast.FunctionDef | ast.Lambda):
        a = node.args
        given = [*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg]
        names |= {g.arg for g in given if g is not None}
    todo: list[ast.AST] = _parts(node)[0] if isinstance(node, _SCOPES) else _children(node)
    while todo:
        n = todo.pop()
        if isinstance(n, ast.Name):
            names |= {n.id} if isinstance(n.ctx, ast.Store) else set()
        elif isinstance(n, ast.FunctionDef | ast.ClassDef):
            names.add(n.name)
        elif isinstance(n, ast.alias):
            names.add((n.asname or n.name).split(".")[0])
        elif isinstance(n, ast.ExceptHandler) and n.name:
            names.add(n.name)
        if isinstance(n, _COMPREHENSIONS):  # of which ":=" binds outside
            names |= {m.target.id for m in ast.walk(n) if isinstance(m, ast.NamedExpr)}
        elif not isinstance(n, (*_SCOPES, ast.ClassDef)):
            todo += _children(n)
    return frozenset(names)


def bare(node: Any) -> Any:
    """A function without decorators and annotations."""
    for n in ast.walk(node):
        if isinstance(n, ast.FunctionDef):
            n.decorator_list, n.returns = [], None
        elif isinstance(n, ast.arg):
            n.annotation = None
    return _Plain().visit(node)


class _Plain(ast.NodeTransformer):
    """Annotated assignments as plain ones."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        if node.value is None:
            return None
        return ast.copy_location(ast.Assign([node.target], node.value), node)


class _Rename(ast.NodeTransformer):
    def __init__(
        self,
        places: Sequence[ast.Name],
        texts: Mapping[str, ast.expr],
        attributes: Mapping[tuple[str, str], ast.expr],
    ) -> None:
        self.places = {id(n) for n in places}
        self.texts = texts
        self.attributes = attributes

    def visit_Attribute(self, node: ast.Attribute) -> Any:
        of = node.value
        if isinstance(of, ast.Name) and id(of) in self.places:
            text = self.attributes.get((of.id, node.attr))
            if text is not None:
                return copy.deepcopy(text)
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> Any:
        known = node.id in self.texts and id(node) in self.places
        return copy.deepcopy(self.texts[node.id]) if known else node


def renamed(
    node: Any,
    texts: Mapping[str, str],
    attributes: Mapping[tuple[str, str], str] | None = None,
    places: Sequence[ast.Name] | None = None,
) -> Any:
    """A tree with texts in place of names from outside, and of attributes of modules.

    Args:
        node: the tree, which is changed.
        texts: what stands for a name.
        attributes: what stands for an attribute of a name.
        places: where names from outside are read, where that is known.
    """
    trees = {k: ast.parse(v, mode="eval").body for k, v in texts.items() if k != v}
    parts = {k: ast.parse(v, mode="eval").body for k, v in (attributes or {}).items()}
    if isinstance(node, ast.FunctionDef) and node.name in texts:
        node.name = texts[node.name]
    read = free_places(node) if places is None else places
    return ast.fix_missing_locations(_Rename(read, trees, parts).visit(node))
