"""Deciding leaves chunk by chunk, in this process or in a pool; with progress, deadline and journal.

Chunks are independent and results are small (a rank, a flag, a number), so a pool of processes is enough, which know
the plan and the bounds. Leaves are streamed: no worker holds more than one chunk's coefficients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from math import inf

from threadpoolctl import threadpool_limits

from tlcheck.checking.allocator import keep_freed_memory
from tlcheck.checking.blas import blas_usable
from tlcheck.checking.deadline import Deadline, Stopped
from tlcheck.checking.journal import Journal
from tlcheck.checking.pool import FORKS, WORKER_KILLED, Tick, WorkerDied, processes, threads, workers_for
from tlcheck.errors import InvalidInput
from tlcheck.options import Progress, Report
from tlcheck.trusted.arith.box import OutOfRange
from tlcheck.trusted.arith.interface import Engine
from tlcheck.trusted.bounds import Bounds, Found
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.guidance import Guidance
from tlcheck.trusted.leaf_pass import LeafOutcome, check_leaves, with_same
from tlcheck.trusted.plan import Plan, Settings, root_bounds

CHUNK_BYTES = 6 << 20
"""Coefficients of one chunk on the widest node: small enough for caches and memory, large enough for BLAS."""
OWN_BYTES = 3 << 20
"""The same with bounds of each leaf's own: fewer leaves together leave fewer values open in any of them."""
MAX_CHUNK = 256
CHUNK_WORK = 6e7
"""Multiply-adds in integers of one chunk, some tenths of a second: the grain of progress, journal and interrupts."""
THREADS_FROM = 3e8
"""Estimated multiply-adds of the intermediate bounds from which threads pay."""
IN_DOUBLES = ("ball64", "directed")
"""Engines whose products leave Python's lock and cost little."""
POOL_FROM = 4e8
"""Estimated multiply-adds of the deciding passes from which a pool pays for its start (some tenths of a second of work)."""


def planned(claim: UnsatClaim, guidance: Guidance, settings: Settings) -> Plan:
    """The plan; in integers alone where it would use float64, and the BLAS at hand is none that its error bounds hold for.

    Raises BadGuidance, NoRelaxation and NotDeployable, as ``Plan``; InvalidInput where ``directed`` has no kernels.
    """
    if settings.arith == "directed":
        settings = replace(settings, directed=directed())
    plan = Plan(claim, guidance, settings)
    if "ball64" in (plan.bounding_engine.name, plan.deciding_engine.name) and not blas_usable():
        return Plan(claim, guidance, replace(settings, arith="arb"))
    return plan


@cache
def directed() -> Engine:
    """The engine over this machine's kernels, once they have been seen to round downwards. Raises InvalidInput."""
    from tlcheck.kernels.native import native
    from tlcheck.trusted.arith.directed import Directed
    from tlcheck.trusted.arith.direction import KernelsRefused, rounds

    kernels = native()
    try:
        rounds(kernels)
    except KernelsRefused as error:
        raise InvalidInput(
            "TLC506", f"{error}; use another --arith", field=kernels.library.compiler
        ) from None
    return Directed(kernels)


@dataclass
class LeafRun:
    """Outcomes of the leaves that were decided, why it stopped early (or ""), and the regions' bounds."""

    outcomes: list[LeafOutcome]
    stopped: str = ""
    bounds: dict[int, Bounds] = field(default_factory=dict)


def run_leaves(plan: Plan, jobs: int, deadline: Deadline, report: Report, journal: Journal | None) -> LeafRun:
    """Decide every leaf of the plan that the journal does not know, until the deadline."""
    keep_freed_memory()
    total = len(plan.leaves)
    run = LeafRun(list(journal.outcomes(total)) if journal is not None else [])
    tell = _teller(report, total, run.outcomes)

    def tick(stage: str) -> None:
        tell(stage)
        deadline.check()

    try:
        with threadpool_limits(1, "blas"):
            known = {o.rank for o in run.outcomes}
            for region, ranks in _by_region(plan, known):
                for decided in _region(plan, region, ranks, jobs, run, tick):
                    found = [o for o in with_same(plan, decided) if o.rank not in known]
                    run.outcomes += found
                    if journal is not None:
                        journal.add(found)
    except Stopped as reason:
        run.stopped = str(reason)
    except MemoryError:
        run.stopped = "stopped: out of memory"
    except WorkerDied:
        run.stopped = WORKER_KILLED
    tell("leaves")
    return run


def _region(
    plan: Plan, region: int, ranks: Sequence[int], jobs: int, run: LeafRun, tick: Callable[[str], None]
) -> Iterator[list[LeafOutcome]]:
    """Outcomes of one region's leaves, as they come. Raises Stopped."""
    tick("bounds")
    bounds = None
    if not plan.given[region].per_leaf_bounds:
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
    """Ranks of undecided leaves, grouped by region; of leaves that are the same but for their disjunct, the first."""
    groups: dict[int, list[int]] = {}
    for rank, leaf in enumerate(plan.leaves):
        first = plan.first_of.get(rank)
        if rank not in done and (first is None or first in done):
            groups.setdefault(plan.region_of[leaf.disjunct], []).append(rank)
    return sorted(groups.items())


def _bounds(plan: Plan, region: int, jobs: int, tick: Tick) -> Bounds:
    """The region's bounds, the rows of large networks shared between cores. Raises Stopped.

    float64: threads, since numpy leaves Python's lock in its products. Integers: processes (FLINT keeps the lock).
    """
    workers = workers_for(jobs)
    threaded = plan.bounding_engine.name in IN_DOUBLES
    pays = workers > 1 and plan.bounding_cost >= THREADS_FROM and (threaded or FORKS)

    def over(function: Callable[[int], Found], items: Iterable[int]) -> Iterable[Found]:
        rows = list(items)
        if not pays or (not threaded and len(rows) < 2):
            return _ticking(function, rows, tick)
        with (threads if threaded else processes)(function, workers) as pool:
            return list(pool.in_order(rows, tick))

    return root_bounds(plan, region, over)


def _ticking(function: Callable[[int], Found], items: Iterable[int], tick: Tick) -> Iterator[Found]:
    for item in items:
        tick()
        yield function(item)


def _decide(
    plan: Plan, bounds: Bounds | None, ranks: Sequence[int], jobs: int, tick: Tick
) -> Iterator[list[LeafOutcome]]:
    """Outcomes, chunk by chunk, in any order. Raises Stopped."""
    own, check = bounds is None, check_leaves
    if plan.bounding_engine.name == "ball64":
        from tlcheck.trusted.formed_pass import check_formed as check
    size = _chunk_size(plan, own)
    chunks = [ranks[i : i + size] for i in range(0, len(ranks), size)]
    workers = workers_for(jobs, len(chunks))
    if workers > 1 and _work(plan, len(ranks), own) >= POOL_FROM:
        with processes(partial(check, plan, bounds), workers) as pool:
            for _, found in pool.as_done(chunks, tick):
                yield found
        return
    for chunk in chunks:
        tick()
        yield check(plan, bounds, chunk)


def _chunk_size(plan: Plan, own: bool) -> int:
    """Leaves per chunk, by the width of the network (and, with bounds of their ``own``, the rows per leaf)."""
    nodes = plan.claim.graph.nodes
    widest = max(node.size for node in nodes)
    rows = 2 * max((nodes[t].size for t in plan.network.targets), default=1) if own else 1
    room = OWN_BYTES if own else CHUNK_BYTES
    size = min(MAX_CHUNK, room // (8 * widest * rows))
    if own and plan.bounding_engine.name not in IN_DOUBLES:
        size = min(size, int(CHUNK_WORK / (1 + plan.closing_cost)))
    return max(1, size)


def _work(plan: Plan, leaves: int, own: bool) -> float:
    per_row = sum(
        m.n_out * m.fan_in
        for affine in plan.network.affine
        if affine is not None
        for m in affine.maps
        if m.fan_in > 1
    )
    extra = plan.closing_cost * leaves if own else 0.0
    return float(per_row) * leaves * (20 if plan.deciding_engine.name == "arb" else 1) + extra
