"""Conjunctions of conditions: what each check means, what the verdict is, and how artifacts reach it."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import inf, nextafter
from pathlib import Path

import pytest

from tests.helpers import DATA, needs_data
from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.readers.artifacts import ARTIFACTS, artifact_format
from tlcheck.readers.files import beside
from tlcheck.trusted.arith.arb import arb, ball
from tlcheck.trusted.conditions import (
    Check,
    ConditionClaim,
    Measure,
    Slack,
    ends,
    fact,
    met,
    nonnegative,
    positive,
    undecided,
    zero,
)
from tlcheck.trusted.decide import decide_conditions
from tlcheck.trusted.tally import MAX_FAILURES
from tlcheck.trusted.verdict import Verdict
from tlcheck.verify import verify_path

WIDE = arb(0, 1)
THIRD = Fraction(1, 3)


@pytest.mark.parametrize(
    ("make", "slack", "holds"),
    [
        (nonnegative, Fraction(0), True), (positive, Fraction(0), False), (zero, Fraction(0), True),
        (nonnegative, Fraction(-1, 10**400), False), (positive, Fraction(1, 10**400), True),
        (zero, Fraction(1, 10**400), False), (nonnegative, WIDE, None), (positive, WIDE, None), (zero, WIDE, None),
        (nonnegative, arb(0), True), (positive, arb(0), False), (zero, arb(0), True), (positive, arb(1, 0.5), True),
        (nonnegative, arb(-1, 0.5), False), (zero, arb(2, 1), False), (nonnegative, arb("nan"), None),
        (positive, arb("nan"), None), (zero, arb("nan"), None), (positive, arb(0) + arb("inf"), True),
        (zero, Fraction(-1, 10**400), False), (zero, arb(-2, 1), False), (positive, Fraction(-1, 10**400), False),
        (nonnegative, arb(0.5, 1), None), (nonnegative, arb(0, 0.5), None), (positive, arb(0.5, 1), None), (positive, arb(-0.5, 1), None),
    ],
)  # fmt: skip
def test_what_holds(make: Callable[..., Check], slack: Slack, holds: bool | None) -> None:
    assert make("c", slack).holds is holds


@pytest.mark.parametrize(("make", "sign"), [(nonnegative, 1), (positive, 1), (zero, -1)])
def test_slacks(make: Callable[..., Check], sign: int) -> None:
    """Of an equation, minus the magnitude."""
    for value in (Fraction(1, 2), Fraction(-1, 2), Fraction(0), arb(0.5), arb(-0.5)):
        check = make("c", value, "here")
        slack = value if sign > 0 else -abs(value)
        assert (check.low, check.high, check.name, check.where) == (float(slack), float(slack), "c", "here")


def test_the_slack_of_an_equation_that_is_open() -> None:
    check = zero("c", arb(0.25, 0.5))
    assert check.low is not None and check.high is not None
    assert -0.76 < check.low <= -0.75 and 0 <= check.high < 0.26


def test_what_a_claim_says_of_itself_by_default() -> None:
    claim = Listed((GOOD,))
    assert (claim.assumptions, claim.asks_for, claim.parts(), list(claim.conclude(()))) == (
        ("Python", "FLINT"),
        (),
        (claim,),
        [],
    )


def test_what_has_no_slack() -> None:
    for holds in (True, False):
        assert fact("c", holds, "here") == Check("c", holds, None, None, "here")
        assert met("c", holds, "here") == Check("c", holds or None, None, None, "here")
    assert undecided("c", "here") == Check("c", None, None, None, "here")


@pytest.mark.parametrize(
    "q", [THIRD, -THIRD, Fraction(0), Fraction(1, 2), Fraction(1, 10**330), Fraction(-7, 10**400)]
)
def test_ends_are_outward(q: Fraction) -> None:
    low, high = ends(q)
    assert low is not None and high is not None
    assert Fraction(low) <= q <= Fraction(high)
    assert high in (low, nextafter(low, inf))
    low, high = ends(ball(q))
    assert low is not None and high is not None
    assert Fraction(low) <= q <= Fraction(high)


def test_ends_beyond_doubles() -> None:
    low, high = ends(Fraction(10**400))
    assert low is not None and Fraction(low) < 10**400
    assert high is None
    assert ends(arb("nan")) == (None, None)


@dataclass(frozen=True)
class Listed(ConditionClaim):
    items: tuple[Check | Measure, ...]
    kind = "listed"

    @property
    def statement(self) -> str:
        return "what is listed"

    def checks(self, precision: int, tick: Callable[[], None]) -> Iterator[Check | Measure]:
        yield from self.items


GOOD, BAD, OPEN = fact("a", True), nonnegative("b", Fraction(-1), "row 7"), undecided("c", "row 9")


@pytest.mark.parametrize(
    ("items", "verdict", "code"),
    [
        ((GOOD,), Verdict.CERTIFIED, "TLC020"), ((GOOD, OPEN), Verdict.UNPROVEN, "TLC022"),
        ((OPEN, BAD, GOOD), Verdict.REFUTED, "TLC021"), ((), Verdict.UNPROVEN, "TLC022"),
        ((Measure("n", 3),), Verdict.UNPROVEN, "TLC022"), ((GOOD, Measure("n", 3)), Verdict.CERTIFIED, "TLC020"),
    ],
)  # fmt: skip
def test_verdicts(items: tuple[Check | Measure, ...], verdict: Verdict, code: str) -> None:
    outcome = decide_conditions(Listed(items))
    assert (outcome.verdict, outcome.code) == (verdict, code)


def test_a_disproof_after_many_open_conditions_refutes() -> None:
    outcome = decide_conditions(Listed((OPEN,) * 100 + (BAD,) * 100 + (GOOD,) * 100))
    assert outcome.verdict is Verdict.REFUTED
    assert (outcome.where, len(outcome.failures)) == ("row 7", MAX_FAILURES)
    assert (outcome.tallies["b"].total, outcome.tallies["b"].disproved, outcome.tallies["a"].proved) == (
        100,
        100,
        100,
    )
    assert "by 1" in outcome.message and "100 of 300" in outcome.message


# Files and formats.


def test_files_are_looked_up_beside_by_last_name(tmp_path: Path) -> None:
    (tmp_path / "w.json").write_text("{}")
    (tmp_path / "link.json").symlink_to("/etc/hostname")
    files = beside(tmp_path / "artifact.json")
    files.elsewhere = True
    assert files.read("some/where/else/w.json") == b"{}"
    assert list(files.sources) == ["w.json"]
    files = beside(tmp_path / "artifact.json")
    for name, code in (("missing.json", "TLC402"), ("..", "TLC404"), ("", "TLC404"), ("link.json", "TLC404")):
        with pytest.raises(InvalidInput) as error:
            files.read(name)
        assert error.value.code == code
    with pytest.raises(InvalidInput) as error:
        files.read("w.json", sha256="0" * 64)
    assert error.value.code == "TLC103"


@needs_data
def test_every_shared_artifact_is_recognised() -> None:
    """Certificates by their format; weights, data sets, graphs and manifests are none."""
    none = ("Interop", "realworld_manifest", "zero_", "one_", "_learned.json", "_weights", "digits_test")
    for path in sorted((DATA / "torchlean").rglob("*.json")):
        is_none = any(part in str(path) for part in none)
        assert (artifact_format(path) is None) == is_none, path


def test_other_json_is_no_certificate(tmp_path: Path) -> None:
    for k, content in enumerate(
        ('{"domains": ["a"]}', "[]", "{", '{"name": 1}', '{"leaves": [1], "format": "x"}', "")
    ):
        path = tmp_path / f"{k}.json"
        path.write_text(content)
        assert artifact_format(path) is None


def test_formats_have_readers_and_tags() -> None:
    import importlib

    for name, artifact in ARTIFACTS.items():
        assert callable(importlib.import_module(f"tlcheck.readers.{artifact.module}").load), name


def test_an_artifact_in_a_bundle(tmp_path: Path) -> None:
    """The format is the manifest's, files are the bundle's, and the claim says so."""
    from hashlib import sha256

    artifact = json.dumps({"format": "nothing"}).encode()
    manifest = {
        "format": "tlcheck.bundle",
        "version": 1,
        "producer": {"name": "test"},
        "files": {"a.json": {"sha256": sha256(artifact).hexdigest(), "bytes": len(artifact)}},
        "claims": [{"kind": "artifact", "format": "no-such-format", "artifact": "a.json"}],
    }
    path = tmp_path / "x.tlcert"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", json.dumps(manifest))
        archive.writestr("a.json", artifact)
    with pytest.raises(InvalidInput) as error:
        verify_path(path, Options())
    assert error.value.code == "TLC102"


@needs_data
def test_options_that_an_artifact_has_no_use_for_are_refused(tmp_path: Path) -> None:
    spline = DATA / "torchlean" / "Splines" / "piecewise_linear_cert.json"
    (tmp_path / "f").write_text("{}")
    for options in (Options(model=tmp_path / "f"), Options(property=tmp_path / "f")):
        with pytest.raises(InvalidInput) as error:
            verify_path(spline, options)
        assert error.value.code == "TLC101"
