"""The angles whose sine or cosine is x. Defined on [-1, 1] only, at whose ends they are vertical."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.arb import Arb
from tlcheck.trusted.ops.ranges import UNDEFINED, on_ends
from tlcheck.trusted.ops.smooth import Smooth

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Asin(Smooth):
    """The angle in [-pi/2, pi/2], in radians, whose sine is x; -1 <= x <= 1."""

    mpmath = "asin"

    def value(self, x: Arb) -> Arb:
        return on_ends(lambda z: z.asin(), x) if x >= -1 and x <= 1 else UNDEFINED

    def derivative(self, z: Arb) -> Arb:
        """Not finite at -1 and 1."""
        return 1 / (1 - z * z).sqrt()

    def curvature(self, l: Arb, u: Arb) -> int:
        """f'' = x (1 - x^2)^(-3/2)"""
        return 1 if l >= 0 else -1 if u <= 0 else 0

    def approximate(self, x: Floats) -> Floats:
        return np.arcsin(x)


@dataclass(frozen=True, eq=False)
class Acos(Smooth):
    """The angle in [0, pi], in radians, whose cosine is x; -1 <= x <= 1."""

    monotone = -1
    mpmath = "acos"

    def value(self, x: Arb) -> Arb:
        return on_ends(lambda z: z.acos(), x) if x >= -1 and x <= 1 else UNDEFINED

    def derivative(self, z: Arb) -> Arb:
        """Not finite at -1 and 1."""
        return -1 / (1 - z * z).sqrt()

    def curvature(self, l: Arb, u: Arb) -> int:
        """f'' = -x (1 - x^2)^(-3/2)"""
        return 1 if u <= 0 else -1 if l >= 0 else 0

    def approximate(self, x: Floats) -> Floats:
        return np.arccos(x)
