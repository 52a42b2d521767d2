"""Proofs of unsat over two inputs whose trees split inputs only: the leaves."""

from __future__ import annotations

from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.errors import InvalidInput
from tlcheck.plot import canvas
from tlcheck.plot.canvas import Axes, Panel, Patch
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.cover import BadTree, Leaf, leaves
from tlcheck.trusted.guidance import Guidance

Floats = NDArray[np.float64]
MAX_DEPTH: Final = 4096
MAX_LEAVES: Final = 100_000


def panels(claim: UnsatClaim, guidance: Guidance, axes: tuple[str, ...] = ()) -> list[Panel]:
    """One: the leaves' boxes; ``axes`` is for other claims. Raises InvalidInput where a split is of no input."""
    sizes = [node.size for node in claim.graph.nodes]
    try:
        found = list(leaves(guidance.tree, sizes, guidance.leaves.count, MAX_DEPTH))
    except BadTree as problem:
        raise InvalidInput("TLC101", str(problem)) from None
    if len(found) > MAX_LEAVES:
        raise InvalidInput("TLC401", "too many leaves to draw", expected=f"at most {MAX_LEAVES}")
    first: dict[int, int] = {}
    for i in claim.graph.inputs:
        first[i] = sum(sizes[j] for j in first)
    boxes = np.array([_box(claim, leaf, first) for leaf in found]).reshape(-1, 2, 2)
    kept = (boxes[:, 0] <= boxes[:, 1]).all(axis=1)
    if not kept.any():
        raise InvalidInput("TLC102", "no leaf of the proof has a point")
    cuts = np.array([len(leaf.path) for leaf in found], dtype=np.float64)
    return [Panel(partial(_leaves, claim=claim, boxes=boxes[kept], cuts=cuts[kept]))]


def _box(claim: UnsatClaim, leaf: Leaf, first: dict[int, int]) -> tuple[list[float], list[float]]:
    box = claim.query.disjuncts[leaf.disjunct].box
    low, high = [float(q) for q in box.lower], [float(q) for q in box.upper]
    for literal in leaf.path:
        if literal.node not in first:
            raise InvalidInput("TLC102", "its tree splits neurons: only splits of inputs are drawn")
        i = first[literal.node] + literal.index
        if literal.side > 0:
            low[i] = max(low[i], literal.point)
        else:
            high[i] = min(high[i], literal.point)
    return low, high


def _leaves(axes: Axes, claim: UnsatClaim, boxes: Floats, cuts: Floats) -> None:
    low, high = boxes[:, 0], boxes[:, 1]
    handles = canvas.valued_cells(axes, low, high, cuts, "splits on the way to the leaf", "")
    ends = low.min(axis=0), high.max(axis=0)
    pad = 0.02 * np.maximum(ends[1] - ends[0], 1e-300)
    for d in claim.query.disjuncts:
        a, b = (np.array([float(q) for q in side]) for side in (d.box.lower, d.box.upper))
        canvas.cells(axes, a[None], b[None], "none", edgecolors="black", linewidths=1.2, zorder=3)
    count = len(claim.query.disjuncts)
    title = f"leaves of the proof of unsat: {len(boxes)}, of {count} region{'s' * (count > 1)}"
    canvas.frame(axes, _names(claim), title, ends[0] - pad, ends[1] + pad)
    canvas.legend(axes, [*handles, Patch(fill=False, edgecolor="black", label="region of the property")])


def _names(claim: UnsatClaim) -> tuple[str, str]:
    names = claim.graph.input_names
    return (names[0], names[1]) if len(names) == 2 else (f"{names[0]}[0]", f"{names[0]}[1]")
