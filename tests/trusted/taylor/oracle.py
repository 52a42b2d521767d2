"""Random smooth networks, and their Taylor coefficients along lines at 200 bits: FLINT's power series, nothing of ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from flint import arb, arb_series

from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.graph import Graph, Node
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.affine import Linear, Scale
from tlcheck.trusted.ops.base import Operation
from tlcheck.trusted.ops.bent import Abs, Clip, LeakyRelu
from tlcheck.trusted.ops.product import Product
from tlcheck.trusted.ops.s_shaped import Sigmoid, Tanh
from tlcheck.trusted.ops.selection import MaxOver
from tlcheck.trusted.ops.smooth import Cos, Erf, Exp, Log, Power, Reciprocal, Sin, Softplus, Sqrt
from tlcheck.trusted.ops.structure import Input

Series = Any
MARGIN = 3.0
"""Added to |x|^2 before functions that need a positive argument."""


def tanh(x: Series) -> Series:
    return 1 - 2 / ((2 * x).exp() + 1)


def sigmoid(x: Series) -> Series:
    return 1 / ((-x).exp() + 1)


FUNCTIONS: dict[str, tuple[Operation, Callable[[Series], Series]]] = {
    "tanh": (Tanh(), tanh),
    "sigmoid": (Sigmoid(), sigmoid),
    "softplus": (Softplus(), lambda x: (x.exp() + 1).log()),
    "sin": (Sin(), lambda x: x.sin()),
    "cos": (Cos(), lambda x: x.cos()),
    "exp": (Exp(), lambda x: x.exp()),
    "erf": (Erf(), lambda x: x.erf()),
}
POSITIVE: dict[str, tuple[Operation, Callable[[Series], Series]]] = {
    "log": (Log(), lambda x: x.log()),
    "sqrt": (Sqrt(), lambda x: x.sqrt()),
    "reciprocal": (Reciprocal(), lambda x: 1 / x),
    "power": (Power(1.375), lambda x: (x.log() * 1.375).exp()),
}
"""Applied to 3 + z^2."""


def greatest(x: Series, y: Series) -> Series:
    """By the values at the point, which must differ for certain."""
    difference = (x - y).coeffs()
    value = difference[0] if difference else arb(0)
    if value > 0:
        return x
    if value < 0:
        return y
    raise ArithmeticError("at a kink")


LEAK = 0.1875
CLIP = (-0.375, 0.5)
KINKS: dict[str, tuple[Operation, Callable[[Series], Series]]] = {
    "relu": (Relu(), lambda x: greatest(x, 0 * x)),
    "leaky": (LeakyRelu(LEAK), lambda x: greatest(x, LEAK * x)),
    "folded": (LeakyRelu(-2.5), lambda x: greatest(x, -2.5 * x)),
    "abs": (Abs(), lambda x: greatest(x, -x)),
    "clip": (
        Clip(Constant(np.array(CLIP[0])), Constant(np.array(CLIP[1]))),
        lambda x: -greatest(-greatest(x, 0 * x + CLIP[0]), 0 * x - CLIP[1]),
    ),
    "max": (MaxOver((5,), np.array([[k, (k + 1) % 5, -1, k] for k in range(5)])), lambda x: x),
}


class RandomNetwork:
    """n inputs, two hidden layers of 5, one output; the activations are ``first`` and ``second``."""

    def __init__(self, rng: np.random.Generator, n: int, first: str, second: str) -> None:
        self.weights = [rng.normal(0, 0.8, shape) for shape in ((n, 5), (5, 5), (5, 1))]
        self.biases = [rng.normal(0, 0.5, size) for size in (5, 5, 1)]
        self.names = (first, second)
        nodes = [Node(Input((n,)), (), (n,))]
        for k, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            nodes.append(Node(Linear(Constant(w), Constant(b)), (len(nodes) - 1,), (w.shape[1],)))
            if k < 2:
                self._activation(nodes, self.names[k], w.shape[1])
        self.graph = Graph(tuple(nodes), (len(nodes) - 1,), ("x",), ("y",))

    @staticmethod
    def _activation(nodes: list[Node], name: str, size: int) -> None:
        z = len(nodes) - 1
        if name in FUNCTIONS | KINKS:
            nodes.append(Node((FUNCTIONS | KINKS)[name][0], (z,), (size,), name))
            return
        nodes.append(Node(Product(), (z, z), (size,)))
        if name == "gelu":
            nodes[-1] = Node(Scale(Constant(np.array(0.5**0.5)), None, 1), (z,), (size,))
            nodes.append(Node(Erf(), (z + 1,), (size,)))
            nodes.append(Node(Scale(Constant(np.array(0.5)), Constant(np.array(0.5)), 1), (z + 2,), (size,)))
            nodes.append(Node(Product(), (z, z + 3), (size,)))
            return
        three = Constant(np.array(MARGIN))
        nodes.append(Node(Scale(Constant(np.array(1.0)), three, 1), (z + 1,), (size,)))
        nodes.append(Node(POSITIVE[name][0], (z + 2,), (size,)))

    def _apply(self, name: str, x: Series) -> Series:
        if name in FUNCTIONS | KINKS:
            return (FUNCTIONS | KINKS)[name][1](x)
        if name == "gelu":
            return x * ((x * arb(0.5**0.5)).erf() * arb(0.5) + arb(0.5))
        return POSITIVE[name][1](x * x + MARGIN)

    def along(self, point: Sequence[Any], direction: Sequence[float], order: int) -> list[arb]:
        """Coefficients 0..order of t -> network(point + t direction). Set flint's precision and cap before."""
        values: list[Series] = [
            arb_series([x, d], prec=order + 1) for x, d in zip(point, direction, strict=True)
        ]
        for k, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            values = [
                sum(
                    (v * arb(float(a)) for v, a in zip(values, column, strict=True)),
                    arb_series([arb(float(c))], prec=order + 1),
                )
                for column, c in zip(w.T, b, strict=True)
            ]
            if k < 2 and self.names[k] == "max":
                values = [greatest(v, w) for v, w in zip(values, [*values[1:], values[0]], strict=True)]
            elif k < 2:
                values = [self._apply(self.names[k], v) for v in values]
        found = values[0].coeffs()
        return [*found, *[arb(0)] * (order + 1 - len(found))]


ACTIVATIONS = (*FUNCTIONS, *POSITIVE, "gelu")
