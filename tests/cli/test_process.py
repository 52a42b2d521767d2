"""What only a whole process shows: start-up, a broken pipe, an interrupt, a full disk, completion."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.helpers import REPOSITORY
from tlcheck import __version__

TLCHECK = [sys.executable, "-m", "tlcheck"]
HEAVY = {"onnx", "onnxruntime", "vnnlib", "flint", "mpmath", "rich", "msgspec", "numpy", "safetensors"}

posix = pytest.mark.skipif(os.name != "posix", reason="signals and pipes as on POSIX")


def run(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    settings = {"capture_output": True, "text": True, "cwd": REPOSITORY, "timeout": 60, **options}
    return subprocess.run([*TLCHECK, *arguments], check=False, **settings)  # type: ignore[call-overload,no-any-return]


def test_version() -> None:
    done = run("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"tlcheck {__version__}\n", "")


@pytest.mark.parametrize("argument", ["--version", "--help"])
def test_nothing_heavy_is_imported_to_say_little(argument: str) -> None:
    code = f"import sys; from tlcheck.cli.main import main; main([{argument!r}]); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    assert HEAVY.isdisjoint(done.stderr.split())


@posix
def test_a_broken_pipe_is_not_a_verdict() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = run("explain", capture_output=False, stdout=writer, stderr=subprocess.PIPE)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_output_that_does_not_fit_is_not_0() -> None:
    with open("/dev/full", "w") as full:
        done = run("explain", capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


SLEEPER = """
import sys, time, types
fake = types.ModuleType("tlcheck.verify")
fake.survey = lambda path: types.SimpleNamespace(certificates=(path,), problems=(), passed=())
def verify_path(path, options, progress):
    print("ready", file=sys.stderr, flush=True)
    time.sleep(60)
fake.verify_path = verify_path
sys.modules["tlcheck.verify"] = fake
from tlcheck.cli.main import entry
entry()
"""


@posix
def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    arguments = ["verify", "x", "--output", str(tmp_path / "report.txt")]
    process = subprocess.Popen(
        [sys.executable, "-c", SLEEPER, *arguments], stderr=subprocess.PIPE, text=True, cwd=REPOSITORY
    )
    stderr = process.stderr
    if stderr is None:
        pytest.fail("no standard error")
    with stderr:
        ready = stderr.readline()
        time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        said = stderr.read()
    assert ready == "ready\n"
    assert process.wait(timeout=30) == 130
    assert said == "interrupted\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script(shell: str) -> None:
    done = run("completion", shell)
    assert done.returncode == 0
    assert f"_TLCHECK_COMPLETE={shell}_complete" in done.stdout


def test_completion_completes() -> None:
    environment = {
        **os.environ,
        "_TLCHECK_COMPLETE": "bash_complete",
        "COMP_WORDS": "tlcheck ver",
        "COMP_CWORD": "1",
    }
    done = run(env=environment)
    assert re.findall(r"plain,(\w+)", done.stdout) == ["verify"]
