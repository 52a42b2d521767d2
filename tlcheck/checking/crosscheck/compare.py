"""``--cross-check``: the same enclosures from mpmath, an independent interval arithmetic, on networks small enough.

A disagreement is an internal error (exit 70), never a verdict.
"""

from __future__ import annotations

from tlcheck.checking.crosscheck.disagreement import EnginesDisagree
from tlcheck.checking.crosscheck.mp_intervals import (
    TooLarge,
    cross_check_relaxation,
    disagreements,
    mp_evaluate,
)
from tlcheck.trusted.arith.arb import lower_float, upper_float, working_precision
from tlcheck.trusted.arith.box import OutOfRange
from tlcheck.trusted.claim import SatClaim
from tlcheck.trusted.evaluate import Undecided, evaluate
from tlcheck.trusted.network import Network
from tlcheck.trusted.ops.elementwise import Elementwise
from tlcheck.trusted.plan import Plan, root_bounds


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
                found += cross_check_relaxation(node.op, operand, node.op.lines(operand))
        if found:
            raise EnginesDisagree(f"TLC902: mpmath and the bounds of region {region} disagree: {found[0]}")
        checked += 1
    return f"mpmath agrees on {checked} region(s): every node at three points, every activation's lines"


def cross_check_witness(claim: SatClaim, precision: int) -> str:
    """The outputs at the witness, from mpmath and from Arb, meet. Raises EnginesDisagree."""
    slices = Network(claim.graph).input_slices
    parts = [claim.witness[slices[node]] for node in claim.graph.inputs]
    try:
        theirs = mp_evaluate(claim.graph, [[(q, q) for q in part] for part in parts], precision)
    except TooLarge as reason:
        return f"skipped: {reason}"
    with working_precision(precision):
        try:
            ours = evaluate(claim.graph, parts).outputs
        except Undecided as reason:
            return f"skipped: {reason}"
        for k, (x, y) in enumerate(zip(theirs, ours, strict=True)):
            if x.b < lower_float(y) or x.a > upper_float(y):
                raise EnginesDisagree(f"TLC902: mpmath and Arb disagree on output {k}: {x} and {y}")
    return f"mpmath agrees on {len(ours)} output(s) at the witness"
