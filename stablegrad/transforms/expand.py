"""From a program as the user wrote it to a stable one without derivative nodes.

The order is the point: a program is stabilized first, differentiated then, and what the
derivative added is stabilized once more.
"""

from __future__ import annotations

from collections.abc import Sequence

from stablegrad.collecting import seldom_collected
from stablegrad.ir import Term, make, rebuild, topological
from stablegrad.ops.derivative import CUSTOM, GRADIENT, PUSHFORWARD, STOP_GRADIENT
from stablegrad.ops.record import INPUT, const
from stablegrad.rewrite import Fired, Rewriter
from stablegrad.rules import DATABASES
from stablegrad.settings import Settings
from stablegrad.transforms.conventions import first_of_ties, undefined_rows
from stablegrad.transforms.differentiate import jvp, vjp
from stablegrad.transforms.poles import constants_settled, poles_signed

_FRESH = 1 << 40  # numbers of inputs that stand for intermediate values


class Expander:
    """Stabilizes programs and expands their derivative nodes."""

    def __init__(self, settings: Settings, places: dict[Term, str] | None = None) -> None:
        self.settings = settings
        databases = DATABASES if settings.stabilizes else ()
        self.rewriter = Rewriter(databases, settings, places=places or {})

    @property
    def fired(self) -> list[Fired]:
        return self.rewriter.fired

    def __call__(self, roots: Sequence[Term]) -> list[Term]:
        """The roots, stabilized, differentiated and stripped of what only derivatives need."""
        if self.settings.stabilizes:
            roots = constants_settled(roots)
        stable = self.normal(strip(self.expand(unmarked(roots))))
        usual = self.settings.conventions.masked_rows == "zero" or self.settings.naive
        return stable if usual else undefined_rows(stable)

    def normal(self, roots: Sequence[Term]) -> list[Term]:
        """The roots in stable canonical form, or as they are where rules are off."""
        if not self.settings.stabilizes:
            return list(roots)
        with seldom_collected():
            found = self.rewriter(roots)
            signed = poles_signed(roots, self.rewriter.memo)
            return found if signed is None else self.rewriter(signed)

    def expand(self, roots: Sequence[Term]) -> list[Term]:
        """Replace gradient and pushforward nodes, inner ones first."""
        order = topological(roots)
        groups: dict[tuple[Term, Term, Term | None], list[Term]] = {}
        for term in order:
            if term.op is GRADIENT:
                groups.setdefault(_group(term), []).append(term.args[1])
        done: dict[Term, Term] = {}
        gradients: dict[tuple[Term, Term, Term | None], dict[Term, Term]] = {}
        for term in order:
            args = tuple([done[a] for a in term.args])
            if term.op is GRADIENT:
                y, x, seed = term.args
                group = _group(term)
                if group not in gradients:
                    xs = groups[group]
                    self._ready(xs, done)
                    found = self._gradients(done[y], [done[v] for v in xs], done[seed])
                    gradients[group] = dict(zip(xs, found, strict=True))
                done[term] = gradients[group][x]
            elif term.op is PUSHFORWARD:
                n = term.params[0]
                done[term] = self._pushforward(args[0], args[1 : n + 1], args[n + 1 :])
            elif args == term.args:
                done[term] = term
            else:
                done[term] = make(term.op, args, term.params, term.shape, term.dtype)
        return [done[r] for r in roots]

    def _ready(self, xs: Sequence[Term], done: dict[Term, Term]) -> None:
        """Variables of one group may come later in the order than its first node."""
        for x in xs:
            if x not in done:
                done[x] = self.expand([x])[0]

    def _gradients(self, y: Term, xs: Sequence[Term], seed: Term) -> list[Term]:
        stand_ins, back = self._stand_ins(xs)
        (y,) = self.normal(self._told(rebuild([y], stand_ins)))
        found = vjp(y, [stand_ins.get(x, x) for x in xs], seed, self.settings)
        return rebuild(found, back)

    def _pushforward(self, y: Term, xs: Sequence[Term], ts: Sequence[Term]) -> Term:
        stand_ins, back = self._stand_ins(xs)
        (y,) = self.normal(self._told(rebuild([y], stand_ins)))
        found = jvp(y, [stand_ins.get(x, x) for x in xs], ts, self.settings)
        return rebuild([found], back)[0]

    def _told(self, roots: list[Term]) -> list[Term]:
        """What is differentiated, with the order of arguments where a convention asks for it."""
        asked = self.settings.conventions.ties == "first" and not self.settings.naive
        return [first_of_ties(root) for root in roots] if asked else roots

    def _stand_ins(self, xs: Sequence[Term]) -> tuple[dict[Term, Term], dict[Term, Term]]:
        """Inputs in place of intermediate variables, so that no rule rewrites them away."""
        stand_ins = {
            x: make(INPUT, (), (_FRESH + x.depth * 1024 + i,), x.shape, x.dtype)
            for i, x in enumerate(xs)
            if x.op is not INPUT
        }
        return stand_ins, {new: old for old, new in stand_ins.items()}


def _group(term: Term) -> tuple[Term, Term, Term | None]:
    """The gradient nodes that one reverse pass serves: those of all inputs together.

    An intermediate value is alone: an input below it would lose the paths through it.
    """
    y, x, seed = term.args
    return y, seed, None if x.op is INPUT else x


def unmarked(roots: Sequence[Term]) -> list[Term]:
    """The roots with inputs in place of marks on them that stand between them and all else.

    A transform inside of another marks its variables. Where an input has one mark and no other
    user, a derivative by the mark is one by the input, and without the mark the program that
    is differentiated is the one that runs: it is stabilized once.
    """
    users: dict[Term, set[Term]] = {}
    for term in topological(roots):
        for arg in term.args:
            if arg.op is INPUT:
                users.setdefault(arg, set()).add(term)
    marks = {}
    for x in set(users).difference(roots):
        (user, *others) = users[x]
        if not others and _marks(user, x):
            marks[user] = x
    return rebuild(roots, marks) if marks else list(roots)


def _marks(term: Term, x: Term) -> bool:
    """Whether a term is x as a variable of its own: custom, with the identity as its gradient."""
    if term.op is not CUSTOM or term.params != (1, 1, 0):
        return False
    output, given, _, cotangent, gradient, *along = term.args
    same = not along or along[0] is along[1]
    return output is x and given is x and gradient is cotangent and same


def strip(roots: Sequence[Term]) -> list[Term]:
    """Remove what matters to derivatives only: stopped gradients and custom functions."""
    done: dict[Term, Term] = {}
    for term in topological(roots, stop=lambda t: False):
        if term.op is STOP_GRADIENT:
            done[term] = done[term.args[0]]
        elif term.op is CUSTOM:
            done[term] = done[term.args[term.params[2]]]
        else:
            args = tuple([done[a] for a in term.args])
            same = args == term.args
            done[term] = term if same else make(term.op, args, term.params, term.shape, term.dtype)
    return [done[r] for r in roots]


def derivative(expression: Term, variable: Term, order: int, settings: Settings) -> Term:
    """The derivative of some order of a scalar expression of one variable, as an expression.

    Args:
        expression: a term over ``variable``, without leaves or inputs.
        variable: a term of the op ``variable``.
        order: 0 gives the expression itself.
        settings: the rules in force.
    """
    x = make(INPUT, (), (0,), variable.shape, variable.dtype)
    (y,) = rebuild([expression], {variable: x})
    for _ in range(order):
        y = GRADIENT.term((y, x, const(1, y.dtype, y.shape)))
    if order:
        (y,) = Expander(settings)([y])
    return rebuild([y], {x: variable})[0]
