"""The page of operators says what the kept cases show, and the reader says of them what it said."""

from __future__ import annotations

import random

from tests.fuzz.operators import kept, oracles
from tests.fuzz.operators.model import build, schemas, versions
from tests.fuzz.operators.page import PAGE, page
from tlcheck.readers.onnx import LOWERINGS

CASES = kept.Cases()


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m tests.fuzz.operators.page"


def test_every_operator_has_kept_cases() -> None:
    """Those that are read have one that an oracle confirms; the others are refused."""
    status = {(row["operator"], row["status"]) for row in CASES.rows}
    for name in schemas():
        if versions(name):
            assert (name, "read" if name in LOWERINGS else "refused") in status, name


def test_cases_are_kept_whole() -> None:
    for row in CASES.rows:
        again = kept.to_row(kept.case_of_row(row))
        assert again == {key: row[key] for key in again}


def test_the_reader_says_what_it_said() -> None:
    """A sample; ``python -m tests.fuzz operators --kept`` asks everybody about all."""
    for row in random.Random(5).sample(CASES.rows, 250):
        found = oracles.exact(build(kept.case_of_row(row)))
        assert (found.status == "refused") == (row["status"] == "refused"), row
        assert found.detail == row["line"] or row["status"] != "refused", (
            "if the words are meant: python -m tests.fuzz operators --kept"
        )
