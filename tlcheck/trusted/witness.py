"""The witness of a sat claim: an exact rational point, evaluated; which disjuncts certainly hold there, and which certainly fail.

A disjunct holds where the witness is in its box and each of its constraints holds as an enclosure. The deployed question is
whether one does for every float32 execution at the witness.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from math import inf
from typing import TypeVar

import numpy as np

from tlcheck.trusted.arith.arb import Arb, ball, floor_float, lower_float, working_precision
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.float32 import are_float32
from tlcheck.trusted.arith.integer import IntegerEngine
from tlcheck.trusted.arith.profile import NotDeployable, Profile
from tlcheck.trusted.bounds import Enclosure, Slopes
from tlcheck.trusted.claim import SatClaim
from tlcheck.trusted.evaluate import Evaluator, Undecided
from tlcheck.trusted.guidance import NO_GUIDANCE
from tlcheck.trusted.network import Network
from tlcheck.trusted.query import Disjunct

R = TypeVar("R")
Ruling = tuple[bool | None, float | None]
"""(a disjunct certainly holds / certainly fails / undecided, a double <= the least slack of its constraints, if there is one)."""


@dataclass(frozen=True)
class WitnessOutcome:
    """``rulings``: one for each disjunct. ``outputs``: enclosures of the network's exact outputs, flat; none where the balls do
    not decide a discontinuous operation, which ``problem`` then names.

    ``deployed``: whether some disjunct holds for every float32 execution; None where that was not asked, or none holds exactly.
    """

    rulings: tuple[Ruling, ...]
    outputs: Sequence[Arb] = ()
    problem: str = ""
    deployed: bool | None = None


Tick = Callable[[], None]


def nothing() -> None:
    """Where no one waits."""


def examine(
    claim: SatClaim,
    precision: int,
    *,
    deployed: Profile | None = None,
    evaluator: Evaluator | None = None,
    tick: Tick = nothing,
) -> WitnessOutcome:
    """What is so at the witness; ``tick`` is called before each piece of the deployed question, and may raise to end it. Raises
    NotDeployable; and ValueError when the evaluator is of another graph."""
    evaluator = evaluator or Evaluator(claim.graph)
    if evaluator.graph is not claim.graph:
        raise ValueError("decide_sat: the evaluator is of another graph")
    with working_precision(precision):
        found = _evaluated(claim, evaluator)
    if deployed is not None and any(holds is True for holds, _ in found.rulings):
        holds = _holds_deployed(claim, precision, deployed, tick)
        return WitnessOutcome(found.rulings, found.outputs, found.problem, holds)
    return found


def _evaluated(claim: SatClaim, evaluator: Evaluator) -> WitnessOutcome:
    slices = Network(claim.graph).input_slices
    point = [claim.witness[slices[node]] for node in claim.graph.inputs]
    disjuncts = claim.query.disjuncts
    boxes = {id(d.box): d for d in disjuncts}  # disjuncts often share one box object
    within = {key: _within(d, claim.witness) for key, d in boxes.items()}
    try:
        values = evaluator.evaluate(point).outputs
    except Undecided as problem:
        rulings = tuple((None if within[id(d.box)] else False, None) for d in disjuncts)
        return WitnessOutcome(rulings, problem=str(problem))
    rule = (_rule(d, claim.witness, values) if within[id(d.box)] else (False, None) for d in disjuncts)
    return WitnessOutcome(tuple(rule), values)


def _rule(disjunct: Disjunct, witness: tuple[Fraction, ...], values: Sequence[Arb]) -> Ruling:
    """Of one disjunct in whose box the witness lies."""
    holds: bool | None = True
    slack = inf
    for c in disjunct.constraints:
        left = ball(sum((q * witness[i] for i, q in c.inputs), Fraction(0)) - c.bound)
        for i, q in c.outputs:
            left = left + ball(q) * values[i]
        slack = min(slack, lower_float(-left))
        if left.is_finite() and (left < 0 or (left <= 0 and not c.strict)):
            continue
        if left.is_finite() and (left > 0 or (left >= 0 and c.strict)):
            return False, lower_float(-left)
        holds = None
    return holds, slack


def _within(disjunct: Disjunct, witness: tuple[Fraction, ...]) -> bool:
    """The witness lies in the disjunct's box."""
    box = disjunct.box
    return all(a <= x <= b for a, x, b in zip(box.lower, witness, box.upper, strict=True))


def _holds_deployed(claim: SatClaim, precision: int, profile: Profile, tick: Tick) -> bool:
    """Some disjunct holds at the witness for every value of the outputs that a float32 execution may give; there is none at a
    witness that is no float32 numbers: a runtime would be given others."""
    network = Network(claim.graph)
    if network.without_relaxation is not None:
        raise NotDeployable(type(claim.graph.nodes[network.without_relaxation].op).__name__)
    lower = np.array([floor_float(q) for q in claim.witness])
    upper = np.array([-floor_float(-q) for q in claim.witness])
    if not are_float32(lower) or not bool((lower == upper).all()):
        return False
    inputs = {node: Box(lower[None, s], upper[None, s]) for node, s in network.input_slices.items()}
    try:
        with working_precision(precision):
            slopes = Slopes(NO_GUIDANCE, lambda _: None)
            task = Enclosure(network, IntegerEngine(), slopes, profile, apply=partial(_ticking, tick))
            boxes = task.bounds(inputs, lambda done, total: tick()).boxes
    except OutOfRange:
        return False
    low = [Fraction(x) for node, _ in network.output_slices for x in boxes[node].lower[0].tolist()]
    high = [Fraction(x) for node, _ in network.output_slices for x in boxes[node].upper[0].tolist()]
    return any(_holds_on(d, claim.witness, low, high) for d in claim.query.disjuncts)


def _ticking(tick: Tick, work: Callable[[int], R], items: Iterable[int]) -> Iterator[R]:
    """``map``, with a tick before each."""
    for item in items:
        tick()
        yield work(item)


def _holds_on(
    disjunct: Disjunct, witness: tuple[Fraction, ...], low: list[Fraction], high: list[Fraction]
) -> bool:
    """Every constraint holds for all outputs between ``low`` and ``high``."""
    if not _within(disjunct, witness):
        return False
    for c in disjunct.constraints:
        left = sum((q * witness[i] for i, q in c.inputs), Fraction(0))
        left += sum((q * (high[i] if q > 0 else low[i]) for i, q in c.outputs), Fraction(0))
        if not (left < c.bound or (left == c.bound and not c.strict)):
            return False
    return True
