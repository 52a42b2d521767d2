"""Output boxes: TorchLean's LiRPA certificates of five named networks, and ``tlcheck.output-box/1`` of any network.

A LiRPA certificate holds no network; its tag names one that TorchLean builds in code, and so does this module. Two
claims are read from it: TorchLean's own (the claimed box contains the interval box), and the one that matters (it
contains the outputs). TorchLean has no interval rule for layer normalisation: there only the second is claimed.
Unlike TorchLean, this reader takes the input box of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np
from msgspec import Raw, Struct

from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.readers.bundle.manifest import ExactNumber
from tlcheck.readers.decimals import exact_number
from tlcheck.readers.files import Files
from tlcheck.readers.loaded import LoadedClaim
from tlcheck.readers.strict_json import decode
from tlcheck.readers.torchlean.builder import LAYER_NORM_EPSILON, Builder
from tlcheck.readers.torchlean.networks import ModelFile, read_network
from tlcheck.readers.torchlean.numbers import EndLists, decimals_text, intervals, number_reader
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.affine import Linear, Sum
from tlcheck.trusted.ops.product import Product
from tlcheck.trusted.ops.s_shaped import Sigmoid, Tanh
from tlcheck.trusted.ops.softmax import Softmax
from tlcheck.trusted.science.interval_box import IntervalBox
from tlcheck.trusted.science.output_box import OutputBox


class Box(Struct, frozen=True):
    lo: list[Raw]
    hi: list[Raw]
    dim: int | None = None
    id: int | None = None
    node_id: int | None = None


class Certificate(Struct, frozen=True):
    graph: str
    input_box: Box
    result: Box


class Ends(Struct, frozen=True, forbid_unknown_fields=True):
    lower: list[ExactNumber]
    upper: list[ExactNumber]


class OutputBoxFile(Struct, frozen=True, forbid_unknown_fields=True):
    """``model``: None when it is given with --model; ``graph``: one of the named networks instead."""

    format: Literal["tlcheck.output-box/1"]
    input: Ends
    output: Ends
    model: ModelFile | None = None
    graph: str = ""
    name: str = ""


def load(data: bytes, files: Files, options: Options, format: str) -> Sequence[LoadedClaim]:
    """Raises InvalidInput TLC101, TLC104, TLC106, and what reading a model raises."""
    return _own(data, files, options) if format == "tlcheck.output-box" else _lirpa(data, files, options)


def _lirpa(data: bytes, files: Files, options: Options) -> Sequence[LoadedClaim]:
    read = decode(data, Certificate, files.where)
    graph = named_graph(read.graph)
    numbers, sizes = number_reader(options.decimals), (graph.n_inputs, graph.n_outputs)
    boxes = []
    for name, box, size in zip(("input_box", "result"), (read.input_box, read.result), sizes, strict=True):
        found = intervals(EndLists(box.lo, box.hi), numbers, name, size)
        if box.dim is not None and box.dim != size:
            raise InvalidInput(
                "TLC101", "wrong size", field=f"{name}.dim", expected=str(size), got=str(box.dim)
            )
        boxes.append((tuple(l for l, _ in found), tuple(u for _, u in found)))
    output = NAMED[read.graph].output
    if read.result.node_id not in (None, output) or read.input_box.id not in (None, 0):
        raise InvalidInput(
            "TLC104", "not the input or the output node of the network", field="result.node_id"
        )
    _not_empty(boxes[0], "input_box")
    what = (graph, *boxes[0], *boxes[1], f"the network {read.graph}", decimals_text(options.decimals))
    claims = [LoadedClaim(f"{read.graph}: outputs", OutputBox(*what), sources=files.sources)]
    if NAMED[read.graph].has_interval_box:
        claims.insert(
            0, LoadedClaim(f"{read.graph}: interval box", IntervalBox(*what), sources=files.sources)
        )
    return claims


def _own(data: bytes, files: Files, options: Options) -> Sequence[LoadedClaim]:
    read = decode(data, OutputBoxFile, files.where)
    if read.graph and (read.model is not None or options.model is not None):
        raise InvalidInput("TLC101", "a named network and a model", field="graph")
    graph = named_graph(read.graph) if read.graph else read_network(files, options, read.model)
    boxes = []
    for field, ends, size in (
        ("input", read.input, graph.n_inputs),
        ("output", read.output, graph.n_outputs),
    ):
        if not len(ends.lower) == len(ends.upper) == size:
            raise InvalidInput("TLC101", "not one interval per value", field=field, expected=str(size))
        boxes.append(
            tuple(
                tuple(exact_number(t, field=f"{field}.{side}[{k}]") for k, t in enumerate(texts))
                for side, texts in (("lower", ends.lower), ("upper", ends.upper))
            )
        )
    (lower, upper), (low, high) = boxes
    _not_empty((lower, upper), "input")
    called = f"the network {read.graph}" if read.graph else "the model"
    claim = OutputBox(graph, lower, upper, low, high, called, "exact")
    return [LoadedClaim(read.name or "output box", claim, sources=files.sources)]


def _not_empty(box: tuple[Any, ...], field: str) -> None:
    for k, (low, high) in enumerate(zip(*box, strict=True)):
        if low > high:
            raise InvalidInput("TLC101", "lower end above upper end", field=f"{field}[{k}]")


# The five networks. i is the row, j the column, both from 0.


class Named(Struct, frozen=True):
    make: Callable[[], Graph]
    output: int
    has_interval_box: bool = True


def named_graph(tag: str) -> Graph:
    if tag not in NAMED:
        raise InvalidInput(
            "TLC104", "no such network", field="graph", expected=", ".join(NAMED), got=ascii(tag[:60])
        )
    return NAMED[tag].make()


def dense(
    rows: int, columns: int, w: Callable[[Any, Any], Any], b: Callable[[Any], Any] | None = None
) -> Linear:
    """y_i = sum_j w(i, j) x_j + b(i), numbers in binary64."""
    i, j = np.indices((rows, columns), dtype=np.float64)
    weight = np.broadcast_to(np.asarray(w(i, j), dtype=np.float64), (rows, columns))
    bias = None if b is None else Constant(np.asarray(b(i[:, 0]), dtype=np.float64))
    return Linear(Constant(np.ascontiguousarray(weight.T)), bias)


def mlp() -> Graph:
    g = Builder()
    hidden = g.add(Relu(), g.add(dense(4, 3, lambda i, j: 1 + i + j, lambda i: i + 1), g.input((3,))))
    return g.graph(g.add(dense(2, 4, lambda i, j: 2 + i + j, lambda i: i), hidden))


def cnn() -> Graph:
    """A convolution with the kernel 1 + i + j on a 4 x 4 image, as a dense map."""
    weight = np.zeros((4, 16))
    for p, q, i, j in np.ndindex(2, 2, 3, 3):
        weight[2 * p + q, 4 * (p + i) + q + j] = 1 + i + j
    g = Builder()
    moved = g.add(Linear(Constant(weight.T.copy()), Constant(np.zeros(4))), g.input((16,)))
    return g.graph(g.add(dense(2, 4, lambda i, j: 2 + i + j, lambda i: i), g.add(Relu(), moved)))


def attention() -> Graph:
    g = Builder()
    weights = g.add(Softmax(), g.add(dense(5, 4, lambda i, j: 1 + i + 2 * j), g.input((4,))))
    return g.graph(g.add(dense(3, 5, lambda i, j: 2 + i + j), weights))


def gru() -> Graph:
    g = Builder()
    z = g.add(dense(3, 3, lambda i, j: 1 + i + j, lambda i: i), g.input((3,)))
    return g.graph(g.add(Product(), g.add(Sigmoid(), z), g.add(Tanh(), z)))


def encoder() -> Graph:
    g = Builder()
    x = g.input((4,))
    weights = g.add(Softmax(), g.add(dense(5, 4, lambda i, j: 1 + i + 2 * j, lambda i: 0.1 * i), x))
    attended = g.add(Sum((1, 1)), g.add(dense(4, 5, lambda i, j: 2 + i + j), weights), x)
    first = g.layer_norm(attended, LAYER_NORM_EPSILON)
    hidden = g.add(Relu(), g.add(dense(6, 4, lambda i, j: 1 + (i + j) % 3, lambda i: 0.05 * i), first))
    mixed = g.add(dense(4, 6, lambda i, j: 2 + (i + j) % 4, lambda i: 0.02 * i), hidden)
    return g.graph(g.layer_norm(g.add(Sum((1, 1)), mixed, first), LAYER_NORM_EPSILON))


NAMED: Final[Mapping[str, Named]] = {
    "mlp_graph_workflow_v1": Named(mlp, 3),
    "cnn_graph_workflow_v1": Named(cnn, 3),
    "attention_softmax_workflow_v1": Named(attention, 3),
    "gru_gate_workflow_v1": Named(gru, 5),
    "transformer_encoder_workflow_v1": Named(encoder, 10, has_interval_box=False),
}
"""TorchLean's tag, the network, and TorchLean's number of the output node."""
