"""Large graphs: what reading one takes grows as the graph does. Function calls are counted, not seconds."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tlcheck.readers.onnx import read_model

F32 = TensorProto.FLOAT
node = helper.make_node


def model(
    nodes: Sequence[onnx.NodeProto], result: str, stored: Mapping[str, Any] | None = None, width: int = 4
) -> bytes:
    graph = helper.make_graph(
        list(nodes), "g", [helper.make_tensor_value_info("x", F32, [1, width])], [helper.make_tensor_value_info(result, F32, None)],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in (stored or {}).items()],
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(made.SerializeToString())


def chain(n: int) -> bytes:
    return model([node("Relu", [f"t{i}" if i else "x"], [f"t{i + 1}"]) for i in range(n)], f"t{n}")


def layers(n: int) -> bytes:
    weights = {f"w{i}": np.eye(4, dtype=np.float32) for i in range(n // 2)}
    nodes = [
        step
        for i in range(n // 2)
        for step in (
            node("MatMul", [f"t{i}" if i else "x", f"w{i}"], [f"m{i}"]),
            node("Sin", [f"m{i}"], [f"t{i + 1}"]),
        )
    ]
    return model(nodes, f"t{n // 2}", weights)


def shapes(n: int) -> bytes:
    nodes = []
    for i in range(n // 4):
        x = f"r{i}" if i else "x"
        nodes += [
            node("Shape", [x], [f"s{i}"]), node("Gather", [f"s{i}", "zero"], [f"g{i}"]),
            node("Concat", [f"g{i}", "rest"], [f"c{i}"], axis=0), node("Reshape", [x, f"c{i}"], [f"r{i + 1}"]),
        ]  # fmt: skip
    return model(nodes, f"r{n // 4}", {"zero": [0], "rest": [-1]})


def constants(n: int) -> bytes:
    nodes = [node("Mul" if i % 2 else "Add", [f"c{i}", "k"], [f"c{i + 1}"]) for i in range(n - 1)]
    numbers = {"c0": np.ones(4, np.float32), "k": np.array([0.999, 0.9, 1.001, 0.5], np.float32)}
    return model([*nodes, node("Add", ["x", f"c{n - 1}"], ["y"])], "y", numbers)


def pieces(n: int) -> bytes:
    names = [f"t{i}" for i in range(n)]
    return model([node("Split", ["x"], names, axis=1), node("Sum", names, ["y"])], "y", width=n)


def loop(n: int) -> bytes:
    infos = [
        helper.make_tensor_value_info(name, kind, ())
        for name, kind in (("i", TensorProto.INT64), ("go", TensorProto.BOOL))
    ]
    carried = [helper.make_tensor_value_info(name, F32, None) for name in ("v", "w")]
    body = helper.make_graph(
        [node("Identity", ["go"], ["on"]), node("Sin", ["v"], ["w"])], "b", [*infos, carried[0]],
        [helper.make_tensor_value_info("on", TensorProto.BOOL, ()), carried[1]],
    )  # fmt: skip
    return model([node("Loop", ["m", "", "x"], ["y"], body=body)], "y", {"m": np.array(n // 2)})


def calls(data: bytes) -> int:
    """Of Python's functions and of C's, while the model is read."""
    count = 0

    def note(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        read_model(data)
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("family", [chain, layers, shapes, constants, pieces, loop])
def test_work_grows_as_the_graph_does(family: Callable[[int], bytes]) -> None:
    read_model(family(8))  # modules and schemas are loaded once
    small, large = (calls(family(n)) for n in (60, 240))
    assert small > 60 * 10
    assert large < 4.4 * small
