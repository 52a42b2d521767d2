"""Passes over a graph in floats, batched over D domains times R rows of linear forms; unsound.

What ``trusted.bounds`` and ``trusted.linear_bounds`` prove, at the speed of a search and with gradients: the same lines, the
same choice of the values that get a backward bound. float32 is enough for a search: the checker decides.

Shapes: ends and lines (D, n), or (1, n) where domains share them; blocks of coefficients (D, R, n) or (1, R, n).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tlcheck.prover.float_lines import Lines, Part, image_of, lines_of, stable
from tlcheck.prover.float_maps import FloatMaps, is_plain
from tlcheck.prover.point_values import pulled, values_of
from tlcheck.trusted.arith.box import OutOfRange
from tlcheck.trusted.arith.maps import ConvMap, MatMap
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.network import ENDS, Network
from tlcheck.trusted.ops.base import Relaxed
from tlcheck.trusted.ops.structure import Fixed, Input

Array = NDArray[Any]
Ints = NDArray[np.int64]
Ends = tuple[Array, Array]
Over = Callable[[], bool]

ENTRIES: Final = 1 << 20
"""Coefficients of one chunk on the widest node."""
FEW: Final = 64
"""Inputs up to which the affine nodes beside them are folded to one matrix each."""


class Stopped(Exception):
    """``over()`` was true inside a long computation."""


def never() -> bool:
    return False


@dataclass(frozen=True, eq=False)
class Descent:
    """form >= constant (D, R) + sum over ``ends`` of coefficients . values.

    ``ends``: inputs and operations with a box only. ``kept``: coefficients on relaxed operations' values, where asked for.
    """

    constant: Array
    ends: dict[int, Array]
    kept: dict[int, Array] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Bounds:
    """``boxes``: node -> ends; ``lines``: relaxed node -> lines on them."""

    boxes: dict[int, Ends]
    lines: dict[int, Lines]


@dataclass(frozen=True, eq=False)
class Multipliers:
    """On values of one node: form -= signed . z - ``points``; signed = multiplier x side (D, n), points = signed . point (D,)."""

    signed: Array
    points: Array


class Engine:
    """One graph in one type of float. Raises ValueError where no pass can go through it."""

    def __init__(self, graph: Graph, dtype: DTypeLike = np.float64) -> None:
        self.graph, self.nodes = graph, graph.nodes
        self.network = Network(graph)
        blocked = self.network.without_relaxation
        if blocked is not None:
            raise ValueError(f"no relaxation for operator {type(self.nodes[blocked].op).__name__}")
        self.dtype = np.dtype(dtype)
        self.maps = FloatMaps(self.dtype)
        self.order = sorted(self.network.needed)
        self.offset = {
            i: affine.offset.mid.astype(self.dtype).reshape(-1)
            for i in self.order
            if (affine := self.network.affine[i]) is not None and affine.offset is not None
        }
        self.fixed = {
            i: op.value.mid.astype(self.dtype).reshape(-1)
            for i in self.order
            if isinstance(op := self.nodes[i].op, Fixed)
        }
        self.relaxed = tuple(i for i in self.order if isinstance(self.nodes[i].op, Relaxed))
        self.shapes = {i: self.network.shapes(self.nodes[i]) for i in self.order}
        self.refined = tuple(t for t in self.network.targets if not self._one_affine_step(t))
        """Targets that get backward bounds."""

    @cached_property
    def spoken(self) -> frozenset[int]:
        """Nodes that evidence can speak of: those with a name in the model's file, all of a graph without names."""
        return frozenset(self.graph.names.values() if self.graph.names else self.order)

    # Backward

    def backward(
        self,
        blocks: Mapping[int, Array],
        lines: Mapping[int, Lines],
        *,
        keep: bool = False,
        multipliers: Mapping[int, Multipliers] | None = None,
        stop: Collection[int] = (),
    ) -> Descent:
        """Carry coefficients down to the inputs; also to stay on the nodes ``stop``."""
        pending = dict(blocks)
        constant: Array = np.zeros((1, 1), self.dtype)
        ends: dict[int, Array] = {}
        kept: dict[int, Array] = {}
        for i in self._downward(max(pending, default=-1)):
            if i not in pending:
                continue
            a, op = pending.pop(i), self.nodes[i].op
            if multipliers and i in multipliers:
                a = a - multipliers[i].signed[:, None, :]
                constant = constant + multipliers[i].points[:, None]
            if isinstance(op, ENDS) or i in stop:
                ends[i] = a
            elif i in self.fixed:
                constant = constant + a @ self.fixed[i]
            elif i in lines:
                if keep:
                    kept[i] = a
                constant = constant + self._through(i, a, lines[i], pending)
            elif i in self.folded and not stop and not multipliers:
                constant = constant + self._folded_adjoint(i, a, pending)
            else:
                constant = constant + self.adjoint(i, a, pending)
        return Descent(constant, ends, kept)

    def _downward(self, top: int) -> Iterator[int]:
        return (i for i in reversed(self.order) if i <= top)

    def adjoint(self, i: int, a: Array, pending: dict[int, Array]) -> Array:
        """Through an affine operation; what the offset gives."""
        affine = self.network.affine[i]
        if affine is None:
            raise ValueError(f"no lines of node {i}")
        for m, j in zip(affine.maps, self.nodes[i].inputs, strict=True):
            _add(pending, j, self.maps.adjoint(m, a))
        return a @ self.offset[i] if i in self.offset else np.zeros((1, 1), self.dtype)

    @cached_property
    def folded(self) -> dict[int, tuple[Array, Array]]:
        """Nodes that are affine in few inputs: the transpose (n, inputs) of the matrix, and the constant (n,)."""
        inputs = self.network.input_slices
        count = self.graph.n_inputs
        if count > FEW:
            return {}
        maps = FloatMaps(np.float64)
        known: dict[int, Array] = {}  # the matrix's transpose, and below it the constant
        for i in self.order:
            node, affine = self.nodes[i], self.network.affine[i]
            if isinstance(node.op, Input):
                known[i] = np.eye(count + 1)[:, inputs[i]]
            elif affine is not None and node.inputs and all(j in known for j in node.inputs):
                found = sum(
                    (maps.forward(m, known[j]) for m, j in zip(affine.maps, node.inputs, strict=True)),
                    np.zeros((count + 1, node.size)),
                )
                if affine.offset is not None:
                    found[count] += affine.offset.mid.astype(np.float64).reshape(-1)
                known[i] = found
        return {
            i: (np.ascontiguousarray(x[:count].T, self.dtype), x[count].astype(self.dtype))
            for i, x in known.items()
            if i not in inputs
        }

    def _folded_adjoint(self, i: int, a: Array, pending: dict[int, Array]) -> Array:
        """``adjoint`` of all nodes down to the inputs at once."""
        matrix, constant = self.folded[i]
        for j, s in self.network.input_slices.items():
            _add(pending, j, a @ matrix[:, s])
        return np.asarray(a @ constant)

    def _through(self, i: int, a: Array, lines: Lines, pending: dict[int, Array]) -> Array:
        """a+ . lower line + a- . upper line, part by part; what the intercepts give.

        As a . upper + a+ . (lower - upper): one comparison, and no array of chosen lines.
        """
        if lines.sums is not None:
            a = self.maps.adjoint(lines.sums, a)
        constant: Array = np.zeros((1, 1), self.dtype)
        for part in lines.parts:
            at = _kinked(part)
            some = a if at is None else a[..., at]
            (ls, lt), (us, ut) = (_taken(line, at) for line in (part.lower, part.upper))
            positive = np.maximum(some, 0)
            if ut is not None:
                constant = constant + _dot(some, ut)
                constant = constant + _dot(positive, -ut if lt is None else lt - ut)
            elif lt is not None:
                constant = constant + _dot(positive, lt)
            found = a * part.upper[0][:, None, :]
            if at is not None:
                found[..., at] += positive * (ls - us)[:, None, :]
            elif ls is not us:
                found += positive * (ls - us)[:, None, :]
            if part.entries is not None:
                found = self.maps.adjoint(part.entries, found)
            _add(pending, self.nodes[i].inputs[part.operand], found)
        return constant

    def concretise(self, found: Descent, boxes: Mapping[int, Ends]) -> Array:
        """Lower bounds (D, R): the ends' least values over their boxes."""
        total = found.constant
        for i, a in found.ends.items():
            low, high = boxes[i]
            total = total + _dot(a, (low + high) / 2) - _dot(np.abs(a), (high - low) / 2)
        return total

    def units(self, node: int, indices: Ints, signs: Array) -> dict[int, Array]:
        """Blocks of signs[k] times value indices[k] of a node (1, K, n); with indices (D, K), of each domain's own."""
        shared = indices.ndim == 1
        at = indices[None] if shared else indices
        block = np.zeros((*at.shape, self.nodes[node].size), self.dtype)
        np.put_along_axis(block, at[..., None], np.broadcast_to(signs, at.shape)[..., None], axis=2)
        return {node: block}

    # Forward

    def image(self, i: int, boxes: Mapping[int, Ends]) -> Ends:
        """A box of node i's values from its operands'. Raises OutOfRange."""
        node, affine = self.nodes[i], self.network.affine[i]
        if i in self.fixed:
            return self.fixed[i][None], self.fixed[i][None]
        if affine is None:
            return image_of(node.op, [boxes[j] for j in node.inputs], self.shapes[i])
        middle: Array = self.offset[i][None] if i in self.offset else np.zeros((1, node.size), self.dtype)
        radius: Array = np.zeros((1, node.size), self.dtype)
        for m, j in zip(affine.maps, node.inputs, strict=True):
            low, high = boxes[j]
            middle = middle + self.maps.forward(m, (low + high) / 2)
            radius = radius + self.maps.forward(m, (high - low) / 2, magnitude=True)
        return middle - radius, middle + radius

    def intervals(self, inputs: Mapping[int, Ends]) -> dict[int, Ends]:
        """Every needed node's box by forward images alone."""
        boxes: dict[int, Ends] = {}
        for i in self.order:
            boxes[i] = inputs[i] if isinstance(self.nodes[i].op, Input) else self.image(i, boxes)
        return boxes

    def lines(self, i: int, boxes: Mapping[int, Ends], slopes: Array | None = None) -> Lines:
        """Lines of relaxed node i on its operands' boxes. Raises OutOfRange."""
        op = self.nodes[i].op
        if not isinstance(op, Relaxed):
            raise ValueError(f"no relaxation for {type(op).__name__}")
        return lines_of(op, [boxes[j] for j in self.nodes[i].inputs], self.shapes[i], slopes)

    def dual_point(
        self, found: Descent, lines: Mapping[int, Lines], boxes: Mapping[int, Ends], top: int | None = None
    ) -> dict[int, Array]:
        """Where the ends' least value is attained, and its values (D, R, n) through the lines that a descent chose.

        ``found`` has kept its coefficients. Nodes above ``top`` are left out. The point need not be one of the network's.
        """
        values: dict[int, Array] = {}
        for i in self.order:
            if top is not None and i > top:
                break
            if isinstance(self.nodes[i].op, ENDS):
                values[i] = _least(found.ends.get(i), boxes[i])
            elif i in self.fixed:
                values[i] = self.fixed[i][None, None]
            elif i in lines:
                values[i] = self._chosen(i, found.kept.get(i), lines[i], values)
            else:
                values[i] = self._affine_value(i, values)
        return values

    def _chosen(self, i: int, a: Array | None, lines: Lines, values: Mapping[int, Array]) -> Array:
        """The sum of the parts' chosen lines; the upper ones where no coefficient is kept."""
        if a is not None and lines.sums is not None:
            a = self.maps.adjoint(lines.sums, a)
        total: Array = np.zeros((1, 1, 1), self.dtype)
        for part in lines.parts:
            x = values[self.nodes[i].inputs[part.operand]]
            if part.entries is not None:
                x = self.maps.forward(part.entries, x)
            (ls, lt), (us, ut) = part.lower, part.upper
            low, high = (0 if t is None else t[:, None, :] for t in (lt, ut))
            if a is None:
                total = total + x * us[:, None, :] + high
            else:
                total = (
                    total + x * np.where(a < 0, us[:, None, :], ls[:, None, :]) + np.where(a < 0, high, low)
                )
        return total if lines.sums is None else self.maps.forward(lines.sums, total)

    def _affine_value(self, i: int, values: Mapping[int, Array]) -> Array:
        affine = self.network.affine[i]
        if affine is None:
            raise ValueError(f"no lines of node {i}")
        total: Array = self.offset[i] if i in self.offset else np.zeros(1, self.dtype)
        for m, j in zip(affine.maps, self.nodes[i].inputs, strict=True):
            total = total + self.maps.forward(m, values[j])
        return total

    # Bounds of every node

    def enclose(
        self, inputs: Mapping[int, Ends], slopes: Mapping[int, Array] | None = None, over: Over = never
    ) -> Bounds:
        """Boxes and lines of every node over D input boxes, as the checker's of leaves with bounds of their own.

        ``slopes``: activation -> (D, n) of lower lines, in every pass; elsewhere the operation's own choice. Raises OutOfRange
        and Stopped.
        """
        slopes = slopes or {}
        boxes: dict[int, Ends] = {}
        lines: dict[int, Lines] = {}
        for i in self.order:
            boxes[i] = inputs[i] if isinstance(self.nodes[i].op, Input) else self.image(i, boxes)
            if isinstance(self.nodes[i].op, Relaxed):
                lines[i] = self.lines(i, boxes, slopes.get(i))
            if i in self._refined:
                boxes[i] = self._met(i, boxes, lines, over)
        return Bounds(boxes, lines)

    @cached_property
    def _refined(self) -> frozenset[int]:
        return frozenset(self.refined)

    def open_values(self, target: int, ends: Ends) -> Array:
        """(D, n): where tighter bounds of a target can matter."""
        found = np.zeros(ends[0].shape, bool)
        for c in self.network.consumers[target]:
            found |= ~stable(self.nodes[c].op, *ends)
        return found

    def _met(self, target: int, boxes: dict[int, Ends], lines: Mapping[int, Lines], over: Over) -> Ends:
        """A target's box met with backward bounds of the values that are open, in each domain its own."""
        domains = max(low.shape[0] for low, _ in boxes.values())
        size = self.nodes[target].size
        low, high = (np.array(np.broadcast_to(end, (domains, size))) for end in boxes[target])
        open_ = self.open_values(target, (low, high))
        count = open_.sum(axis=1)
        busy = np.argsort(-count, kind="stable")  # domains with as many open values together
        busy = busy[count[busy] > 0]
        start = 0
        while start < busy.size:
            rows = 2 * int(count[busy[start]])
            step = max(1, ENTRIES // (self.widest * rows))
            part = np.sort(busy[start : start + step])
            self._meet(target, (low, high), open_, part, (boxes, lines), over)
            start += step
        return low, np.maximum(low, high)

    @cached_property
    def widest(self) -> int:
        return max(self.nodes[i].size for i in self.order)

    def _meet(
        self,
        target: int,
        ends: Ends,
        open_: Array,
        part: Ints,
        known: tuple[Mapping[int, Ends], Mapping[int, Lines]],
        over: Over,
    ) -> None:
        """``_met`` of some domains, in place."""
        mine = open_[part]
        count = int(mine.sum(axis=1).max())
        columns = np.argsort(~mine, axis=1, kind="stable")[:, :count]
        boxes, lines = known
        if part.size < len(open_):
            boxes = {i: _picked(ends, part) for i, ends in boxes.items()}
            lines = {i: drawn.domains(part) for i, drawn in lines.items()}
        signs = np.repeat([1, -1], count).astype(self.dtype)
        neurons = np.tile(columns if len(part) > 1 else columns[0], 2)
        found = self.rows(target, neurons, signs, boxes, lines, over)
        there = np.take_along_axis(mine, columns, axis=1)
        for end, meet, bound in zip(
            ends, (np.maximum, np.minimum), (found[:, :count], -found[:, count:]), strict=True
        ):
            forward = end[part[:, None], columns]
            end[part[:, None], columns] = np.where(there & np.isfinite(bound), meet(forward, bound), forward)

    def rows(
        self,
        target: int,
        neurons: Ints,
        signs: Array,
        boxes: Mapping[int, Ends],
        lines: Mapping[int, Lines],
        over: Over = never,
    ) -> Array:
        """(D, K) lower bounds of signs times a node's values, in chunks of rows. Raises Stopped."""
        domains = max((low.shape[0] for low, _ in boxes.values()), default=1)
        step = max(1, ENTRIES // (self.widest * domains))
        found = []
        for start in range(0, signs.size, step):
            if over():
                raise Stopped
            part = slice(start, start + step)
            blocks, constant = self.seeds(target, neurons[..., part], signs[part])
            bound = constant + self.concretise(self.backward(blocks, lines), boxes)
            found.append(np.broadcast_to(bound, (domains, signs[part].size)))
        return np.concatenate(found, axis=1) if found else np.zeros((domains, 0), self.dtype)

    def seeds(self, target: int, indices: Ints, signs: Array) -> tuple[dict[int, Array], Array]:
        """``units`` and a constant (1 or D, K), carried through a first matrix or convolution at once: its columns are picked."""
        affine = self.network.affine[target]
        nothing = np.zeros((1, 1), self.dtype)
        if affine is None or len(affine.maps) != 1:
            return self.units(target, indices, signs), nothing
        m = affine.maps[0]
        if not ((isinstance(m, MatMap) and m.positions == 1) or (isinstance(m, ConvMap) and is_plain(m))):
            return self.units(target, indices, signs), nothing
        at = np.atleast_2d(indices)
        constant = self.offset[target][at] * signs if target in self.offset else nothing
        return {self.nodes[target].inputs[0]: self.maps.units(m, at, signs)}, constant

    def _one_affine_step(self, target: int) -> bool:
        """As in trusted.bounds: a backward pass would give the forward bounds again."""
        steps, i = 0, target
        while not isinstance(self.nodes[i].op, Input):
            affine = self.network.affine[i]
            if affine is None or len(affine.maps) != 1:
                return False
            steps += affine.maps[0].fan_in > 1 or not affine.exact
            i = self.nodes[i].inputs[0]
        return steps <= 1

    # Inputs and outputs as one vector

    def inputs(self, lower: Array, upper: Array) -> dict[int, Ends]:
        """Ends (D, all inputs), or (all inputs,), by input node."""
        low, high = (np.atleast_2d(np.asarray(end, self.dtype)) for end in (lower, upper))
        return {i: (low[:, s], high[:, s]) for i, s in self.network.input_slices.items()}

    def seeded(self, outputs: Array, inputs: Array | None = None) -> dict[int, Array]:
        """Blocks of coefficients (D, R, all outputs) and (D, R, all inputs)."""
        blocks: dict[int, Array] = {}
        for node, s in self.network.output_slices:
            _add(blocks, node, np.ascontiguousarray(outputs[..., s], self.dtype))
        if inputs is not None and np.any(inputs):
            for node, s in self.network.input_slices.items():
                _add(blocks, node, np.ascontiguousarray(inputs[..., s], self.dtype))
        return blocks

    # Points

    def values(self, points: Array) -> dict[int, Array]:
        """The value (P, n) of every needed node at points (P, all inputs)."""
        values: dict[int, Array] = {}
        for i in self.order:
            node = self.nodes[i]
            if isinstance(node.op, Input):
                values[i] = np.asarray(points[:, self.network.input_slices[i]], self.dtype)
            elif i in self.fixed:
                values[i] = np.broadcast_to(self.fixed[i], (len(points), node.size))
            elif self.network.affine[i] is not None:
                values[i] = self._affine_value(i, values)
            else:
                values[i] = values_of(node.op, [values[j] for j in node.inputs], self.shapes[i])
        return values

    def outputs(self, values: Mapping[int, Array]) -> Array:
        """(P, all outputs)."""
        return np.concatenate([values[node] for node, _ in self.network.output_slices], axis=1)

    def gradient(self, values: Mapping[int, Array], coefficients: Array) -> Array:
        """(P, all inputs): the gradient by the inputs of coefficients (P, all outputs) . outputs, at points with ``values``."""
        pending = self.seeded(coefficients)
        result = np.zeros((len(coefficients), self.graph.n_inputs), self.dtype)
        for i in self._downward(max(pending)):
            if i not in pending or i in self.fixed:
                continue
            a, node = pending.pop(i), self.nodes[i]
            if isinstance(node.op, Input):
                result[:, self.network.input_slices[i]] = a
            elif self.network.affine[i] is not None:
                self.adjoint(i, a, pending)
            else:
                back = pulled(node.op, a, [values[j] for j in node.inputs], self.shapes[i])
                for j, block in zip(node.inputs, back, strict=True):
                    _add(pending, j, block)
        return result


def _add(blocks: dict[int, Array], node: int, block: Array) -> None:
    blocks[node] = blocks[node] + block if node in blocks else block


def _dot(a: Array, v: Array) -> Array:
    """sum_i a[d, r, i] v[d or 0, i], (D, R)."""
    if v.shape[0] == 1:
        return np.asarray(a @ v[0])
    return np.asarray(np.matmul(a, v[:, :, None])[..., 0])


def _kinked(part: Part) -> Ints | None:
    """Where a part's lines, that all domains share, are two or have intercepts, if that is at few of its entries."""
    (ls, lt), (us, ut) = part.lower, part.upper
    if any(x is not None and len(x) > 1 for x in (ls, lt, us, ut)):
        return None
    two = ls[0] != us[0]
    for t in (lt, ut):
        if t is not None:
            two = two | (t[0] != 0)
    at = np.flatnonzero(two)
    return at if at.size < two.size // 4 else None


def _taken(line: tuple[Array, Array | None], at: Ints | None) -> tuple[Array, Array | None]:
    slope, intercept = line
    return line if at is None else (slope[:, at], None if intercept is None else intercept[:, at])


def _least(a: Array | None, ends: Ends) -> Array:
    """Where a . x is least; the middle where a is 0."""
    low, high = (end[:, None, :] for end in ends)
    middle = (low + high) / 2
    return middle if a is None else np.asarray(np.where(a > 0, low, np.where(a < 0, high, middle)))


def _picked(ends: Ends, part: Ints) -> Ends:
    """Of some domains; what all share stays shared."""
    low, high = (end if end.shape[0] == 1 else end[part] for end in ends)
    return low, high


__all__ = ["Bounds", "Descent", "Engine", "Multipliers", "OutOfRange", "Stopped", "never"]
