"""What every test runs under: no time limits of hypothesis, the same examples each time; and what was not tested is said loudly."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings

from tests.clocks import Noted
from tlcheck import timer

settings.register_profile(
    "tlcheck", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("tlcheck")

for _name in (
    "COLUMNS",
    "LINES",
    "NO_COLOR",
    "FORCE_COLOR",
    "CLICOLOR_FORCE",
    "TTY_COMPATIBLE",
    "TLCHECK_DEBUG",
):
    os.environ.pop(_name, None)  # of the terminal that runs the tests

ABSENT = {
    "chromium": "Chromium (Debian: apt-get install chromium)",
    "vnnlib-satisfactory": "vnnlib-satisfactory (make venv, or pip install --no-deps vnnlib-satisfactory)",
    "shared data": "the shared data, ../shared/data",
    "shared faults": "the shared inputs of faults, ../shared/faults",
    "shared": "the shared folder, ../shared",
    "could not import": "a Python package (make venv)",
    "scikit-learn": "scikit-learn (make venv)",
    "C compiler": "a C compiler",
}
"""Words in the reason of a skip, and what has to be there for the test."""


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], Noted]:
    """Puts a clock in place that goes on by so many seconds at each look."""

    def start(step: float) -> Noted:
        clock = Noted(step)
        monkeypatch.setattr(timer, "now", clock.now)
        monkeypatch.setattr(timer, "alarm", clock.alarm)
        return clock

    return start


def untested(skipped: list[tuple[str, str]]) -> list[str]:
    """Lines that say what was not tested for want of something, from (file, reason) of each skip."""
    counts: dict[str, Counter[str]] = {}
    for file, reason in skipped:
        word = next((word for word in ABSENT if word.lower() in reason.lower()), None)
        if word is not None:
            counts.setdefault(ABSENT[word], Counter())[file] += 1
    lines = []
    for what, files in counts.items():
        total = files.total()
        lines.append(f"NOT TESTED: {total} skip{'s' if total > 1 else ''} for want of {what}")
        lines += [f"    {count:4} in {file}" for file, count in sorted(files.items())]
    return lines


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A green run tells what it did not test."""
    skipped = {}  # by node: every worker reports the skip of a whole module
    for report in terminalreporter.stats.get("skipped", []):
        place = report.longrepr
        reason = place[2] if isinstance(place, tuple) else str(place)
        skipped[report.nodeid] = (report.nodeid.split("::")[0], re.sub(r"^Skipped: ", "", reason))
    lines = untested(list(skipped.values()))
    if lines:
        terminalreporter.section("WARNING: NOT EVERYTHING WAS TESTED", sep="!", red=True, bold=True)
        for line in lines:
            terminalreporter.write_line(line, red=True)
