"""Bounds of a small network over many boxes at once, in plain float64: the passes of ``trusted.bounds``, unsound.

Nothing here is outward rounded. It is for searches, which look at many boxes and keep those that the checker will
bound almost equally: the same lines, the same planes, the same refinements of intermediate values.

Every value is an affine form of *anchors*: the inputs and the operations that are not affine. Constants are folded.
Shapes: D boxes, R rows (linear forms), n values of an anchor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.maps import ConvMap, DiagMap, IndexMap, Map, MatMap, SignMap
from tlcheck.trusted.graph import Graph, Node
from tlcheck.trusted.network import Network
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.base import Operation
from tlcheck.trusted.ops.bent import Abs, LeakyRelu
from tlcheck.trusted.ops.product import MatProduct, Product
from tlcheck.trusted.ops.s_shaped import SShaped
from tlcheck.trusted.ops.smooth import Cos, Exp, Reciprocal, Sin
from tlcheck.trusted.ops.structure import Fixed, Input

Floats = NDArray[np.float64]
Ends = tuple[Floats, Floats]
Function = Callable[[Floats], Floats]

MOST_ENTRIES: Final = 1 << 24
"""Entries of the largest matrix of one affine operation."""
BISECTIONS: Final = 30
GRID: Final = 2.0**-19
"""Four times the checker's error in a slope (``lines.snap``): its constant factors are cut too, which is not modelled."""


class NoFloatBounds(ValueError):
    """The network has an operation that this search does not bound."""


@dataclass(frozen=True, eq=False)
class Form:
    """sum over anchors of matrix (size, n) times the anchor's values, plus ``constant`` (size,)."""

    parts: Mapping[int, Floats]
    constant: Floats

    def mapped(self, matrix: Floats) -> Form:
        return Form({a: matrix @ m for a, m in self.parts.items()}, matrix @ self.constant)

    def plus(self, other: Form) -> Form:
        parts = dict(self.parts)
        for a, m in other.parts.items():
            parts[a] = parts[a] + m if a in parts else m
        return Form(parts, self.constant + other.constant)


@dataclass(frozen=True, eq=False)
class Relaxed:
    """An anchor over D boxes: a.f >= a+.(slope low . operands + low) + a-.(slope high . operands + high).

    ``slopes`` per operand: (lower, upper), each (D, n); ``low`` and ``high`` (D, n).
    """

    slopes: Sequence[Ends]
    low: Floats
    high: Floats


@dataclass(frozen=True, eq=False)
class Linear:
    """R rows that lie below linear functions of the inputs: ``slope`` (D, R, inputs), ``constant`` (D, R)."""

    slope: Floats
    constant: Floats

    def lower(self, lower: Floats, upper: Floats) -> Floats:
        """(D, R): the least values over the boxes."""
        s = self.slope
        return self.constant + _contract(np.maximum(s, 0), lower) + _contract(np.minimum(s, 0), upper)


def _contract(a: Floats, x: Floats) -> Floats:
    found: Floats = np.matmul(a, x[:, :, None])[:, :, 0]
    return found


class FloatBounds:
    """``forms[i]``: node i's value in anchors. Raises NoFloatBounds."""

    def __init__(self, graph: Graph) -> None:
        self.network = Network(graph)
        self.forms: dict[int, Form] = {}
        self.steps: dict[int, Form] = {}
        self.anchors: list[int] = []
        for i, node in enumerate(graph.nodes):
            if i in self.network.needed:
                self.forms[i] = self._form(i, node)
        self.inputs = graph.inputs
        self.refined = {
            i: all(isinstance(graph.nodes[k].op, Relu | LeakyRelu | Abs) for k in self.network.consumers[i])
            for i in self.network.targets
            if i not in graph.inputs and not set(self.forms[i].parts) <= set(graph.inputs)
        }
        """Nodes with a backward pass of their own; whether only their values' signs matter."""

    def _form(self, i: int, node: Node) -> Form:
        operands = [self.forms[j] for j in node.inputs]
        affine = self.network.affine[i]
        if isinstance(node.op, Fixed):
            return Form({}, _flat(node.op.value))
        if affine is not None:
            step = Form({}, np.zeros(node.size) if affine.offset is None else _flat(affine.offset))
            for j, m in zip(node.inputs, affine.maps, strict=True):
                matrix = _matrix(m)
                step = step.plus(Form({j: matrix}, np.zeros(node.size)))
            return self._step(i, step)
        fixed = [not f.parts for f in operands]
        if isinstance(node.op, Product) and any(fixed):
            a, b = (0, 1) if fixed[0] else (1, 0)
            return self._step(i, Form({node.inputs[b]: np.diag(operands[a].constant)}, np.zeros(node.size)))
        if isinstance(node.op, MatProduct) and fixed[1]:
            factor = _right_factor(self.network.graph, node, operands[1].constant)
            return self._step(i, Form({node.inputs[0]: factor}, np.zeros(node.size)))
        if not isinstance(node.op, Input) and all(fixed):
            return Form({}, _function(node.op)[0](operands[0].constant))
        if not isinstance(node.op, Input | Product):
            _function(node.op)
        if not isinstance(node.op, Input):
            self.anchors.append(i)
        return Form({i: np.eye(node.size)}, np.zeros(node.size))

    def _step(self, i: int, step: Form) -> Form:
        """Node i as an affine form ``step`` of its operands; what it is in anchors."""
        self.steps[i] = step
        total = Form({}, step.constant)
        for j, matrix in step.parts.items():
            total = total.plus(self.forms[j].mapped(matrix))
        return total

    def rows(self, outputs: Floats, inputs: Floats) -> Form:
        """The forms outputs (R, all outputs) . y + inputs (R, all inputs) . x."""
        total = Form({}, np.zeros(len(outputs)))
        for node, part in self.network.output_slices:
            total = total.plus(self.forms[node].mapped(outputs[:, part]))
        for node, part in self.network.input_slices.items():
            total = total.plus(Form({node: inputs[:, part]}, np.zeros(len(inputs))))
        return total

    def lower_lines(self, form: Form, lower: Floats, upper: Floats) -> Linear:
        """Linear functions of the inputs below the form's values, over each box (D, inputs)."""
        inputs = {i: (lower[:, s], upper[:, s]) for i, s in self.network.input_slices.items()}
        boxes: dict[int, Ends] = {}
        relaxed: dict[int, Relaxed] = {}
        for i in self.needed_by(form):
            node = self.network.graph.nodes[i]
            if i in inputs:
                boxes[i] = inputs[i]
            elif not self.forms[i].parts:
                boxes[i] = (self.forms[i].constant[None], self.forms[i].constant[None])
            elif i in self.steps:
                boxes[i] = _image(self.steps[i], boxes)
            elif isinstance(node.op, Product):
                relaxed[i], boxes[i] = _product(*(boxes[j] for j in node.inputs))
            else:
                relaxed[i], boxes[i] = _elementwise(node.op, *boxes[node.inputs[0]])
            if i in self.refined:
                boxes[i] = self._refined(i, boxes[i], relaxed, (lower, upper))
        return self._descend(form, len(lower), relaxed)

    def needed_by(self, form: Form) -> list[int]:
        """The nodes that the form's bounds rest on, in order."""
        found = set(form.parts)
        for i in reversed(range(len(self.network.graph.nodes))):
            if i in found and self.forms[i].parts:
                found.update(self.network.graph.nodes[i].inputs)
        return sorted(found)

    def _refined(self, i: int, box: Ends, relaxed: Mapping[int, Relaxed], ends: Ends) -> Ends:
        """Tighter ends from a backward pass, where this very box leaves the value's use open.

        A box's bounds must not depend on the others of its batch: the checker has other batches.
        """
        low, high = (np.array(end) for end in box)
        open_ = (low < 0) & (high > 0) if self.refined[i] else np.ones(low.shape, bool)
        rows = np.flatnonzero(open_.any(axis=0))
        if not rows.size:
            return box
        pick = np.eye(low.shape[1])[rows]
        both = self.forms[i].mapped(np.concatenate([pick, -pick]))
        found = self._descend(both, len(low), relaxed).lower(*ends)
        found = np.where(np.tile(open_[:, rows], 2), found, -np.inf)
        low[:, rows] = np.maximum(low[:, rows], found[:, : rows.size])
        high[:, rows] = np.minimum(high[:, rows], -found[:, rows.size :])
        return low, np.maximum(low, high)

    def _descend(self, form: Form, count: int, relaxed: Mapping[int, Relaxed]) -> Linear:
        blocks: dict[int, Floats] = dict(form.parts)  # (R, n) while the same for every box, else (D, R, n)
        constant = np.tile(form.constant, (count, 1))
        for i in reversed(self.anchors):
            if i not in blocks:
                continue
            c, r = blocks.pop(i), relaxed[i]
            pos, neg = np.maximum(c, 0), np.minimum(c, 0)
            wide = c.shape[-2:]
            pos, neg = (np.broadcast_to(x, (count, *wide)) for x in (pos, neg))
            constant = constant + _contract(pos, r.low) + _contract(neg, r.high)
            for j, (ls, us) in zip(self.network.graph.nodes[i].inputs, r.slopes, strict=True):
                operand = pos * ls[:, None, :] + neg * us[:, None, :]
                constant = constant + operand @ self.forms[j].constant
                for a, m in self.forms[j].parts.items():
                    blocks[a] = blocks[a] + operand @ m if a in blocks else operand @ m
        sizes = [self.network.graph.nodes[i].size for i in self.inputs]
        rows = constant.shape[1]
        parts = [
            np.broadcast_to(blocks[i], (count, rows, n)) if i in blocks else np.zeros((count, rows, n))
            for i, n in zip(self.inputs, sizes, strict=True)
        ]
        return Linear(np.concatenate(parts, axis=2), constant)


def _image(step: Form, boxes: Mapping[int, Ends]) -> Ends:
    low = high = step.constant[None]
    for j, m in step.parts.items():
        pos, neg = np.maximum(m, 0).T, np.minimum(m, 0).T
        l, u = boxes[j]
        low, high = low + l @ pos + u @ neg, high + u @ pos + l @ neg
    return low, high


def _flat(value: Constant) -> Floats:
    return value.mid.astype(np.float64).reshape(-1)


def _matrix(m: Map) -> Floats:
    """The map as a matrix (n_out, n_in)."""
    if m.n_in * m.n_out > MOST_ENTRIES:
        raise NoFloatBounds("an affine operation is too large for this search")
    match m:
        case MatMap():
            return np.asarray(np.kron(np.eye(m.positions), m.weight.mid.astype(np.float64).T), np.float64)
        case DiagMap():
            return np.diag(m.flat.mid.astype(np.float64))
        case SignMap():
            return m.sign * np.eye(m.size)
        case IndexMap():
            chosen = np.zeros((m.index.size, m.size))
            used = np.flatnonzero(m.index >= 0)
            chosen[used, m.index[used]] = 1.0
            return chosen.T if m.transposed else chosen
        case ConvMap():
            raise NoFloatBounds("this search does not bound convolutions")


def _right_factor(graph: Graph, node: Node, b: Floats) -> Floats:
    """x -> x b as a matrix on flat values; ``b``'s batch of matrices may differ."""
    shape = graph.nodes[node.inputs[1]].shape
    rows, batch = node.shape[-2], prod(shape[:-2])
    result = np.zeros((batch * rows * shape[-1], batch * rows * shape[-2]))
    for k, matrix in enumerate(b.reshape(batch, *shape[-2:])):
        block = np.kron(np.eye(rows), matrix.T)
        n, m = block.shape
        result[k * n : (k + 1) * n, k * m : (k + 1) * m] = block
    return result


# Relaxations: the choices of the operations (``trusted.ops``).


def _product(x: Ends, y: Ends) -> tuple[Relaxed, Ends]:
    """x y - q x - p y is extremal at corners; p and q the middles, which the checker cuts to a grid (GRID)."""
    p, q = (x[0] + x[1]) / 2, (y[0] + y[1]) / 2
    half = ((x[1] - x[0]) / 2 + GRID) * ((y[1] - y[0]) / 2 + GRID)
    corners = np.stack([a * b for a in x for b in y])
    planes = Relaxed(((q, q), (p, p)), -p * q - half, -p * q + half)
    return planes, (corners.min(axis=0), corners.max(axis=0))


def _elementwise(op: Operation, l: Floats, u: Floats) -> tuple[Relaxed, Ends]:
    f, df, kinked = _function(op)
    values = f(l), f(u)
    with np.errstate(divide="ignore", invalid="ignore"):
        chord = np.where(u > l, (values[1] - values[0]) / (u - l), df(l))
    if kinked:  # convex, with a kink at 0
        steep = df(np.where(u > -l, 1.0, -1.0) * np.ones_like(l))
        stable = (l >= 0) | (u <= 0)
        ls, us = np.where(stable, chord, steep), chord
        points = [l, u, np.clip(0.0, l, u)]
        return _with_slopes(f, ls, us, points, points)
    bends = [np.sign(_bend(op, z)) for z in (l, u)]
    straddles = (l < 0) & (u > 0) & isinstance(op, Sin | SShaped)
    one_way = (bends[0] == bends[1]) & ~straddles
    middle = (l + u) / 2
    tangent = df(np.minimum(middle, l + 0.99) if isinstance(op, Exp) else middle)
    ls, us = (np.where(one_way, np.where(bends[0] * s > 0, tangent, chord), chord) for s in (1, -1))
    ls, us = (np.where(one_way | straddles, s, 0.0) for s in (ls, us))
    cuts = [l, np.clip(0.0, l, u), u]
    low, high = ([*cuts, *(_match(df, s, a, b) for a, b in ((l, cuts[1]), (cuts[1], u)))] for s in (ls, us))
    return _with_slopes(f, ls, us, low, high)


def _with_slopes(
    f: Function, ls: Floats, us: Floats, low: Sequence[Floats], high: Sequence[Floats]
) -> tuple[Relaxed, Ends]:
    """Lines of these slopes, through the points where f leaves them farthest."""
    lt = np.min([f(z) - ls * z for z in low], axis=0)
    ut = np.max([f(z) - us * z for z in high], axis=0)
    values = np.stack([f(z) for z in (*low, *high)])
    return Relaxed(((ls, us),), lt, ut), (values.min(axis=0), values.max(axis=0))


def _match(df: Function, slope: Floats, a: Floats, b: Floats) -> Floats:
    """Where f' is the slope on [a, b], f' monotone there."""
    rising = df(b) > df(a)
    for _ in range(BISECTIONS):
        m = (a + b) / 2
        left = (df(m) < slope) == rising
        a, b = np.where(left, m, a), np.where(left, b, m)
    return (a + b) / 2


def _function(op: Operation) -> tuple[Function, Function, bool]:
    """f, f', and whether f is convex with a kink at 0."""
    match op:
        case Relu():
            return op.approximate, lambda z: (z > 0) * 1.0, True
        case LeakyRelu(alpha=alpha) if alpha <= 1:
            return op.approximate, lambda z: np.where(z > 0, 1.0, alpha), True
        case Abs():
            return op.approximate, np.sign, True
        case Sin():
            return op.approximate, np.cos, False
        case Cos():
            return op.approximate, lambda z: -np.sin(z), False
        case Exp():
            return op.approximate, np.exp, False
        case Reciprocal():
            return op.approximate, lambda z: -1 / z**2, False
        case SShaped():
            return op.approximate, op.slope, False
        case _:
            raise NoFloatBounds(f"this search does not bound {type(op).__name__}")


def _bend(op: Operation, z: Floats) -> Floats:
    """f'' up to a positive factor."""
    match op:
        case Sin():
            return -np.sin(z)
        case Cos():
            return -np.cos(z)
        case Reciprocal():
            return z
        case Exp():
            return np.ones_like(z)
        case _:
            return -z
