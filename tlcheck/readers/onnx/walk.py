"""The walk over an ONNX graph: checks its structure and lowers each node in file order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_NODES
from tlcheck.readers.onnx.call import Builder, Call
from tlcheck.readers.onnx.external import parse
from tlcheck.readers.onnx.operands import FLOATS, INTEGERS, Data, Known, Late, Part, Shape
from tlcheck.readers.onnx.standard import MIN_OPSET, max_opset
from tlcheck.readers.onnx.table import LOWERINGS, ON_INTEGERS, UNLIKE, Row, late_row, remember
from tlcheck.readers.onnx.tensors import checked_shape, element_type, read_tensor
from tlcheck.trusted.graph import Graph

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto

MIN_IR = 3
"""The first version of the format in which a model says its operator sets."""


def read_graph(data: bytes) -> Graph:
    """See :func:`tlcheck.readers.onnx.read_model`."""
    model = _parse(data)
    opset = _opset(model)
    graph = model.graph
    _check_features(model)
    _check_names(graph)
    needed = _needed(graph)
    values: dict[str, Part] = {
        tensor.name: read_tensor(tensor, masks=True) for tensor in graph.initializer if tensor.name in needed
    }
    builder, rows = Builder(), set[Row]()
    stored = {tensor.name for tensor in graph.initializer}
    inputs = [info for info in graph.input if info.name not in stored]
    if not inputs:
        raise InvalidInput("TLC202", "model without inputs")
    values.update((info.name, _input(info, builder)) for info in inputs)
    for node in graph.node:
        if any(name in needed for name in node.output if name):
            operands = [_operand(name, values, node) for name in node.input]
            call = Call(node, operands, builder, opset=opset, needed=needed)
            row = _row(node, call, operands)
            rows.add(row)
            results = call.lowered(row.load())
            values.update((name, x) for name, x in zip(node.output, results, strict=False) if name)
    return remember(_finished(graph, inputs, values, builder), rows)


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
    versions = {entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")}
    if len(versions) != 1:
        text = "the default operator set is not imported exactly once"
        raise InvalidInput("TLC201", text, got=str(sorted(versions)))
    (version,) = versions
    _require_between("unsupported opset", MIN_OPSET, max_opset(), version)
    return int(version)


def _require_between(what: str, least: int, most: int, got: int) -> None:
    if not least <= got <= most:
        raise InvalidInput("TLC202", what, expected=f"{least} to {most}", got=str(got))


def _check_features(model: ModelProto) -> None:
    """Parts of the format that change what nodes mean, and that are not read."""
    for feature, found in (
        ("local functions", model.functions),
        ("training info", model.training_info),
        ("sparse initializers", model.graph.sparse_initializer),
    ):
        if found:
            raise InvalidInput("TLC202", f"unsupported {feature}")


def _check_names(graph: GraphProto) -> None:
    """Every tensor has one definition: inputs, initializers and node outputs are distinct names."""
    inputs, stored = [i.name for i in graph.input], [t.name for t in graph.initializer]
    made = [name for node in graph.node for name in node.output if name]
    _distinct(inputs, "input")
    _distinct(stored, "initializer")
    _distinct([*dict.fromkeys([*inputs, *stored]), *made], "tensor")
    _distinct([o.name for o in graph.output], "output")
    if any(not name for name in [*inputs, *stored]):
        raise InvalidInput("TLC201", "input or initializer without a name")
    if not graph.output:
        raise InvalidInput("TLC201", "model without outputs")


def _distinct(names: Iterable[str], kind: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InvalidInput("TLC201", f"duplicate {kind} '{name}'")
        seen.add(name)


def _needed(graph: GraphProto) -> set[str]:
    """Tensors that an output depends on, in a graph whose nodes are in order."""
    needed = {output.name for output in graph.output}
    for node in reversed(graph.node):
        if any(name in needed for name in node.output if name):
            needed.update(name for name in node.input if name)
    return needed


def _input(info: ValueInfoProto, builder: Builder) -> Data:
    where = f"input '{info.name}'"
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


def _row(node: NodeProto, call: Call, operands: Sequence[Part | None]) -> Row:
    """How the node is read. Raises TLC202 for one that is not, TLC203 for minus infinity where it has no place."""
    call.refuse(node.domain not in ("", "ai.onnx"), f"domain {node.domain}")
    row = LOWERINGS.get(node.op_type)
    if row is None:
        raise call.unsupported(UNLIKE.get(node.op_type, ""))
    late = late_row(node.op_type, operands)
    call.refuse_infinity(late is not None)
    if late is None and node.op_type not in ON_INTEGERS:
        for x in operands:
            if isinstance(x, Data):
                call.refuse(not x.is_float, f"operand of type {x.dtype}")
    return late or row


def _operand(name: str, values: dict[str, Part], node: NodeProto) -> Part | None:
    """The tensor's value; None for an optional operand left out. Raises TLC201: missing, or nodes out of order."""
    if name and name not in values:
        text = f"tensor '{name}' is not defined before its use (missing, cyclic or out of order)"
        raise InvalidInput("TLC201", text, field=f"node '{node.name or node.op_type}'")
    return values[name] if name else None


def _finished(
    graph: GraphProto, inputs: list[ValueInfoProto], values: dict[str, Part], builder: Builder
) -> Graph:
    outputs = tuple(_output(info.name, values, builder) for info in graph.output)
    # a tensor with minus infinity in it is no node
    nodes = {name: x for name, x in values.items() if isinstance(x, Data) and x.hidden is None}
    names = {name: x.node for name, x in nodes.items()}
    given, made = tuple(i.name for i in inputs), tuple(o.name for o in graph.output)
    try:
        return Graph(tuple(builder.nodes), outputs, given, made, names)
    except ValueError as error:
        raise InvalidInput("TLC204", str(error)) from error


def _output(name: str, values: dict[str, Part], builder: Builder) -> int:
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
