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
NAME_WIDTH: Final = 26
"""Leaves room for the rest on a terminal of 80 columns."""


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
    """Drawn from the first update after PATIENCE_SECONDS on."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Rich

        self._start = time.monotonic()
        self._rich = Rich(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=12),
            MofNCompleteColumn(),
            TextColumn("{task.fields[margin]}", markup=False),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._rich.add_task("", total=None, margin="")
        self._shown = False

    def update(self, progress: Progress) -> None:
        from tlcheck.report.text import printable

        margin = "" if progress.worst_margin is None else f"worst margin {progress.worst_margin:.3g}"
        self._rich.update(
            self._task,
            description=printable(f"{Path(progress.path).name} {progress.stage}")[:NAME_WIDTH],
            completed=progress.leaves_done,
            total=progress.leaves_total or None,
            margin=margin,
        )
        if not self._shown and time.monotonic() - self._start >= PATIENCE_SECONDS:
            self._shown = True
            self._rich.start()

    def close(self) -> None:
        if self._shown:
            self._rich.stop()
