"""Zonotopes at points: executions with the worst roundings that the radii allow lie inside, and reach far into the enclosure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tests.helpers import IEEE
from tlcheck.readers.onnx import read_model
from tlcheck.runtime.pinned import Pin, pinned
from tlcheck.trusted import zonotopes
from tlcheck.trusted.arith.ball64 import Ball64
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.graph import Graph, Node
from tlcheck.trusted.intervals import image
from tlcheck.trusted.network import Network
from tlcheck.trusted.ops.affine import Scale
from tlcheck.trusted.ops.gap import Difference
from tlcheck.trusted.ops.structure import Input
from tlcheck.trusted.rounding import rounding_radius
from tlcheck.trusted.zonotopes import Zonotopes, enclose

Floats = NDArray[np.float64]
ENGINE: Final = Ball64()


class Draft:
    """A model written node by node, with random weights."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[Any] = []
        self.stored: list[Any] = []

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        name = f"{op}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], **attributes))
        return name

    def weight(self, *shape: int, scale: float = 1.0) -> str:
        return self.constant((self.random.standard_normal(shape) * scale).astype(np.float32))

    def constant(self, value: Any) -> str:
        name = f"c{len(self.stored)}"
        self.stored.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def linear(self, x: str, k: int, n: int) -> str:
        return self.node("Add", self.node("MatMul", x, self.weight(k, n, scale=2 / k**0.5)), self.weight(n))

    def model(self, shape: tuple[int, ...], output: str) -> bytes:
        graph = helper.make_graph(
            self.nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *shape])],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)], self.stored,
        )  # fmt: skip
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        return bytes(made.SerializeToString())


def mlp(activation: str) -> bytes:
    d, x = Draft(1), "x"
    for k, n in ((6, 12), (12, 12), (12, 12)):
        x = d.node(activation, d.linear(x, k, n))
    return d.model((6,), d.linear(x, 12, 4))


def residual() -> bytes:
    """Skips, a product of two values, a maximum, constants joined on."""
    d = Draft(2)
    h = d.linear("x", 6, 8)
    for _ in range(2):
        h = d.node("Add", h, d.linear(d.node("LeakyRelu", h, alpha=0.1), 8, 8))
    gated = d.node("Mul", h, d.node("Sigmoid", d.linear(h, 8, 8)))
    both = d.node(
        "Concat",
        d.node("Max", gated, h),
        d.node("Neg", gated),
        d.constant(np.ones((1, 2), np.float32)),
        axis=1,
    )
    return d.model((6,), d.linear(both, 18, 3))


def convolutions() -> bytes:
    d = Draft(3)
    x = d.node("Relu", d.node("Conv", "x", d.weight(4, 2, 3, 3, scale=0.4), d.weight(4), pads=[1, 1, 1, 1]))
    x = d.node("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = d.node("Relu", d.node("Conv", x, d.weight(4, 4, 2, 2, scale=0.4), d.weight(4)))
    x = d.node("Flatten", d.node("MaxPool", x, kernel_shape=[2, 2]))
    return d.model((2, 6, 6), d.linear(x, 4, 3))


def attention() -> bytes:
    """A block of a transformer."""
    d = Draft(4)
    n = d.node("LayerNormalization", "x", d.weight(6), d.weight(6))
    q, k, v = (d.linear(n, 6, 6) for _ in range(3))
    weights = d.node("Softmax", d.node("MatMul", q, d.node("Transpose", k, perm=[0, 2, 1])), axis=-1)
    h = d.node("Add", "x", d.node("MatMul", weights, v))
    h = d.node("Gelu", d.linear(h, 6, 6), approximate="none")
    return d.model((3, 6), d.linear(d.node("ReduceMean", h, d.constant(np.array([1])), keepdims=0), 6, 2))


MODELS: Final[Mapping[str, Callable[[], bytes]]] = {
    **{name: lambda name=name: mlp(name) for name in ("Relu", "Tanh", "Abs", "Softplus")},
    "residual": residual, "convolutions": convolutions, "attention": attention,
}  # fmt: skip


def at(graph: Graph, points: Floats) -> Zonotopes:
    return enclose(Network(graph), ENGINE, {graph.inputs[0]: Box(points, points)}, IEEE)


def points_for(graph: Graph, count: int, seed: int = 0) -> Floats:
    values = np.random.default_rng(seed).standard_normal((count, graph.n_inputs))
    return values.astype(np.float32).astype(np.float64)


def execution(
    graph: Graph, point: Floats, sign: Callable[[int, int], Floats], part: float
) -> dict[int, Floats]:
    """Values of all nodes of an execution whose roundings are ``sign(node, size)`` times ``part`` of the radii at its own values."""
    network, values = Network(graph), {graph.inputs[0]: point[None]}
    for i, node in enumerate(graph.nodes):
        if isinstance(node.op, Input) or i not in network.needed:
            continue
        boxes = tuple(Box(values[j], values[j]) for j in node.inputs)
        box = image(node.op, network.affine[i], boxes, ENGINE, network.shapes(node))
        radius = rounding_radius(node.op, network.affine[i], boxes, network.shapes(node), box, ENGINE, IEEE)
        exact = 0.5 * (box.lower + box.upper)
        values[i] = exact if radius is None else exact + part * radius * sign(i, node.size)
    return values


def worst_signs(graph: Graph, found: Zonotopes, domain: int, entry: int) -> Callable[[int, int], Floats]:
    """Those that raise an output's value, by its rows: a node's own, or of the next that has symbols of as many values."""
    v = found.outputs[graph.outputs[0]]
    bases = np.cumsum([0, *(n.size for n in graph.nodes)])
    effect = np.zeros(bases[-1])
    effect[v.symbols[domain]] = v.rows[domain].array[:, entry]

    def sign(i: int, size: int) -> Floats:
        for j in range(i, len(graph.nodes)):
            mine = effect[bases[j] : bases[j + 1]]
            if graph.nodes[j].size == size and mine.any():
                return np.sign(mine)
        return np.ones(size)

    return sign


@pytest.mark.parametrize("name", MODELS)
def test_executions_lie_inside(name: str) -> None:
    graph = read_model(MODELS[name]())
    points = points_for(graph, 2)
    found = at(graph, points)
    signs = [worst_signs(graph, found, 0, 0), lambda i, n: np.random.default_rng(i).choice([-1.0, 1.0], n)]
    for d, point in enumerate(points):
        for sign in signs:
            for i, values in execution(graph, point, sign, 0.999).items():
                box = found.boxes[i]
                assert bool(((values[0] >= box.lower[d]) & (values[0] <= box.upper[d])).all()), (
                    i,
                    graph.nodes[i].label,
                )


@pytest.mark.parametrize(("name", "least"), [("Relu", 0.7), ("Tanh", 0.5), ("residual", 0.25)])
def test_the_worst_execution_is_not_far_from_the_end(name: str, least: float) -> None:
    graph = read_model(MODELS[name]())
    found = at(graph, points_for(graph, 1))
    v = found.outputs[graph.outputs[0]]
    sign = worst_signs(graph, found, 0, 0)
    reached = execution(graph, points_for(graph, 1)[0], sign, 0.999)[graph.outputs[0]][0, 0] - v.centre[0, 0]
    assert reached > least * (v.box.upper[0, 0] - v.centre[0, 0])


@pytest.mark.parametrize("name", MODELS)
def test_onnxruntime_lies_inside(name: str) -> None:
    content = MODELS[name]()
    graph = read_model(content)
    points = points_for(graph, 4, seed=5)
    (values,) = (
        pinned(content, Pin()).run(points, 1 if name == "residual" else 4).values()
    )  # a constant is joined on once
    box = at(graph, points).boxes[graph.outputs[0]]
    assert bool(((values >= box.lower) & (values <= box.upper)).all())


@pytest.mark.parametrize("name", ["Relu", "convolutions", "residual"])
def test_symbols_may_be_given_up(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = read_model(MODELS[name]())
    points = points_for(graph, 2)
    sharp = at(graph, points).boxes[graph.outputs[0]]
    monkeypatch.setattr(zonotopes, "ENTRIES", 120)
    found = at(graph, points)
    box = found.boxes[graph.outputs[0]]
    assert bool((box.upper - box.lower > sharp.upper - sharp.lower).any())
    for d, point in enumerate(points):
        values = execution(graph, point, worst_signs(graph, at(graph, points), d, 1), 0.999)
        assert all(
            bool(((values[i] >= b.lower[d]) & (values[i] <= b.upper[d])).all())
            for i, b in found.boxes.items()
        )


def test_a_point_is_enclosed_as_it_is_alone() -> None:
    graph = read_model(MODELS["Relu"]())
    points = points_for(graph, 5)
    together = at(graph, points).boxes[graph.outputs[0]]
    for d in range(5):
        alone = at(graph, points[d : d + 1]).boxes[graph.outputs[0]]
        np.testing.assert_allclose(alone.lower[0], together.lower[d], rtol=1e-12)


def test_boxes_of_inputs_are_enclosed() -> None:
    """Not points alone: an input's own part is its box."""
    graph = read_model(MODELS["Tanh"]())
    points = points_for(graph, 1)
    found = enclose(Network(graph), ENGINE, {graph.inputs[0]: Box(points - 0.01, points + 0.01)}, IEEE)
    box = found.boxes[graph.outputs[0]]
    for k in range(5):
        moved = points[0] + np.random.default_rng(k).choice([-0.01, 0.01], graph.n_inputs)
        values = execution(graph, moved, lambda i, n: np.ones(n), 0.999)[graph.outputs[0]][0]
        assert bool(((values >= box.lower[0]) & (values <= box.upper[0])).all())


def test_differences_keep_what_two_outputs_share() -> None:
    """y0 and y1 = y0 + 1 from one value with a large radius: their order is sure."""
    d = Draft(6)
    h = d.node("MatMul", "x", d.constant(np.float32([[1e5], [-1e5]])))
    y = d.node("MatMul", h, d.constant(np.float32([[1, 1]])))
    graph = read_model(d.model((2,), d.node("Add", y, d.constant(np.float32([0, 0.01])))))
    points = np.array([[1.0, 1.0]])
    found = at(graph, points)
    box = found.boxes[graph.outputs[0]]
    low, high = found.differences(graph.outputs[0], 0, 1)
    assert box.upper[0, 0] > box.lower[0, 1]
    assert 0 < low[0] < 0.01 < high[0]


def test_overflow_is_out_of_range() -> None:
    d = Draft(7)
    graph = read_model(d.model((1,), d.node("MatMul", "x", d.constant(np.float32([[3e38, 3e38]])))))
    with pytest.raises(OutOfRange):
        at(graph, np.array([[1e30]]))


def test_a_difference_of_two_values_is_no_move() -> None:
    """No program computes it, so it has no radius; the centre's own rounding counts all the same."""
    nodes = (Node(Input((1, 1)), (), (1, 1)),) * 2 + (Node(Difference(), (0, 1), (1, 1)),)
    graph = Graph(nodes, (2,), ("x", "y"), ("z",))
    points = {i: Box(*(np.full((1, 1), x),) * 2) for i, x in enumerate((1.0, 2.0**-60))}
    (value,) = enclose(Network(graph), ENGINE, points, IEEE).outputs.values()
    exact = 1 - Fraction(2) ** -60
    assert abs(Fraction(value.centre[0, 0]) - exact) <= Fraction(value.spread[0, 0])
    assert Fraction(value.box.lower[0, 0]) <= exact <= Fraction(value.box.upper[0, 0])


def test_a_constant_that_is_added_without_rounding_counts() -> None:
    """A copy with an offset is no move, whatever its program rounds."""
    one = Constant(np.ones((1, 1)))
    graph = Graph(
        (Node(Input((1, 1)), (), (1, 1)), Node(Scale(one, one, 0), (0,), (1, 1))), (1,), ("x",), ("y",)
    )
    box = at(graph, np.array([[1.0]])).boxes[1]
    assert 1.99 < box.lower[0, 0] <= 2 <= box.upper[0, 0] < 2.01
