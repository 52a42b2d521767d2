"""The leaf pass with bounds of each leaf's own that begin with zonotopes (``zonotopes.py``), in float64.

Another proof of the same sentence, and mostly a quicker one: a zonotope decides most signs, and these need no backward row.
With slopes that are given, a tighter bound may give a looser margin: what is left open is decided as ``leaf_pass.py`` does alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.arb import working_precision
from tlcheck.trusted.arith.ball64 import Ball64
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.interface import Engine
from tlcheck.trusted.bounds import Bounds, Enclosure
from tlcheck.trusted.leaf_pass import LeafChunk, LeafOutcome
from tlcheck.trusted.network import Network
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.plan import Plan
from tlcheck.trusted.zonotopes import Carry

MOST_INPUTS, MOST_SYMBOLS = 64, 1024
TOGETHER = 32
"""Domains of one group. All three: cost, not soundness."""


def pay(network: Network) -> bool:
    """Few inputs, and few ReLU values in all."""
    nodes = network.graph.nodes
    values = sum(n.size for n in nodes if isinstance(n.op, Relu))
    return sum(nodes[i].size for i in network.graph.inputs) <= MOST_INPUTS and 0 < values <= MOST_SYMBOLS


def check_formed(plan: Plan, bounds: Bounds | None, ranks: Sequence[int]) -> list[LeafOutcome]:
    """As ``check_leaves``."""
    formed = bounds is None and plan.bounding_engine.name == "ball64" and pay(plan.network)
    with working_precision(plan.settings.precision):
        if not formed:
            return LeafChunk(plan, tuple(ranks)).decide(bounds)
        outcomes = FormedChunk(plan, tuple(ranks)).decide(None)
        left = [k for k, o in enumerate(outcomes) if not o.certified]
        again = LeafChunk(plan, tuple(ranks[k] for k in left)).decide(None) if left else []
    for k, outcome in zip(left, again, strict=True):
        outcomes[k] = outcome
    return outcomes


class FormedChunk(LeafChunk):
    """Leaves whose boxes are met with those of zonotopes."""

    def task(self, engine: Engine) -> Enclosure:
        task = super().task(engine)
        if not isinstance(engine, Ball64):
            return task
        return replace(task, met=Met(Carry(self.plan.network, engine, len(self.ranks), TOGETHER)))


class Met:
    """Boxes met with those of zonotopes, node by node."""

    def __init__(self, carry: Carry) -> None:
        self.carry, self.on = carry, True

    def __call__(self, i: int, boxes: Mapping[int, Box], box: Box, radius: NDArray[np.float64] | None) -> Box:
        """Node i's ``box`` met with that of its values; ``boxes`` are of the nodes before it, ``radius`` its deployed one.

        A domain alone that is out of range has its boxes only; with others it is looked at again alone.
        """
        if not self.on:
            return box
        try:
            own = self.carry.value(i, boxes, box, radius).box
        except OutOfRange:
            if self.carry.domains > 1:
                raise
            self.on = False
            return box
        return Box(own.lower, np.maximum(own.lower, own.upper))
