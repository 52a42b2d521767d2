"""exp and tanh of float64 arrays, with proved errors; for the float64 Taylor models.

Rounding model of ``ball64``: an operation errs by at most V |result|, V = 2^-52, in any rounding mode (nothing here underflows).

exp, |x| <= 700: k a whole number, r = x - k ln 2, exp x = 2^k e^r, by Taylor's polynomial P of degree 13.
- ln 2 = C1 + C2 + d: C1 has 32 bits, so that k C1 is exact (|k| <= 1024), 0 <= C2 <= 2^-31, |d| <= 2^-84. With |r^| <= 0.36
  (which is looked at, whatever ``rint`` did): |r^ - r| <= V |x - k C1| + V (k C2) + k d + V |r^| <= 0.75 V, for |x - k C1| <=
  |r^| (1 + V) + k C2 (1 + V) <= 0.3601. This changes e^r by at most 0.76 V e^r.
- Remainder: 0.36^14/14! e^0.36 < 1.1e-17 < 0.08 V e^-0.36, relative to e^r >= e^-0.36.
- Horner's rule: the computed P is sum c_i r^i (1 + t_i), |t_i| <= gamma_{2i+2} (c_i itself is rounded once): its error is at most
  1.001 V sum (2i+2) 0.36^i/i! <= 1.001 V e^0.36 (2 0.36 + 2) <= 3.91 V <= 5.61 V e^r.
- 2^k is exact: the result is at least e^-700 > 2^-1011.
Together at most 6.5 V exp x, ulps of second order included: EXP = 8 V is asserted.

tanh: E = exp(-2|x|), y = (1 - E)/(1 + E). |dy/dE| = 2/(1 + E)^2, and E errs by 8 V E: at most 16 V E/(1 + E)^2 <= 4.01 V;
three roundings: 3.01 V |y| <= 3.01 V. Where 2|x| > 700, E and its stand-in exp(-700) both lie in [0, 2^-1009]. TANH = 8 V.
"""

from __future__ import annotations

from math import factorial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.ball64 import V

Floats = NDArray[np.float64]

EXP: Final = 8 * V
"""Relative error of ``exp``."""
TANH: Final = 8 * V
"""Absolute error of ``tanh``."""
FAR: Final = 700.0
NEAR: Final = 0.36
LN2: Final = (2977044471 * 2.0**-32, float.fromhex("0x1.a39ef35793c76p-33"))
"""C1 and C2."""
COEFFICIENTS: Final = tuple(1 / factorial(i) for i in range(13, -1, -1))


def exp(x: Floats) -> Floats:
    """e^x to EXP, relative, for |x| <= FAR; beyond, that of the nearer end. NaN where there is no number."""
    x = np.clip(x, -FAR, FAR)
    k = np.rint(x * (1 / 0.6931471805599453))
    r = (x - k * LN2[0]) - k * LN2[1]
    value = np.full_like(r, COEFFICIENTS[0])
    for c in COEFFICIENTS[1:]:
        value = value * r + c
    whole = np.nan_to_num(k).astype(np.int64)
    return np.where(np.abs(r) <= NEAR, np.ldexp(value, whole), np.nan)


def tanh(x: Floats) -> Floats:
    """To TANH. NaN where there is no number."""
    e = exp(-2 * np.abs(x))
    return np.copysign((1 - e) / (1 + e), x)
