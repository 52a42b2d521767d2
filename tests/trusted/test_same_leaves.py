"""Leaves that are the same but for their disjunct are decided once, and no others are taken for the same."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from tests.prover.test_facts import problem
from tlcheck.checking.deadline import Deadline
from tlcheck.checking.journal import Journal
from tlcheck.checking.schedule import run_leaves
from tlcheck.prover.tree import Branch, Evidence, Frame, guidance_of
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.cover import Literal
from tlcheck.trusted.leaf_pass import LeafOutcome, check_leaves
from tlcheck.trusted.plan import Plan, Settings, root_bounds
from tlcheck.trusted.query import Disjunct, InputBox, Query

FRAME = Frame()
Z = 1
"""The first pre-activation of the network."""


def five() -> UnsatClaim:
    """Four disjuncts on one box, one on another."""
    claim = problem()
    first = claim.query.disjuncts[0]
    ends = first.box.lower, tuple(q - Fraction(1, 64) for q in first.box.upper)
    other = Disjunct(InputBox(*ends), first.constraints)
    return UnsatClaim(claim.graph, Query(claim.query.n_inputs, claim.query.n_outputs, (*[first] * 4, other)))


def plan_of(
    claim: UnsatClaim, fact: Evidence, points: tuple[float, ...], other: Evidence | None = None
) -> Plan:
    """Each tree splits value 0 at its point; what is below has one evidence in all, but for the third's, if it has its own."""
    roots = []
    for d, point in enumerate(points):
        root = Branch(d)
        below, above = root.divide(Z, 0, point)
        below.evidence = other if other is not None and d == 2 else fact
        above.evidence = Evidence({0: 1.0}, 0.0)
        roots.append(root)
    return Plan(claim, guidance_of(roots, [FRAME] * 5), Settings("arb"))


def alone(plan: Plan) -> list[LeafOutcome]:
    """Every leaf decided by itself."""
    found = []
    for rank, leaf in enumerate(plan.leaves):
        found += check_leaves(plan, root_bounds(plan, plan.region_of[leaf.disjunct]), [rank])
    return found


def run(plan: Plan, journal: Journal | None = None) -> list[LeafOutcome]:
    outcomes = run_leaves(plan, 1, Deadline(None, None), None, journal).outcomes
    assert len(outcomes) == len(plan.leaves)
    return sorted(outcomes, key=lambda o: o.rank)


FACT = Evidence({}, 0.0, multipliers={Literal(Z, 0, -1, 0.0): 1.0})


def test_outcomes_are_those_of_each_alone() -> None:
    plan = plan_of(five(), FACT, (0.0, 0.0, 0.5, -0.0, 0.0))
    same = [plan.leaves[rank].disjunct for rank in plan.first_of]
    assert same == [1, 3], "of one box, path and guidance: not another point, nor another box; -0.0 is 0.0"
    assert {plan.leaves[first].disjunct for first in plan.first_of.values()} == {0}
    assert run(plan) == alone(plan)


def test_what_holds_nowhere_is_certified_once_for_all() -> None:
    fact = Evidence({}, 0.0, multipliers={Literal(Z, 0, -1, -100.0): 1.0})
    plan = plan_of(five(), fact, (-100.0,) * 5)
    outcomes = run(plan)
    assert outcomes == alone(plan)
    assert all(outcomes[rank].certified for rank in plan.first_of) and len(plan.first_of) == 3


def test_leaves_that_weigh_something_are_never_the_same() -> None:
    plan = plan_of(five(), replace(FACT, weights={0: 0.5}), (0.0,) * 5)
    assert plan.first_of == {}
    assert run(plan) == alone(plan)


def test_another_guidance_is_another_leaf() -> None:
    plan = plan_of(five(), FACT, (0.0,) * 5, replace(FACT))
    assert [plan.leaves[rank].disjunct for rank in plan.first_of] == [1, 3]


@pytest.mark.parametrize("kept", [slice(0, 1), slice(1, 3), slice(0, 0)])
def test_a_journal_that_knows_some_of_them(kept: slice, tmp_path: Path) -> None:
    plan = plan_of(five(), FACT, (0.0,) * 5)
    whole = alone(plan)
    same = sorted({*plan.first_of, *plan.first_of.values()})
    journal = Journal.open(tmp_path / "j", plan)
    journal.add([whole[rank] for rank in same[kept]])
    assert run(plan, Journal.open(tmp_path / "j", plan)) == whole
