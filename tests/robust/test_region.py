"""Boxes exactly, against Fractions written out; the query says them or slightly larger ones."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest

from tlcheck.errors import InvalidInput
from tlcheck.readers.vnnlib.read import read_property
from tlcheck.robust.region import Ball
from tlcheck.writers.query_text import another_wins, decimal_above, decimal_below, query_text

F = Fraction


def test_eps_clip_and_normalisation_are_exact() -> None:
    ball = Ball(F(8, 255), (F("0.4914"), F("0.4822")), (F("0.2023"), F("0.1994")), F(255), (F(0), F(1)))
    scaled = ball.scaled((F(3), F(251)), "row 0")
    assert scaled == (F(3, 255), F(251, 255))
    lower, upper = ball.ends(scaled)
    assert lower == ((0 - F("0.4914")) / F("0.2023"), (F(243, 255) - F("0.4822")) / F("0.1994"))
    assert upper == ((F(11, 255) - F("0.4914")) / F("0.2023"), (1 - F("0.4822")) / F("0.1994"))
    assert ball.inputs(scaled) == (
        (F(3, 255) - F("0.4914")) / F("0.2023"),
        (F(251, 255) - F("0.4822")) / F("0.1994"),
    )
    assert ball.distance_squared(scaled, upper) == F(8, 255) ** 2 + F(4, 255) ** 2


def test_no_clip() -> None:
    assert Ball(F(1, 2), (F(0),), (F(1),)).ends((F(1, 4),)) == ((F(-1, 4),), (F(3, 4),))


def test_a_sample_outside_the_clip() -> None:
    ball = Ball(F(1), (F(0),), (F(1),), F(1), (F(0), F(1)))
    with pytest.raises(InvalidInput, match=r"outside --clip.*got 3") as error:
        ball.scaled((F(3),), "row 7")
    assert error.value.field == "row 7"


def test_decimals_err_outward() -> None:
    random.seed(13)
    for _ in range(2000):
        value = F(random.randint(-(10**9), 10**9), random.choice([1, 255, 2**20, 2**60, 3 * 10**30, 7]))
        below, above = F(decimal_below(value)), F(decimal_above(value))
        assert below <= value <= above
        assert above - below <= abs(value) * F(1, 10**18)
        if value.denominator in (1, 2**20):
            assert below == above
    assert decimal_below(F(1, 3)) == "0.33333333333333333333"
    assert decimal_above(F(-1, 3)) == "-0.33333333333333333333"
    assert F(decimal_above(F(2, 3) * 10**30)) >= F(2, 3) * 10**30


def test_a_query_reads_back_as_it_was_meant() -> None:
    lower, upper = (F(0), F(-1, 4)), (F(1, 8), F(3))
    query = read_property(
        query_text(lower, upper, 3, [another_wins(1, 3)], ["line\nbreak", "é"]), n_inputs=2, n_outputs=3
    )
    assert len(query.disjuncts) == 2
    for disjunct, other in zip(query.disjuncts, (0, 2), strict=True):
        assert (disjunct.box.lower, disjunct.box.upper) == (lower, upper)
        [constraint] = disjunct.constraints
        assert (constraint.bound, constraint.strict, constraint.inputs) == (0, False, ())
        assert dict(constraint.outputs) == {1: 1, other: -1}
