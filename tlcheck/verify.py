"""THE PATH: read, bind, enclose, decide, report. The first file to open.

    bytes --read--> claim + guidance --bind (SHA-256)--> plan --enclose--> bounds --decide--> verdict --> report

``verify_path`` decides every claim of one certificate. What is trusted is in ``tlcheck/trusted`` (the passes and the
decision) and ``tlcheck/readers`` (faithful reading of the model and the property); this module only connects them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tlcheck.checking.claims import check_conditions, check_sat, check_unsat
from tlcheck.options import Options, Progress
from tlcheck.readers.detect import check_there, read_certificate, survey
from tlcheck.readers.loaded import LoadedClaim
from tlcheck.report.record import ClaimRead, FileResult
from tlcheck.report.result import ClaimResult
from tlcheck.trusted.claim import SatClaim, UnsatClaim
from tlcheck.trusted.conditions import ConditionClaim
from tlcheck.trusted.guidance import Guidance

__all__ = ["Loaded", "convert", "decide", "discover", "kind_of", "load", "survey", "verify_path"]

Report = Callable[[Progress], None] | None


def verify_path(path: Path, options: Options, progress: Report = None) -> FileResult:
    """Every claim of the certificate at ``path``, decided. Raises InvalidInput when it cannot be read."""
    loaded = load(path, options)  # 1. read; 2. bind: hashes are compared before anything is parsed
    results = tuple(decide(claim, options, _named(progress, path)) for claim in loaded.items)  # 3. to 5.
    return FileResult(str(path), loaded.format, results, read=loaded.read)


def decide(loaded: LoadedClaim, options: Options, progress: Report = None) -> ClaimResult:
    """One claim, as it was read, decided. Raises InvalidInput when its evidence does not fit it."""
    if isinstance(loaded.claim, SatClaim):
        return check_sat(loaded, loaded.claim, options)
    if isinstance(loaded.claim, ConditionClaim):
        return check_conditions(loaded, loaded.claim, options, progress)
    return check_unsat(loaded, loaded.claim, options, progress)


@dataclass(frozen=True, eq=False)
class Loaded:
    """A certificate as read: nothing is decided yet."""

    format: str
    items: tuple[LoadedClaim, ...]

    @property
    def claims(self) -> tuple[tuple[UnsatClaim | SatClaim | ConditionClaim, Guidance | None], ...]:
        return tuple((item.claim, item.guidance) for item in self.items)

    @property
    def read(self) -> tuple[ClaimRead, ...]:
        """What each claim is and which files it was read from, for a lock."""
        return tuple(
            ClaimRead(
                i.name, kind_of(i.claim), statement_of(i.claim) + (i.part and f" ({i.part})"), dict(i.sources)
            )
            for i in self.items
        )  # fmt: skip


def kind_of(claim: UnsatClaim | SatClaim | ConditionClaim) -> str:
    """As reports name it."""
    if isinstance(claim, ConditionClaim):
        return claim.kind
    return "sat" if isinstance(claim, SatClaim) else "unsat"


def statement_of(claim: UnsatClaim | SatClaim | ConditionClaim) -> str:
    """What is claimed, in words that do not depend on the evidence."""
    if isinstance(claim, ConditionClaim):
        return claim.statement
    return f"{'some' if isinstance(claim, SatClaim) else 'no'} input satisfies the property"


def load(path: Path, options: Options) -> Loaded:
    """Read the certificate at ``path``. Raises InvalidInput."""
    check_there(path)
    name, items = read_certificate(path, options)
    return Loaded(name, tuple(items))


def discover(path: Path) -> list[Path]:
    """The certificates at or under ``path``, sorted: ``path`` itself if it is one (or a file), else those below it."""
    return list(survey(path).certificates)


def _named(progress: Report, path: Path) -> Report:
    if progress is None:
        return None
    return lambda p: progress(Progress(str(path), p.leaves_done, p.leaves_total, p.worst_margin, p.stage))


def convert(dump: Path, output: Path, options: Options) -> None:
    """Write the proof in ``dump`` as a bundle. Raises InvalidInput; checks no proof."""
    from tlcheck.writers.convert import convert as write

    write(dump, output, options)
