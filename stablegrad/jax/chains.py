"""Chains: derivatives that JAX took op by op, put together to those of whole programs.

A step that calls ``jax.grad`` reaches the reader with one equation for the derivative of each
operation, marked with what it is the derivative of. Where the cotangent of an argument flows to
the operation that made the argument, both belong to one program, whatever else stands between
them. Such a chain becomes one region: the program is put together again, stabilized, and then
differentiated. A link is made only where marks or equations prove that the argument is that
result; everything else stays op by op, which is right but sees less.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from stablegrad.ir import OPS, Term, make, topological
from stablegrad.jax.constants import mean_gelu, mean_root_2
from stablegrad.jax.equations import Equation, Literal, alive, literal_term, ordered, terms_of
from stablegrad.jax.levels import Flags, within
from stablegrad.jax.links import Links, Port
from stablegrad.jax.marks import Mark
from stablegrad.jax.regions import Region, numbered, region_of
from stablegrad.jax.residuals import Known
from stablegrad.ops.record import const, is_float
from stablegrad.settings import Settings

_SLICE_AT_MOST = 64
"""Equations read again for an argument that is not differentiated."""


def put_together(
    equations: list[Equation],
    outputs: Iterable[Any],
    avals: list[Any],
    settings: Settings,
    known: Known | None = None,
    *,
    depth: int = 0,
) -> list[Equation]:
    """The equations, chains of derivatives put together.

    Args:
        equations: in order.
        outputs: the atoms that must keep their values.
        avals: of all numbers; new numbers are appended.
        settings: in force.
        known: what else is known of the values.
        depth: how many derivatives the equations are part of that are put together already. Marks
            prove what made an argument at depth 0 alone: where the equations are to be
            differentiated again, an argument may be a variable of its own.

    Returns:
        The equations in an order that can run.
    """
    if not any(e.mark is not None for e in equations):
        return equations
    links = Links(equations, outputs, avals, settings, known, depth=depth)
    exits: dict[int, list[Any]] = {}
    gone: set[int] = set()
    made: list[Equation] = []
    for members in links.chains():
        made += _Chain(links, members).equations(exits)
        gone.update(members)
    renamed: dict[int, int] = {}
    for top, parts in exits.items():
        if len(parts) == 1:
            renamed[parts[0]] = top
        else:
            made += links.added(parts, top)
    for e in made:
        e.outputs = [renamed.get(o, o) for o in e.outputs]
        e.inputs = [renamed.get(a, a) if isinstance(a, int) else a for a in e.inputs]
    written = {o for e in made for o in e.outputs}
    kept = [e for n, e in enumerate(equations) if n not in gone]
    kept = [e for e in kept if not written.issuperset(e.outputs)]
    found = ordered([*kept, *made])
    return equations if found is None else alive(found, links.results)


class _Chain:
    """Members of a chain as one program, and its derivative."""

    def __init__(self, links: Links, members: list[int]) -> None:
        self.links = links
        first = links.equations[members[0]].mark
        assert first is not None
        self.reverse = first.reverse
        self.members = sorted(members, reverse=self.reverse)  # what makes comes before what takes
        self.leaves: dict[Any, int] = {}
        self.values: dict[Port, int] = {}
        self.images: dict[tuple[int, Flags], int] = {}
        """Values of the program outside that are values of the program here."""
        self.tangents: dict[int, tuple[Any, Flags]] = {}
        """In forward mode, the tangents of the leaves."""
        self.given: dict[int, tuple[Any, Flags]] = {}
        """What the inputs are outside, and where they have axes of a vmap."""
        self.program: list[Equation] = []
        self._name_values()
        self._apply()

    def _name_values(self) -> None:
        links = self.links
        twice: set[tuple[int, Flags]] = set()
        for n in self.members:
            mark = links.equations[n].mark
            assert mark is not None
            for j, root in enumerate(mark.region.roots):
                self.values[n, j] = links.new(root)
            for i, atom in enumerate(links.primals(n)):
                linked = links.links.get((n, i))
                if linked is not None:
                    image = self.values[linked]
                else:
                    key = self._leaf_key(n, i)
                    if key is None:
                        continue
                    image = self.leaves.get(key, -1)
                    if image < 0:
                        image = self.leaves[key] = links.new(mark.region.inputs[i])
                        self.given[image] = atom, links.flags(n, i)
                        if not self.reverse:
                            self.tangents[image] = self._tangent_of(n, i)
                if isinstance(atom, int):
                    value = links.same.of(atom), links.flags(n, i)
                    if self.images.setdefault(value, image) != image:
                        twice.add(value)
        for value in twice:  # one value with several derivatives: none of them stands for it
            del self.images[value]

    def _leaf_key(self, n: int, i: int) -> Any:
        """What tells arguments that are differentiated apart; None for one that is not."""
        e = self.links.equations[n]
        assert e.mark is not None
        if i not in e.mark.moved:
            return None
        (name,) = self.links.same.names([self.links.primals(n)[i]])
        if not self.reverse:
            tangent, _ = self._tangent_of(n, i)
            return self.links.same.names([tangent]), name, self.links.flags(n, i)
        cotangent = e.outputs[e.mark.moved.index(i)]
        if cotangent not in self.links.users and cotangent not in self.links.results:
            return None
        return self.links.exit_of(cotangent), name, self.links.flags(n, i), self.links.around(n)

    def _tangent_of(self, n: int, i: int) -> tuple[Any, Flags]:
        """The tangent of an argument, and where it has axes of a vmap."""
        e = self.links.equations[n]
        assert e.mark is not None
        position = len(e.mark.made) + e.mark.moved.index(i)
        return e.inputs[position], self.links.flags(n, position)

    def _apply(self) -> None:
        links = self.links
        blocked: dict[Any, Any] = {}
        for n in self.members:
            e = links.equations[n]
            assert e.mark is not None
            args = []
            for i, atom in enumerate(links.primals(n)):
                linked = links.links.get((n, i))
                key = None if linked else self._leaf_key(n, i)
                if linked is not None:
                    args.append(self.values[linked])
                elif key is not None:
                    args.append(self.leaves[key])
                elif isinstance(atom, Literal):
                    args.append(atom)
                elif self._is_constant(e.mark, i) and (
                    (image := self.images.get((links.same.of(atom), links.flags(n, i)))) is not None
                ):
                    args.append(image)  # its derivative is zero
                else:
                    where = atom, links.flags(n, i)
                    if where not in blocked:
                        blocked[where] = self._blocked(*where, e.mark.region.inputs[i])
                    args.append(blocked[where])
            outputs = [self.values[n, j] for j in range(len(e.mark.region.roots))]
            region, of = e.mark.region, e.mark.of
            self.program.append(Equation(e.name, args, outputs, None, applied=region, mark=of))

    @staticmethod
    def _is_constant(mark: Mark, i: int) -> bool:
        """Whether an application does not depend on an argument to first order, though it could."""
        return i in mark.active and i not in mark.moved

    def _blocked(self, atom: int, flags: Flags, aval: Any) -> int:
        """An argument that is not differentiated, seen through where it comes from values here."""
        seen = None if any(flags) else self._seen_through(atom, flags)
        if seen is not None:
            return seen
        number = self.links.new(aval)
        self.given[number] = atom, flags
        return number

    def _seen_through(self, atom: int, plain: Flags) -> int | None:
        """The value of equations that give an atom from values here, its derivative stopped."""
        links = self.links
        found: dict[int, Equation] = {}
        names = {a: image for (a, flags), image in self.images.items() if flags == plain}
        whole = frozenset(names)
        pending, reached = [atom], False
        while pending:
            a = pending.pop()
            value = links.same.of(a)
            n = links.maker.get(value, links.maker.get(a))
            e = links.equations[n] if n is not None else None
            if value in whole:
                reached = True
            elif e is not None and id(e) not in found and links.readable(e):
                found[id(e)] = e
                pending += [b for b in e.inputs if isinstance(b, int)]
            if len(found) > _SLICE_AT_MOST:
                return None
        if not reached:
            return None
        for e in found.values():
            made = [o for o in e.outputs if links.same.of(o) not in names]
            names.update({links.same.of(o): links.new(links.avals[o]) for o in made})
        for e in found.values():
            for a in e.inputs:
                if isinstance(a, int) and links.same.of(a) not in names:
                    names[links.same.of(a)] = image = links.new(links.avals[a])
                    self.given[image] = a, plain
            inputs = [names[links.same.of(a)] if isinstance(a, int) else a for a in e.inputs]
            # a value here that is made there too keeps its meaning here
            outputs = [
                links.new(links.avals[o]) if (v := links.same.of(o)) in whole else names[v]
                for o in e.outputs
            ]
            self.program.append(replace(e, inputs=inputs, outputs=outputs, mark=None))
        value = names[links.same.of(atom)]
        if not is_float(links.avals[atom].dtype):
            return value
        for _ in range(_held(links.depth)):
            held = links.new(links.avals[atom])
            self.program.append(Equation("held", [value], [held], None, ours="stop_gradient"))
            value = held
        return value

    # -- the derivative -----------------------------------------------------------------------

    def equations(self, exits: dict[int, list[Any]]) -> list[Equation]:
        """The derivative of the chain; sums of cotangents go to ``exits``."""
        return self._pullback(exits) if self.reverse else self._tangent()

    def _region(self, outputs: Sequence[int], around: Flags) -> tuple[Region, list[int], list[int]]:
        """The program as a region within some vmaps.

        Returns:
            The region; what is differentiated; the numbers of its inputs, these first.
        """
        links = self.links
        program = ordered(self.program)
        assert program is not None
        equations = put_together(
            program, outputs, links.avals, links.settings, depth=links.depth + 1
        )
        inner = [a for a, (_, flags) in self.given.items() if within(flags, around)]
        leaves = [a for a in self.leaves.values() if a in inner]
        if not self.reverse:
            leaves = [a for a in leaves if within(self.tangents[a][1], around)]
        numbers = [*leaves, *[a for a in inner if a not in leaves]]
        terms: dict[int, Term] = {}
        for position, a in enumerate(numbers):
            aval = links.avals[a]
            terms[a] = numbered(position, aval.shape, aval.dtype)
        inputs = list(terms.values())
        for e in alive(equations, outputs):
            args = [literal_term(a) if isinstance(a, Literal) else terms[a] for a in e.inputs]
            found = terms_of(e, args)  # type: ignore[arg-type]
            assert found is not None
            terms.update(zip(e.outputs, found, strict=True))
        roots = mean_gelu(mean_root_2([terms[o] for o in outputs]))
        return region_of(roots, inputs, links.settings), leaves, numbers

    def _equation(
        self,
        region: Region,
        numbers: Sequence[int],
        more: Sequence[tuple[Any, Flags]],
        outputs: list[int],
        around: Flags,
    ) -> Equation:
        """A region of the inputs and more as an equation; results that it lacks are zero."""
        links, first = self.links, self.links.equations[self.members[0]]
        missing = outputs[len(region.roots) :]
        if missing:
            sizes = sum(around)
            kinds = [(links.avals[o].dtype, links.avals[o].shape[sizes:]) for o in missing]
            zeros = [const(0, *kind) for kind in kinds]
            region = region_of([*region.roots, *zeros], region.inputs, links.settings)
        region = region_of(_released(region.roots, links.depth), region.inputs, links.settings)
        given = [*[self.given[a] for a in numbers], *more]
        inputs = [a for a, _ in given]
        batch = tuple(
            [tuple([flags[k] for _, flags in given]) for k, has in enumerate(around) if has]
        )
        return Equation(
            "stablegrad", inputs, outputs, None, place=first.place, applied=region, batch=batch
        )

    def _tangent(self) -> list[Equation]:
        links = self.links
        wanted: dict[Flags, dict[int, int]] = {}
        for n in self.members:
            e = links.equations[n]
            assert e.mark is not None
            for place, out in zip(e.mark.places, e.outputs, strict=True):
                users = links.users.get(out, ())
                inner = users and all(links.takes(user, (n, place)) for user in users)
                if out in links.results or not inner:
                    wanted.setdefault(links.around(n), {})[out] = self.values[n, place]
        made = []
        for around, values in wanted.items():
            region, leaves, numbers = self._region(list(values.values()), around)
            tangent, places = region.tangent(tuple(range(len(leaves))))
            outs = list(values)
            found = [outs[k] for k in places]
            found += [o for o in outs if o not in found]
            moves = [self.tangents[a] for a in leaves]
            made.append(self._equation(tangent, numbers, moves, found, around))
        return made

    def _pullback(self, exits: dict[int, list[Any]]) -> list[Equation]:
        links = self.links
        made: list[Equation] = []
        seeds: dict[int, tuple[Any, Flags]] = {}
        for n in self.members:
            e = links.equations[n]
            assert e.mark is not None
            count = len(e.mark.made)
            for q, (place, atom) in enumerate(zip(e.mark.places, e.inputs[count:], strict=True)):
                parts = [atom]
                if atom in links.split:
                    parts = links.summands(atom)
                    parts = [a for a in parts if not links.comes_along(a, (n, place))]
                if len(parts) > 1:
                    total = links.new(links.aval(atom))
                    made += links.added(parts, total)
                    parts = [total]
                if parts:
                    seeds[self.values[n, place]] = parts[0], links.flags(n, count + q)
        cotangents = {leaf: links.new(links.aval(top)) for (top, *_), leaf in self.leaves.items()}
        for around in dict.fromkeys(around for *_, around in self.leaves):
            inner = {y: seed for y, seed in seeds.items() if within(seed[1], around)}
            region, leaves, numbers = self._region(list(inner), around)
            mine = [a for key, a in self.leaves.items() if key[-1] == around]
            moved = tuple([leaves.index(a) for a in mine])
            tangent, places = region.tangent(moved)
            count, given = len(numbers), list(inner.values())
            pullback, found = tangent.pullback(
                tuple(range(count, count + len(mine))), tuple(range(len(places)))
            )
            outputs = [mine[j] for j in found]
            outputs += [a for a in mine if a not in outputs]
            results = [cotangents[a] for a in outputs]
            more = [given[k] for k in places]
            made.append(self._equation(pullback, numbers, more, results, around))
        self._leave(cotangents, exits)
        return made

    def _leave(self, cotangents: dict[int, int], exits: dict[int, list[Any]]) -> None:
        """The cotangents of what is differentiated take the places of the members' own."""
        own = {o for n in self.members for o in self.links.equations[n].outputs}
        for (top, *_), leaf in self.leaves.items():
            if top not in exits:
                exits[top] = self.links.parts_of(top)
            # one that goes elsewhere too is another exit, and an addend here like any other
            mine = {o for o in own if self.links.exit_of(o) == top}
            exits[top] = [a for a in exits[top] if not (isinstance(a, int) and a in mine)]
            exits[top].append(cotangents[leaf])


def _held(depth: int) -> int:
    """How many times ``stop_gradient`` stands for "a constant of this derivative".

    The program's own stands once; the sum for several depths tells which they are.
    """
    return 2 << depth


def _released(roots: Sequence[Term], depth: int) -> list[Term]:
    """The roots of a derivative with what was constant for it alone a variable again."""
    stop, held = OPS["stop_gradient"], _held(depth)
    runs: dict[Term, list[Term]] = {}  # what a run of stops stands over, and each of them
    images: dict[Term, Term] = {}
    for term in topological(roots):
        args = tuple([images[a] for a in term.args])
        if term.op is stop:
            run = [*runs.get(term.args[0], [images[term.args[0]]])]
            run.append(stop(run[-1]))
            runs[term] = run
            length = len(run) - 1
            images[term] = run[length - held] if length & held else run[-1]
        elif args == term.args:
            images[term] = term
        else:
            images[term] = make(term.op, args, term.params, term.shape, term.dtype)
    return [images[r] for r in roots]
