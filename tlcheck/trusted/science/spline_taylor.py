"""The distance of a spline to a smooth network of one variable: |s - g| <= d on each piece.

On a box c + u, |u| <= r, Taylor's theorem gives g(c + u) = sum_{k<K} g_k(c) u^k + g_K(y) u^K for a y in the box, where k! g_k is
the k-th derivative (``series``). So s - g at each point of the box is a polynomial in u whose coefficients lie in balls. Its
Bernstein coefficients over a part of the box, computed in balls, enclose that value between their least and greatest; the
first and the last enclose it at the part's ends. All within the bound: proved there. An end certainly beyond it: disproved at
that point.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import cache
from math import comb
from typing import Final

from tlcheck.trusted.arith.arb import Arb, arb, ball
from tlcheck.trusted.calculus.network_series import compiled
from tlcheck.trusted.calculus.polynomial import shifted
from tlcheck.trusted.calculus.series import variable
from tlcheck.trusted.calculus.written import brief
from tlcheck.trusted.conditions import Check, Measure, nonnegative, undecided
from tlcheck.trusted.science.piecewise import DISTANCE, Distance, Piece

_TAYLOR: Final = 8
"""Order of the network's expansion: a piece of a good spline is then one box."""
_HALVINGS: Final = 8
"""Halvings of one expansion before the network is expanded anew: they are much cheaper."""
MAX_BOXES: Final = 100_000
"""Boxes of a whole claim; one costs some milliseconds."""
_DEEPEST: Final = 60
"""Most expansions within one another: beyond it the bound is attained, or nearly."""


class Follower:
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
        p = shifted(piece.coefficients, start + radius)
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
