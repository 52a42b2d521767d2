"""Claims about a network's outputs that may be made about its float32 executions, too.

Theorem: with bounds of what deployed executions give (``bounds.Enclosure`` with a profile), each condition that is proved
holds for every execution that the profile allows. The exact function is one of them, all of whose errors are zero: what
disproves a condition of it disproves the claim.

Assumed of an execution: it computes the graph's nodes. So the graph's numbers must be float32 numbers, or count as roundings what
makes them so; and inputs are float32 numbers of the region.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Self

import numpy as np

from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.profile import NotDeployable, Profile
from tlcheck.trusted.conditions import ConditionClaim
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.network import Network


class OfOutputs(ConditionClaim):
    """``deployed``: of these executions; None: of the exact function."""

    graph: Graph
    deployed: Profile | None

    def for_executions(self, profile: Profile) -> Self:
        """Raises NotDeployable."""
        opaque = Network(self.graph).without_relaxation
        if opaque is not None:
            raise NotDeployable(type(self.graph.nodes[opaque].op).__name__)
        for name in _not_float32(self.graph):
            raise NotDeployable(f"numbers of the network's {name} that are no float32 numbers")
        return replace(self, deployed=profile)  # type: ignore[type-var]

    @property
    def also(self) -> str:
        """What is added to the statement."""
        if self.deployed is None:
            return ""
        return f"; so it is for every float32 execution that the runtime profile {self.deployed.name} allows"


def _not_float32(graph: Graph) -> Iterator[str]:
    """Operations with a number that float32 has not, and that count no rounding for it."""
    for node in graph.nodes:
        constants = (value for value in vars(node.op).values() if isinstance(value, Constant))
        if not getattr(node.op, "roundings", 0) and not all(map(_is_float32, constants)):
            yield type(node.op).__name__


def _is_float32(c: Constant) -> bool:
    mid = np.asarray(c.mid, np.float64)
    with np.errstate(over="ignore"):
        return c.rad is None and bool((mid.astype(np.float32) == mid).all())
