"""The condensed network: what is open over one box, and nothing else.

Over a box most activations are linear. Folded away, a network of any shape becomes, for its C open *neurons* and K constraints,

    z = M x + L h + b,   h_i between two lines in z_i,   f = G x + Q h + e,        L strictly block lower triangular,

where x are the inputs (and the values of operations with a box only). A neuron is an entry of an activation, of a selection or
of a product whose two lines differ. With one kink at 0 and bending up (ReLU, leaky ReLU, |x|) it is *free*: its lower line is
a z, of any slope between those of its sides, and a split at 0 makes it linear. Others keep the lines of the box.

Rows of M, L, b, G, Q, e come from one backward pass each that goes through linear entries and stops at neurons.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tlcheck.prover.engine import ENTRIES, Array, Engine, Ints, Over, Stopped, never
from tlcheck.prover.float_lines import Part
from tlcheck.prover.root import Root
from tlcheck.trusted.network import ENDS
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.base import Operation
from tlcheck.trusted.ops.bent import Abs, LeakyRelu
from tlcheck.trusted.query import LinearConstraint

MOST: Final = 12_000
"""Neurons of the largest condensed network: L has 576 MB then."""


class TooWide(Exception):
    """The network has too many open neurons to be condensed."""


@dataclass(frozen=True, eq=False)
class Forms:
    """K constraints sum c . (x, y) - bound <= 0, as rows. ``size``: |bound| + sum |c|, what errors are measured by."""

    outputs: Array
    inputs: Array
    bounds: Array
    size: Array

    @staticmethod
    def of(constraints: Sequence[LinearConstraint], n_inputs: int, n_outputs: int) -> Forms:
        inputs, outputs = np.zeros((len(constraints), n_inputs)), np.zeros((len(constraints), n_outputs))
        for k, c in enumerate(constraints):
            for row, pairs in ((inputs, c.inputs), (outputs, c.outputs)):
                for i, q in pairs:
                    row[k, i] = float(q)
        bounds = np.array([float(c.bound) for c in constraints])
        return Forms(outputs, inputs, bounds, np.abs(bounds) + np.abs(inputs).sum(1) + np.abs(outputs).sum(1))


@dataclass(frozen=True, eq=False)
class Block:
    """Neurons of one part of a relaxed node's lines: entries ``columns`` of it. ``sides``: their slopes, if they are free."""

    node: int
    part: int
    columns: Ints
    sides: tuple[float, float] | None


def sides_of(op: Operation) -> tuple[float, float] | None:
    """Slopes below and above 0 of functions with one kink, at 0, that bend up there; else None."""
    match op:
        case Relu():
            return 0.0, 1.0
        case Abs():
            return -1.0, 1.0
        case LeakyRelu(alpha=alpha) if alpha < 1:
            return alpha, 1.0
        case _:
            return None


class Condensed:
    """Arrays in ``dtype``. ``slices[k]``: block k's neurons; ``lower`` and ``upper``: (slope, intercept) of each one's lines."""

    def __init__(
        self, engine: Engine, root: Root, forms: Forms, dtype: DTypeLike = np.float32, over: Over = never
    ) -> None:
        self.engine, self.root = engine, root
        self.dtype = np.dtype(dtype)
        self.blocks = tuple(self._found())
        starts = np.cumsum([0, *(b.columns.size for b in self.blocks)]).tolist()
        self.slices = tuple(slice(a, b) for a, b in pairwise(starts))
        self.count: int = starts[-1]
        if self.count > MOST:
            raise TooWide(f"{self.count} open neurons")
        self._place = {(b.node, b.part): k for k, b in enumerate(self.blocks)}
        self.inputs = tuple(i for i in engine.order if isinstance(engine.nodes[i].op, ENDS))
        sizes = np.cumsum([0, *(engine.nodes[i].size for i in self.inputs)]).tolist()
        self.input_slices = {i: slice(a, b) for i, (a, b) in zip(self.inputs, pairwise(sizes), strict=True)}
        self.width: int = sizes[-1]
        self.lower = self._lines(lambda part: part.lower)
        self.upper = self._lines(lambda part: part.upper)
        self.sides = tuple(
            self._each([np.full(b.columns.size, (b.sides or (0.0, 0.0))[k]) for b in self.blocks])
            for k in (0, 1)
        )
        self.free = np.concatenate(
            [np.full(b.columns.size, b.sides is not None) for b in self.blocks] or [np.zeros(0, bool)]
        )
        self._fill(forms, over)
        low, high = (np.concatenate([root.boxes[i][k][0] for i in self.inputs]) for k in (0, 1))
        self.low, self.high = low.astype(np.float64), high.astype(np.float64)

    def _found(self) -> Iterator[Block]:
        """Entries whose lines differ, by node and part."""
        for i in self.engine.relaxed:
            for k, part in enumerate(self.root.lines[i].parts):
                columns = np.flatnonzero(_differ(part)[0])
                if columns.size:
                    yield Block(i, k, columns, sides_of(self.engine.nodes[i].op))

    def part(self, block: Block) -> Part:
        return self.root.lines[block.node].parts[block.part]

    def _each(self, arrays: Sequence[Array]) -> Array:
        return np.concatenate([*arrays, np.zeros(0)]).astype(self.dtype)

    def _lines(self, which: Callable[[Part], tuple[Array, Array | None]]) -> tuple[Array, Array]:
        found = [(which(self.part(b)), b.columns) for b in self.blocks]
        slopes = [slope[0, c] for (slope, _), c in found]
        intercepts = [np.zeros(c.size) if t is None else t[0, c] for (_, t), c in found]
        return self._each(slopes), self._each(intercepts)

    def _fill(self, forms: Forms, over: Over) -> None:
        d, c, x = self.dtype, self.count, self.width
        self.M, self.L, self.b = np.zeros((c, x), d), np.zeros((c, c), d), np.zeros(c, d)
        for k, block in enumerate(self.blocks):
            operand, entries = self._operand(block)
            step = max(1, ENTRIES // self.engine.widest)
            for start in range(0, entries.size, step):
                if over():
                    raise Stopped
                some = entries[start : start + step]
                at = slice(self.slices[k].start + start, self.slices[k].start + start + some.size)
                blocks, constant = self.engine.seeds(operand, some, np.ones(some.size, self.engine.dtype))
                M, L, b = self._linear(blocks, some.size)
                self.M[at], self.L[at], self.b[at] = M, L, b + constant[0]
        inputs = forms.inputs if forms.inputs.any() else None
        rows = self.engine.seeded(forms.outputs[None], None if inputs is None else inputs[None])
        G, Q, e = self._linear(rows, len(forms.bounds))
        self.G, self.Q, self.e = G.astype(d), Q.astype(d), (e - forms.bounds).astype(d)

    def _operand(self, block: Block) -> tuple[int, Ints]:
        """The node that a block's lines are in, and the entries of it."""
        part = self.part(block)
        operand = self.engine.nodes[block.node].inputs[part.operand]
        return operand, block.columns if part.entries is None else part.entries.index[block.columns]

    def _linear(self, blocks: dict[int, Array], rows: int) -> tuple[Array, Array, Array]:
        """Rows' coefficients on x and on h, and constants."""
        engine, pending = self.engine, dict(blocks)
        x, h = np.zeros((rows, self.width)), np.zeros((rows, self.count))
        constant = np.zeros((1, rows))
        for i in reversed(engine.order):
            if i not in pending:
                continue
            a = pending.pop(i)
            if i in self.input_slices:
                x[:, self.input_slices[i]] = a[0]
            elif i in engine.fixed:
                constant = constant + a @ engine.fixed[i]
            elif i in self.root.lines:
                constant = constant + self._through(i, a, h, pending)
            else:
                constant = constant + engine.adjoint(i, a, pending)
        return x, h, np.broadcast_to(constant, (1, rows))[0]

    def _through(self, i: int, a: Array, h: Array, pending: dict[int, Array]) -> Array:
        """Stop at neurons, go on through linear entries."""
        lines = self.root.lines[i]
        if lines.sums is not None:
            a = self.engine.maps.adjoint(lines.sums, a)
        constant = np.zeros((1, 1))
        for k, part in enumerate(lines.parts):
            rest = a
            at = self._place.get((i, k))
            if at is not None:
                columns = self.blocks[at].columns
                h[:, self.slices[at]] += a[0][:, columns]
                rest = a.copy()
                rest[:, :, columns] = 0
            constant = constant + rest @ _whole(part, 1)[0]
            found = rest * part.upper[0]
            if part.entries is not None:
                found = self.engine.maps.adjoint(part.entries, found)
            operand = self.engine.nodes[i].inputs[part.operand]
            pending[operand] = pending[operand] + found if operand in pending else found
        return constant

    # Names

    @cached_property
    def places(self) -> dict[tuple[int, int], int]:
        """(pre-activation node, value) of a free neuron -> its number; of several on one value, the first."""
        found: dict[tuple[int, int], int] = {}
        for block, s in zip(self.blocks, self.slices, strict=True):
            if block.sides is not None:
                z = self.engine.nodes[block.node].inputs[0]
                for n, column in enumerate(block.columns.tolist()):
                    found.setdefault((z, column), s.start + n)
        return found

    @cached_property
    def twins(self) -> dict[int, tuple[int, ...]]:
        """First neuron on a value -> all free neurons on it: a split is one of all."""
        found: dict[int, list[int]] = {}
        for block, s in zip(self.blocks, self.slices, strict=True):
            if block.sides is not None:
                z = self.engine.nodes[block.node].inputs[0]
                for n, column in enumerate(block.columns.tolist()):
                    found.setdefault(self.places[z, column], []).append(s.start + n)
        return {k: tuple(v) for k, v in found.items() if len(v) > 1}

    @cached_property
    def names(self) -> list[tuple[int, int]]:
        """Of each neuron: its pre-activation node and value."""
        found = []
        for block in self.blocks:
            operand, entries = self._operand(block)
            found += [(operand, int(c)) for c in entries]
        return found


def _differ(part: Part) -> Array:
    """Where an entry's lines are two, by more than rounding."""
    low, high = _whole(part, 0), _whole(part, 1)
    rounding = 16 * np.finfo(high.dtype).eps * (1 + np.abs(high))
    return np.asarray((part.lower[0] != part.upper[0]) | (np.abs(high - low) > rounding))


def _whole(part: Part, side: int) -> NDArray[Any]:
    """The lower or upper intercepts as an array (1, n)."""
    slope, intercept = part.upper if side else part.lower
    return np.zeros_like(slope) if intercept is None else intercept
