"""The generator of VNN-LIB texts: a short run finds nothing, the evaluator is right, and wrong readings are found."""

from __future__ import annotations

from fractions import Fraction as F
from typing import Any

import pytest

from tests.fuzz.corpus import FORMULAS, Corpus
from tests.fuzz.formulas import run
from tests.fuzz.formulas.meaning import Nonsense, meaning
from tests.fuzz.formulas.write import text_of
from tlcheck.readers.vnnlib import normal_form, version1, version2
from tlcheck.trusted.query import LinearConstraint

HEAD = "(declare-const X_0 Real)(declare-const Y_0 Real)"


def test_a_short_run() -> None:
    outcomes = [run.examine(text_of(1, k)) for k in range(250)]
    assert [o.difference for o in outcomes if o.difference] == []
    assert sum(o.status == "read" for o in outcomes) > 170
    assert sum(o.true for o in outcomes) > 300


def test_the_kept_texts() -> None:
    kept = Corpus(FORMULAS, lambda data: ()).inputs()
    assert len(kept) > 50
    assert [o.difference for o in (run.examine(data.decode()) for data in kept) if o.difference] == []


@pytest.mark.parametrize(
    ("formula", "truths"),
    [
        ("(<= X_0 Y_0)", (True, True, False)), ("(< X_0 Y_0)", (True, False, False)), ("(= X_0 Y_0 1)", (False, True, False)),
        ("(=> (<= X_0 1) (>= Y_0 1))", (True, True, True)), ("(not (or (< X_0 1) false))", (False, True, True)),
        ("(<= (ite (< X_0 1) 5 (- X_0)) (/ Y_0 2))", (False, True, True)), ("(let ((v (+ X_0 1))) (> v Y_0))", (False, True, True)),
        ("(>= (* 1e0 X_0 .5 2.) (- 3 Y_0 +0))", (True, False, True)), ("(distinct X_0 Y_0)", (True, False, True)), ("(xor (< X_0 1) (< Y_0 2))", (True, True, True)),
    ],
)  # fmt: skip
def test_the_evaluator(formula: str, truths: tuple[bool, ...]) -> None:
    said = meaning(f"{HEAD} (assert {formula})")
    points = [(F(0), F(3)), (F(1), F(1)), (F(2), F(1))]
    assert tuple(said.holds({"X_0": x, "Y_0": y}) for x, y in points) == truths


@pytest.mark.parametrize(
    "text",
    [
        "(assert (<= X_0 1))",
        f"{HEAD}(assert (and))",
        f"{HEAD}(assert (<= X_0 1_0))",
        f"{HEAD}(check-sat)",
        "(",
    ],
)
def test_what_has_no_meaning(text: str) -> None:
    with pytest.raises(Nonsense):
        meaning(text).holds({"X_0": F(0), "Y_0": F(0)})


def strict_is_not(c: LinearConstraint) -> LinearConstraint:
    return LinearConstraint(c.inputs, c.outputs, c.bound, False)


def last_bound_wins(ends: dict[int, F], bound: Any, common: dict[int, F]) -> None:
    ends[bound.coordinate] = bound.value


@pytest.mark.parametrize(
    "patch",
    [
        (normal_form, "_tighten", last_bound_wins),
        (normal_form.InputBound, "as_constraint", lambda b: strict_is_not(LinearConstraint(((b.coordinate, F(1 if b.upper else -1)),), (), b.value, True))),
        (version1, "parse_decimal", lambda text, **more: F(float(text))),
        (version2._Expressions, "_sum", lambda self, head, rest, scale: self._form(self._operand(head))),
    ],
    ids=["the last bound wins", "strict bounds of inputs", "decimals as doubles", "sums of one"],
)  # fmt: skip
def test_a_wrong_reading_is_found(patch: tuple[Any, str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*patch)
    assert any(run.examine(text_of(2, k)).difference for k in range(400))
