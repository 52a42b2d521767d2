"""Batches of independent work on every core; the death of a process costs the item that killed it, and no other."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

from tlcheck import timer
from tlcheck.checking.schedule import enter_worker, interrupts_held

Item = TypeVar("Item")
Result = TypeVar("Result")


class OutOfTime(Exception):
    """The time for one item is over."""


def work_through(
    batches: Sequence[Sequence[Item]],
    work: Callable[[Item], Result],
    lost: Callable[[Item], Result],
    jobs: int,
) -> Iterator[tuple[Item, Result]]:
    """(item, ``work(item)``) in any order. ``jobs`` 0: one process per core; 1: this process.

    A batch is done by one process in its order. When a process dies, what it may have been at is done again item by
    item, each in a process of its own; an item that kills that one too has the result ``lost(item)``.
    """
    workers = min(jobs or cores(), len(batches))
    if workers <= 1:
        for batch in batches:
            for item in batch:
                yield item, work(item)
        return
    waiting = list(batches)
    while waiting:
        done: set[int] = set()
        with _pool(workers) as pool:
            with interrupts_held():
                futures = {pool.submit(_through, work, batch): k for k, batch in enumerate(waiting)}
            try:
                for future in as_completed(futures):
                    k = futures[future]
                    results = future.result()
                    done.add(k)
                    yield from zip(waiting[k], results, strict=True)
            except BrokenProcessPool:
                pass
        waiting = [batch for k, batch in enumerate(waiting) if k not in done]
        # Work is handed out in order, at most one batch per process beyond those being worked on.
        suspects, waiting = waiting[: 2 * workers + 1], waiting[2 * workers + 1 :]
        for item in (item for batch in suspects for item in batch):
            yield item, _alone(work, lost, item)


def _alone(work: Callable[[Item], Result], lost: Callable[[Item], Result], item: Item) -> Result:
    with _pool(1) as pool:
        try:
            with interrupts_held():
                future = pool.submit(work, item)
            return future.result()
        except BrokenProcessPool:
            return lost(item)


def _through(work: Callable[[Item], Result], batch: Sequence[Item]) -> list[Result]:
    return [work(item) for item in batch]


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that end with the block, at once when it ends by an exception."""
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    with ProcessPoolExecutor(workers, context, enter_worker) as pool:
        try:
            yield pool
        except BaseException:
            for process in list((getattr(pool, "_processes", None) or {}).values()):
                process.terminate()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Raises OutOfTime in the block after ``seconds``, as ``timer.alarm``; None: never."""
    if seconds is None:
        yield
        return
    with timer.alarm(seconds, OutOfTime):
        yield
