"""Weights that the graph computes from constants: exact over the reals; float32 executions are charged for rounding them."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.helpers import IEEE
from tests.readers.test_onnx_onnxruntime import run
from tests.trusted.test_audit import ONE_LEAF, claim, leaves
from tlcheck.readers.onnx import read_model
from tlcheck.trusted.arith.arb import working_precision
from tlcheck.trusted.arith.box import Box
from tlcheck.trusted.evaluate import evaluate
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.guidance import Guidance
from tlcheck.trusted.plan import Plan, Settings, root_bounds

F32 = TensorProto.FLOAT
SHAPES: dict[str, tuple[tuple[int, ...], tuple[int, ...], int]] = {
    "Conv": ((1, 3, 6), (2, 3, 3), 2),
    "ConvTranspose": ((1, 3, 6), (3, 2, 3), 2),
    "MatMul": ((2, 3, 4), (2, 4, 5), 0),
}
"""Of x, of the weight, and the bias's size; MatMul: one matrix per entry of the batch."""


def computed(operator: str, rng: np.random.Generator) -> bytes:
    """``operator`` with weight g / sqrt(v + 1/10) and bias b g / (v + 1/10), of numbers."""
    x, w, bias = SHAPES[operator]
    stored = {
        "g": rng.standard_normal(w), "v": rng.random(w) + 0.01, "tenth": np.array(0.1),
        "b": rng.standard_normal(bias), "u": rng.random(bias) + 0.01,
    }  # fmt: skip
    nodes = [
        helper.make_node("Add", ["v", "tenth"], ["moved"]),
        helper.make_node("Sqrt", ["moved"], ["root"]),
        helper.make_node("Div", ["g", "root"], ["w"]),
        helper.make_node("Add", ["u", "tenth"], ["divisor"]),
        helper.make_node("Div", ["b", "divisor"], ["bias"]),
        helper.make_node(operator, ["x", "w", "bias"][: 3 if bias else 2], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", F32, x)], [helper.make_tensor_value_info("y", F32, None)],
        [numpy_helper.from_array(v.astype(np.float32), k) for k, v in stored.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return bytes(model.SerializeToString())


def box_at(graph: Graph, x: Any, *, deployed: bool) -> Box:
    ends = x.ravel().tolist()
    plan = Plan(
        claim(graph, ends, ends, 1, 0),
        Guidance(ONE_LEAF, leaves(1)),
        Settings("arb", deployed=IEEE if deployed else None),
    )
    return root_bounds(plan, 0).boxes[graph.outputs[0]]


@pytest.mark.parametrize("operator", SHAPES)
def test_computed_weights(operator: str) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        data = computed(operator, rng)
        graph = read_model(data)
        x = rng.standard_normal(SHAPES[operator][0]).astype(np.float32)
        real, deployed = (box_at(graph, x, deployed=d) for d in (False, True))
        assert (real.upper - real.lower <= 1e-12).all()
        assert (deployed.upper - deployed.lower <= 1e-3).all()
        for optimised in (False, True):
            theirs = run(data, {"x": x}, optimised=optimised).ravel()
            assert ((deployed.lower[0] <= theirs) & (theirs <= deployed.upper[0])).all()
            assert (np.abs(theirs - real.lower[0]) > 1e-9).any()  # they do round


@pytest.mark.parametrize("operator", ["Neg", "Transpose", "Concat", "Mul", "Sqrt"])
def test_long_chains_of_constants(operator: str) -> None:
    """1 / 3 through 400 nodes: nothing is lost where values only move, and nothing overflows where they are computed."""
    nodes = [helper.make_node("Div", ["one", "three"], ["t0"])]
    for k in range(400):
        operands = {"Concat": [f"t{k}", f"t{k}"], "Mul": [f"t{k}", "third"]}.get(operator, [f"t{k}"])
        if operator == "Concat":
            nodes.append(helper.make_node("Concat", operands, [f"wide{k}"], axis=0))
            nodes.append(helper.make_node("Slice", [f"wide{k}", "start", "end"], [f"t{k + 1}"]))
        else:
            nodes.append(helper.make_node(operator, operands, [f"t{k + 1}"]))
    nodes.append(helper.make_node("Mul", ["x", "t400"], ["y"]))
    stored = {
        "one": np.ones((2, 2), np.float32), "three": np.full((2, 2), 3, np.float32), "third": np.full((2, 2), 1.0009766, np.float32),
        "start": np.array([1]), "end": np.array([3]),
    }  # fmt: skip
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", F32, (2, 2))], [helper.make_tensor_value_info("y", F32, (2, 2))],
        [numpy_helper.from_array(v, k) for k, v in stored.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    with working_precision(128):
        outputs = evaluate(read_model(model.SerializeToString()), [[Fraction(1)] * 4]).outputs
    value = {"Mul": 1.0009766**400 / 3, "Sqrt": 1.0}.get(operator, 1 / 3)
    for y in outputs:
        assert abs(float(y.mid()) - value) < 1e-4
        assert y.rad() < (2.0**-40 if operator in ("Mul", "Sqrt") else 2.0**-120)
