"""The search on inputs: what it closes is proved by the checker, what is false stays open, and every cut is where it may be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from tests.prover.small_networks import GRAPHS, network, query, value
from tlcheck.prover.engine import Engine
from tlcheck.prover.input_search import InputSearch, middle
from tlcheck.prover.tree import Branch, guidance_of
from tlcheck.prover.weighting import fixed_weights, simplex
from tlcheck.readers.vnnlib.read import read_property
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.graph import Graph, Node
from tlcheck.trusted.guidance import Guidance
from tlcheck.trusted.leaf_pass import LeafOutcome, check_leaves
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.affine import Linear
from tlcheck.trusted.ops.smooth import Cos, Reciprocal, Sin
from tlcheck.trusted.ops.structure import Input
from tlcheck.trusted.plan import BadGuidance, Plan, Settings
from tlcheck.trusted.query import Query


def relu_network(seed: int, width: int = 12, inputs: int = 3) -> Graph:
    """Three layers, two outputs."""
    rng = np.random.default_rng(seed)
    sizes = [inputs, width, width, 2]
    nodes = [Node(Input((1, inputs)), (), (1, inputs))]
    for k, (n, m) in enumerate(zip(sizes, sizes[1:], strict=False)):
        nodes.append(Node(Linear(Constant(rng.normal(0, 0.8, (n, m)))), (len(nodes) - 1,), (1, m)))
        if k < 2:
            nodes.append(Node(Relu(), (len(nodes) - 1,), (1, m)))
    return Graph(tuple(nodes), (len(nodes) - 1,), ("x",), ("y",))


def outputs(graph: Graph, x: np.ndarray) -> np.ndarray:
    return np.asarray(Engine(graph).outputs(Engine(graph).values(x)))


def asked(inputs: list[tuple[str, str]], *disjuncts: str) -> Query:
    """Over a box of decimals; about two outputs."""
    names = [f"X_{i}" for i in range(len(inputs))] + ["Y_0", "Y_1"]
    text = "".join(f"(declare-const {v} Real)\n" for v in names)
    text += "".join(f"(assert (>= X_{i} {a}))(assert (<= X_{i} {b}))\n" for i, (a, b) in enumerate(inputs))
    text += "(assert (or " + " ".join(f"(and {d})" for d in disjuncts) + "))\n"
    return read_property(text.encode(), n_inputs=len(inputs), n_outputs=2)


class Counted:
    """True from the n-th look on."""

    def __init__(self, most: float) -> None:
        self.most, self.looks = most, 0

    def __call__(self) -> bool:
        self.looks += 1
        return self.looks > self.most


def search_of(claim: UnsatClaim) -> tuple[InputSearch, list[Branch]]:
    which = range(len(claim.query.disjuncts))
    return InputSearch(Engine(claim.graph, np.float32), claim, which), [Branch(k) for k in which]


def outcomes(claim: UnsatClaim, guidance: Guidance) -> list[LeafOutcome]:
    plan = Plan(claim, guidance, Settings())
    return check_leaves(plan, None, range(len(plan.leaves)))


def proof(claim: UnsatClaim, search: InputSearch, roots: list[Branch]) -> Guidance:
    return guidance_of(roots, [search.frame] * len(roots))


def extremes(graph: Graph, inputs: int = 3) -> tuple[np.ndarray, np.ndarray]:
    y = outputs(graph, np.random.default_rng(3).uniform(-1.6, 1.6, (20_000, inputs)).clip(-1, 1))
    return y.min(axis=0), y.max(axis=0)


@pytest.mark.parametrize("seed", range(4))
def test_planted_truths_are_proved_and_planted_falsehoods_are_not(seed: int) -> None:
    graph = relu_network(seed)
    low, high = extremes(graph)
    box = [("-1", "1")] * 3
    true = asked(box, f"(>= Y_0 {high[0] + 0.3})", f"(<= Y_0 {low[0] - 0.3}) (<= Y_1 {low[1] + 0.2})")
    claim = UnsatClaim(graph, true)
    search, roots = search_of(claim)
    assert search.close(roots, Counted(500)) == [] and all(r.is_closed for r in roots)
    assert all(o.certified for o in outcomes(claim, proof(claim, search, roots)))
    assert all(leaf.evidence and leaf.evidence.bound > 0 for r in roots for leaf in r.leaves())

    false = UnsatClaim(graph, asked(box, f"(>= Y_0 {high[0] - 0.01})", f"(<= Y_0 {low[0] + 0.01})"))
    search, roots = search_of(false)
    open_ = search.close(roots, Counted(60))
    assert open_ and not any(r.is_closed for r in roots)
    assert outputs(graph, np.array(search.candidates))[:, 0].max() > high[0] - 0.3
    assert len(search.candidates) <= 64


@pytest.mark.parametrize("graph", GRAPHS)
def test_networks_with_products_and_smooth_functions(graph: Graph) -> None:
    grid = np.stack(np.meshgrid(*[np.linspace(-0.9, 0.9, 41)] * 2), axis=-1).reshape(-1, 2)
    claim = UnsatClaim(graph, query((-0.9, 0.9), f"(>= Y_0 {value(graph, grid)[:, 0].max() + 0.05})"))
    search, roots = search_of(claim)
    assert search.dtype == np.float64 and search.close(roots, Counted(500)) == []
    assert all(o.certified for o in outcomes(claim, proof(claim, search, roots)))


def small() -> tuple[UnsatClaim, UnsatClaim, InputSearch, list[Branch]]:
    """A claim that is true, one that is false, and a finished search for the first."""
    graph = relu_network(1, width=6)
    _, high = extremes(graph)
    true, false = (
        UnsatClaim(graph, asked([("-1", "1")] * 3, f"(>= Y_0 {high[0] + d}) (>= Y_0 {high[0] - 1})"))
        for d in (0.3, -0.01)
    )
    search, roots = search_of(true)
    search.close(roots, Counted(500))
    return true, false, search, roots


def mutations(guidance: Guidance) -> Iterator[Guidance]:
    """One thing changed."""
    tree, leaves, rng = guidance.tree, guidance.leaves, np.random.default_rng(0)
    for _ in range(3):
        k = int(rng.integers(tree.size))
        for name, change in (
            ("point", lambda v: v + 0.05), ("index", lambda v: (v + 1) % 3), ("below", lambda v: v + 1),
            ("above", lambda v: max(0, v - 1)), ("kind", lambda v: 1 - v), ("node", lambda v: v + 1),
        ):  # fmt: skip
            column = getattr(tree, name).copy()
            column[k] = change(column[k])
            yield replace(guidance, tree=replace(tree, **{name: column}))
        for name, change in (
            ("weight", lambda v: -v),
            ("weight", lambda v: v * 0),
            ("constraint", lambda v: v + 1),
        ):
            column = getattr(leaves, name).copy()
            j = int(rng.integers(column.size))
            column[j] = change(column[j])
            yield replace(guidance, leaves=replace(leaves, **{name: column}))


def test_a_changed_proof_is_refused_or_proves_the_same() -> None:
    true, false, search, roots = small()
    guidance = proof(true, search, roots)
    assert guidance.tree.size > 10 and not all(o.certified for o in outcomes(false, guidance))
    refused = 0
    for changed in mutations(guidance):
        for claim in (true, false):
            try:
                plan = Plan(claim, changed, Settings())
                found = check_leaves(plan, None, range(len(plan.leaves)))
            except BadGuidance:
                refused += 1
                continue
            proved = all(o.certified for o in found)
            assert not (proved and claim is false)
            refused += not proved
    assert refused > 20


@pytest.mark.parametrize("most", [0, 1, 2, 3, 7, 12, 20])
def test_it_stops_when_told_and_goes_on_from_there(most: int) -> None:
    true, _, _, done = small()
    search, roots = search_of(true)
    over = Counted(most)
    open_ = search.close(roots, over)
    assert over.looks <= most + 1
    still = [leaf for r in roots for leaf in r.leaves() if leaf.evidence is None]
    assert {id(b) for b in open_} == {id(b) for b in still} and open_
    for branch in open_:
        branch.state = None  # as from a journal
    assert search.close(open_, Counted(500)) == [] and roots[0].is_closed
    assert len(list(roots[0].leaves())) == len(list(done[0].leaves()))
    assert all(o.certified for o in outcomes(true, proof(true, search, roots)))


def test_attempts_divide_nothing_and_refused_leaves_are_divided() -> None:
    true, _, search, roots = small()
    leaves = list(roots[0].leaves())
    for leaf in leaves:
        leaf.evidence = None
    assert search.attempt([Branch(0)], Counted(99)) and search.attempt(leaves, Counted(99)) == []
    leaves[0].evidence, leaves[0].refused = None, True
    assert search.attempt(leaves[:1], Counted(99)) == leaves[:1]
    assert search.close(leaves[:1], Counted(99)) == [] and leaves[0].split is not None
    assert all(o.certified for o in outcomes(true, proof(true, search, roots)))
    search.margin = 1e9
    assert search.attempt([Branch(0, leaves[1].path)], Counted(99))


def test_disjuncts_of_a_box_are_bounded_together() -> None:
    graph = relu_network(2)
    low, high = extremes(graph)
    parts = [f"(>= Y_{j} {high[j] + 0.3})" for j in (0, 1)] + [f"(<= Y_{j} {low[j] - 0.3})" for j in (0, 1)]
    claim = UnsatClaim(graph, asked([("-1", "1")] * 3, *parts))
    search, roots = search_of(claim)
    assert search.close(roots, Counted(500)) == []
    alone = 0
    for k in range(4):
        one = InputSearch(Engine(graph, np.float32), claim, [k])
        assert one.close([Branch(k)], Counted(500)) == []
        alone += one.boxes
    assert search.boxes < alone
    assert all(o.certified for o in outcomes(claim, proof(claim, search, roots)))


def test_inputs_without_width_are_never_cut() -> None:
    graph = relu_network(3)
    _, high = extremes(graph)
    claim = UnsatClaim(graph, asked([("-1", "1"), ("0.1", "0.1"), ("-1", "1")], f"(>= Y_0 {high[0] + 0.2})"))
    search, roots = search_of(claim)
    assert search.close(roots, Counted(500)) == []
    assert all(o.certified for o in outcomes(claim, proof(claim, search, roots)))
    cuts = {x.index for leaf in roots[0].leaves() for x in leaf.path}
    assert cuts and 1 not in cuts
    assert [search.side(0, i, p) for i, p in ((0, 0.5), (0, -1.0), (0, 2.0), (1, 0.0))] == [0, 1, -1, 1]
    assert search.side(1, 0, 0.0) is None


def test_boxes_that_hold_no_float32() -> None:
    graph = relu_network(0)
    inside = [("0.1", "0.1000000001"), ("0.3", "0.3"), ("-0.7000000001", "-0.7")]
    y = outputs(graph, np.array([[0.1, 0.3, -0.7]]))[0, 0]
    near = UnsatClaim(graph, asked(inside, f"(>= Y_0 {y + 1e-5})"))
    search, roots = search_of(near)
    assert search.close(roots, Counted(200)) == []
    assert all(o.certified for o in outcomes(near, proof(near, search, roots)))
    false = UnsatClaim(
        graph, asked([("0.1", "0.1"), ("0.3", "0.3"), ("-0.7", "-0.7")], f"(>= Y_0 {y - 1e-9})")
    )
    search, roots = search_of(false)
    assert search.close(roots, Counted(200)) == roots  # nothing to cut


def test_middles() -> None:
    assert middle(0.0, 1.0) == 0.5 and middle(0.1, 0.1) is None
    assert middle(1.0, float(np.nextafter(1.0, 2.0))) is None
    point = middle(0.1, 0.1 + 1e-12)
    assert point is not None and 0.1 < point < 0.1 + 1e-12
    third = middle(0.0, 0.1)
    assert third is not None and third == float(np.float32(0.05))
    assert middle(1e308, 1.7e308) == 1e308 / 2 + 1.7e308 / 2 and middle(-np.inf, 0.0) is None


def line(op: type, shift: float = 0.0) -> Graph:
    """y = (op(x), op(-x))"""
    nodes = (
        Node(Input((1, 1)), (), (1, 1)),
        Node(Linear(Constant(np.array([[1.0, -1.0]]))), (0,), (1, 2)),
        Node(op(), (1,), (1, 2)),
    )
    return Graph(nodes, (2,), ("x",), ("y",))


@pytest.mark.parametrize(
    ("low", "high", "formula", "closed"),
    [
        ("-1", "2", "(< (+ Y_0 Y_1) 0)", True),  # |x| < 0
        ("-1", "2", "(<= (+ Y_0 Y_1) 0)", False),
        ("-1", "2", "(<= Y_0 0.5) (> Y_0 0.5)", True),
        ("-1", "2", "(<= Y_0 0.5) (>= Y_0 0.5)", False),
        ("0.1", "1", "(< Y_0 0.1)", True),  # an end that is no double
        ("0.1", "1", "(<= Y_0 0.1)", False),
        ("0.1", "1", "(< (+ Y_0 X_0) 0.2)", True),
        ("-1", "1", "(> Y_0 1)", True),
    ],
)
def test_bounds_that_are_attained(low: str, high: str, formula: str, closed: bool) -> None:
    """A strict constraint is excluded there, one that is not is left open."""
    claim = UnsatClaim(line(Relu), asked([(low, high)], formula))
    search, roots = search_of(claim)
    open_ = search.close(roots, Counted(100))
    assert (open_ == []) == closed
    if closed:
        assert search.boxes <= 16
        assert all(o.certified for o in outcomes(claim, proof(claim, search, roots)))


def test_a_pole_is_cut_away_from() -> None:
    graph = line(Reciprocal)
    away = UnsatClaim(graph, asked([("0.01", "1")], "(<= Y_0 0.9)"))
    search, roots = search_of(away)
    assert search.close(roots, Counted(500)) == []
    assert all(o.certified for o in outcomes(away, proof(away, search, roots)))
    around = UnsatClaim(graph, asked([("-1", "1")], "(<= Y_0 0.9)"))
    search, roots = search_of(around)
    assert search.close(roots, Counted(50))


def test_weights_on_the_simplex() -> None:
    mask = np.array([[True, True, True], [True, True, False], [True, False, False]])
    w = simplex(np.array([[0.2, 3.0, -1.0], [0.6, 0.4, 9.0], [-5.0, 1.0, 1.0]]), mask)
    assert np.allclose(w, [[0, 1, 0], [0.6, 0.4, 0], [1, 0, 0]])
    slope = np.array([[[1.0], [-1.0]]])
    weights, bound = fixed_weights(
        slope, np.array([[0.1, 0.1]]), np.ones((1, 2), bool), np.array([[-1.0]]), np.array([[1.0]])
    )
    assert np.allclose(weights, 0.5, atol=0.05) and bound[0] > 0


def test_the_margin_is_relative_to_the_constraint() -> None:
    """A constraint and a million times it are closed alike."""
    graph = network(0, (Cos(), Sin()))
    searches = []
    for scale in (1, 10**6):
        text = f"(>= (* {scale}.0 Y_0) {Fraction(scale) * 3}.0)"
        claim = UnsatClaim(graph, query((-0.5, 0.5), text))
        search, roots = search_of(claim)
        assert search.close(roots, Counted(500)) == []
        searches.append((search.boxes, [len(leaf.path) for leaf in roots[0].leaves()]))
    assert searches[0] == searches[1]
