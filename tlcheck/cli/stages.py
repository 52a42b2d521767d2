"""Progress of commands that work in stages: one bar a stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager


@contextmanager
def stage_bars() -> Iterator[Callable[[str, int, int, str], None]]:
    """Gives what is called with (stage, done, total, what was done last)."""
    from tlcheck.cli.progress import count_bar

    with ExitStack() as stack:
        bars: dict[str, Callable[[int, int, str], None]] = {}

        def tell(stage: str, done: int, total: int, last: str) -> None:
            if stage not in bars:
                stack.close()
                bars[stage] = stack.enter_context(count_bar(stage))
            bars[stage](done, total, last)

        yield tell
