"""Deciding leaves chunk by chunk, in this process or in a pool; with progress, deadline and journal.

Chunks are independent and results are small (a rank, a flag, a number), so a pool of processes is enough: workers
inherit the plan and the bounds (fork) or receive them once (spawn). Leaves are streamed: no worker holds more than one
chunk's coefficients. Whatever ends a check early (time limit, Ctrl-C, the death of this process) ends the workers at once.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from math import inf
from typing import TypeVar

from threadpoolctl import threadpool_limits

from tlcheck import timer
from tlcheck.checking.journal import Journal
from tlcheck.options import Progress
from tlcheck.trusted.arith.box import OutOfRange
from tlcheck.trusted.arith.probe import BlasRefused, probe
from tlcheck.trusted.bounds import Bounds, Found
from tlcheck.trusted.leaf_pass import LeafOutcome, check_leaves
from tlcheck.trusted.plan import Plan, root_bounds

Report = Callable[[Progress], None] | None
Tick = Callable[[], None]
"""Called again and again while a check waits: draws progress, raises Stopped at the deadline."""
T = TypeVar("T")

CHUNK_BYTES = 6 << 20
"""Coefficients of one chunk on the widest node: small enough for caches and memory, large enough for BLAS."""
OWN_BYTES = 3 << 20
"""The same with bounds of each leaf's own: fewer leaves together leave fewer values open in any of them."""
MAX_CHUNK = 256
CHUNK_WORK = 6e7
"""Multiply-adds in integers of one chunk, some tenths of a second: the grain of progress, journal and interrupts."""
BEAT = 0.25
"""Seconds between two ticks."""
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


class Stopped(Exception):
    """The check ends here, undecided; the message says why."""


@dataclass
class Deadline:
    """``stopped()`` says why to stop, or "". Memory is what this process and its workers hold, in MiB."""

    seconds: float | None
    memory_mib: int | None
    start: float = field(default_factory=lambda: timer.now())
    _looked: float = -inf

    def stopped(self) -> str:
        now = timer.now()
        if self.seconds is not None and now - self.start > self.seconds:
            return f"stopped at the time limit of {self.seconds:g} s"
        if self.memory_mib is not None and now - self._looked > BEAT / 2:
            held = held_mib()
            if held > self.memory_mib:
                return f"stopped at the memory limit of {self.memory_mib} MiB ({held:.0f} MiB held)"
            self._looked = now
        return ""

    def check(self) -> None:
        """Raises Stopped."""
        reason = self.stopped()
        if reason:
            raise Stopped(reason)


def held_mib() -> float:
    """Resident memory of this process and its workers, MiB, shared pages counted once; elsewhere than Linux the peak."""
    pids = [os.getpid(), *(process.pid for process in multiprocessing.active_children())]
    try:
        return sum(_pss_kib(f"/proc/{pid}/smaps_rollup") for pid in pids if pid) / 1024
    except (FileNotFoundError, PermissionError):
        return peak_mib()


def _pss_kib(path: str) -> int:
    try:
        with open(path, encoding="ascii") as stream:
            return next((int(line.split()[1]) for line in stream if line.startswith("Pss:")), 0)
    except ProcessLookupError:  # it ended
        return 0


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

    def tick(stage: str) -> None:
        tell(stage)
        deadline.check()

    try:
        with threadpool_limits(1, "blas"):
            for region, ranks in _by_region(plan, {o.rank for o in run.outcomes}):
                for found in _region(plan, region, ranks, jobs, run, tick):
                    run.outcomes += found
                    if journal is not None:
                        journal.add(found)
    except Stopped as reason:
        run.stopped = str(reason)
    except MemoryError:
        run.stopped = "stopped: out of memory"
    except BrokenProcessPool:
        run.stopped = "stopped: a worker process was killed, perhaps for its memory"
    tell("leaves")
    return run


def _region(
    plan: Plan, region: int, ranks: Sequence[int], jobs: int, run: LeafRun, tick: Callable[[str], None]
) -> Iterator[list[LeafOutcome]]:
    """Outcomes of one region's leaves, as they come. Raises Stopped."""
    tick("bounds")
    bounds = None
    if not plan.guidance.per_leaf_bounds:
        try:
            bounds = run.bounds[region] = _bounds(plan, region, jobs, lambda: tick("bounds"))
        except OutOfRange:
            yield [LeafOutcome(rank, False, -inf) for rank in ranks]
            return
    yield from _decide(plan, bounds, ranks, jobs, lambda: tick("leaves"))


def _teller(report: Report, total: int, outcomes: list[LeafOutcome]) -> Callable[[str], None]:
    seen, worst = 0, inf

    def tell(stage: str) -> None:
        nonlocal seen, worst
        if report is None:
            return
        worst = min([worst, *(o.margin for o in outcomes[seen:])])
        seen = len(outcomes)
        report(Progress("", seen, total, worst if seen else None, stage))

    return tell


def _by_region(plan: Plan, done: set[int]) -> list[tuple[int, list[int]]]:
    """Ranks of undecided leaves, grouped by region."""
    groups: dict[int, list[int]] = {}
    for rank, leaf in enumerate(plan.leaves):
        if rank not in done:
            groups.setdefault(plan.region_of[leaf.disjunct], []).append(rank)
    return sorted(groups.items())


def _bounds(plan: Plan, region: int, jobs: int, tick: Tick) -> Bounds:
    """The region's bounds, the rows of large networks shared between cores. Raises Stopped.

    float64: threads, since numpy leaves Python's lock in its products. Integers: processes (FLINT keeps the lock).
    """
    workers = jobs or os.cpu_count() or 1
    threads = plan.bounding_engine.name == "ball64"
    if workers == 1 or plan.bounding_cost < THREADS_FROM or not (threads or sys.platform == "linux"):
        return root_bounds(plan, region, lambda f, items: _ticking(f, items, tick))
    if not threads:
        return root_bounds(plan, region, lambda f, items: _forked(f, list(items), workers, tick))
    with ThreadPoolExecutor(workers) as pool:
        return root_bounds(
            plan, region, lambda f, items: results_of([pool.submit(f, item) for item in items], tick)
        )


def _ticking(function: Callable[[int], Found], items: Iterable[int], tick: Tick) -> Iterator[Found]:
    for item in items:
        tick()
        yield function(item)


def results_of(futures: Sequence[Future[T]], tick: Tick) -> Iterator[T]:
    """Their results in order; when this ends early, those that have not begun never do."""
    try:
        for future in futures:
            while not future.done():
                tick()
                wait([future], timeout=BEAT)
            yield future.result()
    finally:
        for future in futures:
            future.cancel()


_INHERITED: list[Callable[[int], Found]] = []


def _call_inherited(item: int) -> Found:
    return _INHERITED[-1](item)


def _forked(
    function: Callable[[int], Found], items: Sequence[int], workers: int, tick: Tick
) -> Iterable[Found]:
    """map in forked processes, which inherit ``function`` instead of unpickling it."""
    if len(items) < 2:
        return _ticking(function, items, tick)
    _INHERITED.append(function)
    try:
        with ending_pool(
            ProcessPoolExecutor(workers, multiprocessing.get_context("fork"), enter_worker)
        ) as pool:
            with interrupts_held():
                futures = [pool.submit(_call_inherited, item) for item in items]
            return list(results_of(futures, tick))
    finally:
        _INHERITED.pop()


def _decide(
    plan: Plan, bounds: Bounds | None, ranks: Sequence[int], jobs: int, tick: Tick
) -> Iterator[list[LeafOutcome]]:
    """Outcomes, chunk by chunk, in any order. Raises Stopped."""
    size = _chunk_size(plan)
    chunks = [ranks[i : i + size] for i in range(0, len(ranks), size)]
    workers = min(jobs or os.cpu_count() or 1, len(chunks))
    if workers > 1 and _work(plan, len(ranks)) >= POOL_FROM:
        yield from _in_pool(plan, bounds, chunks, workers, tick)
        return
    for chunk in chunks:
        tick()
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
    room = OWN_BYTES if plan.guidance.per_leaf_bounds else CHUNK_BYTES
    size = min(MAX_CHUNK, room // (8 * widest * rows))
    if plan.guidance.per_leaf_bounds and plan.bounding_engine.name != "ball64":
        size = min(size, int(CHUNK_WORK * len(plan.leaves) / (1 + plan.bounding_cost)))
    return max(1, size)


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
    enter_worker()
    threadpool_limits(1, "blas")
    _WORKER["task"] = (plan, bounds)


INTERRUPTS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Interrupts wait for the end of the block, in which a pool forks its workers: an exception raised by a signal in the
    middle of a fork is lost, or leaves a worker behind. Workers inherit this, until ``enter_worker``."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def enter_worker() -> None:
    """A worker leaves Ctrl-C to its parent, dies when told to, and does not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, INTERRUPTS)
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work_on(chunk: Sequence[int]) -> list[LeafOutcome]:
    plan, bounds = _WORKER["task"]
    return check_leaves(plan, bounds, chunk)


def _in_pool(
    plan: Plan, bounds: Bounds | None, chunks: Sequence[Sequence[int]], workers: int, tick: Tick
) -> Iterator[list[LeafOutcome]]:
    method = "fork" if sys.platform == "linux" else "spawn"
    context = multiprocessing.get_context(method)
    with ending_pool(ProcessPoolExecutor(workers, context, _start_worker, (plan, bounds))) as pool:
        pending: set[Future[list[LeafOutcome]]] = set()
        queue = iter(chunks)
        while True:
            with interrupts_held():
                more = islice(queue, 2 * workers - len(pending))
                pending |= {pool.submit(_work_on, chunk) for chunk in more}
            if not pending:
                return
            tick()
            finished, pending = wait(pending, timeout=BEAT, return_when=FIRST_COMPLETED)
            for future in finished:
                yield future.result()


@contextmanager
def ending_pool(pool: ProcessPoolExecutor) -> Iterator[ProcessPoolExecutor]:
    """A pool that is gone at once when its block ends early (time limit, Ctrl-C)."""
    try:
        yield pool
    except BaseException:
        for process in list((getattr(pool, "_processes", None) or {}).values()):
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
