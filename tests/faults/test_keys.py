"""Which file or claim is meant: what version 0.1.0 took for another, and the rest of each kind."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.helpers import FAULTS, needs_faults
from tlcheck.cli.main import main

Capture = pytest.CaptureFixture[str]
ROLE, JOURNAL, EXTERNAL, HEADING = (
    FAULTS / name for name in ("role", "journal_decimals", "external_data", "results_heading")
)


def lines(capture: Capture, *arguments: object, code: int = 0) -> str:
    """Standard output of a run that ends with ``code``."""
    capture.readouterr()
    assert main([str(a) for a in arguments]) == code
    return capture.readouterr().out


def refereed(capture: Capture, results: Path, benchmarks: Path, *more: object) -> Any:
    return json.loads(
        lines(
            capture,
            "vnncomp",
            "referee",
            results,
            "--benchmarks",
            benchmarks,
            "--format",
            "json",
            "--jobs",
            "1",
            *more,
        )
    )


def competition(root: Path, model: Path, query: Path, row: str, witness: bytes = b"") -> tuple[Path, Path]:
    """(results, benchmarks) of one tool and one instance; ``row``: time, answer, time."""
    place = root / "vnncomp2025_benchmarks" / "benchmarks" / "tst"
    for name, file in (("onnx", model), ("vnnlib", query)):
        (place / name).mkdir(parents=True)
        shutil.copy(file, place / name)
        for data in file.parent.glob(f"{file.name}.data"):
            shutil.copy(data, place / name)
    results = root / "results" / "toolx" / "tst"
    results.mkdir(parents=True)
    inside = "vnncomp2025_benchmarks/benchmarks/tst/"
    (results / "results.csv").write_text(f"tst,{inside}onnx/{model.name},{inside}vnnlib/{query.name},{row}\n")
    if witness:
        (results / f"{model.stem}_{query.stem}.counterexample").write_bytes(witness)
    return root / "results", root / "vnncomp2025_benchmarks"


# One file, two readings.


@needs_faults
def test_role(capsys: Capture) -> None:
    """n.onnx is y = x, and with its bytes as weights the bundle's network is y = 0: it is not about n.onnx."""
    bundle, model, query = ROLE / "c.tlcert", ROLE / "n.onnx", ROLE / "p.vnnlib"
    said = lines(capsys, "verify", bundle, "--model", model, "--property", query, code=3)
    assert (
        "weights (w.safetensors) and architecture (a.json)" in said and "leave --model out [TLC103]" in said
    )
    assert "CERTIFIED" in lines(capsys, "verify", bundle)
    answer = lines(capsys, "vnnlib", "verify", query, "--network", f"N={model}", "--certificate", bundle)
    assert answer.split()[0] == "sat"


@needs_faults
def test_role_in_the_referee(tmp_path: Path, capsys: Capture) -> None:
    """The certificate holds, of another network: it settles no instance of n.onnx."""
    folders = competition(tmp_path, ROLE / "n.onnx", ROLE / "p.vnnlib", "0,unsat,1")
    report = refereed(capsys, *folders, "--certificates", ROLE)
    assert [i["verdict"] for i in report["instances"]] == ["open"]
    assert report["notes"] == ["certificate c.tlcert: about no instance of these results"]


@needs_faults
def test_sources_name_roles(capsys: Capture) -> None:
    document = json.loads(lines(capsys, "verify", ROLE / "c.tlcert", "-v", "--format", "json"))
    [claim] = document["results"][0]["claims"]
    assert set(claim["details"]["sources"]) == {"manifest", "weights", "architecture", "property", "arrays"}


@needs_faults
def test_journal_decimals(tmp_path: Path, capsys: Capture) -> None:
    for name in ("net.onnx", "suite.json"):
        shutil.copy(JOURNAL / name, tmp_path)
    command = ("verify", tmp_path / "suite.json", "--resume", tmp_path / "j.jsonl")
    assert "CERTIFIED" in lines(capsys, *command)
    assert "UNPROVEN" in lines(capsys, *command, "--decimals", "exact", code=4)
    assert "CERTIFIED" in lines(capsys, *command)


# Weights in other files.


@needs_faults
@pytest.mark.parametrize("name", ["a", "b"])
def test_external_data(name: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights are those beside the model, exactly and in float32, wherever one is."""
    said = set()
    for folder in (EXTERNAL / "a", EXTERNAL / "b", EXTERNAL):
        monkeypatch.chdir(folder)
        model = os.path.relpath(EXTERNAL / name / "net.onnx")
        arguments = (model, EXTERNAL / "p.vnnlib", EXTERNAL / "w.txt", "--format", "json")
        code = 0 if name == "a" else 1
        [row] = json.loads(lines(capsys, "vnncomp", "witness", *arguments, code=code))
        assert row["deployed"]["margin"] == pytest.approx(row["real"]["margin"], abs=1e-4)
        assert row["deployed"]["flipped"] is False
        said.add((row["real"]["margin"], row["deployed"]["margin"], row["official"]["result"]))
    assert len(said) == 1


@needs_faults
def test_external_data_of_another_network_settles_nothing(tmp_path: Path, capsys: Capture) -> None:
    """Two networks of one .onnx file and different data files are two: a ruling on one is not kept for the other."""
    reports = []
    for name in ("a", "b"):
        row = competition(
            tmp_path / name,
            EXTERNAL / name / "net.onnx",
            EXTERNAL / "p.vnnlib",
            "0,sat,1",
            (EXTERNAL / "w.txt").read_bytes(),
        )
        reports.append(refereed(capsys, *row, "--output", tmp_path / "out"))
    assert [r["instances"][0]["verdict"] for r in reports] == ["sat", "open"]
    assert [r["reused"] for r in reports] == [0, 0]
    assert len({r["instances"][0]["network_sha256"] for r in reports}) == 2


def affine(folder: Path, weight: float, location: str | None = None, at: str = "net.onnx.data") -> Path:
    """net.onnx, y = weight x, with its weight in another file when ``location`` says so (and the file ``at``)."""
    folder.mkdir(parents=True, exist_ok=True)
    w = helper.make_tensor("w", TensorProto.FLOAT, [1, 1], [weight])
    if location is not None:
        w.ClearField("float_data")
        w.data_location = TensorProto.EXTERNAL
        w.external_data.add(key="location", value=location)
        (folder / at).parent.mkdir(parents=True, exist_ok=True)
        (folder / at).write_bytes(np.float32(weight).tobytes())
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "w"], ["y"])], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1])], [w],
    )  # fmt: skip
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8),
        str(folder / "net.onnx"),
    )
    return folder / "net.onnx"


PROPERTY = "(declare-const X_0 Real)(declare-const Y_0 Real)(assert (>= X_0 0))(assert (<= X_0 1))(assert (>= Y_0 0.5))\n"
SUITE = {
    "format": "vnnlib_suite_v0_1",
    "weights": {"file": "net.onnx"},
    "instances": [{"id": 0, "input_lo": [0], "input_hi": [1], "spec": [{"mat": [[-1]], "rhs": [-0.5]}]}],
}


def test_external_data_are_read_where_a_model_has_a_path(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One rule: artifacts, queries, witnesses; and the working folder's file of the same name is no one's."""
    affine(tmp_path / "elsewhere", 1.0, "net.onnx.data")
    model = affine(tmp_path / "here", 0.25, "net.onnx.data")
    query = tmp_path / "here" / "p.vnnlib"
    query.write_text(PROPERTY)
    suite = tmp_path / "here" / "suite.json"
    suite.write_text(json.dumps(SUITE))
    monkeypatch.chdir(tmp_path / "elsewhere")
    document = json.loads(lines(capsys, "verify", suite, "-v", "--format", "json"))
    [claim] = document["results"][0]["claims"]
    assert claim["verdict"] == "CERTIFIED" and set(claim["details"]["sources"]) == {
        "artifact",
        "net.onnx",
        "net.onnx.data",
    }
    assert "CERTIFIED" in lines(capsys, "verify", suite, "--model", model)
    assert "UNPROVEN" in lines(
        capsys, "verify", suite, "--model", tmp_path / "elsewhere" / "net.onnx", code=4
    )
    assert lines(capsys, "vnnlib", "verify", query, "--network", f"N={model}").split()[0] == "unsat"
    assert (
        lines(
            capsys, "vnnlib", "verify", query, "--network", f"N={tmp_path / 'elsewhere' / 'net.onnx'}"
        ).split()[0]
        == "sat"
    )


def test_external_data_of_a_dump_and_its_bundle(tmp_path: Path, capsys: Capture) -> None:
    """`convert` puts the data file into the bundle, which is then about these files only."""
    here = tmp_path / "here"
    model = affine(here, 0.25, "net.onnx.data")
    (here / "suite.json").write_text(json.dumps(SUITE))
    bundle = tmp_path / "s.tlcert"
    lines(capsys, "convert", here / "suite.json", "-o", bundle)
    assert "CERTIFIED" in lines(capsys, "verify", bundle)
    assert "CERTIFIED" in lines(capsys, "verify", bundle, "--model", model)
    np.float32(1.0).tofile(here / "net.onnx.data")
    assert "CERTIFIED" in lines(capsys, "verify", bundle)
    lines(capsys, "verify", bundle, "--model", model, code=3)


@pytest.mark.parametrize(
    ("location", "at"),
    [
        ("../w.bin", "../w.bin"), ("sub/w.bin", "sub/w.bin"), ("./w.bin", "w.bin"), ("/w.bin", "w.bin"), ("", "w.bin"), ("..", "w.bin"),
        ("sub\\w.bin", "w.bin"), ("C:w.bin", "w.bin"), ("w.bin\n", "w.bin"),
    ],
)  # fmt: skip
def test_external_data_of_another_place(location: str, at: str, tmp_path: Path, capsys: Capture) -> None:
    model = affine(tmp_path / "here", 0.25, location, at)
    (tmp_path / "p.vnnlib").write_text(PROPERTY)
    assert main(["vnnlib", "verify", str(tmp_path / "p.vnnlib"), "--network", f"N={model}"]) != 0
    assert "[TLC205]" in capsys.readouterr().err


# A heading.


@needs_faults
def test_results_heading(capsys: Capture) -> None:
    report = refereed(capsys, HEADING / "results", HEADING / "bench")
    [instance] = report["instances"]
    assert (instance["verdict"], instance["network"], instance["property"]) == (
        "sat",
        "onnx/n.onnx",
        "vnnlib/p.vnnlib",
    )
    assert [t["tool"] for t in report["tools"]] == ["toolx"] and instance["settled_by"] == [
        "toolx/tst/n_p.counterexample.gz"
    ]


# A year.


@pytest.mark.parametrize("above", ["vnncomp2025", "vnncomp2024_benchmarks", "mine"])
def test_the_year_guard_looks_at_what_the_user_named(above: str, tmp_path: Path, capsys: Capture) -> None:
    """Files of 2024 are not those of 2025, whatever the folders above are called; those of 2025 are."""
    model = affine(tmp_path / "net", 1.0)
    (tmp_path / "p.vnnlib").write_text(PROPERTY)
    results, benchmarks = competition(
        tmp_path / above, model, tmp_path / "p.vnnlib", "0,sat,1", b"((X_0 0.75))"
    )
    assert refereed(capsys, results, benchmarks)["instances"][0]["verdict"] == "sat"
    other = benchmarks.rename(benchmarks.parent / "vnncomp2024_benchmarks_x")
    for root in (other, other / "benchmarks"):
        [instance] = refereed(capsys, results, root)["instances"]
        assert instance["verdict"] == "unsupported" and "another year" in instance["reason"]
    link = tmp_path / "vnncomp2025_benchmarks"
    link.symlink_to(other)
    assert refereed(capsys, results, link)["instances"][0]["verdict"] == "unsupported"
    plain = other.rename(other.parent / "plain")
    assert refereed(capsys, results, plain)["instances"][0]["verdict"] == "sat"
