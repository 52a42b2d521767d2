"""Artifacts about networks for the tests: written to a folder, checked, and their conditions counted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.report.result import ClaimResult
from tlcheck.verify import verify_path

ONE_JOB = Options(jobs=1)


def checked(folder: Path, artifact: Any, options: Options = ONE_JOB, **files: Any) -> tuple[ClaimResult, ...]:
    """The claims of an artifact with its files beside it; ``net_json`` is written as net.json."""
    for name, content in {"artifact_json": artifact, **files}.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / name.replace("_json", ".json").replace("_vnnlib", ".vnnlib")).write_text(
            text, encoding="utf-8"
        )
    return verify_path(folder / "artifact.json", options).claims


def refused(folder: Path, artifact: Any, options: Options = ONE_JOB, **files: Any) -> str:
    """The code with which it is refused."""
    with pytest.raises(InvalidInput) as caught:
        checked(folder, artifact, options, **files)
    return caught.value.code


def verdicts(claims: tuple[ClaimResult, ...]) -> list[str]:
    return [c.verdict.name for c in claims]


def counts(claim: ClaimResult, condition: str) -> tuple[int, int, int]:
    """(checked, proved, refuted)"""
    found = claim.details["conditions"]
    assert isinstance(found, Mapping)
    c = found[condition]
    return c["checked"], c["proved"], c["refuted"]


def failing(claim: ClaimResult) -> set[str]:
    failures = claim.details["failures"]
    assert isinstance(failures, list)
    return {f["condition"] for f in failures}


def least(claim: ClaimResult) -> float:
    assert claim.bound is not None and claim.bound.rigorous is not None
    return float.fromhex(claim.bound.rigorous.hex)
