"""Networks node by node: shapes come from the operations, positions are returned."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import inf, nextafter
from typing import Final

import numpy as np

from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.formula import rational
from tlcheck.trusted.graph import Graph, Node
from tlcheck.trusted.ops.affine import Scale, Sum
from tlcheck.trusted.ops.base import Operation
from tlcheck.trusted.ops.product import Product
from tlcheck.trusted.ops.smooth import Power, Reciprocal, Sqrt
from tlcheck.trusted.ops.structure import Input, Rearrange, ReduceSum

LAYER_NORM_EPSILON: Final = 1e-6
"""TorchLean's, inside the root."""
Shape = tuple[int, ...]


class Builder:
    """``add`` raises ValueError where operands do not fit."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []

    def input(self, shape: Shape, label: str = "x") -> int:
        return self.add(Input(shape), label=label)

    def add(self, op: Operation, *operands: int, label: str = "") -> int:
        shape = op.output_shape(tuple(self.nodes[j].shape for j in operands))
        self.nodes.append(Node(op, operands, shape, label))
        return len(self.nodes) - 1

    def shape(self, node: int) -> Shape:
        return self.nodes[node].shape

    def reshape(self, x: int, shape: Shape) -> int:
        return self.add(Rearrange(shape), x)

    def layer_norm(self, x: int, epsilon: float, label: str = "") -> int:
        """(x - mean) / sqrt(variance + epsilon) over the last axis."""
        shape = self.shape(x)
        last, n = len(shape) - 1, shape[-1]
        repeat = np.repeat(np.arange(int(np.prod(shape[:-1])), dtype=np.int64), n)

        def mean(y: int) -> int:
            total = self.add(ReduceSum((last,), True), y)
            return self.add(Scale(quotient(1, n), None, 1), total)

        centre = self.add(Rearrange(shape, repeat), mean(x))
        centred = self.add(Sum((1, -1)), x, centre)
        variance = mean(self.add(Power(2.0), centred))
        offset = Scale(Constant(np.array(1.0)), Constant(np.array(epsilon)), 1)
        inverse = self.add(Reciprocal(), self.add(Sqrt(), self.add(offset, variance)))
        return self.add(Product(), centred, self.add(Rearrange(shape, repeat), inverse), label=label)

    def graph(self, output: int, names: Mapping[str, int] | None = None) -> Graph:
        """The network with one output. ``names``: what proofs call its nodes; labels when there are none."""
        inputs = [node.label for node in self.nodes if isinstance(node.op, Input)]
        return Graph(
            tuple(self.nodes),
            (output,),
            tuple(inputs),
            ("y",),
            names or {n.label: i for i, n in enumerate(self.nodes) if n.label},
        )


def quotient(top: int, bottom: int) -> Constant:
    """top / bottom, exactly where it is a double, else enclosed."""
    exact = Fraction(top, bottom)
    mid = float(exact)
    away = abs(exact - Fraction(mid))
    if not away:
        return Constant(np.array(mid))
    return Constant(np.array(mid), np.array(nextafter(float(away), inf)), rational(exact))
