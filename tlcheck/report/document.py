"""Json and jsonl: the record as the document that ``schema.py`` describes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from tlcheck.report.record import Difference, FileResult, Run, Searched
from tlcheck.report.rests_on import rests_on
from tlcheck.report.result import Bound, ClaimResult, Number, Reason
from tlcheck.report.schema import (
    SCHEMA_VERSION,
    BoundOut,
    ClaimOut,
    DifferenceOut,
    LeavesOut,
    PassedOut,
    ReasonOut,
    ReportOut,
    RestsOnOut,
    ResultOut,
    SearchOut,
    UnexpectedOut,
)
from tlcheck.versions import tool_versions


@dataclass(frozen=True)
class Json:
    """One JSON document, written when the run is over."""

    verbose: bool = False

    def file(self, result: FileResult) -> str:
        return ""

    def end(self, run: Run) -> str:
        report = _report(run, [_result(result, self.verbose) for result in run.results])
        return msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n"


@dataclass(frozen=True)
class JsonLines:
    """One JSON line per file as it is done (an entry of ``results``), then the report with ``results`` empty."""

    verbose: bool = False

    def file(self, result: FileResult) -> str:
        return msgspec.json.encode(_result(result, self.verbose)).decode() + "\n"

    def end(self, run: Run) -> str:
        return msgspec.json.encode(_report(run, [])).decode() + "\n"


def _report(run: Run, results: list[ResultOut]) -> ReportOut:
    searched = run.searched
    return ReportOut(
        schema_version=SCHEMA_VERSION,
        tool=tool_versions(),
        verdict=None if run.verdict is None else run.verdict.value,
        results=results,
        passed_over=[PassedOut(path=_text(other.path), what=other.what) for other in run.passed],
        unexpected=[UnexpectedOut(path=_text(more.path), name=_text(more.name)) for more in run.unexpected],
        seconds=round(run.seconds, 3),
        answer=msgspec.UNSET if searched is None else searched.answer,
        search=msgspec.UNSET if searched is None else _search(searched),
        difference=_difference(searched.difference) if searched and searched.difference else msgspec.UNSET,
    )


def _difference(found: Difference) -> DifferenceOut:
    return DifferenceOut(
        within=_decimal(found.within),
        proved=_decimal(found.proved),
        found=_decimal(found.found),
        output=found.output,
        point=list(found.point),
    )


def _search(searched: Searched) -> SearchOut:
    return SearchOut(
        open=searched.open,
        closed=searched.closed,
        worst=searched.worst if searched.worst is not None and math.isfinite(searched.worst) else None,
        why=_text(searched.why),
        seconds=round(searched.seconds, 3),
        executed=_text(searched.executed) if searched.executed else msgspec.UNSET,
    )


def _result(result: FileResult, verbose: bool) -> ResultOut:
    return ResultOut(
        path=_text(result.path),
        format=_text(result.format),
        claims=[_claim(claim, verbose, roots) for claim, roots in result.with_roots],
        error=msgspec.UNSET if result.error is None else _reason(result.error),
    )


def _claim(claim: ClaimResult, verbose: bool, roots: Sequence[str]) -> ClaimOut:
    return ClaimOut(
        kind=_text(claim.kind),
        statement=_text(claim.statement),
        verdict=claim.verdict.value,
        reason=_reason(claim.reason),
        bound=_bound(claim.bound),
        deployed=msgspec.UNSET if claim.deployed is None else _bound(claim.deployed),
        leaves=LeavesOut(total=claim.leaves_total, certified=claim.leaves_certified),
        assumptions=[_text(assumption) for assumption in claim.assumptions],
        arithmetic=_mapping(claim.arithmetic),
        details=_mapping(claim.details) if verbose else msgspec.UNSET,
        rests_on=_rests_on(roots) if roots else msgspec.UNSET,
        seconds=round(claim.seconds, 3),
    )


def _rests_on(roots: Sequence[str]) -> RestsOnOut | None:
    found = rests_on(roots)
    if found is None:
        return None
    return RestsOnOut(modules=list(found.modules), code_lines=found.code_lines, sha256=found.sha256)


def _reason(reason: Reason) -> ReasonOut:
    return ReasonOut(code=reason.code, message=_text(reason.message), location=_text(reason.location))


def _bound(bound: Bound) -> BoundOut:
    return BoundOut(
        rigorous=_decimal(bound.rigorous),
        rigorous_hex=_hex(bound.rigorous),
        claimed=_decimal(bound.claimed),
        claimed_hex=_hex(bound.claimed),
        required=_decimal(bound.required),
        required_hex=_hex(bound.required),
    )


def _decimal(number: Number | None) -> str | None:
    return None if number is None else number.decimal


def _hex(number: Number | None) -> str | None:
    return None if number is None else number.hex


def _mapping(mapping: dict[str, object]) -> dict[str, Any]:
    return {_text(str(key)): _plain(value) for key, value in mapping.items()}


def _plain(value: object) -> Any:
    """``value`` in JSON's own types: a Number as decimal and hex, a float that is not finite as a string."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    if isinstance(value, Number):
        return {"decimal": value.decimal, "hex": value.hex}
    if isinstance(value, dict):
        return {_text(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    return _text(str(value))


def _text(text: str) -> str:
    """``text`` as Unicode: a file name's undecodable bytes become escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
