"""Kernels as source that stands alone: NumPy, JAX or C."""

from __future__ import annotations

import inspect
import math
import re
from typing import Any

import numpy as np

from stablegrad.oracle.formats import FLOAT64, Format
from stablegrad.synthesis import factors, kernel, layout
from stablegrad.synthesis.layout import UNCOVERED
from stablegrad.synthesis.table import Kind, Table

LANGUAGES = ("numpy", "jax", "c")
_FUNCTIONS = (
    *[
        f
        for module in (layout, factors, kernel)
        for f in vars(module).values()
        if getattr(f, "__module__", "") == module.__name__
    ],
)


def source(table: Table, text: str, language: str, dtype: str = "float64") -> str:
    """A file with one function of one variable, and what is proved of it in its head.

    Args:
        table: the kernel.
        text: the expression, for the head.
        language: "numpy", "jax" or "c".
        dtype: the dtype of the result, to which it is rounded once. What the table takes, float64
            or float32, is what all is computed in.
    """
    head = [
        f"f(x) = {text}",
        table.summary(),
        "Where nothing is proved (outside the domain, in gaps) the result is nan.",
    ]
    if language == "c":
        return _c(table, head, dtype)
    return _python(table, head, language, dtype)


# -- Python -----------------------------------------------------------------------------------


def _array(name: str, a: Any, dtype: str) -> str:
    rows = a if a.ndim == 2 else [a]
    lines = ["    [" + ", ".join(repr(v) for v in r.tolist()) + "]," for r in rows]
    inner = "\n".join(lines) if a.ndim == 2 else lines[0].strip().rstrip(",")
    return (
        f"{name} = np.array([\n{inner}\n], {dtype!r})"
        if a.ndim == 2
        else (f"{name} = np.array({inner}, {dtype!r})")
    )


def _kind(k: Kind) -> str:
    fields = [
        f"q={k.q}",
        f"power=Fraction({str(k.power)!r})",
        f"main={k.main}",
        f"log={k.log}",
        f"log_power=Fraction({str(k.log_power)!r})",
        "rate=(" + "".join(f"(Fraction({str(e)!r}), {h!r}, {lo!r}), " for e, h, lo in k.rate) + ")",
        f"even={k.even}",
        f"steep={k.steep}",
        f"lift={k.lift}",
        f"plain={k.plain}",
        f"waves={k.waves and tuple(k.waves)}",
    ]
    return f"    SimpleNamespace({', '.join(fields)}),"


def _format(form: Format) -> str:
    names = "name integer fraction bias small shift extreme smallest split lift log_lift".split()
    fields = ", ".join([f"{n}={getattr(form, n)!r}" for n in names])
    return f"FORMAT = SimpleNamespace({fields})"


_TABLE = """TABLE = SimpleNamespace(
    coefficients=COEFFICIENTS, center=CENTER, scale=SCALE, slope=SLOPE, kind=KIND,
    kinds=KINDS, sides=SIDES, zones=ZONES, points=POINTS, format=FORMAT,
)
TABLE.layout = layout_of(TABLE)"""


def _python(table: Table, head: list[str], language: str, dtype: str) -> str:
    jax = language == "jax"
    form = table.format
    known = {
        factors: ("LOG_2", "HUGE"),
        kernel: ("FEW", "GATHERED"),
        layout: ("LOOKED_THROUGH", "FINEST"),
    }
    constants = [f"{n} = {getattr(m, n)!r}" for m, names in known.items() for n in names]
    sides = [
        f"    SimpleNamespace(low={s.low}, high={s.high}, base={s.base}, shift={s.shift}),"
        for s in table.sides
    ]
    zones = [
        f"    SimpleNamespace(hi={z.hi!r}, lo={z.lo!r}, width={z.width!r}, "
        f"above={z.above}, below={z.below}),"
        for z in table.zones
    ]
    points = [f"    ({_number(a)}, {_number(b)})," for a, b in table.points]
    result = "ml_dtypes.bfloat16" if dtype == "bfloat16" and not jax else f"xp.{dtype}"
    parts = [
        '"""' + "\n\n".join([head[0] + ".", *[h + "." for h in head[1:2]], head[2]]) + '\n"""',
        "from __future__ import annotations",
        "import math\nfrom fractions import Fraction\nfrom types import SimpleNamespace",
        "from typing import Any, NamedTuple",
        ("import jax\n" if jax and form is FLOAT64 else "")
        + ("import jax.numpy as xp\n" if jax else "")
        + ("import ml_dtypes\n" if dtype == "bfloat16" and not jax else "")
        + "import numpy as np",
        ('jax.config.update("jax_enable_x64", True)' if form is FLOAT64 else "")
        if jax
        else "xp = np",
        "\n".join([f"UNCOVERED = {UNCOVERED}", *constants, "inf, nan = np.inf, np.nan"]),
        *[inspect.getsource(f).rstrip() for f in _FUNCTIONS],
        _array("COEFFICIENTS", table.coefficients, form.name),
        _array("CENTER", table.center, form.name),
        _array("SCALE", table.scale, form.name),
        _array("SLOPE", table.slope, form.name),
        _array("KIND", table.kind, "int8"),
        _format(form),
        _TABLE,
        "\n".join(
            [
                "def f(x):",
                f'    """{head[0]}."""',
                f"    x = xp.asarray(x, xp.{form.name})",
                *([] if jax else ['    with np.errstate(all="ignore"):']),
                f"{'' if jax else '    '}    value, covered = evaluate(xp, x, TABLE)",
                f"    return xp.where(covered, value, nan).astype({result})",
            ]
        ),
    ]
    tuples = [
        f"{name} = (\n" + "\n".join(lines) + ("\n" if lines else "") + ")"
        for name, lines in (
            ("KINDS", [_kind(k) for k in table.kinds]),
            ("SIDES", sides),
            ("ZONES", zones),
            ("POINTS", points),
        )
    ]
    parts[-2:-2] = tuples
    return "\n\n".join(p for p in parts if p) + "\n"


def _number(v: float) -> str:
    return repr(float(v))


# -- C ------------------------------------------------------------------------------------------


def _literal(v: float) -> str:
    if math.isinf(v):
        return "INFINITY" if v > 0 else "-INFINITY"
    return "NAN" if math.isnan(v) else float(v).hex()


def _c_point(x: float, y: float, result: str) -> str:
    sign = "" if x else "!signbit(x) && " if math.copysign(1, x) > 0 else "signbit(x) && "
    return f"    if ({sign}x == {_literal(x)}) return ({result}){_literal(y)};"


def _c_array(name: str, a: Any, kind: str = "double") -> str:
    values = [_literal(v) if kind == "double" else str(int(v)) for v in np.ravel(a).tolist()]
    lines = [", ".join(values[i : i + 4]) for i in range(0, len(values), 4)]
    return f"static const {kind} {name}[] = {{\n    " + ",\n    ".join(lines) + "\n};"


def _c(table: Table, head: list[str], dtype: str) -> str:
    form = table.format
    real = "double" if form is FLOAT64 else "float"
    result = "double" if dtype == "float64" else "float"
    if dtype not in ("float64", "float32"):
        head = [*head, f"The result is to be rounded to {dtype}."]
    bits, mask = 8 * form.dtype.itemsize, (1 << form.fraction) - 1
    height, rows = table.coefficients.shape
    low, high = (tuple([getattr(s, n) for s in table.sides]) for n in ("low", "high"))
    first = len(table.sides[0].base)
    body = [
        f"{result} f({real} x)",
        "{",
        *[_c_point(a, b, result) for a, b in table.points],
        "    if (!(fabs(x) < INFINITY)) return NAN;",
        "    int s = x < 0;",
        "    double z = fabs(x);",
        f"    uint{bits}_t bits;",
        f"    memcpy(&bits, &z, {bits // 8});",
        f"    int e = (int)(bits >> {form.fraction}) - {form.bias};",
        f"    int low = s ? {low[1]} : {low[0]}, high = s ? {high[1]} : {high[0]};",
        f"    int k = (e < low - 1 ? low - 1 : e > high ? high : e) - low + 1 + (s ? {first} : 0);",
        f"    int row = BASE[k] + (int)((bits & {mask:#x}) >> SHIFT[k]);",
    ]
    for zone in table.zones:
        hi, lo = _literal(zone.hi), _literal(zone.lo)
        body += [
            "    {",
            f"        double d = (x - {hi}) - {lo};",
            f"        int r = d > 0 ? {zone.above} : {zone.below};",
            f"        if (fabs(d) <= {_literal(zone.width)} && r) {{ row = r; z = fabs(d); }}",
            "    }",
        ]
    body += [
        "    if (z == 0) return NAN;",
        "    double y = z, t, v;",
        "    switch (KIND[row]) {",
        *[line for i, k in enumerate(table.kinds) if i for line in _c_kind(i, k)],
        "    default: return NAN;",
        "    }",
        "}",
    ]
    text = "\n".join(
        [
            "/* " + "\n   ".join(head) + " */",
            "#include <math.h>\n#include <stdint.h>\n#include <string.h>\n",
            f"enum {{ ROWS = {rows}, HEIGHT = {height} }};",
            _c_array("C", table.coefficients),
            _c_array("CENTER", table.center),
            _c_array("SCALE", table.scale),
            *([_c_array("SLOPE", table.slope)] if any(k.steep for k in table.kinds) else []),
            _c_array("KIND", table.kind, "signed char"),
            _c_array("BASE", table.sides[0].base + table.sides[1].base, "int"),
            _c_array("SHIFT", table.sides[0].shift + table.sides[1].shift, "int"),
            _helpers(form),
            *body,
            "",
        ]
    )
    return text if form is FLOAT64 else _in_floats(text)


def _in_floats(text: str) -> str:
    """C source of doubles as such of floats."""
    text = re.sub(r"\b(exp|log|fabs|sqrt|cbrt|fma|ldexp)\(", r"\1f(", text)
    text = re.sub(r"\b0x[0-9a-f.]+p[+-]?[0-9]+\b", r"\g<0>f", text)
    return text.replace("double", "float")


def _helpers(form: Format) -> str:
    known = {"SMALL": form.small, "GREAT": 1 / form.small, "UP": 2.0**form.shift}
    known |= {"DOWN": 2.0**-form.shift, "EXTREME": form.extreme}
    known |= dict(zip(("MORE", "REST"), form.log_lift, strict=True))
    text = _C_HELPERS.replace("BACK", str(form.shift)).replace("LIFT", str(form.lift))
    for name, value in known.items():
        text = re.sub(rf"\b{name}\b", _literal(value), text)
    return text


_C_HELPERS = """
static inline double polynomial(int row, double t)
{
    double total = 0;
    for (int k = HEIGHT - 1; k > 1; k--) total = total * t + C[k * ROWS + row];
    return C[row] + (C[ROWS + row] + total * t);
}

/* within half an ulp and a little */
static inline double cube_root(double z)
{
    double r = cbrt(z), s = r * r, low = fma(r, r, -s), c = s * r, rest = fma(s, r, -c);
    if (!(z > SMALL && z < GREAT)) return r;
    return r - ((c - z) + (rest + low * r)) / (3 * s);
}

/* z**(p/q) in two floats, q 1 or 2 */
static inline double power_in_two(double z, int p, int q, double *rest)
{
    double base = q == 2 ? sqrt(z) : z, low = 0, high, r;
    if (q == 2 && base > 0) low = fma(-base, base, z) / (2 * base);
    high = base;
    r = low;
    for (int i = 1; i < (p < 0 ? -p : p); i++) {
        double more = high * base;
        r = fma(high, base, -more) + (high * low + r * base);
        high = more;
    }
    if (p < 0) {
        double inverse = 1 / high;
        r = (fma(-inverse, high, 1) - inverse * r) * inverse;
        high = inverse;
    }
    *rest = r;
    return high;
}

/* v * z**(p/q), leaving the range only where the result does */
static inline double times_power(double v, double z, int p, int q)
{
    int small = z < DOWN, far = small || z > UP, n = p < 0 ? -p : p;
    double y = far ? z * (small ? UP : DOWN) : z;
    double root = q == 2 ? sqrt(y) : q == 3 ? cube_root(y) : y;
    for (int i = 0; i < n / q; i++) v = p > 0 ? v * y : v / y;
    for (int i = 0; i < n % q; i++) v = p > 0 ? v * root : v / root;
    return far ? ldexp(v, (small ? -1 : 1) * BACK / q * p) : v;
}

/* v * exp(hi + lo), also where exp alone leaves the range */
static inline double times_exp(double v, double hi, double lo)
{
    int far = fabs(hi) > EXTREME, s = hi < 0 ? 1 : -1;
    if (far) {
        double nearer = hi + s * MORE;
        lo += (hi - nearer) + s * MORE + s * REST;
        hi = nearer;
    }
    if (fabs(hi) < 1000000) v += v * lo;
    return far ? ldexp(v * exp(hi), -s * LIFT) : v * exp(hi);
}
"""


def _c_kind(i: int, k: Kind) -> list[str]:
    if k.waves:
        return _c_waves(i, k)
    root = {1: "y", 2: "sqrt(z)", 3: "cube_root(z)"}[abs(k.q)]
    lines = [f"    case {i}:", f"        y = {root};"]
    if k.q < 0:
        lines.append("        y = 1 / y;")
    lines.append("        t = (y - CENTER[row]) * SCALE[row];")
    if k.even:
        lines.append("        t = t * t;")
    exponent = "v"
    if k.rate:
        lines += ["        double hi = 0, lo = 0, g, p, h, r;"]
        for e, c, rest in k.rate:
            lines += [
                f"        h = power_in_two(z, {e.numerator}, {e.denominator}, &r);",
                f"        p = h * {_literal(c)};",
                f"        r = fma(h, {_literal(c)}, -p) + r * {_literal(c)};",
                f"        r += h * {_literal(rest)};",
                "        g = hi + p; lo += r + ((hi - (g - (g - hi))) + (p - (g - hi))); hi = g;",
            ]
        exponent = "times_exp(v, hi, lo)"
    power, log = k.power, k.log_power
    together = k.log and k.main and power == log
    lines.append("        v = polynomial(row, t);")
    if together:
        lines.append("        v += polynomial(row + 1, t) * log(z);")
    if k.steep:
        lines += [
            "        double g = SLOPE[row] * t;",
            "        v += v * fma(SLOPE[row], t, -g);",
            "        v *= exp(g);",
        ]
    if k.lift:
        lines.append(f"        v = v * {_literal(2.0**-k.lift)};")
    lines.append(f"        v = {exponent};")
    lines.append(f"        v = times_power(v, z, {power.numerator}, {power.denominator});")
    if k.log and not together:
        if k.main:
            lines.append("        double main = v;")
        lines.append("        v = polynomial(row + 1, t) * log(z);")
        lines.append(f"        v = {exponent};")
        lines.append(f"        v = times_power(v, z, {log.numerator}, {log.denominator});")
        if k.main:
            lines.append("        v = main + v;")
    lines.append("        return v;")
    return [lines[0] + " {", *lines[1:], "    }"]


def _c_waves(i: int, k: Kind) -> list[str]:
    assert k.waves is not None
    octave, factor, terms, share = k.waves
    lines = [
        f"    case {i}: {{",
        f"        double a = z * {_literal(2.0**octave)}, sum = 0, size = 0;",
        "        t = (1 / z) * SCALE[row];",
    ]
    for n, name in enumerate(terms):
        times = f" * {name}(a)" if name else ""
        lines.append(f"        v = polynomial(row + {n}, t){times}; sum += v; size += fabs(v);")
    if share:
        lines.append(f"        if (!(fabs(sum) >= {_literal(share)} * size)) return NAN;")
    if factor:
        lines.append(f"        sum *= {factor}(a);")
    power = k.power
    back = f"times_power(sum, z, {power.numerator}, {power.denominator})"
    return [*lines, f"        return {back};", "    }"]
