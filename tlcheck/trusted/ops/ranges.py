"""From boxes of float64 to Arb at their ends, which are exact, and back, rounded outward."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.arb import Arb, arb, lower_float, upper_float
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.ops.base import Balls

Floats = NDArray[np.float64]

ZERO = arb(0)
UNDEFINED = arb("nan")
"""The ball of a value that does not exist."""


def finite(x: Balls) -> bool:
    """All values exist. Matrix products ask first: Arb's take 0 times a value that does not exist for 0."""
    return all(ball.is_finite() for ball in x)


def pairs(box: Box, shape: tuple[int, ...]) -> list[tuple[Arb, Arb]]:
    """(lower, upper) of every entry, exact, the box broadcast to ``shape``."""
    if not np.isfinite(box.largest):
        raise OutOfRange("a function of an unbounded value")
    ends = (np.broadcast_to(end, shape).reshape(-1).tolist() for end in (box.lower, box.upper))
    return [(arb(l), arb(u)) for l, u in zip(*ends, strict=True)]


def boxed(shape: tuple[int, ...], low: Iterable[float], high: Iterable[float]) -> Box:
    """Raises OutOfRange where an end is not finite."""
    lower, upper = (np.array(list(end), np.float64).reshape(shape) for end in (low, high))
    if not bool(np.isfinite(lower).all() and np.isfinite(upper).all()):
        raise OutOfRange("a function that is not defined, or not finite, on the whole box")
    return Box(lower, upper)


def entrywise(f: Callable[[Arb, int], Arb], x: Floats) -> tuple[Floats, Floats]:
    """(lower, upper) ends of f at each exact entry; entries must be finite."""
    if not bool(np.isfinite(x).all()):
        raise OutOfRange("activation of an unbounded value")
    low, high = np.empty(x.shape), np.empty(x.shape)
    for d, k in np.ndindex(x.shape):
        value = f(arb(float(x[d, k])), k)
        low[d, k], high[d, k] = lower_float(value), upper_float(value)
    return low, high


def on_ends(f: Callable[[Arb], Arb], x: Arb) -> Arb:
    """f over the ball, f monotone: spanned by the values at its two ends, which are exact balls."""
    return f(x) if x.is_exact() else f(x.lower()).union(f(x.upper()))
