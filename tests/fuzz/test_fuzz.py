"""The fuzzer itself: a short run finds nothing in the readers, and it does find what is broken."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.clocks import GUARD
from tests.fuzz import __main__ as fuzzer
from tlcheck.errors import InvalidInput


def test_a_short_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzzer, "SLOW", GUARD)  # what is slow on a busy machine is no finding
    executions, crashes = fuzzer.fuzz(GUARD, 20, tmp_path / "out", 400)
    assert crashes == {}
    assert executions.total() == 400
    assert not (tmp_path / "out").exists()


def test_a_broken_reader_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def read(data: bytes, folder: Path) -> None:
        if b'"kind"' not in data:
            raise KeyError("kind")
        raise InvalidInput("TLC101", "as it should be") if len(data) % 2 else IndexError("odd")

    def valid(data: bytes, folder: Path) -> None:
        if data != seed:
            read(data, folder)

    seed = b'{"kind": [1, 2, 3], "more": {"x": 0.5}}'
    monkeypatch.setattr(fuzzer, "targets", lambda: [fuzzer.Target("broken", "json", [seed], valid)])
    monkeypatch.setattr(fuzzer, "SLOW", GUARD)
    limits = ["--seconds", f"{GUARD:g}", "--executions", "300"]
    assert fuzzer.main([*limits, "--seed", "1", "--out", str(tmp_path)]) == 1
    assert "2 kinds of crash" in capsys.readouterr().out
    assert len(list(tmp_path.iterdir())) == 2


def test_a_hang_is_a_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzzer, "SLOW", 0.05)

    def forever(data: bytes, folder: Path) -> None:
        while True:
            pass

    target = fuzzer.Target("slow", "json", [b"{}"], forever)
    assert isinstance(fuzzer.crash_of(target, b"{}", tmp_path), fuzzer.TooSlow)


@pytest.mark.parametrize("target", fuzzer.targets(), ids=lambda target: target.name)
def test_mutants_differ_and_some_are_read(target: fuzzer.Target, tmp_path: Path) -> None:
    """Mutation is neither nothing nor noise: some mutants are refused and some are not."""
    rng = random.Random(3)
    read = refused = 0
    for _ in range(150):
        data = fuzzer.mutated(target.seeds[0], rng, target.kind)
        try:
            target.run(data, tmp_path)
            read += data != target.seeds[0]
        except InvalidInput:
            refused += 1
    assert refused > 0
    assert read > 0 or target.name == "bundle zip"
