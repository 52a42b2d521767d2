"""Zonotopes, carried forward: enclosures of every float32 execution at points, and of all values over leaves.

Each node's values in D domains (points, or boxes of inputs), over every point of the domain and every allowed execution there:
there are numbers t in [-1, 1], one symbol for each value of each earlier node and the same ones for all nodes, and t' in
[-1, 1] of the node's own, with
    value = centre + t . rows + own t'                                                                        (*)
so that value lies within sum |rows| + own of the centre, and a difference of two values within the sum of the rows'
differences. What follows a node knows its t' as symbols ``base + entry``. An execution gives node i the value
F_i(operands) + e_i, |e_i| <= radius_i; over the reals the radius is 0.

* an input: the middle of its box, and half its width as own.
* y = sum M x + offset + e: centre := fl(M centre + offset), rows := fl(M rows), and M own t' are rows of the symbols t' where M
  mixes values; where it moves or scales them, they stay own (each value's, so that a value has one). What rounding changed
  is within gamma |M| (|centre| + sum |rows| + own) + gamma |offset|, and goes to ``own`` with radius_i.
* y = f(z) + e, f between lines on z's box: with any slope s, f(z) - s z lies in [p, q], the ends of what the lines leave:
  s times (*), the centre moved by (p + q)/2, own + (q - p)/2 + radius_i.
* anything else: the middle of its box, and half its width and radius_i as own.

Symbols that would take too much memory are given up: |M| times their part of a value is own. Every step keeps the interval
box beside (*) and meets both. Products are sums of doubles as ball64 has them, with its guards and its gamma; ``up`` is its.

Domains come in groups whose rows are one array: a symbol that a domain does not have is a row of zeros there, which changes
no sum. At points each is a group of its own, since there almost every value has a symbol; leaves are many, and have few.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.ball64 import (
    MAX_TERMS,
    TINY,
    Ball64,
    V,
    centre_radius_up,
    gamma_up,
    guard,
    guard_factor,
    of,
    outward_down,
    outward_up,
    slack_up,
)
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.maps import Affine, ConvMap, IndexMap, Map, MatMap, SignMap
from tlcheck.trusted.arith.profile import Profile
from tlcheck.trusted.graph import Node
from tlcheck.trusted.intervals import image
from tlcheck.trusted.network import Network
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.base import Relaxed
from tlcheck.trusted.ops.elementwise import Elementwise
from tlcheck.trusted.ops.lines import Lines, Part, Relaxation, SlopeGuess
from tlcheck.trusted.ops.structure import Input

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ENTRIES = 1 << 22
"""Most numbers in one domain's rows of one node: 32 MiB."""
UP = 1 + 16 * V
"""Makes a value of up to six roundings, of numbers that are not negative, an upper bound."""
SMALL = 2.0**-32
"""Own parts below this part of a node's largest spread get no symbol: precision, not soundness."""
Noise = tuple[Ints, Floats]
"""(symbols, rows)"""


@dataclass(frozen=True, eq=False)
class Values:
    """A node's values in D domains: ``centre``, ``own`` (D, n); of each group of domains ``rows`` (G, S, n), ``symbols`` (S,),
    which increase. ``reach`` (D, n) >= sum |rows|, ``spread`` (D, n) >= |value - centre|, guarded; ``box`` (D, n) holds them."""

    centre: Floats
    own: Floats
    rows: list[Floats]
    symbols: list[Ints]
    reach: Floats
    spread: Floats
    box: Box


@dataclass(frozen=True, eq=False)
class Zonotopes:
    """``boxes[i]`` (D, n) encloses needed node i's value in every allowed execution; ``outputs``: (*) of the outputs."""

    boxes: Mapping[int, Box]
    outputs: Mapping[int, Values]

    def differences(self, node: int, domain: int, label: int) -> tuple[Floats, Floats]:
        """(n,): lower and upper ends of value[label] - value[j] of an output, for each j (0 at j = label)."""
        v = self.outputs[node]
        group, place = divmod(domain, len(v.rows[0]))
        rows, own, c, box = v.rows[group][place], v.own[domain], v.centre[domain], v.box
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
    from tlcheck.trusted.rounding import rounding_radius  # only float32 executions have radii

    carry, boxes = Carry(network, engine, len(next(iter(inputs.values())).lower)), dict[int, Box]()
    for i in sorted(network.needed):
        node, radius = network.graph.nodes[i], None
        if isinstance(node.op, Input):
            box = inputs[i]
        else:
            operands, shapes = tuple(boxes[j] for j in node.inputs), network.shapes(node)
            box = image(node.op, network.affine[i], operands, engine, shapes)
            radius = rounding_radius(node.op, network.affine[i], operands, shapes, box, engine, profile)
            box = box if radius is None else box.widened(radius)
        boxes[i] = carry.value(i, boxes, box, radius).box
    return Zonotopes(boxes, {i: carry.found[i] for i in network.graph.outputs})


@dataclass(eq=False)
class Carry:
    """The values of a network's needed nodes over some domains, made in the nodes' order. ``together``: so many domains to a
    group, of one domain for few and large ones: cost, not soundness. A domain's values do not depend on its group's others."""

    network: Network
    engine: Ball64
    domains: int
    together: int = 1
    found: dict[int, Values] = field(default_factory=dict)

    @cached_property
    def groups(self) -> list[slice]:
        return [slice(k, k + self.together) for k in range(0, self.domains, self.together)]

    @cached_property
    def last(self) -> dict[int, int]:
        """The last node that takes a node's value."""
        return {j: i for i in sorted(self.network.needed) for j in self.network.graph.nodes[i].inputs}

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

    def value(self, i: int, boxes: Mapping[int, Box], box: Box, radius: Floats | None) -> Values:
        """Node i's, which lie in ``box``, as its operands' in ``boxes``; ``radius``: its deployed one. Raises OutOfRange."""
        node, box = self.network.graph.nodes[i], self._each(box)
        made = self.found[i] = self._value(i, node, [boxes[j] for j in node.inputs], box, radius)
        for j in {*node.inputs}:
            if self.last[j] == i and j not in self.network.graph.outputs:
                del self.found[j]
        return made

    def _value(self, i: int, node: Node, boxes: list[Box], box: Box, radius: Floats | None) -> Values:
        operands, affine = [self.found[j] for j in node.inputs], self.network.affine[i]
        extra = np.zeros(box.lower.shape) if radius is None else radius
        guard(extra)
        if affine is not None:
            if radius is None and affine.exact and _moves(affine):
                return self._moved(affine, operands, box)
            return self._affine(i, affine, operands, box, extra)
        if isinstance(node.op, Relaxed):
            drawn = _relaxation(node, tuple(boxes), self.network.shapes(node))
            return self._relaxed(drawn, operands, box, extra)
        return self._boxed(box)

    def _each(self, box: Box) -> Box:
        """With a row for each domain."""
        shape = self.domains, box.lower.shape[1]
        if box.lower.shape == shape:
            return box
        return Box(np.broadcast_to(box.lower, shape), np.broadcast_to(box.upper, shape))

    def _moved(self, affine: Affine, operands: list[Values], box: Box) -> Values:
        """Values that are moved, and their signs: exact. Each result is one value, or 0."""
        pairs = list(zip(affine.maps, operands, strict=True))
        move = self._forward
        centre, own = sum(move(m, v.centre) for m, v in pairs), sum(np.abs(move(m, v.own)) for m, v in pairs)
        rows = [[(v.symbols[g], move(m, v.rows[g])) for m, v in pairs] for g in self._numbers]
        reach = np.asarray(sum(np.abs(move(m, v.reach)) for m, v in pairs))
        spread = np.asarray(sum(np.abs(move(m, v.spread)) for m, v in pairs))
        return Values(np.asarray(centre), np.asarray(own), *_apart(map(_summed, rows)), reach, spread, box)

    def _affine(self, i: int, affine: Affine, operands: list[Values], box: Box, extra: Floats) -> Values:
        centre, own = self._centre(affine, operands)
        own = (own + extra) * UP
        wanted = self._wanted(i, affine, box)
        parts: list[list[Noise]] = [[] for _ in self.groups]
        for m, j, v in zip(affine.maps, self.network.graph.nodes[i].inputs, operands, strict=True):
            noise, kept_own = self._carried(m, int(self.bases[j]), v, wanted)
            own = (own + kept_own) * UP
            for part, one in zip(parts, noise, strict=True):
                part.append(one)
        if wanted is not None:
            of_box = (np.maximum(box.upper - centre, centre - box.lower) + 4 * V * np.abs(centre)) * UP + TINY
            own = np.where(wanted, own, of_box)
        same = len(affine.maps) == 1 and isinstance(affine.maps[0], SignMap)
        return self._enclosed(centre, own, map(_summed, parts), box, operands[0].reach if same else None)

    @property
    def _numbers(self) -> range:
        return range(len(self.groups))

    def _forward(self, m: Map, x: Floats) -> Floats:
        """M x for x (.., n_in)."""
        rows = x.reshape(-1, m.n_in)
        made = self.engine.forward(m, rows) if len(rows) else np.zeros((0, m.n_out))
        return made.reshape(*x.shape[:-1], m.n_out)

    def _centre(self, affine: Affine, operands: list[Values]) -> tuple[Floats, Floats]:
        """(c, e): c = fl(sum M centre + offset); e >= what is not exact of it, and of fl(M) times rows and own and their sum."""
        terms = sum(m.fan_in for m in affine.maps) + len(operands) + 2
        centre, error = np.zeros(1), np.zeros(1)
        for m, v in zip(affine.maps, operands, strict=True):
            guard(v.centre)
            guard_factor(m)
            size = (np.abs(v.centre) + v.spread) * UP
            centre = centre + self._forward(m, v.centre)
            lost = self.engine.magnitude_up(m, size) * gamma_up(terms) + self.engine.uncertain_up(m, size)
            error = (error + lost) * UP + TINY
        if affine.offset is not None:
            offset, rad = affine.offset.mid.astype(np.float64), affine.offset.rad
            guard(offset)
            centre = centre + offset
            error = (error + gamma_up(terms) * np.abs(offset) + (0.0 if rad is None else rad)) * UP + TINY
        guard(centre, error)
        return centre, error

    def _wanted(self, i: int, affine: Affine, box: Box) -> NDArray[np.bool_] | None:
        """(D, n): values that are not sure to become 0 in all that takes them; the box says enough of the others."""
        nodes, users = self.network.graph.nodes, self.users.get(i, [])
        outputs = self.network.graph.outputs
        if self.together > 1 or i in outputs or not all(isinstance(nodes[j].op, Relu) for j in users):
            return None
        one = len(affine.maps) == 1 and isinstance(affine.maps[0], MatMap) and affine.maps[0].positions == 1
        return box.upper > 0 if one else None

    def _carried(
        self, m: Map, base: int, v: Values, wanted: NDArray[np.bool_] | None
    ) -> tuple[list[Noise], Floats]:
        """The rows of M x in each domain, and (D, n_out) what stays own of x's own and what is given up."""
        if not isinstance(m, MatMap | ConvMap):
            moved = [self._forward(m, r) for r in v.rows]
            return list(zip(v.symbols, moved, strict=True)), self.engine.magnitude_up(m, v.own)
        kept = np.where(v.own > SMALL * v.spread.max(axis=1, keepdims=True, initial=0.0), v.own, 0.0)
        given_up = v.own - kept
        found = []
        most = ENTRIES // max(m.n_in, m.n_out)
        for g, some in enumerate(self.groups):
            own, lost = kept[some], given_up[some]
            rows, symbols = _fewer(v.rows[g], v.symbols[g], own, most, lost)
            fresh = np.flatnonzero(own.any(axis=0))
            columns = None if wanted is None else np.flatnonzero(wanted[some])
            found.append(
                (np.concatenate([symbols, base + fresh]), self._product(m, rows, fresh, own, columns))
            )
        return found, self.engine.magnitude_up(m, given_up)

    def _product(
        self, m: MatMap | ConvMap, rows: Floats, fresh: Ints, own: Floats, columns: Ints | None
    ) -> Floats:
        """The rows (G, S, n), and those of the diagonals of ``own`` (G, n) at ``fresh``, times M; of the result only ``columns``,
        the others 0."""
        if isinstance(m, ConvMap) or m.positions > 1:
            diagonal = np.zeros((len(rows), fresh.size, own.shape[1]))
            diagonal[:, np.arange(fresh.size), fresh] = own[:, fresh]
            return self._forward(m, np.concatenate([rows, diagonal], axis=1))
        weight = self.engine.weights(m).mid
        if self.together > 1:
            return np.concatenate([self._forward(m, rows), own[:, fresh, None] * weight[fresh]], axis=1)
        (one,), (mine,) = rows, own
        live = np.flatnonzero(one.any(axis=0))  # the others are products with 0
        if columns is None:
            made = [one[:, live] @ weight[live], mine[fresh, None] * weight[fresh]]
            return np.concatenate(made)[None]
        result = np.zeros((len(one) + fresh.size, weight.shape[1]))
        result[: len(one), columns] = one[:, live] @ weight[np.ix_(live, columns)]
        result[len(one) :, columns] = mine[fresh, None] * weight[np.ix_(fresh, columns)]
        return result[None]

    def _relaxed(self, drawn: Relaxation, operands: list[Values], box: Box, extra: Floats) -> Values:
        """y = S t + e, t between the sums of the parts' lines."""
        terms = self._terms(drawn, operands, box if drawn.terms is None else self._each(drawn.terms))
        if (m := drawn.sums) is not None:
            centre, own = self._centre(Affine((m,), None, 0, True), [terms])
            own = (own + self.engine.magnitude_up(m, terms.own)) * UP
            rows = [self._forward(m, r) for r in terms.rows]
            return self._enclosed(centre, (own + extra) * UP, zip(terms.symbols, rows, strict=True), box)
        own, spread = (terms.own + extra) * UP, (terms.spread + extra) * UP
        return _met(Values(terms.centre, own, terms.rows, terms.symbols, terms.reach, spread, box))

    def _terms(self, drawn: Relaxation, operands: list[Values], box: Box) -> Values:
        """t, in ``box``."""
        shape = box.lower.shape
        operands = [self._cut(v, ENTRIES // max(1, shape[1])) for v in operands]
        centre, own, low, high = (np.zeros(shape) for _ in range(4))
        parts: list[list[Noise]] = [[] for _ in self.groups]
        gamma = gamma_up(len(drawn.parts) + 4)
        for part in drawn.parts:
            v, at = operands[part.operand], slice(None) if part.entries is None else part.entries.index
            slope, bottom, top = _between(part.lines, part.box)
            low, high = outward_down(low + bottom), outward_up(high + top)
            c, size = v.centre[:, at], np.abs(slope)
            centre = centre + slope * c
            own = (
                own + size * (v.own[:, at] + gamma * (np.abs(c) + v.spread[:, at])) + 2 * V * np.abs(centre)
            ) * UP
            for g, (some, one) in enumerate(zip(self.groups, parts, strict=True)):
                one.append((v.symbols[g], v.rows[g][:, :, at] * of(slope, some)[:, None]))
        middle, half = centre_radius_up(Box(low, high))
        guard(centre, middle)
        centre = centre + middle
        own = (own + half + 2 * V * np.abs(centre) + TINY) * UP
        reach = size * v.reach[:, at] * UP + TINY if len(drawn.parts) == 1 else None
        return self._enclosed(centre, own, map(_summed, parts), box, reach)

    def _enclosed(
        self, centre: Floats, own: Floats, noises: Iterable[Noise], box: Box, reach: Floats | None = None
    ) -> Values:
        """The values of (*), which lie in ``box`` too. ``reach``: at least the sums of the rows' magnitudes, if known."""
        rows, symbols = _apart(noises)
        if reach is None:
            reach = np.concatenate([self._sum_up(r) for r in rows])
        return _met(Values(centre, own, rows, symbols, reach, (reach + own) * UP, box))

    def _sum_up(self, rows: Floats) -> Floats:
        """>= the sums (G, n) of magnitudes over the symbols, added one after the other: zeros change nothing."""
        if rows.shape[1] > MAX_TERMS:
            raise OutOfRange("too many symbols")
        sizes = np.abs(rows)
        one = rows.shape[2] == 1 and rows.shape[1] > 0  # numpy would add up pairs
        total = np.cumsum(sizes, axis=1)[:, -1] if one else sizes.sum(axis=1)
        return np.asarray(total * slack_up(min(int(self.bases[-1]), MAX_TERMS)) + TINY)

    def _boxed(self, box: Box) -> Values:
        """Known by the box alone."""
        guard(box.lower, box.upper)
        centre, radius = centre_radius_up(box)
        exact = box.lower == box.upper
        own = np.where(exact, 0.0, radius)
        guard(own)
        rows = [np.zeros((len(own[some]), 0, own.shape[1])) for some in self.groups]
        symbols = [np.zeros(0, np.int64) for _ in self.groups]
        return Values(np.where(exact, box.lower, centre), own, rows, symbols, np.zeros(own.shape), own, box)

    def _cut(self, v: Values, most: int) -> Values:
        """The same values by at most ``most`` symbols: what is given up is own, of these Values alone."""
        if all(len(symbols) <= most for symbols in v.symbols):
            return v
        given_up = np.zeros(v.own.shape)
        noises = []
        for some, rows, symbols in zip(self.groups, v.rows, v.symbols, strict=True):
            kept, left = _fewer(rows, symbols, np.zeros((len(rows), rows.shape[2])), most, given_up[some])
            noises.append((left, kept))
        rows_left, symbols_left = _apart(noises)
        own, spread = ((x + given_up) * UP for x in (v.own, v.spread))
        return Values(v.centre, own, rows_left, symbols_left, v.reach, spread, v.box)


def _moves(affine: Affine) -> bool:
    """Each result is plus or minus one value, or 0."""
    maps = affine.maps
    if affine.offset is not None:
        return False
    if len(maps) == 1 and isinstance(maps[0], SignMap):
        return True
    sources = [m.index >= 0 for m in maps if isinstance(m, IndexMap) and not m.transposed]
    return len(sources) == len(maps) and bool((np.sum(sources, axis=0) <= 1).all())


def _summed(parts: Sequence[Noise]) -> Noise:
    """The sum of rows whose symbols may differ."""
    symbols, rows = parts[0]
    for more, others in parts[1:]:
        if np.array_equal(symbols, more):
            rows = rows + others
            continue
        union = np.union1d(symbols, more)
        total = np.zeros((len(rows), union.size, rows.shape[2]))
        total[:, np.searchsorted(union, symbols)] = rows
        total[:, np.searchsorted(union, more)] += others
        symbols, rows = union, total
    return symbols, rows


def _apart(noises: Iterable[Noise]) -> tuple[list[Floats], list[Ints]]:
    found = list(noises)
    return [rows for _, rows in found], [symbols for symbols, _ in found]


def _fewer(rows: Floats, symbols: Ints, own: Floats, most: int, given_up: Floats) -> tuple[Floats, Ints]:
    """At most ``most`` of the symbols and of what is own in each domain, the largest; the others are added to ``given_up``, and
    0 in ``own``."""
    size = len(symbols)
    if size + np.count_nonzero(own, axis=1).max(initial=0) <= most:
        return rows, symbols
    sizes = np.concatenate([np.abs(rows).sum(axis=2), own], axis=1)
    kept = np.zeros(sizes.shape, bool)
    np.put_along_axis(kept, np.argsort(-sizes, axis=1, kind="stable")[:, :most], True, axis=1)
    mine, its = kept[:, :size], kept[:, size:]
    lost = np.flatnonzero(~mine.all(axis=0))
    of_rows = (np.abs(rows[:, lost]) * ~mine[:, lost, None]).sum(axis=1) * slack_up(lost.size)
    given_up += (of_rows + np.where(its, 0.0, own)) * UP + TINY
    own[~its] = 0.0
    left = np.flatnonzero(mine.any(axis=0))
    return rows[:, left] * mine[:, left, None], symbols[left]


def _between(lines: Lines, box: Box) -> tuple[Floats, Floats, Floats]:
    """(s, p, q): s z + p <= lower line and upper line <= s z + q on the box, for one slope s between the lines' own."""
    (ls, lt), (us, ut) = lines.lower, lines.upper
    slope = 0.5 * ls + 0.5 * us
    guard(slope, lt, ut, box.lower, box.upper)
    ends = []
    for s, t in ((ls, lt), (us, ut)):
        more = s - slope
        error = 8 * V * (np.abs(more) * box.magnitude + np.abs(t)) + TINY
        ends.append((more * box.lower + t, more * box.upper + t, error))
    (a, b, down), (c, d, up) = ends
    return slope, np.minimum(a, b) - down, np.maximum(c, d) + up


def _met(v: Values) -> Values:
    """With a box that is in both enclosures."""
    guard(v.spread)
    lower, upper = outward_down(v.centre - v.spread), outward_up(v.centre + v.spread)
    box = Box(np.maximum(v.box.lower, lower), np.minimum(v.box.upper, upper))
    return replace(v, box=box)


def _relaxation(node: Node, boxes: tuple[Box, ...], shapes: tuple[tuple[int, ...], ...]) -> Relaxation:
    """Lines; of a function of one variable with the chord's slope: a zonotope has one slope for both sides."""
    op = node.op
    if not isinstance(op, Elementwise):
        if not isinstance(op, Relaxed):
            raise ValueError(f"no rule for {type(op).__name__}")
        return op.relaxation(boxes, shapes)
    box = boxes[0]
    with np.errstate(all="ignore"):
        chord = (op.approximate(box.upper) - op.approximate(box.lower)) / (box.upper - box.lower)
    slope = np.where(np.isfinite(chord), chord, 0.0)
    return Relaxation((Part(0, op.lines(box, SlopeGuess(slope, slope)), box),))
