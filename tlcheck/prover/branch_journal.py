"""The journal of a search: its leaves, closed with their evidence or open, so that another run goes on from them.

A leaf is a row [kind of search, disjunct, path, evidence or null, bound]. Rows of other searches, and what does not read as a
row, are passed over: evidence from a journal is believed as little as any other, the check decides.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final

import numpy as np

from tlcheck.checking.journal import Lines
from tlcheck.prover.tree import Branch, Evidence, Frame
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.cover import Literal

Row = list[Any]
SINGLE: Final = np.dtype("<f4")
INPUTS: Final = "inputs"
NEURONS: Final = "neurons"
"""The kinds of searches."""
MOST_DEPTH: Final = 100_000


@dataclass(frozen=True, eq=False)
class Leaf:
    """A leaf as it is handed from process to process, or from run to run: closed by ``evidence``, else open."""

    disjunct: int
    path: tuple[Literal, ...]
    evidence: Evidence | None
    bound: float

    @staticmethod
    def of(branch: Branch) -> Leaf:
        return Leaf(branch.disjunct, branch.path, branch.evidence, branch.bound)

    def put(self, root: Branch, frame: Frame) -> None:
        """Make it a leaf of its disjunct's tree, if it fits there."""
        branch = root.grown(self.path)
        if branch is None or branch.split is not None:
            return
        branch.bound, branch.state = self.bound, None
        if self.evidence is not None and fits(self.evidence, frame):
            branch.evidence = self.evidence


def fits(evidence: Evidence, frame: Frame) -> bool:
    return all(
        a in frame.columns and frame.columns[a].shape == slopes.shape for a, slopes in evidence.slopes.items()
    )


def written(kind: str, leaf: Leaf) -> Row:
    path = [[x.node, x.index, x.side, x.point.hex()] for x in leaf.path]
    return [kind, leaf.disjunct, path, _evidence(leaf.evidence), float(leaf.bound).hex()]


def _evidence(e: Evidence | None) -> Row | None:
    if e is None:
        return None
    slopes = {str(a): base64.b64encode(np.asarray(s, SINGLE).tobytes()).decode() for a, s in e.slopes.items()}
    splits = [[x.node, x.index, x.side, x.point.hex(), float(b).hex()] for x, b in e.multipliers.items()]
    return [[[q, float(w).hex()] for q, w in e.weights.items()], slopes, splits]


def read(journal: Lines, claim: UnsatClaim) -> Iterator[tuple[str, Leaf]]:
    """(kind of search, leaf) that can be of the claim: those closed first, so that a leaf that was closed later is not open; the
    newest of these first, so that where a tree began anew, it is the new one."""
    rows = [found for row in journal.rows("branches") if (found := _row(row)) is not None]
    fitting = [(kind, leaf) for kind, leaf in rows if _of(claim, kind, leaf)]
    yield from (found for found in reversed(fitting) if found[1].evidence is not None)
    yield from (found for found in fitting if found[1].evidence is None)


def _of(claim: UnsatClaim, kind: str, leaf: Leaf) -> bool:
    """Its path and multipliers speak of values that there are, its evidence of constraints that there are."""
    nodes, disjuncts = claim.graph.nodes, claim.query.disjuncts
    places = claim.graph.inputs if kind == INPUTS else range(len(nodes))
    if not 0 <= leaf.disjunct < len(disjuncts):
        return False
    evidence = leaf.evidence
    spoken = leaf.path if evidence is None else (*leaf.path, *evidence.multipliers)
    if not all(x.node in places and 0 <= x.index < nodes[x.node].size for x in spoken):
        return False
    count = len(disjuncts[leaf.disjunct].constraints)
    return evidence is None or (isfinite(leaf.bound) and all(0 <= q < count for q in evidence.weights))


def _row(row: Any) -> tuple[str, Leaf] | None:
    try:
        match row:
            case [str(kind), int(disjunct), list(path), given, str(bound)] if len(path) <= MOST_DEPTH:
                literals = tuple(_literal(x) for x in path)
                value = float.fromhex(bound)
                return kind, Leaf(disjunct, literals, _read_evidence(given, value), value)
    except (ValueError, TypeError, AttributeError, OverflowError, binascii.Error):
        pass
    return None


def _literal(row: Row) -> Literal:
    node, index, side, point = row
    if not (isinstance(node, int) and isinstance(index, int) and side in (-1, 1)):
        raise ValueError("no literal")
    value = float.fromhex(point)
    if not isfinite(value):
        raise ValueError("no literal")
    return Literal(node, index, side, value)


def _read_evidence(given: Row | None, bound: float) -> Evidence | None:
    if given is None:
        return None
    weights, slopes, splits = given
    return Evidence(
        {int(q): _positive(w) for q, w in weights},
        bound,
        {int(a): np.frombuffer(base64.b64decode(text, validate=True), SINGLE) for a, text in slopes.items()},
        {_literal(row[:4]): _positive(row[4]) for row in splits},
    )


def _positive(text: str) -> float:
    value = float.fromhex(text)
    if not 0 <= value < np.inf:
        raise ValueError("neither weight nor multiplier")
    return value
