"""Bounds that are attained, of strict constraints: 0 is enough there, which no float can tell. The kernel is asked.

Lower lines of slope 0 for every ReLU often keep such a bound exactly (|x| >= 0), so boxes are bounded with these too; and
sums with equal weights (y <= 1 and y > 1).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.checking.deadline import Deadline
from tlcheck.checking.schedule import planned, run_leaves
from tlcheck.prover.tree import Branch, Evidence, Frame, exact_box, guidance_of
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.network import Network
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.plan import Settings
from tlcheck.trusted.query import Disjunct, Query

if TYPE_CHECKING:
    from tlcheck.prover.box_bounds import Boxed
    from tlcheck.prover.input_search import InputSearch, Level, Pairs, _Group

NEAR: Final = 1e-6
"""Bounds within it are about 0."""
MOST_ASKED: Final = 64
"""Boxes of one batch that the kernel looks at."""
MOST_BOXES: Final = 1024
"""Boxes of a search that are looked at in this way."""
PAIRS_UP_TO: Final = 6
"""Constraints of a disjunct up to which sums of two are tried too."""


@dataclass(eq=False)
class _Asked:
    """A leaf that the kernel may close: its exact box, and the evidence for it."""

    branch: Branch
    disjunct: Disjunct
    evidence: Evidence


@dataclass(frozen=True, eq=False)
class Ties:
    """``strict``: disjunct -> which of its constraints are. ``frame``: leaves have slopes of their own, 0 or 1."""

    claim: UnsatClaim
    strict: Mapping[int, NDArray[np.bool_]]

    @classmethod
    def of(cls, claim: UnsatClaim, disjuncts: Sequence[int]) -> Ties | None:
        """None where no constraint of these disjuncts is strict."""
        strict = {
            k: np.array([c.strict for c in claim.query.disjuncts[k].constraints], bool) for k in disjuncts
        }
        return cls(claim, strict) if any(s.any() for s in strict.values()) else None

    @cached_property
    def frame(self) -> Frame:
        needed, nodes = Network(self.claim.graph).needed, self.claim.graph.nodes
        relus = [i for i in sorted(needed) if isinstance(nodes[i].op, Relu)]
        return Frame({a: np.arange(nodes[a].size) for a in relus}, per_leaf_bounds=True)

    def slopes(self, found: Boxed, box: int) -> dict[int, NDArray[np.uint8]]:
        """Those of the lower lines on one of the boxes."""
        chosen = {}
        for a in self.frame.columns:
            if a in found.lines:
                rows = found.lines[a].parts[0].lower[0]
                chosen[a] = rows[box if len(rows) > 1 else 0].astype(np.uint8)
        return chosen

    def close(
        self, search: InputSearch, level: Level, batch: Sequence[_Group], pairs: Pairs, found: Boxed
    ) -> None:
        """Close open branches of the batch whose bounds are attained, or by lower lines of slope 0."""
        if search.boxes > MOST_BOXES or all(b.evidence is not None for b in pairs.branches):
            return
        asked = list(self._near(level, pairs, found))
        if self.frame.columns:
            flat = {a: np.zeros((1, c.size)) for a, c in self.frame.columns.items()}
            found = level.passes.over(found.lower, found.upper, flat)
            pairs = level.paired(batch, found, search.margin)
            level.improve(pairs, found)
            search.settle(pairs, found)
            asked += self._near(level, pairs, found)
        self._ask([a for a in asked if a.branch.evidence is None][:MOST_ASKED])

    def _near(self, level: Level, pairs: Pairs, found: Boxed) -> Iterator[_Asked]:
        """Sums with a strict constraint whose bounds are about 0: for each branch the best."""
        open_ = np.array(
            [k for k, b in enumerate(pairs.branches) if b.evidence is None and not b.refused], np.int64
        )
        if not open_.size:
            return
        mask = pairs.mask[open_]
        strict = np.zeros(mask.shape, bool)
        for row, k in zip(strict, open_.tolist(), strict=True):
            own = self.strict[pairs.branches[k].disjunct]
            row[: own.size] = own
        best, weights = np.full(open_.size, -np.inf), np.zeros(mask.shape)
        for equal in _weightings(mask.shape[1]):
            tried = np.where(mask, equal, 0)
            tried = tried / np.maximum(tried.sum(axis=1, keepdims=True), 1)
            bound, _ = level.mixed(pairs, open_, tried, found)
            better = (tried * strict).any(axis=1) & (bound > best)
            best, weights[better] = np.where(better, bound, best), tried[better]
        scale = np.where(mask, level.rows.scale[pairs.rows[open_]] * weights, 0).sum(axis=1)
        for row in np.flatnonzero(best >= -NEAR * np.maximum(scale, 1)).tolist():
            k = int(open_[row])
            branch, box = pairs.branches[k], int(pairs.box[k])
            used = dict.fromkeys(np.flatnonzero(weights[row] > 0).tolist(), 1.0)
            exact = exact_box(self.claim, branch)
            constraints = self.claim.query.disjuncts[branch.disjunct].constraints
            evidence = Evidence(used, float(best[row]), self.slopes(found, box))
            yield _Asked(branch, Disjunct(exact, constraints), evidence)

    def _ask(self, asked: Sequence[_Asked]) -> None:
        """Give evidence to the branches that the kernel closes with it."""
        if not asked:
            return
        query = self.claim.query
        boxes = Query(query.n_inputs, query.n_outputs, tuple(a.disjunct for a in asked))
        roots = [Branch(k, evidence=a.evidence) for k, a in enumerate(asked)]
        plan = planned(
            UnsatClaim(self.claim.graph, boxes), guidance_of(roots, [self.frame] * len(roots)), Settings()
        )
        run = run_leaves(plan, 1, Deadline(None, None), None, None)
        for outcome in run.outcomes:
            if outcome.certified:
                one = asked[plan.leaves[outcome.rank].disjunct]
                one.branch.evidence, one.branch.state = one.evidence, None


def _weightings(count: int) -> Iterator[NDArray[np.float64]]:
    """Each constraint alone; sums of two; the sum of all."""
    sizes = [1, *([2] if 2 < count <= PAIRS_UP_TO else []), *([count] if count > 1 else [])]
    for size in sizes:
        for members in combinations(range(count), size):
            weights = np.zeros(count)
            weights[list(members)] = 1
            yield weights
