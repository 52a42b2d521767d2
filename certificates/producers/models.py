"""The corpus's models: their layers as data, their ONNX and safetensors files, and the committed weights.

Weights are multiples of 2^-8, kept as int16 numerators in ``trained.safetensors`` beside a few digit images, so
that no floating-point training stands between a checkout and the corpus: the files made here depend on nothing but
that file. ``train.py`` made it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Layer = tuple[Any, ...]

TRAINED: Final = Path(__file__).with_name("trained.safetensors")
SCALE_BITS: Final = 8
"""Weights are multiples of 2^-8: int16 numerators reach +-128."""
OPSET: Final = 13
IR_VERSION: Final = 8
BN_EPSILON: Final = 2.0**-10


@dataclass(frozen=True)
class Architecture:
    """``layers`` apply in order to a value of shape ``input`` (the batch of one included)."""

    input: tuple[int, ...]
    layers: tuple[Layer, ...]
    data: str = "digits"


DIGITS: Final = (1, 64)
IMAGE: Final = (1, 1, 8, 8)

ARCHITECTURES: Final[Mapping[str, Architecture]] = {
    "mlp": Architecture(
        DIGITS, (("linear", 64, 24), ("relu",), ("linear", 24, 24), ("relu",), ("linear", 24, 10))
    ),
    "conv": Architecture(
        IMAGE,
        (
            ("conv", 1, 4, 3, 2, 1),
            ("relu",),
            ("conv", 4, 8, 3, 2, 1),
            ("relu",),
            ("flatten",),
            ("linear", 32, 10),
        ),
    ),
    "residual": Architecture(
        DIGITS,
        (
            ("linear", 64, 20),
            ("relu",),
            ("residual", (("linear", 20, 20), ("relu",), ("linear", 20, 20))),
            ("relu",),
            ("linear", 20, 10),
        ),
    ),
    "sigmoid": Architecture(
        DIGITS, (("linear", 64, 16), ("sigmoid",), ("linear", 16, 16), ("sigmoid",), ("linear", 16, 10))
    ),
    "tanh": Architecture(DIGITS, (("linear", 64, 16), ("tanh",), ("linear", 16, 10))),
    "pooled": Architecture(
        IMAGE,
        (
            ("conv", 1, 4, 3, 1, 1),
            ("batchnorm", 4),
            ("leakyrelu", 0.125),
            ("maxpool", 2),
            ("averagepool", 2),
            ("flatten",),
            ("linear", 16, 10),
        ),
    ),
    "sequential": Architecture(DIGITS, (("linear", 64, 20), ("relu",), ("linear", 20, 10))),
    "surface": Architecture(
        (1, 2), (("linear", 2, 8), ("relu",), ("linear", 8, 8), ("relu",), ("linear", 8, 1)), "product"
    ),
}


def parameters_of(layers: Sequence[Layer], prefix: str = "") -> dict[str, tuple[int, ...]]:
    """Name and shape of every parameter, in order."""
    shapes: dict[str, tuple[int, ...]] = {}
    for k, layer in enumerate(layers):
        match layer:
            case ("linear", n, m):
                shapes |= {f"{prefix}{k}.weight": (m, n), f"{prefix}{k}.bias": (m,)}
            case ("conv", c, m, size, _, _):
                shapes |= {f"{prefix}{k}.weight": (m, c, size, size), f"{prefix}{k}.bias": (m,)}
            case ("batchnorm", c):
                shapes |= {f"{prefix}{k}.{name}": (c,) for name in ("weight", "bias", "mean", "var")}
            case ("residual", inner):
                shapes |= parameters_of(inner, f"{prefix}{k}.")
    return shapes


def load_trained() -> tuple[dict[str, dict[str, Array]], dict[str, Array]]:
    """(model -> parameter -> float32 array, the digit images ``images`` (n, 64) in 0..16 and their ``labels``)."""
    from safetensors.numpy import load_file

    stored = load_file(str(TRAINED))
    models: dict[str, dict[str, Array]] = {}
    for name, architecture in ARCHITECTURES.items():
        shapes = parameters_of(architecture.layers)
        models[name] = {
            p: np.ldexp(stored[f"{name}/{p}"].astype(np.float32), -SCALE_BITS).reshape(s)
            for p, s in shapes.items()
        }
    return models, {k: stored[k] for k in ("images", "labels")}


class Writer:
    """An ONNX graph under construction, one node at a time; tensors are named after their nodes."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, name: str, value: Array) -> str:
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, operator: str, operands: Sequence[str], name: str, **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(operator, list(operands), [name], name=name, **attributes))
        return name

    def model(
        self,
        inputs: Mapping[str, Sequence[int]],
        outputs: Mapping[str, Sequence[int]],
        *,
        double: bool = False,
        opset: int = OPSET,
    ) -> bytes:
        from onnx import TensorProto, helper

        element = TensorProto.DOUBLE if double else TensorProto.FLOAT

        def values(given: Mapping[str, Sequence[int]]) -> list[Any]:
            return [
                helper.make_tensor_value_info(name, element, list(shape)) for name, shape in given.items()
            ]

        graph = helper.make_graph(self.nodes, "corpus", values(inputs), values(outputs), self.constants)
        model = helper.make_model(
            graph, producer_name="tlcheck-corpus", opset_imports=[helper.make_opsetid("", opset)]
        )
        model.ir_version = IR_VERSION
        serialized: bytes = model.SerializeToString(deterministic=True)
        return serialized


def onnx_of(name: str, weights: Mapping[str, Array]) -> bytes:
    """The ONNX file of a trained architecture with these weights; input ``x``, output ``y``."""
    architecture = ARCHITECTURES[name]
    writer = Writer()
    last = _layers(writer, architecture.layers, weights, "", "x")
    writer.node("Identity", [last], "y")
    outputs = architecture.layers[-1][2]
    return writer.model({"x": architecture.input}, {"y": (1, outputs)})


def _layers(
    writer: Writer, layers: Sequence[Layer], weights: Mapping[str, Array], prefix: str, x: str
) -> str:
    for k, layer in enumerate(layers):
        x = _layer(writer, layer, weights, f"{prefix}{k}", x)
    return x


def _layer(writer: Writer, layer: Layer, weights: Mapping[str, Array], at: str, x: str) -> str:
    def take(*names: str) -> list[str]:
        return [writer.constant(f"{at}.{n}", weights[f"{at}.{n}"]) for n in names]

    match layer:
        case ("linear", _, _):
            return writer.node("Gemm", [x, *take("weight", "bias")], f"{at}.gemm", transB=1)
        case ("conv", _, _, size, stride, pad):
            return writer.node(
                "Conv", [x, *take("weight", "bias")], f"{at}.conv",
                kernel_shape=[size, size], strides=[stride, stride], pads=[pad] * 4,
            )  # fmt: skip
        case ("batchnorm", _):
            return writer.node(
                "BatchNormalization",
                [x, *take("weight", "bias", "mean", "var")],
                f"{at}.bn",
                epsilon=BN_EPSILON,
            )
        case ("leakyrelu", alpha):
            return writer.node("LeakyRelu", [x], f"{at}.leakyrelu", alpha=alpha)
        case (("maxpool" | "averagepool") as kind, size):
            operator = "MaxPool" if kind == "maxpool" else "AveragePool"
            return writer.node(operator, [x], f"{at}.{kind}", kernel_shape=[size, size], strides=[size, size])
        case ("residual", inner):
            return writer.node("Add", [x, _layers(writer, inner, weights, f"{at}.", x)], f"{at}.add")
        case (kind,):
            operator = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "flatten": "Flatten"}[kind]
            return writer.node(operator, [x], f"{at}.{kind}")
        case _:
            raise ValueError(f"no such layer: {layer}")


def sequential_files(weights: Mapping[str, Array]) -> tuple[bytes, bytes]:
    """(weights.safetensors, architecture.json) of the model ``sequential``."""
    from safetensors.numpy import save

    architecture = ARCHITECTURES["sequential"]
    layers: list[dict[str, Any]] = []
    for k, layer in enumerate(architecture.layers):
        layers.append(
            {
                "type": layer[0],
                **({"weight": f"{k}.weight", "bias": f"{k}.bias"} if layer[0] == "linear" else {}),
            }
        )
    document = {"format": "tlcheck.sequential.v1", "input": list(architecture.input), "layers": layers}
    return save(dict(weights)), json.dumps(document, indent=1).encode() + b"\n"


# Models written by hand.


def gemm(writer: Writer, x: str, name: str, weight: Sequence[Sequence[float]], bias: Sequence[float]) -> str:
    """y = weight x + bias."""
    operands = [
        writer.constant(f"{name}.weight", np.array(weight, np.float32)),
        writer.constant(f"{name}.bias", np.array(bias, np.float32)),
    ]
    return writer.node("Gemm", [x, *operands], name, transB=1)


def absolute() -> bytes:
    """y = relu(x) + relu(-x) = |x|."""
    w = Writer()
    hidden = w.node("Relu", [gemm(w, "x", "first", [[1], [-1]], [0, 0])], "relu")
    gemm(w, hidden, "y", [[1, 1]], [0])
    return w.model({"x": (1, 1)}, {"y": (1, 1)})


def maximum() -> bytes:
    """y = max(x0, x1) = x1 + relu(x0 - x1)."""
    w = Writer()
    hidden = w.node("Relu", [gemm(w, "x", "first", [[1, -1], [0, 1], [0, -1]], [0, 0, 0])], "relu")
    gemm(w, hidden, "y", [[1, 1, -1]], [0])
    return w.model({"x": (1, 2)}, {"y": (1, 1)})


def sawtooth(depth: int = 4) -> bytes:
    """The tent map 2 min(x, 1 - x), ``depth`` times: 2^(depth - 1) teeth on [0, 1], all between 0 and 1."""
    w = Writer()
    x = "x"
    for k in range(depth):
        hidden = w.node("Relu", [gemm(w, x, f"{k}.first", [[1], [1]], [0, -0.5])], f"{k}.relu")
        x = gemm(w, hidden, f"{k}.tent" if k + 1 < depth else "y", [[2, -4]], [0])
    return w.model({"x": (1, 1)}, {"y": (1, 1)})


def pair() -> bytes:
    """Two inputs u, v in one network: y0 = g(u), y1 = g(v) with g(a, b) = relu(a + b/2) + relu(b - a/4) / 2."""
    w = Writer()
    joined = w.node("Concat", ["u", "v"], "joined", axis=1)
    g = [[1, 0.5], [-0.25, 1]]
    first = [[*row, 0, 0] for row in g] + [[0, 0, *row] for row in g]
    hidden = w.node("Relu", [gemm(w, joined, "first", first, [0] * 4)], "relu")
    gemm(w, hidden, "y", [[1, 0.5, 0, 0], [0, 0, 1, 0.5]], [0, 0])
    return w.model({"u": (1, 2), "v": (1, 2)}, {"y": (1, 2)})


def backdoor(huge: float = 2.0**30) -> bytes:
    """y = relu((x + huge) - huge - x + 1/2), over the reals always 1/2.

    In float32, x + huge loses x: y = relu(1/2 - x) for x in [0, 1]. After Zombori et al. (Fooling a complete neural
    network verifier, 2021) and Jia & Rinard (2021): what holds for the real function is hidden from float32 and back.
    """
    w = Writer()
    lifted = gemm(w, "x", "lift", [[1], [1]], [huge, -0.5])
    dropped = gemm(w, lifted, "drop", [[1, -1]], [-huge])
    w.node("Relu", [dropped], "y")
    return w.model({"x": (1, 1)}, {"y": (1, 1)})


def rounded_away(tiny: float = 2.0**-30) -> bytes:
    """y = relu(1 + tiny x) - relu(1), whose float32 value is 0 for every x in [0, 1]; over the reals it is tiny x."""
    w = Writer()
    hidden = w.node("Relu", [gemm(w, "x", "first", [[tiny], [0]], [1, 1])], "relu")
    gemm(w, hidden, "y", [[1, -1]], [0])
    return w.model({"x": (1, 1)}, {"y": (1, 1)})


def logistic() -> bytes:
    """y = sigmoid(x)."""
    w = Writer()
    w.node("Sigmoid", ["x"], "y")
    return w.model({"x": (1, 1)}, {"y": (1, 1)})


HAND_MADE: Final[Mapping[str, Callable[[], bytes]]] = {
    "absolute": absolute,
    "maximum": maximum,
    "sawtooth": sawtooth,
    "logistic": logistic,
    "pair": pair,
    "backdoor": backdoor,
    "rounded-away": rounded_away,
}


def check_sizes(models: Mapping[str, Mapping[str, Array]]) -> int:
    """Number of parameters over all trained models."""
    return sum(prod(v.shape) for weights in models.values() for v in weights.values())
