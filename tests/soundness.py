"""The soundness log: docs/soundness-log.toml as a page. ``python -m tests.soundness`` writes docs/soundness-log.md."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from tests.helpers import REPOSITORY

DATA = REPOSITORY / "docs" / "soundness-log.toml"
PAGE = DATA.with_suffix(".md")
HEAD = """# Soundness log

Every false statement that tlcheck is known to have made, newest first: a verdict CERTIFIED or REFUTED, an answer `sat` or `unsat`, a fact of a
report, a sentence that says more than was proved. Guards that were found wanting before a false statement came out of them are in
[CHANGELOG.md](../CHANGELOG.md). What counts, and how to report one, is in [SECURITY.md](../SECURITY.md).

Each entry names the tests (`tests/...`) and the cases of [certificates/](../certificates/) that run in `make test` and fail if it comes back.
`python -m tests.soundness` writes this page from [soundness-log.toml](soundness-log.toml).
"""


@dataclass(frozen=True)
class Entry:
    """``held_by``: "tests/FILE.py::NAME", or "GROUP/CASE" of certificates."""

    date: date
    version: str
    kind: str
    said: str
    input: str
    fix: str
    held_by: tuple[str, ...]


def log() -> tuple[dict[str, str], list[Entry]]:
    """What the kinds mean; the entries."""
    read = tomllib.loads(DATA.read_text())
    return read["kinds"], [Entry(**{**e, "held_by": tuple(e["held_by"])}) for e in read["entry"]]


def page() -> str:
    return "".join(_parts())


def _parts() -> Iterator[str]:
    kinds, entries = log()
    yield HEAD + "\n| kind | entries | what happened |\n| --- | --: | --- |\n"
    for name, what in kinds.items():
        yield f"| {name} | {sum(e.kind == name for e in entries)} | {what} |\n"
    for k, e in enumerate(entries):
        yield f"\n## {len(entries) - k}. {e.date}, {e.version}: {e.kind}\n\n{e.said}\n\n"
        yield f"- Input: {e.input}\n- Fix: {e.fix}\n"
        yield f"- Held by: {', '.join(f'`{h}`' for h in e.held_by)}\n"


if __name__ == "__main__":
    PAGE.write_text(page())
