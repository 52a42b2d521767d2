"""A progress bar on standard error, for checks that take a while, on a terminal only."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tlcheck.options import Progress

PATIENCE_SECONDS: Final = 1.0
"""A check that is done sooner shows no bar."""
NAME_WIDTH: Final = 24
BAR_WIDTH: Final = 8
"""They leave room for the rest on a terminal of 80 columns."""
REDRAW_SECONDS: Final = 0.1


@contextmanager
def progress_bar(enabled: bool) -> Iterator[Callable[[Progress], None] | None]:
    """Gives what a check calls with its progress; the bar is gone when the block ends. None unless ``enabled``."""
    if not enabled or not sys.stderr.isatty():
        yield None
        return
    bar = _Bar()
    try:
        yield bar.update
    finally:
        bar.close()


class _Bar:
    """Drawn from the first update after PATIENCE_SECONDS on, and by updates only: a thread would be there when forking."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Rich

        self._start = time.monotonic()
        self._rich = Rich(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=BAR_WIDTH),
            TextColumn("{task.fields[done]}", markup=False),
            TextColumn("{task.fields[margin]}", markup=False),
            TextColumn("{task.fields[left]}", markup=False),
            console=Console(stderr=True),
            transient=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._rich.add_task("", total=None, done="", margin="", left="")
        self._pace = _Pace()
        self._shown = False
        self._drawn = 0.0

    def update(self, progress: Progress) -> None:
        from tlcheck.report.text import printable

        now = time.monotonic()
        left = self._pace.left(progress, now)
        if now - self._start < PATIENCE_SECONDS or now - self._drawn < REDRAW_SECONDS:
            return
        self._drawn = now
        margin = "" if progress.worst_margin is None else f"worst margin {progress.worst_margin:.3g}"
        name = Path(progress.path).name[: NAME_WIDTH - 1 - len(progress.stage)]
        self._rich.update(
            self._task,
            description=printable(f"{name} {progress.stage}"),
            completed=progress.leaves_done,
            total=progress.leaves_total or None,
            done=f"{progress.leaves_done}/{progress.leaves_total}",
            margin=margin,
            left="" if left is None else f"{_clock(left)} left",
        )
        if not self._shown:
            self._shown = True
            self._rich.start()
        self._rich.refresh()

    def close(self) -> None:
        if self._shown:
            self._rich.stop()


class _Pace:
    """Leaves, or parts, per second since the first one of this pass over them (a claim, a semantics)."""

    def __init__(self) -> None:
        self._since: tuple[float, int] | None = None
        self._last = (-1, -1)

    def left(self, progress: Progress, now: float) -> float | None:
        """Seconds left, or None as long as nothing is known."""
        done, total = progress.leaves_done, progress.leaves_total
        if total != self._last[1] or done < self._last[0]:
            self._since = None
        self._last = (done, total)
        if self._since is None and progress.stage in ("leaves", "parts"):
            self._since = (now, done)
        if self._since is None or done <= self._since[1]:
            return None
        start, first = self._since
        return (now - start) * (total - done) / (done - first)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


LINE_SECONDS: Final = 30.0


@contextmanager
def count_bar(noun: str) -> Iterator[Callable[[int, int, str], None]]:
    """Gives what a long run calls with (done, total, last): a bar on a terminal, elsewhere a line now and then."""
    counter = _Counter(noun)
    try:
        yield counter.update
    finally:
        counter.close()


class _Counter:
    """On standard error; nothing is drawn for a run that is done within PATIENCE_SECONDS."""

    def __init__(self, noun: str) -> None:
        self._noun = noun
        self._start = self._said = time.monotonic()
        self._terminal = sys.stderr.isatty()
        self._drawn = False

    def update(self, done: int, total: int, last: str) -> None:
        now = time.monotonic()
        wait = LINE_SECONDS if not self._terminal else REDRAW_SECONDS if self._drawn else PATIENCE_SECONDS
        if now - self._said < wait:
            return
        from tlcheck.report.text import printable

        left = (now - self._start) * (total - done) / max(done, 1)
        text = f"{done} of {total} {self._noun} ({100 * done // max(total, 1)} %), about {_clock(left)} left"
        if self._terminal:
            text = f"\r\x1b[K{text}  {printable(last)}"[:78]
        sys.stderr.write(text if self._terminal else text + "\n")
        sys.stderr.flush()
        self._said, self._drawn = now, True

    def close(self) -> None:
        if self._terminal and self._drawn:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
