"""Both engines against FLINT's power series at 200 bits: the value and every derivative lie in the model, at samples."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise, product
from math import prod
from typing import Any

import numpy as np
import pytest
from flint import arb, ctx

from tests.trusted.taylor.oracle import ACTIVATIONS, RandomNetwork
from tlcheck.readers.expressions import parse_expression
from tlcheck.trusted.arith.arb import ball, working_precision
from tlcheck.trusted.taylor.derivatives import Derivatives, closure
from tlcheck.trusted.taylor.engine import Dense, OutsideDomain, Unsupported
from tlcheck.trusted.taylor.expression_models import evaluate
from tlcheck.trusted.taylor.functions import Exp, Log
from tlcheck.trusted.taylor.models64 import Engine64, Models64
from tlcheck.trusted.taylor.models_arb import EngineArb, Model
from tlcheck.trusted.taylor.network_models import TaylorNetwork
from tlcheck.trusted.taylor.s_shaped import Tanh
from tlcheck.trusted.taylor.space import Space

PAIRS = list(zip(ACTIVATIONS, [*ACTIVATIONS[1:], ACTIVATIONS[0]], strict=True))


@pytest.fixture(autouse=True)
def precision() -> Iterator[None]:
    cap = ctx.cap
    ctx.cap = 6
    with working_precision(200):
        yield
    ctx.cap = cap


def every(engine: Any, n: int) -> list[Any]:
    return [engine.coordinate(i) for i in range(n)]


def value64(m: Models64, box: int, s: list[Fraction]) -> arb:
    """The model's ball at a point of its box."""
    total = arb(0)
    for k, monomial in enumerate(m.space.monomials):
        total = total + arb(float(m.coefficients[k, box, 0])) * ball(
            prod((x**e for x, e in zip(s, monomial, strict=True)), start=Fraction(1))
        )
    return total + arb(0, float(m.remainder[box, 0]))


def value_arb(m: Any, s: list[Fraction]) -> arb:
    total = arb(0)
    for c, monomial in zip(m.coefficients, m.space.monomials, strict=True):
        total = total + c * ball(prod((x**e for x, e in zip(s, monomial, strict=True)), start=Fraction(1)))
    return total + m.remainder.union(-m.remainder)


def combined(values: dict[tuple[int, ...], arb], direction: list[float], k: int) -> arb:
    """sum over |a| = k of g_a v^a."""
    return sum(
        (
            g * prod((arb(d) ** e for d, e in zip(direction, a, strict=True)), start=arb(1))
            for a, g in values.items()
            if sum(a) == k
        ),
        arb(0),
    )


def sampled(rng: np.random.Generator, n: int) -> list[Fraction]:
    """A dyadic point of [-1, 1]^n, often on its boundary."""
    return [
        Fraction(int(x), 64) if rng.random() < 0.6 else Fraction(int(np.sign(x) or 1))
        for x in rng.integers(-64, 65, n)
    ]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_float64_models_hold_values_and_derivatives(first: str, second: str) -> None:
    """More than 2,000 boxes over all pairs; derivatives to order 4, mixed ones too."""
    rng = np.random.default_rng(len(first) * 100 + len(second))
    for n, top, order in ((2, [(2, 2)], 4), (1, [(4,)], 6), (3, [(1, 1, 1)], 3)):
        network = RandomNetwork(rng, n, first, second)
        derivatives = Derivatives(closure(top, n))
        boxes = 64
        centre = rng.uniform(-1, 1, (boxes, n))
        half = 2.0 ** rng.integers(-12, -1, (boxes, 1)) * rng.uniform(0.2, 1, (boxes, n))
        engine = Engine64(Space(n, order), centre - half, centre + half, range(n))
        [jet] = TaylorNetwork(network.graph).outputs(engine, derivatives, every(engine, n))
        low, high = engine.bounds(jet[(0,) * n])
        for box in range(0, boxes, 16):
            s = sampled(rng, n)
            point = [
                ball(Fraction(float(c)) + Fraction(float(h)) * x)
                for c, h, x in zip(engine.centre[box], engine.half[box], s, strict=True)
            ]
            direction = [float(rng.choice([0, 1, -1, 0.5])) for _ in range(n)]
            truth = network.along(point, direction, derivatives.orders)
            values = {a: value64(m, box, s) for a, m in jet.items()}
            known = [k for k in range(derivatives.orders + 1) if _all_there(derivatives, direction, k)]
            assert known[0] == 0
            for k in known:
                assert combined(values, direction, k).contains(truth[k]), (first, second, n, box, k)
            assert low[box, 0] <= truth[0] <= high[box, 0]
        assert np.isfinite(high).mean() > 0.9


def _all_there(derivatives: Derivatives, direction: list[float], k: int) -> bool:
    """Every multi-index of order k that the direction reaches is carried."""
    axes = [i for i, d in enumerate(direction) if d]
    indices = (a for a in product(range(k + 1), repeat=len(direction)) if sum(a) == k)
    return all(a in derivatives.indices for a in indices if all(e == 0 or i in axes for i, e in enumerate(a)))


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_arb_models_hold_values_and_derivatives(first: str, second: str) -> None:
    rng = np.random.default_rng(len(first) * 100 + len(second) + 1)
    network = RandomNetwork(rng, 2, first, second)
    smooth = TaylorNetwork(network.graph)
    derivatives = Derivatives(closure([(2, 2)], 2))
    for _ in range(3):
        half = Fraction(1, 2 ** int(rng.integers(2, 9)))
        centre = [Fraction(int(x), 97) for x in rng.integers(-97, 98, 2)]
        engine = EngineArb(Space(2, 4), [(c - half, c + half) for c in centre], (0, 1), {})
        try:
            [jet] = smooth.outputs(engine, derivatives, every(engine, 2))
        except OutsideDomain:
            assert half > Fraction(1, 16)
            continue
        s = sampled(rng, 2)
        point = [ball(c + half * x) for c, x in zip(centre, s, strict=True)]
        for direction in ([1.0, 0.0], [0.0, 1.0]):
            truth = network.along(point, direction, 2)
            values = {a: value_arb(m, s) for a, (m,) in jet.items()}
            for k in range(3):
                assert combined(values, direction, k).contains(truth[k]), (first, second, k)
        assert jet[(0, 0)][0].range().contains(truth[0])


def test_the_engines_agree_and_narrow_boxes_are_sharp() -> None:
    rng = np.random.default_rng(5)
    for first, second in PAIRS:
        network = TaylorNetwork(RandomNetwork(rng, 2, first, second).graph)
        derivatives = Derivatives(closure([(0, 2), (1, 1)], 2))
        centre, half = rng.uniform(-1, 1, (1, 2)), 2.0**-9
        engine64 = Engine64(Space(2, 4), centre - half, centre + half, (0, 1))
        box = [(Fraction(float(c)) - Fraction(half), Fraction(float(c)) + Fraction(half)) for c in centre[0]]
        arb_jet = network.outputs(one := EngineArb(Space(2, 4), box, (0, 1), {}), derivatives, every(one, 2))[
            0
        ]
        jet = network.outputs(engine64, derivatives, every(engine64, 2))[0]
        for a, m in jet.items():
            low, high = engine64.bounds(m)
            values = arb_jet[a][0].range()
            slack = 1e-9 * (1 + abs(low[0, 0]) + abs(high[0, 0]))
            assert low[0, 0] <= values.upper() and values.lower() <= high[0, 0]
            assert low[0, 0] >= values.lower() - slack and high[0, 0] <= values.upper() + slack
            assert arb_jet[a][0].remainder < 1e-6


def test_the_remainder_shrinks_with_the_order() -> None:
    """By a factor of the width for each order: the polynomial is the Taylor polynomial."""
    network = TaylorNetwork(RandomNetwork(np.random.default_rng(3), 2, "tanh", "tanh").graph)
    box = [(Fraction(1, 8) - Fraction(1, 128), Fraction(1, 8) + Fraction(1, 128))] * 2
    remainders = []
    for order in range(1, 8):
        one = EngineArb(Space(2, order), box, (0, 1), {})
        [jet] = network.outputs(one, Derivatives(closure([(0, 0)], 2)), every(one, 2))
        remainders.append(float(jet[(0, 0)][0].remainder))
    assert all(b < a / 10 for a, b in pairwise(remainders))


EXPRESSIONS = [
    ("x*t - x^3/(2 + t^2)", lambda x, t: x * t - x**3 / (2 + t**2)),
    ("abs(x - t)", lambda x, t: abs(x - t)),
    ("abs(x + 5) - sqrt(t + 3)", lambda x, t: x + 5 - (t + 3).sqrt()),
    (
        "exp(-x^2)*cos(pi*t) + log(4 + x)^2",
        lambda x, t: (-x * x).exp() * (arb.pi() * t).cos() + (4 + x).log() ** 2,
    ),
    (
        "(x + 3)^(1/3) - 1/(t - 4) + tanh(7*x)",
        lambda x, t: ((x + 3).log() / 3).exp() - 1 / (t - 4) + (7 * x).tanh(),
    ),
    ("(t - 3)^(-2) - sin(x)^0", lambda x, t: 1 / (t - 3) ** 2 - 1),
]


@pytest.mark.parametrize(("text", "truth"), EXPRESSIONS)
def test_expressions_in_both_engines(text: str, truth: Any) -> None:
    rng = np.random.default_rng(8)
    e = parse_expression(text, ("x", "t"))
    boxes = 48
    centre = rng.uniform(-1, 1, (boxes, 2))
    half = 2.0 ** rng.integers(-10, -1, (boxes, 1)) * np.ones(2)
    engine = Engine64(Space(2, 5), centre - half, centre + half, (0, 1))
    models = evaluate(e, {"x": engine.coordinate(0), "t": engine.coordinate(1)}, engine)
    low, high = engine.bounds(models)
    assert np.isfinite(high).all()
    for k in range(boxes):
        s = sampled(rng, 2)
        exact = [
            Fraction(float(c)) + Fraction(float(h)) * v
            for c, h, v in zip(engine.centre[k], engine.half[k], s, strict=True)
        ]
        expected = truth(*map(ball, exact))
        assert value64(models, k, s).contains(expected)
        assert low[k, 0] <= expected <= high[k, 0]
        if k % 4 == 0:
            box = [
                (Fraction(float(c)) - Fraction(float(h)), Fraction(float(c)) + Fraction(float(h)))
                for c, h in zip(engine.centre[k], engine.half[k], strict=True)
            ]
            one = EngineArb(Space(2, 5), box, (0, 1), {})
            [model] = evaluate(e, {"x": one.coordinate(0), "t": one.coordinate(1)}, one)
            assert value_arb(model, s).contains(expected) and model.range().contains(expected)


@pytest.mark.parametrize("text", ["log(x)", "sqrt(x)", "1/x", "x^(1/2)", "1/(x - x)", "log(x - 1)"])
def test_outside_a_domain_nothing_is_bounded(text: str) -> None:
    e = parse_expression(text, ("x",))
    one = EngineArb(Space(1, 3), [(Fraction(-1, 2), Fraction(1))], (0,), {})
    with pytest.raises(OutsideDomain):
        evaluate(e, {"x": one.coordinate(0)}, one)
    engine = Engine64(Space(1, 3), np.array([[-0.5]]), np.array([[1.0]]), (0,))
    with np.errstate(all="ignore"):
        low, high = engine.bounds(evaluate(e, {"x": engine.coordinate(0)}, engine))
    assert low[0, 0] == -np.inf and high[0, 0] == np.inf


def test_huge_and_subnormal_numbers() -> None:
    """No bound, or a true one: overflow is never lost, underflow is charged."""
    for scale in (1e-320, 1e-200, 1e150, 1e300):
        engine = Engine64(Space(1, 3), np.array([[-scale]]), np.array([[scale]]), (0,))
        x = engine.coordinate(0)
        with np.errstate(all="ignore"):
            low, high = engine.bounds(engine.multiply(x, engine.multiply(x, x)))
            one = engine.constants([arb(1)])
            quotient = engine.bounds(engine.add(engine.multiply(x, one), engine.negate(x)))
        assert low[0, 0] <= -(Fraction(scale) ** 3) and high[0, 0] >= Fraction(scale) ** 3
        assert quotient[0][0, 0] <= 0 <= quotient[1][0, 0]


def test_a_coordinate_held_fixed_is_an_exact_point() -> None:
    third = Fraction(1, 3)
    one = EngineArb(Space(1, 3), [(third, third), (Fraction(0), Fraction(1))], (1,), {})
    [model] = one.multiply(one.coordinate(0), one.coordinate(0))
    assert model.range().contains(ball(Fraction(1, 9))) and model.range().rad() < 1e-50
    with pytest.raises(ValueError, match="one variable"):
        EngineArb(Space(1, 3), [(third, Fraction(1)), (Fraction(0), Fraction(1))], (1,), {})


def test_what_has_no_rule_is_refused() -> None:
    from tlcheck.trusted.graph import Graph, Node
    from tlcheck.trusted.ops.discrete import Floor
    from tlcheck.trusted.ops.structure import Input

    graph = Graph((Node(Input((2,)), (), (2,)), Node(Floor(), (0,), (2,), "steps")), (1,), ("x",), ("y",))
    with pytest.raises(Unsupported, match="Floor at node 'steps'"):
        TaylorNetwork(graph)


def exact_at(coefficients: list[float], space: Space, s: list[Fraction]) -> Fraction:
    powers = (prod((x**e for x, e in zip(s, m, strict=True)), start=Fraction(1)) for m in space.monomials)
    return sum((Fraction(c) * p for c, p in zip(coefficients, powers, strict=True)), Fraction(0))


def test_float64_rounding_is_charged() -> None:
    """Products and sums with nothing cut off, functions at points: what remains is rounding, and it is in the remainder."""
    rng = np.random.default_rng(11)
    space = Space(2, 5)
    engine = Engine64(space, np.zeros((1, 2)), np.ones((1, 2)), (0, 1))
    for _ in range(40):
        p, q = (rng.normal(size=space.size) for _ in range(2))
        p[space.starts[3] :], q[space.starts[3] :] = 0, 0
        x, y = (Models64(space, c.reshape(-1, 1, 1), np.zeros((1, 1))) for c in (p, q))
        s = sampled(rng, 2)
        at = [exact_at(c.tolist(), space, s) for c in (p, q)]
        for model, exact in ((engine.multiply(x, y), at[0] * at[1]), (engine.add(x, y), at[0] + at[1])):
            found = exact_at(model.coefficients[:, 0, 0].tolist(), space, s)
            assert 0 < abs(found - exact) <= Fraction(float(model.remainder[0, 0])) or found == exact
        weight = rng.normal(size=(1, 2))
        model = engine.affine(Dense(weight), engine.stack([x, y]))
        found = exact_at(model.coefficients[:, 0, 0].tolist(), space, s)
        exact = sum(Fraction(float(w)) * v for w, v in zip(weight[0], at, strict=True))
        assert abs(found - exact) <= Fraction(float(model.remainder[0, 0]))
        number = float(rng.uniform(0.5, 9))
        constant = Models64(
            space, np.array([number, *[0.0] * (space.size - 1)]).reshape(-1, 1, 1), np.zeros((1, 1))
        )
        for function, truth in (
            (Exp(), arb(number).exp()),
            (Log(), arb(number).log()),
            (Tanh(), arb(number).tanh()),
        ):
            [value] = engine.compose(function, constant, 0)
            ball_ = arb(float(value.coefficients[0, 0, 0]), float(value.remainder[0, 0]))
            assert ball_.contains(truth) and ball_.rad() < 1e-14 * (1 + abs(truth))


def test_means_of_models() -> None:
    """Exactly, for polynomials; with a remainder, around samples of what it allows."""
    space = Space(2, 4)
    rng = np.random.default_rng(4)
    for rho in (Fraction(0), Fraction(1, 16)):
        for _ in range(20):
            c = [Fraction(int(v), 64) for v in rng.integers(-64, 65, space.size)]
            model = Model(space, [ball(v) for v in c], ball(rho))
            nodes, weights = np.polynomial.legendre.leggauss(6)
            gauss = [
                (exact_at([float(v) for v in c], space, [Fraction(a), Fraction(b)]), u * v / 4)
                for a, u in zip(nodes.tolist(), weights.tolist(), strict=True)
                for b, v in zip(nodes.tolist(), weights.tolist(), strict=True)
            ]
            for shift in (-float(rho), 0.0, float(rho)):
                mean = sum((float(v) + shift) * w for v, w in gauss)
                square = sum((float(v) + shift) ** 2 * w for v, w in gauss)
                assert model.mean().overlaps(arb(mean, 1e-12)) and model.mean_square().overlaps(
                    arb(square, 1e-12)
                )
            if not rho:
                assert model.mean().rad() < 1e-30 and model.mean_square().rad() < 1e-30
