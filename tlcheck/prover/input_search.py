"""Branch and bound on the input box: linear bounds over many boxes at a time, and cuts where they do not suffice.

What closes a box is a sum of its disjunct's constraints, with weights, whose bound over the box exceeds a margin. The
checker proves each such box again by itself (``Frame.per_leaf_bounds``). Nothing here is rounded outward.

Disjuncts that are still open on the same box stay together: the box is bounded once for them, and cut once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.prover.box_bounds import BoxBounds, Boxed, Kept, Linear
from tlcheck.prover.tree import Branch, Evidence, Frame
from tlcheck.prover.weighting import fixed_weights, stepped
from tlcheck.trusted.arith.arb import floor_float
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.query import InputBox, LinearConstraint

Array = NDArray[Any]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BATCH: Final = 256
"""Boxes bounded at a time."""
MOST_VALUES: Final = 4_000_000
"""Values of the network, over all boxes of a batch, whose bounds are held at once."""
MARGIN: Final = 1e-6
"""What a bound must exceed, relative to the sizes of the numbers that it is the sum of."""
GAP: Final = 0.3
"""How much a unit of width is thought to gain on average, of what is missing."""
WEIGHT_STEPS: Final = 8
"""Passes of a sum of constraints whose weights are improved."""
MOST_CANDIDATES: Final = 64
EACH_BATCH: Final = 4
"""Points of one batch that are kept as candidates."""


class _Over(Exception):
    """``over()`` was true inside a batch."""


@dataclass(eq=False)
class _Box:
    """A box of the search (inputs,) twice, outward in doubles."""

    lower: Floats
    upper: Floats


@dataclass(eq=False)
class _Group:
    """Branches of different disjuncts on one box."""

    box: _Box
    branches: list[Branch]


@dataclass(eq=False)
class _Rows:
    """The distinct constraints of some disjuncts. ``forms`` (K, n) in anchors, ``constant`` (K,): coefficients . y - bound.

    ``of``: for each disjunct its rows, in its order. ``scale`` (K,): the sizes of the row's numbers.
    """

    outputs: Array
    inputs: Array
    bounds: Array
    forms: dict[int, Array]
    constant: Array
    scale: Array
    of: dict[int, list[int]]

    @classmethod
    def make(cls, passes: BoxBounds, claim: UnsatClaim, disjuncts: Sequence[int]) -> _Rows:
        query = claim.query
        place: dict[LinearConstraint, int] = {}
        of = {
            k: [place.setdefault(c, len(place)) for c in query.disjuncts[k].constraints] for k in disjuncts
        }
        outputs, inputs = (np.zeros((len(place), n)) for n in (query.n_outputs, query.n_inputs))
        for c, r in place.items():
            for side, pairs in ((outputs, c.outputs), (inputs, c.inputs)):
                side[r, [i for i, _ in pairs]] = [float(q) for _, q in pairs]
        bounds = np.array([float(c.bound) for c in place])
        scale = np.abs(bounds) + np.abs(outputs).sum(axis=1) + np.abs(inputs).sum(axis=1)
        forms, constant = passes.forms(outputs, inputs)
        cast = passes.dtype.type
        return cls(
            cast(outputs), cast(inputs), cast(bounds), forms, cast(constant - bounds), cast(scale), of
        )

    def weighted(self, weights: Array) -> tuple[dict[int, Array], Array]:
        """Sums of the rows, weights (..., K)."""
        return {a: weights @ m for a, m in self.forms.items()}, weights @ self.constant

    def picked(self, rows: Ints) -> tuple[dict[int, Array], Array]:
        return {a: m[rows] for a, m in self.forms.items()}, self.constant[rows]


@dataclass(eq=False)
class _Pairs:
    """Open (box, disjunct) pairs of a batch, Q of them, of at most R rows each.

    ``box`` (Q,); ``rows`` (Q, R) numbers of constraints, where ``mask``. ``slope`` (Q, R, inputs) and ``constant`` (Q, R):
    linear functions below them. ``weights`` (Q, R) and ``bound`` (Q,), of the best sum that is known.
    """

    branches: list[Branch]
    box: Ints
    rows: Ints
    mask: NDArray[np.bool_]
    slope: Array
    constant: Array
    weights: Array
    bound: Array


class InputSearch:
    """Closes branches of disjuncts on one box by cutting it. ``margin``: relative; a bound must exceed it.

    ``candidates``: points of open boxes at which the constraints come nearest to being satisfied, newest last.
    ``boxes``: how many were bounded.
    """

    def __init__(self, graph: Any, claim: UnsatClaim, disjuncts: Sequence[int], dtype: Any = np.float32) -> None:
        self.margin = MARGIN
        self.candidates: list[Floats] = []
        self.boxes = 0
        self._passes = BoxBounds(claim.graph, dtype, self._tick)
        self._over: Callable[[], bool] = lambda: False
        self._rows = _Rows.make(self._passes, claim, disjuncts)
        self._region = claim.query.disjuncts[disjuncts[0]].box
        self._places = [(i, k) for i in claim.graph.inputs for k in range(claim.graph.nodes[i].size)]
        self._flat = {place: n for n, place in enumerate(self._places)}
        values = sum(node.size for node in claim.graph.nodes)
        self._batch = max(1, min(BATCH, MOST_VALUES // values))

    @property
    def frame(self) -> Frame:
        return Frame(per_leaf_bounds=True)

    def close(self, work: Sequence[Branch], over: Callable[[], bool]) -> list[Branch]:
        """Close the branches, or their children; depth first. Returns those that are still open when ``over()``."""
        stack, stuck = self._groups(work), []
        while stack:
            batch, stack = stack[-self._batch :], stack[: -self._batch]
            left = self._attempted(batch, over)
            if left is None:
                return [b for g in (*stack, *batch) for b in g.branches if b.evidence is None] + stuck
            for group, cut in left:
                children = self._divided(group, cut)
                stack += children
                stuck += [] if children else group.branches
        return stuck

    def attempt(self, work: Sequence[Branch], over: Callable[[], bool]) -> list[Branch]:
        """Close exactly these branches; those that are still open."""
        groups = self._groups(work)
        for start in range(0, len(groups), self._batch):
            if self._attempted(groups[start : start + self._batch], over) is None:
                break
        return [b for b in work if b.evidence is None]

    # Boxes.

    def _groups(self, work: Sequence[Branch]) -> list[_Group]:
        """Branches on the same box together; the last are worked on first."""
        groups: dict[Any, _Group] = {}
        for branch in reversed(work):
            box = branch.state if isinstance(branch.state, _Box) else None
            key = branch.path if box is None else id(box)
            if key not in groups:
                groups[key] = _Group(box or self._box(branch), [])
            groups[key].branches.append(branch)
        return list(groups.values())

    def _box(self, branch: Branch) -> _Box:
        lower, upper = outward(self._region)
        for x in branch.path:
            place = self._flat.get((x.node, x.index))
            if place is not None and x.side > 0:
                lower[place] = max(lower[place], x.point)
            elif place is not None:
                upper[place] = min(upper[place], x.point)
        return _Box(lower, upper)

    def _divided(self, group: _Group, axes: Ints) -> list[_Group]:
        """Cut the box in the middle, across the first of the axes that can be; [] if none can."""
        box = group.box
        for axis in axes.tolist():
            point = middle(box.lower[axis], box.upper[axis])
            if point is None:
                continue
            below, above = _Box(box.lower, box.upper.copy()), _Box(box.lower.copy(), box.upper)
            below.upper[axis] = above.lower[axis] = point
            halves = _Group(below, []), _Group(above, [])
            for branch in group.branches:
                for half, child in zip(halves, branch.divide(*self._places[axis], point), strict=True):
                    child.state = half.box
                    half.branches.append(child)
                branch.state = None
            return list(halves)
        return []

    # One batch.

    def _tick(self) -> None:
        if self._over():
            raise _Over

    def _attempted(self, batch: Sequence[_Group], over: Callable[[], bool]) -> list[tuple[_Group, Ints]] | None:
        """Close what can be; the groups with the rest, and the axes to cut across, best first. None: it is over."""
        self._over = over
        try:
            self._tick()
            return self._bounded(batch)
        except _Over:
            return None

    def _bounded(self, batch: Sequence[_Group]) -> list[tuple[_Group, Ints]]:
        self.boxes += len(batch)
        lower, upper = (np.stack([getattr(g.box, end) for g in batch]) for end in ("lower", "upper"))
        found = self._passes.over(lower, upper)
        pairs = self._paired(batch, found)
        self._improved(pairs, found)
        self._settle(pairs)
        return self._left(batch, pairs, found, upper - lower)

    def _paired(self, batch: Sequence[_Group], found: Boxed) -> _Pairs:
        """Bound every constraint by itself, and the best sum with these lines."""
        branches = [b for g in batch for b in g.branches]
        box = np.repeat(np.arange(len(batch)), [len(g.branches) for g in batch])
        own = [self._rows.of[b.disjunct] for b in branches]
        most = max(len(r) for r in own)
        rows = np.array([r + [0] * (most - len(r)) for r in own], np.int64)
        mask = np.arange(most) < np.array([len(r) for r in own])[:, None]
        line = self._passes.descend(*self._rows.picked(rows), box, found)
        weights, bound = fixed_weights(line.slope, line.constant, mask, found.lower[box], found.upper[box])
        return _Pairs(branches, box, rows, mask, line.slope, line.constant, weights, bound)

    def _enough(self, pairs: _Pairs) -> Array:
        """(Q,) what a bound must exceed."""
        scale = np.where(pairs.mask, self._rows.scale[pairs.rows], 0)
        return np.asarray(self.margin * (pairs.weights * scale).sum(axis=1))

    def _improved(self, pairs: _Pairs, found: Boxed) -> None:
        """Better weights where several constraints are not enough yet: passes of their sum, with its gradients."""
        open_ = np.flatnonzero((pairs.bound <= self._enough(pairs)) & (pairs.mask.sum(axis=1) > 1))
        weights = pairs.weights[open_]
        for k in range(WEIGHT_STEPS):
            if not open_.size:
                return
            bound, gradient = self._mixed(pairs, open_, weights, found)
            better = bound > pairs.bound[open_]
            pairs.bound[open_[better]], pairs.weights[open_[better]] = bound[better], weights[better]
            still = pairs.bound[open_] <= self._enough(pairs)[open_]
            open_, weights, gradient = open_[still], weights[still], gradient[still]
            weights = stepped(weights, gradient, pairs.mask[open_], k)

    def _mixed(self, pairs: _Pairs, which: Ints, weights: Array, found: Boxed) -> tuple[Array, Array]:
        """The bound of the weighted sums (Q',), and its gradient (Q', R): each constraint's value at the dual point."""
        rows = self._rows
        wide = np.zeros((which.size, 1, len(rows.bounds)), self._passes.dtype)
        at = np.arange(which.size)[:, None], 0, pairs.rows[which]
        np.add.at(wide, at, np.where(pairs.mask[which], weights, 0))
        kept: Kept = {}
        line = self._passes.descend(*rows.weighted(wide), pairs.box[which], found, kept)
        x, y = self._passes.dual(line, kept, found)
        values = (y @ rows.outputs.T + x @ rows.inputs.T - rows.bounds)[:, 0]
        return line.least(found)[:, 0], np.take_along_axis(values, pairs.rows[which], axis=1)

    def _settle(self, pairs: _Pairs) -> None:
        """Evidence for what is closed; bounds for the rest."""
        closed = pairs.bound > self._enough(pairs)
        for k, branch in enumerate(pairs.branches):
            branch.bound = float(pairs.bound[k])
            if closed[k] and not getattr(branch, "refused", False):
                positions = np.flatnonzero(pairs.mask[k] & (pairs.weights[k] > 0))
                weights = {int(q): float(pairs.weights[k, q]) for q in positions}
                branch.evidence, branch.state = Evidence(weights, branch.bound), None

    def _left(
        self, batch: Sequence[_Group], pairs: _Pairs, found: Boxed, widths: Floats
    ) -> list[tuple[_Group, Ints]]:
        open_ = np.array([k for k, b in enumerate(pairs.branches) if b.evidence is None], np.int64)
        if not open_.size:
            return []
        self._notice(pairs, open_, found)
        score = np.zeros((len(batch), widths.shape[1]))
        np.add.at(score, pairs.box[open_], gap_score(pairs, open_, widths[pairs.box[open_]]))
        axes = np.argsort(-score, axis=1, kind="stable")
        left = []
        for k in np.unique(pairs.box[open_]).tolist():
            branches = [b for b in batch[k].branches if b.evidence is None]
            left.append((_Group(batch[k].box, branches), axes[k]))
        return left

    def _notice(self, pairs: _Pairs, open_: Ints, found: Boxed) -> None:
        """Keep the points where the bounds of open boxes are attained, and centres, that come nearest to a counterexample."""
        box, rows, mask = pairs.box[open_], pairs.rows[open_], pairs.mask[open_]
        low, high = found.lower[box], found.upper[box]
        slope = np.einsum("qr,qrn->qn", pairs.weights[open_], pairs.slope[open_])
        points = np.concatenate([np.where(slope >= 0, low, high), (low + high) / 2])
        x, y = self._passes.values(points)
        values = y @ self._rows.outputs.T + x @ self._rows.inputs.T - self._rows.bounds
        own = np.take_along_axis(values, np.tile(rows, (2, 1)), axis=1)
        away = np.where(np.tile(mask, (2, 1)), own, -np.inf).max(axis=1)
        best = np.argsort(away, kind="stable")[:EACH_BATCH][::-1]
        self.candidates += [points[k].astype(np.float64) for k in best]
        del self.candidates[:-MOST_CANDIDATES]


def gap_score(pairs: _Pairs, which: Ints, widths: Floats) -> Floats:
    """(Q, inputs): what a cut across each input is thought to gain, of what is missing.

    sum over constraints of max(|slope|, tau) width, tau = GAP times what is missing per unit of width: a direction in which
    the bound is flat may still be why it is loose.
    """
    missing = np.maximum(-pairs.bound[which], 0)
    total = np.maximum(widths.sum(axis=1), 1e-300)
    tau = (GAP * missing / total)[:, None, None]
    slopes = np.maximum(np.abs(pairs.slope[which]), tau)
    score = np.einsum("qrn,qr->qn", slopes, pairs.mask[which].astype(np.float64)) * widths
    return np.asarray(score / np.maximum(missing, 1e-300)[:, None] if False else score)


def outward(box: InputBox) -> tuple[Floats, Floats]:
    """The box in doubles, rounded outward."""
    return np.array([floor_float(q) for q in box.lower]), np.array([-floor_float(-q) for q in box.upper])


def middle(low: float, high: float) -> float | None:
    """A number of float32 near the middle, strictly inside, else a double; None where there is none."""
    with np.errstate(over="ignore"):
        point = low / 2 + high / 2
        for x in (float(np.float32(point)), float(point)):
            if low < x < high:
                return x
    return None
