"""How far maxima and softmax move with their operands (``gap``)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.arb import Arb, arb, lower_float, upper_float
from tlcheck.trusted.arith.box import Box
from tlcheck.trusted.arith.interface import Engine
from tlcheck.trusted.ops.base import Boxed, Shape
from tlcheck.trusted.ops.gap import Moved
from tlcheck.trusted.ops.selection import MaxOver
from tlcheck.trusted.ops.softmax import Softmax, softmax_range

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MaxGap(Moved, Boxed):
    """max over j of a_j, less max over j of a_j - d_j.

    With i where a_i is greatest, max (a_j - d_j) >= a_i - d_i: Gap <= d_i. With i where a_i - d_i is, max a_j >= a_i: Gap >= d_i.
    So Gap lies between the least and the greatest d_j of the window.
    """

    f: MaxOver

    def image(self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], engine: Engine) -> Box:
        index, d = self.f.index, boxes[1]
        used = index[None] >= 0
        low = np.where(used, d.lower[:, index], np.inf).min(axis=2)
        high = np.where(used, d.upper[:, index], -np.inf).max(axis=2)
        found = self.apart(boxes, shapes).meet(Box(low, high))
        return Box(found.lower, np.maximum(found.lower, found.upper))


@dataclass(frozen=True, eq=False)
class SoftmaxGap(Moved, Boxed):
    """softmax(a) - softmax(a - d) over the last axis.

    With y = softmax(a) > 0, which sums to 1, softmax(a - d)_i = y_i e^(-d_i) / S with S = sum of y_j e^(-d_j), between the
    least and the greatest of e^(-d_j). So Gap_i = y_i (1 - e^(-d_i) / S) is between y_i (1 - e^(max d - d_i)) <= 0 and
    y_i (1 - e^(min d - d_i)) >= 0.
    """

    f: Softmax

    def image(self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], engine: Engine) -> Box:
        n = shapes[0][-1]
        y, d = softmax_range(boxes[0], n).upper, boxes[1]
        shape = np.broadcast_shapes(y.shape, d.lower.shape)
        tops, l, u = (np.broadcast_to(x, shape).reshape(-1, n) for x in (y, d.lower, d.upper))
        low = (lower_float(-arb(t) * x) for t, x in _grown(tops, u.max(axis=1), l))
        high = (upper_float(-arb(t) * x) for t, x in _grown(tops, l.min(axis=1), u))
        by_shares = (
            np.array(list(end)).reshape(shape) for end in (low, high)
        )  # infinite where e^.. is no double
        found = self.apart(boxes, shapes).meet(Box(*by_shares))
        return Box(found.lower, np.maximum(found.lower, found.upper))


def _grown(tops: Floats, ends: Floats, d: Floats) -> Iterator[tuple[float, Arb]]:
    """(y_i, e^(end - d_i) - 1) for every value i of every row, with the row's ``end``."""
    for row, end, steps in zip(tops.tolist(), ends.tolist(), d.tolist(), strict=True):
        yield from ((t, (arb(end) - arb(x)).expm1()) for t, x in zip(row, steps, strict=True))
