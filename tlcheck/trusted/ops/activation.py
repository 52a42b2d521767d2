"""Piecewise-linear functions of one variable, and selections: the largest of some entries.

Lines are computed in exact integers for ReLU, in Arb at the ends and kinks for the others: f(z) - s z is linear between them,
so that its least and greatest values are there.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache, reduce

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith import int128
from tlcheck.trusted.arith.arb import Arb, arb, lower_float, upper_float
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.float32 import LARGEST32, TINY32, UNIT32, flushed, scaled_up
from tlcheck.trusted.arith.interface import Engine
from tlcheck.trusted.arith.maps import IndexMap
from tlcheck.trusted.ops.base import Relaxed, Shape, Step, one, require
from tlcheck.trusted.ops.elementwise import Elementwise
from tlcheck.trusted.ops.lines import SLOPE_BITS, Lines, Part, Relaxation, SlopeGuess, grid, picked, snap
from tlcheck.trusted.ops.ranges import entrywise

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

ZERO = arb(0)
_ONE = np.int64(1) << np.int64(SLOPE_BITS)


def signed(box: Box) -> Bools:
    """Where the sign is known."""
    return np.asarray((box.lower >= 0) | (box.upper <= 0))


@dataclass(frozen=True, eq=False)
class Relu(Elementwise):
    """max(x, 0)"""

    def ball(self, x: Arb, k: int = 0) -> Arb:
        return x if x >= 0 else ZERO if x <= 0 else ZERO.union(x.upper())

    def approximate(self, x: Floats) -> Floats:
        return np.maximum(x, 0.0)

    def image(self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], engine: Engine) -> Box:
        return Box(np.maximum(boxes[0].lower, 0.0), np.maximum(boxes[0].upper, 0.0))

    def stable(self, box: Box) -> Bools:
        return signed(box)

    def drawn(self, box: Box, guess: SlopeGuess) -> Lines:
        """Lower alpha z with alpha in [0, 1]; upper s z + t with t >= max(0 - s l, 0, u - s u): exact integers."""
        l, u = box.lower, box.upper
        active, inactive = l >= 0, u <= 0
        unstable = ~(active | inactive)
        some = np.flatnonzero(unstable.any(axis=0))
        alpha = active.astype(np.float64)
        if some.size:
            if guess.lower is None:
                wanted = (u[:, some] > -l[:, some]).astype(np.float64)
            else:
                wanted = grid(np.clip(np.nan_to_num(guess.lower[:, some], nan=0.0), 0.0, 1.0))
            if wanted.shape[0] > alpha.shape[0]:
                alpha = np.repeat(alpha, wanted.shape[0], axis=0)
            alpha[:, some] = np.where(unstable[:, some], wanted, alpha[:, some])
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            chord = np.where(unstable, u / (u - l), 0.0)
        s = np.where(active, _ONE, np.ceil(np.ldexp(np.clip(chord, 0.0, 1.0), SLOPE_BITS)).astype(np.int64))
        s = np.where(inactive & ~active, np.int64(0), s)
        t = np.zeros(s.shape)
        if some.size:
            part = np.maximum(_times_up(-s[:, some], l[:, some]), _times_up(_ONE - s[:, some], u[:, some]))
            t[:, some] = np.where(unstable[:, some], np.maximum(part, 0.0), 0.0)
        slope = np.ldexp(s.astype(np.float64), -SLOPE_BITS)
        return Lines((alpha, np.zeros((1, l.shape[1]))), (slope, t))

    def radius(self, boxes: tuple[Box, ...]) -> Floats | None:
        return flushed(boxes[0].lower.shape[1])


def _times_up(w: NDArray[np.int64], x: Floats) -> Floats:
    """A double >= w 2^-40 x, for |w| <= 2^41, entrywise; exact integer arithmetic, rounded up."""
    mantissa, exponent = np.frexp(x)
    m = np.ldexp(mantissa, 53).astype(np.int64)
    product = int128.negate(int128.multiply(w, m))
    s = np.maximum(int128.bit_length(product) - 53, 0)
    q = -int128.shift_right_floor(product, s)  # ceil
    e = exponent.astype(np.int64) - 53 - SLOPE_BITS + s
    result = np.ldexp(q.astype(np.float64), e.astype(np.int32))
    # |q| <= 2^53 converts exactly; ldexp is exact unless the result is subnormal, where one step up covers it.
    return np.where((np.abs(result) < 2.0**-1000) & (q != 0), np.maximum(result, 0.0) + 2.0**-1000, result)


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
        with np.errstate(divide="ignore", invalid="ignore"):
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

    def radius(self, boxes: tuple[Box, ...]) -> Floats | None:
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

    def radius(self, boxes: tuple[Box, ...]) -> Floats | None:
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

    def radius(self, boxes: tuple[Box, ...]) -> Floats | None:
        return flushed(boxes[0].lower.shape[1])


@dataclass(frozen=True, eq=False)
class MaxOver(Relaxed):
    """y.flat[k] = max over j with index[k,j] >= 0 of x.flat[index[k,j]]; every row has at least one such j.

    Covers MaxPool (padding takes no part), and Max of variables after a Rearrange that concatenates them.
    """

    shape: Shape
    index: NDArray[np.int64]

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        shape = one(inputs, "MaxOver")
        require(
            self.index.dtype == np.int64 and self.index.ndim == 2, "MaxOver: index must be a table of int64"
        )
        require(self.index.shape[0] == int(np.prod(self.shape, dtype=np.int64)), "MaxOver: one row per value")
        size = int(np.prod(shape, dtype=np.int64))
        require(bool(((self.index >= -1) & (self.index < size)).all()), "MaxOver: index out of range")
        require(bool((self.index >= 0).any(axis=1).all()), "MaxOver: empty window")
        return self.shape

    def step(self, inputs: tuple[Shape, ...], shape: Shape) -> Step:
        windows = [[i for i in row if i >= 0] for row in self.index.tolist()]
        return lambda xs: [largest([xs[0][i] for i in window]) for window in windows]

    def image(self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], engine: Engine) -> Box:
        values = (x[:, self.index] for x in (boxes[0].lower, boxes[0].upper))
        low, high = (np.where(self.index[None] >= 0, x, -np.inf).max(axis=2) for x in values)
        return Box(low, high)

    def radius(self, boxes: tuple[Box, ...]) -> Floats | None:
        return flushed(self.index.shape[0])

    def relaxation(self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...]) -> Relaxation:
        """The sum over a window of one line for each entry, all of them 0 but the chosen entry's (``selection``).

        a_k y_k >= sum_j (a_k+ (ls_kj x_kj + lt_kj) + a_k- (us_kj x_kj + ut_kj)): the copies of a_k share its sign, so each
        line is used where it is one. Each domain has slopes of its own, and so its own choice. An entry in several
        windows gets the sum of what they give it.
        """
        sums, entries = window_maps(self, int(boxes[0].lower.shape[1]))
        window = picked(boxes[0], entries)
        return Relaxation((Part(0, selection(self, window), window, entries),), sums, window)


def largest(balls: list[Arb]) -> Arb:
    """The maximum: the ball that is certainly largest, else from the largest lower end to the largest upper end."""
    contenders = balls[:1]
    for x in balls[1:]:
        if any(x <= c for c in contenders):
            continue
        contenders = [*(c for c in contenders if not c <= x), x]
    if len(contenders) == 1:
        return contenders[0]
    if not all(x.is_finite() for x in contenders):
        return reduce(lambda a, b: a.union(b), contenders)
    low, high = contenders[0].lower(), contenders[0].upper()
    for x in contenders[1:]:
        a, b = x.lower(), x.upper()  # exact balls: one comparison of two of them is always True
        low, high = (a if a >= low else low), (b if b >= high else high)
    return low.union(high)


@lru_cache(maxsize=16)
def window_maps(op: MaxOver, size: int) -> tuple[IndexMap, IndexMap]:
    """(the sum over each window, the entries of x, of which there are ``size``, in the windows): places k K + j."""
    rows, width = op.index.shape
    return (
        IndexMap(np.repeat(np.arange(rows, dtype=np.int64), width), rows, True),
        IndexMap(np.ascontiguousarray(op.index).reshape(-1), size),
    )


@lru_cache(maxsize=16)
def selection(op: MaxOver, window: Box) -> Lines:
    """Lines in the entries of each window, (D, n K), whose sums lie below (above) its maximum y on the box of the entries.

    In each domain and window one entry j with the greatest lower end is chosen: y >= x_j. Where x_j's lower end is at
    least every other's upper end, y = x_j; else y is at most the largest upper end. Other entries have the line 0.
    """
    if not np.isfinite(window.largest):
        raise OutOfRange("selection on an unbounded interval")  # with -inf, padding could be chosen
    used = op.index >= 0
    shape = (window.lower.shape[0], *op.index.shape)
    low = np.where(used[None], window.lower.reshape(shape), -np.inf)
    high = np.where(used[None], window.upper.reshape(shape), -np.inf)
    chosen = np.arange(shape[2]) == low.argmax(axis=2)[..., None]
    others = np.where(chosen, -np.inf, high).max(axis=2)
    dominates = np.where(chosen, low, -np.inf).max(axis=2) >= others
    top = np.where(dominates, 0.0, high.max(axis=2))
    slope = chosen.astype(np.float64)
    upper = (slope * dominates[..., None], np.where(chosen, top[..., None], 0.0))
    flat = (shape[0], -1)
    zeros = np.zeros((1, op.index.size))
    return Lines((slope.reshape(flat), zeros), (upper[0].reshape(flat), upper[1].reshape(flat)))
