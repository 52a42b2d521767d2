"""The planted queries are what they say, and none of those tried here is answered wrongly (``make planted`` tries all)."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from tests.clocks import Steps
from tests.truth.planted import (
    SAT,
    UNSAT,
    answered,
    instances,
    sampled,
    sat_instance,
    unsat_instance,
)
from tests.truth.queries import gridded, numeral, valued, values_at
from tlcheck import timer
from tlcheck.trusted.decide import decide_sat
from tlcheck.trusted.verdict import Verdict

LOOKS = 150
"""Looks at the clock that a query is given."""


@pytest.fixture
def by_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that goes on by a second with each look at it."""
    clock = Steps(1.0)
    monkeypatch.setattr(timer, "now", clock.now)
    monkeypatch.setattr(timer, "alarm", clock.alarm)


def test_hidden_counterexamples_are_some():
    for planted in instances(range(0, SAT, 3), ()):
        assert decide_sat(planted.at_witness()).verdict is Verdict.CERTIFIED, planted.name
        assert planted.margin > 0


def test_where_an_unsat_query_fails_least_it_fails_by_its_margin():
    for planted in instances((), range(0, UNSAT, 2)):
        assert decide_sat(planted.at_witness()).verdict is not Verdict.CERTIFIED
        values = values_at(planted.graph, planted.witness)
        slacks = [
            min(c.bound - valued(c.form, planted.witness, values) for c in region.constraints)
            for region in planted.regions
            if all(a <= x <= b for a, x, b in zip(region.lower, planted.witness, region.upper, strict=True))
        ]
        assert abs(max(slacks) + planted.margin) < Fraction(1, 1 << 90), planted.name


@pytest.mark.parametrize("number", range(0, UNSAT, 10))
def test_no_sample_satisfies_an_unsat_query(number: int):
    planted, rng = unsat_instance(number), np.random.default_rng(number)
    for region in planted.regions:
        for _ in range(20):
            point = sampled(rng, region.lower, region.upper)
            values = values_at(planted.graph, point)
            assert any(valued(c.form, point, values) > c.bound for c in region.constraints)


def test_the_same_number_gives_the_same_query():
    for make in (sat_instance, unsat_instance):
        for number in range(4):
            assert (make(number).model, make(number).property) == (make(number).model, make(number).property)


@pytest.mark.parametrize("number", range(0, SAT, 17))
def test_a_hidden_counterexample_is_never_answered_unsat(number: int, by_looks: None):
    assert answered(sat_instance(number), LOOKS) != "unsat"


@pytest.mark.parametrize("number", range(0, UNSAT, 9))
def test_an_unsat_query_is_never_answered_sat(number: int, by_looks: None):
    assert answered(unsat_instance(number), LOOKS) != "sat"


def test_numerals_are_exact():
    for value in (
        Fraction(0),
        Fraction(-3, 8),
        Fraction(5),
        Fraction(1, 1 << 40),
        gridded(Fraction(-1, 3), up=True),
    ):
        assert Fraction(numeral(value)) == value
    with pytest.raises(ValueError, match="no finite decimal"):
        numeral(Fraction(1, 3))
    assert gridded(Fraction(1, 3), up=False) < Fraction(1, 3) < gridded(Fraction(1, 3), up=True)
