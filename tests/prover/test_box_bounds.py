"""Bounds over boxes: they hold at samples, and agree with the checker's."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from tests.prover.small_networks import GRAPHS, query, value
from tlcheck.prover.box_bounds import BoxBounds
from tlcheck.prover.float_lines import image_of, lines_of
from tlcheck.prover.tree import Branch, Evidence, Frame, guidance_of
from tlcheck.trusted.arith.arb import working_precision
from tlcheck.trusted.arith.ball64 import Ball64
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.leaf_pass import check_leaves
from tlcheck.trusted.ops.elementwise import Elementwise
from tlcheck.trusted.ops.smooth import Cos, Exp, Reciprocal, Sin
from tlcheck.trusted.plan import Plan, Settings
from tlcheck.trusted.query import Disjunct, InputBox, Query


def boxes(count: int, seed: int = 5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    middle, half = rng.uniform(-1.2, 1.2, (count, 2)), rng.uniform(0, 0.4, (count, 2))
    return middle - half, middle + half


@pytest.mark.parametrize("graph", GRAPHS)
def test_bounds_hold_at_samples(graph: Graph) -> None:
    passes = BoxBounds(graph, np.float64)
    lower, upper = boxes(200)
    found = passes.over(lower, upper)
    forms, constant = passes.forms(np.concatenate([np.eye(2), -np.eye(2)]), np.zeros((4, 2)))
    rows = {a: np.repeat(m[None], 200, axis=0) for a, m in forms.items()}
    line = passes.descend(rows, np.tile(constant, (200, 1)), np.arange(200), found)
    least = line.least(found)
    rng = np.random.default_rng(6)
    for share in rng.random((20, 200, 2)):
        y = value(graph, lower + share * (upper - lower))
        assert bool((np.concatenate([y, -y], axis=1) >= least - 1e-9).all())


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bounds_are_the_checkers(graph: Graph, dtype: type) -> None:
    """Leaf by leaf, whatever boxes are beside it."""
    lower, upper = boxes(40, 7)
    asked = query((-1, 1), "(<= Y_0 0.25)").disjuncts[0].constraints
    exact = [
        InputBox(tuple(map(Fraction, a)), tuple(map(Fraction, b)))
        for a, b in zip(lower.tolist(), upper.tolist(), strict=True)
    ]
    claim = UnsatClaim(graph, Query(2, 2, tuple(Disjunct(b, asked) for b in exact)))
    frame = Frame(per_leaf_bounds=True)
    roots = [Branch(k, evidence=Evidence({0: 1.0}, 0.0)) for k in range(40)]
    plan = Plan(claim, guidance_of(roots, [frame] * 40), Settings("arb"))
    margins = [check_leaves(plan, None, [k])[0].margin for k in range(40)]
    passes = BoxBounds(graph, dtype)
    found = passes.over(lower, upper)
    forms, constant = passes.forms(np.array([[1.0, 0.0]]), np.zeros((1, 2)))
    rows = {a: np.repeat(m[None], 40, axis=0) for a, m in forms.items()}
    line = passes.descend(rows, np.tile(constant - 0.25, (40, 1)), np.arange(40), found)
    tolerance = 1e-5 if dtype is np.float32 else 1e-8
    assert np.allclose(line.least(found)[:, 0], margins, atol=tolerance)


@pytest.mark.parametrize("graph", GRAPHS)
def test_a_bound_is_the_value_at_its_dual_point(graph: Graph) -> None:
    """least = outputs . c at the point where it is attained, through the lines that were chosen."""
    passes = BoxBounds(graph, np.float64)
    lower, upper = boxes(50, 8)
    found = passes.over(lower, upper)
    weights = np.random.default_rng(1).normal(size=(50, 1, 2))
    forms, constant = passes.forms(np.eye(2), np.zeros((2, 2)))
    kept: dict[int, np.ndarray] = {}
    rows = {a: weights @ m for a, m in forms.items()}
    line = passes.descend(rows, weights @ constant, np.arange(50), found, kept)
    _, y = passes.dual(line, kept, found)
    assert np.allclose(line.least(found), (weights * y).sum(axis=2), atol=1e-12)


@pytest.mark.parametrize("op", [Sin(), Cos(), Exp(), Reciprocal()])
def test_lines_over_arrays_are_the_operations_own(op: Elementwise) -> None:
    rng = np.random.default_rng(0)
    centre, radius = rng.uniform(-3, 3, (1, 200)), rng.uniform(0, 1.2, (1, 200)) ** 2
    if isinstance(op, Reciprocal):
        centre = (np.abs(centre) + radius + 0.1) * rng.choice([-1, 1], centre.shape)
    lower, upper = centre - radius, centre + radius
    with working_precision(128):
        proved = op.lines(Box(lower, upper))
        image = op.image((Box(lower, upper),), ((1, 200),), Ball64())
    (part,) = lines_of(op, [(lower, upper)], ((1, 200),)).parts
    for (slope, at), (slope_, at_) in ((proved.lower, part.lower), (proved.upper, part.upper)):
        same = np.isclose(slope, slope_, atol=1e-9) & np.isclose(at, at_ if at_ is not None else 0, atol=1e-6)
        assert same.mean() > 0.98  # a ball at the edge of where it bends one way
    low, high = image_of(op, [(lower, upper)], ((1, 200),))
    assert np.allclose(low, image.lower, atol=1e-6) and np.allclose(high, image.upper, atol=1e-6)


def test_a_pole_is_out_of_range() -> None:
    ends = np.array([[-1.0]]), np.array([[2.0]])
    for rule in (lines_of, image_of):
        with pytest.raises(OutOfRange):
            rule(Reciprocal(), [ends], ((1, 1),))  # type: ignore[operator]
