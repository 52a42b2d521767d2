"""Results folders made to have a fact about one instance booked on another, or to end the referee's run."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.referee.folders import BENCHMARK, competition, row, write_benchmarks, write_tool
from tests.referee.small import made, text
from tests.referee.test_referee import refereed
from tlcheck.referee.results import read_results

CHECKOUT = "vnncomp2024_benchmarks"


def verdicts(report: dict[str, Any]) -> dict[tuple[str, str], tuple[str, list[bool]]]:
    return {
        (i["benchmark"], i["network"]): (i["verdict"], [a["contradicted"] for a in i["answers"]])
        for i in report["instances"]
    }


# One witness file, two instances.


@pytest.mark.parametrize("owner", [0, 1])
def test_a_witness_file_that_two_instances_have(tmp_path: Path, owner: int) -> None:
    """onnx/a/b_n.onnx and onnx/a_b/n.onnx: a_b_n_p.counterexample.gz is the name for both. It proves one sat."""
    folder = tmp_path / CHECKOUT / "benchmarks" / BENCHMARK
    places = [("onnx/a/b_n.onnx", "vnnlib/p.vnnlib"), ("onnx/a_b/n.onnx", "vnnlib/x/p.vnnlib")]
    witnesses = []
    for k, (network, query) in enumerate(places):
        small, values = made(k)
        for place in (folder / network, folder / query):
            place.parent.mkdir(parents=True, exist_ok=True)
        for source, place in zip(small.write(tmp_path), (network, query), strict=True):
            source.rename(folder / place)
        witnesses.append(text(values))
    above = f"{CHECKOUT}/benchmarks/{BENCHMARK}"
    rows = [f"{BENCHMARK},{above}/{network},{above}/{query},1,unsat,1" for network, query in places]
    place = write_tool(tmp_path / "results", "alpha", rows, {})
    (place / "a_b_n_p.counterexample.gz").write_bytes(gzip.compress(witnesses[owner].encode()))
    answers = read_results(tmp_path / "results")
    assert answers[0].witness == answers[1].witness is not None
    found = verdicts(refereed(tmp_path / "results", tmp_path / CHECKOUT)[1])
    assert found[BENCHMARK, places[owner][0]] == ("sat", [True])
    assert found[BENCHMARK, places[1 - owner][0]] == ("open", [False])


def test_a_witness_file_of_a_missing_network(tmp_path: Path) -> None:
    """Two categories whose names end alike share a folder of witnesses; one's network is not there."""
    results, benchmarks = competition(tmp_path)
    shutil.rmtree(results)
    other = row(0, "unsat").replace(f"{BENCHMARK},", f"x/{BENCHMARK},", 1).replace("/onnx/", "/gone/")
    missing = row(3, "unsat").replace("/onnx/", "/gone/")
    (results / "alpha" / f"2024_{BENCHMARK}").mkdir(parents=True)
    (results / "alpha" / "results.csv").write_text("\n".join([row(0, "sat"), other, missing]) + "\n")
    place = results / "alpha" / f"2024_{BENCHMARK}" / "net_0_prop_0.counterexample.gz"
    place.write_bytes(gzip.compress(text(made(0)[1]).encode()))
    found = verdicts(refereed(results, benchmarks)[1])
    assert found == {
        (BENCHMARK, "onnx/net_0.onnx"): ("sat", [False]),
        (f"x/{BENCHMARK}", "gone/net_0.onnx"): ("unsupported", [False]),
        (BENCHMARK, "gone/net_3.onnx"): ("unsupported", [False]),
    }


# Equal bytes that do not mean the same.


def test_networks_that_differ_in_their_external_data(tmp_path: Path) -> None:
    """y = w x on [1, 2], y >= 1: sat for w = 1, unsat for w = -1. The .onnx files are equal, the weights beside them not."""
    above = f"{CHECKOUT}/benchmarks"
    for category, w, word in (("one", 1, "sat"), ("two", -1, "unsat")):
        folder = tmp_path / above / category
        for kind in ("onnx", "vnnlib"):
            (folder / kind).mkdir(parents=True)
        values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1]) for n in ("x", "y")]
        weight = numpy_helper.from_array(np.array([w], np.float32), "w")
        node = helper.make_node("Mul", ["x", "w"], ["y"])
        graph = helper.make_graph([node], "g", values[:1], values[1:], [weight])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        path = str(folder / "onnx" / "n.onnx")
        onnx.save_model(model, path, save_as_external_data=True, location="w.bin", size_threshold=0)
        (folder / "vnnlib" / "p.vnnlib").write_text(
            "(declare-const X_0 Real)(declare-const Y_0 Real)"
            "(assert (>= X_0 1.0))(assert (<= X_0 2.0))(assert (>= Y_0 1.0))"
        )
        inside = f"{above}/{category}"
        line = f"{category},{inside}/onnx/n.onnx,{inside}/vnnlib/p.vnnlib,1,{word},1"
        place = write_tool(tmp_path / "results", "alpha", [line], {}, folder=category)
        if category == "one":
            (place / "n_p.counterexample.gz").write_bytes(gzip.compress(b"((X_0 1.5)\n(Y_0 1.5))"))
    networks = [tmp_path / above / c / "onnx" / "n.onnx" for c in ("one", "two")]
    assert networks[0].read_bytes() == networks[1].read_bytes()
    found = verdicts(refereed(tmp_path / "results", tmp_path / CHECKOUT)[1])
    assert found["two", "onnx/n.onnx"] == ("open", [False])
    assert found["one", "onnx/n.onnx"] == ("sat", [False])


# Rows that name nothing.

LONG = "n" * 300
HOSTILE = {
    "a NUL": f"{BENCHMARK}\0,benchmarks/c/onnx/n.onnx,benchmarks/c/p.vnnlib,1,sat,1",
    "long network": f"{BENCHMARK},benchmarks/{BENCHMARK}/onnx/{LONG}.onnx,benchmarks/c/p.vnnlib,1,sat,1",
    "long category": f"{LONG},benchmarks/{LONG}/onnx/n.onnx,benchmarks/c/p.vnnlib,1,sat,1",
    "deep path": f"c,{'d/' * 4000}n.onnx,benchmarks/c/p.vnnlib,1,sat,1",
    "lone surrogate": "a,\"[('','\\ud800.onnx')]\",c,1,sat,1",
    "NUL in a list": "a,\"[('','\\x00.onnx')]\",c,1,sat,1",
    "dots": ".,.,.,1,sat,1\n/,/,/,1,sat,1\n..,..,..,1,sat,1",
    "line ends": '"c\nTOTAL, sat",benchmarks/c/onnx/n.onnx,"p\n\x1b[31m",1,"sat\x1b[2J",1',
    "numbers": f"a,b,c,1,sat,{'9' * 5000}\na,b,c,1,sat,nan\na,b,c,1,unsat,-1",
    "patterns": "[*,b,c,1,sat,1\n**,b,c,1,sat,1\na/**,b,c,1,sat,1",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_row_ends_no_run(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write_benchmarks(tmp_path / "b", 1)
    place = tmp_path / "results" / "alpha"
    place.mkdir(parents=True)
    (place / "results.csv").write_text(HOSTILE[name] + "\n")
    monkeypatch.chdir(tmp_path / "b")
    code, report = refereed(tmp_path / "results", Path("."))
    assert code == (3 if name == "a NUL" else 0)
    assert all(i["verdict"] in ("unsupported", "contested") for i in report.get("instances", []))


def test_names_that_are_not_text(tmp_path: Path) -> None:
    results, benchmarks = competition(tmp_path)
    renamed = os.fsencode(tmp_path) + b"/r\xff"
    try:
        os.rename(os.fsencode(results), renamed)
        os.rename(renamed + b"/alpha", renamed + b"/al\xffpha")
    except OSError:
        pytest.skip("names here are text")
    code, report = refereed(Path(os.fsdecode(renamed)), benchmarks)
    assert (code, report["verdicts"]["sat"]) == (0, 1)
    assert {t["tool"] for t in report["tools"]} == {"al\\udcffpha", "beta"}


def test_no_witness_is_read_through_a_linked_folder(tmp_path: Path) -> None:
    """The folder of a category may be a link out of the results, as a file may."""
    outside = tmp_path / "private"
    outside.mkdir()
    (outside / "net_0_prop_0.counterexample").write_text("secret")
    tool = tmp_path / "results" / "alpha"
    tool.mkdir(parents=True)
    (tool / "results.csv").write_text(row(0, "sat") + "\n")
    (tool / BENCHMARK).symlink_to(outside)
    (answer,) = read_results(tmp_path / "results")
    assert answer.witness is None


# Stores.


def _facts(entry: dict[str, Any], fact: object) -> str:
    entry["value"]["real"] = fact
    return json.dumps(entry)


FORGED: dict[str, tuple[Callable[[dict[str, Any]], str], int]] = {
    "another order": (lambda e: json.dumps({"value": e["value"], "key": e["key"]}), 3),
    "a long number": (lambda e: json.dumps(e)[:-1] + ',"z":' + "9" * 5000 + "}", 0),
    "no text": (lambda e: _facts(e, {"holds": "\ud800", "margin": None}), 0),
    "half a fact": (lambda e: _facts(e, {"holds": False}), 3),
    "no fact": (lambda e: _facts(e, "holds"), 0),
    "two keys": (lambda e: json.dumps(e)[:-1] + ',"key":"x"}', 0),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_store_ends_no_run(tmp_path: Path, name: str) -> None:
    results, benchmarks = competition(tmp_path)
    first = refereed(results, benchmarks)[1]
    store = tmp_path / "out" / "rulings.jsonl"
    forge, most = FORGED[name]
    head, *lines = store.read_text().splitlines()
    store.write_text("\n".join([head, *(forge(json.loads(line)) for line in lines)]) + "\n")
    code, second = refereed(results, benchmarks)
    assert code == 0 and second["reused"] <= most
    assert second["verdicts"] == first["verdicts"]
