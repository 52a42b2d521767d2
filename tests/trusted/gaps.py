"""Operations of two networks' differences, and the shapes of their operands: for every test that runs over operations."""

from __future__ import annotations

import numpy as np

from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.base import Operation
from tlcheck.trusted.ops.bent import Abs, Clip, LeakyRelu
from tlcheck.trusted.ops.gap import BentGap, Difference
from tlcheck.trusted.ops.product import MatProduct, Product
from tlcheck.trusted.ops.product_gap import BothRounded
from tlcheck.trusted.ops.s_shaped import Atan, Sigmoid, Tanh
from tlcheck.trusted.ops.selection import MaxOver
from tlcheck.trusted.ops.smooth import Erf, Power, Sin, Softplus
from tlcheck.trusted.ops.smooth_gap import SmoothGap
from tlcheck.trusted.ops.softmax import Softmax
from tlcheck.trusted.ops.window_gap import MaxGap, SoftmaxGap

Shape = tuple[int, ...]


def clip(low: float | None, high: float | None) -> Clip:
    return Clip(*(None if x is None else Constant(np.array([float(x)])) for x in (low, high)))


PER_VALUE = Clip(Constant(np.arange(6.0) - 3), Constant(np.arange(6.0) - 2))
WINDOWS = MaxOver((3,), np.array([[0, 1, 2], [2, 3, -1], [5, -1, -1]], np.int64))
F: dict[str, tuple[Operation, list[Shape]]] = {
    name: (BentGap(f), [(6,), (6,)])  # type: ignore[arg-type]
    for name, f in {
        "relu-gap": Relu(), "leaky-gap": LeakyRelu(0.25), "steep-gap": LeakyRelu(-2.0), "abs-gap": Abs(), "clip-gap": clip(-1, 0.5),
        "one-sided-gap": clip(None, 0.5), "crossed-gap": clip(1, -1), "per-value-gap": PER_VALUE,
    }.items()
}  # fmt: skip
SMOOTH = {"sigmoid-gap": Sigmoid(), "tanh-gap": Tanh(), "atan-gap": Atan(), "sin-gap": Sin(), "erf-gap": Erf(), "softplus-gap": Softplus(),
          "square-gap": Power(2.0), "cube-gap": Power(3.0)}  # fmt: skip
POINTWISE: dict[str, tuple[Operation, list[Shape]]] = {
    **F,
    **{name: (SmoothGap(f), [(6,), (6,)]) for name, f in SMOOTH.items()},  # type: ignore[arg-type]
}
"""Gaps of functions of one variable: those with lines."""
GAPS: dict[str, tuple[Operation, list[Shape]]] = {
    **POINTWISE,
    "max-gap": (MaxGap(WINDOWS), [(6,), (6,)]),
    "softmax-gap": (SoftmaxGap(Softmax()), [(2, 3), (2, 3)]),
    "difference": (Difference((1, -1, -1)), [(2, 3)] * 3),
    "both-rounded": (BothRounded(Product()), [(4,)] * 5),
    "both-rounded-matrices": (BothRounded(MatProduct()), [(2, 2), (2, 3), (3, 2), (2, 3), (3, 2)]),
}
