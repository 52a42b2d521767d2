"""Forward enclosures: a box for every node from the boxes of its operands, and the float32 rounding radii.

``image`` encloses a node's exact values over the operands' boxes. ``rounding_radius`` bounds |float32 result - exact
operation on the same operands| for operands in their boxes, for every order of summation, with or without FMA, with or
without flush-to-zero (NUMERICS E.2): with it, boxes enclose the values of the deployed execution.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.arb import arb, floor_float, lower_float, upper_float
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.interface import Engine
from tlcheck.trusted.interval_rules import range_of, smooth_range
from tlcheck.trusted.lines import piecewise_value
from tlcheck.trusted.maps import Affine, IndexMap, Map, SignMap
from tlcheck.trusted.ops.activation import Abs, Clip, Elementwise, LeakyRelu, MaxOver, Relu, Sigmoid, Tanh
from tlcheck.trusted.ops.affine import Scale
from tlcheck.trusted.ops.base import Operation, Shape
from tlcheck.trusted.ops.smooth import Smooth
from tlcheck.trusted.ops.structure import Fixed

Floats = NDArray[np.float64]

UNIT32 = Fraction(1, 1 << 24)
"""Unit roundoff of float32, round to nearest."""
TINY32 = Fraction(1, 1 << 126)
"""Largest loss of one float32 operation to underflow, flush-to-zero included."""
LARGEST32 = 2.0**126
"""Sums of magnitudes up to here keep every float32 partial sum, rounded, below overflow (gamma < 1)."""


def image(
    op: Operation,
    affine: Affine | None,
    boxes: tuple[Box, ...],
    engine: Engine,
    shapes: tuple[Shape, ...] = (),
) -> Box:
    """An enclosure of the operation's values over ``boxes`` (D, n); ``shapes`` are the operands'. Raises OutOfRange."""
    if affine is not None:
        if affine.offset is None and len(affine.maps) == 1:
            moved = _moved(affine, boxes[0])
            if moved is not None:
                return moved
        return engine.image(affine.maps, boxes, affine.offset)
    match op:
        case Fixed():
            mid = op.value.mid.astype(np.float64).reshape(1, -1)
            rad = op.value.rad
            if rad is None:
                return Box(mid, mid)
            down = [
                [
                    lower_float(arb(m) - arb(r))
                    for m, r in zip(mid[0].tolist(), rad.reshape(-1).tolist(), strict=True)
                ]
            ]
            up = [
                [
                    upper_float(arb(m) + arb(r))
                    for m, r in zip(mid[0].tolist(), rad.reshape(-1).tolist(), strict=True)
                ]
            ]
            return Box(np.array(down), np.array(up))
        case MaxOver():
            return Box(*(_window_max(op, end) for end in (boxes[0].lower, boxes[0].upper)))
        case Elementwise():
            return activation_image(op, boxes[0])
        case _:
            return range_of(op, boxes, shapes, engine)


def activation_image(op: Operation, box: Box) -> Box:
    """The range of an elementwise function; every one here is monotone, or Abs, or LeakyRelu with alpha < 0."""
    l, u = box.lower, box.upper
    match op:
        case Relu():
            return Box(np.maximum(l, 0.0), np.maximum(u, 0.0))
        case Abs():
            inside = (l < 0) & (u > 0)
            return Box(
                np.where(inside, 0.0, np.minimum(np.abs(l), np.abs(u))), np.maximum(np.abs(l), np.abs(u))
            )
        case Clip():
            return Box(_clip(op, l), _clip(op, u))
        case LeakyRelu():
            ends = [_entrywise(lambda z, k: piecewise_value(op, z, k), x) for x in (l, u)]
            low, high = np.minimum(ends[0][0], ends[1][0]), np.maximum(ends[0][1], ends[1][1])
            inside = (l < 0) & (u > 0)
            return Box(
                np.where(inside, np.minimum(low, 0.0), low), np.where(inside, np.maximum(high, 0.0), high)
            )
        case Sigmoid():
            return Box(_entrywise(_sigmoid, l)[0], _entrywise(_sigmoid, u)[1])
        case Tanh():
            return Box(_entrywise(_tanh, l)[0], _entrywise(_tanh, u)[1])
        case Smooth():
            return smooth_range(op, box)
        case _:
            raise ValueError(f"no enclosure for {type(op).__name__}")


def _moved(affine: Affine, box: Box) -> Box | None:
    """Rearrangements and signs are exact on the ends themselves."""
    match affine.maps[0]:
        case SignMap(sign=1):
            return box
        case SignMap():
            return Box(-box.upper, -box.lower)
        case IndexMap(transposed=False) as m:
            return Box(m.gathered(box.lower), m.gathered(box.upper))
        case _:
            return None


def _window_max(op: MaxOver, x: Floats) -> Floats:
    values = x[:, op.index]
    return np.asarray(np.where(op.index[None] >= 0, values, -np.inf).max(axis=2))


def _clip(op: Clip, x: Floats) -> Floats:
    for bound, limit in ((op.lower, np.maximum), (op.upper, np.minimum)):
        if bound is not None:
            x = limit(x, bound.mid.astype(np.float64).reshape(-1))
    return x


def _sigmoid(z: arb, _: int) -> arb:
    return (1 + (z / 2).tanh()) / 2


def _tanh(z: arb, _: int) -> arb:
    return z.tanh()


def _entrywise(f: Callable[[arb, int], arb], x: Floats) -> tuple[Floats, Floats]:
    """(lower, upper) ends of f at each exact entry; entries must be finite."""
    if not bool(np.isfinite(x).all()):
        raise OutOfRange("activation of an unbounded value")
    low, high = np.empty(x.shape), np.empty(x.shape)
    for d, k in np.ndindex(x.shape):
        value = f(arb(float(x[d, k])), k)
        low[d, k], high[d, k] = lower_float(value), upper_float(value)
    return low, high


# Deployed float32.


class NotDeployable(Exception):
    """The operation has no float32 rounding radius yet."""


def rounding_radius(
    op: Operation, affine: Affine | None, boxes: tuple[Box, ...], engine: Engine
) -> Floats | None:
    """(D, n) radius of the node's own float32 rounding over ``boxes``, rounded up; None where nothing rounds."""
    if affine is None:
        match op:
            case Fixed():
                return None
            case Relu() | Abs() | Clip() | MaxOver():
                return np.full((1, boxes_size(op, boxes)), float(TINY32))  # exact but for flush-to-zero
            case LeakyRelu():
                alpha = abs(Fraction(op.alpha))
                if not (1 + alpha) * Fraction(min(boxes[0].largest, LARGEST32)) < Fraction(LARGEST32):
                    raise OutOfRange("float32 overflow")
                return _scaled_up(alpha * UNIT32, boxes[0].magnitude, (1 + alpha) * TINY32)
            case _:
                raise NotDeployable(type(op).__name__)
    if affine.exact:
        negates = isinstance(op, Scale) and isinstance(affine.maps[0], SignMap) and affine.maps[0].sign < 0
        return np.full((1, affine.maps[0].n_out), float(TINY32)) if negates else None
    terms = (
        sum(m.fan_in for m in affine.maps) + (1 if affine.offset is not None else 0) + affine.roundings + 1
    )
    k = terms * UNIT32
    if k >= Fraction(1, 2):
        raise OutOfRange("float32 sum of too many terms")
    gamma = k / (1 - k)
    magnitude = np.zeros((1, affine.maps[0].n_out))
    largest = np.ones(1)
    for m, box in zip(affine.maps, boxes, strict=True):
        if not np.isfinite(box.largest):
            raise OutOfRange("deployed radius of an unbounded value")
        magnitude = _sum_up(magnitude, engine.magnitude_up(m, box.magnitude))
        largest = np.maximum(largest, box.largest_each)
    if affine.offset is not None:
        offset = (
            np.abs(affine.offset.mid)[None, :]
            if affine.offset.rad is None
            else _sum_up(np.abs(affine.offset.mid)[None, :], affine.offset.rad[None, :])
        )
        magnitude = _sum_up(magnitude, offset)
    if not bool((magnitude <= LARGEST32).all()):
        raise OutOfRange("float32 overflow")
    weight = max((_largest_weight(m) for m in affine.maps), default=Fraction(1))
    tiny = [2 * (terms + 1) * TINY32 * (1 + max(weight, Fraction(x))) for x in largest.tolist()]
    return _scaled_up(gamma, magnitude, *tiny)


def boxes_size(op: Operation, boxes: tuple[Box, ...]) -> int:
    """How many values an activation or selection has."""
    return int(op.index.shape[0]) if isinstance(op, MaxOver) else int(boxes[0].lower.shape[1])


def _largest_weight(m: Map) -> Fraction:
    weight = getattr(m, "weight", None) or getattr(m, "factor", None)
    if weight is None or not weight.size:
        return Fraction(1)
    top = Fraction(float(np.abs(weight.mid).max()))
    return top + (Fraction(float(weight.rad.max())) if weight.rad is not None else 0)


def _sum_up(a: Floats, b: Floats) -> Floats:
    """>= a + b for nonnegative entries: the rounded sum, one double up (exact arithmetic is not needed above it)."""
    return np.nextafter(a + b, np.inf)


def _scaled_up(q: Fraction, x: Floats, *extra: Fraction) -> Floats:
    """>= q x + extra, entrywise, for q, x, extra >= 0; one ``extra`` for each domain, or one for all."""
    plus = np.array([[_double_up(e)] for e in extra])
    return np.asarray(np.nextafter(np.nextafter(_double_up(q) * x, np.inf) + plus, np.inf))


def _double_up(q: Fraction) -> float:
    """A double >= q."""
    return -floor_float(-q)
