"""Roots of any order."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.arb import Arb
from tlcheck.trusted.arith.box import Box
from tlcheck.trusted.ops.base import require
from tlcheck.trusted.ops.ranges import UNDEFINED, ZERO, on_ends
from tlcheck.trusted.ops.smooth import Smooth, root_at_flushed

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Root(Smooth):
    """x^(1/order), order a whole number >= 1; x >= 0."""

    mpmath = "nthroot"

    order: int

    def __post_init__(self) -> None:
        require(self.order >= 1, "Root: order must be at least 1")

    def value(self, x: Arb) -> Arb:
        """FLINT has no value for higher roots of 0."""
        return on_ends(lambda z: ZERO if z == 0 else z.root(self.order), x) if x >= 0 else UNDEFINED

    def at_flushed(self, box: Box) -> Fraction:
        return root_at_flushed(1 / self.order)

    def derivative(self, z: Arb) -> Arb:
        """x^(1/n) / (n x), not finite at 0"""
        return z.root(self.order) / (self.order * z)

    def curvature(self, l: Arb, u: Arb) -> int:
        """f'' = (1/n) (1/n - 1) x^(1/n - 2) <= 0"""
        return -1

    def approximate(self, x: Floats) -> Floats:
        return np.power(x, 1 / self.order)
