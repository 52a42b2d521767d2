"""Sources and rearrangements: operations that move values and compute nothing."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.arb import arb, lower_float, upper_float
from tlcheck.trusted.arith.box import Box
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.interface import Engine
from tlcheck.trusted.arith.maps import Affine, IndexMap, Map, SignMap
from tlcheck.trusted.arith.profile import Profile
from tlcheck.trusted.ops.base import AffineOperation, Floats, Shape, Source, require


@dataclass(frozen=True, eq=False)
class Input(Source):
    """An input tensor of the network."""

    shape: Shape

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        require(not inputs, "Input: takes no operand")
        return self.shape


@dataclass(frozen=True, eq=False)
class Fixed(Source):
    """A constant used as data (for example concatenated with a variable)."""

    value: Constant

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        require(not inputs, "Fixed: takes no operand")
        return self.value.shape

    def image(self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], engine: Engine) -> Box:
        return constant_box(self.value)

    def radius(
        self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], image: Box, profile: Profile
    ) -> Floats | None:
        return None


def constant_box(value: Constant) -> Box:
    """The box (1, n) of the constant's numbers."""
    mid = value.mid.astype(np.float64).reshape(1, -1)
    if value.rad is None:
        return Box(mid, mid)
    ends = [(arb(m), arb(r)) for m, r in zip(mid[0].tolist(), value.rad.reshape(-1).tolist(), strict=True)]
    down, up = [lower_float(m - r) for m, r in ends], [upper_float(m + r) for m, r in ends]
    return Box(np.array([down]), np.array([up]))


@dataclass(frozen=True, eq=False)
class Rearrange(AffineOperation):
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

    def affine(self, inputs: tuple[Shape, ...], output: Shape) -> Affine:
        return Affine(self._maps(inputs), None, 0, True)

    def _maps(self, inputs: tuple[Shape, ...]) -> tuple[Map, ...]:
        if self.index is None:
            return (SignMap(1, prod(self.shape)),)
        maps = []
        start = 0
        for shape in inputs:
            size = prod(shape)
            inside = (self.index >= start) & (self.index < start + size)
            maps.append(IndexMap(np.where(inside, self.index - start, np.int64(-1)), size))
            start += size
        return tuple(maps)


@dataclass(frozen=True, eq=False)
class ReduceSum(AffineOperation):
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

    def affine(self, inputs: tuple[Shape, ...], output: Shape) -> Affine:
        """For each operand entry, the flat position of the result it is summed into."""
        kept = tuple(1 if a in self.axes else n for a, n in enumerate(inputs[0]))
        positions = np.arange(prod(output), dtype=np.int64).reshape(kept)
        groups = np.ascontiguousarray(np.broadcast_to(positions, inputs[0])).reshape(-1)
        return Affine((IndexMap(groups, prod(output), True),), None, 0, False)
