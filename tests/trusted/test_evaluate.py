"""Evaluation on balls: every operation against exact rational arithmetic, real models against float evaluators."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from math import prod
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import numpy_eval
from tests.helpers import DATA, needs_data
from tests.operations import PIECEWISE_LINEAR
from tests.trusted.functions import S_SHAPED
from tests.trusted.oracle import KINDS, Draw, Rng, dense, weight_within
from tlcheck.trusted import evaluate as module
from tlcheck.trusted.arith.arb import Arb, arb, working_precision
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.evaluate import Evaluator, evaluate
from tlcheck.trusted.graph import Graph, Node
from tlcheck.trusted.network import Network
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.affine import Linear, Scale, Sum
from tlcheck.trusted.ops.base import Operation
from tlcheck.trusted.ops.bent import Abs, Clip, LeakyRelu
from tlcheck.trusted.ops.convolution import Conv, ConvTranspose
from tlcheck.trusted.ops.s_shaped import Sigmoid, SShaped, Tanh
from tlcheck.trusted.ops.selection import MaxOver, largest
from tlcheck.trusted.ops.structure import Fixed, Input, Rearrange, ReduceSum

Make = Callable[[Rng, Draw], Graph]
Shape = tuple[int, ...]


def graph_of(op: Operation, *shapes: Shape, fixed: Operation | None = None) -> Graph:
    """One operation on inputs of the given shapes (and on a Fixed operand, last)."""
    nodes = [Node(Input(s), (), s) for s in shapes]
    if fixed is not None:
        nodes.append(Node(fixed, (), fixed.output_shape(())))
    shape = op.output_shape(tuple(n.shape for n in nodes))
    nodes.append(Node(op, tuple(range(len(nodes))), shape))
    return Graph(tuple(nodes), (len(nodes) - 1,), tuple(f"x{i}" for i in range(len(shapes))), ("y",))


def chain(shape: Shape, *ops: Operation) -> Graph:
    """Operations one after the other."""
    nodes = [Node(Input(shape), (), shape)]
    for op in ops:
        nodes.append(Node(op, (len(nodes) - 1,), op.output_shape((nodes[-1].shape,))))
    return Graph(tuple(nodes), (len(nodes) - 1,), ("x",), ("y",))


def constant(rng: Rng, draw: Draw, shape: Shape, rad: bool = False) -> Constant:
    mid = np.asarray(draw(rng, shape))
    return Constant(mid, np.abs(mid.astype(np.float64)) * 2.0**-9 * rng.random(shape) if rad else None)


def conv(
    x: Shape, w: Shape, s: Shape, d: Shape, begin: Shape, end: Shape, groups: int = 1, rad: bool = False
) -> Make:
    def make(rng: Rng, draw: Draw) -> Graph:
        bias = constant(rng, draw, (w[0],), rad)
        return graph_of(Conv(constant(rng, draw, w, rad), bias, s, d, begin, end, groups), x)

    return make


def transpose(
    x: Shape, w: Shape, s: Shape, d: Shape, begin: Shape, end: Shape, extra: Shape, groups: int = 1
) -> Make:
    def make(rng: Rng, draw: Draw) -> Graph:
        bias = constant(rng, draw, (w[1] * groups,))
        return graph_of(ConvTranspose(constant(rng, draw, w), bias, s, d, begin, end, extra, groups), x)

    return make


def linear(rng: Rng, draw: Draw, shape: Shape, n: int, rad: bool = False) -> Graph:
    return graph_of(Linear(constant(rng, draw, (shape[-1], n), rad), constant(rng, draw, (n,), rad)), shape)


WINDOWS = np.array([[0, 1, 2], [3, -1, -1], [2, 2, 5], [-1, 4, 0]])

CASES: dict[str, Make] = {
    "rearrange-reshape": lambda r, d: graph_of(Rearrange((3, 2)), (2, 3)),
    "rearrange-two": lambda r, d: graph_of(Rearrange((4,), np.array([5, -1, 0, 0])), (2, 2), (2,)),
    "rearrange-fixed": lambda r, d: graph_of(
        Rearrange((3,), np.array([2, 0, 3])), (2,), fixed=Fixed(constant(r, d, (2,), True))
    ),
    "reduce-sum": lambda r, d: graph_of(ReduceSum((0, 2), False), (2, 3, 2)),
    "reduce-sum-keep": lambda r, d: graph_of(ReduceSum((1,), True), (2, 3)),
    "linear": lambda r, d: linear(r, d, (5,), 3),
    "linear-positions": lambda r, d: linear(r, d, (2, 2, 4), 3),
    "linear-rad": lambda r, d: linear(r, d, (2, 4), 3, rad=True),
    "linear-no-bias": lambda r, d: graph_of(Linear(constant(r, d, (3, 2))), (1, 3)),
    "conv1d": conv((2, 2, 7), (3, 2, 3), (2,), (1,), (1,), (0,)),
    "conv2d": conv((1, 2, 4, 5), (2, 2, 2, 3), (1, 2), (2, 1), (1, 0), (0, 2)),
    "conv2d-groups": conv((1, 4, 3, 3), (6, 2, 2, 2), (1, 1), (1, 1), (0, 1), (1, 0), groups=2),
    "conv2d-rad": conv((1, 1, 4, 4), (2, 1, 3, 3), (1, 1), (1, 1), (1, 1), (1, 1), rad=True),
    "conv3d": conv((1, 1, 3, 3, 2), (2, 1, 2, 2, 2), (1, 2, 1), (1, 1, 1), (0, 1, 1), (1, 0, 0)),
    "transpose1d": transpose((2, 2, 4), (2, 3, 3), (2,), (1,), (1,), (0,), (1,)),
    "transpose2d": transpose((1, 2, 3, 3), (2, 2, 2, 3), (2, 3), (2, 1), (1, 0), (0, 2), (0, 2)),
    "transpose2d-groups": transpose(
        (1, 4, 2, 2), (4, 1, 3, 2), (2, 1), (1, 2), (1, 0), (1, 0), (0, 0), groups=2
    ),
    "transpose3d": transpose(
        (1, 1, 2, 2, 2), (1, 2, 2, 1, 2), (2, 1, 1), (1, 1, 2), (0, 0, 1), (1, 0, 0), (1, 0, 0)
    ),
    "scale": lambda r, d: graph_of(
        Scale(constant(r, d, (3, 1), True), constant(r, d, (2,), True), 1), (2, 3, 2)
    ),
    "scale-no-offset": lambda r, d: graph_of(Scale(constant(r, d, ()), None, 1), (3,)),
    "sum": lambda r, d: graph_of(Sum((1, -1, 1)), (2, 2), (2, 2), (2, 2)),
    "relu": lambda r, d: graph_of(Relu(), (12,)),
    "leaky": lambda r, d: graph_of(LeakyRelu(0.1), (12,)),
    "leaky-steep": lambda r, d: graph_of(LeakyRelu(3.0), (12,)),
    "leaky-negative": lambda r, d: graph_of(LeakyRelu(-0.5), (12,)),
    "abs": lambda r, d: graph_of(Abs(), (12,)),
    "clip": lambda r, d: graph_of(Clip(Constant(np.array(-0.5)), Constant(np.array(0.75))), (12,)),
    "clip-lower": lambda r, d: graph_of(Clip(constant(r, d, (2, 6)), None), (2, 6)),
    "clip-upper": lambda r, d: graph_of(Clip(None, constant(r, d, (12,))), (12,)),
    "clip-crossed": lambda r, d: graph_of(Clip(Constant(np.array([1.0])), Constant(np.array([-1.0]))), (12,)),
    **{name: (lambda r, d, op=row.op: graph_of(op, (8,))) for name, row in S_SHAPED.items()},
    "max-over": lambda r, d: graph_of(MaxOver((4,), WINDOWS), (6,)),
    "net": lambda r, d: chain(
        (1, 2, 4, 4),
        Conv(constant(r, d, (3, 2, 3, 3)), None, (1, 1), (1, 1), (1, 1), (1, 1)),
        Relu(),
        MaxOver((1, 12), np.arange(48).reshape(12, 4)),
        LeakyRelu(0.25),
        Linear(constant(r, d, (12, 5), True), constant(r, d, (5,))),
        Abs(),
    ),
}
CURVED = set(S_SHAPED)
"""Operations whose exact values are not rational."""


# An exact evaluation in rational numbers.


def exact_values(graph: Graph, inputs: list[list[Fraction]], rng: Rng | None) -> list[list[Fraction]]:
    """Every node's exact value for one network within the constants' radii (their middles when ``rng`` is None)."""
    given_ = iter(inputs)
    values: list[list[Fraction]] = []
    for node, affine in zip(graph.nodes, Network(graph).affine, strict=True):
        operands = [values[j] for j in node.inputs]
        if isinstance(node.op, Input):
            values.append(next(given_))
        elif isinstance(node.op, Fixed):
            values.append(weight_within(node.op.value, rng).fractions())
        elif affine is not None:
            offset = affine.offset
            total = [Fraction(0)] * node.size if offset is None else weight_within(offset, rng).fractions()
            for m, x in zip(affine.maps, operands, strict=True):
                matrix = dense(m, rng)
                scale = Fraction(2) ** matrix.exponent
                for k, row in enumerate(matrix.ints.reshape(m.n_out, m.n_in)):
                    total[k] += scale * sum(
                        (int(w) * v for w, v in zip(row, x, strict=True) if w), Fraction(0)
                    )
            values.append(total)
        elif isinstance(node.op, MaxOver):
            values.append([max(operands[0][i] for i in row if i >= 0) for row in node.op.index.tolist()])
        else:
            values.append([rational(node.op, z, k) for k, z in enumerate(operands[0])])
    return values


def rational(op: Operation, z: Fraction, k: int) -> Fraction:
    """f(z), or for a curved f a value within 2^-900 of it."""
    match op:
        case Relu():
            return max(z, Fraction(0))
        case LeakyRelu():
            return z if z >= 0 else Fraction(op.alpha) * z
        case Abs():
            return abs(z)
        case Clip():
            for bound, pick in ((op.lower, max), (op.upper, min)):
                if bound is not None:
                    flat = bound.mid.astype(np.float64).reshape(-1)
                    z = pick(z, Fraction(float(flat[k if flat.size > 1 else 0])))
            return z
        case SShaped():
            (function,) = (row.function for row in S_SHAPED.values() if type(row.op) is type(op))
            with mpmath.workprec(1000):
                x = mpmath.mpf(z.numerator) / z.denominator
                return as_fraction(function(x))
    raise AssertionError(op)


def as_fraction(y: Any) -> Fraction:
    p, q = mpmath.libmp.to_rational(y._mpf_)
    return Fraction(int(p), int(q))


def holds(ball: Arb, q: Fraction) -> bool:
    """q in the ball, in exact arithmetic (flint's ``contains`` rounds q to the working precision first)."""
    return ball.is_finite() and abs(fraction_of(ball.mid()) - q) <= fraction_of(ball.rad())


def fraction_of(x: Arb) -> Fraction:
    """The exact ball's number (0 for one like exp(-2^60), too small to write out)."""
    man, exp = x.man_exp()
    return int(man) * Fraction(2) ** int(exp) if exp > -100_000 else Fraction(0)


def point_balls(inputs: list[np.ndarray]) -> list[list[Arb]]:
    return [[arb(v) for v in np.asarray(x, np.float64).reshape(-1).tolist()] for x in inputs]


def boxes(mids: list[np.ndarray], rads: list[np.ndarray]) -> list[list[Arb]]:
    return [list(map(arb, m.tolist(), r.tolist())) for m, r in zip(mids, rads, strict=True)]


def draws(graph: Graph, rng: Rng, draw: Draw) -> list[np.ndarray]:
    return [np.asarray(draw(rng, (graph.nodes[i].size,)), np.float64) for i in graph.inputs]


# Properties of every operation.


def test_every_operation_has_a_case() -> None:
    covered = {
        type(n.op) for make in CASES.values() for n in make(np.random.default_rng(0), KINDS["normal"]).nodes
    }
    assert covered == PIECEWISE_LINEAR | {
        type(row.op) for row in S_SHAPED.values()
    }  # others: test_nonlinear.py


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("name", list(CASES))
def test_contains_the_exact_value_at_points_and_over_boxes(name: str, kind: str) -> None:
    rng = np.random.default_rng(len(name) * 100 + len(kind))
    graph = CASES[name](rng, KINDS[kind])
    mids = draws(graph, rng, KINDS[kind])
    for width in (0.0, 2.0**-30, 0.5, 4.0):
        rads = [np.abs(m) * width + (0.1 * width if kind == "zeros" else 0.0) for m in mids]
        with working_precision(int(rng.choice([53, 128, 200]))):
            balls = boxes(mids, rads)
            result = evaluate(graph, balls, keep=range(len(graph.nodes)))
        for _ in range(3 if width else 2):
            sides = [rng.choice([-1.0, 1.0, 0.25], a.shape) for a in mids]
            point = [
                [
                    Fraction(m) + Fraction(t) * Fraction(r)
                    for m, t, r in zip(*(v.tolist() for v in abc), strict=True)
                ]
                for abc in zip(mids, sides, rads, strict=True)
            ]
            values = exact_values(graph, point, rng)
            for i in range(len(graph.nodes)):
                found = result.kept[i]
                assert len(found) == graph.nodes[i].size
                if name in CURVED and i in graph.outputs:
                    slack = arb(0, 2.0**-900)
                    found = [b + slack for b in found]
                assert all(holds(b, q) for b, q in zip(found, values[i], strict=True)), (name, kind, width, i)


@pytest.mark.parametrize("name", list(CASES))
def test_is_sharp_at_a_point(name: str) -> None:
    rng = np.random.default_rng(5)
    graph = CASES[name](rng, KINDS["normal"])
    exact = replace(graph, nodes=tuple(replace(n, op=_without_rad(n.op)) for n in graph.nodes))
    inputs = draws(exact, rng, KINDS["normal"])
    with working_precision(128):
        outputs = evaluate(exact, point_balls(inputs)).outputs
    assert all(float(b.rad()) <= 2.0**-110 for b in outputs)
    values = exact_values(exact, [[Fraction(v) for v in x.tolist()] for x in inputs], None)[exact.outputs[0]]
    assert all(
        abs(fraction_of(b.mid()) - q) <= Fraction(1, 2**100) for b, q in zip(outputs, values, strict=True)
    )


def _without_rad(op: Operation) -> Operation:
    def plain(c: Constant | None) -> Constant | None:
        return None if c is None else Constant(c.mid)

    fields = {k: plain(v) if isinstance(v, Constant) else v for k, v in vars(op).items()}
    return type(op)(**fields) if fields else op


@pytest.mark.parametrize("name", list(CASES))
def test_more_precision_never_loses_containment_and_narrows(name: str) -> None:
    rng = np.random.default_rng(6)
    graph = CASES[name](rng, KINDS["range"])
    inputs = draws(graph, rng, KINDS["range"])
    evaluator = Evaluator(graph)
    found = []
    for bits in (30, 60, 120, 400):
        with working_precision(bits):
            found.append(evaluator.evaluate(point_balls(inputs)).outputs)
    for bits, (coarse, fine) in zip((60, 120, 400), itertools.pairwise(found), strict=True):
        for a, b in zip(coarse, fine, strict=True):
            assert a.overlaps(b)
            assert (
                float(b.rad())
                <= float(a.rad()) * (1 + 1e-6) + abs(float(b.mid())) * 2.0 ** (4 - bits) + 1e-300
            )


@pytest.mark.parametrize("name", list(CASES))
def test_a_smaller_box_gives_a_smaller_enclosure(name: str) -> None:
    """Inclusion up to the 30 bits of Arb's radii."""
    rng = np.random.default_rng(7)
    graph = CASES[name](rng, KINDS["normal"])
    mids = draws(graph, rng, KINDS["normal"])
    with working_precision(128):
        wide, narrow = (
            evaluate(graph, [[arb(v, r) for v in m.tolist()] for m in mids]).outputs for r in (0.5, 0.125)
        )
        for a, b in zip(wide, narrow, strict=True):
            assert (a + arb(0, 1e-6 * (1 + float(a.rad())))).contains(b)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([n for n in CASES if CASES[n](np.random.default_rng(0), KINDS["normal"]).n_inputs == 12]),
    st.lists(st.floats(-(2.0**200), 2.0**200), min_size=12, max_size=12),
    st.floats(0, 2.0**100),
    st.floats(-1, 1),
)
def test_elementwise_on_any_box(name: str, mids: list[float], rad: float, share: float) -> None:
    graph = CASES[name](np.random.default_rng(1), KINDS["normal"])
    point = [Fraction(m) + Fraction(rad) * Fraction(share) for m in mids]
    with working_precision(64):
        shape = [graph.nodes[i].size for i in graph.inputs]
        cuts = np.cumsum([0, *shape])
        balls = [[arb(m, rad) for m in mids[a:b]] for a, b in itertools.pairwise(cuts)]
        outputs = evaluate(graph, balls).outputs
    exact = exact_values(graph, [point[a:b] for a, b in itertools.pairwise(cuts)], None)
    assert all(holds(b, q) for b, q in zip(outputs, exact[graph.outputs[0]], strict=True))


# Particular values.


def test_an_exact_ball_stays_exact_when_the_sign_is_decided() -> None:
    values = [-2.0, -0.0, 0.0, 5e-324, -5e-324, 2.0**200, -(2.0**200), 0.3]
    for op in (Relu(), Abs(), LeakyRelu(0.5), Clip(Constant(np.array(-1.0)), Constant(np.array(1.0)))):
        with working_precision(128):
            out = evaluate(graph_of(op, (8,)), point_balls([np.array(values)])).outputs
        assert all(b.is_exact() for b in out)
        assert [fraction_of(b) for b in out] == [rational(op, Fraction(v), 0) for v in values]


def test_more_bits_than_the_working_precision_are_kept_where_nothing_is_computed() -> None:
    with working_precision(400):
        x = [1 + arb(2) ** -300, -(1 + arb(2) ** -300)]
    with working_precision(53):
        clip = evaluate(graph_of(Clip(Constant(np.array(-4.0)), Constant(np.array(4.0))), (2,)), [x]).outputs
        relu = evaluate(graph_of(Relu(), (2,)), [x]).outputs
    assert clip[0].is_exact() and clip[1].is_exact() and relu[0].is_exact()
    assert fraction_of(clip[0]) == 1 + Fraction(1, 2**300)


def test_a_ball_that_straddles_zero_gives_the_hull() -> None:
    with working_precision(128):
        x = [[arb(0, 1)]]
        relu = evaluate(graph_of(Relu(), (1,)), x).outputs[0]
        absolute = evaluate(graph_of(Abs(), (1,)), x).outputs[0]
        tent = evaluate(graph_of(LeakyRelu(-2.0), (1,)), x).outputs[0]
        clip = Clip(Constant(np.array(0.0)), Constant(np.array(0.5)))
        clipped = evaluate(graph_of(clip, (1,)), x).outputs[0]
    for ball, high in ((relu, 1), (absolute, 1), (tent, 2), (clipped, 0.5)):
        assert holds(ball, Fraction(0)) and holds(ball, Fraction(high))
        assert float(ball.upper()) <= high * (1 + 1e-6) and float(ball.lower()) >= -1e-6 * high


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (1, 0, 2)])
def test_max_of_overlapping_balls(order: tuple[int, ...]) -> None:
    balls = [(0.0, 1.0), (0.5, 0.25), (-3.0, 4.5)]  # [-1, 1], [0.25, 0.75], [-7.5, 1.5]
    with working_precision(128):
        x = [arb(*balls[i]) for i in order]
        (found,) = evaluate(graph_of(MaxOver((1,), np.array([[0, 1, 2]])), (3,)), [x]).outputs
    assert holds(found, Fraction(1, 4)) and holds(found, Fraction(3, 2))
    assert float(found.lower()) >= 0.249 and float(found.upper()) <= 1.501


def test_max_does_not_drop_what_is_not_finite() -> None:
    with working_precision(64):
        for bad in (arb("nan"), arb(0, float("inf"))):
            for x in ([arb(1), bad], [bad, arb(1)], [arb(1), bad, arb(7)]):
                assert not largest(x).is_finite()


@pytest.mark.parametrize("z", [0.0, 5e-324, 1e-300, 40.0, 800.0, 1e6, 2.0**200, 1.7e308])
def test_sigmoid_and_tanh_far_out(z: float) -> None:
    with working_precision(128):
        x = point_balls([np.array([z, -z])])
        s = evaluate(graph_of(Sigmoid(), (2,)), x).outputs
        t = evaluate(graph_of(Tanh(), (2,)), x).outputs
    assert all(b.is_finite() and float(b.rad()) < 2.0**-120 for b in (*s, *t))
    assert float(s[0].upper()) >= 0.5 >= float(s[1].lower()) >= -1e-300
    assert abs(float(t[0].mid()) - np.tanh(z)) < 1e-15 and abs(float(t[1].mid()) + np.tanh(z)) < 1e-15


def test_cancellation_is_exact_enough() -> None:
    w = np.array([[2.0**200], [2.0**-300], [-(2.0**200)]])
    with working_precision(128):
        (y,) = evaluate(graph_of(Linear(Constant(w)), (3,)), point_balls([np.ones(3)])).outputs
    assert holds(y, Fraction(2) ** -300)
    with working_precision(600):
        (y,) = evaluate(graph_of(Linear(Constant(w)), (3,)), point_balls([np.ones(3)])).outputs
    assert holds(y, Fraction(2) ** -300) and y > 0


def test_large_matrices_in_parts_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    for name in ("linear-positions", "linear-rad", "conv2d-groups", "conv2d-rad", "transpose2d"):
        graph = CASES[name](rng, KINDS["normal"])
        x = point_balls(draws(graph, rng, KINDS["normal"]))
        whole = evaluate(graph, x).outputs
        monkeypatch.setattr(module, "KEPT_ENTRIES", 7)
        parts = evaluate(graph, x).outputs
        monkeypatch.undo()
        assert all(
            a.overlaps(b) and abs(float((a - b).mid())) < 1e-12 for a, b in zip(whole, parts, strict=True)
        )


# Inputs and nodes asked for.


def test_keep_gives_inner_nodes_and_leaves_out_what_nothing_needs() -> None:
    relu = chain((2,), Relu(), Abs())
    unused = Graph(relu.nodes, (1,), ("x",), ("y",))
    with working_precision(64):
        result = Evaluator(unused).evaluate([[arb(-1), arb(2)]], keep=[0])
        assert [fraction_of(b) for b in result.outputs] == [0, 2]
        assert set(result.kept) == {0}
        assert [fraction_of(b) for b in evaluate(unused, [[arb(-1), arb(2)]], keep=(2,)).kept[2]] == [0, 2]


ONE = arb(1)


@pytest.mark.parametrize(
    "inputs", [[], [[ONE]], [[ONE] * 3], [[ONE] * 2] * 2, [[ONE, arb("nan")]], [[arb("inf")] * 2]]
)
def test_inputs_that_do_not_fit_are_refused(inputs: list[list[Arb]]) -> None:
    with pytest.raises(ValueError, match="evaluate"):
        evaluate(chain((2,), Relu()), inputs)


def test_unknown_nodes_and_operations_are_refused() -> None:
    class Strange(Operation):
        def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
            return inputs[0]

    with pytest.raises(ValueError, match="no such node"):
        evaluate(chain((1,), Relu()), [[arb(1)]], keep=[9])
    with pytest.raises(ValueError, match="no rule for Strange"):
        evaluate(chain((1,), Strange()), [[arb(1)]])


# Real models.

MODELS = [
    "abcrown/acasxu/net_1_1_prop_1/ACASXU_run2a_1_1_batch_2000.onnx",
    "abcrown/mnist_fc/256x2_prop_0_0.03/mnist-net_256x2.onnx.gz",
    "abcrown/mnist_fc/256x4_prop_14_0.03/mnist-net_256x4.onnx.gz",
    "abcrown/safenlp/medical_320/perturbations_0.onnx",
    "abcrown/oval21/base_img3161/cifar_base_kw.onnx",
    "abcrown/collins_rul_cnn/small_w20_16pert_d5/NN_rul_small_window_20.onnx",
    "abcrown/sri_resnet_a/idx_4091/resnet_3b2_bn_mixup_adv_4.0_bs128_lr-1.onnx.gz",
    "abcrown/eran_sigmoid/6x200_idx_56/ffnnSIGMOID__Point_6x200.onnx.gz",
    "scientific/pinn/burgers_tanh_lbfgs.onnx",
]


@needs_data
@pytest.mark.parametrize("model", MODELS, ids=lambda m: Path(m).name)
def test_real_models_agree_with_float_evaluators(model: str) -> None:
    from tlcheck.readers.onnx import load_model

    graph = load_model(DATA / model)
    evaluator = Evaluator(graph)
    for seed in range(3):
        inputs = numpy_eval.random_inputs(graph, seed)
        with working_precision(128):
            outputs = evaluator.evaluate(point_balls(inputs)).outputs
        values = np.array([float(b.mid()) for b in outputs])
        scale = max(1.0, float(np.abs(values).max()))
        float64 = np.concatenate([y.reshape(-1) for y in numpy_eval.evaluate(graph, inputs)])
        assert np.abs(values - float64).max() <= 1e-9 * scale
        assert np.abs(values - onnxruntime_outputs(DATA / model, inputs)).max() <= 1e-4 * scale


def onnxruntime_outputs(path: Path, inputs: list[np.ndarray]) -> np.ndarray:
    import onnxruntime

    from tlcheck.readers.bytes import read_bytes

    session = onnxruntime.InferenceSession(read_bytes(path), providers=["CPUExecutionProvider"])
    feed = {}
    for slot, x in zip(session.get_inputs(), inputs, strict=True):
        shape = [n if isinstance(n, int) else 1 for n in slot.shape]
        feed[slot.name] = x.astype(np.float32).reshape(shape)
        assert prod(shape) == x.size
    return np.concatenate([np.asarray(y, np.float64).reshape(-1) for y in session.run(None, feed)])


@needs_data
@pytest.mark.parametrize("model", [MODELS[2], MODELS[0]])
def test_weights_become_balls_once(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second point is evaluated without a rule that makes a node's step, and without a constant that becomes balls."""
    from tlcheck.readers.onnx import load_model
    from tlcheck.trusted import evaluate as module

    def refuse(*_: object) -> None:
        raise AssertionError("a step is made")

    graph = load_model(DATA / model)
    evaluator = Evaluator(graph)
    with working_precision(128):
        inputs = point_balls(numpy_eval.random_inputs(graph, 0))
        first = evaluator.evaluate(inputs)
        monkeypatch.setattr(module, "_step", refuse)
        monkeypatch.setattr(module, "constant_balls", None)
        second = evaluator.evaluate(inputs)
        assert len(first.outputs) == len(second.outputs) == graph.n_outputs
        with pytest.raises(AssertionError, match="a step is made"):
            Evaluator(graph).evaluate(inputs)
