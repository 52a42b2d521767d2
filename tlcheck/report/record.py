"""What a run of ``tlcheck verify`` found: the one record that every report format renders.

A file has claims, each with a verdict, or it has an ``error``: a bug, which is never a verdict. A run is CERTIFIED
only if it has files, every file has claims, and every claim is CERTIFIED.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Literal

from tlcheck.errors import InvalidInput
from tlcheck.report.result import ClaimResult, Number, Reason
from tlcheck.trusted.verdict import Verdict


class ExitCode(IntEnum):
    """Everything a ``tlcheck`` process can return by itself; ``OK`` is for commands that decide nothing."""

    CERTIFIED = 0
    OK = CERTIFIED
    REFUTED = 1
    USAGE = 2
    INVALID = 3
    UNPROVEN = 4
    BUG = 70
    INTERRUPTED = 130
    BROKEN_PIPE = 141


WORST_FIRST: Final = (Verdict.INVALID, Verdict.REFUTED, Verdict.UNPROVEN, Verdict.CERTIFIED)
"""The order in which one verdict speaks for several."""

EXIT_OF: Final = {
    Verdict.INVALID: ExitCode.INVALID,
    Verdict.REFUTED: ExitCode.REFUTED,
    Verdict.UNPROVEN: ExitCode.UNPROVEN,
    Verdict.CERTIFIED: ExitCode.CERTIFIED,
}


UNREADABLE: Final = "input"
"""The kind that stands for the claims of a file that could not be read, or are not as they should be."""


@dataclass(frozen=True)
class ClaimRead:
    """A claim as it was read, whatever its verdict: ``sources`` are the SHA-256 of the files it was read from, by role
    or, for what an artifact names, by name."""

    name: str
    kind: str
    statement: str
    sources: Mapping[str, str]


@dataclass(frozen=True)
class FileResult:
    """The claims of one certificate; ``path`` as the user gave it. ``error`` is set when a bug ended its check.
    ``roots``: for each claim the modules of rings 0 and 1 that what it rests on starts from (``rests_on``)."""

    path: str
    format: str
    claims: tuple[ClaimResult, ...]
    error: Reason | None = None
    read: tuple[ClaimRead, ...] = ()
    roots: tuple[tuple[str, ...], ...] = ()

    @property
    def with_roots(self) -> list[tuple[ClaimResult, tuple[str, ...]]]:
        """Each claim and its roots: none where nothing was read."""
        roots = dict(enumerate(self.roots))
        return [(claim, roots.get(k, ())) for k, claim in enumerate(self.claims)]


@dataclass(frozen=True)
class PassedOver:
    """A file in a folder that is no certificate; ``what`` it is, in words, where somebody asks."""

    path: str
    what: str = ""


@dataclass(frozen=True)
class Unexpected:
    """A claim that the lock file does not have."""

    path: str
    name: str


Answer = Literal["unsat", "sat", "unknown", "equivalent", "different"]


@dataclass(frozen=True)
class Difference:
    """Of the outputs of two networks: ``within`` is the claim's, ``proved`` a bound that needed no split, ``found`` the largest
    that was found, at ``output`` and the input ``point``."""

    within: Number | None
    proved: Number | None
    found: Number | None
    output: int = 0
    point: tuple[str, ...] = ()


@dataclass(frozen=True)
class Searched:
    """A search's answer, and how far it got: leaves of its trees, the worst bound of an open one, why it
    ended. ``executed``: after sat, what executions say of the witness."""

    answer: Answer
    open: int
    closed: int
    worst: float | None
    why: str
    seconds: float
    executed: str = ""
    difference: Difference | None = None


@dataclass(frozen=True)
class Run:
    """One invocation; ``seconds`` is its wall time. ``passed``: what no check read; ``unexpected``: what no lock has.
    ``searched``: where the certificate was found by this run."""

    results: tuple[FileResult, ...]
    seconds: float
    passed: tuple[PassedOver, ...] = ()
    unexpected: tuple[Unexpected, ...] = ()
    searched: Searched | None = None

    @property
    def claims(self) -> tuple[ClaimResult, ...]:
        return tuple(claim for result in self.results for claim in result.claims)

    @property
    def verdict(self) -> Verdict | None:
        """The worst verdict; None where a bug left none. A run or a file without claims is INVALID."""
        if any(result.error is not None for result in self.results):
            return None
        if not self.results or any(not result.claims for result in self.results):
            return Verdict.INVALID
        return worst(claim.verdict for claim in self.claims)

    @property
    def exit_code(self) -> ExitCode:
        """The first that applies of 70, 3, 1, 4, 0."""
        verdict = self.verdict
        return ExitCode.BUG if verdict is None else EXIT_OF[verdict]


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The first of WORST_FIRST that occurs; INVALID when none does."""
    present = set(verdicts)
    return next((verdict for verdict in WORST_FIRST if verdict in present), Verdict.INVALID)


def invalid(path: str, error: InvalidInput, *, format: str = "unknown") -> FileResult:
    """The result of a file that could not be read as what it should be."""
    where = ": ".join(part for part in (error.file, error.field) if part)
    reason = Reason(code=error.code, message=error.line(), location=where)
    claim = ClaimResult(
        kind=UNREADABLE, statement="the input is well formed", verdict=Verdict.INVALID, reason=reason
    )
    return FileResult(path=path, format=format, claims=(claim,))


def crashed(path: str, error: BaseException) -> FileResult:
    """The result of a file on which tlcheck itself failed."""
    message = " ".join(f"{type(error).__name__}: {error}".split())
    return FileResult(path=path, format="unknown", claims=(), error=Reason("TLC901", message, path))
