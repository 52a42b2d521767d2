"""The kernels' checks under sanitizers: of the C compiler on the host, compute-sanitizer's tools on a device.

A sanitizer that finds nothing may not have looked: each is also given a planted bug, which it must report. The checks run in
a process of their own, ``python -m tlcheck.kernels.sanitize``, since AddressSanitizer must be loaded before everything else.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tlcheck.errors import InvalidInput
from tlcheck.kernels.build import Library, build, compiler
from tlcheck.kernels.calls import Calls
from tlcheck.kernels.check import check, sizes_agree
from tlcheck.kernels.native import Native

HOST: Final = (
    "-O1",
    "-g",
    "-fno-omit-frame-pointer",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
)
ENVIRONMENT: Final = {
    "ASAN_OPTIONS": "detect_leaks=0:exitcode=99",
    "UBSAN_OPTIONS": "exitcode=99:print_stacktrace=0",
}
PLANTED: Final = {
    "address": ("-DOVERRUN=1", "heap-buffer-overflow"),
    "undefined": ("-DUNCHECKED", "signed integer overflow"),
}
"""Of each sanitizer: the option that plants a bug, and what must be said of it."""
TOOLS: Final = ("memcheck", "racecheck", "initcheck", "synccheck")
FOUND: Final = 99
"""A sanitizer's exit code where it reports."""


@dataclass(frozen=True)
class Run:
    """One run of the checks: ``planted`` is what had to be reported, or "" (nothing); ``said`` what was."""

    tool: str
    planted: str
    passed: bool
    said: str


def on_the_host(entries: int) -> Iterator[Run]:
    """Raises InvalidInput where the compiler has no sanitizers."""
    runtime = _runtime()
    environment = {**os.environ, **ENVIRONMENT, "LD_PRELOAD": runtime}
    for tool, planted in (("address, undefined", None), *PLANTED.items()):
        extra, words = planted or ("", "")
        library = build(*HOST, *([extra] if extra else []))
        with tempfile.TemporaryDirectory(prefix="tlcheck-kernels-") as scratch:
            path = Path(scratch) / "kernels.so"
            path.write_bytes(library.code)
            command = [sys.executable, "-m", "tlcheck.kernels.sanitize", str(path), str(entries)]
            yield _judged(
                tool,
                words,
                subprocess.run(command, env=environment, capture_output=True, text=True, check=False),
            )


def _runtime() -> str:
    """AddressSanitizer's library, as the compiler knows it."""
    for name in ("libasan.so", "libclang_rt.asan-x86_64.so", "libclang_rt.asan-aarch64.so"):
        done = subprocess.run(
            [compiler(), f"-print-file-name={name}"], capture_output=True, text=True, check=False
        )
        if os.path.isabs(path := done.stdout.strip()):
            return os.path.realpath(path)
    raise InvalidInput("TLC506", "the compiler has no AddressSanitizer", field=compiler())


def on_a_device(entries: int) -> Iterator[Run]:
    """compute-sanitizer's tools. Raises InvalidInput: no device, or no compute-sanitizer (package nvidia-cuda-sanitizer-api)."""
    from tlcheck.kernels.device import Device

    Device()
    program = shutil.which("compute-sanitizer") or _packaged()
    for tool, extra, words in (
        *((tool, [], "") for tool in TOOLS),
        ("memcheck", ["-DOVERRUN=1"], "Invalid __global__ write"),
    ):
        command = [
            program,
            "--tool",
            tool,
            "--error-exitcode",
            str(FOUND),
            sys.executable,
            "-m",
            "tlcheck.kernels.sanitize",
        ]
        done = subprocess.run(
            [*command, "device", str(entries), *extra], capture_output=True, text=True, check=False
        )
        yield _judged(tool, words, done)


def _packaged() -> str:
    """compute-sanitizer as its wheel has it."""
    for folder in map(Path, sys.path):
        for path in folder.glob("nvidia/*/bin/compute-sanitizer"):
            return str(path)
    raise InvalidInput("TLC504", "compute-sanitizer is not installed: pip install nvidia-cuda-sanitizer-api")


def _judged(tool: str, planted: str, done: subprocess.CompletedProcess[str]) -> Run:
    """Clean means that it ended well; a planted bug must be named."""
    text = done.stdout + done.stderr
    words = ("ERROR", "runtime error", "Invalid", "Error")
    lines = [
        line for line in text.splitlines() if (planted or "ERROR") in line or any(w in line for w in words)
    ]
    named = next((line for line in lines if planted and planted in line), lines[0] if lines else "")
    passed = done.returncode != 0 and planted in text if planted else done.returncode == 0
    return Run(tool, planted, passed, named.strip()[:160] or f"exit {done.returncode}")


def main(arguments: Sequence[str]) -> int:
    """``FILE ENTRIES``: the checks with this library. ``device ENTRIES [OPTION...]``: on the first GPU. 0 when all hold."""
    where, entries, *extra = arguments
    calls: Calls
    if where == "device":
        from tlcheck.kernels.device import Device

        calls = Device(0, *extra)
    else:
        calls = native = Native(Library(b"", "", (), ""))
        native.__dict__["loaded"] = ctypes.CDLL(where)  # where it lies, so that a report can name lines
        if not sizes_agree(native.loaded):
            return 1
    return int(not all(count.passed for count in check(calls, int(entries))))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
