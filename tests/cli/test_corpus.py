"""Every case in certificates/ ends as its folder says: a case dropped in is a test.

accept: CERTIFIED. reject: REFUTED or UNPROVEN. undecided: UNPROVEN. malformed: INVALID, in one line.
regressions: as its ``expected.json`` says. A case's ``expected.json``, {"exit": 4, "code": "TLC010"}, narrows that to
one code and reason.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.helpers import CERTIFICATES
from tlcheck.cli.main import main
from tlcheck.report.schema import report_schema

ALLOWED = {
    "accept": {0},
    "reject": {1, 4},
    "undecided": {4},
    "malformed": {3},
    "regressions": {0, 1, 3, 4},
}
CASES = [
    case
    for group in ALLOWED
    if (CERTIFICATES / group).is_dir()
    for case in sorted((CERTIFICATES / group).iterdir())
    if case.is_dir() or case.suffix == ".tlcert"
]


def case_id(case: Path) -> str:
    return f"{case.parent.name}/{case.name}"


def expectation(case: Path) -> dict[str, Any]:
    file = case / "expected.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_case(case: Path, tmp_path: Path) -> None:
    expected = expectation(case)
    report = tmp_path / "report.json"
    code = main(["verify", str(case), "--jobs", "1", "--format", "json", "--output", str(report)])
    assert code in ALLOWED[case.parent.name]
    assert code == expected.get("exit", code)
    document = json.loads(report.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(report_schema()).validate(document)
    reasons = {claim["reason"]["code"] for result in document["results"] for claim in result["claims"]}
    if "code" in expected:
        assert expected["code"] in reasons


@pytest.mark.parametrize("case", [case for case in CASES if case.parent.name == "malformed"], ids=case_id)
def test_malformed_input_is_one_line(case: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "-q", str(case)]) == 3
    captured = capsys.readouterr()
    [line] = captured.out.splitlines()
    assert line.startswith("INVALID")
    assert captured.err == ""


@pytest.mark.parametrize("case", [case for case in CASES if case.parent.name == "regressions"], ids=case_id)
def test_a_regression_says_what_it_expects(case: Path) -> None:
    assert "exit" in expectation(case)
