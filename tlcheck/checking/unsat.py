"""Checking an unsat claim: its leaves in whatever processes, for as long as there is time; and the record of what came out.

Ring 2: nothing here can make a claim true. Leaves are decided by ``tlcheck.trusted.decide.check_leaves``, in any order
and in any process; ``conclude_unsat`` certifies only when every leaf is accounted for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tlcheck import timer
from tlcheck.checking.deadline import Deadline, peak_mib
from tlcheck.checking.journal import Journal
from tlcheck.checking.outcome import (
    ZERO,
    about,
    deployed_profile,
    float32_assumptions,
    not_deployable,
    profile_named,
    rounded,
)
from tlcheck.checking.schedule import LeafRun, planned, run_leaves
from tlcheck.checking.tripwire import recheck
from tlcheck.errors import InvalidInput
from tlcheck.options import Options, Report
from tlcheck.readers.loaded import LoadedClaim
from tlcheck.report.result import Bound, ClaimResult, Number, Reason
from tlcheck.trusted.arith.decimals import decimal_outward
from tlcheck.trusted.arith.profile import NotDeployable, Profile
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.decide import conclude_unsat
from tlcheck.trusted.leaf_pass import LeafOutcome
from tlcheck.trusted.plan import BadGuidance, NoRelaxation, Plan, Settings
from tlcheck.trusted.verdict import Verdict


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
        reason = Reason(*(loaded.problem or ("TLC010", "the claim comes without evidence")))
        return ClaimResult("unsat", statement, Verdict.UNPROVEN, reason, seconds=timer.now() - start)
    deadline = Deadline(options.timeout, options.max_memory_mib)
    profile = deployed_profile(options)
    real = _half(loaded, claim, options, None, deadline, report)
    deployed = None if profile is None else _half(loaded, claim, options, profile, deadline, report)
    result = replace(_result(loaded, statement, options, real, deployed), seconds=timer.now() - start)
    if options.details:
        result.details.update(_told(claim))
    if options.cross_check:
        result.arithmetic["cross_check"] = _cross_checked(real)
    return result


def _result(
    loaded: LoadedClaim, statement: str, options: Options, real: Half, deployed: Half | None
) -> ClaimResult:
    deciding = deployed or real
    return ClaimResult(
        kind="unsat",
        statement=statement,
        verdict=deciding.verdict,
        reason=_reason(deciding, real, deployed is not None),
        bound=Bound(_margin(real), _claimed(real), ZERO),
        deployed=None if deployed is None else Bound(_margin(deployed), None, ZERO),
        leaves_total=len(deciding.plan.leaves),
        leaves_certified=sum(o.certified for o in deciding.outcomes),
        assumptions=_assumptions(deciding.plan, options),
        arithmetic=_arithmetic(deciding, options),
        details=_details(loaded, real, deployed, options.details),
    )


def _cross_checked(real: Half) -> str:
    from tlcheck.checking.crosscheck.compare import cross_check

    return f"skipped: {real.stopped}" if real.stopped else cross_check(real.plan)


def _told(claim: UnsatClaim) -> dict[str, object]:
    """What a query says that is the competition's Lyapunov query: for ``details`` alone."""
    from tlcheck.readers.own.lyapunov_specs import told

    says = told(claim.query, claim.graph)
    return {"read_as_a_lyapunov_query": says} if says else {}


def _count(n: int, noun: str) -> str:
    """ "1 leaf", "2 leaves"."""
    many = "leaves" if noun == "leaf" else f"{noun}s"
    return f"{n} {noun if n == 1 else many}"


def _half(
    loaded: LoadedClaim,
    claim: UnsatClaim,
    options: Options,
    profile: Profile | None,
    deadline: Deadline,
    report: Report,
) -> Half:
    start = timer.now()
    if loaded.guidance is None:
        raise ValueError("no evidence")
    try:
        plan = planned(claim, loaded.guidance, Settings(options.arith, options.precision, profile))
        journal = Journal.open(options.resume, plan) if options.resume else None
        run = run_leaves(plan, options.jobs, deadline, report, journal)
        verdict, _ = conclude_unsat(plan, run.outcomes)
        rechecked = recheck(plan, run.bounds) if not run.stopped else 0
    except BadGuidance as error:
        raise InvalidInput("TLC105", str(error), field=loaded.name) from None
    except NoRelaxation as error:
        raise InvalidInput("TLC202", str(error)) from None
    except NotDeployable as error:
        raise not_deployable(error) from None
    return Half(verdict, plan, run, rechecked, timer.now() - start)


def _margin(half: Half) -> Number | None:
    """The smallest margin; None where a leaf has no finite one, or where not every leaf was reached."""
    worst = half.worst
    if worst is None or half.stopped or not np.isfinite(worst.margin):
        return None
    return rounded(worst.margin, "down")


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
    if plan.settings.arith == "directed":
        names += [
            f"the kernels round downwards as IEEE-754 has it (tested); built by {_kernels()['compiler']}"
        ]
    if plan.settings.deployed:
        names += [*float32_assumptions(options.profile), "float32 inputs lie in the region"]
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
        **({"profile": profile_named(options.profile)} if plan.settings.deployed else {}),
        **({"kernels": _kernels()} if plan.settings.arith == "directed" else {}),
    }


def _kernels() -> dict[str, object]:
    """What the kernels were made of, and by what."""
    from tlcheck.kernels.native import native  # of --arith directed alone

    library = native().library
    return {
        "sources_sha256": library.sources,
        "compiler": library.compiler,
        "options": " ".join(library.options),
    }


def _details(loaded: LoadedClaim, real: Half, deployed: Half | None, layers: bool) -> dict[str, object]:
    details = about(loaded)
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
