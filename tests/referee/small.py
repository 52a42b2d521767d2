"""Small networks and properties, evaluated exactly by nothing but Fractions of their weights."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Point = list[Fraction]
TOLERANCE = Fraction(1, 10_000)


@dataclass(frozen=True)
class Small:
    """y = B relu(A x + a) + b; the property: lower <= x <= upper, y_0 - y_1 <= bound."""

    weights: tuple[NDArray[np.float32], ...]
    lower: Point
    upper: Point
    bound: Fraction

    def outputs(self, x: Point) -> Point:
        first, a, second, b = (
            [[Fraction(float(v)) for v in np.atleast_1d(row)] for row in w] for w in self.weights
        )
        z = [sum((w * v for w, v in zip(row, x, strict=True)), c[0]) for row, c in zip(first, a, strict=True)]
        z = [max(v, Fraction(0)) for v in z]
        return [
            sum((w * v for w, v in zip(row, z, strict=True)), c[0]) for row, c in zip(second, b, strict=True)
        ]

    def slack(self, x: Point) -> Fraction:
        y = self.outputs(x)
        return self.bound - (y[0] - y[1])

    def away(self, x: Point) -> Fraction:
        pairs = zip(self.lower, x, self.upper, strict=True)
        return max(max(low - v, v - high, Fraction(0)) for low, v, high in pairs)

    def ruling(self, x: Point) -> str:
        """What the ruling must be, by the definition."""
        away, holds = self.away(x), self.slack(x) >= 0
        if away == 0:
            return "holds" if holds else "fails"
        moved = [min(max(v, low), high) for low, v, high in zip(self.lower, x, self.upper, strict=True)]
        if away <= TOLERANCE and self.slack(moved) >= 0:
            return "holds-repaired"
        return "tolerance-only" if away <= TOLERANCE and holds else "fails"

    def write(self, folder: Path) -> tuple[Path, Path]:
        model, query = folder / "model.onnx", folder / "property.vnnlib"
        model.write_bytes(_onnx(self.weights))
        query.write_text(self._vnnlib())
        return model, query

    def _vnnlib(self) -> str:
        n = len(self.lower)
        lines = [f"(declare-const X_{i} Real)" for i in range(n)]
        lines += ["(declare-const Y_0 Real)", "(declare-const Y_1 Real)"]
        for i, (low, high) in enumerate(zip(self.lower, self.upper, strict=True)):
            lines += [f"(assert (>= X_{i} {decimal(low)}))", f"(assert (<= X_{i} {decimal(high)}))"]
        return "\n".join([*lines, f"(assert (<= (- Y_0 Y_1) {decimal(self.bound)}))"])


def decimal(q: Fraction) -> str:
    """A rational whose denominator divides a power of ten, as decimal."""
    digits = 0
    while (q * 10**digits).denominator != 1:
        digits += 1
    n = int(q * 10**digits)
    text = str(abs(n)).rjust(digits + 1, "0")
    whole, rest = text[: len(text) - digits], text[len(text) - digits :]
    return ("-" if n < 0 else "") + whole + (f".{rest}" if rest else ".0")


def made(seed: int, n: int = 3, width: int = 5) -> tuple[Small, list[str]]:
    """A network, a property, and a witness (decimals of doubles) on two faces of its box, with a margin near 1e-15."""
    rng = np.random.default_rng(seed)
    shapes = ((width, n), (width,), (2, width), (2,))
    weights = tuple(rng.normal(size=shape).astype(np.float32) for shape in shapes)
    centre = [Fraction(int(v), 1000) for v in rng.integers(-900, 900, n)]
    lower, upper = [c - Fraction(1, 10) for c in centre], [c + Fraction(1, 10) for c in centre]
    point = [
        Fraction(repr(float(c) + float(r))) for c, r in zip(centre, rng.uniform(-0.09, 0.09, n), strict=True)
    ]
    point[0], point[1] = upper[0], lower[1]
    y = Small(weights, lower, upper, Fraction(0)).outputs(point)
    bound = Fraction(-((-(y[0] - y[1]) * 10**15).numerator // (-(y[0] - y[1]) * 10**15).denominator), 10**15)
    return Small(weights, lower, upper, bound), [decimal(v) for v in point]


def text(values: list[str]) -> str:
    return "(" + "\n".join(f"(X_{i} {v})" for i, v in enumerate(values)) + "\n(Y_0 0.0)\n(Y_1 0.0))\n"


def _onnx(weights: tuple[NDArray[np.float32], ...]) -> bytes:
    from onnx import TensorProto, helper, numpy_helper

    a, c, b, d = weights
    tensors = {"A": a.T.copy(), "a": c, "B": b.T.copy(), "b": d}
    nodes = [
        helper.make_node("MatMul", ["x", "A"], ["h0"]),
        helper.make_node("Add", ["h0", "a"], ["h1"]),
        helper.make_node("Relu", ["h1"], ["h2"]),
        helper.make_node("MatMul", ["h2", "B"], ["h3"]),
        helper.make_node("Add", ["h3", "b"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, a.shape[1]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])],
        [numpy_helper.from_array(v, k) for k, v in tensors.items()],
    )
    model: Any = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return bytes(model.SerializeToString())
