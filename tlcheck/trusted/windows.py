"""Windows: rows of a few values of an image reach few values of the images before it, and are carried through these alone.

A pass whose coefficients on every node are zero outside a set of its values is a pass over these sets: a.(M x + b), with a
zero but for the values W, and the rows W of M zero but for the columns W', is a_W.(M[W, W'] x_W' + b_W); an activation takes
each value by itself; and nothing outside a set enters a bound of its node. The set of a node is all channels of a range of
places (its *span*), found from the rows' values down: an operand's span contains every place that a value in a span of its
consumers takes. Operations that are not known here are taken whole, with their operands.

A value with the sign -1, or a factor, has one consumer and a set that can be cut: then both have one span, and the map between
is a sign, or the factors of that span.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from math import ceil, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.maps import Affine, ConvMap, DiagMap, IndexMap, Map, SignMap
from tlcheck.trusted.linear_bounds import Reach
from tlcheck.trusted.network import Network
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.base import Relaxed
from tlcheck.trusted.ops.structure import Input

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Span = tuple[tuple[int, int], ...]
"""(first, last) along every axis of a node's shape."""

FEW = 128
"""Rows of a part, about: cost, not soundness."""


@dataclass(frozen=True, eq=False)
class Windows(Reach):
    """Of rows of some values of the node ``target``."""

    @cached_property
    def spans(self) -> dict[int, Span]:
        """Of every node that the rows reach; none where all are whole."""
        if not can_be_cut(self.network, self.target):
            return {}
        found = {self.target: self._hull(self.values)}
        for i in range(self.target, -1, -1):
            if i not in found:
                continue
            node, affine = self.network.graph.nodes[i], self.network.affine[i]
            known = can_be_cut(self.network, i)
            if not known:
                found[i] = self.whole(i)
            maps = affine.maps if known and affine is not None else (None,) * len(node.inputs)
            for m, j in zip(maps, node.inputs, strict=True):
                taken = _taken(m, found[i]) if known else self.whole(j)
                found[j] = _joined(found[j], taken) if j in found else taken
        return found

    def whole(self, i: int) -> Span:
        return tuple((0, n - 1) for n in self.network.graph.nodes[i].shape)

    def _hull(self, values: Ints) -> Span:
        node = self.network.graph.nodes[self.target]
        places = np.unravel_index(values, node.shape)
        return (*self.whole(self.target)[:2], *((int(p.min()), int(p.max())) for p in places[2:]))

    @cached_property
    def columns(self) -> dict[int, Ints]:
        """node -> the flat places, rising, of the values in its span, where these are not all."""
        cut = {i: span for i, span in self.spans.items() if span != self.whole(i)}
        return {i: _places(span, self.network.graph.nodes[i].shape) for i, span in cut.items()}

    def size(self, i: int) -> int:
        return int(self.columns[i].size) if i in self.columns else self.network.graph.nodes[i].size

    @cached_property
    def widest(self) -> int:
        return max(self.size(i) for i in self.spans)

    def cut(self, i: int, values: Floats) -> Floats:
        return values[:, self.columns[i]] if i in self.columns else values

    def place(self, i: int, values: Ints) -> Ints:
        return np.searchsorted(self.columns[i], values) if i in self.columns else values

    def holds(self, i: int, values: Ints) -> NDArray[np.bool_]:
        return np.isin(values, self.columns[i]) if i in self.columns else np.ones(values.shape, np.bool_)

    def entries(self, i: int, j: int) -> IndexMap | None:
        if self.spans.get(i) == self.spans.get(j):
            return None
        return IndexMap(self.place(j, self.columns[i]), self.size(j))

    @cached_property
    def affine(self) -> dict[int, Affine]:
        found = {}
        for i in self.spans:
            affine, inputs = self.network.affine[i], self.network.graph.nodes[i].inputs
            if affine is None or not any(k in self.columns for k in (i, *inputs)):
                continue
            maps = tuple(self._map(m, i, j) for m, j in zip(affine.maps, inputs, strict=True))
            offset = affine.offset
            if offset is not None and i in self.columns:
                offset = offset.moved(partial(_chosen, self.columns[i]))
            found[i] = replace(affine, maps=maps, offset=offset)
        return found

    def _map(self, m: Map, i: int, j: int) -> Map:
        if not isinstance(m, ConvMap):
            entries = self.entries(i, j)
            if entries is not None and _is_tied(m):
                raise ValueError("a span of its own for a value with a sign or a factor")
            if isinstance(m, DiagMap):
                factor = m.flat.moved(partial(_chosen, self.columns[i])) if i in self.columns else m.flat
                return DiagMap(factor, (self.size(i),))
            return entries or SignMap(m.sign if isinstance(m, SignMap) else 1, self.size(i))
        narrow, wide = self.spans[i], self.spans[j]
        # first wide place + w = stride (first narrow place + p) + dilation k - pad, with a pad of its own
        pads = tuple(
            pad - s * p + w
            for pad, s, (p, _), (w, _) in zip(m.pads, m.strides, narrow[2:], wide[2:], strict=True)
        )
        return replace(m, pads=pads, wide=_extent(wide), narrow=_extent(narrow))


def can_be_cut(network: Network, i: int) -> bool:
    """Whether the rules above hold for node i and its operands."""
    node, affine, shapes = network.graph.nodes[i], network.affine[i], network.shapes(network.graph.nodes[i])
    if len(node.shape) < 3:
        return False
    if affine is None:
        return isinstance(node.op, Relu | Input) or (isinstance(node.op, Relaxed) and node.op.by_value)
    return all(
        _plain(m, shape == node.shape) and (not _is_tied(m) or _is_used_once(network, j))
        for m, shape, j in zip(affine.maps, shapes, node.inputs, strict=True)
    )


def _plain(m: Map, same_shape: bool) -> bool:
    return not m.transposed if isinstance(m, ConvMap) else same_shape and isinstance(m, SignMap | DiagMap)


def _is_tied(m: Map) -> bool:
    """To its operand's span."""
    return isinstance(m, DiagMap) or (isinstance(m, SignMap) and m.sign < 0)


def _is_used_once(network: Network, j: int) -> bool:
    """And can be cut: its span is its consumer's."""
    return sum(n.inputs.count(j) for n in network.graph.nodes) == 1 and can_be_cut(network, j)


def parts(network: Network, target: int, values: Ints, most: int) -> Iterator[Ints]:
    """Rows of values (K,) of a node that can be cut, in parts: places that lie near together, and at most ``most`` numbers on
    any node."""
    for rows in _tiles(values, network.graph.nodes[target].shape):
        yield from _slices(rows, max(1, most // Windows(network, target, values[rows]).widest))


def _slices(rows: Ints, size: int) -> Iterator[Ints]:
    return (rows[k : k + size] for k in range(0, rows.size, size))


def _tiles(values: Ints, shape: tuple[int, ...]) -> list[Ints]:
    """Rows of values in the same square (cube, ..) of places, of FEW rows on average."""
    places = np.unravel_index(values, shape)[2:]
    edge = ceil((FEW * prod(shape[2:]) / max(1, values.size)) ** (1 / len(places)))
    tile = np.ravel_multi_index(tuple(p // edge for p in places), shape[2:])
    order = np.argsort(tile, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(tile[order])) + 1) if order.size else []


def _chosen(places: Ints, values: NDArray[Any]) -> NDArray[Any]:
    return values[places]


def _taken(m: Map | None, span: Span) -> Span:
    """What values in a span take of an operand: of a convolution, stride p + dilation k - pad for every place p and offset k."""
    if not isinstance(m, ConvMap):
        return span
    ends = zip(m.strides, m.dilations, m.kernel, m.pads, span[2:], m.wide[2:], strict=True)
    taken = ((_clip(s * a - pad, n), _clip(s * b + d * (k - 1) - pad, n)) for s, d, k, pad, (a, b), n in ends)
    return (*((0, n - 1) for n in m.wide[:2]), *taken)


def _clip(place: int, n: int) -> int:
    return min(max(0, place), n - 1)


def _joined(a: Span, b: Span) -> Span:
    return tuple((min(p, r), max(q, s)) for (p, q), (r, s) in zip(a, b, strict=True))


def _extent(span: Span) -> tuple[int, ...]:
    return tuple(b - a + 1 for a, b in span)


def _places(span: Span, shape: tuple[int, ...]) -> Ints:
    numbers = np.arange(prod(shape), dtype=np.int64).reshape(shape)
    return np.ascontiguousarray(numbers[tuple(slice(a, b + 1) for a, b in span)]).reshape(-1)
