"""Witnesses: what holds, fails or is open at a point, by the sides of every comparison; over the reals and in float32."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from tests.helpers import IEEE
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.profile import NotDeployable
from tlcheck.trusted.claim import SatClaim
from tlcheck.trusted.decide import SatOutcome, decide_sat
from tlcheck.trusted.evaluate import Evaluator
from tlcheck.trusted.graph import Graph, Node
from tlcheck.trusted.ops.affine import Linear, Scale
from tlcheck.trusted.ops.base import Operation, Shape, Step
from tlcheck.trusted.ops.discrete import Floor
from tlcheck.trusted.ops.s_shaped import Tanh
from tlcheck.trusted.ops.structure import Input
from tlcheck.trusted.query import Disjunct, InputBox, LinearConstraint, Query

F = Fraction
Pairs = dict[int, int | Fraction]
LINEAR = Graph(
    (Node(Input((2,)), (), (2,)), Node(Linear(Constant(np.array([[1.0, 2.0], [0.0, -4.0]]))), (0,), (2,))),
    (1,), ("x",), ("y",),
)  # fmt: skip
"""y = (x0, 2 x0 - 4 x1)"""
HERE = (F(1), F(1, 2))
"""y = (1, 0)"""


def at_most(
    bound: Fraction | int,
    inputs: Pairs | None = None,
    outputs: Pairs | None = None,
    *,
    strict: bool = False,
) -> LinearConstraint:
    pairs = [tuple((i, F(q)) for i, q in (side or {}).items()) for side in (inputs, outputs)]
    return LinearConstraint(pairs[0], pairs[1], F(bound), strict)


def where(
    *constraints: LinearConstraint, low: tuple[int, ...] = (0, 0), high: tuple[int, ...] = (1, 1)
) -> Disjunct:
    return Disjunct(InputBox(tuple(map(F, low)), tuple(map(F, high))), constraints)


def outcome(
    *disjuncts: Disjunct, point: tuple[Fraction, ...] = HERE, graph: Graph = LINEAR, deployed: bool = False
) -> SatOutcome:
    asked = Query(graph.n_inputs, graph.n_outputs, disjuncts)
    return decide_sat(SatClaim(graph, asked, point), deployed=IEEE if deployed else None)


CERTIFIED, REFUTED, OUTSIDE, OPEN = "TLC002", "TLC011", "TLC011", "TLC012"


@pytest.mark.parametrize("deployed", [False, True])
@pytest.mark.parametrize(
    ("constraint", "code", "margin"),
    [
        (at_most(1, outputs={0: 1}), CERTIFIED, 0), (at_most(1, outputs={0: 1}, strict=True), REFUTED, 0),
        (at_most(2, outputs={0: 1}, strict=True), CERTIFIED, 1), (at_most(0, outputs={0: 1}), REFUTED, -1),
        (at_most(-1, outputs={0: -1}), CERTIFIED, 0), (at_most(-2, outputs={0: -1}), REFUTED, -1),
        (at_most(0, inputs={0: 3, 1: -6}), CERTIFIED, 0), (at_most(F(-1, 8), inputs={0: 3, 1: -6}), REFUTED, F(-1, 8)),
        (at_most(0, inputs={0: -3, 1: 6}), CERTIFIED, 0), (at_most(F(-1, 2), outputs={0: F(-1, 2)}), CERTIFIED, 0),
        (at_most(4, inputs={1: 2}, outputs={0: 3, 1: 7}), CERTIFIED, 0), (at_most(F(31, 8), inputs={1: 2}, outputs={0: 3, 1: 7}), REFUTED, F(-1, 8)),
    ],
)  # fmt: skip
def test_one_constraint(
    constraint: LinearConstraint, code: str, margin: Fraction | int, deployed: bool
) -> None:
    """Both layers are exact in float32 here but for flushed numbers, so that only a tie in outputs is not proved of every execution."""
    found = outcome(where(constraint))
    assert (found.code, found.margin) == (code, margin)
    assert [str(y) for y in found.outputs] == ["1.00000000000000", "0"]
    if deployed:
        known = code if margin or not constraint.outputs else "TLC016" if code == CERTIFIED else code
        assert outcome(where(constraint), deployed=True).code == known


def test_every_constraint_and_some_disjunct() -> None:
    good, bad = at_most(3, outputs={0: 1}), at_most(0, outputs={0: 1})
    assert outcome(where(good, bad)).code == outcome(where(bad, good)).code == REFUTED
    assert outcome(where(good, bad), where(good)).code == CERTIFIED
    assert outcome(where(good, bad), where(good)).margin == 2
    assert outcome(where(good, at_most(2, outputs={0: 1}))).margin == 1
    assert outcome(where()).code == CERTIFIED


@pytest.mark.parametrize(
    ("low", "high"), [((2, 0), (3, 1)), ((0, 0), (0, 1)), ((0, 1), (1, 1)), ((0, -1), (1, 0))]
)
def test_outside_its_box(low: tuple[int, int], high: tuple[int, int]) -> None:
    good = at_most(3, outputs={0: 1})
    found = outcome(where(good, low=low, high=high))
    assert (found.code, found.margin) == (OUTSIDE, None) and "outside every input region" in found.message
    assert outcome(where(good, low=low, high=high), where(good)).code == CERTIFIED
    both = outcome(where(good, low=low, high=high), where(at_most(0, outputs={0: 1})))
    assert (both.code, both.margin) == (REFUTED, -1)
    tied = where(at_most(1, outputs={0: 1}))
    assert outcome(tied, where(good, low=low, high=high), deployed=True).code == "TLC016"


TANH = Graph((Node(Input((1,)), (), (1,)), Node(Tanh(), (0,), (1,))), (1,), ("x",), ("y",))


def test_a_tie_that_no_ball_decides_is_open() -> None:
    """tanh(x) <= the double next to it is decided; no finite precision decides a number within its ball."""
    point = (F(1, 2),)
    value = outcome(where(at_most(9, outputs={0: 1}), low=(0,), high=(1,)), graph=TANH, point=point).outputs[
        0
    ]
    middle = F(int(value.mid().man_exp()[0])) * F(2) ** int(value.mid().man_exp()[1])
    tied = where(at_most(middle, outputs={0: 1}), low=(0,), high=(1,))
    assert outcome(tied, graph=TANH, point=point).code == OPEN
    assert (
        outcome(tied, where(at_most(0, outputs={0: 1}), low=(0,), high=(1,)), graph=TANH, point=point).code
        == OPEN
    )
    above, below = middle + F(1, 10**30), middle - F(1, 10**30)
    for bound, code in ((above, CERTIFIED), (below, REFUTED)):
        assert (
            outcome(where(at_most(bound, outputs={0: 1}), low=(0,), high=(1,)), graph=TANH, point=point).code
            == code
        )
    assert (
        outcome(
            where(at_most(above, outputs={0: 1}), low=(0,), high=(1,)), graph=TANH, point=point, deployed=True
        ).code
        == "TLC016"
    )
    assert (
        outcome(where(at_most(-above, outputs={0: -1}), low=(0,), high=(1,)), graph=TANH, point=point).code
        == REFUTED
    )
    wide = where(at_most(middle + F(1, 1000), outputs={0: 1}), low=(0,), high=(1,))
    assert outcome(wide, graph=TANH, point=point, deployed=True).code == CERTIFIED


@pytest.mark.parametrize("point", [(F(1, 10), F(1, 2)), (F(0.1), F(1, 2)), (F(1, 2), F(1, 3))])
def test_a_witness_that_is_no_float32_numbers(point: tuple[Fraction, ...]) -> None:
    good = where(at_most(30, outputs={0: 1}))
    assert outcome(good, point=point).code == CERTIFIED
    assert outcome(good, point=point, deployed=True).code == "TLC016"
    assert outcome(good, deployed=True).code == CERTIFIED


def test_another_graphs_evaluator_is_refused() -> None:
    claim = SatClaim(LINEAR, Query(2, 2, (where(),)), HERE)
    assert decide_sat(claim, evaluator=Evaluator(LINEAR)).code == CERTIFIED
    with pytest.raises(ValueError, match="another graph"):
        decide_sat(claim, evaluator=Evaluator(Graph(LINEAR.nodes, (1,), ("x",), ("y",))))


def test_the_ends_of_a_box_belong_to_it() -> None:
    good = at_most(3, outputs={0: 1})
    for low, high in (((1, 0), (2, 1)), ((0, 0), (1, 1)), ((1, 0), (1, 1))):
        assert outcome(where(good, low=low, high=high), deployed=True).code == CERTIFIED


def test_only_what_holds_for_every_execution_is_certified_of_it() -> None:
    """The first disjunct holds exactly and by no margin, the second fails by none; a third decides."""
    tied, missed = where(at_most(1, outputs={0: 1})), where(at_most(0, inputs={0: 1, 1: -2}, strict=True))
    away = where(at_most(9, outputs={0: 1}), low=(5, 5), high=(6, 6))
    assert outcome(tied, missed, away, deployed=True).code == "TLC016"
    assert (
        outcome(tied, missed, where(at_most(0, inputs={0: 1, 1: -2})), away, deployed=True).code == CERTIFIED
    )


def test_a_witness_next_to_float32_numbers() -> None:
    good = where(at_most(30, outputs={0: 1}), high=(2, 2))
    for point in ((F(1, 2) + F(1, 2**70), F(1)), (F(1), F(1, 2) - F(1, 2**70)), (F(1, 2) + F(1, 2**70),) * 2):
        assert outcome(good, point=point).code == CERTIFIED
        assert outcome(good, point=point, deployed=True).code == "TLC016"


def test_executions_that_overflow_prove_nothing() -> None:
    big = where(at_most(F(2) ** 140, outputs={0: 1}), low=(0, 0), high=(2**128, 1))
    point = (F(2) ** 127, F(1))
    assert (outcome(big, point=point).code, outcome(big, point=point, deployed=True).code) == (
        CERTIFIED,
        "TLC016",
    )


def floor_of(factor: float, radius: float) -> Graph:
    scale = Scale(Constant(np.array(factor), np.array(radius)), None, 1)
    nodes = Node(Input((1,)), (), (1,)), Node(scale, (0,), (1,)), Node(Floor(), (1,), (1,))
    return Graph(nodes, (2,), ("x",), ("y",))


def test_a_step_that_no_ball_decides() -> None:
    graph, good = floor_of(1.0, 2.0**-10), at_most(30, outputs={0: 1})
    here, away = where(good, low=(0,), high=(9,)), where(good, low=(5,), high=(9,))
    found = outcome(here, away, graph=graph, point=(F(3),))
    assert (found.code, found.outputs) == (OPEN, ()) and "Floor" in found.message
    assert outcome(away, graph=graph, point=(F(3),)).code == OUTSIDE
    assert outcome(here, graph=graph, point=(F(7, 2),)).code == CERTIFIED


@pytest.mark.parametrize("strict", [False, True])
def test_a_ball_around_the_bound_decides_nothing(strict: bool) -> None:
    """y in [1 - 2^-10, 1 + 2^-10]."""
    graph = Graph(floor_of(1.0, 2.0**-10).nodes[:2], (1,), ("x",), ("y",))
    for bound, code in ((1, OPEN), (1 - F(1, 500), REFUTED), (1 + F(1, 500), CERTIFIED)):
        asked = where(at_most(bound, outputs={0: 1}, strict=strict), low=(0,), high=(1,))
        assert outcome(asked, graph=graph, point=(F(1),)).code == code


class Doubled(Operation):
    """Values, and nothing that a pass could go through."""

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        return inputs[0]

    def step(self, inputs: tuple[Shape, ...], shape: Shape) -> Step:
        return lambda xs: [x + x for x in xs[0]]


def test_an_operation_that_no_pass_goes_through_is_not_deployed() -> None:
    graph = Graph((Node(Input((1,)), (), (1,)), Node(Doubled(), (0,), (1,))), (1,), ("x",), ("y",))
    good = where(at_most(3, outputs={0: 1}), low=(0,), high=(1,))
    assert outcome(good, graph=graph, point=(F(1),)).code == CERTIFIED
    with pytest.raises(NotDeployable, match="Doubled"):
        outcome(good, graph=graph, point=(F(1),), deployed=True)
