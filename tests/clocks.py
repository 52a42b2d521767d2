"""Clocks that tests control, so that what they say doesn't depend on how busy the machine is."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tlcheck import timer

GUARD = 600.0
"""Seconds after which a test that waits for another process gives up. Nothing is measured by it."""


class Steps:
    """A clock that goes on by ``step`` seconds whenever it is looked at: a limit in seconds is one in looks.

    Searches and checks look at the clock once for each piece of work, so the same input stops at the same place on any
    machine. Alarms don't ring. Forked workers inherit it, each with a count of its own.
    """

    def __init__(self, step: float) -> None:
        self.step = step
        self.looks = 0

    def now(self) -> float:
        self.looks += 1
        return self.looks * self.step

    @contextmanager
    def alarm(self, seconds: float | None, error: type[BaseException]) -> Iterator[None]:
        yield

    def install(self) -> None:
        """For the rest of this process: for programs that tests start."""
        timer.now, timer.alarm = self.now, self.alarm


class Noted(Steps):
    """It also notes the most CPU seconds between two looks: how long a limit may have to wait."""

    def __init__(self, step: float) -> None:
        super().__init__(step)
        self.longest = 0.0
        self._cpu = time.process_time()

    def now(self) -> float:
        cpu = time.process_time()
        self.longest, self._cpu = max(self.longest, cpu - self._cpu), cpu
        return super().now()


class Cpu:
    """CPU seconds of this process in a ``with`` block: about the same however many others share the machine."""

    def __enter__(self) -> Cpu:
        self._start = time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.process_time() - self._start


LOGGED = re.compile(
    r"(.*: )?\d+( of \d+)? [a-z ]+( \(\d+ %\))?(, worst margin [^ ,]+)?(, about [\d:]+ left)?\n"
)
"""A line of progress, which a log gets when a check takes long."""


def without_progress(said: str) -> str:
    """What a program said on stderr but for lines of progress, of which a busy machine gets more."""
    return "".join(line for line in said.splitlines(keepends=True) if not LOGGED.fullmatch(line))


def wait_until(holds: Callable[[], bool]) -> None:
    """Waits for a state that can be seen, for as long as it takes (GUARD: a test that hangs fails)."""
    end = time.monotonic() + GUARD
    while not holds():
        if time.monotonic() > end:
            pytest.fail(f"not within {GUARD:g} s")
        time.sleep(0.01)
