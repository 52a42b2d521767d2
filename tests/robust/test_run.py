"""Whole runs over classifiers whose robustness is known: what is written, what it adds up to, and what the gate says of it."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import numpy as np
import pytest

from tests.robust.nets import identity
from tlcheck.cli.main import main
from tlcheck.errors import InvalidInput
from tlcheck.readers.bundle.read import read_bundle
from tlcheck.readers.onnx import load_model
from tlcheck.readers.vnnlib.read import load_property
from tlcheck.report.record import ExitCode
from tlcheck.robust import answer as answers
from tlcheck.robust import folder as folders
from tlcheck.robust import run as runs
from tlcheck.robust.report import Document, _percent, markdown_cell, robust_schema
from tlcheck.trusted.claim import SatClaim, UnsatClaim

SAMPLES = np.array([[0.875, 0.125], [0.25, 0.75], [0.5, 0.75], [0.75, 0.25]])
LABELS = np.array([0, 1, 1, 1])
"""Margins 0.75, 0.5, 0.25; the last one is wrong."""


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Path]:
    identity(tmp_path / "net.onnx")
    np.savez(tmp_path / "d.npz", x=SAMPLES, y=LABELS)
    yield tmp_path


def certify(there: Path, *more: object, eps: str = "0.15", data: str = "d.npz", jobs: int = 1) -> int:
    paths = (there / "net.onnx", there / data, "-o", there / "out")
    arguments = (*paths, "--eps", eps, "--jobs", jobs, "--timeout", 60, *more)
    return main(["certify-robust", *map(str, arguments)])


def document(there: Path) -> Document:
    return msgspec.json.decode((there / "out" / "report.json").read_bytes(), type=Document)


def verify(there: Path, *more: str) -> int:
    return main(["verify", str(there / "out"), *more])


def locked(there: Path) -> int:
    return verify(there, "--expect", str(there / "out" / "robust.lock"))


def test_every_kind_of_answer(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert certify(there, "--clip", 0, 1) == ExitCode.REFUTED
    found = document(there)
    assert [sample.answer for sample in found.inputs] == ["certified", "certified", "attacked", "wrong"]
    totals = found.totals
    assert (totals.inputs, totals.clean, totals.certified, totals.attacked, totals.wrong) == (4, 3, 2, 1, 1)
    assert totals.certified + totals.attacked + totals.wrong + totals.undecided == totals.inputs
    assert totals.certified_deployed == 2
    assert (found.inputs[2].label, found.inputs[2].executed) == ("1", True)
    lines = capsys.readouterr().out
    assert (
        "4 inputs: 3 (75.0 %) clean, 2 (50.0 %) certified (2 for every float32 execution too), 1 attacked, 1 wrong"
        in lines
    )
    assert "robust accuracy: at least 50.0 %, at most 50.0 % of these inputs" in lines
    assert "data: 'x' of d.npz: 4 samples of 2, float64, values 0.125 to 0.875; labels: 'y' of d.npz" in lines
    jsonschema.validate(json.loads((there / "out" / "report.json").read_text()), robust_schema())
    assert not (there / "out" / "unfinished").exists()
    assert not list((there / "out").glob(".*"))
    assert locked(there) == ExitCode.OK
    said = capsys.readouterr().out
    assert "robust.tlcert (row 0, label 0: robust)" in said
    assert "attacked.tlcert (row 2, label 1: not robust)" in said
    assert "attacked.tlcert (row 3, label 1: wrong)" in said
    page = (there / "out" / "report.md").read_text()
    assert "| row 3 | 1 | wrong |" in page
    assert "| certified | 2 | 50.0 % |" in page


def test_the_edge_is_exact(there: Path) -> None:
    """0.75 - 0.125 and 0.25 + 0.125 are equal: no margin, so not robust, and a hair less is."""
    for eps, wanted in (("0.25", "attacked"), ("0.249", "certified")):
        shutil.rmtree(there / "out", ignore_errors=True)
        certify(there, "--clip", 0, 1, eps=eps)
        assert document(there).inputs[1].answer == wanted


def test_claims_are_about_the_queries(there: Path) -> None:
    certify(there, "--clip", 0, 1)
    out, graph = there / "out", load_model(there / "net.onnx")
    eps = Fraction(3, 20)
    for k, sample in enumerate(SAMPLES):
        query = load_property(out / "queries" / f"{k:05d}.vnnlib", n_inputs=2, n_outputs=2)
        [disjunct] = query.disjuncts
        values = [Fraction(v) for v in sample]
        assert disjunct.box.lower == tuple(max(Fraction(0), v - eps) for v in values)
        assert disjunct.box.upper == tuple(min(Fraction(1), v + eps) for v in values)
        [constraint] = disjunct.constraints
        assert dict(constraint.outputs) == {int(LABELS[k]): 1, 1 - int(LABELS[k]): -1}
    bundle = read_bundle(out / "robust.tlcert", there / "net.onnx", None)
    assert len([name for name in bundle.manifest.files if name.endswith(".onnx")]) == 1
    assert [type(item.claim) for item in bundle.claims] == [UnsatClaim, UnsatClaim]
    for k, item in enumerate(bundle.claims):
        assert isinstance(item.claim, UnsatClaim)
        assert item.claim.query == load_property(out / "queries" / f"{k:05d}.vnnlib", n_inputs=2, n_outputs=2)
        assert item.claim.graph.n_inputs == graph.n_inputs
    attacked = [item.claim for item in read_bundle(out / "attacked.tlcert", None, None).claims]
    assert all(isinstance(claim, SatClaim) for claim in attacked)
    rows = list(csv.reader((out / "queries" / "instances.csv").read_text().splitlines()))
    assert [row[1] for row in rows] == [f"{k:05d}.vnnlib" for k in range(4)]
    assert Path(rows[0][0]).samefile(there / "net.onnx")


def test_normalised_and_divided(there: Path) -> None:
    """Whole numbers over 8, minus 1/4, by 1/2: the same pictures for a network that wants them so."""
    np.savez(there / "d.npz", x=(SAMPLES * 8).astype(np.uint8), y=LABELS)
    certify(there, "--divide", 8, "--clip", 0, 1, "--mean", "1/4", "--std", "0.5")
    [disjunct] = load_property(there / "out" / "queries" / "00002.vnnlib", n_inputs=2, n_outputs=2).disjuncts
    assert disjunct.box.lower == (
        (Fraction("0.35") - Fraction(1, 4)) * 2,
        (Fraction("0.6") - Fraction(1, 4)) * 2,
    )
    assert disjunct.box.upper == (
        (Fraction("0.65") - Fraction(1, 4)) * 2,
        (Fraction("0.9") - Fraction(1, 4)) * 2,
    )
    assert document(there).said[-1].startswith("then (value - mean) / std, exactly")


def test_the_ball_in_its_box(there: Path) -> None:
    """The corners of the box hold a counterexample, the ball does not: neither attacked nor certified."""
    certify(there, "--norm", "l2-box", eps="0.15")
    found = document(there)
    assert [sample.answer for sample in found.inputs] == ["certified", "certified", "undecided", "wrong"]
    assert "outside the ball" in found.inputs[2].reason
    shutil.rmtree(there / "out")
    certify(there, "--norm", "l2-box", eps="0.3")
    assert document(there).inputs[2].answer in ("attacked", "undecided")


def test_json_and_limit(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert certify(there, "--limit", 2, "--format", "json") == ExitCode.OK
    printed = capsys.readouterr().out
    assert json.loads(printed) == json.loads((there / "out" / "report.json").read_text())
    assert json.loads(printed)["totals"]["inputs"] == 2


def test_in_parallel_the_same(there: Path) -> None:
    certify(there)
    alone = (there / "out" / "robust.tlcert").read_bytes()
    shutil.rmtree(there / "out")
    certify(there, jobs=2)
    assert (there / "out" / "robust.tlcert").read_bytes() == alone


# the gate


def test_a_bundle_that_is_gone_fails_the_gate(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    certify(there)
    (there / "out" / "robust.tlcert").unlink()
    assert verify(there) == ExitCode.OK
    assert locked(there) == ExitCode.INVALID
    assert "a claim of the lock file is missing" in capsys.readouterr().out


def test_a_planted_witness_fails_the_gate(there: Path) -> None:
    certify(there)
    lock = (there / "out" / "robust.lock").read_bytes()
    (there / "out" / "robust.tlcert").rename(there / "kept.tlcert")
    shutil.copy(there / "out" / "attacked.tlcert", there / "out" / "robust.tlcert")
    assert locked(there) == ExitCode.INVALID
    shutil.rmtree(there / "out")
    certify(there, eps="0.4")
    (there / "out" / "robust.lock").write_bytes(lock)
    assert locked(there) == ExitCode.INVALID


def test_a_false_claim_is_refused_by_the_check(there: Path) -> None:
    """The proof of a smaller box under the question of a larger one."""
    from tlcheck.writers.bundle import ModelOut, UnsatOut, write_claims

    certify(there, eps="0.1")
    good = read_bundle(there / "out" / "robust.tlcert", None, None).claims[2]
    text = (
        (there / "out" / "queries" / "00002.vnnlib")
        .read_bytes()
        .replace(b"0.85", b"0.75")
        .replace(b"0.6)", b"1.0)")
    )
    text = text.replace(b"(assert (<= X_0 1.0))", b"(assert (<= X_0 0.95))")
    graph = load_model(there / "net.onnx")
    assert good.guidance is not None
    out = ModelOut("net.onnx", (there / "net.onnx").read_bytes(), graph)
    write_claims(
        there / "out" / "robust.tlcert",
        out,
        {"q.vnnlib": text},
        [UnsatOut("row 2, label 1: robust", good.guidance)],
    )
    assert verify(there) in (ExitCode.UNPROVEN, ExitCode.INVALID)


def test_what_the_last_check_does_not_confirm_is_undecided(
    there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = runs.Confirm.one

    def doubtful(self: runs.Confirm, item: tuple[Path, int]) -> runs.Confirmed:
        read, problem = one(self, item)
        return (read, "doubted") if read is not None and read.name.startswith("row 0") else (read, problem)

    monkeypatch.setattr(runs.Confirm, "one", doubtful)
    certify(there, "--limit", 2)
    found = document(there)
    assert [(s.answer, s.reason) for s in found.inputs] == [("undecided", "doubted"), ("certified", "")]
    assert [c.name for c in read_bundle(there / "out" / "robust.tlcert", None, None).manifest.claims] == [
        "row 1, label 1: robust"
    ]


# going on


def test_a_folder_that_is_not_empty(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    certify(there)
    assert certify(there) == ExitCode.INVALID
    assert "the folder is not empty: take it over with --resume" in capsys.readouterr().err


def test_evidence_is_taken_over_only_after_a_check(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certify(there)
    monkeypatch.setattr(answers, "find", _nothing)
    certify(there, "--resume")
    assert [(s.answer, s.taken_over) for s in document(there).inputs] == [
        ("certified", True), ("certified", True), ("attacked", True), ("wrong", False),
    ]  # fmt: skip
    certify(there, "--resume", eps="0.1")
    assert [s.answer for s in document(there).inputs] == ["undecided"] * 3 + ["wrong"]
    assert not (there / "out" / "robust.tlcert").exists()
    assert locked(there) == ExitCode.OK


def _nothing(*_: Any) -> Any:
    from tlcheck.robust.search import Found

    return Found(None, "nothing was looked for")


def test_evidence_of_another_claim_is_not_believed(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guidance that does not fit, and a witness that is none, filed under the questions' hashes."""
    certify(there)
    questions: dict[str, Any] = {}

    def swapped(self: folders.Folder, asked: Any) -> Any:
        from tlcheck.readers.bytes import sha256_hex

        for k in range(asked.count):
            questions[sha256_hex(asked.text(k))] = (Fraction(1, 2), Fraction(1, 2)) if k else (Fraction(1),)
        return questions, []

    monkeypatch.setattr(folders.Folder, "earlier", swapped)
    monkeypatch.setattr(answers, "find", _nothing)
    certify(there, "--resume")
    assert [s.answer for s in document(there).inputs] == ["undecided", "undecided", "undecided", "wrong"]


class _Stop(KeyboardInterrupt):
    pass


def test_an_interrupted_run_leaves_whole_files_and_goes_on(
    there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = folders.Folder.keep

    def stopping(self: folders.Folder, questions: Any, answer: answers.Answer) -> None:
        keep(self, questions, answer)
        if answer.sample == 2:
            raise _Stop

    monkeypatch.setattr(folders.Folder, "keep", stopping)
    assert certify(there) == ExitCode.INTERRUPTED
    out = there / "out"
    assert sorted(path.name for path in (out / "unfinished").iterdir()) == [
        f"{k:05d}.tlcert" for k in range(3)
    ]
    assert not (out / "robust.tlcert").exists()
    assert not [path for path in out.rglob("*") if path.name.endswith((".tmp", ".old"))]
    for path in (out / "unfinished").iterdir():
        assert main(["verify", str(path), "--model", str(there / "net.onnx")]) == ExitCode.OK
    monkeypatch.setattr(folders.Folder, "keep", keep)
    assert certify(there, "--resume") == ExitCode.REFUTED
    assert [s.taken_over for s in document(there).inputs] == [True, True, True, False]
    assert not (out / "unfinished").exists()
    assert locked(there) == ExitCode.OK


def test_damaged_evidence_is_left_out_and_said(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    certify(there)
    (there / "out" / "unfinished").mkdir()
    (there / "out" / "unfinished" / "00000.tlcert").write_bytes(b"PK no bundle")
    certify(there, "--resume")
    assert "00000.tlcert left out" in capsys.readouterr().out
    assert document(there).totals.certified == 2
    (there / "out" / "robust.tlcert").write_bytes(b"nothing")
    assert certify(there, "--resume") == ExitCode.INVALID
    assert "robust.tlcert" in capsys.readouterr().err


def test_evidence_about_another_network_is_left_out(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    certify(there)
    identity(there / "net.onnx", name="another")
    certify(there, "--resume")
    assert "robust.tlcert left out" in capsys.readouterr().out
    assert not any(sample.taken_over for sample in document(there).inputs)
    assert locked(there) == ExitCode.OK


# many


def test_bundles_are_parted(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "MOST_CLAIMS", 1)
    certify(there, eps="0.1")
    names = sorted(path.name for path in (there / "out").glob("*.tlcert"))
    assert names == ["attacked.tlcert", "robust-2.tlcert", "robust-3.tlcert", "robust.tlcert"]
    assert locked(there) == ExitCode.OK
    monkeypatch.setattr(folders, "MOST_CLAIMS", 9)
    certify(there, "--resume", eps="0.1")
    assert sorted(path.name for path in (there / "out").glob("*.tlcert")) == [
        "attacked.tlcert",
        "robust.tlcert",
    ]
    assert all(s.taken_over for s in document(there).inputs[:3])


# templates


def test_a_property_for_each_sample(there: Path) -> None:
    """Output 0 of the identity stays below the label's value: no class is asked for."""
    np.savez(there / "d.npz", x=SAMPLES, y=np.array([1.125, 0.5, 0.625, 0.5]))
    (there / "p.vnnlib").write_text(
        "(declare-const X_{i} Real)\n(declare-const Y_{j} Real)\n"
        "(assert (>= X_{i} {lower}))\n(assert (<= X_{i} {upper}))\n(assert (>= Y_0 {label}))\n"
    )
    assert certify(there, "--property-per-input", there / "p.vnnlib") == ExitCode.REFUTED
    found = document(there)
    assert [s.answer for s in found.inputs] == ["certified", "certified", "attacked", "wrong"]
    names = [
        claim.name for claim in read_bundle(there / "out" / "attacked.tlcert", None, None).manifest.claims
    ]
    assert names == ["row 2, label 5/8: violated", "row 3, label 1/2: violated at the sample"]


@pytest.mark.parametrize("low, high", [("{upper}", "{lower}"), ("0", "0.125")])
def test_a_property_that_is_not_about_its_sample(
    there: Path, low: str, high: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would be certified, and say nothing of the sample: regions without points, or elsewhere."""
    (there / "p.vnnlib").write_text(
        "(declare-const X_{i} Real)\n(declare-const Y_{j} Real)\n"
        f"(assert (>= X_{{i}} {low}))\n(assert (<= X_{{i}} {high}))\n(assert (>= Y_0 1000))\n; {{i}}\n"
    )
    assert certify(there, "--property-per-input", there / "p.vnnlib") == ExitCode.INVALID
    assert "the sample lies in no region of its own property" in capsys.readouterr().err
    assert not (there / "out").exists()


# what is refused before anything is written


@pytest.mark.parametrize(
    "options, words, code",
    [
        (("--clip", "0", "0.8"), "a sample lies outside --clip", ExitCode.INVALID),
        (("--mean", "1,2,3"), "not one number a channel", ExitCode.INVALID),
        (("--classes", "a,b"), "none of --classes", ExitCode.INVALID),
        (("--classes", "a,b,c"), "not one of --classes for each output", ExitCode.INVALID),
        (("--norm", "l2"), "l2-box proves the box around the l2 ball", ExitCode.USAGE),
        (("--norm", "l1"), "a claim is about a box", ExitCode.USAGE),
        (("--norm", "sup"), "none of linf, l2-box", ExitCode.USAGE),
        (("--std", "0"), "--std are above 0", ExitCode.USAGE),
        (("--clip", "1", "0"), "the lower end comes first", ExitCode.USAGE),
        (("--eps", "-1"), "--eps is negative", ExitCode.USAGE),
        (("--eps", "a"), "not a decimal", ExitCode.USAGE),
        (("--keys", "x,"), "parted by commas", ExitCode.USAGE),
        (("--layout", "chw-to-hwc"), "does not fit the network's input with --layout", ExitCode.INVALID),
    ],
)
def test_refused(
    there: Path, options: tuple[str, ...], words: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert certify(there, *options) == code
    error = capsys.readouterr().err
    assert words in error
    assert not (there / "out").exists()


def test_data_that_do_not_fit(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def line(words: str, *more: object, **arrays: Any) -> None:
        np.savez(there / "d.npz", **arrays)
        assert certify(there, *more) == ExitCode.INVALID
        error = capsys.readouterr().err
        assert words in error, error
        assert error.count("\n") == 1
        assert not (there / "out").exists()

    line("the data have no labels: give them with --labels", x=SAMPLES)
    line("a label that is no output of the network (expected 0 to 1, got 2)", x=SAMPLES, y=LABELS + 1)
    line("a label that is no output", x=SAMPLES, y=LABELS - 1)
    line(
        "which output is this class? name all in the outputs' order with --classes",
        x=SAMPLES,
        y=np.array(["a", "b"] * 2),
    )
    line("--divide 1", x=(SAMPLES * 8).astype(int), y=LABELS)
    line("--divide 1", x=np.round(SAMPLES).astype(np.uint8), y=LABELS)
    line("--divide 1", x=np.round(SAMPLES * 8), y=LABELS)
    line(
        "another number of values than the network's input (expected 2 (2 values), got 3 (3 values))",
        x=np.ones((4, 3)) / 3,
        y=LABELS,
    )


def test_no_change_at_all(there: Path) -> None:
    """eps 0: the sample itself is all there is to prove."""
    assert certify(there, eps="0") == ExitCode.REFUTED
    assert [s.answer for s in document(there).inputs] == ["certified"] * 3 + ["wrong"]


def test_certified_for_executions_alone(there: Path) -> None:
    """A margin that rounding may eat is certified over the reals and not deployed."""
    identity(there / "net.onnx", away=4096.0)
    np.savez(there / "d.npz", x=SAMPLES[1:2], y=LABELS[1:2])
    near = "0.24997"
    assert certify(there, eps=near) == ExitCode.OK
    [sample] = document(there).inputs
    assert (sample.answer, sample.deployed) == ("certified", False)
    assert document(there).totals.certified_deployed == 0
    shutil.rmtree(there / "out")
    assert certify(there, "--semantics", "deployed", eps=near) == ExitCode.UNPROVEN
    assert document(there).inputs[0].answer == "undecided"


def test_the_runtime_profile_is_named(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert certify(there, "--profile", "nosuch") == ExitCode.INVALID
    assert "no such runtime profile" in capsys.readouterr().err
    assert not (there / "out").exists()
    certify(there, "--semantics", "deployed", "--profile", "onnxruntime-cpu")
    assert document(there).profile["name"] == "onnxruntime-cpu"
    assert "runtime profile onnxruntime-cpu (measured, SHA-256" in (there / "out" / "report.md").read_text()


def test_a_bug_on_one_sample_does_not_hide_the_others(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "find", lambda *_: [][0])
    assert certify(there) == ExitCode.BUG
    assert [s.answer for s in document(there).inputs] == ["undecided"] * 3 + ["wrong"]
    assert (
        "a bug in tlcheck: IndexError: list index out of range [TLC901]" in document(there).inputs[0].reason
    )
    monkeypatch.undo()
    assert certify(there, "--resume") == ExitCode.REFUTED


def test_names_that_are_hostile(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (there / "d.csv").write_text('label,a,b\n"x\x1b[2Jy|",0.875,0.125\n"x\\x1b[2Jy|",0.25,0.75\n')
    certify(there, "--classes", "x\x1b[2Jy|,x\\x1b[2Jy|", data="d.csv")
    assert document(there).totals.certified == 2
    assert "\x1b" not in capsys.readouterr().out
    assert "\x1b" not in (there / "out" / "report.md").read_text()
    assert locked(there) == ExitCode.OK


def test_names_of_classes(there: Path) -> None:
    np.savez(there / "d.npz", x=SAMPLES, y=np.array(["cat", "dog", "dog", "dog"]))
    certify(there, "--classes", "cat,dog")
    assert [s.answer for s in document(there).inputs] == ["certified", "certified", "attacked", "wrong"]
    names = [claim.name for claim in read_bundle(there / "out" / "robust.tlcert", None, None).manifest.claims]
    assert names == ["row 0, label cat: robust", "row 1, label dog: robust"]


def test_networks_that_are_no_classifiers(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    identity(there / "net.onnx", 1)
    np.savez(there / "d.npz", x=SAMPLES[:, :1], y=np.zeros(4, int))
    assert certify(there) == ExitCode.INVALID
    assert "not one number a class: ask by --property-per-input" in capsys.readouterr().err


def test_a_process_that_dies_is_undecided() -> None:
    assert answers.lost(3).status == answers.UNDECIDED
    read, problem = runs.unconfirmed((Path("x"), 0))
    assert read is None
    assert "killed" in problem


def test_a_question_that_cannot_be_read_is_refused_first(
    there: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (there / "p.vnnlib").write_text(
        "(declare-const X_{i} Real)\n(declare-const Y_{j} Real)\n(assert (>= X_0 {lower 0}))\n(assert\n"
    )
    assert certify(there, "--property-per-input", there / "p.vnnlib") == ExitCode.INVALID
    assert "p.vnnlib, filled for row 0: line" in capsys.readouterr().err
    assert not (there / "out").exists()


def test_a_template_that_is_no_text_of_properties(there: Path) -> None:
    from tlcheck.robust.questions import Settings, questions

    (there / "p.vnnlib").write_text("{nothing}")
    with pytest.raises(InvalidInput, match="no placeholder"):
        questions(there / "net.onnx", there / "d.npz", Settings(Fraction(1), template=there / "p.vnnlib"))


def test_a_tie_names_the_other_class(there: Path) -> None:
    np.savez(there / "d.npz", x=np.array([[0.5, 0.5]]), y=np.array(["cat"]))
    certify(there, "--classes", "cat,dog")
    [found] = document(there).inputs
    assert (found.answer, found.reason) == (
        "wrong",
        "class dog, output 1 at the sample (as large as the label's)",
    )


def test_shares_never_say_more_than_is_so() -> None:
    assert (_percent(2999, 3000), _percent(3000, 3000)) == ("99.9 %", "100.0 %")
    assert (_percent(1, 3000, up=True), _percent(0, 3000, up=True)) == ("0.1 %", "0.0 %")


def test_a_run_that_is_not_finished_leaves_no_report_of_another(
    there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certify(there, "--clip", 0, 1)
    monkeypatch.setattr(runs, "confirmed", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    certify(there, "--clip", 0, 1, "--resume", eps="0.01")
    assert not (there / "out" / "report.md").exists()
    assert (there / "out" / "robust.tlcert").exists()


def test_a_property_s_report_claims_the_property(there: Path) -> None:
    (there / "t.vnnlib").write_text(
        "(declare-const X_{i} Real)\n(declare-const Y_{j} Real)\n(assert (>= X_{i} {lower}))\n"
        "(assert (<= X_{i} {upper}))\n(assert (>= Y_0 9))\n"
    )
    certify(there, "--property-per-input", there / "t.vnnlib")
    page = (there / "out" / "report.md").read_text()
    assert "no output of another class" not in page
    assert "no real input vector satisfies the input's query" in page


def test_names_that_are_no_utf_8(there: Path) -> None:
    try:
        identity(there / "n\udcff.onnx")
    except (OSError, UnicodeError):
        pytest.skip("no such names here")
    arguments = (there / "n\udcff.onnx", there / "d.npz", "-o", there / "out", "--eps", "0.01", "--jobs", 1)
    assert main(["certify-robust", *map(str, arguments)]) == ExitCode.REFUTED
    assert document(there).model == "n\\udcff.onnx"


def folders_of(there: Path, names: Sequence[str]) -> None:
    """Pictures of four grey values (0, 1, 2, 3), one in each folder."""
    from PIL import Image

    for k, name in enumerate(names):
        (there / "p" / name).mkdir(parents=True)
        Image.fromarray(np.array([[0, 1], [2, 3 + k % 2]], np.uint8)).save(there / "p" / name / "a.png")


def test_folders_of_more_than_ten_classes(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By number, 2 comes after 1; as text, which is how torchvision sorts them, 10 does."""
    from tlcheck.robust.questions import _check_order

    folders_of(there, ["0", "2", "3"])
    identity(there / "net.onnx", 4)
    assert certify(there, "--divide", 255, data="p") != ExitCode.INVALID
    shutil.rmtree(there / "out")
    numbers = {str(k): Fraction(k) for k in range(12)}
    with pytest.raises(
        InvalidInput, match=r"folder 2: is a class's folder.*--classes.*output 2 or output 4"
    ) as error:
        _check_order(numbers, 12)
    assert error.value.code == "TLC502"
    _check_order({"0": Fraction(0), "1": Fraction(1)}, 12)
    _check_order({f"{k:02}": Fraction(k) for k in range(12)}, 12)
    _check_order({str(k): Fraction(k) for k in range(10)}, 10)
    for alone in ("3", "11"):
        with pytest.raises(InvalidInput):
            _check_order({alone: Fraction(alone)}, 12)


def test_one_hot_labels_have_a_place_for_each_output(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(there / "d.npz", x=SAMPLES, y=np.eye(3, dtype=int)[LABELS])
    assert certify(there) == ExitCode.INVALID
    assert "one-hot labels for another number of classes" in (said := capsys.readouterr().err)
    assert "expected 2 places, got 3" in said and len(said.splitlines()) == 1
    np.savez(there / "d.npz", x=SAMPLES, y=np.eye(2, dtype=int)[LABELS])
    assert certify(there, "--limit", 1) == ExitCode.OK


def test_numbers_of_other_units_are_noted(there: Path) -> None:
    np.savez(there / "d.npz", x=(SAMPLES * 255).astype(np.uint8), y=LABELS)
    certify(there, "--limit", 1, "--divide", 255, "--mean", "123.675", "--std", "58.395")
    notes = [line for line in document(there).said if line.startswith("NOTE")]
    of = "the range of the data, 31/255 to 223/255 once divided; are the units the same?"
    assert notes == [f"NOTE: --mean is outside {of}", f"NOTE: --std is larger than {of}"]
    assert (
        certify(there, "--limit", 1, "--divide", 255, "--mean", "0.5", "--std", "0.2", "--resume")
        != ExitCode.INVALID
    )
    assert not [line for line in document(there).said if line.startswith("NOTE")]


def test_a_report_s_names_are_text() -> None:
    """Markdown has no say in them, nor what GitHub makes of addresses."""
    assert (
        markdown_cell("_a_|<b>*c* `d`\\ ~f~ &amp; $h$ @i")
        == r"\_a\_\|\<b\>\*c\* \`d\`\\ \~f\~ \&amp; \$h\$ \@i"
    )
    assert markdown_cell("[d](https://e) www.g.de") == r"\[d\](https\://e) www\.g.de"
    assert markdown_cell("row 3, 0.25 (as large)\n# - 1.") == "row 3, 0.25 (as large) # - 1."


def test_fewer_inputs_lose_no_evidence(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    certify(there)
    before = {path.name: path.read_bytes() for path in (there / "out").iterdir() if path.is_file()}
    capsys.readouterr()
    assert certify(there, "--resume", "--limit", 2) == ExitCode.INVALID
    [line] = capsys.readouterr().err.splitlines()
    assert "row 2, label 1: the folder has evidence about an input that --limit leaves out" in line
    assert before == {path.name: path.read_bytes() for path in (there / "out").iterdir() if path.is_file()}
    certify(there, "--resume", "--limit", 2, eps="0.1")
    assert "evidence about 4 other questions of an earlier run is left out" in capsys.readouterr().out
    assert len(document(there).inputs) == 2
    assert locked(there) == ExitCode.OK
