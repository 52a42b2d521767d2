"""Softmax."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.arb import Arb, arb, lower_float, upper_float
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.float32 import TINY32, UNIT32, representable, scaled_up
from tlcheck.trusted.arith.interface import Engine
from tlcheck.trusted.arith.profile import NotDeployable, Profile
from tlcheck.trusted.ops.base import Balls, Boxed, Shape, Step, one, require
from tlcheck.trusted.ops.ranges import UNDEFINED, pairs

Floats = NDArray[np.float64]

MAX_TERMS = 1 << 20
"""Of one softmax in float32."""


@dataclass(frozen=True, eq=False)
class Softmax(Boxed):
    """y_i = e^(x_i) / sum_j e^(x_j) over the last axis."""

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        shape = one(inputs, "Softmax")
        require(len(shape) >= 1 and shape[-1] >= 1, f"Softmax: operand {shape} has no last axis")
        return shape

    def step(self, inputs: tuple[Shape, ...], shape: Shape) -> Step:
        n = shape[-1]

        def step(xs: Sequence[Balls]) -> Balls:
            return [y for start in range(0, len(xs[0]), n) for y in softmax_balls(xs[0][start : start + n])]

        return step

    def image(self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], engine: Engine) -> Box:
        return softmax_range(boxes[0], shapes[0][-1])

    def radius(
        self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], image: Box, profile: Profile
    ) -> Floats | None:
        """With t_i = max x - x_i, e_i = e^(-t_i), S = sum of e_j >= 1, y_i = e_i / S, E and a exp's relative and absolute errors.

        t_i is rounded once, so exp's operand errs by u t_i: e~_i = e_i + d_i, |d_i| <= E e_i + u t_i e^(u t_i) e_i + a. Of
        the second term y_i t_i <= t_i e^(-t_i) <= 1/e counts. In S: sum of t_j e_j <= W S with W e^W = (n-1)/e (at the maximum of
        sum t e^-t / (1 + sum e^-t) every t is 1 + W), so W <= log(1 + (n-1)/e); then gamma_(n-1) for its sum, and r for
        the quotient, or the product with a reciprocal (``Profile.quotient``). So

            |y~ - y| <= (y (2 E + u W + gamma_(n-1) + r + n a) + u/e + a)(1 + 2^-8) + 2 (n + 1) 2^-126,

        terms of second order in the factor, where the sum of the relative ones is at most 2^-10.
        """
        n, said = shapes[0][-1], profile.accuracy("Exp")
        if said.per_operand:
            raise NotDeployable(
                f"Softmax, with an error of Exp that grows with its operand (profile {profile.name})"
            )
        representable(boxes[0])
        if n > MAX_TERMS:
            raise OutOfRange("float32 softmax of too many terms")
        absolute = said.absolute + 3 * TINY32
        w = Fraction(upper_float((1 + (n - 1) * (-arb(1)).exp()).log()))
        gamma = (n - 1) * UNIT32 / (1 - (n - 1) * UNIT32)
        relative = 2 * said.relative + UNIT32 * w + gamma + profile.quotient() + n * absolute
        if not relative <= Fraction(1, 1 << 10):
            raise OutOfRange("float32 softmax of too many terms")
        whole = 1 + Fraction(1, 1 << 8)
        constant = (UNIT32 * Fraction(3, 8) + absolute) * whole + 2 * (n + 1) * TINY32
        return scaled_up(relative * whole, image.magnitude, constant)


def softmax_balls(row: Balls) -> list[Arb]:
    """e^(x_i - m) / sum_j e^(x_j - m), for any m: here the largest midpoint, so that nothing overflows."""
    if not all(x.is_finite() for x in row):
        return [UNDEFINED] * len(row)
    largest = row[0].mid()
    for x in row[1:]:
        if x.mid() > largest:  # midpoints are exact
            largest = x.mid()
    powers = [(x - largest).exp() for x in row]
    total = powers[0]
    for p in powers[1:]:
        total = total + p
    return [p / total for p in powers]


def softmax_range(box: Box, n: int) -> Box:
    """y_i = e^(x_i) / (e^(x_i) + sum of the others') increases in x_i and decreases in the others.

    So its ends are at corners of the box. The others are summed without e^(x_i): nothing cancels.
    """
    ends = pairs(box, box.lower.shape)
    low: list[float] = []
    high: list[float] = []
    for start in range(0, len(ends), n):
        row = ends[start : start + n]
        top = arb(float(box.upper.reshape(-1)[start : start + n].max()))
        least, most = [(l - top).exp() for l, _ in row], [(u - top).exp() for _, u in row]
        low += [max(0.0, lower_float(p / (p + rest))) for p, rest in zip(least, _others(most), strict=True)]
        high += [min(1.0, upper_float(p / (p + rest))) for p, rest in zip(most, _others(least), strict=True)]
    return Box(*(np.array(end, np.float64).reshape(box.lower.shape) for end in (low, high)))


def _others(terms: Sequence[Arb]) -> list[Arb]:
    """For each term the sum of the others."""
    before, after = [arb(0)], [arb(0)]
    for t, s in zip(terms, reversed(terms), strict=True):
        before.append(before[-1] + t)
        after.append(after[-1] + s)
    return [x + y for x, y in zip(before, after[-2::-1], strict=False)]
