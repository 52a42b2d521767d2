"""What a claim says that it asks for is what a fresh process loads to decide it: no module of tlcheck more, and none less."""

from __future__ import annotations

import ast
import copyreg
import pickle
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import REPOSITORY
from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.report.claim_roots import IMAGES
from tlcheck.trusted.calculus.expression import Variable
from tlcheck.trusted.calculus.layers import Layer, ScalarNetwork
from tlcheck.trusted.conditions import ConditionClaim
from tlcheck.trusted.graph import Graph, Node
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.discrete import Compare, Select
from tlcheck.trusted.ops.structure import Input
from tlcheck.trusted.science.margins import Margins
from tlcheck.trusted.science.piecewise import Distance, Piece
from tlcheck.trusted.science.pinn_domain import IntegralClaim, SupremumClaim
from tlcheck.trusted.science.quantities import Quantity
from tlcheck.trusted.science.solution_error import SolutionErrorClaim
from tlcheck.trusted.science.spline import SplineClaim, Wants
from tlcheck.trusted.taylor.network_models import TaylorNetwork
from tlcheck.verify import load

DECIDE = ("tlcheck.trusted.decide", "tlcheck.trusted.tally")
FRESH = """
import pickle, sys
claim = pickle.load(open(sys.argv[1], "rb"))
from tlcheck.trusted.decide import decide_conditions
decide_conditions(claim)
print(*(name for name in sys.modules if name.startswith("tlcheck.")))
"""


def corpus() -> Iterator[tuple[str, ConditionClaim]]:
    """One claim of the corpus for each kind and for all that it asks for."""
    seen = set()
    for verdict in ("accept", "reject", "undecided"):
        for folder in sorted((REPOSITORY / "certificates" / verdict).iterdir()):
            if not (path := folder / "x.tlcert").exists():
                continue
            try:
                claims = load(path, Options()).claims
            except InvalidInput:
                continue
            for claim, _ in claims:
                if isinstance(claim, ConditionClaim):
                    key = type(claim), claim.asks_for, frozenset(operations(claim))
                    if key not in seen:
                        seen.add(key)
                        yield f"{folder.name}: {claim.kind}", claim


def graph_of(claim: ConditionClaim) -> Graph | None:
    match claim:
        case SupremumClaim() | IntegralClaim():
            return claim.quantity.network.graph
        case SolutionErrorClaim():
            return claim.theorem.problem.residual.network.graph
    return getattr(claim, "graph", None)


def operations(claim: ConditionClaim) -> set[str]:
    """The modules of its network's operations."""
    graph = graph_of(claim)
    return set() if graph is None else {type(node.op).__module__ for node in graph.nodes}


@cache
def imported(name: str) -> frozenset[str]:
    """The modules of tlcheck that a module imports at its top."""
    path = REPOSITORY.joinpath(*name.split(".")).with_suffix(".py")
    if not path.exists():
        return frozenset()
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tlcheck."):
            found |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(found)


def closure(names: set[str]) -> set[str]:
    seen, left = set(), list(names)
    while left:
        name = left.pop()
        if name not in seen and REPOSITORY.joinpath(*name.split(".")).with_suffix(".py").exists():
            seen.add(name)
            left += imported(name)
    return seen


class Fields(pickle.Pickler):
    """Values by their fields, without what they remember."""

    def reducer_override(self, obj: Any) -> Any:
        if not is_dataclass(obj) or isinstance(obj, type) or not hasattr(obj, "__dict__"):
            return NotImplemented
        return copyreg.__newobj__, (type(obj),), {f.name: getattr(obj, f.name) for f in fields(obj)}  # type: ignore[attr-defined]


def loaded(claim: ConditionClaim, folder: Path) -> set[str]:
    """The modules of tlcheck, rooms aside, that a fresh process has loaded once the claim is decided."""
    with (folder / "claim").open("wb") as file:
        Fields(file).dump(claim)
    done = subprocess.run(
        [sys.executable, "-c", FRESH, str(folder / "claim")],
        capture_output=True, text=True, check=True, cwd=REPOSITORY,
    )  # fmt: skip
    return {name for name in done.stdout.split() if closure({name})}


F = Fraction


def near_relu() -> SplineClaim:
    """0 on [0, 1] is within 1 of relu."""
    network = ScalarNetwork((Layer(((F(1),),), (F(0),), "relu"), Layer(((F(1),),), (F(0),))))
    piece = Piece(F(0), F(1), (F(0),))
    return SplineClaim((F(0), F(1)), (piece,), Wants(distance=Distance(network, F(1))))


def residual(graph: Graph, at_most: Fraction) -> SupremumClaim:
    """The square of the output, on [1, 2] for each input but the last, on [3, 4] for that."""
    domain = (*((F(1), F(2)),) * (graph.n_inputs - 1), (F(3), F(4)))
    names = tuple(f"x{k}" for k in range(graph.n_inputs))
    quantity = Quantity(TaylorNetwork(graph), names, ("u",), domain, (Variable("u"),))
    return SupremumClaim("part", quantity, at_most, 2, ".")


def chosen() -> Graph:
    """x < y ? x : y"""
    x, y = (Node(Input((1,)), (), (1,), name) for name in "xy")
    nodes = (x, y, Node(Compare("<"), (0, 1), (1,), "c"), Node(Select(), (2, 0, 1), (1,), "z"))
    return Graph(nodes, (3,), ("x", "y"), ("z",))


def rectified() -> Graph:
    return Graph((Node(Input((1,)), (), (1,), "x"), Node(Relu(), (0,), (1,), "y")), (1,), ("x",), ("y",))


CORPUS = {
    **dict(corpus()),
    "spline near a relu": near_relu(),
    "PINN domain with kinks": residual(rectified(), F(16)),
    "PINN domain with choices": residual(chosen(), F(4)),
    "PINN domain in float64": residual(chosen(), F(4)).in_float64(),
}


@pytest.mark.parametrize("name", CORPUS)
def test_a_claim_names_what_it_asks_for(name: str, tmp_path: Path) -> None:
    claim = CORPUS[name]
    asked = {type(claim).__module__, *DECIDE, *claim.asks_for, *operations(claim)}
    expected = closure({*asked, *(IMAGES if "tlcheck.trusted.ops.convolution" in asked else ())})
    guesses = closure({"tlcheck.trusted.arith.ball64"}) if isinstance(claim, Margins) else set()
    found = loaded(claim, tmp_path)
    assert expected <= found
    assert found <= expected | guesses


def test_the_corpus_has_what_claims_ask_for() -> None:
    """Every module of trusted/science and trusted/taylor that is imported in a function is asked for by some claim."""
    asked = {name for claim in CORPUS.values() for name in claim.asks_for}
    in_functions = set()
    for room in ("science", "taylor"):
        for path in sorted((REPOSITORY / "tlcheck" / "trusted" / room).glob("*.py")):
            in_functions |= set(imported_in_functions(ast.parse(path.read_text(encoding="utf-8"))))
    assert in_functions <= asked


def imported_in_functions(tree: ast.Module) -> Iterator[str]:
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            yield from (
                str(node.module)
                for node in ast.walk(function)
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tlcheck.")
            )
