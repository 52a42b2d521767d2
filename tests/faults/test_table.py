"""The table of faults is the list of tests: each folder of it, and each row, has a ``test_<folder>`` in this folder.

The row without a folder is about SARIF: ``test_sarif``.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.helpers import DATA

SHARED = DATA.parent / "faults"
HERE = Path(__file__).parent
WITHOUT_FOLDER = {"SARIF": "sarif", "sarif": "sarif"}
"""What names a row that has no folder, and its test."""


def rows(readme: str) -> list[str]:
    """The names in the table's first column: of folders, or what the row is about where it has none."""
    lines = [line for line in readme.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    found = []
    for row in cells[2:]:  # after the heading and its rule
        folder = re.fullmatch(r"`([^`/]+)/?`", row[0])
        about = " ".join(row)
        name = folder[1] if folder else next((n for w, n in WITHOUT_FOLDER.items() if w in about), "")
        if not name:
            raise ValueError(f"a row without a folder that no test is known for: {row}")
        found.append(name)
    return found


def known_tests(folder: Path) -> set[str]:
    """Test functions and methods in the folder's modules, without ``test_``."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("test_*.py"))]
    functions = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return {f.name.removeprefix("test_") for f in functions if f.name.startswith("test_") and not stub(f)}


def stub(function: ast.FunctionDef) -> bool:
    """It checks nothing: a docstring, ``pass``, ``...`` or a skip is all there is, or it is skipped for good."""
    marks = [ast.unparse(mark) for mark in function.decorator_list]
    if any(re.match(r"pytest\.mark\.(skip|xfail)\b", mark) for mark in marks):
        return True
    rest = [s for s in function.body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
    said = [ast.unparse(s) for s in rest if not isinstance(s, ast.Pass)]
    return all(re.match(r"pytest\.(skip|xfail)\(", s) for s in said)


def missing(shared: Path, tests: Path) -> list[str]:
    """Folders and rows without a test; and folders without a row, for the table is what must come out."""
    named = rows((shared / "README.md").read_text(encoding="utf-8"))
    folders = {path.name for path in shared.iterdir() if path.is_dir() and not path.name.startswith(".")}
    known = known_tests(tests)
    return [
        *(f"no test_{name}" for name in sorted({*named, *folders} - known)),
        *(f"no row for {name}" for name in sorted(folders - set(named))),
        *(f"no folder {name}" for name in sorted(set(named) - folders - set(WITHOUT_FOLDER.values()))),
    ]


@pytest.mark.skipif(not SHARED.is_dir(), reason="shared faults not present")
def test_every_fault_of_the_table_has_a_test() -> None:
    assert missing(SHARED, HERE) == []


# The scan itself.

TABLE = """# Faults

| folder | try | 0.1.0 says | right |
| --- | --- | --- | --- |
| `one` | `verify one/a \\| less` | CERTIFIED | INVALID |
| `two` | x | y | z |
| (no file) | `verify --format sarif` of anything | a | b |
"""


def made(folder: Path, table: str, tests: str, *folders: str) -> list[str]:
    for name in ("shared", "tests"):
        (folder / name).mkdir()
    for name in folders:
        (folder / "shared" / name).mkdir()
    (folder / "shared" / "README.md").write_text(table)
    (folder / "tests" / "test_x.py").write_text(tests)
    return missing(folder / "shared", folder / "tests")


ALL = "def test_one():\n    assert f()\nclass TestX:\n    def test_two(self):\n        g()\ndef test_sarif(a):\n    '''It.'''\n    check(a)\n"


def test_a_whole_table_lacks_nothing(tmp_path: Path) -> None:
    assert made(tmp_path, TABLE, ALL, "one", "two") == []


@pytest.mark.parametrize(
    ("tests", "folders", "lacks"),
    [
        (ALL.replace("test_one", "test_ones"), ("one", "two"), ["no test_one"]),
        (ALL.replace("test_sarif", "sarif"), ("one", "two"), ["no test_sarif"]),
        (ALL.replace("        g()", "        pass"), ("one", "two"), ["no test_two"]),
        (ALL.replace("        g()", "        '''Later.'''\n        ..."), ("one", "two"), ["no test_two"]),
        (ALL.replace("    assert f()", "    pytest.skip('later')"), ("one", "two"), ["no test_one"]),
        (f"@pytest.mark.skip(reason='later')\n{ALL}", ("one", "two"), ["no test_one"]),
        (f"@pytest.mark.xfail\n{ALL}", ("one", "two"), ["no test_one"]),
        (f"@needs_faults\n@pytest.mark.skipif(not X, reason='no X')\n{ALL}", ("one", "two"), []),
        (ALL, ("one", "two", "three"), ["no test_three", "no row for three"]),
        (ALL, ("one",), ["no folder two"]),
    ],
)
def test_what_is_missing_is_named(
    tests: str, folders: tuple[str, ...], lacks: list[str], tmp_path: Path
) -> None:
    assert made(tmp_path, TABLE, tests, *folders) == lacks


def test_a_row_that_is_not_understood_is_not_passed_over(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="without a folder"):
        made(tmp_path, TABLE + "| (later) | a | b | c |\n", ALL, "one", "two")
