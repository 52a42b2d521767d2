"""The network and the query that hints are about: how what another tool names is found in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.graph import Graph
from tlcheck.trusted.ops.elementwise import Elementwise
from tlcheck.trusted.query import Query

Floats: TypeAlias = NDArray[np.float64]
Values: TypeAlias = Callable[[Floats], Mapping[int, NDArray[Any]]]
"""Points (P, all inputs) -> each node's values (P, n)."""
Row: TypeAlias = tuple[Mapping[int, float], float]
"""(coefficients, t): coefficients . outputs <= t."""
Literal: TypeAlias = tuple[int, int, int, float]
"""(node, index, side, point)."""

CLOSE: Final = 1e-3
"""Relative distance at which values of a layer are those of another program's, which computes in float32."""
FACE: Final = 1e-6
"""A face of a leaf's box that is as near to the region's, relative to its numbers, is the region's rounded."""


@dataclass(frozen=True, eq=False)
class Subject:
    """``values`` evaluates the network in floats."""

    graph: Graph
    query: Query
    values: Values

    @cached_property
    def layers(self) -> tuple[int, ...]:
        """The nodes that activations act on, in order, each once."""
        nodes = self.graph.nodes
        return tuple(dict.fromkeys(node.inputs[0] for node in nodes if isinstance(node.op, Elementwise)))

    def layer_with(self, point: Sequence[float], values: Sequence[float]) -> int | None:
        """The layer that has these values at the point."""
        at, wanted = np.array([point], np.float64), np.array(values, np.float64)
        if at.shape[1] != self.graph.n_inputs:
            return None
        with np.errstate(all="ignore"):
            found = self.values(at)
            mine = {i: found[i][0] for i in self.layers if i in found and found[i].shape[1] == wanted.size}
            near = CLOSE * (np.abs(wanted) + np.abs(wanted).max(initial=0.0))
            error = {
                i: np.abs(z - wanted) for i, z in mine.items() if bool((np.abs(z - wanted) <= near).all())
            }
        return min(error, key=lambda i: float(error[i].max(initial=0.0)), default=None)

    def layer_named(self, tensor: str) -> int | None:
        """The layer of that ONNX tensor: the value that is activated, or what comes of it."""
        node = self.graph.names.get(tensor)
        if node is None or node in self.layers:
            return node
        op = self.graph.nodes[node].op
        return self.graph.nodes[node].inputs[0] if isinstance(op, Elementwise) else None

    def disjuncts_like(self, rows: Sequence[Row]) -> list[int]:
        """Those whose constraints on outputs are these rows, in any order and of any size."""
        wanted = [_Row.of(coefficients, t) for coefficients, t in rows]
        return [d for d, mine in enumerate(self._rows) if _same(mine, wanted)]

    @cached_property
    def _rows(self) -> list[list[_Row]]:
        return [
            [_Row.of({i: float(c) for i, c in q.outputs}, float(q.bound)) for q in d.constraints if not q.inputs]
            for d in self.query.disjuncts
        ]  # fmt: skip

    def box_literals(self, disjunct: int, lower: Sequence[float], upper: Sequence[float]) -> list[Literal]:
        """The faces of a box that lie inside the disjunct's region."""
        low, high = self._boxes[disjunct]
        if len(lower) != low.size or len(upper) != low.size:
            return []
        found = []
        for ends, side in ((lower, 1), (upper, -1)):
            face = np.array(ends, np.float64)
            near = FACE * np.maximum(np.abs(face), high - low)
            inside = (face > low + near) & (face < high - near)
            found += [(*self.input_place(int(i)), side, float(face[i])) for i in np.flatnonzero(inside)]
        return found

    @cached_property
    def _boxes(self) -> list[tuple[Floats, Floats]]:
        ends: dict[int, tuple[Floats, Floats]] = {}
        return [
            ends.setdefault(
                id(d.box), (np.array([float(x) for x in d.box.lower]), np.array([float(x) for x in d.box.upper]))
            )
            for d in self.query.disjuncts
        ]  # fmt: skip

    def input_place(self, flat: int) -> tuple[int, int]:
        """(input node, index) of a flat input."""
        for node in self.graph.inputs:
            if flat < self.graph.nodes[node].size:
                return node, flat
            flat -= self.graph.nodes[node].size
        raise IndexError(flat)

    def first_layers(self) -> list[tuple[int, Floats]]:
        """(layer, its weights (inputs, neurons)) of the layers that are affine in the inputs."""
        n = self.graph.n_inputs
        points = np.concatenate([np.zeros((1, n)), np.eye(n), np.linspace(-1, 1, n)[None]])
        found = self.values(points)
        result = []
        for node in self.layers:
            z = np.asarray(found[node], np.float64)
            weights = z[1:-1] - z[0]
            if np.allclose(points[-1] @ weights + z[0], z[-1], rtol=1e-6, atol=1e-9 * (1 + np.abs(z).max())):
                result.append((node, weights))
        return result


@dataclass(frozen=True)
class _Row:
    """coefficients . outputs <= bound, the largest coefficient 1 or -1."""

    coefficients: Mapping[int, float]
    bound: float

    @staticmethod
    def of(coefficients: Mapping[int, float], bound: float) -> _Row:
        scale = max(map(abs, coefficients.values()), default=0.0) or 1.0
        return _Row({i: c / scale for i, c in coefficients.items() if c}, bound / scale)

    def is_like(self, other: _Row) -> bool:
        return (
            self.coefficients.keys() == other.coefficients.keys()
            and all(abs(c - other.coefficients[i]) <= CLOSE for i, c in self.coefficients.items())
            and abs(self.bound - other.bound) <= CLOSE * (1 + abs(self.bound))
        )


def _same(mine: Sequence[_Row], other: Sequence[_Row]) -> bool:
    """Each is like one of the others."""
    return all(any(a.is_like(b) for b in other) for a in mine) and all(
        any(a.is_like(b) for b in mine) for a in other
    )
