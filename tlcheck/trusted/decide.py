"""The decision. Only this module constructs CERTIFIED and REFUTED verdicts.

unsat: for every disjunct with a non-empty box there is a finite split tree (cover.py); every leaf of it is closed by
one backward pass whose lower bound L of  sum_q weight_q (c_q . (x, y) - bound_q),  weight >= 0, is strictly positive
on the leaf's domain. A point of the disjunct in that domain would make the sum <= 0: there is none. Where a strict
constraint (c_q . (x, y) < bound_q) has a weight > 0, such a point would make the sum < 0, and L >= 0 suffices. Leaves whose
domain is empty are closed by that. The inequality is evaluated in Arb on exact numbers.

sat: the witness, an exact rational point, is inside the box of one disjunct and each constraint holds as an enclosure.

conditions: a claim that is a conjunction (checks.py) is certified when every one of its conditions is proved.

No I/O, no search, no configuration: workers may run ``check_leaves`` in any order and in any process;
``conclude_unsat`` accepts only when every leaf of every tree is accounted for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import inf, nextafter

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.arb import (
    PRECISION,
    Arb,
    ball,
    compare_nonnegative,
    compare_positive,
    decimal_outward,
    exact_ball,
    floor_float,
    lower_float,
    working_precision,
)
from tlcheck.trusted.arith.ball64 import Ball64, Ball64Form
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.integer import GRID, IntegerEngine, IntegerForm
from tlcheck.trusted.arith.interface import Multipliers
from tlcheck.trusted.bounds import AnyEngine, Apply, Bounds, Enclosure, Slopes, new_form, run_pass
from tlcheck.trusted.claim import SatClaim, UnsatClaim
from tlcheck.trusted.conditions import Check, ConditionClaim, Item, Measure, Share
from tlcheck.trusted.cover import BadTree, Leaf, leaves
from tlcheck.trusted.evaluate import Evaluator, Undecided
from tlcheck.trusted.guidance import NO_GUIDANCE, Guidance
from tlcheck.trusted.linear_bounds import Pass
from tlcheck.trusted.network import Network
from tlcheck.trusted.ops.base import NotDeployable
from tlcheck.trusted.ops.elementwise import Elementwise
from tlcheck.trusted.ops.lines import Lines, SlopeGuess
from tlcheck.trusted.query import Disjunct, InputBox, LinearConstraint
from tlcheck.trusted.verdict import Verdict

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MAX_DEPTH = 100_000
MAX_FLOAT = Fraction(nextafter(inf, 0))
NEAR = 2.0**-30
"""Margins of strict constraints above -NEAR are computed again, closely: cost, not soundness."""
MOST_CLOSING = 1e8
"""Multiply-adds of a leaf's bounds up to which that is done."""


class BadGuidance(ValueError):
    """Guidance that does not fit the claim: wrong sizes, negative multipliers, not finite. Says what and where."""


class NoRelaxation(ValueError):
    """A pass cannot go through an operation that the outputs depend on. Says which, and at which node."""


@dataclass(frozen=True)
class Settings:
    """``arith``: arb, ball64 or auto. ``budget``: multiply-adds of intermediate bounds that auto does in integers."""

    arith: str = "auto"
    precision: int = PRECISION
    deployed: bool = False
    budget: float = 2e6


@dataclass(frozen=True)
class LeafOutcome:
    """One leaf of the cover: its rank in the plan, and a proved lower bound of its margin (rounded down).

    A certified leaf's margin is positive, or 0 where its weights include a strict constraint.
    """

    rank: int
    certified: bool
    margin: float
    empty: bool = False


@dataclass(frozen=True, eq=False)
class Plan:
    """An unsat claim with its guidance, checked for shape and laid out leaf by leaf.

    Raises BadGuidance when the guidance does not fit, NoRelaxation when no pass can go through the network.
    """

    claim: UnsatClaim
    guidance: Guidance
    settings: Settings

    def __post_init__(self) -> None:
        _check_relaxations(self.network)
        _check_guidance(self.claim, self.guidance)

    @cached_property
    def network(self) -> Network:
        return Network(self.claim.graph)

    @cached_property
    def leaves(self) -> tuple[Leaf, ...]:
        """Every leaf of every tree, in order of disjuncts. Disjuncts that are empty by their inputs alone need none."""
        sizes = [node.size for node in self.claim.graph.nodes]
        try:
            found = tuple(leaves(self.guidance.tree, sizes, self.guidance.leaves.count, MAX_DEPTH))
        except BadTree as problem:
            raise BadGuidance(str(problem)) from None
        return tuple(leaf for leaf in found if not self.is_empty(leaf.disjunct))

    def is_empty(self, disjunct: int) -> bool:
        """The disjunct's box is empty, or one of its constraints on inputs alone holds nowhere in it; exact rationals."""
        return disjunct in self._empty_disjuncts

    @cached_property
    def _empty_disjuncts(self) -> frozenset[int]:
        return frozenset(
            k
            for k, d in enumerate(self.claim.query.disjuncts)
            if self._empty_regions[self.region_of[k]] or any(holds_nowhere(c, d.box) for c in d.constraints)
        )

    @cached_property
    def _empty_regions(self) -> tuple[bool, ...]:
        return tuple(any(a > b for a, b in zip(r.lower, r.upper, strict=True)) for r in self.regions)

    @cached_property
    def regions(self) -> tuple[InputBox, ...]:
        """The distinct input boxes, in order of first use."""
        return self._regions[0]

    @cached_property
    def region_of(self) -> tuple[int, ...]:
        """For each disjunct, the position of its box among ``regions``."""
        return self._regions[1]

    @cached_property
    def _regions(self) -> tuple[tuple[InputBox, ...], tuple[int, ...]]:
        """Boxes are compared by identity, then (within a bucket of their first ends) by value: hashing a box is slow."""
        distinct: list[InputBox] = []
        by_identity: dict[int, int] = {}
        buckets: dict[tuple[Fraction, ...], list[int]] = {}
        result = []
        for d in self.claim.query.disjuncts:
            box = d.box
            if id(box) not in by_identity:
                bucket = buckets.setdefault(box.lower[:4] + box.upper[:4], [])
                found = next((k for k in bucket if distinct[k] == box), None)
                if found is None:
                    found = len(distinct)
                    distinct.append(box)
                    bucket.append(found)
                by_identity[id(box)] = found
            result.append(by_identity[id(box)])
        return tuple(distinct), tuple(result)

    @cached_property
    def integer(self) -> IntegerEngine:
        return IntegerEngine()

    @cached_property
    def close(self) -> IntegerEngine:
        """For bounds that are attained."""
        return IntegerEngine(close=True)

    @cached_property
    def ball64(self) -> Ball64:
        return Ball64()

    @cached_property
    def deciding_engine(self) -> AnyEngine:
        return self.ball64 if self.settings.arith == "ball64" else self.integer

    @cached_property
    def bounding_engine(self) -> AnyEngine:
        """The engine of intermediate bounds."""
        if self.settings.arith == "auto":
            return self.integer if self.bounding_cost <= self.settings.budget else self.ball64
        return self.deciding_engine

    @cached_property
    def bounding_cost(self) -> float:
        """An estimate of the multiply-adds of all intermediate bounds."""
        return self.closing_cost * (len(self.leaves) if self.guidance.per_leaf_bounds else len(self.regions))

    @cached_property
    def closing_cost(self) -> float:
        """The same of one leaf."""
        per_row = 0.0
        total = 0.0
        for i, node in enumerate(self.claim.graph.nodes):
            affine = self.network.affine[i]
            if affine is not None:
                per_row += sum(m.n_out * m.fan_in for m in affine.maps if m.fan_in > 1 or m.fan_out > 1)
            if i in self.network.targets:
                total += 2 * node.size * per_row
        return total

    @cached_property
    def weighted_rows(self) -> dict[object, _WeightedRow]:
        """A cache: many leaves weigh the same constraints."""
        return {}

    @cached_property
    def _input_boxes(self) -> dict[int, dict[int, Box]]:
        return {}

    def input_boxes(self, region: int) -> dict[int, Box]:
        """The region's box per input node, rounded outward to doubles."""
        if region not in self._input_boxes:
            self._input_boxes[region] = self._enclosed_inputs(region)
        return self._input_boxes[region]

    def _enclosed_inputs(self, region: int) -> dict[int, Box]:
        box = self.regions[region]
        lower = np.array([floor_float(q) for q in box.lower])
        upper = np.array([-floor_float(-q) for q in box.upper])
        return {node: Box(lower[None, s], upper[None, s]) for node, s in self.network.input_slices.items()}

    def expected_unstable(self, target: int) -> NDArray[np.bool_] | None:
        """Which values guidance expects to be undecided (those it gives slopes for); None if it does not say."""
        mask = np.zeros(self.claim.graph.nodes[target].size, bool)
        for consumer in self.network.consumers[target]:
            given = self.guidance.leaf_slopes.get(consumer)
            if given is None:
                return None
            mask[given.columns] = True
        return mask


def holds_nowhere(c: LinearConstraint, box: InputBox) -> bool:
    """The constraint is on inputs alone, and fails at every point of the box (which is not empty).

    Its left side is least at the corner that takes the lower end where a coefficient is positive, else the upper one.
    """
    if c.outputs:
        return False
    least = sum((q * (box.lower[i] if q > 0 else box.upper[i]) for i, q in c.inputs), Fraction(0))
    return least > c.bound or (c.strict and least == c.bound)


def root_bounds(plan: Plan, region: int, apply: Apply = map) -> Bounds:
    """Bounds of every node over one region, shared by its leaves. ``apply`` is ``map`` or a pool's. Raises OutOfRange."""
    with working_precision(plan.settings.precision):
        return root_task(plan, plan.bounding_engine, apply).bounds(plan.input_boxes(region))


def root_task(plan: Plan, engine: AnyEngine, apply: Apply = map) -> Enclosure:
    """The enclosure of all nodes over a region, in an engine's arithmetic."""
    slopes = Slopes(plan.guidance, lambda _: None)
    return Enclosure(plan.network, engine, slopes, plan.settings.deployed, plan.expected_unstable, apply)


def check_leaves(plan: Plan, bounds: Bounds | None, ranks: Sequence[int]) -> list[LeafOutcome]:
    """Decide leaves of one region. ``bounds`` are the region's, or None with per-leaf bounds."""
    with working_precision(plan.settings.precision):
        return LeafChunk(plan, tuple(ranks)).decide(bounds)


@dataclass(frozen=True, eq=False)
class LeafChunk:
    """Leaves of one region, decided together: leaf k of the chunk is domain k.

    A leaf's outcome does not depend on the leaves beside it: the passes choose, charge and refine in each domain by
    itself, and a chunk that goes out of range is decided again in halves. In integers it is the same to the bit; in
    float64 sums of products may be rounded in another order.
    """

    plan: Plan
    ranks: tuple[int, ...]

    @cached_property
    def leaves(self) -> tuple[Leaf, ...]:
        return tuple(self.plan.leaves[r] for r in self.ranks)

    @cached_property
    def numbers(self) -> Ints:
        return np.array([leaf.guidance for leaf in self.leaves], dtype=np.int64)

    @property
    def region(self) -> int:
        first, *others = {self.plan.region_of[leaf.disjunct] for leaf in self.leaves}
        if others:
            raise ValueError("leaves of different regions in one chunk")
        return first

    def decide(self, bounds: Bounds | None) -> list[LeafOutcome]:
        """The outcome of every leaf."""
        if bounds is None and len(self.ranks) > 1 and self.plan.guidance.intermediate:
            return self._apart(bounds, 1)  # rows with slopes of their own: one domain a pass
        try:
            known, empty = self.domain(bounds)
            form = new_form(self.plan.deciding_engine, len(self.ranks), 1)
            rows = self.run(form, known)
            lows = _lower_balls(form, known.boxes)
        except OutOfRange:
            if len(self.ranks) > 1:
                return self._apart(bounds, (len(self.ranks) + 1) // 2)
            return [LeafOutcome(rank, False, -inf) for rank in self.ranks]
        outcomes = []
        for k, rank in enumerate(self.ranks):
            certified, margin = (True, inf) if empty[k] else _decided(lows[k], rows[k])
            outcomes.append(LeafOutcome(rank, certified, margin, bool(empty[k])))
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
            form = IntegerForm(engine, len(self.ranks), 1)
            rows = self.run(form, known)
            lows = [form.lower_exact(k, self._exact_ends(form, known, k)) for k in range(len(self.ranks))]
        except OutOfRange:
            return [LeafOutcome(rank, False, -inf) for rank in self.ranks]
        outcomes = []
        for k, rank in enumerate(self.ranks):
            certified, margin = (True, inf) if empty[k] else _judged(ball(lows[k] - rows[k].bound), rows[k])
            outcomes.append(LeafOutcome(rank, certified, margin, bool(empty[k])))
        return outcomes

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

    def domain(
        self, bounds: Bounds | None, engine: AnyEngine | None = None
    ) -> tuple[Bounds, NDArray[np.bool_]]:
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

    def task(self, engine: AnyEngine) -> Enclosure:
        """The enclosure of all nodes on the leaves' own input boxes, with their own slopes."""
        slopes = Slopes(self.plan.guidance, self._slopes_at({}))
        return Enclosure(self.plan.network, engine, slopes, self.plan.settings.deployed)

    def run(
        self, form: Ball64Form | IntegerForm, known: Bounds, after: Callable[[int], None] | None = None
    ) -> list[_WeightedRow]:
        """The deciding pass: carries the leaves' weighted constraints in ``form`` to the inputs; returns these."""
        plan = self.plan
        rows = self._seed(form, known)
        slopes = Slopes(plan.guidance, self._slopes_at(known.boxes))

        def drawn(activation: int) -> Lines:
            node = plan.claim.graph.nodes[activation]
            if not isinstance(node.op, Elementwise):
                raise ValueError("lines of something that is not an activation")
            box = known.boxes[node.inputs[0]]
            if activation in plan.guidance.leaf_slopes:
                return node.op.lines(box, slopes.shared(activation))
            return known.lines(activation, node.op, box, slopes.shared(activation))

        run_pass(form, Pass(plan.network, known.boxes, drawn, known.radii, self._multipliers()), after)
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
        found: dict[tuple[int, int], list[tuple[int, int, float]]] = {}
        for k, leaf in enumerate(self.leaves):
            for x in leaf.path:
                found.setdefault((x.node, x.side), []).append((k, x.index, x.point))
        return {key: _literal_columns(rows) for key, rows in found.items()}

    def _own_rows(self, box: Box) -> tuple[Floats, Floats]:
        shape = (len(self.ranks), box.lower.shape[1])
        return np.array(np.broadcast_to(box.lower, shape)), np.array(np.broadcast_to(box.upper, shape))

    def _slopes_at(self, boxes: dict[int, Box]) -> Callable[[int], SlopeGuess | None]:
        """Slopes of each leaf at an activation (D, n), or None where the leaf has none."""

        def at(activation: int) -> SlopeGuess | None:
            given = self.plan.guidance.leaf_slopes.get(activation)
            if given is None:
                return None
            graph = self.plan.claim.graph
            z = graph.nodes[activation].inputs[0]
            full = given.columns.size == graph.nodes[z].size

            def spread(values: NDArray[np.generic] | None) -> Floats | None:
                if values is None:
                    return None
                picked = values[self.numbers].astype(np.float64)
                if full and bool((given.columns == np.arange(given.columns.size)).all()):
                    return picked
                box = boxes.get(z)
                if box is None:
                    rows = np.zeros((len(self.ranks), graph.nodes[z].size))
                else:
                    rows = np.array(
                        np.broadcast_to(
                            (box.upper > -box.lower).astype(np.float64),
                            (len(self.ranks), graph.nodes[z].size),
                        )
                    )
                rows[:, given.columns] = picked
                return rows

            return SlopeGuess(spread(given.lower), spread(given.upper))

        return at

    def _seed(self, form: Ball64Form | IntegerForm, known: Bounds) -> list[_WeightedRow]:
        """Put each leaf's weighted constraints into the form; returns them."""
        plan = self.plan
        rows = [_weighted(plan, leaf) for leaf in self.leaves]
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


def _literal_columns(rows: list[tuple[int, int, float]]) -> tuple[Ints, Ints, Floats]:
    leaf, index, point = zip(*rows, strict=True)
    return np.array(leaf, dtype=np.int64), np.array(index, dtype=np.int64), np.array(point, dtype=np.float64)


def _columns(entries: dict[tuple[int, int], tuple[float, float]]) -> Multipliers:
    keys = np.array(list(entries), dtype=np.int64)
    values = np.array(list(entries.values()), dtype=np.float64)
    return Multipliers(keys[:, 0], keys[:, 1], values[:, 0], values[:, 1])


@dataclass(frozen=True, eq=False)
class _WeightedRow:
    """sum_q weight_q (constraint q): coefficients (mid, rad) on all outputs and inputs, and the bound.

    ``strict``: some weight of this sum, as it is used here, is > 0 on a strict constraint. With all weights >= 0, a point of
    the disjunct then makes the left side < bound, not only <= bound.
    """

    outputs: tuple[Floats, Floats]
    inputs: tuple[Floats, Floats]
    bound: Fraction
    strict: bool


def _weighted(plan: Plan, leaf: Leaf) -> _WeightedRow:
    given = plan.guidance.leaves
    start, stop = int(given.constraint_ptr[leaf.guidance]), int(given.constraint_ptr[leaf.guidance + 1])
    key = (
        leaf.disjunct,
        tuple(given.constraint[start:stop].tolist()),
        tuple(given.weight[start:stop].tolist()),
    )
    if key not in plan.weighted_rows:
        plan.weighted_rows[key] = _combine(plan.claim.query.disjuncts[leaf.disjunct], key[1], key[2], plan)
    return plan.weighted_rows[key]


def _combine(
    disjunct: Disjunct, which: tuple[int, ...], weights: tuple[float, ...], plan: Plan
) -> _WeightedRow:
    outputs: dict[int, Fraction] = {}
    inputs: dict[int, Fraction] = {}
    bound = Fraction(0)
    strict = False
    for q, weight in zip(which, weights, strict=True):
        if not 0 <= q < len(disjunct.constraints):
            raise BadGuidance(f"a leaf weighs constraint {q}, its disjunct has {len(disjunct.constraints)}")
        constraint, w = disjunct.constraints[q], Fraction(weight)
        for target, pairs in ((outputs, constraint.outputs), (inputs, constraint.inputs)):
            for i, c in pairs:
                target[i] = target.get(i, Fraction(0)) + w * c
        bound += w * constraint.bound
        strict = strict or (constraint.strict and w > 0)
    query = plan.claim.query
    return _WeightedRow(_dense(outputs, query.n_outputs), _dense(inputs, query.n_inputs), bound, strict)


def _dense(entries: dict[int, Fraction], n: int) -> tuple[Floats, Floats]:
    """(mid, rad) with |exact - mid| <= rad."""
    mid, rad = np.zeros(n), np.zeros(n)
    for i, q in entries.items():
        if abs(q) > MAX_FLOAT:
            raise OutOfRange("a coefficient above the largest double")
        mid[i] = float(q)
        rad[i] = -floor_float(-abs(q - Fraction(float(q))))
    return mid, rad


def _lower_balls(form: Ball64Form | IntegerForm, boxes: dict[int, Box]) -> list[Arb]:
    """Each domain's proved lower bound as an exact ball."""
    if isinstance(form, IntegerForm):
        return [exact_ball(v, -GRID) for v in form.lower_on_grid(boxes)]
    return [Arb(float(v)) for v in form.lower(boxes)[:, 0]]


def _decided(low: Arb, row: _WeightedRow) -> tuple[bool, float]:
    """(the leaf holds no point of its disjunct, proved in Arb; a double <= low - bound).

    Let S = sum_q w_q (c_q . (x, y) - bound_q), with the exact weights w_q >= 0 of the row; S >= low - bound on the leaf.
    At a point of the disjunct every term is <= 0, so low - bound > 0 excludes it. Where w_q > 0 for a strict q, that
    term is < 0 and so is S: low - bound >= 0 excludes it too. A weight of 0 on the strict ones does not: then S = 0 is
    allowed at the point. Both comparisons are affirmative ones of a finite ball.
    """
    return _judged(low - ball(row.bound), row)


def _judged(margin: Arb, row: _WeightedRow) -> tuple[bool, float]:
    proved = compare_nonnegative(margin) if row.strict else compare_positive(margin)
    return proved, lower_float(margin)


def conclude_unsat(plan: Plan, outcomes: Iterable[LeafOutcome]) -> tuple[Verdict, LeafOutcome | None]:
    """(verdict, the worst leaf): CERTIFIED only if every leaf of every tree is among ``outcomes`` and certified."""
    worst: LeafOutcome | None = None
    certified: set[int] = set()
    for outcome in outcomes:
        if outcome.certified:
            certified.add(outcome.rank)
        if worst is None or outcome.margin < worst.margin:
            worst = outcome
    if certified == set(range(len(plan.leaves))):
        return Verdict.CERTIFIED, worst
    return Verdict.UNPROVEN, worst


@dataclass(frozen=True)
class SatOutcome:
    """``margin``: a double <= the least slack of the best disjunct's constraints at the witness; None outside.

    ``outputs``: enclosures of the network's exact outputs at the witness, flat.
    """

    verdict: Verdict
    code: str
    message: str
    margin: float | None
    outputs: Sequence[Arb] = ()


def decide_sat(
    claim: SatClaim,
    precision: int = PRECISION,
    *,
    deployed: bool = False,
    evaluator: Evaluator | None = None,
) -> SatOutcome:
    """Evaluate the witness as an exact point: CERTIFIED if some disjunct certainly holds there, REFUTED if all fail.

    ``deployed``: it must hold for every float32 execution at the witness too, else UNPROVEN. Raises NotDeployable.
    ``evaluator``: the claim's graph made ready once, for many witnesses; ValueError when it is another graph's.
    """
    evaluator = evaluator or Evaluator(claim.graph)
    if evaluator.graph is not claim.graph:
        raise ValueError("decide_sat: the evaluator is of another graph")
    with working_precision(precision):
        nodes = claim.graph.inputs
        slices = Network(claim.graph).input_slices
        point = [claim.witness[slices[node]] for node in nodes]
        boxes = {id(d.box): d for d in claim.query.disjuncts}  # disjuncts often share one box object
        within = {key: _within(d, claim.witness) for key, d in boxes.items()}
        values: Sequence[Arb] = ()
        try:
            values = evaluator.evaluate(point).outputs
        except Undecided as problem:
            if any(within.values()):
                return SatOutcome(
                    Verdict.UNPROVEN, "TLC012", f"undecided at {precision} bits: {problem}", None
                )
        rulings = [
            _rule(d, claim.witness, values) if within[id(d.box)] else (False, None)
            for d in claim.query.disjuncts
        ]
    margin = max((slack for _, slack in rulings if slack is not None), default=None)
    if any(holds is True for holds, _ in rulings):
        if deployed and not _holds_deployed(claim, precision):
            return SatOutcome(
                Verdict.UNPROVEN,
                "TLC016",
                "the witness holds exactly; for every float32 execution it is not proved",
                margin,
                values,
            )
        return SatOutcome(Verdict.CERTIFIED, "TLC002", "the witness holds, evaluated exactly", margin, values)
    if all(holds is False for holds, _ in rulings):
        where = "outside every input region" if margin is None else "a constraint fails, evaluated exactly"
        return SatOutcome(Verdict.REFUTED, "TLC011", f"the witness does not hold: {where}", margin, values)
    return SatOutcome(Verdict.UNPROVEN, "TLC012", f"undecided at {precision} bits", margin, values)


def _holds_deployed(claim: SatClaim, precision: int) -> bool:
    """Some disjunct holds at the witness for every value of the outputs that a float32 execution may give."""
    network = Network(claim.graph)
    if network.without_relaxation is not None:
        raise NotDeployable(type(claim.graph.nodes[network.without_relaxation].op).__name__)
    lower = np.array([floor_float(q) for q in claim.witness])
    upper = np.array([-floor_float(-q) for q in claim.witness])
    inputs = {node: Box(lower[None, s], upper[None, s]) for node, s in network.input_slices.items()}
    try:
        with working_precision(precision):
            task = Enclosure(network, IntegerEngine(), Slopes(NO_GUIDANCE, lambda _: None), deployed=True)
            boxes = task.bounds(inputs).boxes
    except OutOfRange:
        return False
    low = [Fraction(x) for node, _ in network.output_slices for x in boxes[node].lower[0].tolist()]
    high = [Fraction(x) for node, _ in network.output_slices for x in boxes[node].upper[0].tolist()]
    return any(_holds_on(d, claim.witness, low, high) for d in claim.query.disjuncts)


def _holds_on(
    disjunct: Disjunct, witness: tuple[Fraction, ...], low: list[Fraction], high: list[Fraction]
) -> bool:
    """Every constraint holds for all outputs between ``low`` and ``high``."""
    if not _within(disjunct, witness):
        return False
    for c in disjunct.constraints:
        left = sum((q * witness[i] for i, q in c.inputs), Fraction(0))
        left += sum((q * (high[i] if q > 0 else low[i]) for i, q in c.outputs), Fraction(0))
        if not (left < c.bound or (left == c.bound and not c.strict)):
            return False
    return True


def _within(disjunct: Disjunct, witness: tuple[Fraction, ...]) -> bool:
    """The witness lies in the disjunct's box."""
    box = disjunct.box
    return all(a <= x <= b for a, x, b in zip(box.lower, witness, box.upper, strict=True))


def _rule(
    disjunct: Disjunct, witness: tuple[Fraction, ...], values: Sequence[Arb]
) -> tuple[bool | None, float | None]:
    """(certainly holds / certainly fails / undecided, slack) of one disjunct in whose box the witness lies."""
    holds: bool | None = True
    slack = inf
    for c in disjunct.constraints:
        left = ball(sum((q * witness[i] for i, q in c.inputs), Fraction(0)) - c.bound)
        for i, q in c.outputs:
            left = left + ball(q) * values[i]
        slack = min(slack, lower_float(-left))
        if left.is_finite() and (left < 0 or (left <= 0 and not c.strict)):
            continue
        if left.is_finite() and (left > 0 or (left >= 0 and c.strict)):
            return False, lower_float(-left)
        holds = None
    return holds, slack


# Networks and guidance that fit.


def _check_relaxations(network: Network) -> None:
    i = network.without_relaxation
    if i is not None:
        node = network.graph.nodes[i]
        raise NoRelaxation(f"no relaxation for operator {type(node.op).__name__} at node '{node.label or i}'")


def _check_guidance(claim: UnsatClaim, guidance: Guidance) -> None:
    given = guidance.leaves
    if guidance.tree.roots.ndim != 1 or guidance.tree.roots.size != len(claim.query.disjuncts):
        raise BadGuidance(f"{guidance.tree.roots.size} trees for {len(claim.query.disjuncts)} disjuncts")
    _check_rows("constraint", given.constraint_ptr, (given.constraint, given.weight), given.count)
    splits = (given.split_node, given.split_index, given.split_side, given.split_point, given.split_beta)
    _check_rows("split", given.split_ptr, splits, given.count)
    for name, values in (("weight", given.weight), ("split_beta", given.split_beta)):
        if not bool((np.isfinite(values) & (values >= 0)).all()):
            raise BadGuidance(f"leaves: {name} must be finite and nonnegative")
    nodes = claim.graph.nodes
    for activation, slopes in guidance.leaf_slopes.items():
        n = _activation_size(claim, activation)
        _check_columns(activation, slopes.columns, n)
        for per_leaf in (slopes.lower, slopes.upper):
            if per_leaf is not None and per_leaf.shape != (given.count, slopes.columns.size):
                raise BadGuidance(f"slopes of node {activation}: shape {per_leaf.shape}")
    for activation, shared in guidance.shared_slopes.items():
        n = _activation_size(claim, activation)
        for line in (shared.lower, shared.upper):
            if line is not None and line.shape != (n,):
                raise BadGuidance(f"slopes of node {activation}: shape {line.shape}, expected {(n,)}")
    for (target, activation), inner in guidance.intermediate.items():
        n = _activation_size(claim, activation)
        _check_columns(activation, inner.columns, n)
        if not 0 <= target < len(nodes) or inner.row.shape != (nodes[target].size,):
            raise BadGuidance(f"intermediate slopes for node {target}: rows do not fit")
        rows = inner.lower_pass.shape[0]
        if (
            inner.lower_pass.shape != (rows, inner.columns.size)
            or inner.upper_pass.shape != inner.lower_pass.shape
        ):
            raise BadGuidance(f"intermediate slopes for node {target}: shape {inner.lower_pass.shape}")
        if inner.row.size and not bool(((inner.row >= 0) & (inner.row < rows)).all()):
            raise BadGuidance(f"intermediate slopes for node {target}: row out of range")


def _check_rows(name: str, ptr: Ints, columns: Iterable[NDArray[np.generic]], count: int) -> None:
    if (
        ptr.ndim != 1
        or count < 0
        or ptr.shape != (count + 1,)
        or int(ptr[0]) != 0
        or bool((ptr[1:] < ptr[:-1]).any())
    ):
        raise BadGuidance(f"leaves: {name}_ptr must rise from 0, one more than there are leaves")
    if any(c.shape != (int(ptr[-1]),) for c in columns):
        raise BadGuidance(f"leaves: {name} columns do not have the length {name}_ptr says")


def _activation_size(claim: UnsatClaim, activation: int) -> int:
    nodes = claim.graph.nodes
    if not 0 <= activation < len(nodes) or not isinstance(nodes[activation].op, Elementwise):
        raise BadGuidance(f"slopes for node {activation}, which is not an activation")
    return nodes[activation].size


def _check_columns(activation: int, columns: Ints, n: int) -> None:
    if columns.ndim != 1 or (columns.size and not bool(((columns >= 0) & (columns < n)).all())):
        raise BadGuidance(f"slopes of node {activation}: a column is not one of its {n} values")


# Claims that are conjunctions of conditions.

MAX_FAILURES = 20
"""Most conditions that are named one by one."""


@dataclass(frozen=True)
class Tally:
    """One condition's checks: how many, how many proved and disproved, and the least slack."""

    total: int = 0
    proved: int = 0
    disproved: int = 0
    least: Check | None = None


@dataclass(frozen=True)
class ConditionsOutcome:
    """``failures``: the first conditions that are disproved, or else not decided. ``least``: a double below every slack;
    ``most``: where REFUTED, one above the least of them."""

    verdict: Verdict
    code: str
    message: str
    where: str
    tallies: dict[str, Tally]
    failures: tuple[Check, ...]
    least: Check | None
    measures: dict[str, object]
    most: float | None = None


def check_part(part: ConditionClaim, precision: int, tick: Callable[[], None]) -> list[Item]:
    """Every condition of one part of a claim."""
    with working_precision(precision):
        return list(part.checks(precision, tick))


CheckParts = Callable[[Sequence[ConditionClaim], int], Iterable[list[Item]]]
"""(parts, precision) -> what ``check_part`` gives for each of them, in any process."""


def decide_conditions(
    claim: ConditionClaim,
    precision: int = PRECISION,
    tick: Callable[[], None] = lambda: None,
    check_parts: CheckParts | None = None,
) -> ConditionsOutcome:
    """CERTIFIED if every condition of every part holds, and there is one; REFUTED if one certainly does not; else UNPROVEN.

    ``check_parts``: how the parts are distributed; by default the claim is checked here, as a whole.
    """
    tallies: dict[str, Tally] = {}
    disproved: list[Check] = []
    open_: list[Check] = []
    measures: dict[str, object] = {}
    most: float | None = None
    with working_precision(precision):
        for item in _items(claim, precision, tick, check_parts):
            tick()
            if isinstance(item, Measure):
                measures[item.name] = item.value
                continue
            tallies[item.name] = _counted(tallies.get(item.name, Tally()), item)
            if item.holds is False and item.high is not None:
                most = item.high if most is None else min(most, item.high)
            if item.holds is not True:
                (open_ if item.holds is None else disproved).append(item)
                del disproved[MAX_FAILURES:], open_[MAX_FAILURES:]
    total = sum(t.total for t in tallies.values())
    proved = sum(t.proved for t in tallies.values())
    least = min(
        (t.least for t in tallies.values() if t.least is not None), key=lambda c: _low(c), default=None
    )
    if total and proved == total and not disproved and not open_:
        one = "the only condition" if total == 1 else f"all {total} conditions"
        return ConditionsOutcome(
            Verdict.CERTIFIED, "TLC020", f"{one} proved", "", tallies, (), least, measures
        )
    if disproved:
        first = disproved[0]
        count = sum(t.disproved for t in tallies.values())
        message = f"{first.name} is false{_slack_text(first)}{_others(count, total, 'false', first)}"
        return ConditionsOutcome(
            Verdict.REFUTED, "TLC021", message, first.where, tallies, tuple(disproved), least, measures, most
        )
    if not open_:
        return ConditionsOutcome(Verdict.UNPROVEN, "TLC022", "no condition", "", tallies, (), least, measures)
    first = open_[0]
    others = _others(total - proved, total, "not established", first)
    message = f"{first.name} is not established{_slack_text(first)}{others}"
    return ConditionsOutcome(
        Verdict.UNPROVEN, "TLC022", message, first.where, tallies, tuple(open_), least, measures
    )


def _others(count: int, total: int, what: str, first: Check) -> str:
    """Ends in a way that the place of the first one may follow."""
    return (
        "" if count == 1 else f"; {count} of {total} conditions are {what}{', the first' * bool(first.where)}"
    )


def _items(
    claim: ConditionClaim, precision: int, tick: Callable[[], None], check_parts: CheckParts | None
) -> Iterator[Check | Measure]:
    """The conditions of all parts, then those on their shares. Raises ValueError unless ``check_parts`` answered for each."""
    parts: Sequence[ConditionClaim] = (claim,) if check_parts is None else claim.parts()
    answers: Iterable[Iterable[Item]] = (
        (claim.checks(precision, tick),) if check_parts is None else check_parts(parts, precision)
    )
    shares: list[Share] = []
    answered = 0
    for items in answers:
        answered += 1
        for item in items:
            if isinstance(item, Share):
                shares.append(item)
            else:
                yield item
    if answered != len(parts):
        raise ValueError(f"{answered} of {len(parts)} parts were checked")
    yield from claim.conclude(shares)


def _counted(tally: Tally, check: Check) -> Tally:
    least = tally.least
    if check.low is not None and (least is None or check.low < _low(least)):
        least = check
    return Tally(
        tally.total + 1, tally.proved + (check.holds is True), tally.disproved + (check.holds is False), least
    )


def _low(check: Check) -> float:
    return inf if check.low is None else check.low


def _slack_text(check: Check) -> str:
    if check.low is None or check.high is None:
        return ""
    if check.holds is False:
        return f" by {decimal_outward(-check.high, 'down', 3)}"
    return f" (slack {decimal_outward(check.low, 'down', 3)} to {decimal_outward(check.high, 'up', 3)})"
