"""Networks of a stability claim that are ONNX models: chains of dense layers, exactly as stored."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Final

import numpy as np

from tlcheck.errors import InvalidInput
from tlcheck.readers.files import Files
from tlcheck.readers.onnx import read_model
from tlcheck.readers.onnx.external import whole_of
from tlcheck.readers.vnnlib.places import check_places, inputs_of, outputs_of
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.calculus.ranges import Point
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.affine import Linear, Scale
from tlcheck.trusted.ops.bent import LeakyRelu
from tlcheck.trusted.ops.s_shaped import Sigmoid, Tanh
from tlcheck.trusted.ops.structure import Input
from tlcheck.trusted.science.dense_network import Matrix

Layers = tuple[list[tuple[Matrix, Point]], str, Fraction]
"""Weights and biases, the activation between the layers, its slope."""


def read_layers(
    name: str, files: Files, field: str, inputs: Sequence[str | None], outputs: Sequence[str | None]
) -> Layers:
    """The layers of the model that the artifact calls ``name``. ``inputs``, ``outputs``: what the values are named in the
    artifact, where they are; the model may not name them otherwise. Raises InvalidInput."""
    content = whole_of(files, files.read(name, f"{field}.file"), name)
    graph = read_model(content, file=name)
    check_places(inputs_of(graph), inputs, f"the inputs of {field}", field="inputs", file=name)
    check_places(outputs_of(graph), outputs, f"the outputs of {field}", field="outputs", file=name)
    return _layers(graph, field)


_ACTIVATIONS: Final = {Relu: "relu", Tanh: "tanh", Sigmoid: "sigmoid", LeakyRelu: "leaky_relu"}


def _layers(graph: Graph, field: str) -> Layers:
    """A chain of dense layers with one kind of activation between them. Raises InvalidInput TLC202 for anything else."""
    pairs: list[tuple[Matrix, Point]] = []
    between: list[tuple[str, float]] = []
    for k, node in enumerate(graph.nodes):
        op, open_ = (
            node.op,
            len(pairs) == len(between) + 1,
        )  # open_: the last layer is not followed by an activation
        chained = k > 0 and node.inputs == (k - 1,)
        if k == 0 and isinstance(op, Input):
            continue
        if chained and isinstance(op, Linear) and not open_ and _exact(op.weight, op.bias):
            bias = np.zeros(op.weight.shape[1]) if op.bias is None else op.bias.mid
            pairs.append((tuple(map(_row, op.weight.mid.T)), _row(bias)))
        elif (
            chained
            and isinstance(op, Scale)
            and open_
            and _exact(op.factor, op.offset)
            and bool((op.factor.mid == 1).all())
        ):
            weight, bias_ = pairs[-1]
            offset = (
                np.zeros(len(bias_))
                if op.offset is None
                else np.broadcast_to(op.offset.mid, node.shape).reshape(-1)
            )
            pairs[-1] = (weight, tuple(x + y for x, y in zip(bias_, _row(offset), strict=True)))
        elif chained and type(op) in _ACTIVATIONS and open_:
            between.append((_ACTIVATIONS[type(op)], op.alpha if isinstance(op, LeakyRelu) else 0.0))
        else:
            raise InvalidInput(
                "TLC202", "not a chain of dense layers and activations", field=field,
                expected=", ".join(sorted(_ACTIVATIONS.values())), got=f"node {node.label!a}",
            )  # fmt: skip
        if k == 1 and node.size != len(pairs[0][1]):
            raise InvalidInput("TLC204", "a network of several rows", field=field, expected="a batch of one")
    if len(set(between)) > 1 or len(pairs) != len(between) + 1 or graph.outputs != (len(graph.nodes) - 1,):
        raise InvalidInput(
            "TLC202", "not a chain of dense layers with one activation between them", field=field,
            got=", ".join(sorted({name for name, _ in between})) or f"{len(pairs)} layers",
        )  # fmt: skip
    name, slope = next(iter(between), ("linear", 0.0))
    return pairs, name, Fraction(slope)


def _exact(*constants: Constant | None) -> bool:
    return all(c is None or c.rad is None for c in constants)


def _row(array: np.ndarray[tuple[int, ...], np.dtype[np.floating]]) -> Point:
    return tuple(map(Fraction, array.astype(np.float64).tolist()))
