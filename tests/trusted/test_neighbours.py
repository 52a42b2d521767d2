"""What is proved of a leaf, an example or a claim does not depend on what is checked beside it."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.trusted.oracle import REPEATS, Rng
from tests.trusted.test_decide_soundness import (
    random_box,
    random_constraint,
    random_graph,
    random_guidance,
    samples,
)
from tests.trusted.test_relaxed_ops import BLOCKS, Net, block, dense
from tlcheck.checking.deadline import Deadline
from tlcheck.checking.journal import Journal
from tlcheck.checking.schedule import run_leaves
from tlcheck.checking.slack import layer_slack
from tlcheck.trusted.arith.arb import arb, working_precision
from tlcheck.trusted.arith.ball64 import Ball64, product
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.integer import IntegerEngine, rows_to_grid, to_grid
from tlcheck.trusted.arith.interface import Engine
from tlcheck.trusted.bounds import Enclosure, Slopes
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.conditions import Check, Share
from tlcheck.trusted.decide import decide_conditions
from tlcheck.trusted.evaluate import evaluate
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.guidance import NO_GUIDANCE, Guidance, Leaves, Tree
from tlcheck.trusted.leaf_pass import LeafOutcome, check_leaves
from tlcheck.trusted.linear_bounds import Pass, descend
from tlcheck.trusted.network import Network
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.affine import Linear
from tlcheck.trusted.ops.bent import Abs
from tlcheck.trusted.ops.convolution import Conv
from tlcheck.trusted.ops.elementwise import Elementwise
from tlcheck.trusted.ops.lines import picked, snap
from tlcheck.trusted.ops.s_shaped import Sigmoid
from tlcheck.trusted.ops.selection import MaxOver, selection, window_maps
from tlcheck.trusted.ops.structure import Rearrange
from tlcheck.trusted.plan import Plan, Settings, root_bounds
from tlcheck.trusted.query import Disjunct, InputBox, LinearConstraint, Query
from tlcheck.trusted.science.examples import Examples
from tlcheck.trusted.science.margins import Margins

NASTY = ("normal", "integers", "mixed", "tiny", "large", "huge", "extreme")


def alone_and_together(plan: Plan) -> list[tuple[LeafOutcome, LeafOutcome]]:
    """Every leaf's outcome by itself, and in one chunk with all the leaves of its region, in reverse order."""
    pairs = []
    for region in range(len(plan.regions)):
        ranks = [k for k, leaf in enumerate(plan.leaves) if plan.region_of[leaf.disjunct] == region]
        try:
            bounds = None if plan.given[region].per_leaf_bounds or not ranks else root_bounds(plan, region)
        except OutOfRange:
            continue
        together = {o.rank: o for o in check_leaves(plan, bounds, ranks[::-1])} if ranks else {}
        pairs += [(check_leaves(plan, bounds, [k])[0], together[k]) for k in ranks]
    return pairs


@pytest.mark.parametrize("nasty", NASTY)
def test_leaves_of_random_networks(nasty: str) -> None:
    """In integers: the same to the bit, numbers out of range in some of the leaves among them."""
    compared = 0
    for seed in range(30 * REPEATS):
        rng = np.random.default_rng([7, seed, len(nasty)])
        graph = random_graph(rng, nasty)
        box = random_box(rng, graph.n_inputs)
        constraints = tuple(random_constraint(rng, graph) for _ in range(2))
        disjunct = Disjunct(box, constraints)
        query = Query(graph.n_inputs, graph.n_outputs, (disjunct, replace(disjunct)))
        guidance = random_guidance(rng, graph, query, samples(graph, box, rng, 3))
        for per_leaf in (False, True):
            plan = Plan(
                UnsatClaim(graph, query), replace(guidance, per_leaf_bounds=per_leaf), Settings("arb")
            )
            for alone, together in alone_and_together(plan):
                assert alone == together, f"seed {seed}, per leaf {per_leaf}"
                compared += not alone.empty and alone.margin > -np.inf
    assert compared > 30


def in_halves(depth: int, n: int) -> Guidance:
    """A full tree that splits the inputs in turn, at places that are not the middles, so that the leaves differ in size."""
    kind, index, point, below, above = [], [], [], [], []

    def grow(level: int, low: float, high: float) -> int:
        row = len(kind)
        for column in (kind, index, point, below, above):
            column.append(0)
        if level == depth:
            kind[row], below[row] = 1, sum(kind)
            return row
        at = low + (high - low) / (8 if level % 2 else 2)
        index[row], point[row] = level % n, at
        below[row] = grow(level + 1, low, at)
        above[row] = grow(level + 1, at, high)
        return row

    grow(0, -1.0, 1.0)
    count = 1 << depth
    numbers = iter(range(count))
    for row, k in enumerate(kind):
        if k:
            below[row] = next(numbers)
    zeros = np.zeros(len(kind), np.int64)
    tree = Tree(
        np.array(kind), zeros, np.array(index), np.array(point, float), np.array(below), np.array(above), zeros[:1]
    )  # fmt: skip
    none = np.zeros(0, np.int64)
    leaves = Leaves(
        np.arange(count + 1), np.zeros(count, np.int64), np.ones(count), np.zeros(count + 1, np.int64), none, none, none,
        np.zeros(0), np.zeros(0), np.full(count, np.nan),
    )  # fmt: skip
    return Guidance(tree, leaves, per_leaf_bounds=True)


def relaxed(rng: Rng, kind: str, classes: int = 1) -> Graph:
    """From 4 inputs; "pool" has overlapping windows with padding, "conv" a pool between convolutions."""
    net = Net(4)
    x = net.add(dense(rng, 4, 4), 0)
    match kind:
        case "pool":
            index = np.array([[0, 1, -1], [0, 1, 2], [1, 2, 3], [-1, 2, 3]])
            x = net.add(dense(rng, 4, 4), net.add(MaxOver((4,), index), net.add(Relu(), x)))
            x = net.add(MaxOver((4,), index[::-1].copy()), x)
        case "conv":
            shaped = net.add(Rearrange((1, 1, 4)), x)
            kernel = Constant(rng.normal(0, 1, (2, 1, 3)))
            conv = net.add(Conv(kernel, None, (1,), (1,), (1,), (1,), 1), shaped)
            pooled = net.add(MaxOver((1, 2, 2), np.array([[0, 1], [2, 3], [4, 5], [6, 7]])), conv)
            x = net.add(Rearrange((4,)), pooled)
        case "sigmoid":
            x = net.add(Sigmoid(), x)
        case _:
            x = block(net, rng, kind, x)
    return net.graph(net.add(dense(rng, 4, classes), net.add(Abs(), x)))


KINDS = ("pool", "conv", "sigmoid", *BLOCKS)


@pytest.mark.parametrize("kind", KINDS)
def test_leaves_with_bounds_of_their_own(kind: str) -> None:
    """Boxes of very different sizes in one chunk: the same to the bit, but for convolutions in float64."""
    rng = np.random.default_rng(len(kind))
    graph = relaxed(rng, kind)
    box = InputBox((Fraction(-1),) * 4, (Fraction(1),) * 4)
    far = LinearConstraint((), ((0, Fraction(1)),), Fraction(-10))
    query = UnsatClaim(graph, Query(4, 1, (Disjunct(box, (far,)),)))
    for arith in ("arb", "ball64"):
        pairs = alone_and_together(Plan(query, in_halves(3, 4), Settings(arith)))
        assert len(pairs) == 8
        for alone, together in pairs:
            if arith == "arb" or (kind != "conv" and blas_rounds_rows_alike()):
                assert alone == together
            else:
                assert together.margin == pytest.approx(alone.margin, rel=1e-9)


@cache
def blas_rounds_rows_alike() -> bool:
    """Wherever a row stands among the 64 of one product, it is rounded the same: so with OpenBLAS on every processor tried."""
    rng = np.random.default_rng(0)
    for k, n in ((4, 4), (50, 50), (3, 7), (50, 1), (300, 200)):
        x, w = rng.normal(size=(100, k)), rng.normal(size=(k, n))
        order = rng.permutation(100)
        if not (product(x[order], w) == product(x, w)[order]).all():
            return False
    return True


@pytest.mark.parametrize("arith", ["arb", "ball64", "auto"])
@pytest.mark.parametrize("kind", ["inputs", "neurons"])
def test_in_whatever_order_and_company(kind: str, arith: str, tmp_path: Path) -> None:
    """All leaves together, shuffled, in chunks of three, each alone, and resumed half way: the same to the bit."""
    if arith != "arb" and not blas_rounds_rows_alike():
        pytest.skip("this BLAS rounds a row by its place")
    compared = 0
    for seed in range((2 if kind == "inputs" else 6) * REPEATS):
        rng = np.random.default_rng([3, seed])
        if kind == "inputs":
            graph = relaxed(rng, "sigmoid" if seed % 2 else "pool")
            box = InputBox((Fraction(-1),) * 4, (Fraction(1),) * 4)
            guidance = in_halves(3, 4)
            far = (LinearConstraint((), ((0, Fraction(1)),), Fraction(-10)),)
        else:
            graph = random_graph(rng, "normal")
            box = random_box(rng, graph.n_inputs)
            far = tuple(random_constraint(rng, graph) for _ in range(2))
            query = Query(graph.n_inputs, graph.n_outputs, (Disjunct(box, far),))
            guidance = replace(
                random_guidance(rng, graph, query, samples(graph, box, rng, 3)), per_leaf_bounds=False
            )
        claim = UnsatClaim(graph, Query(graph.n_inputs, graph.n_outputs, (Disjunct(box, far),)))
        settings = replace(Settings(arith), budget=0.0)  # auto: bounds in float64
        plan = Plan(claim, guidance, settings)
        ranks = rng.permutation(len(plan.leaves)).tolist()
        own = guidance.per_leaf_bounds
        try:
            bounds = None if own else root_bounds(plan, 0)
        except OutOfRange:
            continue
        found = [
            [o for k in range(0, len(order), size) for o in check_leaves(plan, bounds, order[k : k + size])]
            for order, size in ((sorted(ranks), len(ranks)), (ranks, len(ranks)), (ranks, 3), (ranks, 1))
        ]
        path = tmp_path / f"{seed}.journal"
        if path.exists():
            path.unlink()
        Journal.open(path, plan).add(found[3][::2])
        found.append(run_leaves(plan, 1, Deadline(None, None), None, Journal.open(path, plan)).outcomes)
        first, *others = (sorted(outcomes, key=lambda o: o.rank) for outcomes in found)
        for other in others:
            assert other == first, f"seed {seed}"
        compared += sum(o.margin > -np.inf for o in first)
    assert compared > 10


def margins_of(graph: Graph, inputs: np.ndarray, labels: np.ndarray, arith: str) -> list[Check]:
    claim = Margins(
        graph, Examples(inputs, labels, Fraction(1, 50), None), tuple(range(labels.size)), None, arith, ""
    )
    with working_precision(128):
        items = [item for part in claim.parts() for item in part.checks(128, lambda: None)]
    return [item for item in items if isinstance(item, Check)]


@pytest.mark.parametrize("arith", ["arb", "ball64", "auto"])
@pytest.mark.parametrize("kind", KINDS)
def test_margins_alone_and_in_a_file_of_many(kind: str, arith: str) -> None:
    rng = np.random.default_rng([1, len(kind)])
    graph = relaxed(rng, kind, classes=3)
    inputs = rng.normal(0, 1, (5, 4)) * np.array([[1.0], [1.0], [2.0**-30], [3.0], [0.0]])
    labels = rng.integers(0, 3, 5)
    together = margins_of(graph, inputs, labels, arith)
    for k, check in enumerate(together):
        (alone,) = margins_of(graph, inputs[k : k + 1], labels[k : k + 1], arith)
        assert alone == replace(check, where=check.where.replace(f"example {k}", "example 0"))


# The pieces.


def bounds_of(graph: Graph, engine: Engine, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """(D, outputs): lower bounds by one pass over all domains."""
    network = Network(graph)
    task = Enclosure(network, engine, Slopes(NO_GUIDANCE, lambda _: None))
    known = task.bounds({0: Box(lower, upper)})
    n = graph.n_outputs
    form = engine.form(lower.shape[0], n)
    form.seed_units(graph.outputs[0], n, np.arange(n), np.ones(n, np.int64))

    def drawn(activation: int):  # type: ignore[no-untyped-def]
        node = graph.nodes[activation]
        return known.lines(activation, node.op, known.boxes[node.inputs[0]], task.slopes.shared(activation))

    descend(form, Pass(network, known.boxes, drawn))
    return form.lower(known.boxes)


@pytest.mark.parametrize("engine", [IntegerEngine, Ball64])
@pytest.mark.parametrize("scale", [1.0, 2.0**-60, 2.0**80])
@pytest.mark.parametrize("kind", ["pool", "conv", "product"])
def test_a_neighbour_of_another_size(kind: str, scale: float, engine: type[Engine]) -> None:
    """Grids, exponents, charges and choices are a domain's own: what is proved of the first does not change."""
    for seed in range(5 * REPEATS):
        rng = np.random.default_rng([2, seed])
        graph = relaxed(rng, kind, classes=2)
        centre = rng.normal(0, 1, (2, 4)) * np.array([[1.0], [scale]])
        lower, upper = centre - np.abs(centre) / 16, centre + np.abs(centre) / 16
        together = bounds_of(graph, engine(), lower, upper)
        alone = bounds_of(graph, engine(), lower[:1], upper[:1])
        if engine is IntegerEngine or (kind != "conv" and blas_rounds_rows_alike()):
            assert (together[0] == alone[0]).all()
        else:
            assert together[0] == pytest.approx(alone[0], rel=1e-12)
        values = np.array([exactly(graph, x) for x in rng.uniform(lower[:1], upper[:1], (50, 4))])
        assert (together[0] <= values.min(axis=0) + 1e-9 * np.abs(values).max()).all()


def exactly(graph: Graph, x: np.ndarray) -> list[float]:
    with working_precision(128):
        return [float(v.mid()) for v in evaluate(graph, [[arb(float(t)) for t in x]]).outputs]


def test_each_domain_chooses_its_own_entry() -> None:
    """max(x0, x1) where x0 leads in the first domain and x1 in the second, and the third leaves it open."""
    op = MaxOver((2,), np.array([[0, 1], [1, -1]]))
    box = Box(np.array([[2.0, 0.0], [0.0, 2.0], [0.0, 1.0]]), np.array([[3.0, 1.0], [1.0, 3.0], [4.0, 2.0]]))
    _, entries = window_maps(op, 2)
    drawn = selection(op, picked(box, entries))
    assert drawn.lower[0].tolist() == [[1, 0, 1, 0], [0, 1, 1, 0], [0, 1, 1, 0]]
    assert drawn.upper[0].tolist() == [[1, 0, 1, 0], [0, 1, 1, 0], [0, 0, 1, 0]]
    assert drawn.upper[1].tolist() == [[0, 0, 0, 0], [0, 0, 0, 0], [0, 4, 0, 0]]


@pytest.mark.parametrize("seed", range(20))
def test_lines_of_a_selection_hold(seed: int) -> None:
    """Their sums lie below and above the maximum at points of every domain."""
    rng = np.random.default_rng(seed)
    index = rng.integers(-1, 6, (4, 3))
    index[:, 1] = rng.integers(0, 6, 4)
    centre, width = rng.normal(size=(3, 6)), rng.choice([0.0, 0.1, 2.0], (3, 6))
    box = Box(centre - width, centre + width)
    op = MaxOver((4,), index)
    _, entries = window_maps(op, 6)
    drawn = selection(op, picked(box, entries))
    for x in rng.uniform(box.lower, box.upper, (100, 3, 6)):
        y = np.where(index >= 0, x[:, index], -np.inf).max(axis=2)
        given = np.where(index >= 0, x[:, index], 0.0)
        low, high = (
            (s.reshape(-1, 4, 3) * given + t.reshape(-1, 4, 3)).sum(axis=2)
            for s, t in (drawn.lower, drawn.upper)
        )
        assert (low <= y).all() and (y <= high).all()


def test_grids_of_rows_are_their_own() -> None:
    x = np.array([[1.0, -0.3], [2.0**-200, 0.1 * 2.0**-200], [0.0, 0.0], [2.0**300, 1.0]])
    for up in (False, True):
        v, g = rows_to_grid(x, 56, up)
        for k in range(4):
            alone, grid = to_grid(x[k], 56, up)
            assert (v[k] == alone).all() and g[k] == grid
    assert (snap(x[:2]) == np.concatenate([snap(x[:1]), snap(x[1:2])])).all()
    large = np.array([[1000.1, 2.0**-40], [0.5, 2.0**-40]])
    assert snap(large)[1].tolist() == large[1].tolist() and snap(large)[0, 1] == 0


@pytest.mark.parametrize("kind", ["pool", "conv", "sigmoid"])
def test_the_slack_of_every_layer_is_there(kind: str) -> None:
    """The report of where a leaf's margin went (``-v``): what each layer's lines lose is not negative."""
    graph = relaxed(np.random.default_rng(5), kind)
    box = InputBox((Fraction(-1),) * 4, (Fraction(1),) * 4)
    far = LinearConstraint((), ((0, Fraction(1)),), Fraction(-10))
    plan = Plan(UnsatClaim(graph, Query(4, 1, (Disjunct(box, (far,)),))), in_halves(1, 4), Settings("arb"))
    found = layer_slack(plan, None, 1)
    layers = [node for node in graph.nodes if isinstance(node.op, Elementwise | MaxOver)]
    assert len(found) == len(layers)
    assert all(isinstance(layer["slack"], float) and layer["slack"] >= -1e-9 for layer in found)


# Counts over a data set.


def shares(name: str, *ends: tuple[float, float]) -> list[Share]:
    return [Share(name, k, *end) for k, end in enumerate(ends)]


YES, NO, OPEN = (1.0, 1.0), (0.0, 0.0), (0.0, 1.0)


@pytest.mark.parametrize(
    ("given", "holds"),
    [
        (shares("robust", YES, YES, NO), True), (shares("robust", YES, OPEN, NO), None), (shares("robust", YES, NO, NO), False),
        (shares("robust", YES, YES), None), ([*shares("robust", YES, YES, NO), Share("robust", 1, 1.0, 1.0)], None),
        ([Share("robust", 0, 1.0, 1.0)] * 3, None), (shares("robust", (2.0, 2.0), NO, NO), None), (shares("nominal", YES, YES, YES), None),
        ([], None),
    ],
)  # fmt: skip
def test_a_count_needs_every_example_once(given: list[Share], holds: bool | None) -> None:
    graph = relaxed(np.random.default_rng(0), "sigmoid", classes=3)
    examples = Examples(np.zeros((3, 4)), np.zeros(3, np.int64), Fraction(1), None)
    claim = Margins(graph, examples, (), 2, "arb", "")
    found = [c for c in claim.conclude(given) if isinstance(c, Check)]
    assert [c.holds for c in found] == [holds]


@pytest.mark.parametrize(
    ("weights", "nominal"),
    [
        ([[1, 0], [0, 1]], "0 of 1"),  # a tie: 0.1 against 0.1
        ([[1, 0], [0, 1 - 2.0**-52]], "1 of 1"),
        ([[1, 0], [2.0**-600, 1]], "0 of 1"),  # above by 2^-600
        ([[1 + 2.0**-52, 0], [-(2.0**-700), 1]], "1 of 1"),
    ],
)
def test_nominal_accuracy_is_exact(weights: list[list[float]], nominal: str) -> None:
    """The label's output against the other's at the example itself, whatever the precision that this takes."""
    net = Net(2)
    graph = net.graph(net.add(Linear(Constant(np.array(weights, float).T), None), net.add(Relu(), 0)))
    examples = Examples(np.array([[0.1, 0.1]]), np.zeros(1, np.int64), Fraction(0), None)
    outcome = decide_conditions(Margins(graph, examples, (0,), None, "arb", ""))
    assert outcome.measures["nominal accuracy"] == nominal
    assert (outcome.verdict.name == "REFUTED") == (nominal == "0 of 1")


def test_a_tie_that_no_precision_decides_is_named() -> None:
    net = Net(1)
    rows = Constant(np.array([[1.0, 1.0]]))
    graph = net.graph(net.add(Linear(rows, None), net.add(Sigmoid(), 0)))
    examples = Examples(np.array([[0.1]]), np.zeros(1, np.int64), Fraction(0), None)
    outcome = decide_conditions(Margins(graph, examples, (0,), None, "arb", ""))
    assert outcome.measures["nominal accuracy"] == "0 of 1; 1 not decided: 0"
    assert outcome.verdict.name == "UNPROVEN"
