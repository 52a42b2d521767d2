"""``make bench``: tlcheck beside a plain, unsound float64 numpy recomputation of the same proofs, in one process.

Every figure is the best of ``--repeat`` runs, interleaved; ratios are what to read, seconds depend on the machine. Both
sides are timed from files to verdict, imports excluded. ``python -m tests.bench [--mode ...] [--only TEXT]``.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.bench.baseline import recompute
from tests.helpers import DATA
from tlcheck.checking.deadline import peak_mib
from tlcheck.options import Options
from tlcheck.verify import verify_path

MODES = ("auto", "ball64", "arb")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--modes", default="auto,ball64", help="comma separated: auto, ball64, arb")
    parser.add_argument("--only", default="", help="only dumps whose path contains this")
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--skip-dumps", action="store_true")
    parser.add_argument("--skip-kernels", action="store_true")
    parser.add_argument("--skip-intervals", action="store_true")
    parser.add_argument("--skip-margins", action="store_true")
    arguments = parser.parse_args()
    if not arguments.skip_dumps:
        if not DATA.is_dir():
            print("shared data not present: no proofs to measure", file=sys.stderr)
        else:
            dumps(arguments.modes.split(","), arguments.only, arguments.repeat)
    if not arguments.skip_kernels:
        from tests.bench.kernels import kernels

        kernels(arguments.repeat)
    if not arguments.skip_intervals:
        from tests.bench.intervals import intervals

        intervals(arguments.repeat)
    if not arguments.skip_margins:
        from tests.bench.margins import margins

        margins()
    return 0


def dumps(modes: Iterable[str], only: str, repeat: int) -> None:
    """One row a proof: the baseline's seconds, and tlcheck's as multiples of it."""
    modes = [m for m in modes if m in MODES]
    root = DATA / "abcrown"
    folders = [p.parent for p in sorted(root.glob("*/*/certificate.json")) if only in str(p)]
    recorded = json.loads((root / "CHECKS.json").read_text())["results"]
    print(
        f"{'proof':38s} {'leaves':>6s} {'baseline':>9s} "
        + " ".join(f"{m + ' s':>9s} {'ratio':>6s}" for m in modes)
        + "  verdict"
    )
    totals = dict.fromkeys(("baseline", "verifier", "recorded", *modes), 0.0)
    for folder in folders:
        name = f"{folder.parent.name}/{folder.name}"
        manifest = json.loads((folder / "certificate.json").read_text())
        base = best(lambda f=folder: recompute(f), repeat)
        row = f"{name:38s} {manifest['num_leaves']:6d} {base:9.3f} "
        verdicts = set()
        totals["baseline"] += base
        totals["verifier"] += manifest["wall_time_s"]
        totals["recorded"] += _recorded_seconds(recorded, name)
        for mode in modes:
            options = Options(arith=mode)
            run = Kept(folder, options)
            seconds = best(run, repeat)
            verdicts.add(run.verdict)
            totals[mode] += seconds
            row += f"{seconds:9.3f} {seconds / base:6.2f} "
        print(row + " " + "/".join(sorted(verdicts)), flush=True)
    ratios = ", ".join(f"{m} {totals[m]:.2f} s = {totals[m] / totals['baseline']:.2f} x" for m in modes)
    print(f"total: baseline {totals['baseline']:.2f} s; {ratios}")
    print(
        f"recorded in the dumps: verifier {totals['verifier']:.0f} s; the dumper's own float64 check {totals['recorded']:.0f} s "
        "(another machine; not a side-by-side figure)"
    )
    print(f"peak memory of this process: {peak_mib():.0f} MiB")


@dataclass
class Kept:
    """One check that keeps its verdict's word."""

    folder: Path
    options: Options
    verdict: str = ""

    def __call__(self) -> None:
        self.verdict = verify_path(self.folder, self.options).claims[0].verdict.value


def _recorded_seconds(recorded: object, name: str) -> float:
    """t_total of CHECKS.json for an instance, 0 when it is not there."""
    entry = (
        recorded.get(name)
        if isinstance(recorded, dict)
        else next((r for r in recorded if name in str(r.get("instance", r))), None)
    )  # type: ignore[attr-defined]
    return float(entry.get("t_total", 0.0)) if isinstance(entry, dict) else 0.0


def best(run: Callable[[], object], repeat: int) -> float:
    """Least wall time of ``repeat`` runs, seconds."""
    times = []
    for _ in range(max(1, repeat)):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


if __name__ == "__main__":
    sys.exit(main())
