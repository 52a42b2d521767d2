"""Splines: what a piecewise polynomial over the rationals does, decided exactly.

The function s on [x_0, x_n] is p_i(x - x_i) on the closed piece [x_i, x_{i+1}]. The knots increase and neighbouring
pieces agree at the knot between them (conditions of every claim), so s is one continuous function. The rest:

- *interpolation*: s(x_i) = y_i, at both ends of every piece.
- *C^k*: the derivatives up to order k of neighbouring pieces agree at the knot; inside a piece all exist.
- *monotone*: s' >= 0 on every piece (``polynomial.negative_point`` is complete). A continuous function that does not
  fall on any piece does not fall at all. Strictly: s' is no zero polynomial, so it vanishes at finitely many points.
- *convex*: s'' >= 0 on every piece, and s' does not fall at a knot: then s' does not fall at all, and s is convex.
- *range*: s - lower >= 0 and upper - s >= 0 on every piece.
- *distance*: |s - g| <= d for a network g of one input and one output: a piecewise linear one exactly (``spline_lines``), a
  smooth one in balls (``spline_taylor``).

Each of the first five is equivalent to its condition, so it is proved or refuted with a rational point, never open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from tlcheck.trusted.calculus.polynomial import derivative, is_zero, minus
from tlcheck.trusted.calculus.written import brief
from tlcheck.trusted.conditions import (
    Check,
    ConditionClaim,
    Measure,
    fact,
    nonnegative,
    positive,
    undecided,
    zero,
)
from tlcheck.trusted.science.piecewise import DISTANCE, Distance, Piece, nowhere_negative

MONOTONE: Final = {"increasing": 1, "nondecreasing": 1, "decreasing": -1, "nonincreasing": -1}
CONVEX: Final = {"convex": 1, "concave": -1}


@dataclass(frozen=True)
class Wants:
    """What is claimed of the spline beside being continuous. ``values``: at each knot."""

    values: tuple[Fraction, ...] | None = None
    smooth: int = 0
    monotone: str | None = None
    convex: str | None = None
    range: tuple[Fraction, Fraction] | None = None
    distance: Distance | None = None

    def __post_init__(self) -> None:
        if self.monotone not in (None, *MONOTONE) or self.convex not in (None, *CONVEX) or self.smooth < 0:
            raise ValueError("not a property of splines")


@dataclass(frozen=True)
class SplineClaim(ConditionClaim):
    """``knots``: n + 1 of them for n pieces. ``note``: what the artifact leaves open."""

    knots: tuple[Fraction, ...]
    pieces: tuple[Piece, ...]
    wants: Wants
    note: str = ""
    kind = "spline"

    def __post_init__(self) -> None:
        if not self.pieces or len(self.knots) != len(self.pieces) + 1:
            raise ValueError("one piece between two knots")
        if self.wants.values is not None and len(self.wants.values) != len(self.knots):
            raise ValueError("one value for each knot")

    @property
    def statement(self) -> str:
        w = self.wants
        said = ["continuous" if w.smooth == 0 else f"C^{w.smooth}"]
        said += ["through every (x, y) of the table"] if w.values is not None else []
        said += [word for word in (w.monotone, w.convex) if word]
        said += [f"between {brief(w.range[0])} and {brief(w.range[1])}"] if w.range else []
        said += [f"within {brief(w.distance.bound)} of the network"] if w.distance else []
        many = f"{len(self.pieces)} piece{'s' if len(self.pieces) > 1 else ''}"
        domain = f"[{brief(self.knots[0])}, {brief(self.knots[-1])}]"
        return f"the piecewise polynomial of {many} on {domain} is {', '.join(said)}{self.note}"

    def checks(self, precision: int, tick: Callable[[], None]) -> Iterator[Check | Measure]:
        yield Measure("decimals", "exact")
        usable = all(piece.width > 0 for piece in self.pieces)
        for i, (piece, a, b) in enumerate(zip(self.pieces, self.knots, self.knots[1:], strict=False)):
            tick()
            yield positive("increasing knots", b - a, f"piece {i}")
            yield zero("lower end of a piece", piece.lower - a, f"piece {i}")
            yield zero("upper end of a piece", piece.upper - b, f"piece {i}")
        yield from self._interpolation()
        yield from self._joins()
        for i, piece in enumerate(self.pieces):
            for name, sign, order, shift in self._signs():
                p = list(derivative(piece.coefficients, order)) or [Fraction(0)]
                p[0] -= shift
                yield nowhere_negative(name, tuple(p) if sign > 0 else minus(p), piece, f"piece {i}", tick)
            if self.wants.monotone in ("increasing", "decreasing"):
                rises = not is_zero(derivative(piece.coefficients))
                yield fact("not constant", rises, f"piece {i}")
        yield from self._slopes()
        if self.wants.distance is not None:
            if not usable:
                yield undecided(DISTANCE, "the knots do not increase")
                return
            yield from self._distance(self.wants.distance, tick)

    @property
    def asks_for(self) -> tuple[str, ...]:
        """The distance's rule, by the kind of network."""
        if self.wants.distance is None:
            return ()
        lines = self.wants.distance.network.piecewise_linear
        return (f"tlcheck.trusted.science.{'spline_lines' if lines else 'spline_taylor'}",)

    def _distance(self, distance: Distance, tick: Callable[[], None]) -> Iterator[Check | Measure]:
        """As in ``asks_for``."""
        if distance.network.piecewise_linear:
            from tlcheck.trusted.science.spline_lines import distance_checks

            yield from distance_checks(distance, self.pieces, tick)
        else:
            from tlcheck.trusted.science.spline_taylor import Follower

            yield from Follower(distance, tick).checks(self.pieces)

    def _signs(self) -> Iterator[tuple[str, int, int, Fraction]]:
        """(name, sign, order, shift): sign (s^(order) - shift) >= 0 on each piece."""
        nothing = Fraction(0)
        if self.wants.monotone:
            yield "monotone", MONOTONE[self.wants.monotone], 1, nothing
        if self.wants.convex:
            yield "curvature", CONVEX[self.wants.convex], 2, nothing
        if self.wants.range:
            yield "lower end of the range", 1, 0, self.wants.range[0]
            yield "upper end of the range", -1, 0, self.wants.range[1]

    def _interpolation(self) -> Iterator[Check]:
        if self.wants.values is None:
            return
        for i, (piece, y) in enumerate(zip(self.pieces, self.wants.values, strict=False)):
            yield zero("interpolation", piece.start() - y, f"piece {i} at knot {i}")
            yield zero("interpolation", piece.end() - self.wants.values[i + 1], f"piece {i} at knot {i + 1}")

    def _joins(self) -> Iterator[Check]:
        for i, (left, right) in enumerate(zip(self.pieces, self.pieces[1:], strict=False)):
            for order in range(self.wants.smooth + 1):
                yield zero(f"join of order {order}", right.start(order) - left.end(order), f"knot {i + 1}")

    def _slopes(self) -> Iterator[Check]:
        """Convex or concave: what the slope does at the knots."""
        if not self.wants.convex:
            return
        for i, (left, right) in enumerate(zip(self.pieces, self.pieces[1:], strict=False)):
            jump = CONVEX[self.wants.convex] * (right.start(1) - left.end(1))
            yield nonnegative("slopes at the knots", jump, f"knot {i + 1}")
