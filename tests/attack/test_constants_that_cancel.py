"""Computed constants that cancel: float32 executions of them lie in the deployed boxes, their formulas in their radii."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.trusted.test_deployed import deployed_box
from tlcheck.readers.onnx import read_model
from tlcheck.trusted.arith.arb import arb, working_precision
from tlcheck.trusted.arith.ball64 import Ball64
from tlcheck.trusted.arith.balls import formula_balls
from tlcheck.trusted.arith.constant import Constant


def model(rng: np.random.Generator, last: str) -> bytes:
    """x times (w sqrt(k) - k), divided by k where ``last`` is Div; w sqrt(k) is near k, so that its float32 rounding is large."""
    k = np.abs(rng.standard_normal(1)).astype(np.float32) + np.float32(0.25)
    near = np.sqrt(k.astype(np.float64)) * (1 + rng.standard_normal((1, 4)) * 2.0**-12)
    nodes = [
        helper.make_node("Sqrt", ["k"], ["root"]),
        helper.make_node("Mul", ["w", "root"], ["product"]),
        helper.make_node("Sub", ["product", "k"], ["rest"]),
        helper.make_node(last, ["rest", "k"], ["weight"]),
        helper.make_node("Mul", ["x", "weight"], ["y"]),
    ]
    inputs, outputs = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4])] for name in ("x", "y")
    )
    given = [
        numpy_helper.from_array(near.astype(np.float32), "w"),
        numpy_helper.from_array(k, "k"),
    ]
    graph = helper.make_graph(nodes, "g", inputs, outputs, given)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data: bytes = proto.SerializeToString()
    return data


@pytest.mark.parametrize("last", ["Div", "Mul", "Add"])
def test_rounded_constants_that_cancel_are_in_the_deployed_box(last: str) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    for seed in range(10):
        rng = np.random.default_rng(seed)
        data = model(rng, last)
        x = rng.standard_normal((1, 4)).astype(np.float32)
        session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
        graph = read_model(data)
        box = deployed_box(graph, [x], Ball64())
        y = session.run(None, {"x": x})[0].astype(np.float64)
        assert (box.lower <= y).all() and (y <= box.upper).all()
        constants = [c for node in graph.nodes for c in vars(node.op).values() if isinstance(c, Constant)]
        with working_precision(300):
            for c in constants:
                if c.formula is None or c.rad is None:
                    continue
                for value, mid, rad in zip(
                    formula_balls(c.formula),
                    c.mid.reshape(-1).tolist(),
                    c.rad.reshape(-1).tolist(),
                    strict=True,
                ):
                    assert abs(value - arb(mid)) <= arb(rad)
        assert any(c.formula is not None for c in constants)
