"""Many confusions: what tlcheck says of each against the truth about the very files."""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

from tests.fuzz.confusions import made
from tests.fuzz.confusions.made import (
    PROPERTIES,
    WEIGHTS,
    Unknown,
    function,
    is_true,
    network,
    packed,
    satisfiable,
)
from tests.fuzz.confusions.swaps import SWAPS
from tests.fuzz.corpus import BUNDLES, Corpus
from tests.fuzz.formulas.meaning import meaning
from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.verify import verify_path

Counts = Counter[str]


# Bundles.


def bundle(rng: random.Random) -> tuple[bytes, list[str]]:
    """Two proofs in one bundle, confused once, twice or three times; and the confusions' names."""
    chosen = rng.sample(made.proofs(), rng.choice([1, 2, 2]))
    files = {name: data for m in chosen for name, data in m.files.items()}
    manifest: dict[str, Any] = {
        "format": "tlcheck.bundle", "version": 1, "producer": {"name": "t"},
        "files": {n: {"sha256": made.sha(d), "bytes": len(d)} for n, d in files.items()},
        "claims": [{**deepcopy(m.claim), "name": f"n{k}"} for k, m in enumerate(chosen)],
    }  # fmt: skip
    done = []
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        swap = rng.choice(SWAPS)
        try:
            swap(manifest, files, rng)
        except Exception:  # noqa: BLE001  (an earlier confusion left nothing of the kind)
            continue
        done.append(swap.__name__)
    return packed(manifest, files), done


def judged(data: bytes, folder: Path) -> tuple[list[str], str | None]:
    """(the verdict of each claim, or the code of the refusal; what is wrong with them, or None)."""
    path = folder / "x.tlcert"
    path.write_bytes(data)
    try:
        result = verify_path(path, Options(jobs=1))
    except InvalidInput as error:
        line = error.line()
        return [error.code], None if "\n" not in line else f"more than one line: {line!r}"
    except Exception as error:  # noqa: BLE001  (finding these is the point)
        return ["broken"], f"{type(error).__name__}: {error}"
    verdicts = [str(c.verdict.name if hasattr(c.verdict, "name") else c.verdict) for c in result.claims]
    manifest, files = _opened(data)
    entries = {n: e["sha256"] for n, e in manifest["files"].items()}
    if verdicts and entries != {n: made.sha(d) for n, d in files.items()}:
        return verdicts, "files that are not those of the manifest's hashes"
    for claim, verdict in zip(manifest["claims"], verdicts, strict=True):
        if verdict in ("CERTIFIED", "REFUTED"):
            try:
                truth = is_true(claim, files)
            except Unknown as error:
                return verdicts, f"{verdict}, and the files have no meaning here: {error}"
            if truth != (verdict == "CERTIFIED"):
                return verdicts, f"{verdict} and {truth}: {json.dumps(claim)[:300]}"
    return verdicts, None


def _opened(data: bytes) -> tuple[dict[str, Any], made.Files]:
    import io
    import zipfile

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        files = {n: archive.read(n) for n in archive.namelist()}
    return json.loads(files.pop("manifest.json")), files


def kinds(data: bytes) -> set[str]:
    """The refusal's message without names and numbers; or each claim's kind and verdict."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "x.tlcert"
        path.write_bytes(data)
        try:
            result = verify_path(path, Options(jobs=1))
        except InvalidInput as error:
            return {f"{error.code} {re.sub(r'[^a-zA-Z ]+', '.', error.message)[:50]}"}
    return {f"{c.kind} {c.verdict}" for c in result.claims}


def bundles(seed: int, count: int, counts: Counts, corpus: Corpus | None) -> int:
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        for k in range(count):
            data, done = bundle(random.Random(f"bundle {seed}/{k}"))
            verdicts, difference = judged(data, Path(name))
            counts.update(f"bundle: {v}" for v in verdicts)
            counts["confusions of bundles"] += 1
            if difference:
                wrong += 1
                print(f"DIFFERENCE  bundle {k} of seed {seed}, {done}: {difference}", flush=True)
            if corpus is not None and difference is None:
                corpus.keep(data, kinds(data))
    return wrong


def kept(counts: Counts) -> int:
    """The kept bundles again."""
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        for data in Corpus(BUNDLES, kinds).inputs():
            verdicts, difference = judged(data, Path(name))
            counts.update(f"bundle: {v}" for v in verdicts)
            counts["confusions of bundles"] += 1
            if difference:
                wrong += 1
                print(f"DIFFERENCE  kept bundle {made.sha(data)[:12]}: {difference}", flush=True)
    return wrong


# Counterexample files.


@cache
def _instances() -> list[tuple[str, str, Any, Any, bool]]:
    """(network, property, model and regions as the referee has them, whether the property can be satisfied)."""
    from tlcheck.referee.witness import Model, load_regions

    found = []
    with tempfile.TemporaryDirectory() as name:
        for net, prop in itertools.product(WEIGHTS, PROPERTIES):
            (Path(name) / "n.onnx").write_bytes(network(net))
            (Path(name) / prop).write_text(PROPERTIES[prop])
            model = Model(Path(name) / "n.onnx")
            truth = satisfiable(meaning(PROPERTIES[prop]), function(network(net)))
            found.append((net, prop, model, load_regions(Path(name) / prop, model), truth))
    return found


def witness_text(rng: random.Random) -> str:
    """A point of some instance, in either format, some of its names, numbers and parts in each other's place."""
    numbers = [
        rng.choice(["1", "-1", "2", "-1.25", "0", "0.5", "1.5", "-0.5", "3", "-2.0", "1e0"]) for _ in range(3)
    ]
    if rng.random() < 0.5:
        names = ["X_0", "Y_0", "Y_1"]
        pairs = [f"({n} {v})" for n, v in zip(names, numbers, strict=True)][: rng.choice([1, 3, 3])]
        text = rng.choice(["", "sat\n"]) + "(" + "\n".join(pairs) + ")\n"
    else:
        text = (
            rng.choice(["", "sat\n"])
            + f"X float32 [1,1]\n{numbers[0]}\nY float32 [1,2]\n{numbers[1]} {numbers[2]}\n"
        )
    for _ in range(rng.choice([0, 1, 1, 2])):
        found = list(
            re.finditer(r"[XY]_[0-9]|\b[XY]\b|\[[0-9,]*\]|-?[0-9.]+(?:e0)?|float32|sat|\(|\)|\n", text)
        )
        a, b = (
            sorted(rng.sample(found, 2), key=lambda m: m.start()) if len(found) > 1 else (found[0], found[0])
        )
        if a.end() <= b.start():
            text = text[: a.start()] + b[0] + text[a.end() : b.start()] + a[0] + text[b.end() :]
    return text


def point_of(text: str) -> Fraction | None:
    """The number that the file gives to X_0, by what its words say; None where they say it twice or not at all."""
    found = re.findall(r"\(\s*X_0\s+([^\s()]+)\s*\)", text) or re.findall(
        r"^[ \t]*X[ \t]+\w+[ \t]*\[[^\]\n]*\][ \t]*\n\s*(\S+)", text, re.M
    )
    found = found or re.findall(r"^[ \t]*X_0[ \t]+\w+[ \t]*\[[^\]\n]*\][ \t]*\n\s*(\S+)", text, re.M)
    return Fraction(found[0]) if len(found) == 1 else None


def witnesses(seed: int, count: int, counts: Counts) -> int:
    from tlcheck.referee.witness import rule_bytes

    wrong = 0
    for k in range(count):
        rng = random.Random(f"witness {seed}/{k}")
        net, prop, model, regions, truth = rng.choice(_instances())
        text = witness_text(rng)
        found = rule_bytes(model, regions, text.encode(), "w")
        counts[f"counterexample: {found.ruling}"] += 1
        counts["confusions of counterexamples"] += 1
        difference = None
        if found.real.holds:
            said, x = meaning(PROPERTIES[prop]), point_of(text)
            # a file with other names is taken by place: then that the property is satisfiable must be true at least
            if not (truth if x is None else said.holds(made.values(said, function(network(net))[0], x))):
                difference = f"holds at {x}"
        elif found.repaired.holds and not truth:
            difference = "settled, and the property holds nowhere"
        if difference:
            wrong += 1
            print(
                f"DIFFERENCE  counterexample {k} of seed {seed}, {net}, {prop}: {difference}: {text!r}",
                flush=True,
            )
    return wrong


# Results folders.


def _folder(root: Path, rng: random.Random) -> dict[tuple[str, str], bool]:
    """A tool's results on all instances: rows, columns, words and counterexample files confused. The truth of each instance."""
    benchmarks, tool = (
        root / "vnncomp2024_benchmarks" / "benchmarks" / "b_2024",
        root / "results" / "alpha" / "2024_b_2024",
    )
    truths, rows, names = {}, [], []
    for place in (benchmarks / "onnx", benchmarks / "vnnlib", tool):
        place.mkdir(parents=True)
    for net, prop, _, _, truth in _instances():
        (benchmarks / "onnx" / f"{net}.onnx").write_bytes(network(net))
        (benchmarks / "vnnlib" / prop).write_text(PROPERTIES[prop])
        truths[f"onnx/{net}.onnx", f"vnnlib/{prop}"] = truth
        above = "vnncomp2024_benchmarks/benchmarks/b_2024"
        rows.append(
            [
                "b_2024",
                f"{above}/onnx/{net}.onnx",
                f"{above}/vnnlib/{prop}",
                "1",
                "sat" if truth else "unsat",
                "2",
            ]
        )
        names.append((f"{net}_{prop.removesuffix('.vnnlib')}.counterexample.gz", truth))
    for name, _ in names:
        if rng.random() < 0.7:
            x = rng.choice(["1", "-1", "2", "-1.25", "0.5"])
            (tool / name).write_bytes(gzip.compress(f"((X_0 {x})\n(Y_0 0)\n(Y_1 0))".encode()))
    rng.shuffle(rows)
    rows = rows[: rng.randint(3, 6)]
    for _ in range(rng.choice([0, 1, 2])):
        a, b = rng.sample(range(6), 2)
        which = rows if rng.random() < 0.3 else [rng.choice(rows)]
        for row in which:
            row[a], row[b] = row[b], row[a]
    for _ in range(rng.choice([0, 1, 2])):
        one, other, k = rng.choice(rows), rng.choice(rows), rng.randrange(6)
        one[k], other[k] = other[k], one[k]
    heading = ["category", "network", "property", "prepare time", "result", "run time"]
    if rng.random() < 0.4:
        a, b = rng.sample(range(6), 2)
        if rng.random() < 0.5:
            heading[a], heading[b] = heading[b], heading[a]
        rows.insert(0, heading)
    (tool / "results.csv").write_text("\n".join(",".join(row) for row in rows) + "\n")
    return truths


def results(seed: int, count: int, counts: Counts) -> int:
    from tlcheck.cli.main import main as command

    wrong = 0
    for k in range(count):
        with tempfile.TemporaryDirectory() as name:
            root, rng = Path(name), random.Random(f"results {seed}/{k}")
            truths = _folder(root, rng)
            words = [
                "vnncomp",
                "referee",
                str(root / "results"),
                "--benchmarks",
                str(root / "vnncomp2024_benchmarks"),
                "--jobs",
                "1",
            ]
            code = _quiet(command, [*words, "--output", str(root / "out")])
            counts[f"results: exit {code}"] += 1
            counts["confusions of results"] += 1
            report = root / "out" / "report.json"
            for i in (
                json.loads(report.read_text())["instances"] if report.exists() and code in (0, 4) else []
            ):
                counts[f"results: {i['verdict']}"] += 1
                truth = truths.get((i["network"], i["property"]))
                if i["verdict"] in ("sat", "unsat") and truth != (i["verdict"] == "sat"):
                    wrong += 1
                    print(
                        f"DIFFERENCE  results {k} of seed {seed}: {i['network']}, {i['property']}: {i['verdict']}, truth {truth}",
                        flush=True,
                    )
                for answer in i["answers"]:
                    if answer["contradicted"] and (
                        truth is None or answer["result"] == ("sat" if truth else "unsat")
                    ):
                        wrong += 1
                        print(
                            f"DIFFERENCE  results {k} of seed {seed}: {i['network']}: a right answer is contradicted",
                            flush=True,
                        )
    return wrong


def _quiet(command: Callable[[list[str]], int], words: list[str]) -> int:
    import contextlib
    import os

    with open(os.devnull, "w") as null, contextlib.redirect_stdout(null), contextlib.redirect_stderr(null):
        return int(command(words))


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz confusions", description="Roles and keys in each other's place."
    )
    parser.add_argument("--bundles", type=int, default=2000)
    parser.add_argument("--counterexamples", type=int, default=2000)
    parser.add_argument("--results", type=int, default=10)
    parser.add_argument("--seed", type=int, default=None, help="default: from the clock; printed")
    parser.add_argument("--grow", action="store_true", help="keep bundles of a new kind in the corpus")
    given = parser.parse_args(arguments)
    seed = given.seed if given.seed is not None else time.time_ns() % 2**32
    print(f"seed {seed}", flush=True)
    counts: Counts = Counter()
    corpus = Corpus(BUNDLES, kinds)
    wrong = witnesses(seed, given.counterexamples, counts) + results(seed, given.results, counts)
    wrong += kept(counts) + bundles(seed, given.bundles, counts, corpus if given.grow else None)
    for name in sorted(counts):
        print(f"{counts[name]:10}  {name}")
    total = sum(n for name, n in counts.items() if name.startswith("confusions"))
    print(f"{total} confusions, {wrong} with a difference; {corpus.said()}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
