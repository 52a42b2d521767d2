"""The tripwire under ball64: a wrong float64 bound is an internal error, a loose integer one is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.trusted.test_audit import ONE_LEAF, leaves
from tests.truth.kinds import query
from tests.truth.small_nets import layered
from tlcheck.checking.crosscheck.disagreement import EnginesDisagree
from tlcheck.checking.deadline import Deadline
from tlcheck.checking.schedule import planned, run_leaves
from tlcheck.checking.tripwire import recheck
from tlcheck.readers.onnx import read_model
from tlcheck.readers.vnnlib.read import read_property
from tlcheck.trusted.bounds import Enclosure
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.guidance import Guidance
from tlcheck.trusted.plan import Plan, Settings

TEXT = "(declare-const X_0 Real)(declare-const Y_0 Real)(assert (>= X_0 -1))(assert (<= X_0 1))(assert (<= Y_0 -9))"


def plan(scale: float, *, per_leaf: bool) -> Plan:
    """relu(scale x + 1) + relu(-x), in float64."""
    first = np.array([[scale], [-1.0]], np.float32), np.array([1, 0], np.float32)
    second = np.eye(2, dtype=np.float32), np.array([0, 0.25], np.float32)
    last = np.array([[1.0, 1.0]], np.float32), np.zeros(1, np.float32)
    graph = read_model(layered([first, second, last]))
    claim = UnsatClaim(graph, read_property(TEXT.encode(), n_inputs=1, n_outputs=1))
    return planned(claim, Guidance(ONE_LEAF, leaves(1), per_leaf_bounds=per_leaf), Settings("ball64"))


def checked(made: Plan) -> int:
    run = run_leaves(made, 1, Deadline(None, None), None, None)
    return recheck(made, run.bounds)


@pytest.mark.parametrize("per_leaf", [False, True])
@pytest.mark.parametrize("scale", [0.5, 2.0**90, 2.0**-120])
def test_rows_agree(scale: float, per_leaf: bool) -> None:
    """Also where a layer has weights of 2^90 and of 1: integers have one exponent there."""
    assert checked(plan(scale, per_leaf=per_leaf)) > 0


@pytest.mark.parametrize("error", [1e-3, 1.0])
def test_a_wrong_float64_bound_is_noticed(error: float, monkeypatch: pytest.MonkeyPatch) -> None:
    right = Enclosure.row_bounds

    def wrong(self: Enclosure, *arguments: Any) -> Any:
        return right(self, *arguments) + error * (self.engine.name == "ball64")

    made = plan(0.5, per_leaf=False)
    run = run_leaves(made, 1, Deadline(None, None), None, None)
    monkeypatch.setattr(Enclosure, "row_bounds", wrong)
    with pytest.raises(EnginesDisagree, match="TLC902"):
        recheck(made, run.bounds)


def test_what_was_found_by_truth() -> None:
    """A weight of 1e36 beside one of 7: verify ended with an internal error."""
    planted = query("extreme", 2)
    claim = planted.claim()
    assert checked(planned(claim, Guidance(ONE_LEAF, leaves(1)), Settings("ball64"))) >= 0
