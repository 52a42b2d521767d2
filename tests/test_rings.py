"""The rings hold: what a CERTIFIED verdict rests on stays in tlcheck/trusted, and does nothing but compute.

Read from the syntax trees: imports, input and output, assertions, and who can make a verdict.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.helpers import REPOSITORY

PACKAGE = REPOSITORY / "tlcheck"
TRUSTED = PACKAGE / "trusted"
DECIDE = TRUSTED / "decide.py"

THIRD_PARTY = {"numpy", "flint"}
FLINT_IMPORTERS = {"tlcheck/trusted/arith/arb.py", "tlcheck/trusted/arith/packed.py"}

IO_MODULES = {
    "asyncio", "builtins", "configparser", "ctypes", "fileinput", "ftplib", "getpass", "glob", "http", "importlib",
    "io", "logging", "mmap", "multiprocessing", "os", "pathlib", "pickle", "random", "runpy", "secrets", "select",
    "shelve", "shutil", "signal", "socket", "sqlite3", "ssl", "subprocess", "sys", "tempfile", "threading", "time",
    "urllib", "warnings", "webbrowser",
}  # fmt: skip
"""Standard modules with no place in a computation from values to values."""

IO_NAMES = {
    "open",
    "print",
    "input",
    "exec",
    "eval",
    "compile",
    "__import__",
    "breakpoint",
    "globals",
    "exit",
    "quit",
}
IO_ATTRIBUTES = {
    "environ", "fromfile", "genfromtxt", "getenv", "load", "loadtxt", "memmap", "open", "open_memmap", "printoptions",
    "save", "savetxt", "savez", "savez_compressed", "tofile",
}  # fmt: skip
DECIDED = {"CERTIFIED", "REFUTED"}

VERDICT_MAKERS = {"conclude_unsat", "decide_sat", "decide_conditions"}
"""The functions of decide.py that make verdicts."""
DECIDE_LOADS = {"tlcheck.trusted.arith.arb", "tlcheck.trusted.verdict"}
"""What decide.py imports when it is imported: the passes of a claim are loaded when it is decided, and no other's."""
FINDINGS = {
    "LeafOutcome": {"tlcheck/trusted/leaf_pass.py", "tlcheck/checking/journal.py"},
    "WitnessOutcome": {"tlcheck/trusted/witness.py"},
    "Tallied": {"tlcheck/trusted/tally.py"},
    "Tally": {"tlcheck/trusted/tally.py"},
}
"""What verdicts are made of, and the modules that make it: the passes, and the journal, which a verdict that used it names."""


def sources(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


@pytest.fixture(scope="module", autouse=True)
def _forgotten() -> Iterator[None]:
    """The trees are for this module's tests."""
    yield
    tree_of.cache_clear()


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything imported, at any depth; a relative import as its dots and name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "." * node.level + (node.module or "")
            if node.module in ("tlcheck", None):
                yield from ((node.lineno, f"{node.module or '.'}.{alias.name}") for alias in node.names)


def forbidden_import(name: str) -> bool:
    top = name.partition(".")[0]
    if top == "tlcheck":
        return not (name == "tlcheck.trusted" or name.startswith("tlcheck.trusted."))
    return top in IO_MODULES or top not in THIRD_PARTY | sys.stdlib_module_names


def effects(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in IO_NAMES:
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and node.attr in IO_ATTRIBUTES:
            yield node.lineno, f".{node.attr}"
        elif isinstance(node, ast.Assert):
            yield node.lineno, "assert"
        elif isinstance(node, ast.Global):
            yield node.lineno, "global"


def decided(node: ast.AST) -> Iterator[ast.Attribute]:
    """Every ``Verdict.CERTIFIED`` or ``Verdict.REFUTED`` under ``node``, and under whatever name Verdict goes."""
    for child in ast.walk(node):
        if isinstance(child, ast.Attribute) and child.attr in DECIDED and not _is_exit_code(child):
            yield child


def _is_exit_code(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id == "ExitCode"


def verdict_makers(tree: ast.AST, *, may_tabulate: bool) -> Iterator[tuple[int, str]]:
    """Where a decided verdict is made: mentioned other than in a comparison, or built from a value by ``Verdict(...)``.

    ``may_tabulate``: tables over verdicts are allowed too, but not as an argument of any call that builds a claim.
    """
    compared = {
        id(found) for node in ast.walk(tree) if isinstance(node, ast.Compare) for found in decided(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _called(node) in {"ClaimResult", "replace", "__replace__"}:
            yield from ((found.lineno, f"{_called(node)}(...)") for found in decided(node))
        if isinstance(node, ast.Call) and _called(node) == "Verdict":
            yield node.lineno, "Verdict(...)"
        if (
            isinstance(node, ast.Subscript)
            and isinstance(node.value, ast.Name)
            and node.value.id == "Verdict"
        ):
            yield node.lineno, "Verdict[...]"
    if not may_tabulate:
        yield from ((found.lineno, found.attr) for found in decided(tree) if id(found) not in compared)


def _called(node: ast.Call) -> str:
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


@pytest.mark.parametrize("path", sources(TRUSTED), ids=name_of)
def test_trusted_imports_only_what_it_may(path: Path) -> None:
    assert [found for found in imports(tree_of(path)) if forbidden_import(found[1])] == []


@pytest.mark.parametrize("path", sources(TRUSTED), ids=name_of)
def test_trusted_has_no_effects_and_no_assertions(path: Path) -> None:
    assert list(effects(tree_of(path))) == []


@pytest.mark.parametrize("path", sources(PACKAGE), ids=name_of)
def test_flint_is_imported_in_two_places(path: Path) -> None:
    used = any(name.partition(".")[0] == "flint" for _, name in imports(tree_of(path)))
    assert not used or name_of(path) in FLINT_IMPORTERS


@pytest.mark.parametrize("path", [path for path in sources(PACKAGE) if path != DECIDE], ids=name_of)
def test_only_decide_makes_a_decided_verdict(path: Path) -> None:
    may_tabulate = path.is_relative_to(PACKAGE / "report")
    assert list(verdict_makers(tree_of(path), may_tabulate=may_tabulate)) == []


def test_decide_makes_verdicts_in_three_functions() -> None:
    functions = {
        node.name: list(decided(node)) for node in tree_of(DECIDE).body if isinstance(node, ast.FunctionDef)
    }
    assert {name for name, made in functions.items() if made} == VERDICT_MAKERS
    assert sum(len(made) for made in functions.values()) == len(list(decided(tree_of(DECIDE))))
    for name in VERDICT_MAKERS:
        assert [made.attr for made in functions[name]].count("CERTIFIED") == 1


def test_decide_loads_no_passes() -> None:
    loaded = {
        node.module
        for node in tree_of(DECIDE).body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tlcheck")
    }
    assert loaded == DECIDE_LOADS


def findings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Where something that a verdict is made of is built; a leaf that is left open (LeafOutcome(rank, False, ...)) is none."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _called(node) in FINDINGS:
            open_ = (
                len(node.args) > 1 and isinstance(node.args[1], ast.Constant) and node.args[1].value is False
            )
            if not (_called(node) == "LeafOutcome" and open_):
                yield node.lineno, _called(node)


@pytest.mark.parametrize("path", sources(PACKAGE), ids=name_of)
def test_only_the_passes_make_what_verdicts_are_made_of(path: Path) -> None:
    assert [found for found in findings(tree_of(path)) if name_of(path) not in FINDINGS[found[1]]] == []


@pytest.mark.parametrize("path", sources(PACKAGE), ids=name_of)
def test_validation_is_not_assertion(path: Path) -> None:
    assert [node.lineno for node in ast.walk(tree_of(path)) if isinstance(node, ast.Assert)] == []


def test_importing_trusted_loads_nothing_else_of_tlcheck() -> None:
    modules = [
        name_of(path)[: -len(".py")].replace("/", ".").removesuffix(".__init__") for path in sources(TRUSTED)
    ]
    code = f"import sys; {'; '.join(f'import {name}' for name in modules)}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    ours = {name for name in done.stdout.split() if name.startswith("tlcheck.")}
    assert {name for name in ours if not name.startswith("tlcheck.trusted")} == set()


PLANTED = [
    ("import os", "import"),
    ("from tlcheck.readers import bytes", "import"),
    ("from tlcheck import errors", "import"),
    ("from ...readers import x", "import"),
    ("def f():\n import onnx", "import"),
    ("import sys", "import"),
    ("print(1)", "effect"),
    ("f = open", "effect"),
    ("np.load('x')", "effect"),
    ("assert x", "effect"),
    ("r = ClaimResult(verdict=Verdict.CERTIFIED)", "verdict"),
    ("r = replace(r, verdict=V.REFUTED)", "verdict"),
    ("v = Verdict.CERTIFIED", "verdict"),
    ("v = Verdict('CERTIFIED')", "verdict"),
    ("v = Verdict['CERTIFIED']", "verdict"),
    ("v = dict(a=[x.CERTIFIED])", "verdict"),
    ("o = LeafOutcome(rank, True, 1.0)", "finding"),
    ("o = leaf_pass.LeafOutcome(rank, certified=certified, margin=1.0)", "finding"),
    ("t = Tally(1, 1)", "finding"),
]


@pytest.mark.parametrize(("source", "kind"), PLANTED)
def test_these_tests_see_what_they_look_for(source: str, kind: str) -> None:
    tree = ast.parse(source)
    found = {
        "import": [name for _, name in imports(tree) if forbidden_import(name)],
        "effect": list(effects(tree)),
        "verdict": list(verdict_makers(tree, may_tabulate=False)),
        "finding": list(findings(tree)),
    }
    assert found[kind]


@pytest.mark.parametrize(
    "source",
    [
        "import numpy as np",
        "from tlcheck.trusted.arith import arb",
        "from fractions import Fraction",
        "import math",
    ],
)
def test_these_tests_let_through_what_is_allowed(source: str) -> None:
    assert not [name for _, name in imports(ast.parse(source)) if forbidden_import(name)]


def test_a_comparison_is_no_construction() -> None:
    tree = ast.parse("ok = claim.verdict is Verdict.CERTIFIED or claim.verdict in (Verdict.REFUTED,)")
    assert not list(verdict_makers(tree, may_tabulate=False))
