"""A function over 0..count-1 in forked processes: results in order, a tick while waiting, no process left behind."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

from tlcheck.checking.schedule import Tick, ending_pool, enter_worker, interrupts_held, results_of

T = TypeVar("T")


def forked(function: Callable[[int], T], count: int, workers: int, tick: Tick) -> Iterator[T]:
    """``function`` must be importable; what it reads at module level is inherited as it is now. ``tick`` may raise."""
    context = multiprocessing.get_context("fork")
    with ending_pool(ProcessPoolExecutor(workers, context, enter_worker)) as pool:
        with interrupts_held():
            futures = [pool.submit(function, k) for k in range(count)]
        yield from results_of(futures, tick)
