"""``--cross-check``: the same enclosures from mpmath, an independent interval arithmetic, on networks small enough.

A disagreement is an internal error (exit 70), never a verdict.
"""

from __future__ import annotations

from tlcheck.trusted.arith.box import OutOfRange
from tlcheck.trusted.crosscheck import TooLarge, cross_check_relaxation, disagreements
from tlcheck.trusted.decide import Plan, root_bounds
from tlcheck.trusted.lines import lines
from tlcheck.trusted.ops.activation import Elementwise


class EnginesDisagree(RuntimeError):
    """Two engines gave enclosures that cannot both be right."""


def cross_check(plan: Plan) -> str:
    """What was compared, in words. Raises EnginesDisagree."""
    checked = 0
    for region, box in enumerate(plan.regions[:4]):
        if any(a > b for a, b in zip(box.lower, box.upper, strict=True)):
            continue
        try:
            bounds = root_bounds(plan, region)
            sides = list(zip(box.lower, box.upper, strict=True))
            inputs = [sides[s] for s in plan.network.input_slices.values()]
            found = disagreements(plan.claim.graph, bounds.boxes, inputs)
        except TooLarge as reason:
            return f"skipped: {reason}"
        except OutOfRange as reason:
            return f"skipped: no bounds ({reason})"
        for i, node in enumerate(plan.claim.graph.nodes):
            if isinstance(node.op, Elementwise) and i in plan.network.needed:
                operand = bounds.boxes[node.inputs[0]]
                found += cross_check_relaxation(node.op, operand, lines(node.op, operand))
        if found:
            raise EnginesDisagree(f"TLC902: mpmath and the bounds of region {region} disagree: {found[0]}")
        checked += 1
    return f"mpmath agrees on {checked} region(s): every node at three points, every activation's lines"
