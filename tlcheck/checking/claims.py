"""Checking one claim: which leaves, in which processes, for how long; and the record of what came out.

Ring 2: nothing here can make a claim true. Leaves are decided by ``trusted.leaf_pass.check_leaves``, in any order
and in any process; ``conclude_unsat`` certifies only when every leaf is accounted for.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

import numpy as np

from tlcheck import timer
from tlcheck.checking.journal import Journal
from tlcheck.checking.pool import forked
from tlcheck.checking.schedule import Deadline, LeafRun, Report, Stopped, blas_usable, peak_mib, run_leaves
from tlcheck.checking.tripwire import recheck
from tlcheck.errors import InvalidInput
from tlcheck.options import Options, Progress
from tlcheck.readers.loaded import LoadedClaim
from tlcheck.readers.own.lyapunov_specs import told
from tlcheck.report.result import Bound, ClaimResult, Number, Reason
from tlcheck.trusted.arith.decimals import decimal_outward
from tlcheck.trusted.claim import SatClaim, UnsatClaim
from tlcheck.trusted.conditions import Check, ConditionClaim, Item
from tlcheck.trusted.decide import ConditionsOutcome, conclude_unsat, decide_conditions, decide_sat
from tlcheck.trusted.leaf_pass import LeafOutcome
from tlcheck.trusted.ops.base import NotDeployable
from tlcheck.trusted.plan import BadGuidance, NoRelaxation, Plan, Settings
from tlcheck.trusted.tally import CheckParts, check_part
from tlcheck.trusted.verdict import Verdict

ZERO = Number("0", "0x0.0p+0", "exact")


@dataclass(frozen=True, eq=False)
class Half:
    """The outcome under one semantics."""

    verdict: Verdict
    plan: Plan
    run: LeafRun
    rechecked: int
    seconds: float

    @property
    def outcomes(self) -> list[LeafOutcome]:
        return self.run.outcomes

    @property
    def stopped(self) -> str:
        return self.run.stopped

    @property
    def worst(self) -> LeafOutcome | None:
        return min(self.outcomes, key=lambda o: o.margin, default=None)


def check_unsat(loaded: LoadedClaim, claim: UnsatClaim, options: Options, report: Report) -> ClaimResult:
    """Decide an unsat claim. Raises InvalidInput when the evidence does not fit the claim."""
    start = timer.now()
    among = _count(len(claim.query.disjuncts), "disjunct")
    statement = f"no input of {among} satisfies the property ({loaded.name})"
    if loaded.problem is not None or loaded.guidance is None:
        code, message = loaded.problem or ("TLC010", "the claim comes without evidence")
        return ClaimResult(
            "unsat", statement, Verdict.UNPROVEN, Reason(code, message), seconds=timer.now() - start
        )
    deadline = Deadline(options.timeout, options.max_memory_mib)
    real = _half(loaded, claim, options, False, deadline, report)
    deployed = (
        _half(loaded, claim, options, True, deadline, report) if options.semantics == "deployed" else None
    )
    deciding = deployed or real
    total = len(deciding.plan.leaves)
    done = sum(o.certified for o in deciding.outcomes)
    result = ClaimResult(
        kind="unsat",
        statement=statement,
        verdict=deciding.verdict,
        reason=_reason(deciding, real, deployed is not None),
        bound=Bound(_margin(real), _claimed(real), ZERO),
        deployed=None if deployed is None else Bound(_margin(deployed), None, ZERO),
        leaves_total=total,
        leaves_certified=done,
        assumptions=_assumptions(deciding.plan, options),
        arithmetic=_arithmetic(deciding, options),
        details=_details(loaded, real, deployed, options.details),
        seconds=timer.now() - start,
    )
    if options.details and (says := told(claim.query, claim.graph)):
        result.details["read_as_a_lyapunov_query"] = says
    if options.cross_check:
        from tlcheck.checking.crosscheck.compare import cross_check

        result.arithmetic["cross_check"] = (
            f"skipped: {real.stopped}" if real.stopped else cross_check(real.plan)
        )
    return result


def _count(n: int, noun: str) -> str:
    """ "1 leaf", "2 leaves"."""
    many = "leaves" if noun == "leaf" else f"{noun}s"
    return f"{n} {noun if n == 1 else many}"


def check_sat(loaded: LoadedClaim, claim: SatClaim, options: Options) -> ClaimResult:
    """Decide a sat claim: its witness is evaluated as an exact point."""
    start = timer.now()
    try:
        outcome = decide_sat(claim, options.precision, deployed=options.semantics == "deployed")
    except NotDeployable as error:
        raise _not_deployable(error) from None
    details: dict[str, object] = {"name": loaded.name, "sources": dict(loaded.sources)}
    if loaded.producer:
        details["producer"] = loaded.producer
    arithmetic: dict[str, object] = {
        "deciding": "arb",
        "precision": options.precision,
        "semantics": options.semantics,
    }
    if options.cross_check:
        from tlcheck.checking.crosscheck.compare import cross_check_witness

        arithmetic["cross_check"] = cross_check_witness(claim, options.precision)
    margin = outcome.margin
    number = None if margin is None else Number(decimal_outward(margin, "down"), margin.hex(), "down")
    return ClaimResult(
        kind="sat",
        statement=f"the witness satisfies the property ({loaded.name})",
        verdict=outcome.verdict,
        reason=Reason(outcome.code, outcome.message, _witness_text(claim, outcome.verdict)),
        bound=Bound(number, None, ZERO),
        assumptions=("Python", "FLINT", *(FLOAT32_ASSUMPTIONS if options.semantics == "deployed" else ())),
        arithmetic=arithmetic,
        details=details,
        seconds=timer.now() - start,
    )


def _witness_text(claim: SatClaim, verdict: Verdict) -> str:
    """The point of a claim that is false."""
    from tlcheck.report.words import point

    return point(claim.witness) if verdict is Verdict.REFUTED else ""


def check_conditions(
    loaded: LoadedClaim, claim: ConditionClaim, options: Options, report: Report = None
) -> ClaimResult:
    """Decide a claim that is a conjunction of conditions. Raises InvalidInput: these have no deployed semantics."""
    if options.semantics == "deployed":
        raise InvalidInput(
            "TLC202", f"no float32 semantics for a claim of kind {claim.kind} (--semantics deployed)"
        )
    start = timer.now()
    deadline = Deadline(options.timeout, options.max_memory_mib)
    details: dict[str, object] = {"name": loaded.name, "sources": dict(loaded.sources)}
    if loaded.producer:
        details["producer"] = loaded.producer
    arithmetic: dict[str, object] = {
        "deciding": "exact and arb",
        "precision": options.precision,
        "semantics": "real",
    }
    if options.cross_check:
        arithmetic["cross_check"] = f"skipped: for unsat and sat claims, not for a {claim.kind}"
    try:
        outcome = decide_conditions(
            claim, options.precision, deadline.check, _parts_checker(claim, options, deadline, report)
        )
    except Stopped as stopped:
        reason = Reason("TLC015", str(stopped))
        return ClaimResult(
            claim.kind, claim.statement, Verdict.UNPROVEN, reason, arithmetic=arithmetic, details=details,
            seconds=timer.now() - start,
        )  # fmt: skip
    details["conditions"] = {
        name: {
            "checked": t.total,
            "proved": t.proved,
            "refuted": t.disproved,
            **({} if t.least is None else {"least_slack": t.least.low, "where": t.least.where}),
        }
        for name, t in outcome.tallies.items()
    }
    if outcome.failures:
        details["failures"] = [
            {"condition": f.name, "where": f.where, "slack": [f.low, f.high]} for f in outcome.failures
        ]
    details.update(outcome.measures)
    return ClaimResult(
        kind=claim.kind,
        statement=f"{claim.statement} ({loaded.name})",
        verdict=outcome.verdict,
        reason=Reason(outcome.code, outcome.message, outcome.where),
        bound=Bound(_slack(outcome), None, ZERO),
        leaves_total=sum(t.total for t in outcome.tallies.values()),
        leaves_certified=sum(t.proved for t in outcome.tallies.values()),
        assumptions=claim.assumptions,
        arithmetic=arithmetic,
        details=details,
        seconds=timer.now() - start,
    )


def _slack(outcome: ConditionsOutcome) -> Number | None:
    """A bound on the least slack of all conditions: from above where the claim is REFUTED, else from below."""
    if outcome.verdict is Verdict.REFUTED:
        most = outcome.most
        return None if most is None else Number(decimal_outward(most, "up"), most.hex(), "up")
    least = None if outcome.least is None else outcome.least.low
    return None if least is None else Number(decimal_outward(least, "down"), least.hex(), "down")


def _parts_checker(claim: ConditionClaim, options: Options, deadline: Deadline, report: Report) -> CheckParts:
    """Parts in a pool of forked processes, which inherit the claim; one after the other where one process has to do."""
    workers = min(options.jobs or os.cpu_count() or 1, len(claim.parts()))

    def answers(parts: Sequence[ConditionClaim], precision: int) -> Iterator[list[Item]]:
        if workers < 2 or sys.platform != "linux":
            yield from (check_part(part, precision, deadline.check) for part in parts)
            return
        _PARTS.append((parts, precision))
        try:
            yield from forked(_check_inherited, len(parts), workers, deadline.check)
        except BrokenProcessPool:
            raise Stopped("stopped: a worker process was killed, perhaps for its memory") from None
        finally:
            _PARTS.pop()

    def check_parts(parts: Sequence[ConditionClaim], precision: int) -> Iterator[list[Item]]:
        least: float | None = None
        for done, items in enumerate(answers(parts, precision), 1):
            yield items
            if report is not None:
                lows = [item.low for item in items if isinstance(item, Check) and item.low is not None]
                least = min([*lows, *([] if least is None else [least])], default=None)
                report(Progress("", done, len(parts), least, "parts"))

    return check_parts


_PARTS: list[tuple[Sequence[ConditionClaim], int]] = []
"""The parts being checked, for the workers to inherit."""


def _check_inherited(k: int) -> list[Item]:
    parts, precision = _PARTS[-1]
    return check_part(parts[k], precision, lambda: None)


def _half(
    loaded: LoadedClaim,
    claim: UnsatClaim,
    options: Options,
    deployed: bool,
    deadline: Deadline,
    report: Report,
) -> Half:
    start = timer.now()
    if loaded.guidance is None:
        raise ValueError("no evidence")
    try:
        arith = options.arith if blas_usable() else "arb"
        plan = Plan(claim, loaded.guidance, Settings(arith, options.precision, deployed))
        journal = Journal.open(options.resume, plan) if options.resume else None
        run = run_leaves(plan, options.jobs, deadline, report, journal)
        verdict, _ = conclude_unsat(plan, run.outcomes)
        rechecked = recheck(plan, run.bounds) if not run.stopped else 0
    except BadGuidance as error:
        raise InvalidInput("TLC105", str(error), field=loaded.name) from None
    except NoRelaxation as error:
        raise InvalidInput("TLC202", str(error)) from None
    except NotDeployable as error:
        raise _not_deployable(error) from None
    return Half(verdict, plan, run, rechecked, timer.now() - start)


def _not_deployable(error: NotDeployable) -> InvalidInput:
    return InvalidInput(
        "TLC202", f"operator {error} has no float32 rounding radius yet (--semantics deployed)"
    )


FLOAT32_ASSUMPTIONS = (
    "IEEE-754 double precision (the radii)",
    "float32 runtime: IEEE-754 round to nearest, any order of summation, FMA or not, flush-to-zero or not; "
    "no TF32, no Winograd or FFT convolution, no fused weights",
)


def _margin(half: Half) -> Number | None:
    """The smallest margin; None where a leaf has no finite one, or where not every leaf was reached."""
    worst = half.worst
    if worst is None or half.stopped or not np.isfinite(worst.margin):
        return None
    return Number(decimal_outward(worst.margin, "down"), worst.margin.hex(), "down")


def _claimed(half: Half) -> Number | None:
    """The producer's smallest claimed margin."""
    claimed = half.plan.guidance.leaves.claimed
    finite = claimed[np.isfinite(claimed)]
    if not finite.size:
        return None
    value = float(finite.min())
    return Number(decimal_outward(value, "down"), value.hex(), "exact")


def _reason(half: Half, real: Half, deployed: bool) -> Reason:
    if half.verdict is Verdict.CERTIFIED:
        if not half.plan.leaves:
            return Reason("TLC001", "the property's regions are empty: nothing is left to prove")
        return Reason("TLC001", f"{_count(len(half.plan.leaves), 'leaf')} proved; they cover the region")
    worst, total = half.worst, len(half.plan.leaves)
    failed = sum(not o.certified for o in half.outcomes)
    if half.stopped:
        so_far = f"{len(half.outcomes) - failed} of {_count(total, 'leaf')} proved so far"
        return Reason("TLC015", f"{half.stopped}; {so_far}{_worst_margin(worst)}")
    if worst is None:
        return Reason("TLC010", "no leaf was decided")
    leaf = half.plan.leaves[worst.rank]
    where = f"disjunct {leaf.disjunct}, leaf {leaf.guidance}"
    not_proved = f"{failed} of {_count(total, 'leaf')}"
    if deployed and real.verdict is Verdict.CERTIFIED:
        message = f"proved over the reals; float32 rounding can eat the margin of {not_proved}"
        return Reason("TLC016", message + _worst_margin(worst), where)
    if not np.isfinite(worst.margin):
        return Reason("TLC013", f"{not_proved} without a finite bound", where)
    return Reason("TLC010", f"{not_proved} not proved{_worst_margin(worst)}", where)


def _worst_margin(worst: LeafOutcome | None) -> str:
    if worst is None or not np.isfinite(worst.margin):
        return ""
    return f"; worst margin {decimal_outward(worst.margin, 'down', 6)}"


def _assumptions(plan: Plan, options: Options) -> tuple[str, ...]:
    names = ["Python", "numpy integers", "FLINT"]
    if "ball64" in (plan.bounding_engine.name, plan.deciding_engine.name):
        names += ["IEEE-754 double precision", "BLAS sums every product as a tree (probed)"]
    if plan.settings.deployed:
        names += [*FLOAT32_ASSUMPTIONS, "float32 inputs lie in the region"]
    if options.resume is not None:
        names.append(f"the journal {options.resume.name} was written by tlcheck")
    return tuple(names)


def _arithmetic(half: Half, options: Options) -> dict[str, object]:
    plan = half.plan
    return {
        "requested": options.arith,
        "deciding": plan.deciding_engine.name,
        "intermediate": plan.bounding_engine.name,
        "ball64_rows_redone_in_integers": half.rechecked,
        "precision": options.precision,
        "semantics": "deployed" if plan.settings.deployed else "real",
    }


def _details(loaded: LoadedClaim, real: Half, deployed: Half | None, layers: bool) -> dict[str, object]:
    details: dict[str, object] = {"name": loaded.name, "sources": dict(loaded.sources)}
    if loaded.producer:
        details["producer"] = loaded.producer
    details["seconds_real"] = round(real.seconds, 3)
    if deployed is not None:
        details["seconds_deployed"] = round(deployed.seconds, 3)
    if real.outcomes:
        worst = real.worst
        if worst is not None and np.isfinite(worst.margin):
            claimed = float(real.plan.guidance.leaves.claimed[real.plan.leaves[worst.rank].guidance])
            details["worst_leaf"] = {
                "leaf": real.plan.leaves[worst.rank].guidance,
                "disjunct": real.plan.leaves[worst.rank].disjunct,
                "rigorous": worst.margin,
                "claimed": claimed if np.isfinite(claimed) else None,
            }
            if layers:
                from tlcheck.checking.slack import layer_slack

                region = real.plan.region_of[real.plan.leaves[worst.rank].disjunct]
                details["slack"] = layer_slack(real.plan, real.run.bounds.get(region), worst.rank)
    details["empty_leaves"] = sum(o.empty for o in real.outcomes)
    details["peak_mib"] = round(peak_mib())
    return details
