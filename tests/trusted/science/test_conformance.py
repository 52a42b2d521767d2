"""Records of executions: what is planted false is never certified."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Final

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.helpers import IEEE
from tests.trusted.test_zonotopes import mlp, points_for
from tlcheck.readers.onnx import read_model
from tlcheck.trusted.arith.profile import Profile
from tlcheck.trusted.decide import ConditionsOutcome, decide_conditions
from tlcheck.trusted.network import Network
from tlcheck.trusted.science import conformance
from tlcheck.trusted.science.conformance import NO_LABEL, Conformance, Points, Record
from tlcheck.trusted.verdict import Verdict

Floats = NDArray[np.float64]
GRAPH: Final = read_model(mlp("Tanh"))
INPUTS: Final = points_for(GRAPH, 3)


def points(profile: Profile = IEEE) -> Points:
    return Points(Network(GRAPH), profile)


def centres() -> Floats:
    return np.array([found.centre for found in points().enclosed(INPUTS) if found is not None])


def claim(outputs: Floats | None = None, within: str = "1/1000", profile: Profile = IEEE) -> Conformance:
    values = centres() if outputs is None else outputs
    return Conformance(points(profile), Record(INPUTS, values, values.argmax(axis=1)), Fraction(within))


def decided(made: Conformance) -> ConditionsOutcome:
    return decide_conditions(made)


def test_a_true_record_is_certified() -> None:
    made = claim()
    found = decided(made)
    assert found.verdict is Verdict.CERTIFIED
    assert {name: t.proved for name, t in found.tallies.items()} == dict.fromkeys(
        ("recorded outputs", "distance", "label"), 3
    )
    assert "at each of the 3 recorded inputs" in made.statement and "at 3 of them" in made.statement


@pytest.mark.parametrize("sign", [-1, 1])
def test_an_output_just_outside_is_refuted_and_one_just_inside_is_not(sign: int) -> None:
    (first, *_) = points().enclosed(INPUTS)
    assert first is not None
    end = (first.upper if sign > 0 else first.lower)[1]
    for output, verdict in ((end - sign * 1e-12, Verdict.CERTIFIED), (end + sign * 1e-12, Verdict.REFUTED)):
        outputs = centres()
        outputs[0, 1] = output
        assert decided(claim(outputs)).verdict is verdict


def test_a_label_that_every_execution_flips_is_refuted() -> None:
    made = claim()
    labels = made.record.labels.copy()
    labels[1] = (labels[1] + 1) % 4
    assert decided(replace(made, record=replace(made.record, labels=labels))).verdict is Verdict.REFUTED
    labels[1] = NO_LABEL
    assert decided(replace(made, record=replace(made.record, labels=labels))).verdict is Verdict.CERTIFIED


def test_what_is_not_decided_is_not_certified() -> None:
    assert decided(claim(within="1/1000000000")).verdict is Verdict.UNPROVEN
    assert decided(claim(profile=Profile("bare", "0" * 64))).verdict is Verdict.UNPROVEN


def test_parts_are_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A point that only a part has is refuted by its number in the whole."""
    outputs = centres()
    outputs[2, 0] += 1
    monkeypatch.setattr(conformance, "TOGETHER", 1)
    made = claim(outputs)
    assert [part.record.inputs.shape for part in made.parts()] == [(1, 6)] * 3  # type: ignore[attr-defined]
    found = decide_conditions(
        made, check_parts=lambda parts, bits: ([*p.checks(bits, lambda: None)] for p in parts)
    )
    assert found.verdict is Verdict.REFUTED and found.where == "point 2"


def test_records_that_are_none() -> None:
    good = Record(INPUTS, centres(), np.zeros(3, np.int64))
    for change in (
        {"inputs": INPUTS[:2]},
        {"labels": np.zeros(2, np.int64)},
        {"outputs": centres() * np.nan},
    ):
        with pytest.raises(ValueError, match="a record"):
            replace(good, **change)  # type: ignore[arg-type]
    tenths = replace(good, inputs=np.full(INPUTS.shape, 0.1))  # no execution is given these
    for record, within in ((replace(good, labels=np.full(3, 4)), 1), (good, -1), (tenths, 1)):
        with pytest.raises(ValueError, match="conformance"):
            Conformance(points(), record, Fraction(within))


def test_a_point_out_of_range_leaves_the_others() -> None:
    inputs = INPUTS.copy()
    inputs[1] *= 1e38
    found = list(points().enclosed(inputs))
    assert [one is None for one in found] == [False, True, False]
