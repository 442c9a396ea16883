"""Links: which derivatives of operations belong to one program.

Where the cotangent of an argument flows to the operation that made the argument, and to it
alone, or its tangent comes from there, both belong to one program, whatever else stands between
the equations.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from stablegrad.jax.equations import Equation, Literal, terms_of
from stablegrad.jax.levels import Flags, Levels
from stablegrad.jax.regions import numbered, plain
from stablegrad.jax.residuals import Known
from stablegrad.jax.sameness import Values
from stablegrad.settings import Settings

Port = tuple[int, int]
"""An equation and one of its arguments or results, by position."""


def _is_sum(e: Equation) -> bool:
    """Whether an equation adds two cotangents of one value."""
    if e.applied is None or e.mark is not None or e.batch:
        return e.name == "add_any"
    (root, *more) = e.applied.roots
    return not more and root.op.name == "add" and root.args == e.applied.inputs


def left_apart(links: Links) -> list[tuple[str, str]]:
    """The operations whose derivatives stay apart from what they are derivatives of, with places.

    Those that hand a tangent or cotangent to another operation's derivative without a link, and
    the operations that JAX itself put into a derivative.
    """
    found = []
    for n, e in enumerate(links.equations):
        if e.mark is None:
            stack = str(getattr(getattr(e.source, "source_info", None), "name_stack", ""))
            if e.name in ("mul", "div", "select_n") and "jvp(" in stack:
                found.append((e.name, e.place))
            continue
        for atom in e.inputs[len(e.mark.made) :]:
            for part in links.summands(atom) if e.mark.reverse else [atom]:
                m = links.maker.get(part) if isinstance(part, int) else None
                if m is not None and m != n and links.equations[m].mark is not None:
                    name = e.mark.source[0].name if e.mark.source else "a derivative"
                    found.append((name, e.place))
    return list(dict.fromkeys(found))


class Links:
    """The links between the derivatives among some equations.

    Args:
        equations: in order.
        outputs: the atoms that must keep their values.
        avals: of all numbers; ``new`` appends to them.
        settings: in force.
        known: what else is known of the values.
        depth: as for ``put_together``.
    """

    def __init__(
        self,
        equations: list[Equation],
        outputs: Iterable[Any],
        avals: list[Any],
        settings: Settings,
        known: Known | None = None,
        *,
        depth: int = 0,
    ) -> None:
        self.equations = equations
        self.avals = avals
        self.settings = settings
        self.depth = depth
        self.results = {a for a in outputs if isinstance(a, int)}
        self.maker: dict[int, int] = {}
        self.users: dict[int, list[Port]] = {}
        for n, e in enumerate(equations):
            self.maker.update(dict.fromkeys(e.outputs, n))
            for i, a in enumerate(e.inputs):
                if isinstance(a, int):
                    self.users.setdefault(a, []).append((n, i))
        self.same = Values(equations, known or Known())
        levels = Levels(equations, settings, self.summands)
        self.equations, self.at = levels.equations, levels.places
        """For each equation, which of its own vmaps each of those around any derivative is."""
        self.nodes = [n for n, e in enumerate(equations) if e.mark is not None]
        self.links: dict[Port, Port] = {}
        """From an argument of an application to the result that it is, by equation."""
        self.split: set[int] = set()
        """Cotangents of which a part comes along a link."""
        self.stage = self._stages()

    # -- what is what -------------------------------------------------------------------------

    def _roots(self, e: Equation) -> Any:
        if e.applied is not None:
            return None if e.batch else e.applied.roots
        avals = [self.aval(a) for a in e.inputs]
        if e.ours or not all(plain(v) for v in avals):
            return None
        found = terms_of(e, [numbered(i, v.shape, v.dtype) for i, v in enumerate(avals)])
        return None if found is None else tuple(found)

    def aval(self, atom: Any) -> Any:
        """The type of an atom."""
        return atom.aval if isinstance(atom, Literal) else self.avals[atom]

    def primals(self, n: int) -> list[Any]:
        """The arguments of the application whose derivative an equation is."""
        mark = self.equations[n].mark
        assert mark is not None
        return self.equations[n].inputs[: len(mark.made)]

    def flags(self, n: int, i: int) -> Flags:
        """Which of the vmaps around derivatives an input of an equation has the axis of."""
        batch = self.equations[n].batch
        return tuple([k is not None and batch[k][i] for k in self.at[n]])

    def around(self, n: int) -> Flags:
        """The vmaps around an equation."""
        return tuple([k is not None for k in self.at[n]])

    def _is_result(self, n: int, i: int, m: int, j: int) -> bool:
        """Whether argument i of application n is proved to be result j of application m."""
        of, by = self.equations[n].mark, self.equations[m].mark
        assert of is not None
        assert by is not None
        count = len(by.made)
        batch = [flags[:count] for flags in self.equations[m].batch]
        if self.flags(n, i) != tuple([k is not None and any(batch[k]) for k in self.at[m]]):
            return False
        if not self.depth and of.made[i] == (by.number, j):
            return True
        args = self.primals(m)
        mapped = tuple([flags for flags in batch if any(flags)])
        made = self.same.results(by, mapped, args, [self.aval(a) for a in args])
        return made is not None and made[j] == self.same.name(self.primals(n)[i])

    # -- links --------------------------------------------------------------------------------

    def summands(self, atom: Any) -> list[Any]:
        """The addends of a cotangent that nothing else uses."""
        found, pending = [], [atom]
        while pending:
            a = pending.pop()
            n = self.maker.get(a) if isinstance(a, int) else None
            alone = isinstance(a, int) and a not in self.results and len(self.users[a]) == 1
            if n is not None and alone and _is_sum(self.equations[n]):
                pending.extend(reversed(self.equations[n].inputs))
            else:
                found.append(a)
        return found

    def _stages(self) -> list[int]:
        """A number for each equation that grows wherever a chain is left and entered again.

        Links join equations of one number only, so that nothing between them depends on one
        and is needed by another.
        """
        stages: list[int] = []
        at: dict[int, int] = {}
        for n, e in enumerate(self.equations):
            mark = e.mark
            if mark is None:
                stage = max((at.get(a, 0) for a in e.inputs if isinstance(a, int)), default=0)
            else:
                candidates = self._candidates(n)
                linked = {a for a, _, _ in candidates}
                inputs = e.inputs[len(mark.made) :]
                parts = [s for a in inputs for s in (self.summands(a) if mark.reverse else [a])]
                stage = max(
                    (at.get(a, 0) + (a not in linked) if isinstance(a, int) else 1 for a in parts),
                    default=1,
                )
                for atom, source, target in candidates:
                    if at[atom] == stage:
                        self.links[source] = target
                        self.split.update(self._sums_of(atom))
            stages.append(stage)
            at.update(dict.fromkeys(e.outputs, stage))
        return stages

    def _candidates(self, n: int) -> list[tuple[int, Port, Port]]:
        """The tangents or cotangents that come straight from a neighbour in the program.

        Each with the argument of an application and the result that it is.
        """
        e = self.equations[n]
        mark = e.mark
        assert mark is not None
        count, found = len(mark.made), []
        for q, atom in enumerate(e.inputs[count:]):
            for part in self.summands(atom) if mark.reverse else [atom]:
                m = self.maker.get(part) if isinstance(part, int) else None
                other = self.equations[m].mark if m is not None else None
                if m is None or other is None or other.reverse != mark.reverse:
                    continue
                if self.flags(n, count + q) != self.around(m):
                    continue
                p = self.equations[m].outputs.index(part)
                if mark.reverse:
                    alone = len(self.users[part]) == 1 and part not in self.results
                    if alone and self._is_result(m, other.moved[p], n, mark.places[q]):
                        found.append((part, (m, other.moved[p]), (n, mark.places[q])))
                elif self._is_result(n, mark.moved[q], m, other.places[p]):
                    found.append((part, (n, mark.moved[q]), (m, other.places[p])))
        return found

    def _sums_of(self, atom: int) -> list[int]:
        """The sums that a cotangent goes into, up to one with another use, itself first."""
        found = [atom]
        while atom not in self.results and len(self.users.get(atom, ())) == 1:
            n, _ = self.users[atom][0]
            if not _is_sum(self.equations[n]):
                break
            (atom,) = self.equations[n].outputs
            found.append(atom)
        return found

    def exit_of(self, cotangent: int) -> int:
        """The whole sum that a cotangent is part of, as something outside of chains takes it."""
        top = self._sums_of(cotangent)[-1]
        return cotangent if top in self.split else top

    def comes_along(self, cotangent: Any, result: Port) -> bool:
        """Whether a cotangent comes to a result along a link."""
        n = self.maker.get(cotangent) if isinstance(cotangent, int) else None
        mark = self.equations[n].mark if n is not None else None
        if n is None or mark is None:
            return False
        p = self.equations[n].outputs.index(cotangent)
        return p < len(mark.moved) and self.links.get((n, mark.moved[p])) == result

    def takes(self, user: Port, result: Port) -> bool:
        """Whether a user takes the tangent of a result along a link."""
        n, position = user
        mark = self.equations[n].mark
        if mark is None or position < len(mark.made):
            return False
        return self.links.get((n, mark.moved[position - len(mark.made)])) == result

    def readable(self, e: Equation) -> bool:
        """Whether an equation can be read as terms."""
        return bool(e.ours) or self._roots(e) is not None

    def chains(self) -> list[list[int]]:
        """Equations that links join."""
        parent = {n: n for n in self.nodes}

        def root(n: int) -> int:
            while parent[n] != n:
                parent[n] = parent[parent[n]]
                n = parent[n]
            return n

        for (n, _), (m, _) in self.links.items():
            parent[root(n)] = root(m)
        groups: dict[int, list[int]] = {}
        for n in self.nodes:
            groups.setdefault(root(n), []).append(n)
        return [g for g in groups.values() if len(g) > 1]

    # -- sums and numbers ----------------------------------------------------------------------

    def parts_of(self, top: int) -> list[Any]:
        """The addends of an exit."""
        n = self.maker[top]
        if not _is_sum(self.equations[n]):
            return [top]
        return [s for a in self.equations[n].inputs for s in self.summands(a)]

    def added(self, parts: Sequence[Any], out: int) -> list[Equation]:
        """Equations that add atoms up, into a given number."""
        made, total = [], parts[0]
        for k, part in enumerate(parts[1:], 2):
            target = out if k == len(parts) else self.new(self.aval(part))
            made.append(Equation("add_any", [total, part], [target], None, ours="add"))
            total = target
        return made

    def new(self, aval: Any) -> int:
        """Another number."""
        self.avals.append(aval)
        return len(self.avals) - 1
