"""Every way a command can end, and the code it ends with."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import click
import pytest

from tests.cli.conftest import FakeVerify
from tlcheck.cli.main import cli, main

Write = Callable[[str], str]

CODES = {"certified": 0, "refuted": 1, "unproven": 4, "invalid": 3, "nothing": 3, "bug": 70}
FIRST_THAT_APPLIES = [70, 3, 1, 4, 0]


@pytest.mark.parametrize(("outcome", "code"), CODES.items())
def test_one_file(fake: FakeVerify, certificate: Write, outcome: str, code: int) -> None:
    assert main(["verify", certificate(outcome)]) == code


@pytest.mark.parametrize(
    "outcomes", list(permutations(["certified", "refuted", "unproven", "invalid", "bug"], 2))
)
def test_two_files(fake: FakeVerify, certificate: Write, outcomes: tuple[str, str]) -> None:
    expected = min((CODES[outcome] for outcome in outcomes), key=FIRST_THAT_APPLIES.index)
    assert main(["verify", *map(certificate, outcomes)]) == expected
    assert len(fake.seen) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify"],
        ["verify", "x", "--arith", "float"],
        ["verify", "x", "--precision", "8"],
        ["verify", "x", "--jobs", "-1"],
        ["verify", "x", "--timeout", "0"],
        ["verify", "x", "--timeout", "nan"],
        ["verify", "x", "--max-memory", "0"],
        ["verify", "x", "--format", "xml"],
        ["verify", "x", "-q", "-v"],
        ["verify", "x", "--output", "no/such/folder/report.json"],
        ["nonsense"],
        ["--nonsense"],
        ["explain", "TLC000"],
        ["schema", "nonsense"],
        ["completion", "tcsh"],
        ["convert", "x"],
        ["show"],
    ],
)
def test_usage(fake: FakeVerify, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Error" in captured.err


def test_no_command_prints_the_help_and_passes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("Usage: tlcheck")
    assert "\n  verify " in captured.err


def test_a_folder_without_certificates_is_usage(fake: FakeVerify, certificate: Write, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert main(["verify", str(empty)]) == 2
    assert main(["verify", certificate("certified"), str(empty)]) == 2
    assert fake.seen == []


def test_a_missing_file_is_invalid(fake: FakeVerify, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "no-such-file"]) == 3
    assert capsys.readouterr().out.startswith("INVALID    no-such-file: no such file [TLC402]\n")


def test_interrupt(fake: FakeVerify, certificate: Write, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    arguments = ["verify", certificate("certified"), certificate("interrupt"), "--format", "json", "--output"]
    assert main([*arguments, str(report)]) == 130
    assert not report.exists()
    assert {path.suffix for path in tmp_path.iterdir()} == {".tlcert"}


def test_a_library_that_exits_is_a_bug(fake: FakeVerify, certificate: Write) -> None:
    assert main(["verify", certificate("exit")]) == 70


def test_a_bug_is_one_line_without_traceback(
    fake: FakeVerify, certificate: Write, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TLCHECK_DEBUG", raising=False)
    assert main(["verify", certificate("bug"), certificate("certified")]) == 70
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    assert "ZeroDivisionError: oops" in captured.out
    monkeypatch.setenv("TLCHECK_DEBUG", "1")
    assert main(["verify", certificate("bug")]) == 70
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("returned", [None, True, "0"])
def test_a_command_that_returns_no_code_is_a_bug(monkeypatch: pytest.MonkeyPatch, returned: object) -> None:
    monkeypatch.setitem(cli.commands, "formats", click.Command("formats", callback=lambda: returned))
    assert main(["formats"]) == 70


@pytest.mark.parametrize(
    "arguments", [["--version"], ["--help"], ["verify", "--help"], ["formats"], ["explain"]]
)
def test_what_only_says_something_exits_0(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    assert capsys.readouterr().out
