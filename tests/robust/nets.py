"""Classifiers whose robustness is known in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def identity(
    path: Path, n: int = 2, shape: Sequence[int] | None = None, name: str = "g", away: float = 0.0
) -> Path:
    """y = ReLU(x + away) - away: over positive inputs a sample x of label k is robust within eps iff x_k - x_j > 2 eps for every j."""
    shape = list(shape or (1, n))
    plus, minus = (
        numpy_helper.from_array(np.float32(sign * away) * np.ones(n, np.float32), s)
        for sign, s in ((1, "p"), (-1, "m"))
    )
    nodes = [helper.make_node("Flatten", ["x"], ["f"]), helper.make_node("Gemm", ["f", "w", "p"], ["g"]),
             helper.make_node("Relu", ["g"], ["r"]), helper.make_node("Gemm", ["r", "w", "m"], ["y"])]  # fmt: skip
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, n])
    w = numpy_helper.from_array(np.eye(n, dtype=np.float32), "w")
    graph = helper.make_graph(nodes, name, [x], [y], [w, plus, minus])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path
