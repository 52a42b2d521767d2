"""The search for a proof of unsat: bounds at the root, then boxes halved where they do not suffice.

What comes out is guidance: a tree of splits on inputs, and for each leaf the constraints whose weighted sum is bounded.
``tlcheck.check.check_unsat`` then decides with exactly this guidance, as for any other proof.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import inf
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tlcheck import timer
from tlcheck.schedule import Deadline, blas_usable, run_leaves
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.decide import Plan, Settings
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.guidance import LEAF, SPLIT, Guidance, Leaves, Tree
from tlcheck.trusted.query import Disjunct, InputBox, Query

Influence = Callable[[InputBox, Disjunct], NDArray[np.float64]]
"""How much each input changes the constraints over a box: where to split first. A hint."""

MOST_LEAVES: Final = 20_000
"""Most boxes that are looked at."""
MOST_DISJUNCTS: Final = 10_000
"""Most disjuncts of a property that a proof is tried for."""
MOST_AT_ONCE: Final = 256
"""Boxes bounded in one round."""
BELOW: Final = 3
"""Column of a row's child below its split; the next one is the child above."""
MOST_VALUES: Final = 4_000_000
"""Values of the network, over all boxes of a round, whose bounds are held at once (64 MB)."""
PAIRS_UP_TO: Final = 6
"""Constraints of a disjunct up to which sums of two are tried too."""


@dataclass(eq=False)
class _Leaf:
    """A box of the search: ``weights`` once it is proved, ``children`` once it is split at (coordinate, point)."""

    disjunct: int
    box: InputBox
    weights: Mapping[int, float] | None = None
    split: tuple[int, float] | None = None
    children: tuple[_Leaf, ...] = ()


@dataclass(frozen=True)
class Found:
    """The guidance when every leaf was closed; ``stopped``: it ended for want of time, not of ideas."""

    guidance: Guidance | None
    stopped: bool = False


@dataclass(eq=False)
class Prover:
    """Looks for a proof of ``claim`` until the monotonic time ``until``; ``deployed``: one that survives rounding.

    Raises NoRelaxation, NotDeployable as a plan does.
    """

    claim: UnsatClaim
    until: float
    deployed: bool = False
    influence: Influence | None = None
    _arith: str = field(default_factory=lambda: "auto" if blas_usable() else "arb")

    def search(self, most_leaves: int = MOST_LEAVES) -> Found:
        query = self.claim.query
        if len(query.disjuncts) > MOST_DISJUNCTS:
            return Found(None)
        if any(not d.constraints and not _is_empty(d.box) for d in query.disjuncts):
            return Found(None)
        roots = [_Leaf(k, d.box) for k, d in enumerate(query.disjuncts)]
        widths = [_widths(leaf.box) for leaf in roots]
        open_ = [leaf for leaf in roots if not _is_empty(leaf.box)]
        values = sum(node.size for node in self.claim.graph.nodes)
        at_once = max(1, min(MOST_AT_ONCE, MOST_VALUES // values))
        seen = 0
        while open_:
            batch, open_ = open_[-at_once:], open_[:-at_once]
            seen += len(batch)
            if seen > max(most_leaves, len(roots)):
                return Found(None)
            if not self._close(batch):
                return Found(None, stopped=True)
            for leaf in batch:
                if leaf.weights is None:
                    if not self._halve(leaf, widths[leaf.disjunct]):
                        return Found(None)
                    open_ += leaf.children
        return Found(_guidance(roots, _places(self.claim.graph)))

    def _close(self, batch: Sequence[_Leaf]) -> bool:
        """Give weights to the leaves that one pass proves; False when time ran out."""
        query = self.claim.query
        tries = [(leaf, w) for leaf in batch for w in _weightings(query.disjuncts[leaf.disjunct])]
        disjuncts = tuple(Disjunct(leaf.box, query.disjuncts[leaf.disjunct].constraints) for leaf, _ in tries)
        claim = UnsatClaim(self.claim.graph, Query(query.n_inputs, query.n_outputs, disjuncts))
        plan = Plan(
            claim, _one_leaf_each([w for _, w in tries]), Settings(self._arith, deployed=self.deployed)
        )
        run = run_leaves(plan, 1, Deadline(max(0.0, self.until - timer.now()), None), None, None)
        margins = [-inf] * len(tries)
        for outcome in run.outcomes:
            if outcome.certified:
                margins[plan.leaves[outcome.rank].disjunct] = outcome.margin
        for (leaf, weights), margin in zip(tries, margins, strict=True):
            if margin > 0 and leaf.weights is None:
                leaf.weights = weights
        return not run.stopped

    def _halve(self, leaf: _Leaf, widths: NDArray[np.float64]) -> bool:
        """Split the box where its width, relative to the region's and weighted by influence, is largest."""
        now = _widths(leaf.box)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(widths > 0, now / widths, 0.0)
        if self.influence is not None and now.size > 1:
            share = share * self.influence(leaf.box, self.claim.query.disjuncts[leaf.disjunct])
        i = int(np.argmax(share))
        low, high = leaf.box.lower[i], leaf.box.upper[i]
        point = float((low + high) / 2) if abs(low + high) < Fraction(1 << 1000) else inf
        if not np.isfinite(point) or not low < Fraction(point) < high:
            return False
        leaf.split = (i, point)
        cut = Fraction(point)
        below = replace(leaf.box, upper=(*leaf.box.upper[:i], cut, *leaf.box.upper[i + 1 :]))
        above = replace(leaf.box, lower=(*leaf.box.lower[:i], cut, *leaf.box.lower[i + 1 :]))
        leaf.children = (_Leaf(leaf.disjunct, below), _Leaf(leaf.disjunct, above))
        return True


def _widths(box: InputBox) -> NDArray[np.float64]:
    return np.array(
        [float(min(b - a, Fraction(1 << 900))) for a, b in zip(box.lower, box.upper, strict=True)]
    )


def _is_empty(box: InputBox) -> bool:
    return any(a > b for a, b in zip(box.lower, box.upper, strict=True))


def _weightings(disjunct: Disjunct) -> Iterator[Mapping[int, float]]:
    """Each constraint alone; sums of two that may fail together; the sum of all."""
    n = len(disjunct.constraints)
    for q in range(n):
        yield {q: 1.0}
    if 2 < n <= PAIRS_UP_TO:
        for q in range(n):
            for r in range(q):
                yield {r: 1.0, q: 1.0}
    if n > 1:
        yield dict.fromkeys(range(n), 1.0)


def _one_leaf_each(weightings: Sequence[Mapping[int, float]]) -> Guidance:
    """Guidance of one leaf for each disjunct, closed with its weights."""
    count = len(weightings)
    rows = np.arange(count, dtype=np.int64)
    nothing = np.zeros(count, np.int64)
    tree = Tree(np.full(count, LEAF), nothing, nothing, np.zeros(count), rows, nothing, rows)
    return Guidance(tree, _leaves(weightings))


def _leaves(weightings: Sequence[Mapping[int, float]]) -> Leaves:
    count = len(weightings)
    ptr = np.cumsum([0, *(len(w) for w in weightings)]).astype(np.int64)
    constraint = np.array([q for w in weightings for q in w], dtype=np.int64)
    weight = np.array([x for w in weightings for x in w.values()], dtype=np.float64)
    none, floats = np.zeros(0, np.int64), np.zeros(0)
    return Leaves(
        ptr,
        constraint,
        weight,
        np.zeros(count + 1, np.int64),
        none,
        none,
        none,
        floats,
        floats,
        np.full(count, np.nan),
    )


def _places(graph: Graph) -> list[tuple[int, int]]:
    """For each flat input its node, and its place there."""
    return [(i, k) for i in graph.inputs for k in range(graph.nodes[i].size)]


def _guidance(roots: Sequence[_Leaf], places: Sequence[tuple[int, int]]) -> Guidance:
    """The finished search as a tree for each disjunct. A disjunct with an empty box has a leaf that nothing reads."""
    rows: list[list[int]] = []  # kind, node, index, below, above
    points: list[float] = []
    weightings: list[Mapping[int, float]] = []
    starts = []
    for root in roots:
        starts.append(len(rows))
        stack: list[tuple[_Leaf, int, int]] = [(root, -1, 0)]  # leaf, its parent's row, which child
        while stack:
            leaf, parent, side = stack.pop()
            row = len(rows)
            if parent >= 0:
                rows[parent][BELOW + side] = row
            if leaf.split is None:
                rows.append([LEAF, 0, 0, len(weightings), 0])
                points.append(0.0)
                weightings.append(leaf.weights or {})
            else:
                rows.append([SPLIT, *places[leaf.split[0]], 0, 0])
                points.append(leaf.split[1])
                stack += [(child, row, k) for k, child in enumerate(leaf.children)]
    kind, node, index, below, above = np.array(rows, np.int64).reshape(-1, 5).T.copy()
    tree = Tree(kind, node, index, np.array(points), below, above, np.array(starts, np.int64))
    split = any(root.split is not None for root in roots)
    return Guidance(tree, _leaves(weightings), per_leaf_bounds=split)
