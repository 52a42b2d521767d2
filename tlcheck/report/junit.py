"""JUnit XML: a test suite per file, a test case per claim, for CI servers that show those.

REFUTED and UNPROVEN are failures; INVALID and bugs are errors.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree

from tlcheck.report.record import FileResult, Run
from tlcheck.report.result import ClaimResult, Reason
from tlcheck.trusted.verdict import Verdict

NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, even escaped."""


@dataclass(frozen=True)
class JUnit:
    """One XML document, written when the run is over."""

    def file(self, result: FileResult) -> str:
        return ""

    def end(self, run: Run) -> str:
        attributes = {"name": "tlcheck", **_counts(run.results), "time": f"{run.seconds:.3f}"}
        root = ElementTree.Element("testsuites", attributes)
        for result in run.results:
            root.append(_suite(result))
        ElementTree.indent(root)
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"
        )


def _suite(result: FileResult) -> ElementTree.Element:
    seconds = sum(claim.seconds for claim in result.claims)
    suite = ElementTree.Element(
        "testsuite", {"name": _xml(result.path), **_counts((result,)), "time": f"{seconds:.3f}"}
    )
    for number, claim in enumerate(result.claims, start=1):
        suite.append(_case(result, claim, number))
    if result.error is not None:
        case = ElementTree.SubElement(suite, "testcase", {"name": "check", "classname": _xml(result.path)})
        _add(case, "error", result.error)
    return suite


def _case(result: FileResult, claim: ClaimResult, number: int) -> ElementTree.Element:
    name = f"{number} {claim.kind}: {claim.statement}"
    case = ElementTree.Element(
        "testcase", {"name": _xml(name), "classname": _xml(result.path), "time": f"{claim.seconds:.3f}"}
    )
    if claim.verdict is Verdict.INVALID:
        _add(case, "error", claim.reason)
    elif claim.verdict is not Verdict.CERTIFIED:
        _add(case, "failure", claim.reason, claim.verdict)
    if claim.bound.rigorous is not None:
        out = ElementTree.SubElement(case, "system-out")
        out.text = _xml(f"rigorous {claim.bound.rigorous.decimal} ({claim.bound.rigorous.hex})")
    return case


def _add(case: ElementTree.Element, tag: str, reason: Reason, verdict: Verdict = Verdict.INVALID) -> None:
    type_ = "BUG" if reason.code == "TLC901" else verdict.value
    attributes = {"type": f"{type_} {reason.code}", "message": _xml(reason.message)}
    element = ElementTree.SubElement(case, tag, attributes)
    element.text = _xml(f"{reason.message}\n{reason.location}".rstrip())


def _counts(results: tuple[FileResult, ...]) -> dict[str, str]:
    claims = [claim for result in results for claim in result.claims]
    bugs = sum(result.error is not None for result in results)
    errors = sum(claim.verdict is Verdict.INVALID for claim in claims) + bugs
    failures = sum(claim.verdict in (Verdict.REFUTED, Verdict.UNPROVEN) for claim in claims)
    return {"tests": str(len(claims) + bugs), "failures": str(failures), "errors": str(errors)}


def _xml(text: str) -> str:
    return NOT_XML.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)
