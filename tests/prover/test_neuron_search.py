"""The condensed network, its gradients, and the search on neurons: small problems, checked by the kernel."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from tests.trusted.test_decide_soundness import random_graph
from tlcheck.checking.deadline import Deadline
from tlcheck.checking.schedule import planned, run_leaves
from tlcheck.prover.branching import Filter, scores
from tlcheck.prover.condensed import Condensed, Forms
from tlcheck.prover.engine import Engine, Multipliers, Stopped, never
from tlcheck.prover.float_lines import Lines, Part
from tlcheck.prover.neuron_search import Effort, NeuronSearch
from tlcheck.prover.optimise import Boxes, LeafPass, Leaves, optimise, simplex
from tlcheck.prover.root import Root, root
from tlcheck.prover.tree import Branch, Evidence, guidance_of
from tlcheck.trusted.arith.box import OutOfRange
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.cover import Literal
from tlcheck.trusted.graph import Graph, Node
from tlcheck.trusted.leaf_pass import LeafOutcome
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.affine import Linear
from tlcheck.trusted.ops.base import Operation
from tlcheck.trusted.ops.bent import Abs, LeakyRelu
from tlcheck.trusted.ops.s_shaped import Sigmoid
from tlcheck.trusted.ops.structure import Input
from tlcheck.trusted.plan import Settings
from tlcheck.trusted.query import Disjunct, InputBox, LinearConstraint, Query

Rng = np.random.Generator


def dense_net(rng: Rng, op: Operation, sizes: tuple[int, ...], second: Operation | None = None) -> Graph:
    """Layers with an activation between each two."""
    nodes = [Node(Input((1, sizes[0])), (), (1, sizes[0]))]
    for k, (n, m) in enumerate(zip(sizes, sizes[1:], strict=False)):
        if k:
            act = second if second is not None and k == 2 else op
            nodes.append(Node(act, (len(nodes) - 1,), (1, n)))
        w = Constant(rng.normal(0, 1.5 / np.sqrt(n), (n, m)))
        nodes.append(Node(Linear(w, Constant(rng.normal(0, 0.3, m))), (len(nodes) - 1,), (1, m)))
    return Graph(tuple(nodes), (len(nodes) - 1,), ("x",), ("y",))


def nets() -> Iterator[tuple[Rng, Graph]]:
    for seed in range(4):
        rng = np.random.default_rng([seed, 5])
        yield rng, dense_net(rng, Relu(), (3, 6, 6, 2))
        yield rng, dense_net(rng, LeakyRelu(0.1), (3, 5, 5, 2))
        yield rng, dense_net(rng, Relu(), (3, 6, 4, 2), Sigmoid())
        yield rng, dense_net(rng, Abs(), (3, 5, 4, 2), Relu())
    for seed in range(40):
        rng = np.random.default_rng([seed, 6])
        yield rng, random_graph(rng, "ordinary")


def prepared(rng: Rng, graph: Graph, forms: int = 3) -> tuple[Engine, Root, Forms, Condensed] | None:
    engine = Engine(graph)
    centre = rng.normal(0, 1, graph.n_inputs)
    try:
        known = root(engine, engine.inputs(centre - 0.8, centre + 0.8))
    except OutOfRange:
        return None
    rows = Forms(
        rng.normal(0, 1, (forms, graph.n_outputs)),
        rng.normal(0, 1, (forms, graph.n_inputs)),
        rng.normal(0, 1, forms),
        np.ones(forms),
    )
    return engine, known, rows, Condensed(engine, known, rows, np.float64)


def some_leaves(rng: Rng, net: Condensed, count: int, forms: int) -> Leaves:
    sides = (rng.integers(-1, 2, (count, net.count)) * net.free).astype(np.int8)
    for first, twins in net.twins.items():
        for twin in twins:
            sides[:, twin] = sides[:, first]
    slopes = net.sides[0] + rng.uniform(0.1, 0.9, (count, net.count)) * (net.sides[1] - net.sides[0])
    alone = [k not in {t for ts in net.twins.values() for t in ts[1:]} for k in range(net.count)]
    multipliers = rng.uniform(0, 1, (count, net.count)) * (sides != 0) * alone
    middle, half = (net.low + net.high) / 2, (net.high - net.low) / 2
    return Leaves(
        sides, slopes, multipliers, rng.dirichlet(np.ones(forms), count), Boxes(middle[None], half[None])
    )


def over_the_graph(engine: Engine, known: Root, rows: Forms, net: Condensed, leaves: Leaves, d: int) -> float:
    """The leaf's bound by a backward pass over the graph itself, with lines and multipliers written out."""
    lines = dict(known.lines)
    multipliers: dict[int, Multipliers] = {}
    for block, s in zip(net.blocks, net.slices, strict=True):
        if block.sides is None:
            continue
        (part,) = lines[block.node].parts
        (ls, lt), (us, ut) = (
            tuple(np.zeros_like(part.upper[0]) if x is None else x.copy() for x in ends)
            for ends in (part.lower, part.upper)
        )
        side, c = leaves.sides[d, s], block.columns
        split = np.where(side > 0, block.sides[1], block.sides[0])
        ls[0, c] = np.where(side != 0, split, leaves.slopes[d, s])
        us[0, c] = np.where(side != 0, split, us[0, c])
        lt[0, c], ut[0, c] = np.where(side != 0, 0, lt[0, c]), np.where(side != 0, 0, ut[0, c])
        lines[block.node] = Lines((Part(0, (ls, lt), (us, ut)),))
        z = engine.nodes[block.node].inputs[0]
        signed = np.zeros((1, engine.nodes[z].size))
        signed[0, c] = leaves.multipliers[d, s] * side
        if z in multipliers:
            signed = signed + multipliers[z].signed
        multipliers[z] = Multipliers(signed, np.zeros(1))
    w = leaves.weights[d]
    blocks = engine.seeded((w @ rows.outputs)[None, None], (w @ rows.inputs)[None, None])
    found = engine.backward(blocks, lines, multipliers=multipliers)
    return float(engine.concretise(found, known.boxes)[0, 0] - w @ rows.bounds)


def test_condensed_against_the_graph() -> None:
    neurons = 0
    for rng, graph in nets():
        made = prepared(rng, graph)
        if made is None:
            continue
        engine, known, rows, net = made
        leaves = some_leaves(rng, net, 3, 3)
        found = LeafPass(net)(leaves)
        for d in range(3):
            wanted = over_the_graph(engine, known, rows, net, leaves, d)
            assert abs(found.lower[d] - wanted) <= 1e-7 * (1 + abs(wanted)), (graph.nodes, d)
        neurons += net.count
    assert neurons > 100


def test_the_identity_of_the_gradients() -> None:
    """LB = sum_q w_q dLB/dw_q - sum_i beta_i side_i z*_i."""
    for rng, graph in nets():
        made = prepared(rng, graph)
        if made is None:
            continue
        leaves = some_leaves(rng, made[3], 4, 3)
        found = LeafPass(made[3])(leaves)
        total = (leaves.weights * found.forms).sum(axis=1) - (
            leaves.multipliers * leaves.sides * found.z
        ).sum(axis=1)
        np.testing.assert_allclose(
            total, found.lower, rtol=1e-9, atol=1e-9 * (1 + np.abs(found.z).max(initial=0))
        )


def test_a_step_that_holds_x_is_the_same_but_for_its_bound() -> None:
    rng = np.random.default_rng(9)
    made = prepared(rng, dense_net(rng, Relu(), (3, 6, 6, 2)))
    assert made is not None
    run, leaves = LeafPass(made[3]), some_leaves(rng, made[3], 4, 3)
    found = run(leaves)
    held = run(leaves, held=found)
    assert (held.lower == -np.inf).all()
    for name in ("coefficients", "z", "h", "forms", "x"):
        np.testing.assert_array_equal(getattr(held, name), getattr(found, name))


@pytest.mark.parametrize("name", ["slopes", "multipliers", "weights"])
def test_gradients_against_differences(name: str) -> None:
    compared = 0
    for rng, graph in nets():
        made = prepared(rng, graph)
        if made is None:
            continue
        net = made[3]
        leaves = some_leaves(rng, net, 2, 3)
        run = LeafPass(net)
        found = run(leaves)
        wanted = {
            "slopes": np.where(
                (leaves.sides == 0) & net.free, np.maximum(found.coefficients, 0) * found.z, 0
            ),
            "multipliers": -leaves.sides * found.z,
            "weights": found.forms,
        }[name]
        values = getattr(leaves, name)
        for k in range(values.shape[1]):
            ends = []
            for step in (1e-6, -1e-6):
                moved = values.copy()
                moved[:, k] += step
                ends.append(run(replace(leaves, **{name: moved})).lower)
            np.testing.assert_allclose((ends[0] - ends[1]) / 2e-6, wanted[:, k], rtol=1e-4, atol=1e-5)
            compared += 1
    assert compared > 100


def test_gradients_by_bounds() -> None:
    """dLB/dl and dLB/du: through the upper line's slope and intercept."""
    for rng, graph in nets():
        made = prepared(rng, graph)
        if made is None or not made[3].free.all() or not made[3].count:
            continue
        net = made[3]
        run = LeafPass(net)
        leaves = some_leaves(rng, net, 2, 3)
        s = net.upper[0]
        s0, s1 = net.sides
        # the ends from the line: s = (s1 u - s0 l)/(u - l), t = (s0 - s) l
        low = net.upper[1] / (s0 - s)
        high = net.upper[1] / (s1 - s)
        gradients = run.by_ends(leaves, run(leaves), (low, high))
        for k in range(net.count):
            for which, gradient in enumerate(gradients):
                ends = []
                for step in (1e-6, -1e-6):
                    l, u = low.copy(), high.copy()
                    (l, u)[which][k] += step
                    slope = (s1 * u - s0 * l) / (u - l)
                    moved = LeafPass(net)
                    kept = net.upper
                    net.upper = slope, (s0 - slope) * l
                    ends.append(moved(leaves).lower)
                    net.upper = kept
                np.testing.assert_allclose((ends[0] - ends[1]) / 2e-6, gradient[:, k], rtol=1e-3, atol=1e-4)


def test_optimising_never_loses_and_stops_by_count() -> None:
    rng = np.random.default_rng(1)
    made = prepared(rng, dense_net(rng, Relu(), (3, 8, 8, 2)))
    assert made is not None
    net = made[3]
    leaves = some_leaves(rng, net, 5, 3)
    run = LeafPass(net)
    allowed = np.ones((5, 3), bool)
    first = run(leaves).lower
    best = optimise(run, leaves, allowed, np.full(5, np.inf), 20)
    assert (best.bound.lower >= first).all() and best.steps == 100
    np.testing.assert_allclose(run(best.leaves).lower, best.bound.lower)
    np.testing.assert_allclose(best.leaves.weights.sum(axis=1), 1)
    left = iter([False] * 7 + [True])
    assert optimise(run, leaves, allowed, np.full(5, np.inf), 20, lambda: next(left)).steps == 35
    assert optimise(run, leaves, allowed, np.full(5, -np.inf), 20).steps == 0


def test_simplex_is_the_nearest_point() -> None:
    rng = np.random.default_rng(0)
    w = rng.normal(0, 1, (50, 4))
    p = simplex(w)
    assert (p >= 0).all()
    np.testing.assert_allclose(p.sum(axis=1), 1)
    for q in rng.dirichlet(np.ones(4), 200):
        assert (((w - p) * (q - p)).sum(axis=1) <= 1e-9).all()


# The search


def planted(rng: Rng, graph: Graph, rows: int, room: float) -> UnsatClaim:
    """No sampled output obeys all rows; by ``room`` times the outputs' spread."""
    centre = rng.normal(0, 1, graph.n_inputs)
    low, high = ([Fraction(float(x)) for x in centre + s * 0.5] for s in (-1, 1))
    engine = Engine(graph)
    y = engine.outputs(engine.values(rng.uniform(centre - 0.5, centre + 0.5, (4000, graph.n_inputs))))
    c = rng.normal(0, 1, (rows, graph.n_outputs))
    values = y @ c.T
    least = float(values.max(axis=1).min()) if rows > 1 else float(values.min())
    bound = Fraction(least - room * float(np.ptp(values)))
    constraints = tuple(
        LinearConstraint((), tuple((j, Fraction(float(q))) for j, q in enumerate(row)), bound) for row in c
    )
    box = InputBox(tuple(low), tuple(high))
    return UnsatClaim(graph, Query(graph.n_inputs, graph.n_outputs, (Disjunct(box, constraints),)))


def searched(
    claim: UnsatClaim, iterations: int = 5, effort: Effort | None = None, **more: Any
) -> NeuronSearch:
    engine = Engine(claim.graph)
    box = claim.query.disjuncts[0].box
    inputs = engine.inputs(*(np.array([float(x) for x in end]) for end in (box.lower, box.upper)))
    return NeuronSearch(
        engine,
        root(engine, inputs, iterations),
        dict(enumerate(claim.query.disjuncts)),
        effort or Effort(),
        **more,
    )


def outcomes(claim: UnsatClaim, search: NeuronSearch, branch: Branch) -> list[LeafOutcome]:
    plan = planned(claim, guidance_of([branch], [search.frame]), Settings())
    return run_leaves(plan, 1, Deadline(None, None), None, None).outcomes


@pytest.mark.parametrize("kind", ["relu", "leaky", "abs", "sigmoid", "weights", "filtered"])
def test_planted_problems_are_closed_and_certified(kind: str) -> None:
    leaves = 0
    for seed in range(3):
        rng = np.random.default_rng([seed, len(kind)])
        op, second = {
            "leaky": (LeakyRelu(0.1), None), "abs": (Abs(), Relu()), "sigmoid": (Relu(), Sigmoid()),
        }.get(kind, (Relu(), None))  # fmt: skip
        claim = planted(rng, dense_net(rng, op, (3, 8, 8, 3), second), 3 if kind == "weights" else 1, 0.15)
        effort = Effort(filter=Filter(4, 3)) if kind == "filtered" else Effort()
        search = searched(claim, effort=effort)
        branch = Branch(0)
        left = search.close([branch], _steps(search, 60_000))
        if kind == "sigmoid" and left:
            continue  # its lines stay those of the root
        assert not left and branch.is_closed
        found = outcomes(claim, search, branch)
        assert all(o.certified for o in found)
        leaves += len(found)
    assert leaves > 2 or kind == "sigmoid"


def _steps(search: NeuronSearch, most: int) -> Callable[[], bool]:
    return lambda: search.steps > most


def test_a_sat_problem_stays_open() -> None:
    rng = np.random.default_rng(4)
    claim = planted(rng, dense_net(rng, Relu(), (3, 8, 8, 3)), 1, -0.05)
    search, branch = searched(claim), Branch(0)
    assert search.close([branch], _steps(search, 20_000)) and not branch.is_closed


def deep() -> tuple[UnsatClaim, NeuronSearch]:
    rng = np.random.default_rng([2, 4])
    claim = planted(rng, dense_net(rng, Relu(), (3, 10, 10, 3)), 1, 0.02)
    return claim, searched(claim)


def test_over_stops_it_and_it_goes_on() -> None:
    claim, search = deep()
    branch = Branch(0)
    left = iter([False, False, False, True, True, True, True])
    open_ = search.close([branch], lambda: next(left, True))
    assert open_ and not branch.is_closed
    assert {id(b) for b in open_} == {id(b) for b in branch.leaves() if b.evidence is None}
    assert not search.close(open_, never)
    assert all(o.certified for o in outcomes(claim, search, branch))


def test_work_may_be_paths_of_any_origin() -> None:
    """Splits at stable neurons are dropped or close a branch as empty; the others say what its domain is."""
    claim, search = deep()
    z = next(iter(search.net.places))[0]
    stable = [k for k in range(search.engine.nodes[z].size) if search.side(z, k) not in (0, None)]
    open_ = [k for k in range(search.engine.nodes[z].size) if search.side(z, k) == 0]
    branch = Branch(0)
    below, above = branch.divide(z, open_[0])
    below.divide(z, open_[1])
    for k in stable[:1]:
        above.divide(z, k)
    other = searched(claim)
    left = other.settle([branch], 100)
    assert not other.close(left, never) and branch.is_closed
    assert all(o.certified for o in outcomes(claim, other, branch))


def test_input_literals_cut_the_box() -> None:
    claim, search = deep()
    branch = Branch(0)
    middle = float(search.net.low[0] + search.net.high[0]) / 2
    branch.divide(search.engine.graph.inputs[0], 0, middle)
    assert not search.close([branch], never)
    assert all(o.certified for o in outcomes(claim, search, branch))


def test_a_contradictory_path_is_empty() -> None:
    _, search = deep()
    node, index = next(iter(search.net.places))
    path = (Literal(node, index, 1, 0.0), Literal(node, index, -1, 0.0))
    branch = Branch(0, path)
    assert not search.settle([branch], 0) and branch.evidence is not None and branch.bound == np.inf


def test_suggestions_are_followed() -> None:
    claim, _ = deep()
    wanted: list[tuple[int, int]] = []

    def suggest(branch: Branch) -> tuple[int, int] | None:
        return None if branch.path else wanted[0]

    search = searched(claim, suggest=suggest)
    wanted.append(list(search.net.places)[-1])
    branch = Branch(0)
    assert not search.close([branch], never)
    assert branch.split is not None and branch.split[:2] == wanted[0]


def test_without_an_open_neuron_branches_come_back() -> None:
    rng = np.random.default_rng(4)
    graph = dense_net(rng, Relu(), (3, 4, 2))
    point = InputBox((Fraction(1, 3),) * 3, (Fraction(1, 3),) * 3)
    c = LinearConstraint((), ((0, Fraction(1)),), Fraction(1000))
    search, branch = searched(UnsatClaim(graph, Query(3, 2, (Disjunct(point, (c,)),)))), Branch(0)
    assert search.net.count == 0
    assert search.close([branch], never) == [branch]


def test_evidence_as_a_state_is_a_warm_start() -> None:
    """The leaves that it closed close in one pass; nonsense only costs time."""
    claim, search = deep()
    branch = Branch(0)
    assert not search.close([branch], never)
    other = searched(claim)
    for k, leaf in enumerate(branch.leaves()):
        leaf.state, leaf.evidence = leaf.evidence, None
        if k == 0:
            nonsense = {a: np.full(3, np.nan) for a in other.frame.columns}
            leaf.state = Evidence({7: np.nan}, 0.0, nonsense, {Literal(0, 0, 1, 0.0): -1.0})
    assert len(other.settle([branch], 0)) <= 1
    assert not other.close([branch], never)
    assert all(o.certified for o in outcomes(claim, other, branch))


def test_states_go_to_other_searches_of_the_same_root() -> None:
    claim, search = deep()
    left = iter([False, False, True])
    open_ = search.close([Branch(0)], lambda: next(left, True))
    moved = pickle.loads(pickle.dumps(open_))
    other = searched(claim)
    assert other.token == search.token and not other.close(moved, never)


def test_scores_are_of_points_off_both_sides() -> None:
    rng = np.random.default_rng(7)
    made = prepared(rng, dense_net(rng, Relu(), (3, 8, 8, 2)))
    assert made is not None
    net = made[3]
    leaves = some_leaves(rng, net, 1, 3)
    run = LeafPass(net)
    z = np.linspace(-1, 1, net.count)[None]
    h = np.maximum(z, 0) + 0.1 * (np.arange(net.count) % 2)
    score = scores(run, leaves, run(leaves), (z, h, np.ones_like(z)))
    open_ = leaves.sides == 0
    assert (score[~open_] == -1).all()
    np.testing.assert_allclose(score[open_], (0.1 * (np.arange(net.count) % 2))[None][open_], atol=1e-5)


def test_condensing_can_be_stopped() -> None:
    rng = np.random.default_rng(1)
    made = prepared(rng, dense_net(rng, Relu(), (3, 8, 8, 2)))
    assert made is not None
    with pytest.raises(Stopped):
        Condensed(made[0], made[1], made[2], np.float32, lambda: True)
