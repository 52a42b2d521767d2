"""The runner over benchmarks: what it runs, what it records, and which answers it calls contradictions."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.bench import prover
from tests.bench.prover import Ran, contradicts, latest, main, tables

Said = dict[str, str]
Run = Callable[..., tuple[int, dict[str, prover.Row]]]


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    """One benchmark of four instances, with published answers for three."""
    folder = tmp_path / "sets" / "small"
    folder.mkdir(parents=True)
    (folder / "instances.csv").write_text(
        "".join(f"./onnx/m.onnx,./vnnlib/p{k}.vnnlib,60\n" for k in range(4))
    )
    published = tmp_path / "sets" / "published"
    published.mkdir()
    rows = ("p0.vnnlib,unsat,0,3", "p1.vnnlib,sat,2,0", "p2.vnnlib,disputed,1,4")
    lines = ["onnx,vnnlib,agreed,sat,unsat", *(f"onnx/m.onnx,vnnlib/{r}" for r in rows)]
    (published / "small.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "sets"


class Tools:
    """In tlcheck's place: it answers as told, and counts its calls."""

    def __init__(self, answers: Said, verdict: str = "CERTIFIED") -> None:
        self.answers, self.verdict = answers, verdict
        self.asked: list[str] = []

    def child(self, arguments: Sequence[str], seconds: float, *, warm: bool) -> Ran:
        if arguments[0] == "verify":
            leaves = [{"kind": "unsat", "leaves": {"total": 7}, "reason": {"message": "no"}}]
            return Ran(
                0, 0.25, 50, json.dumps({"verdict": self.verdict, "results": [{"claims": leaves}]}), ""
            )
        name = Path(arguments[2]).stem
        self.asked.append(name)
        answer = ({"p1": "sat"} | self.answers).get(name, "unsat")
        if answer == "crash":
            return Ran(70, 1.0, 50, "", "Traceback: no")
        if answer == "killed":
            return Ran(-9, 75.0, 50, "", "")
        if answer != "unknown":
            Path(arguments[4]).write_bytes(b"x" * 10)
        return Ran(0, 0.5, 50, json.dumps({"answer": answer, "tool": {}, "worst": -0.5}), "")


@pytest.fixture
def run(sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    def run(tools: Tools, *arguments: str) -> tuple[int, dict[str, prover.Row]]:
        monkeypatch.setattr(prover, "child", tools.child)
        code = main([str(sets), "--out", str(tmp_path / "out"), *arguments])
        rows = latest(tmp_path / "out" / "small.jsonl")
        return code, {Path(query).stem: row for (_, query), row in rows.items()}

    return run


def test_every_instance_gets_a_row_with_its_answer_and_what_was_published(run: Run):
    code, rows = run(Tools({"p1": "sat", "p3": "unknown"}))
    assert code == 0
    assert {name: (r["answer"], r["verdict"], r["agreed"]) for name, r in rows.items()} == {
        "p0": ("unsat", "CERTIFIED", "unsat"),
        "p1": ("sat", "CERTIFIED", "sat"),
        "p2": ("unsat", "CERTIFIED", "disputed"),
        "p3": ("unknown", None, ""),
    }
    assert rows["p0"]["leaves"] == 7 and rows["p0"]["bytes"] == 10
    assert rows["p3"]["worst"] == -0.5


def test_what_has_a_row_is_not_run_again_unless_asked(run: Run):
    first, again = Tools({"p3": "unknown"}), Tools({})
    run(first, "--stride", "2", "--offset", "1")
    assert first.asked == ["p1", "p3"]
    run(again)
    assert again.asked == ["p0", "p2"]
    last = Tools({"p3": "unsat"})
    _, rows = run(last, "--again", "unknown")
    assert last.asked == ["p3"] and rows["p3"]["answer"] == "unsat"


@pytest.mark.parametrize("answers", [{"p0": "sat"}, {"p1": "unsat"}], ids=["sat", "unsat"])
def test_an_answer_against_what_all_agree_on_is_a_contradiction(answers: Said, run: Run):
    code, rows = run(Tools({"p1": "sat"} | answers))
    assert code == 1
    assert sum(map(contradicts, rows.values())) == 1


def test_an_answer_whose_bundle_is_not_certified_is_a_contradiction_and_no_answer(run: Run, tmp_path: Path):
    code, _ = run(Tools({}, verdict="UNPROVEN"), "--match", "p2")
    assert code == 1
    assert "| small (60 s) | 1 | 0 | 0 | 0 | 0 | 1 |" in tables(tmp_path / "out")


def test_crashes_and_processes_that_were_killed_are_told_from_unknown(run: Run, tmp_path: Path):
    code, rows = run(Tools({"p0": "crash", "p1": "killed", "p2": "unknown"}))
    assert code == 0
    assert [rows[f"p{k}"]["answer"] for k in range(3)] == ["crash", "killed", "unknown"]
    assert rows["p0"]["said"] == "Traceback: no"
    assert "small: without an answer (3)" in tables(tmp_path / "out")


def test_no_instance_is_begun_beyond_the_budget(run: Run):
    tools = Tools({})
    run(tools, "--budget", "1")
    assert tools.asked == ["p0", "p1"]


def test_a_folder_that_is_not_there_is_said_and_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main([str(tmp_path / "nowhere")]) == 0
    assert "no such folder" in capsys.readouterr().err


@pytest.mark.parametrize("warm", [False, True], ids=["started", "forked"])
def test_a_child_is_limited_in_cpu_seconds_and_measured(warm: bool):
    ran = prover.child(["verify", "--help"], 20.0, warm=warm)
    assert ran.status == 0 and ran.cpu > 0 and "Usage: tlcheck verify" in ran.out
    assert prover.child(["verify", "nothing.tlcert"], 20.0, warm=warm).status == 3
