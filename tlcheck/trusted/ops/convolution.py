"""Convolutions with constant weights."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.maps import Affine, ConvMap
from tlcheck.trusted.ops.affine import tile
from tlcheck.trusted.ops.base import AffineOperation, Shape, one, require


@dataclass(frozen=True, eq=False)
class Conv(AffineOperation):
    """Cross-correlation, ONNX Conv. x: (B, C, *S), weight: (O, C/groups, *kernel), bias: (O,) or None.

    y[b,o,p] = bias[o] + sum_{c,k} weight[o,c,k] x[b, c, strides*p + dilations*k - pads_begin], zero outside.
    ``strides``, ``dilations``, ``pads_begin``, ``pads_end``: one entry per spatial axis. ``roundings``, ``exact``: as Linear's.
    """

    weight: Constant
    bias: Constant | None
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads_begin: tuple[int, ...]
    pads_end: tuple[int, ...]
    groups: int = 1
    roundings: int = 0
    exact: bool = False

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
        return replace(_convolution(self, inputs[0], output, transposed=False), exact=self.exact)


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
    return Affine((conv,), tile(op.bias, output, 1), op.roundings, False)
