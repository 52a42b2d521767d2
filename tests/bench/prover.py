"""``make prover-bench SETS=FOLDER``: whole benchmarks answered by ``tlcheck certify``, every answer checked again by ``tlcheck verify``.

FOLDER/NAME/{onnx,vnnlib,instances.csv} is a benchmark of VNN-COMP as published; FOLDER/published/NAME.csv, where it is there,
says what tools answered: columns onnx, vnnlib, agreed (sat, unsat, disputed, none), sat, unsat (how many tools). Each instance has processes
of its own (start-up counts) with one thread, and is limited in CPU seconds. A row of JSON an instance goes to OUT/NAME.jsonl: what is there
isn't run again (the last row of an instance counts); OUT/table.md is made anew from all rows.
"""

from __future__ import annotations

import argparse
import csv
import importlib
import json
import os
import pkgutil
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

import tlcheck
from tests.bench import cpu_clock

Row = dict[str, Any]

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
GRACE = 15.0
"""CPU seconds beyond its limit and as long again for the check, after which a process is killed."""
LATE = 2.0
"""CPU seconds beyond the limit, start-up included, up to which an answer counts."""
CROWDED = 20.0
"""Wall seconds for one CPU second, most: a process that waits for something is killed too."""
SAID = ("sat", "unsat")
ANSWERED = (*SAID, "unknown")
OF_VERIFY = frozenset(
    {"schema_version", "tool", "verdict", "results", "passed_over", "unexpected", "seconds"}
)
"""Keys of ``verify``'s document, which say nothing about the search."""


@dataclass(frozen=True)
class Instance:
    """One query; ``agreed``, ``sat``, ``unsat``: what was published."""

    set: str
    folder: Path
    model: str
    property: str
    agreed: str = ""
    sat: int = 0
    unsat: int = 0

    @property
    def key(self) -> tuple[str, str]:
        return self.model, self.property


@dataclass(frozen=True)
class Ran:
    """How a child process ended; ``status`` below 0: killed by that signal."""

    status: int
    cpu: float
    mib: float
    out: str
    err: str


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.prover", description=__doc__)
    parser.add_argument("sets", type=Path, metavar="FOLDER")
    parser.add_argument("--only", default="", help="benchmarks, comma separated")
    parser.add_argument("--match", default="", help="instances whose model or property contains this")
    parser.add_argument("--seconds", type=float, default=60.0, help="CPU seconds an instance")
    parser.add_argument("--stride", type=int, default=1, help="every so many instances")
    parser.add_argument("--offset", type=int, default=0, help="beginning with this one")
    parser.add_argument("--budget", type=float, help="CPU seconds in all, after which no instance is begun")
    parser.add_argument("--jobs", type=int, default=1, choices=(1, 2), help="instances at once")
    parser.add_argument("--again", default="", help="run again what ended so: unknown, crash, ...; all")
    parser.add_argument("--out", type=Path, default=Path("build/prover-bench"))
    parser.add_argument(
        "--warm",
        action="store_true",
        help="fork from a process that has imported everything: start-up is left out",
    )
    parser.add_argument("--keep", action="store_true", help="keep the bundles, in OUT/NAME/")
    parser.add_argument("--more", default="", help="further arguments of certify")
    given = parser.parse_args(arguments)
    if not given.sets.is_dir():
        print(f"{given.sets}: no such folder: no benchmarks to run", file=sys.stderr)
        return 0
    names = (
        given.only.split(",")
        if given.only
        else sorted(p.parent.name for p in given.sets.glob("*/instances.csv"))
    )
    given.out.mkdir(parents=True, exist_ok=True)
    if given.warm:
        os.environ.update(ONE_THREAD)
        import_all()
    for name in names:
        run_set(given, name)
    table = tables(given.out)
    (given.out / "table.md").write_text(table, encoding="utf-8")
    print(table)
    return 1 if any(contradicts(r) for r in all_rows(given.out)) else 0


def run_set(given: argparse.Namespace, name: str) -> None:
    """Adds the rows of one benchmark that are missing."""
    path = given.out / f"{name}.jsonl"
    known = latest(path)
    chosen = list(instances(given.sets, name))[given.offset :: given.stride]
    todo = [i for i in chosen if given.match in " ".join(i.key) and wanted(known.get(i.key), given.again)]
    spent = 0.0
    with ThreadPoolExecutor(given.jobs) as pool, path.open("a", encoding="utf-8") as stream:
        waiting = iter(todo)
        running = {pool.submit(attempt, i, given) for i in islice(waiting, given.jobs)}
        while running:
            done = next(as_completed(running))
            running.remove(done)
            row = done.result()
            spent += row["cpu"] + row["cpu_verify"]
            stream.write(json.dumps(row) + "\n")
            stream.flush()
            print(line(row), flush=True)
            if given.budget is None or spent < given.budget:
                running |= {pool.submit(attempt, i, given) for i in islice(waiting, 1)}


def wanted(row: Row | None, again: str) -> bool:
    return row is None or again == "all" or row["answer"] in again.split(",")


def instances(sets: Path, name: str) -> Iterator[Instance]:
    published = {}
    if (answers := sets / "published" / f"{name}.csv").is_file():
        with answers.open(newline="", encoding="utf-8") as stream:
            published = {(r["onnx"], r["vnnlib"]): r for r in csv.DictReader(stream)}
    with (sets / name / "instances.csv").open(newline="", encoding="utf-8") as stream:
        for model, query, *_ in filter(None, csv.reader(stream)):
            key = model.strip().removeprefix("./"), query.strip().removeprefix("./")
            said = published.get(key, {"agreed": "", "sat": 0, "unsat": 0})
            yield Instance(name, sets / name, *key, said["agreed"], int(said["sat"]), int(said["unsat"]))


def attempt(instance: Instance, given: argparse.Namespace) -> Row:
    """One row: the search, then the check of what it wrote."""
    row: Row = {
        "set": instance.set, "onnx": instance.model, "vnnlib": instance.property, "seconds": given.seconds,
        "warm": given.warm, "agreed": instance.agreed, "sat": instance.sat, "unsat": instance.unsat,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        bundle = Path(scratch, "x.tlcert")
        if given.keep:
            name = f"{Path(instance.model).stem}-{Path(instance.property).stem}.tlcert"
            bundle = given.out.absolute() / instance.set / name
            bundle.parent.mkdir(exist_ok=True)
            bundle.unlink(missing_ok=True)
        found = certify(instance, given, bundle)
        document = read(found.out)
        answer = document.get("answer") if found.status >= 0 else None
        row |= {
            "answer": answer if answer in ANSWERED else ended(found),
            "status": found.status,
            "cpu": round(found.cpu, 3),
            "mib": round(found.mib),
        }
        row |= {key: value for key, value in document.items() if key not in OF_VERIFY | {"answer"}}
        row |= checked(bundle, given.warm) if bundle.exists() else {"verdict": None, "cpu_verify": 0.0}
    if row["answer"] not in ANSWERED or found.status not in (0, 1, 4):
        row["said"] = found.err[-600:]
    return row


def certify(instance: Instance, given: argparse.Namespace, bundle: Path) -> Ran:
    asked = [
        str(instance.folder / instance.model),
        str(instance.folder / instance.property),
        "-o",
        str(bundle),
    ]
    options = ["--timeout", f"{given.seconds:g}", "--jobs", "1", "--format", "json", *given.more.split()]
    return child(["certify", *asked, *options], given.seconds, warm=given.warm)


def checked(bundle: Path, warm: bool) -> Row:
    """What ``tlcheck verify`` says about a bundle."""
    ran = child(["verify", str(bundle), "--jobs", "1", "--format", "json"], 600.0, warm=warm)
    document = read(ran.out)
    claims = [c for r in document.get("results", ()) for c in r.get("claims", ())]
    row: Row = {
        "verdict": document.get("verdict", ended(ran)),
        "cpu_verify": round(ran.cpu, 3),
        "bytes": bundle.stat().st_size,
    }
    row["kinds"] = sorted({c.get("kind", "") for c in claims})
    row["leaves"] = sum(c["leaves"]["total"] for c in claims if c.get("leaves"))
    if row["verdict"] != "CERTIFIED":
        row["why"] = [c["reason"]["message"] for c in claims][:3] or ran.err[-600:]
    return row


def ended(ran: Ran) -> str:
    """For a process that gave no answer."""
    if ran.status < 0:
        return "killed"
    return "refused" if ran.status in (2, 3) else "crash"


def read(text: str) -> Row:
    try:
        document = json.loads(text)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def child(arguments: Sequence[str], seconds: float, *, warm: bool = False) -> Ran:
    """tlcheck in a process of its own, one thread, whose limits are CPU seconds; ``warm``: forked from this process, imports done."""
    most = int(2 * seconds + GRACE)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        begin = forked if warm else started
        status, usage = waited(begin(arguments, out, err, most), CROWDED * most)
        out.seek(0)
        err.seek(0)
        said, complained = out.read().decode(errors="replace"), err.read().decode(errors="replace")
    return Ran(status, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, said, complained)


def started(arguments: Sequence[str], out: IO[bytes], err: IO[bytes], most: int) -> int:
    command = [sys.executable, "-m", "tests.bench.cpu_clock", *arguments]
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=os.environ | ONE_THREAD,
        preexec_fn=lambda: limit(most),
    ).pid  # fmt: skip


def forked(arguments: Sequence[str], out: IO[bytes], err: IO[bytes], most: int) -> int:
    if pid := os.fork():
        return pid
    try:
        for stream, number in ((out, 1), (err, 2)):
            os.dup2(stream.fileno(), number)
        sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
        limit(most)
        status = 70
        try:
            cpu_clock.run(arguments)
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


def import_all() -> None:
    """All of tlcheck, for processes that are forked."""
    for module in pkgutil.walk_packages(tlcheck.__path__, "tlcheck."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def limit(most: int) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (most, most + 5))


def waited(pid: int, wall: float) -> tuple[int, resource.struct_rusage]:
    """(exit status, what it used), its own ended children included."""
    end = time.monotonic() + wall
    while True:
        ended, status, usage = os.wait4(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status), usage
        if time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def latest(path: Path) -> dict[tuple[str, str], Row]:
    """The last row of each instance."""
    if not path.exists():
        return {}
    rows = [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines() if text.endswith("}")]
    return {(row["onnx"], row["vnnlib"]): row for row in rows}


def all_rows(out: Path) -> list[Row]:
    return [row for path in sorted(out.glob("*.jsonl")) for row in latest(path).values()]


def is_certified(row: Row) -> bool:
    """Answered in time, and the answer's own certificate says so."""
    return (
        row["answer"] in SAID and row["verdict"] == "CERTIFIED" and bool(row["cpu"] <= row["seconds"] + LATE)
    )


def contradicts(row: Row) -> bool:
    """An answer against what all tools agree on, or one whose own certificate isn't CERTIFIED."""
    if row["answer"] not in SAID:
        return False
    return row["verdict"] != "CERTIFIED" or (row["agreed"] in SAID and row["agreed"] != row["answer"])


def total(row: Row) -> float:
    return float(row["cpu"] + row["cpu_verify"])


def line(row: Row) -> str:
    mark = "CONTRADICTION " if contradicts(row) else ""
    name = f"{Path(row['onnx']).stem} {Path(row['vnnlib']).stem}"
    return (
        f"{mark}{row['set']} {name}: {row['answer']} {row['verdict'] or ''} published {row['agreed']} "
        f"cpu {row['cpu']:.2f} + {row['cpu_verify']:.2f}, {row.get('leaves', '-')} leaves"
    )


HEAD = (
    "| set | run | answered | unsat | sat | unknown | no answer | median CPU s | with verify | largest | contradictions |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
)
"""``median``: of the answered ones, start-up included; ``largest``: CPU seconds of certify."""


def tables(out: Path) -> str:
    """Markdown: a line a benchmark, then what stayed open and why."""
    by_set: dict[str, list[Row]] = {}
    for row in all_rows(out):
        by_set.setdefault(row["set"], []).append(row)
    text = HEAD + "".join(summary(name, rows) for name, rows in by_set.items())
    for name, rows in by_set.items():
        text += section(f"{name}: contradictions", filter(contradicts, rows))
        text += section(f"{name}: without an answer", (r for r in rows if not is_certified(r)))
        disputed = (r for r in rows if is_certified(r) and r["agreed"] == "disputed")
        text += section(f"{name}: disputed, decided here", disputed)
    return text


def summary(name: str, rows: Sequence[Row]) -> str:
    good = [row for row in rows if is_certified(row)]
    count = [sum(row["answer"] == answer for row in good) for answer in ("unsat", "sat")]
    unknown = sum(row["answer"] == "unknown" for row in rows)
    limits = "/".join(f"{s:g}" for s in sorted({row["seconds"] for row in rows}))
    figures = (
        f"{statistics.median(row['cpu'] for row in good):.2f}",
        f"{statistics.median(map(total, good)):.2f}",
        f"{max(row['cpu'] for row in good):.1f}",
    ) if good else ("-", "-", "-")  # fmt: skip
    cells = (f"{name} ({limits} s)", len(rows), len(good), *count, unknown, len(rows) - len(good) - unknown)
    return "| " + " | ".join(map(str, (*cells, *figures, sum(map(contradicts, rows))))) + " |\n"


def section(title: str, rows: Iterable[Row]) -> str:
    lines = [f"- {describe(row)}\n" for row in rows]
    return f"\n{title} ({len(lines)})\n\n{''.join(lines)}" if lines else ""


NAMED = frozenset(
    {
        "set",
        "onnx",
        "vnnlib",
        "seconds",
        "agreed",
        "sat",
        "unsat",
        "answer",
        "verdict",
        "cpu",
        "cpu_verify",
        "mib",
    }
)


def describe(row: Mapping[str, Any]) -> str:
    """Everything a row says, on one line."""
    name = f"{Path(row['onnx']).stem} {Path(row['vnnlib']).stem}"
    published = f"{row['agreed']} ({row['sat']} sat, {row['unsat']} unsat)"
    rest = "; ".join(f"{key} {shown(value)}" for key, value in row.items() if key not in NAMED)
    return f"{name}: {row['answer']}, {row['verdict'] or 'no bundle'}, {total(row):.1f} s; published {published}; {rest}"


def shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else " ".join(str(value).split())[-300:]


if __name__ == "__main__":
    sys.exit(main())
