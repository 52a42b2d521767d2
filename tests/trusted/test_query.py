"""Queries and graphs refuse what they do not mean: if one exists, its numbers agree."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.claim import SatClaim, UnsatClaim
from tlcheck.trusted.graph import Graph, Node
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.affine import Linear
from tlcheck.trusted.ops.structure import Input
from tlcheck.trusted.query import Disjunct, InputBox, LinearConstraint, Query

ONE = Fraction(1)
Pairs = tuple[tuple[int, Fraction], ...]


def box(n: int) -> InputBox:
    return InputBox((Fraction(0),) * n, (ONE,) * n)


def query(inputs: Pairs = (), outputs: Pairs = (), n: int = 2, m: int = 3, size: int = 2) -> Query:
    return Query(n, m, (Disjunct(box(size), (LinearConstraint(inputs, outputs, ONE),)),))


def test_the_last_variables_exist() -> None:
    made = query(((0, ONE), (1, -ONE)), ((2, ONE),))
    assert made.disjuncts[0].box.size == 2 and not made.disjuncts[0].constraints[0].strict


@pytest.mark.parametrize("side", ["inputs", "outputs"])
@pytest.mark.parametrize(
    ("pairs", "match"),
    [
        (((1, ONE), (0, ONE)), "sorted"), (((1, ONE), (1, ONE)), "distinct"), (((0, ONE), (0, ONE), (1, ONE)), "distinct"), (((-1, ONE), (0, ONE)), "nonnegative"),
        (((0, ONE), (1, Fraction(0))), "zero coefficients"),
    ],
)  # fmt: skip
def test_pairs_that_are_refused(side: str, pairs: Pairs, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        query(**{side: pairs})


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: query(size=1), "dimension"), (lambda: query(size=3), "dimension"),
        (lambda: query(((0, ONE), (2, ONE))), "an input that"), (lambda: query(((0, ONE), (1, ONE), (2, ONE))), "an input that"), (lambda: query((), ((0, ONE), (3, ONE))), "an output that"),
        (lambda: InputBox((ONE,), ()), "length"), (lambda: InputBox((), (ONE,)), "length"),
    ],
)  # fmt: skip
def test_what_does_not_exist(make: Callable[[], object], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        make()


# Graphs: x (2) -> 3 values -> Relu.

NODES = (
    Node(Input((2,)), (), (2,)),
    Node(Linear(Constant(np.ones((2, 3)))), (0,), (3,)),
    Node(Relu(), (1,), (3,)),
)


def graph(nodes: tuple[Node, ...] = NODES, outputs: tuple[int, ...] = (2,), names: int = 1) -> Graph:
    return Graph(nodes, outputs, ("x",) * names, ("y",) * len(outputs))


def test_sizes_of_a_graph() -> None:
    made = graph(outputs=(0, 1, 2))
    assert (made.inputs, made.n_inputs, made.n_outputs, made.nodes[1].size) == ((0,), 2, 8, 3)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: graph((*NODES[:2], Node(Relu(), (2,), (3,)))), "topological"),
        (lambda: graph((*NODES[:2], Node(Relu(), (-1,), (3,)))), "topological"),
        (lambda: graph((*NODES[:2], Node(Relu(), (3,), (3,)))), "topological"),
        (lambda: graph((*NODES[:2], Node(Relu(), (1,), (2,)))), "operation gives"),
        (lambda: graph((*NODES[:2], Node(Relu(), (1,), (4,)))), "operation gives"),
        (lambda: graph(outputs=()), "no such output"), (lambda: graph(outputs=(2, 3)), "no such output"),
        (lambda: graph(outputs=(-1, 2)), "no such output"), (lambda: graph(names=0), "in number"),
        (lambda: graph(names=2), "in number"), (lambda: Graph(NODES, (2,), ("x",), ()), "in number"),
        (lambda: Graph(NODES, (2,), ("x",), ("y", "z")), "in number"),
    ],
)  # fmt: skip
def test_graphs_that_are_refused(make: Callable[[], object], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        make()


@pytest.mark.parametrize(
    ("n", "m", "match"),
    [(1, 3, "input variables"), (3, 3, "input variables"), (2, 2, "output"), (2, 4, "output")],
)
def test_a_claim_is_about_its_network(n: int, m: int, match: str) -> None:
    asked = query(n=n, m=m, size=n)
    for make in (lambda: UnsatClaim(graph(), asked), lambda: SatClaim(graph(), asked, (ONE,) * n)):
        with pytest.raises(ValueError, match=match):
            make()


@pytest.mark.parametrize("n", [0, 1, 3])
def test_a_witness_has_a_value_for_each_input(n: int) -> None:
    SatClaim(graph(), query(), (ONE, ONE))
    with pytest.raises(ValueError, match="witness has"):
        SatClaim(graph(), query(), (ONE,) * n)
