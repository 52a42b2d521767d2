"""What is measured of a runtime: the document, what planted errors do to it, and going on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.trusted.radii import RULES, ratio
from tlcheck.cli.main import main
from tlcheck.errors import InvalidInput
from tlcheck.readers.runtime_profile import read_profile
from tlcheck.report.record import ExitCode
from tlcheck.runtime import calibration
from tlcheck.runtime.calibration import Asked, Calibration, Errors, measured, rounded_up
from tlcheck.runtime.ort import devices
from tlcheck.runtime.references import FUNCTIONS, REFERENCE_ULPS, spot_check

SAMPLE = str(1 << 16)


def asked(*options: object) -> int:
    return main(["calibrate", "--sample", SAMPLE, *map(str, options)])


def test_what_is_written_is_a_profile_that_holds(tmp_path: Path) -> None:
    path = tmp_path / "here.json"
    assert asked("-o", path) == ExitCode.OK
    profile = read_profile(path)
    assert profile.document.kind == "measured" and "every 65536-th float32" in profile.document.provenance.how
    assert set(profile.numbers.functions) == set(FUNCTIONS)
    for name in ("Tanh", "Log"):
        assert ratio(RULES[name], 500, profile.numbers) <= 1


@pytest.mark.parametrize("name", FUNCTIONS)
def test_references_are_right(name: str) -> None:
    assert spot_check(name) <= REFERENCE_ULPS


def planted(name: str, at: float, error: float) -> Errors:
    """Of a runtime that is right but for one operand."""
    function = FUNCTIONS[name]
    x = np.append(np.linspace(0.25, 0.5, 99), at).astype(np.float32)

    def executed(x: Any) -> Any:
        y = function.reference(x.astype(np.float64))
        y[x == np.float32(at)] += error
        return y.astype(np.float32)

    return measured(function, x, executed)


@pytest.mark.parametrize("name", ["Exp", "Sigmoid", "Log"])
def test_one_wrong_value_is_found(name: str) -> None:
    right, wrong = planted(name, 0.7, 0.0), planted(name, 0.7, 1e-3)
    assert right.relative <= 2.0**-24 + 2.0**-50
    assert wrong.absolute > 0.999e-3 and wrong.relative > 1e-4


def test_a_result_that_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert planted("Exp", 0.75, np.nan).bad == 0.75
    monkeypatch.setattr(calibration, "_executed", lambda _: lambda x: np.full_like(x, np.nan))
    with pytest.raises(InvalidInput, match="is not finite with the cpu provider"):
        Calibration(Asked("cpu", ("Exp",), 1 << 16)).run()


def test_operands_and_results_that_may_be_flushed() -> None:
    x = np.float32([1e-40, -1e-40, 1e-38])
    exact = FUNCTIONS["Tanh"]
    assert measured(exact, x, lambda x: np.where(np.abs(x) < 2.0**-126, 0, x)) == Errors()
    assert measured(exact, x, lambda x: x + np.float32(1e-20)).absolute > 0.99e-20


@pytest.mark.parametrize("x", [1e-7, 2.0**-24, 1.0000001 * 2.0**-24, 0.3, 0.9999])
def test_numbers_are_rounded_up(x: float) -> None:
    assert x <= float.fromhex(rounded_up(x)) <= 1.25 * x


def test_every_float_belongs_to_one_block() -> None:
    work = Asked("cpu", ("Exp",), 3)
    assert work.blocks == -(-(1 << 32) // (3 << 20))
    last = (work.blocks - 1) * (3 << 20)
    assert len(work.block(work.blocks - 1)) == -(-((1 << 32) - last) // 3)
    assert work.block(1)[:1].view(np.uint32)[0] == 3 << 20


def test_it_goes_on_from_a_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = tmp_path / "journal.txt"
    assert asked("--functions", "Exp", "--resume", journal) == ExitCode.OK
    first = capsys.readouterr().out
    monkeypatch.setattr(Asked, "block", lambda *_: [][0])
    assert asked("--functions", "Exp", "--resume", journal) == ExitCode.OK
    assert capsys.readouterr().out == first and json.loads(first)["name"].startswith("onnxruntime-")
    assert asked("--functions", "Log", "--resume", journal) == ExitCode.BUG


def test_what_cannot_be_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert asked("--functions", "Exp,Gamma") == ExitCode.USAGE
    assert "--functions Gamma: none of Acos, " in capsys.readouterr().err
    if "cuda" not in devices():
        path = tmp_path / "no.json"
        assert asked("--provider", "cuda", "-o", path) == ExitCode.INVALID
        assert "cuda" in capsys.readouterr().err and not path.exists()
