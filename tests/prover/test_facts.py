"""Facts at the top of trees: what they say holds, what they narrow stays the same function, their leaves are certified."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.prover.test_neuron_search import dense_net, planted, searched
from tlcheck.checking.deadline import Deadline
from tlcheck.checking.schedule import planned, run_leaves
from tlcheck.prover import prover, region_work, staged_neurons
from tlcheck.prover.condensed import Condensed
from tlcheck.prover.engine import Engine, never
from tlcheck.prover.facts import Fact, Known, Size, facts, put
from tlcheck.prover.neuron_search import Effort, NeuronSearch
from tlcheck.prover.staged_neurons import StagedNeurons
from tlcheck.prover.tree import Branch, guidance_of
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.plan import Settings
from tlcheck.trusted.query import Query

SIZE = Size(most=16, near=0.6, few=3)


def problem(seed: int = 1, room: float = 0.1) -> UnsatClaim:
    rng = np.random.default_rng([seed, 9])
    return planted(rng, dense_net(rng, Relu(), (3, 10, 10, 10, 3)), 1, room)


def found_on(claim: UnsatClaim) -> tuple[NeuronSearch, list[Fact], Known]:
    search = searched(claim)
    return search, *facts(search.engine, Known.of(search.net), Effort(), SIZE, never)


def points(claim: UnsatClaim, count: int = 500) -> np.ndarray:
    box = claim.query.disjuncts[0].box
    low, high = (np.array([float(q) for q in end]) for end in (box.lower, box.upper))
    return np.random.default_rng(0).uniform(low, high, (count, low.size))


def forward(net: Condensed, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """z (P, C) and forms (P, K) of ReLUs."""
    z = np.zeros((len(x), net.count))
    h = np.zeros_like(z)
    for s in net.slices:
        z[:, s] = x @ net.M[s].T + h @ net.L[s].T + net.b[s]
        h[:, s] = np.maximum(z[:, s], 0)
    return z, x @ net.G.T + h @ net.Q.T + net.e


def test_a_narrowed_network_is_the_same_function_where_that_holds() -> None:
    claim = problem()
    known = Known.of(searched(claim).net)
    x = points(claim)
    z, forms = forward(known.net, x)
    some = np.arange(known.net.count) % 3 == 0
    low = np.where(some & (z[0] > 0), 0, known.low)
    high = np.where(some & (z[0] <= 0), 0, known.high)
    there = ((z >= low) & (z <= high)).all(axis=1)
    assert there.any() and some.any()
    below = known.narrowed(low, high)
    assert below.net.count == (~some).sum() == below.low.size
    assert below.net.names == [name for name, gone in zip(known.net.names, some, strict=True) if not gone]
    again = forward(below.net, x[there])
    np.testing.assert_allclose(again[0], z[there][:, ~some], atol=1e-4)
    np.testing.assert_allclose(again[1], forms[there], atol=1e-4)
    assert len(known.net.names) == known.net.count, "and the one before is as it was"


def test_closer_ends_draw_closer_lines() -> None:
    known = Known.of(searched(problem()).net)
    low, high = known.low / 2, known.high / 3
    net = known.narrowed(low, high).net
    slope, intercept = net.upper
    np.testing.assert_allclose(slope * high + intercept, high, rtol=1e-5)
    np.testing.assert_allclose(slope * low + intercept, 0, atol=1e-5)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_facts_hold_and_their_trees_are_certified(seed: int) -> None:
    claim = problem(seed)
    search, found, known = found_on(claim)
    assert any(fact.literal.point == 0 for fact in found) and any(fact.literal.point != 0 for fact in found)
    assert any(fact.leaves > 1 for fact in found) and known.net.count < search.net.count
    values = Engine(claim.graph).values(points(claim))
    for x in (fact.literal for fact in found):
        assert (x.side * (values[x.node][:, x.index] - x.point) > -1e-6).all()
    branch = Branch(0)
    tip = put(branch, found)
    assert tip.path == tuple(fact.literal for fact in found)
    assert branch.is_closed is False and [b for b in branch.leaves() if b.evidence is None] == [tip]
    beneath = NeuronSearch(search.engine, search.root, {0: claim.query.disjuncts[0]}, net=known.net)
    assert not beneath.close([tip], never)
    plan = planned(claim, guidance_of([branch], [search.frame]), Settings())
    outcomes = run_leaves(plan, 1, Deadline(None, None), None, None).outcomes
    assert len(outcomes) == sum(fact.leaves for fact in found) + sum(1 for _ in tip.leaves())
    assert all(o.certified for o in outcomes)


def test_the_leaves_of_facts_are_one_for_all_disjuncts() -> None:
    claim = problem()
    search, found, _ = found_on(claim)
    roots = [Branch(0), Branch(1)]
    for root in roots:
        put(root, found)
    guidance = guidance_of(roots, [search.frame] * 2)
    leaves = sum(fact.leaves for fact in found)
    assert guidance.leaves.count == leaves + 2, "and the two that are open"
    assert (np.diff(guidance.leaves.constraint_ptr) == 0).all()
    assert guidance.leaf_slopes[next(iter(search.frame.columns))].lower is not None


def test_beneath_one_fact_the_others_are_not_repeated() -> None:
    claim = problem()
    search, found, known = found_on(claim)
    again, _ = facts(search.engine, known, Effort(), SIZE, never)
    assert {fact.literal for fact in again}.isdisjoint(fact.literal for fact in found)


def staged(monkeypatch: Any, claim: UnsatClaim, passes: int = 0) -> StagedNeurons:
    monkeypatch.setattr(staged_neurons, "STAGES", ((passes, SIZE), (passes, replace(SIZE, few=6))))
    return StagedNeurons(Engine(claim.graph, np.float32), claim, range(len(claim.query.disjuncts)))


def test_trees_that_take_long_begin_anew_beneath_facts(monkeypatch: Any) -> None:
    one = problem(2, 0.03)
    claim = UnsatClaim(one.graph, Query(3, 3, (one.query.disjuncts[0],) * 2))
    search = staged(monkeypatch, claim)
    roots = [Branch(0), Branch(1)]
    assert not search.close(roots, never) and all(root.is_closed for root in roots)
    evidence = [leaf.evidence for root in roots for leaf in root.leaves()]
    assert any(e is not None and not e.weights for e in evidence)
    plan = planned(claim, guidance_of(roots, [search.frame] * 2), Settings())
    outcomes = run_leaves(plan, 1, Deadline(None, None), None, None).outcomes
    assert len(outcomes) == len(evidence) and all(o.certified for o in outcomes)


def test_beneath_facts_it_can_be_stopped_and_goes_on(monkeypatch: Any) -> None:
    claim = problem(2, 0.03)
    search, root = staged(monkeypatch, claim), Branch(0)
    looks = 0

    def over() -> bool:
        nonlocal looks
        looks += 1
        return looks > 150

    open_ = search.close([root], over)
    assert {id(b) for b in open_} == {id(b) for b in root.leaves() if b.evidence is None}
    assert not search.close(open_, never) and root.is_closed


def test_a_sat_problem_stays_open_and_gives_points(monkeypatch: Any) -> None:
    claim = problem(0, -0.05)
    search, root = staged(monkeypatch, claim), Branch(0)
    assert search.close([root], lambda: search.passes > 20_000) and not root.is_closed
    box = claim.query.disjuncts[0].box
    assert search.candidates
    for x in search.candidates:
        assert all(
            float(a) - 1e-5 <= v <= float(b) + 1e-5 for a, v, b in zip(box.lower, x, box.upper, strict=True)
        )


def test_facts_come_before_processes_share_the_work(monkeypatch: Any) -> None:
    """Trees begin anew beneath facts, in the process that keeps them; what other processes do counts for the next stage."""
    claim = problem(2, 0.03)
    search, root = staged(monkeypatch, claim, 50), Branch(0)
    assert search.whole
    open_ = search.close([root], lambda: not search.whole)
    assert open_ and root.split is not None and not search.whole, "beneath facts now"
    assert all(leaf.root is root for leaf in root.leaves())
    search.elsewhere += 51
    assert search.whole
    search.share()
    assert not search.whole, "a part of the open leaves is no reason to begin anew"
    tops = [leaf.path for leaf in open_]
    assert search.close(open_, never) == [] and root.is_closed
    assert all(leaf.path[: len(tops[0])] == tops[0] for leaf in open_[0].leaves())


def test_a_tree_from_elsewhere_is_kept(monkeypatch: Any) -> None:
    claim = problem(2, 0.03)
    search, root = staged(monkeypatch, claim), Branch(0)
    node, index = search_places(claim)
    kids = root.divide(node, index)
    assert search.attempt(kids, never)
    assert not search.whole and not search.close(kids, never)
    assert root.split == (node, index, 0.0)


def search_places(claim: UnsatClaim) -> tuple[int, int]:
    return searched(claim).net.names[0]


def test_two_processes_prove_what_one_does(monkeypatch: Any) -> None:
    monkeypatch.setattr(staged_neurons, "STAGES", ((20, SIZE), (20, replace(SIZE, few=6))))
    monkeypatch.setattr(prover, "PARALLEL_FROM", 0.0)
    monkeypatch.setattr(region_work, "FEW_INPUTS", 0)
    found = prover.Prover(problem(2, 0.03), prover.Limits(jobs=2)).prove()
    assert isinstance(found, prover.Proof)
    assert (np.diff(found.guidance.leaves.constraint_ptr) == 0).any(), "leaves of facts weigh nothing"
