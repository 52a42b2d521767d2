"""Covers of a box by cells: the leaves of a tree of halvings."""

from __future__ import annotations

from typing import Final

from tlcheck.trusted.calculus.ranges import Box

LEAF: Final = "."
MAX_CUTS: Final = 256
"""Most cuts on the way to one cell: its ends stay short."""
MAX_CELLS: Final = 200_000
"""Most cells: each takes some tenths of a second."""


def cells(domain: Box, tree: str) -> list[Box]:
    """The leaves of the tree in preorder: a digit halves the cell along that coordinate (lower half first), "." is a
    cell. They cover ``domain``. Raises ValueError when the text is not one whole tree, or cuts a fixed coordinate."""
    found: list[Box] = []
    open_: list[tuple[Box, int]] = [(domain, 0)]
    for position, token in enumerate(tree):
        if not open_:
            raise ValueError(f"the tree ends before character {position}")
        cell, cuts = open_.pop()
        if token == LEAF:
            found.append(cell)
            if len(found) > MAX_CELLS:
                raise ValueError(f"more than {MAX_CELLS} cells")
            continue
        axis = "0123".find(token)
        if not 0 <= axis < len(domain) or domain[axis][0] == domain[axis][1]:
            raise ValueError(f"character {position} is no coordinate to cut: {token!a}")
        if cuts >= MAX_CUTS:
            raise ValueError(f"more than {MAX_CUTS} cuts on the way to one cell")
        low, high = cell[axis]
        middle = (low + high) / 2
        for half in ((middle, high), (low, middle)):
            open_.append(((*cell[:axis], half, *cell[axis + 1 :]), cuts + 1))
    if open_:
        raise ValueError(f"{len(open_)} cells of the tree are missing")
    return found
