"""``tlcheck vnncomp witness``: one file or an index, every format, on small networks and on real data."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto, helper

from tests.helpers import DATA, needs_data
from tests.referee.small import made, text
from tlcheck.cli.main import main

INDEX = DATA / "vnncomp" / "index.csv"
SMALL_FAMILIES = ("acasxu", "safenlp", "reach_prob_density", "rl_benchmarks", "linearizenn", "ml4acopf")


def written(folder: Path) -> Path:
    """An index of six witnesses on two networks, in mixed order."""
    lines = ["onnx,vnnlib,ce_file,replay_result,note"]
    for seed in (0, 1):
        small, values = made(seed)
        (folder / str(seed)).mkdir()
        small.write(folder / str(seed))
        far = text([str(float(values[0]) + 1), *values[1:]])
        for name, content in (("good", text(values)), ("far", far), ("none", "")):
            (folder / f"{seed}-{name}").write_text(content)
    for name, replayed in (("good", "strict"), ("far", "wrong"), ("none", "strict")):
        for seed in (0, 1):
            lines.append(f'{seed}/model.onnx,{seed}/property.vnnlib,{seed}-{name},{replayed},"a, b"')
    index = folder / "index.csv"
    index.write_text("\n".join(lines) + "\n")
    return index


RULINGS = ["holds", "holds", "fails", "fails", "empty", "empty"]


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_index_in_order(tmp_path: Path, capsys: pytest.CaptureFixture[str], jobs: str) -> None:
    index = written(tmp_path)
    target = tmp_path / "summary.json"
    arguments = ["vnncomp", "witness", "--index", str(index), "--jobs", jobs]
    assert main([*arguments, "--format", "json", "--summary", str(target)]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["ruling"] for row in rows] == RULINGS
    assert [row["ce_file"] for row in rows][:2] == ["0-good", "1-good"]
    for row in rows:
        assert all(
            "holds" in row[name] and "margin" in row[name]
            for name in ("real", "deployed", "tolerance", "official")
        )
    summary = json.loads(target.read_text())
    assert summary["witnesses"] == 6
    assert summary["tables"]["replay_result"] == {"strict": {"holds": 2, "empty": 2}, "wrong": {"fails": 2}}
    assert [d["ce_file"] for d in summary["replay_differences"]] == ["0-none", "1-none"]


def test_every_format_says_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["vnncomp", "witness", "--index", str(written(tmp_path)), "--jobs", "1", "--format"]
    found = {}
    for name in ("text", "json", "jsonl", "csv"):
        assert main([*arguments, name]) == 0
        found[name] = capsys.readouterr().out
    assert [row["ruling"] for row in json.loads(found["json"])] == RULINGS
    assert [json.loads(line)["ruling"] for line in found["jsonl"].splitlines()] == RULINGS
    assert [row["ruling"] for row in csv.DictReader(io.StringIO(found["csv"]))] == RULINGS
    assert [line.split()[0] for line in found["text"].splitlines()[:6]] == RULINGS
    assert "6 witnesses" in found["text"]


@pytest.mark.parametrize(
    ("name", "code", "ruling"), [("good", 0, "holds"), ("far", 1, "fails"), ("none", 3, "empty")]
)
def test_single(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, code: int, ruling: str
) -> None:
    written(tmp_path)
    files = [str(tmp_path / part) for part in ("0/model.onnx", "0/property.vnnlib", f"0-{name}")]
    assert main(["vnncomp", "witness", *files]) == code
    assert capsys.readouterr().out.startswith(f"{ruling}: ")
    assert main(["vnncomp", "witness", *files, "--format", "json"]) == code
    (row,) = json.loads(capsys.readouterr().out)
    assert row["ruling"] == ruling


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], 2),
        (["a.onnx"], 2),
        (["a.onnx", "b.vnnlib", "c"], 3),
        (["--index", "missing.csv"], 3),
        (["a", "b", "c", "--index", "d"], 2),
        (["a", "b", "c", "--summary", "d"], 2),
    ],
)
def test_usage(arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vnncomp", "witness", *arguments]) == code
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("onnx,vnnlib\n", 3),
        ("onnx,vnnlib,ce_file\n", 2),
        ("onnx,vnnlib,ce_file\na,b\n", 3),
        ("onnx,vnnlib,ce_file\na,b,c,d\n", 3),
        ('onnx,vnnlib,ce_file\n"a,b,c\n', 3),
        ("", 3),
    ],
)
def test_bad_index(tmp_path: Path, content: str, code: int) -> None:
    index = tmp_path / "index.csv"
    index.write_text(content)
    assert main(["vnncomp", "witness", "--index", str(index)]) == code


def test_missing_files_of_an_index_are_rulings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index = written(tmp_path)
    header = "onnx,vnnlib,ce_file\n"
    index.write_text(
        header
        + "0/model.onnx,0/property.vnnlib,gone\ngone,0/property.vnnlib,0-good\n0/model.onnx,gone,0-good\n"
    )
    assert main(["vnncomp", "witness", "--index", str(index), "--format", "jsonl"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["ruling"] for row in rows] == ["empty", "unsupported", "unsupported"]
    assert rows[2]["code"] == "TLC402"


@needs_data
def test_real_witnesses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Small families of the published set: the official rule and the exact margins of the index are met."""
    with INDEX.open(encoding="utf-8", newline="") as file:
        lines = [
            line for line in csv.DictReader(file) if any(name in line["category"] for name in SMALL_FAMILIES)
        ]
    lines = [
        *lines[::3],
        *(line for line in lines if line["exact_sign_at_f32"] or line["replay_result"] == "strict_f32_only"),
    ]
    lines = list({line["ce_file"]: line for line in lines}.values())
    for line in lines:
        line.update({name: str(INDEX.parent / line[name]) for name in ("onnx", "vnnlib", "ce_file")})
    index, target = tmp_path / "index.csv", tmp_path / "summary.json"
    with index.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    assert (
        main(["vnncomp", "witness", "--index", str(index), "--format", "jsonl", "--summary", str(target)])
        == 0
    )
    rows: list[dict[str, Any]] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    summary = json.loads(target.read_text())
    assert len(rows) == len(lines) > 100
    assert summary["exact_columns"]["compared"] > 100
    assert summary["exact_columns"]["signs_differ"] == []
    near_zero = {row["ce_file"] for row in rows if abs(row["deployed"]["margin"] or 1.0) < 1e-6}
    assert all(
        d["ce_file"] in near_zero for d in summary["rule2026_differences"]
    )  # float32's last bits are the machine's
    assert {row["ruling"] for row in rows} == {
        "holds", "holds-repaired", "tolerance-only", "fails", "empty", "wrong-shape"
    }  # fmt: skip
    for row in rows:
        if row["ruling"] == "holds":
            assert (
                row["real"]["verdict"] == "CERTIFIED"
                and row["real"]["margin"] >= 0
                and row["settled"] == "sat"
            )
        if row["ruling"] == "holds-repaired":
            assert row["repaired"]["verdict"] == "CERTIFIED" and not row["real"]["in_region"]
    for d in summary["replay_differences"]:
        assert d["why"]


def test_a_path_is_another_file_in_another_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is kept between witnesses is kept by content: the same relative path of two working folders is two networks."""
    query, witness = tmp_path / "p.vnnlib", tmp_path / "w.txt"
    query.write_text(
        "(declare-const X_0 Real)(declare-const Y_0 Real)(assert (>= X_0 0))(assert (<= X_0 1))(assert (>= Y_0 2))"
    )
    witness.write_text("sat\n((X_0 1.0)\n(Y_0 2.0))\n")
    rulings = []
    for name, bias in (("holds", 1.0), ("fails", 0.0)):
        folder = tmp_path / name
        folder.mkdir()
        one = helper.make_tensor("b", TensorProto.FLOAT, [1, 1], [bias])
        x, y = (helper.make_tensor_value_info(v, TensorProto.FLOAT, [1, 1]) for v in "xy")
        graph = helper.make_graph([helper.make_node("Add", ["x", "b"], ["y"])], "g", [x], [y], [one])
        imports = [helper.make_opsetid("", 13)]
        (folder / "net.onnx").write_bytes(
            helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()
        )
        monkeypatch.chdir(folder)
        main(["vnncomp", "witness", "net.onnx", str(query), str(witness), "--format", "json"])
        [row] = json.loads(capsys.readouterr().out)
        rulings.append(row["ruling"])
    assert rulings == ["holds", "fails"]
