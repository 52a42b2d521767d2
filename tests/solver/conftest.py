"""The solver's time limits count looks at the clock here: what it finds doesn't depend on the machine."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.clocks import Steps

LOOK = 0.002
"""Seconds of one look: 2,000 of them in a limit of 4 s, more than what the searches here need."""


@pytest.fixture(autouse=True)
def clock(steps: Callable[[float], Steps]) -> Steps:
    return steps(LOOK)
