"""Evidence for a claim, of every sort: as good as it gets, at random, and made to deceive. None may make a false claim CERTIFIED."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tests.attack.lies import random_guidance, systematic
from tests.attack.mutations import guidance_mutants
from tests.truth.queries import Planted
from tests.truth.small_nets import Rng
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.guidance import Guidance, IntermediateSlopes, RegionGuidance, SharedSlopes
from tlcheck.trusted.ops.elementwise import Elementwise

SORTS = ("good", "random", "mutant", "wrong bounds", "regions")


def evidence(sort: str, planted: Planted, claim: UnsatClaim, rng: Rng) -> Guidance:
    if sort == "random":
        return random_guidance(claim, rng, int(rng.integers(4)))
    good = fitting(planted, claim, rng)
    if sort == "good":
        return good
    if sort == "mutant":
        return next(iter(guidance_mutants(good, claim.graph, rng, 1))).guidance
    return wrong_bounds(good, claim, rng) if sort == "wrong bounds" else wrong_regions(good, claim, rng)


def fitting(planted: Planted, claim: UnsatClaim, rng: Rng) -> Guidance:
    """Splits where the network bends; where that is not known, halves of the box."""
    halvings = 0 if planted.cuts else int(rng.integers(3))
    found = systematic(claim, planted.cuts, halvings, per_leaf=True)
    return replace(found, leaves=replace(found.leaves, claimed=np.full(found.leaves.count, 1e9)))


def slopes(claim: UnsatClaim, rng: Rng) -> dict[str, Any]:
    """For every activation in every pass, from -2 to 3, or far beyond."""
    nodes = claim.graph.nodes
    bent = [i for i, node in enumerate(nodes) if isinstance(node.op, Elementwise)]
    scale = float(rng.choice([1, 1, 1e3, 1e30]))
    drawn = lambda *shape: scale * rng.uniform(-2, 3, shape)  # noqa: E731
    wrong = {
        (nodes[t].inputs[0], a): IntermediateSlopes(
            np.arange(nodes[a].size), rng.integers(0, 2, nodes[nodes[t].inputs[0]].size),
            drawn(2, nodes[a].size), drawn(2, nodes[a].size),
        )
        for t in bent for a in bent if a < nodes[t].inputs[0]
    }  # fmt: skip
    shared = {a: SharedSlopes(drawn(nodes[a].size), drawn(nodes[a].size)) for a in bent if rng.random() < 0.5}
    return {"intermediate": wrong, "shared_slopes": shared}


def wrong_bounds(good: Guidance, claim: UnsatClaim, rng: Rng) -> Guidance:
    return replace(good, per_leaf_bounds=bool(rng.integers(2)), **slopes(claim, rng))


def wrong_regions(good: Guidance, claim: UnsatClaim, rng: Rng) -> Guidance:
    """Other evidence for each disjunct's region, where it may have its own."""
    count = len(claim.query.disjuncts)
    own = {
        d: RegionGuidance(per_leaf_bounds=bool(rng.integers(2)), **slopes(claim, rng))
        for d in range(count)
        if rng.random() < 0.7
    }
    return replace(good, own=own)
