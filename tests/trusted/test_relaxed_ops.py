"""Unsat claims through products, softmax, steps, choices and computed indices: proved where true, never where false."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from tests import numpy_eval
from tests.helpers import ENGINES, IEEE, settings
from tests.trusted.oracle import REPEATS
from tests.trusted.test_audit import ONE_LEAF, claim, ints, leaves, split, verdict
from tlcheck.trusted.arith.arb import working_precision
from tlcheck.trusted.arith.box import OutOfRange
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.profile import NotDeployable, Profile
from tlcheck.trusted.graph import Graph, Node
from tlcheck.trusted.guidance import Guidance
from tlcheck.trusted.leaf_pass import check_leaves
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.affine import Linear, Scale, Sum
from tlcheck.trusted.ops.base import Operation
from tlcheck.trusted.ops.bent import Abs
from tlcheck.trusted.ops.discrete import ArgMax, Compare, Floor, Round, Select, Sign, Truncate
from tlcheck.trusted.ops.indexed import Call, Indexed
from tlcheck.trusted.ops.product import MatProduct, Product
from tlcheck.trusted.ops.s_shaped import Tanh
from tlcheck.trusted.ops.smooth import Cos, Erf, Exp, Power, Reciprocal, Sin, Softplus, Sqrt
from tlcheck.trusted.ops.softmax import Softmax
from tlcheck.trusted.ops.structure import Fixed, Input, Rearrange, ReduceSum
from tlcheck.trusted.plan import Plan, Settings, root_bounds
from tlcheck.trusted.verdict import Verdict

Rng = np.random.Generator


class Net:
    """A graph being built."""

    def __init__(self, n: int) -> None:
        self.nodes = [Node(Input((n,)), (), (n,))]

    def add(self, op: Operation, *operands: int) -> int:
        shape = op.output_shape(tuple(self.nodes[j].shape for j in operands))
        self.nodes.append(Node(op, operands, shape))
        return len(self.nodes) - 1

    def graph(self, output: int) -> Graph:
        return Graph(tuple(self.nodes), (output,), ("x",), ("y",))


def dense(rng: Rng, n: int, m: int) -> Linear:
    return Linear(Constant(rng.normal(0, 1, (n, m))), Constant(rng.normal(0, 1, m)))


def block(net: Net, rng: Rng, kind: str, x: int) -> int:
    """A block of 4 values to 4 values."""
    a, b = net.add(dense(rng, 4, 4), x), net.add(dense(rng, 4, 4), x)
    match kind:
        case "product":
            return net.add(Product(), a, b)
        case "square":
            return net.add(Product(), a, a)
        case "matproduct":
            p, q = (net.add(Rearrange((2, 2)), v) for v in (a, b))
            return net.add(Rearrange((4,)), net.add(MatProduct(), p, q))
        case "attention":
            p, q = (net.add(Rearrange((2, 2)), v) for v in (a, b))
            turned = net.add(Rearrange((2, 2), ints(0, 2, 1, 3)), q)
            weights = net.add(Softmax(), net.add(MatProduct(), p, turned))
            return net.add(Rearrange((4,)), net.add(MatProduct(), weights, p))
        case "softmax":
            return net.add(Softmax(), a)
        case "steps":
            y = [net.add(op, a) for op in (Sign(), Floor(), Round(), Truncate())]
            return net.add(Sum((1, -1, 1, 1, 1)), b, *y)
        case "select":
            return net.add(Select(), net.add(Compare("<"), a, b), a, net.add(Relu(), b))
        case "compare":
            y = [net.add(Compare(r), a, b) for r in ("==", "<", "<=")]
            return net.add(Sum((1, -1, 1)), *y)
        case "argmax":
            rows = net.add(Rearrange((2, 2)), a)
            found = net.add(Rearrange((4,), ints(0, 1, 0, 1)), net.add(ArgMax(), rows))
            return net.add(Sum((1, 1)), found, b)
        case "indexed":
            at = net.add(Floor(), net.add(Scale(Constant(np.array(0.0)), Constant(np.array(2.5)), 1), a))
            op = Indexed((4,), (True, False), Constant(np.array([7.0])), (Call("Gather", (0, 1), ints(0)),))
            return net.add(op, b, at)
        case "normalised":
            mean = net.add(Scale(Constant(np.array(0.25)), None, 1), net.add(ReduceSum((0,), True), a))
            centred = net.add(Sum((1, -1)), a, net.add(Rearrange((4,), ints(0, 0, 0, 0)), mean))
            squares = net.add(ReduceSum((0,), True), net.add(Power(2.0), centred))
            shifted = net.add(Scale(Constant(np.array(0.25)), Constant(np.array(1e-3)), 1), squares)
            inverse = net.add(Reciprocal(), net.add(Sqrt(), shifted))
            return net.add(Product(), centred, net.add(Rearrange((4,), ints(0, 0, 0, 0)), inverse))
        case "smooth":
            y = [net.add(op, a) for op in (Sin(), Cos(), Erf(), Softplus(), Power(3.0), Exp())]
            return net.add(Sum((1,) * 6), *y)
    raise ValueError(kind)


BLOCKS = (
    "product", "square", "matproduct", "attention", "softmax", "steps", "select", "compare", "argmax", "indexed", "normalised", "smooth",
)  # fmt: skip


def network(rng: Rng, kind: str, second: str | None) -> Graph:
    """One number from 3."""
    net = Net(3)
    x = net.add(Tanh(), net.add(dense(rng, 3, 4), 0))
    y = block(net, rng, kind, x)
    if second is not None:
        y = block(net, rng, second, net.add(Tanh(), y))
    return net.graph(net.add(dense(rng, 4, 1), net.add(Abs(), y)))


@pytest.mark.parametrize("arith", ENGINES)
@pytest.mark.parametrize("kind", BLOCKS)
def test_bounds_hold_and_false_claims_are_not_proved(kind: str, arith: str) -> None:
    """Every node's box holds sampled values; the least sampled output is never excluded; the proved margin is below it."""
    proved = 0
    for seed in range(4 * REPEATS):
        rng = np.random.default_rng([seed, len(kind)])
        graph = network(rng, kind, None if seed % 2 else BLOCKS[int(rng.integers(len(BLOCKS)))])
        centre, width = rng.normal(0, 1, 3), 10.0 ** -rng.integers(0, 4)
        low, high = (centre - width).tolist(), (centre + width).tolist()
        samples = [rng.uniform(low, high) for _ in range(150)] + [np.array(low), np.array(high)]
        values = [numpy_eval.evaluate_all(graph, [x]) for x in samples]
        least = min(float(v[-1].reshape(-1)[0]) for v in values)
        slack = 1e-9 * max(1.0, abs(least))
        plan = Plan(
            claim(graph, low, high, 1, Fraction(least + slack)),
            Guidance(ONE_LEAF, leaves(1)),
            settings(arith),
        )
        try:
            bounds = root_bounds(plan, 0)
        except OutOfRange:  # a function that may not be defined on the box
            continue
        for v in values:
            for i, box in bounds.boxes.items():
                flat = v[i].reshape(-1)
                room = 1e-9 * np.maximum(1.0, np.abs(flat))
                steps = isinstance(graph.nodes[i].op, Compare | Sign | Floor | Round | Truncate | ArgMax)
                assert steps or ((box.lower[0] - room <= flat) & (flat <= box.upper[0] + room)).all(), (
                    i,
                    kind,
                )
        (outcome,) = check_leaves(plan, bounds, [0])
        assert not outcome.certified, (kind, seed, outcome.margin)
        box = bounds.boxes[len(graph.nodes) - 1]
        far = Fraction(float(box.lower[0, 0])) - 10
        proved += verdict(claim(graph, low, high, 1, far), arith=arith) is Verdict.CERTIFIED
    assert proved or kind == "normalised"


@pytest.mark.parametrize("arith", ENGINES)
@pytest.mark.parametrize("kind", BLOCKS)
def test_small_boxes_prove_sharp_claims(kind: str, arith: str) -> None:
    """On a box of width 1e-6 away from steps, a claim a little below the value is proved."""
    done = 0
    for seed in range(20):
        rng = np.random.default_rng([seed, 77])
        graph = network(rng, kind, None)
        x = rng.normal(0, 1, 3)
        near = [float(numpy_eval.evaluate(graph, [x + d])[0][0]) for d in rng.normal(0, 1e-6, (20, 3))]
        if max(near) - min(near) > 1e-2:
            continue  # at a step
        asked = claim(graph, (x - 1e-6).tolist(), (x + 1e-6).tolist(), 1, Fraction(min(near) - 1e-2))
        done += verdict(asked, arith=arith) is Verdict.CERTIFIED
        if done == 3:
            return
    raise AssertionError(done)


def test_a_comparison_on_both_sides_of_a_step() -> None:
    """y = [x < 0.5] on [0, 1]: y < 2 and y > -1 are proved, y < 1 is not; nor is it at the step itself."""
    net = Net(1)
    level = net.add(Fixed(Constant(np.array([0.5]))))
    graph = net.graph(net.add(Compare("<"), 0, level))
    assert verdict(claim(graph, [0], [1], -1, -2)) is Verdict.CERTIFIED
    assert verdict(claim(graph, [0], [1], 1, -1)) is Verdict.CERTIFIED
    assert verdict(claim(graph, [0], [1], -1, -1)) is Verdict.UNPROVEN
    assert verdict(claim(graph, [0.5], [1], -1, -1)) is Verdict.CERTIFIED
    assert verdict(claim(graph, [0], [0.5], -1, -1)) is Verdict.UNPROVEN


def test_a_split_decides_a_step() -> None:
    """|sign(x)| = 1 for x in [-2, -1]; a split at 0 of the node under Sign, and of Sign's own value."""
    net = Net(1)
    s = net.add(Sign(), net.add(Scale(Constant(np.array(1.0)), None, 1), 0))
    graph = net.graph(net.add(Abs(), s))
    assert verdict(claim(graph, [-2], [-1], 1, Fraction(1, 2))) is Verdict.CERTIFIED
    for node in (0, 1, 2):
        guidance = Guidance(split(node), leaves(2))
        assert verdict(claim(graph, [-2], [2], 1, Fraction(1, 2)), guidance) is Verdict.UNPROVEN  # false at 0


def test_a_product_whose_operands_meet_in_a_point() -> None:
    """x (1 - x) <= 1/4 + w^2 / 2 on boxes of width 2w: the planes err by twice w times w."""
    net = Net(1)
    other = net.add(Scale(Constant(np.array(-1.0)), Constant(np.array(1.0)), 1), 0)
    graph = net.graph(net.add(Product(), 0, other))
    assert verdict(claim(graph, [0], [1], -1, Fraction(-51, 100))) is Verdict.CERTIFIED
    assert verdict(claim(graph, [0], [1], -1, Fraction(-1, 4))) is Verdict.UNPROVEN
    assert verdict(claim(graph, [0.25], [0.5], -1, Fraction(-29, 100))) is Verdict.CERTIFIED


def test_undefined_values_prove_nothing() -> None:
    """1 / x on a box around 0, behind a choice that never takes it."""
    net = Net(1)
    inverse = net.add(Reciprocal(), 0)
    never = net.add(Fixed(Constant(np.array([0.0]))))
    graph = net.graph(net.add(Select(), never, inverse, 0))
    assert verdict(claim(graph, [-1], [1], 1, -5)) is Verdict.UNPROVEN
    assert verdict(claim(graph, [1], [2], 1, Fraction(1, 2))) is Verdict.CERTIFIED


@pytest.mark.parametrize("kind", BLOCKS)
def test_float32_semantics(kind: str) -> None:
    """Boxes of executions hold those of the exact function; an elementary function is refused where nothing is said of it."""
    graph = network(np.random.default_rng(1), kind, None)
    asked = claim(graph, [0, 0, 0], [1, 1, 1], 1, -100)
    plans = [
        Plan(asked, Guidance(ONE_LEAF, leaves(1)), Settings("arb", deployed=profile))
        for profile in (None, IEEE, Profile("empty", ""))
    ]
    with working_precision(128):
        real, deployed = (root_bounds(plan, 0).boxes[graph.outputs[0]] for plan in plans[:2])
        assert (deployed.lower < real.lower).all() and (real.upper < deployed.upper).all()
        with pytest.raises(NotDeployable, match="profile empty"):  # every block has a tanh
            root_bounds(plans[2], 0)
