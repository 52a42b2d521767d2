"""Hostile input ends in exit 3 with one line that names the file, at once, and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.attack import hostile
from tests.clocks import GUARD, Cpu
from tests.helpers import REPOSITORY
from tlcheck.cli.main import main

CASES = hostile.all_cases()
SECONDS = 20.0
"""Of the CPU, far above the tenths of a second that a refusal takes, and far below what any of these would cost unguarded."""
MEMORY = [
    name
    for name, _ in CASES
    if "bomb" in name or "huge" in name or "2^" in name or "million" in name or "deep" in name
]
SOAK = bool(os.environ.get("TLCHECK_SOAK"))


def listing(folder: Path) -> list[tuple[str, int]]:
    found = []
    for entry in sorted(folder.rglob("*")):
        status = entry.lstat()
        found.append((str(entry), status.st_size))
    return found


def test_there_are_enough() -> None:
    assert len(CASES) >= 200
    assert len({name for name, _ in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=[name for name, _ in CASES])
def test_one_line_and_exit_3(
    case: tuple[str, Callable[[Path], Path]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = case[1](tmp_path)
    before = listing(tmp_path)
    with Cpu() as cpu:
        code = main(["verify", str(path), "--jobs", "1"])
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert code == 3, captured.out + captured.err
    assert captured.err == ""
    assert len(lines) == 2, captured.out
    assert lines[0].startswith("INVALID")
    assert path.name[:20].split("\n")[0] in lines[0]
    assert lines[1].startswith("0 claims in 1 file: 1 INVALID") or "INVALID" in lines[1]
    assert "Traceback" not in captured.out
    assert len(lines[0]) < 2000 + 2 * len(str(path))
    assert captured.out.isprintable() or all(c.isprintable() or c == "\n" for c in captured.out)
    assert listing(tmp_path) == before
    assert cpu.seconds < SECONDS


CHILD = """
import resource, sys, time
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
from tlcheck.cli.main import main
import tlcheck.verify, tlcheck.readers.formats.abcrown, tlcheck.readers.bundle.read, onnx, vnnlib
start = time.process_time()
code = main(["verify", sys.argv[1], "--jobs", "1"])
seconds = time.process_time() - start
[line] = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]  # ru_maxrss counts the parent's
peak = int(line.split()[1]) / 1024
print(f"{peak} {seconds}", file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits and peak memory as Linux counts them")
@pytest.mark.parametrize(
    "name", MEMORY if SOAK else sorted({*MEMORY[::5], *(n for n in MEMORY if "bomb" in n)})
)
def test_in_a_process_of_its_own(name: str, tmp_path: Path) -> None:
    """2 GiB of address space, below 500 MB of memory, little work beyond start-up; one thread, whose stacks are address space too."""
    path = dict(CASES)[name](tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
        timeout=GUARD,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 3, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == 2
    [measured] = done.stderr.splitlines()
    peak, seconds = map(float, measured.split())
    assert peak < 500
    assert seconds < SECONDS
