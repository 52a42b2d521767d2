"""Mutation testing of what is trusted: ``python -m tests.mutants [MODULE ...] [--each N] [--seed S] [--ring0] [--out FILE]``.

Mutants are made by cosmic-ray's operators and three of our own (``operators.py``), drawn by a seed, and run by ``runner.py`` with the tests
that are near (``near.py``). Prints a row for every module, and every survivor with its change; survivors that ``judged.toml`` lists as
equivalent are counted apart. Exits 1 if another one survives.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import flint  # noqa: F401
import hypothesis  # noqa: F401
import mpmath  # noqa: F401
import numpy  # noqa: F401
import onnx.reference  # noqa: F401
import onnxruntime  # noqa: F401

from tests.mutants.judged import equivalent
from tests.mutants.near import NEAR
from tests.mutants.places import Mutant, drawn
from tests.mutants.runner import Job, Outcome

PACKAGE = Path("tlcheck").resolve()


@dataclass
class Row:
    module: str
    all: int
    counts: Counter[str] = field(default_factory=Counter)
    survivors: list[tuple[Mutant, Outcome]] = field(default_factory=list)

    def add(self, mutant: Mutant, outcome: Outcome) -> None:
        word = outcome.word
        if word in ("survived", "not run") and mutant.identity in equivalent():
            word = "equivalent"
        self.counts[word] += 1
        if word in ("survived", "not run"):
            self.survivors.append((mutant, outcome))

    def line(self) -> str:
        c = self.counts
        judged = c.total() - c["equivalent"]
        score = (c["killed"] + c["timed out"]) / judged if judged else 1.0
        return (
            f"{self.module:32} {self.all:5} {c.total():5} {c['killed']:6} {c['timed out']:4} {c['survived']:4} "
            f"{c['not run']:4} {c['equivalent']:4}  {score:6.1%}"
        )


HEAD = f"{'module':32} {'all':>5} {'tried':>5} killed late surv unrun equi   score"


def checked(module: str, options: argparse.Namespace, near: list[str]) -> Row:
    path = PACKAGE / f"{module}.py"
    total, mutants = drawn(path, module, options.seed, options.each)
    if options.place:
        mutants = [m for m in mutants if re.search(options.place, f"{m.place}: {m.after}")]
    row = Row(module, total)

    def said(mutant: Mutant, outcome: Outcome) -> None:
        row.add(mutant, outcome)
        if options.out:
            found = {
                "module": module, "place": mutant.place, "operator": mutant.operator, "line": mutant.lines.start,
                "before": mutant.before, "after": mutant.after, "outcome": outcome.word, "killer": outcome.killer,
            }  # fmt: skip
            with open(options.out, "a", encoding="utf-8") as file:
                file.write(json.dumps(found) + "\n")

    covered = Job(path, near, mutants, options.budget, options.afresh).run(said)
    print(row.line(), f" {len(covered.seconds)} tests, {sum(covered.seconds.values()):.0f} CPU s", flush=True)
    for test in covered.failed:
        print(f"  fails without a mutation, and is left out: {test}")
    for mutant, outcome in row.survivors:
        where = f"{module}.py:{mutant.lines.start} {mutant.place or 'at import'} ({outcome.word}, {outcome.tests} tests)"
        old, new = (text.replace("\n", "\n      ") for text in (mutant.before, mutant.after))
        print(f"  {where}\n    - {old}\n    + {new}", flush=True)
    return row


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("modules", nargs="*", help="as in near.py, for example trusted/cover (default: all)")
    parser.add_argument("--each", type=int, default=20, help="mutants of a module (0: all)")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--budget", type=float, default=10.0, help="CPU seconds of tests for a mutant")
    parser.add_argument(
        "--place", default="", help="only mutants whose 'function: new text' matches this pattern"
    )
    parser.add_argument("--tests", default="", help="tests (arguments of pytest) instead of the near ones")
    parser.add_argument(
        "--afresh", action="store_true", help="import every mutant in a process without tlcheck"
    )
    parser.add_argument("--out", default="", help="a file that gets a JSON line for each mutant")
    options = parser.parse_args()
    options.each = options.each or None
    print(HEAD)
    rows = []
    for module in options.modules or NEAR:
        near = options.tests.split() or [f"tests/{test}" for test in NEAR[module]]
        rows.append(checked(module, options, near))
    whole = Row("all", sum(row.all for row in rows), sum((row.counts for row in rows), Counter()))
    print(whole.line())
    return 1 if any(row.survivors for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
