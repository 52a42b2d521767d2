"""The backward pass by itself: it ends at the inputs, whatever lies between, and says which activations it has passed."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from tlcheck.trusted.arith.box import Box
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.integer import IntegerEngine
from tlcheck.trusted.graph import Graph, Node
from tlcheck.trusted.intervals import image
from tlcheck.trusted.linear_bounds import Pass, descend
from tlcheck.trusted.network import Network
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.affine import Linear, Sum
from tlcheck.trusted.ops.lines import SlopeGuess
from tlcheck.trusted.ops.structure import Fixed, Input

FIRST = np.array([[1.0, -1.0], [0.5, 2.0]])
LAST = np.array([[1.0], [-2.0]])
NODES = (
    Node(Input((2,)), (), (2,)),
    Node(Linear(Constant(FIRST)), (0,), (2,)),
    Node(Relu(), (1,), (2,)),
    Node(Linear(Constant(LAST)), (2,), (1,)),
    Node(Linear(Constant(7 * LAST)), (0,), (1,)),
    Node(Fixed(Constant(np.array([3.0]))), (), (1,)),
    Node(Sum((1, -1)), (5, 3), (1,)),
)
"""y = 3 - (relu(x0 + x1 / 2) - 2 relu(2 x1 - x0)); node 4 is between and has no part in it."""
BOX = Box(np.array([[-1.0, 0.0]]), np.array([[1.0, 2.0]]))


def passed(target: int, radii: dict[int, np.ndarray]) -> tuple[float, set[int], list[int]]:
    """(lower bound of the node, where its form ends, activations passed), by lines of slope 0 and the chord."""
    graph = Graph(NODES, (6,), ("x",), ("y",))
    network, engine = Network(graph), IntegerEngine()
    boxes = {0: BOX}
    for i, node in enumerate(NODES[1:], 1):
        boxes[i] = image(
            node.op, network.affine[i], tuple(boxes[j] for j in node.inputs), engine, network.shapes(node)
        )
    seen: list[int] = []
    form = engine.form(1, 1)
    form.seed_rows(target, np.ones((1, 1, 1)), None, boxes[target])

    def lines(i: int) -> Any:
        op: Any = NODES[i].op
        return op.lines(boxes[NODES[i].inputs[0]], SlopeGuess(None, None))

    descend(form, Pass(network, boxes, lines, radii), seen.append)
    return float(form.lower(boxes)[0, 0]), set(form.blocks), seen


def test_what_has_no_part_is_passed_over() -> None:
    low, ends, seen = passed(6, {})
    points = np.stack(np.meshgrid(np.linspace(-1, 1, 41), np.linspace(0, 2, 41)), axis=-1).reshape(-1, 2)
    exact = (3 - np.maximum(points @ FIRST, 0) @ LAST).min()
    assert ends == {0} and seen == [2]
    assert exact - 3 <= low <= exact


@pytest.mark.parametrize("node", [1, 3, 5, 6])
def test_a_rounding_radius_counts_wherever_it_is(node: int) -> None:
    plain = passed(6, {})[0]
    lower = passed(6, {node: np.full((1, NODES[node].size), 0.125)})[0]
    assert lower < plain - 0.1
    if node in (3, 5, 6):
        assert Fraction(lower) == Fraction(plain) - Fraction(1, 8)


def test_nothing_to_do_at_an_input() -> None:
    form = IntegerEngine().form(1, 1)
    descend(form, Pass(Network(Graph(NODES, (6,), ("x",), ("y",))), {}, lambda i: None))  # type: ignore[arg-type, return-value]
    assert not form.blocks


def test_an_operation_without_a_rule() -> None:
    class Other:
        def output_shape(self, inputs: tuple[tuple[int, ...], ...]) -> tuple[int, ...]:
            return inputs[0]

    other: Any = Other()
    graph = Graph((NODES[0], Node(other, (0,), (2,))), (1,), ("x",), ("y",))
    form = IntegerEngine().form(1, 1)
    form.seed_rows(1, np.ones((1, 1, 2)), None, BOX)
    with pytest.raises(ValueError, match="no rule for Other"):
        descend(form, Pass(Network(graph), {0: BOX, 1: BOX}, lambda i: None))  # type: ignore[arg-type, return-value]
