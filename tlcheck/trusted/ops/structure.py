"""Sources and rearrangements: operations that move values and compute nothing."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.ops.base import Operation, Shape, require


@dataclass(frozen=True, eq=False)
class Input(Operation):
    """An input tensor of the network."""

    shape: Shape

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        require(not inputs, "Input: takes no operand")
        return self.shape


@dataclass(frozen=True, eq=False)
class Fixed(Operation):
    """A constant used as data (for example concatenated with a variable)."""

    value: Constant

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        require(not inputs, "Fixed: takes no operand")
        return self.value.shape


@dataclass(frozen=True, eq=False)
class Rearrange(Operation):
    """y.flat[k] = concat(x_1.flat, ..., x_n.flat)[index[k]], or 0 where index[k] is -1.

    ``index`` None is the identity on one operand (a reshape). Covers Reshape, Flatten, Squeeze, Unsqueeze,
    Transpose, Slice, Gather, Concat, Split, Expand, Pad with zeros.
    """

    shape: Shape
    index: NDArray[np.int64] | None = None

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        require(len(inputs) >= 1, "Rearrange: needs an operand")
        total = sum(prod(s) for s in inputs)
        if self.index is None:
            require(len(inputs) == 1, "Rearrange: a reshape takes one operand")
            require(prod(self.shape) == total, f"Rearrange: {inputs[0]} does not reshape to {self.shape}")
        else:
            require(self.index.dtype == np.int64, "Rearrange: index must be int64")
            require(
                self.index.shape == (prod(self.shape),), "Rearrange: index must be flat, one entry per value"
            )
            if self.index.size:
                require(
                    int(self.index.min()) >= -1 and int(self.index.max()) < total,
                    "Rearrange: index out of range",
                )
        return self.shape


@dataclass(frozen=True, eq=False)
class ReduceSum(Operation):
    """Sum over ``axes`` (sorted, nonnegative), kept as size 1 when ``keepdims``."""

    axes: tuple[int, ...]
    keepdims: bool

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        require(len(inputs) == 1, "ReduceSum: takes one operand")
        (shape,) = inputs
        require(tuple(sorted(set(self.axes))) == self.axes, "ReduceSum: axes must be distinct and sorted")
        require(all(0 <= a < len(shape) for a in self.axes), "ReduceSum: axis out of range")
        if self.keepdims:
            return tuple(1 if a in self.axes else n for a, n in enumerate(shape))
        return tuple(n for a, n in enumerate(shape) if a not in self.axes)
