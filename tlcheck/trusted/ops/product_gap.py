"""What two programs round when each computes a product of its own, where the products' difference is known exactly."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.box import Box
from tlcheck.trusted.arith.float32 import sum_up
from tlcheck.trusted.arith.maps import Affine, IndexMap, SignMap
from tlcheck.trusted.arith.profile import Profile
from tlcheck.trusted.ops.base import AffineOperation, Shape, require
from tlcheck.trusted.ops.product import MatProduct, Product, product_range

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class BothRounded(AffineOperation):
    """y, of the operands y, a, b, c, d: y = f(a, b) - (f(a, b) - f(c, d)), a difference of products that no program computes.

    Over the reals a to d count for nothing. One program computes f(a, b) with a rounding error e, and y is to be what another
    computes of c and d, with an error e': so y, made of the first one's result, is off by e - e'. The radius is the sum of both.
    """

    f: Product | MatProduct

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        require(len(inputs) == 5, f"BothRounded: takes five operands, got {len(inputs)}")
        require(inputs[1:3] == inputs[3:], "BothRounded: two products of other shapes")
        require(self.f.output_shape(inputs[1:3]) == inputs[0], "BothRounded: not the products' shape")
        return inputs[0]

    def affine(self, inputs: tuple[Shape, ...], output: Shape) -> Affine:
        nothing = np.full(prod(output), -1, np.int64)
        others = (IndexMap(nothing, prod(shape)) for shape in inputs[1:])
        return Affine((SignMap(1, prod(output)), *others), None, 0, True)

    def radius(
        self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], image: Box, profile: Profile
    ) -> Floats | None:
        found = np.zeros((1, 1))
        for pair in (boxes[1:3], boxes[3:]):
            own = (
                product_range(*pair) if isinstance(self.f, Product) else image
            )  # a matrix product asks for none
            radius = self.f.radius(pair, shapes[1:3], own, profile)
            found = found if radius is None else sum_up(found, radius)
        return found
