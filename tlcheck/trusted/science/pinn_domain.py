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

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from itertools import product
from math import isfinite, prod
from typing import Final, TypeVar

from tlcheck.trusted.arith.arb import Arb, arb, ball, lower_float, upper_float
from tlcheck.trusted.calculus.expression import Expression, text, variables
from tlcheck.trusted.calculus.ranges import Box, square
from tlcheck.trusted.calculus.written import number_text
from tlcheck.trusted.conditions import Check, ConditionClaim, Item, Measure, Share, nonnegative, undecided
from tlcheck.trusted.taylor.engine import Dense, Engine, OutsideDomain
from tlcheck.trusted.taylor.models_arb import EngineArb, MatrixArb, Model
from tlcheck.trusted.taylor.network_models import (
    MAX_DERIVATIVE,
    Derivatives,
    Index,
    TaylorNetwork,
    closure,
    derivative,
    evaluate,
)
from tlcheck.trusted.taylor.space import Space

M = TypeVar("M")
Matrices = dict[int, tuple[Dense, MatrixArb]]
Place = tuple[tuple[int, Fraction], ...]
"""(coordinate, value) where a second place differs."""
LEAF: Final = "."
OTHER: Final = "other_"
MAX_CUTS: Final = 256
"""Most cuts on the way to one cell: its ends stay short."""
MAX_CELLS: Final = 200_000
"""Most cells: each takes some tenths of a second."""
PART_CELLS: Final = 8
"""Cells checked as one part, a second or so of work."""


def cells(domain: Box, tree: str) -> list[Box]:
    """The leaves of the tree in preorder: a digit halves the cell along that coordinate (lower half first), "." is a
    cell. They cover ``domain``. Raises ValueError when the text is not one whole tree, or cuts a fixed coordinate."""
    found: list[Box] = []
    open_: list[tuple[Box, int]] = [(domain, 0)]
    for position, token in enumerate(tree):
        if not open_:
            raise ValueError(f"the tree ends before character {position}")
        cell, cuts = open_.pop()
        if token == LEAF:
            found.append(cell)
            if len(found) > MAX_CELLS:
                raise ValueError(f"more than {MAX_CELLS} cells")
            continue
        axis = "0123".find(token)
        if not 0 <= axis < len(domain) or domain[axis][0] == domain[axis][1]:
            raise ValueError(f"character {position} is no coordinate to cut: {token!a}")
        if cuts >= MAX_CUTS:
            raise ValueError(f"more than {MAX_CUTS} cuts on the way to one cell")
        low, high = cell[axis]
        middle = (low + high) / 2
        for half in ((middle, high), (low, middle)):
            open_.append(((*cell[:axis], half, *cell[axis + 1 :]), cuts + 1))
    if open_:
        raise ValueError(f"{len(open_)} cells of the tree are missing")
    return found


def derivative_names(
    outputs: Sequence[str], coordinates: Sequence[str], order: int = MAX_DERIVATIVE
) -> dict[str, tuple[int, Index]]:
    """Every name of an output or a partial derivative -> (output, multi-index): u, u_x, u_tx and u_xt, ..."""
    found = {}
    for k, output in enumerate(outputs):
        for n in range(order + 1):
            for letters in product(range(len(coordinates)), repeat=n):
                name = "_".join([output, "".join(coordinates[i] for i in letters)]) if n else output
                found[name] = k, tuple(letters.count(i) for i in range(len(coordinates)))
    return found


@dataclass(frozen=True, eq=False)
class Quantity:
    """r = sum of the squares of ``expressions`` over ``domain``, for a network whose inputs are the coordinates.

    ``other``: names with OTHER before them are taken there; only coordinates that are held fixed may differ. ``sides``:
    prefixes, and places at which names with them are taken.
    """

    network: TaylorNetwork
    coordinates: tuple[str, ...]
    outputs: tuple[str, ...]
    domain: Box
    expressions: tuple[Expression, ...]
    other: Place = ()
    sides: tuple[tuple[str, Place], ...] = ()

    def __post_init__(self) -> None:
        graph = self.network.graph
        if graph.n_inputs != len(self.coordinates) or len(self.domain) != len(self.coordinates):
            raise ValueError("one input of the network, and one interval, for each coordinate")
        if graph.n_outputs != len(self.outputs):
            raise ValueError("a name for each output of the network")
        if not self.expressions or any(low > high for low, high in self.domain):
            raise ValueError("no expression, or an empty domain")
        if any(self.domain[i][0] != self.domain[i][1] for i, _ in self.other):
            raise ValueError("the second place may differ in coordinates that are held fixed")
        each = len(derivative_names(self.outputs, self.coordinates))
        names = {*self._names, *self.coordinates}
        if len(names) != each * len(self._places) + len(self.coordinates):
            raise ValueError("a name has two meanings")
        if not all(variables(e) <= names for e in self.expressions):
            raise ValueError("a variable is not known")

    @property
    def free(self) -> tuple[int, ...]:
        return tuple(i for i, (low, high) in enumerate(self.domain) if low < high)

    @cached_property
    def _places(self) -> tuple[tuple[str, Place], ...]:
        return (("", ()), *(((OTHER, self.other),) if self.other else ()), *self.sides)

    @cached_property
    def _names(self) -> frozenset[str]:
        here = derivative_names(self.outputs, self.coordinates)
        return frozenset(prefix + name for prefix, _ in self._places for name in here)

    @cached_property
    def _used(self) -> tuple[tuple[Place, dict[str, tuple[int, Index]], Derivatives], ...]:
        """For each place: the outputs and derivatives in the expressions, and what must be carried for them."""
        found = frozenset[str]().union(*(variables(e) for e in self.expressions))
        here = derivative_names(self.outputs, self.coordinates)
        used = []
        for prefix, place in self._places:
            names = {prefix + name: at for name, at in here.items() if prefix + name in found}
            if names:
                carried = closure([a for _, a in names.values()], len(self.coordinates))
                used.append((place, names, Derivatives(carried)))
        return tuple(used)

    @property
    def squares(self) -> str:
        return " + ".join(f"({text(e)})^2" for e in self.expressions)

    @property
    def setting(self) -> str:
        there = "".join(
            f" (names with {prefix} before them: at "
            f"{', '.join(f'{self.coordinates[i]} = {number_text(value)}' for i, value in place)})"
            for prefix, place in self._places[1:]
        )
        return f"with ({', '.join(self.outputs)}) the network's outputs at ({', '.join(self.coordinates)}){there}"

    def where(self, cell: Box, *, nearest: bool = True) -> str:
        """``nearest``: decimals for doubles, which is not exact: for places, not for what is claimed."""

        def end(q: Fraction) -> str:
            return number_text(q, nearest=nearest)

        return ", ".join(
            f"{name} = {end(low)}" if low == high else f"{name} in [{end(low)}, {end(high)}]"
            for name, (low, high) in zip(self.coordinates, cell, strict=True)
        )

    @property
    def fixed(self) -> str:
        """Where the coordinates are that are held fixed; "" when none is."""
        point = [
            f"{name} = {number_text(low)}"
            for name, (low, high) in zip(self.coordinates, self.domain, strict=True)
            if low == high
        ]
        return f"at {', '.join(point)}" if point else ""

    @property
    def varying(self) -> str:
        """Where the others are."""
        return ", ".join(
            f"{name} in [{number_text(low)}, {number_text(high)}]"
            for name, (low, high) in zip(self.coordinates, self.domain, strict=True)
            if low < high
        )

    def models(self, engine: Engine[M]) -> list[M]:
        """Models of the expressions. Raises OutsideDomain."""
        here = [engine.coordinate(i) for i in range(len(self.coordinates))]
        at: dict[str, M] = dict(zip(self.coordinates, here, strict=True))
        for moved, names, derivatives in self._used:
            place = list(here)
            for i, value in moved:
                place[i] = engine.constants([ball(value)])
            jets = self.network.outputs(engine, derivatives, place)
            at |= {name: derivative(engine, jets[k], a) for name, (k, a) in names.items()}
        return [evaluate(e, at, engine) for e in self.expressions]

    def over(self, cell: Box, order: int, matrices: Matrices) -> Arb:
        """A ball that holds r on the cell. Raises OutsideDomain."""
        total = ball(Fraction(0))
        for model in self._on(cell, order, matrices):
            total = total + square(model.range())
        return total

    def mean_over(self, cell: Box, order: int, matrices: Matrices, norm: str) -> Arb:
        """A ball that holds the mean over the cell of r ("L2") or of its root ("L1"). Raises OutsideDomain.

        The mean of |e| is at most the root of the mean of |e|^2, and at least the length of the mean of e (Jensen).
        """
        models = self._on(cell, order, matrices)
        squares = sum((model.mean_square() for model in models), ball(Fraction(0)))
        if norm == "L2":
            return squares
        length = sum((square(model.mean()) for model in models), ball(Fraction(0)))
        return length.abs_lower().sqrt().union(squares.abs_upper().sqrt())

    def _on(self, cell: Box, order: int, matrices: Matrices) -> list[Model]:
        free = [i for i, (low, high) in enumerate(cell) if low < high]
        engine = EngineArb(Space(len(free), order if free else 0), cell, free, matrices)
        return [model for (model,) in self.models(engine)]


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
class SupremumClaim(Splittable):
    """``name``: the part's; ``tree``: see :func:`cells`. Raises ValueError when built from what does not fit."""

    name: str
    quantity: Quantity
    at_most: Fraction
    order: int
    tree: str
    witness: tuple[Fraction, ...] | None = None
    at_least: Fraction | None = None
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
        return Amount(self.name, self.quantity, "sup", self.order, self.tree)

    @property
    def cells(self) -> list[Box]:
        return self.amount.cells

    def parts(self) -> Sequence[ConditionClaim]:
        return in_parts(self, len(self.cells))

    def checks(self, precision: int, tick: Callable[[], None]) -> Iterator[Check | Measure]:
        yield from self.some(0, len(self.cells), tick)

    def some(self, first: int, last: int, tick: Callable[[], None]) -> Iterator[Check | Measure]:
        """The conditions on the cells from ``first`` up to ``last``; the witness comes with cell 0."""
        matrices: Matrices = {}
        at_most = ball(self.at_most)
        if first == 0:
            yield Measure("cells", len(self.cells))
            yield Measure("order", self.order)
            if self.witness is not None:
                yield from self._at_witness(self.witness, matrices)
        for cell in self.cells[first:last]:
            tick()
            try:
                slack = at_most - self.quantity.over(cell, self.order, matrices)
            except OutsideDomain as problem:
                yield undecided("at most the bound on the cell", f"{self.quantity.where(cell)}: {problem}")
            else:
                yield nonnegative("at most the bound on the cell", slack, self.quantity.where(cell))

    def _at_witness(self, witness: tuple[Fraction, ...], matrices: Matrices) -> Iterator[Check]:
        point = tuple((x, x) for x in witness)
        where = self.quantity.where(point)
        try:
            value = self.quantity.over(point, self.order, matrices)
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
    kind = SupremumClaim.kind

    def __post_init__(self) -> None:
        if self.norm == "sup":
            raise ValueError("the norm of an integral is L1 or L2")
        _ = self.amount

    @cached_property
    def amount(self) -> Amount:
        return Amount(self.name, self.quantity, self.norm, self.order, self.tree)

    @property
    def cells(self) -> list[Box]:
        return self.amount.cells

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
