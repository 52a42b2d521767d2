"""Exact arithmetic on constant tensors: the only place of the reader that computes with real numbers.

Guarantee: every returned constant holds each exact entry in [mid - rad, mid + rad]; rad is None when every entry is
exactly mid. Where it is not, the formula is kept, so that nothing is lost to float64 for what is evaluated in Arb. Entries are
finite; a division by zero, a root of a negative number or an overflow of float64 raises ValueError.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tlcheck.errors import InvalidInput
from tlcheck.trusted.arith.arb import Arb, arb, working_precision
from tlcheck.trusted.arith.balls import formula_balls
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.formula import MAX_OPERATIONS, Formula, Stored, formula_of

MAX_FOLDED = 1 << 22
"""Most entries of a constant that is computed entry by entry (microseconds each), not just moved."""

PRECISION = 192
"""Working bits: far more than a product, quotient or root of float64 numbers needs to round well."""

MAX_WORK = 1 << 23
"""Most operations times entries of a formula that is kept: some ten seconds to evaluate."""


def enclose(function: Callable[..., Formula], *operands: Constant) -> Constant:
    """``function`` applied entry by entry (operands broadcast), enclosed; it writes a formula.

    The radius is of the operands' radii, not of their formulas: they may speak of float32 executions (``widen``).
    Raises ValueError when an entry is not a finite number.
    """
    size = math.prod(np.broadcast_shapes(*(x.shape for x in operands)))
    if size > MAX_FOLDED:
        most = f"at most {MAX_FOLDED} entries"
        raise InvalidInput("TLC401", "arithmetic on a large constant", expected=most, got=str(size))
    found = evaluated(function(*(Stored(x.mid, x.rad) for x in operands)))
    if found.rad is None:
        return found
    formula = function(*(formula_of(x) for x in operands))
    return Constant(found.mid, found.rad, formula if _kept(formula) else None)


def evaluated(formula: Formula) -> Constant:
    """The formula's numbers. Raises ValueError when one is not finite."""
    size = math.prod(formula.shape)
    mids = np.zeros(size)
    rads = np.zeros(size)
    with working_precision(PRECISION):
        for k, value in enumerate(formula_balls(formula)):
            mids[k], rads[k] = outward(value)
    mid = mids.reshape(formula.shape)
    if not rads.any():
        return Constant(mid)
    return Constant(mid, rads.reshape(formula.shape), formula if _kept(formula) else None)


def _kept(formula: Formula) -> bool:
    return formula.operations <= min(MAX_OPERATIONS, MAX_WORK // max(1, math.prod(formula.shape)))


def outward(x: Arb) -> tuple[float, float]:
    """(mid, rad) float64 with x contained in [mid - rad, mid + rad]; rad 0 only when x is exactly mid."""
    if not x.is_finite():
        raise ValueError("not a finite number (division by zero, root of a negative number)")
    mid = float(x.mid())
    if not math.isfinite(mid):
        raise ValueError("overflow of float64")
    distance = abs(x - arb(mid))
    if distance.is_zero():
        return mid, 0.0
    rad = float(distance.abs_upper())
    while not distance <= arb(rad):
        rad = math.nextafter(rad, math.inf)
    if not math.isfinite(rad):
        raise ValueError("overflow of float64")
    return mid, rad


def add(a: Constant, b: Constant) -> Constant:
    """a + b. Exact sums are found by Knuth's TwoSum (error-free, round to nearest, no overflow)."""
    if a.rad is None and b.rad is None:
        x, y = a.mid.astype(np.float64), b.mid.astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            s = np.asarray(x + y)
            t = s - x
            error = (x - (s - t)) + (y - t)
        if bool((error == 0).all()) and bool(np.isfinite(s).all()):
            return Constant(s)
    return enclose(lambda p, q: p + q, a, b)


def negative(a: Constant) -> Constant:
    return Constant(np.asarray(-a.mid), a.rad, None if a.rad is None else -formula_of(a))


def subtract(a: Constant, b: Constant) -> Constant:
    return add(a, negative(b))


def multiply(a: Constant, b: Constant) -> Constant:
    """a * b. A product of numbers of p and q significant bits, p + q <= 53, is exact unless it underflows."""
    if a.rad is None and b.rad is None:
        x, y = a.mid.astype(np.float64), b.mid.astype(np.float64)
        with np.errstate(over="ignore", under="ignore"):
            product = np.asarray(x * y)
        if _multiplies_exactly(x, y, product):
            return Constant(product)
    return enclose(lambda p, q: p * q, a, b)


def _multiplies_exactly(x: NDArray[np.float64], y: NDArray[np.float64], product: NDArray[np.float64]) -> bool:
    """Sufficient, entry by entry: either factor is zero, or few enough bits and a result in the normal range."""
    few_bits = np.asarray(_significant_bits(x) + _significant_bits(y) <= 53)
    normal = np.isfinite(product) & (np.abs(product) >= 2.0**-1022)
    zero = np.asarray((x == 0) | (y == 0))
    return bool((zero | (few_bits & normal)).all())


def _significant_bits(x: NDArray[np.float64]) -> NDArray[np.int64]:
    """Bits from the leading to the last set bit of each entry's significand."""
    whole = (np.frexp(x)[0] * 2.0**53).astype(np.int64)
    lowest = np.abs(whole & -whole).astype(np.float64)
    trailing = np.where(whole == 0, 53, np.frexp(lowest)[1] - 1)
    return np.asarray(53 - trailing, dtype=np.int64)


def divide(a: Constant, b: Constant) -> Constant:
    """a / b. Raises ValueError when b's enclosure contains zero."""
    return enclose(lambda p, q: p / q, a, b)


def reciprocal(b: Constant) -> Constant:
    return enclose(lambda q: 1 / q, b)


def sqrt(a: Constant) -> Constant:
    """Square root of entries whose enclosure is nonnegative."""
    return enclose(lambda p: p.sqrt(), a)


def normalisation(scale: Constant, variance: Constant, epsilon: float) -> Constant:
    """scale / sqrt(variance + epsilon); epsilon is exact."""
    return enclose(lambda s, v: s / (v + epsilon).sqrt(), scale, variance)


def widen(a: Constant, relative: float, absolute: float) -> Constant:
    """a with radius grown by at least relative * |a| + absolute, entry by entry. The numbers themselves stay what they are:
    the radius speaks of what float32 executions make of them."""
    size = np.abs(a.mid.astype(np.float64))
    if a.rad is not None:
        size = np.nextafter(size + a.rad, np.inf)
    grown = np.nextafter(np.nextafter(size * relative, np.inf) + absolute, np.inf)
    return Constant(a.mid, grown if a.rad is None else np.nextafter(grown + a.rad, np.inf), formula_of(a))
