"""Quantities on batches of cells in float64, against Arb, against exact integrals; and arithmetic that is not what it should be."""

from __future__ import annotations

from fractions import Fraction as F

import numpy as np
import pytest

from tlcheck.readers.expressions import parse_expression
from tlcheck.trusted.arith.arb import Arb, ball, working_precision
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.calculus.expression import Expression
from tlcheck.trusted.calculus.ranges import Box
from tlcheck.trusted.decide import decide_conditions
from tlcheck.trusted.graph import Graph, Node
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.affine import Linear
from tlcheck.trusted.ops.base import Operation
from tlcheck.trusted.ops.s_shaped import Sigmoid, Tanh
from tlcheck.trusted.ops.smooth import Exp, Softplus
from tlcheck.trusted.ops.structure import Input
from tlcheck.trusted.science.cells import cells
from tlcheck.trusted.science.pinn_domain import IntegralClaim, SupremumClaim
from tlcheck.trusted.science.quantities import Quantity
from tlcheck.trusted.science.quantities64 import FloatsDisagree, found
from tlcheck.trusted.taylor.models64 import Engine64
from tlcheck.trusted.taylor.network_models import TaylorNetwork
from tlcheck.trusted.verdict import Verdict

TREE = "01..10..1.."
NAMES = ("u", "u_t", "u_x", "t", "x")


def network(op: Operation | None, seed: int = 0) -> TaylorNetwork:
    """2-5-1; without an operation: linear."""
    rng = np.random.default_rng(seed)
    first, last = (rng.normal(0, 0.8, shape) for shape in ((2, 5), (5, 1)))
    nodes = [
        Node(Input((2,)), (), (2,)),
        Node(Linear(Constant(first), Constant(rng.normal(0, 1, 5))), (0,), (5,)),
    ]
    if op is not None:
        nodes.append(Node(op, (1,), (5,)))
    nodes.append(Node(Linear(Constant(last), None), (len(nodes) - 1,), (1,)))
    return TaylorNetwork(Graph(tuple(nodes), (len(nodes) - 1,), ("x",), ("u",)))


def quantity(op: Operation | None, text: str, domain: Box = ((F(0), F(1)), (F(-1), F(1, 3)))) -> Quantity:
    expression: Expression = parse_expression(text, NAMES)
    return Quantity(network(op), ("t", "x"), ("u",), domain, (expression,))


CASES = {
    "tanh": quantity(Tanh(), "u_t + u*u_x"),
    "sigmoid": quantity(Sigmoid(), "u_x - exp(-t)*u"),
    "softplus": quantity(Softplus(), "sin(x)*u - t"),
    "exp": quantity(Exp(), "u_t - u"),
    "relu": quantity(Relu(), "u"),
    "thirds": quantity(Tanh(), "u", ((F(1, 3), F(2, 3)), (F(-1, 7), F(5, 7)))),
    "tiny cells": quantity(Tanh(), "u - 1/3", ((F(1, 3), F(1, 3) + F(1, 10**17)), (F(0), F(1, 10**17)))),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("norm", ["sup", "L1", "L2"])
def test_arb_agrees(name: str, norm: str) -> None:
    """Values at points of the cells lie in the ranges; integrals meet Arb's; and both are about as narrow as Arb's."""
    q, rng = CASES[name], np.random.default_rng(1)
    these = cells(q.domain, TREE)
    with working_precision(128):
        values = found(q, these, 4, norm)
        for k, cell in enumerate(these):
            point = tuple(
                (a + (b - a) * F(int(w), 16),) * 2
                for (a, b), w in zip(cell, rng.integers(0, 17, 2), strict=True)
            )
            assert values.ranges[k].overlaps(q.over(point, 0, {}))
            by_balls = q.over(cell, 4, {})
            assert values.ranges[k].overlaps(by_balls) and close(values.ranges[k], by_balls)
            if norm != "sup":
                volume = ball((cell[0][1] - cell[0][0]) * (cell[1][1] - cell[1][0]))
                mean = q.mean_over(cell, 4, {}, norm)
                assert values.integrals[k].overlaps(volume * mean)
                if name != "tiny cells":  # the box around one is much larger
                    assert close(values.integrals[k], volume * mean)


def close(x: Arb, y: Arb) -> bool:
    """Radii alike, but for rounding."""
    return bool(x.rad() <= y.rad() * Arb("1.01") + (abs(y).upper() + 1) * Arb(2) ** -40)


def test_integrals_of_polynomials_are_known() -> None:
    """u = a t + b x + c: the integral of u^2, in rationals."""
    q = quantity(None, "u")
    graph = q.network.graph
    first, last = (graph.nodes[k].op.weight.mid for k in (1, 2))
    offset = graph.nodes[1].op.bias.mid
    exact = [[F(float(v)) for v in row] for row in first]
    w = [F(float(v)) for v in last[:, 0]]
    a, b = (sum(x * y for x, y in zip(row, w, strict=True)) for row in exact)
    c = sum(F(float(x)) * y for x, y in zip(offset, w, strict=True))
    (t0, t1), (x0, x1) = q.domain

    def power(low: F, high: F, n: int) -> F:
        return (high ** (n + 1) - low ** (n + 1)) / (n + 1)

    terms = (
        (a * a, 2, 0),
        (b * b, 0, 2),
        (c * c, 0, 0),
        (2 * a * b, 1, 1),
        (2 * a * c, 1, 0),
        (2 * b * c, 0, 1),
    )
    truth = sum(k * power(t0, t1, i) * power(x0, x1, j) for k, i, j in terms)
    values = found(q, cells(q.domain, TREE), 2, "L2").integrals
    with working_precision(128):
        total = sum(values, Arb(0))
        assert total.contains(ball(truth)) and total.rad() < Arb(2) ** -40


@pytest.mark.parametrize("name", [n for n in CASES if n != "tiny cells"])
def test_what_is_false_by_a_little_is_not_certified(name: str) -> None:
    q = CASES[name]
    corner = tuple((b,) * 2 for _, b in q.domain)
    with working_precision(128):
        value = q.over(corner, 0, {})
    below = F(float(value.abs_lower())) * (1 - F(1, 10**12))
    claim = SupremumClaim("part", q, below, 4, TREE).in_float64()
    assert decide_conditions(claim, 128).verdict is not Verdict.CERTIFIED


@pytest.mark.parametrize("norm", ["L1", "L2"])
def test_integrals_both_ways(norm: str) -> None:
    q = CASES["tanh"]
    with working_precision(128):
        total = sum(found(q, cells(q.domain, TREE), 6, norm).integrals, Arb(0))
        high, low = F(float(total.upper())), F(float(total.lower()))
    step = F(1, 10**6)
    for at_most, at_least, verdict in (
        (high + step, low - step, Verdict.CERTIFIED),
        (low - step, None, Verdict.REFUTED),
        (high + step, high + step, Verdict.REFUTED),
    ):
        claim = IntegralClaim("part", q, norm, at_most, 6, TREE, at_least).in_float64()
        assert decide_conditions(claim, 128).verdict is verdict


def test_functions_that_are_not_defined_everywhere_are_left_to_arb() -> None:
    """sqrt(t) on [0, 1]: no model near 0, in either arithmetic; log(t + 1) on it: in both."""
    undefined = quantity(Tanh(), "sqrt(t)")
    assert not found(undefined, [undefined.domain], 3, "sup").ranges[0].is_finite()
    claim = SupremumClaim("part", undefined, F(5), 3, ".").in_float64()
    assert decide_conditions(claim, 128).verdict is Verdict.UNPROVEN
    defined = quantity(Tanh(), "log(t + 1)")
    assert found(defined, [defined.domain], 3, "L1").integrals[0].is_finite()


def test_a_domain_beyond_the_doubles() -> None:
    q = quantity(Tanh(), "u", ((F(0), F(10) ** 400), (F(0), F(1))))
    assert not any(v.is_finite() for v in found(q, [q.domain], 3, "L2").integrals)


def test_sums_that_are_wrong_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What arithmetic of ten bits would do."""
    honest = Engine64.affine

    def cut(self: Engine64, weight: object, x: object) -> object:
        made = honest(self, weight, x)  # type: ignore[arg-type]
        made.coefficients[:] = made.coefficients.astype(np.float16)
        return made

    monkeypatch.setattr(Engine64, "affine", cut)
    q = CASES["thirds"]
    with pytest.raises(FloatsDisagree, match="TLC902"):
        found(q, [tuple((a, a + F(1, 10**6)) for a, _ in q.domain)], 4, "sup")
