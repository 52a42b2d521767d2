"""The journal of a long check: which leaves are decided, so that ``--resume`` continues.

JSON lines. The first says which check it belongs to (hashes of what was read, settings, version); a journal of another
check is refused. A line cut short by a crash is dropped. The journal is the user's own file: a verdict that used one
names it among its assumptions.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tlcheck import __version__
from tlcheck.errors import InvalidInput
from tlcheck.trusted.decide import LeafOutcome, Settings


@dataclass
class Journal:
    """An open journal; ``add`` appends and flushes."""

    path: Path
    key: str

    @staticmethod
    def open(path: Path, sources: Mapping[str, str], name: str, settings: Settings) -> Journal:
        """The journal at ``path`` for this check, created if absent. Raises InvalidInput for another check's."""
        text = json.dumps([__version__, sorted(sources.items()), name, asdict(settings)], sort_keys=True)
        journal = Journal(path, hashlib.sha256(text.encode()).hexdigest())
        if path.exists() and path.stat().st_size:
            first = path.open(encoding="utf-8").readline()
            if _parse(first).get("key") not in (None, journal.key) or "key" not in _parse(first):
                raise InvalidInput("TLC101", "a journal of another check", file=str(path), expected=journal.key[:16])
        else:
            path.write_text(json.dumps({"key": journal.key}) + "\n", encoding="utf-8")
        return journal

    def outcomes(self, total: int) -> Iterator[LeafOutcome]:
        """Leaves decided earlier; each rank once."""
        seen: set[int] = set()
        for line in self.path.read_text(encoding="utf-8").splitlines()[1:]:
            rows = _parse(line).get("leaves")
            for row in rows if isinstance(rows, list) else ():
                outcome = _outcome(row)
                if outcome is not None and 0 <= outcome.rank < total and outcome.rank not in seen:
                    seen.add(outcome.rank)
                    yield outcome

    def add(self, outcomes: Sequence[LeafOutcome]) -> None:
        rows = [[o.rank, o.certified, o.margin.hex(), o.empty] for o in outcomes]
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"leaves": rows}) + "\n")


def _outcome(row: object) -> LeafOutcome | None:
    """A row as ``add`` wrote it, or None."""
    match row:
        case [int(rank), bool(certified), str(margin), bool(empty)]:
            try:
                return LeafOutcome(rank, certified, float.fromhex(margin), empty)
            except ValueError:
                return None
        case _:
            return None


def _parse(line: str) -> dict[str, object]:
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
