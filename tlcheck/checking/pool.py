"""Processes: the one place that makes any. They do their work with one core each and leave nobody behind.

- A signal that comes while processes are being made waits until they are (``interrupts_held``); Ctrl-C is for the parent.
- Whatever ends a pool's block early (a time limit, Ctrl-C) ends its processes at once; the parent's death ends them too.
  What has not begun then never does; only ``shutdown`` cancels it (before Python 3.12.1 an executor's thread falls over
  a future cancelled elsewhere when a process of its pool is gone, and prints a traceback).
- Results are waited for BEAT by BEAT, and ``tick`` is called in between: it may draw, and it may raise.
- A process that dies raises WorkerDied here (in words: WORKER_KILLED); ``work_through`` gets over it.

Workers inherit the pool's function, with all that it holds, by a fork. Where FORKS is False they are spawned and it is
sent, once for each worker: it must be importable then, or a ``partial`` of what is.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import Any, Final, Generic, TypeVar

from threadpoolctl import threadpool_limits

WorkerDied = BrokenProcessPool

Item = TypeVar("Item")
Result = TypeVar("Result")
Tick = Callable[[], None]
"""Called again and again while a check waits: draws progress, raises what ends it."""

BEAT = 0.25
"""Seconds between two ticks."""
FORKS: Final = sys.platform == "linux"
INTERRUPTS: Final = (signal.SIGINT, signal.SIGTERM)
WORKER_KILLED: Final = "stopped: a worker process was killed, perhaps for its memory"


def silent() -> None:
    """A tick that does nothing."""


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def workers_for(jobs: int, items: int = sys.maxsize) -> int:
    """How many processes to take: ``jobs``, or one per core where that is 0, and no more than there is work for."""
    return min(jobs or cores(), items)


def family() -> list[int]:
    """This process and its workers."""
    return [os.getpid(), *(process.pid for process in multiprocessing.active_children() if process.pid)]


class Pool(Generic[Item, Result]):
    """Workers that apply one function."""

    def __init__(self, executor: Executor, function: Callable[[Item], Result], workers: int) -> None:
        self.executor, self.function, self.workers = executor, function, workers

    def in_order(self, items: Iterable[Item], tick: Tick = silent) -> Iterator[Result]:
        """The items' results in their order."""
        with interrupts_held():
            futures = [self.executor.submit(self.function, item) for item in items]
        for future in futures:
            while not future.done():
                tick()
                wait([future], timeout=BEAT)
            yield future.result()

    def as_done(self, items: Iterable[Item], tick: Tick = silent) -> Iterator[tuple[Item, Result]]:
        """(item, its result) in any order. Items are handed out in their order, as workers get free: at most
        ``2 * workers`` are handed out and not done."""
        pending: dict[Future[Result], Item] = {}
        ahead = iter(items)
        while True:
            with interrupts_held():
                for item in islice(ahead, 2 * self.workers - len(pending)):
                    pending[self.executor.submit(self.function, item)] = item
            if not pending:
                return
            tick()
            for future in wait(pending, timeout=BEAT, return_when=FIRST_COMPLETED).done:
                yield pending.pop(future), future.result()


@contextmanager
def threads(function: Callable[[Item], Result], workers: int) -> Iterator[Pool[Item, Result]]:
    """The same in threads of this process, for work that leaves Python's lock."""
    executor = ThreadPoolExecutor(workers)
    try:
        yield Pool(executor, function, workers)
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


@contextmanager
def processes(function: Callable[[Item], Result], workers: int) -> Iterator[Pool[Item, Result]]:
    """Processes that end with the block, at once when it ends by an exception."""
    context = multiprocessing.get_context("fork" if FORKS else "spawn")
    executor = ProcessPoolExecutor(workers, context, _enter, (function,))
    try:
        yield Pool(executor, _apply, workers)
    except BaseException:
        for process in list((getattr(executor, "_processes", None) or {}).values()):
            process.terminate()
        raise
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


_FUNCTION: list[Callable[[Any], Any]] = []
"""In a worker: what it applies."""


def _apply(item: Any) -> Any:
    return _FUNCTION[-1](item)


def _enter(function: Callable[[Any], Any]) -> None:
    """A worker leaves Ctrl-C to its parent, dies when told to, does not outlive it, and takes one core."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, INTERRUPTS)
    threading.Thread(target=_follow_parent, daemon=True).start()
    threadpool_limits(1, "blas")
    _FUNCTION.append(function)


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Interrupts wait for the end of the block, in which a pool makes its workers: an exception raised by a signal in the
    middle of a fork is lost, or leaves a worker behind. Workers inherit this, until ``_enter``."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def work_through(
    batches: Sequence[Sequence[Item]],
    work: Callable[[Item], Result],
    lost: Callable[[Item], Result],
    jobs: int,
) -> Iterator[tuple[Item, Result]]:
    """(item, ``work(item)``) in any order; the death of a process costs the item that killed it, and no other. ``jobs``
    0: one process per core; 1: this process.

    A batch is done by one process in its order. When a process dies, what it may have been at is done again item by
    item, each in a process of its own; an item that kills that one too has the result ``lost(item)``.
    """
    workers = workers_for(jobs, len(batches))
    if workers <= 1:
        yield from ((item, work(item)) for batch in batches for item in batch)
        return
    waiting = dict(enumerate(batches))
    while waiting:
        with processes(partial(_through, work), workers) as pool:
            try:
                for (k, batch), results in pool.as_done(list(waiting.items())):
                    del waiting[k]
                    yield from zip(batch, results, strict=True)
            except WorkerDied:
                pass
        for k in list(waiting)[: 2 * workers]:  # handed out in order: no process was at any other
            yield from ((item, _alone(work, lost, item)) for item in waiting.pop(k))


def _through(work: Callable[[Item], Result], batch: tuple[int, Sequence[Item]]) -> list[Result]:
    return [work(item) for item in batch[1]]


def _alone(work: Callable[[Item], Result], lost: Callable[[Item], Result], item: Item) -> Result:
    with processes(work, 1) as pool:
        try:
            return next(pool.in_order([item]))
        except WorkerDied:
            return lost(item)
