"""The plan of an unsat claim: its guidance checked for shape, its leaves, and what closes each of them.

For every disjunct with a non-empty box there is a finite split tree (cover.py); every leaf of it is to be closed by one
backward pass (leaf_pass.py) whose lower bound L of  sum_q weight_q (c_q . (x, y) - bound_q),  weight >= 0, is strictly
positive on the leaf's domain. A point of the disjunct in that domain would make the sum <= 0: there is none. Where a strict
constraint (c_q . (x, y) < bound_q) has a weight > 0, such a point would make the sum < 0, and L >= 0 suffices.

``Plan.leaves`` are all leaves: a claim is proved when each of them is (``decide.conclude_unsat``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, partial
from math import inf, nextafter

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.arb import PRECISION, floor_float, working_precision
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.engines import engine
from tlcheck.trusted.arith.integer import IntegerEngine
from tlcheck.trusted.arith.interface import Engine
from tlcheck.trusted.arith.profile import Profile
from tlcheck.trusted.bounds import Apply, Bounds, Enclosure, Slopes
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.cover import BadTree, Leaf, leaves
from tlcheck.trusted.guidance import Guidance, RegionGuidance
from tlcheck.trusted.network import Network
from tlcheck.trusted.ops.elementwise import Elementwise
from tlcheck.trusted.query import InputBox, LinearConstraint, Query

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MAX_DEPTH = 100_000
MAX_FLOAT = Fraction(nextafter(inf, 0))


class BadGuidance(ValueError):
    """Guidance that does not fit the claim: wrong sizes, negative multipliers, not finite. Says what and where."""


class NoRelaxation(ValueError):
    """A pass cannot go through an operation that the outputs depend on. Says which, and at which node."""


@dataclass(frozen=True)
class Settings:
    """``arith``: arb, ball64, directed or auto; ``directed``: then the engine, over the kernels at hand. ``deployed``: for every
    float32 execution that the profile allows; None: the exact function. ``budget``: multiply-adds of intermediate bounds that
    auto does in integers."""

    arith: str = "auto"
    precision: int = PRECISION
    deployed: Profile | None = None
    budget: float = 2e6
    directed: Engine | None = None


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

    @cached_property
    def first_of(self) -> dict[int, int]:
        """A leaf's rank -> that of an earlier one that is the same but for its disjunct: of leaves that weigh no constraint,
        those of one region, path and guidance. Region and path make the domain, and the row is zero: one outcome for all."""
        starts, firsts = self.guidance.leaves.constraint_ptr, dict[object, int]()
        found = {}
        for rank, leaf in enumerate(self.leaves):
            if starts[leaf.guidance] == starts[leaf.guidance + 1]:
                key = self.region_of[leaf.disjunct], leaf.guidance, leaf.path
                if (first := firsts.setdefault(key, rank)) != rank:
                    found[rank] = first
        return found

    @cached_property
    def repeats(self) -> dict[int, list[int]]:
        """A leaf's rank -> those of the later ones that are the same but for their disjunct."""
        found: dict[int, list[int]] = {}
        for rank, first in self.first_of.items():
            found.setdefault(first, []).append(rank)
        return found

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
        """The distinct pairs of an input box and what guidance gives for it, in order of first use: here the boxes."""
        return self._regions[0]

    @cached_property
    def region_of(self) -> tuple[int, ...]:
        """For each disjunct, the position of its region among ``regions``."""
        return self._regions[1]

    @cached_property
    def given(self) -> tuple[RegionGuidance, ...]:
        """For each region, what guidance gives for it."""
        of = {region: self.guidance.given(disjunct) for disjunct, region in enumerate(self.region_of)}
        return tuple(of[region] for region in range(len(self.regions)))

    @cached_property
    def _regions(self) -> tuple[tuple[InputBox, ...], tuple[int, ...]]:
        """Boxes are compared by identity, then (within a bucket of their first ends) by value: hashing a box is slow."""
        distinct: list[InputBox] = []
        by_identity: dict[tuple[int, int], int] = {}
        buckets: dict[tuple[object, ...], list[int]] = {}
        result = []
        for number, d in enumerate(self.claim.query.disjuncts):
            box, given = d.box, id(self.guidance.given(number))
            if (id(box), given) not in by_identity:
                bucket = buckets.setdefault((given, box.lower[:4], box.upper[:4]), [])
                found = next((k for k in bucket if distinct[k] == box), None)
                if found is None:
                    found = len(distinct)
                    distinct.append(box)
                    bucket.append(found)
                by_identity[id(box), given] = found
            result.append(by_identity[id(box), given])
        return tuple(distinct), tuple(result)

    @cached_property
    def integer(self) -> IntegerEngine:
        return IntegerEngine()

    @cached_property
    def close(self) -> IntegerEngine:
        """For bounds that are attained."""
        return IntegerEngine(close=True)

    @cached_property
    def other(self) -> Engine:
        """The engine that is asked for in place of integers; of auto, float64."""
        return self.settings.directed or engine(self.settings.arith.replace("auto", "ball64"))

    @cached_property
    def deciding_engine(self) -> Engine:
        """Exact integers, unless float64 is asked for: in float64's own where the bounds come of float64 anyway."""
        if self.settings.arith == "auto" and self.bounding_engine.name == "ball64":
            from tlcheck.trusted.arith.limbs import engine_of

            return engine_of(self.network.affine) or self.integer
        return self.integer if self.settings.arith in ("auto", "arb") else self.other

    @cached_property
    def bounding_engine(self) -> Engine:
        """The engine of intermediate bounds."""
        if self.settings.arith == "auto":
            return self.integer if self.bounding_cost <= self.settings.budget else self.other
        return self.deciding_engine

    @cached_property
    def bounding_cost(self) -> float:
        """An estimate of the multiply-adds of all intermediate bounds."""
        own = [given.per_leaf_bounds for given in self.given]
        leaves = sum(own[self.region_of[leaf.disjunct]] for leaf in self.leaves) if any(own) else 0
        return self.closing_cost * (leaves + own.count(False))

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
    def _weighted_rows(self) -> dict[object, WeightedRow]:
        """A cache: many leaves weigh the same constraints."""
        return {}

    def weighted_row(self, leaf: Leaf) -> WeightedRow:
        """What the leaf's pass is to bound from below. Raises BadGuidance."""
        given = self.guidance.leaves
        start, stop = (
            int(given.constraint_ptr[leaf.guidance]),
            int(given.constraint_ptr[leaf.guidance + 1]),
        )
        which = tuple(given.constraint[start:stop].tolist())
        weights = tuple(given.weight[start:stop].tolist())
        key = leaf.disjunct, which, weights
        if key not in self._weighted_rows:
            self._weighted_rows[key] = _combine(self.claim.query, leaf.disjunct, which, weights)
        return self._weighted_rows[key]

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

    def expected_unstable(self, region: int, target: int) -> NDArray[np.bool_] | None:
        """Which values guidance expects to be undecided (those it gives slopes for); None if it does not say."""
        mask = np.zeros(self.claim.graph.nodes[target].size, bool)
        for consumer in self.network.consumers[target]:
            given = self.given[region].leaf_slopes.get(consumer)
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
        return root_task(plan, region, plan.bounding_engine, apply).bounds(plan.input_boxes(region))


def root_task(plan: Plan, region: int, engine: Engine, apply: Apply = map) -> Enclosure:
    """The enclosure of all nodes over a region, in an engine's arithmetic."""
    slopes = Slopes(plan.given[region], lambda _: None)
    expected = partial(plan.expected_unstable, region)
    return Enclosure(plan.network, engine, slopes, plan.settings.deployed, expected, apply)


@dataclass(frozen=True, eq=False)
class WeightedRow:
    """sum_q weight_q (constraint q): coefficients (mid, rad) on all outputs and inputs, and the bound.

    ``strict``: some weight of this sum, as it is used here, is > 0 on a strict constraint. With all weights >= 0, a point of
    the disjunct then makes the left side < bound, not only <= bound.
    """

    outputs: tuple[Floats, Floats]
    inputs: tuple[Floats, Floats]
    bound: Fraction
    strict: bool


def _combine(query: Query, number: int, which: tuple[int, ...], weights: tuple[float, ...]) -> WeightedRow:
    disjunct = query.disjuncts[number]
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
    return WeightedRow(_dense(outputs, query.n_outputs), _dense(inputs, query.n_inputs), bound, strict)


def _dense(entries: dict[int, Fraction], n: int) -> tuple[Floats, Floats]:
    """(mid, rad) with |exact - mid| <= rad."""
    mid, rad = np.zeros(n), np.zeros(n)
    for i, q in entries.items():
        if abs(q) > MAX_FLOAT:
            raise OutOfRange("a coefficient above the largest double")
        mid[i] = float(q)
        rad[i] = -floor_float(-abs(q - Fraction(float(q))))
    return mid, rad


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
    distinct = {id(part): part for part in (guidance, *guidance.own.values())}
    for part in distinct.values():
        _check_region(claim, part, given.count)


def _check_region(claim: UnsatClaim, guidance: RegionGuidance, leaves: int) -> None:
    nodes = claim.graph.nodes
    rows = leaves
    if guidance.rows is not None:
        rows = guidance.rows.size
        if guidance.rows.ndim != 1 or bool((guidance.rows[1:] <= guidance.rows[:-1]).any()):
            raise BadGuidance("slopes of a region: the numbers of its leaves must rise")
    for activation, slopes in guidance.leaf_slopes.items():
        n = _activation_size(claim, activation)
        _check_columns(activation, slopes.columns, n)
        for per_leaf in (slopes.lower, slopes.upper):
            if per_leaf is not None and per_leaf.shape != (rows, slopes.columns.size):
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
        passes = inner.lower_pass.shape[0]
        if (
            inner.lower_pass.shape != (passes, inner.columns.size)
            or inner.upper_pass.shape != inner.lower_pass.shape
        ):
            raise BadGuidance(f"intermediate slopes for node {target}: shape {inner.lower_pass.shape}")
        if inner.row.size and not bool(((inner.row >= 0) & (inner.row < passes)).all()):
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
