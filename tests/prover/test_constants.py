"""What no input reaches is computed once: the same function, with products that have become affine."""

from __future__ import annotations

import numpy as np

from tests.prover.small_networks import GRAPHS
from tlcheck.prover.constants import folded
from tlcheck.prover.engine import Engine
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.graph import Graph, Node
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.affine import Linear, Scale
from tlcheck.trusted.ops.product import MatProduct, Product
from tlcheck.trusted.ops.structure import Fixed, Input


def quadratic() -> Graph:
    """x * (x P) * c with P = R W and c = ReLU(b), both from constants."""
    rng = np.random.default_rng(0)
    r, w, b = (Constant(rng.normal(size=shape)) for shape in ((2, 2), (2, 2), (1, 2)))
    nodes = (
        Node(Input((1, 2)), (), (1, 2)),
        Node(Fixed(r), (), (2, 2)),
        Node(Linear(w), (1,), (2, 2)),
        Node(MatProduct(), (0, 2), (1, 2)),
        Node(Fixed(b), (), (1, 2)),
        Node(Relu(), (4,), (1, 2)),
        Node(Product(), (5, 3), (1, 2)),
        Node(Product(), (0, 6), (1, 2)),
    )
    return Graph(nodes, (7,), ("x",), ("y",))


def test_products_with_constants_become_affine() -> None:
    graph = quadratic()
    found = folded(graph)
    assert [type(node.op) for node in found.nodes] == [
        Input, Fixed, Fixed, Linear, Fixed, Fixed, Scale, Product,
    ]  # fmt: skip
    points = np.random.default_rng(1).normal(size=(50, 2))
    values = [engine.outputs(engine.values(points)) for engine in (Engine(graph), Engine(found))]
    assert np.allclose(*values, rtol=1e-12, atol=1e-12)


def test_a_graph_without_constants_is_the_same_object() -> None:
    assert all(folded(graph) is graph for graph in GRAPHS)
