"""Selections: the largest of some entries."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, reduce

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.arb import Arb
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.float32 import flushed
from tlcheck.trusted.arith.interface import Engine
from tlcheck.trusted.arith.maps import IndexMap
from tlcheck.trusted.arith.profile import Profile
from tlcheck.trusted.ops.base import Relaxed, Shape, Step, one, require
from tlcheck.trusted.ops.lines import Lines, Part, Relaxation, picked

Floats = NDArray[np.float64]


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

    def radius(
        self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], image: Box, profile: Profile
    ) -> Floats | None:
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
