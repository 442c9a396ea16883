"""Syntax trees of functions: found, their free names, and texts in place of names."""

from __future__ import annotations

import ast
import copy
import functools
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stablegrad.errors import StablegradError


class EmitError(StablegradError):
    """A program that cannot be written as source of its own."""


@functools.cache
def tree_of(file: str) -> ast.Module:
    """The tree of a file."""
    return ast.parse(Path(file).read_text("utf8"))


def definition(f: types.FunctionType) -> Any:
    """The syntax tree of a function or lambda."""
    code = f.__code__
    kind = ast.Lambda if f.__name__ == "<lambda>" else ast.FunctionDef
    found = [
        n
        for n in ast.walk(tree_of(code.co_filename))
        if isinstance(n, kind)
        and min([n.lineno, *[d.lineno for d in getattr(n, "decorator_list", [])]])
        == code.co_firstlineno
    ]
    if len(found) > 1:  # several lambdas on a line: by where their code stands
        places = [p for p in code.co_positions() if p[0] is not None and p[2]]
        found = [n for n in found if all(_within(n.body, p) for p in places)]
    if not found:
        raise EmitError(f"no source of {f.__qualname__}")
    return copy.deepcopy(found[-1])


def _within(node: Any, place: tuple[Any, Any, Any, Any]) -> bool:
    start, end = (place[0], place[2]), (place[1], place[3])
    return (node.lineno, node.col_offset) <= start and end <= (
        node.end_lineno or 0,
        node.end_col_offset or 0,
    )


def free(node: ast.AST) -> set[str]:
    """Names that are read and not bound inside; annotations do not count."""
    inner = bare(copy.deepcopy(node))
    read = {n.id for n in ast.walk(inner) if isinstance(n, ast.Name)}
    bound = {
        n.id for n in ast.walk(inner) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    }
    bound |= {n.arg for n in ast.walk(inner) if isinstance(n, ast.arg)}
    return read - bound


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
        self, texts: Mapping[str, ast.expr], attributes: Mapping[tuple[str, str], ast.expr]
    ) -> None:
        self.texts = texts
        self.attributes = attributes

    def visit_Attribute(self, node: ast.Attribute) -> Any:
        if isinstance(node.value, ast.Name) and (node.value.id, node.attr) in self.attributes:
            return copy.deepcopy(self.attributes[node.value.id, node.attr])
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> Any:
        return copy.deepcopy(self.texts[node.id]) if node.id in self.texts else node


def renamed(
    node: Any, texts: Mapping[str, str], attributes: Mapping[tuple[str, str], str] | None = None
) -> Any:
    """A tree with texts in place of names, and of attributes of modules."""
    trees = {k: ast.parse(v, mode="eval").body for k, v in texts.items() if k != v}
    parts = {k: ast.parse(v, mode="eval").body for k, v in (attributes or {}).items()}
    if isinstance(node, ast.FunctionDef) and node.name in texts:
        node.name = texts[node.name]
    return ast.fix_missing_locations(_Rename(trees, parts).visit(node))
