"""SARIF 2.1.0, for code scanning: a result per claim that is not CERTIFIED, a rule per reason code that occurs.

Code scanning opens an alert for every result, whatever its ``kind``; so what is CERTIFIED is no result: it is counted in
the run's ``properties``. REFUTED, INVALID and bugs are errors; UNPROVEN is a warning.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final
from urllib.parse import quote

import msgspec

from tlcheck import __version__
from tlcheck.report.codes import CODES
from tlcheck.report.record import UNREADABLE, FileResult, Run
from tlcheck.report.result import ClaimResult, Reason
from tlcheck.trusted.verdict import Verdict

SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
LEVEL: Final = {
    Verdict.REFUTED: "error",
    Verdict.UNPROVEN: "warning",
    Verdict.INVALID: "error",
}


@dataclass(frozen=True)
class Sarif:
    """One JSON document, written when the run is over."""

    def file(self, result: FileResult) -> str:
        return ""

    def end(self, run: Run) -> str:
        results = [entry for result in run.results for entry in _entries(result)]
        codes = sorted({entry["ruleId"] for entry in results} | {claim.reason.code for claim in run.claims})
        for entry in results:
            entry["ruleIndex"] = codes.index(entry["ruleId"])
        crashed = any(result.error is not None for result in run.results)
        document = {
            "$schema": SCHEMA,
            "version": "2.1.0",
            "runs": [
                {
                    "tool": {
                        "driver": {
                            "name": "tlcheck",
                            "version": __version__,
                            "rules": [_rule(c) for c in codes],
                        }
                    },
                    "invocations": [{"executionSuccessful": not crashed, "exitCode": int(run.exit_code)}],
                    "results": results,
                    "properties": _counts(run),
                }
            ],
        }
        return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def _rule(code: str) -> dict[str, Any]:
    entry = CODES.get(code)
    title, explanation = (entry.title, entry.explanation) if entry else (code, code)
    return {"id": code, "shortDescription": {"text": title}, "fullDescription": {"text": explanation}}


def _entries(result: FileResult) -> list[dict[str, Any]]:
    entries = [
        _claim(result.path, claim) for claim in result.claims if claim.verdict is not Verdict.CERTIFIED
    ]
    if result.error is not None:
        entries.append(_entry(result.path, result.error, "error", result.error.message))
    return entries


def _counts(run: Run) -> dict[str, Any]:
    """How many claims have each verdict, and what the results do not say."""
    verdicts = Counter(claim.verdict for claim in run.claims)
    return {
        "verdict": None if run.verdict is None else run.verdict.value,
        "claims": {verdict.value: verdicts[verdict] for verdict in Verdict},
        "files": len({result.path for result in run.results}),
        "passedOver": len(run.passed),
        "notInTheLockFile": len(run.unexpected),
    }


def _claim(path: str, claim: ClaimResult) -> dict[str, Any]:
    what = "" if claim.kind == UNREADABLE else f"{claim.statement}: "  # no claim was read
    text = f"{claim.verdict.value}: {what}{claim.reason.message}"
    entry = _entry(path, claim.reason, LEVEL[claim.verdict], text)
    properties: dict[str, Any] = {"verdict": claim.verdict.value, "kind": _text(claim.kind)}
    if claim.bound.rigorous is not None:
        properties["rigorous"] = claim.bound.rigorous.decimal
        properties["rigorous_hex"] = claim.bound.rigorous.hex
    entry["properties"] = properties
    identity = "\n".join((path, claim.kind, claim.statement, claim.reason.code))
    entry["partialFingerprints"] = {"claim/v1": sha256(_text(identity).encode()).hexdigest()}
    return entry


def _entry(path: str, reason: Reason, level: str, text: str) -> dict[str, Any]:
    location: dict[str, Any] = {"physicalLocation": {"artifactLocation": {"uri": _uri(path)}}}
    if reason.location:
        location["logicalLocations"] = [{"fullyQualifiedName": _text(reason.location)}]
    return {
        "ruleId": reason.code,
        "kind": "fail",
        "level": level,
        "message": {"text": _text(text)},
        "locations": [location],
    }


def _uri(path: str) -> str:
    """``path`` as a URI reference: percent-encoded bytes, forward slashes."""
    return quote(os.fsencode(path.replace(os.sep, "/")), safe="/")


def _text(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
