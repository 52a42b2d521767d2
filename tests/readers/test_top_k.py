"""TopK of data: sorting networks, places by counting; what bounds decide."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests import numpy_eval
from tests.helpers import IEEE
from tests.readers.test_contributed import optimised_session
from tlcheck.errors import InvalidInput
from tlcheck.readers.onnx import read_model
from tlcheck.readers.onnx.top_k import network
from tlcheck.trusted.arith.arb import working_precision
from tlcheck.trusted.arith.ball64 import Ball64
from tlcheck.trusted.arith.box import Box
from tlcheck.trusted.bounds import Enclosure, Slopes
from tlcheck.trusted.guidance import NO_GUIDANCE
from tlcheck.trusted.network import Network


@pytest.mark.parametrize("n", range(1, 10))
def test_networks_sort(n: int) -> None:
    """All sequences of 0 and 1 (so all sequences); pairs of a layer have no place in common; the one first by n - 1 pairs."""
    sequences = np.array(list(product((0, 1), repeat=n)))
    for k in range(1, n + 1):
        x = sequences.copy()
        for layer in network(n, k):
            assert len({place for pair in layer for place in pair}) == 2 * len(layer)
            for a, b in layer:
                x[:, [a, b]] = np.stack([x[:, [a, b]].max(axis=1), x[:, [a, b]].min(axis=1)], axis=1)
        assert (x[:, :k] == -np.sort(-sequences)[:, :k]).all()
    assert sum(map(len, network(n, 1))) == n - 1


def model(
    shape: tuple[int, ...], k: int, *, places: bool, dtype: int = TensorProto.FLOAT, **attributes: int
) -> bytes:
    """x to the k first values, or, as numbers, their places."""
    nodes = [
        helper.make_node("Cast", ["x"], ["z"], to=dtype),
        helper.make_node("TopK", ["z", "k"], ["v", "i"], "the node", **attributes),
        helper.make_node("Cast", ["i" if places else "v"], ["y"], to=TensorProto.FLOAT),
    ]
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", shape), ("y", None))]
    graph = helper.make_graph(nodes, "g", infos[:1], infos[1:], [numpy_helper.from_array(np.array([k]), "k")])
    return bytes(
        helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8
        ).SerializeToString()
    )


def bounds(data: bytes, lower: Any, upper: Any, *, deployed: bool = False) -> tuple[Any, Any]:
    """Proved ends of the outputs where x is between these."""
    network = Network(read_model(data))
    graph = network.graph
    with working_precision(128):
        task = Enclosure(network, Ball64(), Slopes(NO_GUIDANCE, lambda _: None), IEEE if deployed else None)
        found = task.bounds({graph.inputs[0]: Box(np.array([lower]), np.array([upper]))}).boxes[
            graph.outputs[0]
        ]
    return found.lower[0].tolist(), found.upper[0].tolist()


@pytest.mark.parametrize("deployed", [False, True])
def test_places_that_bounds_decide(deployed: bool) -> None:
    """Of (1..2, 3..4, 5..6, 1.5..2.5): the second and the first are known whatever the rest; which of two is third is not."""
    lower, upper = [1.0, 3.0, 5.0, 1.5], [2.0, 4.0, 6.0, 2.5]
    for k in (2, 3):
        low, high = bounds(model((4,), k, places=True), lower, upper, deployed=deployed)
        # the cast to float32 is charged
        assert np.allclose([low[:2], high[:2]], [2, 1], rtol=0, atol=1e-6 if deployed else 0)
    assert low[2] < 3 <= high[2]
    low, high = bounds(model((4,), 3, places=False), lower, upper, deployed=deployed)
    assert np.allclose(low, [5, 3, 1.5], atol=1e-6) and np.allclose(high, [6, 4, 2.5], atol=1e-6)
    assert (
        bounds(model((4,), 4, places=True, largest=0), [3.0, 1, 2, 1], [3.0, 1, 2, 1]) == ([1, 3, 2, 0],) * 2
    )


@pytest.mark.parametrize("attributes", [{}, {"largest": 0}, {"axis": 0}, {"axis": 1, "largest": 0}], ids=str)
def test_executions_lie_in_the_bounds(attributes: dict[str, int]) -> None:
    rng = np.random.default_rng(3)
    x = rng.integers(-3, 4, (3, 5, 4)).astype(np.float32) / 2
    for places in (False, True):
        data = model(x.shape, 3, places=places, **attributes)
        theirs = optimised_session(data).run(None, {"x": x})[0]
        assert numpy_eval.evaluate(read_model(data), [x])[0].tolist() == theirs.astype(float).tolist()
        ends = bounds(data, (x - 0.3).ravel().tolist(), (x + 0.2).ravel().tolist(), deployed=True)
        assert (np.array(ends[0]) <= theirs.ravel()).all() and (theirs.ravel() <= np.array(ends[1])).all()


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (model((4,), 2, places=False, sorted=0), "results that are not sorted"),
        (model((4,), 5, places=False), "k 5 of 4 entries"),
        (model((4,), 2, places=False, dtype=TensorProto.INT64), "operand of type int64"),
        (model((400,), 2, places=True), "TopK of a large constant"),
    ],
    ids=["unsorted", "too many", "integers", "large"],
)
def test_refused_by_name(data: bytes, text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_model(data)
    assert text in str(caught.value)
