"""What an attacker found in what users meet: slopes off the grid, names that stand for files, numbers beyond doubles, found
proofs that are none. And what held: networks at points by rational arithmetic, against balls."""

from __future__ import annotations

import json
import random
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.helpers import CERTIFICATES
from tests.trusted.test_audit import claim, verdict
from tests.trusted.test_relaxed_ops import Net
from tlcheck.cli.main import main
from tlcheck.readers.expressions import parse_expression
from tlcheck.trusted.arith.arb import ball, working_precision
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.integer import _slope_integers
from tlcheck.trusted.calculus.jets import coordinates
from tlcheck.trusted.calculus.kinked_jets import Kinks
from tlcheck.trusted.calculus.layers import Layer
from tlcheck.trusted.ops.affine import Linear
from tlcheck.trusted.ops.base import Operation
from tlcheck.trusted.ops.bent import LeakyRelu
from tlcheck.trusted.ops.lines import snap
from tlcheck.trusted.ops.product import Product
from tlcheck.trusted.ops.smooth import Power, Reciprocal
from tlcheck.trusted.science.closed_loop import Block, Loop
from tlcheck.trusted.science.dense_network import ACTIVATIONS, OUTER, Dense, Matrix
from tlcheck.trusted.verdict import Verdict

sys.path.append(str(CERTIFICATES / "producers"))
import pinn_domain_cases as heat

Capture = pytest.CaptureFixture[str]
Document = dict[str, Any]
F = Fraction

SHRINKS: Document = {
    "format": "tlcheck.stability/1",
    "time": "discrete",
    "statement": "asymptotic",
    "states": ["x", "y"],
    "networks": [{"names": ["u"], "network": {"file": "m"}, "inputs": ["x", "y"], "minus": ["0", "0"]}],
    "equations": ["x/2 + u", "y/2"],
    "V": {"quadratic": [["1", "0"], ["0", "1"]]},
    "region": {"lower": ["-1", "-1"], "upper": ["1", "1"]},
    "level": "0.5",
    "decay": "0.01",
}
WEIGHT: Document = {"shape": [1, 2], "data": ["0x1p-3", "0"]}


def state_dict(weight: Document) -> str:
    return json.dumps({"tensors": {"0.weight": weight, "0.bias": {"shape": [1], "data": ["0"]}}})


def tries(folder: Path, document: Document, *more: str) -> int:
    """``certify-lyapunov`` into x.tlcert; the exit code."""
    (folder / "spec.json").write_text(json.dumps(document))
    return main(["certify-lyapunov", str(folder / "spec.json"), "-o", str(folder / "x.tlcert"), *more])


# slopes


def test_every_slope_that_is_snapped_is_taken() -> None:
    """Rounding may bring the largest slope up to a power of two: the grid of the others must still be enough."""
    rng = np.random.default_rng(0)
    given = [
        [2 - 2.0**-52, 2.0**-40],
        [-(4 - 2.0**-51), 0.3],
        [2.0**20 - 2.0**-33, 0.1],
        [1e300, 5e-324],
        [np.inf, 3.0],
    ]
    cases = [np.array([x]) for x in given]
    cases += [rng.normal(size=(2, 6)) * 2.0 ** rng.uniform(-60, 25, (2, 6)) for _ in range(500)]
    cases += [rng.normal(size=(2, 6)) * 2.0 ** rng.uniform(-300, 120) for _ in range(300)]
    cases += [
        np.array([[2.0**k * (1 - 2.0**-j), 2.0 ** (k - 30)]])
        for k in (-220, -200, -17, -16, 99, 100)
        for j in range(36, 54)
    ]
    cases += [np.array([[2.0**k * (1 - 2.0**-j), 0.1, 2.0**-40]]) for k in range(22) for j in range(36, 54)]
    for slopes in cases:
        snapped = snap(slopes)
        scale, low, high = _slope_integers(snapped, -snapped)
        assert (
            np.array_equal(np.ldexp(low.astype(float), scale[:, None] - 40), snapped) and (low == -high).all()
        )
        assert int(np.abs(low).max()) <= 1 << 41


@pytest.mark.parametrize("arith", ["arb", "ball64"])
@pytest.mark.parametrize(
    ("op", "low", "high"),
    [(Power(2.0), [0, 0.1], [2 - 1e-13, 0.2]), (LeakyRelu(2 - 2.0**-52), [-1, -0.3], [1, 0.7])],
)
def test_slopes_a_little_below_two(op: Operation, low: list[float], high: list[float], arith: str) -> None:
    net = Net(2)
    graph = net.graph(net.add(Linear(Constant(np.ones((2, 1)))), net.add(op, 0)))
    assert verdict(claim(graph, low, high, -1, -100), arith=arith) is Verdict.CERTIFIED


@pytest.mark.parametrize("arith", ["arb", "ball64"])
def test_shares_of_large_squares_are_bounded(arith: str) -> None:
    """y = x_0^2 / (x_0^2 + x_1^2) around x = 5000: the planes have slopes 3e7 and 2e-8, the reciprocal's lines 4e-16."""
    net = Net(2)
    squares = net.add(Power(2.0), 0)
    share = net.add(Reciprocal(), net.add(Linear(Constant(np.ones((2, 2)))), squares))
    graph = net.graph(net.add(Product(), squares, share))
    for bound, found in (
        (Fraction(4945, 10000), Verdict.CERTIFIED),
        (Fraction(4951, 10000), Verdict.UNPROVEN),
    ):
        assert verdict(claim(graph, [5000, 5000], [5050, 5050], 1, bound), arith=arith) is found


# stability: files and numbers


@pytest.mark.parametrize(
    "weight",
    [
        {"shape": [1, 2], "data": ["1e400", "0"]},
        {"shape": [1] * 100, "data": ["1"]},
        {"shape": [0, 10**30], "data": []},
    ],
)
def test_state_dicts_beyond_arrays_are_refused(weight: Document, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "m").write_text(state_dict(weight))
    assert tries(tmp_path, SHRINKS) == 3 and not (tmp_path / "x.tlcert").exists()
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("name", ["model", "artifact", "manifest"])
def test_a_file_is_not_taken_for_what_the_user_gave(name: str, tmp_path: Path, capsys: Capture) -> None:
    """A network called "model" made ``--model`` mean nothing; one called "artifact" was left out of the sentence."""
    (tmp_path / name).write_text(state_dict(WEIGHT))
    document = SHRINKS | {"networks": [SHRINKS["networks"][0] | {"network": {"file": name}}]}
    document |= {"tree": "c", "core": document["region"]}
    (tmp_path / "x.json").write_text(json.dumps(document))
    (tmp_path / "other.onnx").write_bytes(b"not even a network")
    assert main(["verify", str(tmp_path / "x.json"), "--model", str(tmp_path / "other.onnx")]) == 3
    capsys.readouterr()
    if main(["verify", str(tmp_path / "x.json"), "-v"]) == 0:  # or it is refused
        assert f"models: {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("end", "first"), [("1e400", "x/2"), ("1e-400", "x/2"), ("1e-400", "cos(x) - exp(x)")]
)
def test_regions_beyond_doubles(end: str, first: str, tmp_path: Path, capsys: Capture) -> None:
    document = {k: v for k, v in SHRINKS.items() if k not in ("networks", "decay")} | {
        "statement": "invariant",
        "equations": [first, "y/2 + x^2/4"],
        "region": {"lower": [f"-{end}", "-1"], "upper": [end, "1"]},
    }
    assert tries(tmp_path, document, "--max-leaves", "50", "--jobs", "1") in (0, 1, 3, 4)


def test_a_core_at_the_boundary_is_no_proof(tmp_path: Path, capsys: Capture) -> None:
    """V <= level at x = 1: what is said to be found must be CERTIFIED, what is said to be false REFUTED."""
    document = {k: v for k, v in SHRINKS.items() if k not in ("networks", "decay")} | {
        "time": "continuous", "states": ["x"], "equations": ["-(x - 1/4)"], "equilibrium": ["1/4"],
        "V": {"quadratic": [["1"]]}, "region": {"lower": ["-1"], "upper": ["1"]}, "level": "0.6",
    }  # fmt: skip
    found = tries(tmp_path, document, "--jobs", "1")
    assert found in (1, 4)
    assert found == 4 or main(["verify", str(tmp_path / "x.tlcert")]) == 1


def test_loops_at_points_agree_with_balls() -> None:
    """What ``Loop.exact`` says is what the jets of the loop enclose."""
    rng = random.Random(3)
    written = [
        "x",
        "y",
        "0",
        "1/3",
        "x-x",
        "x*y",
        "abs(x)-x",
        "sin(x-x)",
        "x^2/(1+x^2)",
        "cos(0)*x",
        "x^0",
        "x^(-2)",
    ]

    def number() -> Fraction:
        return F(rng.randint(-6, 6), rng.choice([1, 2, 3, 7, 10**6])) if rng.random() < 0.7 else F(0)

    def network(inputs: int, outputs: int) -> Dense:
        sizes = [inputs, *[2] * rng.randint(0, 2), outputs]
        layers = []
        for a, b in zip(sizes, sizes[1:], strict=False):
            weight: Matrix = tuple(tuple(number() for _ in range(a)) for _ in range(b))
            layers.append(Layer(weight, tuple(number() * rng.randint(0, 1) for _ in range(b))))
        kind = rng.choice(ACTIVATIONS)
        return Dense(tuple(layers), kind, number() if kind == "leaky_relu" else F(0))

    known = 0
    with working_precision(300):
        for _ in range(1500):
            names, blocks = ["x", "y"], []
            for k in range(2):
                n, m = rng.randint(1, 2), rng.randint(1, 2)
                ends = [sorted((number(), number())) for _ in range(m)]
                inputs, minus = (
                    tuple(parse_expression(rng.choice(written), names, number=F) for _ in range(n))
                    for _ in "ab"
                )
                blocks.append(
                    Block(
                        tuple(f"u{k}{i}" for i in range(m)), network(n, m), inputs,
                        rng.choice([(), inputs, minus]), rng.choice(OUTER), tuple(number() for _ in range(m)),
                        rng.choice([(), tuple((a, b) for a, b in ends)]),
                    )
                )  # fmt: skip
                names = [*names, *blocks[-1].names]
            texts = [f"{rng.choice(names)} + {rng.choice(names)}*x" for _ in "xy"]
            equations = tuple(parse_expression(t, names, number=F) for t in texts)
            loop, point = Loop(True, ("x", "y"), equations, tuple(blocks)), (number(), number())
            exact = loop.exact(point)
            if exact is not None:
                jets = loop.prepared()(coordinates(tuple((q, q) for q in point)), Kinks())
                known += 1
                for q, jet in zip(exact, jets, strict=True):
                    assert not jet.value.is_finite() or jet.value.overlaps(ball(q))
    assert known > 200


# certify-pinn


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """The network and equation of the corpus; and u = t + x, of which the integral of u^2 over the square is 7/6."""
    (tmp_path / "net.onnx").write_bytes(heat.network())
    (tmp_path / "heat.toml").write_text(heat.HEAT)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["p", "w"], ["u"])], "sum",
        [helper.make_tensor_value_info("p", TensorProto.DOUBLE, [1, 2])],
        [helper.make_tensor_value_info("u", TensorProto.DOUBLE, [1, 1])],
        [numpy_helper.from_array(np.ones((2, 1)), "w")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (tmp_path / "sum.onnx").write_bytes(model.SerializeToString())
    start = heat.HEAT[: heat.HEAT.index("[parts")]
    (tmp_path / "sum.toml").write_text(f'{start}[parts.r]\nzero = "u"\n')
    (tmp_path / "point.toml").write_text(f'{start}[parts.r]\nat = {{ t = 1, x = "1/3" }}\nzero = "u"\n')
    return tmp_path


def run(folder: Path, model: str, *options: str) -> int:
    common = ["certify-pinn", str(folder / f"{model}.onnx"), str(folder / options[0])]
    return main([*common, "-o", str(folder / "x.tlcert"), "--jobs", "1", "--max-cells", "100", *options[1:]])


@pytest.mark.parametrize("below", ["1.166666665", "1.1666666650001", "1.1666666655", "1.16666"])
def test_an_integral_that_is_said_to_be_false_is_refuted(below: str, here: Path, capsys: Capture) -> None:
    """7/6 is a little above: with the evidence for it, or nothing is written."""
    code = run(here, "sum", "sum.toml", "--norm", "L2", "--bound", f"r={below}")
    assert code in (1, 4) and (here / "x.tlcert").exists() == (code == 1)
    assert code == 4 or main(["verify", str(here / "x.tlcert")]) == 1


@pytest.mark.parametrize("bound", ["sup=1e999", "L2=1e999", "sup=1e-999"])
def test_solution_errors_with_bounds_beyond_doubles(bound: str, here: Path, capsys: Capture) -> None:
    part = bound.partition("=")[0]
    assert run(here, "net", "heat.toml", "--solution-error", "--part", part, "--bound", bound) in (0, 3, 4)


def test_a_point_without_a_decision_is_named(here: Path, capsys: Capture) -> None:
    """u^2 = 16/9 exactly: not decided, at a place that is said."""
    assert run(here, "sum", "point.toml", "--bound", "r=16/9") == 4
    assert "at t = 1, x = 1/3" in capsys.readouterr().out


# kinks of any slopes


@pytest.mark.parametrize("slope", [-2.0, -0.5, 1.5, 3.0])
@pytest.mark.parametrize("kind", ["quadratic", "l1"])
def test_kinks_that_bend_either_way(kind: str, slope: float, tmp_path: Path, capsys: Capture) -> None:
    """Controllers with a leaky relu whose slope is not between 0 and 1: the least decay that samples allow is found out, and
    1 % more must never be CERTIFIED; something below it must be."""
    rng = np.random.default_rng(7)
    w, b, last = rng.integers(-8, 9, (3, 2)) / 8, rng.integers(-1, 2, 3) / 4, rng.integers(-8, 9, (1, 3)) / 32

    def network(x: Any) -> Any:
        z = w @ x + b[:, None]
        return last @ np.where(z > 0, z, slope * z)

    def v(x: Any) -> Any:
        return (x**2).sum(0) if kind == "quadratic" else np.abs(x).sum(0)

    points = rng.uniform(-1, 1, (2, 50_000))
    u = (network(points) - network(np.zeros((2, 1))))[0]
    after = np.array([points[0] / 2 + u / 4, points[1] / 4 - u / 8])
    inside = v(points) <= 0.9
    fastest = float((1 - v(after) / v(points))[inside].min())
    assert 0.05 < fastest < 1 and (np.abs(after)[:, inside] <= 1).all()

    def written(matrix: Any) -> list[list[str]]:
        return [[str(q) for q in row] for row in matrix.tolist()]

    identity = [["1", "0"], ["0", "1"]]
    inner = {"weights": [written(w), written(last)], "biases": [[str(q) for q in b.tolist()], ["0"]]}
    document = SHRINKS | {
        "networks": [SHRINKS["networks"][0] | {"network": inner | {"activation": "leaky_relu", "slope": str(slope)}}],
        "equations": ["x/2 + u/4", "y/4 - u/8"], "V": {kind: identity}, "level": "0.9",
    }  # fmt: skip
    limits = ("--jobs", "1", "--max-leaves", "1500")
    for decay, proved in ((fastest * 0.7, True), (fastest * 1.01, False)):
        found = tries(tmp_path, document | {"decay": repr(decay)}, *limits)
        assert found == 0 if proved else found in (1, 4)
        assert not proved or main(["verify", str(tmp_path / "x.tlcert")]) == 0


# weights that are no numbers, or hardly


@pytest.mark.parametrize(
    ("weight", "codes"), [(np.nan, {3}), (np.inf, {3}), (-np.inf, {3}), (1e-45, {0}), (3e38, {1})]
)
def test_weights_at_the_ends_of_float32(
    weight: float, codes: set[int], tmp_path: Path, capsys: Capture
) -> None:
    nodes = [helper.make_node("Gemm", ["x", "w"], ["h"]), helper.make_node("Relu", ["h"], ["r"]), helper.make_node("Gemm", ["r", "v"], ["y"])]  # fmt: skip
    constants = {"w": [[weight, 0.0], [0.0, 1.0]], "v": [[1.0], [1.0]]}
    graph = helper.make_graph(
        nodes, "n", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1])],
        [numpy_helper.from_array(np.array(value, np.float32), name) for name, value in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    (tmp_path / "n.onnx").write_bytes(model.SerializeToString())
    controller = SHRINKS["networks"][0] | {"network": {"file": "n.onnx"}}
    document = SHRINKS | {"networks": [controller], "equations": ["x/2 + u/8", "y/2"]}
    assert tries(tmp_path, document, "--jobs", "1", "--max-leaves", "300") in codes
    assert (tmp_path / "x.tlcert").exists() == (codes != {3})
    if codes != {3}:
        assert main(["verify", str(tmp_path / "x.tlcert")]) in codes
