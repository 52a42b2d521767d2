"""A split tree from an unordered list of leaves.

It needs no trust: the leaves of a tree have the domains that their paths say (trusted/cover.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

import numpy as np

from tlcheck.trusted.cover import BadTree, Literal
from tlcheck.trusted.guidance import LEAF, SPLIT, Tree

Cut = tuple[int, int, float]
Group = list[tuple[int, Mapping[Cut, int]]]
Row = tuple[int, int, int, float, int, int]


def tree_from_leaves(paths: Sequence[Sequence[Sequence[Literal]]]) -> Tree:
    """A tree for an unordered list of leaves: ``paths[d]`` are the literals of disjunct d's leaves.

    Guidance numbers count the leaves in order, over all disjuncts. Recurses on a value and point that occurs, with
    both sides, in every leaf. Raises BadTree when the leaves do not cover.
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
