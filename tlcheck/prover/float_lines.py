"""Boxes and lines of every operation that passes go through, in floats, unsound: the choices of ``trusted.ops``.

Where a rule is not written here for whole arrays, the operation's own proved one is asked. Ends are (D, n), or (1, n) where
domains share them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.ball64 import Ball64
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.maps import IndexMap
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.base import Operation, Relaxed, Shape
from tlcheck.trusted.ops.bent import Bent
from tlcheck.trusted.ops.elementwise import Elementwise
from tlcheck.trusted.ops.lines import SlopeGuess
from tlcheck.trusted.ops.product import MatProduct, Product, matrix_terms
from tlcheck.trusted.ops.s_shaped import SShaped
from tlcheck.trusted.ops.smooth import Cos, Exp, Periodic, Reciprocal, Sin, Smooth
from tlcheck.trusted.ops.softmax import Softmax

Array = NDArray[Any]
Ends = tuple[Array, Array]

BISECTIONS: Final = 40
TINY: Final = 1e-30


@dataclass(frozen=True, eq=False)
class Part:
    """slope low x + low <= (its share of a term) <= slope high x + high, for the entries x of one operand.

    ``operand``: a position. ``lower`` and ``upper``: (slope, intercept or None for 0), each (D, n) or (1, n).
    """

    operand: int
    lower: tuple[Array, Array | None]
    upper: tuple[Array, Array | None]
    entries: IndexMap | None = None


@dataclass(frozen=True, eq=False)
class Lines:
    """y = S t, each term between the sums over ``parts`` of lines in their entries; ``sums`` None: t = y."""

    parts: tuple[Part, ...]
    sums: IndexMap | None = None

    def domains(self, which: NDArray[np.int64]) -> Lines:
        """Those of some domains; lines that all share stay shared."""

        def of(x: Array | None) -> Any:
            return x if x is None or x.shape[0] == 1 else x[which]

        parts = (
            Part(p.operand, (of(p.lower[0]), of(p.lower[1])), (of(p.upper[0]), of(p.upper[1])), p.entries)
            for p in self.parts
        )
        return Lines(tuple(parts), self.sums)


def image_of(op: Operation, boxes: Sequence[Ends], shapes: tuple[Shape, ...]) -> Ends:
    """A box of an operation that is not affine. Raises OutOfRange where it has no bounds."""
    l, u = boxes[0] if boxes else (np.zeros((1, 0)), np.zeros((1, 0)))
    match op:
        case Relu():
            return np.maximum(l, 0), np.maximum(u, 0)
        case Bent():
            return _span([op.approximate(np.asarray(z)) for z in _corners(op, l, u)], l.dtype)
        case SShaped():
            return op.approximate(l), op.approximate(u)
        case Product():
            return _span([x * y for x in boxes[0] for y in boxes[1]], l.dtype)
        case MatProduct():
            return _matrix_image(boxes, shapes)
        case Softmax():
            return _softmax(l, u, shapes[0][-1])
        case Sin() | Cos() | Exp() | Reciprocal():
            return _smooth_image(op, l, u)
        case _:
            found = op.image(tuple(_boxed(b) for b in boxes), shapes, Ball64())
            return found.lower.astype(l.dtype), found.upper.astype(l.dtype)


def lines_of(
    op: Relaxed, boxes: Sequence[Ends], shapes: tuple[Shape, ...], slopes: Array | None = None
) -> Lines:
    """Lines on the boxes; ``slopes`` (D, n): suggested ones of an activation's lower line. Raises OutOfRange."""
    l, u = boxes[0]
    match op:
        case Relu():
            return relu_lines(l, u, slopes)
        case Bent():
            return _bent(op, l, u, slopes)
        case SShaped():
            return _s_shaped(op, l, u, slopes)
        case Sin() | Cos() | Exp() | Reciprocal():
            return _smooth(op, l, u)
        case Product():
            return Lines(_planes(*boxes))
        case MatProduct():
            left, right, sums = matrix_terms(*shapes)
            found = [
                (end[0][:, m.index], end[1][:, m.index]) for end, m in zip(boxes, (left, right), strict=True)
            ]
            x, y = _planes(*found)
            return Lines((Part(0, x.lower, x.upper, left), Part(1, y.lower, y.upper, right)), sums)
        case _:
            return _proved(op, boxes, shapes, slopes)


def relu_lines(l: Array, u: Array, slopes: Array | None = None) -> Lines:
    """Lower a z, a from ``slopes``, else 1 where more of the box is above 0; upper s (z - l): s = u/(u - l)."""
    top, bottom = np.maximum(u, 0), np.minimum(l, 0)
    s = top / np.maximum(top - bottom, np.asarray(TINY, l.dtype))
    if slopes is None:
        a = (u > -l).astype(l.dtype)
    else:
        a = np.where(l >= 0, 1, np.where(u <= 0, 0, slopes)).astype(l.dtype)
    return Lines((Part(0, (a, None), (s, -s * bottom)),))


def stable(op: Operation, l: Array, u: Array) -> Array:
    """Where tighter bounds would not change an activation's lines; nowhere, of other operations."""
    match op:
        case Relu():
            return np.asarray((l >= 0) | (u <= 0))
        case Bent():
            found = np.ones(l.shape, bool)
            for kink in op.kinks(l.shape):
                found &= (l >= kink) | (u <= kink)
            return found
        case Elementwise():
            return np.asarray(l == u)
        case _:
            return np.zeros(l.shape, bool)


def _boxed(ends: Ends) -> Box:
    l, u = (np.asarray(end, np.float64) for end in ends)
    return Box(l, np.maximum(l, u))


def _span(values: Sequence[Array], dtype: np.dtype[Any]) -> Ends:
    low, high = values[0], values[0]
    for v in values[1:]:
        low, high = np.minimum(low, v), np.maximum(high, v)
    return low.astype(dtype, copy=False), high.astype(dtype, copy=False)


def _corners(op: Bent, l: Array, u: Array) -> list[Array]:
    """The ends, and the kinks where they are inside."""
    return [l, u, *(np.clip(kink, l, u) for kink in op.kinks(l.shape))]


def _matrix_image(boxes: Sequence[Ends], shapes: tuple[Shape, ...]) -> Ends:
    """Sums of the boxes of all products of entries, term (batch, m, k, n) by term."""
    (*batch, m, k), n = shapes[0], shapes[1][-1]
    x, y = (
        [end.reshape(-1, int(np.prod(batch, dtype=np.int64)), *rest) for end in ends]
        for ends, rest in zip(boxes, ((m, k, 1), (1, k, n)), strict=True)
    )
    low, high = _span([a * b for a in x for b in y], boxes[0][0].dtype)
    return tuple(end.sum(axis=3).reshape(len(end), -1) for end in (low, high))  # type: ignore[return-value]


def _softmax(l: Array, u: Array, n: int) -> Ends:
    """y_i is greatest where x_i is and the others are least."""
    low, high = (x.reshape(-1, n) for x in (l, u))
    top = high.max(axis=1, keepdims=True)
    least, most = np.exp(low - top), np.exp(high - top)
    below = least / (least + most.sum(axis=1, keepdims=True) - most)
    above = most / (most + least.sum(axis=1, keepdims=True) - least)
    return below.reshape(l.shape), above.reshape(u.shape)


def _fitted(f: Any, ls: Array, us: Array, low: Sequence[Array], high: Sequence[Array], dtype: Any) -> Lines:
    """Lines of these slopes, through the points where f leaves them farthest."""
    lt = np.min([f(z) - ls * z for z in low], axis=0)
    ut = np.max([f(z) - us * z for z in high], axis=0)
    a, b, c, d = (np.asarray(x, dtype) for x in (ls, lt, us, ut))
    return Lines((Part(0, (a, b), (c, d)),))


def _bent(op: Bent, l: Array, u: Array, slopes: Array | None) -> Lines:
    """f(z) - s z is linear between the ends and the kinks."""
    dtype = l.dtype
    l, u = l.astype(np.float64), u.astype(np.float64)
    ends = op.approximate(l), op.approximate(u)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        chord = np.where(u > l, (ends[1] - ends[0]) / (u - l), 0.0)
    ls, us = (op.touching(l, u, chord, ends, lower) for lower in (True, False))
    ls = ls if slopes is None else np.asarray(slopes, np.float64)
    shape = np.broadcast_shapes(l.shape, ls.shape)
    corners = _corners(op, np.broadcast_to(l, shape), np.broadcast_to(u, shape))
    return _fitted(op.approximate, ls, us, corners, corners, dtype)


def _s_shaped(op: SShaped, l: Array, u: Array, slopes: Array | None) -> Lines:
    """f(z) - w z is least at the ends or where f' = w and f bends up, below 0; greatest likewise above 0."""
    dtype = l.dtype
    l, u = l.astype(np.float64), u.astype(np.float64)
    ls = op.good_slope(l, u, True) if slopes is None else np.clip(slopes, -1.0, 1.0)
    us = op.good_slope(l, u, False)
    l, u = (np.broadcast_to(x, np.broadcast_shapes(l.shape, ls.shape)) for x in (l, u))
    low, high = -_turn(op, ls, np.maximum(-l, 0)), _turn(op, us, np.maximum(u, 0))
    return _fitted(op.approximate, ls, us, [l, u, np.clip(low, l, u)], [l, u, np.clip(high, l, u)], dtype)


def _turn(op: SShaped, w: Array, most: Array) -> Array:
    """The z in [0, most] where f'(z) = w, or the end that is nearest to one."""
    a, b = np.zeros(np.broadcast_shapes(w.shape, most.shape)), most
    for _ in range(BISECTIONS):
        m = (a + b) / 2
        steep = op.slope(m) > w
        a, b = np.where(steep, m, a), np.where(steep, b, m)
    return np.asarray((a + b) / 2)


def _derivative(op: Smooth, z: Array) -> Array:
    match op:
        case Sin():
            return np.cos(z)
        case Cos():
            return -np.sin(z)
        case Exp():
            return np.exp(z)
        case _:
            return np.asarray(-1 / z**2)


def _bend(op: Smooth, z: Array) -> Array:
    """f'' up to a positive factor."""
    match op:
        case Sin():
            return -np.sin(z)
        case Cos():
            return -np.cos(z)
        case Exp():
            return np.ones_like(z)
        case _:
            return z


def _turns(op: Smooth, l: Array, u: Array) -> Ends:
    """Least and greatest values: at the ends, or 1 and -1 where the function turns inside."""
    low, high = _span([op.approximate(l), op.approximate(u)], l.dtype)
    if not isinstance(op, Periodic):
        return low, high
    first = np.pi / 2 if isinstance(op, Sin) else 0.0
    for value, at, limit in ((1.0, first, np.maximum), (-1.0, first + np.pi, np.minimum)):
        inside = np.floor((u - at) / (2 * np.pi)) >= np.ceil((l - at) / (2 * np.pi))
        low, high = (low, np.where(inside, limit(high, value), high)) if value > 0 else (
            np.where(inside, limit(low, value), low), high
        )  # fmt: skip
    return low, high


def _smooth_image(op: Smooth, l: Array, u: Array) -> Ends:
    if isinstance(op, Reciprocal) and bool(((l <= 0) & (u >= 0)).any()):
        raise OutOfRange("1 / x around 0")
    dtype = l.dtype
    low, high = _turns(op, l.astype(np.float64), u.astype(np.float64))
    if not bool(np.isfinite(low).all() and np.isfinite(high).all()):
        raise OutOfRange("a function without a finite range")
    return low.astype(dtype), high.astype(dtype)


def _smooth(op: Smooth, l: Array, u: Array) -> Lines:
    """A tangent and a chord where f bends one way (sine: on each side of 0); else the ends of its range."""
    dtype, kinks = l.dtype, isinstance(op, Sin)
    if isinstance(op, Reciprocal) and bool(((l <= 0) & (u >= 0)).any()):
        raise OutOfRange("1 / x around 0")
    l, u = l.astype(np.float64), u.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        chord = np.where(u > l, (op.approximate(u) - op.approximate(l)) / (u - l), _derivative(op, l))
    m = (l + u) / 2
    tangent = _derivative(op, np.minimum(m, l + 0.99) if isinstance(op, Exp) else m)
    bends = np.sign(_bend(op, l)), np.sign(_bend(op, u))
    straddles = (l < 0) & (u > 0) & kinks & (l >= -3) & (u <= 3)
    one_way = (bends[0] == bends[1]) & ~((l < 0) & (u > 0) & kinks)
    if isinstance(op, Periodic):
        one_way &= u - l < 3
    ls, us = (np.where(one_way, np.where(bends[0] * s > 0, tangent, chord), chord) for s in (1, -1))
    ls, us = (np.where(one_way | straddles, s, 0.0) for s in (ls, us))
    zero = np.clip(0.0, l, u)
    low, high = ([l, zero, u, *(_match(op, s, a, b) for a, b in ((l, zero), (zero, u)))] for s in (ls, us))
    drawn = _fitted(op.approximate, ls, us, low, high, dtype)
    if bool((one_way | straddles).all()):
        return drawn
    return _flat_where(~(one_way | straddles), drawn, _turns(op, l, u), dtype)


def _flat_where(flat: Array, drawn: Lines, ends: Ends, dtype: Any) -> Lines:
    """Lines of slope 0 at the ends of the range, where ``flat``."""
    (part,) = drawn.parts
    (a, b), (c, d) = part.lower, part.upper
    b, d = (np.where(flat, end, t).astype(dtype) for end, t in zip(ends, (b, d), strict=True))
    return Lines((Part(0, (a, b), (c, d)),))


def _match(op: Smooth, slope: Array, a: Array, b: Array) -> Array:
    """Where f' is the slope on [a, b], f' monotone there."""
    rising = _derivative(op, b) > _derivative(op, a)
    for _ in range(BISECTIONS):
        m = (a + b) / 2
        left = (_derivative(op, m) < slope) == rising
        a, b = np.where(left, m, a), np.where(left, b, m)
    return np.asarray((a + b) / 2)


def _planes(x: Ends, y: Ends) -> tuple[Part, Part]:
    """x y = q x + p y - p q + (x - p)(y - q), p and q the middles."""
    p, q = (x[0] + x[1]) / 2, (y[0] + y[1]) / 2
    half = (x[1] - x[0]) / 2 * ((y[1] - y[0]) / 2)
    q_, p_ = q + 0 * p, p + 0 * q
    return Part(0, (q_, -p * q - half), (q_, -p * q + half)), Part(1, (p_, None), (p_, None))


def _proved(op: Relaxed, boxes: Sequence[Ends], shapes: tuple[Shape, ...], slopes: Array | None) -> Lines:
    """The operation's own."""
    dtype = boxes[0][0].dtype
    ends = tuple(_boxed(b) for b in boxes)
    if isinstance(op, Elementwise):
        guess = SlopeGuess(None if slopes is None else np.asarray(slopes, np.float64), None)
        drawn = op.lines(ends[0], guess)
        return Lines((_part(0, drawn, None, dtype),))
    found = op.relaxation(ends, shapes)
    return Lines(tuple(_part(p.operand, p.lines, p.entries, dtype) for p in found.parts), found.sums)


def _part(operand: int, drawn: Any, entries: IndexMap | None, dtype: Any) -> Part:
    (ls, lt), (us, ut) = drawn.lower, drawn.upper
    if not all(bool(np.isfinite(x).all()) for x in (ls, lt, us, ut)):
        raise OutOfRange("a line without an intercept")
    return Part(operand, (ls.astype(dtype), lt.astype(dtype)), (us.astype(dtype), ut.astype(dtype)), entries)
