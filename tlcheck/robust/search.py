"""The search for evidence about one question: a counterexample, else a proof. The one place that knows the prover."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from tlcheck import timer
from tlcheck.errors import InvalidInput
from tlcheck.prover.refute import Judge, refuted
from tlcheck.prover.unsat import Prover
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.guidance import Guidance
from tlcheck.trusted.ops.base import NotDeployable
from tlcheck.trusted.plan import NoRelaxation

ATTACK_SHARE = 0.25


@dataclass(frozen=True, eq=False)
class Found:
    """A proof's guidance, a counterexample, or neither and why."""

    evidence: Guidance | tuple[Fraction, ...] | None
    reason: str = ""


def find(claim: UnsatClaim, model: bytes, seconds: float, deployed: bool) -> Found:
    """What is found within ``seconds``; ``deployed``: a proof that survives float32 rounding."""
    start = timer.now()
    point = refuted(Judge(claim.graph, claim.query), model, start + ATTACK_SHARE * seconds)
    if point is not None:
        return Found(point)
    try:
        found = Prover(claim, start + seconds, deployed).search()
    except (NoRelaxation, NotDeployable) as error:
        return Found(None, f"no proof can be looked for: {error}")
    except InvalidInput as error:
        return Found(None, error.line())
    if found.guidance is not None:
        return Found(found.guidance)
    return Found(None, "time limit" if found.stopped else "no proof was found")
