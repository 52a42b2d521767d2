"""Layouts of results folders and benchmark folders, and what is refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.referee.folders import BENCHMARK, row, write_benchmarks, write_tool
from tlcheck.errors import InvalidInput
from tlcheck.referee.benchmarks import Benchmarks
from tlcheck.referee.results import Answer, instance_name, read_results


def by_tool(answers: list[Answer]) -> dict[str, list[Answer]]:
    return {tool: [a for a in answers if a.tool == tool] for tool in {a.tool for a in answers}}


@pytest.mark.parametrize("folder", [BENCHMARK, f"2024_{BENCHMARK}"])
def test_tool_and_benchmark_folders(tmp_path: Path, folder: str) -> None:
    write_tool(tmp_path, "alpha", [row(0, "sat"), row(1, "unsat")], {0: "", 1: ""}, folder)
    write_tool(tmp_path, "SCORING", [row(0, "sat")], {}, folder)
    (tmp_path / "alpha" / "results.csv").write_text(row(0, "sat") + "\n" + row(1, "unsat") + "\n")
    answers = read_results(tmp_path)
    assert [(a.tool, a.result, a.seconds) for a in answers] == [
        ("alpha", "sat", 0.25),
        ("alpha", "unsat", 1.25),
    ]
    assert [a.witness is not None for a in answers] == [True, True]


def test_table_of_the_tool_alone(tmp_path: Path) -> None:
    """Rows of two categories in one file; witnesses in folders with the year."""
    other = row(1, "sat").replace(BENCHMARK, "other")
    place = write_tool(tmp_path, "alpha", [], {0: ""})
    (place / "results.csv").unlink()
    (tmp_path / "alpha" / "results.csv").write_text(row(0, "sat") + "\n" + other + "\n")
    answers = read_results(tmp_path)
    assert [(a.instance.benchmark, a.witness is not None) for a in answers] == [
        (BENCHMARK, True),
        ("other", False),
    ]


def test_the_folder_of_one_tool(tmp_path: Path) -> None:
    write_tool(tmp_path, "alpha", [row(0, "sat")], {0: ""})
    assert [a.tool for a in read_results(tmp_path / "alpha")] == ["alpha"]
    assert [a.tool for a in read_results(tmp_path / "alpha" / f"2024_{BENCHMARK}")]


@pytest.mark.parametrize(
    ("word", "result"),
    [
        ("holds", "unsat"), ("violated", "sat"), ("SAT", "sat"), ("", "unknown"), ("run_instance_timeout", "timeout"),
        ("timeout((X_00.4)(X_1-0.2))", "timeout"), ("error_exit_code_137", "error"), ("satisfied", "error"),
        ("no_result_in_file", "unknown"), ("unsat\nsat", "unsat"),
    ],
)  # fmt: skip
def test_words(tmp_path: Path, word: str, result: str) -> None:
    write_tool(tmp_path, "alpha", [row(0, f'"{word}"')], {})
    (answer,) = read_results(tmp_path)
    assert (answer.result, answer.written) == (result, word)


def test_subfolders_are_part_of_a_witness_name(tmp_path: Path) -> None:
    """Two instances with the same stems: only the prefixed names tell them apart, the plain one is nobody's."""
    rows = [
        row(0, "sat").replace("onnx/net", f"onnx/{s}/net").replace("vnnlib/prop", f"vnnlib/{s}/prop")
        for s in "ab"
    ]
    place = write_tool(tmp_path, "alpha", rows, {0: "plain"})
    assert [a.witness for a in read_results(tmp_path)] == [None, None]
    (place / "b_net_0_prop_0.counterexample.gz").write_bytes(b"")
    assert [a.witness is not None for a in read_results(tmp_path)] == [False, True]
    (place / "results.csv").write_text(rows[0] + "\n")
    assert read_results(tmp_path)[0].witness == place / "net_0_prop_0.counterexample.gz"


def test_versions_and_networks() -> None:
    name = instance_name("acas", "x/benchmarks/acas/2.0/onnx/a.onnx", "x/benchmarks/acas/2.0/vnnlib/p.vnnlib")
    assert (name.version, name.network, name.property) == ("2.0", "2.0/onnx/a.onnx", "2.0/vnnlib/p.vnnlib")
    field = "[('N', 'benchmarks/acas/2.0/onnx/a.onnx'), ('M', 'benchmarks/acas/2.0/onnx/b.onnx')]"
    assert (
        instance_name("acas", field, "benchmarks/acas/2.0/p.vnnlib").network
        == "N=2.0/onnx/a.onnx;M=2.0/onnx/b.onnx"
    )
    test = instance_name("acas", "benchmarks/test/test_nano.onnx", "benchmarks/test/t.vnnlib")
    assert (test.benchmark, test.folder, test.network) == ("acas", "test", "test_nano.onnx")


@pytest.mark.parametrize("text", ["a,b\n", "small,,c,1,sat,2\n", 'a,"b\n', "a,b,c,1,sat,2,7\n"])
def test_refused_tables(tmp_path: Path, text: str) -> None:
    (tmp_path / "alpha").mkdir()
    (tmp_path / "alpha" / "results.csv").write_text(text)
    with pytest.raises(InvalidInput) as error:
        read_results(tmp_path)
    assert error.value.code == "TLC101"
    assert "results.csv" in error.value.line()


HEADED = "category,network,property,prepare_time,result,run_time"
FIRST = "small,b/benchmarks/small/onnx/n.onnx,b/benchmarks/small/vnnlib/p.vnnlib,1.5,sat,2.5"
ORDER = "result,run time,benchmark,onnx,vnnlib\nsat,2.5,small,b/benchmarks/small/onnx/n.onnx,b/benchmarks/small/vnnlib/p.vnnlib"


@pytest.mark.parametrize(
    "text",
    [
        FIRST, f"{HEADED}\n{FIRST}", f"Category, Network, Property, Prepare Time, Result, Run Time\n{FIRST}", f"# {HEADED}\n{FIRST}",
        f"\ufeff{HEADED}\r\n{FIRST}\r\n", f"\n \n{HEADED}\n\n{FIRST}\n,,,,,\n", f"# made by hand\n{FIRST}", FIRST.replace(",", " , "),
        ",".join(f'"{field}"' for field in FIRST.split(",")), ", ".join(f'"{field}"' for field in FIRST.split(",")), f"{FIRST},", ORDER,
        f"{HEADED},notes\n{FIRST},slow", f"{HEADED}\n{FIRST}\n{HEADED}",
    ],
)  # fmt: skip
def test_a_heading_line_is_one(tmp_path: Path, text: str) -> None:
    """It is no instance, and the folder stays that of the benchmark: the tool keeps its name, the answer its witness."""
    place = tmp_path / "alpha" / "small"
    place.mkdir(parents=True)
    (place / "results.csv").write_bytes(text.encode())
    (place / "n_p.counterexample").write_text("((X_0 1))")
    [answer] = read_results(tmp_path)
    assert (answer.tool, answer.result, answer.seconds) == ("alpha", "sat", 2.5)
    assert answer.instance == instance_name(*FIRST.split(",")[:3])
    assert answer.witness == place / "n_p.counterexample"


@pytest.mark.parametrize(
    "text",
    [
        f"Kategorie,Netz,Eigenschaft,Vorbereitung,Ergebnis,Laufzeit\n{FIRST}", f"{HEADED}\nsmall,n.onnx\n", f"{HEADED},network\n{FIRST},x",
    ],
)  # fmt: skip
def test_a_heading_that_is_not_understood(tmp_path: Path, text: str) -> None:
    (tmp_path / "alpha").mkdir()
    (tmp_path / "alpha" / "results.csv").write_text(text)
    with pytest.raises(InvalidInput) as error:
        read_results(tmp_path)
    assert error.value.code == "TLC101" and "category, network, property" in error.value.line()


def test_refused_folders(tmp_path: Path) -> None:
    for path, code in ((tmp_path, "TLC101"), (tmp_path / "missing", "TLC402")):
        with pytest.raises(InvalidInput) as error:
            read_results(path)
        assert error.value.code == code


# Benchmarks.


def found(
    root: Path, written: str = "vnncomp2024_benchmarks/", *, any_year: bool = False
) -> tuple[str, ...] | None:
    fields = row(0, "sat", written).split(",")
    instance = Benchmarks([root], any_year).find(instance_name(*fields[:3]))
    if instance.problem is not None:
        return instance.problem
    return None


@pytest.mark.parametrize("below", ["", "vnncomp2024_benchmarks", "vnncomp2024_benchmarks/benchmarks"])
def test_roots(tmp_path: Path, below: str) -> None:
    write_benchmarks(tmp_path / "vnncomp2024_benchmarks", 1)
    assert found(tmp_path / below) is None
    assert found(tmp_path / below, "./") is None or below == ""


def test_another_year(tmp_path: Path) -> None:
    write_benchmarks(tmp_path / "vnncomp2023_benchmarks", 1)
    for root in (tmp_path, tmp_path / "vnncomp2023_benchmarks"):
        problem = found(root)
        assert problem is not None and problem[0] == "TLC402"
    assert "2024" in (found(tmp_path / "vnncomp2023_benchmarks") or ("", ""))[1]
    assert found(tmp_path / "vnncomp2023_benchmarks", any_year=True) is None


def test_two_different_files(tmp_path: Path) -> None:
    """Equally near and not the same bytes: refused. The same bytes, one gzipped: taken."""
    write_benchmarks(tmp_path / "a", 1)
    write_benchmarks(tmp_path / "b", 1)
    name = instance_name(*row(0, "sat").split(",")[:3])
    assert Benchmarks([tmp_path / "a", tmp_path / "b"]).find(name).problem is None
    (query,) = (tmp_path / "b").rglob("prop_0.vnnlib.gz")
    query.write_bytes(gzip.compress(gzip.decompress(query.read_bytes()) + b"\n"))
    problem = Benchmarks([tmp_path / "a", tmp_path / "b"]).find(name).problem
    assert problem is not None and "different files" in problem[1]


def test_no_path_leaves_the_roots(tmp_path: Path) -> None:
    write_benchmarks(tmp_path / "in" / "vnncomp2024_benchmarks", 1)
    (tmp_path / "secret.onnx").write_bytes(b"x")
    evil = instance_name(
        BENCHMARK, f"benchmarks/{BENCHMARK}/../../../../secret.onnx", f"benchmarks/{BENCHMARK}/p"
    )
    problem = Benchmarks([tmp_path / "in"]).find(evil).problem
    assert problem is not None and problem[0] == "TLC404"
    link = tmp_path / "in" / "vnncomp2024_benchmarks" / "benchmarks" / BENCHMARK / "onnx" / "net_9.onnx"
    link.symlink_to(tmp_path / "secret.onnx")
    fields = row(0, "sat").replace("net_0", "net_9").split(",")
    problem = Benchmarks([tmp_path / "in"]).find(instance_name(*fields[:3])).problem
    assert problem is not None and problem[0] == "TLC402"
