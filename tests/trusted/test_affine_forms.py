"""Affine forms hold what a network gives, exactly; they remember what boxes forget; and domains do not know of each other."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from tests.trusted.test_relaxed_ops import Net
from tlcheck.trusted import affine_forms
from tlcheck.trusted.affine_forms import Forms, pay
from tlcheck.trusted.arith.ball64 import Ball64
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.bounds import Bounds, Enclosure, Slopes
from tlcheck.trusted.graph import Graph, Node
from tlcheck.trusted.guidance import NO_GUIDANCE
from tlcheck.trusted.network import Network
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.affine import Linear, Scale, Sum
from tlcheck.trusted.ops.convolution import Conv
from tlcheck.trusted.ops.structure import Input

Exact = list[Fraction]


def network(rng: np.random.Generator) -> tuple[Graph, list[tuple[np.ndarray, np.ndarray]]]:
    """x (3) -> relu, relu with a sum of both layers, a scale -> 2 values; and the layers' weights."""
    net, x, layers = Net(3), 0, []

    def dense(n: int, m: int, operand: int) -> int:
        w, b = rng.normal(0, 1, (n, m)), rng.normal(0, 0.3, m)
        layers.append((w, b))
        return net.add(Linear(Constant(w), Constant(b)), operand)

    y = net.add(Relu(), dense(3, 5, x))
    z = net.add(Relu(), dense(5, 5, y))
    both = net.add(Sum((1, -1)), y, z)
    w = net.add(Relu(), dense(5, 4, both))
    return net.graph(dense(4, 2, w)), layers


def values(layers: list[tuple[np.ndarray, np.ndarray]], x: Exact) -> list[Exact]:
    """Of every node, in order, exactly."""

    def dense(k: int, v: Exact) -> Exact:
        w, b = layers[k]
        return [
            sum((a * Fraction(c) for a, c in zip(v, col, strict=True)), Fraction(d))
            for col, d in zip(w.T.tolist(), b.tolist(), strict=True)
        ]

    def relu(v: Exact) -> Exact:
        return [max(a, Fraction(0)) for a in v]

    a = dense(0, x)
    y = relu(a)
    b = dense(1, y)
    z = relu(b)
    both = [p - q for p, q in zip(y, z, strict=True)]
    c = dense(2, both)
    w = relu(c)
    return [x, a, y, b, z, both, c, w, dense(3, w)]


def boxes(rng: np.random.Generator, domains: int) -> Box:
    middle, radius = rng.normal(0, 1, (domains, 3)), rng.choice([0.0, 0.01, 0.2, 1.0], (domains, 3))
    return Box(middle - radius, middle + radius)


def formed(graph: Graph, box: Box, *, rows: bool) -> list[Box]:
    """Boxes of all nodes: of the forms and forward boxes alone, or with backward rows too."""
    if rows:
        forms = Forms(Network(graph), Ball64(), box.lower.shape[0])
        task = Enclosure(Network(graph), Ball64(), Slopes(NO_GUIDANCE, lambda _: None), met=forms.met)
        known = task.bounds({0: box})
        return [known.boxes[i] for i in range(len(graph.nodes))]
    forms, known, found = Forms(Network(graph), Ball64(), box.lower.shape[0]), Bounds(), []
    wide = Box(np.full((1, 1), -1e30), np.full((1, 1), 1e30))
    for i, node in enumerate(graph.nodes):
        forward = box if i == 0 else Box(*(np.repeat(e, node.size, axis=1) for e in (wide.lower, wide.upper)))
        known.boxes[i] = forms.met(i, known.boxes, forward)
        found.append(known.boxes[i])
    return found


def outside(
    graph: Graph,
    layers: list[tuple[np.ndarray, np.ndarray]],
    box: Box,
    found: list[Box],
    rng: np.random.Generator,
) -> int:
    """How many exact values at corners and points of the domains lie outside of the boxes."""
    count = 0
    for d in range(box.lower.shape[0]):
        for _ in range(4):
            t = rng.choice([0.0, 1.0, rng.random()], 3)
            x = np.clip(box.lower[d] + t * (box.upper[d] - box.lower[d]), box.lower[d], box.upper[d])
            for one, exact in zip(found, values(layers, [Fraction(v) for v in x.tolist()]), strict=True):
                ends = zip(one.lower[d].tolist(), exact, one.upper[d].tolist(), strict=True)
                count += sum(not Fraction(a) <= v <= Fraction(b) for a, v, b in ends)
    return count


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("rows", [False, True])
def test_exact_values_lie_within(seed: int, rows: bool) -> None:
    rng = np.random.default_rng(seed)
    graph, layers = network(rng)
    box = boxes(rng, 4)
    assert pay(Network(graph))
    assert outside(graph, layers, box, formed(graph, box, rows=rows), rng) == 0


def test_a_form_that_forgets_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the symbols of its ReLUs, or without the half of t that the centre moves, values lie outside."""
    relu = Forms._relu

    def without_symbols(self: Forms, z: affine_forms.AffineForm, box: Box) -> affine_forms.AffineForm:
        form = relu(self, z, box)
        return affine_forms.AffineForm(form.centre, 0.0 * form.terms, form.rest, 0.0 * form.spread)

    monkeypatch.setattr(Forms, "_relu", without_symbols)
    rng = np.random.default_rng(0)
    graph, layers = network(rng)
    box = boxes(rng, 6)
    assert outside(graph, layers, box, formed(graph, box, rows=False), rng) > 0


def test_rounding_is_charged() -> None:
    """At a point, sums of thirds: what float64 rounds is within the box, and more than the box without its rest."""
    net = Net(3)
    net.add(Linear(Constant(np.full((3, 40), 1 / 3)), Constant(np.full(40, 0.1))), 0)
    graph = net.graph(net.add(Relu(), 1))
    box = Box(np.full((1, 3), 1 / 3), np.full((1, 3), 1 / 3))
    found = formed(graph, box, rows=False)[1]
    exact = 3 * Fraction(1 / 3) ** 2 + Fraction(0.1)
    assert (found.lower < found.upper).all() and float((found.upper - found.lower).max()) < 1e-14
    assert all(
        Fraction(a) <= exact <= Fraction(b)
        for a, b in zip(found.lower[0].tolist(), found.upper[0].tolist(), strict=True)
    )


def test_what_cancels_is_remembered() -> None:
    net = Net(1)
    graph = net.graph(
        net.add(
            Sum((1, -1)),
            net.add(Scale(Constant(np.full(1, 3.0)), None, 1), 0),
            net.add(Scale(Constant(np.full(1, 3.0)), None, 1), 0),
        )
    )
    (found,) = formed(graph, Box(np.array([[-1.0]]), np.array([[1.0]])), rows=False)[-1:]
    assert found.upper[0, 0] <= 1e-13 and found.lower[0, 0] >= -1e-13


def test_a_domain_alone_has_the_same_boxes() -> None:
    rng = np.random.default_rng(3)
    graph, _ = network(rng)
    box = boxes(rng, 7)
    together = formed(graph, box, rows=True)
    for d in range(7):
        alone = formed(graph, box.rows(slice(d, d + 1)), rows=True)
        for a, b in zip(together, alone, strict=True):
            assert (a.lower[d if len(a.lower) > 1 else 0] == b.lower[0]).all() and (
                a.upper[d if len(a.upper) > 1 else 0] == b.upper[0]
            ).all()


def test_a_convolution_of_a_form_without_symbols() -> None:
    nodes = (
        Node(Input((1, 1, 4)), (), (1, 1, 4)),
        Node(Conv(Constant(np.ones((1, 1, 2))), None, (1,), (1,), (0,), (0,)), (0,), (1, 1, 3)),
    )
    network = Network(Graph(nodes, (1,), ("x",), ("y",)))
    affine, none = network.affine[1], np.zeros((2, 4))
    assert affine is not None
    known = affine_forms.AffineForm(none, np.zeros((2, 0, 4)), none + 1, none)
    box = Forms(network, Ball64(), 2)._affine(affine, [(known, none + 1)]).box()
    assert box.lower.shape == (2, 3) and (abs(box.magnitude - 2) < 1e-9).all()


def test_a_neighbour_out_of_range_decides_nothing() -> None:
    """With others it is for the chunk to look at each alone; alone it has its box."""
    rng = np.random.default_rng(5)
    graph, _ = network(rng)
    low = np.array([[0.0] * 3, [2.0**300] * 3])
    with pytest.raises(OutOfRange):
        Forms(Network(graph), Ball64(), 2).met(0, {}, Box(low, low))
    alone = Box(low[1:], low[1:])
    assert Forms(Network(graph), Ball64(), 1).met(0, {}, alone) is alone
