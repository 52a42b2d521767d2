"""GlobalLpPool: whole p that Power has. A p that no float is would have another power under the root than the standard's."""

from __future__ import annotations

import pytest
from onnx import TensorProto, helper

from tlcheck.errors import InvalidInput
from tlcheck.readers.onnx import read_model


def model(p: int) -> bytes:
    node = helper.make_node("GlobalLpPool", ["x"], ["y"], p=p)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, 1]) for name in "xy"]
    graph = helper.make_graph([node], "g", ends[:1], ends[1:])
    return bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString())


@pytest.mark.parametrize("p", [-1, 0, 1025, 2**53 + 1, 2**63 - 1])
def test_a_power_that_is_none_is_refused(p: int) -> None:
    with pytest.raises(InvalidInput, match="GlobalLpPool"):
        read_model(model(p))


@pytest.mark.parametrize("p", [1, 2, 3, 1024])
def test_whole_powers_are_read(p: int) -> None:
    assert read_model(model(p)).n_outputs == 1
