"""A stand-in for tlcheck.verify, so that the wiring around it is tested apart from any check."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.report import samples
from tlcheck.errors import InvalidInput
from tlcheck.options import Options, Progress
from tlcheck.readers.formats.detect import Survey
from tlcheck.report.record import FileResult


class FakeVerify(ModuleType):
    """Certificates are files whose content says what happens; ``seen`` keeps what was asked for."""

    def __init__(self) -> None:
        super().__init__("tlcheck.verify")
        self.seen: list[tuple[Path, Options]] = []
        self.verify_path: Callable[..., FileResult] = self._verify_path

    def survey(self, path: Path) -> Survey:
        if not path.exists():
            raise InvalidInput("TLC402", "no such file")
        return Survey(tuple(sorted(path.glob("*.tlcert"))) if path.is_dir() else (path,))

    def _verify_path(
        self, path: Path, options: Options, progress: Callable[[Progress], None] | None
    ) -> FileResult:
        self.seen.append((path, options))
        outcome = path.read_text()
        actions: dict[str, Any] = {
            "invalid": InvalidInput("TLC101", "malformed"),
            "bug": ZeroDivisionError("oops"),
            "exit": SystemExit(0),
            "interrupt": KeyboardInterrupt(),
        }
        if outcome in actions:
            raise actions[outcome]
        claims = {
            "certified": (samples.CERTIFIED,),
            "unproven": (samples.UNPROVEN,),
            "refuted": (samples.REFUTED,),
            "nothing": (),
        }
        return FileResult(str(path), "tlcert", claims[outcome])


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeVerify:
    module = FakeVerify()
    monkeypatch.setitem(sys.modules, "tlcheck.verify", module)
    return module


@pytest.fixture
def certificate(tmp_path: Path) -> Callable[[str], str]:
    """Writes a certificate with that outcome; its path."""

    def write(outcome: str) -> str:
        path = tmp_path / f"{outcome}.tlcert"
        path.write_text(outcome)
        return str(path)

    return write
