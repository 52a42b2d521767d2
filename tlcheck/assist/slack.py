"""Where a leaf's margin went, layer by layer (a report; no verdict rests on it; plain float64).

At the worst point x* of the final linear form over the input box, the proved bound is the true value at x* minus what
each activation layer's lines lost there: bound = value(x*) - sum_k slack_k, slack_k = sum_i |a_i| * (distance of the line
used from f at x*). A layer with a large slack is where splitting or better slopes would pay.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.ball64 import Ball64, Ball64Form
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.bounds import Bounds
from tlcheck.trusted.decide import Plan, leaf_pass
from tlcheck.trusted.lines import Lines
from tlcheck.trusted.network import Network
from tlcheck.trusted.ops.activation import Elementwise, LeakyRelu, MaxOver, Relu, Sigmoid, Tanh
from tlcheck.trusted.ops.base import Operation
from tlcheck.trusted.ops.structure import Fixed

Floats = NDArray[np.float64]


def layer_slack(plan: Plan, bounds: Bounds | None, rank: int) -> list[dict[str, object]]:
    """One entry per activation layer, from input to output: its label and slack. Empty when it cannot be computed."""
    recorded: dict[int, tuple[Floats, Lines]] = {}

    def record(activation: int, block: Floats, drawn: Lines) -> None:
        recorded[activation] = (block[0, 0].copy(), drawn)

    try:
        form, known = leaf_pass(plan, bounds, rank, Ball64(), _recorder(record))
    except (OutOfRange, ValueError):
        return []
    worst = {node: _worst_point(form, known.boxes[node], node) for node in plan.network.input_slices}
    values = point_values(plan.network, worst)
    result = []
    for activation in sorted(recorded):
        block, drawn = recorded[activation]
        node = plan.claim.graph.nodes[activation]
        z = values[node.inputs[0]]
        (ls, lt), (us, ut) = drawn.lower, drawn.upper
        line = np.where(block >= 0, ls[0] * z + lt[0], us[0] * z + ut[0])
        slack = float(np.sum(block * (values[activation] - line)))
        result.append({"layer": node.label, "neurons": node.size, "slack": slack})
    return result
