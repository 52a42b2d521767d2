"""Until when a check goes on, and how much memory it may hold."""

from __future__ import annotations

import resource
import sys
from dataclasses import dataclass, field
from math import inf

from tlcheck import timer
from tlcheck.checking.pool import BEAT, family


class Stopped(Exception):
    """The check ends here, undecided; the message says why."""


@dataclass
class Deadline:
    """``stopped()`` says why to stop, or "". Memory is what this process and its workers hold, in MiB."""

    seconds: float | None
    memory_mib: int | None
    start: float = field(default_factory=lambda: timer.now())
    _looked: float = -inf

    def stopped(self) -> str:
        now = timer.now()
        if self.seconds is not None and now - self.start > self.seconds:
            return f"stopped at the time limit of {self.seconds:g} s"
        if self.memory_mib is not None and now - self._looked > BEAT / 2:
            held = held_mib()
            if held > self.memory_mib:
                return f"stopped at the memory limit of {self.memory_mib} MiB ({held:.0f} MiB held)"
            self._looked = now
        return ""

    def check(self) -> None:
        """Raises Stopped."""
        reason = self.stopped()
        if reason:
            raise Stopped(reason)


def held_mib() -> float:
    """Resident memory of this process and its workers, MiB, shared pages counted once; elsewhere than Linux the peak."""
    try:
        return sum(_pss_kib(f"/proc/{pid}/smaps_rollup") for pid in family()) / 1024
    except (FileNotFoundError, PermissionError):
        return peak_mib()


def _pss_kib(path: str) -> int:
    try:
        with open(path, encoding="ascii") as stream:
            return next((int(line.split()[1]) for line in stream if line.startswith("Pss:")), 0)
    except ProcessLookupError:  # it ended
        return 0


def peak_mib() -> float:
    """Peak resident memory of this process, MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20) if sys.platform == "darwin" else peak / 1024
