"""Statistics of groups of values, as kernels compute them."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import prod

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.float32 import TINY32, UNIT32, representable, scaled_up
from tlcheck.trusted.arith.maps import Affine, IndexMap, SignMap
from tlcheck.trusted.arith.profile import NotDeployable, Profile
from tlcheck.trusted.ops.base import AffineOperation, Shape, one, require

Floats = NDArray[np.float64]

MAX_GROUP = 1 << 20
"""Values of one group in float32."""


@dataclass(frozen=True, eq=False)
class Running(AffineOperation):
    """y = x, sums of neighbours that a kernel keeps running: it adds what enters a window and subtracts what leaves it.

    Roundings of values long gone stay in such a sum, so steps that add up each window by itself do not bound it.
    """

    name: str

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        return one(inputs, "Running")

    def affine(self, inputs: tuple[Shape, ...], output: Shape) -> Affine:
        return Affine((SignMap(1, prod(output)),), None, 0, True)

    def radius(
        self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], image: Box, profile: Profile
    ) -> Floats | None:
        raise NotDeployable(f"{self.name}, whose sums runtimes keep running")


@dataclass(frozen=True, eq=False)
class OnePass(AffineOperation):
    """y = v, which is the variance of groups of x: a kernel may compute it as mean(x^2) - mean(x)^2.

    v has one entry for each group, x the groups one after another. Over the reals x counts for nothing.
    """

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        require(len(inputs) == 2, f"OnePass: takes two operands, got {len(inputs)}")
        v, x = map(prod, inputs)
        require(v > 0 and x > 0 and x % v == 0, f"OnePass: {inputs[0]} groups of {inputs[1]}")
        return inputs[0]

    def affine(self, inputs: tuple[Shape, ...], output: Shape) -> Affine:
        nothing = np.full(prod(output), -1, np.int64)
        return Affine((SignMap(1, prod(output)), IndexMap(nothing, prod(inputs[1]))), None, 0, True)

    def radius(
        self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], image: Box, profile: Profile
    ) -> Floats | None:
        """With s the mean of x^2 over n values: the mean of squares errs by gamma_(n+1) s. The mean errs by gamma_n mean |x|
        (n - 1 additions, one division), so its square by at most gamma_(2n+1) (mean |x|)^2 <= gamma_(2n+1) s. The difference, at
        most 2 s before it is rounded, by 2 u s more. In all gamma_(3n+8) s, and what flushes to zero.
        """
        v, x = boxes
        n = x.magnitude.shape[1] // v.lower.shape[1]
        if n > MAX_GROUP:
            raise OutOfRange("float32 variance of too many values")
        squares = (x.magnitude**2).reshape(len(x.magnitude), -1, n).sum(axis=2)
        representable(Box(squares, squares))
        k = (3 * n + 8) * UNIT32
        up = 1 + Fraction(n + 4, 1 << 50)  # what float64 lost in the sum of squares
        return scaled_up(k / (1 - k) / n * up, squares, (2 * n + 8) * TINY32 * (1 + Fraction(x.largest)))
