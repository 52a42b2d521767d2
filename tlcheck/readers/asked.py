"""Which modules of the readers a file asked for: those that are imported inside a function, where some file needs them.

Whoever imports a reader so calls ``note_asked`` with its name, at every use and not at the first import alone: the
report names them with what a verdict rests on (``tlcheck.report.rests_on``), and follows what they import themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final


@contextmanager
def asked_by() -> Iterator[dict[str, None]]:
    """Gives what gets the names of modules that are asked for inside the block, in order; blocks around it get them too."""
    asked: dict[str, None] = {}
    _NOTING.append(asked)
    try:
        yield asked
    finally:
        _NOTING.pop()


def note_asked(*modules: str) -> None:
    """What is being read needs these modules."""
    for asked in _NOTING:
        asked.update(dict.fromkeys(modules))


_NOTING: Final[list[dict[str, None]]] = []
