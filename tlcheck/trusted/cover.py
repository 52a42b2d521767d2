"""The cover: split trees, and their leaves.

A tree covers its region by construction: a SPLIT at value v and point p has the children v <= p and v >= p, whose
union is everything; a leaf's domain is what its path says, whatever the leaf's own evidence claims. So what is left to
check is that the rows form finite trees: children exist, no row is met twice on a path, every path ends in a leaf.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tlcheck.trusted.guidance import LEAF, SPLIT, Tree


class BadTree(Exception):
    """The rows are not finite trees over the network's values. The message says what and where."""


@dataclass(frozen=True, slots=True)
class Literal:
    """side +1: value (node, index) >= point; side -1: value <= point. ``point`` is an exact float."""

    node: int
    index: int
    side: int
    point: float


@dataclass(frozen=True, slots=True)
class Leaf:
    """One leaf of the cover of ``disjunct``: its path, and the number of its guidance."""

    disjunct: int
    guidance: int
    path: tuple[Literal, ...]


def leaves(tree: Tree, sizes: Sequence[int], guidance_count: int, max_depth: int) -> Iterator[Leaf]:
    """Every leaf of every root, depth first. ``sizes[i]`` is node i's number of values. Raises BadTree."""
    _check_rows(tree, sizes, guidance_count)
    kind, node, index = tree.kind.tolist(), tree.node.tolist(), tree.index.tolist()
    point, below, above = tree.point.tolist(), tree.below.tolist(), tree.above.tolist()
    for disjunct, root in enumerate(tree.roots.tolist()):
        stack: list[tuple[int, int, Literal | None]] = [(root, 0, None)]
        path: list[Literal] = []
        visited = 0
        while stack:
            row, depth, literal = stack.pop()
            del path[max(0, depth - 1) :]
            if literal is not None:
                path.append(literal)
            visited += 1
            if depth > max_depth or visited > 2 * tree.size + 1:
                raise BadTree(
                    f"tree: row {row} is reached again and again (a cycle, or deeper than {max_depth})"
                )
            if kind[row] == LEAF:
                yield Leaf(disjunct, below[row], tuple(path))
                continue
            v = (node[row], index[row])
            stack.append((above[row], depth + 1, Literal(*v, 1, point[row])))
            stack.append((below[row], depth + 1, Literal(*v, -1, point[row])))


def _check_rows(tree: Tree, sizes: Sequence[int], guidance_count: int) -> None:
    """Every reference of every row is in range."""
    size = tree.size
    columns = (tree.kind, tree.node, tree.index, tree.point, tree.below, tree.above)
    if any(c.shape != (size,) for c in columns):
        raise BadTree("tree: columns differ in length")
    if tree.roots.size and not bool(((tree.roots >= 0) & (tree.roots < size)).all()):
        raise BadTree("tree: a root is not a row")
    if not bool(np.isin(tree.kind, (SPLIT, LEAF)).all()):
        raise BadTree("tree: a row is neither split nor leaf")
    split = tree.kind == SPLIT
    children = np.concatenate([tree.below[split], tree.above[split]])
    if not bool(((children >= 0) & (children < size)).all()):
        raise BadTree("tree: a child is not a row")
    numbers = tree.below[~split]
    if not bool(((numbers >= 0) & (numbers < guidance_count)).all()):
        raise BadTree("tree: a leaf has no guidance")
    if not bool(np.isfinite(tree.point[split]).all()):
        raise BadTree("tree: a split point is not finite")
    nodes = tree.node[split]
    limits = np.asarray(sizes, dtype=np.int64)
    if not bool(((nodes >= 0) & (nodes < limits.size)).all()):
        raise BadTree("tree: a split names a node that the network does not have")
    if not bool(((tree.index[split] >= 0) & (tree.index[split] < limits[nodes])).all()):
        raise BadTree("tree: a split names a value that its node does not have")
