"""Checking a sat claim: its witness is evaluated as an exact point."""

from __future__ import annotations

from tlcheck import timer
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
from tlcheck.options import Options
from tlcheck.readers.loaded import LoadedClaim
from tlcheck.report.numerals import point
from tlcheck.report.result import Bound, ClaimResult, Reason
from tlcheck.trusted.arith.profile import NotDeployable
from tlcheck.trusted.claim import SatClaim
from tlcheck.trusted.decide import SatOutcome, decide_sat
from tlcheck.trusted.verdict import Verdict


def check_sat(loaded: LoadedClaim, claim: SatClaim, options: Options) -> ClaimResult:
    """Decide a sat claim: its witness is evaluated as an exact point."""
    start = timer.now()
    deadline = Deadline(options.timeout, options.max_memory_mib)
    try:
        profile = deployed_profile(options)
        outcome = decide_sat(claim, options.precision, deployed=profile, tick=deadline.check)
    except NotDeployable as error:
        raise not_deployable(error) from None
    except Stopped as stopped:
        message = f"for every float32 execution: {stopped}"
        outcome = SatOutcome(Verdict.UNPROVEN, "TLC015", message, None, ())
    arithmetic: dict[str, object] = {
        "deciding": "arb",
        "precision": options.precision,
        "semantics": options.semantics,
    }
    if profile is not None:
        arithmetic["profile"] = profile_named(options.profile)
    if options.cross_check:
        from tlcheck.checking.crosscheck.compare import cross_check_witness

        arithmetic["cross_check"] = cross_check_witness(claim, options.precision)
    number = None if outcome.margin is None else rounded(outcome.margin, "down")
    return ClaimResult(
        kind="sat",
        statement=f"the witness satisfies the property ({loaded.name})",
        verdict=outcome.verdict,
        reason=Reason(outcome.code, outcome.message, _witness_text(claim, outcome.verdict)),
        bound=Bound(number, None, ZERO),
        assumptions=("Python", "FLINT", *(float32_assumptions(options.profile) if profile else ())),
        arithmetic=arithmetic,
        details=about(loaded),
        seconds=timer.now() - start,
    )


def _witness_text(claim: SatClaim, verdict: Verdict) -> str:
    """The point of a claim that is false."""
    return point(claim.witness) if verdict is Verdict.REFUTED else ""
