"""The JSON report as types: what is published as its JSON Schema, and what the json and jsonl formats write.

Numbers that matter are decimal strings, rounded outward (a lower bound down, an upper bound up), each beside
the exact value it stands for as a hexadecimal float string. Adding a field keeps ``schema_version``; removing or
redefining one raises it.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

SCHEMA_VERSION: Final = 1

VerdictWord = Literal["CERTIFIED", "REFUTED", "UNPROVEN", "INVALID"]
Decimal = Annotated[str, Meta(description="decimal string, rounded outward")]
Hex = Annotated[str, Meta(description="the same number exactly, as a hexadecimal float string")]
Count = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(ge=0)]


class ReasonOut(Struct, frozen=True, kw_only=True):
    """Why: ``tlcheck explain CODE`` says more."""

    code: Annotated[str, Meta(pattern="^TLC[0-9]{3}$")]
    message: str
    location: str


class BoundOut(Struct, frozen=True, kw_only=True):
    """What tlcheck proved, what the producer claimed, what the claim needs; null where there is none. What was proved is
    a lower bound on the margin, and an upper one where a condition is false (reason TLC021)."""

    rigorous: Decimal | None
    rigorous_hex: Hex | None
    claimed: Decimal | None
    claimed_hex: Hex | None
    required: Decimal | None
    required_hex: Hex | None


class LeavesOut(Struct, frozen=True, kw_only=True):
    """Leaves of the proof, or conditions of the claim, and how many of them were proved."""

    total: Count
    certified: Count


class RestsOnOut(Struct, frozen=True, kw_only=True):
    """The modules of rings 0 (``tlcheck.trusted``) and 1 (``tlcheck.readers``, and the ground modules that they import) that
    the claim's kind, its readers, its operators and its arithmetic import; their code lines, without docstrings, comments
    and blank lines; one hash over their names and sources."""

    modules: list[str]
    code_lines: Count
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class ClaimOut(Struct, frozen=True, kw_only=True):
    """One claim and its verdict. ``deployed`` is there under --semantics deployed, ``details`` under -v; ``rests_on`` where a
    claim was read, null where the sources of tlcheck are not installed."""

    kind: str
    statement: str
    verdict: VerdictWord
    reason: ReasonOut
    bound: BoundOut
    deployed: BoundOut | UnsetType = UNSET
    leaves: LeavesOut
    assumptions: list[str]
    arithmetic: dict[str, Any]
    details: dict[str, Any] | UnsetType = UNSET
    rests_on: RestsOnOut | UnsetType | None = UNSET
    seconds: Seconds


class ResultOut(Struct, frozen=True, kw_only=True):
    """One certificate, its path as given. ``error`` is there when a bug in tlcheck ended the check."""

    path: str
    format: str
    claims: list[ClaimOut]
    error: ReasonOut | UnsetType = UNSET


class PassedOut(Struct, frozen=True, kw_only=True):
    """A file in a folder that is no certificate and that none was read from; ``what`` it is, in words."""

    path: str
    what: str


class UnexpectedOut(Struct, frozen=True, kw_only=True):
    """A claim that the lock file given with --expect does not have."""

    path: str
    name: str


class SearchOut(Struct, frozen=True, kw_only=True):
    """How far the search of `tlcheck certify` got: leaves of its trees, the worst bound of an open one (null: none is known),
    why it ended. ``executed``: after sat, whether the float execution and every float32 execution satisfy the query there."""

    open: Count
    closed: Count
    worst: float | None
    why: str
    seconds: Seconds
    executed: str | UnsetType = UNSET


class DifferenceOut(Struct, frozen=True, kw_only=True):
    """Of the outputs of two networks (`tlcheck equiv`): ``within`` is the claim's, ``proved`` a bound that needed no split,
    ``found`` the largest that was found, rounded down, at ``output`` (flat, from 0) and the input ``point`` (exact numbers)."""

    within: str | None
    proved: Decimal | None
    found: Decimal | None
    output: Count
    point: list[str]


class ReportOut(Struct, frozen=True, kw_only=True):
    """The report of one run of ``tlcheck verify --format json``, and of ``tlcheck certify`` and ``tlcheck equiv``, which have an
    ``answer`` beside it.

    ``verdict`` is the worst of the claims' verdicts (INVALID, REFUTED, UNPROVEN, CERTIFIED), null when a bug in
    tlcheck ended a check. A claim of the lock file that is missing or changed is a result of its own, INVALID with reason TLC111
    or TLC112. ``tool`` holds versions of tlcheck and of what it computes with.
    """

    schema_version: Literal[1]
    tool: dict[str, str]
    verdict: VerdictWord | None
    results: list[ResultOut]
    passed_over: list[PassedOut] = []
    unexpected: list[UnexpectedOut] = []
    seconds: Seconds
    answer: Literal["unsat", "sat", "unknown", "equivalent", "different"] | UnsetType = UNSET
    search: SearchOut | UnsetType = UNSET
    difference: DifferenceOut | UnsetType = UNSET


def report_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the report."""
    from tlcheck.schemas import schema_of

    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "tlcheck report",
        **schema_of(ReportOut),
    }
