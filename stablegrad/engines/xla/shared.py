"""Products of many numbers that share factors: what several of them have is multiplied once.

The second derivative of a long chain is a sum of products, each of the slopes of all links.
XLA shares only what is multiplied in the same order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from heapq import heapify, heappop, heappush
from itertools import combinations

from stablegrad.ir import Term

Pair = tuple[int, int]


class SharedProducts:
    """Products of whole positive powers as products of factors and of pairs that several share.

    Factors are numbered first, then pairs: a pair is two numbers below its own. Of all pairs the
    most frequent one is taken out, as long as two products have one.

    Args:
        products: by term, the factors and how many times each is there.
    """

    def __init__(self, products: Mapping[Term, Mapping[Term, int]]) -> None:
        self.factors = list(dict.fromkeys(f for found in products.values() for f in found))
        self.pairs: list[Pair] = []
        """The pairs, from number ``len(factors)`` on."""
        numbers = {f: n for n, f in enumerate(self.factors)}
        self._shapes = [f.shape for f in self.factors]
        self._rows = [
            Counter({numbers[f]: p for f, p in found.items()}) for found in products.values()
        ]
        self._counts: Counter[Pair] = Counter()
        self._users: dict[Pair, dict[int, None]] = {}
        for k in range(len(self._rows)):
            self._count(k, self._pairs_of(k))
        self._share()
        self.parts: dict[Term, list[int]] = {
            term: sorted(row.elements()) for term, row in zip(products, self._rows, strict=True)
        }
        """By product, the numbers of what it is the product of."""

    def _pairs_of(self, k: int) -> list[Pair]:
        row = self._rows[k]
        twice = [(a, a) for a, p in row.items() if p > 1]
        return twice + [
            (a, b) for a, b in combinations(sorted(row), 2) if self._shapes[a] == self._shapes[b]
        ]

    def _count(self, k: int, pairs: Sequence[Pair]) -> None:
        for pair in pairs:
            self._counts[pair] += 1
            self._users.setdefault(pair, {})[k] = None

    def _share(self) -> None:
        heap = [(-n, pair) for pair, n in self._counts.items() if n > 1]
        heapify(heap)
        while heap:
            n, pair = heappop(heap)
            if self._counts[pair] != -n:
                continue  # it has another entry
            number = len(self._shapes)
            self.pairs.append(pair)
            self._shapes.append(self._shapes[pair[0]])
            changed: dict[Pair, None] = {}
            for k in list(self._users[pair]):
                before = self._pairs_of(k)
                row = self._rows[k]
                for a in pair:
                    row[a] -= 1
                    if not row[a]:
                        del row[a]
                row[number] += 1
                after = self._pairs_of(k)
                kept = set(after)
                gone = [p for p in before if p not in kept]
                for p in gone:
                    self._counts[p] -= 1
                    del self._users[p][k]
                known = set(before)
                new = [p for p in after if p not in known]
                self._count(k, new)
                changed.update(dict.fromkeys([*gone, *new, pair]))
            for p in changed:
                if self._counts[p] > 1:
                    heappush(heap, (-self._counts[p], p))

    def needed(self, term: Term) -> list[int]:
        """The numbers of the pairs that a product takes, each after those that it takes itself."""
        found: set[int] = set()
        pending = list(self.parts[term])
        while pending:
            n = pending.pop()
            if n >= len(self.factors) and n not in found:
                found.add(n)
                pending.extend(self.pairs[n - len(self.factors)])
        return sorted(found)
