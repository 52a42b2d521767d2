"""What shows an answer, written as a bundle: for the solver's users, so that every unsat has a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tlcheck.errors import InvalidInput
from tlcheck.keys import graph_key, query_key
from tlcheck.prover.question import Question
from tlcheck.readers.loaded import LoadedClaim
from tlcheck.solver.solve import Answer
from tlcheck.trusted.claim import UnsatClaim


def write_evidence(target: Path, query: Path, models: Sequence[Path], answer: Answer) -> str:
    """Write the bundle; why there is none, or "". A bundle is about one model and one property as its files say it: no other
    network, and no rewritten one."""
    if len(models) != 1:
        return "a bundle is about one network"
    try:
        asked = Question.load(models[0], query)
        evidence = answer.evidence
        if isinstance(evidence, LoadedClaim):
            claim = evidence.claim
            own = (graph_key(asked.graph), query_key(asked.query))
            if not isinstance(claim, UnsatClaim) or (graph_key(claim.graph), query_key(claim.query)) != own:
                return "the proof is of the query in another form (its network rewritten, or several joined)"
            if evidence.guidance is not None:
                asked.proof(target, evidence.guidance)
        elif evidence is not None:
            asked.witness(target, evidence)
    except InvalidInput as error:
        return error.line()
    return ""
