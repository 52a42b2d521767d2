"""Piecewise-constant functions, and choices by them.

Their results are integers (0 and 1 for comparisons). At a point whose enclosure does not decide the result, evaluation
raises ``Undecided``.
"""

from __future__ import annotations

from dataclasses import dataclass

from tlcheck.trusted.ops.base import Operation, Shape, one, require


class Discrete(Operation):
    """y_k = f(x_k), f piecewise constant."""

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        return one(inputs, type(self).__name__)


@dataclass(frozen=True, eq=False)
class Sign(Discrete):
    """-1, 0 or 1"""


@dataclass(frozen=True, eq=False)
class Floor(Discrete):
    """The largest integer <= x. Ceil(x) is -Floor(-x)."""


@dataclass(frozen=True, eq=False)
class Round(Discrete):
    """The nearest integer; halves to the even one."""


MAX_TRUNCATED = 1 << 31


@dataclass(frozen=True, eq=False)
class Truncate(Discrete):
    """The integer part of x, towards 0: a cast to int32 or int64. Defined for |x| < 2^31 only."""


@dataclass(frozen=True, eq=False)
class Compare(Operation):
    """1 where ``a relation b`` holds, else 0; two operands of one shape. ``relation``: "==", "<" or "<="."""

    relation: str

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        require(self.relation in ("==", "<", "<="), f"Compare: no relation {self.relation!r}")
        require(len(inputs) == 2, f"Compare: takes two operands, got {len(inputs)}")
        require(inputs[0] == inputs[1], f"Compare: operands differ in shape: {inputs}")
        return inputs[0]


@dataclass(frozen=True, eq=False)
class Select(Operation):
    """y_k = a_k where c_k is 1, b_k where c_k is 0; operands c, a, b of one shape."""

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        require(len(inputs) == 3, f"Select: takes three operands, got {len(inputs)}")
        require(all(s == inputs[0] for s in inputs), f"Select: operands differ in shape: {inputs}")
        return inputs[0]


@dataclass(frozen=True, eq=False)
class ArgMax(Operation):
    """Position of the largest entry along the last axis, which goes; of several, the first (``last``: the last)."""

    last: bool = False

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        shape = one(inputs, "ArgMax")
        require(len(shape) >= 1 and shape[-1] >= 1, f"ArgMax: operand {shape} has no last axis")
        return shape[:-1]
