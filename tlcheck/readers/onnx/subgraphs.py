"""Graphs inside nodes: If, Loop and Scan, and calls of the model's local functions. Each is lowered where it runs.

Guarantee: the nodes emitted are those that an execution runs, as often as it runs them, whatever the network's inputs are:
conditions and trip counts are constants, or the node is refused. A graph sees the tensors around it, a function only what it is
given; a name that could mean two tensors is refused. What runs is counted before it is lowered (``Builder.step``).
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_NODES
from tlcheck.readers.onnx.call import DIFFER, GRAPH, Call
from tlcheck.readers.onnx.names import FunctionName, Values, check_names, distinct, needed_by, stored_in
from tlcheck.readers.onnx.operands import Known, Late, Part, Value
from tlcheck.readers.onnx.standard import form_of, max_opset

if TYPE_CHECKING:
    from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto

    from tlcheck.readers.onnx.walk import Walk

FUNCTIONS_IR: Final = 8
"""The first version of the format that has local functions."""
RESERVED: Final = ("", "ai.onnx", "com.microsoft")
"""Domains, and those below them, of operators that runtimes have: a function there could mean either."""


@dataclass(frozen=True, eq=False)
class Block:
    """A graph inside a node, checked: read once, run as often as the node runs it."""

    graph: GraphProto
    inputs: tuple[str, ...]
    made: tuple[str, ...]
    needed: frozenset[str]
    stored: Mapping[str, Known]

    @staticmethod
    def of(graph: GraphProto) -> Block:
        """Raises InvalidInput: a tensor with two definitions, an initializer that is not read."""
        check_names(graph)
        needed = needed_by(graph.node, (info.name for info in graph.output))
        inputs = tuple(info.name for info in graph.input)
        made = tuple(name for node in graph.node for name in node.output if name)
        return Block(
            graph, inputs, made, frozenset(needed), stored_in(graph, {t.name for t in graph.initializer})
        )

    def run(self, walk: Walk, values: Values, given: Sequence[Part]) -> list[Part]:
        """Its outputs, for these inputs; ``values``: what is around it."""
        local: dict[str, Part | None] = {**self.stored, **dict(zip(self.inputs, given, strict=True))}
        walk.lower(self.graph.node, ChainMap(local, *_maps(values)), self.needed)
        return [_defined(local, info.name) for info in self.graph.output]


def _maps(values: Values) -> list[MutableMapping[str, Part | None]]:
    return values.maps if isinstance(values, ChainMap) else [values]


def _block(walk: Walk, call: Call, name: str, values: Values, inputs: int, outputs: int) -> Block:
    """The graph of that attribute, with so many inputs and outputs, all of whose tensors have names of their own."""
    graph = call.attr_graph(name)
    if id(graph) not in walk.blocks:
        walk.blocks[id(graph)] = Block.of(graph)
    block: Block = walk.blocks[id(graph)]
    walk.builder.step(call.label, len(block.made))
    again = [x for x in (*block.inputs, *block.stored, *block.made) if x in values]
    call.refuse(bool(again), f"{name}: a tensor '{again[0] if again else ''}' inside and around it")
    call.refuse(not block.stored.keys().isdisjoint(block.inputs), f"{name}: an input that has a value")
    if len(block.inputs) != inputs or len(graph.output) != outputs:
        expected = f"expected {inputs} and {outputs}"
        raise call.malformed(
            f"{name} has {len(block.inputs)} inputs and {len(graph.output)} outputs, {expected}"
        )
    return block


def _defined(local: Mapping[str, Part | None], name: str) -> Part:
    """A tensor of the graph itself; one from around it is no output of it (onnxruntime has no such form)."""
    found = local.get(name)
    if found is None:
        raise InvalidInput("TLC202", f"output '{name[:80]}' of a graph inside a node is not defined in it")
    return found


def _inside(call: Call, walk: Walk, k: int | None = None) -> Walk:
    return replace(walk, within=f"{call.label}/" if k is None else f"{call.label}[{k}]/")


def _decided(call: Call, x: Part | None, what: str) -> Any:
    """The one entry of a constant."""
    if not isinstance(x, Known):
        raise call.unsupported(f"{what} that the network decides")
    call.refuse_shape(x.array.size != 1, f"{what} of shape {x.shape}")
    return x.array.reshape(()).item()


# If


def if_(walk: Walk, values: Values, call: Call) -> list[Part]:
    """The branch that the condition, a constant, chooses."""
    chosen = bool(_decided(call, call.raw(0), "a condition"))
    names = ("else_branch", "then_branch")
    blocks = [_block(walk, call, name, values, 0, len(call.outputs)) for name in names]
    return blocks[chosen].run(_inside(call, walk), values, ())


# Loop


def loop(walk: Walk, values: Values, call: Call) -> list[Part]:
    """Carried values after the last iteration, then what each iteration gave, stacked. The trip count and every condition that
    decides whether there is a next iteration are constants."""
    carried = [_present(call, i) for i in range(2, call.n_inputs)]
    body = _block(walk, call, "body", values, 2 + len(carried), 1 + len(call.outputs))
    call.refuse(
        _rank(body.graph, 0) > 0 or _rank(body.graph, 1) > 0,
        "a list as iteration number or condition",
        DIFFER,
    )
    count, condition = call.raw(0), call.raw(1)
    most = None if count is None else int(_decided(call, count, "a trip count"))
    goes_on = True if condition is None else bool(_decided(call, condition, "a condition"))
    call.refuse(
        goes_on and most is None and _is_endless(body.graph),
        "without a trip count, and its condition never changes",
    )
    if most is not None and goes_on and condition is None:
        _require_room(call, walk, most, body.graph)
    scanned: list[list[Part]] = [[] for _ in call.outputs[len(carried) :]]
    done = 0
    while goes_on and (most is None or done < most):
        walk.builder.step(call.label)
        given = [Known(np.array(done, np.int64), "int64"), Known(np.array(True), "bool"), *carried]
        after, *results = body.run(_inside(call, walk, done), values, given)
        carried = _same_types(call, carried, results[: len(carried)])
        for column, x in zip(scanned, results[len(carried) :], strict=True):
            column.append(x)
        done += 1
        if most is None or done < most:
            goes_on = bool(_decided(call, after, "a condition"))
            call.refuse(condition is None and not goes_on, "a condition that ends a loop without one", DIFFER)
    return [*carried, *(_stacked(call, column, 0) for column in scanned)]


def _present(call: Call, i: int) -> Part:
    found = call.raw(i)
    if found is None:
        raise call.malformed(f"operand {i} of {call.op} is missing")
    return found


def _rank(graph: GraphProto, i: int) -> int:
    """Axes that the graph says its input has; 0 if it says nothing."""
    return len(graph.input[i].type.tensor_type.shape.dim)


def _is_endless(graph: GraphProto) -> bool:
    """The condition that the body gives is the one that it gets."""
    same = {
        node.output[0]: node.input[0]
        for node in graph.node
        if node.op_type == "Identity" and node.input and node.output
    }
    name = graph.output[0].name
    for _ in same:
        name = same.get(name, name)
    return bool(name == graph.input[1].name)


def _require_room(call: Call, walk: Walk, count: int, graph: GraphProto) -> None:
    """Refuses at once what would not end below the limit."""
    each, left = 1 + len(graph.node), MAX_NODES - walk.builder.steps
    if count * each > left:
        text = f"{call.op} of {count} iterations of {len(graph.node)} nodes is too large to unroll"
        most = f"at most {MAX_NODES} nodes in all"
        raise InvalidInput("TLC401", text, field=f"node '{call.label}'", expected=most)


def _same_types(call: Call, before: Sequence[Part], after: Sequence[Part]) -> list[Part]:
    for x, y in zip(before, after, strict=True):
        call.refuse(x.dtype != y.dtype, f"a carried value that changes its type: {x.dtype}, {y.dtype}")
    return list(after)


def _stacked(call: Call, parts: Sequence[Part], axis: int) -> Value:
    """What each iteration gave, along a new axis."""
    call.refuse(not parts, "what no iteration gives: its shape is not known")
    values: list[Value] = []
    for x in parts:
        if isinstance(x, Late):
            raise call.unsupported("a shape that the network's values decide")
        values.append(x)
    shapes = sorted({x.shape for x in values})
    call.refuse_shape(len(shapes) > 1, f"iterations give values of different shapes: {shapes[:2]}")
    call.checked((len(values), *values[0].shape))
    return call.moves(values, lambda arrays: np.stack(arrays, axis))


# Scan


def scan(walk: Walk, values: Values, call: Call) -> list[Part]:
    """As a Loop over entries of the last operands, each along its axis, in either direction."""
    call.refuse(call.opset < 9, "the form of opset 8, with a batch")
    n = call.required_int("num_scan_inputs")
    states = call.n_inputs - n
    call.refuse_shape(n < 1 or states < 0, f"{n} scan inputs of {call.n_inputs} operands")
    carried: list[Part] = [call.value(i) for i in range(states)]
    xs = [call.value(i) for i in range(states, call.n_inputs)]
    axes = [call.axis(a, len(x.shape)) for a, x in zip(_listed(call, "scan_input_axes", n), xs, strict=True)]
    backward = _listed(call, "scan_input_directions", n)
    body = _block(walk, call, "body", values, call.n_inputs, len(call.outputs))
    k = len(call.outputs) - states
    call.refuse_shape(k < 0, f"{len(call.outputs)} outputs for {states} states")
    out_axes, out_backward = _listed(call, "scan_output_axes", k), _listed(call, "scan_output_directions", k)
    call.refuse(not {*backward, *out_backward} <= {0, 1}, "a direction that is neither 0 nor 1")
    lengths = {x.shape[a] for x, a in zip(xs, axes, strict=True)}
    call.refuse_shape(len(lengths) != 1, f"sequences of different lengths: {sorted(lengths)}")
    (length,) = lengths
    _require_room(call, walk, length, body.graph)
    columns: list[list[Part]] = [[] for _ in range(k)]
    for t in range(length):
        walk.builder.step(call.label)
        entries = [
            _entry(call, x, a, length - 1 - t if b else t) for x, a, b in zip(xs, axes, backward, strict=True)
        ]
        results = body.run(_inside(call, walk, t), values, [*carried, *entries])
        carried = _same_types(call, carried, results[:states])
        for column, x in zip(columns, results[states:], strict=True):
            column.append(x)
    ordered = [column[::-1] if b else column for column, b in zip(columns, out_backward, strict=True)]
    return [*carried, *(_stacked(call, c, a) for c, a in zip(ordered, out_axes, strict=True))]


def _listed(call: Call, name: str, count: int) -> list[int]:
    """One number for each; 0 where the attribute is absent."""
    found = call.attr_ints(name) or [0] * count
    call.refuse_shape(len(found) != count, f"{name} {found}: expected {count} numbers")
    return found


def _entry(call: Call, x: Value, axis: int, t: int) -> Value:
    return call.move(x, lambda a: np.take(a, t, axis))


# Local functions


def functions_of(model: ModelProto) -> dict[FunctionName, FunctionProto]:
    """The model's functions, by name. Raises InvalidInput TLC201, TLC202."""
    if model.ir_version < FUNCTIONS_IR:
        text = f"local functions before version {FUNCTIONS_IR} of the ONNX format"
        raise InvalidInput("TLC202", text, got=f"ir_version {model.ir_version}")
    distinct((f"{f.domain}.{f.name}:{f.overload}" for f in model.functions), "function")
    for f in model.functions:
        if any(f.domain == domain or (domain and f.domain.startswith(f"{domain}.")) for domain in RESERVED):
            text = f"unsupported function {f.name[:80]} in the domain '{f.domain}', which has operators: {DIFFER}"
            raise InvalidInput("TLC202", text)
    return {(f.domain, f.name, f.overload): f for f in model.functions}


def function_call(call: Call, node: NodeProto, walk: Walk) -> list[Part | None]:
    """The function's outputs that are needed, of its nodes on the call's operands and attributes alone."""
    name = (node.domain, node.op_type, node.overload)
    function = walk.functions[name]
    call.refuse(name in walk.calls, "a function that calls itself")
    walk.builder.step(call.label, len(function.node))
    opset = _opset(call, walk, function)
    distinct(
        [*function.input, *(x for inner in function.node for x in inner.output if x)], "tensor of a function"
    )
    distinct(function.output, "output of a function")
    n, m = len(function.input), len(function.output)
    if call.n_inputs > n or len(call.outputs) > m:
        raise call.malformed(
            f"{call.n_inputs} operands and {len(call.outputs)} outputs of a function of {n} and {m}"
        )
    given = [call.raw(i) for i in range(n)]
    outputs = [name for name, wanted in zip(function.output, call.wanted, strict=False) if wanted]
    values: Values = dict(zip(function.input, given, strict=True))
    needed = needed_by(function.node, outputs)
    inside = replace(
        _inside(call, walk), opset=opset, given=_attributes(call, function), calls=(*walk.calls, name)
    )
    inside.lower(function.node, values, needed)
    return [
        _defined(values, name) if name in outputs else None for name in function.output[: len(call.outputs)]
    ]


def _attributes(call: Call, function: FunctionProto) -> dict[str, AttributeProto]:
    """The call's attributes, and the function's defaults of the others."""
    defaults = {a.name: a for a in function.attribute_proto}
    distinct([*function.attribute, *defaults], "attribute of a function")
    given = call.all_attributes()
    unknown = sorted(given.keys() - {*function.attribute, *defaults})
    call.refuse(bool(unknown), f"attribute {unknown[0] if unknown else ''}: the function has none")
    return {**defaults, **given}


def _opset(call: Call, walk: Walk, function: FunctionProto) -> int:
    """The function's own version of the default domain. Its operators must be of one version there and in the model: which one
    counts is not said."""
    versions = {entry.version for entry in function.opset_import if entry.domain in ("", "ai.onnx")}
    call.refuse(len(versions) > 1, f"the function imports the default operator set as {sorted(versions)}")
    opset = int(versions.pop()) if versions else walk.model_opset
    call.refuse(opset > max_opset(), f"a function of opset {opset}: at most {max_opset()} is read")
    for node in _every_node(function.node):
        if opset == walk.model_opset or node.domain not in ("", "ai.onnx"):
            continue
        forms = [form_of(node.op_type, version) for version in (opset, walk.model_opset)]
        same = None not in forms and forms[0].since == forms[1].since  # type: ignore[union-attr]
        text = f"a function of opset {opset} in a model of opset {walk.model_opset}, with {node.op_type[:40]}"
        call.refuse(not same, text, DIFFER)
    return opset


def _every_node(nodes: Sequence[NodeProto]) -> Iterator[NodeProto]:
    for node in nodes:
        yield node
        for attribute in node.attribute:
            if attribute.type == GRAPH:
                yield from _every_node(attribute.g.node)
