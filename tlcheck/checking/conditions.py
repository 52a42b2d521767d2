"""Checking a claim that is a conjunction of conditions: its parts in whatever processes; and the record of what came out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from tlcheck import timer
from tlcheck.checking.blas import blas_usable
from tlcheck.checking.deadline import Deadline, Stopped
from tlcheck.checking.outcome import (
    ZERO,
    about,
    deployed_profile,
    float32_assumptions,
    not_deployable,
    profile_named,
    rounded,
)
from tlcheck.checking.pool import FORKS, WORKER_KILLED, WorkerDied, processes, silent, workers_for
from tlcheck.errors import InvalidInput
from tlcheck.options import TAYLOR64, Options, Progress, Report
from tlcheck.readers.loaded import LoadedClaim
from tlcheck.report.result import Bound, ClaimResult, Number, Reason
from tlcheck.trusted.conditions import Check, ConditionClaim, Item, Measure
from tlcheck.trusted.decide import ConditionsOutcome, decide_conditions
from tlcheck.trusted.tally import CheckParts, check_part
from tlcheck.trusted.verdict import Verdict


def check_conditions(
    loaded: LoadedClaim, claim: ConditionClaim, options: Options, report: Report = None
) -> ClaimResult:
    """Decide a claim that is a conjunction of conditions. Raises InvalidInput: of those that have no deployed semantics."""
    if options.semantics != "deployed":
        return _checked(loaded, claim, options, report)
    from tlcheck.trusted.arith.profile import NotDeployable  # only float32 executions have profiles

    try:
        return _checked(loaded, claim, options, report)
    except NotDeployable as error:
        raise not_deployable(error) from None


def _checked(loaded: LoadedClaim, claim: ConditionClaim, options: Options, report: Report) -> ClaimResult:
    """Raises InvalidInput, NotDeployable."""
    start = timer.now()
    deadline = Deadline(options.timeout, options.max_memory_mib)
    if _is_deployed(claim):
        options = replace(options, semantics="real")
    try:
        if options.semantics == "deployed":
            claim = _for_executions(claim, options, deadline)
        claim = _in_float64(claim, options)
        parts = _parts_checker(claim, options, deadline, report)
        result = _result(loaded, claim, decide_conditions(claim, options.precision, deadline.check, parts))
    except Stopped as stopped:
        reason = Reason("TLC015", str(stopped))
        result = ClaimResult(claim.kind, claim.statement, Verdict.UNPROVEN, reason, details=about(loaded))
    if options.semantics == "deployed":
        result = replace(result, assumptions=(*result.assumptions, *float32_assumptions(options.profile)))
    return replace(result, arithmetic=_arithmetic(claim, options), seconds=timer.now() - start)


def _in_float64(claim: ConditionClaim, options: Options) -> ConditionClaim:
    """Float64 decides what it can, where the claim knows how and the BLAS at hand is one that its error bounds hold for."""
    known: Callable[[], ConditionClaim] | None = getattr(claim, "in_float64", None)
    if known is None or options.arith not in ("auto", "ball64"):
        return claim
    return known() if blas_usable() else claim


def _is_deployed(claim: ConditionClaim) -> bool:
    """It is about float32 executions by itself, under a profile of its own."""
    return getattr(claim, "semantics", "real") == "deployed"


NO_FLOAT32: Final[dict[str, str]] = {
    **dict.fromkeys(("spline", "camera box"), "no network computes what it is about"),
    "corridor": "it is about solutions of a differential equation",
    **dict.fromkeys(
        ("stability", "Lyapunov conditions"),
        "it is about trajectories and derivatives of the exact closed loop",
    ),
    "interval box": "it is about interval propagation, not about what is computed at a point",
    **dict.fromkeys(
        ("node bounds", "node boxes"),
        "its proof, exact intervals, has no roundings: claim an output box",
    ),
    **dict.fromkeys(
        ("leaf artifact", "node artifact", "margin artifact"),
        "it is about an artifact's numbers, without a network",
    ),
    "PINN boxes": "its residuals and difference quotients are of the exact function: derivatives of what float32 computes, a "
    "step function, are 0 or undefined, and h^2 divides its roundings; ask about values in VNN-LIB, of the ONNX file",
    "PINN data": "its network is one of exact numbers; ask about values in VNN-LIB, of the ONNX file",
    **dict.fromkeys(
        ("PINN domain", "PINN solution error"),
        "it is about derivatives of the exact function: those of what float32 computes, a step function, are 0 or undefined",
    ),
}
"""Kinds of conditions of which none is about float32 executions, and why. The others are ``OfOutputs``."""


def _for_executions(claim: ConditionClaim, options: Options, deadline: Deadline) -> ConditionClaim:
    """The claim about executions. One of its conditions is tried here, so that what has no radius is refused at once.

    Raises InvalidInput, NotDeployable, Stopped.
    """
    from tlcheck.trusted.science.executions import OfOutputs

    profile = deployed_profile(options)
    if profile is None or not isinstance(claim, OfOutputs):
        why = NO_FLOAT32.get(claim.kind, "it is not about a network's outputs")
        raise InvalidInput(
            "TLC202", f"no float32 semantics for a claim of kind {claim.kind}: {why} (--semantics deployed)"
        )
    deployed = claim.for_executions(profile)
    next((i for i in deployed.checks(options.precision, deadline.check) if not isinstance(i, Measure)), None)
    return deployed


def _arithmetic(claim: ConditionClaim, options: Options) -> dict[str, object]:
    arithmetic: dict[str, object] = {
        "deciding": TAYLOR64 if getattr(claim, "quick", False) else "exact and arb",
        "precision": options.precision,
        "semantics": "deployed" if _is_deployed(claim) else options.semantics,
    }
    if options.semantics == "deployed":
        arithmetic["profile"] = profile_named(options.profile)
    if options.cross_check:
        arithmetic["cross_check"] = f"skipped: for unsat and sat claims, not for a {claim.kind}"
    return arithmetic


def _result(loaded: LoadedClaim, claim: ConditionClaim, outcome: ConditionsOutcome) -> ClaimResult:
    return ClaimResult(
        kind=claim.kind,
        statement=f"{claim.statement} ({loaded.name})",
        verdict=outcome.verdict,
        reason=Reason(outcome.code, outcome.message, outcome.where),
        bound=Bound(_slack(outcome), None, ZERO),
        leaves_total=sum(t.total for t in outcome.tallies.values()),
        leaves_certified=sum(t.proved for t in outcome.tallies.values()),
        assumptions=claim.assumptions,
        details={**about(loaded), **_details(outcome)},
    )


def _details(outcome: ConditionsOutcome) -> dict[str, object]:
    """How many conditions of each name were checked, where the least slack of each is, and what failed."""
    details: dict[str, object] = {
        "conditions": {
            name: {
                "checked": t.total,
                "proved": t.proved,
                "refuted": t.disproved,
                **({} if t.least is None else {"least_slack": t.least.low, "where": t.least.where}),
            }
            for name, t in outcome.tallies.items()
        }
    }
    if outcome.failures:
        details["failures"] = [
            {"condition": f.name, "where": f.where, "slack": [f.low, f.high]} for f in outcome.failures
        ]
    return {**details, **outcome.measures}


def _slack(outcome: ConditionsOutcome) -> Number | None:
    """A bound on the least slack of all conditions: from above where the claim is REFUTED, else from below."""
    if outcome.verdict is Verdict.REFUTED:
        return None if outcome.most is None else rounded(outcome.most, "up")
    least = None if outcome.least is None else outcome.least.low
    return None if least is None else rounded(least, "down")


def _parts_checker(claim: ConditionClaim, options: Options, deadline: Deadline, report: Report) -> CheckParts:
    """Parts in a pool of forked processes, which inherit the claim; one after the other where one process has to do."""
    workers = workers_for(options.jobs, len(claim.parts()))

    def answers(parts: Sequence[ConditionClaim], precision: int) -> Iterator[list[Item]]:
        if workers < 2 or not FORKS:
            yield from (check_part(part, precision, deadline.check) for part in parts)
            return

        def check(k: int) -> list[Item]:
            return check_part(parts[k], precision, silent)

        try:
            with processes(check, workers) as pool:
                yield from pool.in_order(range(len(parts)), deadline.check)
        except WorkerDied:
            raise Stopped(WORKER_KILLED) from None

    def check_parts(parts: Sequence[ConditionClaim], precision: int) -> Iterator[list[Item]]:
        least: float | None = None
        for done, items in enumerate(answers(parts, precision), 1):
            yield items
            if report is not None:
                lows = [item.low for item in items if isinstance(item, Check) and item.low is not None]
                least = min([*lows, *([] if least is None else [least])], default=None)
                report(Progress("", done, len(parts), least, "parts"))

    return check_parts
