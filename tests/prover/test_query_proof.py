"""Queries proved from files: what is found is certified, and nothing false is found."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import DATA, needs_data
from tests.prover.small_networks import GRAPHS, query, value
from tlcheck.cli.main import main
from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.prover.query_proof import Found, certify_query, search
from tlcheck.trusted.arith.arb import arb, working_precision
from tlcheck.trusted.arith.box import Box
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.guidance import Guidance
from tlcheck.trusted.leaf_pass import LeafOutcome, check_leaves
from tlcheck.trusted.ops.smooth import Cos, Sin
from tlcheck.trusted.plan import Plan, Settings
from tlcheck.trusted.query import Query
from tlcheck.verify import verify_path

LSNC = DATA / "scientific" / "lyapunov" / "lsnc_2024"


def searched(graph: Graph, asked: Query, **limits: float) -> Found:
    return search(UnsatClaim(graph, asked), **limits)  # type: ignore[arg-type]


def outcomes(graph: Graph, asked: Query, guidance: Guidance, arith: str = "arb") -> list[LeafOutcome]:
    plan = Plan(UnsatClaim(graph, asked), guidance, Settings(arith))
    return check_leaves(plan, None, range(len(plan.leaves)))


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("arith", ["arb", "ball64"])
def test_what_is_found_is_certified(graph: Graph, arith: str) -> None:
    grid = np.stack(np.meshgrid(*[np.linspace(-0.9, 0.9, 41)] * 2), axis=-1).reshape(-1, 2)
    y = value(graph, grid)
    top, low = y[:, 0].max() + 0.05, y.sum(axis=1).min()
    asked = query(
        (-0.9, 0.9),
        f"(>= Y_0 {top})",
        f"(<= Y_0 {low / 2 - 0.05}) (<= Y_1 {low / 2 - 0.05})",
    )
    found = searched(graph, asked)
    assert found.guidance is not None and found.left == 0 and found.leaves > 1
    assert all(o.certified for o in outcomes(graph, asked, found.guidance, arith))


def highest(graph: Graph) -> float:
    grid = np.stack(np.meshgrid(*[np.linspace(-0.9, 0.9, 41)] * 2), axis=-1).reshape(-1, 2)
    return float(value(graph, grid)[:, 0].max())


@pytest.mark.parametrize("graph", GRAPHS)
def test_nothing_false_is_found_nor_certified(graph: Graph) -> None:
    """A query with a known point: the search never closes it, and a true query's proof does not prove it."""
    top = highest(graph)
    false = query((-0.9, 0.9), f"(>= Y_0 {top - 1e-4})")
    assert searched(graph, false, most=3000).guidance is None
    found = searched(graph, query((-0.9, 0.9), f"(>= Y_0 {top + 0.05})"))
    assert found.guidance is not None
    assert not all(o.certified for o in outcomes(graph, false, found.guidance))
    reweighted = replace(found.guidance.leaves, weight=found.guidance.leaves.weight * 1e6)
    assert not all(o.certified for o in outcomes(graph, false, replace(found.guidance, leaves=reweighted)))


def test_an_empty_region_and_no_time() -> None:
    asked = query((0.5, -0.5), "(>= Y_0 0)")
    found = searched(GRAPHS[0], asked)
    assert found.guidance is not None
    assert Plan(UnsatClaim(GRAPHS[0], asked), found.guidance, Settings()).leaves == ()
    true = query((-0.9, 0.9), f"(>= Y_0 {highest(GRAPHS[0]) + 0.05})")
    stopped = searched(GRAPHS[0], true, seconds=0)
    assert stopped.guidance is None and stopped.left == 1


# The rule in trusted.ops.smooth that this search rests on: sine bends one way on each side of 0.


def test_lines_of_sine_around_zero_hold() -> None:
    rng = np.random.default_rng(11)
    ends = [
        (-0.1, 0.2),
        (-3.0, 3.0),
        (-3.1, 0.5),
        (0.0, 3.2),
        (-5e-324, 5e-324),
        (0.0, 0.0),
        (-3.5, -2.9),
        (2.9, 3.3),
    ]
    ends += [tuple(sorted(pair)) for pair in rng.uniform(-3.6, 3.6, (200, 2)).tolist()]
    ends += [tuple(sorted(pair)) for pair in (rng.uniform(-1, 1, (50, 2)) * 1e-8).tolist()]
    lower, upper = (np.array([e[k] for e in ends])[None] for k in (0, 1))
    with working_precision(128):
        drawn = Sin().lines(Box(lower, upper))
    with working_precision(200):
        for k, (l, u) in enumerate(ends):
            for share in (0.0, 1.0, 0.5, *rng.random(12).tolist()):
                z = arb(min(max(l + share * (u - l), l), u))
                for (slope, at), sign in ((drawn.lower, 1), (drawn.upper, -1)):
                    gap = sign * (z.sin() - arb(float(slope[0, k])) * z - arb(float(at[0, k])))
                    assert gap >= 0 or abs(gap) < arb(2) ** -190, (l, u, share)


def test_sine_bends_one_way_on_each_side_of_zero_only() -> None:
    with working_precision(128):
        assert Sin().curvature(arb(0), arb(3)) == -1 and Sin().curvature(arb(-3), arb(0)) == 1
        assert Sin().curvature(arb(0), arb(3.15)) == 0 and Sin().curvature(arb(-3.15), arb(0)) == 0
        assert Sin().curvature(arb(-1e-300), arb(1)) == 0
        assert Cos().curvature(arb(0), arb(3)) == 0


# Shipped queries.


@needs_data
def test_a_shipped_instance_is_certified(tmp_path: Path) -> None:
    target = tmp_path / "x.tlcert"
    found = certify_query(
        LSNC / "quadrotor2d_output.onnx.gz", LSNC / "quadrotor2d_output_4.vnnlib.gz", target
    )
    assert found.leaves > 0
    (claim,) = verify_path(target, Options(jobs=1)).claims
    assert claim.verdict.value == "CERTIFIED" and claim.leaves_total == found.leaves


@needs_data
def test_bad_input_leaves_nothing(tmp_path: Path) -> None:
    model = LSNC / "quadrotor2d_output.onnx.gz"
    with pytest.raises(InvalidInput) as error:
        certify_query(model, LSNC / "quadrotor2d_state_5.vnnlib.gz", tmp_path / "x.tlcert")
    assert error.value.code == "TLC303"
    with pytest.raises(InvalidInput):
        certify_query(model, LSNC / "quadrotor2d_output_4.vnnlib.gz", tmp_path / "x.zip")
    hard = certify_query(model, LSNC / "quadrotor2d_output_6.vnnlib.gz", tmp_path / "x.tlcert", most=50)
    assert hard.guidance is None and hard.left > 0
    assert list(tmp_path.iterdir()) == []


def test_fractions_of_bounds_are_exact() -> None:
    """The tree's cuts are doubles inside the region, whatever decimals the region has."""
    asked = query((-0.1, 0.3), "(>= Y_0 2)")
    assert asked.disjuncts[0].box.upper[0] == Fraction(3, 10)
    found = searched(GRAPHS[2], asked)
    assert found.guidance is not None
    assert all(o.certified for o in outcomes(GRAPHS[2], asked, found.guidance))


@needs_data
def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A published query from the command line: its certificate, what it says, and what is refused."""
    model, spec = LSNC / "quadrotor2d_output.onnx.gz", LSNC / "quadrotor2d_output_12.vnnlib.gz"
    target = tmp_path / "x.tlcert"
    certify = ["certify-lyapunov", str(spec), "-o", str(target)]
    assert main([*certify]) == 2 and not target.exists()
    hard = ["certify-lyapunov", str(LSNC / "quadrotor2d_output_6.vnnlib.gz"), "-o", str(target)]
    assert main([*hard, "--model", str(model), "--max-leaves", "2"]) == 4 and not target.exists()
    assert "boxes are open" in capsys.readouterr().out
    assert main([*certify, "--model", str(model)]) == 0
    assert main(["show", str(target)]) == 0
    assert "kappa = 0: V may rise by up to 1e-06 in every step" in capsys.readouterr().out
    assert main(["verify", "-v", str(target)]) == 0
    assert "not stability" in capsys.readouterr().out
    assert main(["lyapunov-spec", str(spec), "--model", str(model)]) == 0
    out = capsys.readouterr().out
    assert "kappa = 0" in out and "asymptotic" not in out
    assert main(["lyapunov-spec", str(LSNC / "instances.csv")]) == 0
    assert "pieces of their hull are not covered" in capsys.readouterr().out
    other = tmp_path / "other.vnnlib"
    other.write_text(
        "(declare-const X_0 Real)(declare-const Y_0 Real)(assert (>= X_0 0))(assert (<= X_0 1))(assert (<= Y_0 0))"
    )
    assert main(["lyapunov-spec", str(other)]) == 3
    assert "not a Lyapunov query" in capsys.readouterr().err
    assert main(["certify-lyapunov", "loop.json", "-o", str(target), "--model", str(model)]) == 2
