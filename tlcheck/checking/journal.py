"""The journal of a long check: which leaves are decided, so that ``--resume`` continues.

JSON lines. The first says that it is a journal; each further line holds decided leaves of one check, under the key of all
that decides them: the claim itself (graph and query, however their files were read), its guidance, the settings, and
tlcheck's own sources. So one journal serves several certificates and both semantics, and nothing is taken over from
another reading of the same files. Lines of other checks, and a line cut short by a crash, are passed over. The journal
is the user's own file: a verdict that used one names it among its assumptions.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tlcheck.errors import InvalidInput
from tlcheck.keys import graph_key, lasting_key, query_key
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.leaf_pass import LeafOutcome
from tlcheck.trusted.plan import Plan


@dataclass
class Lines:
    """An open journal's lines under one key; ``append`` flushes."""

    path: Path
    key: str

    @classmethod
    def at(cls, path: Path, key: str) -> Self:
        """The journal at ``path``, created if absent. Raises InvalidInput when the file is no journal."""
        lines = cls(path, key)
        try:
            if not path.exists() or not path.stat().st_size:
                path.write_text(json.dumps({"journal": "tlcheck"}) + "\n", encoding="utf-8")
                return lines
            with path.open(encoding="utf-8") as stream:
                first = stream.readline(1 << 12)
        except (OSError, UnicodeDecodeError) as error:
            raise _refused(path, error) from None
        if _parse(first).get("journal") != "tlcheck":
            raise InvalidInput("TLC101", "not a journal of tlcheck", file=str(path))
        lines._end_last_line()
        return lines

    def _end_last_line(self) -> None:
        """A line cut short by a crash must not swallow the next one."""
        try:
            with self.path.open("rb+") as stream:
                stream.seek(-1, 2)
                if stream.read(1) != b"\n":
                    stream.write(b"\n")
        except OSError as error:
            raise _refused(self.path, error) from None

    def rows(self, kind: str) -> Iterator[object]:
        """The rows of the key's lines that hold rows of this kind."""
        for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines()[1:]:
            entry = _parse(line)
            rows = entry.get(kind) if entry.get("key") == self.key else None
            yield from rows if isinstance(rows, list) else ()

    def append(self, kind: str, rows: Sequence[object]) -> None:
        try:
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps({"key": self.key, kind: rows}) + "\n")
        except OSError as error:
            raise _refused(self.path, error) from None


class Journal(Lines):
    """Of the leaves of one check."""

    @classmethod
    def open(cls, path: Path, plan: Plan) -> Self:
        return cls.at(path, leaves_key(plan))

    def outcomes(self, total: int) -> Iterator[LeafOutcome]:
        """Leaves decided earlier; each rank once."""
        seen: set[int] = set()
        for row in self.rows("leaves"):
            outcome = _outcome(row)
            if outcome is not None and 0 <= outcome.rank < total and outcome.rank not in seen:
                seen.add(outcome.rank)
                yield outcome

    def add(self, outcomes: Sequence[LeafOutcome]) -> None:
        self.append("leaves", [[o.rank, o.certified, o.margin.hex(), o.empty] for o in outcomes])


def leaves_key(plan: Plan) -> str:
    """Of all that decides the outcome of a plan's leaves."""
    claim = plan.claim
    return lasting_key("leaves", graph_key(claim.graph), query_key(claim.query), plan.guidance, plan.settings)


def search_key(claim: UnsatClaim, *settings: object) -> str:
    """Of all that decides what a search for a proof of the claim is about."""
    return lasting_key("search", graph_key(claim.graph), query_key(claim.query), settings)


def measure_key(*settings: object) -> str:
    """Of all that decides what a calibration measures."""
    return lasting_key("calibrate", settings)


def _refused(path: Path, error: OSError | UnicodeDecodeError) -> InvalidInput:
    reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
    return InvalidInput("TLC402", f"the journal cannot be used: {reason}", file=str(path))


def _outcome(row: object) -> LeafOutcome | None:
    """A row as ``add`` wrote it, or None."""
    match row:
        case [int(rank), bool(certified), str(margin), bool(empty)]:
            try:
                return LeafOutcome(rank, certified, float.fromhex(margin), empty)
            except (ValueError, OverflowError):
                return None
        case _:
            return None


def _parse(line: str) -> dict[str, object]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
