"""Names of tensors in a graph, the model's or one inside a node: each is defined once, and which of them count."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, MutableMapping, Sequence, Set
from typing import TYPE_CHECKING

from tlcheck.errors import InvalidInput
from tlcheck.readers.onnx.call import GRAPH
from tlcheck.readers.onnx.operands import Known, Part
from tlcheck.readers.onnx.tensors import read_tensor

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto

Values = MutableMapping[str, Part | None]
"""What tensors are, by name; None: an operand that a local function is not given."""
FunctionName = tuple[str, str, str]
"""Domain, name, overload."""


def check_names(graph: GraphProto) -> None:
    """Every tensor has one definition: inputs, initializers and node outputs are distinct names; none is sparse."""
    if graph.sparse_initializer:
        raise InvalidInput("TLC202", "unsupported sparse initializers")
    inputs, stored = [i.name for i in graph.input], [t.name for t in graph.initializer]
    made = [name for node in graph.node for name in node.output if name]
    distinct(inputs, "input")
    distinct(stored, "initializer")
    distinct([*dict.fromkeys([*inputs, *stored]), *made], "tensor")
    distinct([o.name for o in graph.output], "output")
    if any(not name for name in [*inputs, *stored]):
        raise InvalidInput("TLC201", "input or initializer without a name")
    if not graph.output:
        raise InvalidInput("TLC201", "model without outputs")


def check_whole(graph: GraphProto) -> None:
    """``check_names``; and every node reads what is defined before it, also where no output needs it. Raises TLC201, TLC202."""
    check_names(graph)
    known = {*(i.name for i in graph.input), *(t.name for t in graph.initializer)}
    for node in graph.node:
        for name in node.input:
            check_defined(name, known, node)
        known.update(node.output)


def check_defined(name: str, known: Container[str], node: NodeProto) -> None:
    if name and name not in known:
        text = f"tensor '{name}' is not defined before its use (missing, cyclic or out of order)"
        raise InvalidInput("TLC201", text, field=f"node '{node.name or node.op_type}'")


def stored_in(graph: GraphProto, needed: Set[str]) -> dict[str, Known]:
    """The graph's initializers that are needed."""
    return {t.name: read_tensor(t, masks=True) for t in graph.initializer if t.name in needed}


def distinct(names: Iterable[str], kind: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InvalidInput("TLC201", f"duplicate {kind} '{name}'")
        seen.add(name)


def needed_by(nodes: Sequence[NodeProto], outputs: Iterable[str]) -> set[str]:
    """Tensors that an output depends on, in a graph whose nodes are in order."""
    needed = set(outputs)
    for node in reversed(nodes):
        if any(name in needed for name in node.output if name):
            needed.update(read_by(node))
    return needed


def read_by(node: NodeProto) -> Iterator[str]:
    """Names of tensors that the node reads, and all that nodes of graphs inside it read."""
    yield from filter(None, node.input)
    for attribute in node.attribute:
        if attribute.type == GRAPH:
            for inner in attribute.g.node:
                yield from read_by(inner)
