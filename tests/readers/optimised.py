"""Small models of the kinds that onnxruntime's optimiser rewrites, and what it writes of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LEVELS: Final = ("ORT_DISABLE_ALL", "ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL")


class Maker:
    """Nodes one after another: ``m("Conv", x, weights, pads=[1] * 4)`` is the name of the result; arrays are stored."""

    def __init__(self, opset: int = 17, seed: int = 0) -> None:
        self.rng, self.opset = np.random.default_rng(seed), opset
        self.nodes: list[onnx.NodeProto] = []
        self.stored: list[onnx.TensorProto] = []

    def w(self, *shape: int, scale: float = 0.5) -> Any:
        return (self.rng.normal(size=shape) * scale).astype(np.float32)

    def __call__(self, operator: str, *operands: Any, **attributes: Any) -> str:
        names = []
        for x in operands:
            if not isinstance(x, str):
                self.stored.append(numpy_helper.from_array(np.asarray(x), f"c{len(self.stored)}"))
            names.append(x if isinstance(x, str) else self.stored[-1].name)
        result = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, names, [result], name=f"n{result}", **attributes))
        return result

    def model(self, shape: list[int], result: str) -> bytes:
        """From x of that shape to y."""
        nodes = [*self.nodes, helper.make_node("Identity", [result], ["y"])]
        x, y = (
            helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", shape), ("y", None))
        )
        graph = helper.make_graph(nodes, "g", [x], [y], self.stored)
        imports = [helper.make_opsetid("", self.opset)]
        return bytes(helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString())


def cnn(activation: str, channels: int = 8, **attributes: float) -> bytes:
    """Convolutions with batch normalisation, a residual sum, pooling, a classifier."""
    m, c = Maker(), channels

    def block(x: str, inputs: int) -> str:
        x = m("Conv", x, m.w(c, inputs, 3, 3, scale=0.3), m.w(c), pads=[1, 1, 1, 1])
        return m("BatchNormalization", x, m.w(c), m.w(c), m.w(c), np.abs(m.w(c)) + np.float32(0.1))

    first = m(activation, block("x", 3), **attributes)
    x = m(activation, m("Add", block(first, c), first), **attributes)
    x = m("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = m(activation, m("Conv", x, m.w(2 * c, c, 1, 1, scale=0.3), m.w(2 * c)), **attributes)
    x = m("GlobalAveragePool", m("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2]))
    return m.model([1, 3, 4, 4], m("Gemm", m("Flatten", x), m.w(2 * c, 3), m.w(3)))


def mlp(activation: str, **attributes: float) -> bytes:
    m = Maker()
    x = m(activation, m("Add", m("MatMul", "x", m.w(5, 6)), m.w(6)), **attributes)
    x = m(activation, m("Gemm", x, m.w(4, 6), m.w(4), transB=1), **attributes)
    return m.model([1, 5], m("Gemm", x, m.w(4, 2), m.w(2)))


def normalised(m: Maker, x: str, width: int, kind: str) -> str:
    """Layer normalisation: as one node, written out, or of the square mean alone."""
    if kind == "node":
        return m("LayerNormalization", x, m.w(width), m.w(width), axis=-1, epsilon=1e-5)
    centred = x if kind == "rms" else m("Sub", x, m("ReduceMean", x, axes=[-1]))
    square = m("ReduceMean", m("Pow", centred, np.float32(2)), axes=[-1])
    scaled = m("Div", centred, m("Sqrt", m("Add", square, np.float32(1e-5))))
    y = m("Mul", scaled, m.w(width))
    return y if kind == "rms" else m("Add", y, m.w(width))


def gated(m: Maker, x: str, kind: str) -> str:
    """Gelu by erf or by tanh, SiLU, or the quick Gelu, written out as exporters do."""
    if kind in ("silu", "quick"):
        return m("Mul", x, m("Sigmoid", x if kind == "silu" else m("Mul", x, np.float32(1.702))))
    half = np.float32(0.5)
    if kind == "erf":
        inner = m("Erf", m("Div", x, np.float32(2**0.5)))
        return m("Mul", m("Mul", x, m("Add", inner, np.float32(1))), half)
    cube = m("Mul", m("Pow", x, np.float32(3)), np.float32(0.044715))
    inner = m("Tanh", m("Mul", m("Add", x, cube), np.float32((2 / np.pi) ** 0.5)))
    return m("Mul", m("Mul", x, half), m("Add", inner, np.float32(1)))


def attention(m: Maker, x: str, tokens: int, width: int, heads: int) -> str:
    each = width // heads

    def projected(perm: list[int]) -> str:
        y = m("Add", m("MatMul", x, m.w(width, width, scale=0.3)), m.w(width))
        return m("Transpose", m("Reshape", y, np.array([0, tokens, heads, each])), perm=perm)

    q, k, v = (projected(perm) for perm in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]))
    weights = m("Softmax", m("Div", m("MatMul", q, k), np.float32(each**0.5)), axis=-1)
    y = m("Transpose", m("MatMul", weights, v), perm=[0, 2, 1, 3])
    y = m("Reshape", y, np.array([0, tokens, width]))
    return m("Add", m("MatMul", y, m.w(width, width, scale=0.3)), m.w(width))


def transformer(norm: str, gate: str, *, first: bool, opset: int = 17) -> bytes:
    """One encoder block; ``first``: normalised before attention and MLP (a ViT block), else after."""
    m, tokens, width = Maker(opset), 3, 4

    def perceptron(x: str) -> str:
        hidden = gated(m, m("Add", m("MatMul", x, m.w(width, 6)), m.w(6)), gate)
        return m("Add", m("MatMul", hidden, m.w(6, width)), m.w(width))

    x = "x"
    for layer in (lambda x: attention(m, x, tokens, width, 2), perceptron):
        if first:
            x = m("Add", x, layer(normalised(m, x, width, norm)))
        else:
            x = normalised(m, m("Add", layer(x), x), width, norm)
    return m.model([1, tokens, width], x)


MODELS: Final[dict[str, Callable[[], bytes]]] = {
    "cnn": lambda: cnn("Relu"),
    "cnn leaky": lambda: cnn("LeakyRelu", alpha=0.1),
    "cnn hard sigmoid": lambda: cnn("HardSigmoid"),
    "cnn sigmoid": lambda: cnn("Sigmoid"),
    "mlp": lambda: mlp("Relu"),
    **{
        f"mlp {a}": lambda a=a: mlp(a) for a in ("Elu", "Selu", "Softplus", "Softsign", "Tanh", "HardSigmoid")
    },  # type: ignore[misc]
    "mlp thresholded": lambda: mlp("ThresholdedRelu", alpha=0.5),
    "encoder": lambda: transformer("written", "erf", first=False),
    "encoder tanh": lambda: transformer("node", "tanh", first=False),
    "encoder opset 13": lambda: transformer("written", "erf", first=True, opset=13),
    "vit": lambda: transformer("node", "quick", first=True),
    "rms": lambda: transformer("rms", "silu", first=True),
    "rms after": lambda: transformer("rms", "silu", first=False),
}


def optimised(data: bytes, level: str, folder: Path) -> tuple[bytes, Any]:
    """What onnxruntime makes of the model at that level, as it saves it, and the session."""
    import onnxruntime

    path, options = folder / "optimised.onnx", onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    options.optimized_model_filepath = str(path)
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return path.read_bytes(), session


def operators(data: bytes) -> set[str]:
    """Those of its nodes, with their domains."""
    nodes = onnx.load_from_string(data).graph.node
    return {f"{n.domain}.{n.op_type}" if n.domain else n.op_type for n in nodes}
