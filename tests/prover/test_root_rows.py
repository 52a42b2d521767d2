"""What saves work on rows of the root changes none of them."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from tests.prover.test_engine import boxes, graphs
from tests.prover.test_neuron_search import dense_net
from tlcheck.prover.engine import Engine
from tlcheck.prover.float_maps import FloatMaps, is_plain
from tlcheck.prover.root import root
from tlcheck.trusted.arith.box import OutOfRange
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.maps import ConvMap
from tlcheck.trusted.ops.activation import Relu


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
