"""Interval rules of smooth functions, products, softmax, steps and choices: a box of the values over the operands' boxes.

Guarantee: the returned box holds the exact value for every choice of operands in their boxes at which the operation is
defined. Real functions are evaluated in Arb at ends that are exact, and rounded outward; step functions and
comparisons are exact in floating point. An unbounded box, or one on which the operation may not be defined, is OutOfRange.

Nothing is decided here that the boxes leave open: a step function has the box of all its values, a comparison [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from math import prod

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.arb import Arb, arb, lower_float, upper_float
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.interface import Engine
from tlcheck.trusted.maps import IndexMap
from tlcheck.trusted.nonlinear import smooth_ends
from tlcheck.trusted.ops.base import Operation, Shape
from tlcheck.trusted.ops.discrete import (
    MAX_TRUNCATED,
    ArgMax,
    Compare,
    Discrete,
    Floor,
    Round,
    Select,
    Sign,
    Truncate,
)
from tlcheck.trusted.ops.indexed import Indexed, places
from tlcheck.trusted.ops.product import MatProduct, Product
from tlcheck.trusted.ops.smooth import Smooth
from tlcheck.trusted.ops.softmax import Softmax

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MAX_TERMS = 1 << 21
"""Products of one matrix product: some ten seconds."""


def range_of(op: Operation, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], engine: Engine) -> Box:
    """The operation's box; ``shapes`` are its operands'. Raises OutOfRange, ValueError for an operation without a rule."""
    match op:
        case Product():
            return product_range(boxes[0], boxes[1])
        case MatProduct():
            return mat_product_range(boxes[0], boxes[1], shapes, engine)
        case Softmax():
            return softmax_range(boxes[0], shapes[0][-1])
        case Discrete():
            return step_range(op, boxes[0])
        case Compare():
            return compare_range(op, boxes[0], boxes[1])
        case Select():
            return select_range(*boxes)
        case ArgMax():
            return arg_max_range(op, boxes[0], shapes[0][-1])
        case Indexed():
            return indexed_range(op, boxes, shapes)
        case _:
            raise ValueError(f"no enclosure for {type(op).__name__}")


# Smooth functions.


def smooth_range(op: Smooth, box: Box) -> Box:
    """f over each interval."""
    ends = [smooth_ends(op, l, u) for l, u in _pairs(box, box.lower.shape)]
    return _boxed(
        box.lower.shape, (lower_float(low) for low, _ in ends), (upper_float(high) for _, high in ends)
    )


def _pairs(box: Box, shape: tuple[int, ...]) -> list[tuple[Arb, Arb]]:
    """(lower, upper) of every entry, exact, the box broadcast to ``shape``."""
    if not np.isfinite(box.largest):
        raise OutOfRange("a function of an unbounded value")
    ends = (np.broadcast_to(end, shape).reshape(-1).tolist() for end in (box.lower, box.upper))
    return [(arb(l), arb(u)) for l, u in zip(*ends, strict=True)]


def _boxed(shape: tuple[int, ...], low: Iterable[float], high: Iterable[float]) -> Box:
    """Raises OutOfRange where an end is not finite."""
    lower, upper = (np.array(list(end), np.float64).reshape(shape) for end in (low, high))
    if not bool(np.isfinite(lower).all() and np.isfinite(upper).all()):
        raise OutOfRange("a function that is not defined, or not finite, on the whole box")
    return Box(lower, upper)


# Products.


@lru_cache(maxsize=16)
def product_range(a: Box, b: Box) -> Box:
    """a b lies between the least and the greatest product of ends."""
    shape = np.broadcast_shapes(a.lower.shape, b.lower.shape)
    low, high = [], []
    for (p, q), (r, s) in zip(_pairs(a, shape), _pairs(b, shape), strict=True):
        if p >= 0 and r >= 0:
            low.append(lower_float(p * r))
            high.append(upper_float(q * s))
        else:
            corners = [p * r, p * s, q * r, q * s]
            low.append(min(map(lower_float, corners)))
            high.append(max(map(upper_float, corners)))
    return _boxed(shape, low, high)


def mat_product_range(a: Box, b: Box, shapes: tuple[Shape, ...], engine: Engine) -> Box:
    """The sum of the boxes of all products of entries."""
    left, right, sums = matrix_terms(*shapes)
    terms = product_range(picked(a, left), picked(b, right))
    return engine.image((sums,), (terms,), None)


@lru_cache(maxsize=16)
def matrix_terms(a: Shape, b: Shape) -> tuple[IndexMap, IndexMap, IndexMap]:
    """The matrix product y = S (L x * R y): the entries that each term takes, and the sum that it goes into."""
    (m, k), n, batch = a[-2:], b[-1], prod(a[:-2])
    if batch * m * k * n > MAX_TERMS:
        raise OutOfRange(f"a product of matrices with {batch * m * k * n} terms")
    g, i, j, c = (x.reshape(-1) for x in np.indices((batch, m, k, n)))
    places_ = ((g * m + i) * k + j, (g * k + j) * n + c, (g * m + i) * n + c)
    left, right, sums = (np.ascontiguousarray(x, dtype=np.int64) for x in places_)
    sizes = (batch * m * k, batch * k * n, batch * m * n)
    return IndexMap(left, sizes[0]), IndexMap(right, sizes[1]), IndexMap(sums, sizes[2], True)


@lru_cache(maxsize=16)
def picked(box: Box, entries: IndexMap) -> Box:
    """The box of the entries."""
    return Box(box.lower[:, entries.index], box.upper[:, entries.index])


# Softmax.


def softmax_range(box: Box, n: int) -> Box:
    """y_i = e^(x_i) / (e^(x_i) + sum of the others') increases in x_i and decreases in the others.

    So its ends are at corners of the box. The others are summed without e^(x_i): nothing cancels.
    """
    ends = _pairs(box, box.lower.shape)
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


# Step functions: exact in floating point.


def _truncated(x: Floats) -> Floats:
    if not bool((np.abs(x) < MAX_TRUNCATED).all()):
        raise OutOfRange("a cast to integers of a value beyond 2^31")
    return np.trunc(x)


STEPS: dict[type[Discrete], Callable[[Floats], Floats]] = {
    Sign: np.sign,
    Floor: np.floor,
    Round: np.rint,
    Truncate: _truncated,
}
"""Functions that never decrease, and that floating point computes exactly."""


def step_range(op: Discrete, box: Box) -> Box:
    """From the value at the lower end to the value at the upper end."""
    function = STEPS[type(op)]
    return Box(function(box.lower), function(box.upper))


def compare_range(op: Compare, a: Box, b: Box) -> Box:
    """1 where every pair of numbers obeys the relation, 0 where none does, [0, 1] elsewhere."""
    holds, fails = {
        "==": (
            (a.lower == b.upper) & (a.upper == b.lower),
            (a.upper < b.lower) | (b.upper < a.lower),
        ),
        "<": (a.upper < b.lower, a.lower >= b.upper),
        "<=": (a.upper <= b.lower, a.lower > b.upper),
    }[op.relation]
    return Box(holds.astype(np.float64), (~fails).astype(np.float64))


def decided(condition: Box) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Where a condition, which is 0 or 1 wherever ``Select`` is defined, must be 1, and where it must be 0."""
    one, zero = condition.lower > 0, condition.upper < 1
    return one & ~zero, zero & ~one


def select_range(c: Box, a: Box, b: Box) -> Box:
    """a's or b's box where the condition is decided, else the smallest box around both."""
    one, zero = decided(c)
    lower, upper = np.minimum(a.lower, b.lower), np.maximum(a.upper, b.upper)
    return Box(
        np.where(one, a.lower, np.where(zero, b.lower, lower)),
        np.where(one, a.upper, np.where(zero, b.upper, upper)),
    )


def arg_max_range(op: ArgMax, box: Box, n: int) -> Box:
    """From the first to the last place that may win.

    Place i cannot win where another's lower end exceeds i's upper end, or equals it and wins ties. The place that does
    win is never left out, so that one remains.
    """
    low, high = (end.reshape(box.lower.shape[0], -1, n) for end in (box.lower, box.upper))
    if op.last:
        low, high = low[..., ::-1], high[..., ::-1]
    floor = np.maximum.accumulate(low, axis=-1)
    before = np.concatenate([np.full((*floor.shape[:-1], 1), -np.inf), floor[..., :-1]], axis=-1)
    possible = (high >= floor[..., -1:]) & ((high > before) | (np.arange(n) == 0))
    first, last = possible.argmax(axis=-1), n - 1 - possible[..., ::-1].argmax(axis=-1)
    if op.last:
        first, last = n - 1 - last, n - 1 - first
    return Box(first.astype(np.float64), last.astype(np.float64))


def indexed_range(op: Indexed, boxes: tuple[Box, ...], shapes: tuple[Shape, ...]) -> Box:
    """The boxes of the entries that the integers choose. Raises OutOfRange where a box does not fix an integer."""
    index = _places(op, boxes, shapes)
    pool = op.pool.mid.astype(np.float64).reshape(1, -1)
    rad = np.zeros_like(pool) if op.pool.rad is None else op.pool.rad.reshape(1, -1)
    pairs = [(arb(m), arb(r)) for m, r in zip(pool[0].tolist(), rad[0].tolist(), strict=True)]
    stored = _boxed(
        pool.shape, (lower_float(m - r) for m, r in pairs), (upper_float(m + r) for m, r in pairs)
    )
    parts = [box for box, moved in zip(boxes, op.moved, strict=True) if moved] + [stored]
    rows = max(part.lower.shape[0] for part in parts)
    lower, upper = (
        np.concatenate([np.broadcast_to(end, (rows, end.shape[1])) for end in ends], axis=1)
        for ends in ([p.lower for p in parts], [p.upper for p in parts])
    )
    return Box(lower[:, index], upper[:, index])


def _places(op: Indexed, boxes: tuple[Box, ...], shapes: tuple[Shape, ...]) -> Ints:
    integers = []
    for box, moved in zip(boxes, op.moved, strict=True):
        if moved:
            continue
        low, high = box.lower.min(axis=0), box.upper.max(axis=0)
        if not bool(((low == high) & (np.abs(low) < MAX_TRUNCATED) & (low == np.floor(low))).all()):
            raise OutOfRange("an index that the box does not fix")
        integers.append(low.astype(np.int64))
    try:
        return places(op, shapes, integers)
    except ValueError as error:
        raise OutOfRange(f"undefined for these integers: {error}") from None
