"""Branch and bound on the neurons of one region, over its condensed network.

The worst leaves first, a batch at a time: their slopes, multipliers and weights are optimised together; a leaf that is above
its margin is closed, another one is split at a neuron, and its children start from what it found. A branch's path alone says
what its domain is, so that work may come from anywhere.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from tlcheck.prover.branching import Filter, bridge, chosen
from tlcheck.prover.condensed import Condensed, Forms
from tlcheck.prover.engine import Engine, Over, never
from tlcheck.prover.optimise import Best, Bound, Boxes, LeafPass, Leaves, optimise
from tlcheck.prover.root import Root
from tlcheck.prover.tree import Branch, Evidence, Frame
from tlcheck.trusted.cover import Literal
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.elementwise import Elementwise
from tlcheck.trusted.query import Disjunct, LinearConstraint

Array = NDArray[Any]

BATCH: Final = 256
ITERATIONS: Final = 20
FIRST: Final = 50
"""Steps of a disjunct's root."""
WORST: Final = 9
"""Leaves of a batch whose dual points are kept, and how many are kept in all."""
CANDIDATES: Final = 32
MARGIN: Final = 1e-5
"""What a bound must be above 0 for a search in float32 to count on it, times the size of the constraints."""
CERTAIN: Final = 1e-6
"""A value is known to be above 0 if its lower bound is this much above, relative to the box's size."""

Suggest = Callable[[Branch], tuple[int, int] | None]
"""Of an open leaf: (pre-activation node, value) to split at, if one is wanted."""


@dataclass(frozen=True)
class Effort:
    """What is spent on a leaf: optimiser steps, leaves at once, filtered branching, margin (times the constraints' size)."""

    iterations: int = ITERATIONS
    batch: int = BATCH
    filter: Filter = Filter()  # noqa: RUF009 - frozen
    margin: float = MARGIN


@dataclass(frozen=True, eq=False)
class _State:
    """A leaf's parameters in the searches with one token: (C,), (C,), (C,), (K,); of inputs that its path cuts, its own box."""

    token: int
    sides: NDArray[np.int8]
    slopes: Array
    multipliers: Array
    weights: Array
    box: tuple[Array, Array] | None = None


class NeuronSearch:
    """``disjuncts``: number -> what its branches are about; all over the box of ``root``."""

    def __init__(
        self,
        engine: Engine,
        root: Root,
        disjuncts: Mapping[int, Disjunct],
        effort: Effort = Effort(),
        suggest: Suggest = lambda _: None,
        over: Over = never,
        net: Condensed | None = None,
    ) -> None:
        """``net``: of the same root and forms, narrowed by what is known where the branches are."""
        self.engine, self.root, self.effort, self.suggest = engine, root, effort, suggest
        self.rows: dict[int, dict[int, int]] = {}
        numbers: dict[LinearConstraint, int] = {}
        for k, d in disjuncts.items():
            self.rows[k] = {numbers.setdefault(c, len(numbers)): q for q, c in enumerate(d.constraints)}
        forms = Forms.of(list(numbers), engine.graph.n_inputs, engine.graph.n_outputs)
        self.margins = (effort.margin * forms.size).astype(np.float32)
        self._begin(Condensed(engine, root, forms, np.float32, over) if net is None else net)

    def _begin(self, net: Condensed) -> None:
        self.net, self.run = net, LeafPass(net)
        self.token = crc32(self.net.L.tobytes() + self.net.b.tobytes() + self.net.Q.tobytes())
        """The same for the same search in another process: whose states are of use here."""
        self.steps = 0
        """Passes over leaves so far."""
        self.candidates: list[NDArray[np.float64]] = []
        """Points (inputs,) of the worst open leaves' bounds, newest last."""
        self._starts: dict[int, _State] = {}
        middle, half = (self.net.low + self.net.high) / 2, (self.net.high - self.net.low) / 2
        self._box = Boxes(middle[None].astype(np.float32), half[None].astype(np.float32))

    @property
    def frame(self) -> Frame:
        """Slopes for every open neuron of a ReLU; for all values of other activations with slopes."""
        columns = dict(self.root.columns)
        for block in self.net.blocks:
            op = self.engine.nodes[block.node].op
            if block.sides is not None and not isinstance(op, Relu):
                columns[block.node] = np.arange(self.engine.nodes[block.node].size)
        return Frame(columns, self.root.intermediate)

    def side(self, node: int, index: int, point: float = 0.0) -> int | None:
        """The side of 0 that a value is on over the whole box: 1, -1, 0 if it is open; None where no split is of use."""
        if point != 0:
            return None
        if (node, index) in self.net.places:
            return 0
        if node not in {self.engine.nodes[b].inputs[0] for b in self._splittable}:
            return None
        low, high = (float(end[0, index]) for end in self.root.boxes[node])
        return 1 if low >= 0 else -1 if high <= 0 else 0

    @property
    def _splittable(self) -> list[int]:
        from tlcheck.prover.condensed import sides_of

        return [i for i in self.engine.relaxed if sides_of(self.engine.nodes[i].op) is not None]

    # The protocol

    def close(self, work: Sequence[Branch], over: Over) -> list[Branch]:
        """Close the branches' leaves, splitting where need be; those still open."""
        ties = count()
        heap: list[tuple[float, int, Branch]] = []

        def push(branch: Branch) -> None:
            heapq.heappush(heap, (branch.bound, next(ties), branch))

        for branch in self._prepared(work):
            push(branch)
        stuck: list[Branch] = []
        while heap and not over():
            batch = [heapq.heappop(heap)[2] for _ in range(min(self.effort.batch, len(heap)))]
            best, left = self._bounded(batch, self.effort.iterations, over)
            if over() and left.size:
                stuck += [batch[k] for k in left]
                break
            for branch in self._divided(batch, best, left):
                if branch.split is None:
                    stuck.append(branch)
                else:
                    for kid in branch.children:
                        push(kid)
        return stuck + [branch for _, _, branch in heap]

    def settle(self, work: Sequence[Branch], iterations: int, over: Over = never) -> list[Branch]:
        """Close what closes without a split, in so many steps; the leaves that are still open."""
        leaves = self._prepared(work)
        open_: list[Branch] = []
        for start in range(0, len(leaves), self.effort.batch):
            batch = leaves[start : start + self.effort.batch]
            if over():
                open_ += batch
                continue
            _, left = self._bounded(batch, iterations, over)
            open_ += [batch[k] for k in left]
        return open_

    def _prepared(self, work: Sequence[Branch]) -> list[Branch]:
        """The open leaves below ``work``, with states; those that hold nothing are closed at once."""
        found = []
        for branch in work:
            for leaf in branch.leaves():
                if leaf.evidence is None or leaf is branch:
                    leaf.evidence = None
                    state = leaf.state
                    if not (isinstance(state, _State) and state.token == self.token):
                        given, state = state, self._state_of(leaf)
                        if isinstance(given, Evidence) and state is not None:
                            state = self._warm(state, given, leaf)
                        leaf.state = state
                    if state is None:
                        leaf.bound = np.inf
                        leaf.evidence = Evidence({0: 1.0}, np.inf, self._slopes(self._start(leaf.disjunct)))
                    else:
                        found.append(leaf)
        return found

    def _bounded(
        self, batch: Sequence[Branch], iterations: int, over: Over
    ) -> tuple[Best, NDArray[np.int64]]:
        """Bounds of a batch, noted on its branches, and which of them are still open."""
        leaves, allowed = self._stacked([b.state for b in batch]), self._allowed(batch)
        goal = self._goal(leaves.weights)
        best = optimise(self.run, leaves, allowed, goal, iterations, over)
        self.steps += best.steps + len(batch)
        closed = best.bound.lower > self._goal(best.leaves.weights)
        closed &= ~np.array([branch.refused for branch in batch])
        self._note(best.bound, np.flatnonzero(~closed))
        for k, branch in enumerate(batch):
            branch.bound = float(best.bound.lower[k])
            old: _State = branch.state
            branch.state = replace(
                old,
                slopes=best.leaves.slopes[k],
                multipliers=best.leaves.multipliers[k],
                weights=best.leaves.weights[k],
            )
            if closed[k]:
                branch.evidence = self._evidence(branch)
                branch.state = None
        return best, np.flatnonzero(~closed)

    def _note(self, found: Bound, open_: NDArray[np.int64]) -> None:
        """Points of the worst leaves as candidates."""
        for k in open_[np.argsort(-found.lower[open_])[-WORST:]].tolist():
            point = np.empty(self.engine.graph.n_inputs)
            for i, s in self.engine.network.input_slices.items():
                point[s] = found.x[k, self.net.input_slices[i]]
            self.candidates.append(point)
        del self.candidates[:-CANDIDATES]

    def _goal(self, weights: Array) -> Array:
        """The margin of each leaf's sum: that of its largest constraint, so that it does not move with the weights."""
        return np.asarray(np.where(weights > 0, self.margins, 0).max(axis=1, initial=0.0))

    def _divided(self, batch: Sequence[Branch], best: Best, left: NDArray[np.int64]) -> list[Branch]:
        """The open branches, split where a neuron is left to split at; children have states."""
        if not left.size:
            return []
        leaves, found = best.leaves.of(left), Bound(*(x[left] for x in vars(best.bound).values()))
        some = [batch[k] for k in left]
        limits = self._allowed(some), self._goal(leaves.weights)
        means = (best.means[0][left], best.means[1][left], best.means[2][left])
        at = chosen(self.run, leaves, (found, means), limits, self.effort.filter)
        for k, branch in enumerate(some):
            wanted = self.net.places.get(self.suggest(branch) or (-1, -1))
            if wanted is not None and leaves.sides[k, wanted] == 0:
                at[k] = wanted
        if self.net.count:
            bridges = [bridge(self.run, leaves, found, np.maximum(at, 0), side) for side in (-1, 1)]
            for n in np.flatnonzero(at >= 0).tolist():
                self._split(some[n], int(at[n]), [float(b[n]) for b in bridges])
        return some

    def _split(self, branch: Branch, at: int, multipliers: Sequence[float]) -> None:
        state: _State = branch.state
        for kid, side, beta in zip(branch.divide(*self.net.names[at]), (-1, 1), multipliers, strict=True):
            sides, given = state.sides.copy(), state.multipliers.copy()
            for twin in self._twins(at):
                sides[twin] = side
            given[self.net.places[self.net.names[at]]] = beta
            kid.state = replace(state, sides=sides, multipliers=given)
        branch.state = None

    def _twins(self, at: int) -> tuple[int, ...]:
        first = self.net.places[self.net.names[at]]
        return self.net.twins.get(first, (first,))

    # States

    def _start(self, disjunct: int) -> _State:
        """A disjunct's root, optimised: weights start at its best single constraint."""
        if disjunct not in self._starts:
            net, rows = self.net, list(self.rows[disjunct])
            weights = np.zeros((len(rows), len(self.margins)), np.float32)
            weights[np.arange(len(rows)), rows] = 1
            wide = (len(rows), 1)
            leaves = Leaves(
                np.zeros((len(rows), net.count), np.int8),
                np.tile(net.lower[0][None], wide),
                np.zeros((len(rows), net.count), np.float32),
                weights,
                self._box,
            )
            found = optimise(self.run, leaves, weights > 0, np.full(len(rows), np.inf), 0).bound
            k = int(found.lower.argmax())
            start = _State(self.token, leaves.sides[k], leaves.slopes[k], leaves.multipliers[k], weights[k])
            self._starts[disjunct] = start
        return self._starts[disjunct]

    def optimise_starts(self, iterations: int = FIRST, over: Over = never) -> dict[int, float]:
        """Better slopes and weights of the disjuncts' roots, which branches without a state start from; their bounds."""
        numbers = list(self.rows)
        best, _ = self._bounded(roots := [Branch(d, state=self._start(d)) for d in numbers], iterations, over)
        for k, d in enumerate(numbers):
            leaves = best.leaves
            self._starts[d] = replace(
                self._starts[d], slopes=leaves.slopes[k], multipliers=leaves.multipliers[k], weights=leaves.weights[k]
            )  # fmt: skip
        return {d: roots[k].bound for k, d in enumerate(numbers)}

    def _state_of(self, branch: Branch) -> _State | None:
        """From its path alone; None where its domain is empty."""
        start = self._start(branch.disjunct)
        sides = start.sides.copy()
        low, high = self.net.low.copy(), self.net.high.copy()
        cut = False
        for x in branch.path:
            if x.node in self.net.input_slices and x.node in self.engine.network.input_slices:
                at = self.net.input_slices[x.node].start + x.index
                end, meet = (low, max) if x.side > 0 else (high, min)
                end[at] = meet(end[at], x.point)
                cut = True
            elif self._contradicts(x):
                return None
            elif x.point == 0 and (x.node, x.index) in self.net.places:
                for twin in self._twins(self.net.places[x.node, x.index]):
                    if sides[twin] == -x.side:
                        return None
                    sides[twin] = x.side
        if (low > high).any():
            return None
        return replace(start, sides=sides, box=(low, high) if cut else None)

    def _warm(self, state: _State, given: Evidence, branch: Branch) -> _State:
        """What fits of evidence from elsewhere, for other columns maybe, or nonsense."""
        slopes, multipliers = state.slopes.copy(), state.multipliers.copy()
        for block, s in zip(self.net.blocks, self.net.slices, strict=True):
            found = np.asarray(given.slopes.get(block.node, ()), np.float32)
            if block.sides is not None and found.shape == block.columns.shape and np.isfinite(found).all():
                slopes[s] = np.clip(found, *block.sides)
        for x, beta in given.multipliers.items():
            at = self.net.places.get((x.node, x.index))
            if at is not None and state.sides[at] == x.side and np.isfinite(beta):
                multipliers[at] = max(0.0, beta)
        rows = self.rows[branch.disjunct]
        wanted = np.array([given.weights.get(q, 0.0) for q in rows.values()])
        weights = state.weights.copy()
        if np.isfinite(wanted).all() and (wanted >= 0).all() and wanted.sum() > 0:
            weights[list(rows)] = wanted / wanted.sum()
        return replace(state, slopes=slopes, multipliers=multipliers, weights=weights)

    def _contradicts(self, x: Literal) -> bool:
        """The literal fails everywhere in the box of its value, by more than rounding."""
        if x.node not in self.root.boxes:
            return False
        low, high = (float(end[0, x.index]) for end in self.root.boxes[x.node])
        room = CERTAIN * (abs(low) + abs(high) + abs(x.point))
        return high < x.point - room if x.side > 0 else low > x.point + room

    def _stacked(self, states: Sequence[_State]) -> Leaves:
        boxes = self._box
        if any(s.box is not None for s in states):
            ends = [s.box or (self.net.low, self.net.high) for s in states]
            low, high = (np.stack([e[k] for e in ends]) for k in (0, 1))
            boxes = Boxes(((low + high) / 2).astype(np.float32), ((high - low) / 2).astype(np.float32))
        return Leaves(
            np.stack([s.sides for s in states]),
            np.stack([s.slopes for s in states]),
            np.stack([s.multipliers for s in states]),
            np.stack([s.weights for s in states]),
            boxes,
        )

    def _allowed(self, batch: Sequence[Branch]) -> NDArray[np.bool_]:
        found = np.zeros((len(batch), len(self.margins)), bool)
        for k, branch in enumerate(batch):
            found[k, list(self.rows[branch.disjunct])] = True
        return found

    # Evidence

    def _evidence(self, branch: Branch) -> Evidence:
        state: _State = branch.state
        positions = self.rows[branch.disjunct]
        weights = {q: float(state.weights[row]) for row, q in positions.items() if state.weights[row] > 0}
        multipliers = {}
        for x in branch.path:
            at = self.net.places.get((x.node, x.index)) if x.point == 0 else None
            if at is not None and state.multipliers[at] > 0:
                multipliers[x] = float(state.multipliers[at])
        return Evidence(weights, branch.bound, self._slopes(state), multipliers)

    def _slopes(self, state: _State) -> dict[int, Array]:
        """Per activation with columns in the frame."""
        found: dict[int, Array] = {}
        for block, s in zip(self.net.blocks, self.net.slices, strict=True):
            op = self.engine.nodes[block.node].op
            if block.sides is None:
                continue
            if isinstance(op, Relu):
                columns = self.root.columns[block.node]
                found[block.node] = np.zeros(columns.size, np.float32)
                found[block.node][np.searchsorted(columns, block.columns)] = state.slopes[s]
            elif isinstance(op, Elementwise):
                whole = self.root.lines[block.node].parts[0].lower[0][0].astype(np.float32)
                split = np.asarray(block.sides, np.float32)[(state.sides[s] > 0).astype(int)]
                whole[block.columns] = np.where(state.sides[s] != 0, split, state.slopes[s])
                found[block.node] = whole
        return found
