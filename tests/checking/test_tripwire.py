"""The tripwire: what float64 says of a leaf is compared with what integers say of it."""

from __future__ import annotations

from fractions import Fraction

import pytest

from tests.trusted.test_audit import ONE_LEAF, leaves
from tests.trusted.test_ties import TWICE
from tlcheck.checking.crosscheck.disagreement import EnginesDisagree
from tlcheck.checking.tripwire import recheck
from tlcheck.trusted.arith.arb import Arb
from tlcheck.trusted.arith.ball64 import Ball64Form
from tlcheck.trusted.arith.box import Box
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.guidance import Guidance
from tlcheck.trusted.plan import Plan, Settings, root_bounds
from tlcheck.trusted.query import Disjunct, InputBox, LinearConstraint, Query


@pytest.mark.parametrize("per_leaf", [False, True])
def test_a_leaf_is_decided_in_both(per_leaf: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    far = LinearConstraint((), ((0, Fraction(1)),), Fraction(-1))
    query = Query(2, 4, (Disjunct(InputBox((Fraction(-1),) * 2, (Fraction(1),) * 2), (far,)),))
    plan = Plan(
        UnsatClaim(TWICE, query),
        Guidance(ONE_LEAF, leaves(1), per_leaf_bounds=per_leaf),
        Settings(budget=-1.0),
    )
    bounds = {} if per_leaf else {0: root_bounds(plan, 0)}
    assert recheck(plan, bounds) >= 1
    right = Ball64Form.lower_balls

    def above(form: Ball64Form, boxes: dict[int, Box]) -> list[Arb]:
        return [low + 2.0**-10 for low in right(form, boxes)]

    monkeypatch.setattr(Ball64Form, "lower_balls", above)
    with pytest.raises(EnginesDisagree, match=r"leaf 0: float64 margin 1\.000"):
        recheck(plan, bounds)
