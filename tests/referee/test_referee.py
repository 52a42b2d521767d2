"""``tlcheck vnncomp referee``: verdicts, contradictions, certificates, resuming, and what it must not be fooled by."""

from __future__ import annotations

import gzip
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.clocks import Steps
from tests.helpers import CERTIFICATES
from tests.referee.folders import BENCHMARK, competition, far, row, write_benchmarks, write_tool
from tests.referee.small import text
from tlcheck.cli.main import main


def refereed(results: Path, benchmarks: Path, *more: str) -> tuple[int, dict[str, Any]]:
    """(exit code, report.json) of a run in a folder beside the results."""
    output = results.parent / "out"
    code = main(
        [
            "vnncomp",
            "referee",
            str(results),
            "--benchmarks",
            str(benchmarks),
            "--output",
            str(output),
            "--jobs",
            "1",
            *more,
        ]
    )
    return code, json.loads((output / "report.json").read_text()) if code in (0, 4, 70) else {}


def verdicts(report: dict[str, Any]) -> dict[str, str]:
    return {i["network"]: i["verdict"] for i in report["instances"]}


def test_verdicts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, report = refereed(*competition(tmp_path))
    assert code == 0
    assert [(i["network"], i["verdict"]) for i in report["instances"]] == [
        ("onnx/net_1.onnx", "contested"),  # first
        ("onnx/net_0.onnx", "sat"),
        ("onnx/net_2.onnx", "open"),
        ("onnx/net_3.onnx", "open"),
    ]
    assert report["verdicts"] == {"sat": 1, "unsat": 0, "contested": 1, "open": 2, "unsupported": 0}
    (contradiction,) = report["contradictions"]
    assert (contradiction["tool"], contradiction["answer"], contradiction["fact"]) == ("beta", "unsat", "sat")
    assert report["instances"][contradiction["instance"]]["network"] == "onnx/net_0.onnx"
    alpha, beta = report["tools"]
    assert alpha["rulings"] == {"holds": 1, "fails": 1, "malformed": 1}
    assert (alpha["confirmed"], alpha["contradicted"]) == (1, 0)
    assert (beta["confirmed"], beta["contradicted"], beta["without_witness"]) == (0, 1, 0)
    out = tmp_path / "out"
    assert {p.name for p in out.iterdir()} == {
        "report.json", "instances.csv", "answers.csv", "index.html", "rulings.jsonl",
    }  # fmt: skip
    assert "contested" in capsys.readouterr().out


def test_report_follows_its_schema(tmp_path: Path) -> None:
    import jsonschema

    from tlcheck.referee.findings import referee_schema

    _, report = refereed(*competition(tmp_path))
    jsonschema.validate(report, referee_schema())


def test_a_second_run_reuses_rulings(tmp_path: Path) -> None:
    results, benchmarks = competition(tmp_path)
    _, first = refereed(results, benchmarks)
    _, second = refereed(results, benchmarks)
    assert (first["reused"], second["reused"]) == (0, 3 - 0)
    assert [{**i} for i in first["instances"]] == [{**i} for i in second["instances"]]


def test_rulings_belong_to_bytes(tmp_path: Path) -> None:
    """A changed witness, property or network is judged anew; one that moved is not."""
    results, benchmarks = competition(tmp_path)
    refereed(results, benchmarks)
    query = next(benchmarks.rglob("prop_0.vnnlib.gz"))
    query.write_bytes(
        gzip.compress(gzip.decompress(query.read_bytes()).replace(b"(<= (- Y_0 Y_1) ", b"(<= (- Y_0 Y_1) -9"))
    )
    _, report = refereed(results, benchmarks)
    assert report["reused"] == 2
    assert verdicts(report)["onnx/net_0.onnx"] == "contested"
    shutil.move(results / "alpha", results / "gamma")
    _, report = refereed(results, benchmarks)
    assert report["reused"] == 3


def test_a_torn_store_is_read_up_to_the_tear(tmp_path: Path) -> None:
    results, benchmarks = competition(tmp_path)
    refereed(results, benchmarks)
    store = tmp_path / "out" / "rulings.jsonl"
    content = store.read_bytes()
    store.write_bytes(content[:-20])
    _, report = refereed(results, benchmarks)
    assert report["reused"] == 2
    _, report = refereed(results, benchmarks)
    assert report["reused"] == 3
    store.write_text(content.decode().replace('"ruling"', '"rulings"'))
    assert refereed(results, benchmarks)[1]["reused"] == 0
    store.write_text("{}\n")
    assert refereed(results, benchmarks)[0] == 3


def test_an_early_stop_says_so(tmp_path: Path, steps: Callable[[float], Steps]) -> None:
    steps(1.0)
    results, benchmarks = competition(tmp_path)
    code, report = refereed(results, benchmarks, "--timeout", "0.5")
    assert (code, report["complete"]) == (4, False)
    assert "sat" not in [i["verdict"] for i in report["instances"][1:]] or report["census"]["witnesses"] < 3
    code, report = refereed(results, benchmarks)
    assert (code, report["complete"], report["verdicts"]["sat"]) == (0, True, 1)


def test_missing_files_are_unsupported(tmp_path: Path) -> None:
    results, benchmarks = competition(tmp_path)
    for path in benchmarks.rglob("net_[02].onnx"):
        path.unlink()
    _, report = refereed(results, benchmarks)
    assert verdicts(report) == {
        "onnx/net_0.onnx": "contested",
        "onnx/net_1.onnx": "contested",
        "onnx/net_2.onnx": "unsupported",
        "onnx/net_3.onnx": "open",
    }
    assert report["contradictions"] == []
    assert all(
        "not in the benchmark folders" in i["reason"]
        for i in report["instances"]
        if i["network"] in ("onnx/net_0.onnx", "onnx/net_2.onnx")
    )


def with_bundle(tmp_path: Path, name: str = "digits-mlp") -> tuple[Path, Path, Path]:
    """Results on the network and property of one of our bundles; two tools disagree."""
    bundle = CERTIFICATES / "accept" / name / "x.tlcert"
    place = tmp_path / "vnncomp2024_benchmarks" / "benchmarks" / BENCHMARK
    with zipfile.ZipFile(bundle) as archive:
        for entry, target in (("model.onnx", "onnx/net_0.onnx"), ("property.vnnlib", "vnnlib/prop_0.vnnlib")):
            (place / target).parent.mkdir(parents=True)
            (place / target).write_bytes(archive.read(entry))
    write_tool(tmp_path / "results", "alpha", [row(0, "unsat")], {})
    write_tool(tmp_path / "results", "beta", [row(0, "sat")], {})
    return tmp_path / "results", tmp_path / "vnncomp2024_benchmarks", bundle


def test_a_certified_proof_settles(tmp_path: Path) -> None:
    results, benchmarks, bundle = with_bundle(tmp_path)
    assert verdicts(refereed(results, benchmarks)[1]) == {"onnx/net_0.onnx": "contested"}
    _, report = refereed(results, benchmarks, "--certificates", str(bundle.parent))
    (instance,) = report["instances"]
    assert (instance["verdict"], instance["certificates"][0]["verdict"]) == ("unsat", "CERTIFIED")
    assert [(c["tool"], c["answer"]) for c in report["contradictions"]] == [("beta", "sat")]


def test_a_proof_about_other_bytes_settles_nothing(tmp_path: Path) -> None:
    results, benchmarks, bundle = with_bundle(tmp_path)
    query = next(benchmarks.rglob("prop_0.vnnlib"))
    query.write_bytes(query.read_bytes() + b"\n")
    _, report = refereed(results, benchmarks, "--certificates", str(bundle.parent))
    assert verdicts(report) == {"onnx/net_0.onnx": "contested"}
    assert any("no instance" in note for note in report["notes"])


@pytest.mark.parametrize("folder", ["reject", "undecided", "malformed"])
def test_certificates_that_do_not_certify(tmp_path: Path, folder: str) -> None:
    """A folder of bad certificates is worked through: notes, no verdict, no failure."""
    results, benchmarks = competition(tmp_path)
    chosen = sorted((CERTIFICATES / folder).iterdir())[:6]
    for case in chosen:
        shutil.copytree(case, tmp_path / "certificates" / case.name, symlinks=True)
    code, report = refereed(results, benchmarks, "--certificates", str(tmp_path / "certificates"))
    assert code == 0
    assert report["verdicts"]["unsat"] == 0
    assert len(report["notes"]) >= 1


def test_a_witness_for_another_instance_proves_nothing(tmp_path: Path) -> None:
    """Names pair files; what they prove is recomputed."""
    root = tmp_path / "vnncomp2024_benchmarks"
    values = [v for _, v in write_benchmarks(root)]
    write_tool(
        tmp_path / "results",
        "alpha",
        [row(k, "sat") for k in range(4)],
        {k: text(values[(k + 1) % 4]) for k in range(4)},
    )
    _, report = refereed(tmp_path / "results", root)
    assert report["verdicts"] == {"sat": 0, "unsat": 0, "contested": 0, "open": 4, "unsupported": 0}


def test_filters_and_bad_input(tmp_path: Path) -> None:
    results, benchmarks = competition(tmp_path)
    _, report = refereed(results, benchmarks, "--tool", "beta")
    assert [t["tool"] for t in report["tools"]] == ["beta"]
    assert refereed(results, benchmarks, "--tool", "nobody")[0] == 2
    assert refereed(results, tmp_path / "missing")[0] == 3
    assert refereed(tmp_path / "missing", benchmarks)[0] == 3


@pytest.mark.parametrize("format_", ["json", "csv", "text"])
def test_formats(tmp_path: Path, capsys: pytest.CaptureFixture[str], format_: str) -> None:
    results, benchmarks = competition(tmp_path)
    assert (
        main(["vnncomp", "referee", str(results), "--benchmarks", str(benchmarks), "--format", format_]) == 0
    )
    out = capsys.readouterr().out
    if format_ == "json":
        assert json.loads(out)["verdicts"]["sat"] == 1
    assert "contested" in out
    assert not (tmp_path / "out").exists()


def test_the_same_witness_of_many_tools_is_judged_once(tmp_path: Path) -> None:
    root = tmp_path / "vnncomp2024_benchmarks"
    values = [v for _, v in write_benchmarks(root, 1)]
    for tool in ("a", "b", "c"):
        write_tool(tmp_path / "results", tool, [row(0, "sat")], {0: text(values[0])})
    _, report = refereed(tmp_path / "results", root)
    assert [t["rulings"] for t in report["tools"]] == [{"holds": 1}] * 3
    lines = (tmp_path / "out" / "rulings.jsonl").read_text().splitlines()
    assert len(lines) == 2


def test_versions_of_one_instance(tmp_path: Path) -> None:
    """2026: the same files under 1.0 and 2.0 are one mathematical object; a witness for one settles both."""
    root = tmp_path / "benchmarks_2026"
    values = [v for _, v in write_benchmarks(root, 1, "1.0")]
    write_benchmarks(root, 1, "2.0")
    write_tool(
        tmp_path / "results", "alpha", [row(0, "sat", "", "1.0")], {0: text(values[0])}, f"2026_{BENCHMARK}"
    )
    write_tool(tmp_path / "results", "beta", [row(0, "unsat", "", "2.0")], {}, f"2026_{BENCHMARK}")
    _, report = refereed(tmp_path / "results", root)
    assert {i["version"]: i["verdict"] for i in report["instances"]} == {"1.0": "sat", "2.0": "sat"}
    assert [c["tool"] for c in report["contradictions"]] == ["beta"]


def test_no_witness_outside_the_results(tmp_path: Path) -> None:
    root = tmp_path / "vnncomp2024_benchmarks"
    values = [v for _, v in write_benchmarks(root, 1)]
    place = write_tool(tmp_path / "results", "alpha", [row(0, "sat")], {})
    (tmp_path / "elsewhere").write_text(text(values[0]))
    (place / "net_0_prop_0.counterexample").symlink_to(tmp_path / "elsewhere")
    _, report = refereed(tmp_path / "results", root)
    assert report["verdicts"]["open"] == 1
    assert report["tools"][0]["without_witness"] == 1


def test_far_is_far(tmp_path: Path) -> None:
    assert far(["0.5", "1"]).startswith("((X_0 1.5)")
