"""The tables of mutation testing are about what is there; the runs themselves are ``make mutants``."""

from __future__ import annotations

import pytest

from tests.helpers import REPOSITORY
from tests.mutants.judged import rows
from tests.mutants.near import NEAR


@pytest.mark.parametrize("module", NEAR)
def test_modules_and_their_near_tests_exist(module: str) -> None:
    assert (REPOSITORY / "tlcheck" / f"{module}.py").exists()
    for test in NEAR[module]:
        file, _, name = test.partition("::")
        text = (REPOSITORY / "tests" / file).read_text(encoding="utf-8")
        assert not name or f"def {name}(" in text


def test_judged_mutants_are_of_lines_that_are_there() -> None:
    for row in rows():
        assert set(row) == {"module", "place", "before", "after", "why"} and row["why"]
        lines = {
            "".join(x.split())
            for x in (REPOSITORY / "tlcheck" / f"{row['module']}.py").read_text(encoding="utf-8").splitlines()
        }
        assert {"".join(x.split()) for x in row["before"].splitlines()} <= lines, row
