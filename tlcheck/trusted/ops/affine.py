"""Affine operations: products with constant weights, scalings, sums.

``roundings`` of an operation is how many float32 roundings each of its values undergoes beyond the ones of a
plain sum of its terms (NUMERICS E.2): it only widens the deployed radius, never the real semantics.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.maps import Affine, DiagMap, Map, MatMap, SignMap, broadcast
from tlcheck.trusted.ops.base import AffineOperation, Shape, one, require


@dataclass(frozen=True, eq=False)
class Linear(AffineOperation):
    """y = x W + b. x: (..., K), W: (K, N), b: (N,) or None, y: (..., N).

    ``roundings``: 1 for a Gemm with alpha or beta folded in, else 0. ``exact``: of integers, which kernels add exactly.
    """

    weight: Constant
    bias: Constant | None = None
    roundings: int = 0
    exact: bool = False

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        shape = one(inputs, "Linear")
        require(len(self.weight.shape) == 2, "Linear: weight must have two axes")
        k, n = self.weight.shape
        require(len(shape) >= 1 and shape[-1] == k, f"Linear: operand {shape} does not fit weight {(k, n)}")
        require(self.bias is None or self.bias.shape == (n,), "Linear: bias must have one entry per column")
        return (*shape[:-1], n)

    def affine(self, inputs: tuple[Shape, ...], output: Shape) -> Affine:
        product = MatMap(self.weight, prod(inputs[0][:-1]))
        return Affine((product,), tile(self.bias, output, -1), self.roundings, self.exact)


@dataclass(frozen=True, eq=False)
class Scale(AffineOperation):
    """y = factor * x + offset, entry by entry. Both constants broadcast to x's shape; offset None is zero.

    Covers Mul and Div by a constant, Add and Sub of a constant (factor 1 or -1), Neg, and both
    steps of BatchNormalization.
    ``roundings``: float32 roundings per value: 0 for Neg, 1 for Mul, Div, Add, Sub, 5 and 4 for
    the steps of BatchNormalization.
    """

    factor: Constant
    offset: Constant | None
    roundings: int

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        shape = one(inputs, "Scale")
        for c in (self.factor, self.offset):
            if c is not None:
                try:
                    fits = np.broadcast_shapes(c.shape, shape) == shape
                except ValueError:
                    fits = False
                require(fits, f"Scale: constant {c.shape} does not broadcast to {shape}")
        return shape

    def affine(self, inputs: tuple[Shape, ...], output: Shape) -> Affine:
        offset = None if self.offset is None else broadcast(self.offset, output)
        return Affine((_scaling(self.factor, output),), offset, self.roundings, self.roundings == 0)


@dataclass(frozen=True, eq=False)
class Sum(AffineOperation):
    """y = sum_i signs[i] * x_i, operands of one shape. Covers Add and Sub of variables."""

    signs: tuple[int, ...]

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        require(len(inputs) == len(self.signs) >= 1, "Sum: one sign per operand")
        require(all(s in (1, -1) for s in self.signs), "Sum: signs are 1 or -1")
        require(all(s == inputs[0] for s in inputs), f"Sum: operands differ in shape: {inputs}")
        return inputs[0]

    def affine(self, inputs: tuple[Shape, ...], output: Shape) -> Affine:
        maps = tuple(SignMap(s, prod(output)) for s in self.signs)
        return Affine(maps, None, 0, len(maps) == 1)


def _scaling(factor: Constant, shape: Shape) -> Map:
    """A factor of exactly 1 or -1 is a sign: no product, no rounding."""
    for sign in (1, -1):
        if factor.rad is None and bool((factor.mid == sign).all()):
            return SignMap(sign, prod(shape))
    return DiagMap(factor, shape)


def tile(bias: Constant | None, output: Shape, axis: int) -> Constant | None:
    """A bias along one axis of the output, flat."""
    if bias is None:
        return None
    shape = [1] * len(output)
    shape[axis] = output[axis]
    return broadcast(bias.moved(lambda a: a.reshape(shape)), output)
