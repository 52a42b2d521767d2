"""Softmax."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tlcheck.trusted.arith.arb import Arb, arb, lower_float, upper_float
from tlcheck.trusted.arith.box import Box
from tlcheck.trusted.arith.interface import Engine
from tlcheck.trusted.ops.base import Balls, Boxed, Shape, Step, one, require
from tlcheck.trusted.ops.ranges import UNDEFINED, pairs


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
