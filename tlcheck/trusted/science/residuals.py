"""Residuals over time that must not be negative: proved by bisection with Taylor forms, disproved by a point.

On a box with middle m, h = t - m, for each k: r(t) is in sum_{j<k} r_j(m) h^j + r_k([box]) h^k, where r_j are the Taylor
coefficients of the residual as a whole (jointly: v' and f cancel before anything is bounded). An even last term that is
nowhere negative is left out. Where r_1([box]) has one sign, r(t) is at least its value at an end. The least of the
boxes' lower bounds bounds r on all pieces; the box with the least is halved first. Where balls decide nothing and r is a
polynomial with rational coefficients on each piece, it is decided exactly (polynomial.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from heapq import heappop, heappush
from itertools import zip_longest
from math import inf
from typing import Final, TypeAlias

from tlcheck.trusted.arith.arb import Arb, ball, lower_float, upper_float
from tlcheck.trusted.calculus.exact_values import Coefficients, polynomial
from tlcheck.trusted.calculus.expression import Expression, variables
from tlcheck.trusted.calculus.expression_series import evaluate
from tlcheck.trusted.calculus.polynomial import evaluate as poly_value
from tlcheck.trusted.calculus.polynomial import negative_point, shifted
from tlcheck.trusted.calculus.ranges import hull, square
from tlcheck.trusted.calculus.series import (
    Function,
    NotSmooth,
    Series,
    Undefined,
    derivative,
    subtract,
    variable,
)
from tlcheck.trusted.calculus.written import number_text
from tlcheck.trusted.conditions import Check, fact, nonnegative, undecided
from tlcheck.trusted.science.curves import IDENTITY, TIME, Piece, Tick, middle_of

ORDER: Final = 2
"""Of Taylor forms; wide margins need no more."""
HIGH_ORDER: Final = 6
HIGH_FROM: Final = 4
"""The order from this depth on: what is open by then is tight, and higher orders need far fewer boxes."""
MAX_BOXES: Final = 20_000
"""Boxes of one condition on one segment; a box costs about a millisecond."""
MAX_DEPTH: Final = 60
REFINED: Final = 64
"""Boxes beyond which a proved condition's least slack is not made sharper than it is."""
SHARP: Final = 0.01
"""Relative width at which the least slack is sharp enough to report."""


@dataclass
class Effort:
    boxes: int = 0
    depth: int = 0


@dataclass(frozen=True)
class Inequality:
    """The residual sign (c_i' - f(t, c)), c the curves from position ``first`` of a piece."""

    states: tuple[str, ...]
    f: Expression
    first: int
    i: int
    sign: int

    def series(self, piece: Piece, t: Series) -> Series:
        """About t, of order n + 1; the residual of order n."""
        order = len(t) - 2
        curves = {u: piece.curves[j](t) for u, j in self._involved()} | {TIME: t}
        values = evaluate(self.f, {name: series[: order + 1] for name, series in curves.items()}, order)
        rate = derivative(curves[self.states[self.i]])
        return subtract(rate, values) if self.sign > 0 else subtract(values, rate)

    def exact(self, piece: Piece) -> Coefficients | None:
        """As a polynomial in t, where it is one."""
        known = {u: p for u, j in self._involved() if (p := piece.exact[j]) is not None} | {TIME: IDENTITY}
        if len(known) <= len(self._involved()):
            return None
        f = polynomial(self.f, known)
        if f is None:
            return None
        rate = tuple(k * c for k, c in enumerate(known[self.states[self.i]]))[1:]
        return tuple(self.sign * (p - q) for p, q in zip_longest(rate, f, fillvalue=Fraction(0)))

    def _involved(self) -> list[tuple[str, int]]:
        used = variables(self.f) | {self.states[self.i]}
        return [(u, self.first + j) for j, u in enumerate(self.states) if u in used]


@dataclass(frozen=True)
class Gap:
    """The residual w - v of two curves of a piece."""

    lower: int
    upper: int

    def series(self, piece: Piece, t: Series) -> Series:
        return subtract(piece.curves[self.upper](t[:-1]), piece.curves[self.lower](t[:-1]))

    def exact(self, piece: Piece) -> Coefficients | None:
        w, v = piece.exact[self.upper], piece.exact[self.lower]
        if w is None or v is None:
            return None
        return tuple(p - q for p, q in zip_longest(w, v, fillvalue=Fraction(0)))


Residual: TypeAlias = Inequality | Gap


@dataclass(frozen=True)
class _Box:
    """Part of a piece, a lower bound of the residual on it (None: none found), and the residual at points of it: at
    ``middle`` (None: not enclosed) and, where it is monotone, at the end with its least value (else None too)."""

    piece: Piece
    start: Fraction
    end: Fraction
    depth: int
    low: Arb | None
    middle: Arb | None
    least_end: tuple[Fraction, Arb] | None

    @property
    def key(self) -> float:
        return -inf if self.low is None else lower_float(self.low)

    @property
    def proved(self) -> bool:
        return self.low is not None and bool(self.low >= 0)


@dataclass(frozen=True)
class Search:
    """Proofs of residual + slack >= 0 on all pieces, within the limits above."""

    pieces: list[Piece]
    slack: Fraction
    where: str
    effort: Effort
    tick: Tick

    def check(self, name: str, residual: Residual, where: str) -> Check:
        """By bisection; where that decides nothing, exactly, if the residual is a polynomial on every piece."""
        check = self._bisected(name, residual, where)
        if check.holds is not None:
            return check
        for piece in self.pieces:
            p = residual.exact(piece)
            if p is None:
                return check
            q = shifted(p, piece.start)
            q = (q[0] + self.slack, *q[1:]) if q else (self.slack,)
            s = negative_point(q, piece.end - piece.start, self.tick)
            if s is not None:
                return nonnegative(
                    name, poly_value(q, s), f"{where}, t = {number_text(piece.start + s, nearest=True)}"
                )
        return fact(name, True, f"{where}: exactly, as polynomials")

    def _bisected(self, name: str, residual: Residual, where: str) -> Check:
        """Proved when the least of all boxes' lower bounds is >= 0; disproved at a point; undecided at once where the
        enclosure at a middle is: no box with that point could be proved."""
        heap: list[tuple[float, int, _Box]] = []
        high, at, count = inf, "", 0
        for piece in self.pieces:
            self.tick()
            box = self._box(residual, piece, piece.start, piece.end, 0)
            heappush(heap, (box.key, count, box))
            count += 1
        fresh = [entry[2] for entry in heap]
        while True:
            for box in fresh:
                self.effort.boxes += 1
                self.effort.depth = max(self.effort.depth, box.depth)
                middle = middle_of(box.start, box.end)
                for t, value in ((middle, box.middle), *((box.least_end,) if box.least_end else ())):
                    point = f"{where}, t = {number_text(t, nearest=True)}"
                    if value is not None and upper_float(value) < high:
                        high, at = upper_float(value), point
                    if value is not None and value < 0:
                        return nonnegative(name, value, point)
                if not box.proved and (box.middle is None or not box.middle >= 0):
                    point = f"{where}, t = {number_text(middle, nearest=True)}"
                    return (
                        undecided(name, point) if box.middle is None else nonnegative(name, box.middle, point)
                    )
            worst = heap[0][2]
            if (
                worst.low is not None
                and worst.proved
                and (count >= REFINED or high - worst.key <= SHARP * abs(high))
            ):
                return replace(nonnegative(name, worst.low, at), high=high if high < inf else None)
            if not worst.proved and (count >= MAX_BOXES or worst.depth >= MAX_DEPTH):
                low = None if worst.low is None else worst.key
                return replace(undecided(name, at or where), low=low, high=high if high < inf else None)
            self.tick()
            heappop(heap)
            middle = middle_of(worst.start, worst.end)
            fresh = [
                self._box(residual, worst.piece, p, q, worst.depth + 1)
                for p, q in ((worst.start, middle), (middle, worst.end))
            ]
            for box in fresh:
                heappush(heap, (box.key, count, box))
                count += 1

    def _box(self, residual: Residual, piece: Piece, start: Fraction, end: Fraction, depth: int) -> _Box:
        m = middle_of(start, end)
        about, step = ball(m), hull(ball(start - m), ball(end - m))
        order = ORDER if depth < HIGH_FROM else HIGH_ORDER
        inner = _series(lambda t: residual.series(piece, t), about, order)
        outer = _series(lambda t: residual.series(piece, t), hull(ball(start), ball(end)), order)
        slack = ball(self.slack)
        lows = [] if outer is None else list(_lower_bounds(inner, outer, step))
        least_end = None
        if outer is not None and len(outer) > 1 and (outer[1] >= 0 or outer[1] <= 0):
            t = start if outer[1] >= 0 else end
            ends = _series(lambda t: residual.series(piece, t), ball(t), 0)
            if ends is not None:
                lows.append(ends[0].lower())
                least_end = t, ends[0] + slack
        best = None
        for low in lows:
            if low.is_finite() and (best is None or low > best):
                best = low
        return _Box(
            piece, start, end, depth, None if best is None else best + slack,
            None if inner is None else inner[0] + slack, least_end,
        )  # fmt: skip


def _series(f: Function, t: Arb, order: int) -> Series | None:
    """f about ``t``, of that order, of order 0 where that is all there is (kinks), or None."""
    for n in (order, 0):
        try:
            return f(variable(t, n + 1))
        except (NotSmooth, Undefined):
            continue
    return None


def _lower_bounds(inner: Series | None, outer: Series, step: Arb) -> Iterator[Arb]:
    """Lower ends of sum_{j<k} inner_j h^j + outer_k h^k; an even last term that is nowhere negative is left out."""
    yield outer[0].lower()
    if inner is None:
        return
    total, powers = Arb(0), [Arb(1), step]
    for k in range(1, min(len(inner), len(outer))):
        total = total + inner[k - 1] * powers[k - 1]
        yield (total if k % 2 == 0 and outer[k] >= 0 else total + outer[k] * powers[k]).lower()
        powers.append(powers[k] * step if k % 2 == 0 else square(powers[(k + 1) // 2]))
