"""Operations without a relaxation: exact values, Arb against mpmath, and nothing guessed at a discontinuity."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests import numpy_eval
from tests.helpers import IEEE
from tests.operations import PIECEWISE_LINEAR, operations, step_of
from tests.trusted.functions import FUNCTIONS
from tests.trusted.gaps import GAPS
from tests.trusted.test_audit import ONE_LEAF, claim, leaves, verdict
from tests.trusted.test_evaluate import graph_of
from tlcheck.checking.crosscheck.mp_intervals import cross_check_relaxation, mp_evaluate
from tlcheck.checking.crosscheck.mp_nonlinear import NothingToCheck
from tlcheck.checking.unsat import check_unsat
from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.readers.loaded import LoadedClaim
from tlcheck.readers.onnx import read_model
from tlcheck.trusted.arith.arb import Arb, arb, lower_float, upper_float, working_precision
from tlcheck.trusted.arith.ball64 import Ball64
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.profile import NotDeployable, Profile
from tlcheck.trusted.claim import SatClaim
from tlcheck.trusted.decide import decide_sat
from tlcheck.trusted.evaluate import Undecided, evaluate
from tlcheck.trusted.graph import Graph, Node
from tlcheck.trusted.guidance import Guidance
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.affine import Linear, Scale
from tlcheck.trusted.ops.attended import Attended
from tlcheck.trusted.ops.base import Operation
from tlcheck.trusted.ops.bent import Abs, Clip, LeakyRelu
from tlcheck.trusted.ops.convolution import Conv
from tlcheck.trusted.ops.discrete import ArgMax, Compare, Floor, Round, Select, Sign, Truncate
from tlcheck.trusted.ops.gap import Counterpart
from tlcheck.trusted.ops.indexed import Call, Indexed
from tlcheck.trusted.ops.product import MatProduct, Product, product_range
from tlcheck.trusted.ops.quantized import Paired, Quantize
from tlcheck.trusted.ops.s_shaped import Sigmoid, Tanh
from tlcheck.trusted.ops.selection import MaxOver
from tlcheck.trusted.ops.smooth import Exp, Log, Power, Reciprocal, Sin, Smooth, Sqrt
from tlcheck.trusted.ops.softmax import Softmax
from tlcheck.trusted.ops.statistics import Statistic, Unlike
from tlcheck.trusted.ops.stored import Stored
from tlcheck.trusted.ops.structure import Input, ReduceSum
from tlcheck.trusted.plan import NoRelaxation, Plan, Settings
from tlcheck.trusted.verdict import Verdict


def quantizer(*scales: float, low: float = -3, high: float = 4, ties: bool = True) -> Quantize:
    scale = np.float32(scales if len(scales) > 1 else scales[0])
    return Quantize(*(Constant(np.array(v, np.float64)) for v in (scale, low, high)), ties)


OTHERS: dict[str, tuple[Operation, list[tuple[int, ...]]]] = {
    "product": (Product(), [(2, 3), (2, 3)]),
    "matproduct": (MatProduct(), [(2, 3, 4), (2, 4, 2)]),
    "softmax": (Softmax(), [(2, 5)]),
    "sign": (Sign(), [(7,)]),
    "floor": (Floor(), [(7,)]),
    "round": (Round(), [(7,)]),
    "truncate": (Truncate(), [(7,)]),
    "quantize": (quantizer(1.0), [(7,)]),
    "quantize-each": (quantizer(0.75, 0.5, 0.1, 3.0, 1.0, 0.25, 2.0), [(7,)]),
    "equal": (Compare("=="), [(6,), (6,)]),
    "less": (Compare("<"), [(6,), (6,)]),
    "less-equal": (Compare("<="), [(6,), (6,)]),
    "argmax": (ArgMax(), [(3, 4)]),
    "argmax-last": (ArgMax(last=True), [(3, 4)]),
    **GAPS,
}


def points(*xs: Any) -> list[list[Arb]]:
    return [[arb(v) for v in np.asarray(x, np.float64).ravel().tolist()] for x in xs]


def contains(y: Arb, value: Any) -> bool:
    """The mpmath number (of more bits) lies in the ball, up to its own rounding."""
    slack = abs(value) * mpmath.mpf(2) ** -300
    low, high = (
        mpmath.mpf((int(m) < 0, abs(int(m)), int(e), int(m).bit_length()))
        for m, e in (end.mid().man_exp() for end in (y.lower(), y.upper()))
    )
    return bool(low - slack <= value <= high + slack)


def test_every_operation_is_here() -> None:
    covered = {type(row.op) for row in FUNCTIONS.values()} | {type(op) for op, _ in OTHERS.values()}
    assert (
        covered | {Select, Indexed, Attended, Counterpart, Statistic, Unlike, Paired, Stored}
        == operations() - PIECEWISE_LINEAR
    )


@pytest.mark.parametrize("name", list(FUNCTIONS))
@pytest.mark.parametrize("width", [0.0, 1e-3, 0.5, 4.0])
def test_smooth_functions_enclose(name: str, width: float) -> None:
    op, function, low, high, *_ = FUNCTIONS[name]
    rng = np.random.default_rng(len(name))
    a = rng.uniform(low, high, 30)
    b = np.minimum(a + width, high)
    inside = [a, b, *(np.clip(a + t * (b - a), a, b) for t in rng.random(5))]
    graph = graph_of(op, (30,))
    with working_precision(128), mpmath.workprec(400):
        balls = [
            arb(x) if x == y else arb(x).union(arb(y)) for x, y in zip(a.tolist(), b.tolist(), strict=True)
        ]
        found = evaluate(graph, [balls]).outputs
        box = op.image((Box(a[None], b[None]),), ((30,),), Ball64())
        drawn = op.lines(Box(a[None], b[None]))
        theirs = mp_evaluate(graph, [[(Fraction(x), Fraction(y)) for x, y in zip(a, b, strict=True)]], 128)
        for x in inside:
            for k in range(30):
                value = function(mpmath.mpf(float(x[k])))
                assert contains(found[k], value)
                assert box.lower[0, k] <= value <= box.upper[0, k]
                assert theirs[k].a <= value <= theirs[k].b
    if width == 0.0:
        assert all(float(y.rad()) <= 1e-30 * max(1.0, abs(float(y.mid()))) for y in found)
    assert cross_check_relaxation(op, Box(a[None], b[None]), drawn) == []


@pytest.mark.parametrize("name", list(OTHERS))
@pytest.mark.parametrize("seed", range(3))
def test_other_operations_agree_with_numpy_and_mpmath(name: str, seed: int) -> None:
    op, shapes = OTHERS[name]
    rng = np.random.default_rng(seed)
    xs = [np.round(rng.normal(0, 2, s) * 2) / 2 for s in shapes]  # halves: ties and integers are common
    graph = graph_of(op, *shapes)
    with working_precision(128):
        found = evaluate(graph, points(*xs)).outputs
    expected = numpy_eval.evaluate(graph, xs)[0].ravel()
    theirs = mp_evaluate(graph, [[(Fraction(v), Fraction(v)) for v in x.ravel().tolist()] for x in xs])
    for y, z, t in zip(found, expected.tolist(), theirs, strict=True):
        assert abs(float(y.mid()) - z) <= 1e-12 and float(y.rad()) <= 1e-30
        assert lower_float(y) <= float(t.b) and upper_float(y) >= float(t.a)


WIDE = arb(0, 1e-30)
UNDECIDED: list[tuple[Operation, list[tuple[int, ...]], list[list[Arb]]]] = [
    (Sign(), [(1,)], [[WIDE]]),
    (Floor(), [(1,)], [[WIDE + 3]]),
    (Round(), [(1,)], [[WIDE + arb(0.5)]]),
    (Round(), [(1,)], [[(WIDE + arb(0.5)).upper().union(arb(0.5))]]),
    (quantizer(0.1), [(1,)], [[WIDE + arb(1.5) * arb(float(np.float32(0.1)))]]),
    (quantizer(1.0, ties=False), [(1,)], [[arb(0.5)]]),
    (Truncate(), [(1,)], [[WIDE - 1]]),
    (Truncate(), [(1,)], [[arb(2.0**31)]]),
    (Compare("=="), [(1,), (1,)], [[WIDE], [arb(0)]]),
    (Compare("<"), [(1,), (1,)], [[WIDE], [arb(0)]]),
    (Compare("<="), [(1,), (1,)], [[WIDE], [arb(0)]]),
    (Compare("=="), [(1,), (1,)], [[1 / WIDE], [arb(0)]]),
    (ArgMax(), [(2,)], [[WIDE, arb(0)]]),
    (ArgMax(), [(2,)], [[arb(0), WIDE]]),
    (Select(), [(1,), (1,), (1,)], [[WIDE], [arb(1)], [arb(2)]]),
]


@pytest.mark.parametrize(("op", "shapes", "inputs"), UNDECIDED, ids=lambda v: type(v).__name__)
def test_nothing_is_guessed_at_a_discontinuity(
    op: Operation, shapes: list[tuple[int, ...]], inputs: list[list[Arb]]
) -> None:
    with working_precision(128):
        node = step_of(op, *shapes)
        with pytest.raises(Undecided):
            node(inputs)


def test_truncation_near_zero_and_ties() -> None:
    with working_precision(128):
        step = step_of(Truncate(), (4,))
        balls = [arb(0, 0.5), arb(-1.5), arb(2.75), arb(-3)]
        assert [float(y) for y in step([balls])] == [0, -1, 2, -3]
        first, last = (step_of(ArgMax(at), (3,)) for at in (False, True))
        assert float(first([[arb(1), arb(2), arb(2)]])[0]) == 1
        assert float(last([[arb(1), arb(2), arb(2)]])[0]) == 2


@pytest.mark.parametrize(
    ("op", "x"), [(Log(), 0.0), (Log(), -1.0), (Sqrt(), -1e-9), (Reciprocal(), 0.0), (Power(0.3), -1.0)]
)
def test_outside_the_domain_there_is_no_value(op: Smooth, x: float) -> None:
    with working_precision(128):
        assert not evaluate(graph_of(op, (1,)), points([x])).outputs[0].is_finite()
    with pytest.raises(OutOfRange):
        op.lines(Box(np.array([[x]]), np.array([[x + 1]])))
    with pytest.raises((NothingToCheck, ZeroDivisionError)):
        mp_evaluate(graph_of(op, (1,)), [[(Fraction(x), Fraction(x))]])


@pytest.mark.parametrize(
    "after",
    [
        Relu(), Abs(), LeakyRelu(0.1), Sigmoid(), Tanh(), Clip(Constant(np.array(0.0)), Constant(np.array(1.0))), Sqrt(),
        Clip(Constant(np.array(0.0)), None), Clip(None, Constant(np.array(0.0))), Exp(), Power(2.0), Softmax(),
        Linear(Constant(np.zeros((2, 2)))), Scale(Constant(np.array(0.0)), None, 1), ReduceSum((0,), True),
        MaxOver((1,), np.array([[0, 1]])), Conv(Constant(np.zeros((1, 1, 1))), None, (1,), (1,), (0,), (0,)),
    ],
    ids=lambda op: type(op).__name__,
)  # fmt: skip
def test_a_value_that_does_not_exist_stays_so(after: Operation) -> None:
    """1 / 0 and then anything, a product with 0 included: never a finite ball."""
    shape = (1, 1, 2) if isinstance(after, Conv) else (2,)
    nodes = [Node(Input(shape), (), shape), Node(Reciprocal(), (0,), shape)]
    nodes.append(Node(after, (1,), after.output_shape((shape,))))
    with working_precision(128):
        for x in ([0, 0], [WIDE, WIDE]):
            found = evaluate(Graph(tuple(nodes), (2,), ("x",), ("y",)), [[arb(v) for v in x]]).outputs
            assert not any(y.is_finite() for y in found)


def test_a_matrix_product_with_zero_hides_nothing() -> None:
    with working_precision(128):
        step = step_of(MatProduct(), (1, 2), (2, 1))
        assert not step([[arb("nan"), arb(1)], [arb(0), arb(0)]])[0].is_finite()
        assert not step([[arb(0), arb(0)], [arb(0, float("inf")), arb(1)]])[0].is_finite()


def test_product_range() -> None:
    rng = np.random.default_rng(5)
    ends = np.sort(rng.normal(0, 3, (2, 2, 1, 40)), axis=1)
    found = product_range(*(Box(e[0], e[1]) for e in ends))
    for t in rng.random((50, 2, 1, 40)):
        x, y = (e[0] + s * (e[1] - e[0]) for e, s in zip(ends, t, strict=True))
        assert (found.lower <= x * y + 1e-12).all() and (x * y - 1e-12 <= found.upper).all()


# Claims.


def squared_sine() -> Graph:
    """sin(x)^2 as a product of two nodes."""
    nodes = (Node(Input((1,)), (), (1,)), Node(Sin(), (0,), (1,)), Node(Product(), (1, 1), (1,), "the node"))
    return Graph(nodes, (2,), ("x",), ("y",))


@dataclass(frozen=True, eq=False)
class Unknown(Operation):
    """No rule knows it."""

    def output_shape(self, inputs: tuple[tuple[int, ...], ...]) -> tuple[int, ...]:
        return inputs[0]


def through_unknown() -> Graph:
    nodes = (Node(Input((1,)), (), (1,)), Node(Unknown(), (0,), (1,), "the node"))
    return Graph(nodes, (1,), ("x",), ("y",))


def test_check_answers_invalid_without_a_pass() -> None:
    asked = claim(through_unknown(), [0], [1], 1, -1)
    loaded = LoadedClaim("c", asked, Guidance(ONE_LEAF, leaves(1)))
    with pytest.raises(InvalidInput, match="no relaxation for operator Unknown at node 'the node'") as caught:
        check_unsat(loaded, asked, Options(jobs=1), lambda *_: None)
    assert caught.value.code == "TLC202"


def test_an_unsat_proof_through_an_unknown_operation_is_refused() -> None:
    with pytest.raises(NoRelaxation, match="no relaxation for operator Unknown at node 'the node'"):
        Plan(claim(through_unknown(), [0], [1], 1, -1), Guidance(ONE_LEAF, leaves(1)), Settings())


def test_an_unsat_proof_through_a_product() -> None:
    """sin(x)^2 on [0, 1]"""
    assert verdict(claim(squared_sine(), [0], [1], 1, Fraction(-4, 10))) is Verdict.CERTIFIED
    assert verdict(claim(squared_sine(), [0], [1], -1, Fraction(-1, 2))) is Verdict.UNPROVEN


@pytest.mark.parametrize("op", [Sin(), Exp(), Power(2.0)], ids=["sin", "exp", "square"])
def test_claims_on_smooth_functions(op: Smooth) -> None:
    """On [0, 1/2]: a tangent in the middle of the square is at least -1/16."""
    graph = graph_of(op, (1,))
    assert verdict(claim(graph, [0], [0.5], 1, Fraction(-7, 100))) is Verdict.CERTIFIED
    assert verdict(claim(graph, [0], [0.5], 1, 1)) is Verdict.UNPROVEN
    assert verdict(claim(graph, [0], [0.5], 1, Fraction(1, 5))) is not Verdict.CERTIFIED or isinstance(
        op, Exp
    )


def sat(graph: Graph, x: Fraction, bound: Fraction) -> SatClaim:
    """y <= bound at x."""
    return SatClaim(graph, claim(graph, [-10], [10], 1, bound).query, (x,))


def test_witnesses_of_new_operations() -> None:
    graph = squared_sine()
    assert decide_sat(sat(graph, Fraction(0), Fraction(0))).verdict is Verdict.CERTIFIED
    assert decide_sat(sat(graph, Fraction(1), Fraction(1, 2))).verdict is Verdict.REFUTED
    with pytest.raises(NotDeployable):
        decide_sat(sat(graph, Fraction(0), Fraction(0)), deployed=Profile("empty", ""))
    tied = decide_sat(sat(graph, Fraction(0), Fraction(0)), deployed=IEEE)
    assert (tied.verdict, tied.code) == (Verdict.UNPROVEN, "TLC016")
    assert decide_sat(sat(graph, Fraction(0), Fraction(1, 9)), deployed=IEEE).verdict is Verdict.CERTIFIED


def test_an_undecided_witness_is_unproven_and_names_the_node() -> None:
    third = Scale(Constant(np.array(1 / 3), np.array(1e-16)), None, 1)
    nodes = (Node(Input((1,)), (), (1,)), Node(third, (0,), (1,)), Node(Floor(), (1,), (1,), "the floor"))
    graph = Graph(nodes, (2,), ("x",), ("y",))
    outcome = decide_sat(sat(graph, Fraction(3), Fraction(5)))
    assert (outcome.verdict, outcome.code) == (Verdict.UNPROVEN, "TLC012")
    assert "Floor" in outcome.message and "'the floor'" in outcome.message
    assert decide_sat(sat(graph, Fraction(4), Fraction(5))).verdict is Verdict.CERTIFIED
    outside = decide_sat(sat(graph, Fraction(30), Fraction(5)))
    assert (outside.verdict, outside.code) == (Verdict.REFUTED, "TLC011")


# Computed indices.


def sliced_and_scattered() -> bytes:
    """y = x[:6] with x[:6][p:p+2], taken from places p by Range and Slice, overwritten by 7; p = x[6]."""
    i64, one = TensorProto.INT64, np.ones(1, np.int64)
    constants = {
        "zero": np.zeros(1, np.int64), "six": 6 * one, "seven": 7 * one, "one": one, "two": 2 * one,
        "start": np.array(0), "limit": np.array(6), "delta": np.array(1), "fill": np.array([7], np.float32),
    }  # fmt: skip
    node = helper.make_node
    nodes = [
        node("Slice", ["x", "zero", "six", "zero", "one"], ["data"]),
        node("Slice", ["x", "six", "seven", "zero", "one"], ["place"]),
        node("Cast", ["place"], ["p"], to=i64),
        node("Add", ["p", "two"], ["q"]),
        node("Range", ["start", "limit", "delta"], ["all"]),
        node("Slice", ["all", "p", "q", "zero", "one"], ["some"]),
        node("Shape", ["some"], ["count"]),
        node("Expand", ["fill", "count"], ["values"]),
        node("Unsqueeze", ["some", "one"], ["index"]),
        node("ScatterND", ["data", "index", "values"], ["y"]),
    ]
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "g", [info("x", TensorProto.FLOAT, [7])], [info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(v, k) for k, v in constants.items()],
    )  # fmt: skip
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8
    ).SerializeToString()


@pytest.mark.parametrize("p", [0, 1, 3.9, 4, 5, 6, 50, -0.5, -1, -2, -3, -6, -9])
def test_computed_indices_as_onnxruntime(p: float) -> None:
    """Slices clamp, count from the end, and may be empty."""
    import onnxruntime

    data = sliced_and_scattered()
    x = np.array([*range(6), p], np.float32)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    (wanted,) = session.run(None, {"x": x})
    graph = read_model(data)
    with working_precision(128):
        found = evaluate(graph, points(x)).outputs
    assert [float(y) for y in found] == wanted.tolist()
    assert numpy_eval.evaluate(graph, [x])[0].tolist() == wanted.tolist()
    theirs = mp_evaluate(graph, [[(Fraction(float(v)), Fraction(float(v))) for v in x]])
    assert [float(t.a) for t in theirs] == [float(t.b) for t in theirs] == wanted.tolist()


def test_an_index_that_is_not_decided_is_refused() -> None:
    graph = read_model(sliced_and_scattered())
    with working_precision(128), pytest.raises(Undecided, match="a cast to integers"):
        evaluate(graph, [[*points(range(6))[0], arb(1, 0.5)]])


def indexed(*steps: Call) -> Indexed:
    return Indexed((2,), (True, False), Constant(np.array([5.0])), steps)


@pytest.mark.parametrize("value", [7, -7, 2.0**31, 0.5])
def test_an_index_out_of_range_has_no_meaning(value: float) -> None:
    op = indexed(Call("Gather", (0, 1), np.array([0])))
    step = step_of(op, (3,), (2,))
    with working_precision(128):
        assert [float(y) for y in step([[arb(4), arb(5), arb(6)], [arb(-1), arb(0)]])] == [6, 4]
        with pytest.raises(Undecided):
            step([[arb(4), arb(5), arb(6)], [arb(0), arb(value)]])


def test_programmes_are_checked_when_built() -> None:
    for steps in (
        [],
        [Call("Frobnicate", (0,), np.zeros(0, np.int64))],
        [Call("Shape", (5,), np.zeros(0, np.int64))],
    ):
        with pytest.raises(ValueError, match="Indexed"):
            indexed(*steps).output_shape(((3,), (2,)))
