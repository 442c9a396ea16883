"""The command line: ``stablegrad audit | check | rules | ops | synthesize``.

Exit status: 0 nothing to complain of, 1 digits are lost (or a gradient is wrong), 2 the call is
wrong.
"""

from __future__ import annotations

import functools
import inspect
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

import stablegrad
from stablegrad.audit import audit as run_audit
from stablegrad.audit.check import run_check
from stablegrad.audit.load import (
    CallError,
    as_arguments,
    check_count,
    guarded,
    inputs_of,
    load_inputs,
    load_object,
)
from stablegrad.audit.report import write_atomically
from stablegrad.audit.sampling import drawn_arguments
from stablegrad.cli_synthesize import synthesize
from stablegrad.cli_texts import guard_text, interval, measured_text
from stablegrad.errors import StablegradError
from stablegrad.expressions import parse
from stablegrad.function import Function
from stablegrad.ir import OPS
from stablegrad.rewrite import Rule
from stablegrad.rules import DATABASES
from stablegrad.rules.gains import gain_text

LOST, WRONG_CALL = 1, 2
WIDE = 140  # columns where the output is no terminal
MEASURED = Path(__file__).resolve().parent / "measured.json"
"""The worst errors by op and dtype, written by ``python -m benchmarks.sweep``."""
HIDDEN_FAMILIES = {"leaf"}


_NOT_USERS = re.compile(r" \(at [^)]*(?:[\\/]click[\\/][^)]*|<[^)]*)\)")
"""A place in an error text that is the command line's own."""


class Failure(click.ClickException):
    """A wrong call: one message, no traceback."""

    exit_code = WRONG_CALL

    def show(self, file: Any = None) -> None:
        """Print the message."""
        click.echo(f"stablegrad: error: {self.message}", err=True, file=file)


def clear(command: Callable[..., Any]) -> Callable[..., Any]:
    """Tell every error that is raised on purpose in a sentence."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except StablegradError as error:
            raise Failure(_NOT_USERS.sub("", str(error))) from None
        except OSError as error:
            raise Failure(f"{error.filename or 'file'}: {error.strerror or error}") from None

    return run


def console() -> Console:
    """Where reports go: as wide as the terminal, or wide enough for a file."""
    found = Console()
    return found if found.is_terminal else Console(width=WIDE)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(stablegrad.__version__, prog_name="stablegrad")
def main() -> None:
    """Find and cure the loss of digits in values and gradients.

    \b
    stablegrad audit model.py:loss                        which lines lose digits?
    stablegrad audit --expr "log(1 - sigmoid(x))" --domain x=-50:50
    stablegrad check layers.py:MyFunction                 is its gradient right?
    stablegrad rules                                      what is rewritten, and why
    stablegrad ops                                        what there is to compute with
    stablegrad synthesize "log(cosh(x))" --order 1        a kernel with a proof
    """  # noqa: D301 - click wants the character


synthesize.callback = clear(synthesize.callback) if synthesize.callback else None
main.add_command(synthesize)

# -- inputs ---------------------------------------------------------------------------------


def inputs(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say where inputs come from."""
    options = [
        click.option(
            "--inputs",
            "file",
            metavar="FILE",
            help="Inputs by the names of the parameters: .npz, .csv or .parquet.",
        ),
        click.option(
            "--domain",
            metavar="x=LO:HI,...",
            help="Search intervals for the worst input; x[3]=LO:HI for arrays.",
        ),
        click.option("--points", default=1000, show_default=True, help="Points of a domain."),
        click.option("--seed", default=0, show_default=True, help="Seed of the points."),
        click.option(
            "--dtype",
            type=click.Choice(["float32", "float64", "float16", "bfloat16"]),
            default="float32",
            show_default=True,
            help="Dtype of the points, and of numbers from .csv and .parquet.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def arguments(
    f: Callable[..., Any],
    made: Callable[[], Any],
    *,
    file: str | None,
    domain: str | None,
    points: int,
    seed: int,
    dtype: str,
    parameters: Callable[..., Any] | None = None,
) -> list[Any]:
    """The arguments that the options ask for; ``made`` gives them where no option does."""
    described = f if parameters is None else parameters
    if file and domain:
        raise CallError("--inputs and --domain are both given; expected one of them")
    if domain:
        return drawn_arguments(described, [], domain, points=points, seed=seed, dtype=dtype)
    if file:
        args = as_arguments(described, load_inputs(file, np.dtype(dtype)), file, by_name=True)
    else:
        args = as_arguments(described, made(), "the function of inputs")
    check_count(described, args)
    return args


# -- audit ----------------------------------------------------------------------------------


@main.command()
@click.argument("target", metavar="[FILE.py:FUNCTION]", required=False)
@click.option("--expr", metavar="TEXT", help="Audit an expression instead of a function.")
@inputs
@click.option(
    "--order",
    type=click.IntRange(0, 2),
    default=1,
    show_default=True,
    help="0 values, 1 gradients too, 2 gradients of gradients too.",
)
@click.option("--json", "json_path", metavar="PATH", help="Write the findings as JSON.")
@click.option(
    "--emit",
    "emitted",
    metavar="PATH",
    help="Write the stabilized function and its gradient as source, once it passes a check.",
)
@click.option(
    "--emit-for",
    type=click.Choice(["numpy", "jax"]),
    default="numpy",
    show_default=True,
    help="What --emit writes for.",
)
@click.option("--processes", type=click.IntRange(1), help="Of large data. [default: all cores]")
@click.option("--html", "html_path", metavar="PATH", help="Write the report as a page.")
@click.pass_context
@clear
def audit(
    context: click.Context,
    target: str | None,
    expr: str | None,
    order: int,
    json_path: str | None,
    html_path: str | None,
    emitted: str | None,
    emit_for: str,
    processes: int | None,
    **options: Any,
) -> None:
    """Find the lines of FUNCTION that lose digits, forward or backward, and their cures.

    The function takes arrays and returns one tensor; the gradient of its sum is audited. Inputs
    are those that FUNCTION_inputs() in the same file returns, or --inputs, or --domain.

    Exit status: 0 naive evaluation is fine, 1 it loses digits (cured or not), 2 the call is wrong.

    \b
    stablegrad audit model.py:loss
    stablegrad audit model.py:loss --inputs batch.npz --json findings.json
    stablegrad audit model.py:loss --inputs table.csv --dtype float64
    stablegrad audit model.py:ratio --domain "a=1e-30:1e30,b=1e-30:1e30" --order 2
    stablegrad audit --expr "log(1 - sigmoid(x))" --domain x=-50:50 --html report.html
    """  # noqa: D301 - click wants the character
    for path in (json_path, html_path, emitted):
        if path and not Path(path).absolute().parent.is_dir():
            raise CallError(f"no folder {Path(path).parent} for {path}")
    if (target is None) == (expr is None):
        raise CallError("expected FILE.py:FUNCTION or --expr TEXT, one of them")
    drawn: dict[str, Any] = {}
    if options["domain"]:
        drawn = {k: options[k] for k in ("domain", "points", "seed", "dtype")}
    if expr is not None:
        f: Callable[..., Any] = parse(expr)
        args = [] if drawn else arguments(f, _no_inputs, **options)
    else:
        assert target is not None
        found, module, name = load_object(target)
        f = guarded(found)
        args = [] if drawn else arguments(f, lambda: inputs_of(module, name), **options)
    if drawn and options["file"]:
        raise CallError("--inputs and --domain are both given; expected one of them")
    result = run_audit(f, *args, order=order, processes=processes, **drawn)
    if json_path:
        write_atomically(json_path, json.dumps(result.to_json(), indent=2) + "\n")
    if html_path:
        result.to_html(html_path)
    console().print(result)
    if emitted and result.complete:
        write_atomically(emitted, result.emit(emit_for))
        click.echo(f"Wrote {emitted}: checked in a process without stablegrad.")
    context.exit(0 if result.ok and result.complete else LOST)


def _no_inputs() -> Any:
    raise CallError("no inputs: give --domain x=LO:HI or --inputs FILE.npz")


# -- check ----------------------------------------------------------------------------------


@main.command()
@click.argument("target", metavar="FILE.py:CLASS")
@inputs
@click.option("--max-ulp", default=64.0, show_default=True, help="The greatest error allowed.")
@click.pass_context
@clear
def check(context: click.Context, target: str, max_ulp: float, **options: Any) -> None:
    """Compare the gradient of a Function, or of a function with its own, with the truth.

    Functions of JAX may be given as well: what is checked is their custom_vjp or custom_jvp.

    Inputs as for `audit`: CLASS_inputs() in the same file, --inputs or --domain.

    Exit status: 0 the gradient is right, 1 it is wrong, 2 the call is wrong.

    \b
    stablegrad check layers.py:Sigmoid --domain x=-50:50
    """  # noqa: D301 - click wants the character
    found, module, name = load_object(target)
    parameters = found
    if inspect.isclass(found):
        if not issubclass(found, Function):
            raise CallError(f"{name} is a class of its own; expected a subclass of sg.Function")
        found = guarded(found)()
        parameters = found.forward
    args = arguments(found, lambda: inputs_of(module, name), parameters=parameters, **options)
    report = run_check(guarded(found), *args, max_ulp=max_ulp)
    click.echo(str(report))
    context.exit(0 if report.ok else LOST)


# -- registries -----------------------------------------------------------------------------


@main.command()
@click.argument("text", required=False, default="")
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
@clear
def rules(text: str, as_json: bool) -> None:
    """List the rules, or those with TEXT in a name, group, reason or source.

    The gain is of bits lost by the left side as it stands, and by the right, where 4 ulp or more
    are gained; `python -m benchmarks.rules` measures it. A rule without one brings terms to a form
    that others know.

    \b
    stablegrad rules sigmoid
    """  # noqa: D301 - click wants the character
    rows = [
        {
            "name": rule.name,
            "database": rule.database,
            "group": rule.group,
            "reason": rule.reason,
            "guard": guard_text(rule.guard) if isinstance(rule, Rule) else "",
            "gain": gain_text(rule.name),
            "source": rule.source,
            "place": rule.place,
        }
        for database in DATABASES
        for rule in database.rules
    ]
    chosen = [row for row in rows if text.lower() in " ".join(row.values()).lower()]
    _show(chosen, f"{len(chosen)} of {len(rows)} rules", as_json)


@main.command()
@click.argument("text", required=False, default="")
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
@clear
def ops(text: str, as_json: bool) -> None:
    """List the ops, or those with TEXT in a name, family or description.

    The bound is in ulp of the value, the first and the second derivative. Measured are the worst
    errors found: over all float16 and bfloat16 inputs, a sweep of float32, a sample of float64.

    \b
    stablegrad ops exponential
    """  # noqa: D301 - click wants the character
    worst = json.loads(MEASURED.read_text("utf8"))
    rows = [
        {
            "name": op.name,
            "family": op.family,
            "domain": " x ".join(interval(f) for f in op.domain) or "any",
            "range": interval(op.range),
            "bound": op.accuracy or ("/".join(f"{u:g}" for u in op.ulp) if op.ulp else ""),
            "measured": measured_text(worst.get(op.name, {})),
            "doc": op.doc,
        }
        for op in sorted(OPS.values(), key=lambda op: (op.family, op.name))
        if op.family not in HIDDEN_FAMILIES
    ]
    chosen = [row for row in rows if text.lower() in " ".join(row.values()).lower()]
    _show(chosen, f"{len(chosen)} of {len(rows)} ops", as_json)


WIDE_ENOUGH = 140
"""Columns from which on a list is a table."""


def _show(rows: list[dict[str, str]], title: str, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        raise CallError(f"nothing is called that: {title}")
    if console().width < WIDE_ENOUGH:  # a line for each fact, where columns would be a word wide
        console().print(Text(title, style="italic"))
        for row in rows:
            name, *rest = row.items()
            console().print(Text(name[1], style="bold"))
            for key, value in rest:
                if value:
                    told = Text(f"{key}: {' '.join(value.split())}")
                    console().print(Padding(told, (0, 0, 0, 2)))
        return
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for i, name in enumerate(rows[0]):
        table.add_column(name, overflow="fold", no_wrap=i == 0)
    for row in rows:
        table.add_row(*[Text(" ".join(value.split())) for value in row.values()])
    console().print(table)
