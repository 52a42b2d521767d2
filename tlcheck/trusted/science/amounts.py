"""Numbers that a quantity has over its domain: its supremum, or integrals; from every cell of a cover, in any process."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import isfinite, prod
from typing import Final

from tlcheck.trusted.arith.arb import Arb, arb, ball, lower_float, upper_float
from tlcheck.trusted.calculus.ranges import Box
from tlcheck.trusted.conditions import Check, ConditionClaim, Item, Share, undecided
from tlcheck.trusted.science.cells import cells
from tlcheck.trusted.science.quantities import Matrices, Quantity
from tlcheck.trusted.taylor.engine import OutsideDomain
from tlcheck.trusted.taylor.space import Space

PART_CELLS: Final = 8
"""Cells checked as one part, a second or so of work."""


@dataclass(frozen=True, eq=False)
class Amount:
    """A number that a quantity has over its domain. ``norm``: "sup", the supremum of r; "L2" or "L1", the integral of r or
    of its root over the coordinates that are not fixed. ``order``, ``tree``: the evidence. Raises ValueError when built from
    what does not fit."""

    name: str
    quantity: Quantity
    norm: str
    order: int
    tree: str

    def __post_init__(self) -> None:
        if self.norm not in ("sup", "L1", "L2"):
            raise ValueError("the norm is sup, L1 or L2")
        Space(len(self.quantity.free), self.order)
        if self.order < 1:
            raise ValueError("the order is at least 1")
        _ = self.cells

    @cached_property
    def cells(self) -> list[Box]:
        return cells(self.quantity.domain, self.tree)

    def shares(self, first: int, last: int, tick: Callable[[], None]) -> Iterator[Check | Share]:
        """Of the cells from ``first`` up to ``last``: the range of r, or the integral."""
        matrices: Matrices = {}
        for k, cell in enumerate(self.cells[first:last], first):
            tick()
            try:
                value = self._over(cell, matrices)
            except OutsideDomain as problem:
                yield undecided(f"{self.name} on the cell", f"{self.quantity.where(cell)}: {problem}")
            else:
                yield Share(self.name, k, lower_float(value), upper_float(value))

    def _over(self, cell: Box, matrices: Matrices) -> Arb:
        if self.norm == "sup":
            return self.quantity.over(cell, self.order, matrices)
        volume = prod((b - a for a, b in cell if a < b), start=Fraction(1))
        return ball(volume) * self.quantity.mean_over(cell, self.order, matrices, self.norm)

    def total(self, shares: Sequence[Share]) -> Arb | None:
        """A ball that holds the amount; None unless every cell has exactly one share, of finite ends."""
        mine = [s for s in shares if s.name == self.name]
        if sorted(s.index for s in mine) != list(range(len(self.cells))):
            return None
        if not all(isfinite(s.low) and isfinite(s.high) for s in mine):
            return None
        if self.norm == "sup":  # r >= 0, and the supremum is at most the largest upper end
            return arb(0).union(arb(max(s.high for s in mine)))
        return sum((arb(s.low).union(arb(s.high)) for s in mine), arb(0))


def in_parts(claim: Splittable, count: int) -> list[ConditionClaim]:
    """PART_CELLS of ``count`` cells in each part."""
    return [_Part(claim, k, min(k + PART_CELLS, count)) for k in range(0, count, PART_CELLS)]


class Splittable(ConditionClaim):
    @abstractmethod
    def some(self, first: int, last: int, tick: Callable[[], None]) -> Iterator[Item]:
        """What ``checks`` gives, of the cells from ``first`` up to ``last``."""


@dataclass(frozen=True, eq=False)
class _Part(ConditionClaim):
    """Some cells of a claim."""

    whole: Splittable
    first: int
    last: int
    kind = "PINN domain"

    @property
    def statement(self) -> str:
        return f"cells {self.first} to {self.last - 1} of: {self.whole.statement}"

    def checks(self, precision: int, tick: Callable[[], None]) -> Iterator[Item]:
        yield from self.whole.some(self.first, self.last, tick)
