"""ReLU. Its lines are computed in exact integers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith import int128
from tlcheck.trusted.arith.arb import Arb
from tlcheck.trusted.arith.box import Box
from tlcheck.trusted.arith.float32 import flushed
from tlcheck.trusted.arith.interface import SLOPE_BITS, Engine
from tlcheck.trusted.arith.profile import Profile
from tlcheck.trusted.ops.base import Shape
from tlcheck.trusted.ops.elementwise import Elementwise, signed
from tlcheck.trusted.ops.lines import Lines, SlopeGuess, grid
from tlcheck.trusted.ops.ranges import ZERO

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_ONE = np.int64(1) << np.int64(SLOPE_BITS)


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
        active = box.lower >= 0
        open_ = ~(active | (box.upper <= 0))
        l, u = box.lower[open_], box.upper[open_]
        with np.errstate(over="ignore"):
            chord = np.ceil(np.ldexp(np.clip(u / (u - l), 0.0, 1.0), SLOPE_BITS)).astype(np.int64)
        s, t = np.where(active, _ONE, np.int64(0)), np.zeros(active.shape)
        s[open_] = chord
        t[open_] = np.maximum(np.maximum(_times_up(-chord, l), _times_up(_ONE - chord, u)), 0.0)
        alpha = active.astype(np.float64)
        if guess.lower is None:
            alpha[open_] = u > -l
        else:
            alpha, given, bent = (np.array(x) for x in np.broadcast_arrays(alpha, guess.lower, open_))
            alpha[bent] = grid(np.clip(np.nan_to_num(given[bent], nan=0.0), 0.0, 1.0))
        slope = np.ldexp(s.astype(np.float64), -SLOPE_BITS)
        return Lines((alpha, np.zeros((1, s.shape[1]))), (slope, t))

    def radius(
        self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], image: Box, profile: Profile
    ) -> Floats | None:
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
