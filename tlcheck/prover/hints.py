"""Proofs that start from another tool's splits: a tree from its leaves in any order, and closing that tree.

Wrong, missing or contradictory leaves cost time, and nothing else: a tree made of splits covers its region whatever they are, and
every leaf is closed by a search of this room, or stays open.

Three modes. ``leaves``: the whole tree at once, its leaves closed as they are where that can be. ``replay``: from the root down, dividing
where the tree does, each branch closed as early as can be: the smallest proof. ``search``: the tree is left alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tlcheck.prover.tree import Branch
from tlcheck.readers.hints import Hints, LeafList
from tlcheck.trusted.claim import UnsatClaim

Cut: TypeAlias = tuple[int, int, float]
Plan: TypeAlias = tuple[Cut | None, tuple[Branch, ...]]
Mode: TypeAlias = Literal["leaves", "replay", "search"]
Side: TypeAlias = Callable[[int, int, float], int | None]
"""Of a cut (node, index, point): 0 where a search can divide, -1 or 1 where values lie on that side only, else None."""
Over: TypeAlias = Callable[[], bool]

MODES: Final[tuple[Mode, ...]] = ("leaves", "replay", "search")
CELLS: Final = 1 << 28
"""Leaves times cuts that a tree is made from; beyond it, from the cuts in most leaves."""
SAMPLE: Final = 96
"""Leaves that are tried before all are, where there are many."""
HELPFUL: Final = 0.5
"""Share of the leaves that must close as they are, for the tree to be followed."""
STEPS: Final = 100
"""Optimiser steps on a leaf of the tree before it is divided further: that is dearer."""


ROOT: Final = "at the root"
HINTED: Final = "as the hints have it"
FURTHER: Final = "split further"
SEARCHED: Final = "by a search of its own"


class Divisible(Protocol):
    """What is asked of a search here."""

    def attempt(self, work: Sequence[Branch], over: Over, steps: int | None = None) -> list[Branch]:
        """Close exactly these branches where it can, in so many steps of an optimiser; those that are still open."""
        ...

    def side(self, node: int, index: int, point: float) -> int | None:
        """See ``Side``."""
        ...


# A tree from leaves.


def grow(root: Branch, leaves: LeafList, side: Side) -> None:
    """Divide ``root`` and what comes of it, so that each leaf of the list is a leaf of the tree where such a tree exists.

    Divides at the cut that most leaves know, of these the one with as many on either side as can be. A leaf that does not know it
    goes to both sides; the tree never has many more leaves than the list.
    """
    cuts, sides = _matrix(leaves, side)
    known = _decided_by(cuts)
    budget = 2 * len(sides) + 64
    stack = [(root, np.arange(len(sides)), np.ones(len(cuts), bool))]
    while stack and budget > 0:
        branch, rows, free = stack.pop()
        column = _best(sides[rows], free)
        if column is None:
            continue
        budget -= 1
        node, index, point = cuts[column]
        for child, side_, columns in zip(
            branch.divide(node, index, point), (-1, 1), known[column], strict=True
        ):
            left = free.copy()
            left[columns] = False
            stack.append((child, rows[sides[rows, column] * side_ >= 0], left))


def _best(sides: NDArray[np.int8], free: NDArray[np.bool_]) -> int | None:
    """The column to divide at; None where a leaf has no cut left, so that it is the whole branch."""
    if len(sides) == 0:
        return None
    left = (sides != 0) & free
    if not left.any(axis=1).all():
        return None
    count = left.sum(axis=0)
    most = np.flatnonzero(count == count.max())
    return int(most[np.abs(sides[:, most].sum(axis=0, dtype=np.int64)).argmin()])


def _matrix(leaves: LeafList, side: Side) -> tuple[list[Cut], NDArray[np.int8]]:
    """(cuts, (leaves, cuts) sides): only cuts that divide, and leaves that can have points."""
    rows = np.repeat(np.arange(leaves.count), np.diff(leaves.start))
    decided = [side(*cut) for cut in leaves.cuts]
    only = np.array([d or 0 for d in decided], np.int8)
    divides = np.array([d == 0 for d in decided], bool)
    empty = np.zeros(leaves.count, bool)
    empty[rows[only[leaves.cut] == -leaves.side]] = True
    wanted = np.flatnonzero(divides)
    if wanted.size * leaves.count > CELLS:
        often = np.bincount(leaves.cut, minlength=divides.size)[wanted]
        wanted = np.sort(wanted[np.argsort(-often, kind="stable")[: CELLS // max(1, leaves.count)]])
    column = np.full(divides.size, -1)
    column[wanted] = np.arange(wanted.size)
    place = column[leaves.cut]
    kept = place >= 0
    found = [np.zeros((leaves.count, wanted.size), bool) for _ in range(2)]
    for k, s in enumerate((-1, 1)):
        mine = kept & (leaves.side == s)
        found[k][rows[mine], place[mine]] = True
    cuts = [leaves.cuts[c] for c in wanted]
    _implied(cuts, *found)
    empty |= (found[0] & found[1]).any(axis=1)
    return cuts, (found[1].astype(np.int8) - found[0].astype(np.int8))[~empty]


def _implied(cuts: Sequence[Cut], below: NDArray[np.bool_], above: NDArray[np.bool_]) -> None:
    """A value below one point is below the higher ones, and so on; in place."""
    for up in _by_value(cuts).values():
        for low, high in zip(up, up[1:], strict=False):
            below[:, high] |= below[:, low]
        for low, high in zip(up[-2::-1], up[:0:-1], strict=True):
            above[:, low] |= above[:, high]


def _decided_by(cuts: Sequence[Cut]) -> list[tuple[list[int], list[int]]]:
    """Of each cut: the columns that say nothing any more below it, and above it."""
    known: list[tuple[list[int], list[int]]] = [([], [])] * len(cuts)
    for up in _by_value(cuts).values():
        for k, column in enumerate(up):
            known[column] = (up[k:], up[: k + 1])
    return known


def _by_value(cuts: Sequence[Cut]) -> dict[tuple[int, int], list[int]]:
    """The columns of each value, by rising point."""
    places: dict[tuple[int, int], list[int]] = {}
    for k in sorted(range(len(cuts)), key=lambda k: cuts[k][2]):
        places.setdefault(cuts[k][:2], []).append(k)
    return places


# Closing it.


def follow(
    search: Divisible, trees: Mapping[int, Branch], over: Over, mode: Mode | None = None
) -> list[Branch]:
    """Close what can be closed of trees whose leaves are open; the branches that are left to close.

    ``mode`` None: the roots alone, then the leaves, and the trees are given up where they do not help. Trees that are given up are
    undivided again.
    """
    roots = list(trees.values())
    plans = {id(root): _bare(root) for root in roots}
    roots = search.attempt(roots, over)
    if mode == "search" or over():
        return roots
    for root in roots:
        root.split, root.children = plans[id(root)]
    if mode == "replay":
        return _replayed(search, roots, over)
    leaves = [leaf for root in roots if root.split is not None for leaf in root.leaves()]
    rest = [root for root in roots if root.split is None]
    open_ = _tried(search, leaves, over, None if mode == "leaves" else HELPFUL)
    if open_ is not None:
        return rest + open_
    for root in roots:
        _bare(root)
    return roots


def _bare(branch: Branch) -> Plan:
    """Take away its division, and give it."""
    plan = branch.split, branch.children
    branch.split, branch.children, branch.evidence = None, (), None
    return plan


def _tried(
    search: Divisible, leaves: Sequence[Branch], over: Over, least: float | None
) -> list[Branch] | None:
    """The leaves that stay open; None where fewer than the share ``least`` of them closed, first of a sample."""
    step = 1 if least is None else max(1, len(leaves) // SAMPLE)
    open_: list[Branch] = []
    for part in (leaves[::step], [x for k, x in enumerate(leaves) if k % step]):
        open_ += search.attempt(part, over, STEPS)
        if least is not None and part and len(open_) > (1 - least) * len(part):
            return None
    return open_


def _replayed(search: Divisible, level: list[Branch], over: Over) -> list[Branch]:
    """From the roots down, level by level; the branches that are open at the end of the tree."""
    left: list[Branch] = []
    while level and not over():
        plans = {id(branch): _bare(branch) for branch in level}
        open_, level = search.attempt(level, over), []
        for branch in open_:
            split, children = plans[id(branch)]
            if split is None:
                left.append(branch)
                continue
            branch.split, branch.children = split, children
            for child in children:
                child.state, child.bound = None, branch.bound
            level += children
    return left + [leaf for branch in level for leaf in branch.leaves()]


class Hinted:
    """Hints for a prover: trees to begin with. ``kind``: of the search that can follow them, ``inputs`` or ``neurons``."""

    def __init__(self, claim: UnsatClaim, hints: Hints, mode: Mode | None = None) -> None:
        self.hints, self.mode = hints, mode
        cuts = [cut for part in hints.leaves.values() for cut in part.cuts]
        inputs = sum(node in claim.graph.inputs for node, _, _ in cuts)
        self.kind = "inputs" if 2 * inputs > len(cuts) else "neurons"
        self._planted: set[Branch] = set()

    def __call__(self, search: Divisible, kind: str, disjuncts: Sequence[int]) -> dict[int, Branch] | None:
        """A tree of each disjunct, divided as the hints have it, no leaf closed; None where they are for another search."""
        if kind != self.kind:
            return None
        trees = {d: Branch(d) for d in disjuncts}
        for d, root in trees.items():
            if d in self.hints.leaves:
                grow(root, self.hints.leaves[d], search.side)
                self._planted |= set(root.leaves()) - {root}
        return trees

    def closed_by(self, roots: Iterable[Branch]) -> Counter[str]:
        """The leaves of finished trees, by what closed them."""
        found: Counter[str] = Counter()
        for root in roots:
            stack = [(root, root in self._planted)]
            while stack:
                branch, below = stack.pop()
                below = below or branch in self._planted
                if branch.split is not None:
                    stack += [(child, below) for child in branch.children]
                else:
                    hinted = HINTED if branch in self._planted else FURTHER if below else SEARCHED
                    found[ROOT if branch is root else hinted] += 1
        return found
