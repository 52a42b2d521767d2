"""The soundness log names tests and cases that exist, that run wherever the tests run, and its page is up to date."""

from __future__ import annotations

import ast
import json
import re
from fractions import Fraction
from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from tests.helpers import CERTIFICATES, IEEE, REPOSITORY
from tests.soundness import PAGE, Entry, log, page
from tests.trusted.test_audit import ONE_LEAF, leaves
from tests.truth.small_nets import Net
from tlcheck.readers.onnx import read_model
from tlcheck.readers.vnnlib.read import read_property
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.decide import conclude_unsat
from tlcheck.trusted.guidance import Guidance
from tlcheck.trusted.leaf_pass import check_leaves
from tlcheck.trusted.plan import Plan, Settings, root_bounds
from tlcheck.trusted.verdict import Verdict

KINDS, ENTRIES = log()
NOT_EVERYWHERE = ("needs_faults", "needs_data", "skipif", "skip", "full", "wheel")
"""Marks of tests that not every machine runs."""
GROUPS = ("accept", "reject", "undecided", "malformed", "regressions")


@cache
def marks(file: str) -> dict[str, set[str]]:
    """Tests of a file by name -> names in their decorators and in the module's ``pytestmark``."""
    tree = ast.parse((REPOSITORY / file).read_text())
    module = [n for n in tree.body if isinstance(n, ast.Assign) and "pytestmark" in ast.unparse(n.targets[0])]
    common = names(*module)
    return {
        f.name: common | names(*f.decorator_list)
        for f in tree.body
        if isinstance(f, ast.FunctionDef) and f.name.startswith("test_")
    }


def names(*nodes: ast.AST) -> set[str]:
    found = [n for node in nodes for n in ast.walk(node)]
    return {n.id for n in found if isinstance(n, ast.Name)} | {
        n.attr for n in found if isinstance(n, ast.Attribute)
    }


def held(entry: Entry) -> list[str]:
    """What is wrong with what it is held by."""
    wrong = []
    for held_by in entry.held_by:
        file, _, test = held_by.partition("::")
        if test:
            there = marks(file) if (REPOSITORY / file).is_file() else {}
            if test not in there:
                wrong.append(f"no test {held_by}")
            elif there[test] & set(NOT_EVERYWHERE):
                wrong.append(f"{held_by} does not run everywhere")
        else:
            expected = CERTIFICATES / held_by / "expected.json"
            if held_by.partition("/")[0] not in GROUPS or not expected.is_file():
                wrong.append(f"no case {held_by}")
            elif not json.loads(expected.read_text()).get("note"):
                wrong.append(f"{held_by} says nothing")
    return wrong if entry.held_by else ["held by nothing"]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: f"{e.date}-{e.kind}-{e.held_by[0].split('/')[-1]}")
def test_it_stays_fixed(entry: Entry) -> None:
    assert held(entry) == []
    assert entry.kind in KINDS
    assert re.fullmatch(r"(before |after )?\d+\.\d+\.\d+", entry.version)
    assert all(part.strip() for part in (entry.said, entry.input, entry.fix))


def test_what_is_not_held_is_noticed() -> None:
    entry = ENTRIES[0]
    for wrong in (
        "tests/test_soundness_log.py::test_that_is_not_there",
        "tests/nowhere.py::test_it",
        "regressions/no-such-case",
        "elsewhere/dropped-leaf",
        "tests/faults/test_keys.py::test_role",
    ):
        assert held(Entry(**{**vars(entry), "held_by": (wrong,)}))
    assert held(Entry(**{**vars(entry), "held_by": ()}))


def test_newest_first_and_the_page_is_written() -> None:
    assert all(a.date >= b.date for a, b in pairwise(ENTRIES))
    assert {e.kind for e in ENTRIES} == set(KINDS)
    assert PAGE.read_text() == page(), "python -m tests.soundness"


def test_every_false_certified_of_the_regressions_is_in_the_log() -> None:
    """The README of the regressions names them."""
    text = (CERTIFICATES / "regressions" / "README.md").read_text()
    rows = [line for line in text.splitlines() if re.match(r"\| (a false claim|a file was taken)", line)]
    assert len(rows) == 2
    logged = {h.partition("/")[2] for e in ENTRIES for h in e.held_by}
    for name in re.findall(r"`([a-z0-9-]+\*?)`", " ".join(rows)):
        assert any(x == name or (name.endswith("*") and x.startswith(name[:-1])) for x in logged), name


def test_the_pages_lead_to_it() -> None:
    for name in ("README.md", "CONTRIBUTING.md"):
        text = (REPOSITORY / name).read_text()
        assert "SECURITY.md" in text and "docs/soundness-log.md" in text, name
    assert "docs/soundness-log.md" in (REPOSITORY / "SECURITY.md").read_text()


def test_a_sum_that_starts_from_the_matrix_c() -> None:
    """2^24 + 1 + ... + 1 is 2^24 in float32: no execution may be said to be above 2^24 + 4."""
    net = Net((1, 9))
    ones = np.array([[1]] * 8 + [[0]], np.float32)
    c = net.add("Slice", "x", *(net.constant(np.array([k])) for k in (8, 9, 1)))
    graph = read_model(net.model(net.add("Gemm", "x", net.constant(ones), c), 1))
    point = [1] * 8 + [2**24]
    box = "".join(f"(declare-const X_{i} Real)(assert (= X_{i} {x}))" for i, x in enumerate(point))
    text = f"{box}(declare-const Y_0 Real)(assert (<= Y_0 {2**24 + 4}))"
    claim = UnsatClaim(graph, read_property(text.encode(), n_inputs=9, n_outputs=1))
    said = []
    for deployed in (None, IEEE):
        plan = Plan(claim, Guidance(ONE_LEAF, leaves(1)), Settings("arb", deployed=deployed))
        said.append(conclude_unsat(plan, check_leaves(plan, root_bounds(plan, 0), [0]))[0])
    assert said == [Verdict.CERTIFIED, Verdict.UNPROVEN]
    started = np.float32(2**24)
    for _ in range(8):
        started += np.float32(1)
    assert Fraction(float(started)) <= 2**24 + 4
