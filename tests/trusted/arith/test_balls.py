"""Formulas of constants, and evaluation at exact points: sharp at any precision, and never without the exact value."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest

from tlcheck.readers.onnx import exact
from tlcheck.trusted.arith.arb import Arb, arb, working_precision
from tlcheck.trusted.arith.balls import constant_balls, formula_balls
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.formula import (
    MAX_OPERATIONS,
    Applied,
    Formula,
    Moved,
    Rationals,
    Stored,
    formula_of,
    gathered,
    pi,
    rational,
)
from tlcheck.trusted.evaluate import MOST_BITS, Evaluator, evaluate
from tlcheck.trusted.graph import Graph, Node
from tlcheck.trusted.ops.affine import Linear, Scale, Sum
from tlcheck.trusted.ops.base import Operation, Undecided
from tlcheck.trusted.ops.convolution import Conv
from tlcheck.trusted.ops.discrete import Floor
from tlcheck.trusted.ops.smooth import Exp, Log, Reciprocal
from tlcheck.trusted.ops.structure import Input

THIRD = rational(1, 3)


def fraction_of(x: Arb) -> Fraction:
    man, power = x.man_exp()
    return Fraction(int(man)) * Fraction(2) ** int(power)


def holds(ball: Arb, q: Fraction) -> bool:
    return abs(fraction_of(ball.mid()) - q) <= fraction_of(ball.rad())


def exact_mpf(f: Callable[[], Any], bits: int = 2000) -> Fraction:
    with mpmath.workprec(bits):
        return Fraction(*(int(v) for v in mpmath.libmp.to_rational(f()._mpf_)))


FORMULAS: dict[str, tuple[Formula, Callable[[], Any]]] = {
    "quotient": (THIRD, lambda: mpmath.mpf(1) / 3),
    "sum": (THIRD + 0.1, lambda: mpmath.mpf(1) / 3 + mpmath.mpf(0.1)),
    "difference": (2 - THIRD, lambda: 2 - mpmath.mpf(1) / 3),
    "product": (0.1 * THIRD, lambda: mpmath.mpf(0.1) / 3),
    "factor": (1.5 / (rational(0.7) + 1e-5).sqrt(), lambda: mpmath.mpf(1.5) / mpmath.sqrt(mpmath.mpf(0.7) + mpmath.mpf(1e-5))),
    "root of 2 / pi": ((2 / pi()).sqrt(), lambda: mpmath.sqrt(2 / mpmath.mp.pi)),
    "logarithm": (rational(3).log(), lambda: mpmath.log(3)),
    "magnitude": (abs(-THIRD), lambda: mpmath.mpf(1) / 3),
}  # fmt: skip


@pytest.mark.parametrize("bits", [53, 128, 1024])
@pytest.mark.parametrize("name", FORMULAS)
def test_a_formula_is_sharp_at_any_precision(name: str, bits: int) -> None:
    formula, meaning = FORMULAS[name]
    value = exact_mpf(meaning)
    with working_precision(bits):
        (ball,) = formula_balls(formula)
    assert abs(fraction_of(ball.mid()) - value) <= fraction_of(ball.rad()) + Fraction(1, 2**1900)
    assert fraction_of(ball.rad()) <= abs(value) / 2 ** (bits - 4)


@pytest.mark.parametrize("name", FORMULAS)
def test_the_constant_made_of_it_encloses_the_same(name: str) -> None:
    formula, meaning = FORMULAS[name]
    made = exact.evaluated(formula)
    assert made.rad is not None and made.formula is formula
    assert abs(Fraction(float(made.mid)) - exact_mpf(meaning)) <= Fraction(float(made.rad))
    widened = exact.widen(made, 2.0**-20, 0.0)
    assert widened.formula is formula  # float32 may round it; the number stays what it is
    assert widened.rad is not None and float(widened.rad) > abs(float(made.mid)) * 2.0**-20


def test_entries_broadcast_and_move() -> None:
    table = Stored(np.array([[1.0, 2.0, 4.0], [3.0, 6.0, 12.0]])) / Stored(np.array([3.0, 6.0, 7.0]))
    picked = table.moved(lambda a: a.T[::-1, 1:])
    padded = Moved((picked, THIRD), np.array([[0, -1], [3, 2]]))
    values = [Fraction(12, 7), Fraction(0), Fraction(1, 3), Fraction(1)]
    assert picked.shape == (3, 1) and padded.shape == (2, 2)
    for ball, value in zip(formula_balls(padded), values, strict=True):
        assert holds(ball, value) and ball.rad() < 2.0**-40


def test_what_is_not_picked_is_not_computed() -> None:
    table = Stored(np.ones((1000, 1000))) / Stored(np.full(1000, 3.0))
    (ball,) = formula_balls(table.moved(lambda a: a[-1:, 5]))  # a million quotients would take seconds
    assert holds(ball, Fraction(1, 3))
    empty = table.moved(lambda a: a[:0])
    assert empty.shape == (0, 1000) and formula_balls(empty) == []


def test_what_is_shared_counts_as_often_as_it_is_used() -> None:
    value = exact.evaluated(THIRD)
    for _ in range(60):
        value = exact.enclose(lambda a: 3 * (a * a), value)  # 2^60 factors, written out
        assert formula_of(value).operations <= MAX_OPERATIONS
    assert holds(constant_balls(value)[0], Fraction(1, 3))


def test_long_formulas_are_kept_as_enclosures() -> None:
    value = Constant(np.array(1.0))
    for k in range(2 * MAX_OPERATIONS):
        value = exact.divide(exact.multiply(value, Constant(np.array(3.0))), Constant(np.array(3.0 + k % 2)))
    assert value.rad is not None and value.rad < 1e-9
    assert formula_of(value).operations <= MAX_OPERATIONS
    assert holds(constant_balls(value)[0], Fraction(3, 4) ** MAX_OPERATIONS)


@pytest.mark.parametrize("make", [
    lambda: Constant(np.array(0.5), None, THIRD),
    lambda: Constant(np.array([0.5]), np.array([0.5]), THIRD),
    lambda: Applied("over", (THIRD,)),
    lambda: Applied("cube", (THIRD,)),
    lambda: Moved((THIRD,), np.array([1])),
    lambda: Moved((THIRD,), np.array([-2])),
    lambda: Rationals((2,), (Fraction(1),)),
    lambda: exact.evaluated(1 / rational(0)),
    lambda: exact.evaluated(rational(-1).sqrt()),
])  # fmt: skip
def test_malformed_formulas_are_refused(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError):
        make()


def test_formulas_travel_between_processes() -> None:
    again = pickle.loads(pickle.dumps(exact.evaluated((2 / pi()).sqrt())))
    (ball,) = constant_balls(again)
    assert ball.rad() < 2.0**-40 and ball.overlaps(arb(2 / np.pi).sqrt() + arb(0, 2.0**-50))


# Graphs.


def chain(shape: tuple[int, ...], *ops: Operation) -> Graph:
    nodes = [Node(Input(shape), (), shape, "x")]
    for op in ops:
        nodes.append(Node(op, (len(nodes) - 1,), op.output_shape((nodes[-1].shape,)), type(op).__name__))
    return Graph(tuple(nodes), (len(nodes) - 1,), ("x",), ("y",))


def spread(shape: tuple[int, ...]) -> Constant:
    """1/3, 2/3, .. with radii of float32's size: as where a constant is rounded by executions."""
    size = int(np.prod(shape))
    numbers = Rationals(shape, tuple(Fraction(k + 1, 3) for k in range(size)))
    mid = np.array([float(q) for q in numbers.values]).reshape(shape)
    return Constant(mid, np.full(shape, 2.0**-20), numbers)


def test_every_operation_takes_the_formula() -> None:
    """Entries in their places: the outputs are these rationals, to the working precision."""
    two = [Fraction(1, 7), Fraction(-2)]
    cases: list[tuple[Graph, list[Fraction]]] = [
        (chain((1, 2), Linear(spread((2, 2)), spread((2,)), 0)),
         [two[0] / 3 + two[1] + Fraction(1, 3), two[0] * Fraction(2, 3) + two[1] * Fraction(4, 3) + Fraction(2, 3)]),
        (chain((1, 2), Scale(spread((2,)), spread((1, 1)), 0)),
         [two[0] / 3 + Fraction(1, 3), two[1] * Fraction(2, 3) + Fraction(1, 3)]),
        (chain((1, 2, 1), Conv(spread((2, 1, 1)), spread((2,)), (1,), (1,), (0,), (0,), 2)),
         [two[0] / 3 + Fraction(1, 3), two[1] * Fraction(2, 3) + Fraction(2, 3)]),
    ]  # fmt: skip
    for graph, values in cases:
        for bits in (128, 700):
            with working_precision(bits):
                for ball, value in zip(evaluate(graph, [two]).outputs, values, strict=True):
                    assert holds(ball, value)
                    assert fraction_of(ball.rad()) <= Fraction(1, 2 ** (bits - 8))


def test_an_evaluator_serves_precisions_in_any_order() -> None:
    evaluator = Evaluator(chain((1,), Scale(exact.evaluated(THIRD), None, 0)))
    radii = []
    for bits in (128, 512, 128):
        with working_precision(bits):
            (y,) = evaluator.evaluate([[Fraction(1)]]).outputs
        assert holds(y, Fraction(1, 3))
        radii.append(fraction_of(y.rad()))
    assert radii[1] < Fraction(1, 2**500) and radii[0] == radii[2]


def test_cancellation_is_computed_away() -> None:
    """(x + 2^200) - 2^200, in three operations: at 128 bits x is lost."""
    big = Constant(np.array(2.0**200))
    lift = [Scale(Constant(np.array(1.0)), c, 0) for c in (big, Constant(-big.mid))]
    with working_precision(128):
        (y,) = evaluate(chain((1,), *lift), [[Fraction(1, 3)]]).outputs
    assert holds(y, Fraction(1, 3)) and fraction_of(y.rad()) < Fraction(1, 2**48)


def test_radii_of_a_box_are_not_computed_away() -> None:
    identity = chain((1,), Scale(Constant(np.array(1.0)), None, 0))
    with working_precision(128):
        (y,) = evaluate(identity, [[arb(1, 2.0**-30)]]).outputs
    assert holds(y, 1 + Fraction(1, 2**30)) and holds(y, 1 - Fraction(1, 2**30))


def test_a_value_that_is_zero_ends_the_search() -> None:
    """log(exp(x)) - x: no precision makes the radius small beside the value."""
    nodes = chain((1,), Exp(), Log()).nodes
    graph = Graph((*nodes, Node(Sum((1, -1)), (2, 0), (1,), "d")), (3,), ("x",), ("y",))
    with working_precision(128):
        (y,) = evaluate(graph, [[Fraction(1, 3)]]).outputs
    assert holds(y, Fraction(0)) and fraction_of(y.rad()) <= Fraction(1, 2**256)


def test_what_has_no_value_or_is_not_decided_stays_so() -> None:
    with working_precision(128):
        (y,) = evaluate(chain((1,), Reciprocal()), [[Fraction(0)]]).outputs
        assert not y.is_finite()
        with pytest.raises(Undecided):  # log(exp(1)) is 1, and no enclosure says so
            evaluate(chain((1,), Exp(), Log(), Floor()), [[Fraction(1)]])
        # 2^-500 below 1: decided with more bits than were asked for
        (z,) = evaluate(chain((1,), Exp(), Log(), Floor()), [[1 - Fraction(1, 2**500)]]).outputs
    assert z == 0 and MOST_BITS > 500


def test_inputs_are_rationals_or_finite_balls() -> None:
    graph = chain((1,), Reciprocal())
    with pytest.raises(ValueError, match="not finite"):
        evaluate(graph, [[arb("nan")]])
    with pytest.raises(ValueError, match="sizes"):
        evaluate(graph, [[Fraction(1), Fraction(2)]])


def test_moves_of_moves() -> None:
    """However often they move, entries are what they were, and the formula stays short."""
    rng = np.random.default_rng(0)
    names = [Rationals((3,), tuple(Fraction(10 * k + i, 7) for i in range(3))) for k in range(3)]
    made: list[tuple[Formula, list[Fraction]]] = [(part, list(part.values)) for part in names]
    for _ in range(200):
        picked = [made[int(k)] for k in rng.integers(0, len(made), 2)]
        flat = [v for _, values in picked for v in values]
        index = rng.integers(-1, len(flat), (2, 2))
        values = [flat[i] if i >= 0 else Fraction(0) for i in index.reshape(-1).tolist()]
        made.append((gathered([part for part, _ in picked], index), values))
        assert made[-1][0].operations == 1
        with working_precision(64):
            assert all(holds(b, v) for b, v in zip(formula_balls(made[-1][0]), values, strict=True))
