"""The referee's report as types: what ``report.json`` holds, what its JSON Schema publishes, what the page shows.

A margin is the least slack over the constraints of the best disjunct, rounded down (``margin_upper``: rounded up);
the fact it belongs to needs it nonnegative. Adding a field keeps ``schema_version``; removing or redefining one raises it.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

SCHEMA_VERSION: Final = 1
VERDICTS: Final = ("sat", "unsat", "contested", "open", "unsupported")
RESULTS: Final = ("sat", "unsat", "unknown", "timeout", "error")

Verdict = Literal["sat", "unsat", "contested", "open", "unsupported"]
Result = Literal["sat", "unsat", "unknown", "timeout", "error"]
Code = Annotated[str, Meta(pattern="^TLC[0-9]{3}$")]
Count = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(ge=0)]


class Evidence(Struct, frozen=True, kw_only=True):
    """The ruling on one witness file: one of the rulings of ``tlcheck vnncomp witness``, and its facts.

    ``real``, ``deployed``, ``tolerance``, ``official`` and ``repaired`` each have ``holds`` (null: not decided, or not
    asked), ``margin``, and what they rest on; ``produced`` compares the outputs the file claims with those found.
    ``settled``: "sat" when this file proves the instance sat, as it is or repaired.
    """

    file: str
    sha256: str
    ruling: str
    settled: Literal["sat"] | None
    code: Code
    reason: str
    format: str
    real: dict[str, Any]
    deployed: dict[str, Any]
    tolerance: dict[str, Any]
    official: dict[str, Any]
    repaired: dict[str, Any]
    produced: dict[str, Any]


class AnswerOut(Struct, frozen=True, kw_only=True):
    """What one tool said of an instance. ``written``: the word in its file; ``contradicted``: a certified fact says
    the opposite; ``witness``: null when the tool left no such file."""

    tool: str
    result: Result
    written: str
    seconds: float | None
    contradicted: bool
    witness: Evidence | None


class CertificateOut(Struct, frozen=True, kw_only=True):
    """One claim of a certificate about this very network and property (by SHA-256), as ``tlcheck verify`` decides it."""

    file: str
    format: str
    kind: str
    verdict: Literal["CERTIFIED", "REFUTED", "UNPROVEN", "INVALID"]
    code: Code
    reason: str
    margin: str | None


class InstanceOut(Struct, frozen=True, kw_only=True):
    """One network and property, every tool's answer, and the verdict: ``sat`` or ``unsat`` when certified evidence says
    so; ``contested``: tools disagree and nothing settles it; ``open``: they do not, and nothing settles it;
    ``unsupported``: the network, the property or the evidence cannot be judged (``code`` and ``reason`` say why).

    ``version``: the VNN-LIB version in the path, empty before 2026. The hashes are of the unpacked files, empty
    where a file is missing; where some weights are in other files, one hash of the hashes of them all.
    ``settled_by``: the evidence that settles it.
    """

    benchmark: str
    version: str
    network: str
    property: str
    network_sha256: str
    property_sha256: str
    verdict: Verdict
    code: Code
    reason: str
    settled_by: list[str]
    answers: list[AnswerOut]
    certificates: list[CertificateOut]


class Contradiction(Struct, frozen=True, kw_only=True):
    """A tool's answer and the certified fact against it. ``instance``: position in ``instances``."""

    tool: str
    instance: Count
    benchmark: str
    network: str
    property: str
    answer: Literal["sat", "unsat"]
    fact: Literal["sat", "unsat"]
    evidence: str


class ToolOut(Struct, frozen=True, kw_only=True):
    """One tool over the whole folder. ``rulings``: of its witness files; ``without_witness``: answers of sat without
    one; ``confirmed``, ``contradicted``: answers of sat or unsat that a certified fact agrees with, or refutes."""

    tool: str
    instances: Count
    answers: dict[str, Count]
    rulings: dict[str, Count]
    without_witness: Count
    confirmed: Count
    contradicted: Count


class BenchmarkOut(Struct, frozen=True, kw_only=True):
    """One benchmark: how many instances have which verdict; ``contradicted``: answers that a certified fact refutes."""

    benchmark: str
    instances: Count
    verdicts: dict[str, Count]
    contradicted: Count


class CensusOut(Struct, frozen=True, kw_only=True):
    """Shares over all witness files. ``officially_correct``: those the 2026 rule calls correct; ``rounding``: those
    whose output condition the float32 network decides otherwise than the exact one at the same point; ``clipping``:
    those outside every region by at most the tolerance, and how many hold once moved into it."""

    witnesses: Count
    rulings: dict[str, Count]
    officially_correct: dict[str, Count]
    rounding: dict[str, Count]
    clipping: dict[str, Count]


class RefereeOut(Struct, frozen=True, kw_only=True):
    """The report of ``tlcheck vnncomp referee``. ``instances``: contested first, then by benchmark and name.

    ``reused``: rulings taken from an earlier run on the same bytes. ``complete`` is false for a report of a run that
    was stopped early: evidence not yet judged is missing from it. ``notes``: what is odd about the folders.
    """

    schema_version: Literal[1]
    tool: dict[str, str]
    results: str
    complete: bool
    verdicts: dict[str, Count]
    census: CensusOut
    tools: list[ToolOut]
    benchmarks: list[BenchmarkOut]
    contradictions: list[Contradiction]
    instances: list[InstanceOut]
    reused: Count
    notes: list[str]
    seconds: Seconds


def referee_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the report."""
    from tlcheck.schemas import schema_of

    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "tlcheck referee report",
        **schema_of(RefereeOut),
    }
