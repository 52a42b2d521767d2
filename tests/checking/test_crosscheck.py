"""The mpmath engine: right by itself, in agreement with Arb, and able to see a wrong enclosure or line."""

from __future__ import annotations

import ast
import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import mpmath
import numpy as np
import pytest
from mpmath import iv

from tests.helpers import DATA, needs_data
from tests.operations import operations
from tests.trusted.functions import FUNCTIONS, S_SHAPED
from tests.trusted.oracle import KINDS, Rng, random_box
from tests.trusted.test_evaluate import CASES, CURVED, as_fraction, boxes, chain, draws, exact_values
from tlcheck.checking.crosscheck import mp_intervals as crosscheck
from tlcheck.checking.crosscheck import mp_nonlinear
from tlcheck.checking.crosscheck.mp_intervals import (
    TooLarge,
    cross_check_relaxation,
    disagreements,
    mp_evaluate,
)
from tlcheck.trusted.arith.arb import Arb, arb, lower_float, upper_float, working_precision
from tlcheck.trusted.arith.box import Box
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.evaluate import Evaluator, evaluate
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.affine import Linear
from tlcheck.trusted.ops.bent import Abs, Clip, LeakyRelu
from tlcheck.trusted.ops.elementwise import Elementwise
from tlcheck.trusted.ops.lines import Lines, SlopeGuess
from tlcheck.trusted.ops.s_shaped import Sigmoid, Tanh
from tlcheck.trusted.ops.structure import Input

Side = tuple[Fraction, Fraction]


def ends(x: iv.mpf) -> Side:
    low, high = x._mpi_
    return (
        Fraction(*map(int, mpmath.libmp.to_rational(low))),
        Fraction(*map(int, mpmath.libmp.to_rational(high))),
    )


def sides(mids: list[np.ndarray], rads: list[np.ndarray]) -> list[list[Side]]:
    return [
        [
            (Fraction(a) - Fraction(b), Fraction(a) + Fraction(b))
            for a, b in zip(m.tolist(), r.tolist(), strict=True)
        ]
        for m, r in zip(mids, rads, strict=True)
    ]


def meets(x: iv.mpf, ball: Arb) -> bool:
    """The interval and the ball have a point in common (the ball's ends taken outward, to doubles)."""
    low, high = ends(x)
    below, above = lower_float(ball), upper_float(ball)
    return (math.isinf(below) or Fraction(below) <= high) and (math.isinf(above) or Fraction(above) >= low)


# Evaluation.


def test_both_engines_have_the_same_operations() -> None:
    """Functions of one variable without a row here are tried in test_nonlinear.py."""
    assert operations() - set(crosscheck.RULES) - {Input} <= {type(row.op) for row in FUNCTIONS.values()}


@pytest.mark.parametrize("kind", ["normal", "mixed", "huge", "subnormal", "cancelling"])
@pytest.mark.parametrize("name", list(CASES))
def test_contains_the_exact_value_and_meets_arb(name: str, kind: str) -> None:
    rng = np.random.default_rng(len(name) * 10 + len(kind))
    graph = CASES[name](rng, KINDS[kind])
    mids = draws(graph, rng, KINDS[kind])
    slack = Fraction(1, 2**900) if name in CURVED else Fraction(0)
    for width in (0.0, 0.25):
        rads = [np.abs(m) * width for m in mids]
        box = sides(mids, rads)
        found = mp_evaluate(graph, box, 128)
        with working_precision(128):
            balls = evaluate(graph, boxes(mids, rads)).outputs
        assert all(meets(x, ball) for x, ball in zip(found, balls, strict=True))
        for pick in (0, 1, 2):
            point = [[(low, high, (low + high) / 2)[pick] for low, high in x] for x in box]
            values = exact_values(graph, point, rng)[graph.outputs[0]]
            for x, q in zip(found, values, strict=True):
                assert ends(x)[0] - slack <= q <= ends(x)[1] + slack


@pytest.mark.parametrize(
    "name", [n for n in CASES if "rad" not in n and n not in ("scale", "net", "rearrange-fixed")]
)
def test_is_sharp_at_a_point_and_narrows_with_precision(name: str) -> None:
    rng = np.random.default_rng(2)
    graph = CASES[name](rng, KINDS["normal"])
    mids = draws(graph, rng, KINDS["normal"])
    box = sides(mids, [np.zeros_like(m) for m in mids])
    coarse, fine = (mp_evaluate(graph, box, bits) for bits in (64, 128))
    for a, b in zip(coarse, fine, strict=True):
        (al, au), (bl, bu) = ends(a), ends(b)
        assert bu - bl <= Fraction(1, 2**100)
        assert al <= bu and bl <= au


@pytest.mark.parametrize("z", [0.0, 5e-324, 3.0, 700.0, 2.0**19, 2.0**21, 2.0**200, 1.7e308])
@pytest.mark.parametrize("op", [Sigmoid(), Tanh()], ids=["sigmoid", "tanh"])
def test_curves_far_out(op: Elementwise, z: float) -> None:
    with mpmath.workprec(2000):
        for x in (z, -z):
            (found,) = mp_evaluate(chain((1,), op), [[(Fraction(x), Fraction(x))]], 200)
            low, high = ends(found)
            assert high - low <= Fraction(1, 2**190)
            t = mpmath.mpf(max(-1000.0, min(1000.0, x)))
            y = as_fraction(mpmath.tanh(t) if isinstance(op, Tanh) else 1 / (1 + mpmath.exp(-t)))
            assert low - Fraction(1, 2**1400) <= y <= high + Fraction(1, 2**1400)


RING_ARITHMETIC = {"arb", "balls", "ball64", "integer", "packed"}
RING_RULES = {
    "ball",
    "step",
    "image",
    "lines",
    "drawn",
    "curve",
    "derivative",
    "curvature",
    "turn",
    "relaxation",
}


def test_no_arithmetic_of_the_ring_is_used() -> None:
    """Operations bring their own rules along: none is asked here, and no module of their arithmetic is imported."""
    for module in (crosscheck, mp_nonlinear):
        tree = ast.parse(Path(module.__file__ or "").read_text())
        imported = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not {name.rpartition(".")[2] for name in imported if ".arith." in name} & RING_ARITHMETIC
        called = {
            node.func.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        }
        assert not called & RING_RULES


def test_global_precision_is_left_alone() -> None:
    before = iv.prec
    mp_evaluate(chain((1,), Tanh()), [[(Fraction(1, 3), Fraction(1, 2))]], 333)
    assert iv.prec == before


def test_too_much_work_is_refused_before_it_is_done() -> None:
    graph = chain((1, 2000), Linear(Constant(np.ones((2000, 2000), np.float32))))
    with pytest.raises(TooLarge, match="4002000 multiplications"):
        mp_evaluate(graph, [[(Fraction(0), Fraction(0))] * 2000], 64)
    wide = Box(np.zeros((3, 10_000)), np.ones((3, 10_000)))
    with pytest.raises(TooLarge, match="30000 relaxations"):
        cross_check_relaxation(Relu(), wide, Relu().lines(wide))


def test_inputs_that_do_not_fit_are_refused() -> None:
    graph = chain((2,), Relu())
    for bad in ([], [[(Fraction(0), Fraction(1))]], [[(Fraction(1), Fraction(0))] * 2]):
        with pytest.raises(ValueError, match="cross-check"):
            mp_evaluate(graph, bad, 64)
    point = [[(Fraction(0), Fraction(1))] * 2]
    for boxes_ in ({7: Box(np.zeros((1, 2)), np.ones((1, 2)))}, {1: Box(np.zeros((2, 2)), np.ones((2, 2)))}):
        with pytest.raises(ValueError, match="cross-check: box"):
            disagreements(graph, boxes_, point)


# Disagreements.


def claimed(graph: Graph, mids: list[np.ndarray], rads: list[np.ndarray]) -> dict[int, Box]:
    """Arb's enclosures of every node over a box."""
    with working_precision(128):
        kept = evaluate(graph, boxes(mids, rads), keep=range(len(graph.nodes))).kept
    return {
        i: Box(np.array([[lower_float(b) for b in balls]]), np.array([[upper_float(b) for b in balls]]))
        for i, balls in kept.items()
    }


@pytest.mark.parametrize("name", list(CASES))
def test_a_right_box_is_agreed_with_and_a_wrong_one_is_seen(name: str) -> None:
    rng = np.random.default_rng(4)
    graph = CASES[name](rng, KINDS["normal"])
    mids = draws(graph, rng, KINDS["normal"])
    rads = [np.full_like(m, 2.0**-10) for m in mids]
    right = claimed(graph, mids, rads)
    assert disagreements(graph, right, sides(mids, rads)) == []
    node = graph.outputs[0]
    box = right[node]
    k = int(rng.integers(box.lower.shape[1]))
    reach = box.upper[0, k] - box.lower[0, k]
    for shift in (2 * reach + 1e-9, -2 * reach - 1e-9):
        low, high = box.lower.copy(), box.upper.copy()
        low[0, k] += shift
        high[0, k] += shift
        found = disagreements(graph, {**right, node: Box(low, high)}, sides(mids, rads))
        assert len(found) == 3 and all(f"node {node} (" in text and f"value {k}," in text for text in found)


def test_a_box_too_narrow_at_one_corner_is_seen() -> None:
    graph = chain((2,), Abs())
    inputs = [[(Fraction(-1), Fraction(3))] * 2]
    ok = Box(np.array([[0.0, -math.inf]]), np.array([[3.0, math.inf]]))
    assert disagreements(graph, {1: ok}, inputs) == []
    narrow = Box(np.array([[0.0, 0.0]]), np.array([[3.0, math.nextafter(3.0, 0.0)]]))
    (text,) = disagreements(graph, {1: narrow}, inputs)
    assert "value 1, at the upper corner: [3.0, 3.0] outside" in text


@needs_data
def test_acasxu_boxes_agree_and_outputs_meet() -> None:
    from tlcheck.readers.onnx import load_model

    graph = load_model(DATA / "abcrown/acasxu/net_1_1_prop_1/ACASXU_run2a_1_1_batch_2000.onnx")
    rng = np.random.default_rng(0)
    mids, rads = [rng.uniform(-0.5, 0.5, 5)], [np.full(5, 2.0**-12)]
    assert disagreements(graph, claimed(graph, mids, rads), sides(mids, rads)) == []
    with working_precision(128):
        balls = Evaluator(graph).evaluate([[arb(v) for v in mids[0].tolist()]]).outputs
    found = mp_evaluate(graph, sides(mids, [np.zeros(5)]), 128)
    assert all(meets(x, ball) for x, ball in zip(found, balls, strict=True))


# Relaxations.

OPS: dict[str, Elementwise] = {
    "relu": Relu(),
    "leaky": LeakyRelu(0.1),
    "leaky-steep": LeakyRelu(3.0),
    "leaky-negative": LeakyRelu(-0.5),
    "abs": Abs(),
    "clip": Clip(Constant(np.array(-0.5)), Constant(np.array(0.75))),
    "clip-each": Clip(Constant(np.linspace(-1, 0, 6)), None),
    **{name: row.op for name, row in S_SHAPED.items()},
}


def guess(rng: Rng, shape: tuple[int, int]) -> SlopeGuess:
    return SlopeGuess(rng.uniform(0, 1, shape), rng.uniform(0, 1, shape))


@pytest.mark.parametrize("kind", ["normal", "zeros", "subnormal", "range", "thirds"])
@pytest.mark.parametrize("name", list(OPS))
def test_proved_lines_pass(name: str, kind: str) -> None:
    rng = np.random.default_rng(len(name) + len(kind))
    op = OPS[name]
    box = random_box(rng, KINDS[kind], 2, 6)
    for slopes in (SlopeGuess(), guess(rng, (2, 6))):
        assert cross_check_relaxation(op, box, op.lines(box, slopes)) == []


@pytest.mark.parametrize("name", list(OPS))
def test_a_line_that_cuts_the_function_is_seen(name: str) -> None:
    """Proved intercepts touch f up to rounding, so that one a little beyond is wrong; ReLU's lower line starts at 0."""
    rng = np.random.default_rng(9)
    op = OPS[name]
    low, high = -rng.uniform(0.3, 2, (1, 6)), rng.uniform(0.3, 2, (1, 6))
    box = Box(low, high)
    for slopes in (SlopeGuess(), guess(rng, (1, 6))):
        proved = op.lines(box, slopes)
        for side, sign in (("lower", 1.0), ("upper", -1.0)):
            slope, intercept = getattr(proved, side)
            moved = np.broadcast_to(intercept, slope.shape).copy()
            moved[0, 2] += sign * 1e-10
            found = cross_check_relaxation(op, box, replace(proved, **{side: (slope, moved)}))
            assert found and all(f"neuron (0, 2): {side} line wrong" in text for text in found)


def test_shapes_broadcast() -> None:
    box = Box(np.full((1, 3), -1.0), np.ones((1, 3)))
    zeros, ones = np.zeros((1, 3)), np.ones((4, 3))
    good = Lines((np.full((4, 3), 0.5), zeros), (np.full((1, 3), 0.5), ones * 0.5))
    assert cross_check_relaxation(Relu(), box, good) == []
    bad = Lines((np.full((4, 3), 0.5), zeros), (np.full((1, 3), 0.5), ones * 0.4))
    assert {text.split(":")[0] for text in cross_check_relaxation(Relu(), box, bad)} == {
        f"Relu, neuron ({d}, {k})" for d in range(4) for k in range(3)
    }


def test_an_unbounded_interval_is_refused() -> None:
    box = Box(np.array([[-math.inf]]), np.array([[1.0]]))
    flat = (np.zeros((1, 1)), np.zeros((1, 1)))
    with pytest.raises(ValueError, match="not finite"):
        cross_check_relaxation(Relu(), box, Lines(flat, flat))
