"""Tests say the same on any machine, however busy: by rules that are read off their sources.

Limits in seconds are kept by ``tlcheck.timer``, which tests replace by a clock that goes by work (``steps``); processes are waited
for until a state can be seen; work is bounded in CPU seconds (``Cpu``), counts or looks at the clock.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.clocks import Noted, Steps
from tests.conftest import untested
from tests.helpers import REPOSITORY
from tlcheck import timer
from tlcheck.checking.deadline import Deadline

CLOCKS = {"tlcheck/timer.py", "tlcheck/cli/progress.py", "tests/clocks.py"}
"""Who may look at the wall clock: the limits' own, the progress bar's pace, and the guard against tests that hang."""
MEASURING = {
    "tests/fuzz/__main__.py",
    "tests/fuzz/confusions/run.py",
    "tests/fuzz/formulas/run.py",
    "tests/fuzz/operators/run.py",
    "tests/mutants/runner.py",
    "tests/mutations/run.py",
    "tests/solver/satisfactory.py",
}
"""Programs for people, which end after a time or print one; benchmarks too."""
NOT_KEPT = {
    "tests/cli/test_verify.py",
    "tests/cli/test_exit_codes.py",
    "tests/referee/test_scripts.py",
    "tests/fuzz/test_fuzz.py",
}
"""Tests in which a limit is a word on a command line, or the guard."""
OF_ALL = {"tests/solver"}
"""Folders whose conftest puts the clock in for every test."""


@cache
def texts(top: str) -> list[tuple[str, str]]:
    paths = sorted((REPOSITORY / top).rglob("*.py"))
    return [(p.relative_to(REPOSITORY).as_posix(), p.read_text(encoding="utf-8")) for p in paths]


@cache
def sources(top: str) -> list[tuple[str, ast.Module]]:
    return [(name, ast.parse(text)) for name, text in texts(top)]


def imports(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module or "")
    return found


def is_bench(name: str) -> bool:
    return name.startswith("tests/bench/") or Path(name).name.startswith("bench_")


def test_only_these_look_at_the_wall_clock() -> None:
    named = [
        (name, text)
        for top in ("tlcheck", "tests")
        for name, text in texts(top)
        if re.search(r"import.*\btime\b|\btime import", text)
    ]
    looking = {name for name, text in named if "time" in imports(ast.parse(text))}
    assert {name for name in looking if not is_bench(name)} <= CLOCKS | MEASURING


def limits(function: ast.AST) -> Iterator[int]:
    """Lines with a limit in seconds that something keeps: options of commands, ``Options(timeout=...)``."""
    for node in ast.walk(function):
        if isinstance(node, ast.Constant) and node.value in ("--timeout", "--seconds", "--witness-timeout"):
            yield node.lineno
        elif isinstance(node, ast.Call):
            given = [k for k in node.keywords if k.arg in ("timeout", "seconds")]
            if given and isinstance(node.func, ast.Name) and node.func.id in ("Options", "Deadline"):
                yield node.lineno


def parameters(function: ast.FunctionDef) -> set[str]:
    return {a.arg for a in (*function.args.args, *function.args.kwonlyargs)}


def uncontrolled(name: str, tree: ast.Module) -> list[str]:
    """Tests with a limit, and without a clock of their own: ``steps``, a script that installs one, or the guard as the limit."""
    found = []
    for function in (n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name.startswith("test_")):
        names = {n.id for n in ast.walk(function) if isinstance(n, ast.Name)}
        if not ("steps" in parameters(function) or names & {"ENDLESS", "GUARD"}):
            found += [f"{name}:{line}" for line in limits(function)]
    return found


def test_limits_are_kept_by_clocks_that_tests_control() -> None:
    found = []
    for name, tree in sources("tests"):
        if (
            Path(name).name.startswith("test_")
            and name not in NOT_KEPT
            and str(Path(name).parent) not in OF_ALL
        ):
            found += uncontrolled(name, tree)
    assert found == []


def waits(tree: ast.AST) -> Iterator[int]:
    """Lines that wait a number of seconds, or at most that: written numbers, which a busy machine may exceed."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        numbers = [k.value for k in node.keywords if k.arg == "timeout"]
        if name in (
            "wait",
            "join",
            "communicate",
            "sleep",
            "run",
            "check_output",
            "check_call",
            "result",
            "get",
            "acquire",
        ):
            numbers += node.args if name in ("wait", "join", "sleep") else []
            if any(isinstance(n, ast.Constant) and isinstance(n.value, int | float) for n in numbers):
                yield node.lineno


def test_nothing_is_waited_for_by_seconds() -> None:
    found = [
        f"{name}:{line}"
        for name, tree in sources("tests")
        if not is_bench(name) and name not in CLOCKS | MEASURING
        for line in waits(tree)
    ]
    assert found == []


def test_no_example_has_a_deadline_of_its_own() -> None:
    for name, tree in sources("tests"):
        for node in ast.walk(tree):
            for keyword in node.keywords if isinstance(node, ast.Call) else ():
                if keyword.arg == "deadline":
                    assert ast.unparse(keyword.value) in ("None", "deadline"), f"{name}:{node.lineno}"


# The rules find what they are for.


@pytest.mark.parametrize(
    "text",
    [
        "def test_a():\n    main(['verify', x, '--timeout', '4'])",
        "def test_a(tmp_path):\n    verify_path(x, Options(jobs=1, timeout=0.5))",
        "def test_a():\n    search(Deadline(seconds=1))",
    ],
)  # fmt: skip
def test_a_limit_without_a_clock_is_found(text: str) -> None:
    assert len(uncontrolled("x", ast.parse(text))) == 1
    assert uncontrolled("x", ast.parse(text.replace("test_a(", "test_a(steps, "))) == []


@pytest.mark.parametrize(
    "text", ["p.wait(30)", "subprocess.run(c, timeout=60)", "p.communicate(timeout=2.5)", "time.sleep(0.1)"]
)
def test_a_wait_of_seconds_is_found(text: str) -> None:
    assert list(waits(ast.parse(text))) == [1]
    assert (
        list(
            waits(
                ast.parse(
                    text.replace("30", "GUARD")
                    .replace("60", "GUARD")
                    .replace("2.5", "GUARD")
                    .replace("0.1", "GUARD")
                )
            )
        )
        == []
    )


# Clocks.


def test_a_limit_is_a_count_of_looks(steps: Callable[[float], Steps]) -> None:
    clock = steps(0.25)
    deadline = Deadline(1.0, None)
    assert [bool(deadline.stopped()) for _ in range(6)] == [False] * 4 + [True] * 2
    assert clock.looks == 7
    with timer.alarm(1e-9, ZeroDivisionError):
        sum(range(10**5))


def test_the_real_clock_goes_on_and_its_alarm_rings() -> None:
    start = timer.now()
    with pytest.raises(ZeroDivisionError), timer.alarm(0.01, ZeroDivisionError):
        while True:
            pass
    with pytest.raises(ZeroDivisionError), timer.alarm(0.01, ZeroDivisionError):
        with pytest.raises(KeyError), timer.alarm(0.01, KeyError):
            while True:
                pass
        while True:  # the outer one rings after the inner block
            pass
    with timer.alarm(None, ZeroDivisionError):
        pass
    assert timer.now() > start


def test_the_most_work_between_two_looks() -> None:
    clock = Noted(0.0)
    clock.now()
    before = clock.longest
    sum(range(10**6))
    clock.now()
    assert clock.longest > before and clock.now() == 0.0


def test_what_was_not_tested_is_said_by_file() -> None:
    skipped = [("tests/a.py", "no chromium found"), ("tests/a.py", "no chromium found"), ("tests/b.py", "shared data not present"),
               ("tests/c.py", "names here are text")]  # fmt: skip
    said = untested(skipped)
    assert said[0].startswith("NOT TESTED: 2 skips for want of Chromium") and said[1].split() == [
        "2",
        "in",
        "tests/a.py",
    ]
    assert said[2].startswith("NOT TESTED: 1 skip for want of the shared data") and len(said) == 4
    assert untested(skipped[3:]) == []
