"""THE PATH: read, bind, enclose, decide, report. The first file to open.

    bytes --read--> claim + guidance --bind (SHA-256)--> plan --enclose--> bounds --decide--> verdict --> report

``verify_path`` decides every claim of one certificate. What is trusted is in ``tlcheck/trusted`` (the passes and the
decision) and ``tlcheck/readers`` (faithful reading of the model and the property); this module only connects them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from tlcheck.options import Options, Progress, Report
from tlcheck.readers.formats.detect import check_there, read_certificate, survey
from tlcheck.readers.loaded import LoadedClaim
from tlcheck.report.claim_roots import roots_of
from tlcheck.report.record import ClaimRead, FileResult
from tlcheck.report.result import ClaimResult

if TYPE_CHECKING:
    from tlcheck.readers.loaded import Claim
    from tlcheck.trusted.claim import SatClaim, UnsatClaim
    from tlcheck.trusted.conditions import ConditionClaim
    from tlcheck.trusted.guidance import Guidance

__all__ = ["Loaded", "convert", "decide", "discover", "load", "survey", "verify_path"]


def verify_path(path: Path, options: Options, progress: Report = None) -> FileResult:
    """Every claim of the certificate at ``path``, decided. Raises InvalidInput when it cannot be read."""
    loaded = load(path, options)  # 1. read; 2. bind: hashes are compared before anything is parsed
    results = tuple(decide(claim, options, _named(progress, path)) for claim in loaded.items)  # 3. to 5.
    roots = tuple(map(roots_of, loaded.items, results))
    return FileResult(str(path), loaded.format, results, read=loaded.read, roots=roots)


def decide(loaded: LoadedClaim, options: Options, progress: Report = None) -> ClaimResult:
    """One claim, as it was read, decided. Raises InvalidInput when its evidence does not fit it."""
    result = _decided(loaded, options, progress)
    return result if loaded.said is None else replace(result, kind=loaded.said[0], statement=loaded.said[1])


def _decided(loaded: LoadedClaim, options: Options, progress: Report) -> ClaimResult:
    if loaded.claim.kind == "unsat":  # what a kind of claim needs is imported with it
        from tlcheck.checking.unsat import check_unsat

        return check_unsat(loaded, cast("UnsatClaim", loaded.claim), options, progress)
    if loaded.claim.kind == "sat":
        from tlcheck.checking.sat import check_sat

        return check_sat(loaded, cast("SatClaim", loaded.claim), options)
    from tlcheck.checking.conditions import check_conditions

    return check_conditions(loaded, cast("ConditionClaim", loaded.claim), options, progress)


@dataclass(frozen=True, eq=False)
class Loaded:
    """A certificate as read: nothing is decided yet."""

    format: str
    items: tuple[LoadedClaim, ...]

    @property
    def claims(self) -> tuple[tuple[Claim, Guidance | None], ...]:
        return tuple((item.claim, item.guidance) for item in self.items)

    @property
    def read(self) -> tuple[ClaimRead, ...]:
        """What each claim is and which files it was read from, for a lock."""
        return tuple(
            ClaimRead(i.name, kind, statement + (i.part and f" ({i.part})"), dict(i.sources))
            for i in self.items
            for kind, statement in [i.said or (i.claim.kind, statement_of(i.claim))]
        )


def statement_of(claim: Claim) -> str:
    """What is claimed, in words that do not depend on the evidence."""
    if claim.kind in ("unsat", "sat"):
        return f"{'some' if claim.kind == 'sat' else 'no'} input satisfies the property"
    return cast("ConditionClaim", claim).statement


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
