"""The clock that limits are kept by. Tests put one in its place that goes by work done, not by the machine.

Used as ``timer.now()`` and ``timer.alarm(...)``, never by names imported from here: those could not be replaced.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

SOON: Final = 1e-3
"""Seconds after which an alarm rings that is late."""


def now() -> float:
    """Seconds, from some moment on."""
    return time.monotonic()


@contextmanager
def alarm(seconds: float | None, error: type[BaseException]) -> Iterator[None]:
    """Raises ``error`` in the block after ``seconds`` (None: never): between two steps of Python, where the system has
    such a timer. That is the main thread of a Unix process; elsewhere nothing is raised. An alarm around another one rings
    after the inner block at the earliest."""
    here = threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer")
    if seconds is None or not here:
        yield
        return

    def ring(*_: object) -> None:
        raise error

    begun, before = time.monotonic(), signal.signal(signal.SIGALRM, ring)
    outer, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if outer:
            signal.setitimer(signal.ITIMER_REAL, max(outer - (time.monotonic() - begun), SOON))
