"""Many models in watched processes; an oracle that crashes or hangs ends its process only."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import numpy as np

from tests.fuzz.operators import compare, kept, known, oracles
from tests.fuzz.operators.model import Built, Case, build
from tests.fuzz.operators.recipes import case_of
from tlcheck.readers.onnx import LOWERINGS
from tlcheck.report.codes import CODES

Draw = Callable[[int], Case]
"""From a model's number to its case."""

PATIENCE = 60.0
"""Seconds that one stage of one model may take before its process is ended."""
POINTS = 8
"""Further points of one model."""
SPARSE = 4
"""One model in this many also goes through bounds on a box, another through deployed bounds."""
ORACLES = tuple(oracles.RUNNERS)


@dataclass
class Result:
    """What became of one model. ``status``: as ``Exact.status``, or broken (an exception that no reader may raise).

    ``answers``: oracle -> agrees, refuses: .., crashes, known: .., or differs: ...
    """

    index: int
    operator: str
    status: str
    detail: str = ""
    answers: dict[str, str] = field(default_factory=dict)
    values: dict[str, list[Any]] = field(default_factory=dict)
    seconds: float = 0.0
    evaluations: int = 0
    """Comparisons of the exact value at one point with one oracle, and of bounds."""

    @property
    def differences(self) -> dict[str, str]:
        if self.status == "broken":
            return {"tlcheck": self.detail}
        return {name: text for name, text in self.answers.items() if text.startswith("differs")}

    @property
    def keepable(self) -> str:
        """read, where an oracle confirms it, or refused; "" for all else."""
        if self.differences or self.status not in ("value", "refused"):
            return ""
        return "refused" if self.status == "refused" else "read" if self.confirmed else ""

    @property
    def confirmed(self) -> bool:
        return any(self.answers.get(name) == "agrees" for name in ORACLES)


def examine(
    case: Case,
    index: int = 0,
    say: Callable[[str], None] = lambda stage: None,
    skip: frozenset[str] = frozenset(),
) -> Result:
    """One model through everyone. ``say`` hears each stage before it begins; stages in ``skip`` crashed before."""
    began = time.process_time()
    result = Result(index, case.operator, "broken")
    say("inference")
    built = build(case, infer="inference" not in skip)
    say("tlcheck")
    try:
        exact = oracles.exact(built)
        result.status, result.detail = exact.status, exact.detail
        if exact.status == "refused" and (fault := _unclear(case, exact.detail)):
            result.status, result.detail = "broken", fault
        if exact.status in ("value", "undefined"):
            _compared(case, built, exact, result, say, skip)
            _checked_bounds(built, exact, result, say)
    except Exception as error:  # noqa: BLE001  (finding these is the point)
        frame = traceback.extract_tb(error.__traceback__)[-1]
        result.status = "broken"
        result.detail = f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}: {error}"[:300]
    result.seconds = time.process_time() - began
    return result


def _unclear(case: Case, detail: str) -> str | None:
    """What is wrong with a refusal: it is one line, with a code that is explained, and names an operator that is not read."""
    code, _, line = detail.partition(" ")
    if code not in CODES or "\n" in line or not line.isprintable() or "np." in line:
        return f"a refusal that is no line of ours: {line[:200]!r}"
    if case.operator not in LOWERINGS and not re.search(
        rf"\b{case.operator}\b|node|input|tensor|opset", line
    ):
        return f"a refusal without a name: {line[:200]!r}"
    return None


def _compared(
    case: Case,
    built: Built,
    exact: oracles.Exact,
    result: Result,
    say: Callable[[str], None],
    skip: frozenset[str],
) -> None:
    text = compare.inferred_difference(exact, built.inferred)
    if text is not None:
        result.answers["inference"] = _judged(case, "inference", text)
    feeds = list(_elsewhere(built, result.index)) if exact.status == "value" else []
    others = [oracles.at_point(exact.graph, feed) for feed in feeds]
    for name in ORACLES:
        say(name)
        found = ["crashes"] if name in skip else oracles.ask(name, built, feeds)
        if isinstance(found[0], str):
            result.answers[name] = found[0] if found[0] == "crashes" else f"refuses: {found[0]}"
            continue
        result.values[name] = found[0]
        result.answers[name] = _first_difference(
            case, name, zip([exact, *others], found, strict=True), result
        )


def _first_difference(
    case: Case, name: str, pairs: Iterable[tuple[oracles.Exact, oracles.Arrays | str]], result: Result
) -> str:
    """agrees, or the first point's difference. At points where one of both has no value nothing is compared."""
    known_one = ""
    for exact, found in pairs:
        if isinstance(found, str) or exact.status not in ("value", "undefined"):
            continue
        result.evaluations += 1
        text = compare.difference(case, exact, found)
        if text is not None:
            known_one = _judged(case, name, text)
            if known_one.startswith("differs"):
                return known_one
    return known_one or "agrees"


def _elsewhere(built: Built, index: int) -> Iterator[oracles.Feed]:
    """Other inputs: their entries are drawn from those that the input has, so that integers, domains and signs stay."""
    rng = np.random.default_rng(index)
    if any(x.size > 1 for x in built.feed.values()):
        for _ in range(POINTS):
            yield {
                k: np.array(rng.choice(x.ravel(), x.shape)) if x.size else x for k, x in built.feed.items()
            }


def _checked_bounds(built: Built, exact: oracles.Exact, result: Result, say: Callable[[str], None]) -> None:
    """Bounds on a small box contain the exact value at its centre; deployed ones at the point onnxruntime's values."""
    kind = {0: "bounds", 1: "deployed"}.get(result.index % SPARSE)
    single = all(x.dtype == "float32" for x in built.feed.values())
    if kind is None or (
        kind == "deployed" and not (single and result.answers.get("onnxruntime") == "agrees")
    ):
        return
    say(kind)
    ends = oracles.bounds(exact, built, 0.0 if kind == "deployed" else 2.0**-7, deployed=kind == "deployed")
    if ends is None:
        return
    result.evaluations += 1
    text = (
        compare.beyond(result.values["onnxruntime"], ends)
        if kind == "deployed"
        else compare.outside(exact, ends)
    )
    result.answers[kind] = "agrees" if text is None else f"differs: {text}"


def _judged(case: Case, oracle: str, text: str) -> str:
    reason = known.reason(case, oracle, text)
    return f"differs: {text}" if reason is None else f"known: {reason}"


# Processes.


def _work(pipe: Connection, draw: Draw, skip: frozenset[str]) -> None:
    """Answers each (first, last) on the pipe with messages ("stage", index, name) and ("result", Result)."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)  # onnxruntime's words on its way out
    try:
        while True:
            batch = pipe.recv()
            if batch is None:
                return
            first, last = batch
            for index in range(first, last):
                case = draw(index)
                result = examine(case, index, lambda s, i=index: pipe.send(("stage", i, s)), skip)  # type: ignore[misc]
                pipe.send(("result", replace(result, values={})))
                skip = frozenset()
            pipe.send(("done",))
    except (EOFError, BrokenPipeError):
        return


@dataclass
class _Worker:
    process: Any
    pipe: Connection
    index: int = 0
    last: int = 0
    stage: str = ""
    skip: frozenset[str] = frozenset()
    heard: float = 0.0


CONTEXT = multiprocessing.get_context(
    "fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn"
)
BATCH = 200


class Pool:
    """``jobs`` processes over models ``indices``."""

    def __init__(self, draw: Draw, indices: range, jobs: int) -> None:
        self.draw, self.jobs = draw, jobs
        self.batches = [(i, min(i + BATCH, indices.stop)) for i in range(indices.start, indices.stop, BATCH)][
            ::-1
        ]

    def results(self) -> Iterator[Result]:
        workers = [w for w in (self._start(frozenset()) for _ in range(self.jobs)) if self._feed(w)]
        while workers:
            ready = wait([w.pipe for w in workers], timeout=1.0)
            for worker in list(workers):
                alive = True
                if worker.pipe in ready:
                    try:
                        message = worker.pipe.recv()
                    except (EOFError, OSError):
                        alive = False
                    else:
                        worker.heard = time.monotonic()
                        if message[0] == "stage":
                            _, worker.index, worker.stage = message
                        elif message[0] == "result":
                            worker.index, worker.skip = worker.index + 1, frozenset()
                            yield message[1]
                        elif not self._feed(worker):
                            workers.remove(worker)
                        continue
                if not alive or time.monotonic() - worker.heard > PATIENCE:
                    workers.remove(worker)
                    yield from self._ended(worker, workers)

    def _start(self, skip: frozenset[str]) -> _Worker:
        mine, theirs = CONTEXT.Pipe()
        process = CONTEXT.Process(target=_work, args=(theirs, self.draw, skip), daemon=True)
        process.start()
        theirs.close()
        return _Worker(process, mine, skip=skip, heard=time.monotonic())

    def _feed(self, worker: _Worker) -> bool:
        """The next batch; False, and the process ends, when there is none."""
        if not self.batches:
            worker.pipe.send(None)
            worker.process.join()
            worker.pipe.close()
            return False
        worker.index, worker.last = self.batches.pop()
        worker.pipe.send((worker.index, worker.last))
        return True

    def _ended(self, worker: _Worker, workers: list[_Worker]) -> Iterator[Result]:
        """The model again without the stage that ended the process, if that is an oracle's; then the rest of the batch."""
        worker.process.kill()
        worker.process.join()
        worker.pipe.close()
        again = worker.stage in (*ORACLES, "inference") and worker.stage not in worker.skip
        fresh = self._start(worker.skip | {worker.stage} if again else frozenset())
        if not again:
            operator = self.draw(worker.index).operator
            yield Result(worker.index, operator, "broken", f"the process ended in '{worker.stage}'")
            worker.index += 1
        fresh.index, fresh.last = worker.index, worker.last
        fresh.pipe.send((worker.index, worker.last))
        workers.append(fresh)


# The run.


@dataclass
class Summary:
    """Counts by operator."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    known: Counter[str] = field(default_factory=Counter)
    unconfirmed: list[Result] = field(default_factory=list)
    different: list[Result] = field(default_factory=list)
    seconds: float = 0.0
    evaluations: int = 0

    def add(self, result: Result) -> None:
        row = self.counts.setdefault(result.operator, Counter())
        row["models"] += 1
        row[result.status] += 1
        self.seconds += result.seconds
        self.evaluations += result.evaluations
        for name, text in result.answers.items():
            row[f"{name} {text.split(':')[0]}"] += 1
            if text.startswith("known"):
                self.known[f"{result.operator}, {name}: {text[7:]}"] += 1
        if result.status == "value" and not result.confirmed:
            row["unconfirmed"] += 1
            self.unconfirmed.append(result)
        if result.differences:
            row["different"] += 1
            self.different.append(result)

    def table(self) -> str:
        """One line per operator: compared is agreed or differs, known defects of oracles not counted."""
        heads = [
            "models",
            "read",
            "refused",
            "undefined",
            "undecided",
            "onnxruntime",
            "optimised",
            "reference",
            "bounds",
            "deployed",
        ]
        heads += ["unconfirmed", "different"]
        lines = [f"{'operator':26}" + "".join(f"{h:>12}" for h in heads)]
        total: Counter[str] = Counter()
        for operator in sorted(self.counts):
            row = self._row(self.counts[operator])
            total.update(row)
            lines.append(f"{operator:26}" + "".join(f"{row[h]:12}" for h in heads))
        return "\n".join([*lines, f"{'all':26}" + "".join(f"{total[h]:12}" for h in heads)])

    @staticmethod
    def _row(counts: Counter[str]) -> Counter[str]:
        def compared(oracle: str) -> int:
            return counts[f"{oracle} agrees"] + counts[f"{oracle} differs"]

        return Counter({
            "models": counts["models"], "read": counts["value"] + counts["undefined"] + counts["undecided"],
            "refused": counts["refused"], "undefined": counts["undefined"], "undecided": counts["undecided"],
            "onnxruntime": compared("onnxruntime"), "optimised": compared("onnxruntime optimised"), "reference": compared("reference"),
            "bounds": compared("bounds"), "deployed": compared("deployed"), "unconfirmed": counts["unconfirmed"], "different": counts["different"],
        })  # fmt: skip


def results(draw: Draw, indices: range, jobs: int) -> Iterator[Result]:
    """``jobs`` 0: in this process, without a watch."""
    if jobs == 0:
        yield from (examine(draw(i), i) for i in indices)
    else:
        yield from Pool(draw, indices, jobs).results()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz operators", description="One-operator models against all oracles."
    )
    parser.add_argument("--models", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=None, help="default: from the clock; printed")
    parser.add_argument(
        "--only", type=int, default=None, help="only this model, in this process, with every answer"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--out", type=Path, default=None, help="folder for models with differences (default: a temporary one)"
    )
    parser.add_argument("--grow", action="store_true", help="keep cases of a new kind in the corpus")
    parser.add_argument(
        "--kept",
        action="store_true",
        help="the kept cases instead, and what is said of them now is written down",
    )
    parser.add_argument("--operator", action="append", default=[], help="only this one (may be given again)")
    given = parser.parse_args(arguments)
    seed = given.seed if given.seed is not None else time.time_ns() % 2**32
    out = given.out if given.out is not None else Path(tempfile.gettempdir()) / f"tlcheck-operators-{seed}"
    draw = partial(case_of, seed, only=tuple(given.operator))
    if given.only is not None:
        return _one(draw(given.only), given.only)
    again = " ".join([f"--seed {seed}", *(f"--operator {name}" for name in given.operator)])
    print(f"seed {seed}, {given.models} models", flush=True)
    summary, cases = Summary(), kept.Cases()
    models = range(given.models)
    if given.kept:
        old, cases.rows, cases.seen, given.grow = cases.rows, [], set(), True
        draw, models = partial(_kept, old), range(len(old))
    for result in results(draw, models, max(given.jobs, 1)):
        summary.add(result)
        if given.grow and result.keepable:
            cases.keep(draw(result.index), result.keepable, result.detail)
        if result.differences:
            _report(draw(result.index), result, out, again)
    if given.grow:
        cases.write()
    print(summary.table())
    for text, count in sorted(summary.known.items()):
        print(f"{count:8}  known: {text}")
    for result in summary.unconfirmed[:20]:
        print(f"unconfirmed: model {result.index}, {draw(result.index).describe()[:200]}")
    print(
        f"{len(models)} models, {summary.evaluations} evaluations compared, {len(summary.different)} models with a difference, "
        f"{len(summary.unconfirmed)} that no oracle confirms, "
        f"{summary.seconds:.0f} s of processors"
    )
    return 1 if summary.different else 0


def _kept(rows: list[kept.Row], index: int) -> Case:
    return kept.case_of_row(rows[index])


def _report(case: Case, result: Result, out: Path, again: str) -> None:
    """The model's file, what differs, and the command that shows it again."""
    out.mkdir(parents=True, exist_ok=True)
    data = build(case, infer=False).data
    path = out / f"{result.operator}-{result.index}-{sha256(data).hexdigest()[:12]}.onnx"
    path.write_bytes(data)
    texts = "; ".join(f"{name} {text}" for name, text in result.differences.items())
    print(f"DIFFERENCE  {result.operator}, opset {case.opset}: {texts}\n      {path}", flush=True)
    print(f"      python -m tests.fuzz operators {again} --only {result.index}", flush=True)


def _one(case: Case, index: int) -> int:
    print(case.describe(), flush=True)
    result = examine(case, index, lambda stage: print(f"  {stage}", flush=True))
    print(f"{result.status} {result.detail}")
    for name, text in result.answers.items():
        print(f"{name}: {text}")
    return 1 if result.differences else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
