"""Every format is well formed on every kind of outcome, and says the same as the record."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from fractions import Fraction
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest

from tests.report import samples
from tlcheck.cli.verify import FORMATS
from tlcheck.report.formats import RENDERERS, Style
from tlcheck.report.record import PassedOver, Run, Unexpected
from tlcheck.report.result import Number
from tlcheck.report.schema import report_schema
from tlcheck.report.text import printable, shown
from tlcheck.trusted.verdict import Verdict

RUNS = {"all": samples.ALL, "good": samples.GOOD, "empty": Run(results=(), seconds=0.0)}


def render(name: str, run: Run, **style: Any) -> str:
    renderer = RENDERERS[name](Style(**style))
    text = "".join(renderer.file(result) for result in run.results) + renderer.end(run)
    text.encode("utf-8", "backslashreplace")
    return text


def test_the_option_lists_every_renderer() -> None:
    assert tuple(RENDERERS) == FORMATS


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
@pytest.mark.parametrize("verbose", [False, True])
def test_json_fits_the_published_schema(run: Run, verbose: bool) -> None:
    document = json.loads(render("json", run, verbose=verbose))
    schema = report_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(document)
    assert document["verdict"] == (run.verdict and run.verdict.value)


def test_json_has_the_documented_shape() -> None:
    document = json.loads(render("json", samples.GOOD))
    assert list(document) == [
        "schema_version", "tool", "verdict", "results", "passed_over", "unexpected", "seconds",
    ]  # fmt: skip
    assert document["schema_version"] == 1
    assert {"tlcheck", "python", "numpy", "onnx", "python-flint"} <= set(document["tool"])
    [result] = document["results"]
    assert list(result) == ["path", "format", "claims"]
    [claim] = result["claims"]
    assert list(claim) == [
        "kind", "statement", "verdict", "reason", "bound", "leaves", "assumptions", "arithmetic", "seconds",
    ]  # fmt: skip
    assert list(claim["reason"]) == ["code", "message", "location"]
    assert claim["leaves"] == {"total": 3, "certified": 3}
    assert claim["bound"]["rigorous"] == "0.12345678901"
    assert claim["bound"]["rigorous_hex"] == "0x1.f9add3739635p-4"


def test_json_details_only_when_asked_and_finite() -> None:
    assert "details" not in json.loads(render("json", samples.GOOD))["results"][0]["claims"][0]
    details = json.loads(render("json", samples.GOOD, verbose=True))["results"][0]["claims"][0]["details"]
    assert details["layers"][1]["slack"] == "inf"
    assert details["worst"] == {"decimal": "-1e-7", "hex": "-0x1.ad7f29abcaf48p-24"}


def test_json_has_the_deployed_bound_beside_the_real_one() -> None:
    claim = json.loads(render("json", Run((samples.file_of(samples.DEPLOYED),), 0.0)))["results"][0][
        "claims"
    ][0]
    assert claim["deployed"]["rigorous"] == "0.119"


def test_json_of_a_bug_has_no_verdict() -> None:
    document = json.loads(render("json", samples.ALL))
    assert document["verdict"] is None
    assert document["results"][-1]["error"]["code"] == "TLC901"
    assert document["results"][-1]["claims"] == []


def test_jsonl_is_the_json_document_line_by_line() -> None:
    whole = json.loads(render("json", samples.ALL))
    *files, end = [json.loads(line) for line in render("jsonl", samples.ALL).splitlines()]
    assert files == whole["results"]
    assert end == {**whole, "results": []}


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_junit_is_xml_that_counts(run: Run) -> None:
    root = ElementTree.fromstring(render("junit", run))
    cases = list(root.iter("testcase"))
    assert int(root.get("tests", "")) == len(cases)
    assert int(root.get("failures", "")) == len(list(root.iter("failure")))
    assert int(root.get("errors", "")) == len(list(root.iter("error")))
    passing = [case for case in cases if case.find("failure") is None and case.find("error") is None]
    assert len(passing) == sum(claim.verdict is Verdict.CERTIFIED for claim in run.claims)


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_sarif_is_what_2_1_0_requires(run: Run) -> None:
    document = json.loads(render("sarif", run))
    assert document["version"] == "2.1.0"
    [sarif_run] = document["runs"]
    rules = sarif_run["tool"]["driver"]["rules"]
    assert sarif_run["invocations"][0]["exitCode"] == run.exit_code
    assert [rule["id"] for rule in rules] == sorted({rule["id"] for rule in rules})
    for result in sarif_run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert (result["kind"], result["level"] in ("error", "warning")) == ("fail", True)
        uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        assert uri.isascii() and " " not in uri


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_sarif_lists_only_what_is_not_certified_and_counts_the_rest(run: Run) -> None:
    """Code scanning opens an alert for every result, whatever its kind."""
    [sarif_run] = json.loads(render("sarif", run))["runs"]
    listed = [result["properties"]["verdict"] for result in sarif_run["results"] if "properties" in result]
    verdicts = [claim.verdict.value for claim in run.claims]
    assert listed == [verdict for verdict in verdicts if verdict != "CERTIFIED"]
    counts = sarif_run["properties"]["claims"]
    assert counts == {verdict.value: verdicts.count(verdict.value) for verdict in Verdict}
    assert sarif_run["properties"]["verdict"] == (run.verdict and run.verdict.value)
    rules = {rule["id"] for rule in sarif_run["tool"]["driver"]["rules"]}
    assert {claim.reason.code for claim in run.claims} <= rules


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_sarif_says_no_claim_of_a_file_that_could_not_be_read(run: Run) -> None:
    for result in json.loads(render("sarif", run))["runs"][0]["results"]:
        assert "well formed" not in result["message"]["text"]


def test_sarif_counts_what_was_passed_over() -> None:
    run = replace(
        samples.GOOD, passed=(PassedOver("a.txt", "text"),), unexpected=(Unexpected("a.tlcert", "x"),)
    )
    properties = json.loads(render("sarif", run))["runs"][0]["properties"]
    assert (properties["passedOver"], properties["notInTheLockFile"]) == (1, 1)


def test_sarif_fingerprints_tell_claims_apart_and_stay() -> None:
    def prints(run: Run) -> list[str]:
        return [
            r["partialFingerprints"]["claim/v1"]
            for r in json.loads(render("sarif", run))["runs"][0]["results"]
            if "partialFingerprints" in r
        ]

    assert len(set(prints(samples.ALL))) == len(prints(samples.ALL)) == 3
    assert prints(replace(samples.ALL, seconds=9.0)) == prints(samples.ALL)


def test_text_is_one_line_per_claim_and_a_summary() -> None:
    lines = render("text", samples.ALL).splitlines()
    words = [line.split()[0] for line in lines[:-1]]
    assert words == ["CERTIFIED", "UNPROVEN", "REFUTED", "CERTIFIED", "INVALID", "BUG"]
    assert lines[-1] == (
        "4 claims in 4 files: 2 CERTIFIED, 1 UNPROVEN, 1 REFUTED, 1 INVALID, 1 stopped by a bug in tlcheck; 3.0 s"
    )
    assert "margin >= 0.123456 " in lines[0]
    assert "1 of 3 leaves not proved at leaf 2 [TLC010]" in lines[1]
    assert "deployed >= 0.119" in lines[3]


def test_text_says_what_was_passed_over_and_what_no_lock_has() -> None:
    others = (PassedOver("dir/a.txt", "text"), PassedOver("b\x1b[2J", "a picture"))
    run = replace(samples.GOOD, passed=others, unexpected=(Unexpected("c.tlcert", "image 0"),))
    lines = render("text", run).splitlines()
    assert lines[-2] == "not in the lock file: c.tlcert (image 0)"
    assert lines[-1] == (
        "1 claim in 1 file: 1 CERTIFIED; 1 not in the lock file; 2 files passed over (names with -v); 1.3 s"
    )
    lines = render("text", run, verbose=True).splitlines()
    assert lines[-3:-1] == ["passed over: dir/a.txt: text", "passed over: b\\x1b[2J: a picture"]
    assert lines[-1].endswith("2 files passed over; 1.3 s")
    assert "passed over" not in render("text", samples.GOOD)


@pytest.mark.parametrize("width", [40, 80])
@pytest.mark.parametrize("color", [False, True])
def test_text_breaks_lines_between_words_where_the_terminal_is_narrow(width: int, color: bool) -> None:
    whole = render("text", samples.ALL, color=color, verbose=True)
    broken = render("text", samples.ALL, color=color, verbose=True, width=width)
    assert whole.split() == broken.split()
    for line in broken.splitlines():
        plain = re.sub("\x1b\\[[0-9;]*m", "", line)
        assert len(plain) <= width or len(plain.split()) == 1


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("verbose", [False, True])
def test_text_lets_no_control_character_of_an_input_through(color: bool, verbose: bool) -> None:
    text = render("text", samples.ALL, color=color, verbose=verbose)
    for line in text.splitlines():
        plain = line
        for style in ("32;1", "31;1", "33;1", "35;1", "37;41;1", "0"):
            plain = plain.replace(f"\x1b[{style}m", "", 1)
        assert plain.isprintable()


def test_text_verbose_says_what_the_claim_rests_on() -> None:
    text = render("text", samples.GOOD, verbose=True)
    for part in (
        "claim: no input",
        "claimed 0.125",
        "assumes: python-flint",
        "leaves: 3 of 3",
        "label Gemm_0, slack 0.25",
    ):
        assert part in text


def test_text_quiet_keeps_what_is_invalid() -> None:
    lines = render("text", samples.ALL, quiet=True).splitlines()
    assert [line.split()[0] for line in lines] == ["INVALID", "BUG"]


NUMBERS = ["0.12345678901", "-0.12345678901", "1e-400", "123456789", "-3.14159265358e-77", "0", "0.1"]


@pytest.mark.parametrize("decimal", NUMBERS)
def test_a_shortened_number_errs_in_its_own_direction(decimal: str) -> None:
    exact = Fraction(decimal)
    assert Fraction(shown(Number(decimal, "", "down"))) <= exact <= Fraction(shown(Number(decimal, "", "up")))


@pytest.mark.parametrize("decimal", ["-inf", "nan", "odd"])
def test_a_number_that_is_none_is_shown_as_it_is(decimal: str) -> None:
    assert shown(Number(decimal, "", "down")) == decimal


def test_printable_keeps_letters() -> None:
    assert printable("α ≤ é 日") == "α ≤ é 日"


def test_json_accepts_whatever_details_hold() -> None:
    from dataclasses import replace
    from pathlib import Path

    import numpy as np

    odd: dict[str, Any] = {
        "a": np.float64("nan"),
        "b": np.arange(3),
        "c": Path("x"),
        "d": {1: (Fraction(1, 3), None)},
    }
    run = Run((samples.file_of(replace(samples.CERTIFIED, details=odd)),), 0.0)
    details = json.loads(render("json", run, verbose=True))["results"][0]["claims"][0]["details"]
    assert details == {"a": "nan", "b": [0, 1, 2], "c": "x", "d": {"1": ["1/3", None]}}
    render("text", run, verbose=True)
