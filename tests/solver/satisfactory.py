"""``python -m tests.solver.satisfactory``: the known-answer tests of the package vnnlib-satisfactory, as a table.

    right    the known answer         unknown  unknown or timed-out
    wrong    the other answer         refused  exit code 3: malformed, ill-typed or unsupported

Exits 1 if any is wrong. ``--timeout SECONDS`` (default 5), ``--test NAME`` (a category or a prefix of names).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.solver.small import Run, solver


@dataclass(frozen=True)
class Case:
    name: str
    category: str
    expected: str
    query: Path
    networks: dict[str, Path]

    def run(self, seconds: float) -> Run:
        given = [f"--network={name}={path}" for name, path in self.networks.items()]
        return solver("verify", self.query, *given, "--timeout", seconds)

    def ruling(self, run: Run) -> str:
        if run.verdict in ("sat", "unsat"):
            return "right" if run.verdict == self.expected else "wrong"
        return "refused" if run.code == 3 else "unknown" if run.code == 0 else f"exit {run.code}"


def cases(folder: Path) -> list[Case]:
    """The package's tests, generated into ``folder``. Raises ImportError where it is not installed."""
    from vnntest.core.generator import generate_all_tests  # type: ignore[import-untyped,import-not-found,unused-ignore]

    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        entries = generate_all_tests(suite="full", node_type=None)
    found = []
    for entry in entries:
        home = folder / ".vnnlib-satisfactory" / "tests" / entry["category"]
        networks = {name: home / file for name, file in entry["networks"].items()}
        found.append(
            Case(
                entry["name"], entry["category"], entry["expected"].lower(), home / entry["vnnlib"], networks
            )
        )
    return found


def rulings(chosen: list[Case], seconds: float) -> Iterator[tuple[Case, str, Run, float]]:
    for case in chosen:
        start = time.monotonic()
        run = case.run(seconds)
        yield case, case.ruling(run), run, time.monotonic() - start


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--timeout", type=float, default=5.0)
    parser.add_argument("--test", default="")
    options = parser.parse_args()
    total: Counter[str] = Counter()
    table: dict[str, Counter[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = cases(Path(os.path.realpath(folder)))
        except ImportError:
            print("vnnlib-satisfactory is not installed", file=sys.stderr)
            return 2
        chosen = [c for c in found if options.test in ("", c.category) or c.name.startswith(options.test)]
        for case, ruling, run, seconds in rulings(chosen, options.timeout):
            total[ruling] += 1
            table.setdefault(case.category, Counter())[ruling] += 1
            if ruling != "right":
                reason = " ".join(run.err.split())[-200:]
                print(f"{ruling:8} {case.name:22} expected {case.expected:6} {seconds:5.1f} s  {reason}")
    print(f"\n{'category':22}{'right':>8}{'unknown':>8}{'refused':>8}{'wrong':>8}")
    for category, counts in [*table.items(), ("all", total)]:
        print(f"{category:22}" + "".join(f"{counts[k]:8}" for k in ("right", "unknown", "refused", "wrong")))
    return 1 if total["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
