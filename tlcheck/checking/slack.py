"""Where a leaf's margin went, layer by layer (a report; no verdict rests on it; plain float64).

At the worst point x* of the final linear form over the input box, the proved bound is the true value at x* minus what
each activation layer's lines lost there: bound = value(x*) - sum_k slack_k, slack_k = sum_i a_i (f_i - line_i) at x*, where
line_i is the line used for neuron i. A layer with a large slack is where splitting or better slopes would pay.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.ball64 import Ball64, Ball64Form
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.bounds import Bounds
from tlcheck.trusted.leaf_pass import LeafChunk
from tlcheck.trusted.ops.selection import MaxOver
from tlcheck.trusted.plan import Plan

Floats = NDArray[np.float64]
Line = tuple[Floats, Floats]


class RecordingForm(Ball64Form):
    """Keeps the coefficients and lines of the last activation step."""

    last: tuple[Floats, Line, Line] | None = None

    def through_lines(self, block: Floats, lower: Line, upper: Line, box: Box) -> Floats:
        self.last = (block[0, 0].copy(), lower, upper)
        return super().through_lines(block, lower, upper, box)


def layer_slack(plan: Plan, bounds: Bounds | None, rank: int) -> list[dict[str, object]]:
    """One entry per activation layer, from input to output: its label and slack. Empty when it cannot be computed."""
    form = RecordingForm(Ball64(), 1, 1)
    steps: dict[int, tuple[Floats, Line, Line]] = {}

    def after(activation: int) -> None:
        if form.last is not None:
            steps[activation] = form.last

    try:
        chunk = LeafChunk(plan, (rank,))
        known, _ = chunk.domain(bounds)
        chunk.run(form, known, after)
    except OutOfRange:
        return []
    nodes = plan.claim.graph.nodes
    point = {node: _worst(form.blocks.get(node), known.boxes[node]) for node in plan.network.input_slices}
    values = _values_at(plan, point, max(steps, default=-1))
    result: list[dict[str, object]] = []
    for activation, (block, (ls, lt), (us, ut)) in sorted(steps.items()):
        op, y = nodes[activation].op, values[activation]
        z = values[nodes[activation].inputs[0]]
        if isinstance(op, MaxOver):  # lines in the entries of its windows, each with its window's coefficient
            used = op.index >= 0
            z, y = np.where(used, z[op.index], 0.0).reshape(-1), np.repeat(y, op.index.shape[1])
            y = np.where(np.arange(y.size) % op.index.shape[1] == 0, y, 0.0)
        if not z.size == block.size == ls[0].size == y.size:
            continue  # a product or choice: its lines are in several operands
        line = np.where(block >= 0, ls[0] * z + lt[0], us[0] * z + ut[0])
        slack = float(np.sum(block * (y - line)))
        result.append({"layer": nodes[activation].label, "neurons": nodes[activation].size, "slack": slack})
    return result


def _worst(block: Floats | None, box: Box) -> Floats:
    """The corner of the box where the form is least."""
    if block is None:
        return np.asarray(box.lower[0])
    return np.asarray(np.where(block[0, 0] >= 0, box.lower[0], box.upper[0]))


def _values_at(plan: Plan, point: dict[int, Floats], last: int) -> dict[int, Floats]:
    """Every node's value at a point, up to node ``last`` (floats: middles of tiny enclosures)."""
    from tlcheck.trusted.intervals import image

    engine = Ball64()
    values: dict[int, Box] = {}
    for i, node in enumerate(plan.claim.graph.nodes[: last + 1]):
        if i in point:
            values[i] = Box(point[i][None], point[i][None])
        elif i in plan.network.needed and all(j in values for j in node.inputs):
            values[i] = image(node.op, plan.network.affine[i], tuple(values[j] for j in node.inputs), engine)
    return {i: 0.5 * (box.lower[0] + box.upper[0]) for i, box in values.items()}
