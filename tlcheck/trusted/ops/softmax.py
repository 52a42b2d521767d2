"""Softmax."""

from __future__ import annotations

from dataclasses import dataclass

from tlcheck.trusted.ops.base import Operation, Shape, one, require


@dataclass(frozen=True, eq=False)
class Softmax(Operation):
    """y_i = e^(x_i) / sum_j e^(x_j) over the last axis."""

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        shape = one(inputs, "Softmax")
        require(len(shape) >= 1 and shape[-1] >= 1, f"Softmax: operand {shape} has no last axis")
        return shape
