"""Curves over time, cut into pieces on which they are smooth: their values, as series and, where they are that, exactly.

A curve is a scalar network or an expression in t. Guaranteed: the pieces cover the interval; on its piece each function
encloses the curve (a series); ``exact`` is the curve. Piecewise linear networks are cut at every kink, in rationals, so that on
a piece they are affine; every other kink stays inside a piece, where series of order 1 enclose both one-sided slopes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, TypeAlias

from tlcheck.trusted.arith.arb import Arb, ball
from tlcheck.trusted.calculus.affine_pieces import TooManyPieces, affine_pieces
from tlcheck.trusted.calculus.exact_values import Coefficients, exact_value, polynomial
from tlcheck.trusted.calculus.expression import Expression
from tlcheck.trusted.calculus.expression_series import evaluate
from tlcheck.trusted.calculus.layers import ScalarNetwork
from tlcheck.trusted.calculus.network_series import compiled
from tlcheck.trusted.calculus.ranges import hull
from tlcheck.trusted.calculus.series import Function, NotSmooth, Undefined, add, constant, variable
from tlcheck.trusted.conditions import Slack

Curve: TypeAlias = ScalarNetwork | Expression
"""A function of t: a network, or an expression in t."""
Tick = Callable[[], None]
TIME: Final = "t"
IDENTITY: Final[Coefficients] = (Fraction(0), Fraction(1))
MAX_PIECES: Final = 10_000


@dataclass(frozen=True)
class Piece:
    """On [start, end] the curves, as functions on series of t and, where they are that, as exact polynomials in t."""

    start: Fraction
    end: Fraction
    curves: tuple[Function, ...]
    exact: tuple[Coefficients | None, ...]


def pieces_of(curve: Curve, start: Fraction, end: Fraction, tick: Tick = lambda: None) -> list[Piece]:
    """The curve on [start, end]. Piecewise linear networks are cut at their kinks. Raises TooManyPieces."""
    if not isinstance(curve, ScalarNetwork):
        exact = polynomial(curve, {TIME: IDENTITY})
        return [Piece(start, end, (lambda t: evaluate(curve, {TIME: t}, len(t) - 1),), (exact,))]
    if not curve.piecewise_linear:
        return [Piece(start, end, (compiled(curve),), (None,))]
    return [
        Piece(p.start, p.end, (_affine(ball(p.value), ball(p.slope)),), ((p.value, p.slope),))
        for p in affine_pieces(curve, start, end, MAX_PIECES, tick)
    ]


def _affine(value: Arb, slope: Arb) -> Function:
    return lambda t: add(constant(value, len(t) - 1), [slope * c for c in t])


def together(
    curves: Sequence[Curve], start: Fraction, end: Fraction, tick: Tick = lambda: None
) -> list[Piece]:
    """All the curves on common pieces, which cover [start, end]."""
    merged = pieces_of(curves[0], start, end, tick)
    for curve in curves[1:]:
        merged = list(_merged(merged, pieces_of(curve, start, end, tick)))
    return merged


def _merged(left: list[Piece], right: list[Piece]) -> Iterator[Piece]:
    i = j = 0
    while i < len(left) and j < len(right):
        p, q = left[i], right[j]
        yield Piece(max(p.start, q.start), min(p.end, q.end), p.curves + q.curves, p.exact + q.exact)
        i, j = i + (p.end <= q.end), j + (q.end <= p.end)


def value_at(curve: Curve, t: Fraction) -> Slack | None:
    """The curve's value: exact where rational arithmetic gives it, else a ball; None where it is not defined."""
    try:
        if not isinstance(curve, ScalarNetwork):
            exact = exact_value(curve, {TIME: t})
            value = evaluate(curve, {TIME: [ball(t)]}, 0)[0] if exact is None else exact
        elif curve.piecewise_linear:
            (line,) = affine_pieces(curve, t, t, 1)
            value = line.value + line.slope * t
        else:
            value = compiled(curve)([ball(t)])[0]
    except (Undefined, TooManyPieces):
        return None
    return value


def values_on(curve: Function, start: Fraction, end: Fraction) -> Arb:
    """An enclosure of the curve's values on [start, end]: its own, or by the mean value theorem."""
    t = hull(ball(start), ball(end))
    own: Arb = curve([t])[0]
    if start == end:
        return own
    try:
        m = middle_of(start, end)
        mean = curve([ball(m)])[0] + curve(variable(t, 1))[1] * (t - ball(m))
    except (NotSmooth, Undefined):
        return own
    return mean if mean.rad() < own.rad() else own


def middle_of(a: Fraction, b: Fraction) -> Fraction:
    """A number between, near the middle, with few bits: dyadic numbers are exact in balls."""
    middle, width = (a + b) / 2, b - a
    if middle.denominator & (middle.denominator - 1) == 0 or not width:
        return middle
    scale = Fraction(2) ** (20 - (width.numerator.bit_length() - width.denominator.bit_length()))
    return Fraction(round(middle * scale)) / scale
