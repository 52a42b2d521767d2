"""Elementary functions in float64, with proved errors.

Model: ball64's. fl(x op y) = (x op y)(1 + d) + e, |d| <= V = 2^-52 (any faithful rounding), |e| an underflow; ``rint`` gives a
whole number, ``frexp`` and ``ldexp`` are exact where their results are normal numbers. Only + - * / and these are used: no
library's function is trusted. Each returns (y, r), r >= |y - f(x)|, but for underflows, which TINY covers; y is NaN where
there is no number.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.ball64 import TINY, V

Floats = NDArray[np.float64]
Enclosed = tuple[Floats, Floats]

LARGEST_EXPONENT: Final = 700.0
REDUCED: Final = 0.36
LN2: Final = 0.6931471805599453
"""Within 2^-54 of log 2."""
LN2_PARTS: Final = (2977044471 * 2.0**-32, float.fromhex("0x1.a39ef35793c76p-33"))
"""log 2 to 2^-84: a number of 32 bits, and one below 2^-32."""
COEFFICIENTS: Final = tuple(1 / math.factorial(i) for i in range(13, -1, -1))
TERMS: Final = 160


def exp_relative(x: Floats) -> Enclosed:
    """(y, q): |y - e^x| <= q y, for |x| <= LARGEST_EXPONENT; beyond, y is of the nearer end.

    k a whole number, r = x - k log 2, e^x = 2^k e^r, by Taylor's polynomial of degree 13. With C1, C2 = LN2_PARTS:
    - k C1 is exact (|k| <= 1024). Where the computed r^ is at most 0.36 (which is looked at, whatever ``rint`` did):
      |r^ - r| <= V |x - k C1| + V k C2 + k 2^-84 + V |r^| <= 0.75 V, for |x - k C1| <= |r^| (1 + V) + k C2 (1 + V) <= 0.3601.
      This changes e^r by at most 0.76 V e^r.
    - Remainder: 0.36^14/14! e^0.36 < 1.1e-17 < 0.08 V e^-0.36, relative to e^r >= e^-0.36.
    - Horner's rule: the computed sum is sum c_i r^i (1 + t_i), |t_i| <= gamma_{2i+2} (c_i itself is rounded once): its error is
      at most 1.001 V sum (2i+2) 0.36^i/i! <= 1.001 V e^0.36 (2 0.36 + 2) <= 3.91 V <= 5.61 V e^r.
    - 2^k is exact: the result is at least e^-700 > 2^-1011.
    Together at most 6.5 V of e^x; q = 8 V is said.
    """
    x = np.clip(x, -LARGEST_EXPONENT, LARGEST_EXPONENT)
    k = np.rint(x / LN2)
    r = (x - k * LN2_PARTS[0]) - k * LN2_PARTS[1]
    p = np.full_like(r, COEFFICIENTS[0])
    for c in COEFFICIENTS[1:]:
        p = p * r + c
    whole = np.nan_to_num(k).astype(np.int32)
    return np.where(np.abs(r) <= REDUCED, np.ldexp(p, whole), np.nan), np.full_like(x, 8 * V)


def exp(x: Floats) -> Enclosed:
    """e^x, x <= LARGEST_EXPONENT: what is below -LARGEST_EXPONENT counts as that, both being less than TINY."""
    y, q = exp_relative(x)
    return y, np.where(x <= LARGEST_EXPONENT, y * q * 2 + TINY, np.inf)


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
    """e = e^-|x| in [0, 1]: 1/(1 + e), or e/(1 + e). An error 8 V e of e is worth at most 8 V e of either; three roundings.
    Beyond LARGEST_EXPONENT e and what is taken for it are less than TINY."""
    e, _ = exp_relative(-np.abs(x))
    y = np.where(x >= 0, 1.0, e) / (1 + e)
    return y, np.full_like(y, 12 * V)


def tanh(x: Floats) -> Enclosed:
    """e = e^-2|x|, (1 - e)/(1 + e), whose slope in e is -2/(1 + e)^2: e's error 8 V e costs at most 16 V e/(1 + e)^2 <= 4.01 V;
    three roundings."""
    e, _ = exp_relative(-2 * np.abs(x))
    y = np.copysign((1 - e) / (1 + e), x)
    return y, np.full_like(y, 8 * V)


def softplus(x: Floats) -> Enclosed:
    """max(x, 0) + log(1 + e), e = e^-|x|: the logarithm of 1 + e in [1, 2], whose error is at most (8 + 2) V."""
    e, _ = exp_relative(-np.abs(x))
    y, r = log(1 + e)
    total = np.maximum(x, 0.0) + y
    return total, r + V * (16 + 2 * np.abs(total))


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
