"""The same function in operations that have relaxations, where these may bound it better.

Guarantee: the graph returned denotes the same real function as the one given, whatever ``magnitudes`` say. Identities
used, each valid for all reals: a b = (s a / 2 + b / (2 s))^2 - (s a / 2 - b / (2 s))^2 for a power of two s, and for
softmax y_i = 1 / sum_j e^(x_j - x_i), of two values: y_0 = sigmoid(x_0 - x_1), y_1 = 1 - y_0.

It is for proofs over the reals: rounding radii of the new operations are not those of the network's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import frexp, isfinite, prod
from typing import Final

import numpy as np

from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.graph import Graph, Node
from tlcheck.trusted.ops.affine import Scale, Sum
from tlcheck.trusted.ops.base import Operation
from tlcheck.trusted.ops.product import Product
from tlcheck.trusted.ops.s_shaped import Sigmoid
from tlcheck.trusted.ops.smooth import Exp, Power, Reciprocal
from tlcheck.trusted.ops.softmax import Softmax
from tlcheck.trusted.ops.structure import Rearrange, ReduceSum

Magnitudes = Mapping[int, float]
"""Of a node's values, roughly: a hint."""
MAX_SOFTMAX: Final = 1 << 16
"""Most differences x_j - x_i of one softmax."""
MAX_SHIFT: Final = 64
"""Largest exponent of the scale s."""


def relaxable(graph: Graph, magnitudes: Magnitudes) -> Graph:
    """``graph`` with its products and softmaxes rewritten; itself when it has none."""
    if not any(type(node.op) in RULES for node in graph.nodes):
        return graph
    new = _Rewriting(graph, magnitudes)
    for i, node in enumerate(graph.nodes):
        rule = RULES.get(type(node.op))
        operands = [new.place[j] for j in node.inputs]
        found = None if rule is None else rule(new, i, operands)
        new.place[i] = new.append(replace(node, inputs=tuple(operands))) if found is None else found
    names = {name: new.place[i] for name, i in graph.names.items()}
    outputs = tuple(new.place[i] for i in graph.outputs)
    return Graph(tuple(new.nodes), outputs, graph.input_names, graph.output_names, names)


@dataclass(eq=False)
class _Rewriting:
    graph: Graph
    magnitudes: Magnitudes
    nodes: list[Node] = field(default_factory=list)
    place: dict[int, int] = field(default_factory=dict)

    def append(self, node: Node) -> int:
        self.nodes.append(node)
        return len(self.nodes) - 1

    def emit(self, op: Operation, *operands: int) -> int:
        shape = op.output_shape(tuple(self.nodes[j].shape for j in operands))
        return self.append(Node(op, operands, shape, "rewritten"))

    def scaled(self, x: int, factor: float, offset: float = 0.0) -> int:
        shift = Constant(np.array(offset)) if offset else None
        return self.emit(Scale(Constant(np.array(factor)), shift, 0), x)


def _product(new: _Rewriting, i: int, operands: Sequence[int]) -> int:
    a, b = operands
    if a == b:
        return new.emit(Power(2.0), a)
    s = _scale([new.magnitudes.get(j, 1.0) for j in new.graph.nodes[i].inputs])
    x, y = new.scaled(a, s / 2), new.scaled(b, 1 / (2 * s))
    plus, minus = new.emit(Sum((1, 1)), x, y), new.emit(Sum((1, -1)), x, y)
    return new.emit(Sum((1, -1)), new.emit(Power(2.0), plus), new.emit(Power(2.0), minus))


def _scale(magnitudes: Sequence[float]) -> float:
    """The power of two s that makes s a and b / s equally large, roughly."""
    a, b = magnitudes
    if not (isfinite(a) and isfinite(b) and a > 0 and b > 0):
        return 1.0
    shift = (frexp(b)[1] - frexp(a)[1]) // 2
    return float(2.0 ** max(-MAX_SHIFT, min(MAX_SHIFT, shift)))


def _softmax(new: _Rewriting, i: int, operands: Sequence[int]) -> int | None:
    (x,) = operands
    shape = new.graph.nodes[i].shape
    n, rows = shape[-1], prod(shape[:-1])
    index = np.arange(prod(shape), dtype=np.int64).reshape(rows, n)
    if n == 2:
        first, second = (new.emit(Rearrange((rows,), index[:, k].copy()), x) for k in (0, 1))
        one = new.emit(Sigmoid(), new.emit(Sum((1, -1)), first, second))
        other = new.scaled(one, -1.0, 1.0)
        order = np.arange(2 * rows, dtype=np.int64).reshape(2, rows).T.reshape(-1)
        return new.emit(Rearrange(shape, np.ascontiguousarray(order)), one, other)
    if rows * n * n > MAX_SOFTMAX:
        return None
    wide = (rows, n, n)
    of_j = np.ascontiguousarray(np.broadcast_to(index[:, None, :], wide)).reshape(-1)
    of_i = np.ascontiguousarray(np.broadcast_to(index[:, :, None], wide)).reshape(-1)
    terms = new.emit(Sum((1, -1)), new.emit(Rearrange(wide, of_j), x), new.emit(Rearrange(wide, of_i), x))
    total = new.emit(ReduceSum((2,), False), new.emit(Exp(), terms))
    return new.emit(Rearrange(shape), new.emit(Reciprocal(), total))


RULES: Final[dict[type[Operation], Callable[[_Rewriting, int, Sequence[int]], int | None]]] = {
    Product: _product,
    Softmax: _softmax,
}
