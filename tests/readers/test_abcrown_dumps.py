"""Real proofs: every alpha,beta-CROWN dump is CERTIFIED, and its converted bundle verifies identically."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.helpers import DATA, needs_data
from tlcheck.options import Options
from tlcheck.report.result import ClaimResult
from tlcheck.trusted.verdict import Verdict
from tlcheck.verify import verify_path
from tlcheck.writers.convert import convert

DUMPS = sorted(p.parent for p in (DATA / "abcrown").glob("*/*/certificate.json")) if DATA.is_dir() else []
LARGE = ("sri_resnet_a", "net_1_1_prop_3")
SMALL = [
    d
    for d in DUMPS
    if d.parent.name in ("safenlp", "cora", "dist_shift", "collins_rul_cnn") or "256x2" in d.name
]


def name(folder: Path) -> str:
    return f"{folder.parent.name}/{folder.name}"


def claim(folder: Path, options: Options) -> ClaimResult:
    (result,) = verify_path(folder, options).claims
    return result


@needs_data
def test_all_dumps_are_here() -> None:
    assert len(DUMPS) == 34


@needs_data
@pytest.mark.parametrize("folder", DUMPS, ids=name)
def test_every_dump_is_certified(folder: Path) -> None:
    result = claim(folder, Options())
    assert result.verdict is Verdict.CERTIFIED, result.reason
    assert result.leaves_certified == result.leaves_total > 0
    assert result.arithmetic["deciding"] == "arb"
    rigorous, claimed = result.bound.rigorous, result.bound.claimed
    assert rigorous is not None and claimed is not None and float(rigorous.decimal) > 0


@needs_data
@pytest.mark.parametrize("folder", SMALL, ids=name)
@pytest.mark.parametrize("arith", ["arb", "ball64"])
def test_other_arithmetics_agree(folder: Path, arith: str) -> None:
    result = claim(folder, Options(arith=arith))
    assert result.verdict is Verdict.CERTIFIED, result.reason
    auto = claim(folder, Options())
    assert result.bound.rigorous is not None and auto.bound.rigorous is not None
    assert float(result.bound.rigorous.decimal) == pytest.approx(float(auto.bound.rigorous.decimal), rel=1e-6)


@needs_data
@pytest.mark.parametrize("folder", [d for d in DUMPS if d.parent.name not in LARGE][::5], ids=name)
def test_a_converted_proof_verifies_identically(folder: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "x.tlcert"
    convert(folder, bundle, Options())
    before, after = claim(folder, Options()), claim(bundle, Options())
    assert (after.verdict, after.bound) == (before.verdict, before.bound)
    assert (after.leaves_total, after.leaves_certified) == (before.leaves_total, before.leaves_certified)


@needs_data
def test_processes_and_chunks_do_not_change_the_outcome() -> None:
    folder = DATA / "abcrown" / "acasxu" / "net_1_1_prop_1"
    one, two = claim(folder, Options(jobs=1)), claim(folder, Options(jobs=2))
    assert replace(one, seconds=0.0, details={}) == replace(two, seconds=0.0, details={})
