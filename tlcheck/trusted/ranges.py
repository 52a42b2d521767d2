"""Interval rules of smooth functions and products: a box of the values over the operands' boxes.

Guarantee: the returned box holds the exact value for every choice of operands in their boxes. Ends are computed in Arb at
the working precision and rounded outward. An unbounded box, or one on which the function is not defined, is OutOfRange.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.arb import Arb, arb, lower_float, upper_float
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.nonlinear import smooth_ball
from tlcheck.trusted.ops.smooth import Smooth

Floats = NDArray[np.float64]


def smooth_range(op: Smooth, box: Box) -> Box:
    """f over each interval, as ``nonlinear.smooth_ball`` encloses it."""
    return _boxed(box.lower.shape, [smooth_ball(op, x) for x in _intervals(box)])


def product_range(a: Box, b: Box) -> Box:
    """a b lies between the least and the greatest product of ends."""
    d = max(a.lower.shape[0], b.lower.shape[0])
    shape = (d, a.lower.shape[1])
    pairs = zip(_pairs(a, shape), _pairs(b, shape), strict=True)
    return _boxed(shape, [_span([p * q for p in x for q in y]) for x, y in pairs])


def _pairs(box: Box, shape: tuple[int, ...]) -> list[tuple[Arb, Arb]]:
    """(lower, upper) of every entry, exact, the box broadcast to ``shape``."""
    if not bool(np.isfinite(box.lower).all() and np.isfinite(box.upper).all()):
        raise OutOfRange("a function of an unbounded value")
    ends = (np.broadcast_to(end, shape).reshape(-1).tolist() for end in (box.lower, box.upper))
    return [(arb(l), arb(u)) for l, u in zip(*ends, strict=True)]


def _intervals(box: Box) -> list[Arb]:
    return [l if l == u else l.union(u) for l, u in _pairs(box, box.lower.shape)]


def _span(values: Sequence[Arb]) -> Arb:
    low = values[0]
    for x in values[1:]:
        low = low.union(x)
    return low


def _boxed(shape: tuple[int, ...], balls: list[Arb]) -> Box:
    """The balls' ends, outward. Raises OutOfRange where a ball is not finite."""
    low = np.array([lower_float(x) for x in balls], np.float64).reshape(shape)
    high = np.array([upper_float(x) for x in balls], np.float64).reshape(shape)
    if not bool(np.isfinite(low).all() and np.isfinite(high).all()):
        raise OutOfRange("a function that is not defined on the whole box")
    return Box(low, high)
