"""Node certificates of TorchLean: interval boxes, affine (CROWN) bounds, slopes and phases, one entry a graph node.

The certificate names no network. Its graph (``torchlean.ir.v1``) comes from --model or from the field ``graph``, the
graph's weights from its field ``weights`` or the certificate's; all lie beside the certificate. Entry i is of the
i-th node of the graph. The input box is ``input_box``, else the box stated for the input node. Without a graph only
consistency is claimed. A phase is read as an assumption: the claim is about the inputs at which it holds.

TorchLean asks affine entries to equal, bit for bit, its own binary32 computation; here they must be true.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Annotated, Final

from msgspec import Meta, Raw, Struct

from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.readers.files import Files
from tlcheck.readers.loaded import LoadedClaim
from tlcheck.readers.strict_json import decode
from tlcheck.readers.torchlean.ir import named_weights, read_ir, weights_beside
from tlcheck.readers.torchlean.networks import ModelFile
from tlcheck.readers.torchlean.numbers import EndLists, Read, decimals_text, intervals, number_reader
from tlcheck.readers.torchlean.state_dict import read_state_dict
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.science.consistency import NodeArtifact
from tlcheck.trusted.science.node_bounds import NodeBounds
from tlcheck.trusted.science.node_boxes import AffineEntry, IntervalBoxes, NodeEntry

MAX_COEFFICIENTS: Final = 1 << 20
"""Rational coefficients of all affine bounds: some GiB beyond."""

Row = tuple[Fraction, ...]


class Affine(Struct, frozen=True):
    loA: list[list[Raw]]
    loC: list[Raw]
    hiA: list[list[Raw]]
    hiC: list[Raw]


class Context(Struct, frozen=True):
    inputId: int
    inputDim: int


class Certificate(Struct, frozen=True):
    ibp: Annotated[list[EndLists | None], Meta(min_length=1)]
    ctx: Context | None = None
    crown: list[Affine | None] | None = None
    alpha: list[list[float] | None] | None = None
    beta: list[list[int] | None] | None = None
    graph: ModelFile | None = None
    weights: ModelFile | None = None
    input_box: EndLists | None = None


def load(data: bytes, files: Files, options: Options, format: str) -> Sequence[LoadedClaim]:
    """Raises InvalidInput TLC101, TLC104, TLC106, TLC401, and what reading a graph raises."""
    read = decode(data, Certificate, files.where)
    numbers, decimals = number_reader(options.decimals), decimals_text(options.decimals)
    count = len(read.ibp)
    for name in ("crown", "alpha", "beta"):
        listed = getattr(read, name)
        if listed is not None and len(listed) != count:
            raise InvalidInput(
                "TLC101", "not one entry a node", field=name, expected=str(count), got=str(len(listed))
            )
    boxes = tuple(None if b is None else _box(b, numbers, f"ibp[{i}]") for i, b in enumerate(read.ibp))
    graph = _graph(read, files, options)
    if graph is None:
        claim = NodeArtifact(boxes, decimals)
        return [LoadedClaim("nodes", claim, sources=files.sources)]
    if len(graph.outputs) != count:
        raise InvalidInput(
            "TLC104", "not one entry a node", field="ibp", expected=str(len(graph.outputs)), got=str(count)
        )
    if sum(graph.nodes[i].size for i in graph.outputs) * (graph.n_inputs + 1) > MAX_COEFFICIENTS:
        raise InvalidInput("TLC401", "too many coefficients", expected=f"at most {MAX_COEFFICIENTS}")
    entries = tuple(
        _entry(read, i, node, graph.output_names[i], boxes[i], numbers)
        for i, node in enumerate(graph.outputs)
    )
    lower, upper = _input_box(read, graph, boxes, numbers)
    try:
        claims = [kind(graph, lower, upper, entries, decimals) for kind in (IntervalBoxes, NodeBounds)]
    except ValueError as error:
        raise InvalidInput("TLC104", str(error)) from None
    return [LoadedClaim(c.kind, c, sources=files.sources) for c in claims]


def _graph(read: Certificate, files: Files, options: Options) -> Graph | None:
    """The graph, every node of which is an output, in the order of the file; names are ids."""
    data, name = files.given(options.model, "model"), str(options.model)
    if data is None and read.graph is not None:
        data, name = files.read(read.graph.file, "graph", read.graph.sha256), read.graph.file
    if data is None:
        return None
    if read.weights is not None:
        if named_weights(data, files):
            raise InvalidInput(
                "TLC104",
                "the graph names weights, and so does the artifact: only one can be meant",
                field="weights",
            )
        parameters = read_state_dict(
            files.read(read.weights.file, "weights", read.weights.sha256), read.weights.file
        )
    else:
        parameters = weights_beside(data, files, options.model)
    found = read_ir(data, name, parameters)
    if read.ctx is not None and found.place.get(read.ctx.inputId) != found.graph.inputs[0]:
        raise InvalidInput("TLC104", "not the graph's input", field="ctx.inputId", got=str(read.ctx.inputId))
    if read.ctx is not None and read.ctx.inputDim != found.graph.n_inputs:
        raise InvalidInput(
            "TLC104",
            "not the size of the graph's input",
            field="ctx.inputDim",
            expected=str(found.graph.n_inputs),
        )
    ids = tuple(str(i) for i in found.place)
    return replace(found.graph, outputs=tuple(found.place.values()), output_names=ids)


def _box(ends: EndLists, numbers: Read, field: str) -> tuple[Row, Row]:
    found = intervals(ends, numbers, field, len(ends.lo))
    return tuple(l for l, _ in found), tuple(u for _, u in found)


def _input_box(
    read: Certificate, graph: Graph, boxes: Sequence[tuple[Row, Row] | None], numbers: Read
) -> tuple[Row, Row]:
    place = graph.outputs.index(graph.inputs[0])
    box = _box(read.input_box, numbers, "input_box") if read.input_box is not None else boxes[place]
    if box is None:
        raise InvalidInput(
            "TLC101", "no input box", field=f"ibp[{place}]", expected="a box of the input node, or input_box"
        )
    return box


def _entry(
    read: Certificate, i: int, node: int, name: str, box: tuple[Row, Row] | None, numbers: Read
) -> NodeEntry:
    affine = None if read.crown is None else read.crown[i]
    alpha = None if read.alpha is None else read.alpha[i]
    beta = None if read.beta is None else read.beta[i]
    return NodeEntry(
        node, name, box, None if affine is None else _affine(affine, numbers, f"crown[{i}]"),
        None if alpha is None else tuple(map(Fraction, alpha)), None if beta is None else tuple(beta),
    )  # fmt: skip


def _affine(affine: Affine, numbers: Read, field: str) -> AffineEntry:
    def row(values: Sequence[Raw], name: str) -> Row:
        return tuple(numbers(v, f"{field}.{name}[{k}]") for k, v in enumerate(values))

    rows = [tuple(row(r, name) for r in m) for name, m in (("loA", affine.loA), ("hiA", affine.hiA))]
    return AffineEntry(rows[0], row(affine.loC, "loC"), rows[1], row(affine.hiC, "hiC"))
