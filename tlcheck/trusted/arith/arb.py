"""Balls: FLINT's Arb. With ``packed.py``, the only module that imports flint.

Guarantees: balls are Arb's; ``lower_float`` and ``upper_float`` never cross the end of a ball. ``ctx.prec`` is set here and
nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction

from flint import arb, arb_mat, ctx, fmpq, fmpz

__all__ = [
    "PRECISION",
    "Arb",
    "arb",
    "arb_mat",
    "ball",
    "compare_nonnegative",
    "compare_positive",
    "current_precision",
    "exact_ball",
    "floor_float",
    "lower_float",
    "upper_float",
    "working_precision",
]

Arb = arb
PRECISION = 128
"""Default precision of balls, in bits."""


@contextmanager
def working_precision(bits: int) -> Iterator[None]:
    """Arb's working precision inside the block. Not reentrant across threads (FLINT's is global)."""
    before = ctx.prec
    ctx.prec = bits
    try:
        yield
    finally:
        ctx.prec = before


def current_precision() -> int:
    """Arb's working precision, in bits."""
    return int(ctx.prec)


def lower_float(x: arb) -> float:
    """A double <= every number of the ball; -inf when there is none."""
    if not x.is_finite():
        return -math.inf
    f = float(x.lower())
    while not arb(f) <= x.lower():
        f = math.nextafter(f, -math.inf)
    return f


def floor_float(q: Fraction) -> float:
    """The largest double <= q; -inf below them all."""
    try:
        f = q.numerator / q.denominator  # correctly rounded
    except OverflowError:
        return -math.inf if q < 0 else math.nextafter(math.inf, 0)
    n, d = f.as_integer_ratio()
    return f if n * q.denominator <= q.numerator * d else math.nextafter(f, -math.inf)


def upper_float(x: arb) -> float:
    """A double >= every number of the ball; inf when there is none."""
    return -lower_float(-x)


def ball(q: Fraction) -> arb:
    """The rational as a ball at the working precision."""
    return arb(fmpq(q.numerator, q.denominator))


def exact_ball(mantissa: int, exponent: int) -> arb:
    """mantissa * 2^exponent, exactly (whatever the working precision)."""
    return arb((fmpz(mantissa), fmpz(exponent)))


def compare_positive(x: arb) -> bool:
    """True only if every number of the ball is finite and > 0."""
    return bool(x.is_finite() and x > 0)


def compare_nonnegative(x: arb) -> bool:
    """True only if every number of the ball is finite and >= 0."""
    return bool(x.is_finite() and x >= 0)
