"""Limits of a sat claim's check: what is asked of every float32 execution ends with the time, and then nothing is certified."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from tests.clocks import Steps
from tests.trusted.test_relaxed_ops import Net, dense
from tlcheck import timer
from tlcheck.checking.sat import check_sat
from tlcheck.options import Options
from tlcheck.readers.loaded import LoadedClaim
from tlcheck.trusted.claim import SatClaim
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.query import Disjunct, InputBox, LinearConstraint, Query
from tlcheck.trusted.verdict import Verdict


def witnessed() -> LoadedClaim:
    """y_0 is at most 10^9 at a point of eight layers, in float32 too."""
    rng, made, x = np.random.default_rng(0), Net(4), 0
    for _ in range(8):
        x = made.add(Relu(), made.add(dense(rng, 4, 4), x))
    graph = made.graph(x)
    box = InputBox((Fraction(0),) * 4, (Fraction(1),) * 4)
    query = Query(4, 4, (Disjunct(box, (LinearConstraint((), ((0, Fraction(1)),), Fraction(10**9)),)),))
    return LoadedClaim("w", SatClaim(graph, query, (Fraction(1, 2),) * 4), None, {}, None)


def checked(patch: pytest.MonkeyPatch, **options: Any) -> tuple[Any, Steps]:
    loaded, clock = witnessed(), Steps(1.0)
    patch.setattr(timer, "now", clock.now)
    assert isinstance(loaded.claim, SatClaim)
    return check_sat(loaded, loaded.claim, Options(**options)), clock


def test_the_check_of_executions_ends_with_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock goes on by a second whenever it is looked at, which is done before each piece of work."""
    whole, clock = checked(monkeypatch, semantics="deployed")
    assert whole.verdict is Verdict.CERTIFIED and clock.looks > 5
    enough = clock.looks
    result, clock = checked(monkeypatch, semantics="deployed", timeout=2.0)
    assert result.verdict is Verdict.UNPROVEN and result.reason.code == "TLC015" and clock.looks < enough
    assert "for every float32 execution: stopped at the time limit of 2 s" in result.reason.message
    assert checked(monkeypatch, semantics="deployed", timeout=float(enough))[0].verdict is Verdict.CERTIFIED


def test_over_the_reals_a_point_is_evaluated_whatever_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    assert checked(monkeypatch, timeout=1e-9)[0].verdict is Verdict.CERTIFIED


def test_only_the_time_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault in a piece of work is no verdict."""
    from tlcheck.checking.deadline import Deadline

    def broken(_: Deadline) -> None:
        raise ZeroDivisionError

    found: Callable[..., Any] = checked
    monkeypatch.setattr(Deadline, "check", broken)
    with pytest.raises(ZeroDivisionError):
        found(monkeypatch, semantics="deployed")
