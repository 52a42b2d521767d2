"""Numbers of a property beyond every double: answered, or refused in a line; never an internal error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.clocks import Steps
from tests.truth.small_nets import layered
from tlcheck.cli.main import main

END = "1" + "0" * 400
HALF = np.array([[0.5]], np.float32), np.zeros(1, np.float32)


Clock = Callable[[float], Steps]


def files(folder: Path, asked: str, *, bent: bool = False) -> tuple[str, str]:
    """y = x / 2, or relu(x / 2) / 2, for |x| <= 10^400."""
    model, spec = folder / "n.onnx", folder / "p.vnnlib"
    model.write_bytes(layered([HALF] * (1 + bent)))
    box = f"(assert (>= X_0 (- {END})))(assert (<= X_0 {END}))"
    spec.write_text(f"(declare-const X_0 Real)(declare-const Y_0 Real){box}(assert {asked})")
    return str(model), str(spec)


@pytest.mark.parametrize(("semantics", "bent"), [("real", True), ("deployed", True), ("real", False)])
@pytest.mark.parametrize(
    "asked", [f"(>= Y_0 (* 0.4 {END}))", f"(>= Y_0 {END})", f"(<= (* {END} Y_0) (- {END}{END}))"]
)
def test_certify(
    asked: str, bent: bool, semantics: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], steps: Clock
) -> None:
    steps(0.01)
    model, spec = files(tmp_path, asked, bent=bent)
    target = ["-o", str(tmp_path / "x.tlcert"), "--timeout", "2", "--jobs", "1", "--semantics", semantics]
    assert main(["certify", model, spec, *target]) in (0, 3, 4)
    assert "BUG" not in capsys.readouterr().err


def test_equiv(tmp_path: Path, capsys: pytest.CaptureFixture[str], steps: Clock) -> None:
    steps(0.01)
    model, spec = files(tmp_path, "(>= Y_0 0)")
    other = tmp_path / "o.onnx"
    other.write_bytes(layered([(HALF[0], np.ones(1, np.float32))]))
    for within in (["--within", "2"], ["--within", END], []):
        target = ["-o", str(tmp_path / "x.tlcert"), "--timeout", "2", "--jobs", "1"]
        assert main(["equiv", model, str(other), "--box", spec, *within, *target]) in (0, 3, 4)
    assert "BUG" not in capsys.readouterr().err


def test_vnnlib(tmp_path: Path, capsys: pytest.CaptureFixture[str], steps: Clock) -> None:
    steps(0.01)
    model, spec = files(tmp_path, f"(>= Y_0 (* 0.4 {END}))")
    folder = ["--serialise-assignments", str(tmp_path / "out")]
    for more in ([], folder):
        assert main(["vnnlib", "verify", spec, "--network", f"N={model}", "--timeout", "2", *more]) in (0, 3)
    assert "BUG" not in capsys.readouterr().err
