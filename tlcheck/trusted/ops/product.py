"""Products of variables."""

from __future__ import annotations

from dataclasses import dataclass

from tlcheck.trusted.ops.base import Operation, Shape, require


@dataclass(frozen=True, eq=False)
class Product(Operation):
    """y = a * b entry by entry, two operands of one shape."""

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        require(len(inputs) == 2, f"Product: takes two operands, got {len(inputs)}")
        require(inputs[0] == inputs[1], f"Product: operands differ in shape: {inputs}")
        return inputs[0]


@dataclass(frozen=True, eq=False)
class MatProduct(Operation):
    """y = a b, matrix by matrix. a: (*batch, M, K), b: (*batch, K, N), y: (*batch, M, N)."""

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        require(len(inputs) == 2, f"MatProduct: takes two operands, got {len(inputs)}")
        a, b = inputs
        require(len(a) >= 2 and len(a) == len(b), f"MatProduct: operands {a} and {b} of different ranks")
        require(a[:-2] == b[:-2] and a[-1] == b[-2], f"MatProduct: {a} and {b} do not multiply")
        return (*a[:-1], b[-1])
