"""Claims in words are exact."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import CERTIFICATES
from tlcheck.options import Options
from tlcheck.report.numerals import number
from tlcheck.report.words import claim_lines, constraint_text
from tlcheck.trusted.claim import SatClaim, UnsatClaim
from tlcheck.trusted.graph import Graph, Node
from tlcheck.trusted.ops.structure import Input
from tlcheck.trusted.query import Disjunct, InputBox, LinearConstraint, Query
from tlcheck.verify import load


@given(st.fractions())
def test_number_is_exact(value: Fraction) -> None:
    assert Fraction(number(value)) == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_number_is_exact_for_floats(value: float) -> None:
    assert Fraction(number(Fraction(value))) == Fraction(value)


@pytest.mark.parametrize(
    ("inputs", "outputs", "bound", "strict", "text"),
    [
        (((0, 1),), ((1, -1),), Fraction(1, 10), False, "x[0] - y[1] <= 0.1"),
        ((), ((0, Fraction(-1, 3)), (2, 2)), Fraction(0), True, "-1/3 y[0] + 2 y[2] < 0"),
        ((), (), Fraction(-1), False, "0 <= -1"),
    ],
)
def test_constraint_as_formula(
    inputs: object, outputs: object, bound: Fraction, strict: bool, text: str
) -> None:
    def pairs(values: object) -> tuple[tuple[int, Fraction], ...]:
        return tuple((i, Fraction(c)) for i, c in values)  # type: ignore[attr-defined]

    assert constraint_text(LinearConstraint(pairs(inputs), pairs(outputs), bound, strict)) == text


def _claim(size: int, disjuncts: int) -> tuple[Graph, Query]:
    graph = Graph((Node(Input((size,)), (), (size,)),), (0,), ("x",), ("y",))
    box = InputBox((Fraction(0),) * size, (Fraction(1, 4),) * size)
    constraint = LinearConstraint((), ((0, Fraction(1)),), Fraction(-1))
    return graph, Query(size, size, (Disjunct(box, (constraint,)),) * disjuncts)


def test_what_is_left_out_is_counted() -> None:
    text = "\n".join(claim_lines(UnsatClaim(*_claim(9, 14)), None))
    assert "no x lies in any of the sets" in text
    assert (
        "... and 3 more inputs; 0 of all 9 are fixed, the widest has width 0.25: each is within 0.125 of the middle"
        in text
    )
    assert text.count("more inputs") == 1
    assert text.count("x as in set 1") == 11
    assert "... and 2 more sets" in text


def test_a_witness_is_shown() -> None:
    claim = SatClaim(*_claim(2, 1), witness=(Fraction(1, 8), Fraction(0)))
    assert "x = (0.125, 0)" in "\n".join(claim_lines(claim, None))


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("pinn-domain-sup", ["network: 2 inputs, 1 output", "evidence: 64 cells, Taylor models of order 5"]),
        ("solution-heat-L2", ["network: 2 inputs, 1 output", "evidence: Taylor models, residual 32 cells"]),
        ("stability-cone", ["evidence: 7 boxes: 6 by pieces, 1 core"]),
        ("corridor-relu-kink", []),
    ],
)
def test_covers_are_counted(name: str, lines: list[str]) -> None:
    claim, guidance = load(CERTIFICATES / "accept" / name / "x.tlcert", Options()).claims[0]
    said = claim_lines(claim, guidance)
    assert len(said) == 1 + len(lines)
    assert all(any(line.startswith(wanted) for line in said) for wanted in lines)
