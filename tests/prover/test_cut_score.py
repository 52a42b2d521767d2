"""What a cut is thought to gain: gaps go to the inputs that make them, whatever the linear bound says of them."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from tests.prover.small_networks import GRAPHS, network
from tests.prover.test_input_search import asked, relu_network, search_of
from tlcheck.prover.box_bounds import BoxBounds
from tlcheck.prover.cut_score import cut_scores, gaps, sums_at
from tlcheck.prover.region_work import kinds_for
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.graph import Graph, Node
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.affine import Linear
from tlcheck.trusted.ops.product import Product
from tlcheck.trusted.ops.smooth import Cos, Sin
from tlcheck.trusted.ops.structure import Input
from tlcheck.trusted.query import InputBox


def separate() -> Graph:
    """y = sum of ReLU(x_k): each ReLU is one input's own."""
    nodes = (
        Node(Input((1, 3)), (), (1, 3)),
        Node(Relu(), (0,), (1, 3)),
        Node(Linear(Constant(np.ones((3, 1)))), (1,), (1, 1)),
    )
    return Graph(nodes, (2,), ("x",), ("y",))


def test_each_gap_goes_to_the_input_that_makes_it() -> None:
    passes = BoxBounds(separate(), np.float64)
    found = passes.over(np.array([[-1.0, -1.0, 1.0]]), np.array([[1.0, 3.0, 2.0]]))
    shares = gaps(passes, found, np.array([0]), np.arange(3), {1: np.array([[2.0, 1.0, 5.0]])})
    # lines of the first: 0 and (z + 1) / 2, 1 apart at most; of the second z and 3 (z + 1) / 4, 1 too; of the third none
    assert shares == pytest.approx(np.array([[2.0, 1.0, 0.0]]))


@pytest.mark.parametrize("graph", [*GRAPHS, network(4, (Sin(), Cos(), Relu())), relu_network(3, inputs=2)])
def test_scores_are_finite_and_an_input_without_width_gains_nothing(graph: Graph) -> None:
    passes = BoxBounds(graph, np.float64)
    n = graph.n_inputs
    lower, upper = np.full((4, n), -0.5), np.full((4, n), 0.7)
    upper[:, 1] = lower[:, 1]
    found = passes.over(lower, upper)
    kept: dict[int, np.ndarray] = {}
    forms, constant = passes.forms(np.ones((1, graph.n_outputs)), np.zeros((1, n)))
    wide = {a: np.tile(m[None], (4, 1, 1)) for a, m in forms.items()}
    line = passes.descend(wide, np.tile(constant, (4, 1)), np.arange(4), found, kept)
    sizes = {i: np.abs(a[:, 0]) for i, a in kept.items()}
    score = cut_scores(passes, found, np.arange(4), np.abs(line.slope[:, 0]), sizes)
    assert np.isfinite(score).all()
    assert (score[:, 1] == 0).all()
    assert (score[:, 0] > 0).all()


def test_rows_of_the_same_place_are_added_up() -> None:
    rows = np.arange(8.0).reshape(4, 2)
    assert sums_at(rows, np.array([1, 0, 1, 1]), 2).tolist() == [[2, 3], [10, 13]]
    assert sums_at(rows, np.array([3, 0, 1, 2]), 4).tolist() == rows[[1, 2, 3, 0]].tolist()


def test_few_boxes_where_the_linear_bound_is_flat() -> None:
    """|x_0| and |x_1|, by ReLUs: at the box's middle the bound has no slope, and only cuts across both inputs help."""
    w = np.array([[1.0, -1.0, 0, 0], [0, 0, 1.0, -1.0], [0, 0, 0, 0], [0, 0, 0, 0]])
    nodes = (
        Node(Input((1, 4)), (), (1, 4)),
        Node(Linear(Constant(w)), (0,), (1, 4)),
        Node(Relu(), (1,), (1, 4)),
        Node(Linear(Constant(np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 1.0], [1.0, 1.0]]))), (2,), (1, 2)),
    )
    graph = Graph(nodes, (3,), ("x",), ("y",))
    claim = UnsatClaim(graph, asked([("-1", "1")] * 4, "(<= Y_0 -0.001)"))
    search, roots = search_of(claim)
    assert search.close(roots, lambda: search.boxes > 60) == []
    assert search.boxes <= 9


def test_products_are_cut_on_their_inputs_first() -> None:
    """Of 20 free inputs: no neuron's split narrows a product; ReLUs alone are split."""
    x = Node(Input((1, 20)), (), (1, 20))
    box = InputBox((Fraction(0),) * 20, (Fraction(1),) * 20)
    for op, first in ((Product(), "inputs"), (Relu(), "neurons")):
        operands = (0, 0) if isinstance(op, Product) else (0,)
        graph = Graph((x, Node(op, operands, (1, 20))), (1,), ("x",), ("y",))
        assert kinds_for(graph, box)[0] == first
