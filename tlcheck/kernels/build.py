"""The kernels' sources, and the library that the C compiler at hand makes of them.

Nothing is kept: every process that asks builds anew (about a second), so that what runs is what these sources say. A library
is its bytes, which go where the plan goes, into keys too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from tlcheck.errors import InvalidInput

PACKAGED: Final = Path(__file__).parent / "source"
"""Where the wheel has the repository's folder ``kernels``."""
COMPILERS: Final = ("cc", "gcc", "clang")
STRICT: Final = (
    "-std=c11", "-O3", "-frounding-math", "-ffp-contract=off", "-fno-fast-math", "-fno-math-errno", "-fvisibility=hidden",
)  # fmt: skip
"""Arithmetic as written, in the rounding mode that is set when it runs."""
MACHINES: Final = (("-march=native",), ("-mcpu=native",), ())
"""Options for the machine at hand; the first that the compiler takes."""


@dataclass(frozen=True)
class Library:
    """A shared library: ``code`` its bytes, ``compiler`` and ``options`` what made it, ``sources`` the SHA-256 of its sources."""

    code: bytes
    compiler: str
    options: tuple[str, ...]
    sources: str


def folder() -> Path:
    """Where the sources are: in the package, or in the repository that this is an editable install of."""
    return PACKAGED if PACKAGED.is_dir() else Path(__file__).parents[2] / "kernels"


@cache
def sources_sha256() -> str:
    """Of every source's name and content."""
    digest = sha256()
    for path in sorted(p for p in folder().iterdir() if p.suffix in (".h", ".c", ".cu")):
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def compiler() -> str:
    """The C compiler: what CC says, else the first that is there. Raises InvalidInput."""
    asked = os.environ.get("CC", "").split()
    for name in asked[:1] or COMPILERS:
        if found := shutil.which(name):
            return found
    raise InvalidInput(
        "TLC506",
        "no C compiler to build the kernels with: install gcc or clang (or set CC), or use another --arith",
        expected=" or ".join(COMPILERS),
        got=" ".join(asked),
    )


def build(*extra: str, machines: Sequence[tuple[str, ...]] = MACHINES) -> Library:
    """The library, built with ``extra`` options besides. Raises InvalidInput."""
    with tempfile.TemporaryDirectory(prefix="tlcheck-kernels-") as scratch:
        said = ""
        for options in (STRICT + machine + extra for machine in machines):
            output = Path(scratch) / "kernels.so"
            command = [
                compiler(),
                *options,
                "-fPIC",
                "-shared",
                "-o",
                str(output),
                str(folder() / "stub.c"),
                "-lm",
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                return Library(output.read_bytes(), version(), options, sources_sha256())
            said = said or next(iter(errors(done.stderr)), f"exit {done.returncode}")
    raise InvalidInput(
        "TLC506",
        "the kernels do not compile here: set CC, or use another --arith",
        field=compiler(),
        got=said,
    )


def errors(text: str) -> Iterator[str]:
    return (line for line in text.splitlines() if "error" in line)


@cache
def version() -> str:
    """The compiler's own first line about itself."""
    done = subprocess.run([compiler(), "--version"], capture_output=True, text=True, check=False)
    return (done.stdout.splitlines() or [compiler()])[0]
