"""Random small networks as ONNX files, one maker an architecture. Weights are dyadic, so that exact values have short numerals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

Array = NDArray[np.float32]
Rng = np.random.Generator
Weights = list[list[Fraction]]


def dyadic(rng: Rng, shape: tuple[int, ...], bits: int = 5, scale: float = 1.0) -> Array:
    """Multiples of 2^-bits, about normal."""
    values = np.round(rng.normal(0, scale, shape) * 2**bits) / 2**bits
    return values.astype(np.float32)


@dataclass
class Net:
    """ONNX nodes one after the other; a value is named by what made it. The input is ``x``, of ``shape``."""

    shape: tuple[int, ...]
    nodes: list[NodeProto] = field(default_factory=list)
    constants: list[TensorProto] = field(default_factory=list)

    def add(self, operator: str, *operands: str, **attributes: Any) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, [*operands], [name], **attributes))
        return name

    def constant(self, values: NDArray[Any]) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(values, name))
        return name

    def affine(self, x: str, weights: Array, bias: Array) -> str:
        """x W^T + b for x (1, n), W (m, n)."""
        return self.add("Gemm", x, self.constant(np.ascontiguousarray(weights.T)), self.constant(bias))

    def dense(self, x: str, rng: Rng, n: int, m: int) -> str:
        return self.affine(x, dyadic(rng, (m, n), scale=1.5 / n**0.5), dyadic(rng, (m,), scale=0.3))

    def model(self, y: str, outputs: int) -> bytes:
        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shape)],
            [helper.make_tensor_value_info(y, TensorProto.FLOAT, [1, outputs])],
            self.constants,
        )
        proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        data: bytes = proto.SerializeToString()
        return data


@dataclass(frozen=True)
class Made:
    """A network before its last node is named an output: value ``y`` of ``outputs`` entries, (1, outputs)."""

    net: Net
    inputs: int
    y: str
    outputs: int

    @property
    def flat(self) -> str:
        """The input as (1, inputs)."""
        return "x" if self.net.shape == (1, self.inputs) else self.net.add("Flatten", "x")


def dense(activation: str, rng: Rng) -> Made:
    inputs, outputs = int(rng.integers(2, 7)), int(rng.integers(1, 5))
    net, h, n = Net((1, inputs)), "x", inputs
    for width in rng.integers(4, 13, rng.integers(1, 4)).tolist():
        h, n = net.add(activation, net.dense(h, rng, n, width)), width
    return Made(net, inputs, net.dense(h, rng, n, outputs), outputs)


def residual(rng: Rng) -> Made:
    inputs, width, outputs = int(rng.integers(2, 6)), int(rng.integers(5, 10)), int(rng.integers(2, 5))
    net = Net((1, inputs))
    h = net.add("Relu", net.dense("x", rng, inputs, width))
    for _ in range(int(rng.integers(1, 3))):
        inner = net.add("Relu", net.dense(h, rng, width, width))
        h = net.add("Relu", net.add("Add", h, net.dense(inner, rng, width, width)))
    return Made(net, inputs, net.dense(h, rng, width, outputs), outputs)


def convolutional(rng: Rng, *, pooled: bool = False) -> Made:
    channels, outputs = int(rng.integers(2, 4)), int(rng.integers(2, 5))
    net = Net((1, 1, 4, 4))
    kernel, bias = dyadic(rng, (channels, 1, 3, 3), scale=0.5), dyadic(rng, (channels,), scale=0.3)
    z = net.add("Conv", "x", net.constant(kernel), net.constant(bias), pads=[1, 1, 1, 1])
    h, size = net.add("Relu", z), channels * 16
    if pooled:
        h, size = net.add("MaxPool", h, kernel_shape=[2, 2], strides=[2, 2]), channels * 4
    return Made(net, 16, net.dense(net.add("Flatten", h), rng, size, outputs), outputs)


def product(rng: Rng) -> Made:
    """A product of two ReLU layers beside their sum."""
    inputs, width, outputs = int(rng.integers(2, 5)), 5, int(rng.integers(1, 4))
    net = Net((1, inputs))
    a, b = (net.add("Relu", net.dense("x", rng, inputs, width)) for _ in range(2))
    both = net.add("Concat", net.add("Mul", a, b), net.add("Add", a, b), axis=1)
    return Made(net, inputs, net.dense(both, rng, 2 * width, outputs), outputs)


ARCHITECTURES: dict[str, Callable[[Rng], Made]] = {
    "dense": lambda rng: dense("Relu", rng),
    "residual": residual,
    "conv": convolutional,
    "pool": lambda rng: convolutional(rng, pooled=True),
    "leaky": lambda rng: dense("LeakyRelu", rng),
    "sigmoid": lambda rng: dense("Sigmoid", rng),
    "tanh": lambda rng: dense("Tanh", rng),
    "product": product,
}


def needle(made: Made, point: Array, radii: Array, height: float) -> bytes:
    """``made`` with height * ReLU(1 - sum |x - point| / radii) added to its first output: a spike that no gradient outside it shows.

    Powers of two for ``radii`` and a ``point`` of few digits keep it exact: at the point it is ``height``.
    """
    net, n = made.net, made.inputs
    scale = np.concatenate([np.diag(1 / radii), -np.diag(1 / radii)]).astype(np.float32)
    distances = net.add("Relu", net.affine(made.flat, scale, -(scale @ point).astype(np.float32)))
    bump = net.add("Relu", net.affine(distances, np.full((1, 2 * n), -1, np.float32), np.ones(1, np.float32)))
    spread = np.zeros((made.outputs, 1), np.float32)
    spread[0] = height
    lifted = net.affine(bump, spread, np.zeros(made.outputs, np.float32))
    return net.model(net.add("Add", made.y, lifted), made.outputs)


def layered(layers: list[tuple[Array, Array]]) -> bytes:
    """A dense ReLU network with these weights (m, n) and biases."""
    inputs = layers[0][0].shape[1]
    net, h = Net((1, inputs)), "x"
    for k, (weights, bias) in enumerate(layers):
        h = net.affine(h if k == 0 else net.add("Relu", h), weights, bias)
    return net.model(h, layers[-1][1].size)
