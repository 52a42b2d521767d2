"""Where time goes, call by call: what each kernel took, how many multiply-adds and bytes that was, and a trace for Perfetto.

Around the host's kernels times are the clock's; around a device's they are its events (untested on a GPU). With
TLCHECK_NVTX=1 and the package nvtx, each call is an NVTX range too.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from tlcheck import timer
from tlcheck.kernels.calls import Argument, Calls, Floats

PRODUCTS: Final = ("affine", "adjoint", "adjoint_tensor")


@dataclass(frozen=True)
class Event:
    """One call: seconds since the first began, and how long it took; ``work`` multiply-adds, ``bytes_`` of its arrays."""

    kernel: str
    start: float
    seconds: float
    work: int
    bytes_: int


@dataclass(frozen=True)
class Total:
    """All calls of a kernel."""

    kernel: str
    calls: int
    seconds: float
    work: int
    bytes_: int

    @property
    def rate(self) -> float:
        """10^9 multiply-adds a second."""
        return self.work / self.seconds / 1e9 if self.seconds else 0.0

    @property
    def intensity(self) -> float:
        """Multiply-adds a byte: the roofline's abscissa."""
        return self.work / self.bytes_ if self.bytes_ else 0.0


@dataclass
class Recorder(Calls):
    """Kernels that note what they were called for."""

    calls: Calls
    events: list[Event] = field(default_factory=list)
    begun: float = field(default_factory=timer.now)

    def run(
        self, kernel: str, grid: tuple[int, int], given: Sequence[Argument], results: Sequence[Floats]
    ) -> None:
        start = timer.now()
        with _range(kernel):
            self.calls.run(kernel, grid, given, results)
        seconds = timer.now() - start
        on_device = getattr(self.calls, "milliseconds", None)
        self.events.append(
            Event(
                kernel,
                start - self.begun,
                seconds if on_device is None else on_device / 1e3,
                _work(kernel, given),
                sum(a.nbytes for a in given if isinstance(a, np.ndarray)),
            )
        )

    def totals(self) -> list[Total]:
        """Of each kernel, the longest first."""
        found = []
        for name in dict.fromkeys(e.kernel for e in self.events):
            mine = [e for e in self.events if e.kernel == name]
            sums = (sum(e.seconds for e in mine), sum(e.work for e in mine), sum(e.bytes_ for e in mine))
            found.append(Total(name, len(mine), *sums))
        return sorted(found, key=lambda total: -total.seconds)

    def trace(self) -> str:
        """As Perfetto (ui.perfetto.dev) and chrome://tracing read it."""
        events: list[dict[str, Any]] = [
            {
                "name": e.kernel, "ph": "X", "pid": 1, "tid": 1, "ts": 1e6 * e.start, "dur": 1e6 * e.seconds,
                "args": {"multiply_adds": e.work, "bytes": e.bytes_},
            }
            for e in self.events
        ]  # fmt: skip
        return json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}) + "\n"


def _work(kernel: str, given: Sequence[Argument]) -> int:
    """Multiply-adds that a call means."""
    if kernel in PRODUCTS:
        sizes = [s for s in given if isinstance(s, int)]
        rows, places, _, taps, channels, columns, groups = sizes[:7]
        return rows * places * groups * taps * channels * columns
    return max(a.size for a in given if isinstance(a, np.ndarray))


def _range(name: str) -> AbstractContextManager[Any]:
    """An NVTX range, where it is asked for and can be had."""
    if os.environ.get("TLCHECK_NVTX") != "1":
        return nullcontext()
    try:
        import nvtx
    except ImportError:
        return nullcontext()
    annotated: AbstractContextManager[Any] = nvtx.annotate(f"tlc_{name}", domain="tlcheck")
    return annotated
