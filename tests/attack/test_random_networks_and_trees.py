"""Random networks of every operation, random trees with splits on any node: no leaf's bounds leave out a point of it."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from tests import numpy_eval
from tests.helpers import ENGINES, settings
from tests.trusted.test_audit import ONE_LEAF, claim, ints, leaves, split, verdict
from tests.trusted.test_relaxed_ops import BLOCKS, Net, Rng, block, dense
from tlcheck.trusted.arith.arb import arb, working_precision
from tlcheck.trusted.arith.ball64 import Ball64
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.guidance import Guidance, LeafSlopes, Leaves, Tree
from tlcheck.trusted.leaf_pass import LeafChunk, check_leaves
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.affine import Scale, Sum
from tlcheck.trusted.ops.base import Operation
from tlcheck.trusted.ops.bent import Abs, Clip, LeakyRelu
from tlcheck.trusted.ops.discrete import (
    ArgMax,
    Compare,
    Floor,
    Round,
    Select,
    Sign,
    Truncate,
    select_lines,
    select_range,
)
from tlcheck.trusted.ops.elementwise import Elementwise
from tlcheck.trusted.ops.product import Product, product_planes, product_range
from tlcheck.trusted.ops.s_shaped import Sigmoid, Tanh
from tlcheck.trusted.ops.smooth import Cos, Erf, Exp, Log, Power, Reciprocal, Sin, Smooth, Softplus, Sqrt
from tlcheck.trusted.ops.structure import Input
from tlcheck.trusted.plan import Plan, root_bounds
from tlcheck.trusted.query import Disjunct, InputBox, LinearConstraint, Query
from tlcheck.trusted.verdict import Verdict

Floats = NDArray[np.float64]
STEPS = (Sign, Floor, Round, Truncate, Compare, ArgMax)
HALF = Constant(np.array(0.5))
CUTS: tuple[Operation, ...] = (Tanh(), Relu(), Sigmoid(), Abs(), LeakyRelu(-0.5), Clip(None, HALF))
Cut = tuple[int, int, int, float]


def network(rng: Rng, kind: str) -> Graph:
    """Blocks one on another and beside each other; operands are shared; one to three outputs, the input perhaps among them."""
    net = Net(int(rng.integers(2, 4)))
    pool = [net.add(CUTS[rng.integers(len(CUTS))], net.add(dense(rng, net.nodes[0].size, 4), 0))]
    for k in range(int(rng.integers(1, 4))):
        drawn = BLOCKS[rng.integers(len(BLOCKS))] if k else kind
        y = block(net, rng, drawn, pool[rng.integers(len(pool))])
        pool.append(net.add(CUTS[rng.integers(len(CUTS))], y) if rng.random() < 0.5 else y)
    y = net.add(Sum((1,) * len(pool)), *pool) if rng.random() < 0.5 else pool[-1]
    if rng.random() < 0.3:
        y = net.add(Product(), y, pool[0])
    if rng.random() < 0.2:
        y = net.add(Select(), net.add(Compare("<="), pool[-1], pool[0]), y, pool[0])
    outputs = [net.add(dense(rng, 4, 2), y)] + [i for i in (pool[0], 0) if rng.random() < 0.3]
    return Graph(tuple(net.nodes), tuple(outputs), ("x",), tuple(f"y{i}" for i in range(len(outputs))))


def trees(
    rng: Rng, graph: Graph, values: Sequence[Sequence[Floats]], count: int
) -> tuple[Tree, list[list[Cut]]]:
    """``count`` trees with splits at values that occur, at steps, and where nothing is; and the leaves' paths."""
    rows: list[list[float]] = []
    paths: list[list[Cut]] = []

    def grow(depth: int, path: list[Cut]) -> int:
        row = len(rows)
        rows.append([1, 0, 0, 0.0, len(paths), 0])
        if depth == 0 or rng.random() < 0.15:
            paths.append(path)
            return row
        node = int(rng.integers(len(graph.nodes)))
        index = int(rng.integers(graph.nodes[node].size))
        point = float(values[rng.integers(len(values))][node].reshape(-1)[index])
        if isinstance(graph.nodes[node].op, STEPS):
            point = float(rng.choice([point, point + 0.5, point - 0.5, 0.0, 1.0]))
        elif rng.random() < 0.2:
            point = float(rng.choice([0.0, point + 10, point - 10]))
        children = [grow(depth - 1, [*path, (node, index, side, point)]) for side in (-1, 1)]
        rows[row] = [0, node, index, point, *children]
        return row

    roots = [grow(int(rng.integers(0, 4)), []) for _ in range(count)]
    kind, node, index, point, below, above = np.array(rows).T
    whole = (x.astype(np.int64) for x in (kind, node, index, below, above))
    kind, node, index, below, above = whole
    return Tree(kind, node, index, point, below, above, ints(*roots)), paths


def evidence(rng: Rng, paths: Sequence[Sequence[Cut]]) -> Leaves:
    """The disjunct's constraint with weight 1; multipliers on most splits, and on one that no path has."""
    cuts = [[c for c in path if rng.random() < 0.7] + [(1, 0, 1, 99.0)] for path in paths]
    flat = [c for row in cuts for c in row]
    n = len(paths)
    columns = [np.array([c[k] for c in flat], np.int64) for k in range(3)]
    return Leaves(
        np.arange(n + 1), np.zeros(n, np.int64), np.ones(n), np.cumsum([0, *map(len, cuts)]), *columns,
        np.array([c[3] for c in flat]), rng.choice([0.1, 1.0, 5.0, 1e-6], len(flat)), np.full(n, np.nan),
    )  # fmt: skip


def inside(graph: Graph, point: Sequence[Floats], path: Sequence[Cut]) -> bool:
    """Certainly on the path: by more than float64 may err, but for what it computes exactly."""
    for node, index, side, at in path:
        value = float(point[node].reshape(-1)[index])
        exact = isinstance(graph.nodes[node].op, (*STEPS, Input))
        if side * (value - at) < (0.0 if exact else 1e-9 * max(1.0, abs(value))):
            return False
    return True


def region(rng: Rng, n: int) -> tuple[Floats, Floats]:
    """A box: a point, an edge at 0, subnormal, or of some width."""
    centre, width = rng.normal(0, 1, n), 10.0 ** -rng.integers(0, 5)
    low, high = centre - width, centre + width
    match int(rng.integers(6)):
        case 0:
            return centre, centre
        case 1:
            low[0] = high[0] = 0.0
        case 2:
            return np.full(n, -(2.0**-1070)), np.full(n, 2.0**-1070)
    return low, high


@pytest.mark.parametrize("seed", range(24))
def test_no_leaf_loses_a_point(seed: int) -> None:
    """Of every leaf, whatever its company in the batch: boxes of all nodes hold its points, its margin is below theirs."""
    rng = np.random.default_rng([seed, 20])
    graph = network(rng, BLOCKS[seed % len(BLOCKS)])
    low, high = region(rng, graph.n_inputs)
    corners = [np.where(rng.random(low.size) < 0.5, low, high) for _ in range(6)]
    points = [np.clip(rng.uniform(low, high), low, high) for _ in range(40)] + corners
    values = [numpy_eval.evaluate_all(graph, [x]) for x in points]
    outputs = np.array([np.concatenate([v[i].reshape(-1) for i in graph.outputs]) for v in values])
    assert np.isfinite(outputs).all()
    box = InputBox(tuple(map(Fraction, low.tolist())), tuple(map(Fraction, high.tolist())))
    disjuncts, forms = [], []
    for _ in range(int(rng.integers(1, 4))):
        form = rng.integers(-3, 4, graph.n_outputs)
        form[0] = form[0] or 1
        bound = float((outputs @ form).min()) - float(rng.choice([0, 1, 1000]))
        terms = tuple((i, Fraction(int(c))) for i, c in enumerate(form) if c)
        disjuncts.append(Disjunct(box, (LinearConstraint((), terms, Fraction(bound)),)))
        forms.append(outputs @ form - bound)
    tree, paths = trees(rng, graph, values, len(disjuncts))
    slopes = {}
    for i, node in enumerate(graph.nodes):
        if isinstance(node.op, Elementwise) and rng.random() < 0.3:
            slopes[i] = LeafSlopes(np.arange(node.size), rng.normal(0, 1, (len(paths), node.size)), None)
    asked = UnsatClaim(graph, Query(graph.n_inputs, graph.n_outputs, tuple(disjuncts)))
    proof = Guidance(tree, evidence(rng, paths), leaf_slopes=slopes, per_leaf_bounds=bool(rng.random() < 0.5))
    for arith in ENGINES:
        plan = Plan(asked, proof, settings(arith))
        ranks = range(len(plan.leaves))
        try:
            bounds = None if proof.per_leaf_bounds else root_bounds(plan, 0)
            with working_precision(128):
                known, empty = LeafChunk(plan, tuple(ranks)).domain(bounds)
        except OutOfRange:
            continue
        for rank, outcome in zip(ranks, check_leaves(plan, bounds, ranks), strict=True):
            leaf = plan.leaves[rank]
            mine = [k for k, v in enumerate(values) if inside(graph, v, paths[leaf.guidance])]
            if not mine:
                continue
            assert not empty[rank], (arith, rank)
            for i, found in known.boxes.items():
                x = np.array([values[k][i].reshape(-1) for k in mine])
                row, room = (0 if len(found.lower) == 1 else rank), 1e-9 * np.maximum(1, np.abs(x))
                held = (found.lower[row] - room <= x) & (x <= found.upper[row] + room)
                assert held.all(), (arith, rank, i, graph.nodes[i].op)
            least = float(forms[leaf.disjunct][mine].min())
            assert outcome.margin <= least + 1e-8 * (1 + float(np.abs(outputs).max())), (arith, rank)


# Single rules at numbers where rounding shows.

NUMBERS = [
    0.0, -0.0, 5e-324, -5e-324, 2.2e-308, -1e-300, 1.0, -1.0, 0.5, -0.5, 2.5, 1e16, -1e16, 1e300, -1e300, 1.7e308, 3.14159,
    float(np.nextafter(0.5, 1)), 2.0**31, 2.0**52 + 0.5,
]  # fmt: skip
SMOOTH: list[Smooth] = [
    Sin(), Cos(), Exp(), Log(), Sqrt(), Reciprocal(), Erf(), Softplus(), Power(2.0), Power(3.0), Power(0.5), Power(1.5),
]  # fmt: skip


def one(a: float, b: float) -> Box:
    return Box(np.array([[min(a, b)]]), np.array([[max(a, b)]]))


@pytest.mark.parametrize("op", SMOOTH, ids=lambda op: type(op).__name__)
def test_smooth_functions_between_extreme_numbers(op: Smooth) -> None:
    with working_precision(128):
        for a, b in product(NUMBERS[::2], NUMBERS[1::2]):
            box = one(a, b)
            try:
                found, drawn = op.image((box,), (box.lower.shape[1:],), Ball64()), op.lines(box)
            except OutOfRange:
                continue
            for z in (v for v in NUMBERS if min(a, b) <= v <= max(a, b)):
                y = op.ball(arb(z))
                assert y.is_finite(), (a, b, z)
                assert not (y < found.lower[0, 0] or y > found.upper[0, 0]), (a, b, z)
                low, high = (s[0, 0] * arb(z) + t[0, 0] for s, t in (drawn.lower, drawn.upper))
                assert not (y < low or y > high), (a, b, z)


def test_products_between_extreme_numbers() -> None:
    rng = np.random.default_rng(5)
    with working_precision(4096):
        for _ in range(300):
            a, b, c, d = rng.choice(NUMBERS, 4).tolist()
            x, y = one(a, b), one(c, d)
            try:
                found, (p, q) = product_range(x, y), product_planes(x, y)
            except OutOfRange:
                continue
            for v, w in product((a, b), (c, d)):
                exact = arb(v) * arb(w)
                assert found.lower[0, 0] <= exact <= found.upper[0, 0], (a, b, c, d)
                ends = []
                for in_x, in_y in ((p.lower, q.lower), (p.upper, q.upper)):
                    parts = [s[0, 0] * arb(z) + t[0, 0] for (s, t), z in ((in_x, v), (in_y, w))]
                    ends.append(parts[0] + parts[1])
                assert not (exact < ends[0] or exact > ends[1]), (a, b, c, d)


RELATIONS = {"==": np.equal, "<": np.less, "<=": np.less_equal}


def test_comparisons_and_choices_of_boxes_that_touch() -> None:
    """Every box of whole numbers from 0 to 2 against every other: nothing that occurs is left out, nothing decided is lost."""
    boxes = [(a, b) for a in range(3) for b in range(a, 3)]
    for (a, b), (c, d) in product(boxes, boxes):
        for relation, function in RELATIONS.items():
            found = Compare(relation).image((one(a, b), one(c, d)), ((1,), (1,)), Ball64())
            got = {bool(function(v, w)) for v in range(a, b + 1) for w in range(c, d + 1)}
            assert (found.lower[0, 0], found.upper[0, 0]) == (min(got), max(got)), (relation, a, b, c, d)
            chosen, drawn = (
                select_range(found, one(5, 6), one(-8, -7)),
                select_lines(found, one(5, 6), one(-8, -7)),
            )
            ends = [x for g in got for x in ((5, 6) if g else (-8, -7))]
            assert (chosen.lower[0, 0], chosen.upper[0, 0]) == (min(ends), max(ends))
            for g, v, w in product(got, (5, 6), (-8, -7)):
                low, high = (
                    sum((s * z + t)[0, 0] for (s, t), z in zip(side, (v, w), strict=True))
                    for side in ([line.lower for line in drawn], [line.upper for line in drawn])
                )
                assert low <= (v if g else w) <= high, (relation, a, b, c, d)


@pytest.mark.parametrize("last", [False, True])
def test_places_of_the_largest_with_ties(last: bool) -> None:
    rng = np.random.default_rng(6)
    for _ in range(300):
        n = int(rng.integers(1, 5))
        ends = rng.integers(-4, 5, (2, 2, 2 * n)) / 2
        box = Box(ends.min(axis=0), ends.max(axis=0))
        found = ArgMax(last).image((box,), ((n,),), Ball64())
        for _ in range(10):
            x = np.clip(rng.integers(-4, 5, (2, 2 * n)) / 2, box.lower, box.upper).reshape(2, 2, n)
            winner = n - 1 - x[..., ::-1].argmax(-1) if last else x.argmax(-1)
            assert ((found.lower <= winner) & (winner <= found.upper)).all(), (box, x)


@pytest.mark.parametrize("arith", ENGINES)
@pytest.mark.parametrize("scale", [1e-320, 1e-150, 1e60, 1e150, 1e300])
def test_products_of_huge_and_tiny_values_are_never_overrated(arith: str, scale: float) -> None:
    """(s x)(s y) >= least + a thousandth is false; in the middle of the tree a split on the product itself."""
    net = Net(2)
    wide = net.add(Scale(Constant(np.array(scale)), None, 1), 0)
    y = net.add(Product(), wide, wide)
    graph = net.graph(y)
    least = Fraction(scale) ** 2
    asked = claim(graph, [1, 1], [2, 2], 1, least * Fraction(1001, 1000))
    for proof in (Guidance(ONE_LEAF, leaves(1)), Guidance(split(y), leaves(2), per_leaf_bounds=True)):
        assert verdict(asked, proof, arith=arith) is Verdict.UNPROVEN
