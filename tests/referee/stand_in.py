"""An instance in a folder, the competition's scripts run on it, and a stand-in for tlcheck that answers as told."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.clocks import GUARD
from tests.helpers import REPOSITORY

SCRIPTS = REPOSITORY / "vnncomp"
LIMIT = f"{GUARD:g}"
"""Seconds that a run of the scripts is given: one that needs them hangs."""

STAND_IN = """#!/bin/sh
printf '%s\\0' "$$" "$@" > "{log}"
cat "{told}"
[ {sleep} = 0 ] || exec sleep {sleep} 2>/dev/null
exit {status}
"""

VERSION_1 = "(declare-const X_0 Real)(declare-const X_1 Real)(declare-const Y_0 Real)(assert (<= X_0 1.0))"


class Stand:
    """A folder (with a space in its name) for an instance, and a stand-in for tlcheck."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "an instance"
        self.folder.mkdir()
        self.model, self.query = self.folder / "my net.onnx", self.folder / "prop 1.vnnlib"
        self.model.write_bytes(b"a model")
        self.query.write_text(VERSION_1)
        self.results = self.folder / "out put.txt"
        self.environment = {"PYTHON": sys.executable, "TLCHECK_VENV": str(folder / "none")}

    def tell(self, told: str, status: int = 0, sleep: int = 0) -> None:
        path, answer = self.folder / "stand-in", self.folder / "told"
        answer.write_text(told)
        log = self.folder / "log"
        path.write_text(STAND_IN.format(log=log, told=answer, status=status, sleep=sleep))
        path.chmod(0o755)
        self.environment["TLCHECK"] = str(path)

    def log(self) -> list[str]:
        """The stand-in's process and arguments."""
        return (self.folder / "log").read_text().split("\0")[:-1]

    def arguments(self) -> list[str]:
        return self.log()[1:]

    def command(self, onnx: str | None = None, timeout: str = LIMIT, version: str = "v1") -> list[str]:
        script, network = str(SCRIPTS / "run_instance.sh"), onnx or str(self.model)
        return [script, version, "acasxu_2023", network, str(self.query), str(self.results), timeout]

    def run(self, onnx: str | None = None, timeout: str = LIMIT, version: str = "v1") -> str:
        """The results file."""
        done = script(self.command(onnx, timeout, version), self.environment)
        assert done.returncode == 0, done.stderr
        assert done.stdout == ""
        left = {p.name for p in self.folder.iterdir() if p.name.startswith(".")}
        assert left == set()
        return self.results.read_text()


def script(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    known = {k: v for k, v in os.environ.items() if not k.startswith("TLCHECK")}
    return subprocess.run(
        command, env={**known, **environment}, capture_output=True, text=True, timeout=2 * GUARD, check=False
    )


def contents(bundle: Path) -> dict[str, bytes]:
    """Of a bundle: its model and its property."""
    if bundle.is_dir():
        files = {p.name: p.read_bytes() for p in bundle.iterdir()}
    else:
        with zipfile.ZipFile(bundle) as archive:
            files = {n: archive.read(n) for n in archive.namelist()}
    return {name.split(".")[0]: data for name, data in files.items()}


def place(stand: Stand, bundle: Path) -> None:
    files = contents(bundle)
    stand.model.write_bytes(files["model"])
    stand.query.write_bytes(files["property"])
