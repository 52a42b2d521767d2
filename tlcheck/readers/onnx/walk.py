"""The walk over an ONNX graph: checks its structure and lowers each node in file order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_NODES
from tlcheck.readers.onnx.call import Builder, Call
from tlcheck.readers.onnx.external import parse
from tlcheck.readers.onnx.names import FunctionName, Values, check_defined, check_whole, needed_by, stored_in
from tlcheck.readers.onnx.operands import FLOATS, INTEGERS, Data, Known, Late, Part, Shape
from tlcheck.readers.onnx.standard import MIN_OPSET, form_of, max_opset
from tlcheck.readers.onnx.table import LOCAL, LOWERINGS, ON_INTEGERS, Row, late_row, remember
from tlcheck.readers.onnx.tensors import checked_shape, element_type
from tlcheck.trusted.graph import Graph

if TYPE_CHECKING:
    from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, ValueInfoProto

    from tlcheck.readers.onnx.contributed import Contributed

DEFAULT, MICROSOFT = ("", "ai.onnx"), "com.microsoft"
"""Names of the standard's domain; onnxruntime's domain."""
MIN_IR = 3
"""The first version of the format in which a model says its operator sets."""


def read_graph(data: bytes) -> Graph:
    """See :func:`tlcheck.readers.onnx.read_model`."""
    model = _parse(data)
    opset, versions = _opset(model), _versions(model)
    graph = model.graph
    _check_features(model)
    check_whole(graph)
    needed = needed_by(graph.node, (output.name for output in graph.output))
    values: Values = dict(stored_in(graph, needed))
    walk = Walk(Builder(table=LOWERINGS), _functions(model), versions, opset, opset)
    stored = {tensor.name for tensor in graph.initializer}
    inputs = [info for info in graph.input if info.name not in stored]
    if not inputs:
        raise InvalidInput("TLC202", "model without inputs")
    values.update((info.name, _input(info, walk.builder)) for info in inputs)
    walk.lower(graph.node, values, needed)
    return remember(_finished(graph, inputs, values, walk.builder), walk.builder.rows)


@dataclass(frozen=True, eq=False)
class Walk:
    """Lowers the nodes of a graph: the model's, or one inside a node (``subgraphs``).

    ``versions``: in which other domains are imported; ``opset``: of the default domain, in this graph and in the model;
    ``within``: where the graph is, for labels; ``given``: attributes of the local function that the graph is in; ``calls``: the
    functions that are being called; ``blocks``: graphs inside nodes that were read, by identity.
    """

    builder: Builder
    functions: Mapping[FunctionName, FunctionProto]
    versions: Mapping[str, set[int]]
    opset: int
    model_opset: int
    within: str = ""
    given: Mapping[str, AttributeProto] | None = None
    calls: tuple[FunctionName, ...] = ()
    blocks: dict[int, Any] = field(default_factory=dict)

    def lower(self, nodes: Iterable[NodeProto], values: Values, needed: Set[str]) -> None:
        """Puts into ``values`` what the nodes give that is needed."""
        for node in nodes:
            if any(name in needed for name in node.output if name):
                results = self._results(node, values, needed)
                found = zip(node.output, results, strict=False)
                values.update((name, x) for name, x in found if name in needed and x is not None)

    def _results(self, node: NodeProto, values: Values, needed: Set[str]) -> Sequence[Part | None]:
        operands = [_operand(name, values, node) for name in node.input]
        is_local = (node.domain, node.op_type, node.overload) in self.functions
        own = None if is_local else _own(node, self.opset, self.versions)
        where: dict[str, Any] = {"within": self.within, "given": self.given, "form": own and own.form}
        call = Call(node, operands, self.builder, opset=self.opset, needed=needed, **where)
        self.builder.step(call.label)
        row = LOCAL if is_local else _row(node, call, operands, None if own is None else own.row)
        self.builder.rows.add(row)
        lowering: Any = row.load()
        if is_local:
            return lowering(call, node, self)  # type: ignore[no-any-return]
        return call.lowered(partial(lowering, self, values) if row.module == LOCAL.module else lowering)


def _functions(model: ModelProto) -> Mapping[FunctionName, FunctionProto]:
    """The model's local functions; what reads them is loaded where there are some."""
    if not model.functions:
        return {}
    from tlcheck.readers.onnx.subgraphs import functions_of

    return functions_of(model)


def _parse(data: bytes) -> ModelProto:
    model = parse(data)
    if not model.HasField("graph") or not model.opset_import:
        raise InvalidInput("TLC201", "not an ONNX model: no graph or no opset")
    size = len(model.graph.node)
    if size > MAX_NODES:
        raise InvalidInput("TLC401", "too many nodes", expected=f"at most {MAX_NODES}", got=str(size))
    return model


def _opset(model: ModelProto) -> int:
    from onnx import IR_VERSION

    text = "unsupported version of the ONNX format (ir_version)"
    _require_between(text, MIN_IR, IR_VERSION, model.ir_version)
    versions = {entry.version for entry in model.opset_import if entry.domain in DEFAULT}
    if len(versions) != 1:
        text = "the default operator set is not imported exactly once"
        raise InvalidInput("TLC201", text, got=str(sorted(versions)))
    (version,) = versions
    _require_between("unsupported opset", MIN_OPSET, max_opset(), version)
    return int(version)


def _versions(model: ModelProto) -> dict[str, set[int]]:
    """The versions in which each domain but the default one is imported."""
    found: dict[str, set[int]] = {}
    for entry in model.opset_import:
        if entry.domain not in DEFAULT:
            found.setdefault(entry.domain, set()).add(entry.version)
    return found


def _require_between(what: str, least: int, most: int, got: int) -> None:
    if not least <= got <= most:
        raise InvalidInput("TLC202", what, expected=f"{least} to {most}", got=str(got))


def _check_features(model: ModelProto) -> None:
    """Parts of the format that change what nodes mean, and that are not read."""
    if model.training_info:
        raise InvalidInput("TLC202", "unsupported training info")


def _input(info: ValueInfoProto, builder: Builder) -> Data:
    where = f"input '{info.name}'"
    kind = info.type.WhichOneof("value") or ""
    if kind in ("sequence_type", "optional_type"):
        text = f"input is a value of type {kind[:-5]}, no tensor: make each of its tensors an input"
        raise InvalidInput("TLC202", text, field=where)
    if not info.type.HasField("tensor_type") or not info.type.tensor_type.HasField("shape"):
        raise InvalidInput("TLC202", "input is not a tensor of known rank", field=where)
    dtype = element_type(info.type.tensor_type.elem_type, where)
    if dtype not in FLOATS:
        read = " or ".join(FLOATS)
        raise InvalidInput("TLC202", "unsupported input type", field=where, expected=read, got=dtype)
    return builder.input(info.name, _input_shape(info, where), dtype)


def _input_shape(info: ValueInfoProto, where: str) -> Shape:
    """A first axis without a size is 1."""
    dims = info.type.tensor_type.shape.dim
    for axis, dim in enumerate(dims):
        if axis and not dim.HasField("dim_value"):
            text = f"unsupported symbolic size of axis {axis}"
            raise InvalidInput("TLC202", text, field=where, got=dim.dim_param)
    shape = tuple(int(dim.dim_value) if dim.HasField("dim_value") else 1 for dim in dims)
    if 0 in shape:
        raise InvalidInput("TLC204", "empty input", field=where, got=str(list(shape)))
    return checked_shape(shape, where)


def _own(node: NodeProto, opset: int, versions: Mapping[str, set[int]]) -> Contributed | None:
    """An operator of onnxruntime, where the standard has none of that name at this opset; it writes a few into the default
    domain, of models that import its own."""
    if node.domain in DEFAULT and (MICROSOFT not in versions or form_of(node.op_type, opset) is not None):
        return None
    from tlcheck.readers.onnx.contributed import contributed

    return contributed(node.op_type, node.domain, versions)


def _row(node: NodeProto, call: Call, operands: Sequence[Part | None], own: Row | None) -> Row:
    """How the node is read. Raises TLC202 for one that is not, TLC203 for minus infinity where it has no place."""
    row = own or (LOWERINGS.get(node.op_type) if node.domain in DEFAULT else None)
    if row is None:
        from tlcheck.readers.onnx.unread import reason

        raise call.unsupported(reason(node.op_type, node.domain))
    call.refuse(bool(node.overload), f"overload {node.overload}")
    late = None if own else late_row(node.op_type, operands)
    call.refuse_infinity(late is not None)
    if late is None and (own or node.op_type not in ON_INTEGERS):
        for x in operands:
            if isinstance(x, Data):
                call.refuse(not x.is_float, f"operand of type {x.dtype}")
    return late or row


def _operand(name: str, values: Values, node: NodeProto) -> Part | None:
    """The tensor's value; None for an optional operand left out. Raises TLC201: missing, or nodes out of order."""
    check_defined(name, values, node)
    return values[name] if name else None


def _finished(graph: GraphProto, inputs: list[ValueInfoProto], values: Values, builder: Builder) -> Graph:
    outputs = tuple(_output(info.name, values, builder) for info in graph.output)
    # a tensor with minus infinity in it is no node
    nodes = {name: x for name, x in values.items() if isinstance(x, Data) and x.hidden is None}
    names = {name: x.node for name, x in nodes.items()}
    given, made = tuple(i.name for i in inputs), tuple(o.name for o in graph.output)
    try:
        return Graph(tuple(builder.nodes), outputs, given, made, names)
    except ValueError as error:
        raise InvalidInput("TLC204", str(error)) from error


def _output(name: str, values: Values, builder: Builder) -> int:
    """The node of an output; a constant one becomes a node, which then is the tensor's."""
    value = values.get(name)
    if value is None:
        raise InvalidInput("TLC201", f"output '{name}' is not defined")
    if isinstance(value, Late):
        raise InvalidInput("TLC202", f"output '{name}' has a shape that the network's values decide")
    if value.hidden is not None:
        raise InvalidInput("TLC203", f"output '{name}' holds minus infinity")
    if isinstance(value, Known):
        value = values[name] = builder.fixed(_number(value, name), name)
    return value.node


def _number(value: Known, name: str) -> Known:
    """A constant output as real numbers; integers are exact up to 2^53. Raises TLC202."""
    if value.is_float:
        return value
    if value.dtype not in INTEGERS or bool((np.abs(value.array.astype(np.float64)) >= 2.0**53).any()):
        raise InvalidInput("TLC202", f"unsupported type {value.dtype} or value of output '{name}'")
    return Known(value.array.astype(np.float64), "float64")
