"""What a tensor of the ONNX graph is while it is being read: known, or data, or late."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlcheck.readers.onnx.exact import widen
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.formula import Formula

Shape = tuple[int, ...]

FLOATS = ("float16", "bfloat16", "float32", "float64")
HALVES = ("float16", "bfloat16")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")

MASKS = frozenset({
    "Add", "Concat", "Constant", "ConstantOfShape", "Expand", "Flatten", "Gather", "Identity", "Pad", "Reshape", "Slice",
    "Softmax", "Split", "Squeeze", "Tile", "Transpose", "Trilu", "Unsqueeze", "Where",
})  # fmt: skip
"""Operators that may take minus infinity, the mask of an attention: they move it, add it, or give it the weight 0."""

FLOAT32_UNIT = 2.0**-24
"""Largest relative error of one float32 rounding to nearest, in the normal range."""
FLOAT32_TINY = 2.0**-126
"""Below it float32 loses relative accuracy."""
WHOLE = 2.0**31
"""Integers that meet the network's numbers are below it: there, no arithmetic of theirs overflows or rounds."""


class Typed:
    """A tensor's element type."""

    dtype: str

    @property
    def is_float(self) -> bool:
        return self.dtype in FLOATS


@dataclass(frozen=True, eq=False)
class Known(Typed):
    """A constant. ``dtype`` is its ONNX element type; ``array`` its exact values (a wider numpy type is possible).

    Every exact entry lies in [array - rad, array + rad]; rad None means exact. ``formula``, where there is one, says which
    numbers they are (see ``Constant``). ``roundings`` is how many float32 roundings a float32 execution of the folded
    operations puts on each entry (relative errors), 0 for stored values.
    """

    array: NDArray[Any]
    dtype: str
    rad: NDArray[np.float64] | None = None
    roundings: int = 0
    formula: Formula | None = None

    @staticmethod
    def of(value: Constant, dtype: str, roundings: int = 0) -> Known:
        return Known(value.mid, dtype, value.rad, roundings, value.formula)

    @property
    def shape(self) -> Shape:
        return self.array.shape

    @property
    def is_exact(self) -> bool:
        """It holds the numbers themselves, and a float32 execution has them so."""
        return self.rad is None and self.roundings == 0

    @property
    def is_large(self) -> bool:
        """Some entry is not below ``WHOLE``."""
        return bool((np.abs(self.array.astype(np.float64)) >= WHOLE).any())

    def moved(self, how: Callable[[NDArray[Any]], NDArray[Any]]) -> Known:
        """``how`` applied, which only selects and repeats entries."""
        rad = None if self.rad is None else how(self.rad)
        formula = None if self.formula is None else self.formula.moved(how)
        return Known(how(self.array), self.dtype, rad, self.roundings, formula)

    @property
    def hidden(self) -> NDArray[np.bool_] | None:
        """Where it is minus infinity, as in attention masks; None: nowhere."""
        if not self.is_float:
            return None
        found = np.asarray(np.isneginf(self.array))
        return found if bool(found.any()) else None

    def constant(self) -> Constant:
        """As a constant of the graph; ``roundings`` must be charged to the operation that takes it."""
        rad = None if self.rad is None else np.asarray(self.rad, order="C")
        return Constant(np.asarray(self.array, order="C"), rad, self.formula)

    def settled(self) -> Known:
        """An enclosure of the exact value and of its float32 executions: for places that cannot charge roundings."""
        if self.roundings == 0:
            return self
        # gamma_k = k u / (1 - k u) <= 2 k u while k u <= 1/2
        widened = widen(self.constant(), 2 * self.roundings * FLOAT32_UNIT, FLOAT32_TINY)
        return Known.of(widened, self.dtype)


@dataclass(frozen=True)
class Data(Typed):
    """The value of a graph node. ``dtype``: float32 or float64; or int32, int64 or bool, whose values are integers.

    ``hidden``: where an attention mask put minus infinity, whatever the node's value there; None: nowhere.
    """

    node: int
    shape: Shape
    dtype: str
    hidden: NDArray[np.bool_] | None = field(default=None, compare=False)

    def as_type(self, dtype: str) -> Data:
        """The same numbers, as another element type."""
        return Data(self.node, self.shape, dtype, self.hidden)


Value = Known | Data


@dataclass(frozen=True, eq=False)
class Late(Typed):
    """A tensor that integers of the network decide, its shape included: a step of an ``Indexed`` operation to be.

    ``shape`` is None when the integers decide it. Its operands are other steps, constants, and graph nodes.
    """

    name: str
    operands: tuple[Late | Known | Data, ...]
    numbers: NDArray[np.int64]
    dtype: str
    shape: Shape | None = None


Part = Value | Late
"""Whatever a tensor may be."""
