"""What does not depend on the inputs, computed once; unsound, for searches.

A product with a constant is affine. Its own lines say the same (its range has no width), at the cost of a line for each term.
"""

from __future__ import annotations

from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.prover.float_lines import image_of
from tlcheck.prover.float_maps import FloatMaps
from tlcheck.trusted.arith.box import OutOfRange
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.graph import Graph, Node
from tlcheck.trusted.network import Network
from tlcheck.trusted.ops.affine import Linear, Scale
from tlcheck.trusted.ops.base import Operation
from tlcheck.trusted.ops.product import MatProduct, Product
from tlcheck.trusted.ops.structure import Fixed, Input

Array = NDArray[Any]

MOST: Final = 1 << 20
"""Values of a constant that is computed."""


def folded(graph: Graph) -> Graph:
    """The same function up to rounding, with the same numbers of nodes: constants are ``Fixed``, products with one affine.

    The graph itself where there is none.
    """
    known = _constants(graph)
    nodes = tuple(_folded(graph, i, known) for i in range(len(graph.nodes)))
    if all(a is b for a, b in zip(nodes, graph.nodes, strict=True)):
        return graph
    return Graph(nodes, graph.outputs, graph.input_names, graph.output_names, graph.names)


def _constants(graph: Graph) -> dict[int, Array]:
    """Node -> its values (n,), where no input is above it."""
    network, maps = Network(graph), FloatMaps(np.float64)
    known: dict[int, Array] = {}
    for i, node in enumerate(graph.nodes):
        if isinstance(node.op, Fixed):
            known[i] = node.op.value.mid.astype(np.float64).reshape(-1)
        elif isinstance(node.op, Input) or node.size > MOST or not all(j in known for j in node.inputs):
            continue
        elif (affine := network.affine[i]) is not None:
            offset = 0.0 if affine.offset is None else affine.offset.mid.astype(np.float64).reshape(-1)
            operands = zip(affine.maps, node.inputs, strict=True)
            known[i] = sum((maps.forward(m, known[j]) for m, j in operands), np.zeros(node.size)) + offset
        else:
            try:
                low, _ = image_of(node.op, [(known[j][None],) * 2 for j in node.inputs], network.shapes(node))
            except (OutOfRange, NotImplementedError):
                continue
            known[i] = low.reshape(-1)
    return {i: value for i, value in known.items() if np.isfinite(value).all()}


def _folded(graph: Graph, i: int, known: dict[int, Array]) -> Node:
    node = graph.nodes[i]
    if i in known:
        fixed = isinstance(node.op, Fixed)
        return (
            node if fixed else Node(Fixed(Constant(known[i].reshape(node.shape))), (), node.shape, node.label)
        )
    if not isinstance(node.op, Product | MatProduct):
        return node
    held = [k for k in (0, 1) if node.inputs[k] in known]
    if not held:
        return node
    k = held[0]
    op = _affine(node.op, k, known[node.inputs[k]].reshape(graph.nodes[node.inputs[k]].shape))
    return node if op is None else Node(op, (node.inputs[1 - k],), node.shape, node.label)


def _affine(op: Product | MatProduct, k: int, value: Array) -> Operation | None:
    """The product whose operand ``k`` has this value, in its other operand; None where it has no such operation."""
    if isinstance(op, Product):
        return Scale(Constant(value), None, 0)
    if k == 1 and prod(value.shape[:-2]) == 1:
        return Linear(Constant(value.reshape(value.shape[-2:])))
    return None
