"""Intervals and boxes with rational ends, and balls around what functions do on them, sharp at the ends."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from tlcheck.trusted.arith.arb import Arb, ball

Interval = tuple[Fraction, Fraction]
Box = tuple[Interval, ...]

Point = tuple[Fraction, ...]


def over(interval: Interval) -> Arb:
    """A ball that holds the interval."""
    low, high = interval
    return ball(low) if low == high else ball(low).union(ball(high))


def hull(a: Arb, b: Arb) -> Arb:
    """A ball with all numbers of ``a`` and ``b`` and those between. It has their sign where they have one, zero included.

    Let l, h be the ends. A ball's radius has 30 bits, so the radius R of a ball made from (h - l)/2 is at least that; the
    ball about l + R is [l, l + 2R], which holds h; when l + R is exact its lower end is l. So too about h - R.
    """
    low = min_exact(a.lower(), b.lower())
    high = -min_exact((-a).lower(), (-b).lower())
    around_zero = Arb(0, (high - low) / 2)
    if low < 0 < high or not around_zero.is_finite():
        return a.union(b)
    middle = low + around_zero.rad() if low >= 0 else high - around_zero.rad()
    return around_zero + middle if middle.is_exact() else a.union(b)


def min_exact(a: Arb, b: Arb) -> Arb:
    """The smaller of two numbers without radius; NaN if one is."""
    return a if a <= b or a.is_nan() else b


def increasing(f: Callable[[Arb], Arb], x: Arb) -> Arb:
    """An enclosure of the values of an increasing f: between those at the ends of the ball."""
    return f(x) if x.is_exact() else hull(f(x.lower()), f(x.upper()))


def times(x: Arb, y: Arb) -> Arb:
    """xy; of two balls without negative numbers, no lower than the product of the lower ends."""
    if x >= 0 and y >= 0 and not (x.is_exact() and y.is_exact()):
        return hull(x.lower() * y.lower(), x.upper() * y.upper())
    return x * y


def square(x: Arb) -> Arb:
    """x^2; on a ball that holds 0, between 0 and the larger end's."""
    if x >= 0 or x <= 0:
        return increasing(lambda z: z * z, abs(x))
    return hull(Arb(0), abs(x).upper() * abs(x).upper())
