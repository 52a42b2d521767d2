"""How much must be read to trust a verdict, by kind of claim: the tables are current, and growth is a decision."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.rings import (
    FIRST,
    READERS,
    ROWS,
    TABLES,
    audit_table,
    onnx_reader,
    pages,
    refreshed,
    roots,
    sizes,
)
from tlcheck.report.rests_on import RING_0, closure

pytestmark = pytest.mark.xdist_group("rings")


@pytest.mark.parametrize("name", ROWS)
def test_a_claim_needs_no_more_than_its_budget(name: str) -> None:
    _, ring_0, ring_1 = sizes(closure(roots(name)))
    most_0, most_1 = ROWS[name].budget
    assert ring_0 <= most_0 and ring_1 <= most_1, f"ring 0: {ring_0}, ring 1: {ring_1}"


def test_the_onnx_reader_needs_no_more_than_its_budgets() -> None:
    found = [sizes(modules)[2] for modules in onnx_reader()]
    assert all(lines <= most for lines, most in zip(found, READERS.values(), strict=True)), found


def test_budgets_are_those_that_were_decided() -> None:
    """Issue 12: these figures are promised."""
    promised = {"spline": 800, "camera box": 800, "stability": 2200, "PINN over a domain": 2700}
    assert {name: ROWS[name].budget[0] for name in promised} == promised
    assert ROWS[FIRST].budget[0] == 3000


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_overview_are_current(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert refreshed(text) == text, "run `make readme`"


def test_the_ring_has_its_table() -> None:
    assert any("<!-- generated: rings -->" in page.read_text(encoding="utf-8") for page in pages())
    assert set(TABLES) == {"rings", "audit"}


def test_the_audit_lists_every_file_once_after_what_it_imports() -> None:
    names = [line.split("`")[1] for line in audit_table().splitlines() if line.startswith("| `")]
    assert len(names) == len(set(names)) == sizes(closure(roots(FIRST)))[0]
    first = RING_0.replace(".", "/")
    assert names[0].startswith(first) and names.index(f"{first}claim.py") < names.index(f"{first}decide.py")
