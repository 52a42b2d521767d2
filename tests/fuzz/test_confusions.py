"""The confusions of roles and keys: a short run finds nothing, and what should be found is."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fuzz.confusions import made, run, swaps
from tlcheck.readers.bundle import contents, pairs


def test_a_short_run(capsys: pytest.CaptureFixture[str]) -> None:
    counts: Counter[str] = Counter()
    assert (
        run.bundles(1, 150, counts, None) + run.witnesses(1, 150, counts) + run.results(1, 1, counts) == 0
    ), capsys.readouterr().out
    assert counts["bundle: CERTIFIED"] > 20 and counts["counterexample: holds"] > 2
    assert sum(counts[f"bundle: TLC{code}"] for code in (101, 103, 105, 201, 204, 301)) > 60


def test_the_proofs_are_true_and_are_certified(tmp_path: Path) -> None:
    every = made.proofs()
    assert {m.claim["kind"] for m in every} == {"unsat", "sat", "equiv", "differ"}
    for m in every:
        entries = {n: {"sha256": made.sha(d), "bytes": len(d)} for n, d in m.files.items()}
        manifest = {
            "format": "tlcheck.bundle",
            "version": 1,
            "producer": {"name": "t"},
            "files": entries,
            "claims": [m.claim],
        }
        assert made.is_true(m.claim, m.files)
        assert run.judged(made.packed(manifest, m.files), tmp_path) == (["CERTIFIED"], None)


def test_the_truth_of_other_files() -> None:
    """Each proof's claim about another network is true or false as that network is."""
    (high,) = [
        m
        for m in made.proofs()
        if (m.claim["model"], m.claim["property"]) == ("absolute.onnx", "high.vnnlib")
    ]
    assert made.is_true(high.claim, {**high.files, "absolute.onnx": made.network("turned")})
    assert not made.is_true(high.claim, {**high.files, "absolute.onnx": made.network("doubled")})


def _unbound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "compare", lambda *more: None)


def _one_network_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    real = pairs.joined
    monkeypatch.setattr(pairs, "joined", lambda a, b, names, **more: real(a, a, names, **more))


def _any_property(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first property of the bundle for every claim."""
    real = contents.Contents.content

    def content(self: contents.Contents, name: str) -> bytes:
        same = [n for n in sorted(self.manifest.files) if n.endswith(".vnnlib")]
        return real(self, same[0] if name in same else name)

    monkeypatch.setattr(contents.Contents, "content", content)


@pytest.mark.parametrize("plant", [_unbound, _one_network_twice, _any_property])
def test_a_reader_that_confuses_roles_is_found(
    plant: Callable[[pytest.MonkeyPatch], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    made.proofs()
    plant(monkeypatch)
    assert run.bundles(1, 120, Counter(), None) > 0
    assert "DIFFERENCE" in capsys.readouterr().out


def test_every_swap_changes_something() -> None:
    for swap in set(swaps.SWAPS):
        changed = 0
        for k in range(12):
            m = made.proofs()[k % len(made.proofs())]
            files: dict[str, bytes] = dict(m.files)
            manifest: dict[str, Any] = {"format": "f", "version": 1, "producer": {"name": "t"}, "claims": [{**m.claim}], "files": {
                n: {"sha256": made.sha(d), "bytes": len(d)} for n, d in files.items()}}  # fmt: skip
            before = made.packed(manifest, files)
            swap(manifest, files, random.Random(k))
            changed += made.packed(manifest, files) != before
        assert changed > 1, swap.__name__
