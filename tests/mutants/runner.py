"""Runs mutants: each in a process forked from one in which tlcheck and the tests near the module are loaded already.

A mutant within functions is put in place by their code objects (``function.__code__``); one of what runs at import gets a process
that has no module of tlcheck yet, whose import finds the mutated source. Either way only the tests that execute the changed
statement are run (contexts of coverage.py, taken once for each module), quick ones first, up to the first that fails.
"""

from __future__ import annotations

import functools
import gc
import importlib.abc
import importlib.util
import os
import pickle
import resource
import select
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final

import coverage
import pytest

from tests.mutants.places import Mutant

PATIENCE: Final = 600
"""Seconds by the wall for one mutant, where something waits without computing."""
MEMORY: Final = 6 << 30
ARGUMENTS: Final = (
    "-q",
    "-q",
    "--tb=no",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:xdist",
    "-m",
    "not wheel and not full",
)


@dataclass(frozen=True)
class Outcome:
    """``word``: killed, survived, timed out, or not run (no near test executes the statement)."""

    word: str
    tests: int = 0
    killer: str = ""


@dataclass(frozen=True)
class Covering:
    """Tests by line of the module; each test's CPU seconds; those that fail as it is, which are not used."""

    by_line: dict[int, set[str]]
    seconds: dict[str, float]
    failed: list[str]

    def of(self, lines: range, budget: float) -> list[str]:
        """Of those that execute one of ``lines``: one of each test function first, quick ones first, while the budget lasts."""
        found = set().union(*(self.by_line.get(line, ()) for line in lines))
        return self._within(found, budget)

    def cost(self, tests: Sequence[str]) -> float:
        return sum(self.seconds[test] for test in tests)

    def all(self, budget: float) -> list[str]:
        """Of all: what runs at import is executed by none of them, and used by any."""
        return self._within(set(self.seconds), budget)

    def _within(self, tests: set[str], budget: float) -> list[str]:
        ranks: Counter[str] = Counter()
        order = []
        for test in sorted(tests, key=lambda t: (self.seconds[t], t)):
            function = test.partition("[")[0]
            order.append((ranks[function], self.seconds[test], test))
            ranks[function] += 1
        chosen, spent = [], 0.0
        for _, seconds, test in sorted(order):
            if not chosen or spent + seconds <= budget:
                chosen.append(test)
                spent += seconds
        return chosen


def quick_to_fail() -> None:
    """Hypothesis tries the same examples, and does not shrink what fails."""
    from hypothesis import Phase, settings

    settings.register_profile("mutants", settings(), phases=(Phase.explicit, Phase.generate))
    settings.load_profile("mutants")


class Plugin:
    """Runs in place of pytest's loop: ``loop(items)``, with everything collected."""

    def __init__(self, loop: Callable[[list[pytest.Item]], None]) -> None:
        self.loop = loop

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        quick_to_fail()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.loop(list(session.items))
        return True


def passes(item: pytest.Item, following: pytest.Item | None) -> str:
    """passed, failed or skipped."""
    from _pytest.runner import runtestprotocol

    item._initrequest()  # type: ignore[attr-defined]
    reports = runtestprotocol(item, log=False, nextitem=following)
    if any(r.failed for r in reports):
        return "failed"
    return "skipped" if any(r.skipped for r in reports) else "passed"


def first_failure(items: Sequence[pytest.Item]) -> str:
    for item, following in zip(items, [*items[1:], None], strict=True):
        if passes(item, following) == "failed":
            return item.nodeid
    return ""


def covering(path: Path, items: list[pytest.Item]) -> Covering:
    """Every test run once, with the lines of ``path`` that it executes."""
    measured = coverage.Coverage(data_file=None, include=[str(path)], config_file=False)
    measured.start()
    seconds: dict[str, float] = {}
    failed: list[str] = []
    for item, following in zip(items, [*items[1:], None], strict=True):
        measured.switch_context(item.nodeid)
        start = time.process_time()
        how = passes(item, following)
        if how == "passed":
            seconds[item.nodeid] = time.process_time() - start
        elif how == "failed":
            failed.append(item.nodeid)
    measured.stop()
    data = measured.get_data()
    found = data.contexts_by_lineno(str(path))
    return Covering(
        {line: {t for t in tests if t in seconds} for line, tests in found.items()}, seconds, failed
    )


# Mutants within functions.


def codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from codes(constant)


def _numbered(source: str, path: str) -> dict[tuple[str, int], CodeType]:
    """Code objects by name and number among those of one name."""
    seen: Counter[str] = Counter()
    found = {}
    for code in codes(compile(source, path, "exec", dont_inherit=True)):
        found[code.co_qualname, seen[code.co_qualname]] = code
        seen[code.co_qualname] += 1
    return found


def _position(code: CodeType) -> tuple[object, ...]:
    return code.co_qualname, code.co_firstlineno, tuple(code.co_positions())


class Patch:
    """The functions of a module that is loaded, whose code can be replaced."""

    def __init__(self, path: Path, source: str) -> None:
        self.path = str(path)
        self.names = {_position(code): key for key, code in _numbered(source, self.path).items()}
        self.functions = [
            f for f in gc.get_objects() if isinstance(f, FunctionType) and f.__code__.co_filename == self.path
        ]

    def fits(self, mutated: str) -> bool:
        """Whether some loaded function has another code by it, and none needs more than that."""
        new = _numbered(mutated, self.path)
        changed = list(self._changed(new)) if set(new) == set(self.names.values()) else []
        return bool(changed) and all(f.__code__.co_freevars == code.co_freevars for f, code in changed)

    def _changed(self, new: dict[tuple[str, int], CodeType]) -> Iterator[tuple[FunctionType, CodeType]]:
        for function in self.functions:
            key = self.names.get(_position(function.__code__))
            if key is not None and new[key] != function.__code__:
                yield function, new[key]

    def put(self, mutated: str) -> None:
        for function, code in list(self._changed(_numbered(mutated, self.path))):
            function.__code__ = code


def forget() -> None:
    """Empties what functions of tlcheck and of its tests keep."""
    for kept in gc.get_objects():
        if isinstance(kept, functools._lru_cache_wrapper) and (kept.__module__ or "").startswith(
            ("tlcheck", "tests")
        ):
            kept.cache_clear()


# Processes.


def silent() -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)


def in_a_process(work: Callable[[], str], cpu: float) -> tuple[str, str]:
    """("said", what ``work`` returns), or ("timed out", ""), or ("died", ""), from a process of its own."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        limit = int(cpu) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        silent()
        said = "killed by an error outside the tests"
        try:
            said = work()
        finally:
            os.write(writing, said.encode())
            os._exit(0)
    os.close(writing)
    ready, _, _ = select.select([reading], [], [], PATIENCE)
    said = os.read(reading, 1 << 16).decode() if ready else ""
    os.close(reading)
    if not ready:
        os.killpg(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if said:
        return "said", said
    late = not ready or (os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL))
    return ("timed out" if late else "died"), ""


def judged(work: Callable[[], str], tests: Sequence[str], seconds: float) -> Outcome:
    how, said = in_a_process(work, 10 + 4 * seconds)
    if how == "timed out":
        return Outcome("timed out", len(tests))
    if how == "died":
        return Outcome("killed", len(tests), "the process died")
    return Outcome("survived", len(tests)) if said == "-" else Outcome("killed", len(tests), said)


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives one module its mutated source."""

    def __init__(self, name: str, path: Path, source: str) -> None:
        self.name, self.path, self.source = name, path, source

    def find_spec(self, name: str, *_: Any) -> Any:
        return (
            importlib.util.spec_from_loader(name, self, origin=str(self.path)) if name == self.name else None
        )

    def exec_module(self, module: ModuleType) -> None:
        module.__file__ = str(self.path)
        exec(compile(self.source, str(self.path), "exec", dont_inherit=True), module.__dict__)


def afresh(path: Path, source: str, tests: Sequence[str]) -> str:
    """In a process without tlcheck: the first test that fails with the module mutated, or "-"."""
    name = ".".join(path.relative_to(Path.cwd()).with_suffix("").parts).removesuffix(".__init__")
    sys.meta_path.insert(0, Finder(name, path, source))
    failed: list[str] = []

    def loop(items: list[pytest.Item]) -> None:
        by_id = {item.nodeid: item for item in items}
        missing = [test for test in tests if test not in by_id]
        failed.append(
            "not collected: " + missing[0] if missing else first_failure([by_id[t] for t in tests]) or "-"
        )

    files = sorted({test.partition("::")[0] for test in tests})
    pytest.main([*ARGUMENTS, *files], plugins=[Plugin(loop)])
    return failed[0] if failed else "not imported or not collected"


@dataclass(frozen=True)
class Job:
    """One module: its mutants, its near tests (arguments of pytest), and how many CPU seconds of tests a mutant gets.

    ``afresh``: every mutant is imported in a process without tlcheck, also those of functions."""

    path: Path
    near: Sequence[str]
    mutants: Sequence[Mutant]
    budget: float
    afresh: bool = False

    def run(self, said: Callable[[Mutant, Outcome], None]) -> Covering:
        """Says every outcome, in this process. What survives in place is tried again where nothing of tlcheck was kept."""
        with tempfile.NamedTemporaryFile() as file:
            place = Path(file.name)
            pid = os.fork()
            if pid == 0:
                try:
                    silent() if not os.environ.get("MUTANTS_LOUD") else None
                    self._load(place)
                finally:
                    os._exit(0)
            os.waitpid(pid, 0)
            covered, outcomes = pickle.loads(place.read_bytes())
        for mutant in self.mutants:
            outcome = outcomes.get(mutant.identity)
            if outcome is None or outcome.word == "survived":
                tests = self._tests(covered, mutant)
                work = functools.partial(afresh, self.path, mutant.source, tests)
                outcome = judged(work, tests, covered.cost(tests) + 10) if tests else Outcome("not run")
            said(mutant, outcome)
        return covered

    def _tests(self, covered: Covering, mutant: Mutant) -> list[str]:
        return covered.of(mutant.lines, self.budget) if mutant.place else covered.all(self.budget)

    def _load(self, answer: Path) -> None:
        """Writes what the near tests cover and the outcomes of mutants within functions."""
        found: list[tuple[Covering, dict[tuple[str, ...], Outcome]]] = []
        pytest.main([*ARGUMENTS, *self.near], plugins=[Plugin(lambda items: found.append(self._loop(items)))])
        answer.write_bytes(pickle.dumps(found[0]))

    def _loop(self, items: list[pytest.Item]) -> tuple[Covering, dict[tuple[str, ...], Outcome]]:
        covered = covering(self.path, items)
        patch = Patch(self.path, self.path.read_text(encoding="utf-8"))
        by_id = {item.nodeid: item for item in items}
        gc.collect()
        gc.freeze()
        outcomes = {}
        for mutant in () if self.afresh else self.mutants:
            tests = self._tests(covered, mutant)
            if mutant.place and tests and patch.fits(mutant.source):
                work = functools.partial(_in_place, patch, mutant.source, [by_id[t] for t in tests])
                outcomes[mutant.identity] = judged(work, tests, covered.cost(tests))
        return covered, outcomes


def _in_place(patch: Patch, source: str, items: Sequence[pytest.Item]) -> str:
    patch.put(source)
    forget()
    return first_failure(items) or "-"
