"""THE PATH: read, bind, enclose, decide, report. The first file to open.

    bytes --read--> claim + guidance --bind (SHA-256)--> plan --enclose--> bounds --decide--> verdict --> report

``verify_path`` decides every claim of one certificate. What is trusted is in ``tlcheck/trusted`` (the passes and the
decision) and ``tlcheck/readers`` (faithful reading of the model and the property); this module only connects them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tlcheck.check import check_conditions, check_sat, check_unsat
from tlcheck.errors import InvalidInput
from tlcheck.options import Options, Progress
from tlcheck.readers.detect import is_certificate, read_certificate
from tlcheck.readers.loaded import LoadedClaim
from tlcheck.report.record import FileResult
from tlcheck.trusted.checks import ConditionClaim
from tlcheck.trusted.claim import SatClaim, UnsatClaim
from tlcheck.trusted.guidance import Guidance
from tlcheck.trusted.verdict import ClaimResult

__all__ = ["Loaded", "convert", "decide", "discover", "load", "verify_path"]

Report = Callable[[Progress], None] | None


def verify_path(path: Path, options: Options, progress: Report = None) -> FileResult:
    """Every claim of the certificate at ``path``, decided. Raises InvalidInput when it cannot be read."""
    loaded = load(path, options)  # 1. read; 2. bind: hashes are compared before anything is parsed
    results = tuple(decide(claim, options, _named(progress, path)) for claim in loaded.items)  # 3. to 5.
    return FileResult(str(path), loaded.format, results)


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


def load(path: Path, options: Options) -> Loaded:
    """Read the certificate at ``path``. Raises InvalidInput."""
    if not os.path.exists(path):
        raise InvalidInput("TLC402", "no such file or folder", file=str(path))
    name, items = read_certificate(path, options)
    return Loaded(name, tuple(items))


def discover(path: Path) -> list[Path]:
    """The certificates at or under ``path``, sorted: ``path`` itself if it is one (or a file), else those below it."""
    if not os.path.exists(path):
        raise InvalidInput("TLC402", "no such file or folder", file=str(path))
    if os.path.isfile(path) or is_certificate(path):
        return [path]
    return sorted(_below(path))


def _below(folder: Path) -> Iterator[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise InvalidInput("TLC402", f"cannot read the folder: {error.strerror}", file=str(folder)) from error
    for entry in entries:
        if is_certificate(entry):
            yield entry
        elif entry.is_dir() and not entry.is_symlink():
            yield from _below(entry)


def _named(progress: Report, path: Path) -> Report:
    if progress is None:
        return None
    return lambda p: progress(Progress(str(path), p.leaves_done, p.leaves_total, p.worst_margin, p.stage))


def convert(dump: Path, output: Path, options: Options) -> None:
    """Write the proof in ``dump`` as a bundle. Raises InvalidInput; checks no proof."""
    from tlcheck.convert import convert as write

    write(dump, output, options)
