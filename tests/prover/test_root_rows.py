"""What saves work on rows of the root changes none of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

from tests.prover.test_engine import boxes, graphs
from tests.prover.test_neuron_search import dense_net
from tests.trusted.test_decide_soundness import random_graph
from tlcheck.prover import folded, folded_rows
from tlcheck.prover.condensed import Condensed, Forms
from tlcheck.prover.engine import Engine, Stopped
from tlcheck.prover.float_maps import FloatMaps, is_plain
from tlcheck.prover.folded import Folded, TooWide
from tlcheck.prover.folded_rows import tiles_of
from tlcheck.prover.root import Root, root
from tlcheck.trusted.arith.box import OutOfRange
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.maps import ConvMap
from tlcheck.trusted.graph import Graph, Node
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.affine import Linear, Sum
from tlcheck.trusted.ops.convolution import Conv
from tlcheck.trusted.ops.product import MatProduct
from tlcheck.trusted.ops.structure import Fixed, Input, Rearrange

Rng = np.random.Generator


def residual_net(rng: Rng) -> Graph:
    """Pictures (1, 2, 6, 6); convolutions, one of them beside a shortcut; a layer; two outputs."""

    def conv(channels: int, more: int, stride: int) -> Conv:
        weight = Constant(rng.normal(0, 0.7 / np.sqrt(channels), (more, channels, 3, 3)))
        return Conv(weight, Constant(rng.normal(0, 0.2, more)), (stride, stride), (1, 1), (1, 1), (1, 1))

    def linear(n: int, m: int) -> Linear:
        return Linear(Constant(rng.normal(0, 1 / np.sqrt(n), (n, m))), Constant(rng.normal(0, 0.2, m)))

    picture, small = (1, 3, 6, 6), (1, 3, 3, 3)
    nodes = (
        Node(Input((1, 2, 6, 6)), (), (1, 2, 6, 6)),
        Node(conv(2, 3, 1), (0,), picture),
        Node(Relu(), (1,), picture),
        Node(conv(3, 3, 1), (2,), picture),
        Node(Relu(), (3,), picture),
        Node(conv(3, 3, 1), (4,), picture),
        Node(Sum((1, 1)), (2, 5), picture),
        Node(Relu(), (6,), picture),
        Node(conv(3, 3, 2), (7,), small),
        Node(Relu(), (8,), small),
        Node(Rearrange((1, 27)), (9,), (1, 27)),
        Node(linear(27, 6), (10,), (1, 6)),
        Node(Relu(), (11,), (1, 6)),
        Node(linear(6, 2), (12,), (1, 2)),
    )
    return Graph(nodes, (len(nodes) - 1,), ("x",), ("y",))


def rooted(width: float = 0.3) -> Iterator[tuple[Rng, Engine, dict[int, Any]]]:
    """Networks, and a box of their inputs."""
    for seed in range(12):
        rng = np.random.default_rng([seed, 23])
        graph = (residual_net(rng), dense_net(rng, Relu(), (3, 8, 8, 8, 2)))[seed % 2] if seed < 5 else (
            random_graph(rng, "ordinary")
        )  # fmt: skip
        engine = Engine(graph)
        centre = rng.normal(0, 1, graph.n_inputs)
        yield rng, engine, engine.inputs(centre - width, centre + width)


def same(found: Root, wanted: Root, share: float) -> int:
    """Whether boxes are, up to a share of their size; how many open neurons there are."""
    for i, ends in wanted.boxes.items():
        for mine, theirs in zip(found.boxes[i], ends, strict=True):
            assert (np.abs(mine - theirs) <= share * (1 + np.abs(theirs))).all(), i
    return sum(c.size for c in wanted.columns.values())


@pytest.mark.parametrize(
    ("stride", "dilation", "pad"), [p for p in product((1, 2, 3), (1, 2), (0, 1, 2)) if p != (1, 1, 2)]
)
def test_units_of_a_convolution(stride: int, dilation: int, pad: int) -> None:
    rng = np.random.default_rng([stride, dilation, pad])
    sizes, kernel = (8, 7), (3, 2)
    narrow = tuple(
        (n + 2 * pad - dilation * (k - 1) - 1) // stride + 1 for n, k in zip(sizes, kernel, strict=True)
    )
    weight = Constant(rng.normal(size=(4, 3, *kernel)))
    m = ConvMap(weight, (stride,) * 2, (dilation,) * 2, (pad,) * 2, 1, (1, 3, *sizes), (1, 4, *narrow), False)
    assert is_plain(m)
    maps = FloatMaps(np.float64)
    indices = rng.integers(0, m.n_out, (2, 5))
    signs = rng.choice([-1.0, 1.0], 5)
    block = np.zeros((2, 5, m.n_out))
    np.put_along_axis(block, indices[..., None], np.broadcast_to(signs, (2, 5))[..., None], axis=2)
    assert np.allclose(maps.units(m, indices, signs), maps.adjoint(m, block), rtol=0, atol=1e-12)


def test_folded_is_walked() -> None:
    compared = 0
    for rng, graph in graphs(40):
        engine, plain = Engine(graph), Engine(graph)
        plain.__dict__["folded"] = {}
        low, high = boxes(rng, graph.n_inputs)
        try:
            found, wanted = (e.enclose(e.inputs(low, high)).boxes for e in (engine, plain))
        except OutOfRange:
            continue
        compared += bool(engine.folded)
        for i, ends in wanted.items():
            for a, b in zip(found[i], ends, strict=True):
                assert np.allclose(a, b, rtol=1e-9, atol=1e-9)
    assert compared > 20


def test_known_bounds_leave_open_rows_as_they_are() -> None:
    compared = 0
    for seed in range(20):
        rng = np.random.default_rng([seed, 21])
        graph = dense_net(rng, Relu(), (3, 8, 8, 8, 2))
        engine = Engine(graph)
        centre = rng.normal(0, 1, 3)
        first = root(engine, engine.inputs(centre - 0.4, centre + 0.4))
        wanted = root(engine, first.inputs, 3)
        found = root(engine, first.inputs, 3, known=first)
        for a, columns in found.columns.items():
            before = first.boxes[graph.nodes[a].inputs[0]]
            assert not ((before[0] >= 0) | (before[1] <= 0))[0, columns].any()
            z = graph.nodes[a].inputs[0]
            same = np.intersect1d(columns, wanted.columns[a])
            compared += same.size
            for mine, theirs in zip(found.boxes[z], wanted.boxes[z], strict=True):
                assert (np.abs(mine - theirs)[0, same] <= 1e-3 * (1 + np.abs(theirs[0, same]))).all()
    assert compared > 20


@pytest.mark.parametrize("way", ["chosen", "from below", "from above"])
def test_rows_of_the_folded_network_are_the_graphs(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if way != "chosen":
        price = 0 if way == "from below" else 1 << 60
        monkeypatch.setattr(Folded, "_price_of_columns", lambda self, node: price)
    monkeypatch.setattr(folded_rows, "TOGETHER", 4)
    neurons = 0
    for _, engine, inputs in rooted():
        try:
            wanted = root(engine, inputs, folds=False)
        except OutOfRange:
            continue
        found = root(engine, inputs)
        neurons += same(found, wanted, 1e-9)
        if way == "chosen":
            same(
                root(engine, inputs, 3, known=found), root(engine, inputs, 3, known=wanted, folds=False), 1e-3
            )
    assert neurons > 200


def test_slopes_of_rows_give_their_bounds() -> None:
    """A pass over the graph with the slopes that are kept as evidence gives the bounds that are in the box."""
    compared = 0
    for _, engine, inputs in rooted():
        try:
            found = root(engine, inputs, 4)
        except OutOfRange:
            continue
        for target in {t for t, _ in found.intermediate}:
            own = {a: given for (t, a), given in found.intermediate.items() if t == target}
            row = next(iter(own.values())).row
            for at in np.flatnonzero(row)[:3]:
                lines = dict(found.lines)
                for a, given in own.items():
                    slopes = lines[a].parts[0].lower[0].copy()
                    slopes[0, given.columns] = given.lower_pass[row[at]]
                    lines[a] = engine.lines(a, found.boxes, slopes)
                bound = engine.rows(target, np.array([at]), np.ones(1), found.boxes, lines)[0, 0]
                low, room = found.boxes[target][0][0, at], 1e-5 * (1 + abs(bound))
                alone = all(isinstance(engine.nodes[c].op, Relu) for c in engine.network.consumers[target])
                assert bound <= low + room and (bound >= low - room or not alone)
                compared += alone
    assert compared > 20


def test_values_at_points_are_in_the_boxes() -> None:
    for rng, engine, inputs in rooted():
        try:
            first = root(engine, inputs)
        except OutOfRange:
            continue
        found = root(engine, inputs, 5, known=first)
        low, high = (np.concatenate([ends[k][0] for ends in inputs.values()]) for k in (0, 1))
        ways = rng.uniform(0, 1, (200, low.size))
        ways[:50] = np.round(ways[:50])
        for i, values in engine.values(low + ways * (high - low)).items():
            for ends in (first.boxes[i], found.boxes[i]):
                room = 1e-9 * (1 + np.abs(values))
                assert (values >= ends[0] - room).all() and (values <= ends[1] + room).all()


def test_the_condensed_network_of_tighter_bounds() -> None:
    """What became linear is folded away: the same forms as from a root that never knew these neurons."""
    closed = 0
    for rng, engine, inputs in rooted():
        try:
            first = root(engine, inputs)
        except OutOfRange:
            continue
        found = root(engine, inputs, 5, known=first)
        shape = (3, engine.graph.n_outputs), (3, engine.graph.n_inputs)
        forms = Forms(rng.normal(size=shape[0]), rng.normal(size=shape[1]), rng.normal(size=3), np.ones(3))
        net = Condensed(engine, found, forms, np.float64)
        assert found.net is not None
        closed += found.net.count - net.count
        plain = Folded(engine)
        for i in engine.order:
            if i in plain.input_slices:
                plain.put(i, found.boxes[i])
            elif i in found.lines:
                plain.draw(i, found.lines[i])
        wanted = Condensed(engine, Root(inputs, found.bounds, found.columns, {}, plain), forms, np.float64)
        assert net.names == wanted.names
        for name in ("M", "L", "b", "G", "Q", "e"):
            np.testing.assert_allclose(getattr(net, name), getattr(wanted, name), rtol=1e-8, atol=1e-8)
    assert closed > 3


@pytest.mark.parametrize("price", [0, 1 << 60])
def test_values_that_depend_on_no_input(price: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """x M, M a product of two constant matrices: all of M's values on no input, from below and from above."""
    monkeypatch.setattr(Folded, "_price_of_columns", lambda self, node: price)
    rng = np.random.default_rng(2)
    fixed = [Node(Fixed(Constant(rng.normal(size=(3, 3)))), (), (3, 3)) for _ in range(2)]
    nodes = (
        Node(Input((1, 3)), (), (1, 3)), *fixed, Node(MatProduct(), (1, 2), (3, 3)), Node(MatProduct(), (0, 3), (1, 3)),
        Node(Relu(), (4,), (1, 3)),
    )  # fmt: skip
    engine = Engine(Graph(nodes, (5,), ("x",), ("y",)))
    inputs = engine.inputs(np.full(3, -1.0), np.ones(3))
    same(root(engine, inputs), root(engine, inputs, folds=False), 1e-9)


def test_a_network_that_is_too_wide_has_its_rows_from_the_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(residual_net(rng := np.random.default_rng(5)))
    inputs = engine.inputs(centre := rng.normal(0, 1, 72), centre + 0.3)
    wanted = root(engine, inputs)
    for name, most in (("MOST", 20), ("MOST_VALUES", 2000)):
        with monkeypatch.context() as patch:
            patch.setattr(folded, name, most)
            found = root(engine, inputs)
        assert found.net is None and root(engine, inputs, known=found).net is None
        same(found, wanted, 1e-9)
        with pytest.raises(TooWide):
            Condensed(engine, found, Forms.of([], 72, 2))


def test_a_root_is_stopped() -> None:
    engine = Engine(residual_net(np.random.default_rng(5)))
    with pytest.raises(Stopped):
        root(engine, engine.inputs(np.zeros(72), np.ones(72)), over=lambda: True)


def test_tiles_are_squares_of_a_picture() -> None:
    entries = np.sort(np.random.default_rng(0).choice(4 * 16 * 16, 700, replace=False))
    tiles = tiles_of((1, 4, 16, 16), entries)
    assert np.array_equal(np.sort(np.concatenate(tiles)), np.arange(700))
    for tile in tiles:
        _, y, x = np.unravel_index(entries[tile], (4, 16, 16))
        assert np.ptp(y) < 4 and np.ptp(x) < 4
    assert len(tiles_of((1, 700), entries[:500])) == 1


def test_evidence_speaks_of_values_with_a_name_alone() -> None:
    rng = np.random.default_rng(3)
    graph = dense_net(rng, Relu(), (3, 8, 8, 8, 8, 2))
    engine = Engine(replace(graph, names={f"v{i}": i for i in range(len(graph.nodes)) if i not in (4, 5)}))
    centre = rng.normal(0, 1, 3)
    found = root(engine, engine.inputs(centre - 0.4, centre + 0.4), 3)
    assert 4 not in found.columns and found.columns[2].size and found.columns[6].size
    assert {i for key in found.intermediate for i in key} <= {2, 3, 6, 7, 8}
    assert (7, 2) in found.intermediate and (7, 6) in found.intermediate
    net = Condensed(engine, found, Forms.of([], 3, 2))
    assert {b.node: b.sides is not None for b in net.blocks} == {2: True, 4: False, 6: False, 8: True}
