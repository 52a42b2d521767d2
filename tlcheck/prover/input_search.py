"""Branch and bound on the input box: linear bounds over many boxes at a time, and cuts where they do not suffice.

What closes a box is a sum of its disjunct's constraints, with weights, whose bound over the box exceeds a margin. The
checker proves each such box again by itself (``Frame.per_leaf_bounds``). Nothing here is rounded outward.

Disjuncts that are still open on the same box stay together: the box is bounded once for them, and cut once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.prover.attack import float_near
from tlcheck.prover.box_bounds import BoxBounds, Boxed, Kept, Linear
from tlcheck.prover.constants import folded
from tlcheck.prover.cut_score import cut_scores, sums_at
from tlcheck.prover.engine import Engine
from tlcheck.prover.ties import Ties
from tlcheck.prover.tree import Branch, Evidence, Frame
from tlcheck.prover.weighting import fixed_weights, stepped
from tlcheck.trusted.arith.arb import floor_float
from tlcheck.trusted.arith.box import OutOfRange
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.base import Relaxed
from tlcheck.trusted.ops.bent import Bent
from tlcheck.trusted.ops.selection import MaxOver
from tlcheck.trusted.query import InputBox, LinearConstraint

Array = NDArray[Any]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BATCH: Final = 512
"""Boxes bounded at a time."""
MOST_VALUES: Final = 4_000_000
"""Values of the network, over all boxes of a batch, whose bounds are held at once."""
MARGINS: Final = {np.dtype(np.float32): 1e-6, np.dtype(np.float64): 1e-9}
"""What a bound must exceed, relative to the sizes of the numbers in its constraints."""
NOISE: Final = 8.0
"""The same in roundings of the terms that the bound is the sum of."""
WEIGHT_STEPS: Final = 8
"""Passes of a sum of constraints whose weights are improved."""
MOST_CANDIDATES: Final = 64
EACH_BATCH: Final = 4
"""Points of one batch that are kept as candidates."""
THIN: Final = 2.0**-18
"""Relative width below which a side is too thin for float32."""

FRAME: Final = Frame(per_leaf_bounds=True)


class _Over(Exception):
    """``over()`` was true inside a batch."""


@dataclass(eq=False)
class _Box:
    """A box of the search (inputs,) twice, outward in doubles; it is that of branches with ``depth`` literals."""

    lower: Floats
    upper: Floats
    depth: int


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
        of = {k: [place.setdefault(c, len(place)) for c in query.disjuncts[k].constraints] for k in disjuncts}
        outputs, inputs = (np.zeros((len(place), n)) for n in (query.n_outputs, query.n_inputs))
        for c, r in place.items():
            for side, pairs in ((outputs, c.outputs), (inputs, c.inputs)):
                side[r, [i for i, _ in pairs]] = [float_near(q) for _, q in pairs]
        bounds = np.array([float_near(c.bound) for c in place])
        scale = np.abs(bounds) + np.abs(outputs).sum(axis=1) + np.abs(inputs).sum(axis=1)
        forms, constant = passes.forms(outputs, inputs)
        y, x, b = (rows.astype(passes.dtype) for rows in (outputs, inputs, bounds))
        return cls(y, x, b, forms, (constant - bounds).astype(passes.dtype), scale, of)

    def weighted(self, weights: Array) -> tuple[dict[int, Array], Array]:
        """Sums of the rows, weights (..., K)."""
        return {a: weights @ m for a, m in self.forms.items()}, weights @ self.constant

    def picked(self, rows: Ints) -> tuple[dict[int, Array], Array]:
        return {a: m[rows] for a, m in self.forms.items()}, self.constant[rows]

    def at(self, x: Array, y: Array) -> Array:
        """The rows' values (..., K) at inputs and outputs."""
        return np.asarray(y @ self.outputs.T + x @ self.inputs.T - self.bounds)


@dataclass(eq=False)
class Pairs:
    """(box, disjunct) pairs of a batch, Q of them, of at most R rows each.

    ``box`` (Q,); ``rows`` (Q, R) numbers of constraints, where ``mask``. ``slope`` (Q, R, inputs) and ``constant`` (Q, R):
    linear functions below them. ``weights`` (Q, R) and ``bound`` (Q,), of the best sum that is known; ``enough`` (Q, R): what a
    bound must exceed, for each row.
    """

    branches: list[Branch]
    box: Ints
    rows: Ints
    mask: NDArray[np.bool_]
    slope: Array
    constant: Array
    weights: Array
    bound: Array
    enough: Array

    @property
    def closed(self) -> NDArray[np.bool_]:
        """Which bounds suffice."""
        return np.asarray(self.bound > (self.weights * self.enough).sum(axis=1))


@dataclass(eq=False)
class Level:
    """Passes in one type of float, and the constraints in it."""

    passes: BoxBounds
    rows: _Rows

    def paired(self, batch: Sequence[_Group], found: Boxed, margin: float) -> Pairs:
        """Bound every constraint by itself, and the best sum with these lines."""
        branches = [b for g in batch for b in g.branches]
        box = np.repeat(np.arange(len(batch)), [len(g.branches) for g in batch])
        own = [self.rows.of[b.disjunct] for b in branches]
        most = max(len(r) for r in own)
        rows = np.array([r + [0] * (most - len(r)) for r in own], np.int64)
        mask = np.arange(most) < np.array([len(r) for r in own])[:, None]
        line = self.passes.descend(*self.rows.picked(rows), box, found)
        low, high = found.lower[box], found.upper[box]
        weights, bound = fixed_weights(line.slope, line.constant, mask, low, high)
        terms = (
            np.abs(line.constant)
            + (np.abs(line.slope) @ np.maximum(np.abs(low), np.abs(high))[:, :, None])[:, :, 0]
        )
        noise = NOISE * np.finfo(self.passes.dtype).eps * terms
        enough = np.where(mask, margin * self.rows.scale[rows] + noise, 0)
        return Pairs(branches, box, rows, mask, line.slope, line.constant, weights, bound, enough)

    def improve(self, pairs: Pairs, found: Boxed) -> None:
        """Better weights where several constraints are not enough yet: passes of their sum, with its gradients."""
        open_ = np.flatnonzero(~pairs.closed & (pairs.mask.sum(axis=1) > 1))
        weights = pairs.weights[open_]
        for k in range(WEIGHT_STEPS):
            if not open_.size:
                return
            bound, gradient = self.mixed(pairs, open_, weights, found)
            better = bound > pairs.bound[open_]
            pairs.bound[open_[better]], pairs.weights[open_[better]] = bound[better], weights[better]
            hope = np.where(pairs.mask[open_], gradient, -np.inf).max(axis=1) > 0
            still = ~pairs.closed[open_] & hope
            open_, weights, gradient = open_[still], weights[still], gradient[still]
            weights = stepped(weights, gradient, pairs.mask[open_], k)

    def mixed(self, pairs: Pairs, which: Ints, weights: Array, found: Boxed) -> tuple[Array, Array]:
        """The bound of the weighted sums (Q',), and its gradient (Q', R): each constraint's value at the dual point."""
        line, kept = self.summed(pairs, which, weights, found)
        values = self.rows.at(*self.passes.dual(line, kept, found))[:, 0]
        return line.least(found)[:, 0], np.take_along_axis(values, pairs.rows[which], axis=1)

    def summed(self, pairs: Pairs, which: Ints, weights: Array, found: Boxed) -> tuple[Linear, Kept]:
        """A pass of the weighted sums: one row each."""
        wide = np.zeros((which.size, 1, len(self.rows.bounds)), self.passes.dtype)
        own = np.where(pairs.mask[which], weights, 0)
        for r in range(own.shape[1]):
            wide[np.arange(which.size), 0, pairs.rows[which][:, r]] += own[:, r]
        kept: Kept = {}
        return self.passes.descend(*self.rows.weighted(wide), pairs.box[which], found, kept), kept

    def scores(self, pairs: Pairs, which: Ints, found: Boxed) -> tuple[Ints, Floats]:
        """(boxes (Q,) of some pairs, (Q, inputs)): what cuts of these boxes are thought to gain, their pairs together."""
        line, kept = self.summed(pairs, which, pairs.weights[which], found)
        boxes, place = np.unique(pairs.box[which], return_inverse=True)
        sizes = {i: sums_at(np.abs(a[:, 0]), place, boxes.size) for i, a in kept.items()}
        return boxes, cut_scores(
            self.passes, found, boxes, sums_at(np.abs(line.slope[:, 0]), place, boxes.size), sizes
        )


class InputSearch:
    """Closes branches of disjuncts on one box by cutting it. ``margin``: relative; a bound must exceed it.

    ``candidates``: points of open boxes at which the constraints come nearest to being satisfied, newest last.
    ``boxes``: how many were bounded here. Every box is for itself: whoever has some needs no others.
    """

    whole = False

    def __init__(self, engine: Engine, claim: UnsatClaim, disjuncts: Sequence[int]) -> None:
        self.claim, self.disjuncts = claim, tuple(disjuncts)
        self.region: InputBox = claim.query.disjuncts[disjuncts[0]].box
        self.ties = Ties.of(claim, disjuncts)
        self.dtype = np.dtype(np.float32 if engine.dtype == np.float32 and self._is_plain else np.float64)
        self.margin = MARGINS[self.dtype]
        self.candidates: list[Floats] = []
        self.boxes = self.elsewhere = 0
        graph = claim.graph
        self._over: Callable[[], bool] = lambda: False
        self._places = [(i, k) for i in graph.inputs for k in range(graph.nodes[i].size)]
        self._flat = {place: n for n, place in enumerate(self._places)}
        self._lower, self._upper = outward(self.region)
        self._batch = max(1, min(BATCH, MOST_VALUES // sum(node.size for node in graph.nodes)))

    @property
    def passes(self) -> int:
        return self.boxes + self.elsewhere

    def share(self) -> None:
        pass

    @property
    def frame(self) -> Frame:
        return FRAME if self.ties is None else self.ties.frame

    def close(self, work: Sequence[Branch], over: Callable[[], bool]) -> list[Branch]:
        """Close the branches, or their children; depth first. It gives up on a box that no cut divides."""
        stack = self._groups(work)
        while stack:
            batch = stack[-self._batch :]
            left = self._attempted(batch, over)
            if left is None:
                break
            del stack[-len(batch) :]
            for k, (group, axes) in enumerate(left):
                halves = self._divided(group, axes)
                if not halves:
                    return _open([*stack, *(g for g, _ in left[k:])])
                stack += halves
        return _open(stack)

    def attempt(
        self, work: Sequence[Branch], over: Callable[[], bool], steps: int | None = None
    ) -> list[Branch]:
        """Close exactly these branches; those that are still open. ``steps`` is for other searches."""
        groups = self._groups(work)
        for start in range(0, len(groups), self._batch):
            if self._attempted(groups[start : start + self._batch], over) is None:
                break
        return [b for b in work if b.evidence is None]

    def side(self, node: int, index: int, point: float) -> int | None:
        """Of a cut: the side that alone has points of the region; 0: both have; None: it is no cut of an input."""
        place = self._flat.get((node, index))
        if place is None:
            return None
        return 1 if point <= self._lower[place] else -1 if point >= self._upper[place] else 0

    # Boxes.

    def _groups(self, work: Sequence[Branch]) -> list[_Group]:
        """Branches on the same box together; the first are worked on first."""
        groups: dict[Any, _Group] = {}
        for branch in reversed(work):
            box = branch.state if isinstance(branch.state, _Box) else None
            if box is None or box.depth != len(branch.path):
                box = None
            key = branch.path if box is None else id(box)
            if key not in groups:
                groups[key] = _Group(box or self._box(branch), [])
            groups[key].branches.append(branch)
        return list(groups.values())

    def _box(self, branch: Branch) -> _Box:
        lower, upper = self._lower.copy(), self._upper.copy()
        for x in branch.path:
            place = self._flat.get((x.node, x.index))
            if place is not None and x.side > 0:
                lower[place] = max(lower[place], x.point)
            elif place is not None:
                upper[place] = min(upper[place], x.point)
        return _Box(np.minimum(lower, upper), upper, len(branch.path))

    def _divided(self, group: _Group, axes: Ints) -> list[_Group]:
        """Cut the box in the middle, across the first of the axes that can be; [] if none can."""
        box = group.box
        for axis in axes.tolist():
            point = middle(box.lower[axis], box.upper[axis])
            if point is None:
                continue
            below, above = (_Box(box.lower.copy(), box.upper.copy(), box.depth + 1) for _ in range(2))
            below.upper[axis] = above.lower[axis] = point
            halves = [_Group(below, []), _Group(above, [])]
            node, index = self._places[axis]
            for branch in group.branches:
                for half, child in zip(halves, branch.divide(node, index, point), strict=True):
                    child.state = half.box
                    half.branches.append(child)
                branch.state = None
            return halves
        return []

    # One batch.

    @property
    def _is_plain(self) -> bool:
        """float32 is enough: all is piecewise linear, and no bound is attained."""
        ops = (node.op for node in self._folded.nodes)
        return self.ties is None and all(
            isinstance(op, Relu | Bent | MaxOver) for op in ops if isinstance(op, Relaxed)
        )

    @cached_property
    def _levels(self) -> dict[np.dtype[Any], Level]:
        return {}

    @cached_property
    def _folded(self) -> Graph:
        return folded(self.claim.graph)

    def _level(self, dtype: np.dtype[Any]) -> Level:
        if dtype not in self._levels:
            passes = BoxBounds(self._folded, dtype, self._tick)
            self._levels[dtype] = Level(passes, _Rows.make(passes, self.claim, self.disjuncts))
        return self._levels[dtype]

    def _tick(self) -> None:
        if self._over():
            raise _Over

    def _attempted(
        self, batch: Sequence[_Group], over: Callable[[], bool]
    ) -> list[tuple[_Group, Ints]] | None:
        """Close what can be; the groups with the rest, and the axes to cut across, best first. None: it is over."""
        self._over = over
        try:
            self._tick()
            return self._bounded(batch)
        except _Over:
            return None

    def _bounded(self, batch: Sequence[_Group]) -> list[tuple[_Group, Ints]]:
        lower, upper = (np.stack([getattr(g.box, end) for g in batch]) for end in ("lower", "upper"))
        thin = (upper > lower) & (upper - lower < THIN * np.maximum(np.abs(lower), np.abs(upper)))
        level = self._level(np.dtype(np.float64) if thin.any() else self.dtype)
        try:
            with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
                found = level.passes.over(lower, upper)
                pairs = level.paired(batch, found, self.margin)
                level.improve(pairs, found)
        except OutOfRange:
            return self._out_of_range(batch)
        self.boxes += len(batch)
        self.settle(pairs, found)
        if self.ties is not None:
            self.ties.close(self, level, batch, pairs, found)
        return self._left(level, batch, pairs, found)

    def _out_of_range(self, batch: Sequence[_Group]) -> list[tuple[_Group, Ints]]:
        """Each half by itself; a single box without bounds is cut where it is widest."""
        if len(batch) > 1:
            half = len(batch) // 2
            return self._bounded(batch[:half]) + self._bounded(batch[half:])
        self.boxes += 1
        (group,) = batch
        whole = np.where(self._upper > self._lower, self._upper - self._lower, np.inf)
        return [(group, np.argsort(-(group.box.upper - group.box.lower) / whole, kind="stable"))]

    def settle(self, pairs: Pairs, found: Boxed) -> None:
        """Evidence for what is closed, unless the checker refused it; bounds for the rest."""
        closed = pairs.closed
        for k, branch in enumerate(pairs.branches):
            branch.bound = max(branch.bound, float(pairs.bound[k]))
            if not closed[k] or branch.refused or branch.evidence is not None:
                continue
            used = np.flatnonzero(pairs.mask[k] & (pairs.weights[k] > 0)).tolist()
            slopes = {} if self.ties is None else self.ties.slopes(found, int(pairs.box[k]))
            weights = {q: float(pairs.weights[k, q]) for q in used}
            branch.evidence, branch.state = Evidence(weights, float(pairs.bound[k]), slopes), None

    def _left(
        self, level: Level, batch: Sequence[_Group], pairs: Pairs, found: Boxed
    ) -> list[tuple[_Group, Ints]]:
        open_ = np.array([k for k, b in enumerate(pairs.branches) if b.evidence is None], np.int64)
        if not open_.size:
            return []
        self._notice(level, pairs, open_, found)
        boxes, score = level.scores(pairs, open_, found)
        axes = np.argsort(-score, axis=1, kind="stable")
        left = []
        for k, order in zip(boxes.tolist(), axes, strict=True):
            branches = [b for b in batch[k].branches if b.evidence is None]
            left.append((_Group(batch[k].box, branches), order))
        return left

    def _notice(self, level: Level, pairs: Pairs, open_: Ints, found: Boxed) -> None:
        """Keep the points where the bounds of open boxes are attained, and centres, that come nearest to a counterexample."""
        box, rows, mask = (
            pairs.box[open_],
            np.tile(pairs.rows[open_], (2, 1)),
            np.tile(pairs.mask[open_], (2, 1)),
        )
        low, high = found.lower[box], found.upper[box]
        slope = np.einsum("qr,qrn->qn", pairs.weights[open_], pairs.slope[open_])
        points = np.concatenate([np.where(slope >= 0, low, high), (low + high) / 2])
        values = np.take_along_axis(level.rows.at(*level.passes.values(points)), rows, axis=1)
        away = np.where(mask, values, -np.inf).max(axis=1)
        nearest = np.argsort(away, kind="stable")[:EACH_BATCH][::-1]
        self.candidates += [points[k].astype(np.float64) for k in nearest]
        del self.candidates[:-MOST_CANDIDATES]


def _open(groups: Sequence[_Group]) -> list[Branch]:
    return [b for g in groups for b in g.branches if b.evidence is None]


def outward(box: InputBox) -> tuple[Floats, Floats]:
    """The box in doubles, rounded outward."""
    return np.array([floor_float(q) for q in box.lower]), np.array([-floor_float(-q) for q in box.upper])


def middle(low: float, high: float) -> float | None:
    """A number of float32 near the middle, strictly inside, else a double; None where there is none."""
    with np.errstate(over="ignore"):
        point = low / 2 + high / 2
        near = float(np.float32(point))
    return next((float(x) for x in (near, point) if isfinite(x) and low < x < high), None)
