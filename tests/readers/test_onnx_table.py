"""The table of operators: every row names a function, a network loads what its operators ask for, and says so."""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.helpers import REPOSITORY
from tlcheck.keys import graph_key
from tlcheck.readers.onnx import LOWERINGS, computed_indices, modules_of, read_model
from tlcheck.readers.onnx.operands import MASKS, WHOLE
from tlcheck.readers.onnx.table import LATE, ON_INTEGERS, modules_for
from tlcheck.trusted.ops.discrete import MAX_TRUNCATED

ROOM = REPOSITORY / "tlcheck" / "readers" / "onnx"
ALWAYS = {"", "call", "exact", "external", "names", "operands", "standard", "table", "tensors", "walk"}
"""Modules that every network loads; the others are families."""


def model(*nodes: onnx.NodeProto, **stored: object) -> bytes:
    """Nodes on the input x of shape [1, 1, 4, 4], the last one's result y."""
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.array(value), name) for name, value in stored.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    data: bytes = made.SerializeToString()
    return data


@pytest.mark.parametrize("operator", sorted(LOWERINGS))
def test_every_row_is_there(operator: str) -> None:
    assert callable(LOWERINGS[operator].load())


def test_sets_of_operators_are_rows() -> None:
    assert all(callable(getattr(computed_indices, name)) for name, _ in LATE.values())
    assert set(LATE) | ON_INTEGERS | MASKS <= set(LOWERINGS)


def test_whole_numbers_of_both_rings_end_together() -> None:
    assert WHOLE == MAX_TRUNCATED


def test_a_network_says_which_modules_it_asked_for() -> None:
    relu, pool = helper.make_node("Relu", ["x"], ["a"]), helper.make_node("GlobalMaxPool", ["a"], ["y"])
    graph = read_model(model(relu, pool))
    assert modules_of(graph) == ("tlcheck.readers.onnx.reductions", "tlcheck.trusted.ops.activation")
    assert modules_of(graph) == modules_for(["Relu", "GlobalMaxPool"])
    assert modules_for(["NoSuchOperator"]) == ()


def test_indices_of_the_network_ask_for_their_module() -> None:
    cast = helper.make_node("Cast", ["x"], ["i"], to=TensorProto.INT64)
    flat = helper.make_node("Reshape", ["i", "all"], ["j"])
    gather = helper.make_node("Gather", ["table", "j"], ["y"])
    graph = read_model(model(cast, flat, gather, all=[16], table=np.ones(3, np.float32)))
    assert "tlcheck.readers.onnx.computed_indices" in modules_of(graph)


def test_what_was_loaded_is_no_part_of_a_graphs_key() -> None:
    graph = read_model(model(helper.make_node("Relu", ["x"], ["y"])))
    copy = replace(graph)
    assert modules_of(copy) == () != modules_of(graph)
    assert graph_key(copy) == graph_key(graph)


def imports(module: str) -> set[str]:
    """Modules of the room that one imports at its top, by their last names."""
    path = ROOM / f"{module or '__init__'}.py"
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tlcheck.readers.onnx"):
            name = (node.module or "").removeprefix("tlcheck.readers.onnx").removeprefix(".")
            found |= {alias.name for alias in node.names} if not name else {name}
    return found


def closure(*modules: str) -> set[str]:
    seen: set[str] = set()
    pending = list(modules)
    while pending:
        module = pending.pop()
        if module not in seen:
            seen.add(module)
            pending += imports(module)
    return seen


def test_no_family_is_loaded_unasked() -> None:
    assert closure("") == ALWAYS


@pytest.mark.parametrize("path", sorted(ROOM.glob("[!_]*.py")), ids=lambda path: path.stem)
def test_arrows_point_one_way(path: Path) -> None:
    assert path.stem not in {name for other in imports(path.stem) for name in closure(other)}


def test_a_piecewise_linear_network_loads_few_families() -> None:
    code = (
        "import sys; from tlcheck.readers.onnx.table import LOWERINGS\n"
        "for name in ('Gemm', 'Conv', 'Relu', 'Add', 'Reshape', 'MaxPool'): LOWERINGS[name].load()\n"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    prefix = "tlcheck.readers.onnx."
    loaded = {name.removeprefix(prefix) for name in done.stdout.split() if name.startswith(prefix)}
    assert loaded - ALWAYS == {"arithmetic", "convolution", "matrices", "pooling", "shapes"}
    assert not {"tlcheck.trusted.ops.smooth", "tlcheck.trusted.ops.discrete"} & set(done.stdout.split())
