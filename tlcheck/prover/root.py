"""Bounds of every node over one input box, as the checker's with guidance that names the unstable neurons of each ReLU.

In trusted.bounds a value that guidance has slopes for gets its backward bounds, even where the forward ones are tighter;
values of other operations that are open get the better of both. Every row of a backward pass (a neuron, a side) owns the
slopes of the activations below it, so rows are optimised one by one: layer by layer, each for its own bound.

The network is folded as the bounds go up (``folded``), so that a row is a few dense products. One that is too wide for that
has its rows carried through the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tlcheck.prover.engine import ENTRIES, Array, Bounds, Ends, Engine, Ints, Over, Stopped, never
from tlcheck.prover.float_lines import Lines, Part
from tlcheck.prover.folded import Folded, TooWide
from tlcheck.prover.folded_rows import Ascent, Layers, RowBounds, tiles_of
from tlcheck.trusted.guidance import IntermediateSlopes
from tlcheck.trusted.network import ENDS
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.base import Relaxed
from tlcheck.trusted.ops.structure import Input

Weights = Callable[[int], NDArray[np.bool_] | None]
"""Target -> which of its values are worth optimised rows; None: all."""


@dataclass(frozen=True, eq=False)
class Root:
    """Bounds over one box, the unstable neurons of each ReLU, and the slopes that the bounds rest on.

    ``net``: the network folded over them; None where it is too wide.
    """

    inputs: Mapping[int, Ends]
    bounds: Bounds
    columns: dict[int, Ints] = field(default_factory=dict)
    intermediate: dict[tuple[int, int], IntermediateSlopes] = field(default_factory=dict)
    net: Folded | None = None

    @property
    def boxes(self) -> dict[int, Ends]:
        return self.bounds.boxes

    @property
    def lines(self) -> dict[int, Lines]:
        return self.bounds.lines


def root(
    engine: Engine,
    inputs: Mapping[int, Ends],
    iterations: int = 0,
    over: Over = never,
    worth: Weights = lambda _: None,
    known: Root | None = None,
    *,
    folds: bool = True,
) -> Root:
    """Bounds over one box (1, n), rows optimised in so many steps. Raises OutOfRange and Stopped.

    ``known``: weaker bounds over the same box; what they decide is not bounded anew. ``folds``: not through the graph.
    """
    net = Folded(engine) if folds and known is None else None
    if folds and known is not None and known.net is not None:
        net = known.net.again()
    return _Rise(engine, Root(inputs, Bounds({}, {})), net, iterations, over, known).risen(worth)


def unstable(ends: Ends) -> Ints:
    """Neurons of a ReLU over one box whose sign is open."""
    return np.flatnonzero((ends[0][0] < 0) & (ends[1][0] > 0))


@dataclass(eq=False)
class _Rise:
    """From the inputs up. ``net`` is None from where it got too wide on."""

    engine: Engine
    found: Root
    net: Folded | None
    iterations: int
    over: Over
    before: Root | None

    def risen(self, worth: Weights) -> Root:
        engine, found = self.engine, self.found
        for i in engine.order:
            op = engine.nodes[i].op
            found.boxes[i] = found.inputs[i] if isinstance(op, Input) else engine.image(i, found.boxes)
            if isinstance(op, Relaxed):
                found.lines[i] = engine.lines(i, found.boxes)
            if isinstance(op, Relu) and i in engine.spoken:
                found.columns[i] = unstable(found.boxes[engine.nodes[i].inputs[0]])
            self._fold(i)
            if i in engine.refined:
                self._refine(i, worth(i))
        if self.net is not None:
            self.net.done()
        return replace(found, net=self.net)

    def _fold(self, i: int) -> None:
        if self.net is None:
            return
        if isinstance(self.engine.nodes[i].op, ENDS):
            self.net.put(i, self.found.boxes[i])
        elif i in self.found.lines:
            try:
                self.net.draw(i, self.found.lines[i], self.over)
            except TooWide:
                self.net = None

    def _rows(self, target: int, neurons: Ints) -> Rows:
        if self.net is not None:
            try:
                values = self.net.values(target, neurons, self.over)
            except TooWide:
                self.net = None
            else:
                tiles = tiles_of(self.engine.nodes[target].shape, neurons)
                layers = Layers.of(self.net, values.L.shape[1])
                return _FoldedRows(self.net, RowBounds(layers, values, tiles), self.found, self.over)
        return _GraphRows(self.engine, self.found, target, neurons, self.over)

    def _refine(self, target: int, worth: NDArray[np.bool_] | None) -> None:
        """Backward bounds of what is open, then optimised rows of what still is."""
        low, high = (np.array(end) for end in self.found.boxes[target])
        signs_only = all(
            isinstance(self.engine.nodes[c].op, Relu) and c in self.engine.spoken
            for c in self.engine.network.consumers[target]
        )
        if signs_only and self.before is not None:
            _decided(low, high, self.before.boxes[target])
        open_ = np.flatnonzero(self.engine.open_values(target, (low, high))[0])
        if not open_.size:
            self.found.boxes[target] = low, high
            return
        below, above = self._rows(target, open_).plain()
        met = np.fmax(low[0, open_], below), np.fmin(high[0, open_], above)
        left = (met[0] < 0) & (met[1] > 0) if signs_only else np.zeros(open_.size, bool)
        put = left & np.isfinite(below), left & np.isfinite(above)
        low[0, open_], high[0, open_] = np.where(put[0], below, met[0]), np.where(put[1], above, met[1])
        chosen = open_[left] if signs_only else open_
        if worth is not None:
            chosen = chosen[worth[chosen]]
        if self.iterations and chosen.size and target in self.engine.spoken:
            self._optimise(target, chosen, (low, high), meet=not signs_only)
        self.found.boxes[target] = low, np.maximum(low, high)

    def _optimise(self, target: int, neurons: Ints, box: Ends, *, meet: bool) -> None:
        """Put (or meet) the bounds that optimised rows give, and keep their slopes as evidence."""
        low, high = box
        rows = self._rows(target, neurons)
        below, above = (rows.optimised(sign, self.iterations) for sign in (1, -1))
        if not below.slopes:
            return  # no ReLU below has an open neuron
        ends = below.bound, -above.bound
        if meet:
            ends = np.maximum(low[0, neurons], ends[0]), np.minimum(high[0, neurons], ends[1])
        low[0, neurons], high[0, neurons] = ends
        row = np.zeros(low.shape[1], np.int64)
        row[neurons] = 1 + np.arange(neurons.size)
        for a, (columns, found) in below.slopes.items():
            first = self.found.lines[a].parts[0].lower[0][:, columns].astype(np.float32)
            self.found.intermediate[target, a] = IntermediateSlopes(
                columns, row, np.concatenate([first, found]), np.concatenate([first, above.slopes[a][1]])
            )


def _decided(low: Array, high: Array, before: Ends) -> None:
    """Take over, in place, the bounds of values whose sign is known from before."""
    at = (before[0] >= 0) | (before[1] <= 0)
    low[at] = np.maximum(low, before[0])[at]
    high[at] = np.maximum(np.minimum(high, before[1]), low)[at]


@dataclass(frozen=True, eq=False)
class Found:
    """``bound`` (K,), and at each activation the neurons (c,) with slopes (K, c) of their own that gave it."""

    bound: Array
    slopes: dict[int, tuple[Ints, NDArray[np.float32]]]


class Rows(Protocol):
    """Bounds of K values of a target."""

    def plain(self) -> tuple[Array, Array]:
        """(K,) lower and upper ones, by the lines as they are."""
        ...

    def optimised(self, sign: int, iterations: int) -> Found:
        """Lower bounds of sign x value."""
        ...


@dataclass(frozen=True, eq=False)
class _FoldedRows:
    net: Folded
    bounds: RowBounds
    known: Root
    over: Over

    def plain(self) -> tuple[Array, Array]:
        below, above = self.bounds.plain((1, -1), self.over)
        return below, -above

    def optimised(self, sign: int, iterations: int) -> Found:
        bound, slopes = self.bounds.optimised(sign, iterations, self.over)
        kept = {}
        for block in self.net.blocks[: len(self.bounds.layers.at)]:
            columns = self.known.columns.get(block.node, np.zeros(0, np.int64))
            shared, at, _ = np.intersect1d(block.columns, columns, assume_unique=True, return_indices=True)
            if shared.size:
                kept[block.node] = shared, slopes[:, block.at.start + at].astype(np.float32)
        return Found(bound, kept)


@dataclass(frozen=True, eq=False)
class _GraphRows:
    engine: Engine
    known: Root
    node: int
    neurons: Ints
    over: Over

    def plain(self) -> tuple[Array, Array]:
        count = self.neurons.size
        signs = np.repeat([1, -1], count).astype(self.engine.dtype)
        neurons, known = np.tile(self.neurons, 2), self.known
        found = self.engine.rows(self.node, neurons, signs, known.boxes, known.lines, self.over)[0]
        return found[:count], -found[count:]

    def optimised(self, sign: int, iterations: int) -> Found:
        step = max(1, ENTRIES // self.engine.widest)
        parts = [
            self._chunk(self.neurons[start : start + step], sign, iterations)
            for start in range(0, self.neurons.size, step)
        ]
        slopes = {
            a: (c, np.concatenate([p.slopes[a][1] for p in parts])) for a, (c, _) in parts[0].slopes.items()
        }
        return Found(np.concatenate([p.bound for p in parts]), slopes)

    def _chunk(self, neurons: Ints, sign: int, iterations: int) -> Found:
        """Each row is a domain of its own."""
        engine, known = self.engine, self.known
        seeds, constant = engine.seeds(self.node, neurons[:, None], np.full(1, sign, engine.dtype))
        lines: Mapping[int, Lines] = known.lines
        states: dict[int, Ascent] = {}
        bound = np.full(neurons.size, -np.inf, engine.dtype)
        for k in range(iterations + 1):
            if self.over():
                raise Stopped
            found = engine.backward(seeds, lines, keep=True)
            if not k:
                states = dict(self._begun(found.kept, neurons.size))
            now = (constant + engine.concretise(found, known.boxes))[:, 0]
            bound = np.fmax(bound, now)
            for state in states.values():
                state.note(now)
            if k == iterations or not states:
                break
            values = engine.dual_point(found, lines, known.boxes, top=max(states))
            for a, state in states.items():
                z = values[engine.nodes[a].inputs[0]][..., 0, :][:, known.columns[a]]
                state.step(np.maximum(found.kept[a][:, 0, known.columns[a]], 0) * z, k)
            lines = {**known.lines, **{a: self._lines(a, state.slopes) for a, state in states.items()}}
        return Found(bound, {a: (known.columns[a], x.best.astype(np.float32)) for a, x in states.items()})

    def _begun(self, reached: Mapping[int, Any], rows: int) -> Iterator[tuple[int, Ascent]]:
        """With the slopes of the lines at hand."""
        for a, columns in self.known.columns.items():
            if a in reached and columns.size:
                first = self.known.lines[a].parts[0].lower[0][:, columns]
                yield a, Ascent(np.repeat(first, rows, axis=0), np.zeros_like(first), np.ones_like(first))

    def _lines(self, a: int, slopes: Array) -> Lines:
        (part,) = self.known.lines[a].parts
        whole = np.repeat(part.lower[0], len(slopes), axis=0)
        whole[:, self.known.columns[a]] = slopes
        return Lines((Part(0, (whole, None), part.upper),))
