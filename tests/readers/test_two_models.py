"""Two networks as one graph: it gives what each of them gives, bounds hold in both semantics, and what differs is bounded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest

from tests import numpy_eval
from tests.helpers import IEEE
from tests.trusted.test_decide_soundness import random_graph, random_graph32
from tests.trusted.test_relaxed_ops import BLOCKS, Net, dense, network
from tests.trusted.test_windows import images
from tlcheck.errors import InvalidInput
from tlcheck.readers.vnnlib import two_models
from tlcheck.readers.vnnlib.two_models import joined, partners
from tlcheck.trusted import windows
from tlcheck.trusted.arith.ball64 import Ball64
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.profile import NotDeployable, Profile
from tlcheck.trusted.bounds import Bounds, Enclosure, Slopes
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.guidance import NO_GUIDANCE
from tlcheck.trusted.network import Network
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.affine import Scale
from tlcheck.trusted.ops.gap import Counterpart, Difference, Gap
from tlcheck.trusted.ops.product import Product
from tlcheck.trusted.ops.quantized import Quantize
from tlcheck.trusted.ops.s_shaped import Tanh
from tlcheck.trusted.ops.structure import Rearrange

Rng = np.random.Generator


def perturbed(rng: Rng, graph: Graph, by: float) -> Graph:
    """With other weights."""

    def moved(c: Constant) -> Constant:
        return Constant((c.mid * (1 + by * rng.normal(0, 1, c.shape))).astype(c.mid.dtype))

    nodes = []
    for node in graph.nodes:
        weight = getattr(node.op, "weight", None)
        changed = node.op if weight is None else replace(node.op, weight=moved(weight))  # type: ignore[type-var]
        nodes.append(replace(node, op=changed))
    return replace(graph, nodes=tuple(nodes))


def enclosed(graph: Graph, low: np.ndarray, high: np.ndarray, deployed: Profile | None = None) -> Bounds:
    net = Network(graph)
    task = Enclosure(net, Ball64(), Slopes(NO_GUIDANCE, lambda _: None), deployed)
    return task.bounds({i: Box(low[None, s], high[None, s]) for i, s in net.input_slices.items()})


def outputs(graph: Graph, x: np.ndarray) -> np.ndarray:
    parts = [x[s] for s in Network(graph).input_slices.values()]
    return np.concatenate([y.reshape(-1) for y in numpy_eval.evaluate(graph, parts)])


def pairs(kind: str, seed: int) -> tuple[Rng, Graph, Graph]:
    rng = np.random.default_rng([seed, 77])
    if kind == "random":
        graph = random_graph(rng, "ordinary")
        return rng, graph, perturbed(rng, graph, 0.01)
    graph = network(rng, kind, None)
    return rng, graph, perturbed(rng, graph, 0.01)


@pytest.mark.parametrize("kind", ["random", *BLOCKS])
def test_the_joint_graph_gives_what_both_give(kind: str) -> None:
    """And its bounds hold the values of every node at points."""
    for seed in range(6 if kind == "random" else 2):
        rng, a, b = pairs(kind, seed)
        joint = joined(a, b)
        low = rng.normal(0, 1, a.n_inputs)
        high = low + rng.choice([0.0, 0.1, 1.0])
        points = [low, high, *(low + rng.random(a.n_inputs) * (high - low) for _ in range(6))]
        with np.errstate(all="ignore"):
            for x in points:
                both = np.concatenate([outputs(a, x), outputs(b, x)])
                np.testing.assert_allclose(outputs(joint, x), both, rtol=1e-9, atol=1e-9)
            try:
                known = enclosed(joint, low, high)
            except OutOfRange:
                continue
            for x in points:
                values = numpy_eval.evaluate_all(joint, [x[s] for s in Network(joint).input_slices.values()])
                for i, box in known.boxes.items():
                    y = values[i].reshape(-1)
                    slack = 1e-9 * (1 + np.abs(y))
                    assert (box.lower[0] - slack <= y).all() and (y <= box.upper[0] + slack).all(), (seed, i)


def test_any_partners_give_the_same_function(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of another order too: they say nothing about the function."""
    rng = np.random.default_rng(3)

    def net(order: tuple[int, ...]) -> Graph:
        made = Net(3)
        x = 0
        for op in ((Relu(), Tanh(), Relu())[k] for k in order):
            x = made.add(op, made.add(dense(rng, 3, 3), x))
        return made.graph(x)

    a, b = net((0, 1, 2)), net((0, 2, 1))
    mine = {i for i, n in enumerate(a.nodes) if isinstance(n.op, Relu)}
    theirs = {i for i, n in enumerate(b.nodes) if isinstance(n.op, Relu)}
    x = rng.normal(0, 1, 3)
    both = np.concatenate([outputs(a, x), outputs(b, x)])
    for p in (sorted(mine), sorted(mine, reverse=True)):
        monkeypatch.setattr(two_models, "partners", lambda *_, p=p: dict(zip(sorted(theirs), p, strict=True)))
        joint = joined(a, b)
        assert sum(isinstance(n.op, Gap) for n in joint.nodes) == 2
        np.testing.assert_allclose(outputs(joint, x), both, rtol=1e-12, atol=1e-12)


def test_partners_go_past_what_one_of_them_lacks() -> None:
    rng = np.random.default_rng(4)
    first, second = Net(4), Net(4)
    x = first.add(Relu(), first.add(dense(rng, 4, 4), 0))
    y = second.add(Relu(), second.add(dense(rng, 4, 4), 0))
    a = first.graph(first.add(Tanh(), first.add(dense(rng, 4, 4), x)))
    extra = second.add(Product(), y, second.add(dense(rng, 4, 4), y))
    b = second.graph(second.add(Tanh(), second.add(Rearrange((2, 2)), second.add(dense(rng, 4, 4), extra))))
    found = partners(a, b)
    assert {(type(a.nodes[i].op), type(b.nodes[j].op)) for j, i in found.items()} == {
        (Relu, Relu),
        (Tanh, Tanh),
    }
    x0 = rng.normal(0, 1, 4)
    np.testing.assert_allclose(outputs(joined(a, b), x0), np.concatenate([outputs(a, x0), outputs(b, x0)]))


@pytest.mark.parametrize("seed", range(3))
def test_the_same_network_differs_by_nothing(seed: int) -> None:
    """Of 24 layers, with weights in another order of operations: bounds of the difference are roundings of doubles."""
    rng = np.random.default_rng(seed)
    first, second = Net(4), Net(4)
    x = y = 0
    for _ in range(12):
        layer, factor = dense(rng, 4, 4), rng.choice([0.5, 2.0], 4)
        x = first.add(Relu(), first.add(layer, x))
        scaled = replace(layer, weight=Constant(layer.weight.mid / factor), bias=None)
        z = second.add(Scale(Constant(factor), layer.bias, 2), second.add(scaled, y))
        y = second.add(Relu(), z)
    a, b = first.graph(x), second.graph(y)
    joint = joined(a, b)
    known = enclosed(joint, np.full(4, -0.1), np.full(4, 0.1))
    sizes = [np.abs(known.boxes[i].lower).max() for i, n in enumerate(joint.nodes) if isinstance(n.op, Gap)]
    scale = max(box.largest for box in known.boxes.values())
    assert max(sizes) <= 1e-9 * scale


@pytest.mark.parametrize("seed", range(3))
def test_images_are_cut_to_windows(seed: int) -> None:
    """Bounds of the difference through windows are those of whole passes."""
    rng = np.random.default_rng(seed)
    graph = images(rng)
    joint = joined(graph, perturbed(rng, graph, 1e-4))
    with patch.object(windows, "FEW", 16):
        cut = enclosed(joint, np.full(6, -0.3), np.full(6, 0.4), IEEE if seed else None)
    with patch.object(Network, "convolves", False):
        whole = enclosed(joint, np.full(6, -0.3), np.full(6, 0.4), IEEE if seed else None)
    some = [t for t in Network(joint).targets if isinstance(joint.nodes[t].op, Difference)]
    assert len(some) > 4 and any(windows.can_be_cut(Network(joint), t) for t in some)
    for t in some:
        for end in ("lower", "upper"):
            np.testing.assert_allclose(
                getattr(cut.boxes[t], end), getattr(whole.boxes[t], end), rtol=1e-6, atol=1e-9
            )


def test_what_is_subtracted_twice_is_not_cut() -> None:
    """A sign's span is its consumer's: a value with a second consumer is taken whole."""
    rng = np.random.default_rng(0)
    graph = images(rng)
    joint = joined(graph, perturbed(rng, graph, 1e-4))
    net = Network(joint)
    some = next(
        i for i, n in enumerate(joint.nodes) if isinstance(n.op, Difference) and windows.can_be_cut(net, i)
    )
    again = replace(
        joint, nodes=(*joint.nodes, replace(joint.nodes[some], inputs=joint.nodes[some].inputs[::-1]))
    )
    assert not windows.can_be_cut(Network(again), some)


def float32(graph: Graph, x: np.ndarray, rng: Rng) -> np.ndarray:
    """An execution in float32, node by node."""
    values: list[np.ndarray] = []
    for node in graph.nodes:
        if not node.inputs:
            values.append(x.astype(np.float32).reshape(node.shape))
            continue
        exact = numpy_eval.rule(node.op)(node.op, *(values[j].astype(np.float64) for j in node.inputs))
        values.append(np.asarray(exact, np.float32).reshape(node.shape))
    return np.concatenate([values[i].reshape(-1) for i in graph.outputs]).astype(np.float64)


def test_deployed_bounds_hold_executions_of_both() -> None:
    """The difference of two executions, each with its own roundings, is in the box of A - B; and rounds somewhere."""
    seen = 0
    for seed in range(25):
        rng = np.random.default_rng([seed, 5])
        a = random_graph32(rng)
        b = perturbed(rng, a, 1e-3)
        joint = joined(a, b)
        n = a.n_outputs
        nodes = (
            *joint.nodes,
            replace(
                joint.nodes[joint.outputs[0]], op=Difference(), inputs=(joint.outputs[0], joint.outputs[1])
            ),
        )
        apart = replace(joint, nodes=nodes, outputs=(len(nodes) - 1,), output_names=("d",))
        low = np.float32(rng.normal(0, 1, a.n_inputs)).astype(np.float64)
        try:
            box = enclosed(apart, low, low + 0.25, IEEE).boxes[len(nodes) - 1]
        except (OutOfRange, NotDeployable):
            continue
        for _ in range(5):
            x = np.float32(low + 0.25 * rng.random(a.n_inputs)).astype(np.float64)
            x = np.clip(x, low, low + 0.25)
            found = float32(a, x, rng) - float32(b, x, rng)
            assert (box.lower[0] <= found).all() and (found <= box.upper[0]).all() and found.size == n
            exact = outputs(a, x) - outputs(b, x)
            seen += bool((found != exact).any())
    assert seen > 10


REFUSED: dict[str, tuple[Callable[[Graph], Graph], str]] = {
    "inputs": (lambda g: replace(g, input_names=("u", "x")), "different places"),
    "outputs": (
        lambda g: replace(g, outputs=g.outputs * 2, output_names=("y", "z")),
        "different numbers of outputs",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_does_not_fit_is_refused(what: str) -> None:
    rng = np.random.default_rng(8)
    while len((graph := random_graph(rng, "ordinary")).inputs) < 2 or len(graph.outputs) > 1:
        pass
    a = replace(graph, input_names=("x", "v"), output_names=("y",))
    change, message = REFUSED[what]
    with pytest.raises(InvalidInput, match=message):
        joined(a, change(a))


def test_inputs_of_the_same_names_go_by_name() -> None:
    rng = np.random.default_rng(9)
    while len((graph := random_graph(rng, "ordinary")).inputs) < 2:
        pass
    swapped = replace(graph, input_names=graph.input_names[::-1])
    sizes = [graph.nodes[i].shape for i in graph.inputs]
    if sizes[0] != sizes[1]:
        with pytest.raises(InvalidInput, match="differ in shape"):
            joined(graph, swapped)
        return
    x = rng.normal(0, 1, graph.n_inputs)
    k = graph.n_inputs // 2
    both = np.concatenate([outputs(graph, x), outputs(graph, np.concatenate([x[k:], x[:k]]))])
    np.testing.assert_allclose(outputs(joined(graph, swapped), x), both)


def quantized(rng: Rng) -> Graph:
    """A layer of numbers rounded to steps, twice."""
    made = Net(4)
    x = 0
    for _ in range(2):
        x = made.add(Quantize(*(Constant(np.array(v)) for v in (0.25, 0.0, 40.0))), x)
        x = made.add(Relu(), made.add(dense(rng, 4, 4), x))
    return made.graph(made.add(dense(rng, 4, 4), x))


def test_the_same_network_twice_is_there_once_over_the_reals() -> None:
    """Two executions of it round numbers as they like, and have nodes of their own."""
    a, b = (quantized(np.random.default_rng(1)) for _ in range(2))
    once, twice = joined(a, b, shared=True), joined(a, b)
    assert len(once.nodes) == len(a.nodes) and once.outputs[0] == once.outputs[1]
    assert len(twice.nodes) > 2 * len(a.nodes) and twice.outputs[0] != twice.outputs[1]
    other = perturbed(np.random.default_rng(2), a, 1e-3)
    joint = joined(a, other, shared=True)
    assert sum(isinstance(n.op, Quantize) for n in joint.nodes) == 3  # of the inputs once
    x = np.random.default_rng(3).normal(0, 3, 4)
    np.testing.assert_allclose(
        outputs(joint, x), np.concatenate([outputs(a, x), outputs(other, x)]), rtol=1e-9
    )


def test_what_is_quantized_is_known_by_its_own_range() -> None:
    """Where b's numbers are rounded to one step whatever the input, b is a constant, though differences from a's are wide."""
    a = quantized(np.random.default_rng(1))
    plain = replace(
        a, nodes=tuple(replace(n, op=Identity) if isinstance(n.op, Quantize) else n for n in a.nodes)
    )
    joint = joined(plain, a)
    assert any(isinstance(n.op, Counterpart) for n in joint.nodes)
    assert not any(
        isinstance(n.op, Counterpart)
        for n in joined(plain, perturbed(np.random.default_rng(2), plain, 1e-3)).nodes
    )
    known = enclosed(joint, np.full(4, 1.01), np.full(4, 1.1))
    box = known.boxes[joint.outputs[1]]
    assert float((box.upper - box.lower).max()) < 1e-9


Identity = Difference((1,))
