"""Bounds over a whole domain of what a network leaves over of a partial differential equation; by Taylor models.

The quantity of a part (residual, initial or boundary condition) is r(x) = sum_k e_k(x)^2, each e_k an expression in the
coordinates, the network's outputs and their partial derivatives, over a box with exact rational ends (a coordinate that
is held fixed has width 0). The outputs may also be taken at a second place, where coordinates that are held fixed have other
values (``other``; for periodic conditions). The claim: r <= at_most everywhere on the box and, where a lower bound is
given, r >= at_least somewhere. Or (``IntegralClaim``): the integral of r ("L2": the square of that norm), or of its root
("L1"), over the coordinates that are not fixed is at most at_most and, where one is given, at least at_least.

Guarantee. The cells of a tree of halvings cover the box: each cut replaces a cell by its two closed halves
(:func:`cells`). On each, Taylor models of the e_k give balls that hold all their values, so slack = at_most - sum of
squares holds at_most - r(x) for every x of the cell. At the witness, a point of the box, the same with cells of width 0
encloses r there: above at_most it disproves the claim, from at_least up it proves the lower bound. An integral is the
sum over the cells of volume times a ball that holds the mean; parts of it may be enclosed in several processes.

Nothing is said about the solution of the equation: only about what the network leaves over (but see solution_error.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

from tlcheck.trusted.arith.arb import Arb, ball
from tlcheck.trusted.calculus.ranges import Box
from tlcheck.trusted.calculus.written import number_text
from tlcheck.trusted.conditions import Check, ConditionClaim, Item, Measure, Share, nonnegative, undecided
from tlcheck.trusted.science.amounts import Amount, Splittable, in_parts
from tlcheck.trusted.science.quantities import Quantity
from tlcheck.trusted.taylor.engine import OutsideDomain


@dataclass(frozen=True, eq=False)
class SupremumClaim(Splittable):
    """``name``: the part's; ``tree``: see :func:`cells`. Raises ValueError when built from what does not fit."""

    name: str
    quantity: Quantity
    at_most: Fraction
    order: int
    tree: str
    witness: tuple[Fraction, ...] | None = None
    at_least: Fraction | None = None
    quick: bool = False
    kind = "PINN domain"

    def __post_init__(self) -> None:
        if self.at_least is not None and self.witness is None:
            raise ValueError("a lower bound needs a witness")
        if self.witness is not None and (
            len(self.witness) != len(self.quantity.domain)
            or any(
                not low <= x <= high
                for x, (low, high) in zip(self.witness, self.quantity.domain, strict=True)
            )
        ):
            raise ValueError("the witness is no point of the domain")
        _ = self.amount

    @property
    def asks_for(self) -> tuple[str, ...]:
        return (*super().asks_for, *self.quantity.asks_for)

    @property
    def statement(self) -> str:
        q = self.quantity
        least = (
            "" if self.at_least is None else f", and at least {number_text(self.at_least)} somewhere there"
        )
        place = " ".join(filter(None, (f"for all {q.varying}" if q.varying else "", q.fixed)))
        return (
            f"{self.name}: {q.setting}, {q.squares} is at most {number_text(self.at_most)} {place}{least}; "
            f"nothing about the solution of the equation"
        )

    @cached_property
    def amount(self) -> Amount:
        return Amount(self.name, self.quantity, "sup", self.order, self.tree, self.quick)

    @property
    def cells(self) -> list[Box]:
        return self.amount.cells

    def parts(self) -> Sequence[ConditionClaim]:
        return in_parts(self, len(self.cells))

    def checks(self, precision: int, tick: Callable[[], None]) -> Iterator[Check | Measure]:
        yield from self.some(0, len(self.cells), tick)

    def some(self, first: int, last: int, tick: Callable[[], None]) -> Iterator[Check | Measure]:
        """The conditions on the cells from ``first`` up to ``last``; the witness comes with cell 0."""
        at_most = ball(self.at_most)
        if first == 0:
            yield Measure("cells", len(self.cells))
            yield Measure("order", self.order)
            if self.witness is not None:
                yield from self._at_witness(self.witness)
        values = self.amount.values(first, last, tick, lambda value: bool(at_most - value >= 0))
        for _, cell, value in values:
            if isinstance(value, OutsideDomain):
                yield undecided("at most the bound on the cell", f"{self.quantity.where(cell)}: {value}")
            else:
                yield nonnegative("at most the bound on the cell", at_most - value, self.quantity.where(cell))

    def _at_witness(self, witness: tuple[Fraction, ...]) -> Iterator[Check]:
        point = tuple((x, x) for x in witness)
        where = self.quantity.where(point)
        try:
            value = self.quantity.over(point, self.order, {})
        except OutsideDomain as problem:
            value = Arb("nan")
            where = f"{where}: {problem}"
        above = nonnegative("at most the bound at the witness", ball(self.at_most) - value, where)
        if above.holds is False:
            yield above
        if self.at_least is not None:
            reached = nonnegative(
                "at least the lower bound at the witness", value - ball(self.at_least), where
            )
            yield reached if reached.holds is not False else replace(reached, holds=None)


@dataclass(frozen=True, eq=False)
class IntegralClaim(Splittable):
    """``norm``: "L2" or "L1". The integral is the sum over the cells, which overlap in their faces only."""

    name: str
    quantity: Quantity
    norm: str
    at_most: Fraction
    order: int
    tree: str
    at_least: Fraction | None = None
    quick: bool = False
    kind = SupremumClaim.kind

    def __post_init__(self) -> None:
        if self.norm == "sup":
            raise ValueError("the norm of an integral is L1 or L2")
        _ = self.amount

    @cached_property
    def amount(self) -> Amount:
        return Amount(self.name, self.quantity, self.norm, self.order, self.tree, self.quick)

    @property
    def cells(self) -> list[Box]:
        return self.amount.cells

    @property
    def asks_for(self) -> tuple[str, ...]:
        return (*super().asks_for, *self.quantity.asks_for)

    @property
    def statement(self) -> str:
        q = self.quantity
        least = "" if self.at_least is None else f" and at least {number_text(self.at_least)}"
        integrand = q.squares if self.norm == "L2" else f"the root of {q.squares}"
        value = f"the integral of {integrand} over {q.varying}" if q.varying else integrand
        place = f"{value} {q.fixed}".rstrip()
        return (
            f"{self.name}: {q.setting}, {place} is at most "
            f"{number_text(self.at_most)}{least}; nothing about the solution of the equation"
        )

    def parts(self) -> Sequence[ConditionClaim]:
        return in_parts(self, len(self.cells))

    def checks(self, precision: int, tick: Callable[[], None]) -> Iterator[Item]:
        yield from self.some(0, len(self.cells), tick)

    def some(self, first: int, last: int, tick: Callable[[], None]) -> Iterator[Item]:
        yield from self.amount.shares(first, last, tick)

    def conclude(self, shares: Sequence[Share]) -> Iterator[Check | Measure]:
        yield Measure("cells", len(self.cells))
        yield Measure("order", self.order)
        total = self.amount.total(shares)
        if total is None:
            yield undecided("integral at most the bound", "not every cell has a finite enclosure")
            return
        yield nonnegative("integral at most the bound", ball(self.at_most) - total)
        if self.at_least is not None:
            yield nonnegative("integral at least the bound", total - ball(self.at_least))
