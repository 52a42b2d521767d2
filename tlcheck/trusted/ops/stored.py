"""Values that are kept in 16 bits."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.float32 import TINY32, scaled_up
from tlcheck.trusted.arith.maps import Affine, SignMap
from tlcheck.trusted.arith.profile import NotDeployable, Profile
from tlcheck.trusted.ops.base import AffineOperation, Shape, one, require

Floats = NDArray[np.float64]

FORMATS: Final = {
    "float16": (Fraction(1, 1 << 11), Fraction(1, 1 << 25), 65504.0),
    "bfloat16": (Fraction(1, 1 << 8), TINY32, 2.0**126),
}
"""Unit roundoff, the most that is lost below the least normal number, the largest number that is taken for finite."""


@dataclass(frozen=True, eq=False)
class Stored(AffineOperation):
    """y = x; deployed, x rounded to nearest to a number of the format, or not (what is computed on may be kept in float32)."""

    format: str

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        require(self.format in FORMATS, f"Stored: no format {self.format!r}")
        return one(inputs, "Stored")

    def affine(self, inputs: tuple[Shape, ...], output: Shape) -> Affine:
        return Affine((SignMap(1, prod(output)),), None, 0, True)

    def radius(
        self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], image: Box, profile: Profile
    ) -> Floats | None:
        """u |x| + the loss below the normal numbers; float16 rounds to infinity from 65520 on."""
        if not profile.wide_sums:
            raise NotDeployable(
                f"{self.format}, in which the profile {profile.name} does not say that sums are float32"
            )
        unit, tiny, largest = FORMATS[self.format]
        if not boxes[0].largest <= largest:
            raise OutOfRange(f"{self.format} overflow")
        return scaled_up(unit, boxes[0].magnitude, tiny)
