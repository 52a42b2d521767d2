"""Bounds of every node over one input box, as the checker's with guidance that names the unstable neurons of each ReLU.

In trusted.bounds a value that guidance has slopes for gets its backward bounds, even where the forward ones are tighter;
values of other operations that are open get the better of both. Every row of a backward pass (a neuron, a side) owns the
slopes of the activations below it, so rows are optimised one by one: layer by layer, each for its own bound.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.prover.engine import ENTRIES, Array, Bounds, Ends, Engine, Ints, Over, Stopped, never
from tlcheck.prover.float_lines import Lines, Part
from tlcheck.trusted.guidance import IntermediateSlopes
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.base import Relaxed
from tlcheck.trusted.ops.structure import Input

STEP: Final = 0.25
DECAY: Final = 0.9
MOMENTA: Final = (0.9, 0.999)

Weights = Callable[[int], NDArray[np.bool_] | None]
"""Target -> which of its values are worth optimised rows; None: all."""


@dataclass(frozen=True, eq=False)
class Root:
    """Bounds over one box, the unstable neurons of each ReLU, and the slopes that the bounds rest on."""

    inputs: Mapping[int, Ends]
    bounds: Bounds
    columns: dict[int, Ints] = field(default_factory=dict)
    intermediate: dict[tuple[int, int], IntermediateSlopes] = field(default_factory=dict)

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
) -> Root:
    """Bounds over one box (1, n), rows optimised in so many steps. Raises OutOfRange and Stopped.

    ``known``: weaker bounds over the same box; what they decide is not bounded anew.
    """
    found = Root(inputs, Bounds({}, {}))
    for i in engine.order:
        op = engine.nodes[i].op
        found.boxes[i] = inputs[i] if isinstance(op, Input) else engine.image(i, found.boxes)
        if isinstance(op, Relaxed):
            found.lines[i] = engine.lines(i, found.boxes)
        if isinstance(op, Relu):
            found.columns[i] = unstable(found.boxes[engine.nodes[i].inputs[0]])
        if i in engine.refined:
            _Target(engine, found, i, iterations, over, known).refine(worth(i))
    return found


def unstable(ends: Ends) -> Ints:
    """Neurons of a ReLU over one box whose sign is open."""
    return np.flatnonzero((ends[0][0] < 0) & (ends[1][0] > 0))


@dataclass(frozen=True, eq=False)
class _Target:
    engine: Engine
    known: Root
    node: int
    iterations: int
    over: Over
    before: Root | None = None

    def refine(self, worth: NDArray[np.bool_] | None) -> None:
        """Backward bounds of what is open, then optimised rows of what still is."""
        low, high = (np.array(end) for end in self.known.boxes[self.node])
        signs_only = all(isinstance(self.engine.nodes[c].op, Relu) for c in self._consumers)
        if signs_only and self.before is not None:
            self._decided(low, high, self.before.boxes[self.node])
        open_ = np.flatnonzero(self.engine.open_values(self.node, (low, high))[0])
        if not open_.size:
            self.known.boxes[self.node] = low, high
            return
        below, above = self._plain(open_)
        met = np.fmax(low[0, open_], below), np.fmin(high[0, open_], above)
        left = (met[0] < 0) & (met[1] > 0) if signs_only else np.zeros(open_.size, bool)
        put = left & np.isfinite(below), left & np.isfinite(above)
        low[0, open_], high[0, open_] = np.where(put[0], below, met[0]), np.where(put[1], above, met[1])
        chosen = open_[left] if signs_only else open_
        if worth is not None:
            chosen = chosen[worth[chosen]]
        if self.iterations and chosen.size:
            self._optimised(chosen, low, high, meet=not signs_only)
        self.known.boxes[self.node] = low, np.maximum(low, high)

    @staticmethod
    def _decided(low: Array, high: Array, before: Ends) -> None:
        """Take over, in place, the bounds of values whose sign is known from before."""
        at = (before[0] >= 0) | (before[1] <= 0)
        low[at] = np.maximum(low, before[0])[at]
        high[at] = np.maximum(np.minimum(high, before[1]), low)[at]

    @property
    def _consumers(self) -> tuple[int, ...]:
        return self.engine.network.consumers[self.node]

    def _plain(self, neurons: Ints) -> tuple[Array, Array]:
        signs = np.repeat([1, -1], neurons.size).astype(self.engine.dtype)
        found = self.engine.rows(
            self.node, np.tile(neurons, 2), signs, self.known.boxes, self.known.lines, self.over
        )[0]
        return found[: neurons.size], -found[neurons.size :]

    def _optimised(self, neurons: Ints, low: Array, high: Array, *, meet: bool) -> None:
        """Put (or meet) the bounds that optimised rows give, and keep their slopes as evidence."""
        count = neurons.size
        below = self._rows(neurons, 1)
        above = self._rows(neurons, -1)
        if not below.slopes:
            return  # no ReLU below has an open neuron
        ends = below.bound, -above.bound
        if meet:
            ends = np.maximum(low[0, neurons], ends[0]), np.minimum(high[0, neurons], ends[1])
        low[0, neurons], high[0, neurons] = ends
        row = np.zeros(low.shape[1], np.int64)
        row[neurons] = 1 + np.arange(count)
        for a, columns in self.known.columns.items():
            if a in below.slopes:
                first = self.known.lines[a].parts[0].lower[0][:, columns].astype(np.float32)
                self.known.intermediate[self.node, a] = IntermediateSlopes(
                    columns,
                    row,
                    np.concatenate([first, below.slopes[a]]),
                    np.concatenate([first, above.slopes[a]]),
                )

    def _rows(self, neurons: Ints, sign: int) -> _Rows:
        step = max(1, ENTRIES // self.engine.widest)
        parts = [
            self._row_chunk(neurons[start : start + step], sign) for start in range(0, neurons.size, step)
        ]
        slopes = {a: np.concatenate([p.slopes[a] for p in parts]) for a in parts[0].slopes}
        return _Rows(np.concatenate([p.bound for p in parts]), slopes)

    def _row_chunk(self, neurons: Ints, sign: int) -> _Rows:
        """Lower bounds of sign * value, each row a domain of its own, by Adam on its slopes."""
        engine, known = self.engine, self.known
        signs = np.full(1, sign, engine.dtype)
        seeds, constant = engine.seeds(self.node, neurons[:, None], signs)
        state = _Adam(known, neurons.size, engine.dtype)
        lines: Mapping[int, Lines] = known.lines
        for k in range(self.iterations + 1):
            if self.over():
                raise Stopped
            found = engine.backward(seeds, lines, keep=True)
            if not k:
                state.begin([a for a, c in known.columns.items() if a in found.kept and c.size])
            state.note((constant + engine.concretise(found, known.boxes))[:, 0])
            if k == self.iterations or not state.alpha:
                break
            values = engine.dual_point(found, lines, known.boxes, top=max(state.alpha))
            for a in state.alpha:
                z = values[engine.nodes[a].inputs[0]][..., 0, :][:, known.columns[a]]
                state.step(a, np.maximum(found.kept[a][:, 0, known.columns[a]], 0) * z, k)
            lines = {**known.lines, **state.lines()}
        return _Rows(state.bound, {a: x.astype(np.float32) for a, x in state.best.items()})


@dataclass(frozen=True, eq=False)
class _Rows:
    """``bound`` (K,), and the slopes (K, c) of each activation that gave it."""

    bound: Array
    slopes: dict[int, NDArray[np.float32]]


class _Adam:
    """Slopes of K rows at activations, on the columns that are unstable, and the best so far."""

    def __init__(self, known: Root, rows: int, dtype: np.dtype[Any]) -> None:
        self.known = known
        self.bound = np.full(rows, -np.inf, dtype)
        self.alpha: dict[int, Array] = {}

    def begin(self, activations: list[int]) -> None:
        """With the slopes of the lines at hand."""
        start = {a: self.known.lines[a].parts[0].lower[0][:, self.known.columns[a]] for a in activations}
        self.alpha = {a: np.repeat(x, self.bound.size, axis=0) for a, x in start.items()}
        self.first = {a: np.zeros_like(x) for a, x in self.alpha.items()}
        self.second = {a: np.zeros_like(x) for a, x in self.alpha.items()}
        self.best = {a: x.copy() for a, x in self.alpha.items()}

    def note(self, bound: Array) -> None:
        better = bound > self.bound
        self.bound = np.where(better, bound, self.bound)
        for a, x in self.alpha.items():
            self.best[a][better] = x[better]

    def step(self, a: int, gradient: Array, k: int) -> None:
        """Step k + 1, uphill."""
        m, v = self.first[a], self.second[a]
        m += (1 - MOMENTA[0]) * (gradient - m)
        v += (1 - MOMENTA[1]) * (gradient * gradient - v)
        sizes = np.sqrt(v / (1 - MOMENTA[1] ** (k + 1))) + 1e-12
        rate = STEP * DECAY**k / (1 - MOMENTA[0] ** (k + 1))
        self.alpha[a] = np.clip(self.alpha[a] + rate * m / sizes, 0, 1).astype(m.dtype)

    def lines(self) -> dict[int, Lines]:
        found = {}
        for a, x in self.alpha.items():
            (part,) = self.known.lines[a].parts
            slopes = np.repeat(part.lower[0], len(x), axis=0)
            slopes[:, self.known.columns[a]] = x
            found[a] = Lines((Part(0, (slopes, None), part.upper),))
        return found
