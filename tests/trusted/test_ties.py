"""Margins of exactly zero: they exclude a strict constraint that is weighed, and nothing else, in any engine or semantics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers import IEEE
from tests.trusted.test_audit import ONE_LEAF, leaves
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.limbs import LimbEngine
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.decide import conclude_unsat
from tlcheck.trusted.formed_pass import check_formed
from tlcheck.trusted.graph import Graph, Node
from tlcheck.trusted.guidance import Guidance, SharedSlopes
from tlcheck.trusted.leaf_pass import check_leaves
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.affine import Linear, Sum
from tlcheck.trusted.ops.structure import Input
from tlcheck.trusted.plan import Plan, Settings, root_bounds
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
@pytest.mark.parametrize("arith", ["arb", "ball64", "auto", "limbs"])
def test_a_tie_is_not_proved(name: str, arith: str) -> None:
    """``limbs``: exact integers in float64, as beside float64's bounds, and affine forms where a leaf has bounds of its own."""
    graph, low, constraint = CASES[name]
    box = InputBox(tuple(low), (ONE,) * len(low))
    query = Query(len(low), graph.n_outputs, (Disjunct(box, (constraint,)),))
    for per_leaf, deployed in product((False, True), repeat=2):
        guidance = Guidance(ONE_LEAF, leaves(1), per_leaf_bounds=per_leaf)
        settings = Settings("auto", budget=-1.0) if arith == "limbs" else Settings(arith)
        settings = replace(settings, deployed=IEEE if deployed else None)
        plan = Plan(UnsatClaim(graph, query), guidance, settings)
        assert (arith == "limbs") == isinstance(plan.deciding_engine, LimbEngine)
        bounds = None if per_leaf else root_bounds(plan, 0)
        verdict, _ = conclude_unsat(plan, check_formed(plan, bounds, [0]))
        assert verdict is Verdict.UNPROVEN


@pytest.mark.parametrize("name", CASES)
def test_a_tie_is_proved_where_it_is_strict(name: str) -> None:
    graph, low, constraint = CASES[name]
    strict = replace(constraint, strict=True)
    box = InputBox(tuple(low), (ONE,) * len(low))
    for constraints, weights, proved in (
        ((strict,), {0: 1.0}, name != "terms that cancel"),
        ((constraint, strict), {0: 1.0}, False),  # the weight is on the one that is not strict
        ((constraint, strict), {0: 1.0, 1: 0.0}, False),
        ((constraint, strict), {1: 2.0}, name != "terms that cancel"),
    ):
        query = Query(len(low), graph.n_outputs, (Disjunct(box, constraints),))
        plan = Plan(UnsatClaim(graph, query), weighing(weights), Settings())
        [outcome] = check_leaves(plan, root_bounds(plan, 0), [0])
        assert outcome.certified == proved
        assert not proved or outcome.margin == 0


def weighing(weights: Mapping[int, float]) -> Guidance:
    given = leaves(1)
    return Guidance(
        ONE_LEAF,
        replace(
            given,
            constraint_ptr=np.array([0, len(weights)]),
            constraint=np.array(list(weights), np.int64),
            weight=np.array(list(weights.values())),
        ),
    )


NETWORKS = st.integers(0, 2**32 - 1)


@given(seed=NETWORKS)
@settings(max_examples=150, deadline=None)
def test_nothing_that_a_point_satisfies_is_excluded(seed: int) -> None:
    """Small ReLU networks, whose bounds are often attained; constraints made so that a corner or kink satisfies all of them:
    as equalities where they are not strict. Then, where only strict ones are left and a proof is found, samples obey it."""
    rng = np.random.default_rng(seed)
    first, last = (rng.integers(-2, 3, shape).astype(float) for shape in ((2, 3), (3, 2)))
    graph = Graph(
        (X, Node(Linear(Constant(first)), (0,), (1, 3)), Node(Relu(), (1,), (1, 3)), Node(Linear(Constant(last)), (2,), (1, 2))),
        (3,), ("x",), ("y",),
    )  # fmt: skip
    ends = [
        sorted(
            Fraction(int(n), int(d))
            for n, d in zip(rng.integers(-4, 5, 2), rng.integers(1, 6, 2), strict=True)
        )
        for _ in "ab"
    ]
    box = InputBox(tuple(a for a, _ in ends), tuple(b for _, b in ends))

    def value(x: Sequence[Fraction]) -> list[Fraction]:
        h = [
            max(Fraction(0), sum((Fraction(int(first[i, j])) * x[i] for i in range(2)), Fraction(0)))
            for j in range(3)
        ]
        return [sum((Fraction(int(last[j, k])) * h[j] for j in range(3)), Fraction(0)) for k in range(2)]

    def point() -> list[Fraction]:
        shares = [Fraction(int(rng.integers(0, 5)), 4) for _ in "ab"]
        return [a + (b - a) * s for (a, b), s in zip(ends, shares, strict=True)]

    def decided(constraints: Sequence[LinearConstraint]) -> bool:
        weights = {q: float(rng.choice([0.0, 0.5, 1.0, 2.0])) for q in range(len(constraints))}
        query = Query(2, 2, (Disjunct(box, tuple(constraints)),))
        guidance = replace(
            weighing(weights), shared_slopes={2: SharedSlopes(rng.integers(0, 2, 3).astype(float), None)}
        )
        plan = Plan(UnsatClaim(graph, query), guidance, Settings())
        outcomes = check_leaves(plan, root_bounds(plan, 0), [0]) if plan.leaves else []
        return conclude_unsat(plan, outcomes)[0] is Verdict.CERTIFIED

    here = point()
    there = value(here)
    held = []
    for strict in (False, True, False):
        at = [(i, Fraction(int(c))) for i, c in enumerate(rng.integers(-2, 3, 2)) if c]
        of = [(k, Fraction(int(c))) for k, c in enumerate(rng.integers(-2, 3, 2)) if c]
        left = sum((c * here[i] for i, c in at), Fraction(0)) + sum(
            (c * there[k] for k, c in of), Fraction(0)
        )
        held.append(LinearConstraint(tuple(at), tuple(of), left + (Fraction(1, 64) if strict else 0), strict))
    assert not decided(held)
    excluded = [replace(c, strict=True) for c in held if not c.strict]
    if decided(excluded):
        for _ in range(20):
            x = point()
            y = value(x)
            assert not all(
                sum((c * x[i] for i, c in q.inputs), Fraction(0))
                + sum((c * y[k] for k, c in q.outputs), Fraction(0))
                < q.bound
                for q in excluded
            )
