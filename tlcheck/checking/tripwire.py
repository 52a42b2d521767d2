"""A tripwire under ball64: a random sample of its rows is done again in exact integers.

Bounds of both engines are proved from the same relaxations, so they agree to many digits. Where the float64 bound is
above the integer one by more than ALARM, the BLAS at hand is not the one the error bounds are proved for: an internal
error, never a verdict. No verdict depends on ALARM.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tlcheck.checking.crosscheck.disagreement import EnginesDisagree
from tlcheck.keys import graph_key, key
from tlcheck.trusted.arith.arb import working_precision
from tlcheck.trusted.arith.box import OutOfRange
from tlcheck.trusted.bounds import Bounds, Enclosure
from tlcheck.trusted.leaf_pass import LeafChunk
from tlcheck.trusted.plan import Plan, root_task

ALARM = 2.0**-20
"""Relative to the bound: float64 rounding over these passes stays below 1e-9 of it."""
GRID = 2.0**-40
"""Relative to the largest end of a box: integers of one layer have one exponent, and their bounds of small values are loose."""
SAMPLE = 4
LAYERS = 3
"""Layers of one sample, chosen at random."""
WORK = 2e7
"""Multiply-adds of one sample: larger networks get fewer rows per layer, at least one."""


def recheck(plan: Plan, bounds: Mapping[int, Bounds]) -> int:
    """How many rows were done again; the sample follows from the claim. Raises EnginesDisagree."""
    if plan.bounding_engine.name != "ball64" or not plan.leaves:
        return 0
    seed = key("sample", graph_key(plan.claim.graph), len(plan.leaves))
    random = np.random.default_rng(int(seed[:16], 16))
    with working_precision(plan.settings.precision):
        try:
            region = next(iter(bounds), None)
            if region is not None:
                quick, exact = (root_task(plan, region, e) for e in (plan.other, plan.integer))
                return _compare(plan, region, quick, exact, bounds[region], random)
            chunk = LeafChunk(plan, (int(random.integers(len(plan.leaves))),))
            if not chunk.given.per_leaf_bounds:
                return 0
            known, _ = chunk.domain(None)
            quick, exact = chunk.task(plan.other), chunk.task(plan.integer)
            return _compare(plan, chunk.region, quick, exact, known, random)
        except OutOfRange:
            return 0


def _compare(
    plan: Plan, region: int, quick: Enclosure, exact: Enclosure, known: Bounds, random: np.random.Generator
) -> int:
    nodes = plan.claim.graph.nodes
    count = 0
    layers = (
        1 if plan.given[region].per_leaf_bounds else LAYERS
    )  # a leaf's layers are small, and each costs a pass
    targets = random.permutation(plan.network.targets)[:layers].tolist()
    for target in targets:
        expected = plan.expected_unstable(region, target)
        candidates = np.arange(nodes[target].size) if expected is None else np.flatnonzero(expected)
        size = min(candidates.size, max(1, min(SAMPLE, int(WORK / (1 + plan.bounding_cost)))))
        if not size:
            continue
        neurons = np.sort(random.choice(candidates, size, replace=False)).astype(np.int64)
        sign = 1 if random.integers(2) else -1
        a, b = quick.row_bounds(target, neurons, sign, known), exact.row_bounds(target, neurons, sign, known)
        room = ALARM * np.maximum(1.0, np.abs(b)) + GRID * _largest(known, target)
        wrong = np.flatnonzero(a - b > room)
        if wrong.size:
            k = int(wrong[0])
            raise EnginesDisagree(
                f"TLC902: value {neurons[k]} of {nodes[target].label or target}: float64 bound {a[k]!r}, integers {b[k]!r}"
            )
        count += int(neurons.size)
    return count


def _largest(known: Bounds, target: int) -> float:
    """The largest end of the boxes up to the target."""
    boxes = (box for i, box in known.boxes.items() if i <= target)
    return max(
        (float(np.abs(end).max(initial=0.0)) for b in boxes for end in (b.lower, b.upper)), default=0.0
    )
