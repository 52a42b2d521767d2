"""Claims that a known point makes false: never certified, whatever the evidence. Their true twins are."""

from __future__ import annotations

import os

import numpy as np
import pytest

from tests.attack import lies, mutations
from tests.attack.lies import Lie
from tlcheck.options import ARITHMETICS
from tlcheck.trusted.claim import SatClaim, UnsatClaim
from tlcheck.trusted.decide import decide_sat
from tlcheck.trusted.guidance import Guidance
from tlcheck.trusted.verdict import Verdict

LIES = lies.all_lies()
RANDOM = 200 if os.environ.get("TLCHECK_SOAK") else 12
"""Random pieces of evidence per lie and arithmetic."""


def case_id(lie: Lie) -> str:
    return lie.name


def evidence_of(lie: Lie, claim: UnsatClaim) -> list[Guidance]:
    """Systematic splits of the inputs, coarse to fine, bounded in every leaf and at the root."""
    found = [
        lies.systematic(claim, (), 0),
        lies.systematic(claim, lie.cuts, 0),
        lies.systematic(claim, lie.cuts, 0, per_leaf=False),
    ]
    return [*found, lies.systematic(claim, lie.cuts, 3), lies.systematic(claim, lie.cuts, 6)]


def test_there_are_enough_and_names_differ() -> None:
    assert len(LIES) >= 30
    assert len({lie.name for lie in LIES}) == len(LIES)


@pytest.mark.parametrize("lie", LIES, ids=case_id)
def test_the_lie_is_false(lie: Lie) -> None:
    claim = lie.claim("lie")
    if lie.smooth:
        assert any(mutations.refutes(claim, d, lie.witness) for d in claim.query.disjuncts)
        return
    assert lies.satisfied(claim, lie.witness)
    assert not lies.satisfied(lie.claim("truth"), lie.witness)
    # Arb may be unable to decide a tie of decimals, but must not say the opposite.
    assert decide_sat(SatClaim(claim.graph, claim.query, lie.witness)).verdict is not Verdict.REFUTED


@pytest.mark.parametrize("lie", LIES, ids=case_id)
def test_no_evidence_certifies_a_lie(lie: Lie) -> None:
    claim = lie.claim("lie")
    rng = np.random.default_rng(sum(lie.name.encode()))
    evidence = evidence_of(lie, claim)
    evidence += [lies.random_guidance(claim, rng, int(rng.integers(9))) for _ in range(RANDOM)]
    for arith in ARITHMETICS:
        decider = mutations.Decider(claim, arith)
        answers = [decider.decide(guidance) for guidance in evidence]
        assert "certified" not in answers
        assert "broke" not in answers
        assert "unproven" in answers


@pytest.mark.parametrize("arith", ARITHMETICS)
@pytest.mark.parametrize("lie", LIES, ids=case_id)
def test_the_true_twin_is_certified(lie: Lie, arith: str) -> None:
    claim = lie.claim("truth")
    decider = mutations.Decider(claim, arith)
    assert any(decider.decide(guidance) == "certified" for guidance in evidence_of(lie, claim))
