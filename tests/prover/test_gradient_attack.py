"""The attack along gradients: what it finds is in the box and seems to hold; hidden counterexamples are found."""

from __future__ import annotations

from fractions import Fraction
from math import inf

import numpy as np
import pytest

from tests.prover.test_neuron_search import dense_net
from tlcheck import timer
from tlcheck.prover.engine import Engine, never
from tlcheck.prover.gradient_attack import MOST_FOUND, STARTS, STEPS, GradientAttack
from tlcheck.prover.refute import Refuter
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.claim import SatClaim
from tlcheck.trusted.decide import decide_sat
from tlcheck.trusted.graph import Graph, Node
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.affine import Linear
from tlcheck.trusted.ops.s_shaped import Tanh
from tlcheck.trusted.ops.structure import Input
from tlcheck.trusted.query import Disjunct, InputBox, LinearConstraint, Query
from tlcheck.trusted.verdict import Verdict

F = Fraction
INPUTS = 6


def bump(centre: np.ndarray, height: float = 1.0) -> Graph:
    """y_0 = height - 2 sum_i |x_i - centre_i|, y_1 = x_0."""
    eye = np.eye(INPUTS)
    first = Linear(
        Constant(np.concatenate([eye, -eye, eye[:1].T], axis=1)),
        Constant(np.concatenate([-centre, centre, [4.0]])),
    )
    last = np.zeros((2 * INPUTS + 1, 2))
    last[: 2 * INPUTS, 0], last[-1, 1] = -2, 1
    second = Linear(Constant(last), Constant(np.array([height, -4.0])))
    size = 2 * INPUTS + 1
    nodes = (
        Node(Input((1, INPUTS)), (), (1, INPUTS)), Node(first, (0,), (1, size)), Node(Relu(), (1,), (1, size)),
        Node(second, (2,), (1, 2)),
    )  # fmt: skip
    return Graph(nodes, (3,), ("x",), ("y",))


def query(least: float, low: float = -1, high: float = 1) -> Query:
    """y_0 >= least and y_1 >= -1."""
    rows = tuple(LinearConstraint((), ((j, F(-1)),), F(-b)) for j, b in ((0, F(least)), (1, F(-1))))
    box = InputBox((F(low),) * INPUTS, (F(high),) * INPUTS)
    return Query(INPUTS, 2, (Disjunct(box, rows),))


def centre(seed: int) -> np.ndarray:
    return np.round(np.random.default_rng(seed).uniform(-0.9, 0.9, INPUTS) * 64) / 64


@pytest.mark.parametrize("seed", range(4))
def test_hidden_counterexamples_are_found(seed: int) -> None:
    """The set where y_0 >= 0.8 holds a share of about 1e-9 of the box."""
    graph, asked = bump(centre(seed)), query(0.8)
    found = list(GradientAttack(Engine(graph), asked, seed).points([0], lambda: False))
    assert found and len(found) <= 2 * MOST_FOUND
    assert all(number == 0 and (np.abs(x) <= 1).all() for number, x in found)
    witness = Refuter(graph, asked, seed=seed).quick(inf)
    assert witness is not None
    assert decide_sat(SatClaim(graph, asked, witness)).verdict is Verdict.CERTIFIED


@pytest.mark.parametrize("seed", range(3))
def test_constraints_that_hold_each_other_off_are_solved_together(seed: int) -> None:
    """Three outputs of a network each between limits 2e-5 apart."""
    rng = np.random.default_rng([seed, 4])
    engine = Engine(dense_net(rng, Tanh(), (INPUTS, 12, 12, 3)))
    x = rng.uniform(-0.9, 0.9, (1, INPUTS))
    y = engine.outputs(engine.values(x))[0]
    rows = tuple(
        LinearConstraint((), ((j, F(sign)),), F(float(sign * y[j])) + F(1, 100_000))
        for j in range(3)
        for sign in (1, -1)
    )
    box = InputBox((F(-1),) * INPUTS, (F(1),) * INPUTS)
    found = [
        x for _, x in GradientAttack(engine, Query(INPUTS, 3, (Disjunct(box, rows),))).points([0], never)
    ]
    assert found
    outputs = engine.outputs(engine.values(np.array(found)))
    assert (np.abs(outputs - y) <= 1.01e-5).all() and (np.abs(found) <= 1).all()


def test_the_same_seed_finds_the_same(seed: int = 3) -> None:
    graph, asked = bump(centre(seed)), query(0.8)
    once, again = (
        [x.tolist() for _, x in GradientAttack(Engine(graph), asked, 5).points([0], lambda: False)]
        for _ in range(2)
    )
    assert once == again


def test_nothing_is_found_where_there_is_nothing() -> None:
    graph, asked = bump(centre(0)), query(1.01)
    attack = GradientAttack(Engine(graph), asked)
    assert list(attack.points([0], lambda: False)) == []
    assert 0 < attack.closest[0][0] < 1, "and it came near"
    assert Refuter(graph, asked).quick(inf) is None


def test_given_points_are_starts() -> None:
    """From the only place where it holds."""
    graph, asked = bump(centre(1), height=1e-6), query(0)
    assert next(GradientAttack(Engine(graph), asked).points([0], lambda: False, [centre(1)]))[0] == 0


def test_the_disjunct_that_starts_nearly_satisfy_comes_first() -> None:
    graph, (far,), (near,) = bump(centre(1)), query(1.01).disjuncts, query(0.5).disjuncts
    attack = GradientAttack(Engine(graph), Query(INPUTS, 2, (far, near)))
    assert next(attack.points([0, 1], lambda: False, [centre(1)]))[0] == 1
    assert list(attack.closest) == [1], "the other was not tried yet"


def test_it_stops_when_told() -> None:
    looks = 0

    def over() -> bool:
        nonlocal looks
        looks += 1
        return looks > 3

    assert list(GradientAttack(Engine(bump(centre(0))), query(1.01)).points([0], over)) == []
    assert looks <= 5 < STEPS < STARTS * STEPS


def test_a_box_of_one_point_and_an_empty_one() -> None:
    graph = bump(np.zeros(INPUTS))
    assert Refuter(graph, query(0.8, 0, 0)).quick(inf) == (F(0),) * INPUTS
    assert Refuter(graph, query(0.8, 1, -1)).quick(inf) is None


def test_time_is_over_at_once() -> None:
    assert Refuter(bump(centre(0)), query(0.8)).quick(timer.now() - 1) is None
