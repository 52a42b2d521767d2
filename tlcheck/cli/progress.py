"""Progress on standard error, for what takes a while: a bar on a terminal, elsewhere a line now and then.

Everything is drawn by updates only (a thread would be there when forking), and by a clock that tests replace.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tlcheck import timer
from tlcheck.options import Progress

Clock = Callable[[], float]

PATIENCE_SECONDS: Final = 1.0
"""A check that is done sooner shows no bar."""
NAME_WIDTH: Final = 24
BAR_WIDTH: Final = 8
"""They leave room for the rest on a terminal of 80 columns."""
REDRAW_SECONDS: Final = 0.1
LINE_SECONDS: Final = 30.0
"""Where there is no terminal: silence before a line, at first; it doubles with every line that shows no new tenth."""
STEP_SECONDS: Final = 10.0
"""Least time between two lines."""
TENTHS: Final = 10
MAX_LINES: Final = 60
"""Of one check: passes over its leaves have ten each, time alone gives a few."""


def clock() -> float:
    return timer.now()


@contextmanager
def progress_bar(enabled: bool) -> Iterator[Callable[[Progress], None] | None]:
    """Gives what a check calls with its progress; the bar is gone when the block ends. None unless ``enabled``."""
    if not enabled:
        yield None
        return
    if not sys.stderr.isatty():
        yield _Lines().update
        return
    bar = _Bar()
    try:
        yield bar.update
    finally:
        bar.close()


class _Lines:
    """For a log: a line for a new tenth of the work, or after a long silence; MAX_LINES at most."""

    def __init__(self) -> None:
        self._pace = Pace()
        self._due = Due()

    def update(self, progress: Progress) -> None:
        from tlcheck.report.text import printable

        now = clock()
        done, total = progress.leaves_done, progress.leaves_total
        left = self._pace.left(done, total, now)
        if not self._due.now(now, done, total):
            return
        text = f"{progress.path}: {_part(done, total, progress.stage)}"
        if progress.worst_margin is not None:
            text += f", worst margin {progress.worst_margin:.3g}"
        _line(printable(text + _left(left)))


class _Bar:
    """Drawn from the first update after PATIENCE_SECONDS on."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Rich

        self._start = clock()
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
        self._pace = Pace()
        self._shown = False
        self._drawn = 0.0

    def update(self, progress: Progress) -> None:
        from tlcheck.report.text import printable

        now = clock()
        left = self._pace.left(progress.leaves_done, progress.leaves_total, now)
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
            left="" if left is None else f"{clock_text(left)} left",
        )
        if not self._shown:
            self._shown = True
            self._rich.start()
        self._rich.refresh()

    def close(self) -> None:
        if self._shown:
            self._rich.stop()


LEAST_ITEMS: Final = 4
LEAST_SECONDS: Final = 2.0
"""Before so many items of a pass are done, or so much of its time is over, nothing is said of the rest."""
LEAST_MARKS: Final = 3
"""Items may come in chunks: of one chunk alone nobody knows what its time was spent on."""
MOST_MARKS: Final = 1024


class Pace:
    """Time left of a pass (over leaves, parts, rulings), by the later half of the items that are done.

    The first items do not count for long: a first one that takes as long as all others together, or what comes before
    it, is out of the reckoning as soon as anything is said.
    """

    def __init__(self) -> None:
        self._total: int | None = None
        self._marks: list[tuple[int, float]] = []
        """(items done, when it was first seen), rising in both."""

    def left(self, done: int, total: int, now: float) -> float | None:
        """Seconds left, or None as long as too little is known."""
        if total != self._total or (self._marks and done < self._marks[-1][0]):
            self._total, self._marks = total, []
        if not self._marks or done > self._marks[-1][0]:
            self._marks.append((done, now))
            if len(self._marks) > MOST_MARKS:
                self._marks = self._marks[:1] + self._marks[2::2]
        first, start = self._marks[0]
        if done - first < LEAST_ITEMS or len(self._marks) < LEAST_MARKS or now - start < LEAST_SECONDS:
            return None
        since, then = self._later_half(first, done)
        return (now - then) * max(total - done, 0) / (done - since)

    def _later_half(self, first: int, done: int) -> tuple[int, float]:
        """The last mark before the later half of the items: at most half of them are done there, and fewer than all."""
        half = first + (done - first) // 2
        at = [mark for mark in self._marks[:-1] if mark[0] <= half]
        later = [mark for mark in self._marks[:-1] if mark[0] > half]
        return at[-1] if len(at) > 1 or not later else later[0]


class Due:
    """When a log gets its next line."""

    def __init__(self) -> None:
        self._said = clock()
        self._wait = LINE_SECONDS
        self._tenth = (-1, 0)
        self._lines = 0

    def now(self, now: float, done: int = 0, total: int = 0) -> bool:
        """Whether a line is due; it is then taken as written."""
        tenth = (total, TENTHS * done // total if total else 0)
        new = tenth != self._tenth and tenth[1] > 0
        silence = now - self._said
        if self._lines >= MAX_LINES or silence < (STEP_SECONDS if new else self._wait):
            return False
        self._wait = self._wait if new else 2 * self._wait
        self._said, self._tenth = now, tenth
        self._lines += 1
        return True


def _part(done: int, total: int, noun: str) -> str:
    return f"{done} of {total} {noun} ({100 * done // total} %)" if total else f"{done} {noun}"


def _left(seconds: float | None) -> str:
    return "" if seconds is None else f", about {clock_text(seconds)} left"


def clock_text(seconds: float) -> str:
    """Hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def _line(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


@contextmanager
def count_bar(noun: str) -> Iterator[Callable[[int, int, str], None]]:
    """Gives what a long run calls with (done, total, last): a bar on a terminal, elsewhere a line now and then."""
    counter = _Counter(noun)
    try:
        yield counter.update
    finally:
        counter.close()


class _Counter:
    """Nothing is drawn for a run that is done within PATIENCE_SECONDS."""

    def __init__(self, noun: str) -> None:
        self._noun = noun
        self._said = clock()
        self._terminal = sys.stderr.isatty()
        self._drawn = False
        self._pace = Pace()
        self._due = Due()

    def update(self, done: int, total: int, last: str) -> None:
        from tlcheck.report.text import printable

        now = clock()
        text = _part(done, total, self._noun) + _left(self._pace.left(done, total, now))
        if not self._terminal:
            if self._due.now(now, done, total):
                _line(text)
            return
        if now - self._said < (REDRAW_SECONDS if self._drawn else PATIENCE_SECONDS):
            return
        sys.stderr.write(f"\r\x1b[K{text}  {printable(last)}"[:78])
        sys.stderr.flush()
        self._said, self._drawn = now, True

    def close(self) -> None:
        if self._terminal and self._drawn:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


class Ticker:
    """For a search of which nobody knows how long it takes: what was found so far, rewritten in place on a terminal."""

    def __init__(self, redraw: float = 0.5) -> None:
        self._redraw = redraw
        self._shown = clock()
        self._terminal = sys.stderr.isatty()
        self._due = Due()

    def __call__(self, text: str) -> None:
        now = clock()
        if not self._terminal:
            if self._due.now(now):
                _line(text)
        elif now - self._shown > self._redraw:
            self._shown = now
            sys.stderr.write(f"\r{text} \x1b[K")
            sys.stderr.flush()
