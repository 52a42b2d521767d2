"""A sample of ``make truth``: the known answers are right, nothing false is said of them, and a wrong rule would be noticed."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from tests.clocks import Steps
from tests.truth import judges
from tests.truth.__main__ import CLEAR, Counts, competition, kept, report, tried
from tests.truth.evidence import evidence
from tests.truth.judges import SETTINGS, Said, drawn, false, somewhere
from tests.truth.kinds import KINDS, query
from tests.truth.peaks import far, rounded
from tests.truth.queries import Planted, numeral, valued, values_at, without_decimals
from tests.truth.scalar import kinks, reached
from tlcheck.errors import InvalidInput
from tlcheck.trusted import leaf_pass
from tlcheck.trusted.arith.arb import Arb

F = Fraction


@pytest.fixture
def looks(steps: Callable[[float], Steps]) -> None:
    steps(0.01)


def satisfied(planted: Planted, point: tuple[Fraction, ...], room: Fraction) -> bool:
    """Some region holds at the point, each constraint by ``room``."""
    values = values_at(planted.graph, point)
    return any(
        all((a is None or a <= x) and (b is None or x <= b) for a, x, b in zip(r.lower, point, r.upper, strict=True))
        and all(c.bound - valued(c.form, point, values) >= (room if "Y" in str(c.form) else c.strict * F(1, 10**60)) for c in r.constraints)
        for r in planted.regions
    )  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_the_answers_are_right(kind: str) -> None:
    """As far as points show: the known one satisfies a query that is sat; none of an unsat one does."""
    answers = []
    for number in range(10):
        planted, rng = query(kind, number), drawn(kind, number)
        answers.append(planted.answer)
        try:
            claim = planted.claim()
        except InvalidInput:
            continue
        assert claim.query.disjuncts
        if planted.answer == "sat":
            assert planted.witness is None or satisfied(planted, planted.witness, F(-1, 10**55))
            continue
        points = [somewhere(planted, rng) for _ in range(4)]
        points += [] if planted.witness is None else [planted.witness]
        assert not any(satisfied(planted, p, F(1, 10**55)) for p in points)
    assert len(set(answers)) == (1 if kind == "sliver" else 2)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_false_is_said(kind: str) -> None:
    counts = Counts()
    for number in range(100, 102):
        tried(kind, number, counts, SETTINGS, 4)
    assert not counts.false
    assert counts.said


@pytest.mark.usefixtures("looks")
@pytest.mark.parametrize("kind", ["tie", "executed", "quantised", "two-networks"])
def test_nothing_false_is_said_of_files(kind: str, tmp_path: Path) -> None:
    counts = Counts()
    tried(kind, 7, counts, (), folder=tmp_path)
    competition(kind, (7, 8), counts, tmp_path)
    assert not counts.false
    ways = {way for _, _, way, *_ in counts.said}
    assert ways == {"equiv"} if kind == "two-networks" else ways >= {"certify", "vnnlib", "referee"}
    assert any(line.startswith("false: 0") for line in report(counts))


@pytest.mark.usefixtures("looks")
def test_what_was_kept_stays_right(tmp_path: Path) -> None:
    counts = Counts()
    for kind, number in kept():
        tried(kind, number, counts, SETTINGS)
        for said in judges.bundle(query(kind, number), drawn("bundle", kind, number), tmp_path):
            counts.add(kind, query(kind, number), said)
    assert not counts.false


def test_the_same_number_is_the_same_query() -> None:
    for kind in KINDS:
        assert (query(kind, 3).model, query(kind, 3).property) == (
            query(kind, 3).model,
            query(kind, 3).property,
        )


def test_true_claims_with_a_clear_margin_are_certified() -> None:
    """Else nothing is shown by there being no false one."""
    said = []
    for kind, number in product(("zero-width", "ulp", "cnn", "executed"), range(30)):
        planted, rng = query(kind, number), drawn(kind, number)
        if planted.answer == "unsat" and planted.margin >= CLEAR:
            claim = planted.claim()
            good = evidence("good", planted, claim, rng)
            said += [s.word for s in judges.proved([planted], claim, good, "arb", "real", "good")]
    assert said.count("CERTIFIED") >= 0.6 * len(said) > 10


@pytest.mark.parametrize(("kind", "arith"), [("tie", "arb"), ("ulp", "ball64"), ("executed", "auto")])
def test_a_wrong_judgement_would_be_noticed(kind: str, arith: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Margins a little below zero taken for proofs; under deployed semantics, no rounding."""

    def lenient(margin: Arb) -> bool:
        return bool(margin >= -1)

    monkeypatch.setattr(leaf_pass, "compare_positive", lenient)
    monkeypatch.setattr(leaf_pass, "compare_nonnegative", lenient)
    counts = Counts()
    for number in range(40):
        tried(kind, number, counts, [(arith, "deployed")])
        if counts.false:
            return
    pytest.fail("nothing was noticed")


@pytest.mark.parametrize(
    ("answer", "executed", "about", "word", "semantics", "wrong"),
    [
        ("sat", False, "unsat", "CERTIFIED", "real", True),
        ("unsat", False, "unsat", "CERTIFIED", "deployed", False),
        ("unsat", True, "unsat", "CERTIFIED", "deployed", True),
        ("unsat", True, "unsat", "CERTIFIED", "real", False),
        ("unsat", False, "witness", "CERTIFIED", "real", True),
        ("unsat", False, "point", "CERTIFIED", "real", True),
        ("sat", False, "witness", "REFUTED", "real", True),
        ("sat", False, "point", "REFUTED", "real", False),
        ("sat", True, "witness", "CERTIFIED", "deployed", True),
        ("sat", True, "witness", "CERTIFIED", "real", False),
        ("unsat", False, "witness", "sat", "real", True),
        ("sat", False, "unsat", "unsat", "real", True),
        ("unsat", False, "unsat", "CRASH", "real", True),
        ("sat", False, "unsat", "UNPROVEN", "real", False),
    ],
)
def test_what_counts_as_false(
    answer: str, executed: bool, about: str, word: str, semantics: str, wrong: bool
) -> None:
    planted = Planted("", b"", (), answer, 1, F(0), (), executed=executed)
    assert false(planted, about, word, semantics) is wrong


def test_an_exception_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> Callable[[], Said]:
        raise KeyError("x")

    monkeypatch.setattr(judges, "proved", broken)
    counts = Counts()
    tried("ulp", 0, counts, SETTINGS)
    assert "KeyError" in counts.false[0]


def test_one_variable() -> None:
    """2 relu(x) - relu(2 x - 1) - relu(-x): up with slope 1, then 2, then flat."""
    layers = [([[F(1)], [F(2)], [F(-1)]], [F(0), F(-1), F(0)]), ([[F(2), F(-1), F(-1)]], [F(0)])]
    found = reached(layers, F(-1), F(2))
    assert (found.least, found.at_least, found.most) == (-1, -1, 1)
    assert kinks(layers, F(-1), F(2)) == [0, F(1, 2)]
    assert reached(layers, F(1, 4), F(1, 4)).most == F(1, 2)


def test_steps_of_eight_bits() -> None:
    for x, zero, y in (
        (F(5, 4), 0, F(1)),
        (F(7, 4), 0, F(2)),
        (F(-1000), 3, F(-131, 2)),
        (F(1000), 0, F(127, 2)),
    ):
        assert rounded(x, np.float32(0.5), zero) == y


def test_numerals_of_decimals() -> None:
    for value in (F(1, 10), F(-3, 40), F(10**30), F(7, 5**20 * 2**3), F(1, 10**60)):
        assert F(numeral(value)) == value
    assert without_decimals(F(1, 3 * 2 * 25)) == 3
    assert far(drawn(1), 2)[0][0].denominator > 0
