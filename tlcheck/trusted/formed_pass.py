"""The leaf pass with bounds of each leaf's own that begin with affine forms (``affine_forms.py``), in float64.

Another proof of the same sentence, and mostly a quicker one. With slopes that are given, a tighter bound may give a looser
margin: what is left open is decided as ``leaf_pass.py`` does alone.
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
        if not formed:
            return LeafChunk(plan, tuple(ranks)).decide(bounds)
        outcomes = FormedChunk(plan, tuple(ranks)).decide(None)
        left = [k for k, o in enumerate(outcomes) if not o.certified]
        again = LeafChunk(plan, tuple(ranks[k] for k in left)).decide(None) if left else []
    for k, outcome in zip(left, again, strict=True):
        outcomes[k] = outcome
    return outcomes


class FormedChunk(LeafChunk):
    """Leaves whose boxes are met with those of forms."""

    def task(self, engine: Engine) -> Enclosure:
        task = super().task(engine)
        if engine.name != "ball64":
            return task
        return replace(task, met=Forms(self.plan.network, engine, len(self.ranks)).met)
