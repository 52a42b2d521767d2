"""Linear bounds over many input boxes at once, in floats, unsound: the passes of ``trusted.bounds`` with per-leaf bounds.

The same lines and the same refinements as the checker's: a value gets a backward bound in those boxes that leave its use
open, and in no others. Shapes: coefficients (Q, R, n), of R rows in each of Q boxes; ``boxes`` (Q,) says which of the D
they are.

*Anchors* are where a pass does not go straight on: relaxed operations, inputs, and what has a box only. Chains of affine
maps between them are folded into matrices where that is small.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tlcheck.prover.float_lines import Ends, Lines, image_of, lines_of, stable
from tlcheck.prover.float_maps import FloatMaps
from tlcheck.prover.thin import thinned
from tlcheck.trusted.arith.maps import ConvMap
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.network import ENDS, Network
from tlcheck.trusted.ops.base import Relaxed
from tlcheck.trusted.ops.structure import Fixed, Input

Array = NDArray[Any]
Ints = NDArray[np.int64]

MOST_FOLDED: Final = 1 << 22
"""Entries of the largest matrix that a chain of affine maps is folded into."""
ROW_ENTRIES: Final = 1 << 17
"""Coefficients of one chunk of rows on the widest anchor: what stays in a cache."""


@dataclass(frozen=True, eq=False)
class Folded:
    """M x + b in anchors: anchor -> M (n, n_anchor); b (n,)."""

    parts: dict[int, Array]
    constant: Array

    @cached_property
    def thin(self) -> dict[int, Any]:
        """``parts`` for products."""
        return {a: thinned(m) for a, m in self.parts.items()}


@dataclass(eq=False)
class Boxed:
    """D boxes (D, inputs) with ends of every node, and lines of relaxed ones.

    ``slopes``: activation -> (D, n) or (1, n), those of its lower lines where it takes any.
    """

    lower: Array
    upper: Array
    slopes: Mapping[int, Array] = field(default_factory=dict)
    ends: dict[int, Ends] = field(default_factory=dict)
    lines: dict[int, Lines] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Linear:
    """Rows that lie below linear functions of the inputs: ``slope`` (Q, R, inputs), ``constant`` (Q, R), on ``boxes`` (Q,)."""

    slope: Array
    constant: Array
    boxes: Ints

    def least(self, found: Boxed) -> Array:
        """(Q, R) over each row's box."""
        centre, radius = (found.lower + found.upper) / 2, (found.upper - found.lower) / 2
        return (
            self.constant
            + dots(self.slope, centre[self.boxes])
            - dots(np.abs(self.slope), radius[self.boxes])
        )


Kept = dict[int, Array]
"""Anchor -> the coefficients (Q, R, terms) on its terms, or ends. Where one is not below 0 it chose the lower line."""


HEAP: Final = 31 << 20


def keep_heap() -> None:
    """Have glibc's malloc serve arrays up to so many bytes from memory that it holds: otherwise each one of a pass is mapped,
    and its pages are faulted in, anew (a third to a half of the time). Freeing a mapped block raises that threshold."""
    np.empty(HEAP, np.uint8)


class BoxBounds:
    """``tick`` is called once a chunk of rows; it may raise."""

    def __init__(self, graph: Graph, dtype: DTypeLike, tick: Callable[[], None] = lambda: None) -> None:
        keep_heap()
        self.graph, self.dtype, self.tick = graph, np.dtype(dtype), tick
        self.network = Network(graph)
        self.maps = FloatMaps(dtype)
        self.order = sorted(self.network.needed)
        self.anchors = [i for i in self.order if isinstance(graph.nodes[i].op, Relaxed | ENDS)]
        self.widest = max(graph.nodes[i].size for i in self.order)
        self.slices = self.network.input_slices
        self.refined = frozenset(t for t in self.network.targets if not self._one_affine_step(t))
        """Nodes whose values get backward bounds."""
        self._folded: dict[int, Folded | None] = {}
        self.rows = 0

    # Forward.

    def over(
        self,
        lower: Array,
        upper: Array,
        slopes: Mapping[int, Array] | None = None,
    ) -> Boxed:
        """Bounds over the boxes (D, inputs)."""
        found = Boxed(lower.astype(self.dtype), upper.astype(self.dtype), slopes or {})
        for i in self.order:
            node = self.graph.nodes[i]
            if isinstance(node.op, Input):
                found.ends[i] = (found.lower[:, self.slices[i]], found.upper[:, self.slices[i]])
                continue
            found.ends[i] = self._image(i, found.ends)
            if i in self.refined:
                self._refine(i, found)
        return found

    def lines(self, i: int, found: Boxed) -> Lines:
        """Of a relaxed node. Drawn when first needed: on the operands' final ends."""
        if i not in found.lines:
            node = self.graph.nodes[i]
            boxes = [found.ends[j] for j in node.inputs]
            given = found.slopes.get(i)
            found.lines[i] = lines_of(node.op, boxes, self.network.shapes(node), given)  # type: ignore[arg-type]
        return found.lines[i]

    def values(self, points: Array) -> tuple[Array, Array]:
        """The inputs (D, inputs) in this type, and the outputs (D, outputs) there."""
        x = points.astype(self.dtype)
        ends: dict[int, Ends] = {}
        for i in self.order:
            if isinstance(self.graph.nodes[i].op, Input):
                ends[i] = (x[:, self.slices[i]],) * 2
            else:
                ends[i] = self._image(i, ends)
        outputs = [np.broadcast_to(ends[i][0], (len(x), ends[i][0].shape[1])) for i in self.graph.outputs]
        return x, np.concatenate(outputs, axis=1)

    def _image(self, i: int, ends: Mapping[int, Ends]) -> Ends:
        node, affine = self.graph.nodes[i], self.network.affine[i]
        if isinstance(node.op, Fixed):
            value = node.op.value.mid.astype(np.float64).reshape(1, -1).astype(self.dtype)
            return value, value
        if affine is None:
            return image_of(node.op, [ends[j] for j in node.inputs], self.network.shapes(node))
        centre: Array | float = 0.0
        radius: Array | float = 0.0
        for m, j in zip(affine.maps, node.inputs, strict=True):
            low, high = ends[j]
            centre = centre + self.maps.forward(m, (low + high) / 2)
            radius = radius + self.maps.forward(m, (high - low) / 2, magnitude=True)
        if affine.offset is not None:
            centre = centre + affine.offset.mid.astype(self.dtype).reshape(1, -1)
        return np.asarray(centre - radius), np.asarray(centre + radius)

    def _refine(self, target: int, found: Boxed) -> None:
        """Meet the target's ends with backward bounds where its use is open."""
        shape = len(found.lower), self.graph.nodes[target].size
        low, high = (np.array(np.broadcast_to(end, shape)) for end in found.ends[target])
        open_ = np.zeros(shape, bool)
        for consumer in self.network.consumers[target]:
            open_ |= ~stable(self.graph.nodes[consumer].op, low, high)
        for boxes, values in self._chunks(open_):
            bound, at = self._both(target, boxes, values, found), (boxes[:, None], values)
            mine = open_[at]
            low[at] = np.where(mine, np.fmax(low[at], bound[:, : values.shape[1]]), low[at])
            high[at] = np.where(mine, np.fmin(high[at], -bound[:, values.shape[1] :]), high[at])
        found.ends[target] = low, np.maximum(low, high)

    def _chunks(self, open_: NDArray[np.bool_]) -> Iterator[tuple[Ints, Ints]]:
        """(boxes (Q,), values (Q, R)) with every open value of every box; boxes with about as many of them together."""
        count = open_.sum(axis=1)
        order = np.argsort(-count, kind="stable")
        order = order[: int((count > 0).sum())]
        columns = np.argsort(~open_, axis=1, kind="stable")
        most = max(1, ROW_ENTRIES // (2 * self.widest))
        while order.size:
            rows = int(count[order[0]])
            together = order[: max(1, most // rows)]
            order = order[together.size :]
            for start in range(0, rows, most):
                yield together, columns[together, start : min(rows, start + most)]

    def _both(self, target: int, boxes: Ints, values: Ints, found: Boxed) -> Array:
        """(Q, 2 R) lower bounds of the values, then of their negatives."""
        folded = self.folded(target)
        if folded is None:
            unit = np.zeros((*values.shape, self.graph.nodes[target].size), self.dtype)
            np.put_along_axis(unit, values[:, :, None], 1, axis=2)
            blocks, constant = self._walk({target: unit})
        else:
            blocks = {a: m[values] for a, m in folded.parts.items()}
            constant = folded.constant[values]
        blocks = {a: np.concatenate([b, -b], axis=1) for a, b in blocks.items()}
        return self.descend(blocks, np.concatenate([constant, -constant], axis=1), boxes, found).least(found)

    # Backward.

    def forms(self, outputs: Array, inputs: Array) -> tuple[dict[int, Array], Array]:
        """Linear forms (K, all outputs) and (K, all inputs) as coefficients on anchors, and constants (K,)."""
        exact = self._exact()
        found: dict[int, Array] = {i: inputs[:, s] for i, s in self.slices.items()}
        constant = np.zeros(len(outputs))
        for node, part in self.network.output_slices:
            onto, more = exact._walk({node: outputs[:, part].astype(np.float64)})
            constant = constant + more
            for a, m in onto.items():
                found[a] = found[a] + m if a in found else m
        return {
            a: np.asarray(m, self.dtype) for a, m in found.items() if a in self.slices or m.any()
        }, constant

    def descend(
        self,
        blocks: Mapping[int, Array],
        constant: Array,
        boxes: Ints,
        found: Boxed,
        kept: Kept | None = None,
    ) -> Linear:
        """Carry coefficients (Q, R, n) on anchors down to the inputs; they are used up. ``kept``: told those on the way."""
        self.tick()
        blocks, constant = dict(blocks), np.array(constant, self.dtype)
        self.rows += constant.size
        for i in reversed(self.anchors):
            op = self.graph.nodes[i].op
            if i not in blocks or isinstance(op, Input):
                continue
            a = blocks.pop(i)
            if isinstance(op, ENDS):
                if kept is not None:
                    kept[i] = a
                low, high = (boxwise(end, boxes) for end in found.ends[i])
                above = np.maximum(a, 0)
                constant += dots(above, low) + dots(a - above, high)
                continue
            for j, part, more in self._relaxed(i, a, boxes, found, kept):
                constant += more
                onto, more = self.down(j, part)
                constant += more
                for k, x in onto.items():
                    blocks[k] = blocks[k] + x if k in blocks else x
        sizes = ((i, self.graph.nodes[i].size) for i in self.graph.inputs)
        ends = [blocks.get(i, np.zeros((*constant.shape, n), self.dtype)) for i, n in sizes]
        return Linear(ends[0] if len(ends) == 1 else np.concatenate(ends, axis=2), constant, boxes)

    def _relaxed(
        self, i: int, a: Array, boxes: Ints, found: Boxed, kept: Kept | None
    ) -> Iterator[tuple[int, Array, Array | float]]:
        """(operand, coefficients on it, what is added to the constant), for each part of the relaxation."""
        node, drawn = self.graph.nodes[i], self.lines(i, found)
        if drawn.sums is not None:
            a = self.maps.adjoint(drawn.sums, a)
        if kept is not None:
            kept[i] = a
        above = np.maximum(a, 0)
        below = a - above
        for part in drawn.parts:
            (ls, lt), (us, ut) = part.lower, part.upper
            constant: Array | float = 0.0
            if lt is not None:
                constant = dots(above, boxwise(lt, boxes))
            if ut is not None:
                constant = constant + dots(below, boxwise(ut, boxes))
            x = above * boxwise(ls, boxes)[:, None]
            x += below * boxwise(us, boxes)[:, None]
            if part.entries is not None:
                x = self.maps.adjoint(part.entries, x)
            yield node.inputs[part.operand], x, constant

    def down(self, j: int, x: Array) -> tuple[dict[int, Array], Array]:
        """Coefficients (..., n) on node j as ones on anchors, and a constant (...,)."""
        if j in self.anchors:
            return {j: x}, np.zeros(1, self.dtype)
        folded = self.folded(j)
        if folded is None:
            return self._walk({j: x})
        flat, lead = x.reshape(-1, x.shape[-1]), x.shape[:-1]
        onto = {a: (flat @ folded.thin[a]).reshape(*lead, m.shape[1]) for a, m in folded.parts.items()}
        return onto, (flat @ folded.constant).reshape(lead)

    def folded(self, j: int) -> Folded | None:
        """Node j in anchors, or None where the chain is better walked."""
        if j not in self._folded:
            self._folded[j] = self._fold(j) if self._foldable(j) else None
        return self._folded[j]

    def _foldable(self, j: int) -> bool:
        stack, entries = [j], 0
        while stack:
            i = stack.pop()
            if i in self.anchors:
                entries += self.graph.nodes[i].size * self.graph.nodes[j].size
                continue
            affine = self.network.affine[i]
            if (
                affine is not None
                and any(isinstance(m, ConvMap) for m in affine.maps)
                and self.graph.nodes[i].size > 256
            ):
                return False
            stack += self.graph.nodes[i].inputs
        return entries <= MOST_FOLDED

    def _fold(self, j: int) -> Folded:
        parts, constant = self._exact()._walk({j: np.eye(self.graph.nodes[j].size)})
        return Folded(
            {a: np.ascontiguousarray(m, self.dtype) for a, m in parts.items()}, constant.astype(self.dtype)
        )

    def _exact(self) -> BoxBounds:
        """The same in float64."""
        other = BoxBounds.__new__(BoxBounds)
        other.__dict__.update(self.__dict__, dtype=np.dtype(np.float64), maps=FloatMaps(np.float64))
        return other

    def _walk(self, blocks: dict[int, Array]) -> tuple[dict[int, Array], Array]:
        """The same, map by map."""
        done: dict[int, Array] = {}
        constant = np.zeros(next(iter(blocks.values())).shape[:-1], self.dtype)
        while blocks:
            i = max(blocks)
            a = blocks.pop(i)
            node, affine = self.graph.nodes[i], self.network.affine[i]
            if i in self.anchors:
                done[i] = a
            elif affine is None:
                constant += a @ node.op.value.mid.astype(self.dtype).reshape(-1)  # type: ignore[attr-defined]
            else:
                if affine.offset is not None:
                    constant += a @ affine.offset.mid.astype(self.dtype).reshape(-1)
                for m, k in zip(affine.maps, node.inputs, strict=True):
                    x = self.maps.adjoint(m, a)
                    blocks[k] = blocks[k] + x if k in blocks else x
        return done, constant

    # The dual point.

    def dual(self, line: Linear, kept: Kept, found: Boxed) -> tuple[Array, Array]:
        """Where the rows' linear functions are least (Q, R, inputs), and the outputs (Q, R, outputs) through the lines that the
        pass chose: no run of the network."""
        x = np.where(line.slope >= 0, found.lower[line.boxes][:, None], found.upper[line.boxes][:, None])
        values: dict[int, Array] = {}
        for i in self.order:
            node, affine = self.graph.nodes[i], self.network.affine[i]
            if isinstance(node.op, Input):
                values[i] = x[..., self.slices[i]]
            elif affine is not None:
                values[i] = self._mapped(i, [values[j] for j in node.inputs])
            elif isinstance(node.op, Relaxed):
                values[i] = self._chosen(i, kept, values, line.boxes, found)
            else:
                low, high = (boxwise(end, line.boxes)[:, None] for end in found.ends[i])
                values[i] = np.where(kept[i] >= 0, low, high) if i in kept else low
        outputs = [np.broadcast_to(values[i], (*x.shape[:2], values[i].shape[2])) for i in self.graph.outputs]
        return x, np.concatenate(outputs, axis=2)

    def _mapped(self, i: int, operands: Sequence[Array]) -> Array:
        """An affine node's values (..., n)."""
        affine = self.network.affine[i]
        if affine is None:
            raise ValueError("not an affine node")
        total: Array | float = 0.0
        for m, x in zip(affine.maps, operands, strict=True):
            total = total + self.maps.forward(m, x)
        return np.asarray(
            total if affine.offset is None else total + affine.offset.mid.astype(self.dtype).reshape(-1)
        )

    def _chosen(self, i: int, kept: Kept, values: Mapping[int, Array], boxes: Ints, found: Boxed) -> Array:
        """The value of node i by the lines that its coefficients chose; 0 where it has none."""
        node, drawn = self.graph.nodes[i], self.lines(i, found)
        if i not in kept:
            return np.zeros((boxes.size, 1, node.size), self.dtype)
        total: Array | float = 0.0
        above = kept[i] >= 0
        for part in drawn.parts:
            z = values[node.inputs[part.operand]]
            z = z if part.entries is None else self.maps.forward(part.entries, z)
            (ls, lt), (us, ut) = part.lower, part.upper
            slope = np.where(above, boxwise(ls, boxes)[:, None], boxwise(us, boxes)[:, None])
            low, high = (np.zeros((1, 1)) if t is None else boxwise(t, boxes)[:, None] for t in (lt, ut))
            total = total + z * slope + np.where(above, low, high).astype(self.dtype)
        found_ = np.asarray(total)
        return found_ if drawn.sums is None else self.maps.forward(drawn.sums, found_)

    def _one_affine_step(self, target: int) -> bool:
        """As ``trusted.bounds.Enclosure``."""
        steps, i = 0, target
        while not isinstance(self.graph.nodes[i].op, Input):
            affine = self.network.affine[i]
            if affine is None or len(affine.maps) != 1:
                return False
            steps += affine.maps[0].fan_in > 1 or not affine.exact
            i = self.graph.nodes[i].inputs[0]
        return steps <= 1


def dots(a: Array, b: Array) -> Array:
    """(Q, R): rows (Q, R, n) times (Q, n) or (1, n)."""
    return np.asarray(np.matmul(a, b[:, :, None])[:, :, 0])


def boxwise(values: Array, boxes: Ints) -> Array:
    """Each box's own: of (D, n), or of (1, n), which all share."""
    return values if len(values) == 1 else values[boxes]
