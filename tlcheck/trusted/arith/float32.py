"""Float32 executions: the constants of the standard model of rounding, and rounding radii rounded up (NUMERICS E.2)."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.arb import floor_float
from tlcheck.trusted.arith.box import Box, OutOfRange

Floats = NDArray[np.float64]

UNIT32 = Fraction(1, 1 << 24)
"""Unit roundoff of float32, round to nearest."""
TINY32 = Fraction(1, 1 << 126)
"""Largest loss of one float32 operation to underflow, flush-to-zero included."""
LARGEST32 = 2.0**126
"""Sums of magnitudes up to here keep every float32 partial sum, rounded, below overflow (gamma < 1)."""


def are_float32(x: NDArray[np.float64]) -> bool:
    """All of them are (finite) float32 numbers."""
    with np.errstate(over="ignore"):
        return bool(np.isfinite(x).all() and (x == x.astype(np.float32)).all())


def flushed_operand(box: Box) -> Box:
    """With 0, where an operation may take a subnormal number of ``box`` for it."""
    tiny = float(TINY32)
    return Box(
        np.where((box.lower > 0) & (box.lower < tiny), 0.0, box.lower),
        np.where((box.upper < 0) & (box.upper > -tiny), 0.0, box.upper),
    )


def representable(*boxes: Box) -> None:
    """Raises OutOfRange unless every value is far from float32's largest."""
    if not all(box.largest <= LARGEST32 for box in boxes):
        raise OutOfRange("float32 overflow")


def flushed(n: int) -> Floats:
    """The radius (1, n) of values that are exact but for flush-to-zero."""
    return np.full((1, n), float(TINY32))


def sum_up(a: Floats, b: Floats) -> Floats:
    """>= a + b for nonnegative entries: the rounded sum, one double up (exact arithmetic is not needed above it)."""
    return np.nextafter(a + b, np.inf)


def scaled_up(q: Fraction, x: Floats, *extra: Fraction) -> Floats:
    """>= q x + extra, entrywise, for q, x, extra >= 0; one ``extra`` for each domain, or one for all."""
    plus = np.array([[double_up(e)] for e in extra])
    return np.asarray(np.nextafter(np.nextafter(double_up(q) * x, np.inf) + plus, np.inf))


def double_up(q: Fraction) -> float:
    """A double >= q."""
    return -floor_float(-q)
