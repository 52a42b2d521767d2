"""The cover: split trees, and building one from an unordered list of leaves.

A tree covers its region by construction: a SPLIT at value v and point p has the children v <= p and v >= p, whose
union is everything; a leaf's domain is what its path says, whatever the leaf's own evidence claims. So what is left to
check is that the rows form finite trees: children exist, no row is met twice on a path, every path ends in a leaf.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
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


Cut = tuple[int, int, float]
Group = list[tuple[int, Mapping[Cut, int]]]
Row = tuple[int, int, int, float, int, int]


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


def tree_from_leaves(paths: Sequence[Sequence[Sequence[Literal]]]) -> Tree:
    """A tree for an unordered list of leaves: ``paths[d]`` are the literals of disjunct d's leaves.

    Guidance numbers count the leaves in order, over all disjuncts. Recurses on a value and point that occurs, with
    both sides, in every leaf. Raises BadTree when the leaves do not cover. The result needs no trust: its leaves'
    domains are their paths.
    """
    rows: list[Row] = []
    roots = []
    first = 0
    for group in paths:
        numbered: Group = [
            (first + k, sides) for k, sides in enumerate(map(_sides, group)) if sides is not None
        ]
        first += len(group)
        roots.append(_build(rows, numbered))
    column = [[row[k] for row in rows] for k in range(6)]
    kind, node, index, below, above = (np.array(column[k], dtype=np.int64) for k in (0, 1, 2, 4, 5))
    point = np.array(column[3], dtype=np.float64)
    return Tree(kind, node, index, point, below, above, np.array(roots, dtype=np.int64))


def _sides(literals: Sequence[Literal]) -> dict[Cut, int] | None:
    """A leaf's side of each of its cuts; None for a leaf on both sides of one (it holds no more than the cut itself)."""
    sides: dict[Cut, int] = {}
    for x in literals:
        if sides.setdefault((x.node, x.index, x.point), x.side) != x.side:
            return None
    return sides


def _build(rows: list[Row], group: Group) -> int:
    """Append the rows of one tree; returns its root's row. Iterative, children before parents.

    Every leaf of a group lies on the path to it, so it is closed when it has no more cuts than the path has.
    """
    results: list[int] = []
    work: list[Cut | Group] = [group]
    on_path: set[Cut] = set()
    while work:
        part = work.pop()
        if isinstance(part, tuple):
            above, below = results.pop(), results.pop()
            rows.append((SPLIT, *part, below, above))
            results.append(len(rows) - 1)
            on_path.remove(part)
            continue
        if not part:
            raise BadTree("cover: a branch has no leaf")
        number, smallest = min(part, key=lambda leaf: len(leaf[1]))
        if len(smallest) <= len(on_path):
            rows.append((LEAF, 0, 0, 0.0, number, 0))
            results.append(len(rows) - 1)
            continue
        cut = _common_cut(part, smallest.keys() - on_path)
        on_path.add(cut)
        upper = [leaf for leaf in part if leaf[1][cut] > 0]
        lower = [leaf for leaf in part if leaf[1][cut] < 0]
        work += [cut, upper, lower]
    return results[0]


def _common_cut(part: Group, candidates: Set[Cut]) -> Cut:
    """A cut that every leaf of the group has, with leaves on both sides."""
    for cut in sorted(candidates):
        if all(cut in sides for _, sides in part) and len({sides[cut] for _, sides in part}) == 2:
            return cut
    raise BadTree(f"cover: {len(part)} leaves share no split with both sides, so a branch is missing")
