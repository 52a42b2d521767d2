"""Values moved to places that integers of the network decide: Slice, Gather, Range, ScatterND by computed indices.

``Indexed`` is a small programme on integer arrays. It computes, from the integers, *which entry* of the operands and of
a pool of constants each value of the result is. Its arrays have the shapes that the integers give them; only the
result's shape is fixed. Steps mean what the ONNX operators of the same names mean.

A step that has no meaning for the integers at hand (an index out of range, shapes that do not fit, a result of
another shape) raises ValueError: the operation is undefined there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.arb import Arb, arb
from tlcheck.trusted.arith.balls import constant_balls
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.float32 import flushed
from tlcheck.trusted.arith.interface import Engine
from tlcheck.trusted.arith.profile import Profile
from tlcheck.trusted.ops.base import Balls, Boxed, Shape, Step, Undecided, require
from tlcheck.trusted.ops.structure import constant_box

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MAX_ENTRIES = 1 << 24
"""Largest array of a programme (128 MiB)."""
MAX_INTEGER = 1 << 31
"""Integers of a programme stay below it, so that int64 sums and products of two are exact."""


@dataclass(frozen=True, eq=False)
class Call:
    """One step: ``name`` of STEPS, ``operands`` (positions among the operands, then the steps), ``numbers`` fixed."""

    name: str
    operands: tuple[int, ...]
    numbers: Ints


@dataclass(frozen=True, eq=False)
class Indexed(Boxed):
    """y.flat[k] = (moved operands' entries, then the pool)[programme's last array.flat[k]].

    ``moved[i]``: operand i's entries are moved; else it is an operand of integers, whose values the programme reads.
    Moved operands enter the programme as arrays of their entries' places.
    """

    shape: Shape
    moved: tuple[bool, ...]
    pool: Constant
    steps: tuple[Call, ...]

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        require(len(inputs) == len(self.moved), "Indexed: one flag per operand")
        require(len(self.steps) >= 1, "Indexed: no steps")
        for k, step in enumerate(self.steps):
            require(step.name in STEPS, f"Indexed: no step {step.name}")
            known = len(inputs) + k
            require(all(0 <= j < known for j in step.operands), "Indexed: a step reads a later one")
            require(step.numbers.dtype == np.int64, "Indexed: numbers must be int64")
        return self.shape

    def step(self, inputs: tuple[Shape, ...], shape: Shape) -> Step:
        pool = constant_balls(self.pool)

        def step(xs: Sequence[Balls]) -> Balls:
            integers = [
                np.array([integer(ball) for ball in x], np.int64)
                for x, moved in zip(xs, self.moved, strict=True)
                if not moved
            ]
            try:
                index = places(self, inputs, integers).tolist()
            except ValueError as error:
                raise Undecided(f"undefined for these integers: {error}") from None
            entries = [ball for x, moved in zip(xs, self.moved, strict=True) if moved for ball in x] + pool
            return [entries[i] for i in index]

        return step

    def image(self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], engine: Engine) -> Box:
        """The boxes of the entries that the integers choose. Raises OutOfRange where a box does not fix an integer."""
        index = self._known_places(boxes, shapes)
        parts = [box for box, moved in zip(boxes, self.moved, strict=True) if moved] + [
            constant_box(self.pool)
        ]
        rows = max(part.lower.shape[0] for part in parts)
        lower, upper = (
            np.concatenate([np.broadcast_to(end, (rows, end.shape[1])) for end in ends], axis=1)
            for ends in ([p.lower for p in parts], [p.upper for p in parts])
        )
        return Box(lower[:, index], upper[:, index])

    def radius(
        self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], image: Box, profile: Profile
    ) -> Floats | None:
        return flushed(image.lower.shape[1])

    def _known_places(self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...]) -> Ints:
        integers = []
        for box, moved in zip(boxes, self.moved, strict=True):
            if moved:
                continue
            low, high = box.lower.min(axis=0), box.upper.max(axis=0)
            if not bool(((low == high) & (np.abs(low) < MAX_INTEGER) & (low == np.floor(low))).all()):
                raise OutOfRange("an index that the box does not fix")
            integers.append(low.astype(np.int64))
        try:
            return places(self, shapes, integers)
        except ValueError as error:
            raise OutOfRange(f"undefined for these integers: {error}") from None


def integer(x: Arb) -> int:
    """The integer that the ball is exactly. Raises Undecided."""
    found = x.unique_fmpz() if x.is_exact() and x.is_finite() else None
    if found is None or not x == arb(found) or abs(int(found)) >= MAX_INTEGER:
        raise Undecided("an index that is not a known integer")
    return int(found)


def places(op: Indexed, inputs: Sequence[Shape], integers: Sequence[Ints]) -> Ints:
    """The programme's result, flat. ``integers``: values of the operands of integers, in order.

    Raises ValueError where the operation is undefined.
    """
    given = iter(integers)
    arrays: list[Ints] = []
    start = 0
    for shape, moved in zip(inputs, op.moved, strict=True):
        if moved:
            arrays.append(np.arange(start, start + prod(shape), dtype=np.int64).reshape(shape))
            start += prod(shape)
        else:
            arrays.append(_small(next(given).reshape(shape)))
    for step in op.steps:
        try:
            result = STEPS[step.name](step.numbers, *(arrays[j] for j in step.operands))
        except (IndexError, TypeError) as error:
            raise ValueError(f"{step.name}: {error}") from None
        require(result.size <= MAX_ENTRIES, f"{step.name}: too large")
        arrays.append(np.asarray(result, dtype=np.int64))
    found = arrays[-1]
    require(found.shape == op.shape, f"result of shape {found.shape}, expected {op.shape}")
    require(bool(((found >= 0) & (found < start + op.pool.size)).all()), "not an entry")
    return found.reshape(-1)


def _small(x: Ints) -> Ints:
    require(bool(((x > -MAX_INTEGER) & (x < MAX_INTEGER)).all()), "an integer is too large")
    return x


def _sized(shape: Sequence[int]) -> tuple[int, ...]:
    require(all(n >= 0 for n in shape) and prod(shape) <= MAX_ENTRIES, f"no array of shape {tuple(shape)}")
    return tuple(shape)


def _constant(numbers: Ints) -> Ints:
    """An array of integers, or of places: rank, sizes, entries."""
    rank = int(numbers[0])
    return numbers[1 + rank :].reshape(numbers[1 : 1 + rank].tolist())


def cut(start: int, end: int, step: int, size: int) -> range:
    """The entries of an axis of ``size`` that ONNX Slice takes: start, start + step, ... before end.

    A negative start or end counts from the end of the axis. Then they are clamped: to [0, size] for a positive step; for a
    negative one, start to [0, size - 1] and end to [-1, size - 1]. Python clamps a start below the axis to -1 instead.
    """
    require(step != 0, "Slice: step 0")
    require(step > 0 or end < MAX_INTEGER - 1, "Slice: a largest integer as the end of a negative step")
    start, end = (v + size if v < 0 else v for v in (start, end))
    low, high = (0, size) if step > 0 else (-1, size - 1)
    return range(min(max(start, 0), high), min(max(end, low), high), step)


def _slice(numbers: Ints, x: Ints, starts: Ints, ends: Ints, axes: Ints, steps: Ints) -> Ints:
    require(
        starts.ndim == 1 and starts.shape == ends.shape == axes.shape == steps.shape,
        "operands differ in length",
    )
    require(bool((steps != 0).all()) and bool(((axes >= -x.ndim) & (axes < x.ndim)).all()), "steps or axes")
    taken = np.arange(x.ndim)
    require(len(np.unique(taken[axes])) == len(axes), "an axis twice")
    for start, end, axis, step in zip(*(v.tolist() for v in (starts, ends, axes, steps)), strict=True):
        x = np.take(x, np.array(cut(start, end, step, x.shape[axis]), np.int64), axis=axis)
    return x


def _reshape(numbers: Ints, x: Ints, target: Ints) -> Ints:
    """``numbers[0]``: a 0 in ``target`` is 0; else the operand's size."""
    shape = [x.shape[a] if n == 0 and not numbers[0] else n for a, n in enumerate(target.tolist())]
    require(shape.count(-1) <= 1 and all(n >= -1 for n in shape), "target")
    if -1 in shape:
        rest = prod(n for n in shape if n != -1)
        require(rest > 0, "a size of -1 beside a size of 0")
    return x.reshape(shape)


def _expand(numbers: Ints, x: Ints, target: Ints) -> Ints:
    return np.broadcast_to(x, _sized(np.broadcast_shapes(x.shape, tuple(target.tolist()))))


def _range(numbers: Ints, start: Ints, limit: Ints, delta: Ints) -> Ints:
    require(start.size == limit.size == delta.size == 1 and int(delta.reshape(())) != 0, "operands")
    values = range(int(start.reshape(())), int(limit.reshape(())), int(delta.reshape(())))
    _sized((len(values),))
    return np.array(values, dtype=np.int64)


def _scatter(numbers: Ints, x: Ints, index: Ints, updates: Ints) -> Ints:
    depth = index.shape[-1] if index.ndim else 0
    require(1 <= depth <= x.ndim and updates.shape == index.shape[:-1] + x.shape[depth:], "shapes")
    rows = index.reshape(-1, depth)
    rows = np.where(rows < 0, rows + np.array(x.shape[:depth]), rows)
    require(bool(((rows >= 0) & (rows < np.array(x.shape[:depth]))).all()), "index out of range")
    require(len(np.unique(rows, axis=0)) == len(rows), "duplicate indices")
    result = np.array(x)
    result[tuple(rows.T)] = updates.reshape(-1, *x.shape[depth:])
    return result


def _squeeze(numbers: Ints, x: Ints) -> Ints:
    return np.squeeze(x, tuple(numbers.tolist()))


def _concat(numbers: Ints, *xs: Ints) -> Ints:
    return np.concatenate(xs, axis=int(numbers[0]))


def _where(numbers: Ints, c: Ints, a: Ints, b: Ints) -> Ints:
    return np.asarray(np.where(c != 0, a, b))


STEPS: dict[str, Callable[..., Ints]] = {
    "Constant": _constant,
    "Shape": lambda numbers, x: np.array(x.shape, np.int64),
    "Add": lambda numbers, a, b: _small(_small(a) + _small(b)),
    "Sub": lambda numbers, a, b: _small(_small(a) - _small(b)),
    "Mul": lambda numbers, a, b: _small(_small(a) * _small(b)),
    "Equal": lambda numbers, a, b: (a == b).astype(np.int64),
    "Where": _where,
    "Range": _range,
    "Slice": _slice,
    "Gather": lambda numbers, x, index: np.take(x, index, axis=int(numbers[0])),
    "ScatterND": _scatter,
    "Reshape": _reshape,
    "Expand": _expand,
    "Squeeze": _squeeze,
    "Unsqueeze": lambda numbers, x: np.expand_dims(x, tuple(numbers.tolist())),
    "Concat": _concat,
}
"""A step's name and its function of (fixed numbers, operands). Arrays of places are only moved."""
