"""``vnnlib verify --proof-out``: what shows an answer is a bundle that verify certifies."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.solver.small import Tiny, solver
from tlcheck.cli.main import main
from tlcheck.report.record import ExitCode

NET = Tiny(((2, -1), (1, 1)), (0, 1), ((1, 1),))
"""At most 4 on [0, 1]^2."""
DECLARED = "(declare-const X_0 Real)(declare-const X_1 Real)(declare-const Y_0 Real)"
BOX = "".join(f"(assert (>= X_{i} 0))(assert (<= X_{i} 1))" for i in (0, 1))


@pytest.mark.parametrize(("least", "verdict"), [("4.5", "unsat"), ("3.5", "sat")])
def test_the_proof_or_the_witness_is_kept(tmp_path: Path, least: str, verdict: str) -> None:
    model, query, kept = NET.file(tmp_path / "n.onnx"), tmp_path / "q.vnnlib", tmp_path / "x.tlcert"
    query.write_text(f"{DECLARED}{BOX}(assert (>= Y_0 {least}))")
    run = solver("verify", query, f"--network=N={model}", "--proof-out", kept, "--timeout", 20)
    assert (run.code, run.verdict) == (ExitCode.OK, verdict)
    assert main(["verify", str(kept)]) == ExitCode.CERTIFIED


def test_nothing_is_kept_of_no_answer(tmp_path: Path) -> None:
    model, query, kept = NET.file(tmp_path / "n.onnx"), tmp_path / "q.vnnlib", tmp_path / "x.tlcert"
    query.write_text(f"{DECLARED}{BOX}(assert (>= Y_0 4.5))")
    run = solver("verify", query, f"--network=N={model}", "--proof-out", kept, "--timeout", 0)
    assert run.verdict != "unsat" and not kept.exists()


def test_the_target_is_looked_at_first(tmp_path: Path) -> None:
    other = tmp_path / "x.tlcert"
    other.write_text("my notes")
    run = solver("verify", tmp_path / "none", "--network=N=none", "--proof-out", other)
    assert run.code == ExitCode.INVALID and "TLC402" in run.err and run.out == ""
    assert other.read_text() == "my notes"
