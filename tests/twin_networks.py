"""Small networks of every operator that both checkers know, with a property that a proof can be found for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

Array = np.ndarray[Any, np.dtype[Any]]


class Build:
    """A graph in the making: ``x`` is the tensor that the next operator takes."""

    def __init__(self, shape: list[int], seed: int, opset: int = 17) -> None:
        self.rng = np.random.default_rng(seed)
        self.shape, self.opset, self.x = shape, opset, "x"
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype=dtype), name))
        return name

    def normal(self, *shape: int, scale: float = 0.6) -> str:
        return self.constant(self.rng.normal(size=shape) * scale)

    def op(self, kind: str, *more: str, first: str | None = None, **attributes: Any) -> str:
        self.nodes.append(
            helper.make_node(kind, [first or self.x, *more], [f"t{len(self.nodes)}"], **attributes)
        )
        self.x = self.nodes[-1].output[0]
        return self.x

    def model(self) -> onnx.ModelProto:
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shape)
        y = helper.make_tensor_value_info(self.x, TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, "g", [x], [y], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)
        return onnx.shape_inference.infer_shapes(model)


def dense(b: Build, n: int, m: int) -> None:
    b.op("Gemm", b.normal(m, n), b.normal(m, scale=0.2), transB=1)


def gemm(b: Build) -> None:
    dense(b, 4, 6)
    b.op("Relu")
    b.op("Gemm", b.normal(6, 5), b.normal(1, 5), alpha=0.5, beta=2.0)
    b.op("Relu")
    dense(b, 5, 2)


def matmul(b: Build) -> None:
    b.op("MatMul", b.normal(4, 6))
    b.op("Add", b.normal(6))
    b.op("LeakyRelu", alpha=0.1)
    b.op("MatMul", b.normal(6, 2))
    b.op("Sub", b.normal(1, 2))


def residual(b: Build) -> None:
    dense(b, 4, 5)
    left = b.op("Abs")
    dense(b, 5, 5)
    b.op("Relu")
    b.op("Add", left)
    b.op("Mul", b.normal(5))
    b.op("Sub", left)
    dense(b, 5, 2)


def clip(b: Build) -> None:
    dense(b, 4, 6)
    b.op("Clip", b.constant(-0.25), b.constant(0.5))
    b.op("Clip", b.constant(0.0))
    b.op("Clip", "", b.constant(0.375))
    dense(b, 6, 2)


def image(b: Build) -> None:
    b.op("Conv", b.normal(3, 1, 2, 2), b.normal(3), strides=[1, 1], pads=[1, 0, 0, 1])
    b.op("BatchNormalization", *(b.normal(3) for _ in range(3)), b.constant(b.rng.uniform(0.5, 2, 3)))
    b.op("Relu")
    b.op("Conv", b.normal(3, 1, 2, 2), group=3, dilations=[1, 1])
    b.op("Flatten")
    dense(b, 12, 2)


def pools(b: Build) -> None:
    b.op("Pad", b.constant([0, 0, 1, 0, 0, 0, 0, 1], np.int64), b.constant(0.125))
    b.op("Conv", b.normal(2, 1, 2, 2), b.normal(2))
    b.op("MaxPool", kernel_shape=[2, 2], pads=[0, 1, 0, 0])
    b.op("AveragePool", kernel_shape=[2, 2], pads=[0, 0, 1, 1], count_include_pad=1)
    b.op("AveragePool", kernel_shape=[2, 1], pads=[0, 0, 1, 0])
    b.op("Reshape", b.constant([0, -1], np.int64))
    dense(b, 18, 2)


def shapes(b: Build) -> None:
    b.op("Reshape", b.constant([2, 2], np.int64))
    b.op("Transpose", perm=[1, 0])
    b.op("Unsqueeze", b.constant([0], np.int64))
    b.op("MatMul", b.normal(2, 3))
    b.op("Squeeze", b.constant([0], np.int64))
    relu = b.op("Relu")
    b.op("Slice", *(b.constant(v, np.int64) for v in ([0, -2], [2, 9], [0, 1], [1, 1])))
    b.op("Concat", relu, b.normal(2, 1), axis=1)
    b.op("Flatten", axis=0)
    dense(b, 12, 2)


def old(b: Build) -> None:
    b.op("Unsqueeze", axes=[1])
    b.op("Squeeze", axes=[1])
    dense(b, 4, 5)
    b.op("Clip", min=-0.5, max=0.75)
    b.op("Slice", starts=[1], ends=[5], axes=[1])
    b.op("Pad", pads=[0, 1, 0, 0], value=0.5)
    b.op("BatchNormalization", *(b.normal(5) for _ in range(3)), b.constant(b.rng.uniform(0.5, 2, 5)))
    dense(b, 5, 2)


def back(b: Build) -> None:
    """A product from the left, a difference from a constant, an identity."""
    b.op("Identity")
    b.op("Mul", b.constant([0.5, 3.0, 0.7, 2.0]))
    b.op("Reshape", b.constant([2, 2], np.int64))
    left = b.x
    b.nodes.append(helper.make_node("MatMul", [b.normal(3, 2), left], ["m"]))
    b.nodes.append(helper.make_node("Sub", [b.normal(1, 2), "m"], ["s"]))
    b.x = "s"
    b.op("Relu")
    b.op("Flatten", axis=0)
    dense(b, 6, 2)


def wide(b: Build) -> None:
    """More inputs than it pays to split: neurons are split, of every activation."""
    dense(b, 20, 12)
    b.op("Relu")
    dense(b, 12, 10)
    b.op("LeakyRelu", alpha=0.1)
    dense(b, 10, 8)
    b.op("Abs")
    dense(b, 8, 6)
    b.op("Relu")
    dense(b, 6, 2)


def picture(b: Build) -> None:
    b.op("Conv", b.normal(3, 1, 3, 3), b.normal(3), pads=[1, 1, 1, 1], strides=[2, 2])
    b.op("BatchNormalization", *(b.normal(3) for _ in range(3)), b.constant(b.rng.uniform(0.5, 2, 3)))
    left = b.op("Relu")
    b.op("Conv", b.normal(3, 3, 1, 1), b.normal(3))
    b.op("Clip", b.constant(-0.5), b.constant(0.75))
    b.op("Concat", left, axis=1)
    b.op("MaxPool", kernel_shape=[2, 2], strides=[1, 1])
    b.op("AveragePool", kernel_shape=[2, 1])
    b.op("Flatten")
    dense(b, 12, 5)
    b.op("Relu")
    dense(b, 5, 2)


ROOMS = {
    "wide": (0.9, 1.1, 1.5, 2.0),
    "picture": (1.0, 1.3, 1.7, 2.5),
}  # times the samples' range: what is left around it
BUILDERS: dict[str, tuple[Callable[[Build], None], list[int], int]] = {
    "gemm": (gemm, [1, 4], 17), "matmul": (matmul, [1, 4], 13), "residual": (residual, [1, 4], 17), "clip": (clip, [1, 4], 17),
    "image": (image, [1, 1, 3, 3], 17), "pools": (pools, [1, 1, 4, 3], 17), "shapes": (shapes, [1, 4], 13), "old": (old, [1, 4], 9),
    "back": (back, [1, 4], 13), "wide": (wide, [1, 20], 17), "picture": (picture, [1, 1, 5, 5], 17),
}  # fmt: skip


def build(name: str, seed: int) -> onnx.ModelProto:
    rule, shape, opset = BUILDERS[name]
    b = Build(shape, seed, opset)
    rule(b)
    return b.model()


def run(model: onnx.ModelProto, x: Array) -> Array:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x.astype(np.float32)})[0]


def write_case(name: str, folder: Path, seed: int, room: float = 0.6) -> None:
    """net.onnx, and p.vnnlib: the difference of the outputs leaves a range wider than that of samples, by ``room`` times it (< 0: it does)."""
    model = build(name, seed)
    (folder / "net.onnx").write_bytes(model.SerializeToString())
    shape = BUILDERS[name][1]
    rng = np.random.default_rng(seed)
    centre = rng.integers(-8, 9, size=shape) / 8
    samples = [run(model, centre + rng.uniform(-0.25, 0.25, size=shape)).ravel() for _ in range(50)]
    gap = [float(s[0] - s[1]) for s in samples]
    room = room * (max(gap) - min(gap)) + 0.05 * (name not in ROOMS and room > 0)
    low, high = min(gap) - room, max(gap) + room
    lines = [f"(declare-const X_{i} Real)" for i in range(centre.size)] + [
        "(declare-const Y_0 Real)",
        "(declare-const Y_1 Real)",
    ]
    for i, c in enumerate(centre.ravel()):
        lines += [f"(assert (>= X_{i} {c - 0.25}))", f"(assert (<= X_{i} {c + 0.25}))"]
    lines.append(
        f"(assert (or (<= (- Y_0 Y_1) {low:.3f}) (and (>= Y_0 (+ Y_1 {high:.3f})) (<= X_0 {centre.ravel()[0] + 0.1}))))"
    )
    (folder / "p.vnnlib").write_text("\n".join(lines) + "\n")
