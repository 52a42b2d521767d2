"""The leaf pass with bounds of each leaf's own that begin with affine forms (``affine_forms.py``), in float64.

Another proof of the same sentence, and mostly a quicker one; what it leaves open is decided as ``leaf_pass.py`` does alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tlcheck.trusted.affine_forms import Forms, pay
from tlcheck.trusted.arith.arb import working_precision
from tlcheck.trusted.arith.interface import Engine
from tlcheck.trusted.bounds import Bounds, Enclosure
from tlcheck.trusted.leaf_pass import LeafChunk, LeafOutcome
from tlcheck.trusted.plan import Plan


def check_formed(plan: Plan, bounds: Bounds | None, ranks: Sequence[int]) -> list[LeafOutcome]:
    """As ``check_leaves``."""
    formed = bounds is None and plan.bounding_engine.name == "ball64" and pay(plan.network)
    with working_precision(plan.settings.precision):
        return (FormedChunk if formed else LeafChunk)(plan, tuple(ranks)).decide(bounds)


class FormedChunk(LeafChunk):
    """Leaves whose boxes are met with those of forms."""

    def task(self, engine: Engine) -> Enclosure:
        task = super().task(engine)
        if engine.name != "ball64":
            return task
        return replace(task, met=Forms(self.plan.network, engine, len(self.ranks)).met)

    def decide(self, bounds: Bounds | None) -> list[LeafOutcome]:
        """With slopes that are given, a tighter bound may give a looser margin: what is left open is decided without forms."""
        outcomes = super().decide(bounds)
        left = [k for k, o in enumerate(outcomes) if not o.certified]
        if left:
            plain = LeafChunk(self.plan, tuple(self.ranks[k] for k in left)).decide(bounds)
            for k, again in zip(left, plain, strict=True):
                outcomes[k] = again
        return outcomes
