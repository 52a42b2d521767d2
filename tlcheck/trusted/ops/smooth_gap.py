"""How far a smooth function's value moves with its operand (``gap``): difference quotients are values of the derivative."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import inf

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.arb import Arb, arb, lower_float, upper_float
from tlcheck.trusted.arith.box import Box
from tlcheck.trusted.ops.gap import Gap
from tlcheck.trusted.ops.s_shaped import Atan, Sigmoid, SShaped, Tanh
from tlcheck.trusted.ops.smooth import Cos, Sin, Smooth

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SmoothGap(Gap):
    """f(a) - f(a - d) of a smooth f.

    On a piece [p, q] of X on which f'' has one sign, f' is monotone inside, so between f'(p) and f'(q); a difference quotient
    over X is a mean of quotients over its pieces, each a value of f' inside (mean value theorem). So s and t are the least and
    the greatest of f' at the ends of the pieces. |sin'|, |cos'| <= 1 everywhere.
    """

    f: Smooth | SShaped

    def slopes(self, x: Box) -> tuple[Floats, Floats]:
        s, t = np.empty(x.lower.shape), np.empty(x.lower.shape)
        for at in np.ndindex(x.lower.shape):
            s[at], t[at] = self._range(float(x.lower[at]), float(x.upper[at]))
        return s, t

    def _range(self, l: float, u: float) -> tuple[float, float]:
        """(-inf, inf): not known, or not bounded."""
        if isinstance(self.f, Sin | Cos) and u - l > 1:
            return -1.0, 1.0
        found = list(self._at_ends(l, u))
        if not all(x.is_finite() for x in found):
            return -inf, inf
        return min(map(lower_float, found)), max(map(upper_float, found))

    def _at_ends(self, l: float, u: float) -> Iterator[Arb]:
        """f' at the ends of pieces; not finite where some piece bends both ways."""
        cuts = [l, 0.0, u] if l < 0 < u and not self._bends_one_way(l, u) else [l, u]
        for p, q in pairwise(cuts):
            one_way = p == q or self._bends_one_way(p, q)
            yield from (derivative(self.f, arb(z)) if one_way else arb("nan") for z in (p, q))

    def _bends_one_way(self, l: float, u: float) -> bool:
        """An S-shaped function does on each side of 0."""
        return l >= 0 or u <= 0 if isinstance(self.f, SShaped) else self.f.curvature(arb(l), arb(u)) != 0


def derivative(f: Smooth | SShaped, z: Arb) -> Arb:
    """f' at an exact point; not finite where there is none, or none is known."""
    match f:
        case Smooth():
            return f.derivative(z)
        case Sigmoid():
            y = f.value(z)
            return y * (1 - y)
        case Tanh():
            y = f.value(z)
            return 1 - y * y
        case Atan():
            return 1 / (1 + z * z)
        case _:
            return arb("nan")
