"""Numbers that a quantity has over its domain: its supremum, or integrals; from every cell of a cover, in any process."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from math import isfinite, prod
from typing import Any, Final, cast

from tlcheck.trusted.arith.arb import Arb, arb, ball, lower_float, upper_float
from tlcheck.trusted.calculus.ranges import Box
from tlcheck.trusted.conditions import Check, ConditionClaim, Item, Share, undecided
from tlcheck.trusted.science.cells import cells
from tlcheck.trusted.science.quantities import Matrices, Quantity
from tlcheck.trusted.taylor.engine import OutsideDomain
from tlcheck.trusted.taylor.space import Space

PART_CELLS: Final = 8
"""Cells checked as one part, a second or so of work."""
BATCH: Final = 64
"""The same where float64 is tried first, on all of them at a time."""


@dataclass(frozen=True, eq=False)
class Amount:
    """A number that a quantity has over its domain. ``norm``: "sup", the supremum of r; "L2" or "L1", the integral of r or
    of its root over the coordinates that are not fixed. ``order``, ``tree``: the evidence. ``quick``: float64 is tried first.
    Raises ValueError when built from what does not fit."""

    name: str
    quantity: Quantity
    norm: str
    order: int
    tree: str
    quick: bool = False

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
        for k, cell, value in self.values(first, last, tick, lambda value: bool(value.is_finite())):
            if isinstance(value, OutsideDomain):
                yield undecided(f"{self.name} on the cell", f"{self.quantity.where(cell)}: {value}")
            else:
                yield Share(self.name, k, lower_float(value), upper_float(value))

    def values(
        self, first: int, last: int, tick: Callable[[], None], enough: Callable[[Arb], bool]
    ) -> Iterator[tuple[int, Box, Arb | OutsideDomain]]:
        """For each of these cells a ball that holds the range of r, or the integral: float64's where that is ``enough``, else
        Arb's; or why there is none."""
        matrices: Matrices = {}
        for start in range(first, last, BATCH):
            batch = self.cells[start : min(start + BATCH, last)]
            for k, (cell, value) in enumerate(zip(batch, self._quickly(batch), strict=True), start):
                tick()
                yield k, cell, value if value is not None and enough(value) else self._over(cell, matrices)

    def _quickly(self, batch: Sequence[Box]) -> Sequence[Arb | None]:
        if not (self.quick and self.quantity.free):
            return [None] * len(batch)
        from tlcheck.trusted.science.quantities64 import found  # --arith arb does without

        values = found(self.quantity, batch, self.order, self.norm)
        return values.ranges if self.norm == "sup" else values.integrals

    def _over(self, cell: Box, matrices: Matrices) -> Arb | OutsideDomain:
        volume = prod((b - a for a, b in cell if a < b), start=Fraction(1))
        try:
            if self.norm == "sup":
                return self.quantity.over(cell, self.order, matrices)
            return ball(volume) * self.quantity.mean_over(cell, self.order, matrices, self.norm)
        except OutsideDomain as problem:
            return problem

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
    """PART_CELLS, or a BATCH, of ``count`` cells in each part."""
    size = BATCH if claim.quick else PART_CELLS
    return [_Part(claim, k, min(k + size, count)) for k in range(0, count, size)]


class Splittable(ConditionClaim):
    """``quick``: float64 is tried on its cells before Arb."""

    quick: bool

    @property
    def assumptions(self) -> tuple[str, ...]:
        doubles = ("IEEE-754 double precision", "BLAS sums every product as a tree (probed)")
        return (*super().assumptions, *(doubles if self.quick else ()))

    @property
    def asks_for(self) -> tuple[str, ...]:
        """Float64, where it is tried."""
        return ("tlcheck.trusted.science.quantities64",) if self.quick else ()

    def in_float64(self) -> ConditionClaim:
        """The same claim, of which float64 decides what it can."""
        return cast("ConditionClaim", replace(cast("Any", self), quick=True))

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
