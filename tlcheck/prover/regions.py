"""Which input regions of a query a point lies in, and how far outside the others it is, in exact arithmetic.

Float64 only says which boxes and coordinates can matter; every distance returned is exact.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from math import inf
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.readers.vnnlib.witness import NO_NAMES, Names
from tlcheck.trusted.query import Disjunct, InputBox, LinearConstraint, Query

Point = tuple[Fraction, ...]
Floats = NDArray[np.float64]

TOLERANCE: Final = Fraction(1, 10_000)
"""The competition's absolute tolerance on inputs."""
MAX_REPAIRS: Final = 8
"""Most regions a witness is moved into, nearest first."""
SLACK = 2.0**-49
"""More than the relative error of rounding two rationals to doubles and subtracting them."""


@dataclass(frozen=True, eq=False)
class Regions:
    """A query with its distinct boxes laid out for search. ``sha256``: of the file it was read from, unpacked; ``names``: what
    witnesses may call its variables."""

    query: Query
    sha256: str = ""
    names: Names = NO_NAMES

    @cached_property
    def boxes(self) -> list[InputBox]:
        """Distinct objects; the reader shares equal boxes."""
        return list({id(d.box): d.box for d in self.query.disjuncts}.values())

    @cached_property
    def members(self) -> list[list[Disjunct]]:
        """The disjuncts on each box."""
        place = {id(box): k for k, box in enumerate(self.boxes)}
        result: list[list[Disjunct]] = [[] for _ in self.boxes]
        for d in self.query.disjuncts:
            result[place[id(d.box)]].append(d)
        return result

    @cached_property
    def lower(self) -> Floats:
        """(boxes, inputs): lower ends, rounded to nearest."""
        return np.array([_floats(box.lower) for box in self.boxes]).reshape(
            len(self.boxes), self.query.n_inputs
        )

    @cached_property
    def upper(self) -> Floats:
        return np.array([_floats(box.upper) for box in self.boxes]).reshape(
            len(self.boxes), self.query.n_inputs
        )

    @cached_property
    def _scale(self) -> Floats:
        return np.maximum(np.abs(self.lower), np.abs(self.upper))

    def near(self, point: Point, reach: Fraction) -> dict[int, Fraction]:
        """Exact distances (largest over the coordinates, 0 inside) to every box within ``reach`` and to the nearest.

        Keys are positions in ``boxes``; nearest first.
        """
        x = np.array(_floats(point))
        with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is looked at exactly
            outside = np.maximum(self.lower - x, x - self.upper)
            error = SLACK * (self._scale + np.abs(x)) + np.finfo(np.float64).tiny
            low = (outside - error).max(axis=1, initial=0.0)
            high = (outside + error).max(axis=1, initial=0.0)
        finite = bool(np.isfinite(outside).all() and np.isfinite(error).all())
        limit = max(float(high.min(initial=np.inf)), float(reach) * (1 + SLACK))
        found: dict[int, Fraction] = {}
        for k in np.flatnonzero(low <= limit).tolist() if finite else range(len(self.boxes)):
            columns = np.flatnonzero(outside[k] + error[k] >= low[k]) if finite else np.arange(len(point))
            found[k] = distance(self.boxes[k], point, columns.tolist())
        nearest = min(found.values(), default=Fraction(0))
        kept = {k: d for k, d in found.items() if d <= max(nearest, reach)}
        return dict(sorted(kept.items(), key=lambda item: item[1]))

    def within_float32(self, x: NDArray[np.float32], tolerance: float) -> list[int]:
        """Boxes that hold ``x`` when ends, moved out by ``tolerance``, are rounded to float32 before the comparison."""
        with np.errstate(over="ignore"):
            low = (self.lower - tolerance).astype(np.float32)
            high = (self.upper + tolerance).astype(np.float32)
        inside = ((x >= low) & (x <= high)).all(axis=1)
        return [int(k) for k in np.flatnonzero(inside)]

    def part(self, boxes: list[int], wider: Fraction = Fraction(0)) -> Query:
        """The query of these boxes' disjuncts alone, their bounds on inputs moved out by ``wider``."""
        chosen = [d for k in boxes for d in self.members[k]]
        if wider:
            by_box = {id(self.boxes[k]): _widened(self.boxes[k], wider) for k in boxes}
            chosen = [
                Disjunct(by_box[id(d.box)], tuple(_relaxed(c, wider) for c in d.constraints)) for d in chosen
            ]
        return Query(self.query.n_inputs, self.query.n_outputs, tuple(chosen))


def distance(box: InputBox, point: Point, columns: list[int] | None = None) -> Fraction:
    """How far the point is outside the box: the largest over the coordinates, exact; 0 inside."""
    which = range(len(point)) if columns is None else columns
    ends = ((box.lower[j] - point[j], point[j] - box.upper[j]) for j in which)
    return max((d for pair in ends for d in pair if d > 0), default=Fraction(0))


def clipped(box: InputBox, point: Point) -> Point:
    """The nearest point of the box, coordinate by coordinate."""
    return tuple(min(max(x, a), b) for a, x, b in zip(box.lower, point, box.upper, strict=True))


def _widened(box: InputBox, by: Fraction) -> InputBox:
    return InputBox(tuple(a - by for a in box.lower), tuple(b + by for b in box.upper))


def _relaxed(c: LinearConstraint, by: Fraction) -> LinearConstraint:
    """A (strict) bound on one input moves with its box."""
    if c.outputs or len(c.inputs) != 1:
        return c
    return replace(c, bound=c.bound + by * abs(c.inputs[0][1]))


def _floats(values: Point) -> list[float]:
    try:
        return [float(q) for q in values]
    except OverflowError:
        return [double(q) for q in values]


def double(q: Fraction) -> float:
    """To nearest; infinite where a double cannot be."""
    try:
        return float(q)
    except OverflowError:
        return inf if q > 0 else -inf
