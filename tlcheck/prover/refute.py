"""A query refuted before a proof is looked for: the attack's points, and exact ones, judged by the kernel.

What is returned is a point at which ``decide_sat`` CERTIFIED that the query is satisfied, over the reals.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import chain
from math import inf
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.prover.attack import Attack
from tlcheck.runtime.ort import ExecutionFailed, Session, make_session
from tlcheck.trusted.arith.arb import PRECISION, ball, working_precision
from tlcheck.trusted.claim import SatClaim
from tlcheck.trusted.decide import SatOutcome, decide_sat
from tlcheck.trusted.evaluate import Evaluator, Undecided
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.query import InputBox, Query
from tlcheck.trusted.verdict import Verdict

Point = tuple[Fraction, ...]

PRECISIONS: Final = (128, 512, 2048)
"""Bits of ``ruled``."""
MOST_VALUES: Final = 3000
"""Most evaluations of the network by the attack."""
MOST_BALLS: Final = 500
"""The same where nothing executes it, and balls are evaluated."""
EXACT_BOXES: Final = 64
"""Regions whose exact centre and corners are tried too."""


def ruled(claim: SatClaim, evaluator: Evaluator, precisions: Sequence[int] = PRECISIONS) -> SatOutcome:
    """The kernel's ruling on a witness, at one precision after the other while it is undecided."""
    outcome = decide_sat(claim, precisions[0], evaluator=evaluator)
    for bits in precisions[1:]:
        if outcome.verdict is Verdict.UNPROVEN:
            outcome = decide_sat(claim, bits, evaluator=evaluator)
    return outcome


class Judge:
    """Decides points of one query over the reals."""

    def __init__(self, graph: Graph, query: Query) -> None:
        self.graph, self.query = graph, query
        self.evaluator = Evaluator(graph)

    def holds(self, point: Point) -> bool:
        """The point certainly satisfies the query."""
        claim = SatClaim(self.graph, self.query, point)
        return ruled(claim, self.evaluator).verdict is Verdict.CERTIFIED

    def middles(self, point: NDArray[np.float32]) -> NDArray[np.float64] | None:
        """The outputs there, roughly; None where there are none."""
        inputs, start = [], 0
        with working_precision(PRECISION):
            for node in self.graph.inputs:
                size = self.graph.nodes[node].size
                inputs.append([ball(Fraction(v)) for v in point[start : start + size].tolist()])
                start += size
            try:
                return np.array([float(y.mid()) for y in self.evaluator.evaluate(inputs).outputs])
            except Undecided:
                return None


class _Enough(Exception):
    """The attack has had its evaluations."""


class _Values:
    """The outputs at a point by the float execution where there is one, in balls elsewhere; so many times, then ``_Enough``."""

    def __init__(self, judge: Judge, model: bytes | None) -> None:
        self.judge = judge
        self.session: Session | None = None
        try:
            self.session = None if model is None else make_session(model)
        except ExecutionFailed:
            self.session = None
        self.left = MOST_BALLS if self.session is None else MOST_VALUES

    def __call__(self, point: NDArray[np.float32]) -> NDArray[np.float64] | None:
        self.left -= 1
        if self.left < 0:
            raise _Enough
        if self.session is None:
            return self.judge.middles(point)
        try:
            return self.session.run(point)
        except (ExecutionFailed, ValueError):
            return None


def refuted(judge: Judge, model: bytes | None = None, until: float = inf) -> Point | None:
    """A point of the query, or None: exact centres and corners, then what the attack finds until the monotonic time ``until``.

    ``model``: its ONNX file, for executions; without it points are evaluated in balls.
    """
    for box in list(dict.fromkeys(d.box for d in judge.query.disjuncts))[:EXACT_BOXES]:
        for point in exact_points(box):
            if judge.holds(point):
                return point
    attack = Attack(judge.query, _Values(judge, model), until)
    try:
        for _, single in chain(attack.samples(), attack.descents()):
            point = tuple(Fraction(x) for x in single.tolist())
            if judge.holds(point):
                return point
    except _Enough:
        pass
    return None


def exact_points(box: InputBox) -> Iterator[Point]:
    """The centre of a box and its two extreme corners, exactly: a box may hold no number of float32. None if it is empty."""
    if all(a <= b for a, b in zip(box.lower, box.upper, strict=True)):
        centre = tuple((a + b) / 2 for a, b in zip(box.lower, box.upper, strict=True))
        yield from dict.fromkeys((centre, box.lower, box.upper))
