"""A network over one box with its linear entries folded away, as far as its bounds are known: what rows are bounded on.

As the root goes up, each relaxed node's lines are drawn. Entries whose two lines differ are *neurons*; all others are linear and
go away. A value z of any node above is then, exactly,

    z = M x + L h + b,    h the neurons below, x the inputs (and the values of operations with a box only),

and a bound of it is a few dense products: h from the last block to the first between its two lines, x over its box. M, L and b
of a node's values come from below, all at once (*columns*: the images of 1, of each x and of each h), or from above, value by
value; whichever costs less. Floats, unsound, in the engine's type.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.prover.engine import ENTRIES, Array, Ends, Engine, Ints, Over, Stopped, never
from tlcheck.prover.float_lines import Lines, Part
from tlcheck.trusted.arith.maps import ConvMap, Map, MatMap
from tlcheck.trusted.network import ENDS

MOST: Final = 12_000
"""Neurons of the largest folded network: L has 288 MB then."""
MOST_COLUMNS: Final = 1 << 26
"""Entries of the columns of one node: 256 MiB in float32."""
MOST_VALUES: Final = 1 << 27
"""Coefficients of the values of one node: 512 MiB in float32."""


class TooWide(Exception):
    """The network has too many open neurons to be folded."""


@dataclass(frozen=True, eq=False)
class Values:
    """K values as M x + L h + b: (K, inputs), (K, neurons), (K,)."""

    M: Array
    L: Array
    b: Array

    def of(self, which: Any) -> Values:
        return Values(self.M[which], self.L[which], self.b[which])

    def on(self, neurons: NDArray[np.bool_], inputs: NDArray[np.bool_]) -> Values:
        """Without the columns of others."""
        below = np.flatnonzero(neurons[: self.L.shape[1]])
        M = self.M if inputs.all() else self.M[:, np.flatnonzero(inputs)]
        return Values(M, self.L[:, below], self.b)


@dataclass(frozen=True, eq=False)
class Neurons:
    """Entries ``columns`` of one part of a relaxed node, neurons ``at`` of all; entries ``entries`` of node ``operand`` go in.

    ``values``: of these, on the neurons below. ``lower`` and ``upper``: (slope, intercept) of their lines, each (c,).
    """

    node: int
    part: int
    columns: Ints
    operand: int
    entries: Ints
    at: slice
    values: Values
    lower: tuple[Array, Array]
    upper: tuple[Array, Array]


class Folded:
    """``blocks``: lowest first. ``low``, ``high``: the box of x."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.inputs = tuple(i for i in engine.order if isinstance(engine.nodes[i].op, ENDS))
        ends = np.cumsum([0, *(engine.nodes[i].size for i in self.inputs)]).tolist()
        self.input_slices = {i: slice(*ends[k : k + 2]) for k, i in enumerate(self.inputs)}
        self.width: int = ends[-1]
        self.low, self.high = np.zeros(self.width, engine.dtype), np.zeros(self.width, engine.dtype)
        self.blocks: list[Neurons] = []
        self.lines: dict[int, Lines] = {}
        self.drawn = False
        """All lines are drawn: they may be drawn anew, of the same neurons."""
        self._known: dict[int, tuple[Ints, Values]] = {}
        self._columns: dict[int, Array] = {}
        self._spent = 0

    @property
    def count(self) -> int:
        return self.blocks[-1].at.stop if self.blocks else 0

    def again(self) -> Folded:
        """For the same box: the same neurons, for other lines of theirs."""
        found = copy(self)
        found.blocks, found.lines, found.drawn = list(self.blocks), dict(self.lines), True
        found.low, found.high = self.low.copy(), self.high.copy()
        found._known, found._columns = {}, {}
        return found

    def done(self) -> None:
        """Forget what only helps to grow."""
        self.drawn = True
        self._known, self._columns = {}, {}

    def put(self, node: int, ends: Ends) -> None:
        """The box of an input, or of an operation with a box only."""
        s = self.input_slices[node]
        self.low[s], self.high[s] = ends[0][0], ends[1][0]

    def draw(self, node: int, lines: Lines, over: Over = never) -> None:
        """A relaxed node's lines, once those of all below are drawn. Raises Stopped, and TooWide."""
        self.lines[node] = lines
        if self.drawn:
            for k, block in enumerate(self.blocks):
                if block.node == node:
                    self.blocks[k] = _redrawn(block, lines.parts[block.part])
            return
        start = self.count
        for k, part in enumerate(lines.parts):
            columns = np.flatnonzero(differ(part)[0])
            if columns.size:
                if start + columns.size > MOST:
                    raise TooWide(f"{start + columns.size} open neurons")
                operand = self.engine.nodes[node].inputs[part.operand]
                entries = columns if part.entries is None else part.entries.index[columns]
                values = self.values(operand, entries, over)
                at = slice(start, start + columns.size)
                start = at.stop
                picked = taken(part, 0, columns), taken(part, 1, columns)
                self.blocks.append(Neurons(node, k, columns, operand, entries, at, values, *picked))
        for operand in self.engine.nodes[node].inputs:
            self._known.pop(operand, None)  # what was bounded and is no neuron

    # Values

    def values(self, node: int, entries: Ints, over: Over = never) -> Values:
        """Of a node whose operands' lines are all drawn. Raises Stopped, and TooWide."""
        if entries.size * (self.width + self.count) > MOST_VALUES:
            raise TooWide(f"{entries.size} values of {self.width} inputs and {self.count} open neurons")
        known = self._found(node)
        missing = np.setdiff1d(entries, known[0])
        if missing.size:
            made = missing, self._made(node, missing, over)
            known = self._known[node] = _joined(known, made) if known[0].size else made
        if known[0].size == entries.size and np.array_equal(known[0], entries):
            return known[1]
        return known[1].of(np.searchsorted(known[0], entries))

    def _found(self, node: int) -> tuple[Ints, Values]:
        """What is known of a node: entries in rising order, and their values."""
        if node not in self._known:
            dtype = self.engine.dtype
            none = Values(np.zeros((0, self.width), dtype), np.zeros((0, 0), dtype), np.zeros(0, dtype))
            found: tuple[Ints, Values] = np.zeros(0, np.int64), none
            for block in self.blocks:
                if block.operand == node:
                    found = _joined(found, (block.entries, block.values))
            self._known[node] = found
        return self._known[node]

    def _made(self, node: int, entries: Ints, over: Over) -> Values:
        """From above until that has cost as much as the columns of all that is below, then from below."""
        if not self.drawn and entries.size:
            price = entries.size * sum(self._work[j] for j in self._below[node])
            kept = node not in self._columns or self._columns[node].size > 0
            if kept and self._spent + price > self._price_of_columns(node) and self._fits(node):
                return self._from_columns(node, entries, over)
            self._spent += price
        return self._carried(node, entries, over)

    def _carried(self, node: int, entries: Ints, over: Over) -> Values:
        parts = []
        step = max(1, ENTRIES // self.engine.widest)
        for start in range(0, entries.size, step):
            if over():
                raise Stopped
            some = entries[start : start + step]
            blocks, constant = self.engine.seeds(node, some, np.ones(some.size, self.engine.dtype))
            found = self.linear(blocks, some.size)
            parts.append(Values(found.M, found.L, found.b + constant[0]))
        return Values(*(np.concatenate([getattr(p, f) for p in parts]) for f in ("M", "L", "b")))

    def linear(self, blocks: Mapping[int, Array], rows: int) -> Values:
        """Of linear forms, by blocks of coefficients (1, rows, n) on nodes."""
        engine, pending = self.engine, dict(blocks)
        x, h = np.zeros((rows, self.width), engine.dtype), np.zeros((rows, self.count), engine.dtype)
        constant = np.zeros((1, rows), engine.dtype)
        for i in reversed(engine.order):
            if i not in pending:
                continue
            a = pending.pop(i)
            if i in self.input_slices:
                x[:, self.input_slices[i]] = a[0]
            elif i in engine.fixed:
                constant = constant + a @ engine.fixed[i]
            elif i in self.lines:
                constant = constant + self._through(i, a, h, pending)
            else:
                constant = constant + engine.adjoint(i, a, pending)
        return Values(x, h, np.broadcast_to(constant, (1, rows))[0])

    def _through(self, i: int, a: Array, h: Array, pending: dict[int, Array]) -> Array:
        """Stop at neurons, go on through linear entries."""
        lines = self.lines[i]
        if lines.sums is not None:
            a = self.engine.maps.adjoint(lines.sums, a)
        constant = np.zeros((1, 1), self.engine.dtype)
        for k, part in enumerate(lines.parts):
            rest = a
            block = self._block(i, k)
            if block is not None:
                h[:, block.at] += a[0][:, block.columns]
                rest = a.copy()
                rest[:, :, block.columns] = 0
            constant = constant + rest @ intercepts(part, 1)[0]
            found = rest * part.upper[0]
            if part.entries is not None:
                found = self.engine.maps.adjoint(part.entries, found)
            operand = self.engine.nodes[i].inputs[part.operand]
            pending[operand] = pending[operand] + found if operand in pending else found
        return constant

    def _block(self, node: int, part: int) -> Neurons | None:
        return next((b for b in self.blocks if (b.node, b.part) == (node, part)), None)

    # Columns

    def _from_columns(self, node: int, entries: Ints, over: Over) -> Values:
        for j in [*self._below[node], node]:
            if j not in self._columns:
                if over():
                    raise Stopped
                self._columns[j] = self._column(j)
        x, column = 1 + self.width, self._columns[node][:, entries]
        column = np.pad(column, ((0, max(0, x - len(column))), (0, 0)))  # of constants: one row
        found = np.ascontiguousarray(column.T)
        self._let_go()
        L = np.zeros((entries.size, self.count), found.dtype)
        L[:, : found.shape[1] - x] = found[:, x:]
        return Values(np.ascontiguousarray(found[:, 1:x]), L, found[:, 0].copy())

    def _let_go(self) -> None:
        """Columns that no node above needs any more are emptied; that they were there is kept."""
        for j, x in self._columns.items():
            if x.size and all(k in self._columns for k in self._users[j]):
                self._columns[j] = x[:0]

    def _column(self, i: int) -> Array:
        """(1 + inputs + neurons below, n): the images of 1, of each input and of each neuron."""
        engine, size = self.engine, self.engine.nodes[i].size
        if i in self.input_slices:
            found = np.zeros((1 + self.width, size), engine.dtype)
            s = self.input_slices[i]
            found[1 + s.start : 1 + s.stop] = np.eye(size, dtype=engine.dtype)
            return found
        if i in engine.fixed:
            return np.asarray(engine.fixed[i][None])
        if i in self.lines:
            return self._column_of_lines(i)
        affine = engine.network.affine[i]
        if affine is None:
            raise ValueError(f"no lines of node {i}")
        found = np.zeros((1, size), engine.dtype)
        for m, j in zip(affine.maps, engine.nodes[i].inputs, strict=True):
            found = _added(found, self._forward(m, self._columns[j]))
        if i in engine.offset:
            found[0] += engine.offset[i]
        return found

    def _forward(self, m: Map, x: Array) -> Array:
        step = max(1, ENTRIES // max(m.n_in, m.n_out))
        parts = [self.engine.maps.forward(m, x[k : k + step]) for k in range(0, len(x), step)]
        return np.concatenate(parts)

    def _column_of_lines(self, i: int) -> Array:
        lines, forward = self.lines[i], self.engine.maps.forward
        total = np.zeros((1, 1), self.engine.dtype)
        for k, part in enumerate(lines.parts):
            x = self._columns[self.engine.nodes[i].inputs[part.operand]]
            if part.entries is not None:
                x = forward(part.entries, x)
            block = self._block(i, k)
            slope, intercept = part.upper[0][0], intercepts(part, 1)[0]
            if block is not None:
                slope, intercept = slope.copy(), intercept.copy()
                slope[block.columns] = intercept[block.columns] = 0
            found = x * slope
            found[0] += intercept
            if block is not None:
                own = np.zeros((1 + self.width + block.at.stop, found.shape[1]), found.dtype)
                own[: len(found)] = found
                own[1 + self.width + np.arange(block.at.start, block.at.stop), block.columns] = 1
                found = own
            total = found if total.size == 1 else _added(total, found)
        return total if lines.sums is None else forward(lines.sums, total)

    @cached_property
    def _below(self) -> dict[int, list[int]]:
        """Node -> the nodes that it depends on, in order."""
        found: dict[int, set[int]] = {}
        for i in self.engine.order:
            inputs = self.engine.nodes[i].inputs
            found[i] = set(inputs).union(*(found[j] for j in inputs))
        return {i: sorted(s) for i, s in found.items()}

    @cached_property
    def _users(self) -> dict[int, list[int]]:
        """Node -> nodes that have it as an operand; itself, where none has."""
        found: dict[int, list[int]] = {i: [] for i in self.engine.order}
        for i in self.engine.order:
            for j in self.engine.nodes[i].inputs:
                found[j].append(i)
        return {i: users or [i] for i, users in found.items()}

    @cached_property
    def _work(self) -> dict[int, int]:
        """Node -> multiplications of one pass through it, and one for each value."""
        found = {i: self.engine.nodes[i].size for i in self.engine.order}
        for i in found:
            affine = self.engine.network.affine[i]
            found[i] += sum(map(_work, affine.maps)) if affine is not None else 0
        return found

    def _price_of_columns(self, node: int) -> int:
        found, columns = 0, 1 + self.width
        for i in [*self._below[node], node]:
            columns += sum(b.columns.size for b in self.blocks if b.node == i)
            found += 0 if i in self._columns else columns * self._work[i]
        return found

    def _fits(self, node: int) -> bool:
        most = max(self.engine.nodes[i].size for i in [*self._below[node], node])
        return (1 + self.width + self.count) * most <= MOST_COLUMNS


def _work(m: Map) -> int:
    match m:
        case MatMap():
            return int(m.positions * prod(m.weight.shape))
        case ConvMap():
            return int(prod(m.narrow[2:]) * prod(m.weight.shape))
        case _:
            return 0


def _added(a: Array, b: Array) -> Array:
    """The sum of columns; what is missing is 0."""
    if len(a) < len(b):
        a, b = b, a
    a[: len(b)] += b
    return a


def _joined(a: tuple[Ints, Values], b: tuple[Ints, Values]) -> tuple[Ints, Values]:
    """Both, by rising entries, each once; L as wide as the wider one."""
    entries, first = np.unique(np.concatenate([a[0], b[0]]), return_index=True)
    width = max(a[1].L.shape[1], b[1].L.shape[1])
    L = [np.pad(v.L, ((0, 0), (0, width - v.L.shape[1]))) for v in (a[1], b[1])]
    whole = Values(np.concatenate([a[1].M, b[1].M]), np.concatenate(L), np.concatenate([a[1].b, b[1].b]))
    return entries, whole.of(first)


def _redrawn(block: Neurons, part: Part) -> Neurons:
    picked = taken(part, 0, block.columns), taken(part, 1, block.columns)
    return Neurons(
        block.node, block.part, block.columns, block.operand, block.entries, block.at, block.values, *picked
    )


def taken(part: Part, side: int, columns: Ints) -> tuple[Array, Array]:
    """(slope, intercept) of some entries' lower or upper lines."""
    slope = part.upper[0] if side else part.lower[0]
    return slope[0, columns], intercepts(part, side)[0, columns]


def differ(part: Part) -> NDArray[np.bool_]:
    """Where an entry's lines are two, by more than rounding."""
    low, high = intercepts(part, 0), intercepts(part, 1)
    rounding = 16 * np.finfo(high.dtype).eps * (1 + np.abs(high))
    return np.asarray((part.lower[0] != part.upper[0]) | (np.abs(high - low) > rounding))


def intercepts(part: Part, side: int) -> NDArray[Any]:
    """The lower or upper ones as an array (1, n)."""
    slope, intercept = part.upper if side else part.lower
    return np.zeros_like(slope) if intercept is None else intercept
