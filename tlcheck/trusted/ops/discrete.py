"""Piecewise-constant functions, and choices by them.

Their results are integers (0 and 1 for comparisons). At a point whose enclosure does not decide the result, evaluation
raises ``Undecided``. Over boxes nothing is decided that they leave open: a step function has the box of all its values, a
comparison [0, 1]. Step functions and comparisons are exact in floating point.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.arb import Arb, arb
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.float32 import flushed, flushed_operand
from tlcheck.trusted.arith.interface import Engine
from tlcheck.trusted.arith.profile import Profile
from tlcheck.trusted.ops.base import Balls, Boxed, Floats, Relaxed, Shape, Step, Undecided, one, require
from tlcheck.trusted.ops.lines import Lines, Part, Relaxation

Bools = NDArray[np.bool_]

MAX_TRUNCATED = 1 << 31


class Discrete(Boxed):
    """y_k = f(x_k), f piecewise constant and never decreasing."""

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        return one(inputs, type(self).__name__)

    @abstractmethod
    def value(self, x: Arb) -> Arb:
        """f, an integer. Raises Undecided."""

    @abstractmethod
    def floats(self, x: Floats) -> Floats:
        """f, which floating point computes exactly."""

    def step(self, inputs: tuple[Shape, ...], shape: Shape) -> Step:
        return lambda xs: [self.value(x) for x in xs[0]]

    def image(self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], engine: Engine) -> Box:
        """From the value at the lower end to the value at the upper end."""
        return self._range(boxes[0])

    def _range(self, box: Box) -> Box:
        return Box(self.floats(box.lower), self.floats(box.upper))

    def radius(
        self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], image: Box, profile: Profile
    ) -> Floats | None:
        return decided_otherwise(image, self._range(flushed_operand(boxes[0])))


def decided_otherwise(image: Box, flushed: Box) -> Floats | None:
    """How far the box for operands that may be taken for 0 reaches beyond the one for operands as they are: whole numbers."""
    beyond = np.maximum(flushed.upper - image.upper, image.lower - flushed.lower)
    return np.maximum(beyond, 0.0) if bool((beyond > 0).any()) else None


@dataclass(frozen=True, eq=False)
class Sign(Discrete):
    """-1, 0 or 1"""

    def value(self, x: Arb) -> Arb:
        if x > 0:
            return arb(1)
        if x < 0:
            return arb(-1)
        if x == 0:
            return arb(0)
        raise Undecided("Sign of a value that may be 0")

    def floats(self, x: Floats) -> Floats:
        return np.sign(x)


@dataclass(frozen=True, eq=False)
class Floor(Discrete):
    """The largest integer <= x. Ceil(x) is -Floor(-x)."""

    def value(self, x: Arb) -> Arb:
        return floor(x)

    def floats(self, x: Floats) -> Floats:
        return np.floor(x)


@dataclass(frozen=True, eq=False)
class Round(Discrete):
    """The nearest integer; halves to the even one."""

    def value(self, x: Arb) -> Arb:
        """A ball that touches a half is decided only when it is that half."""
        shifted = x + arb(0.5)
        below = shifted.floor().unique_fmpz() if x.is_finite() else None
        if below is not None and shifted > arb(below):
            return arb(below)
        if below is not None and shifted == arb(below):
            return arb(below - below % 2)
        raise Undecided("Round of a value at a half")

    def floats(self, x: Floats) -> Floats:
        return np.rint(x)


@dataclass(frozen=True, eq=False)
class Truncate(Discrete):
    """The integer part of x, towards 0: a cast to int32 or int64. Defined for |x| < 2^31 only."""

    def value(self, x: Arb) -> Arb:
        if x > -1 and x < 1:
            return arb(0)
        if not (x > -MAX_TRUNCATED and x < MAX_TRUNCATED):
            raise Undecided("a cast to integers of a value beyond 2^31")
        if x >= 1:
            return floor(x)
        if x <= -1:
            return -floor(-x)
        raise Undecided("a cast to integers of a value at an integer")

    def floats(self, x: Floats) -> Floats:
        if not bool((np.abs(x) < MAX_TRUNCATED).all()):
            raise OutOfRange("a cast to integers of a value beyond 2^31")
        return np.trunc(x)


def floor(x: Arb) -> Arb:
    found = x.floor().unique_fmpz() if x.is_finite() else None
    if found is None:
        raise Undecided("Floor of a value at an integer")
    return arb(found)


@dataclass(frozen=True, eq=False)
class Compare(Boxed):
    """1 where ``a relation b`` holds, else 0; two operands of one shape. ``relation``: "==", "<" or "<="."""

    relation: str

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        require(self.relation in ("==", "<", "<="), f"Compare: no relation {self.relation!r}")
        require(len(inputs) == 2, f"Compare: takes two operands, got {len(inputs)}")
        require(inputs[0] == inputs[1], f"Compare: operands differ in shape: {inputs}")
        return inputs[0]

    def step(self, inputs: tuple[Shape, ...], shape: Shape) -> Step:
        return lambda xs: [arb(int(compare(self.relation, a, b))) for a, b in zip(xs[0], xs[1], strict=True)]

    def image(self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], engine: Engine) -> Box:
        return self._range(*boxes)

    def radius(
        self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], image: Box, profile: Profile
    ) -> Floats | None:
        return decided_otherwise(image, self._range(*map(flushed_operand, boxes)))

    def _range(self, a: Box, b: Box) -> Box:
        """1 where every pair of numbers obeys the relation, 0 where none does, [0, 1] elsewhere."""
        holds, fails = {
            "==": (
                (a.lower == b.upper) & (a.upper == b.lower),
                (a.upper < b.lower) | (b.upper < a.lower),
            ),
            "<": (a.upper < b.lower, a.lower >= b.upper),
            "<=": (a.upper <= b.lower, a.lower > b.upper),
        }[self.relation]
        return Box(holds.astype(np.float64), (~fails).astype(np.float64))


def compare(relation: str, a: Arb, b: Arb) -> bool:
    """A comparison of balls is True only if it holds for all their numbers."""
    holds, fails = {
        "==": (a == b, a < b or a > b),
        "<": (a < b, a >= b),
        "<=": (a <= b, a > b),
    }[relation]
    if holds:
        return True
    if fails:
        return False
    raise Undecided(f"a comparison ({relation}) of values that may be equal")


@dataclass(frozen=True, eq=False)
class Select(Relaxed):
    """y_k = a_k where c_k is 1, b_k where c_k is 0; operands c, a, b of one shape."""

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        require(len(inputs) == 3, f"Select: takes three operands, got {len(inputs)}")
        require(all(s == inputs[0] for s in inputs), f"Select: operands differ in shape: {inputs}")
        return inputs[0]

    def step(self, inputs: tuple[Shape, ...], shape: Shape) -> Step:
        return lambda xs: [_chosen(c, a, b) for c, a, b in zip(*xs, strict=True)]

    def image(self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], engine: Engine) -> Box:
        return select_range(*boxes)

    def radius(
        self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], image: Box, profile: Profile
    ) -> Floats | None:
        return flushed(image.lower.shape[1])

    def relaxation(self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...]) -> Relaxation:
        drawn = select_lines(*boxes)
        return Relaxation(tuple(Part(j, drawn[j - 1], boxes[j]) for j in (1, 2)))


def _chosen(c: Arb, a: Arb, b: Arb) -> Arb:
    if c == 1:
        return a
    if c == 0:
        return b
    raise Undecided("Where on a condition that is neither 0 nor 1")


def _decided(condition: Box) -> tuple[Bools, Bools]:
    """Where a condition, which is 0 or 1 wherever ``Select`` is defined, must be 1, and where it must be 0."""
    one, zero = condition.lower > 0, condition.upper < 1
    return one & ~zero, zero & ~one


def select_range(c: Box, a: Box, b: Box) -> Box:
    """a's or b's box where the condition is decided, else the smallest box around both."""
    one, zero = _decided(c)
    lower, upper = np.minimum(a.lower, b.lower), np.maximum(a.upper, b.upper)
    return Box(
        np.where(one, a.lower, np.where(zero, b.lower, lower)),
        np.where(one, a.upper, np.where(zero, b.upper, upper)),
    )


def select_lines(condition: Box, a: Box, b: Box) -> tuple[Lines, Lines]:
    """Lines in a and in b whose sum lies below (above) ``Select``: a where the condition is 1, b where it is 0.

    Where the box does not decide the condition: the ends of the smallest box around a's and b's.
    """
    value = select_range(condition, a, b)
    ones, zeros = (choice.astype(np.float64) for choice in _decided(condition))
    open_ = ones + zeros == 0
    low, high = np.where(open_, value.lower, 0.0), np.where(open_, value.upper, 0.0)
    nothing = np.zeros((1, low.shape[1]))
    return Lines((ones, low), (ones, high)), Lines((zeros, nothing), (zeros, nothing))


@dataclass(frozen=True, eq=False)
class ArgMax(Boxed):
    """Position of the largest entry along the last axis, which goes; of several, the first (``last``: the last)."""

    last: bool = False

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        shape = one(inputs, "ArgMax")
        require(len(shape) >= 1 and shape[-1] >= 1, f"ArgMax: operand {shape} has no last axis")
        return shape[:-1]

    def step(self, inputs: tuple[Shape, ...], shape: Shape) -> Step:
        n = inputs[0][-1]
        return lambda xs: [arb(arg_max(xs[0][s : s + n], self.last)) for s in range(0, len(xs[0]), n)]

    def image(self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], engine: Engine) -> Box:
        return self._range(boxes[0], shapes[0][-1])

    def radius(
        self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], image: Box, profile: Profile
    ) -> Floats | None:
        return decided_otherwise(image, self._range(flushed_operand(boxes[0]), shapes[0][-1]))

    def _range(self, box: Box, n: int) -> Box:
        """From the first to the last place that may win.

        Place i cannot win where another's lower end exceeds i's upper end, or equals it and wins ties. The place that does
        win is never left out, so that one remains.
        """
        low, high = (end.reshape(box.lower.shape[0], -1, n) for end in (box.lower, box.upper))
        if self.last:
            low, high = low[..., ::-1], high[..., ::-1]
        floor = np.maximum.accumulate(low, axis=-1)
        before = np.concatenate([np.full((*floor.shape[:-1], 1), -np.inf), floor[..., :-1]], axis=-1)
        possible = (high >= floor[..., -1:]) & ((high > before) | (np.arange(n) == 0))
        first, last = possible.argmax(axis=-1), n - 1 - possible[..., ::-1].argmax(axis=-1)
        if self.last:
            first, last = n - 1 - last, n - 1 - first
        return Box(first.astype(np.float64), last.astype(np.float64))


def arg_max(row: Balls, last: bool) -> int:
    """The certain winner: strictly above those that would win a tie with it, at least equal to the others."""
    if all(x.is_finite() for x in row):
        best = 0
        for i, x in enumerate(row):
            if x.mid() > row[best].mid() or (last and x.mid() == row[best].mid()):
                best = i
        wins = row[best]
        if all(
            wins > x if (i > best if last else i < best) else wins >= x
            for i, x in enumerate(row)
            if i != best
        ):
            return best
    raise Undecided("ArgMax of values that may be equal")
