"""Deciding leaves chunk by chunk, in this process or in a pool; with progress, deadline and journal.

Chunks are independent and results are small (a rank, a flag, a number), so a pool of processes is enough: workers
inherit the plan and the bounds (fork) or receive them once (spawn). Leaves are streamed: no worker holds more than one
chunk's coefficients.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf

from threadpoolctl import threadpool_limits

from tlcheck.journal import Journal
from tlcheck.options import Progress
from tlcheck.trusted.arith.box import OutOfRange
from tlcheck.trusted.arith.probe import BlasRefused, probe
from tlcheck.trusted.bounds import Bounds, Found
from tlcheck.trusted.decide import LeafOutcome, Plan, check_leaves, root_bounds

Report = Callable[[Progress], None] | None

CHUNK_BYTES = 6 << 20
"""Coefficients of one chunk on the widest node: small enough for caches and memory, large enough for BLAS."""
MAX_CHUNK = 256
THREADS_FROM = 3e8
"""Estimated multiply-adds of the intermediate bounds from which threads pay."""
POOL_FROM = 4e8
"""Estimated multiply-adds of the deciding passes from which a pool pays for its start (some tenths of a second of work)."""


def blas_usable() -> bool:
    """The BLAS at hand passes the probe that ball64's error bounds need; if not, everything is done in integers."""
    try:
        with threadpool_limits(1, "blas"):
            probe()
    except BlasRefused:
        return False
    return True


@dataclass
class Deadline:
    """``stopped()`` says why to stop, or "". Memory is the peak of this process, in MiB."""

    seconds: float | None
    memory_mib: int | None
    start: float = field(default_factory=time.monotonic)

    def stopped(self) -> str:
        if self.seconds is not None and time.monotonic() - self.start > self.seconds:
            return f"stopped at the time limit of {self.seconds:g} s"
        if self.memory_mib is not None and peak_mib() > self.memory_mib:
            return f"stopped at the memory limit of {self.memory_mib} MiB (peak {peak_mib():.0f} MiB)"
        return ""


def peak_mib() -> float:
    """Peak resident memory of this process, MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20) if sys.platform == "darwin" else peak / 1024


@dataclass
class LeafRun:
    """Outcomes of the leaves that were decided, why it stopped early (or ""), and the regions' bounds."""

    outcomes: list[LeafOutcome]
    stopped: str = ""
    bounds: dict[int, Bounds] = field(default_factory=dict)


def run_leaves(plan: Plan, jobs: int, deadline: Deadline, report: Report, journal: Journal | None) -> LeafRun:
    """Decide every leaf of the plan that the journal does not know, until the deadline."""
    total = len(plan.leaves)
    run = LeafRun(list(journal.outcomes(total)) if journal is not None else [])
    tell = _teller(report, total, run.outcomes)
    with threadpool_limits(1, "blas"):
        for region, ranks in _by_region(plan, {o.rank for o in run.outcomes}):
            tell("bounds")
            bounds = None
            if not plan.guidance.per_leaf_bounds and not deadline.stopped():
                try:
                    bounds = run.bounds[region] = _bounds(plan, region, jobs)
                except OutOfRange:
                    run.outcomes += [LeafOutcome(rank, False, -inf) for rank in ranks]
                    continue
            for found in _decide(plan, bounds, ranks, jobs, deadline):
                run.outcomes += found
                if journal is not None:
                    journal.add(found)
                tell("leaves")
            run.stopped = deadline.stopped() if len(run.outcomes) < total else ""
            if run.stopped:
                break
    return run


def _teller(report: Report, total: int, outcomes: list[LeafOutcome]) -> Callable[[str], None]:
    def tell(stage: str) -> None:
        if report is not None:
            worst = min((o.margin for o in outcomes), default=None)
            report(Progress("", len(outcomes), total, worst, stage))

    return tell


def _by_region(plan: Plan, done: set[int]) -> list[tuple[int, list[int]]]:
    """Ranks of undecided leaves, grouped by region."""
    groups: dict[int, list[int]] = {}
    for rank, leaf in enumerate(plan.leaves):
        if rank not in done:
            groups.setdefault(plan.region_of[leaf.disjunct], []).append(rank)
    return sorted(groups.items())


def _bounds(plan: Plan, region: int, jobs: int) -> Bounds:
    """The region's bounds, the rows of large networks shared between cores.

    float64: threads, since numpy leaves Python's lock in its products. Integers: processes (FLINT keeps the lock).
    """
    workers = jobs or os.cpu_count() or 1
    if workers == 1 or plan.bounding_cost < THREADS_FROM:
        return root_bounds(plan, region)
    if plan.bounding_engine.name == "ball64":
        with ThreadPoolExecutor(workers) as pool:
            return root_bounds(plan, region, pool.map)
    if sys.platform != "linux":
        return root_bounds(plan, region)
    return root_bounds(plan, region, lambda f, items: _forked(f, list(items), workers))


_INHERITED: list[Callable[[int], Found]] = []


def _call_inherited(item: int) -> Found:
    return _INHERITED[-1](item)


def _forked(function: Callable[[int], Found], items: list[int], workers: int) -> list[Found]:
    """map in forked processes, which inherit ``function`` instead of unpickling it."""
    if len(items) < 2:
        return [function(item) for item in items]
    _INHERITED.append(function)
    try:
        with _pool(ProcessPoolExecutor(workers, multiprocessing.get_context("fork"))) as pool:
            return list(pool.map(_call_inherited, items))
    finally:
        _INHERITED.pop()


def _decide(
    plan: Plan, bounds: Bounds | None, ranks: Sequence[int], jobs: int, deadline: Deadline
) -> Iterator[list[LeafOutcome]]:
    """Outcomes, chunk by chunk, in any order; stops early at the deadline."""
    size = _chunk_size(plan)
    chunks = [ranks[i : i + size] for i in range(0, len(ranks), size)]
    workers = min(jobs or os.cpu_count() or 1, len(chunks))
    if workers > 1 and _work(plan, len(ranks)) >= POOL_FROM:
        yield from _in_pool(plan, bounds, chunks, workers, deadline)
        return
    for chunk in chunks:
        if deadline.stopped():
            return
        yield check_leaves(plan, bounds, chunk)


def _chunk_size(plan: Plan) -> int:
    """Leaves per chunk, by the width of the network (and the rows per leaf, with per-leaf bounds)."""
    nodes = plan.claim.graph.nodes
    widest = max(node.size for node in nodes)
    rows = (
        2 * max((nodes[t].size for t in plan.network.targets), default=1)
        if plan.guidance.per_leaf_bounds
        else 1
    )
    return max(1, min(MAX_CHUNK, CHUNK_BYTES // (8 * widest * rows)))


def _work(plan: Plan, leaves: int) -> float:
    per_row = sum(
        m.n_out * m.fan_in
        for affine in plan.network.affine
        if affine is not None
        for m in affine.maps
        if m.fan_in > 1
    )
    extra = plan.bounding_cost if plan.guidance.per_leaf_bounds else 0.0
    return float(per_row) * leaves * (20 if plan.deciding_engine.name == "arb" else 1) + extra


_WORKER: dict[str, tuple[Plan, Bounds | None]] = {}


def _start_worker(plan: Plan, bounds: Bounds | None) -> None:
    threadpool_limits(1, "blas")
    _WORKER["task"] = (plan, bounds)


def _work_on(chunk: Sequence[int]) -> list[LeafOutcome]:
    plan, bounds = _WORKER["task"]
    return check_leaves(plan, bounds, chunk)


def _in_pool(
    plan: Plan, bounds: Bounds | None, chunks: Sequence[Sequence[int]], workers: int, deadline: Deadline
) -> Iterator[list[LeafOutcome]]:
    method = "fork" if sys.platform == "linux" else "spawn"
    context = multiprocessing.get_context(method)
    with _pool(ProcessPoolExecutor(workers, context, _start_worker, (plan, bounds))) as pool:
        pending: set[Future[list[LeafOutcome]]] = set()
        queue = iter(chunks)
        while True:
            while len(pending) < 2 * workers and not deadline.stopped():
                chunk = next(queue, None)
                if chunk is None:
                    break
                pending.add(pool.submit(_work_on, chunk))
            if not pending:
                return
            finished, pending = wait(pending, timeout=1.0, return_when=FIRST_COMPLETED)
            for future in finished:
                yield future.result()
            if deadline.stopped():
                return


@contextmanager
def _pool(pool: ProcessPoolExecutor) -> Iterator[ProcessPoolExecutor]:
    """A pool that is gone at once when its block ends early (time limit, Ctrl-C)."""
    try:
        yield pool
    except BaseException:
        for process in list(getattr(pool, "_processes", {}).values()):
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
