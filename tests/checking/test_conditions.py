"""The record of a conjunction of conditions: its least slack, what it has no semantics for, the time limit."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import pytest

from tests.clocks import Steps
from tests.trusted.science.test_conditions import GOOD, THIRD, Listed
from tlcheck.checking.conditions import check_conditions
from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.readers.loaded import LoadedClaim
from tlcheck.trusted.conditions import fact, positive
from tlcheck.trusted.verdict import Verdict


def test_the_least_slack_is_reported() -> None:
    claim = Listed((positive("a", Fraction(2)), positive("b", THIRD, "here"), fact("c", True)))
    result = check_conditions(LoadedClaim("x", claim), claim, Options())
    assert result.bound.rigorous is not None
    assert Fraction(result.bound.rigorous.decimal) <= THIRD
    assert Fraction(result.bound.rigorous.decimal) > THIRD - Fraction(1, 10**15)
    assert (result.leaves_total, result.leaves_certified) == (3, 3)


def test_deployed_semantics_are_refused() -> None:
    claim = Listed((GOOD,))
    with pytest.raises(InvalidInput, match="float32"):
        check_conditions(LoadedClaim("x", claim), claim, Options(semantics="deployed"))


def test_a_time_limit_leaves_it_unproved(steps: Callable[[float], Steps]) -> None:
    steps(1.0)
    claim = Listed((GOOD,) * 10)
    result = check_conditions(LoadedClaim("x", claim), claim, Options(timeout=2))
    assert (result.verdict, result.reason.code) == (Verdict.UNPROVEN, "TLC015")
