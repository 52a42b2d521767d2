"""False claims whose margin is exactly zero: no engine, semantics or place of the bounds may certify them."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from tests.trusted.test_audit import ONE_LEAF, leaves
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.constant import Constant
from tlcheck.trusted.decide import Plan, Settings, check_leaves, conclude_unsat, root_bounds
from tlcheck.trusted.graph import Graph, Node
from tlcheck.trusted.guidance import Guidance
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.affine import Linear, Sum
from tlcheck.trusted.ops.structure import Input
from tlcheck.trusted.query import Disjunct, InputBox, LinearConstraint, Query
from tlcheck.trusted.verdict import Verdict


def linear(weight: float, bias: float | None = None) -> Linear:
    return Linear(Constant(np.array([[weight]])), None if bias is None else Constant(np.array([bias])))


X = Node(Input((1, 2)), (), (1, 2))
X1 = Node(Input((1, 1)), (), (1, 1))
TWICE = Graph((X, Node(Relu(), (0,), (1, 2))), (1, 1), ("x",), ("a", "b"))
SAME = Graph((X1,), (0,), ("x",), ("y",))
CANCELS = Graph(
    (
        X1,
        Node(linear(2.0**100), (0,), (1, 1)),
        Node(linear(-(2.0**100)), (0,), (1, 1)),
        Node(Relu(), (0,), (1, 1)),
        Node(linear(2.0**-60, 2.0**-90), (3,), (1, 1)),
        Node(Sum((1, 1, 1)), (1, 2, 4), (1, 1)),
    ),
    (5,),
    ("x",),
    ("y",),
)
ONE, TENTH = Fraction(1), Fraction(1, 10)
CASES = {
    "one tensor as two outputs": (
        TWICE,
        [-ONE, -ONE],
        LinearConstraint((), ((0, ONE), (2, -ONE)), Fraction(0)),
    ),
    "output is the input": (SAME, [TENTH], LinearConstraint(((0, -ONE),), ((0, 2 * ONE),), TENTH)),
    "terms that cancel": (CANCELS, [-ONE], LinearConstraint((), ((0, ONE),), Fraction(1, 2**90))),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("arith", ["arb", "ball64", "auto"])
def test_a_tie_is_not_proved(name: str, arith: str) -> None:
    graph, low, constraint = CASES[name]
    box = InputBox(tuple(low), (ONE,) * len(low))
    query = Query(len(low), graph.n_outputs, (Disjunct(box, (constraint,)),))
    for per_leaf, deployed in product((False, True), repeat=2):
        guidance = Guidance(ONE_LEAF, leaves(1), per_leaf_bounds=per_leaf)
        plan = Plan(UnsatClaim(graph, query), guidance, Settings(arith, deployed=deployed))
        bounds = None if per_leaf else root_bounds(plan, 0)
        verdict, _ = conclude_unsat(plan, check_leaves(plan, bounds, [0]))
        assert verdict is Verdict.UNPROVEN
