"""``tlcheck verify``: what reaches the check, and what reaches the reader of its report."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import FakeVerify
from tests.report import samples
from tlcheck.cli.main import main
from tlcheck.options import Options, Progress
from tlcheck.report.record import FileResult

Write = Callable[[str], str]


def test_options_reach_the_check(fake: FakeVerify, certificate: Write) -> None:
    arguments = (
        "--model m.onnx --property p.vnnlib --arith arb --precision 256 --jobs 3 --semantics deployed --cross-check "
        "--timeout 1.5 --max-memory 512 --resume j.jsonl"
    ).split()
    assert main(["verify", certificate("certified"), *arguments]) == 0
    [(_, options)] = fake.seen
    assert options == Options(
        model=Path("m.onnx"),
        property=Path("p.vnnlib"),
        arith="arb",
        precision=256,
        jobs=3,
        semantics="deployed",
        cross_check=True,
        timeout=1.5,
        max_memory_mib=512,
        resume=Path("j.jsonl"),
    )


def test_defaults_are_those_of_options(fake: FakeVerify, certificate: Write) -> None:
    main(["verify", certificate("certified")])
    assert fake.seen[0][1] == Options()


@pytest.mark.parametrize(
    "wrong",
    [
        {"arith": "x"}, {"semantics": "x"}, {"precision": 1}, {"jobs": -1}, {"timeout": 0.0},
        {"timeout": float("nan")}, {"max_memory_mib": 0},
    ],
)  # fmt: skip
def test_options_are_checked_when_built(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Options(**wrong)


def test_paths_are_reported_as_given_and_checked_once(
    fake: FakeVerify,
    certificate: Write,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    certificate("certified")
    monkeypatch.chdir(tmp_path.parent)
    folder = tmp_path.name
    assert main(["verify", folder, f"{folder}/certified.tlcert", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [result["path"] for result in document["results"]] == [os.path.join(folder, "certified.tlcert")]


def test_text_comes_as_files_are_done(
    fake: FakeVerify, certificate: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", certificate("certified"), certificate("interrupt")]) == 130
    assert capsys.readouterr().out.startswith("CERTIFIED")


def test_output_is_complete_or_not_there(fake: FakeVerify, certificate: Write, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    good, bad = certificate("certified"), certificate("interrupt")
    assert main(["verify", good, "--format", "json", "--output", str(report)]) == 0
    before = report.read_text()
    assert json.loads(before)["verdict"] == "CERTIFIED"
    assert main(["verify", good, bad, "--format", "json", "--output", str(report)]) == 130
    assert report.read_text() == before
    assert main(["verify", certificate("refuted"), "--format", "json", "--output", str(report)]) == 1
    assert json.loads(report.read_text())["verdict"] == "REFUTED"
    assert sorted(path.suffix for path in tmp_path.iterdir() if path.suffix != ".tlcert") == [".json"]


def test_output_keeps_a_link_and_a_device(fake: FakeVerify, certificate: Write, tmp_path: Path) -> None:
    (tmp_path / "real.txt").write_text("old")
    link = tmp_path / "link.txt"
    link.symlink_to("real.txt")
    assert main(["verify", certificate("certified"), "--output", str(link)]) == 0
    assert link.is_symlink()
    assert (tmp_path / "real.txt").read_text().startswith("CERTIFIED")
    assert main(["verify", certificate("certified"), "--output", os.devnull]) == 0
    assert not Path(os.devnull).is_file()


def test_output_that_cannot_be_written_is_never_0(
    fake: FakeVerify, certificate: Write, tmp_path: Path
) -> None:
    assert main(["verify", certificate("certified"), "--output", str(tmp_path)]) == 2
    if Path("/dev/full").exists():
        assert main(["verify", certificate("certified"), "--output", "/dev/full"]) == 2


def test_quiet_says_nothing_about_what_is_well_formed(
    fake: FakeVerify, certificate: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", "-q", certificate("certified"), certificate("unproven")]) == 4
    assert capsys.readouterr().out == ""
    assert main(["verify", "-q", certificate("certified"), certificate("invalid")]) == 3
    assert len(capsys.readouterr().out.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "no_color", "terminal", "colored"),
    [
        ([], "", False, False),
        ([], "", True, True),
        ([], "1", True, False),
        (["--color", "always"], "1", False, True),
        (["--color", "never"], "", True, False),
    ],
)
def test_color(
    fake: FakeVerify,
    certificate: Write,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    no_color: str,
    terminal: bool,
    colored: bool,
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    main(["verify", certificate("certified"), *arguments])
    assert ("\x1b[" in capsys.readouterr().out) == colored


def test_a_bar_only_on_a_terminal(
    fake: FakeVerify, certificate: Write, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tlcheck.cli.progress.PATIENCE_SECONDS", 0.0)
    given: list[Callable[[Progress], None] | None] = []

    def verify_path(path: Path, options: Options, progress: Callable[[Progress], None] | None) -> FileResult:
        given.append(progress)
        if progress is not None:
            progress(Progress(str(path), 1, 4, 0.125, "leaves"))
        return samples.file_of(samples.CERTIFIED, path=str(path))

    fake.verify_path = verify_path
    assert main(["verify", certificate("certified")]) == 0
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert main(["verify", certificate("certified")]) == 0
    assert main(["verify", "-q", certificate("certified")]) == 0
    assert [progress is not None for progress in given] == [True, True, False]
    captured = capsys.readouterr()
    assert "worst margin 0.125" in captured.err
    assert "worst margin" not in captured.out


def test_every_format_is_written(
    fake: FakeVerify, certificate: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    for format_ in ("text", "json", "jsonl", "junit", "sarif"):
        assert main(["verify", certificate("unproven"), "--format", format_]) == 4
        assert "unproven.tlcert" in capsys.readouterr().out
