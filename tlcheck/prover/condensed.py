"""The condensed network: what is open over one box, and nothing else.

Over a box most activations are linear. Folded away, a network of any shape becomes, for its C open *neurons* and K constraints,

    z = M x + L h + b,   h_i between two lines in z_i,   f = G x + Q h + e,        L strictly block lower triangular,

where x are the inputs (and the values of operations with a box only). A neuron is an entry of an activation, of a selection or
of a product whose two lines differ. With one kink at 0 and bending up (ReLU, leaky ReLU, |x|) it is *free*: its lower line is
a z, of any slope between those of its sides, and a split at 0 makes it linear. Others keep the lines of the box.

M, L and b are those of the network that the root folded as it went up (``folded``), where what became linear since goes away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import DTypeLike

from tlcheck.prover.attack import float_near
from tlcheck.prover.engine import Array, Engine, Ints, Over, Stopped, never
from tlcheck.prover.float_lines import Part
from tlcheck.prover.folded import Folded, Neurons, TooWide, Values, differ, taken
from tlcheck.prover.root import Root
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.base import Operation
from tlcheck.trusted.ops.bent import Abs, LeakyRelu
from tlcheck.trusted.query import LinearConstraint


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
                    row[k, i] = float_near(q)
        bounds = np.array([float_near(c.bound) for c in constraints])
        return Forms(outputs, inputs, bounds, np.abs(bounds) + np.abs(inputs).sum(1) + np.abs(outputs).sum(1))


@dataclass(frozen=True, eq=False)
class Block:
    """Neurons of one part of a relaxed node's lines: entries ``columns`` of it, that take in entries ``entries`` of ``operand``.

    ``sides``: their slopes, if they are free.
    """

    node: int
    part: int
    columns: Ints
    operand: int
    entries: Ints
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


def _sides(engine: Engine, block: Neurons) -> tuple[float, float] | None:
    """No neuron is free that evidence cannot speak of."""
    named = block.node in engine.spoken and block.operand in engine.spoken
    return sides_of(engine.nodes[block.node].op) if named else None


class Condensed:
    """Arrays in ``dtype``. ``slices[k]``: block k's neurons; ``lower`` and ``upper``: (slope, intercept) of each one's lines.

    Raises Stopped, and TooWide where the root has no folded network.
    """

    def __init__(
        self, engine: Engine, root: Root, forms: Forms, dtype: DTypeLike = np.float32, over: Over = never
    ) -> None:
        if root.net is None:
            raise TooWide("too many open neurons")
        self.engine, self.root = engine, root
        self.dtype = np.dtype(dtype)
        net = root.net
        self._open = [differ(self._part(b))[0, b.columns] for b in net.blocks]
        self.blocks = tuple(
            Block(b.node, b.part, b.columns[o], b.operand, b.entries[o], _sides(engine, b))
            for b, o in zip(net.blocks, self._open, strict=True)
            if o.any()
        )
        starts = np.cumsum([0, *(b.columns.size for b in self.blocks)]).tolist()
        self.slices = tuple(slice(a, b) for a, b in pairwise(starts))
        self.count: int = starts[-1]
        self.inputs, self.input_slices, self.width = net.inputs, net.input_slices, net.width
        self.lower, self.upper = (self._lines(side) for side in (0, 1))
        self.sides = tuple(
            self._each([np.full(b.columns.size, (b.sides or (0.0, 0.0))[k]) for b in self.blocks])
            for k in (0, 1)
        )
        self.free = np.concatenate(
            [np.full(b.columns.size, b.sides is not None) for b in self.blocks] or [np.zeros(0, bool)]
        )
        self._fill(net, forms, over)
        self.low, self.high = net.low.astype(np.float64), net.high.astype(np.float64)

    def _part(self, block: Neurons | Block) -> Part:
        return self.root.lines[block.node].parts[block.part]

    def _each(self, arrays: Sequence[Array]) -> Array:
        return np.concatenate([*arrays, np.zeros(0)]).astype(self.dtype)

    def _lines(self, side: int) -> tuple[Array, Array]:
        found = [taken(self._part(b), side, b.columns) for b in self.blocks]
        return self._each([slope for slope, _ in found]), self._each([t for _, t in found])

    def _fill(self, net: Folded, forms: Forms, over: Over) -> None:
        """Neurons that are linear by now are carried on to those below, block by block from the lowest."""
        values: list[Values] = []
        for block in net.blocks:
            if over():
                raise Stopped
            values.append(self._carried(block.values, values, net))
        inputs = forms.inputs if forms.inputs.any() else None
        rows = self.engine.seeded(forms.outputs[None], None if inputs is None else inputs[None])
        f = self._carried(net.linear(rows, len(forms.bounds)), values, net)
        d, c = self.dtype, self.count
        kept = [v.of(o) for v, o in zip(values, self._open, strict=True)]
        self.M, self.L, self.b = np.zeros((c, self.width), d), np.zeros((c, c), d), np.zeros(c, d)
        for s, v in zip(self.slices, [v for v in kept if v.b.size], strict=True):
            self.M[s], self.L[s, : v.L.shape[1]], self.b[s] = v.M, v.L, v.b
        self.G, self.e = f.M.astype(d), (f.b - forms.bounds).astype(d)
        self.Q = np.zeros((len(self.e), c), d)
        self.Q[:, : f.L.shape[1]] = f.L

    def _carried(self, rows: Values, below: Sequence[Values], net: Folded) -> Values:
        """Rows on the root's neurons, on those that are open; ``below``: the blocks' own values, carried."""
        blocks = [block for block in net.blocks if block.at.start < rows.L.shape[1]]
        starts = np.cumsum([0, *(o.sum() for o in self._open[: len(blocks)])])
        M, L, b = rows.M, np.zeros((rows.b.size, int(starts[-1])), rows.b.dtype), rows.b
        for k, (block, open_) in enumerate(zip(blocks, self._open, strict=False)):
            on_h = rows.L[:, block.at]
            L[:, starts[k] : starts[k + 1]] += on_h[:, open_]
            closed = np.flatnonzero(~open_)
            if closed.size:
                slope, intercept = taken(self._part(block), 1, block.columns[closed])
                on_z, linear = on_h[:, closed] * slope, below[k].of(closed)
                M, b = M + on_z @ linear.M, b + on_h[:, closed] @ intercept + on_z @ linear.b
                L[:, : linear.L.shape[1]] += on_z @ linear.L
        return Values(M, L, b)

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
            found += [(block.operand, int(c)) for c in block.entries]
        return found
