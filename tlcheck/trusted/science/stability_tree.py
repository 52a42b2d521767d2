"""A binary tree over a box, whose leaves' tags say what is to be proved on each; what the tags mean: stability_conditions.py."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from tlcheck.trusted.calculus.ranges import Box

OUTSIDE, DECREASE, INSIDE, PIECEWISE, CORE, EMPTY = "o", "d", "i", "p", "c", "e"
TAGS: Final = (OUTSIDE, DECREASE, INSIDE, PIECEWISE, CORE, EMPTY)
MAX_TREE_DEPTH: Final = 400
"""Deepest path: a box halved so often along 16 coordinates is far below any margin."""


@dataclass(frozen=True)
class Cut:
    """x[axis] <= at to the left, >= at to the right; the middle of the box when ``at`` is None."""

    axis: int
    at: Fraction | None = None


Tree = tuple[Cut | str, ...]
"""A binary tree in preorder: a Cut is followed by its left and its right subtree; a tag is a leaf."""


def leaves_of(tree: Tree, region: Box) -> Iterator[tuple[Box, str]]:
    """(box, tag) of each leaf. Raises ValueError when it is not one tree over these coordinates."""
    boxes: list[tuple[Box, int]] = [(region, 0)]
    for node in tree:
        if not boxes:
            raise ValueError("the tree goes on after its last leaf")
        box, depth = boxes.pop()
        if isinstance(node, str):
            if node not in TAGS:
                raise ValueError(f"unknown tag {node!r}")
            yield box, node
            continue
        if not 0 <= node.axis < len(box) or depth >= MAX_TREE_DEPTH:
            raise ValueError("a cut across a coordinate that is not there, or too deep")
        low, high = box[node.axis]
        at = (low + high) / 2 if node.at is None else node.at
        parts = (low, min(at, high) if low <= at else at), (max(at, low) if at <= high else at, high)
        halves = [(*box[: node.axis], part, *box[node.axis + 1 :]) for part in parts]
        boxes += [(half, depth + 1) for half in reversed(halves)]
    if boxes:
        raise ValueError("the tree ends before its last leaf")


LEAF_NAMES: Final = {
    OUTSIDE: "outside", DECREASE: "decrease", INSIDE: "inside", PIECEWISE: "by pieces", CORE: "core", EMPTY: "empty",
}  # fmt: skip
