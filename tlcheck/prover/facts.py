"""Facts about one region: cuts one side of which is empty, proved by small trees over the neurons below.

A fact says that a value z is on one side of a point wherever the facts before it hold. On the other side a few leaves have
bounds of side . z that contradict it: no constraint of a disjunct is weighed there, so the same leaves serve every disjunct.
Beneath all facts the open neurons are fewer and their lines closer (``narrowed``): bounds that no backward pass with a triangle
a neuron can give, since trees see how neurons of one layer move together.

Layer by layer, from the second with open neurons on: what one pass on the facts so far decides or makes much closer; then signs,
each by a tree of its own, all of a layer at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.prover.condensed import Condensed
from tlcheck.prover.engine import Engine, Over
from tlcheck.prover.neuron_search import FIRST, Effort, NeuronSearch
from tlcheck.prover.tree import Branch, Evidence
from tlcheck.trusted.cover import Literal
from tlcheck.trusted.ops.activation import Relu

Array = NDArray[Any]
Ints = NDArray[np.int64]

CLOSER: Final = 0.7
"""A neuron's chord that high above 0, relative to before, is worth cuts of its own."""
CLOSER_TREE: Final = 0.85
"""The same of ends that trees give."""


@dataclass(frozen=True)
class Size:
    """``most``: leaves of a sign's tree, tried where one end is ``near`` times nearer to 0 than the other; ``few``: of an end's
    tree; ``total``: leaves of facts after which no more are looked for."""

    most: int = 48
    near: float = 0.1
    few: int = 4
    total: int = 6_000


@dataclass(frozen=True, eq=False)
class Fact:
    """``literal`` holds wherever the facts before it do; ``other``: the tree of its other side, whose path begins with that."""

    literal: Literal
    other: Branch

    @property
    def leaves(self) -> int:
        return sum(1 for _ in self.other.leaves())


def other_side(x: Literal) -> Literal:
    return replace(x, side=-x.side)


def put(branch: Branch, facts: Sequence[Fact]) -> Branch:
    """Divide an open branch by facts; the leaf below where all of them hold."""
    for fact in facts:
        x = fact.literal
        sides = branch.divide(x.node, x.index, x.point)
        _copied(fact.other, sides[x.side < 0])
        branch = sides[x.side > 0]
    return branch


def _copied(tree: Branch, branch: Branch) -> None:
    """Divide and close ``branch`` as the tree is."""
    stack = [(tree, branch)]
    while stack:
        one, other = stack.pop()
        other.bound = one.bound
        if one.split is None:
            other.evidence = one.evidence
        else:
            other.divide(*one.split)
            stack += zip(one.children, other.children, strict=True)


@dataclass(frozen=True, eq=False)
class Known:
    """A condensed network, and the ends (C,) of its neurons' operands."""

    net: Condensed
    low: Array
    high: Array

    @staticmethod
    def of(net: Condensed) -> Known:
        ends = net.root.boxes
        low, high = (np.array([ends[z][k][0, n] for z, n in net.names], np.float64) for k in (0, 1))
        return Known(net, low, high)

    def narrowed(self, low: Array, high: Array) -> Known:
        """By ends of free neurons that are closer or the same: lines on them; neurons that are linear now are folded away."""
        net = copy(self.net)
        for name in ("places", "names", "twins"):
            vars(net).pop(name, None)
        s0, s1 = (side.astype(np.float64) for side in self.net.sides)
        slope = (s1 * high - s0 * low) / np.where(high > low, high - low, 1)
        upper = slope, (s0 - slope) * low
        start = np.where(high > -low, s1, s0)
        moved = self.net.free & ((low > self.low) | (high < self.high))
        linear = self.net.free & ((low >= 0) | (high <= 0))
        _set_lines(net, moved, upper, start)
        _fold(net, linear, np.where(low >= 0, s1, s0))
        return Known(net, low[~linear], high[~linear])


def _set_lines(net: Condensed, moved: NDArray[np.bool_], upper: tuple[Array, Array], start: Array) -> None:
    """Upper lines (slope, intercept), and slopes that lower ones start with."""
    d = net.dtype
    slope, intercept = (
        np.where(moved, new, old).astype(d) for new, old in zip(upper, net.upper, strict=True)
    )
    net.upper = slope, intercept
    net.lower = np.where(moved, start, net.lower[0]).astype(d), net.lower[1]


def _fold(net: Condensed, gone: NDArray[np.bool_], slope: Array) -> None:
    """Replace h = slope z of the neurons that are gone. With S their slopes, z_g = T (M_g x + L_gk h_k + b_g), where
    T = (I - L_gg S)^-1 (unit lower triangular), and every row on h_g becomes one on z_g."""
    kept = ~gone
    M, L, b = (np.asarray(a, np.float64) for a in (net.M, net.L, net.b))
    eye = np.eye(int(gone.sum()))
    parts = np.concatenate([M[gone], L[np.ix_(gone, kept)], b[gone, None]], axis=1)
    given = slope[gone, None] * np.linalg.solve(eye - L[np.ix_(gone, gone)] * slope[gone], parts)
    for own, rest, constant, rows in (("M", "L", "b", kept), ("G", "Q", "e", slice(None))):
        on_h = np.asarray(getattr(net, rest)[rows], np.float64)
        more = on_h[:, gone] @ given
        for name, old, new in (
            (own, np.asarray(getattr(net, own)[rows], np.float64), more[:, : net.width]),
            (rest, on_h[:, kept], more[:, net.width : -1]),
            (constant, np.asarray(getattr(net, constant)[rows], np.float64), more[:, -1]),
        ):
            setattr(net, name, (old + new).astype(net.dtype))
    _keep(net, kept)


def _keep(net: Condensed, kept: NDArray[np.bool_]) -> None:
    """Of everything that is per neuron but the rows on them."""
    net.blocks = tuple(
        replace(block, columns=block.columns[kept[s]], entries=block.entries[kept[s]])
        for block, s in zip(net.blocks, net.slices, strict=True)
    )
    net.blocks = tuple(block for block in net.blocks if block.columns.size)
    starts = np.cumsum([0, *(b.columns.size for b in net.blocks)]).tolist()
    net.slices = tuple(slice(a, b) for a, b in pairwise(starts))
    net.count = starts[-1]
    net.free = net.free[kept]
    for name in ("lower", "upper", "sides"):
        setattr(net, name, tuple(line[kept] for line in getattr(net, name)))


def below(net: Condensed, block: int, neurons: Ints, signs: Array) -> Condensed:
    """What neurons of one block rest on, with sign . z of each of ``neurons`` as a form."""
    start = net.slices[block].start
    part = copy(net)
    for name in ("places", "names", "twins"):
        vars(part).pop(name, None)
    part.G, part.Q, part.e = (
        signs[:, None] * net.M[neurons],
        signs[:, None] * net.L[neurons, :start],
        signs * net.b[neurons],
    )
    part.M, part.L, part.b = net.M[:start], net.L[:start, :start], net.b[:start]
    _keep(part, np.arange(net.count) < start)
    return part


class Sides(NeuronSearch):
    """Searches for bounds of sign . z: "disjunct" k is that of neuron k of a list, below its block."""

    def __init__(
        self, engine: Engine, known: Known, block: int, signed: tuple[Ints, Array], effort: Effort
    ) -> None:
        neurons, signs = signed
        super().__init__(engine, known.net.root, {}, effort, net=below(known.net, block, neurons, signs))
        size = 1 + np.abs(known.low[neurons]) + np.abs(known.high[neurons])
        self.margins = (effort.margin * size).astype(np.float32)
        self.rows = {k: {k: 0} for k in range(neurons.size)}
        self.literals = [
            Literal(known.net.names[n][0], known.net.names[n][1], int(sign), 0.0)
            for n, sign in zip(neurons.tolist(), signs, strict=True)
        ]

    def roots(self) -> list[Branch]:
        return [Branch(k, (other_side(x),), state=self._start(k)) for k, x in enumerate(self.literals)]

    def bounded(self, leaves: Sequence[Branch], steps: int, over: Over, divide: bool = False) -> None:
        """The best bounds of so many steps; what stays open is divided, if it is to be."""
        for start in range(0, len(leaves), self.effort.batch):
            if over():
                return
            batch = leaves[start : start + self.effort.batch]
            best, left = self._bounded(batch, steps, over)
            if divide:
                self._divided(batch, best, left)

    def decided(self, roots: Sequence[Branch], most: int, over: Over) -> list[Branch]:
        """Those of which the sign is proved by at most so many leaves."""
        trees = {root.disjunct: root for root in roots}
        work = list(roots)
        while work and not over():
            self.bounded(work, self.effort.iterations, over, divide=True)
            stuck = {leaf.disjunct for leaf in work if leaf.evidence is None and leaf.split is None}
            grown = {k: list(trees[k].leaves()) for k in {leaf.disjunct for leaf in work} - stuck}
            small = [leaf for leaves in grown.values() if len(leaves) <= most for leaf in leaves]
            work = [leaf for leaf in small if leaf.evidence is None]
        return [root for root in roots if root.is_closed]

    def closer(self, roots: Sequence[Branch], most: int, over: Over) -> None:
        """Divide the worst leaf of each tree until there are so many."""
        for _ in range(1, most):
            worst = [min(root.leaves(), key=lambda leaf: leaf.bound) for root in roots]
            worst = [leaf for leaf in worst if leaf.evidence is None]
            if not worst or over():
                return
            self.bounded(worst, 0, over, divide=True)
            kids = [kid for leaf in worst for kid in leaf.children]
            self.bounded(kids, self.effort.iterations, over)

    def fact(self, root: Branch, point: float) -> Fact:
        """Of a tree whose leaves have bounds above sign . point."""
        literal = replace(self.literals[root.disjunct], point=point)
        tree = Branch(root.disjunct, (other_side(literal),))
        stack = [(root, tree)]
        while stack:
            one, other = stack.pop()
            other.bound = one.bound
            if one.split is None:
                other.evidence = self._contradiction(one, other.path[0])
            else:
                other.divide(*one.split)
                stack += zip(one.children, other.children, strict=True)
        return Fact(literal, tree)

    def _contradiction(self, leaf: Branch, other: Literal) -> Evidence:
        found = leaf.evidence or self._evidence(leaf)
        return replace(found, weights={}, multipliers={other: 1.0, **found.multipliers})


@dataclass(frozen=True, eq=False)
class _Layer:
    """Facts about the neurons of one block."""

    engine: Engine
    known: Known
    block: int
    effort: Effort
    size: Size
    over: Over

    @property
    def neurons(self) -> slice:
        return self.known.net.slices[self.block]

    def _both(self) -> tuple[Sides, list[Branch]]:
        """Of every neuron from below, then from above."""
        s = self.neurons
        signs = np.repeat(np.array([1, -1], self.known.net.dtype), s.stop - s.start)
        search = Sides(
            self.engine, self.known, self.block, (np.tile(np.arange(s.start, s.stop), 2), signs), self.effort
        )
        return search, search.roots()

    def passed(self) -> tuple[list[Fact], Known]:
        """Ends by one pass."""
        search, roots = self._both()
        search.bounded(roots, FIRST, self.over)
        return self._ends(search, roots, CLOSER)

    def signs(self) -> tuple[list[Fact], Known]:
        """Signs by trees."""
        s, known = self.neurons, self.known
        signs = np.where(known.high[s] > -known.low[s], 1, -1).astype(known.net.dtype)
        search = Sides(self.engine, known, self.block, (np.arange(s.start, s.stop), signs), self.effort)
        near = np.minimum(-known.low[s], known.high[s]) < self.size.near * np.maximum(
            -known.low[s], known.high[s]
        )
        closed = search.decided(
            [root for root in search.roots() if near[root.disjunct]], self.size.most, self.over
        )
        low, high = known.low.copy(), known.high.copy()
        for root in closed:
            (low if signs[root.disjunct] > 0 else high)[s.start + root.disjunct] = 0
        return [search.fact(root, 0.0) for root in closed], known.narrowed(low, high)

    def closer(self) -> tuple[list[Fact], Known]:
        """Ends by trees."""
        search, roots = self._both()
        search.bounded(roots, FIRST, self.over)
        search.closer(roots, self.size.few, self.over)
        return self._ends(search, roots, CLOSER_TREE)

    def _ends(self, search: Sides, roots: Sequence[Branch], enough: float) -> tuple[list[Fact], Known]:
        """Facts where the trees decide a sign or lower the chord so much."""
        s, known = self.neurons, self.known
        bound = np.array([min(leaf.bound for leaf in root.leaves()) for root in roots]) - search.margins
        half = s.stop - s.start
        ends = bound[:half], -bound[half:]
        low, high = known.low.copy(), known.high.copy()
        found = []
        for n in np.flatnonzero(_worth((known.low[s], known.high[s]), ends, enough)).tolist():
            decided = ends[0][n] >= 0 or ends[1][n] <= 0
            for end, k, sign in ((low, n, 1), (high, half + n, -1)):
                point = 0.0 if bound[k] >= 0 else float(np.float32(sign * bound[k]))
                if sign * (point - end[s.start + n]) > 0 and (point == 0 or not decided):
                    found.append(search.fact(roots[k], point))
                    end[s.start + n] = point
        return found, known.narrowed(low, high)


def _worth(before: tuple[Array, Array], ends: tuple[Array, Array], enough: float) -> NDArray[np.bool_]:
    low, high = np.maximum(before[0], ends[0]), np.minimum(before[1], ends[1])
    return np.asarray(_height(low, high) < enough * _height(*before))


def _height(low: Array, high: Array) -> Array:
    """Of the chord at 0."""
    return np.asarray(-np.minimum(low, 0) * np.maximum(high, 0) / np.maximum(high - low, 1e-30))


def facts(engine: Engine, known: Known, effort: Effort, size: Size, over: Over) -> tuple[list[Fact], Known]:
    """What is found beneath what is known, and what is known beneath that."""
    found: list[Fact] = []
    relus = (
        b.node for b in known.net.blocks if b.sides is not None and isinstance(engine.nodes[b.node].op, Relu)
    )
    for node in dict.fromkeys(relus):
        for step in (_Layer.passed, _Layer.signs, _Layer.closer):
            block = next((k for k, b in enumerate(known.net.blocks) if b.node == node), None)
            if block is None or not known.net.slices[block].start or over():
                break
            if sum(fact.leaves for fact in found) > size.total:
                return found, known
            if found or step is not _Layer.passed:
                more, known = step(_Layer(engine, known, block, effort, size, over))
                found += more
    return found, known
