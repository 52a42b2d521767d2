"""Mutated claims on real models, each judged as an oracle allows: ``python -m tests.mutations.run [--each N] [--only TEXT]``.

Prints a row for every kind of mutation, and every misclassified mutant; exits 1 when there is one.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.mutations.claims import INVALID, PARTS, Mutant, loop_mutants, oscillator_mutants, pinn_mutants
from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.verify import verify_path

FAMILIES = (*(f"burgers {part}" for part in PARTS), "path tracking", "oscillator")


@dataclass(frozen=True)
class Judged:
    mutant: Mutant
    verdict: str
    reason: str
    seconds: float

    @property
    def right(self) -> bool:
        return self.verdict in self.mutant.allowed


def judged(mutant: Mutant, jobs: int = 1) -> Judged:
    """The path of ``tlcheck verify``."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "x.tlcert"
        folder.mkdir()
        for name, data in mutant.files.items():
            (folder / name).write_bytes(data)
        try:
            [claim] = verify_path(
                folder if mutant.bundle else folder / "claim.json", Options(jobs=jobs)
            ).claims
            verdict, reason = claim.verdict.value, str(claim.reason)
        except InvalidInput as problem:
            verdict, reason = INVALID, problem.line()
    return Judged(mutant, verdict, reason, time.perf_counter() - start)


def mutants(family: str, each: int) -> Iterator[Mutant]:
    with tempfile.TemporaryDirectory() as made:
        kind, _, part = family.partition(" ")
        if kind == "burgers":
            yield from pinn_mutants(part, Path(made), each)
        else:
            made_by = loop_mutants if kind == "path" else oscillator_mutants
            yield from made_by(Path(made), each)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutations.run", description=__doc__)
    parser.add_argument("--each", type=int, default=4, help="mutants of a kind")
    parser.add_argument("--only", default="", help="families whose name has this")
    parser.add_argument("--jobs", type=int, default=1)
    arguments = parser.parse_args()
    wrong: list[Judged] = []
    for family in (f for f in FAMILIES if arguments.only in f):
        start, rows = time.perf_counter(), dict[str, Counter[str]]()
        for mutant in mutants(family, arguments.each):
            found = judged(mutant, arguments.jobs)
            rows.setdefault(mutant.kind, Counter())[
                f"{'|'.join(sorted(mutant.allowed))} -> {found.verdict}"
            ] += 1
            if not found.right:
                wrong.append(found)
        count = sum(c.total() for c in rows.values())
        print(f"{family}: {count} mutants, {time.perf_counter() - start:.0f} s")
        for kind, outcomes in rows.items():
            print(
                f"  {kind:34s} " + "; ".join(f"{n} {text}" for text, n in sorted(outcomes.items())),
                flush=True,
            )
    for found in wrong:
        print(
            f"WRONG {found.mutant.family}, {found.mutant.kind}: {found.verdict} {found.reason}, allowed {sorted(found.mutant.allowed)}"
        )
    print(f"{len(wrong)} misclassified")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
