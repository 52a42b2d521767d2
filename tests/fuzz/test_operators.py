"""The generator of one-operator models: a short run over every operator finds nothing, and wrong readings are found."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tests.fuzz.operators import compare, known, oracles, recipes, run
from tests.fuzz.operators.model import NEWEST, Case, Operand, build, versions
from tlcheck import readers
from tlcheck.readers.onnx import LOWERINGS, read_model

ROOT = Path(__file__).parents[2]


Rows = dict[str, dict[str, int]]


def table(tmp_path: Path, *arguments: str) -> Rows:
    """The table that a run prints, in processes of its own since an oracle may crash; it finds no difference."""
    command = [sys.executable, "-m", "tests.fuzz", "operators", "--seed", "7", "--jobs", "2", *arguments]
    command += ["--out", str(tmp_path / "out")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (tmp_path / "out").exists()
    lines = [line.split() for line in done.stdout.splitlines()]
    heads = next(line for line in lines if line[:1] == ["operator"])
    found = [line for line in lines if len(line) == len(heads) and line != heads]
    return {line[0]: dict(zip(heads[1:], map(int, line[1:]), strict=True)) for line in found}


def compared(rows: Rows) -> set[str]:
    return {name for name, row in rows.items() if row["onnxruntime"] + row["reference"] > 0} - {"all"}


def test_every_operator_agrees(tmp_path: Path) -> None:
    """Every operator that is read is read, and confirmed by an oracle; no other is read."""
    rows = table(tmp_path, "--models", str(recipes.ROUNDS * len(recipes.operators())))
    assert set(recipes.operators()) <= set(rows)
    assert [name for name in recipes.operators() if name not in LOWERINGS and rows[name]["read"]] == []
    assert rows["all"]["bounds"] > 50 and rows["all"]["deployed"] > 30
    missing = sorted(set(LOWERINGS) - compared(rows))
    assert len(missing) < len(LOWERINGS) / 5
    for _ in range(3):  # refused every time in few models: more of them
        if missing:
            more = table(
                tmp_path, "--models", str(40 * len(missing)), *(f"--operator={name}" for name in missing)
            )
            missing = sorted(set(missing) - compared(more))
    assert missing == []


def cases(operator: str, count: int) -> list[Case]:
    return [recipes.draw(operator, random.Random(f"plant {operator} {i}")) for i in range(count)]


def found(operator: str, count: int) -> bool:
    """Whether one of ``count`` cases of the operator has a difference."""
    return any(run.examine(case, i).differences for i, case in enumerate(cases(operator, count)))


Change = Callable[[onnx.NodeProto], None]


def ignored(name: str) -> Change:
    """The attribute is not read."""

    def change(node: onnx.NodeProto) -> None:
        kept = [a for a in node.attribute if a.name != name]
        del node.attribute[:]
        node.attribute.extend(kept)

    return change


def swapped_pads(node: onnx.NodeProto) -> None:
    """Pads of the beginning for those of the end."""
    for a in node.attribute:
        if a.name == "pads":
            half, old = len(a.ints) // 2, list(a.ints)
            a.ints[:] = old[half:] + old[:half]


def without_operand(i: int) -> Change:
    def change(node: onnx.NodeProto) -> None:
        if len(node.input) > i:
            node.input[i] = ""

    return change


@pytest.mark.parametrize(
    ("operator", "change"),
    [
        ("MaxPool", swapped_pads), ("AveragePool", swapped_pads), ("Conv", swapped_pads),
        ("AveragePool", ignored("count_include_pad")), ("ReduceSum", ignored("keepdims")), ("Gemm", ignored("transB")),
        ("Gemm", without_operand(2)), ("Slice", without_operand(4)), ("Slice", without_operand(3)), ("Pad", ignored("mode")),
        ("Clip", without_operand(1)), ("CumSum", ignored("exclusive")), ("ArgMax", ignored("select_last_index")),
        ("Transpose", ignored("perm")), ("Gelu", ignored("approximate")), ("BatchNormalization", ignored("epsilon")),
        ("DepthToSpace", ignored("mode")), ("Shape", ignored("start")), ("Trilu", ignored("upper")),
    ],
)  # fmt: skip
def test_a_wrong_reading_is_found(operator: str, change: Change, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(data: bytes, **more: Any) -> Any:
        model = onnx.load_from_string(data)
        for node in model.graph.node:
            if node.op_type == operator:
                change(node)
        return read_model(model.SerializeToString(), **more)

    monkeypatch.setattr(readers.onnx, "read_model", wrong)
    assert found(operator, 150)


def test_the_reference_evaluators_own_defect_does_not_hide_a_wrong_reading(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Softmax of an old opset read as today's: the reference evaluator makes the same mistake, onnxruntime does not."""

    def newer(data: bytes, **more: Any) -> Any:
        model = onnx.load_from_string(data)
        model.opset_import[0].version = 13
        return read_model(model.SerializeToString(), **more)

    monkeypatch.setattr(readers.onnx, "read_model", newer)
    assert found("Softmax", 100)


def test_a_reader_that_raises_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(data: bytes, **more: Any) -> Any:
        raise KeyError("axis")

    monkeypatch.setattr(readers.onnx, "read_model", broken)
    result = run.examine(relu())
    assert result.status == "broken" and "KeyError" in result.differences["tlcheck"]


def relu(*values: float) -> Case:
    return Case("Relu", 17, [Operand(np.array(values or (-1.0, 0.5), np.float32), "data")])


@pytest.mark.parametrize(
    "case",
    [
        Case("ScatterND", 17, [Operand(np.array([2.0, -1.0], np.float32), "data"), Operand(np.zeros((0, 1), np.int64), "stored"),
                               Operand(np.zeros(0, np.float32), "stored")]),
        Case("Pad", 13, [Operand(np.zeros((0,), np.float32), "stored"), Operand(np.array([1, 2]), "stored")]),
    ],
    ids=lambda case: case.operator,
)  # fmt: skip
def test_operands_without_entries(case: Case) -> None:
    """Values, bounds on a box and deployed bounds."""
    results = [run.examine(case, index) for index in (0, 1)]
    assert [r.status for r in results] == ["value"] * 2 and all(
        r.confirmed and not r.differences for r in results
    )
    assert results[0].answers["bounds"] == "agrees"
    assert results[1].answers["deployed"] == "agrees"


def test_moved_values_must_agree_exactly_and_computed_ones_nearly() -> None:
    exact = oracles.exact(build(relu(-1.0, 0.5)))
    off = np.nextafter(np.float32(0.5), np.float32(1))
    assert compare.difference(relu(), exact, [np.array([0, 0.5], np.float32)]) is None
    assert "output 0[1]" in (compare.difference(relu(), exact, [np.array([0, off], np.float32)]) or "")
    assert "shape" in (compare.difference(relu(), exact, [np.array([[0, 0.5]], np.float32)]) or "")
    case = Case("Exp", 17, [Operand(np.array([1.0], np.float32), "data")])
    exact = oracles.exact(build(case))
    assert compare.difference(case, exact, [np.array([2.7182817], np.float32)]) is None
    assert compare.difference(case, exact, [np.array([2.719], np.float32)]) is not None


def test_an_oracle_that_ends_its_process_does_not_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def deadly(built: Any) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)

    def draw(index: int) -> Case:
        return relu() if index % 3 == 1 else Case("Det", 17)

    for name in oracles.RUNNERS:
        monkeypatch.setitem(oracles.RUNNERS, name, deadly)
    if "fork" not in run.multiprocessing.get_all_start_methods():
        pytest.skip("the patch reaches forked processes only")
    results = {r.index: r for r in run.results(draw, range(5), 1)}
    assert sorted(results) == list(range(5))
    assert results[1].answers == dict.fromkeys(oracles.RUNNERS, "crashes")
    assert not results[1].differences and not results[1].confirmed
    assert results[2].status == "refused"


def test_cases_are_reproducible_and_of_every_opset() -> None:
    def described(seed: int) -> list[str]:
        return [recipes.case_of(seed, i).describe() for i in range(300)]

    assert described(3) == described(3) != described(4)
    drawn = {(c.operator, c.opset) for name in ("Slice", "Pad", "Squeeze") for c in cases(name, 300)}
    for name in ("Slice", "Pad", "Squeeze"):
        for schema, first, last in versions(name):
            assert any(o == name and first <= v <= last for o, v in drawn), (name, schema.since_version)
    assert {v for o, v in drawn if v > NEWEST}, "an opset beyond the newest is tried, too"


def test_every_defect_names_operators_and_an_oracle() -> None:
    for defect in known.DEFECTS:
        assert set(defect.operators.split()) <= set(LOWERINGS)
        assert any(name.startswith(defect.oracle) for name in [*oracles.RUNNERS, "inference"])
        assert len(defect.reason) > 40
