"""Lower bounds of many values at once over a folded network, each row with slopes of its own, and Adam on them.

With A_i a row's coefficient on neuron i, z* and h* the values at the point of the box where the row is least, through the lines
that it chose: dBound/da_i = max(A_i, 0) z*_i for the slope a_i of a lower line. See ``optimise``.

Values of a convolution that are near to each other depend on few neurons and inputs, and on the same: such rows are bounded
together, on those alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.prover.engine import Array, Ints, Over, Stopped, never
from tlcheck.prover.folded import Folded, Values
from tlcheck.trusted.ops.activation import Relu

STEP: Final = 0.25
DECAY: Final = 0.9
MOMENTA: Final = (0.9, 0.999)
CHUNK: Final = 1 << 21
"""Coefficients of one chunk of rows."""
TOGETHER: Final = 32
"""Rows of a tile of values, about."""
NARROW: Final = 0.5
"""Of the work on everything, what that on a tile's own neurons and inputs may be for it to be done by itself."""


class Ascent:
    """Adam on arrays of slopes (K, c) between ``floor`` and ``ceiling``, and the best of each row so far."""

    def __init__(self, slopes: Array, floor: Array, ceiling: Array) -> None:
        self.slopes, self.floor, self.ceiling = slopes, floor, ceiling
        self.bound = np.full(len(slopes), -np.inf, slopes.dtype)
        self.best = slopes.copy()
        self.first, self.second = np.zeros_like(slopes), np.zeros_like(slopes)

    def note(self, bound: Array) -> None:
        better = bound > self.bound
        self.bound[better] = bound[better]
        self.best[better] = self.slopes[better]

    def step(self, gradient: Array, k: int) -> None:
        """Step k + 1, uphill."""
        self.first += (1 - MOMENTA[0]) * (gradient - self.first)
        self.second += (1 - MOMENTA[1]) * (gradient * gradient - self.second)
        sizes = np.sqrt(self.second / (1 - MOMENTA[1] ** (k + 1))) + 1e-12
        rate = STEP * DECAY**k / (1 - MOMENTA[0] ** (k + 1))
        moved = self.slopes + rate * self.first / sizes
        self.slopes = np.clip(moved, self.floor, self.ceiling).astype(self.slopes.dtype, copy=False)


@dataclass(frozen=True, eq=False)
class Layers:
    """Neurons block by block: ``at[k]`` those of block k, ``values[k]`` their values on the blocks below.

    ``lower``, ``upper``: (slope, intercept) of their lines, (c,) each; ``free``: whose lower slope may be anything from 0 to 1.
    """

    at: tuple[slice, ...]
    values: tuple[Values, ...]
    lower: tuple[Array, Array]
    upper: tuple[Array, Array]
    free: NDArray[np.bool_]
    centre: Array
    radius: Array

    @staticmethod
    def of(net: Folded, width: int) -> Layers:
        """Those that have the first ``width`` neurons."""
        nodes, blocks = net.engine.nodes, [b for b in net.blocks if b.at.start < width]
        free = [
            np.full(b.columns.size, isinstance(nodes[b.node].op, Relu) and b.node in net.engine.spoken)
            & (b.lower[0] != b.upper[0])
            for b in blocks
        ]
        lines = [
            _joined([(b.lower, b.upper)[side][which] for b in blocks], net.engine.dtype)
            for side in (0, 1)
            for which in (0, 1)
        ]
        return Layers(
            tuple(b.at for b in blocks),
            tuple(b.values for b in blocks),
            (lines[0], lines[1]),
            (lines[2], lines[3]),
            _joined(free, np.dtype(bool)),
            (net.low + net.high) / 2,
            (net.high - net.low) / 2,
        )

    @property
    def count(self) -> int:
        return self.free.size

    @cached_property
    def work(self) -> int:
        """Multiplications of a row."""
        return sum(v.M.size + v.L.size for v in self.values)

    def support(self, rows: Values) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """The neurons (c,) and inputs (n,) that any of some rows depends on."""
        neurons = np.zeros(self.count, bool)
        neurons[: rows.L.shape[1]] = (rows.L != 0).any(axis=0)
        inputs = (rows.M != 0).any(axis=0)
        for s, (on_x, on_h) in zip(reversed(self.at), reversed(self._links), strict=True):
            mine = neurons[s]
            neurons[: on_h.shape[1]] |= on_h[mine].any(axis=0)
            inputs |= on_x[mine].any(axis=0)
        return neurons, inputs

    @cached_property
    def _links(self) -> list[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
        return [(v.M != 0, v.L != 0) for v in self.values]

    def work_on(self, neurons: NDArray[np.bool_], inputs: NDArray[np.bool_]) -> int:
        """``work`` of ``narrowed``."""
        below = np.concatenate([[0], np.cumsum(neurons)])
        here = [int(below[s.stop] - below[s.start]) for s in self.at]
        wide = int(inputs.sum())
        return sum(n * (wide + int(below[v.L.shape[1]])) for n, v in zip(here, self.values, strict=True))

    def narrowed(self, neurons: NDArray[np.bool_], inputs: NDArray[np.bool_]) -> Layers:
        """With these neurons and inputs alone."""
        at, values, start = [], [], 0
        for s, v in zip(self.at, self.values, strict=True):
            mine = np.flatnonzero(neurons[s])
            if mine.size:
                values.append(v.of(mine).on(neurons, inputs))
                at.append(slice(start, start + mine.size))
                start += mine.size
        return replace(
            self, at=tuple(at), values=tuple(values), free=self.free[neurons],
            lower=(self.lower[0][neurons], self.lower[1][neurons]),
            upper=(self.upper[0][neurons], self.upper[1][neurons]),
            centre=self.centre[inputs], radius=self.radius[inputs],
        )  # fmt: skip

    def down(self, rows: Values, slopes: Array) -> tuple[Array, Array, Array]:
        """(bounds (K,), coefficients on h (K, c) and on x (K, n)); slopes (K or 1, c) of the lower lines."""
        a = np.zeros((rows.b.size, self.count), rows.L.dtype)
        a[:, : rows.L.shape[1]] = rows.L
        x, constant = rows.M.copy(), rows.b.copy()
        upper, high, low = *self.upper, self.lower[1]
        for s, values in zip(reversed(self.at), reversed(self.values), strict=True):
            part = a[:, s]
            positive = np.maximum(part, 0)
            constant += part @ high[s] + positive @ (low[s] - high[s])
            on_z = part * upper[s] + positive * (slopes[:, s] - upper[s])
            constant += on_z @ values.b
            below = values.L.shape[1]
            if below:
                a[:, :below] += on_z @ values.L
            x += on_z @ values.M
        return constant + x @ self.centre - np.abs(x) @ self.radius, a, x

    def up(self, a: Array, x: Array, slopes: Array) -> Array:
        """z (K, c) at the point of the box where x . is least, through the lines that ``down`` chose."""
        point = self.centre - np.sign(x) * self.radius
        z, h = np.empty_like(a), np.empty_like(a)
        for s, values in zip(self.at, self.values, strict=True):
            here = point @ values.M.T + values.b
            below = values.L.shape[1]
            if below:
                here += h[:, :below] @ values.L.T
            negative = a[:, s] < 0
            z[:, s] = here
            h[:, s] = here * np.where(negative, self.upper[0][s], slopes[:, s])
            h[:, s] += np.where(negative, self.upper[1][s], self.lower[1][s])
        return z


class RowBounds:
    """Bounds of ``values``, in ``tiles``: which of them are near to each other."""

    def __init__(self, layers: Layers, values: Values, tiles: Sequence[Ints] = ()) -> None:
        self.layers, self.values = layers, values
        self.tiles = tiles or [np.arange(values.b.size)]

    def plain(self, signs: Sequence[int], over: Over = never) -> Array:
        """(len(signs), K) lower bounds of sign x value, by the lines as they are. Raises Stopped."""
        found = np.empty((len(signs), self.values.b.size), self.values.b.dtype)
        for rows, layers, values, _ in self._parts(over):
            for s, sign in enumerate(signs):
                found[s, rows] = layers.down(_signed(values, sign), layers.lower[0][None])[0]
        return found

    def optimised(self, sign: int, iterations: int, over: Over = never) -> tuple[Array, Array]:
        """(K,) lower bounds of sign x value, and the slopes (K, c) of the lower lines that give them. Raises Stopped."""
        bounds = np.empty_like(self.values.b)
        slopes = np.tile(self.layers.lower[0], (bounds.size, 1))
        for rows, layers, values, neurons in self._parts(over):
            found = self._optimised(layers, _signed(values, sign), iterations, over)
            bounds[rows] = found.bound
            slopes[np.ix_(rows, neurons)] = found.best
        return bounds, slopes

    def _optimised(self, layers: Layers, rows: Values, iterations: int, over: Over) -> Ascent:
        slope = layers.lower[0]
        floor, ceiling = np.where(layers.free, 0, slope), np.where(layers.free, 1, slope)
        state = Ascent(np.tile(slope, (rows.b.size, 1)), floor, ceiling)
        for k in range(iterations + 1):
            if over():
                raise Stopped
            bound, a, x = layers.down(rows, state.slopes)
            state.note(bound)
            if k < iterations and layers.count:
                state.step(np.maximum(a, 0) * layers.up(a, x, state.slopes), k)
        return state

    def _parts(self, over: Over) -> Iterator[tuple[Ints, Layers, Values, Ints]]:
        """Rows that are bounded together: which, on what, their values there, and which neurons these are."""
        layers, rest = self.layers, []
        everything = np.arange(layers.count)
        for tile in self.tiles if len(self.tiles) > 1 else ():
            if over():
                raise Stopped
            mine = self.values.of(tile)
            neurons, inputs = layers.support(mine)
            if layers.work_on(neurons, inputs) > NARROW * layers.work:
                rest.append(tile)
                continue
            yield tile, layers.narrowed(neurons, inputs), mine.on(neurons, inputs), np.flatnonzero(neurons)
        whole = np.concatenate([np.zeros(0, np.int64), *(rest if len(self.tiles) > 1 else self.tiles)])
        step = max(1, CHUNK // max(1, layers.count + layers.centre.size))
        for start in range(0, whole.size, step):
            if over():
                raise Stopped
            some = whole[start : start + step]
            yield some, layers, self.values.of(some), everything


def tiles_of(shape: tuple[int, ...], entries: Ints) -> list[Ints]:
    """Positions in ``entries``, values of a node (1, channels, rows, columns), by the square that they are in; else all."""
    if len(shape) != 4 or entries.size <= TOGETHER:
        return [np.arange(entries.size)]
    _, y, x = np.unravel_index(entries, shape[1:])
    side = 1
    while side < max(shape[2:]) and entries.size < TOGETHER * -(-shape[2] // side) * -(-shape[3] // side):
        side *= 2
    square = y // side * shape[3] + x // side
    order = np.argsort(square, kind="stable")
    return np.split(order, 1 + np.flatnonzero(np.diff(square[order])))


def _joined(arrays: Sequence[Array], dtype: np.dtype[Any]) -> Array:
    return np.concatenate([*arrays, np.zeros(0, dtype)]).astype(dtype, copy=False)


def _signed(values: Values, sign: float) -> Values:
    return values if sign > 0 else Values(-values.M, -values.L, -values.b)
