"""What every test runs under: no time limit of hypothesis, the same examples each time; and what was not tested is said loudly."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings

from tests.clocks import Steps
from tlcheck import timer

settings.register_profile(
    "tlcheck", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("tlcheck")


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], Steps]:
    """Puts a clock in place that goes on by so many seconds at each look."""

    def start(step: float) -> Steps:
        clock = Steps(step)
        monkeypatch.setattr(timer, "now", clock.now)
        monkeypatch.setattr(timer, "alarm", clock.alarm)
        return clock

    return start
