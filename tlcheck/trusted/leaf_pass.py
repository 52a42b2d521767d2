"""The leaf pass: each leaf's domain, and one backward pass over it that proves, or not, that it holds no point.

A leaf's domain is what its path says. It is closed when it is empty, or when the proved lower bound of its weighted
constraints (``plan.WeightedRow``) excludes every point of its disjunct. The inequality is evaluated in Arb on exact numbers.

No I/O, no search, no configuration: workers may run ``check_leaves`` in any order and in any process. Only this module
finds a leaf certified.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.arb import (
    Arb,
    ball,
    compare_nonnegative,
    compare_positive,
    lower_float,
    working_precision,
)
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.integer import IntegerForm
from tlcheck.trusted.arith.interface import Engine, LinearForm, Multipliers
from tlcheck.trusted.bounds import Bounds, Enclosure, Slopes, filled
from tlcheck.trusted.cover import Leaf
from tlcheck.trusted.guidance import RegionGuidance
from tlcheck.trusted.linear_bounds import Pass, descend
from tlcheck.trusted.ops.elementwise import Elementwise
from tlcheck.trusted.ops.lines import Lines, SlopeGuess
from tlcheck.trusted.plan import BadGuidance, Plan, WeightedRow

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NEAR = 2.0**-30
"""Margins of strict constraints above -NEAR are computed again, closely: cost, not soundness."""
MOST_CLOSING = 1e8
"""Multiply-adds of a leaf's bounds up to which that is done."""


@dataclass(frozen=True)
class LeafOutcome:
    """One leaf of the cover: its rank in the plan, and a proved lower bound of its margin (rounded down).

    A certified leaf's margin is positive, or 0 where its weights include a strict constraint.
    """

    rank: int
    certified: bool
    margin: float
    empty: bool = False


def check_leaves(plan: Plan, bounds: Bounds | None, ranks: Sequence[int]) -> list[LeafOutcome]:
    """Decide leaves of one region. ``bounds`` are the region's, or None with per-leaf bounds."""
    with working_precision(plan.settings.precision):
        return LeafChunk(plan, tuple(ranks)).decide(bounds)


def with_same(plan: Plan, outcomes: Sequence[LeafOutcome]) -> list[LeafOutcome]:
    """The outcomes, and those of the leaves that are the same but for their disjunct (``Plan.first_of``)."""
    same = (replace(o, rank=rank) for o in outcomes for rank in plan.repeats.get(o.rank, ()))
    return [*outcomes, *same]


@dataclass(frozen=True, eq=False)
class LeafChunk:
    """Leaves of one region, decided together: leaf k of the chunk is domain k.

    A leaf's outcome does not depend on the leaves beside it: the passes choose, charge and refine in each domain by
    itself, and a chunk that goes out of range is decided again in halves. In integers it is the same to the bit; in
    float64 too, but for convolutions, where BLAS rounds the rows of a product alike (``ball64.product``).
    """

    plan: Plan
    ranks: tuple[int, ...]

    @cached_property
    def leaves(self) -> tuple[Leaf, ...]:
        return tuple(self.plan.leaves[r] for r in self.ranks)

    @cached_property
    def numbers(self) -> Ints:
        return np.array([leaf.guidance for leaf in self.leaves], dtype=np.int64)

    @cached_property
    def rows(self) -> Ints:
        """Of each leaf, its row in the slopes of the region's leaves. Raises BadGuidance: it has none."""
        rows = self.given.rows
        if rows is None:
            return self.numbers
        found = np.searchsorted(rows, self.numbers)
        if not np.array_equal(rows[np.minimum(found, rows.size - 1)] if rows.size else rows, self.numbers):
            raise BadGuidance("a leaf has no row in the slopes of its region")
        return found

    @property
    def given(self) -> RegionGuidance:
        return self.plan.given[self.region]

    @cached_property
    def region(self) -> int:
        first, *others = {self.plan.region_of[leaf.disjunct] for leaf in self.leaves}
        if others:
            raise ValueError("leaves of different regions in one chunk")
        return first

    def decide(self, bounds: Bounds | None) -> list[LeafOutcome]:
        """The outcome of every leaf."""
        if bounds is None and len(self.ranks) > 1 and self.given.intermediate:
            return self._apart(bounds, 1)  # rows with slopes of their own: one domain a pass
        try:
            known, empty = self.domain(bounds)
            form = self.plan.deciding_engine.form(len(self.ranks), 1)
            rows = self.run(form, known)
            margins = [
                low - ball(row.bound) for low, row in zip(form.lower_balls(known.boxes), rows, strict=True)
            ]
        except OutOfRange:
            if len(self.ranks) > 1:
                return self._apart(bounds, (len(self.ranks) + 1) // 2)
            return self._left_open()
        outcomes = self._outcomes(empty, margins, rows)
        near = [k for k, o in enumerate(outcomes) if rows[k].strict and not o.certified and o.margin > -NEAR]
        if near and isinstance(form, IntegerForm) and self.plan.closing_cost <= MOST_CLOSING:
            part = LeafChunk(self.plan, tuple(self.ranks[k] for k in near))
            for k, again in zip(near, part._closely(), strict=True):
                outcomes[k] = again if again.certified else outcomes[k]
        return outcomes

    def _closely(self) -> list[LeafOutcome]:
        """The outcome of every leaf by bounds of its own and a pass that lose nothing where nothing need be lost.

        For strict constraints whose bound is attained: rounding is all that is between the margin and 0. It is a proof of
        the same kind, with the inputs' exact box at its end.
        """
        engine = self.plan.close
        try:
            known, empty = self.domain(None, engine)
            form = engine.form(len(self.ranks), 1)
            rows = self.run(form, known)
            margins = [
                ball(form.lower_exact(k, self._exact_ends(form, known, k)) - row.bound)
                for k, row in enumerate(rows)
            ]
        except OutOfRange:
            return self._left_open()
        return self._outcomes(empty, margins, rows)

    def _outcomes(
        self, empty: NDArray[np.bool_], margins: Sequence[Arb], rows: Sequence[WeightedRow]
    ) -> list[LeafOutcome]:
        """A leaf whose domain is empty is certified; of another, its margin says."""
        return [
            LeafOutcome(rank, True, inf, empty=True) if void else LeafOutcome(rank, *_judged(margin, row))
            for rank, void, margin, row in zip(self.ranks, empty.tolist(), margins, rows, strict=True)
        ]

    def _left_open(self) -> list[LeafOutcome]:
        return [LeafOutcome(rank, False, -inf) for rank in self.ranks]

    def _apart(self, bounds: Bounds | None, size: int) -> list[LeafOutcome]:
        """The outcomes, decided ``size`` leaves at a time."""
        chunks = (LeafChunk(self.plan, self.ranks[k : k + size]) for k in range(0, len(self.ranks), size))
        return [outcome for chunk in chunks for outcome in chunk.decide(bounds)]

    def _exact_ends(
        self, form: IntegerForm, known: Bounds, k: int
    ) -> dict[int, tuple[list[Fraction], list[Fraction]]]:
        """Exact boxes of domain k for the nodes that the form ends at: of inputs without the rounding to doubles.

        An end of an input's box is the region's, rounded outward, or a literal's point inside it, which is a double.
        """
        region = self.plan.regions[self.region]
        ends = {}
        for node in form.blocks:
            box = known.boxes[node]
            row = k if box.lower.shape[0] > 1 else 0
            low, high = ([Fraction(x) for x in side[row].tolist()] for side in (box.lower, box.upper))
            s = self.plan.network.input_slices.get(node)
            if s is not None:
                low = [max(x, exact) for x, exact in zip(low, region.lower[s], strict=True)]
                high = [min(x, exact) for x, exact in zip(high, region.upper[s], strict=True)]
            ends[node] = low, high
        return ends

    def domain(self, bounds: Bounds | None, engine: Engine | None = None) -> tuple[Bounds, NDArray[np.bool_]]:
        """Bounds of every node on each leaf's domain, and which domains are empty. Raises OutOfRange."""
        inputs, empty = self._clamped(self.plan.input_boxes(self.region), None)
        if bounds is None:
            inputs = {
                node: Box(*self._own_rows(box)) for node, box in inputs.items()
            }  # slopes are the leaf's own
            known = self.task(engine or self.plan.bounding_engine).bounds(inputs)
        else:
            known = bounds.on({**bounds.boxes, **inputs})
        boxes, void = self._clamped(known.boxes, inputs)
        return known.on(boxes), empty | void

    def task(self, engine: Engine) -> Enclosure:
        """The enclosure of all nodes on the leaves' own input boxes, with their own slopes."""
        slopes = Slopes(self.given, self._slopes_at({}))
        return Enclosure(self.plan.network, engine, slopes, self.plan.settings.deployed)

    def run(
        self, form: LinearForm[Any], known: Bounds, after: Callable[[int], None] | None = None
    ) -> list[WeightedRow]:
        """The deciding pass: carries the leaves' weighted constraints in ``form`` to the inputs; returns these."""
        plan = self.plan
        rows = self._seed(form, known)
        slopes = Slopes(self.given, self._slopes_at(known.boxes))

        def drawn(activation: int) -> Lines:
            node = plan.claim.graph.nodes[activation]
            if not isinstance(node.op, Elementwise):
                raise ValueError("lines of something that is not an activation")
            box = known.boxes[node.inputs[0]]
            if activation in self.given.leaf_slopes:
                return node.op.lines(box, slopes.shared(activation))
            return known.lines(activation, node.op, box, slopes.shared(activation))

        descend(form, Pass(plan.network, known.boxes, drawn, known.radii, self._multipliers()), after)
        return rows

    def _clamped(
        self, boxes: dict[int, Box], done: dict[int, Box] | None
    ) -> tuple[dict[int, Box], NDArray[np.bool_]]:
        """``boxes`` cut by each leaf's literals (inputs first; then the rest, given ``done``), and empty domains."""
        inputs = set(self.plan.network.input_slices)
        cut: dict[int, tuple[Floats, Floats]] = {}
        empty = np.zeros(len(self.ranks), bool)
        for (node, side), (rows, indices, points) in self._literals.items():
            if (node in inputs) == (done is not None) or node not in boxes:
                continue
            if node not in cut:
                cut[node] = self._own_rows(boxes[node])
            lower, upper = cut[node]
            if side > 0:
                np.maximum.at(lower, (rows, indices), points)
            else:
                np.minimum.at(upper, (rows, indices), points)
        result = dict(boxes)
        for node, (lower, upper) in cut.items():
            crossed = lower > upper
            empty |= crossed.any(axis=1)
            result[node] = Box(np.where(crossed, upper, lower), np.where(crossed, lower, upper))
        return result, empty

    @cached_property
    def _literals(self) -> dict[tuple[int, int], tuple[Ints, Ints, Floats]]:
        """(node, side) -> columns (leaf of the chunk, value, point) of every literal of every path."""
        found: dict[tuple[int, int], tuple[Ints, Ints, Floats]] = {}
        literals = [x for leaf in self.leaves for x in leaf.path]
        if literals:
            leaf = np.repeat(np.arange(len(self.leaves)), [len(one.path) for one in self.leaves])
            node, index, side, point = (
                np.array(column)
                for column in zip(*((x.node, x.index, x.side, x.point) for x in literals), strict=True)
            )
            for n, s in set(zip(node.tolist(), side.tolist(), strict=True)):
                at = np.flatnonzero((node == n) & (side == s))
                found[n, s] = leaf[at], index[at], point[at].astype(np.float64)
        return found

    def _own_rows(self, box: Box) -> tuple[Floats, Floats]:
        shape = (len(self.ranks), box.lower.shape[1])
        return np.array(np.broadcast_to(box.lower, shape)), np.array(np.broadcast_to(box.upper, shape))

    def _slopes_at(self, boxes: dict[int, Box]) -> Callable[[int], SlopeGuess | None]:
        """Slopes of each leaf at an activation (D, n), or None where the leaf has none."""
        nodes = self.plan.claim.graph.nodes

        def at(activation: int) -> SlopeGuess | None:
            given = self.given.leaf_slopes.get(activation)
            if given is None:
                return None
            z = nodes[activation].inputs[0]

            def spread(values: NDArray[np.generic] | None) -> Floats | None:
                if values is None:
                    return None
                mine = values[self.rows].astype(np.float64)
                return filled(mine, given.columns, boxes.get(z), nodes[z].size)

            return SlopeGuess(spread(given.lower), spread(given.upper))

        return at

    def _seed(self, form: LinearForm[Any], known: Bounds) -> list[WeightedRow]:
        """Put each leaf's weighted constraints into the form; returns them."""
        plan = self.plan
        rows = [plan.weighted_row(leaf) for leaf in self.leaves]
        slices = [(node, s, "outputs") for node, s in plan.network.output_slices]
        slices += [(node, s, "inputs") for node, s in plan.network.input_slices.items()]
        for node, s, side in slices:
            mids = np.stack([(r.outputs if side == "outputs" else r.inputs)[0][s] for r in rows])[:, None, :]
            rads = np.stack([(r.outputs if side == "outputs" else r.inputs)[1][s] for r in rows])[:, None, :]
            if side == "inputs" and not mids.any() and not rads.any():
                continue
            form.seed_rows(node, np.ascontiguousarray(mids), rads if rads.any() else None, known.boxes[node])
        return rows

    def _multipliers(self) -> dict[int, Multipliers]:
        """The evidence's multipliers on literals of the leaf's own path; others are not used."""
        given = self.plan.guidance.leaves
        found: dict[int, dict[tuple[int, int], tuple[float, float]]] = {}
        for k, leaf in enumerate(self.leaves):
            start, stop = int(given.split_ptr[leaf.guidance]), int(given.split_ptr[leaf.guidance + 1])
            if start == stop:
                continue
            part = slice(start, stop)
            rows = zip(
                given.split_node[part].tolist(),
                given.split_index[part].tolist(),
                given.split_side[part].tolist(),
                given.split_point[part].tolist(),
                given.split_beta[part].tolist(),
                strict=True,
            )
            on_path = {(x.node, x.index, x.side, x.point) for x in leaf.path}
            for node, index, side, point, beta in rows:
                if beta > 0 and (node, index, side, point) in on_path:
                    found.setdefault(node, {}).setdefault((k, index), (beta * side, point))
        return {node: _columns(entries) for node, entries in found.items()}


def _columns(entries: dict[tuple[int, int], tuple[float, float]]) -> Multipliers:
    keys = np.array(list(entries), dtype=np.int64)
    values = np.array(list(entries.values()), dtype=np.float64)
    return Multipliers(keys[:, 0], keys[:, 1], values[:, 0], values[:, 1])


def _judged(margin: Arb, row: WeightedRow) -> tuple[bool, float]:
    """(the leaf holds no point of its disjunct, proved in Arb; a double <= the margin).

    Let S = sum_q w_q (c_q . (x, y) - bound_q), with the exact weights w_q >= 0 of the row; S >= margin on the leaf.
    At a point of the disjunct every term is <= 0, so margin > 0 excludes it. Where w_q > 0 for a strict q, that
    term is < 0 and so is S: margin >= 0 excludes it too. A weight of 0 on the strict ones does not: then S = 0 is
    allowed at the point. Both comparisons are affirmative ones of a finite ball.
    """
    proved = compare_nonnegative(margin) if row.strict else compare_positive(margin)
    return proved, lower_float(margin)
