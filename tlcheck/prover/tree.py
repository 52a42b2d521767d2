"""The tree of a search for a proof of unsat: what searches work on, and the guidance that a finished one becomes.

A search is given branches and closes them: each gets the evidence that closes it, or is split and its children are closed.
It never looks at more than the branch's own path, so that work may come from anywhere: the roots, a journal, another tool's
tree, leaves that the checker refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.cover import Literal
from tlcheck.trusted.guidance import (
    LEAF,
    SPLIT,
    Guidance,
    IntermediateSlopes,
    LeafSlopes,
    Leaves,
    RegionGuidance,
    Tree,
)
from tlcheck.trusted.query import InputBox

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Evidence:
    """What closes a leaf.

    ``weights``: on the disjunct's constraints, by position. ``slopes``: for each activation in the frame's ``columns``, the
    slopes (c,) of its lower lines there. ``multipliers``: on literals of the path, > 0. ``bound``: what the search found.
    """

    weights: Mapping[int, float]
    bound: float
    slopes: Mapping[int, NDArray[Any]] = field(default_factory=dict)
    multipliers: Mapping[Literal, float] = field(default_factory=dict)


@dataclass(eq=False)
class Branch:
    """A node of a tree. ``split``: (graph node, index, point) once it has ``children``: (value <= point, value >= point).
    ``top``: the tree's root, where this is not it.

    ``bound``: the best lower bound found here. ``state``: what the search that made it keeps for its children. ``refused``: the
    checker did not accept its evidence, so it is to be divided, not closed as it is.
    """

    disjunct: int
    path: tuple[Literal, ...] = ()
    evidence: Evidence | None = None
    split: tuple[int, int, float] | None = None
    children: tuple[Branch, ...] = ()
    bound: float = -np.inf
    state: Any = None
    refused: bool = False
    top: Branch | None = None

    @property
    def root(self) -> Branch:
        return self.top or self

    def divide(self, node: int, index: int, point: float = 0.0) -> tuple[Branch, Branch]:
        """Split here; the two children, below and above."""
        below, above = (
            Branch(
                self.disjunct,
                (*self.path, Literal(node, index, side, point)),
                bound=self.bound,
                top=self.root,
            )
            for side in (-1, 1)
        )
        self.split, self.children, self.evidence = (node, index, point), (below, above), None
        return below, above

    def clear(self) -> None:
        """Begin anew."""
        self.split, self.children, self.evidence, self.state = None, (), None, None

    def leaves(self) -> Iterator[Branch]:
        """Those of the tree below, depth first, below before above."""
        stack = [self]
        while stack:
            branch = stack.pop()
            if branch.split is None:
                yield branch
            else:
                stack += reversed(branch.children)

    @property
    def is_closed(self) -> bool:
        return all(leaf.evidence is not None for leaf in self.leaves())

    def grown(self, path: Sequence[Literal]) -> Branch | None:
        """The branch below that has this whole path, divided for where it is not there yet; None where the tree differs."""
        branch = self
        for literal in path[len(self.path) :]:
            where = literal.node, literal.index, literal.point
            if branch.split is None and branch.evidence is None:
                branch.divide(*where)
            if branch.split != where:
                return None
            branch = branch.children[literal.side > 0]
        return branch


@dataclass(frozen=True, eq=False)
class Frame:
    """What the leaves of one region share. ``columns``: activation -> neurons for which every leaf's evidence has slopes.

    ``intermediate``: as in Guidance, keyed (target, activation). ``per_leaf_bounds``: as there.
    """

    columns: Mapping[int, Ints] = field(default_factory=dict)
    intermediate: Mapping[tuple[int, int], IntermediateSlopes] = field(default_factory=dict)
    per_leaf_bounds: bool = False


class Search(Protocol):
    """Closes branches of one region.

    ``margin``: a leaf is closed when its bound is above it, relative to the sizes of the numbers in its constraints.
    ``candidates``: points where the network may satisfy the query, worst last. ``passes``: over leaves or boxes so far,
    ``elsewhere`` in other processes. ``whole``: the next call is to have all that is open, in the process that keeps the trees.
    """

    margin: float
    candidates: list[NDArray[np.float64]]
    elsewhere: int

    @property
    def passes(self) -> int: ...

    @property
    def whole(self) -> bool: ...

    def share(self) -> None:
        """From here on it has a part of what is open, and others have the rest."""
        ...

    @property
    def frame(self) -> Frame: ...

    def attempt(self, work: Sequence[Branch], over: Callable[[], bool]) -> list[Branch]:
        """Close exactly these leaves where it can, dividing none; those that are still open."""
        ...

    def close(self, work: Sequence[Branch], over: Callable[[], bool]) -> list[Branch]:
        """Close the branches, or their children; those that are still open when it gives up, or when ``over()`` is true."""
        ...


def exact_box(claim: UnsatClaim, branch: Branch) -> InputBox:
    """The branch's box: the region's own ends, or cuts."""
    starts, start = {}, 0
    for i in claim.graph.inputs:
        starts[i] = start
        start += claim.graph.nodes[i].size
    region = claim.query.disjuncts[branch.disjunct].box
    lower, upper = list(region.lower), list(region.upper)
    for x in branch.path:
        if x.node in starts:
            end, limit = (lower, max) if x.side > 0 else (upper, min)
            end[starts[x.node] + x.index] = limit(end[starts[x.node] + x.index], Fraction(x.point))
    return InputBox(tuple(lower), tuple(upper))


def guidance_of(roots: Sequence[Branch], frames: Sequence[Frame]) -> Guidance:
    """The guidance of one finished tree for each disjunct, in order, and the frame of each: one and the same object for the
    disjuncts of a region. Leaves are numbered as ``leaves`` gives them, root by root, those with one and the same evidence
    once. One without evidence gets none: for disjuncts that are empty, which nothing reads."""
    rows: list[tuple[int, int, int, float]] = []
    children: list[list[int]] = []
    starts: list[int] = []
    numbers: dict[int, int] = {}
    evidence: list[Evidence] = []
    used: dict[int, set[int]] = {id(frame): set() for frame in frames}
    for disjunct, root in enumerate(roots):
        starts.append(len(rows))
        stack: list[tuple[Branch, int, int]] = [(root, -1, 0)]
        while stack:
            branch, parent, side = stack.pop()
            row = len(rows)
            if parent >= 0:
                children[parent][side] = row
            if branch.split is None:
                rows.append((LEAF, 0, 0, 0.0))
                found = branch.evidence or Evidence({}, np.nan)
                number = numbers.setdefault(id(found), len(evidence))
                if number == len(evidence):
                    evidence.append(found)
                children.append([number, 0])
                used[id(frames[disjunct])].add(number)
            else:
                node, index, point = branch.split
                rows.append((SPLIT, node, index, point))
                children.append([0, 0])
                stack += [(child, row, k) for k, child in reversed(list(enumerate(branch.children)))]
    kind, node_, index_, point_ = zip(*rows, strict=True) if rows else ((), (), (), ())
    below, above = np.array(children, np.int64).reshape(-1, 2).T
    tree = Tree(
        _ints(kind), _ints(node_), _ints(index_), np.array(point_, np.float64),
        below.copy(), above.copy(), _ints(starts),
    )  # fmt: skip
    distinct = {id(frame): frame for frame in frames}
    if len(distinct) < 2:
        common = vars(_region_guidance(frames[0], evidence, None)) if frames else {}
        return Guidance(tree, _leaves(evidence), **common)
    parts = {key: _region_guidance(frame, evidence, sorted(used[key])) for key, frame in distinct.items()}
    return Guidance(
        tree, _leaves(evidence), own={disjunct: parts[id(frame)] for disjunct, frame in enumerate(frames)}
    )


def _region_guidance(
    frame: Frame, evidence: Sequence[Evidence], numbers: Sequence[int] | None
) -> RegionGuidance:
    """``numbers``: of the region's leaves, rising; None: all are."""
    own = evidence if numbers is None else [evidence[k] for k in numbers]
    return RegionGuidance(
        leaf_slopes={a: LeafSlopes(c, _slopes(own, a, c.size), None) for a, c in frame.columns.items()},
        intermediate=frame.intermediate,
        per_leaf_bounds=frame.per_leaf_bounds,
        rows=None if numbers is None else _ints(numbers),
    )


def _ints(values: Sequence[int]) -> Ints:
    return np.array(values, np.int64)


def _slopes(evidence: Sequence[Evidence], activation: int, count: int) -> NDArray[Any]:
    """(leaves, c): uint8 where all are 0 or 1, else float32."""
    rows = np.zeros((len(evidence), count), np.float32)
    for k, e in enumerate(evidence):
        if activation in e.slopes:
            rows[k] = e.slopes[activation]
    whole = rows.astype(np.uint8)
    return whole if bool((whole == rows).all()) else rows


def _leaves(evidence: Sequence[Evidence]) -> Leaves:
    weights = [[(q, w) for q, w in e.weights.items() if w > 0] for e in evidence]
    splits = [[(x, b) for x, b in e.multipliers.items() if b > 0] for e in evidence]
    literals = [x for part in splits for x, _ in part]
    return Leaves(
        np.cumsum([0, *(len(part) for part in weights)]).astype(np.int64),
        _ints([q for part in weights for q, _ in part]),
        np.array([w for part in weights for _, w in part], np.float64),
        np.cumsum([0, *(len(part) for part in splits)]).astype(np.int64),
        _ints([x.node for x in literals]),
        _ints([x.index for x in literals]),
        _ints([x.side for x in literals]),
        np.array([x.point for x in literals], np.float64),
        np.array([b for part in splits for _, b in part], np.float64),
        np.array([e.bound for e in evidence], np.float64),
    )


def whole_boxes(disjuncts: int) -> Guidance:
    """Each disjunct in one leaf, which weighs its only constraint."""
    numbers, zeros, none = np.arange(disjuncts), np.zeros(disjuncts, np.int64), np.zeros(0, np.int64)
    tree = Tree(np.full(disjuncts, LEAF), zeros, zeros, np.zeros(disjuncts), numbers, zeros, numbers)
    starts = np.arange(disjuncts + 1), np.zeros(disjuncts + 1, np.int64)
    unclaimed = np.full(disjuncts, np.nan)
    leaves = Leaves(
        starts[0], zeros, np.ones(disjuncts), starts[1], none, none, none, np.zeros(0), np.zeros(0), unclaimed
    )
    return Guidance(tree, leaves)
