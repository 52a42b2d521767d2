"""Small networks with a product, and queries about them."""

from __future__ import annotations

import numpy as np

from tlcheck.readers.vnnlib.read import read_property
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.graph import Graph, Node
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.affine import Linear
from tlcheck.trusted.ops.base import Operation
from tlcheck.trusted.ops.bent import LeakyRelu
from tlcheck.trusted.ops.product import Product
from tlcheck.trusted.ops.smooth import Cos, Exp, Sin
from tlcheck.trusted.ops.structure import Input
from tlcheck.trusted.query import Query


def network(seed: int, ops: tuple[Operation, ...]) -> Graph:
    """y = W2 (f(z) * g(z), h(z), ...) with z = W1 x: two inputs, two outputs; a product of the first two."""
    rng = np.random.default_rng(seed)
    first, last = (Constant(rng.normal(0, 0.7, shape)) for shape in ((2, 3), (3, 2)))
    nodes = [Node(Input((1, 2)), (), (1, 2)), Node(Linear(first), (0,), (1, 3))]
    values = []
    for op in ops:
        nodes.append(Node(op, (1,), (1, 3)))
        values.append(len(nodes) - 1)
    nodes.append(Node(Product(), (values[0], values[-1]), (1, 3)))
    nodes.append(Node(Linear(last), (len(nodes) - 1,), (1, 2)))
    return Graph(tuple(nodes), (len(nodes) - 1,), ("x",), ("y",))


GRAPHS = [
    network(0, (Relu(), Sin())),
    network(1, (LeakyRelu(0.01), Cos())),
    network(2, (Sin(), Exp())),
    network(3, (Cos(), Sin())),
]


def value(graph: Graph, x: np.ndarray) -> np.ndarray:
    """The network at points (D, 2), in floats."""
    functions = {
        Relu: lambda z: np.maximum(z, 0), LeakyRelu: lambda z: np.where(z > 0, z, 0.01 * z),
        Sin: np.sin, Cos: np.cos, Exp: np.exp,
    }  # fmt: skip
    z = x @ graph.nodes[1].op.weight.mid  # type: ignore[attr-defined]
    a, b = (functions[type(graph.nodes[i].op)](z) for i in (2, 3))
    return np.asarray((a * b) @ graph.nodes[5].op.weight.mid)  # type: ignore[attr-defined]


def query(box: tuple[float, float], *disjuncts: str) -> Query:
    """Unsat or not: y_0 and y_1 over a square."""
    text = "".join(f"(declare-const {v}_{i} Real)\n" for v in "XY" for i in (0, 1))
    text += "".join(f"(assert (>= X_{i} {box[0]}))\n(assert (<= X_{i} {box[1]}))\n" for i in (0, 1))
    text += "(assert (or " + " ".join(f"(and {d})" for d in disjuncts) + "))\n"
    return read_property(text.encode(), n_inputs=2, n_outputs=2)
