"""Lines of code by file and the longest functions: the budget that keeps the package small.

Comments, docstrings and blank lines do not count.
"""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LISTED = 10
SILENT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
SILENT |= {tokenize.ENCODING, tokenize.ENDMARKER}


def code_lines(source: str) -> set[int]:
    """The numbers of the lines that hold code."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in SILENT:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(getattr(node.value, "value", None), str):
            lines.difference_update(range(node.lineno, (node.end_lineno or 0) + 1))
    return lines


def main() -> None:
    """Print the tables."""
    total = 0
    functions: list[tuple[int, str]] = []
    files: list[tuple[int, int, str]] = []
    for path in sorted((ROOT / "stablegrad").rglob("*.py")):
        source = path.read_text("utf8")
        lines = code_lines(source)
        total += len(lines)
        name = str(path.relative_to(ROOT))
        files.append((len(source.splitlines()), len(lines), name))
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                inside = lines & set(range(node.lineno, (node.end_lineno or 0) + 1))
                functions.append((len(inside), f"{name}:{node.lineno} {node.name}"))
    print(f"{'lines':>6} {'code':>6}  file")
    for raw, code, name in sorted(files, reverse=True):
        print(f"{raw:>6} {code:>6}  {name}")
    print(f"{'':>6} {total:>6}  in all\n\n{'code':>6}  longest functions")
    functions.sort(reverse=True)
    for code, name in functions[:LISTED]:
        print(f"{code:>6}  {name}")
    if functions:
        print(f"{functions[len(functions) // 10][0]:>6}  is the length that 9 of 10 keep to")


if __name__ == "__main__":
    main()
