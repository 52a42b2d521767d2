"""``python -m tests.bench.cpu_clock ARGUMENTS``: tlcheck, whose limits in seconds are CPU seconds of its process.

On a machine that others use too, a limit by the clock on the wall measures them. With ``--jobs 1`` all work is in this process.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tlcheck import timer


@contextmanager
def alarm(seconds: float | None, error: type[BaseException]) -> Iterator[None]:
    """``timer.alarm`` by CPU seconds."""
    if seconds is None:
        yield
        return

    def ring(*_: object) -> None:
        raise error

    before: Any = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def install() -> None:
    """For the rest of this process."""
    timer.now, timer.alarm = time.process_time, alarm


def run(arguments: Sequence[str]) -> None:
    """tlcheck with these arguments; ends as it does, by SystemExit."""
    install()
    from tlcheck.cli.main import entry

    sys.argv[1:] = arguments
    entry()


if __name__ == "__main__":
    run(sys.argv[1:])
