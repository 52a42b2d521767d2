"""A small competition on disk: benchmarks, two tools' results, and witnesses with known rulings."""

from __future__ import annotations

import gzip
from pathlib import Path

from tests.referee.small import Small, made, text

BENCHMARK = "small_2024"


def far(values: list[str]) -> str:
    return text([str(float(values[0]) + 1), *values[1:]])


def write_benchmarks(root: Path, count: int = 4, version: str = "") -> list[tuple[Small, list[str]]]:
    """``root``/benchmarks/small_2024/[version]/{onnx,vnnlib}: network k with property k; properties gzipped."""
    folder = root / "benchmarks" / BENCHMARK / version
    instances = []
    for k in range(count):
        small, values = made(k)
        place = folder / "onnx"
        place.mkdir(parents=True, exist_ok=True)
        model, query = small.write(place)
        model.rename(place / f"net_{k}.onnx")
        (folder / "vnnlib").mkdir(exist_ok=True)
        (folder / "vnnlib" / f"prop_{k}.vnnlib.gz").write_bytes(gzip.compress(query.read_bytes()))
        query.unlink()
        instances.append((small, values))
    return instances


def row(k: int, word: str, above: str = "vnncomp2024_benchmarks/", version: str = "") -> str:
    inside = f"{above}benchmarks/{BENCHMARK}/" + (f"{version}/" if version else "")
    return f"{BENCHMARK},{inside}onnx/net_{k}.onnx,{inside}vnnlib/prop_{k}.vnnlib,1.5,{word},{k}.25"


def write_tool(
    root: Path, tool: str, rows: list[str], witnesses: dict[int, str], folder: str = f"2024_{BENCHMARK}"
) -> Path:
    place = root / tool / folder
    place.mkdir(parents=True, exist_ok=True)
    (place / "results.csv").write_text("\n".join(rows) + "\n")
    for k, content in witnesses.items():
        (place / f"net_{k}_prop_{k}.counterexample.gz").write_bytes(gzip.compress(content.encode()))
    return place


def competition(root: Path) -> tuple[Path, Path]:
    """(results, benchmarks). Instance 0: sat proved, beta wrong; 1: contested (bad witness); 2: unsat agreed, open;
    3: sat by a malformed witness alone, open."""
    benchmarks = root / "vnncomp2024_benchmarks"
    values = [v for _, v in write_benchmarks(benchmarks)]
    results = root / "results"
    alpha = [row(0, "sat"), row(1, "violated"), row(2, "unsat"), row(3, "sat")]
    write_tool(results, "alpha", alpha, {0: text(values[0]), 1: far(values[1]), 3: "(("})
    write_tool(results, "beta", [row(0, "holds"), row(1, "unsat"), row(2, "unsat"), row(3, "timeout")], {})
    return results, benchmarks
