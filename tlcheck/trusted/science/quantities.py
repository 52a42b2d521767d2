"""What a network leaves over of a differential equation, on boxes: Taylor models of expressions in the coordinates, the network's
outputs and their partial derivatives.

The quantity of a part (residual, initial or boundary condition) is r(x) = sum_k e_k(x)^2 over a box with exact rational ends (a
coordinate that is held fixed has width 0). The outputs may also be taken at a second place, where coordinates that are held
fixed have other values (``other``; for periodic conditions).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import product
from typing import Final, TypeVar

from tlcheck.trusted.arith.arb import Arb, ball
from tlcheck.trusted.calculus.expression import Expression, text, variables
from tlcheck.trusted.calculus.ranges import Box, square
from tlcheck.trusted.calculus.written import number_text
from tlcheck.trusted.taylor.derivatives import MAX_DERIVATIVE, Derivatives, Index, closure, derivative
from tlcheck.trusted.taylor.engine import Dense, Engine
from tlcheck.trusted.taylor.expression_models import evaluate, has_functions
from tlcheck.trusted.taylor.models_arb import EngineArb, MatrixArb, Model
from tlcheck.trusted.taylor.network_models import TaylorNetwork
from tlcheck.trusted.taylor.space import Space

M = TypeVar("M")
Matrices = dict[int, tuple[Dense, MatrixArb]]
Place = tuple[tuple[int, Fraction], ...]
"""(coordinate, value) where a second place differs."""
OTHER: Final = "other_"


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


def mean_of(models: Sequence[tuple[Arb, Arb]], norm: str) -> Arb:
    """Of r, or of its root, from the means of each e^2 and e: the mean of |e| is at most the root of the mean of |e|^2, and at
    least the length of the mean of e (Jensen)."""
    squares = sum((s for s, _ in models), ball(Fraction(0)))
    if norm == "L2":
        return squares
    length = sum((square(m) for _, m in models), ball(Fraction(0)))
    return length.abs_lower().sqrt().union(squares.abs_upper().sqrt())


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
    def asks_for(self) -> tuple[str, ...]:
        """Rules of the network's operations, and of the expressions' functions."""
        own = ("tlcheck.trusted.taylor.functions",) if any(map(has_functions, self.expressions)) else ()
        return (*self.network.asks_for, *own)

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
        """A ball that holds the mean over the cell of r ("L2") or of its root ("L1"). Raises OutsideDomain."""
        return mean_of([(m.mean_square(), m.mean()) for m in self._on(cell, order, matrices)], norm)

    def _on(self, cell: Box, order: int, matrices: Matrices) -> list[Model]:
        free = [i for i, (low, high) in enumerate(cell) if low < high]
        engine = EngineArb(Space(len(free), order if free else 0), cell, free, matrices)
        return [model for (model,) in self.models(engine)]
