"""Pages about the code name files that are there, and the ring's own page names every module of it."""

from __future__ import annotations

import re

import pytest

from tests.helpers import REPOSITORY

RING = REPOSITORY / "tlcheck" / "trusted"
PAGES = (
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "README.md",
    "tlcheck/trusted/README.md",
    "certificates/producers/README.md",
    "tlcheck/readers/onnx/OPERATORS.md",
)
FILE = re.compile(r"`([\w/]+\.(?:py|md|toml))`")
FROM = (REPOSITORY, REPOSITORY / "tlcheck", RING)
"""What paths on pages start from."""


def named(text: str) -> set[str]:
    """Paths with a folder, but for NAME's, which are to be made."""
    return {path for path in FILE.findall(text) if "/" in path and "NAME" not in path}


def modules(text: str) -> set[str]:
    """The files of the ring's table of modules; a name without a folder lies where the one before it does."""
    rows = text.partition("## The modules")[2].partition("## ")[0].splitlines()
    found, room = set(), ""
    for row in rows:
        room = ""
        for path in FILE.findall(row.removeprefix("|").partition("|")[0]):
            folder, _, name = path.rpartition("/")
            room = folder or room
            found.add(f"{room}/{name}".removeprefix("/"))
    return found


@pytest.mark.parametrize("page", PAGES)
def test_files_that_pages_name_are_there(page: str) -> None:
    beside = (REPOSITORY / page).parent
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    assert {
        path for path in named(text) if not any((start / path).exists() for start in (beside, *FROM))
    } == set()


def test_the_rings_table_has_every_module() -> None:
    there = {path.relative_to(RING).as_posix() for path in RING.rglob("*.py") if path.name != "__init__.py"}
    assert modules((RING / "README.md").read_text(encoding="utf-8")) == there


def test_what_is_not_there_is_seen() -> None:
    text = "## The modules\n| file | guarantee |\n| `arith/box.py`, `gone.py` | boxes |\n## End `trusted/gone.py`"
    assert modules(text) == {"arith/box.py", "arith/gone.py"}
    assert not any((start / path).exists() for start in FROM for path in named(text) - {"arith/box.py"})
