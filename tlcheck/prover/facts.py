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
from tlcheck.prover.neuron_search import FIRST, MARGIN, Effort, NeuronSearch
from tlcheck.prover.root import Root
from tlcheck.prover.tree import Branch, Evidence
from tlcheck.trusted.cover import Literal

Array = NDArray[Any]
Ints = NDArray[np.int64]

CLOSER: Final = 0.7
"""A neuron's chord that high above 0, relative to before, is worth cuts of its own."""
MOST: Final = 48
"""Leaves of a sign's tree."""


@dataclass(frozen=True, eq=False)
class Fact:
    """``literal`` holds wherever the facts before it do; ``other``: the tree of its other side, whose path begins with that."""

    literal: Literal
    other: Branch


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
    net.upper = tuple(np.where(moved, new, old).astype(d) for new, old in zip(upper, net.upper, strict=True))
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
        replace(block, columns=block.columns[kept[s]]) for block, s in zip(net.blocks, net.slices, strict=True)
    )
    net.blocks = tuple(block for block in net.blocks if block.columns.size)
    net._place = {(b.node, b.part): k for k, b in enumerate(net.blocks)}
    starts = np.cumsum([0, *(b.columns.size for b in net.blocks)]).tolist()
    net.slices = tuple(slice(a, b) for a, b in pairwise(starts))
    net.count = starts[-1]
    net.free = net.free[kept]
    net.lower, net.upper, net.sides = (
        tuple(line[kept] for line in lines) for lines in (net.lower, net.upper, net.sides)
    )  # type: ignore[assignment]


def below(net: Condensed, block: int, neurons: Ints, signs: Array) -> Condensed:
    """What neurons of one block rest on, with sign . z of each of ``neurons`` as a form."""
    start = net.slices[block].start
    part = copy(net)
    for name in ("places", "names", "twins"):
        vars(part).pop(name, None)
    part.G, part.Q, part.e = signs[:, None] * net.M[neurons], signs[:, None] * net.L[neurons, :start], signs * net.b[neurons]
    part.M, part.L, part.b = net.M[:start], net.L[:start, :start], net.b[:start]
    _keep(part, np.arange(net.count) < start)
    return part


class Sides(NeuronSearch):
    """Searches for bounds of sign . z: "disjunct" k is that of neuron k of a list, below ``net``'s block."""

    def __init__(self, engine: Engine, known: Known, block: int, signed: tuple[Ints, Array], effort: Effort) -> None:
        neurons, signs = signed
        super().__init__(engine, known.net.root, {}, effort, net=below(known.net, block, neurons, signs))
        size = 1 + np.abs(known.low[neurons]) + np.abs(known.high[neurons])
        self.margins = (effort.margin * size).astype(np.float32)
        self.rows = {k: {k: 0} for k in range(neurons.size)}
        self.literals = [
            Literal(*known.net.names[n], int(sign), 0.0) for n, sign in zip(neurons.tolist(), signs, strict=True)
        ]

    def _evidence(self, branch: Branch) -> Evidence:
        found = super()._evidence(branch)
        return replace(found, weights={}, multipliers={branch.path[0]: 1.0, **found.multipliers})

    def bounds(self, steps: int, over: Over) -> list[Branch]:
        """A leaf for each, with the best bound of so many steps."""
        roots = [Branch(k, (other_side(x),), state=self._start(k)) for k, x in enumerate(self.literals)]
        for start in range(0, len(roots), self.effort.batch):
            if not over():
                self._bounded(roots[start : start + self.effort.batch], steps, over)
        return roots

    def close_small(self, roots: Sequence[Branch], most: int, over: Over) -> list[Branch]:
        """Those that a tree of at most so many leaves closes, closed."""
        open_ = {root.disjunct: [root] for root in roots if root.evidence is None}
        count = dict.fromkeys(open_, 1)
        while open_ and not over():
            work = [leaf for leaves in open_.values() for leaf in leaves]
            open_ = {}
            for start in range(0, len(work), self.effort.batch):
                batch = work[start : start + self.effort.batch]
                best, left = self._bounded(batch, self.effort.iterations, over)
                for leaf in self._divided(batch, best, left):
                    count[leaf.disjunct] += 1 if leaf.split else most
                    open_.setdefault(leaf.disjunct, []).extend(leaf.children)
            open_ = {k: leaves for k, leaves in open_.items() if count[k] <= most}
        return [root for root in roots if root.is_closed]


def facts(
    engine: Engine, net: Condensed, effort: Effort, over: Over, most: int = MOST
) -> tuple[list[Fact], Known]:
    """What is found, and the network beneath it."""
    known = Known.of(net)
    found: list[Fact] = []
    for node in dict.fromkeys(block.node for block in net.blocks if block.sides is not None):
        for step in (_passed, _signs):
            block = next((k for k, b in enumerate(known.net.blocks) if b.node == node), None)
            if block is None or not known.net.slices[block].start or over():
                continue
            more, known = step(engine, known, block, effort, over, most)
            found += more
    return found, known


def _passed(engine, known, block, effort, over, most):
    s = known.net.slices[block]
    neurons = np.tile(np.arange(s.start, s.stop), 2)
    signs = np.repeat(np.array([1, -1], known.net.dtype), s.stop - s.start)
    search = Sides(engine, known, block, (neurons, signs), effort)
    roots = search.bounds(FIRST, over)
    half = s.stop - s.start
    bound = np.array([root.bound for root in roots]) - search.margins
    low, high = np.maximum(bound[:half], known.low[s]), np.minimum(-bound[half:], known.high[s])
    return _taken(known, s, search, roots, (low, high))


def _taken(known, s, search, roots, ends):
    """Facts of leaves where they decide a sign or move the chord much."""
    (low, high), half = ends, s.stop - s.start
    old_low, old_high = known.low[s], known.high[s]
    height = lambda a, b: -np.minimum(a, 0) * np.maximum(b, 0) / np.maximum(b - a, 1e-30)
    worth = height(low, high) < CLOSER * height(old_low, old_high)
    new_low, new_high = known.low.copy(), known.high.copy()
    found = []
    for n in np.flatnonzero(worth).tolist():
        for k, end, old, sign in ((n, low[n], old_low[n], 1), (half + n, high[n], old_high[n], -1)):
            decides = sign * end >= 0
            other_decides = (high[n] <= 0) if sign > 0 else (low[n] >= 0)
            if end == old or (other_decides and not decides):
                continue
            point = 0.0 if decides else float(np.float32(end))
            literal = replace(search.literals[k], point=point)
            leaf = Branch(k, (other_side(literal),), bound=roots[k].bound, state=roots[k].state)
            if roots[k].evidence is None:
                leaf.evidence = search._evidence(leaf)
            else:
                leaf.evidence = replace(roots[k].evidence, multipliers={leaf.path[0]: 1.0})
            leaf.state = None
            found.append(Fact(literal, leaf))
            if sign > 0:
                new_low[s.start + n] = point
            else:
                new_high[s.start + n] = point
    return found, known.narrowed(new_low, new_high)


def _signs(engine, known, block, effort, over, most):
    s = known.net.slices[block]
    neurons = np.arange(s.start, s.stop)
    signs = np.where(known.high[s] > -known.low[s], 1, -1).astype(known.net.dtype)
    search = Sides(engine, known, block, (neurons, signs), effort)
    closed = search.close_small(search.bounds(0, over), most, over)
    low, high = known.low.copy(), known.high.copy()
    for root in closed:
        n = s.start + root.disjunct
        (low if signs[root.disjunct] > 0 else high)[n] = 0
    return [Fact(search.literals[root.disjunct], root) for root in closed], known.narrowed(low, high)
