"""The exporter that runs inside α,β-CROWN: its own parts, and the whole of it on a verifier that is made up.

Where the real one is installed (ABCROWN names its abcrown.py, PYTHON_ABCROWN its interpreter), a real run too.
"""

from __future__ import annotations

import importlib.util
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.helpers import DATA, REPOSITORY

EXPORTER = REPOSITORY / "certificates" / "producers" / "abcrown" / "tlcheck_abcrown.py"


@pytest.fixture
def exporter() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tlcheck_abcrown", EXPORTER)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def records(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_literals_of_a_history(exporter: ModuleType) -> None:
    history = {
        "/a": (np.array([3, 5]), np.array([1.0, -1.0]), np.array([])),
        "/b": ([7], [1], [0.5], None),
        "/c": ([], [], None),
    }
    assert exporter.literals_of(history) == [["/a", 3, 1, 0.0], ["/a", 5, -1, 0.0], ["/b", 7, 1, 0.5]]
    assert exporter.literals_of(None) == []


def test_layers_and_disjuncts_are_written_once_and_padding_is_left_out(exporter: ModuleType) -> None:
    stream = io.StringIO()
    writer = exporter.Writer(stream, "x")
    assert [writer.layer(0, n, lambda: ([0.5], [1.0, float("inf")])) for n in "aba"] == [0, 1, 0]
    assert writer.layer(1, "a", lambda: None) == 2
    rows = [[1.0, 0.0, -1.0], [0.0, 0.0, 0.0]]
    assert [writer.disjunct(rows, [t, float("inf")]) for t in (0.0, 0.5, 0.0)] == [0, 1, 0]
    found = records(stream.getvalue())
    assert [r["record"] for r in found] == ["tree", "layer", "layer", "layer", "disjunct", "disjunct"]
    assert found[1]["values"] == [1.0, 0.0] and "values" not in found[3]
    assert found[4]["constraints"] == [{"outputs": [[0, 1.0], [2, -1.0]], "at_most": 0.0}]


def test_a_hook_that_fails_costs_the_run_nothing(
    exporter: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    class Watched:
        def add(self, x: int) -> int:
            return x + 1

        @staticmethod
        def filtered(x: int) -> int:
            return x + 2

    def wrong(*_: object) -> None:
        raise KeyError("thresholds")

    seen: list[int] = []
    exporter.watch(Watched, "add", wrong)
    exporter.watch(Watched, "filtered", seen.append)
    assert [Watched().add(1), Watched().add(2), Watched.filtered(1)] == [2, 3, 3]
    assert seen == [1]
    assert capsys.readouterr().err.count("Watched.add is not as expected") == 1


def started(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(EXPORTER), *map(str, arguments)], cwd=cwd, capture_output=True, text=True
    )


def test_a_release_without_the_classes_is_said_in_a_line_each(tmp_path: Path) -> None:
    (tmp_path / "abcrown.py").write_text("print('ran')")
    found = started("-o", "tree.jsonl", "--", "abcrown.py", cwd=tmp_path)
    assert found.returncode == 2 and "ran" not in found.stdout
    said = found.stderr.splitlines()
    assert sum("this release has no" in line for line in said) == 3 and len(said) == 4
    assert started("-o", "t", "--", "none.py", cwd=tmp_path).returncode == 2
    assert "usage" in started(cwd=tmp_path).stderr


def test_where_nothing_can_be_written_nothing_is_run(
    exporter: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "abcrown.py"
    program.write_text("raise ValueError")
    for target in (tmp_path, tmp_path / "none" / "tree.jsonl"):
        assert exporter.main(["-o", str(target), "--", str(program)]) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert f"cannot write {target}: " in line and line.endswith("nothing was run")


@pytest.mark.skipif("ABCROWN" not in os.environ, reason="no α,β-CROWN: set ABCROWN to its abcrown.py")
def test_a_real_run(tmp_path: Path) -> None:
    program = Path(os.environ["ABCROWN"])
    folder = DATA / "abcrown" / "safenlp" / "medical_1738"
    model, prop = next(folder.glob("*.onnx*")), next(folder.glob("*.vnnlib"))
    config = tmp_path / "config.yaml"
    config.write_text("general: {device: cpu, complete_verifier: bab}\nattack: {pgd_order: skip}\n")
    found = subprocess.run(
        [os.environ.get("PYTHON_ABCROWN", sys.executable), str(EXPORTER), "-o", str(tmp_path / "tree.jsonl"), "--", str(program),
         "--config", str(config), "--onnx_path", str(model), "--vnnlib_path", str(prop)],
        cwd=program.parent, capture_output=True, text=True,
    )  # fmt: skip
    lines = records((tmp_path / "tree.jsonl").read_text())
    assert lines[0]["format"] == "tlcheck.tree/1", found.stderr
    assert lines[-1] == {"record": "end", "leaves": sum(r["record"] == "leaf" for r in lines)}
