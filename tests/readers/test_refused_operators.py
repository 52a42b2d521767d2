"""Operators that are not read: each by its name, with the reason and what to do instead."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.helpers import IEEE
from tests.readers.optimised import Maker, optimised
from tests.trusted.radii import Rule, enclosures
from tlcheck.errors import InvalidInput
from tlcheck.readers.onnx import read_model
from tlcheck.readers.onnx.table import LOWERINGS
from tlcheck.readers.onnx.unread import NEVER, OWN
from tlcheck.trusted.arith.profile import NotDeployable


def model(operator: str, domain: str = "") -> bytes:
    """One node of it, of the model's input, that the output depends on."""
    node = helper.make_node(operator, ["x"], ["y"], "the node", domain=domain)
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [2, 3]) for n in "xy"]
    graph = helper.make_graph([node], "g", infos[:1], infos[1:])
    opsets = [helper.make_opsetid("", 18), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())


def refusal(data: bytes) -> str:
    with pytest.raises(InvalidInput) as caught:
        read_model(data)
    assert caught.value.code == "TLC202"
    return str(caught.value)


@pytest.mark.parametrize("operator", sorted(NEVER))
def test_of_the_standard(operator: str) -> None:
    assert operator not in LOWERINGS and onnx.defs.has(operator)
    assert (
        refusal(model(operator)) == f"unsupported operator {operator} at node 'the node': {NEVER[operator]}"
    )


def test_random_values_and_sequences_are_among_them() -> None:
    random = [
        s.name
        for s in onnx.defs.get_all_schemas()
        if not s.domain and s.name.startswith(("Random", "Bernoulli", "Multinomial"))
    ]
    others = [
        s.name for s in onnx.defs.get_all_schemas()
        if not s.domain and any("seq(" in t or "optional(" in t for v in (*s.inputs, *s.outputs) for t in v.types)
        and s.name not in LOWERINGS
    ]  # fmt: skip
    assert len(random) == 6 and len(others) >= 12
    assert all("make them an input" in NEVER[name] for name in random)
    assert all("write the graph with Split, Concat and Gather" in NEVER[name] for name in others)


@pytest.mark.parametrize("operator", sorted(OWN))
def test_of_onnxruntime(operator: str) -> None:
    assert refusal(model(operator, "com.microsoft")).endswith(f"domain com.microsoft: {OWN[operator]}")


def test_a_layout_for_one_processor(tmp_path: Path) -> None:
    """What the optimiser writes at level all, where it does; the refusal says which level to save at, and that is read."""
    text = refusal(model("Conv", "com.microsoft.nchwc"))
    assert "whose block size is not in the file: save the model at level basic or extended, not all" in text
    m = Maker()
    data = m.model([1, 16, 4, 4], m("Conv", "x", m.w(16, 16, 3, 3), pads=[1] * 4))
    everything = optimised(data, "ORT_ENABLE_ALL", tmp_path)[0]
    if b"com.microsoft.nchwc" in everything:
        assert "save the model at level basic" in refusal(everything)
    for level in ("ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED"):
        assert read_model(optimised(data, level, tmp_path)[0]).outputs


@pytest.mark.parametrize("kind", ["sequence", "optional"])
def test_inputs_that_are_no_tensors(kind: str) -> None:
    proto = onnx.load_from_string(model("Relu"))
    tensor = helper.make_tensor_type_proto(TensorProto.FLOAT, [2, 3])
    make = helper.make_sequence_type_proto if kind == "sequence" else helper.make_optional_type_proto
    proto.graph.input[0].CopyFrom(helper.make_value_info("x", make(tensor)))
    assert f"input is a value of type {kind}, no tensor: make each of its tensors an input" in refusal(
        proto.SerializeToString()
    )


def test_determinants_have_no_float32_radius() -> None:
    rule = Rule("Det", width=9, row=(3, 3))
    with pytest.raises(NotDeployable, match="which kernels find by elimination"):
        enclosures(rule.model(1), np.eye(3, dtype=np.float32).reshape(1, 9), IEEE)
