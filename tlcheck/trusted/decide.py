"""The verdicts. Only this module makes CERTIFIED and REFUTED ones, out of what the passes found.

Each kind of claim loads its own passes, and no other's.

unsat: every leaf of the plan is certified by a leaf pass (leaf_pass.py), or empty.
sat: some disjunct certainly holds at the witness (witness.py); REFUTED if all certainly fail.
conditions: every condition that the claim is a conjunction of is proved (tally.py); REFUTED if one is certainly false.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tlcheck.trusted.arith.arb import PRECISION, Arb
from tlcheck.trusted.verdict import Verdict

if TYPE_CHECKING:
    from tlcheck.trusted.arith.profile import Profile
    from tlcheck.trusted.claim import SatClaim
    from tlcheck.trusted.conditions import Check, ConditionClaim
    from tlcheck.trusted.evaluate import Evaluator
    from tlcheck.trusted.leaf_pass import LeafOutcome
    from tlcheck.trusted.plan import Plan
    from tlcheck.trusted.tally import CheckParts, Tally


def conclude_unsat(plan: Plan, outcomes: Iterable[LeafOutcome]) -> tuple[Verdict, LeafOutcome | None]:
    """(verdict, the worst leaf): CERTIFIED only if every leaf of every tree is among ``outcomes`` and certified."""
    worst: LeafOutcome | None = None
    certified: set[int] = set()
    for outcome in outcomes:
        if outcome.certified:
            certified.add(outcome.rank)
        if worst is None or outcome.margin < worst.margin:
            worst = outcome
    if certified == set(range(len(plan.leaves))):
        return Verdict.CERTIFIED, worst
    return Verdict.UNPROVEN, worst


@dataclass(frozen=True)
class SatOutcome:
    """``margin``: a double <= the least slack of the best disjunct's constraints at the witness; None outside.

    ``outputs``: enclosures of the network's exact outputs at the witness, flat.
    """

    verdict: Verdict
    code: str
    message: str
    margin: float | None
    outputs: Sequence[Arb] = ()


def decide_sat(
    claim: SatClaim,
    precision: int = PRECISION,
    *,
    deployed: Profile | None = None,
    evaluator: Evaluator | None = None,
    tick: Callable[[], None] = lambda: None,
) -> SatOutcome:
    """Evaluate the witness as an exact point: CERTIFIED if some disjunct certainly holds there, REFUTED if all fail.

    ``deployed``: it must hold for every float32 execution at the witness too that the profile allows, else UNPROVEN. Raises
    NotDeployable.
    ``tick`` is called between its pieces, and may raise to end the check.
    ``evaluator``: the claim's graph made ready once, for many witnesses; ValueError when it is another graph's.
    """
    from tlcheck.trusted.witness import examine  # what sat claims alone need

    found = examine(claim, precision, deployed=deployed, evaluator=evaluator, tick=tick)
    margin = max((slack for _, slack in found.rulings if slack is not None), default=None)
    if any(holds is True for holds, _ in found.rulings):
        if found.deployed is False:
            return SatOutcome(
                Verdict.UNPROVEN,
                "TLC016",
                "the witness holds exactly; for every float32 execution it is not proved",
                margin,
                found.outputs,
            )
        return SatOutcome(
            Verdict.CERTIFIED, "TLC002", "the witness holds, evaluated exactly", margin, found.outputs
        )
    if all(holds is False for holds, _ in found.rulings):
        where = "outside every input region" if margin is None else "a constraint fails, evaluated exactly"
        return SatOutcome(
            Verdict.REFUTED, "TLC011", f"the witness does not hold: {where}", margin, found.outputs
        )
    why = f": {found.problem}" * bool(found.problem)
    return SatOutcome(
        Verdict.UNPROVEN, "TLC012", f"undecided at {precision} bits{why}", margin, found.outputs
    )


@dataclass(frozen=True)
class ConditionsOutcome:
    """``failures``: the first conditions that are disproved, or else not decided. ``least``: a double below every slack;
    ``most``: where REFUTED, one above the least of them."""

    verdict: Verdict
    code: str
    message: str
    where: str
    tallies: dict[str, Tally]
    failures: tuple[Check, ...]
    least: Check | None
    measures: dict[str, object]
    most: float | None


def decide_conditions(
    claim: ConditionClaim,
    precision: int = PRECISION,
    tick: Callable[[], None] = lambda: None,
    check_parts: CheckParts | None = None,
) -> ConditionsOutcome:
    """CERTIFIED if every condition of every part holds, and there is one; REFUTED if one certainly does not; else UNPROVEN.

    ``check_parts``: how the parts are distributed; by default the claim is checked here, as a whole.
    """
    from tlcheck.trusted.tally import tally  # what claims of conditions alone need

    found = tally(claim, precision, tick, check_parts)
    if found.total and found.proved == found.total and not found.failures:
        verdict, code = Verdict.CERTIFIED, "TLC020"
    elif found.disproved:
        verdict, code = Verdict.REFUTED, "TLC021"
    else:
        verdict, code = Verdict.UNPROVEN, "TLC022"
    return ConditionsOutcome(
        verdict, code, found.message, found.where, found.tallies, found.failures, found.least, found.measures,
        found.most,
    )  # fmt: skip
