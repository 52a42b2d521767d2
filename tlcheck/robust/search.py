"""The search for evidence about one question: a counterexample, else a proof. The one place that knows the prover."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import isfinite

from tlcheck.errors import InvalidInput
from tlcheck.prover.prover import Accept, Limits, Proof, Prover, Witness
from tlcheck.trusted.arith.profile import NotDeployable, Profile
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.guidance import Guidance
from tlcheck.trusted.plan import NoRelaxation


@dataclass(frozen=True, eq=False)
class Found:
    """A proof's guidance, a counterexample, or neither and why."""

    evidence: Guidance | tuple[Fraction, ...] | None
    reason: str = ""


@dataclass(frozen=True)
class Search:
    """``seconds``: of the search, and as long again for checks. ``deployed``: for a proof that survives float32 rounding."""

    seconds: float
    jobs: int = 1
    deployed: Profile | None = None


def find(claim: UnsatClaim, model: bytes, search: Search, accept: Accept) -> Found:
    """What is found about ``claim``, of the network in the file ``model``; ``accept`` decides on proofs."""
    seconds = search.seconds
    try:
        limits = Limits(seconds=seconds, check_seconds=seconds, jobs=search.jobs, deployed=search.deployed)
        found = Prover(claim, limits, model).prove(accept=accept)
    except (NoRelaxation, NotDeployable) as error:
        return Found(None, f"no proof can be looked for: {error}")
    except InvalidInput as error:
        return Found(None, error.line())
    if isinstance(found, Proof):
        return Found(found.guidance)
    if isinstance(found, Witness):
        return Found(found.point)
    worst = f", worst bound {found.worst:.4g}" if isfinite(found.worst) else ""
    return Found(None, f"{found.why or 'time limit'}: {found.open} leaves open, {found.closed} closed{worst}")
