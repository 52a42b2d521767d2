"""Elementary functions in float64, with proved errors.

Model: ball64's. fl(x op y) = (x op y)(1 + d) + e, |d| <= V = 2^-52 (any faithful rounding), |e| an underflow; ``rint``,
``frexp`` and ``ldexp`` are exact where their results are normal numbers. Only + - * / and these are used: no library's
function is trusted. Each returns (y, r), r >= |y - f(x)|, but for underflows, which TINY covers.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.ball64 import TINY, V

Floats = NDArray[np.float64]
Enclosed = tuple[Floats, Floats]

LARGEST_EXPONENT: Final = 512.0
LN2: Final = 0.6931471805599453
"""Within 2^-54 of log 2."""
TERMS: Final = 160


def exp_relative(x: Floats) -> Enclosed:
    """(y, q): |y - e^x| <= q y, for |x| <= LARGEST_EXPONENT.

    k = rint(x / L), z = fl(x - fl(k L)), L = LN2. |k L| <= |x| + 1/2, so x - k log 2 differs from z by at most
    |k| 2^-54 + V |k L| + V |z| <= 3 V (|x| + 1) < 2^-40, and |z| <= 0.36. p = sum of z^j / j! to j = 14 leaves out less
    than 2^-62; Horner's 28 operations on rounded coefficients err by at most gamma_30 e^|z| <= 31 V e^0.72 e^z <= 64 V e^z.
    2^k is exact. Together at most (1 + 2^-30) V (3 |x| + 68) of e^x, and what is said is as large for y.
    """
    k = np.rint(x / LN2)
    z = x - k * LN2
    p = np.full_like(z, 1 / math.factorial(14))
    for j in range(13, -1, -1):
        p = p * z + 1 / math.factorial(j)
    return np.ldexp(p, k.astype(np.int32)), V * (4 * np.abs(x) + 80)


def exp(x: Floats) -> Enclosed:
    """e^x, |x| <= LARGEST_EXPONENT."""
    y, q = exp_relative(x)
    return y, y * q * 2 + TINY


def _log_near_one(m: Floats) -> Floats:
    """log m, m in [0.7, 1.42]: 2 (w + w^3/3 + ..) of w = (m - 1)/(m + 1), |w| < 0.18, all of one sign. Twelve terms leave out
    less than 2^-60 of the sum; the j-th has 22 + 7 j roundings and is less than 0.033^j of it: together below gamma_40."""
    w = (m - 1) / (m + 1)
    square = w * w
    total = np.full_like(w, 1 / 23)
    for j in range(21, 0, -2):
        total = total * square + 1 / j
    return 2 * w * total


def log(x: Floats) -> Enclosed:
    """Natural logarithm of normal x > 0: x = m 2^k, m in [0.7, 1.42]; k L errs by |k|(2^-54 + V), log m by 42 V |log m| < 16 V,
    the sum by V (|k| + 1)."""
    m, k = np.frexp(x)
    low = m < 0.7072
    m, k = np.where(low, 2 * m, m), np.where(low, k - 1, k).astype(np.float64)
    return k * LN2 + _log_near_one(m), V * (4 * np.abs(k) + 32)


def sigmoid(x: Floats) -> Enclosed:
    """e = e^-|x| in [0, 1]: 1/(1 + e), or e/(1 + e). An error q e of e is worth at most q e of either; three roundings.
    |x| e <= 1/2, so q e <= V (2 + 80). Beyond LARGEST_EXPONENT it is 0 or 1 but for less than TINY."""
    e, _ = exp_relative(-np.minimum(np.abs(x), LARGEST_EXPONENT))
    y = np.where(x >= 0, 1.0, e) / (1 + e)
    return y, np.full_like(y, 100 * V)


def tanh(x: Floats) -> Enclosed:
    """2 sigmoid(2 x) - 1"""
    y, r = sigmoid(2 * x)
    return 2 * y - 1, 2 * r + 4 * V


def softplus(x: Floats) -> Enclosed:
    """max(x, 0) + log(1 + e), e = e^-|x|: the logarithm of 1 + e in [1, 2], whose error is at most (82 + 1) V."""
    e, _ = exp_relative(-np.minimum(np.abs(x), LARGEST_EXPONENT))
    y, r = log(1 + e)
    total = np.maximum(x, 0.0) + y
    return total, r + V * (100 + 2 * np.abs(total))


def erf(x: Floats) -> Enclosed:
    """2/sqrt(pi) e^(-a^2) sum of 2^k a^(2k+1)/(1 3 .. (2k+1)), a = min(|x|, 6): terms of one sign, none of which loses more than
    gamma_(5 TERMS); the last, of which at most a third is left out (2 a^2 < (2 TERMS + 3)/4), is below 2^-60 of the sum. a^2 errs
    by 36 V and its exponential by at most 300 V. Beyond 6, 1 - erf < V."""
    a = np.minimum(np.abs(x), 6.0)
    square = 2 * a * a
    term, total = a, a
    for k in range(1, TERMS):
        term = term * (square / (2 * k + 1))
        total = total + term
    y = 2 / math.sqrt(math.pi) * exp(-0.5 * square)[0] * total
    return np.copysign(y, x), V * (2 + 1600 * y)
