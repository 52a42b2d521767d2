"""The split search: its bounds hold at samples, what it finds is certified, and it finds nothing false."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import DATA, needs_data
from tlcheck.cli.main import main
from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.prover.box_search import certify_query, search
from tlcheck.prover.float_bounds import FloatBounds, NoFloatBounds
from tlcheck.readers.vnnlib.read import read_property
from tlcheck.trusted.arith.arb import arb, working_precision
from tlcheck.trusted.arith.box import Box
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.graph import Graph, Node
from tlcheck.trusted.guidance import Guidance
from tlcheck.trusted.leaf_pass import LeafOutcome, check_leaves
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.affine import Linear
from tlcheck.trusted.ops.base import Operation
from tlcheck.trusted.ops.bent import LeakyRelu
from tlcheck.trusted.ops.discrete import Floor
from tlcheck.trusted.ops.product import Product
from tlcheck.trusted.ops.smooth import Cos, Exp, Sin
from tlcheck.trusted.ops.structure import Input
from tlcheck.trusted.plan import Plan, Settings
from tlcheck.trusted.query import Query
from tlcheck.verify import verify_path

LSNC = DATA / "scientific" / "lyapunov" / "lsnc_2024"


def network(seed: int, ops: tuple[Operation, ...]) -> Graph:
    """y = W2 (f(z) * g(z), h(z), ...) with z = W1 x: two inputs, two outputs; a product of the first two."""
    rng = np.random.default_rng(seed)
    first, last = (Constant(rng.normal(0, 0.7, shape)) for shape in ((2, 3), (3, 2)))
    nodes = [Node(Input((1, 2)), (), (1, 2)), Node(Linear(first), (0,), (1, 3))]
    values = []
    for op in ops:
        nodes.append(Node(op, (1,), (1, 3)))
        values.append(len(nodes) - 1)
    nodes.append(Node(Product(), (values[0], values[-1]), (1, 3)))
    nodes.append(Node(Linear(last), (len(nodes) - 1,), (1, 2)))
    return Graph(tuple(nodes), (len(nodes) - 1,), ("x",), ("y",))


GRAPHS = [
    network(0, (Relu(), Sin())),
    network(1, (LeakyRelu(0.01), Cos())),
    network(2, (Sin(), Exp())),
    network(3, (Cos(), Sin())),
]


def value(graph: Graph, x: np.ndarray) -> np.ndarray:
    """The network at points (D, 2), in floats."""
    functions = {
        Relu: lambda z: np.maximum(z, 0), LeakyRelu: lambda z: np.where(z > 0, z, 0.01 * z),
        Sin: np.sin, Cos: np.cos, Exp: np.exp,
    }  # fmt: skip
    z = x @ graph.nodes[1].op.weight.mid  # type: ignore[attr-defined]
    a, b = (functions[type(graph.nodes[i].op)](z) for i in (2, 3))
    return np.asarray((a * b) @ graph.nodes[5].op.weight.mid)  # type: ignore[attr-defined]


def query(box: tuple[float, float], *disjuncts: str) -> Query:
    """Unsat or not: y_0 and y_1 over a square."""
    text = "".join(f"(declare-const {v}_{i} Real)\n" for v in "XY" for i in (0, 1))
    text += "".join(f"(assert (>= X_{i} {box[0]}))\n(assert (<= X_{i} {box[1]}))\n" for i in (0, 1))
    text += "(assert (or " + " ".join(f"(and {d})" for d in disjuncts) + "))\n"
    return read_property(text.encode(), n_inputs=2, n_outputs=2)


def outcomes(graph: Graph, asked: Query, guidance: Guidance, arith: str = "arb") -> list[LeafOutcome]:
    plan = Plan(UnsatClaim(graph, asked), guidance, Settings(arith))
    return check_leaves(plan, None, range(len(plan.leaves)))


@pytest.mark.parametrize("graph", GRAPHS)
def test_bounds_hold_at_samples(graph: Graph) -> None:
    bounds = FloatBounds(graph)
    rng = np.random.default_rng(5)
    middle, half = rng.uniform(-1.2, 1.2, (200, 2)), rng.uniform(0, 0.4, (200, 2))
    lower, upper = middle - half, middle + half
    form = bounds.rows(np.concatenate([np.eye(2), -np.eye(2)]), np.zeros((4, 2)))
    found = bounds.lower_lines(form, lower, upper).lower(lower, upper)
    for share in rng.random((20, 200, 2)):
        y = value(graph, lower + share * (upper - lower))
        assert bool((np.concatenate([y, -y], axis=1) >= found - 1e-9).all())


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
    found = search(graph, asked)
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
    assert search(graph, false, most=3000).guidance is None
    found = search(graph, query((-0.9, 0.9), f"(>= Y_0 {top + 0.05})"))
    assert found.guidance is not None
    assert not all(o.certified for o in outcomes(graph, false, found.guidance))
    reweighted = replace(found.guidance.leaves, weight=found.guidance.leaves.weight * 1e6)
    assert not all(o.certified for o in outcomes(graph, false, replace(found.guidance, leaves=reweighted)))


def test_an_empty_region_and_no_time() -> None:
    asked = query((0.5, -0.5), "(>= Y_0 0)")
    found = search(GRAPHS[0], asked)
    assert found.guidance is not None
    assert Plan(UnsatClaim(GRAPHS[0], asked), found.guidance, Settings()).leaves == ()
    true = query((-0.9, 0.9), f"(>= Y_0 {highest(GRAPHS[0]) + 0.05})")
    stopped = search(GRAPHS[0], true, seconds=0)
    assert stopped.guidance is None and (stopped.boxes, stopped.left) == (1, 1)


def test_operations_without_bounds_are_refused() -> None:
    with pytest.raises(NoFloatBounds, match="Floor"):
        FloatBounds(network(0, (Floor(), Relu())))


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
    found = search(GRAPHS[2], asked)
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
