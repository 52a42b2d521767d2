"""Arrays of float64 balls: each exact number lies within ``rad`` of ``mid``. For a few operations on short recurrences.

Rounding model and constants of ``arith.ball64``: an operation errs by at most V |result| + TINY, in any rounding mode and
with flush-to-zero, for magnitudes up to 2^200. Each radius is a sum of at most 8 nonnegative terms, multiplied by
GROW >= (1 + V)^16 / (1 - V)^16. A number that leaves the range has an infinite or NaN radius and stays so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.ball64 import MAX_MAGNITUDE, TINY, V

Floats = NDArray[np.float64]
GROW = 1 + 64 * V


@dataclass(frozen=True, eq=False)
class Balls64:
    """``mid`` and ``rad`` of one shape."""

    mid: Floats
    rad: Floats

    @staticmethod
    def exact(values: Floats) -> Balls64:
        return Balls64(values, np.zeros_like(values))

    def above(self) -> Floats:
        """>= |x|."""
        return np.asarray((np.abs(self.mid) + self.rad) * GROW)

    def __neg__(self) -> Balls64:
        return Balls64(-self.mid, self.rad)

    def __add__(self, other: Balls64 | int) -> Balls64:
        o = _ball(other, self)
        return _made(self.mid + o.mid, self.rad + o.rad)

    __radd__ = __add__

    def __sub__(self, other: Balls64 | int) -> Balls64:
        return self + -_ball(other, self)

    def __rsub__(self, other: Balls64 | int) -> Balls64:
        return _ball(other, self) + -self

    def __mul__(self, other: Balls64 | int) -> Balls64:
        """|xy - ab| <= |a| dy + |b| dx + dx dy."""
        o = _ball(other, self)
        return _made(self.mid * o.mid, np.abs(self.mid) * o.rad + np.abs(o.mid) * self.rad + self.rad * o.rad)

    __rmul__ = __mul__

    def __truediv__(self, other: Balls64 | int) -> Balls64:
        """By numbers that are exact: |x/b - a/b| <= dx / |b|."""
        o = _ball(other, self)
        if o.rad.any():
            raise ValueError("division by exact numbers only")
        with np.errstate(divide="ignore", invalid="ignore"):
            return _made(self.mid / o.mid, self.rad / np.abs(o.mid))


def _ball(x: Balls64 | int, like: Balls64) -> Balls64:
    if isinstance(x, Balls64):
        return x
    nearest = float(x)
    return Balls64(
        np.full_like(like.mid, nearest), np.full_like(like.mid, 0 if nearest == x else V * abs(nearest))
    )


def _made(mid: Floats, rad: Floats) -> Balls64:
    """The ball around a rounded ``mid``, whose operands' radii gave ``rad``."""
    size = np.abs(mid)
    widened = (rad + 2 * V * size + TINY) * GROW
    return Balls64(mid, np.where(size <= MAX_MAGNITUDE, widened, np.inf))
