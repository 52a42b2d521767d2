"""Products of variables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import prod

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.arb import Arb, arb_mat
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.float32 import TINY32, UNIT32, representable, scaled_up
from tlcheck.trusted.arith.interface import Engine
from tlcheck.trusted.arith.maps import IndexMap
from tlcheck.trusted.arith.profile import Profile
from tlcheck.trusted.ops.base import Balls, Relaxed, Shape, Step, require
from tlcheck.trusted.ops.lines import Lines, Part, Relaxation, picked, snap
from tlcheck.trusted.ops.ranges import UNDEFINED, finite

Floats = NDArray[np.float64]
CHARGE = 2.0**-49
TINY, SMALL = 2.0**-1000, 2.0**-900
MAX_TERMS = 1 << 21
"""Products of one matrix product: some ten seconds."""


@dataclass(frozen=True, eq=False)
class Product(Relaxed):
    """y = a * b entry by entry, two operands of one shape."""

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        require(len(inputs) == 2, f"Product: takes two operands, got {len(inputs)}")
        require(inputs[0] == inputs[1], f"Product: operands differ in shape: {inputs}")
        return inputs[0]

    def step(self, inputs: tuple[Shape, ...], shape: Shape) -> Step:
        return lambda xs: [a * b for a, b in zip(xs[0], xs[1], strict=True)]

    def image(self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], engine: Engine) -> Box:
        return product_range(boxes[0], boxes[1])

    def radius(
        self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], image: Box, profile: Profile
    ) -> Floats | None:
        """One rounding; an operand below 2^-126 taken for 0 is worth that times the other."""
        representable(*boxes, image)
        tiny = TINY32 * (1 + Fraction(boxes[0].largest) + Fraction(boxes[1].largest))
        return scaled_up(UNIT32, image.magnitude, tiny)

    def relaxation(self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...]) -> Relaxation:
        planes = product_planes(boxes[0], boxes[1])
        return Relaxation(tuple(Part(j, planes[j], boxes[j]) for j in (0, 1)))


@dataclass(frozen=True, eq=False)
class MatProduct(Relaxed):
    """y = a b, matrix by matrix. a: (*batch, M, K), b: (*batch, K, N), y: (*batch, M, N)."""

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        require(len(inputs) == 2, f"MatProduct: takes two operands, got {len(inputs)}")
        a, b = inputs
        require(len(a) >= 2 and len(a) == len(b), f"MatProduct: operands {a} and {b} of different ranks")
        require(a[:-2] == b[:-2] and a[-1] == b[-2], f"MatProduct: {a} and {b} do not multiply")
        return (*a[:-1], b[-1])

    def step(self, inputs: tuple[Shape, ...], shape: Shape) -> Step:
        (m, k), n = inputs[0][-2:], inputs[1][-1]

        def step(xs: Sequence[Balls]) -> Balls:
            if not (finite(xs[0]) and finite(xs[1])):
                return [UNDEFINED] * prod(shape)
            result: list[Arb] = []
            for i in range(prod(shape[:-2])):
                left = arb_mat(m, k, list(xs[0][i * m * k : (i + 1) * m * k]))
                right = arb_mat(k, n, list(xs[1][i * k * n : (i + 1) * k * n]))
                result += (left * right).entries()
            return result

        return step

    def image(self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], engine: Engine) -> Box:
        """The sum of the boxes of all products of entries."""
        left, right, sums = matrix_terms(*shapes)
        terms = product_range(picked(boxes[0], left), picked(boxes[1], right))
        return engine.image((sums,), (terms,), None)

    def radius(
        self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], image: Box, profile: Profile
    ) -> Floats | None:
        """gamma_K of the sums of K products of magnitudes, for any order; each product and sum may also lose 2^-126."""
        (m, k), n, batch = shapes[0][-2:], shapes[1][-1], prod(shapes[0][:-2])
        if k * UNIT32 >= Fraction(1, 2):
            raise OutOfRange("float32 sum of too many terms")
        a, b = (box.magnitude for box in boxes)
        sums = np.matmul(a.reshape(-1, batch, m, k), b.reshape(-1, batch, k, n)).reshape(-1, batch * m * n)
        largest = max(1.0, *(box.largest for box in boxes))
        representable(*boxes, Box(sums, sums))
        gamma = (
            k * UNIT32 / (1 - k * UNIT32) * (1 + Fraction(k, 1 << 50))
        )  # what float64 lost in the sums of magnitudes
        return scaled_up(
            profile.product_error(k, gamma), sums, 2 * (k + 1) * TINY32 * (1 + Fraction(largest))
        )

    def relaxation(self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...]) -> Relaxation:
        """As the sum of the products of its entries."""
        *entries, sums = matrix_terms(*shapes)
        found = [picked(box, index) for box, index in zip(boxes, entries, strict=True)]
        planes = product_planes(*found)
        parts = tuple(Part(j, planes[j], found[j], entries[j]) for j in (0, 1))
        return Relaxation(parts, sums, product_range(*found))


@lru_cache(maxsize=16)
def product_range(a: Box, b: Box) -> Box:
    """a b lies between the least and the greatest product of ends. Raises OutOfRange.

    A rounded product's neighbours enclose the exact one; where it may underflow, or be flushed to zero, 2^-1000 more does. With
    a factor 0 it is exact.
    """
    a, b = _finite(a.lower, a.upper), _finite(b.lower, b.upper)
    with np.errstate(over="ignore", under="ignore"):
        low, high = [], []
        for x, y in _corners(a, b):
            product, zero = x * y, (x == 0) | (y == 0)
            spare = np.where(np.abs(product) < SMALL, TINY, 0.0)
            low.append(np.where(zero, 0.0, np.nextafter(product - spare, -np.inf)))
            high.append(np.where(zero, 0.0, np.nextafter(product + spare, np.inf)))
    return _finite(np.min(low, axis=0), np.max(high, axis=0))


@lru_cache(maxsize=16)
def product_planes(x: Box, y: Box) -> tuple[Lines, Lines]:
    """Lines in x and in y: their sum lies below (above) x y on the boxes, (D, n) or (1, n). Raises OutOfRange.

    For any p and q, x y - q x - p y is linear in each of the two, so its least and greatest values over the boxes are
    at corners. p and q are the boxes' middles (the planes then err by at most half the range of (x - p) (y - q)).

    At a corner (v, w) let m be the sum of the three products' magnitudes. Rounded products, and their sums in doubles, are
    within 2^-52 (3.01 m) + 2^-1020 of the exact v w - q v - p w, in any rounding mode and with flushing to zero; the charge is
    more than that and its own rounding.
    """
    x, y = _finite(x.lower, x.upper), _finite(y.lower, y.upper)
    shape = np.broadcast_shapes(x.lower.shape, y.lower.shape)
    p, q = (np.broadcast_to(snap(box.lower / 2 + box.upper / 2), shape) for box in (x, y))
    low, high = np.full(shape, np.inf), np.full(shape, -np.inf)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        for v, w in _corners(x, y):
            a, b, c = v * w, q * v, p * w
            height, charge = a - b - c, CHARGE * (np.abs(a) + np.abs(b) + np.abs(c)) + TINY
            low, high = np.minimum(low, height - charge), np.maximum(high, height + charge)
    ends = _finite(low, high)
    zero = np.zeros((1, shape[1]))
    return Lines((q, ends.lower), (q, ends.upper)), Lines((p, zero), (p, zero))


def _finite(lower: Floats, upper: Floats) -> Box:
    """Raises OutOfRange where an end is not finite."""
    if not bool(np.isfinite(lower).all() and np.isfinite(upper).all()):
        raise OutOfRange("a product of what is not finite, or beyond doubles")
    return Box(lower, upper)


def _corners(a: Box, b: Box) -> list[tuple[Floats, Floats]]:
    return [(x, y) for x in (a.lower, a.upper) for y in (b.lower, b.upper)]


@lru_cache(maxsize=16)
def matrix_terms(a: Shape, b: Shape) -> tuple[IndexMap, IndexMap, IndexMap]:
    """The matrix product y = S (L x * R y): the entries that each term takes, and the sum that it goes into."""
    (m, k), n, batch = a[-2:], b[-1], prod(a[:-2])
    if batch * m * k * n > MAX_TERMS:
        raise OutOfRange(f"a product of matrices with {batch * m * k * n} terms")
    g, i, j, c = (x.reshape(-1) for x in np.indices((batch, m, k, n)))
    places = ((g * m + i) * k + j, (g * k + j) * n + c, (g * m + i) * n + c)
    left, right, sums = (np.ascontiguousarray(x, dtype=np.int64) for x in places)
    sizes = (batch * m * k, batch * k * n, batch * m * n)
    return IndexMap(left, sizes[0]), IndexMap(right, sizes[1]), IndexMap(sums, sizes[2], True)
