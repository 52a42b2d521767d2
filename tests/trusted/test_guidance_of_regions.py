"""Regions with evidence of their own: each is decided as it would be by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from tests.trusted.oracle import REPEATS
from tests.trusted.test_decide_soundness import (
    check_margins,
    decide,
    random_box,
    random_constraint,
    random_graph,
    random_guidance,
    samples,
)
from tlcheck.checking.deadline import Deadline
from tlcheck.checking.schedule import run_leaves
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.guidance import LEAF, Guidance, LeafSlopes, Leaves, RegionGuidance, Tree
from tlcheck.trusted.leaf_pass import LeafOutcome, check_leaves
from tlcheck.trusted.plan import BadGuidance, Plan, Settings, root_bounds
from tlcheck.trusted.query import Disjunct, Query


def joined(parts: Sequence[Guidance]) -> Guidance:
    """The evidence of several claims of one disjunct each as that of one claim of them all, each region with its own."""
    rows, leaves, pointers, splits = 0, 0, 0, 0
    trees: list[list[np.ndarray]] = []
    tables: list[list[np.ndarray]] = []
    own = {}
    for disjunct, g in enumerate(parts):
        t, x = g.tree, g.leaves
        below = np.where(t.kind == LEAF, t.below + leaves, t.below + rows)
        trees.append([t.kind, t.node, t.index, t.point, below, t.above + rows, t.roots + rows])
        tables.append(
            [
                x.constraint_ptr[1:] + pointers, x.constraint, x.weight, x.split_ptr[1:] + splits, x.split_node,
                x.split_index, x.split_side, x.split_point, x.split_beta, x.claimed,
            ]
        )  # fmt: skip
        own[disjunct] = region_of(g, np.arange(leaves, leaves + x.count))
        rows, leaves = rows + t.size, leaves + x.count
        pointers, splits = pointers + x.constraint.size, splits + x.split_node.size
    table = [np.concatenate(c) for c in zip(*tables, strict=True)]
    start = np.zeros(1, np.int64)
    table[0], table[3] = np.concatenate([start, table[0]]), np.concatenate([start, table[3]])
    return Guidance(Tree(*(np.concatenate(c) for c in zip(*trees, strict=True))), Leaves(*table), own=own)


def region_of(g: Guidance, rows: np.ndarray) -> RegionGuidance:
    return RegionGuidance(
        leaf_slopes=g.leaf_slopes, shared_slopes=g.shared_slopes, intermediate=g.intermediate,
        per_leaf_bounds=g.per_leaf_bounds, rows=rows,
    )  # fmt: skip


def without_ranks(outcomes: Sequence[LeafOutcome]) -> list[LeafOutcome]:
    return [replace(o, rank=0) for o in sorted(outcomes, key=lambda o: o.rank)]


def run(claim: UnsatClaim, guidance: Guidance) -> list[LeafOutcome]:
    return run_leaves(Plan(claim, guidance, Settings("arb")), 1, Deadline(None, None), None, None).outcomes


@pytest.mark.parametrize("nasty", ["normal", "integers", "mixed", "large"])
def test_each_region_is_decided_as_by_itself(nasty: str) -> None:
    """Neuron splits with bounds of the root in one, bounds of each leaf's own in another, on boxes that may be the same."""
    compared = 0
    for seed in range(12 * REPEATS):
        rng = np.random.default_rng([13, seed, len(nasty)])
        graph = random_graph(rng, nasty)
        boxes = [random_box(rng, graph.n_inputs) for _ in range(2)]
        boxes.append(boxes[0])
        disjuncts = [Disjunct(box, tuple(random_constraint(rng, graph) for _ in range(2))) for box in boxes]
        points = [samples(graph, box, rng, 3) for box in boxes]
        queries = [Query(graph.n_inputs, graph.n_outputs, (d,)) for d in disjuncts]
        parts = [random_guidance(rng, graph, q, p) for q, p in zip(queries, points, strict=True)]
        together = UnsatClaim(graph, Query(graph.n_inputs, graph.n_outputs, tuple(disjuncts)))
        proof = joined(parts)
        assert Plan(together, proof, Settings("arb")).region_of == (0, 1, 2)
        alone = [
            o
            for q, g in zip(queries, parts, strict=True)
            for o in without_ranks(run(UnsatClaim(graph, q), g))
        ]
        assert without_ranks(run(together, proof)) == alone, f"seed {seed}"
        plan, _, margins = decide(together, proof, Settings("arb"))
        check_margins(plan, margins, [s for p in points for s in p])
        compared += sum(o.margin > -np.inf for o in alone)
    assert compared > 10


def test_disjuncts_of_one_box_and_one_guidance_are_one_region() -> None:
    rng = np.random.default_rng(3)
    graph = random_graph(rng, "normal")
    box = random_box(rng, graph.n_inputs)
    disjuncts = tuple(Disjunct(box, (random_constraint(rng, graph),)) for _ in range(3))
    claim = UnsatClaim(graph, Query(graph.n_inputs, graph.n_outputs, disjuncts))
    guidance = random_guidance(rng, graph, claim.query, samples(graph, box, rng, 3))
    common, other = RegionGuidance(), RegionGuidance(per_leaf_bounds=True)
    plan = Plan(claim, replace(guidance, own={0: common, 2: common, 1: other}), Settings("arb"))
    assert plan.region_of == (0, 1, 0) and plan.given == (common, other)
    assert Plan(claim, replace(guidance, own={1: other}), Settings("arb")).region_of == (0, 1, 0)
    assert Plan(claim, guidance, Settings("arb")).region_of == (0, 0, 0)


def test_rows_that_do_not_fit() -> None:
    """Numbers that do not rise, another number of rows, and a leaf that has none."""
    for seed in range(100):
        rng = np.random.default_rng(seed)
        graph = random_graph(rng, "normal")
        box = random_box(rng, graph.n_inputs)
        query = Query(graph.n_inputs, graph.n_outputs, (Disjunct(box, (random_constraint(rng, graph),)),))
        guidance = random_guidance(rng, graph, query, samples(graph, box, rng, 3))
        if guidance.leaves.count > 1 and any(s.lower is not None for s in guidance.leaf_slopes.values()):
            break
    claim, count = UnsatClaim(graph, query), guidance.leaves.count

    def plan(rows: np.ndarray, keep: np.ndarray) -> Plan:
        slopes = {
            k: LeafSlopes(s.columns, *(None if a is None else a[keep] for a in (s.lower, s.upper)))
            for k, s in guidance.leaf_slopes.items()
        }
        own = replace(region_of(guidance, rows), leaf_slopes=slopes, per_leaf_bounds=False)
        return Plan(claim, replace(guidance, own={0: own}), Settings("arb"))

    every = np.arange(count)
    for rows, keep in ((every[::-1], every), (np.zeros(count, np.int64), every), (every[:-1], every)):
        with pytest.raises(BadGuidance):
            plan(rows, keep)
    for missing in (every[1:], every[:-1], every[:0]):
        without = plan(missing, missing)
        with pytest.raises(BadGuidance):
            check_leaves(without, root_bounds(without, 0), range(len(without.leaves)))
