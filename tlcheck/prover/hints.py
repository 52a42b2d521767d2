"""Proofs that start from another tool's splits: a tree from its leaves in any order, and closing that tree.

Wrong, missing or contradictory leaves cost time, and nothing else: a tree made of splits covers its region whatever they are, and
every leaf is closed by a search of this room, or stays open.

Three modes. ``leaves``: the whole tree at once, its leaves closed as they are where that can be. ``replay``: from the root down,
divided where the tree is, each branch closed as early as can be: the smallest proof. ``search``: the tree is left alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Final, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tlcheck.prover.tree import Branch
from tlcheck.readers.hints import Hints, LeafList
from tlcheck.trusted import cover
from tlcheck.trusted.claim import UnsatClaim

Cut: TypeAlias = tuple[int, int, float]
Place: TypeAlias = tuple[int, tuple[cover.Literal, ...]]
"""(disjunct, path)."""
Mode: TypeAlias = Literal["leaves", "replay", "search"]
Side: TypeAlias = Callable[[int, int, float], int | None]
"""Of a cut (node, index, point): 0 where a search can divide, -1 or 1 where values lie on that side only, else None."""
Over: TypeAlias = Callable[[], bool]

MODES: Final[tuple[Mode, ...]] = ("leaves", "replay", "search")
CELLS: Final = 1 << 28
"""Leaves times cuts that a tree is made from; beyond it, from the cuts in most leaves."""
WORK: Final = 1 << 31
"""Entries of leaves times cuts that are looked at while a tree is made: a list without a tree in it ends there."""
SAMPLE: Final = 96
"""Leaves that are tried before all are, where there are many."""
HELPFUL: Final = 0.5
"""Share of the leaves that must close as they are, for the tree to be followed."""
STEPS: Final = 100
"""Optimiser steps on a leaf of the tree before it is divided further: that is dearer."""


ROOT: Final = "at the root"
HINTED: Final = "as the hints have it"
EARLIER: Final = "above the hints' leaves"
FURTHER: Final = "split further"
SEARCHED: Final = "by a search of its own"


class Divisible(Protocol):
    """What is asked of a search here. One with an attribute ``suggest`` asks that where to divide an open branch (replay)."""

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
    budget, looks = 2 * len(sides) + 64, WORK
    stack = [(root, np.arange(len(sides)), np.ones(len(cuts), bool))]
    while stack and budget > 0 and looks > 0:
        branch, rows, free = stack.pop()
        looks -= len(rows) * len(cuts)
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
        for low, high in pairwise(up):
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


class Hinted:
    """Hints, as a prover takes them. ``kind``: of the search that can follow them, ``inputs`` or ``neurons``.

    ``mode`` None: the roots alone, then the leaves; the tree is given up where too few of them close.
    """

    def __init__(self, claim: UnsatClaim, hints: Hints, mode: Mode | None = None) -> None:
        self.hints, self.mode = hints, mode
        cuts = [cut for part in hints.leaves.values() for cut in part.cuts]
        inputs = sum(node in claim.graph.inputs for node, _, _ in cuts)
        self.kind = "inputs" if 2 * inputs > len(cuts) else "neurons"
        self._planted: dict[Place, Cut | None] = {}
        """Where the hints' trees divide; None: their leaves."""

    def follow(self, search: Divisible, kind: str, roots: Sequence[Branch], over: Over) -> list[Branch]:
        """Close what can be closed of undivided roots by the hints; the branches that are left to close."""
        if kind != self.kind or self.mode == "search":
            return list(roots)
        open_ = search.attempt(roots, over)
        hinted = [root for root in open_ if root.disjunct in self.hints.leaves]
        if not hinted or over():
            return open_
        for root in hinted:
            grow(root, self.hints.leaves[root.disjunct], search.side)
            self._note(root)
        rest = [root for root in open_ if root.disjunct not in self.hints.leaves]
        if self.mode == "replay" and hasattr(search, "suggest"):
            search.suggest = self.suggested
        else:
            leaves = [leaf for root in hinted for leaf in root.leaves()]
            left = _tried(search, leaves, over, 0 if self.mode else HELPFUL)
            if left is not None:
                return rest + left
        for root in hinted:
            root.split, root.children, root.evidence = None, (), None
        return open_

    def suggested(self, branch: Branch) -> tuple[int, int] | None:
        """Where the hints divide a branch."""
        cut = self._planted.get((branch.disjunct, branch.path))
        return None if cut is None else cut[:2]

    def _note(self, root: Branch) -> None:
        stack = [root]
        while stack:
            branch = stack.pop()
            self._planted[branch.disjunct, branch.path] = branch.split
            stack += branch.children

    def closed_by(self, roots: Iterable[Branch]) -> dict[str, int]:
        """The leaves of finished trees, by what closed them."""
        found: Counter[str] = Counter()
        for root in roots:
            stack = [(root, False)]
            while stack:
                branch, below = stack.pop()
                if branch.split is not None:
                    below = below or self._is_leaf(branch)
                    stack += [(child, below) for child in branch.children]
                elif branch is root:
                    found[ROOT] += 1
                elif below:
                    found[FURTHER] += 1
                elif (branch.disjunct, branch.path) in self._planted:
                    found[HINTED if self._is_leaf(branch) else EARLIER] += 1
                else:
                    found[SEARCHED] += 1
        return {how: found[how] for how in (ROOT, HINTED, EARLIER, FURTHER, SEARCHED) if found[how]}

    def _is_leaf(self, branch: Branch) -> bool:
        return self._planted.get((branch.disjunct, branch.path), ()) is None


def _tried(search: Divisible, leaves: Sequence[Branch], over: Over, least: float) -> list[Branch] | None:
    """The leaves that stay open; None where fewer than the share ``least`` of them closed, first of a sample."""
    step = max(1, len(leaves) // SAMPLE) if least else 1
    open_: list[Branch] = []
    for part in (leaves[::step], [x for k, x in enumerate(leaves) if k % step]):
        left = search.attempt(part, over, STEPS)
        if len(left) > (1 - least) * len(part) and not over():
            return None
        open_ += left
    return open_
