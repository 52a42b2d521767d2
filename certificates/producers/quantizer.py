"""Networks of float32 weights as networks of 8-bit integers, in both forms of the standard: with QuantizeLinear and
DequantizeLinear around operators of numbers, and of operators of integers (QLinearMatMul, QLinearConv)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Floats = NDArray[np.float32]


@dataclass
class Layer:
    """``weight``: (K, N) of a product, (O, C, *kernel) of a convolution; ``kind``: "MatMul" or "Conv"; then perhaps a ReLU."""

    kind: str
    weight: Floats
    bias: Floats
    relu: bool = True
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass
class Quantizer:
    """Writes nodes. ``scales``: of every activation, the input first, with zero points (uint8)."""

    layers: Sequence[Layer]
    scales: Sequence[tuple[float, int]]
    nodes: list[Any] = field(default_factory=list)
    stored: list[Any] = field(default_factory=list)

    def put(self, name: str, value: Any) -> str:
        self.stored.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, op: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, list(inputs), [output], output, **attributes))
        return output

    def scheme(self, k: int) -> list[str]:
        scale, zero = self.scales[k]
        if k >= len(self._named):
            self._named.append([self.put(f"s{k}", np.float32(scale)), self.put(f"z{k}", np.uint8(zero))])
        return self._named[k]

    def __post_init__(self) -> None:
        self._named: list[list[str]] = []

    def weights(self, k: int, axis: int) -> tuple[str, str, str, NDArray[np.float32]]:
        """One scale a column, or output channel."""
        w = self.layers[k].weight
        others = tuple(a for a in range(w.ndim) if a != axis)
        scale = (np.abs(w).max(axis=others) / np.float32(127)).astype(np.float32)
        shape = [-1 if a == axis else 1 for a in range(w.ndim)]
        q = np.clip(np.rint(w / scale.reshape(shape)), -127, 127).astype(np.int8)
        names = (
            self.put(f"w{k}", q),
            self.put(f"ws{k}", scale),
            self.put(f"wz{k}", np.zeros(scale.shape, np.int8)),
        )
        return (*names, scale)

    def bias(self, k: int, scale: NDArray[np.float32]) -> tuple[str, str]:
        """As int32, with the scale of the sums."""
        by = (np.float32(self.scales[k][0]) * scale).astype(np.float32)
        b = np.rint(self.layers[k].bias / by).astype(np.int32)
        return self.put(f"b{k}", b), self.put(f"bs{k}", by)

    def with_floats(self, x: str = "x") -> str:
        """QuantizeLinear and DequantizeLinear around every activation, DequantizeLinear behind every weight."""
        for k, layer in enumerate(self.layers):
            axis = 0 if layer.kind == "Conv" else 1
            scheme = self.scheme(k)
            q = self.node("QuantizeLinear", [x, *scheme], f"q{k}")
            x = self.node("DequantizeLinear", [q, *scheme], f"d{k}")
            w, ws, wz, scale = self.weights(k, axis)
            b, bs = self.bias(k, scale)
            weight = self.node("DequantizeLinear", [w, ws, wz], f"dw{k}", axis=axis)
            bias = self.node("DequantizeLinear", [b, bs], f"db{k}", axis=0)
            if layer.kind == "Conv":
                x = self.node("Conv", [x, weight, bias], f"p{k}", **layer.attributes)
            else:
                x = self.node("Gemm", [x, weight, bias], f"p{k}")
            x = self.node("Relu", [x], f"r{k}") if layer.relu else x
            if layer.kind == "Conv" and k + 1 < len(self.layers) and self.layers[k + 1].kind != "Conv":
                x = self.node("Flatten", [x], f"f{k}")
        return x

    def with_integers(self, x: str = "x") -> str:
        """QLinearConv and QLinearMatMul: what is between has the next activation's scale, and its ReLU is the cut at the zero
        point, which then is 0. No biases in products of matrices."""
        x = self.node("QuantizeLinear", [x, *self.scheme(0)], "q0")
        for k, layer in enumerate(self.layers):
            w, ws, wz, scale = self.weights(k, 0 if layer.kind == "Conv" else 1)
            operands = [x, *self.scheme(k), w, ws, wz, *self.scheme(k + 1)]
            if layer.kind == "Conv":
                x = self.node("QLinearConv", [*operands, self.bias(k, scale)[0]], f"p{k}", **layer.attributes)
            else:
                x = self.node("QLinearMatMul", operands, f"p{k}")
            if layer.kind == "Conv" and k + 1 < len(self.layers) and self.layers[k + 1].kind != "Conv":
                x = self.node("Flatten", [x], f"f{k}")
        return self.node("DequantizeLinear", [x, *self.scheme(len(self.layers))], "y")

    def model(self, shape: Sequence[int], output: str) -> bytes:
        graph = helper.make_graph(
            self.nodes, "quantized", [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)], self.stored,
        )  # fmt: skip
        opset = [helper.make_opsetid("", 19)]
        made = helper.make_model(graph, producer_name="tlcheck-corpus", opset_imports=opset, ir_version=10)
        return bytes(made.SerializeToString(deterministic=True))
