"""A query in VNN-LIB proved from files: the prover, one process, and a bundle when it found a proof."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Final

from tlcheck.errors import InvalidInput
from tlcheck.prover.question import Question
from tlcheck.prover.prover import Limits, Proof, Prover, Standing, Witness
from tlcheck.prover.refute import Point
from tlcheck.prover.tree import exact_box
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.guidance import Guidance
from tlcheck.trusted.plan import NoRelaxation
from tlcheck.trusted.query import InputBox
from tlcheck.writers.bundle import check_target

MOST_BOXES: Final = 200_000


@dataclass(frozen=True)
class Found:
    """``guidance`` when every box was closed; else how many boxes were left of how many, and one of them, ``open_box``.

    ``witness``: a point that certainly satisfies the query: there is no proof.
    """

    guidance: Guidance | None
    boxes: int
    left: int = 0
    leaves: int = 0
    witness: Point | None = None
    open_box: InputBox | None = None


def search(
    claim: UnsatClaim,
    *,
    model: bytes | None = None,
    seconds: float = inf,
    most: int = MOST_BOXES,
    tick: Callable[[int], None] | None = None,
) -> Found:
    """A proof that the kernel accepted, a witness, or how far it got with ``most`` boxes. ``tick`` is told how many leaves
    there are. Raises NoRelaxation."""

    def told(now: Standing) -> None:
        if tick is not None:
            tick(now.open + now.closed)

    prover = Prover(claim, Limits(seconds=seconds, boxes=most), model, told)
    found = prover.prove()
    if isinstance(found, Proof):
        return Found(found.guidance, prover.boxes, leaves=found.leaves)
    if isinstance(found, Witness):
        return Found(None, prover.boxes, witness=found.point)
    worst = prover.open_branch()
    box = None if worst is None else exact_box(claim, worst)
    boxes = prover.boxes or found.open
    return Found(None, boxes, min(found.open, boxes), open_box=box)


def certify_query(
    model: Path,
    spec: Path,
    target: Path,
    *,
    seconds: float = inf,
    most: int = MOST_BOXES,
    tick: Callable[[int], None] | None = None,
) -> Found:
    """Search for a proof that the property ``spec`` of ``model`` is unsat; write it to ``target`` when one is found.

    The files may be packed with gzip. Raises InvalidInput: as the readers and the writer, and TLC202 for a network
    that no pass goes through.
    """
    check_target(target)
    asked = Question.load(model, spec)
    try:
        found = search(asked.claim, model=asked.whole.content, seconds=seconds, most=most, tick=tick)
    except NoRelaxation as error:
        raise InvalidInput("TLC202", str(error), file=str(model)) from None
    if found.guidance is not None:
        asked.proof(target, found.guidance)
    return found
