"""Cases left behind by the audit of the trusted ring: each was a false CERTIFIED, or a crash, once."""

from __future__ import annotations

import pickle
from fractions import Fraction

import numpy as np
import pytest

from tests.helpers import ENGINES, IEEE, settings
from tests.trusted.test_decide_soundness import decide
from tlcheck.options import ARITHMETICS
from tlcheck.trusted.arith.ball64 import Ball64
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.integer import IntegerEngine, IntegerForm
from tlcheck.trusted.arith.maps import DiagMap, MatMap
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.graph import Graph, Node
from tlcheck.trusted.guidance import Guidance, LeafSlopes, Leaves, SharedSlopes, Tree
from tlcheck.trusted.leaf_pass import check_leaves
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.affine import Linear
from tlcheck.trusted.ops.base import Operation
from tlcheck.trusted.ops.bent import LeakyRelu
from tlcheck.trusted.ops.s_shaped import Sigmoid
from tlcheck.trusted.ops.selection import MaxOver
from tlcheck.trusted.ops.structure import Fixed, Input, Rearrange
from tlcheck.trusted.plan import Plan, Settings, root_bounds
from tlcheck.trusted.query import Disjunct, InputBox, LinearConstraint, Query
from tlcheck.trusted.verdict import Verdict


def chain(n: int, *ops: Operation) -> Graph:
    """One input (1, n) and a chain of operations."""
    nodes = [Node(Input((1, n)), (), (1, n))]
    for op in ops:
        shape = op.output_shape((nodes[-1].shape,))
        nodes.append(Node(op, (len(nodes) - 1,), shape))
    return Graph(tuple(nodes), (len(nodes) - 1,), ("x",), ("y",))


def claim(
    graph: Graph, low: list[float], high: list[float], coefficient: Fraction | int, bound: Fraction | int
) -> UnsatClaim:
    """No x in the box has coefficient * y_0 <= bound."""
    box = InputBox(tuple(map(Fraction, low)), tuple(map(Fraction, high)))
    constraint = LinearConstraint((), ((0, Fraction(coefficient)),), Fraction(bound))
    return UnsatClaim(graph, Query(graph.n_inputs, graph.n_outputs, (Disjunct(box, (constraint,)),)))


def leaves(count: int) -> Leaves:
    none, empty = np.zeros(0, np.int64), np.zeros(0)
    return Leaves(
        np.arange(count + 1), np.zeros(count, np.int64), np.ones(count), np.zeros(count + 1, np.int64),
        none, none, none, empty, empty, np.full(count, np.nan),
    )  # fmt: skip


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


ONE_LEAF = Tree(ints(1), ints(0), ints(0), np.zeros(1), ints(0), ints(0), ints(0))


def split(node: int) -> Tree:
    """One split of value 0 of a node at 0."""
    return Tree(
        ints(0, 1, 1), ints(node, 0, 0), ints(0, 0, 0), np.zeros(3), ints(1, 0, 1), ints(2, 0, 0), ints(0)
    )


def verdict(
    asked: UnsatClaim, guidance: Guidance | None = None, arith: str = "arb", deployed: bool = False
) -> Verdict:
    return decide(
        asked, guidance or Guidance(ONE_LEAF, leaves(1)), settings(arith, deployed=IEEE if deployed else None)
    )[1]


@pytest.mark.parametrize("arith", ARITHMETICS)
def test_selection_with_an_infinite_end_chooses_no_padding(arith: str) -> None:
    """max(x0) with a padded column, x0 in [-inf, 0]: the padding was taken for the dominating entry, as 0."""
    weight = Constant(np.array([[1e300, 0.0], [0.0, 1.0]]))
    graph = chain(2, Linear(weight), MaxOver((1,), np.array([[-1, 0]], np.int64)))
    assert verdict(claim(graph, [-1e10, 0], [0, 1], 1, -1), arith=arith) is Verdict.UNPROVEN


@pytest.mark.parametrize("arith", ENGINES)
def test_float32_overflow_is_not_certified(arith: str) -> None:
    """1e-30 (1e30 x) is infinite in float32 for x = 1e10."""
    graph = chain(1, *(Linear(Constant(np.array([[w]], np.float32))) for w in (1e30, 1e-30)))
    asked = claim(graph, [1e10], [2e10], -1, -3 * 10**10)
    assert verdict(asked, arith=arith) is Verdict.CERTIFIED
    assert verdict(asked, arith=arith, deployed=True) is Verdict.UNPROVEN


def test_float32_overflow_of_a_leaky_relu() -> None:
    graph = chain(1, Linear(Constant(np.array([[1e30]], np.float32))), LeakyRelu(-1e20))
    assert verdict(claim(graph, [-1], [0], 1, -1), deployed=True) is Verdict.UNPROVEN


def test_leaky_relu_loses_alpha_times_a_flushed_operand() -> None:
    graph = chain(1, LeakyRelu(2.0**100))
    plan = Plan(
        claim(graph, [-(2.0**-127)], [-(2.0**-127)], 1, -1),
        Guidance(ONE_LEAF, leaves(1)),
        Settings("arb", deployed=IEEE),
    )
    assert root_bounds(plan, 0).boxes[1].upper[0, 0] >= 0


def test_a_normalisation_that_cancels_has_the_radius_of_its_terms() -> None:
    """BatchNormalization with B = mean = 1000 and factor 1 is the identity, yet x - mean loses the bits of x."""
    from onnx import TensorProto, helper

    from tlcheck.readers.onnx import read_model

    node = helper.make_node("BatchNormalization", ["x", "s", "b", "m", "v"], ["y"], epsilon=0.0)
    names = {"s": 1.0, "b": 1000.0, "m": 1000.0, "v": 1.0}
    constants = [helper.make_tensor(k, TensorProto.FLOAT, [1], [v]) for k, v in names.items()]
    values = [helper.make_tensor_value_info(k, TensorProto.FLOAT, [1, 1]) for k in ("x", "y")]
    graph = helper.make_graph([node], "g", values[:1], values[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)])
    normalised = read_model(model.SerializeToString())
    plan = Plan(
        claim(normalised, [1e-4], [2e-4], 1, 0), Guidance(ONE_LEAF, leaves(1)), Settings("arb", deployed=IEEE)
    )
    box = root_bounds(plan, 0).boxes[normalised.outputs[0]]
    assert box.lower[0, 0] <= 1e-4 - 6 * 2.0**-24 * 1000
    assert verdict(claim(normalised, [1e-4], [2e-4], 1, 0), deployed=True) is not Verdict.CERTIFIED


def test_flush_to_zero_in_relu() -> None:
    graph = chain(1, Relu())
    plan = Plan(
        claim(graph, [2.0**-127], [1], 1, 0), Guidance(ONE_LEAF, leaves(1)), Settings("arb", deployed=IEEE)
    )
    assert root_bounds(plan, 0).boxes[1].lower[0, 0] <= 0


def test_caches_by_identity_survive_another_process() -> None:
    """Engines travel to spawned workers; an id of the parent may be an id of another object there."""
    old, new = MatMap(Constant(np.ones((1, 1))), 1), MatMap(Constant(np.full((1, 1), 5.0)), 1)
    point = Box(np.ones((1, 1)), np.ones((1, 1)))
    ball = Ball64()
    ball.weights(old)
    ball = pickle.loads(pickle.dumps(ball))
    ball._weights = {id(new.weight): next(iter(ball._weights.values()))}
    assert ball.image((new,), (point,), None).lower[0, 0] > 4
    engine = IntegerEngine()
    engine.integer_map(old)
    engine._maps = {(id(new.weight), 1, 1): next(iter(engine._maps.values()))}
    assert engine.image((new,), (point,), None).lower[0, 0] > 4
    diagonal, other = DiagMap(Constant(np.full(1, 3.0)), (1,)), DiagMap(Constant(np.full(1, 5.0)), (1,))
    engine.diagonal(diagonal)
    engine._diagonals = {id(other): engine._diagonals[id(diagonal)]}
    assert engine.image((other,), (point,), None).lower[0, 0] > 4


def test_a_chunk_of_two_regions_is_refused() -> None:
    graph = chain(1, Relu())
    boxes = [InputBox((Fraction(a),), (Fraction(a + 1),)) for a in (0, -5)]
    constraint = LinearConstraint((), ((0, Fraction(1)),), Fraction(-1))
    query = Query(1, 1, tuple(Disjunct(b, (constraint,)) for b in boxes))
    trees = Tree(ints(1, 1), ints(0, 0), ints(0, 0), np.zeros(2), ints(0, 1), ints(0, 0), ints(0, 1))
    plan = Plan(UnsatClaim(graph, query), Guidance(trees, leaves(2)), Settings("arb"))
    with pytest.raises(ValueError, match="different regions"):
        check_leaves(plan, root_bounds(plan, 0), [0, 1])


# Crashes: never a wrong verdict, but an internal error for evidence that any producer may write.

MIX = Constant(np.array([[1.0, 2, 3], [0.3, -0.7, 1], [1, 1, 0.1]]))
SUM = Constant(np.ones((3, 1)))


@pytest.mark.parametrize("arith", ARITHMETICS)
@pytest.mark.parametrize("op", [Sigmoid(), LeakyRelu(3.0), LeakyRelu(-5.0)])
def test_slopes_of_two_and_more_share_a_grid(arith: str, op: Operation) -> None:
    graph = chain(3, Linear(MIX), op, Linear(SUM))
    asked = claim(graph, [-1, -0.3, 0.1], [1, 0.9, 1], 1, -100)
    for slopes in (None, SharedSlopes(np.array([2, 0.1, 0.1]), np.array([5, 0.3, 1 / 3]))):
        guidance = Guidance(ONE_LEAF, leaves(1), shared_slopes={} if slopes is None else {2: slopes})
        assert verdict(asked, guidance, arith) is Verdict.CERTIFIED


@pytest.mark.parametrize("arith", ARITHMETICS)
def test_slopes_of_leaves_without_input_splits(arith: str) -> None:
    graph = chain(3, Linear(MIX), Relu(), Linear(MIX), Relu(), Linear(SUM))
    slopes = {2: LeafSlopes(np.arange(3), np.full((2, 3), 0.5), None)}
    guidance = Guidance(split(1), leaves(2), leaf_slopes=slopes, per_leaf_bounds=True)
    assert verdict(claim(graph, [-1] * 3, [1] * 3, 1, -100), guidance, arith) is Verdict.CERTIFIED


@pytest.mark.parametrize("arith", ARITHMETICS)
def test_a_target_without_inputs_on_several_domains(arith: str) -> None:
    fixed = Constant(np.array([[1.0, -2.0]]))
    nodes = (
        Node(Input((1, 1)), (), (1, 1)), Node(Fixed(fixed), (), (1, 2)), Node(Sigmoid(), (1,), (1, 2)),
        Node(Sigmoid(), (2,), (1, 2)), Node(Rearrange((1, 3), ints(0, 1, 2)), (0, 3), (1, 3)),
    )  # fmt: skip
    graph = Graph(nodes, (4,), ("x",), ("y",))
    guidance = Guidance(split(0), leaves(2), per_leaf_bounds=True)
    assert verdict(claim(graph, [-1], [1], 1, -2), guidance, arith) is Verdict.CERTIFIED


@pytest.mark.parametrize("arith", ARITHMETICS)
def test_coefficients_that_are_not_doubles(arith: str) -> None:
    graph = chain(1, Relu())
    assert verdict(claim(graph, [0], [1], Fraction(1, 3), -1), arith=arith) is Verdict.CERTIFIED
    assert verdict(claim(graph, [0], [1], 10**400, -1), arith=arith) is Verdict.UNPROVEN


def test_an_inexact_coefficient_on_an_unbounded_output() -> None:
    graph = chain(1, Linear(Constant(np.full((1, 1), 1e300))))
    assert verdict(claim(graph, [-1e10], [1e10], Fraction(1, 3), -1)) is Verdict.UNPROVEN
    form = IntegerForm(IntegerEngine(), 1, 1)
    with pytest.raises(OutOfRange):
        form.seed_rows(
            0, np.ones((1, 1, 1)), np.ones((1, 1, 1)), Box(np.full((1, 1), -np.inf), np.full((1, 1), np.inf))
        )
