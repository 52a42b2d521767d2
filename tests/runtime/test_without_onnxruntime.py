"""Where the extra ``run`` is not installed (the module's import fails, as it does there; the wheel's test has the real absence)."""

from __future__ import annotations

import sys

import pytest

from tlcheck.cli.main import main
from tlcheck.report.record import ExitCode
from tlcheck.runtime.ort import ExecutionFailed, devices, make_session


@pytest.fixture(autouse=True)
def absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)


@pytest.mark.parametrize("command", [["run", "m.onnx", "--inputs", "x.npz"], ["calibrate"]])
def test_commands_that_execute_say_what_to_install(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command) == ExitCode.INVALID
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "pip install 'tlcheck[run]' [TLC504]" in said


def test_others_go_on_without_an_execution() -> None:
    assert devices() == ("cpu",)
    with pytest.raises(ExecutionFailed, match="does not load"):
        make_session(b"")
