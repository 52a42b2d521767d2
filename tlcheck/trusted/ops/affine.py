"""Affine operations: products with constant weights, scalings, sums.

``roundings`` of an operation is how many float32 roundings each of its values undergoes beyond the ones of a
plain sum of its terms (NUMERICS E.2): it only widens the deployed radius, never the real semantics.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.maps import Affine, ConvMap, DiagMap, Map, MatMap, SignMap, broadcast
from tlcheck.trusted.ops.base import AffineOperation, Shape, one, require


@dataclass(frozen=True, eq=False)
class Linear(AffineOperation):
    """y = x W + b. x: (..., K), W: (K, N), b: (N,) or None, y: (..., N).

    ``roundings``: 1 for a Gemm with alpha or beta folded in, else 0.
    """

    weight: Constant
    bias: Constant | None = None
    roundings: int = 0

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        shape = one(inputs, "Linear")
        require(len(self.weight.shape) == 2, "Linear: weight must have two axes")
        k, n = self.weight.shape
        require(len(shape) >= 1 and shape[-1] == k, f"Linear: operand {shape} does not fit weight {(k, n)}")
        require(self.bias is None or self.bias.shape == (n,), "Linear: bias must have one entry per column")
        return (*shape[:-1], n)

    def affine(self, inputs: tuple[Shape, ...], output: Shape) -> Affine:
        product = MatMap(self.weight, prod(inputs[0][:-1]))
        return Affine((product,), _tile(self.bias, output, -1), self.roundings, False)


@dataclass(frozen=True, eq=False)
class Conv(AffineOperation):
    """Cross-correlation, ONNX Conv. x: (B, C, *S), weight: (O, C/groups, *kernel), bias: (O,) or None.

    y[b,o,p] = bias[o] + sum_{c,k} weight[o,c,k] x[b, c, strides*p + dilations*k - pads_begin], zero outside.
    ``strides``, ``dilations``, ``pads_begin``, ``pads_end``: one entry per spatial axis. ``roundings``: as Linear's.
    """

    weight: Constant
    bias: Constant | None
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads_begin: tuple[int, ...]
    pads_end: tuple[int, ...]
    groups: int = 1
    roundings: int = 0

    def __post_init__(self) -> None:
        _check_geometry(self, len(self.weight.shape) - 2)

    @property
    def kernel(self) -> tuple[int, ...]:
        return self.weight.shape[2:]

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        shape = one(inputs, "Conv")
        rank = len(self.kernel)
        require(len(shape) == rank + 2, f"Conv: operand {shape} needs {rank} spatial axes")
        o, cg = self.weight.shape[:2]
        require(
            o % self.groups == 0 and shape[1] == cg * self.groups,
            f"Conv: operand {shape} does not fit the weight's channels",
        )
        require(
            self.bias is None or self.bias.shape == (o,), "Conv: bias must have one entry per output channel"
        )
        spatial = []
        for a in range(rank):
            reach = self.dilations[a] * (self.kernel[a] - 1) + 1
            room = shape[a + 2] + self.pads_begin[a] + self.pads_end[a] - reach
            require(room >= 0, "Conv: kernel larger than the padded operand")
            spatial.append(room // self.strides[a] + 1)
        return (shape[0], o, *spatial)

    def affine(self, inputs: tuple[Shape, ...], output: Shape) -> Affine:
        return _convolution(self, inputs[0], output, transposed=False)


@dataclass(frozen=True, eq=False)
class ConvTranspose(AffineOperation):
    """ONNX ConvTranspose. x: (B, C, *S), weight: (C, O/groups, *kernel), bias: (O,) or None.

    y[b,o,q] = bias[o] + sum over (c,p,k) with q = strides*p + dilations*k - pads_begin of weight[c,o,k] x[b,c,p].
    Output size per axis: strides*(S-1) + output_padding + dilations*(kernel-1) + 1 - pads_begin - pads_end.
    ``roundings``: as Linear's.
    """

    weight: Constant
    bias: Constant | None
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads_begin: tuple[int, ...]
    pads_end: tuple[int, ...]
    output_padding: tuple[int, ...]
    groups: int = 1
    roundings: int = 0

    def __post_init__(self) -> None:
        _check_geometry(self, len(self.weight.shape) - 2)
        require(
            len(self.output_padding) == len(self.weight.shape) - 2,
            "ConvTranspose: output_padding per spatial axis",
        )
        require(
            all(
                0 <= p < max(s, d)
                for p, s, d in zip(self.output_padding, self.strides, self.dilations, strict=True)
            ),
            "ConvTranspose: output_padding out of range",
        )

    @property
    def kernel(self) -> tuple[int, ...]:
        return self.weight.shape[2:]

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        shape = one(inputs, "ConvTranspose")
        rank = len(self.kernel)
        require(len(shape) == rank + 2, f"ConvTranspose: operand {shape} needs {rank} spatial axes")
        c, og = self.weight.shape[:2]
        require(
            shape[1] == c and c % self.groups == 0,
            f"ConvTranspose: operand {shape} does not fit the weight's channels",
        )
        o = og * self.groups
        require(
            self.bias is None or self.bias.shape == (o,),
            "ConvTranspose: bias must have one entry per output channel",
        )
        spatial = []
        for a in range(rank):
            size = (
                self.strides[a] * (shape[a + 2] - 1)
                + self.output_padding[a]
                + self.dilations[a] * (self.kernel[a] - 1)
                + 1
                - self.pads_begin[a]
                - self.pads_end[a]
            )
            require(size > 0, "ConvTranspose: empty result")
            spatial.append(size)
        return (shape[0], o, *spatial)

    def affine(self, inputs: tuple[Shape, ...], output: Shape) -> Affine:
        return _convolution(self, inputs[0], output, transposed=True)


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


def _check_geometry(op: Conv | ConvTranspose, rank: int) -> None:
    require(rank >= 1, "convolution: weight needs a spatial axis")
    for name in ("strides", "dilations"):
        values = getattr(op, name)
        require(
            len(values) == rank and all(v >= 1 for v in values),
            f"convolution: {name} must be positive, one per spatial axis",
        )
    for name in ("pads_begin", "pads_end"):
        values = getattr(op, name)
        require(
            len(values) == rank and all(v >= 0 for v in values),
            f"convolution: {name} must be nonnegative, one per spatial axis",
        )
    require(op.groups >= 1, "convolution: groups must be positive")


def _convolution(op: Conv | ConvTranspose, given: Shape, output: Shape, *, transposed: bool) -> Affine:
    wide, narrow = (output, given) if transposed else (given, output)
    conv = ConvMap(op.weight, op.strides, op.dilations, op.pads_begin, op.groups, wide, narrow, transposed)
    return Affine((conv,), _tile(op.bias, output, 1), op.roundings, False)


def _scaling(factor: Constant, shape: Shape) -> Map:
    """A factor of exactly 1 or -1 is a sign: no product, no rounding."""
    for sign in (1, -1):
        if factor.rad is None and bool((factor.mid == sign).all()):
            return SignMap(sign, prod(shape))
    return DiagMap(factor, shape)


def _tile(bias: Constant | None, output: Shape, axis: int) -> Constant | None:
    if bias is None:
        return None
    shape = [1] * len(output)
    shape[axis] = output[axis]
    return broadcast(bias.moved(lambda a: a.reshape(shape)), output)
