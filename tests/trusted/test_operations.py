"""Operations carry their rules: what may import what, so that a network brings the rules of its own operations and no others."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import REPOSITORY
from tests.operations import operations
from tlcheck.trusted.ops.base import AffineOperation, Boxed, Relaxed, Source

TRUSTED = REPOSITORY / "tlcheck" / "trusted"
PASSES = (
    "network",
    "intervals",
    "linear_bounds",
    "evaluate",
    "bounds",
    "rounding",
    "plan",
    "leaf_pass",
    "witness",
)
KINDS = {"base", "elementwise", "lines", "ranges", "structure", "activation"}
"""What passes know of operations: their kinds, sources, and ReLU, of whose operand only the sign may be worth proving."""


def imported(path: Path) -> set[str]:
    """Modules of the ring that the file imports, without the ring's name."""
    tree = ast.parse(path.read_text())
    names = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return {name.removeprefix("tlcheck.trusted.") for name in names if name.startswith("tlcheck.")}


@pytest.mark.parametrize("path", sorted((TRUSTED / "ops").glob("*.py")), ids=lambda path: path.stem)
def test_operations_import_arithmetic_and_each_other_only(path: Path) -> None:
    assert {name.partition(".")[0] for name in imported(path)} <= {"arith", "ops"}


@pytest.mark.parametrize("name", PASSES)
def test_passes_know_operations_by_their_kinds(name: str) -> None:
    found = {
        module.partition(".")[2] for module in imported(TRUSTED / f"{name}.py") if module.startswith("ops.")
    }
    assert found <= KINDS


def test_every_operation_is_of_one_kind() -> None:
    for op in operations():
        assert sum(issubclass(op, kind) for kind in (Source, AffineOperation, Relaxed, Boxed)) == 1, op


def test_a_relu_network_loads_no_other_functions() -> None:
    code = (
        "import sys; from tlcheck.trusted import plan, leaf_pass, decide; from tlcheck.trusted.ops import affine, activation; "
        "print(*sorted(n.rpartition('.')[2] for n in sys.modules if n.startswith('tlcheck.trusted.ops.')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    assert set(done.stdout.split()) == KINDS | {"affine"}
