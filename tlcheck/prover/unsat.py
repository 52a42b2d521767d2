"""The search for a proof of unsat: bounds at the root, then boxes halved where they do not suffice.

What comes out is guidance: a tree of splits on inputs, and for each leaf the constraints whose weighted sum is bounded.
``tlcheck.checking.unsat.check_unsat`` then decides with exactly this guidance, as for any other proof.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import inf
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tlcheck import timer
from tlcheck.checking.deadline import Deadline
from tlcheck.checking.schedule import planned, run_leaves
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.guidance import LEAF, SPLIT, Guidance, Leaves, SharedSlopes, Tree
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.plan import Settings, holds_nowhere
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
MOST_LOWEST: Final = 256
"""Most boxes that are looked at with the lower lines of ``lowest_slopes``, where a constraint is strict."""
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

    def search(self, most_leaves: int = MOST_LEAVES) -> Found:
        query = self.claim.query
        if len(query.disjuncts) > MOST_DISJUNCTS:
            return Found(None)
        if any(not d.constraints and not is_empty(d) for d in query.disjuncts):
            return Found(None)
        if any(c.strict and c.outputs for d in query.disjuncts for c in d.constraints):
            now = timer.now()
            until = now + (self.until - now) / 3
            found = self._searched(min(most_leaves, MOST_LOWEST), lowest_slopes(self.claim.graph), until)
            if found.guidance is not None:
                return found
        return self._searched(most_leaves, {}, self.until)

    def _searched(self, most_leaves: int, slopes: Mapping[int, SharedSlopes], until: float) -> Found:
        query = self.claim.query
        roots = [_Leaf(k, d.box) for k, d in enumerate(query.disjuncts)]
        widths = [_widths(leaf.box) for leaf in roots]
        open_ = [leaf for leaf, d in zip(roots, query.disjuncts, strict=True) if not is_empty(d)]
        values = sum(node.size for node in self.claim.graph.nodes)
        at_once = max(1, min(MOST_AT_ONCE, MOST_VALUES // values))
        seen = 0
        while open_:
            batch, open_ = open_[-at_once:], open_[:-at_once]
            seen += len(batch)
            if seen > max(most_leaves, len(roots)):
                return Found(None)
            if not self._close(batch, slopes, until):
                return Found(None, stopped=True)
            for leaf in batch:
                if leaf.weights is None:
                    if not self._halve(leaf, widths[leaf.disjunct]):
                        return Found(None)
                    open_ += leaf.children
        return Found(replace(_guidance(roots, _places(self.claim.graph)), shared_slopes=slopes))

    def _close(self, batch: Sequence[_Leaf], slopes: Mapping[int, SharedSlopes], until: float) -> bool:
        """Give weights to the leaves that one pass proves; False when time ran out."""
        disjuncts = self.claim.query.disjuncts
        tries = [(leaf, w) for leaf in batch for w in _weightings(disjuncts[leaf.disjunct])]
        boxes = [Disjunct(leaf.box, disjuncts[leaf.disjunct].constraints) for leaf, _ in tries]
        settings = Settings(deployed=self.deployed)
        closed, stopped = closed_by(self.claim, boxes, [w for _, w in tries], settings, until, slopes)
        for k, (leaf, weights) in enumerate(tries):
            if k in closed and leaf.weights is None:
                leaf.weights = weights
        return not stopped

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


def closed_by(
    claim: UnsatClaim,
    boxes: Sequence[Disjunct],
    weightings: Sequence[Mapping[int, float]],
    settings: Settings,
    until: float,
    slopes: Mapping[int, SharedSlopes],
) -> tuple[set[int], bool]:
    """(which boxes the kernel closes with these weights, in one leaf each; time ran out)."""
    query = Query(claim.query.n_inputs, claim.query.n_outputs, tuple(boxes))
    guidance = replace(_one_leaf_each(weightings), shared_slopes=slopes)
    plan = planned(UnsatClaim(claim.graph, query), guidance, settings)
    seconds = None if until == inf else max(0.0, until - timer.now())
    run = run_leaves(plan, 1, Deadline(seconds, None), None, None)
    closed = {plan.leaves[o.rank].disjunct for o in run.outcomes if o.certified}
    return closed | {k for k in range(len(boxes)) if plan.is_empty(k)}, bool(run.stopped)


def _widths(box: InputBox) -> NDArray[np.float64]:
    return np.array(
        [float(min(b - a, Fraction(1 << 900))) for a, b in zip(box.lower, box.upper, strict=True)]
    )


def is_empty(disjunct: Disjunct) -> bool:
    """No input is in it: nothing to prove."""
    box = disjunct.box
    if any(a > b for a, b in zip(box.lower, box.upper, strict=True)):
        return True
    return any(holds_nowhere(c, box) for c in disjunct.constraints)


def lowest_slopes(graph: Graph) -> dict[int, SharedSlopes]:
    """Lower lines of slope 0 for every ReLU: where a bound is attained at a kink, they keep it exactly."""
    return {
        i: SharedSlopes(np.zeros(node.size), None)
        for i, node in enumerate(graph.nodes)
        if isinstance(node.op, Relu)
    }


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
