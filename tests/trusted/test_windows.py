"""Windows: what is left out of a pass has no part in its bounds."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from unittest.mock import patch

import numpy as np
import pytest

from tests.helpers import IEEE
from tests.trusted.test_neighbours import Net
from tlcheck.trusted import windows
from tlcheck.trusted.arith.ball64 import Ball64
from tlcheck.trusted.arith.box import Box
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.integer import IntegerEngine
from tlcheck.trusted.bounds import Enclosure, Slopes
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.guidance import IntermediateSlopes, RegionGuidance
from tlcheck.trusted.network import Network
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.affine import Linear, Scale, Sum
from tlcheck.trusted.ops.convolution import Conv
from tlcheck.trusted.ops.quantized import Quantize
from tlcheck.trusted.ops.structure import Rearrange
from tlcheck.trusted.windows import Windows, parts

Rng = np.random.Generator


def conv(rng: Rng, o: int, c: int, stride: int = 1, kernel: int = 3) -> Conv:
    """Over two axes, with padding, dilation and stride of one axis its own."""
    weight, bias = Constant(rng.normal(0, 1, (o, c, kernel, 2))), Constant(rng.normal(0, 1, o))
    pads = tuple(rng.integers(0, 3, 2).tolist()), tuple(rng.integers(0, 3, 2).tolist())
    return Conv(weight, bias, (stride, 1), (1, int(rng.integers(1, 3))), *pads)


def stepped(net: Net, x: int) -> int:
    """Rounded to steps, as QuantizeLinear and DequantizeLinear do."""
    step, low, high = (Constant(np.array(v)) for v in (0.5, -40.0, 40.0))
    q = net.add(Quantize(step, low, high), net.add(Scale(Constant(np.ones(1)), None, 1), x))
    moved = net.add(Scale(Constant(np.ones(1)), Constant(np.full(1, -3.0)), 0), q)
    return net.add(Scale(Constant(np.full(1, 0.5)), None, 1), moved)


def images(rng: Rng, quantized: bool = False) -> Graph:
    """Convolutions with a skip past some of them, from values that an affine map mixes; batches of 2."""
    net = Net(6)
    step = partial(stepped, net) if quantized else (lambda x: x)
    shaped = net.add(Rearrange((2, 1, 6, 5)), net.add(Linear(Constant(rng.normal(0, 1, (6, 60)))), 0))
    x = net.add(Relu(), net.add(conv(rng, 2, 1, 2), shaped))
    shape = net.nodes[x].shape
    same = Conv(Constant(rng.normal(0, 1, (2, 2, 3, 3))), None, (1, 1), (1, 1), (1, 1), (1, 1))
    x = step(x)
    y = step(net.add(Relu(), net.add(same, x)))
    skipped = net.add(Sum((1, 1)), x, step(net.add(same, y)))
    x = net.add(Relu(), skipped)
    factor = Constant(rng.normal(0, 1, shape))
    x = net.add(Relu(), net.add(conv(rng, 2, 2), net.add(Scale(factor, None, 1), x)))
    x = net.add(Relu(), net.add(conv(rng, 3, 2), x))
    flat = net.add(Rearrange((net.nodes[x].size,)), x)
    return net.graph(net.add(Linear(Constant(rng.normal(0, 1, (net.nodes[flat].size, 2)))), flat))


def guided(rng: Rng, network: Network) -> RegionGuidance:
    """Slopes of their own for the rows of some targets, in some columns, in no order."""
    nodes, found = network.graph.nodes, {}
    activations = [i for i, node in enumerate(nodes) if isinstance(node.op, Relu)]
    for target in network.targets[1:]:
        activation = int(rng.choice([a for a in activations if a < target]))
        size = nodes[activation].size
        columns = rng.permutation(size)[: 1 + size // 2]
        rows = rng.integers(0, 5, nodes[target].size)
        found[target, activation] = IntermediateSlopes(columns, rows, *rng.random((2, 5, columns.size)))
    return RegionGuidance(intermediate=found)


def boxes(
    graph: Graph, given: RegionGuidance, engine: Ball64 | IntegerEngine, own: int, expected: bool
) -> list[Box]:
    """Of every target, with windows as they are found; ``own`` domains."""
    network = Network(graph)

    def unstable(target: int) -> np.ndarray | None:
        size = graph.nodes[target].size
        return np.random.default_rng(target).random(size) < 0.5 if expected else None

    ends = np.random.default_rng(own).uniform(0.1, 1.0, (2, own, 6))
    task = Enclosure(
        network, engine, Slopes(given, lambda _: None), IEEE if expected else None, expected=unstable
    )
    known = task.bounds({0: Box(-ends[0], ends[1])})
    return [known.boxes[t] for t in network.targets]


@pytest.mark.parametrize(("seed", "quantized"), [*((seed, False) for seed in range(5)), (2, True), (4, True)])
def test_windows_leave_out_nothing(seed: int, quantized: bool) -> None:
    """Bounds through windows are those of whole passes, but for what whole ones are charged more."""
    rng = np.random.default_rng(seed)
    graph = images(rng, quantized)
    given = guided(rng, Network(graph))
    engine = Ball64() if seed % 3 == 2 else IntegerEngine()
    own, expected = (3, False) if seed % 3 == 1 else (1, seed > 2)
    with patch.object(windows, "FEW", 16):
        cut = boxes(graph, given, engine, own, expected)
    with patch.object(Network, "convolves", False):
        uncut = boxes(graph, given, engine, own, expected)
    for a, b in zip(cut, uncut, strict=True):
        np.testing.assert_allclose(a.lower, b.lower, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(a.upper, b.upper, rtol=1e-9, atol=1e-9)


def test_rounded_images_are_cut() -> None:
    """Every node between convolutions; per-value steps are taken whole."""
    graph = images(np.random.default_rng(0), quantized=True)
    net = Network(graph)
    kinds = [
        type(n.op) for i, n in enumerate(graph.nodes) if len(n.shape) == 4 and windows.can_be_cut(net, i)
    ]
    assert kinds.count(Quantize) == 3 and kinds.count(Scale) >= 9
    (first, *_) = (i for i, n in enumerate(graph.nodes) if isinstance(n.op, Quantize))
    op = graph.nodes[first].op
    assert isinstance(op, Quantize)
    each = replace(op, scale=Constant(np.full(graph.nodes[first].shape, 0.5)))
    nodes = tuple(replace(n, op=each) if i == first else n for i, n in enumerate(graph.nodes))
    assert not windows.can_be_cut(Network(replace(graph, nodes=nodes)), first)


@pytest.mark.parametrize("seed", range(4))
def test_spans_hold_all_that_is_taken(seed: int) -> None:
    """A value that is changed outside the spans changes no value that the rows are of."""
    rng = np.random.default_rng([1, seed])
    network = Network(images(rng, quantized=seed == 3))
    for target in network.targets[2:]:
        size = network.graph.nodes[target].size
        values = rng.integers(0, size, 2)
        found = Windows(network, target, values)
        assert np.isin(values, found.columns.get(target, values)).all()
        for i, affine in enumerate(network.affine[: target + 1]):
            if affine is None or i not in found.spans:
                continue
            rows = np.zeros((1, 1, network.graph.nodes[i].size))
            rows[..., found.columns.get(i, slice(None))] = 1.0
            for m, j in zip(affine.maps, network.graph.nodes[i].inputs, strict=True):
                reached = np.flatnonzero(Ball64().adjoint(m, rows) != 0)
                assert np.isin(reached, found.columns.get(j, reached)).all()
                assert i not in found.columns or j in found.spans


def test_parts_are_all_rows_once_and_near() -> None:
    network = Network(images(np.random.default_rng(0)))
    target = network.targets[2]
    values = np.tile(np.arange(network.graph.nodes[target].size), 2)
    with patch.object(windows, "FEW", 4):
        found = list(parts(network, target, values, 10_000))
    assert sorted(np.concatenate(found).tolist()) == list(range(values.size))
    assert max(Windows(network, target, values[rows]).size(target) for rows in found) < values.size // 4
    single = list(parts(network, target, values, 1))
    assert [rows.size for rows in single] == [1] * values.size
