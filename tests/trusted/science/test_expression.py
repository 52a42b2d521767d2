"""Expressions and Taylor coefficients: enclosures hold the truth (mpmath, 60 digits), the grammar is strict."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import mpmath
import pytest

from tlcheck.errors import InvalidInput
from tlcheck.readers.expressions import is_name, parse_expression
from tlcheck.trusted.arith.arb import Arb, ball, working_precision
from tlcheck.trusted.calculus.affine_pieces import TooManyPieces, affine_pieces
from tlcheck.trusted.calculus.expression import Expression, is_total, text, variables
from tlcheck.trusted.calculus.expression_series import evaluate
from tlcheck.trusted.calculus.layers import ACTIVATIONS, Layer, ScalarNetwork
from tlcheck.trusted.calculus.network_series import compiled
from tlcheck.trusted.calculus.ranges import hull, square, times
from tlcheck.trusted.calculus.series import FUNCTIONS, NotSmooth, Series, Undefined, variable

F = Fraction
mp = mpmath.mp.clone()
mp.dps = 60

REAL: dict[str, Callable[[Any], Any]] = {
    "abs": abs, "cos": mp.cos, "exp": mp.exp, "linear": lambda x: x, "log": mp.log, "relu": lambda x: max(x, mp.mpf(0)),
    "sigmoid": lambda x: 1 / (1 + mp.exp(-x)), "sin": mp.sin, "sqrt": mp.sqrt, "tanh": mp.tanh,
}  # fmt: skip


def exact(q: Fraction) -> Any:
    return mp.mpf(q.numerator) / q.denominator


def holds(x: Arb, value: Any, room: float = 1e-40) -> bool:
    """``value`` lies in the ball, but for the oracle's own error."""
    low, high = (mp.mpf(str(end.str(60, radius=False))) for end in (x.lower(), x.upper()))
    margin = room * (1 + abs(value))
    return bool(low - margin <= value <= high + margin)


def parse(source: str) -> Expression:
    return parse_expression(source, ("t", "u"))


EXPRESSIONS = [
    "u*(1-u)", "t^3 - 2*t*u + 1/3", "exp(-u^2)/(1 + t^2)", "sin(t)*cos(u) - tanh(t*u)", "log(2 + t + u^2)", "sqrt(3 + t)",
    "(2 + t)^(3/2) / (2 + u)^(-2)", "(3+u)^(-1/3)", "-u^2", "-(-t)", "1 - 2 - 3*t/4/(5+u)", "abs(4 + t) * pi", "tanh(exp(t) - 1/(2+u))",
    "t*t*t - u*u", "exp(sin(cos(t)))", ".5*t + 5.*u + 1e-3",
]  # fmt: skip


@pytest.mark.parametrize("source", EXPRESSIONS)
def test_coefficients_hold_the_derivatives(source: str) -> None:
    """Along u = t^2/2 + t/3: at points, and on an interval for points in it."""
    e = parse(source)
    python = source.replace("^", "**").replace("pi", "PI")
    for name in ("(3/2)", "(-2)", "(-1/3)", "1/3", "3*t/4"):
        python = python.replace(name, name.replace("1/3", "mpf(1)/3").replace("3/2", "mpf(3)/2"))
    scope = {**REAL, "PI": mp.pi, "mpf": mp.mpf, "__builtins__": {}}

    def truth(t: Any) -> Any:
        return eval(python, scope, {"t": t, "u": t * t / 2 + t / 3})

    def jet(t: Arb, order: int) -> Series:
        line = variable(t, order)
        curve = parse("t^2/2 + t/3")
        return evaluate(e, {"t": line, "u": evaluate(curve, {"t": line}, order)}, order)

    with working_precision(200):
        on_interval = jet(ball(F(-1, 4)).union(ball(F(3, 4))), 3)
        for point in (F(-1, 4), F(1, 7), F(3, 4)):
            at_point = jet(ball(point), 3)
            # 1e-3 and .5 are decimals: the oracle's own error is a double's.
            room = 1e-12 if "." in source else 1e-20
            for k, value in enumerate(mp.taylor(truth, exact(point), 3)):
                assert holds(at_point[k], value, room), (k, at_point[k], value)
                assert holds(on_interval[k], value, room)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_functions_enclose_on_balls_of_every_size(name: str) -> None:
    rng = random.Random(name)
    with working_precision(128):
        for _ in range(60):
            middle, radius = F(rng.randint(-400, 400), 64), F(rng.choice([0, 1, 64, 200, 5000]), 256)
            x = hull(ball(middle - radius), ball(middle + radius))
            slope = Arb(rng.randint(-3, 3)) / 2
            for order in (3, 1, 0):
                try:
                    series = FUNCTIONS[name]([x, slope, Arb(1) / 3, Arb(0)][: order + 1])
                    break
                except (Undefined, NotSmooth):
                    series = []
            if not series or not series[0].is_finite():
                continue
            for _ in range(4):
                c = exact(middle + radius * F(rng.randint(-64, 64), 64))
                s = exact(F(str(slope.mid())))
                coefficients = [c, s, mp.mpf(1) / 3][: len(series)]
                truth = mp.taylor(
                    lambda h, c=coefficients: REAL[name](sum(a * h**k for k, a in enumerate(c))),
                    0,
                    len(series) - 1,
                )
                if name in ("abs", "relu") and len(series) == 2:
                    truth = [truth[0], *([s * (c > 0) if name == "relu" else s * mp.sign(c)] if c else [])]
                for ours, theirs in zip(series, truth, strict=False):
                    assert holds(ours, theirs, 1e-18), (name, order, x, ours, theirs)


def test_hull_contains_and_keeps_the_sign() -> None:
    rng = random.Random(5)
    with working_precision(128):
        for _ in range(2000):
            a, b = (F(rng.randint(-9, 9), rng.choice([1, 2, 3, 7, 2**40])) for _ in range(2))
            found = hull(ball(a), ball(b))
            for q in (a, b, (a + b) / 2):
                assert found.contains(ball(q).mid())
            if min(a, b) == 0:
                assert found >= 0
            if max(a, b) == 0:
                assert found <= 0
            assert found.rad() <= (ball(abs(a - b)) + ball(F(1, 10**20))) * 0.6
        assert not hull(Arb("nan"), Arb(1)).is_finite() and not hull(Arb("inf"), Arb(1)).is_finite()
        zero_to_two = hull(Arb(0), Arb(2))
        assert times(zero_to_two, zero_to_two) >= 0 and square(Arb(0, 1)) >= 0
        assert square(Arb(-3, 1)).contains(Arb(4)) and square(Arb(-3, 1)).contains(Arb(16))


def test_exact_zero_stays_exact() -> None:
    zero = [Arb(0)] * 3
    with working_precision(128):
        for name in ("sin", "tanh", "linear"):
            assert all(c == 0 and c.is_exact() for c in FUNCTIONS[name](zero))
        values = evaluate(parse("u*(1-u)*exp(t) + 0.1*u"), {"u": zero, "t": variable(Arb(0, 1), 2)}, 2)
        assert all(c == 0 for c in values)


@pytest.mark.parametrize(
    ("source", "u", "order", "certain"),
    [
        ("1/u", F(0), 0, True), ("log(u)", F(0), 0, True), ("log(u)", F(-1), 0, True), ("sqrt(u)", F(-1), 0, True),
        ("sqrt(u)", F(0), 1, False), ("u^(-2)", F(0), 0, True), ("u^(1/3)", F(-1), 0, True), ("u^(-1/3)", F(0), 0, True),
    ],
)  # fmt: skip
def test_outside_the_domain(source: str, u: Fraction, order: int, certain: bool) -> None:
    e = parse(source)
    with pytest.raises(Undefined) as caught:
        evaluate(e, {"u": variable(ball(u), order)}, order)
    assert caught.value.certain is certain and not is_total(e)
    with pytest.raises(Undefined) as caught:
        evaluate(e, {"u": [Arb(0, 1)]}, 0)
    assert not caught.value.certain


def test_the_root_of_zero_is_a_value_but_not_a_derivative() -> None:
    assert evaluate(parse("sqrt(u)"), {"u": [Arb(0)]}, 0)[0] == 0
    assert evaluate(parse("sqrt(u)"), {"u": [Arb(4)]}, 0)[0] == 2


def test_kinks() -> None:
    with pytest.raises(NotSmooth):
        evaluate(parse("abs(u)"), {"u": variable(Arb(0, 1), 2)}, 2)
    both_sides = evaluate(parse("abs(u)"), {"u": variable(Arb(0), 1)}, 1)
    assert both_sides[1].contains(Arb(-1)) and both_sides[1].contains(Arb(1))


@pytest.mark.parametrize("source", EXPRESSIONS)
def test_printing_reads_back(source: str) -> None:
    e = parse(source)
    again = parse(text(e))
    for u in (F(1, 3), F(5, 4)):
        at = {"t": [ball(F(2, 7))], "u": [ball(u)]}
        assert evaluate(e, at, 0)[0].overlaps(evaluate(again, at, 0)[0])
    assert text(again) == text(e)


def test_precedence() -> None:
    def value(source: str) -> Arb:
        return evaluate(parse(source), {"t": [Arb(2)], "u": [Arb(3)]}, 0)[0]

    assert value("-t^2") == -4 and value("2*-t") == -4 and value("8/2/2") == 2 and value("8/2*2") == 8
    assert value("1-2-3") == -4 and value("--t") == 2 and value("(-t)^2") == 4 and value("t*t*t") == 8
    assert value("t*u*t") == 12 and value("1/t/t") == Arb(1) / 4 and value("t/t*t") == 2


def test_variables_and_names() -> None:
    assert variables(parse("t + sin(t*2)")) == {"t"} and variables(parse("pi")) == frozenset()
    assert is_total(parse("u/3 + exp(u)^2")) and not is_total(parse("u/(1+u^2)"))
    assert [is_name(s) for s in ("u", "x_1", "pi", "sin", "", "1u", "u v", "a" * 40)] == [
        True,
        True,
        *[False] * 6,
    ]


@pytest.mark.parametrize(
    "source",
    [
        "", " ", "u+", "*u", "u v", "2u", "(u", "u)", "sin u", "sin()", "sin(u, t)", "x", "u^u", "u^-1", "u^1.5", "u^2^3",
        "u^(1/0)", "1e", "1..2", "0x10", "nan", "inf", "u == t", "import os", "__import__('os')", "u;t", "u\x00", "1_0", "٣",
        "²", "u²", "+u", "u^", "u^(2", "sin", "u.t", "u[0]", "e", "1e999999999",
    ],
)  # fmt: skip
def test_what_is_no_expression(source: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse(source)
    assert caught.value.code in ("TLC101", "TLC401")


@pytest.mark.parametrize(
    "source",
    ["(" * 60 + "u" + ")" * 60, "-" * 100 + "u", "u^65", "1" + "+1" * 20_000, "sin(" * 50 + "u" + ")" * 50],
)
def test_limits(source: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse(source)
    assert caught.value.code == "TLC401"


def test_long_sums_do_not_nest() -> None:
    e = parse("+".join(["u"] * 5000))
    assert evaluate(e, {"u": [Arb(1)]}, 0)[0] == 5000 and len(text(e)) > 5000


def test_random_text_never_crashes() -> None:
    rng = random.Random(11)
    for _ in range(3000):
        source = "".join(
            rng.choice(["u", "t", "1", "2.5", "+", "-", "*", "/", "^", "(", ")", "sin", "log", " ", "pi"])
            for _ in range(rng.randint(1, 12))
        )
        try:
            e = parse(source)
        except InvalidInput:
            continue
        assert text(parse(text(e))) == text(e)
        with contextlib.suppress(Undefined):
            evaluate(e, {"u": [Arb(0, 1)], "t": [Arb(2)]}, 0)


def random_network(rng: random.Random, activation: str, width: int = 4, depth: int = 3) -> ScalarNetwork:
    def number() -> Fraction:
        return F(rng.randint(-40, 40), 16)

    sizes = [1, *[width] * (depth - 1), 1]
    return ScalarNetwork(
        tuple(
            Layer(
                tuple(tuple(number() for _ in range(n)) for _ in range(m)),
                tuple(number() for _ in range(m)),
                activation if k < depth - 1 else "linear",
            )
            for k, (n, m) in enumerate(zip(sizes, sizes[1:], strict=False))
        )
    )


def network_value(network: ScalarNetwork, t: Any, number: Callable[[Fraction], Any]) -> Any:
    x = [t]
    for layer in network.layers:
        x = [
            sum((number(w) * v for w, v in zip(row, x, strict=False)), number(b))
            for row, b in zip(layer.weight, layer.bias, strict=False)
        ]
        if layer.activation == "relu":
            x = [v if v > 0 else 0 * v for v in x]
        elif layer.activation != "linear":
            x = [REAL[layer.activation](v) for v in x]
    return x[0]


@pytest.mark.parametrize("activation", [a for a in ACTIVATIONS if a != "relu"])
def test_network_jets(activation: str) -> None:
    rng = random.Random(activation)
    for _ in range(3):
        network = random_network(rng, activation)
        with working_precision(160):
            run = compiled(network)
            whole = run(variable(hull(ball(F(1, 8)), ball(F(1, 4))), 3))
            for t in (F(1, 8), F(1, 5), F(1, 4)):
                truth = mp.taylor(lambda s, n=network: network_value(n, s, exact), exact(t), 3)
                for ours, wide, theirs in zip(run(variable(ball(t), 3)), whole, truth, strict=True):
                    assert holds(ours, theirs, 1e-18) and holds(wide, theirs, 1e-18)


def test_affine_pieces_are_the_network_exactly() -> None:
    rng = random.Random(3)
    for _ in range(20):
        network = random_network(rng, "relu", width=5, depth=4)
        pieces = affine_pieces(network, F(-3), F(7, 3), 1000)
        assert pieces[0].start == -3 and pieces[-1].end == F(7, 3)
        assert all(p.end == q.start for p, q in zip(pieces, pieces[1:], strict=False))
        for p in pieces:
            for t in (p.start, p.end, (p.start + 2 * p.end) / 3):
                assert p.value + p.slope * t == network_value(network, t, lambda q: q)
    with pytest.raises(TooManyPieces):
        affine_pieces(random_network(random.Random(1), "relu", 12, 4), F(-3), F(3), 2)
    (point,) = affine_pieces(network, F(1), F(1), 1)
    assert point.value + point.slope == network_value(network, F(1), lambda q: q)


def test_relu_jets_on_balls_enclose_both_sides() -> None:
    rng = random.Random(8)
    for _ in range(20):
        network = random_network(rng, "relu")
        run = compiled(network)
        value, slope = run(variable(hull(ball(F(-1)), ball(F(1))), 1))
        for p in affine_pieces(network, F(-1), F(1), 1000):
            assert slope.contains(ball(p.slope)) and value.contains(ball(p.value + p.slope * p.start))


def test_networks_that_do_not_fit() -> None:
    for weight, bias in (([[1], [1]], [1]), ([[1, 1]], [1]), ([[]], [1]), ([[1], [1, 2]], [0, 0])):
        with pytest.raises(ValueError):
            ScalarNetwork((Layer(tuple(tuple(map(F, r)) for r in weight), tuple(map(F, bias))),))
    with pytest.raises(ValueError):
        ScalarNetwork(())
    with pytest.raises(ValueError):
        Layer(((F(1),),), (F(1),), "softplus")
