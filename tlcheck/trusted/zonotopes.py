"""Enclosures of every float32 execution at points: zonotopes, carried forward.

At a point there is nothing to enclose but roundings. An execution gives node i the value F_i(operands) + e_i, |e_i| <=
radius_i. Of each point (domain) and node, over all allowed executions at once: there are numbers t in [-1, 1], one symbol for
each value of each earlier node and the same ones for all nodes, and t' in [-1, 1] of the node's own, with
    value = centre + t . rows + own t'                                                                        (*)
so that value lies within sum |rows| + own of the centre, and a difference of two values within the sum of the rows'
differences. What follows a node knows its t' as symbols ``base + entry``.

* y = sum M x + offset + e: centre := fl(M centre + offset), rows := fl(M rows), and M own t' are rows of the symbols t' where M
  mixes values; where it moves or scales them, they stay own (each value's, so that a value has one). What rounding changed
  is within gamma |M| (sum |rows| + own) and the engine's error of the centre, and goes to ``own`` with radius_i.
* y = f(z) + e, f between lines on z's box: with any slope s, f(z) - s z lies in [p, q], the ends of what the lines leave:
  s times (*), the centre moved by (p + q)/2, own + (q - p)/2 + radius_i.
* smooth functions, softmax, products of two operands: around their centres, in float64 (``trusted.centred``), and radius_i.
* anything else: the middle of its box, and half its width and radius_i as own.

Symbols that would take too much memory are given up: |M| times their part of a value is own. Every step keeps the interval
box beside (*) and meets both. Products are sums of doubles as ball64 has them, with its guards and its gamma; ``up`` is its.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.ball64 import (
    TINY,
    Ball64,
    V,
    centre_radius_up,
    gamma_up,
    guard,
    outward_down,
    outward_up,
    slack_up,
)
from tlcheck.trusted.arith.box import Box
from tlcheck.trusted.arith.maps import Affine, ConvMap, DiagMap, IndexMap, Map, MatMap, SignMap
from tlcheck.trusted.arith.profile import Profile
from tlcheck.trusted.graph import Node
from tlcheck.trusted.intervals import image
from tlcheck.trusted.network import Network
from tlcheck.trusted.noise import (
    SMALL,
    UP,
    Noise,
    Rows,
    Values,
    apart,
    between,
    boxed,
    chord_lines,
    cut,
    enclosed,
    fewer,
    group_size,
    met,
    summed,
)
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.base import Operation, Relaxed
from tlcheck.trusted.ops.elementwise import Elementwise
from tlcheck.trusted.ops.lines import Part, Relaxation
from tlcheck.trusted.ops.structure import Input
from tlcheck.trusted.rounding import rounding_radius

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ENTRIES = 1 << 22
"""Most numbers in one domain's rows of one node: 32 MiB."""


@dataclass(frozen=True, eq=False)
class Zonotopes:
    """``boxes[i]`` (D, n) encloses needed node i's value in every allowed execution; ``outputs``: (*) of the outputs."""

    boxes: Mapping[int, Box]
    outputs: Mapping[int, Values]

    def differences(self, node: int, domain: int, label: int) -> tuple[Floats, Floats]:
        """(n,): lower and upper ends of value[label] - value[j] of an output, for each j (0 at j = label)."""
        v = self.outputs[node]
        rows, own, c, box = v.rows[domain].array, v.own[domain], v.centre[domain], v.box
        apart = rows[:, label : label + 1] - rows
        reach = np.abs(apart).sum(axis=0) * slack_up(len(rows) + 2) + TINY
        reach = (reach + own[label] + own + 4 * V * (np.abs(c[label]) + np.abs(c))) * UP + TINY
        gap = c[label] - c
        guard(reach, gap)
        low = np.maximum(
            outward_down(gap - reach), outward_down(box.lower[domain, label] - box.upper[domain])
        )
        high = np.minimum(outward_up(gap + reach), outward_up(box.upper[domain, label] - box.lower[domain]))
        low[label] = high[label] = 0.0
        return low, high


def enclose(network: Network, engine: Ball64, inputs: Mapping[int, Box], profile: Profile) -> Zonotopes:
    """Of every execution that the profile allows, at the points (or in the boxes) ``inputs``, input node -> (D, n).

    Raises NotDeployable, and OutOfRange: a magnitude that float32, or double's proved range, does not hold.
    """
    carry = _Carry(network, engine, profile, len(next(iter(inputs.values())).lower))
    return carry.over(inputs)


@dataclass(eq=False)
class _Carry:
    network: Network
    engine: Ball64
    profile: Profile
    domains: int
    found: dict[int, Values] = field(default_factory=dict)

    def over(self, inputs: Mapping[int, Box]) -> Zonotopes:
        nodes, outputs = self.network.graph.nodes, self.network.graph.outputs
        last = {j: i for i in sorted(self.network.needed) for j in nodes[i].inputs}
        boxes = {}
        for i in sorted(self.network.needed):
            value = boxed(inputs[i]) if isinstance(nodes[i].op, Input) else self._value(i, nodes[i])
            self.found[i], boxes[i] = value, value.box
            for j in {*nodes[i].inputs}:
                if last[j] == i and j not in outputs:
                    del self.found[j]
        return Zonotopes(boxes, {i: self.found[i] for i in outputs})

    @cached_property
    def bases(self) -> Ints:
        """The number of each node's first symbol."""
        return np.cumsum([0, *(node.size for node in self.network.graph.nodes)])

    @cached_property
    def users(self) -> dict[int, list[int]]:
        """The needed nodes that take a node's value."""
        found: dict[int, list[int]] = {}
        for i in self.network.needed:
            for j in self.network.graph.nodes[i].inputs:
                found.setdefault(j, []).append(i)
        return found

    def _value(self, i: int, node: Node) -> Values:
        operands = [self.found[j] for j in node.inputs]
        if (centred := self._centred(node, operands)) is not None:
            return self._rounded(node, operands, centred)
        boxes, shapes = tuple(v.box for v in operands), self.network.shapes(node)
        affine = self.network.affine[i]
        box = image(node.op, affine, boxes, self.engine, shapes)
        radius = rounding_radius(node.op, affine, boxes, shapes, box, self.engine, self.profile)
        box = self._each(box if radius is None else _wider(box, radius))
        extra = np.zeros(box.lower.shape) if radius is None else radius
        if affine is not None:
            if radius is None and affine.exact and affine.offset is None and _moves(affine.maps):
                return self._moved(affine, operands, box)
            return self._affine(i, affine, operands, box, extra)
        if isinstance(node.op, Relaxed):
            return self._relaxed(_relaxation(node, boxes, shapes), operands, box, extra)
        return boxed(box)

    def _centred(self, node: Node, operands: list[Values]) -> Values | None:
        """What ``trusted.centred`` knows of F_i, before it is rounded."""
        if not has_centre(node.op):
            return None
        from tlcheck.trusted.centred import values  # networks that are piecewise linear do without

        return values(node.op, self.network.shapes(node), operands, self.engine, ENTRIES)

    def _rounded(self, node: Node, operands: list[Values], v: Values) -> Values:
        """With the radius of an operation that is not affine."""
        boxes, shapes = tuple(x.box for x in operands), self.network.shapes(node)
        radius = rounding_radius(node.op, None, boxes, shapes, v.box, self.engine, self.profile)
        if radius is None:
            return v
        own, spread = (v.own + radius) * UP, (v.spread + radius) * UP
        return met(Values(v.centre, own, v.rows, v.symbols, spread, _wider(v.box, radius)))

    def _each(self, box: Box) -> Box:
        """With a row for each domain."""
        shape = self.domains, box.lower.shape[1]
        return Box(np.broadcast_to(box.lower, shape), np.broadcast_to(box.upper, shape))

    def _moved(self, affine: Affine, operands: list[Values], box: Box) -> Values:
        """Values that are moved, and their signs: exact. Each result is one value, or 0."""
        move, pairs = (
            self._forward,
            [(m, v) for m, v in zip(affine.maps, operands, strict=True) if not _is_nothing(m)]
            or list(zip(affine.maps, operands, strict=True))[:1],
        )
        centre, own = sum(move(m, v.centre) for m, v in pairs), sum(np.abs(move(m, v.own)) for m, v in pairs)
        spread = sum(np.abs(move(m, v.spread)) for m, v in pairs)
        (m, v), parts = pairs[0], range(self.domains)
        if len(pairs) == 1:
            noise = [_scaled(m, r) for r in v.rows], v.symbols
        else:
            noise = apart(summed([(v.symbols[d], move(m, v.rows[d].array)) for m, v in pairs]) for d in parts)
        return Values(np.asarray(centre), np.asarray(own), *noise, np.asarray(spread), box)

    def _affine(self, i: int, affine: Affine, operands: list[Values], box: Box, extra: Floats) -> Values:
        points = tuple(Box(v.centre, v.centre) for v in operands)
        centre, own = centre_radius_up(self.engine.image(affine.maps, points, affine.offset))
        own = (own + extra) * UP
        if len(operands) == 1 and _scales(affine.maps[0]):
            (m,), (v,) = affine.maps, operands
            rest = own + self._lost(m, v.spread, 1)
            sizes = [(self.engine.magnitude_up(m, x) + rest) * UP for x in (v.own, v.spread)]
            return met(Values(centre, sizes[0], [_scaled(m, r) for r in v.rows], v.symbols, sizes[1], box))
        wanted = self._wanted(i, affine, box)
        parts: list[list[Noise]] = [[] for _ in range(self.domains)]
        for m, j, v in zip(affine.maps, self.network.graph.nodes[i].inputs, operands, strict=True):
            noise, kept_own = self._carried(m, int(self.bases[j]), v, wanted)
            own = (own + self._lost(m, v.spread, len(operands)) + kept_own) * UP
            for part, one in zip(parts, noise, strict=True):
                part.append(one)
        if wanted is not None:
            of_box = (np.maximum(box.upper - centre, centre - box.lower) + 4 * V * np.abs(centre)) * UP + TINY
            own = np.where(wanted, own, of_box)
        return enclosed(centre, own, map(summed, parts), box)

    def _forward(self, m: Map, rows: Floats) -> Floats:
        if not len(rows):
            return np.zeros((0, m.n_out))
        if n := group_size(m):
            return np.asarray(rows.reshape(len(rows), m.n_out, n).sum(axis=2))
        return self.engine.forward(m, rows)

    def _lost(self, m: Map, spread: Floats, operands: int) -> Floats:
        """>= what is not exact of M times rows and own, and of the sum with other operands' rows."""
        lost = self.engine.magnitude_up(m, spread) * gamma_up(m.fan_in + operands + 2)
        return np.asarray((lost + self.engine.uncertain_up(m, spread)) * UP + TINY)

    def _wanted(self, i: int, affine: Affine, box: Box) -> NDArray[np.bool_] | None:
        """(D, n): values that are not sure to become 0 in all that takes them; the box says enough of the others."""
        nodes, users = self.network.graph.nodes, self.users.get(i, [])
        if i in self.network.graph.outputs or not all(isinstance(nodes[j].op, Relu) for j in users):
            return None
        one = len(affine.maps) == 1 and isinstance(affine.maps[0], MatMap) and affine.maps[0].positions == 1
        return box.upper > 0 if one else None

    def _carried(
        self, m: Map, base: int, v: Values, wanted: NDArray[np.bool_] | None
    ) -> tuple[list[Noise], Floats]:
        """The rows of M x in each domain, and (D, n_out) what stays own of x's own and what is given up."""
        if not isinstance(m, MatMap | ConvMap):
            moved = [self._forward(m, r.array) for r in v.rows]
            return list(zip(v.symbols, moved, strict=True)), self.engine.magnitude_up(m, v.own)
        kept = np.where(v.own > SMALL * v.own.max(axis=1, keepdims=True, initial=0.0), v.own, 0.0)
        given_up = v.own - kept
        found = []
        for d in range(self.domains):
            rows, symbols = fewer(
                v.rows[d].array, v.symbols[d], kept[d], ENTRIES // max(m.n_in, m.n_out), given_up[d]
            )
            fresh = np.flatnonzero(kept[d])
            columns = None if wanted is None else np.flatnonzero(wanted[d])
            found.append(
                (np.concatenate([symbols, base + fresh]), self._product(m, rows, fresh, kept[d], columns))
            )
        return found, self.engine.magnitude_up(m, given_up)

    def _product(
        self, m: MatMap | ConvMap, rows: Floats, fresh: Ints, own: Floats, columns: Ints | None
    ) -> Floats:
        """The rows, and those of the diagonal of ``own`` at ``fresh``, times M; of the result only ``columns``, the others 0."""
        if isinstance(m, ConvMap):
            diagonal = np.zeros((fresh.size, own.size))
            diagonal[np.arange(fresh.size), fresh] = own[fresh]
            return self._forward(m, np.concatenate([rows, diagonal]))
        weight = self.engine.weights(m).mid
        if m.positions > 1:
            place, entry = np.divmod(fresh, weight.shape[0])
            alone = np.zeros((fresh.size, m.positions, weight.shape[1]))
            alone[np.arange(fresh.size), place] = own[fresh, None] * weight[entry]
            return np.concatenate([self._forward(m, rows), alone.reshape(fresh.size, -1)])
        live = np.flatnonzero(rows.any(axis=0))  # the others are products with 0
        if columns is None:
            return np.concatenate([rows[:, live] @ weight[live], own[fresh, None] * weight[fresh]])
        result = np.zeros((len(rows) + fresh.size, weight.shape[1]))
        result[: len(rows), columns] = rows[:, live] @ weight[np.ix_(live, columns)]
        result[len(rows) :, columns] = own[fresh, None] * weight[np.ix_(fresh, columns)]
        return result

    def _relaxed(self, drawn: Relaxation, operands: list[Values], box: Box, extra: Floats) -> Values:
        """y = S t + e, t between the sums of the parts' lines."""
        terms = self._terms(drawn, operands, box if drawn.terms is None else self._each(drawn.terms))
        if (m := drawn.sums) is not None:
            centre, own = centre_radius_up(self.engine.image((m,), (Box(terms.centre, terms.centre),), None))
            own = (own + self.engine.magnitude_up(m, terms.own) + self._lost(m, terms.spread, 1)) * UP
            rows = [self._forward(m, r.array) for r in terms.rows]
            return enclosed(centre, (own + extra) * UP, zip(terms.symbols, rows, strict=True), box)
        own, spread = (terms.own + extra) * UP, (terms.spread + extra) * UP
        return met(Values(terms.centre, own, terms.rows, terms.symbols, spread, box))

    def _terms(self, drawn: Relaxation, operands: list[Values], box: Box) -> Values:
        """t, in ``box``."""
        shape = box.lower.shape
        operands = [cut(v, ENTRIES // max(1, shape[1])) for v in operands]
        centre, own, low, high = (np.zeros(shape) for _ in range(4))
        parts: list[list[Noise]] = [[] for _ in range(self.domains)]
        gamma = gamma_up(len(drawn.parts) + 4)
        for part in drawn.parts:
            v, at = operands[part.operand], slice(None) if part.entries is None else part.entries.index
            slope, bottom, top = between(part.lines, part.box)
            low, high = outward_down(low + bottom), outward_up(high + top)
            c, size = v.centre[:, at], np.abs(slope)
            centre = centre + slope * c
            own = (
                own + size * (v.own[:, at] + gamma * (np.abs(c) + v.spread[:, at])) + 2 * V * np.abs(centre)
            ) * UP
            for d, one in enumerate(parts):
                one.append((v.symbols[d], v.rows[d].array[:, at] * slope[d if len(slope) > 1 else 0]))
        middle, half = centre_radius_up(Box(low, high))
        guard(centre, middle)
        centre = centre + middle
        own = (own + half + 2 * V * np.abs(centre) + TINY) * UP
        return enclosed(centre, own, map(summed, parts), box)


def _is_nothing(m: Map) -> bool:
    return isinstance(m, IndexMap) and not m.transposed and not bool((m.index >= 0).any())


def _scales(m: Map) -> bool:
    """Each result is one value times a number."""
    return isinstance(m, DiagMap | SignMap) or (isinstance(m, IndexMap) and not m.transposed)


def _scaled(m: Map, rows: Rows) -> Rows:
    """M times the rows, for one that scales."""
    match m:
        case DiagMap():
            return rows.times(np.asarray(m.flat.mid, np.float64))
        case SignMap():
            return rows if m.sign > 0 else rows.times(np.full(m.n_out, -1.0))
        case IndexMap():
            return rows.gathered(m.index)
        case _:
            raise ValueError(f"{type(m).__name__} mixes values")


def _wider(box: Box, radius: Floats) -> Box:
    return Box(np.nextafter(box.lower - radius, -np.inf), np.nextafter(box.upper + radius, np.inf))


def has_centre(op: Operation) -> bool:
    """Whether ``trusted.centred`` may know more of it than its own lines or box."""
    package, _, module = type(op).__module__.rpartition(".")
    return package == "tlcheck.trusted.ops" and module in ("product", "s_shaped", "smooth", "softmax")


def _moves(maps: Sequence[Map]) -> bool:
    """Each result is plus or minus one value, or 0."""
    if len(maps) == 1 and isinstance(maps[0], SignMap):
        return True
    sources = [m.index >= 0 for m in maps if isinstance(m, IndexMap) and not m.transposed]
    return len(sources) == len(maps) and bool((np.sum(sources, axis=0) <= 1).all())


def _relaxation(node: Node, boxes: tuple[Box, ...], shapes: tuple[tuple[int, ...], ...]) -> Relaxation:
    op = node.op
    if isinstance(op, Elementwise):
        return Relaxation((Part(0, chord_lines(op, boxes[0]), boxes[0]),))
    if not isinstance(op, Relaxed):
        raise ValueError(f"no rule for {type(op).__name__}")
    return op.relaxation(boxes, shapes)
