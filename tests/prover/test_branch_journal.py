"""What a search's journal may hold: rows that do not fit the claim are passed over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.prover.test_prover import claim
from tlcheck.checking.journal import Lines, search_key
from tlcheck.prover.branch_journal import read

GOOD: list[Any] = ["inputs", 0, [[0, 0, 1, "0x0p+0"]], [[[0, "0x1p+0"]], {}, []], "0x1p+0"]
MISFITS: dict[str, list[Any]] = {
    "a multiplier of no node": [*GOOD[:3], [GOOD[3][0], {}, [[999, 0, 1, "0x0p+0", "0x1p+0"]]], GOOD[4]],
    "a multiplier of a huge node": [*GOOD[:3], [GOOD[3][0], {}, [[10**30, 0, 1, "0x0p+0", "0x1p+0"]]], GOOD[4]],
    "a multiplier of no value": [*GOOD[:3], [GOOD[3][0], {}, [[0, -7, 1, "0x0p+0", "0x1p+0"]]], GOOD[4]],
    "a weight of no constraint": [*GOOD[:3], [[[7, "0x1p+0"]], {}, []], GOOD[4]],
    "closed with an infinite bound": [*GOOD[:4], "-inf"],
    "closed with no bound": [*GOOD[:4], "nan"],
    "a path of no node": ["inputs", 0, [[10**30, 0, 1, "0x0p+0"]], *GOOD[3:]],
    "no disjunct": ["inputs", 9, *GOOD[2:]],
}  # fmt: skip


@pytest.mark.parametrize("case", MISFITS)
def test_rows_that_do_not_fit_are_passed_over(case: str, tmp_path: Path) -> None:
    asked = claim(0.8)
    journal = Lines.at(tmp_path / "j", search_key(asked, "real"))
    journal.append("branches", [MISFITS[case], GOOD])
    [(kind, leaf)] = read(journal, asked)
    assert kind == "inputs" and leaf.evidence is not None and leaf.bound == 1.0


def test_of_closed_leaves_the_newest_come_first_and_open_ones_last(tmp_path: Path) -> None:
    """Where a tree began anew, the new one is taken up."""
    asked = claim(0.8)
    journal = Lines.at(tmp_path / "j", search_key(asked, "real"))
    newer = [*GOOD[:4], "0x1p+1"]
    journal.append("branches", [[*GOOD[:3], None, "0x0p+0"], GOOD, newer])
    assert [leaf.bound for _, leaf in read(journal, asked)] == [2.0, 1.0, 0.0]
