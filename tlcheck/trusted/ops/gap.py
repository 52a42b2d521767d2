"""How far a function's value moves with its operand: what two networks that are nearly alike differ by, node by node.

Gap(a, d) = f(a) - f(a - d), value by value: an operation like any other, defined wherever f is at a and a - d. Let X be an
interval that holds both, and s, t numbers such that, for all x < y in X, (f(y) - f(x)) / (y - x) is one of s, t or between them.

    d > 0:  a - d < a in X, so f(a) - f(a - d) is between s d and t d.
    d < 0:  a < a - d in X, so f(a - d) - f(a) is between s (-d) and t (-d), and Gap = -(f(a - d) - f(a)) between s d and t d.
    d = 0:  Gap = 0.

So min(s d, t d) <= Gap <= max(s d, t d). As functions of d the first is concave and the second convex. So for any slope w the
least of min(s d, t d) - w d over the box of d is at an end, and the greatest of max(s d, t d) - w d is at an end: these are the
intercepts of lines in d alone. Where the difference of the boxes of f(a) and f(a - d) is closer, that is taken.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.float32 import sum_up
from tlcheck.trusted.arith.interface import Engine
from tlcheck.trusted.arith.maps import Affine, SignMap
from tlcheck.trusted.arith.profile import Profile
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.base import AffineOperation, Balls, Operation, Relaxed, Shape, Step, require
from tlcheck.trusted.ops.bent import Abs, Clip, LeakyRelu
from tlcheck.trusted.ops.elementwise import Elementwise
from tlcheck.trusted.ops.lines import Lines, Part, Relaxation, snap
from tlcheck.trusted.ops.ranges import UNDEFINED

Floats = NDArray[np.float64]
CHARGE, TINY = 2.0**-49, 2.0**-1000
NO_ENGINE: Any = None
"""Functions of one variable, maxima and softmax ask none for their boxes."""


@dataclass(frozen=True, eq=False)
class Difference(AffineOperation):
    """y = x_1 - x_2, or other ``signs``: what is meant by a difference of networks. No program computes it: nothing rounds."""

    signs: tuple[int, ...] = (1, -1)

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        require(
            len(inputs) == len(self.signs) > 0, f"Difference: takes {len(self.signs)} operands, one at least"
        )
        require(all(abs(s) == 1 for s in self.signs), f"Difference: signs {self.signs}")
        require(all(s == inputs[0] for s in inputs), f"Difference: operands differ in shape: {inputs}")
        return inputs[0]

    def affine(self, inputs: tuple[Shape, ...], output: Shape) -> Affine:
        return Affine(tuple(SignMap(s, prod(output)) for s in self.signs), None, 0, True)


class Moved:
    """What is known of f(a) - f(a - d) from f alone: a mixture for operations with the operands a and d, of one shape."""

    f: Operation

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        require(len(inputs) == 2 and inputs[0] == inputs[1], f"Gap: operands {inputs}, two of one shape")
        return self.f.output_shape(inputs[:1])

    def step(self, inputs: tuple[Shape, ...], shape: Shape) -> Step:
        value = self.f.step(inputs[:1], shape)

        def step(xs: Sequence[Balls]) -> Balls:
            moved = [a - d for a, d in zip(xs[0], xs[1], strict=True)]
            return [y - z for y, z in zip(value(xs[:1]), value([moved]), strict=True)]

        return step

    def apart(self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...]) -> Box:
        """The difference of the boxes of f(a) and f(a - d)."""
        y, z = (self.f.image((x,), shapes[:1], NO_ENGINE) for x in (boxes[0], moved(*boxes)))
        return less(y, z)

    def radius(
        self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], image: Box, profile: Profile
    ) -> Floats | None:
        """Two programs compute f(a) and f(a - d), each with a rounding error of its own: the difference has both."""
        found = None
        for x in (boxes[0], moved(*boxes)):
            own = self.f.radius((x,), shapes[:1], self.f.image((x,), shapes[:1], NO_ENGINE), profile)
            found = own if found is None else found if own is None else sum_up(found, own)
        return found


@dataclass(frozen=True, eq=False)
class Counterpart(Relaxed):
    """y = x_1 - x_2, which is f(-x_3), or in float32 within f's rounding error of it; not defined elsewhere.

    f(a) less its Gap of a and d is f(a - d): as a difference it follows what bounds of a know, as f's value it lies in f's range.
    Where I holds the difference and J is f's range over the box of -x_3, a value of I within r of J is within r of their common
    part, or, where they have none, of the end of I or J that is taken: the box widened by f's radius r holds it.
    """

    f: Elementwise

    @property
    def by_value(self) -> bool:
        return not isinstance(self.f, Clip)

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        require(len(inputs) == 3, f"Counterpart: takes three operands, got {len(inputs)}")
        require(inputs[0] == inputs[1] == inputs[2], f"Counterpart: operands differ in shape: {inputs}")
        return self.f.output_shape(inputs[2:])

    def step(self, inputs: tuple[Shape, ...], shape: Shape) -> Step:
        value = self.f.step(inputs[2:], shape)

        def step(xs: Sequence[Balls]) -> Balls:
            pairs = zip(value([[-x for x in xs[2]]]), xs[0], xs[1], strict=True)
            return [y if y.overlaps(p - q) else UNDEFINED for y, p, q in pairs]

        return step

    def image(self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], engine: Engine) -> Box:
        found = less(boxes[0], boxes[1]).meet(self._range(boxes[2], shapes))
        return Box(found.lower, np.maximum(found.lower, found.upper))

    def _range(self, box: Box, shapes: tuple[Shape, ...]) -> Box:
        return self.f.image((Box(-box.upper, -box.lower),), shapes[2:], NO_ENGINE)

    def radius(
        self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], image: Box, profile: Profile
    ) -> Floats | None:
        x = boxes[2]
        return self.f.radius((Box(-x.upper, -x.lower),), shapes[2:], self._range(x, shapes), profile)

    def relaxation(self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...]) -> Relaxation:
        """The difference itself."""
        one, zero = np.ones(boxes[0].lower.shape), np.zeros(boxes[0].lower.shape)
        return Relaxation(
            tuple(Part(k, Lines((s, zero), (s, zero)), boxes[k]) for k, s in ((0, one), (1, -one)))
        )


class Gap(Moved, Relaxed):
    """f(a) - f(a - d) for a function f of one variable: see above."""

    f: Elementwise

    @property
    def by_value(self) -> bool:
        return not isinstance(self.f, Clip)  # whose bounds may be one for each value

    @abstractmethod
    def slopes(self, x: Box) -> tuple[Floats, Floats]:
        """s and t on intervals X, (D, n); not finite: there are none."""

    def image(self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], engine: Engine) -> Box:
        """Both rules; where both hold neither end of one crosses the other's but by rounding."""
        zero = np.zeros((1, 1))
        by_slopes = Box(*self._ends(boxes, zero, zero))
        found = self.apart(boxes, shapes).meet(by_slopes)
        return Box(found.lower, np.maximum(found.lower, found.upper))

    def _ends(self, boxes: tuple[Box, ...], low: Floats, high: Floats) -> tuple[Floats, Floats]:
        """Intercepts of lines in d of slopes ``low`` below Gap and ``high`` above it.

        A rounded product is within 2^-53 of the exact one, relatively, or 2^-1022 (flushed); so is the rounded difference of two.
        CHARGE times the sum of their magnitudes, and TINY, is more than all three errors, in any rounding mode.
        """
        a, d = boxes
        steepness = self.slopes(hull(a, moved(a, d)))
        least, most = np.full(d.lower.shape, np.inf), np.full(d.lower.shape, -np.inf)
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            for end in (d.lower, d.upper):
                for s in steepness:
                    least = np.minimum(least, _product_less(s, low, end, -1))
                    most = np.maximum(most, _product_less(s, high, end, 1))
        unknown = ~(np.isfinite(least) & np.isfinite(most))
        return np.where(unknown, -np.inf, least), np.where(unknown, np.inf, most)

    def relaxation(self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...]) -> Relaxation:
        a, d = boxes
        flat = self.apart(boxes, shapes)
        low, high = snap(np.stack(self._chords(*self.slopes(hull(a, moved(a, d))), d)))
        lt, ut = self._ends(boxes, low, high)
        middle = d.lower / 2 + d.upper / 2
        with np.errstate(over="ignore", invalid="ignore"):
            lower = flat.lower > low * middle + lt  # a choice: either is a bound
            upper = flat.upper < high * middle + ut
        lower, upper = lower | ~np.isfinite(lt), upper | ~np.isfinite(ut)
        low, lt = np.where(lower, 0.0, low), np.where(lower, flat.lower, lt)
        high, ut = np.where(upper, 0.0, high), np.where(upper, flat.upper, ut)
        return Relaxation((Part(1, Lines((low, lt), (high, ut)), d),))

    def _chords(self, s: Floats, t: Floats, d: Box) -> tuple[Floats, Floats]:
        """A choice of slopes: the chords of min(s d, t d) and max(s d, t d) over the box of d."""
        l, u = d.lower, d.upper
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            ends = [(np.minimum(s * e, t * e), np.maximum(s * e, t * e)) for e in (l, u)]
            slopes = [np.where(u > l, (b - a) / (u - l), s) for a, b in zip(*ends, strict=True)]
        return slopes[0], slopes[1]


@dataclass(frozen=True, eq=False)
class BentGap(Gap):
    """Of ReLU and other functions that are linear but for kinks: s and t are slopes of f's pieces, the least and the greatest of
    those that X meets: a difference quotient is a mean of slopes on the way."""

    f: Relu | LeakyRelu | Abs | Clip

    def slopes(self, x: Box) -> tuple[Floats, Floats]:
        if isinstance(self.f, Clip):
            return _clip_slopes(self.f, x)
        left, right = _SIDES[type(self.f)] if not isinstance(self.f, LeakyRelu) else (self.f.alpha, 1.0)
        before, after = x.lower < 0, x.upper > 0
        s = np.where(before, left, right)
        return s, np.where(after, right, s)


_SIDES: dict[type[Elementwise], tuple[float, float]] = {Relu: (0.0, 1.0), Abs: (-1.0, 1.0)}
"""Slopes before and after 0."""


def _clip_slopes(f: Clip, x: Box) -> tuple[Floats, Floats]:
    """1 between the bounds and 0 beyond them, also where they cross and f is constant."""
    low, high = (None if c is None else c.mid.astype(np.float64).reshape(-1) for c in (f.lower, f.upper))
    inside, outside = np.ones(x.lower.shape, bool), np.zeros(x.lower.shape, bool)
    if low is not None:
        inside, outside = inside & (x.lower >= low), outside | (x.upper <= low)
    if high is not None:
        inside, outside = inside & (x.upper <= high), outside | (x.lower >= high)
    return np.where(inside & ~outside, 1.0, 0.0), np.where(outside, 0.0, 1.0)


def moved(a: Box, d: Box) -> Box:
    """A box of a - d."""
    return less(a, d)


def less(y: Box, z: Box) -> Box:
    """A box of y - z, rounded outward: a rounded difference's neighbours enclose the exact one, which is not subnormal unless
    it is exact."""
    with np.errstate(over="ignore", invalid="ignore"):
        low, high = y.lower - z.upper, y.upper - z.lower
    if not bool(np.isfinite(low).all() and np.isfinite(high).all()):
        raise OutOfRange("a difference of unbounded values")
    return Box(np.nextafter(low, -np.inf), np.nextafter(high, np.inf))


def hull(a: Box, b: Box) -> Box:
    return Box(np.minimum(a.lower, b.lower), np.maximum(a.upper, b.upper))


def _product_less(s: Floats, w: Floats, x: Floats, side: int) -> Floats:
    """s x - w x, at most (side -1) or at least (side 1); exact where s = w."""
    p, q = s * x, w * x
    charge = np.where(s == w, 0.0, CHARGE * (np.abs(p) + np.abs(q)) + TINY)
    return np.asarray(p - q + side * charge)
