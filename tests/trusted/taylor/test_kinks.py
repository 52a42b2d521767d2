"""Piecewise linear activations: values in the models, and derivatives only where they exist; against 200-bit samples."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from flint import arb, ctx

from tests.trusted.taylor.oracle import RandomNetwork
from tests.trusted.taylor.test_models import combined, every, exact_at, sampled, value64, value_arb
from tlcheck.trusted.arith.arb import ball, working_precision
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.calculus.expression import Variable
from tlcheck.trusted.decide import decide_conditions
from tlcheck.trusted.graph import Graph, Node
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.affine import Linear
from tlcheck.trusted.ops.base import Operation
from tlcheck.trusted.ops.bent import Abs, Clip, LeakyRelu
from tlcheck.trusted.ops.discrete import Compare, Select
from tlcheck.trusted.ops.selection import MaxOver
from tlcheck.trusted.ops.structure import Fixed, Input
from tlcheck.trusted.science.pinn_domain import IntegralClaim, SupremumClaim
from tlcheck.trusted.science.quantities import Quantity
from tlcheck.trusted.taylor.derivatives import Derivatives, closure, derivative
from tlcheck.trusted.taylor.engine import OutsideDomain
from tlcheck.trusted.taylor.models64 import Engine64, Models64
from tlcheck.trusted.taylor.models_arb import EngineArb, Model
from tlcheck.trusted.taylor.network_models import TaylorNetwork
from tlcheck.trusted.taylor.space import Space
from tlcheck.trusted.verdict import Verdict

PAIRS = [
    ("relu", "relu"), ("tanh", "relu"), ("relu", "sin"), ("leaky", "folded"), ("abs", "sigmoid"), ("clip", "abs"),
    ("max", "relu"), ("sin", "max"), ("softplus", "clip"), ("max", "max"),
]  # fmt: skip


@pytest.fixture(autouse=True)
def precision() -> Iterator[None]:
    cap = ctx.cap
    ctx.cap = 4
    with working_precision(200):
        yield
    ctx.cap = cap


def boxes_of(rng: np.random.Generator, count: int, n: int) -> Engine64:
    centre = rng.uniform(-1, 1, (count, n))
    half = 2.0 ** rng.integers(-14, 1, (count, 1)) * rng.uniform(0.2, 1, (count, n))
    return Engine64(Space(n, 3), centre - half, centre + half, range(n))


def exact_box(engine: Engine64, k: int) -> list[tuple[Fraction, Fraction]]:
    ends = zip(engine.centre[k].tolist(), engine.half[k].tolist(), strict=True)
    return [(Fraction(c) - Fraction(h), Fraction(c) + Fraction(h)) for c, h in ends]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_values_lie_in_the_models_of_every_box(first: str, second: str) -> None:
    rng = np.random.default_rng(len(first) * 10 + len(second))
    network = RandomNetwork(rng, 2, first, second)
    engine = boxes_of(rng, 64, 2)
    values = Derivatives(closure([], 2))
    smooth = TaylorNetwork(network.graph)
    [jet] = smooth.outputs(engine, values, every(engine, 2))
    low, high = engine.bounds(jet[0, 0])
    assert np.isfinite(low).all() and np.isfinite(high).all()
    for k in range(64):
        box = exact_box(engine, k)
        model = None
        if k % 16 == 0:
            one = EngineArb(Space(2, 3), box, (0, 1), {})
            [exact] = smooth.outputs(one, values, every(one, 2))
            [model] = exact[0, 0]
        for _ in range(4):
            s = sampled(rng, 2)
            point = [ball((a + b) / 2 + (b - a) / 2 * v) for (a, b), v in zip(box, s, strict=True)]
            truth = network.along(point, [1.0, 0.0], 0)[0]
            assert value64(jet[0, 0], k, s).contains(truth) and low[k, 0] <= truth <= high[k, 0]
            assert model is None or (value_arb(model, s).overlaps(truth) and model.range().overlaps(truth))


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_derivatives_lie_in_the_models_where_there_are_some(first: str, second: str) -> None:
    """Both engines have models on some small boxes, none on large ones, and truth is in them."""
    rng = np.random.default_rng(len(first) + len(second) * 10)
    network = RandomNetwork(rng, 2, first, second)
    engine = boxes_of(rng, 64, 2)
    derivatives = Derivatives(closure([(2, 0), (1, 1), (0, 2)], 2))
    smooth = TaylorNetwork(network.graph)
    with np.errstate(all="ignore"):
        [jet] = smooth.outputs(engine, derivatives, every(engine, 2))
        known = np.isfinite(engine.bounds(jet[1, 0])[1][:, 0])
    assert 0 < known.sum() < 64
    found = 0
    for k in range(64):
        box = exact_box(engine, k)
        s = sampled(rng, 2)
        point = [ball((a + b) / 2 + (b - a) / 2 * v) for (a, b), v in zip(box, s, strict=True)]
        direction = [float(rng.choice([1, -1, 0.5])) for _ in range(2)]
        models = {}
        if k % 8 == 0:
            one = EngineArb(Space(2, 3), box, (0, 1), {})
            try:
                [exact] = smooth.outputs(one, derivatives, every(one, 2))
            except OutsideDomain as problem:
                assert not known[k] and "kink" in str(problem)
                continue
            models = {a: value_arb(x[0], s) for a, x in exact.items()}
            found += 1
        if not (known[k] or models):
            continue
        truth = network.along(point, direction, 2)
        for order in range(3):
            if models:
                assert combined(models, direction, order).overlaps(truth[order])
            if known[k]:
                here = {a: value64(x, k, s) for a, x in jet.items()}
                assert combined(here, direction, order).contains(truth[order])
    assert found


def test_hinges_of_models_with_remainders_exactly() -> None:
    """f(p(s) + d) for every |d| <= rho lies in the result's ball at s, in rationals; slopes of any sign and size."""
    rng = np.random.default_rng(12)
    space = Space(2, 3)
    engine = Engine64(space, np.zeros((1, 2)), np.ones((1, 2)), (0, 1))
    one = EngineArb(space, [(Fraction(0), Fraction(1))] * 2, (0, 1), {})
    for trial in range(120):
        size = 2.0 ** float(rng.choice([-300, -40, 0, 0, 0, 40]))
        below, above = (rng.normal(size=2) * 2.0 ** rng.integers(-30, 30, 2)).tolist()
        c = rng.normal(size=space.size) * size * rng.choice([0.01, 1], space.size)
        rho = float(abs(rng.normal()) * size * rng.choice([0, 0, 1e-3, 1]))
        x = Models64(space, c.reshape(-1, 1, 1), np.full((1, 1), rho))
        y = engine.hinge(below, above, x)
        [model] = one.hinge(
            below, above, (Model(space, [ball(Fraction(v)) for v in c], ball(Fraction(rho))),)
        )
        assert np.isfinite(y.remainder[0, 0])
        for _ in range(6):
            s = sampled(rng, 2)
            p = exact_at(c.tolist(), space, s)
            middle = exact_at(y.coefficients[:, 0, 0].tolist(), space, s)
            for d in (-Fraction(rho), Fraction(0), Fraction(rho)):
                z = p + d
                truth = Fraction(below) * min(z, Fraction(0)) + Fraction(above) * max(z, Fraction(0))
                assert abs(truth - middle) <= Fraction(float(y.remainder[0, 0])), trial
                assert value_arb(model, s).overlaps(ball(truth)), trial


def test_float64_hinges_out_of_range_have_no_bounds() -> None:
    engine = Engine64(Space(1, 2), np.array([[-1.0]]), np.array([[1.0]]), (0,))
    x = engine.coordinate(0)
    wide = Models64(x.space, x.coefficients, np.array([[np.inf]]))
    with np.errstate(all="ignore"):
        for y in (
            engine.hinge(1e300, -1e300, x),
            engine.hinge(0.0, 1.0, wide),
            engine.hinge_slope(0.0, 1.0, wide),
        ):
            assert Engine64.bounds(y)[0][0, 0] == -np.inf and Engine64.bounds(y)[1][0, 0] == np.inf
    one = EngineArb(Space(1, 2), [(Fraction(-1), Fraction(1))], (0,), {})
    [model] = one.coordinate(0)
    with pytest.raises(OutsideDomain, match="not finite"):
        one.hinge(0.0, 1.0, (Model(model.space, model.coefficients, arb("inf")),))


def test_float64_models_that_have_a_derivative_know_the_sign() -> None:
    """On boxes around exact kinks, the kink inside, on a face, or just outside."""
    for op, kink in (
        (Relu(), 0.0),
        (Abs(), 0.0),
        (LeakyRelu(0.5), 0.0),
        (one_clip(), 0.25),
        (one_clip(), -0.5),
    ):
        smooth = TaylorNetwork(single(op))
        for low, high, exists in (
            (kink - 0.5, kink + 0.25, False),
            (kink, kink + 0.25, False),
            (kink - 0.25, kink, False),
            (kink, kink, False),
            (kink + 2**-20, kink + 0.125, True),
            (kink - 0.125, kink - 2**-20, True),
        ):
            free = (0,) if low < high else ()
            engine = Engine64(Space(len(free), 2 * len(free)), np.array([[low]]), np.array([[high]]), free)
            derivatives = Derivatives(closure([(1,)], 1))
            with np.errstate(all="ignore"):
                [jet] = smooth.outputs(engine, derivatives, every(engine, 1))
                assert np.isfinite(Engine64.bounds(jet[1,])[1][0, 0]) == exists
            assert has_derivative(smooth, Fraction(low), Fraction(high)) == exists


def has_derivative(smooth: TaylorNetwork, low: Fraction, high: Fraction) -> bool:
    free = (0,) if low < high else ()
    engine = EngineArb(Space(len(free), 2), [(low, high)], free, {})
    try:
        [jet] = smooth.outputs(engine, Derivatives(closure([(1,)], 1)), every(engine, 1))
    except OutsideDomain:
        return False
    return bool(derivative(engine, jet, (1,))[0].range().is_finite())


def one_clip() -> Operation:
    return Clip(Constant(np.array([-0.5])), Constant(np.array([0.25])))


def single(op: Operation, label: str = "kink") -> Graph:
    return Graph((Node(Input((1,)), (), (1,)), Node(op, (0,), (1,), label)), (1,), ("x",), ("y",))


def values_on(op: Operation, low: str, high: str) -> Any:
    engine = EngineArb(Space(1, 2), [(Fraction(low), Fraction(high))], (0,), {})
    [jet] = TaylorNetwork(single(op)).outputs(engine, Derivatives(closure([], 1)), every(engine, 1))
    return jet[0,][0].range()


def test_known_signs_are_exact_and_unknown_ones_as_wide_as_the_chord() -> None:
    assert values_on(Relu(), "1/4", "1/2").rad() < 0.1250001
    assert values_on(Relu(), "-1/2", "0").abs_upper() < 1e-9
    assert values_on(Abs(), "-1/2", "-1/4").contains(arb(0.25)) and values_on(Abs(), "-1/2", "-1/4") > 0.2
    assert (
        values_on(Relu(), "-1", "1").abs_upper() < 1.0001 and values_on(Relu(), "-1", "1").lower() > -0.5001
    )
    assert values_on(LeakyRelu(1.0), "-1", "1").abs_upper() < 1.00001
    low, high = Constant(np.array(0.75)), Constant(np.array(-0.25))
    assert (values_on(Clip(low, high), "-1", "1") - arb(-0.25)).abs_upper() < 1e-30, (
        "lower > upper gives upper"
    )
    assert values_on(Clip(None, None), "-1", "1").abs_upper() < 1.00001


def test_constant_entries_and_repeated_ones_of_a_maximum_have_no_kink() -> None:
    """max(x, x, -) is x; an activation of a number has no derivative to refuse."""
    graph = single(MaxOver((1,), np.array([[0, -1, 0]])))
    assert has_derivative(TaylorNetwork(graph), Fraction(-1), Fraction(1))
    zero = Node(Linear(Constant(np.zeros((1, 1))), Constant(np.zeros(1))), (0,), (1,))
    graph = Graph((Node(Input((1,)), (), (1,)), zero, Node(Relu(), (1,), (1,), "dead")), (2,), ("x",), ("y",))
    assert not has_derivative(TaylorNetwork(graph), Fraction(-1), Fraction(1)), (
        "x -> relu(0 x): nothing is proved of it"
    )


def hat(weights: tuple[float, float] = (1.0, 1.0)) -> Graph:
    """u(x) = relu(x) - relu(x - 1/2): kinks at 0 and 1/2; u' is 0, 1, 0."""
    nodes = (
        Node(Input((1,)), (), (1,)),
        Node(Linear(Constant(np.array([list(weights)])), Constant(np.array([0.0, -0.5]))), (0,), (2,)),
        Node(Relu(), (1,), (2,), "relu_0"),
        Node(Linear(Constant(np.array([[1.0], [-1.0]])), None), (2,), (1,)),
    )
    return Graph(nodes, (3,), ("x",), ("u",))


def claim(
    name: str, domain: tuple[str, str], at_most: str, tree: str, witness: str | None = None
) -> SupremumClaim:
    box = ((Fraction(domain[0]), Fraction(domain[1])),)
    quantity = Quantity(TaylorNetwork(hat()), ("x",), ("u",), box, (Variable(name),))
    point = None if witness is None else (Fraction(witness),)
    return SupremumClaim("part", quantity, Fraction(at_most), 2, tree, point)


def halved(depth: int) -> str:
    return "0" + halved(depth - 1) * 2 if depth else "."


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        (claim("u", ("-1", "2"), "0.26", halved(8)), Verdict.CERTIFIED),
        (claim("u", ("-1", "2"), "0.24", halved(8)), Verdict.REFUTED),
        (claim("u", ("-1", "2"), "0.25", halved(3)), Verdict.UNPROVEN),
        (claim("u", ("-1", "2"), "0.24", ".", "1"), Verdict.REFUTED),
        (claim("u_x", ("-1", "-1/100"), "0", "."), Verdict.CERTIFIED),
        (claim("u_x", ("1/100", "49/100"), "1", "."), Verdict.CERTIFIED),
        (claim("u_x", ("1/100", "49/100"), "0.99", ".", "1/4"), Verdict.REFUTED),
        (claim("u_xx", ("1/100", "49/100"), "0", "."), Verdict.CERTIFIED),
        (claim("u_x", ("-1", "2"), "1", halved(6)), Verdict.UNPROVEN),
        (claim("u_xx", ("-1", "2"), "0", halved(6)), Verdict.UNPROVEN),
        (claim("u_x", ("0", "1/4"), "1", halved(3)), Verdict.UNPROVEN),
        (claim("u_x", ("0", "1/4"), "0.5", ".", "0"), Verdict.UNPROVEN),
    ],
)
def test_claims_about_networks_with_kinks(given: SupremumClaim, verdict: Verdict) -> None:
    """A derivative that does not exist somewhere on the domain certifies nothing, however large the bound; nor does a
    kink refute anything."""
    outcome = decide_conditions(given)
    assert outcome.verdict is verdict
    if verdict is Verdict.UNPROVEN and "u_x" in given.statement:
        assert "Relu at node 'relu_0': the function has a kink" in outcome.failures[0].where


@pytest.mark.parametrize(
    ("name", "at_most", "verdict"),
    [("u", "0.43", Verdict.CERTIFIED), ("u", "0.41", Verdict.REFUTED), ("u_x", "99", Verdict.UNPROVEN)],
)
def test_integrals_over_kinks(name: str, at_most: str, verdict: Verdict) -> None:
    """The integral of u^2 over [-1, 2] is 1/24 + 3/8 = 0.41666...; one with a derivative needs it everywhere."""
    quantity = Quantity(
        TaylorNetwork(hat()), ("x",), ("u",), ((Fraction(-1), Fraction(2)),), (Variable(name),)
    )
    outcome = decide_conditions(IntegralClaim("part", quantity, "L2", Fraction(at_most), 2, halved(7)))
    assert outcome.verdict is verdict


@pytest.mark.parametrize("relation", ["<", "<="])
@pytest.mark.parametrize(
    ("low", "high", "slope"), [(-2, -1, 5), (1, 2, -3), (-1, 1, None), (0, 1, None), (-1, 0, None)]
)
def test_a_choice_has_a_model_only_where_the_box_decides_it(
    relation: str, low: int, high: int, slope: int | None
) -> None:
    """Where x < 0: 5 x, else -3 x: a box that touches 0 has no model, whatever the relation is at 0."""
    nodes = (
        Node(Input((1,)), (), (1,), "x"), Node(Fixed(Constant(np.zeros(1))), (), (1,), "zero"),
        Node(Compare(relation), (0, 1), (1,), "c"),
        Node(Linear(Constant(np.array([[5.0]]))), (0,), (1,), "a"), Node(Linear(Constant(np.array([[-3.0]]))), (0,), (1,), "b"),
        Node(Select(), (2, 3, 4), (1,), "y"),
    )  # fmt: skip
    network = TaylorNetwork(Graph(nodes, (5,), ("x",), ("y",), {}))
    derivatives = Derivatives(closure([(1,)], 1))
    engine = EngineArb(Space(1, 3), [(Fraction(low), Fraction(high))], (0,), {})
    batch = Engine64(Space(1, 3), np.array([[float(low)]]), np.array([[float(high)]]), range(1))
    [found] = network.outputs(batch, derivatives, every(batch, 1))
    if slope is None:
        with pytest.raises(OutsideDomain, match="Compare at node 'c'"):
            network.outputs(engine, derivatives, every(engine, 1))
        assert not np.isfinite(np.array(batch.bounds(found[(0,)]))).any()
        return
    [jet] = network.outputs(engine, derivatives, every(engine, 1))
    [value], [first] = jet[(0,)], jet[(1,)]
    assert first.range() == slope
    assert value.range().contains(arb(slope * low)) and value.range().contains(arb(slope * high))
    assert float(batch.bounds(found[(1,)])[0][0, 0]) == pytest.approx(slope)
