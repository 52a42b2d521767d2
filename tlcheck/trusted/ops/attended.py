"""What attention kernels do beyond a softmax and a product of matrices."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import prod

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.arb import arb, upper_float
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.float32 import TINY32, UNIT32, representable, scaled_up
from tlcheck.trusted.arith.maps import Affine, IndexMap, SignMap
from tlcheck.trusted.arith.profile import NotDeployable, Profile
from tlcheck.trusted.ops.base import AffineOperation, Shape, require

Floats = NDArray[np.float64]

MAX_KEYS = 1 << 16
"""Of one query in float32."""


@dataclass(frozen=True, eq=False)
class Attended(AffineOperation):
    """y = x (..., queries, size): sums of values (..., keys, size), the second operand, with the weights of a softmax.

    Over the reals the values count for nothing. ``radius`` is how far a kernel of ``operator`` is from a softmax in float32
    (with the weight 0 for what a mask hides) and a product of matrices, each with its own radius.
    """

    operator: str

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        require(len(inputs) == 2, f"Attended: takes two operands, got {len(inputs)}")
        x, v = inputs
        fits = len(x) == len(v) >= 2 and x[:-2] == v[:-2] and x[-1] == v[-1] and prod(v) > 0
        require(fits, f"Attended: sums {x} of values {v}")
        return x

    def affine(self, inputs: tuple[Shape, ...], output: Shape) -> Affine:
        nothing = np.full(prod(output), -1, np.int64)
        return Affine((SignMap(1, prod(output)), IndexMap(nothing, prod(inputs[1]))), None, 0, True)

    def radius(
        self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], image: Box, profile: Profile
    ) -> Floats | None:
        """``SHARES`` of V, the largest value of the column. Raises NotDeployable where the profile does not say how."""
        if self.operator not in profile.attention:
            raise NotDeployable(f"{self.operator}, whose kernel the profile {profile.name} does not describe")
        if profile.accuracy("Exp").per_operand:
            raise NotDeployable(
                f"{self.operator}, with an error of Exp that grows with its operand (profile {profile.name})"
            )
        representable(*boxes)
        n = shapes[1][-2]
        if n > MAX_KEYS:
            raise OutOfRange("float32 attention to too many keys")
        share = SHARES[profile.attention[self.operator]](n, profile)
        if not share <= Fraction(1, 1 << 10):
            raise OutOfRange("float32 attention to too many keys")
        largest = boxes[1].magnitude.reshape(-1, *shapes[1]).max(axis=-2, keepdims=True)
        columns = np.broadcast_to(largest, (len(largest), *shapes[0])).reshape(len(largest), -1)
        return scaled_up(share * (1 + Fraction(1, 1 << 8)), columns, 8 * (n + 1) * TINY32)


def _masked(n: int, profile: Profile) -> Fraction:
    """The weights of n keys at most that a mask hides: e^-t for a t so large that it is 0, computed within exp's absolute error a
    (its relative one counts for nothing). They enter the sum of products, and the sum that divides it, which is at least 1."""
    return 2 * n * (profile.accuracy("Exp").absolute + 3 * TINY32)


def _online(n: int, profile: Profile) -> Fraction:
    """A softmax that runs along with the sum: blocks of keys, each with its largest score so far, whose partial sums of weights,
    l, and of weighted values, O, are multiplied by e^(m - m') when the largest score rises from m to m'; the result is O / l.
    Any partition into blocks, joined in any order (``whole`` is one block).

    Let t_j >= 0 be how far score j is below the largest one, e_j = e^-t_j, S = sum e_j >= 1. Key j enters O and l with the
    product e~_j of one exp and at most n - 1 factors. Their exponents are differences of scores, rounded once, at most 0, and
    sum to -t_j: so they err by u t_j together; each exp by a factor 1 + E, and a. With 1 + R = (1 + E)^n,

        |e~_j - e_j| <= e_j ((1 + R) e^(u t_j) - 1) + n a (1 + R).

    As sum t_j e_j <= W S (``Softmax``), the sum of these is at most S (R + u W + n^2 a), to first order. l is a sum of the e~_j
    with 2 n roundings of each (additions, products with factors), so the e~_j / l differ from the weights e_j / S by at most

        2 (R + u W + n^2 a) + gamma_2n

    in all: that counts V times. O's terms have 2 n + 1 roundings, then the quotient's error: gamma_(2n+1) + r of V. What each of
    at most 8 (n + 1) operations loses to underflow is 2^-126 (1 + V): l is at least 1, and |O| / l at most V.

    Terms of second order: in the factor of ``radius``, as the sum of the relative ones is at most 2^-10.
    """
    said = profile.accuracy("Exp")
    if not n * said.relative <= Fraction(1, 1 << 10):
        raise OutOfRange("float32 attention to too many keys")
    grown = n * said.relative / (1 - n * said.relative)
    w = Fraction(upper_float((1 + (n - 1) * (-arb(1)).exp()).log()))
    gamma = (4 * n + 1) * UNIT32 / (1 - (4 * n + 1) * UNIT32)
    absolute = n * n * (said.absolute + 3 * TINY32)
    lost = 8 * (n + 1) * TINY32
    return 2 * (grown + UNIT32 * w + absolute) + gamma + profile.quotient() + lost + _masked(n, profile)


SHARES = {"whole": _masked, "online": _online}
"""By how a profile says that an operator's kernel computes the softmax."""
