"""Split trees and their leaves: against a recursion, and every row that is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from tlcheck.trusted.cover import BadTree, Leaf, Literal, leaves
from tlcheck.trusted.guidance import LEAF, SPLIT, Tree

SIZES = (2, 3)
"""Values of two nodes."""


def tree(*rows: tuple[int, int, int, float, int, int], roots: tuple[int, ...] = (0,)) -> Tree:
    """Rows (kind, node, index, point, below, above)."""
    kind, node, index, point, below, above = (list(c) for c in zip(*rows, strict=True))
    whole = [np.array(c, np.int64) for c in (kind, node, index, below, above, roots)]
    return Tree(*whole[:3], np.array(point), *whole[3:])


def leaf(number: int) -> tuple[int, int, int, float, int, int]:
    return LEAF, 0, 0, 0.0, number, 0


def random_tree(seed: int, depth: int) -> Tree:
    """Two roots; guidance numbers count the leaves."""
    random = np.random.default_rng(seed)
    rows: list[tuple[int, int, int, float, int, int]] = []

    def grow(left: int) -> int:
        if left == 0 or random.random() < 0.2:
            rows.append(leaf(sum(r[0] == LEAF for r in rows)))
            return len(rows) - 1
        below, above = grow(left - 1), grow(left - 1)
        node = int(random.integers(2))
        rows.append((SPLIT, node, int(random.integers(SIZES[node])), float(random.normal()), below, above))
        return len(rows) - 1

    roots = grow(depth), grow(depth)
    return tree(*rows, roots=roots)


def by_recursion(given: Tree, disjunct: int, row: int, path: tuple[Literal, ...] = ()) -> Iterator[Leaf]:
    if given.kind[row] == LEAF:
        yield Leaf(disjunct, int(given.below[row]), path)
        return
    where = int(given.node[row]), int(given.index[row])
    for side, child in ((-1, given.below[row]), (1, given.above[row])):
        literal = Literal(*where, side, float(given.point[row]))
        yield from by_recursion(given, disjunct, int(child), (*path, literal))


@pytest.mark.parametrize("seed", range(8))
def test_leaves_are_those_of_the_recursion(seed: int) -> None:
    given = random_tree(seed, 4)
    count = int((given.kind == LEAF).sum())
    found = list(leaves(given, SIZES, count, 4))
    assert found == [x for d, root in enumerate(given.roots) for x in by_recursion(given, d, int(root))]
    assert sorted(x.guidance for x in found) == list(range(count))


def test_a_tree_may_be_as_deep_as_allowed_and_no_deeper() -> None:
    rows = [(SPLIT, 0, 0, 0.0, k + 1, 4) for k in range(3)]
    given = tree(*rows, leaf(0), leaf(0))
    assert len(list(leaves(given, SIZES, 1, 3))) == 4
    with pytest.raises(BadTree, match="deeper than 2"):
        list(leaves(given, SIZES, 1, 2))


def test_rows_may_be_shared_but_not_without_end() -> None:
    """2^k leaves of k rows are refused by number, a cycle too, whatever depth is allowed."""
    rows = [(SPLIT, 0, 0, 0.0, k + 1, k + 1) for k in range(6)]
    with pytest.raises(BadTree, match="again and again"):
        list(leaves(tree(*rows, leaf(0)), SIZES, 1, 100))
    shared = tree((SPLIT, 0, 0, 0.0, 1, 1), (SPLIT, 0, 0, 0.0, 2, 2), leaf(0))
    assert len(list(leaves(shared, SIZES, 1, 2))) == 4  # 7 rows met, of 3
    shared = tree((SPLIT, 0, 0, 0.0, 1, 2), *((SPLIT, 0, 0, 0.0, k + 1, k + 1) for k in (1, 2)), leaf(0))
    with pytest.raises(BadTree, match="again and again"):
        list(leaves(shared, SIZES, 1, 100))  # 11 rows met, of 4
    with pytest.raises(BadTree, match="again and again"):
        list(leaves(tree((SPLIT, 0, 0, 0.0, 1, 0), leaf(0)), SIZES, 1, 1 << 40))


SPLITS = ((SPLIT, 1, 2, 0.5, 1, 2), leaf(0), leaf(1), (SPLIT, 0, 1, 0.0, 0, 1))
"""Row 3 is met by no path; every row is checked."""


def changed(row: int, column: int, value: float) -> Tree:
    rows = [list(r) for r in SPLITS]
    rows[row][column] = value  # type: ignore[call-overload]
    return tree(*(tuple(r) for r in rows))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("row", "column", "values", "match"),
    [
        (0, 0, (2, -1), "neither split nor leaf"),
        (0, 1, (2, -1, -2), "a node that the network"),
        (0, 2, (3, -1, -3), "a value that its node"),
        (0, 3, (np.nan, np.inf, -np.inf), "not finite"),
        (0, 4, (4, -1), "a child is not a row"),
        (0, 5, (4, -1), "a child is not a row"),
        (1, 4, (2, -1), "no guidance"),
        (2, 4, (2, -1), "no guidance"),
    ],
)
def test_rows_that_are_wrong(row: int, column: int, values: tuple[float, ...], match: str) -> None:
    for value in values:
        with pytest.raises(BadTree, match=match):
            next(leaves(changed(row, column, value), SIZES, 2, 9))


def test_a_node_has_only_its_own_number_of_values() -> None:
    given = replace(changed(0, 1, 0), index=np.array([2, 0, 0, 1]))
    with pytest.raises(BadTree, match="a value that its node"):
        next(leaves(given, SIZES, 2, 9))


def test_what_leaves_do_not_use_may_be_anything() -> None:
    given = tree(SPLITS[0], (LEAF, 9, 9, np.nan, 0, 99), leaf(1))
    assert [x.guidance for x in leaves(given, SIZES, 2, 1)] == [0, 1]


@pytest.mark.parametrize("roots", [(4,), (-1,), (0, 4), (0, -1)])
def test_roots_are_rows(roots: tuple[int, ...]) -> None:
    with pytest.raises(BadTree, match="a root is not a row"):
        next(leaves(tree(*SPLITS, roots=roots), SIZES, 2, 9))


@pytest.mark.parametrize("name", ["node", "index", "point", "below", "above"])
def test_columns_have_one_length(name: str) -> None:
    given = tree(*SPLITS)
    column = getattr(given, name)
    for other in (column[:-1], np.append(column, column[-1:])):
        with pytest.raises(BadTree, match="differ in length"):
            next(leaves(replace(given, **{name: other}), SIZES, 2, 9))


def test_no_roots_have_no_leaves() -> None:
    assert list(leaves(tree(*SPLITS, roots=()), SIZES, 2, 9)) == []
