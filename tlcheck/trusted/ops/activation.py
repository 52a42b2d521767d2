"""Elementwise functions of one variable."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.ops.base import Operation, Shape, one, require


class Elementwise(Operation):
    """y_k = f_k(x_k)."""

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        return one(inputs, type(self).__name__)


@dataclass(frozen=True, eq=False)
class Relu(Elementwise):
    """max(x, 0)"""


@dataclass(frozen=True, eq=False)
class LeakyRelu(Elementwise):
    """x for x >= 0, alpha x for x < 0; alpha an exact float (any finite value)."""

    alpha: float

    def __post_init__(self) -> None:
        require(bool(np.isfinite(self.alpha)), "LeakyRelu: alpha must be finite")


@dataclass(frozen=True, eq=False)
class Abs(Elementwise):
    """|x|"""


@dataclass(frozen=True, eq=False)
class Clip(Elementwise):
    """min(max(x, lower), upper); a bound that is None is absent. A bound is one number, or one
    per value (x's shape), and exact (no radius).

    Covers ONNX Clip, and Max and Min of a variable with a constant. lower > upper gives upper, as in ONNX.
    """

    lower: Constant | None
    upper: Constant | None

    def __post_init__(self) -> None:
        for c in (self.lower, self.upper):
            require(c is None or c.rad is None, "Clip: bounds must be exact")

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        shape = one(inputs, "Clip")
        for c in (self.lower, self.upper):
            require(
                c is None or c.size == 1 or c.shape == shape, "Clip: a bound is one number or has x's shape"
            )
        return shape


@dataclass(frozen=True, eq=False)
class Sigmoid(Elementwise):
    """1 / (1 + exp(-x))"""


@dataclass(frozen=True, eq=False)
class Tanh(Elementwise):
    """tanh(x)"""


@dataclass(frozen=True, eq=False)
class MaxOver(Operation):
    """y.flat[k] = max over j with index[k,j] >= 0 of x.flat[index[k,j]]; every row has at least one such j.

    Covers MaxPool (padding takes no part), and Max of variables after a Rearrange that concatenates them.
    """

    shape: Shape
    index: NDArray[np.int64]

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        shape = one(inputs, "MaxOver")
        require(
            self.index.dtype == np.int64 and self.index.ndim == 2, "MaxOver: index must be a table of int64"
        )
        require(self.index.shape[0] == int(np.prod(self.shape, dtype=np.int64)), "MaxOver: one row per value")
        size = int(np.prod(shape, dtype=np.int64))
        require(bool(((self.index >= -1) & (self.index < size)).all()), "MaxOver: index out of range")
        require(bool((self.index >= 0).any(axis=1).all()), "MaxOver: empty window")
        return self.shape
