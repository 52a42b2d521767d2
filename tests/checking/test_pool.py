"""The pool: results and their order, ticks, what a closure holds, and processes that die."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from operator import add

import pytest

from tlcheck.checking import pool
from tlcheck.checking.pool import FORKS, WorkerDied, family, processes, threads, work_through, workers_for

forks = pytest.mark.skipif(not FORKS, reason="workers that inherit a closure")


def _square(n: int) -> int:
    if n == 13:
        os.kill(os.getpid(), signal.SIGKILL)
    return n * n


def _lost(n: int) -> int:
    return -n


@pytest.mark.parametrize("jobs", [0, 1, 2])
def test_every_item_is_worked_through_once(jobs: int) -> None:
    batches = [[k, k + 100] for k in range(10)]
    found = list(work_through(batches, abs, _lost, jobs))
    assert sorted(found) == sorted((n, n) for batch in batches for n in batch)


@pytest.mark.parametrize("batches", [[[k, k + 100] for k in range(30)], [[13], [1]], [[13, 13], [13]]])
def test_a_dying_process_costs_one_item(batches: list[list[int]]) -> None:
    results = dict(work_through(batches, _square, _lost, 2))
    assert results == {n: -13 if n == 13 else n * n for batch in batches for n in batch}


def test_no_work_needs_no_process() -> None:
    assert list(work_through([], _square, _lost, 2)) == []


def test_how_many_processes() -> None:
    assert [workers_for(3, 2), workers_for(2, 9), workers_for(5, 0), workers_for(0, 1)] == [2, 2, 0, 1]
    assert workers_for(0) == pool.cores() >= 1


@pytest.mark.parametrize("make", [threads, processes])
def test_results_in_order_and_as_they_are_done(make: type) -> None:
    with make(partial(add, 100), 2) as workers:
        assert list(workers.in_order(range(9))) == list(range(100, 109))
        assert sorted(workers.as_done(range(9))) == [(n, n + 100) for n in range(9)]
        assert list(workers.in_order([])) == list(workers.as_done([])) == []


def test_items_are_taken_as_workers_get_free() -> None:
    """However long the list, at most two per worker are handed out."""
    taken: deque[int] = deque()

    def items():  # type: ignore[no-untyped-def]
        for n in range(50):
            taken.append(n)
            yield n

    with processes(abs, 2) as workers:
        for done, _ in enumerate(workers.as_done(items()), 1):
            assert len(taken) <= done + 4
    assert len(taken) == 50


@forks
def test_workers_inherit_what_the_function_holds() -> None:
    held = [lambda n: n + 1]  # nothing that could be sent
    with processes(lambda n: (held[0](n), os.getpid()), 2) as workers:
        found = list(workers.in_order(range(20)))
    assert [n for n, _ in found] == list(range(1, 21)) and os.getpid() not in {pid for _, pid in found}


@forks
def test_a_pool_within_a_pool() -> None:
    def inner(n: int) -> list[int]:
        with processes(lambda k: n * k, 1) as workers:
            return list(workers.in_order(range(3)))

    with processes(inner, 2) as workers:
        assert list(workers.in_order([1, 2])) == [[0, 1, 2], [0, 2, 4]]


@pytest.mark.parametrize("way", ["in_order", "as_done"])
def test_a_tick_that_raises_ends_the_workers(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While none of them would ever end; nor does a thread of the executor fall over what it finds then."""
    looks = iter([None, None, ZeroDivisionError])
    fallen: list[object] = []
    monkeypatch.setattr(threading, "excepthook", fallen.append)
    shutdown = ProcessPoolExecutor.shutdown

    def late(executor: ProcessPoolExecutor, wait: bool, cancel_futures: bool) -> None:
        executor._executor_manager_thread.join()  # type: ignore[attr-defined]  # it finds the dead processes first
        shutdown(executor, wait=wait, cancel_futures=cancel_futures)

    monkeypatch.setattr(ProcessPoolExecutor, "shutdown", late)

    def tick() -> None:
        if (error := next(looks)) is not None:
            raise error

    with pytest.raises(ZeroDivisionError), processes(_sleep, 2) as workers:
        list(getattr(workers, way)(range(5), tick))
    assert family() == [os.getpid()]
    assert not fallen


@pytest.mark.parametrize("way", ["in_order", "as_done"])
def test_a_tick_that_raises_ends_the_threads(way: str) -> None:
    """What has not begun then never does."""
    begun: list[int] = []
    go = threading.Event()

    def work(item: int) -> None:
        begun.append(item)
        go.wait()

    def tick() -> None:
        if begun:
            go.set()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), threads(work, 1) as workers:
        list(getattr(workers, way)(range(2000), tick))
    assert len(begun) < 2000


def _sleep(_: int) -> None:
    signal.pause()


def test_a_process_that_dies_is_told() -> None:
    with pytest.raises(WorkerDied), processes(_square, 2) as workers:
        list(workers.in_order([1, 13, 2]))
