"""The oracles' own defects: where one of them differs from the standard's text, and by which sentence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.fuzz.operators.model import Case


@dataclass(frozen=True)
class Defect:
    """``oracle`` (a name of ``oracles.RUNNERS`` or "inference") is wrong about cases that ``applies`` to."""

    operator: str
    oracle: str
    applies: Callable[[Case], bool]
    reason: str


DEFECTS: list[Defect] = []


def reason(case: Case, oracle: str) -> str | None:
    """Why the oracle's difference counts for nothing, if it does."""
    for defect in DEFECTS:
        if defect.operator == case.operator and oracle.startswith(defect.oracle) and defect.applies(case):
            return defect.reason
    return None
