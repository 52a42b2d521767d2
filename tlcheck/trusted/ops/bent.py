"""Other piecewise-linear functions of one variable.

Their lines are computed in Arb at the ends and kinks: f(z) - s z is linear between them, so that its least and greatest values
are there.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.arb import Arb, arb, lower_float, upper_float
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.float32 import LARGEST32, TINY32, UNIT32, flushed, scaled_up
from tlcheck.trusted.arith.interface import Engine
from tlcheck.trusted.arith.profile import Profile
from tlcheck.trusted.ops.base import Shape, one, require
from tlcheck.trusted.ops.elementwise import Elementwise, signed
from tlcheck.trusted.ops.lines import Lines, SlopeGuess, snap
from tlcheck.trusted.ops.ranges import ZERO, entrywise

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Bent(Elementwise):
    """A piecewise-linear function with lines of any slopes."""

    @abstractmethod
    def kinks(self, shape: tuple[int, ...]) -> list[Floats]:
        """Where f is not linear, for boxes of ``shape`` (D, n)."""

    @abstractmethod
    def touching(
        self, l: Floats, u: Floats, chord: Floats, ends: tuple[Floats, Floats], lower: bool
    ) -> Floats:
        """A guess: the chord where f is on its convex (concave) side, else a slope of one of f's pieces."""

    def stable(self, box: Box) -> Bools:
        found = np.ones(box.lower.shape, bool)
        for kink in self.kinks(box.lower.shape):
            found &= (box.lower >= kink) | (box.upper <= kink)
        return found

    def drawn(self, box: Box, guess: SlopeGuess) -> Lines:
        shape = guess.shape(box)
        l, u = np.broadcast_to(box.lower, shape), np.broadcast_to(box.upper, shape)
        kinks = self.kinks(shape)
        ls, us = self._slopes(l, u, guess)
        lt, ut = np.empty(shape), np.empty(shape)
        for d, k in np.ndindex(shape):
            points = [arb(float(l[d, k])), arb(float(u[d, k]))]
            points += [arb(float(kink[d, k])) for kink in kinks if l[d, k] < kink[d, k] < u[d, k]]
            heights = [(self.ball(p, k), p) for p in points]
            lt[d, k] = min(lower_float(h - arb(float(ls[d, k])) * p) for h, p in heights)
            ut[d, k] = max(upper_float(h - arb(float(us[d, k])) * p) for h, p in heights)
        return Lines((ls, lt), (us, ut))

    def _slopes(self, l: Floats, u: Floats, guess: SlopeGuess) -> Floats:
        """Of both lines, (2, D, n): snapped together, on one grid."""
        ends = (self.approximate(l), self.approximate(u))
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            chord = np.where(u > l, (ends[1] - ends[0]) / (u - l), 0.0)
        found = [
            self.touching(l, u, chord, ends, lower) if given is None else np.broadcast_to(given, l.shape)
            for given, lower in ((guess.lower, True), (guess.upper, False))
        ]
        return snap(np.stack(found))


def _one_kink(
    l: Floats, u: Floats, chord: Floats, slopes: tuple[float, float], chord_: Bools | bool
) -> Floats:
    """The slope of the side of 0 that is the wider; the chord where ``chord_``, and on one side of 0."""
    steep = np.where(u > -l, slopes[1], slopes[0])
    return np.where((l >= 0) | (u <= 0) | chord_, chord, steep)


@dataclass(frozen=True, eq=False)
class LeakyRelu(Bent):
    """x for x >= 0, alpha x for x < 0; alpha an exact float (any finite value)."""

    alpha: float

    def __post_init__(self) -> None:
        require(bool(np.isfinite(self.alpha)), "LeakyRelu: alpha must be finite")

    def ball(self, x: Arb, k: int = 0) -> Arb:
        """One kink, at 0: over an interval around it the range is spanned by the ends and 0."""
        if x >= 0:
            return x
        alpha = arb(self.alpha)
        return alpha * x if x <= 0 else ZERO.union(alpha * x.lower()).union(x.upper())

    def approximate(self, x: Floats) -> Floats:
        return np.where(x >= 0, x, self.alpha * x)

    def image(self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], engine: Engine) -> Box:
        (l, u) = ends = boxes[0].lower, boxes[0].upper
        (a, b), (c, d) = (entrywise(self.ball, x) for x in ends)
        low, high = np.minimum(a, c), np.maximum(b, d)
        inside = (l < 0) & (u > 0)
        return Box(np.where(inside, np.minimum(low, 0.0), low), np.where(inside, np.maximum(high, 0.0), high))

    def kinks(self, shape: tuple[int, ...]) -> list[Floats]:
        return [np.zeros(shape)]

    def touching(
        self, l: Floats, u: Floats, chord: Floats, ends: tuple[Floats, Floats], lower: bool
    ) -> Floats:
        return _one_kink(l, u, chord, (self.alpha, 1.0), (self.alpha <= 1) != lower)

    def radius(
        self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], image: Box, profile: Profile
    ) -> Floats | None:
        alpha = abs(Fraction(self.alpha))
        if not (1 + alpha) * Fraction(min(boxes[0].largest, LARGEST32)) < Fraction(LARGEST32):
            raise OutOfRange("float32 overflow")
        return scaled_up(alpha * UNIT32, boxes[0].magnitude, (1 + alpha) * TINY32)


@dataclass(frozen=True, eq=False)
class Abs(Bent):
    """|x|"""

    def ball(self, x: Arb, k: int = 0) -> Arb:
        if x >= 0:
            return x
        return -x if x <= 0 else ZERO.union(-x.lower()).union(x.upper())

    def approximate(self, x: Floats) -> Floats:
        return np.abs(x)

    def image(self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], engine: Engine) -> Box:
        l, u = np.abs(boxes[0].lower), np.abs(boxes[0].upper)
        return Box(np.where(signed(boxes[0]), np.minimum(l, u), 0.0), np.maximum(l, u))

    def kinks(self, shape: tuple[int, ...]) -> list[Floats]:
        return [np.zeros(shape)]

    def touching(
        self, l: Floats, u: Floats, chord: Floats, ends: tuple[Floats, Floats], lower: bool
    ) -> Floats:
        return _one_kink(l, u, chord, (-1.0, 1.0), not lower)

    def radius(
        self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], image: Box, profile: Profile
    ) -> Floats | None:
        return flushed(boxes[0].lower.shape[1])


@dataclass(frozen=True, eq=False)
class Clip(Bent):
    """min(max(x, lower), upper); a bound that is None is absent. A bound is one number, or one
    per value (x's shape), and exact (no radius).

    Covers ONNX Clip, and Max and Min of a variable with a constant. lower > upper gives upper, as in ONNX.
    """

    lower: Constant | None
    upper: Constant | None

    def __post_init__(self) -> None:
        for c in (self.lower, self.upper):
            require(c is None or c.rad is None, "Clip: bounds must be exact")

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        shape = one(inputs, "Clip")
        for c in (self.lower, self.upper):
            require(
                c is None or c.size == 1 or c.shape == shape, "Clip: a bound is one number or has x's shape"
            )
        return shape

    @cached_property
    def _bounds(self) -> tuple[Floats | None, Floats | None]:
        """One number, or one per value, flat."""
        low, high = (
            None if c is None else c.mid.astype(np.float64).reshape(-1) for c in (self.lower, self.upper)
        )
        return low, high

    def ball(self, x: Arb, k: int = 0) -> Arb:
        """Bounds are exact: where x straddles one, from it to x's end beyond."""
        low, high = (None if b is None else arb(float(b[k if b.size > 1 else 0])) for b in self._bounds)
        if low is not None:
            x = x if x >= low else low if x <= low else low.union(x.upper())
        if high is not None:
            x = x if x <= high else high if x >= high else high.union(x.lower())
        return x

    def approximate(self, x: Floats) -> Floats:
        for bound, limit in zip(self._bounds, (np.maximum, np.minimum), strict=True):
            if bound is not None:
                x = limit(x, bound)
        return x

    def image(self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], engine: Engine) -> Box:
        return Box(self.approximate(boxes[0].lower), self.approximate(boxes[0].upper))  # exact in floats

    def kinks(self, shape: tuple[int, ...]) -> list[Floats]:
        return [np.broadcast_to(bound, shape) for bound in self._bounds if bound is not None]

    def touching(
        self, l: Floats, u: Floats, chord: Floats, ends: tuple[Floats, Floats], lower: bool
    ) -> Floats:
        """Clip is convex around its lower kink, concave around its upper one."""
        flat_low, flat_high = ends[0] > l, ends[1] < u
        wide = u > -l
        if lower:
            one_sided = np.where(flat_low, np.where(wide, 1.0, 0.0), chord)
        else:
            one_sided = np.where(flat_high, np.where(wide, 0.0, 1.0), chord)
        return np.where(flat_low & flat_high, chord, one_sided)

    def radius(
        self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], image: Box, profile: Profile
    ) -> Floats | None:
        return flushed(boxes[0].lower.shape[1])
