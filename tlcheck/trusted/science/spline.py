"""Splines: what a piecewise polynomial over the rationals does, decided exactly; its distance to a network, in Arb.

The function s on [x_0, x_n] is p_i(x - x_i) on the closed piece [x_i, x_{i+1}]. The knots increase and neighbouring
pieces agree at the knot between them (conditions of every claim), so s is one continuous function. The rest:

- *interpolation*: s(x_i) = y_i, at both ends of every piece.
- *C^k*: the derivatives up to order k of neighbouring pieces agree at the knot; inside a piece all exist.
- *monotone*: s' >= 0 on every piece (``polynomial.negative_point`` is complete). A continuous function that does not
  fall on any piece does not fall at all. Strictly: s' is no zero polynomial, so it vanishes at finitely many points.
- *convex*: s'' >= 0 on every piece, and s' does not fall at a knot: then s' does not fall at all, and s is convex.
- *range*: s - lower >= 0 and upper - s >= 0 on every piece.
- *distance*: |s - g| <= d for a network g of one input and one output (:class:`Distance`).

Each of the first five is equivalent to its condition, so it is proved or refuted with a rational point, never open.

Distance to a piecewise linear network: it is an exact polynomial minus an exact line between two kinks
(``jets.affine_pieces``), so it is decided like a range. To a smooth one: on a box c + u, |u| <= r, Taylor's theorem gives
g(c + u) = sum_{k<K} g_k(c) u^k + g_K(y) u^K for a y in the box, where k! g_k is the k-th derivative (``jets``). So
s - g at each point of the box is a polynomial in u whose coefficients lie in balls. Its Bernstein coefficients over a
part of the box, computed in balls, enclose that value between their least and greatest; the first and the last enclose
it at the part's ends. All within the bound: proved there. An end certainly beyond it: disproved at that point.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import comb
from typing import Final

from tlcheck.trusted.arith.arb import Arb, arb, ball
from tlcheck.trusted.calculus.affine_pieces import TooManyPieces, affine_pieces
from tlcheck.trusted.calculus.layers import ScalarNetwork
from tlcheck.trusted.calculus.network_series import compiled
from tlcheck.trusted.calculus.polynomial import Poly, derivative, evaluate, is_zero, minus, negative_point
from tlcheck.trusted.calculus.series import variable
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

MONOTONE: Final = {"increasing": 1, "nondecreasing": 1, "decreasing": -1, "nonincreasing": -1}
CONVEX: Final = {"convex": 1, "concave": -1}

DISTANCE: Final = "distance to the network"

_TAYLOR: Final = 8
"""Order of the network's expansion: a piece of a good spline is then one box."""
_HALVINGS: Final = 8
"""Halvings of one expansion before the network is expanded anew: they are much cheaper."""
MAX_BOXES: Final = 100_000
"""Boxes of a whole claim; one costs some milliseconds."""
MAX_LINES: Final = 100_000
"""Kinks of a network within one piece."""
_DEEPEST: Final = 60
"""Most expansions within one another: beyond it the bound is attained, or nearly."""


@dataclass(frozen=True)
class Piece:
    """p(t) = sum_k coefficients[k] t^k, t = x - lower, for x in [lower, upper]."""

    lower: Fraction
    upper: Fraction
    coefficients: Poly

    @property
    def width(self) -> Fraction:
        return self.upper - self.lower

    def end(self, order: int = 0) -> Fraction:
        """The derivative of that order at ``upper``."""
        return evaluate(derivative(self.coefficients, order), self.width)

    def start(self, order: int = 0) -> Fraction:
        """The derivative of that order at ``lower``."""
        return evaluate(derivative(self.coefficients, order), Fraction(0))


@dataclass(frozen=True)
class Distance:
    """|spline - network| <= bound on the whole domain."""

    network: ScalarNetwork
    bound: Fraction


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
                yield _sign(name, tuple(p) if sign > 0 else minus(p), piece, f"piece {i}", tick)
            if self.wants.monotone in ("increasing", "decreasing"):
                rises = not is_zero(derivative(piece.coefficients))
                yield fact("not constant", rises, f"piece {i}")
        yield from self._slopes()
        if self.wants.distance is not None:
            if not usable:
                yield undecided(DISTANCE, "the knots do not increase")
                return
            if self.wants.distance.network.piecewise_linear:
                yield from _far_from_lines(self.wants.distance, self.pieces, tick)
            else:
                yield from _Follower(self.wants.distance, tick).checks(self.pieces)

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


def _sign(name: str, p: Poly, piece: Piece, where: str, tick: Callable[[], None]) -> Check:
    """p >= 0 on the piece, exactly; a disproof names the point and its value."""
    if piece.width <= 0:
        return undecided(name, f"{where}: no interval")
    t = negative_point(p, piece.width, tick)
    if t is None:
        return fact(name, True, where)
    return nonnegative(name, evaluate(p, t), f"{where}, x = {brief(piece.lower + t)}")


def _far_from_lines(
    distance: Distance, pieces: Sequence[Piece], tick: Callable[[], None]
) -> Iterator[Check | Measure]:
    """The distance to a piecewise linear network, exactly."""
    for i, piece in enumerate(pieces):
        where = f"piece {i}"
        try:
            lines = affine_pieces(distance.network, piece.lower, piece.upper, MAX_LINES, tick)
        except TooManyPieces as error:
            yield undecided(DISTANCE, f"{where}: the network has {error}")
            continue
        for line in lines:
            part = Piece(line.start, line.end, _shifted(piece.coefficients, line.start - piece.lower))
            p = [*part.coefficients, Fraction(0), Fraction(0)]
            p[0] -= line.value + line.slope * line.start
            p[1] -= line.slope
            for sign in (1, -1):
                below = [-sign * c for c in p]
                below[0] += distance.bound
                yield _sign(DISTANCE, tuple(below), part, where, tick)


class _Follower:
    """The distance to a smooth network, piece by piece."""

    def __init__(self, distance: Distance, tick: Callable[[], None]) -> None:
        self.bound = ball(distance.bound)
        self.network = compiled(distance.network)
        self.tick = tick
        self.boxes = 0

    def checks(self, pieces: Sequence[Piece]) -> Iterator[Check | Measure]:
        for i, piece in enumerate(pieces):
            yield self._piece(piece, f"piece {i}")
        yield Measure("boxes of the distance", self.boxes)

    def _piece(self, piece: Piece, where: str) -> Check:
        """The slack of the piece: below, what the parts prove; above, the least at a point that was met."""
        least = at_points = self.bound
        open_ = [(Fraction(0), piece.width, 0)]
        while open_:
            self.tick()
            start, width, level = open_.pop()
            if self.boxes >= MAX_BOXES or level > _DEEPEST:
                return undecided(DISTANCE, f"{where}, near x = {brief(piece.lower + start)}")
            self.boxes += 1
            for part, t in self._parts(piece, start, width):
                ends = [self.bound - abs(part[0]), self.bound - abs(part[-1])]
                for end, x in zip(ends, (t[0], t[1]), strict=True):
                    if end < 0:
                        return nonnegative(DISTANCE, end, f"{where}, x = {brief(piece.lower + x)}")
                    if end < at_points:
                        at_points = end
                lows = [self.bound - abs(b) for b in part]
                if all(low >= 0 for low in lows):
                    for low in lows:
                        least = low.lower() if not low.lower() >= least else least
                    continue
                half = (t[1] - t[0]) / 2
                open_ += [(t[0] + half, half, level + 1), (t[0], half, level + 1)]
        return nonnegative(DISTANCE, least.lower().union(at_points.upper()), where)

    def _parts(
        self, piece: Piece, start: Fraction, width: Fraction
    ) -> Iterator[tuple[list[Arb], tuple[Fraction, Fraction]]]:
        """Parts that cover the box: Bernstein coefficients of p - g over each, proved ones as large as they get."""
        coefficients = self._difference(piece, start, width)
        n = len(coefficients) - 1
        table = _bernstein_table(n)
        whole = [sum((ball(t) * c for t, c in zip(row, coefficients, strict=True)), arb(0)) for row in table]
        open_ = [(whole, Fraction(0), 0)]
        while open_:
            part, left, level = open_.pop()
            proved = all(abs(b) <= self.bound for b in part)
            above = abs(part[0]) > self.bound or abs(part[-1]) > self.bound
            # Wider than what is missing: halving does not help, only a new expansion does.
            hopeless = max(float(b.rad()) for b in part) > 0.25 * max(0.0, float(self.bound.mid()))
            if proved or above or level >= _HALVINGS or hopeless:
                yield part, (start + left * width, start + (left + Fraction(1, 1 << level)) * width)
                continue
            first, second = _halved(part)
            open_ += [(second, left + Fraction(1, 2 << level), level + 1), (first, left, level + 1)]

    def _difference(self, piece: Piece, start: Fraction, width: Fraction) -> list[Arb]:
        """p - g on the box as a polynomial in v = u / r, |v| <= 1, with coefficients in the balls."""
        radius = width / 2
        centre = piece.lower + start + radius
        p = _shifted(piece.coefficients, start + radius)
        box = ball(centre) + arb(0, 1) * ball(radius)
        remainder = self.network(variable(box, _TAYLOR))[_TAYLOR]
        g = [*self.network(variable(ball(centre), _TAYLOR - 1)), remainder]
        result, power = [], Fraction(1)
        for k in range(max(len(p), len(g))):
            exact = p[k] if k < len(p) else Fraction(0)
            taylor = g[k] if k < len(g) else arb(0)
            result.append((ball(exact) - taylor) * ball(power))
            power *= radius
        return result


def _shifted(p: Poly, by: Fraction) -> Poly:
    """The coefficients of u -> p(by + u), exactly (repeated Horner)."""
    result = list(p)
    for i in range(len(p)):
        for k in range(len(p) - 2, i - 1, -1):
            result[k] += by * result[k + 1]
    return tuple(result)


@cache
def _bernstein_table(n: int) -> tuple[tuple[Fraction, ...], ...]:
    """Row j: the j-th Bernstein coefficient of v^k on [-1, 1], degree n: the mean product of k of its n arguments,
    j of which are 1 and n - j are -1."""
    return tuple(
        tuple(
            Fraction(sum(comb(j, i) * comb(n - j, k - i) * (-1) ** (k - i) for i in range(k + 1)), comb(n, k))
            for k in range(n + 1)
        )
        for j in range(n + 1)
    )


def _halved(b: Sequence[Arb]) -> tuple[list[Arb], list[Arb]]:
    """The Bernstein coefficients over the two halves (de Casteljau); halving a ball is exact."""
    row, left, right = list(b), [b[0]], [b[-1]]
    while len(row) > 1:
        row = [(row[i] + row[i + 1]) / 2 for i in range(len(row) - 1)]
        left.append(row[0])
        right.append(row[-1])
    return left, right[::-1]
