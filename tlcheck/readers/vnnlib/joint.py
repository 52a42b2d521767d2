"""A property and the networks it speaks of, as one graph and one query.

Guarantee: the graph denotes the function from all declared inputs (networks in declaration order) to all declared
values: of each network its outputs, then its hidden nodes; then every monomial of degree 2 or more of the property.
A network ``equal-to`` another is that network again, on inputs of its own. So the query, linear in these values,
means exactly what the property says, and a plain property of one network gives that network's own graph.

Checked against the model files (section 5.3.2 of the standard): one file for each network that is not ``equal-to``
another; numbers, shapes and element types of inputs, outputs and hidden nodes (types are not compared when the query
is wholly ``real``); networks said to be isomorphic have graphs of the same operations, shapes and connections.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_PROPERTY_BYTES
from tlcheck.readers.bytes import read_bytes
from tlcheck.readers.kinds import instead
from tlcheck.readers.onnx import Whole, load_whole, read_model
from tlcheck.readers.onnx.tensors import ELEMENT_TYPES
from tlcheck.readers.vnnlib.normal_form import Variable, normal_form
from tlcheck.readers.vnnlib.places import check_declared, check_flat, inputs_of, outputs_of, squeezed
from tlcheck.readers.vnnlib.read import read_any_property
from tlcheck.readers.vnnlib.version2 import Network, Property, Tensor
from tlcheck.trusted.graph import Graph, Node
from tlcheck.trusted.ops.product import Product
from tlcheck.trusted.ops.structure import Input, Rearrange
from tlcheck.trusted.query import Query

if TYPE_CHECKING:
    from onnx import ModelProto, ValueInfoProto

CLIP: Final = Fraction(1 << 64)
"""Where an input without a bound is cut off when only witnesses are looked for."""
WHOLE: Final = "X", "Y"
"""The names of the two tensors that stand for the variables X_i and Y_j of a VNN-LIB 1.0 property."""


@dataclass(frozen=True, eq=False)
class Model:
    """One model file. ``data`` is the file with all weights inside and the hidden nodes added to its ``n_outputs``
    outputs; ``whole`` says of which files it was made."""

    path: Path
    data: bytes
    graph: Graph
    n_outputs: int
    whole: Whole


@dataclass(frozen=True, eq=False)
class Joint:
    """``models[k]`` is the model of ``networks[k]``; ``equal-to`` networks share it.

    ``places[k]``: for each value that network k adds to the flat outputs, in order, its place among the flat outputs
    of its model. ``unbounded`` names an input without a finite bound, or is ""; then ``query`` is the property on a
    smaller region (CLIP), which can show ``sat`` only.
    """

    path: Path
    declared: Property
    networks: tuple[Network, ...]
    models: tuple[Model, ...]
    places: tuple[tuple[int, ...], ...]
    graph: Graph
    query: Query
    unbounded: str = ""
    sources: Mapping[str, str] = field(default_factory=dict)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Every declared variable, in declaration order over all networks."""
        return tuple(t for network in self.networks for t in network.tensors)

    @property
    def is_typed(self) -> bool:
        """The query is about values of machine types: not wholly ``real``, and not VNN-LIB 1.0."""
        return not self.declared.is_real


def load_joint(query: Path, files: Mapping[str, Path]) -> Joint:
    """The property in ``query`` over the model files, by network name (any one name for VNN-LIB 1.0).

    Raises InvalidInput: as the readers of properties and models; TLC303 where they do not fit each other.
    """
    data = read_bytes(query, limit=MAX_PROPERTY_BYTES)
    found = read_any_property(data, file=os.fspath(query))
    try:
        if not found.networks:
            models, networks = _undeclared(found, files)
        else:
            networks = found.networks
            models = _models(found, files)
        places = tuple(_places(n, m) for n, m in zip(networks, models, strict=True))
        graph = _joined(networks, models, found.monomials)
        found.space.check_fits(graph.n_inputs, graph.n_outputs)
        unbounded = ""
        try:
            region = normal_form(found.assertions, found.space)
        except InvalidInput as error:
            if error.code != "TLC304":
                raise
            unbounded = error.field
            region = normal_form(found.assertions, found.space, CLIP)
    except InvalidInput as error:
        raise error.in_file(os.fspath(query)) from error.__cause__
    sha = hashlib.sha256(data).hexdigest()
    sources = {"property": sha}
    for n, m in zip(networks, models, strict=True):
        sources |= m.whole.sources("model" if len(networks) == 1 else f"model {n.name}")
    return Joint(query, found, networks, models, places, graph, region, unbounded, sources)


# Model files.


def _undeclared(found: Property, files: Mapping[str, Path]) -> tuple[tuple[Model, ...], tuple[Network, ...]]:
    """VNN-LIB 1.0: one network, whatever its name; all its inputs as X and all its outputs as Y, both flat."""
    if len(files) != 1:
        raise _mapping(
            "a VNN-LIB 1.0 property is about one network", "1 network: --network N=NET.onnx, with any name N",
            str(len(files)),
        )  # fmt: skip
    ((name, path),) = files.items()
    model = _model(path, [])
    space = found.space
    check_flat(inputs_of(model.graph), outputs_of(model.graph), file=str(path))
    x = Tensor(WHOLE[0], "input", "real", (space.n_inputs,), 0)
    y = Tensor(WHOLE[1], "output", "real", (space.n_outputs,), 0)
    return (model,), (Network(name, (x, y)),)


def _models(found: Property, files: Mapping[str, Path]) -> tuple[Model, ...]:
    """The model of each network, checked against its declaration."""
    by_name = {network.name: network for network in found.networks}
    if len(by_name) != len(found.networks):
        raise InvalidInput("TLC301", "two networks of one name", field="declare-network")
    for name in files:
        if name not in by_name:
            raise _mapping(f"the property declares no network {name}", ", ".join(by_name), name)
        if by_name[name].equal_to:
            raise _mapping(f"network {name} is equal-to {by_name[name].equal_to}: it takes no model", "", "")
    for network in found.networks:
        if not network.equal_to and network.name not in files:
            given = ", ".join(files) or "none"
            raise _mapping(f"no model for network {network.name}", f"--network {network.name}=FILE", given)
    models: dict[str, Model] = {}
    for network in found.networks:
        if network.equal_to:
            continue
        users = [n for n in found.networks if network.name in (n.name, n.equal_to)]
        hidden = [t.onnx_name for n in users for t in n.of_kind("hidden")]
        model = models[network.name] = _model(files[network.name], hidden)
        types = None if found.is_real else _element_types(model)
        for user in users:
            _check_declaration(user, model, types)
    for network in found.networks:
        if network.isomorphic_to:
            _check_isomorphic(network, models[network.name], _owner(by_name, models, network.isomorphic_to))
    return tuple(models[network.equal_to or network.name] for network in found.networks)


def _owner(by_name: Mapping[str, Network], models: Mapping[str, Model], name: str) -> Model:
    return models[by_name[name].equal_to or name]


def _mapping(message: str, expected: str, got: str) -> InvalidInput:
    return InvalidInput("TLC303", message, field="--network", expected=expected, got=got)


def _model(path: Path, hidden: Sequence[str]) -> Model:
    """The model in a file, the tensors named ``hidden`` among its outputs. Raises InvalidInput."""
    whole = load_whole(path)
    try:
        data = _with_outputs(whole.content, hidden) if hidden else whole.content
        graph = read_model(data, file=str(path))
    except InvalidInput as error:
        better = instead(error, whole.content, str(path), "model") if error.code == "TLC201" else error
        raise better.in_file(str(path)) from error.__cause__
    n_outputs = len(_parsed(whole.content).graph.output)
    return Model(path, data, graph, n_outputs, whole)


def _with_outputs(data: bytes, names: Sequence[str]) -> bytes:
    """The model with the tensors ``names`` among its outputs. Raises TLC201, TLC303."""
    model = _parsed(data)
    made = {name for node in model.graph.node for name in node.output}
    made |= {i.name for i in model.graph.input} | {t.name for t in model.graph.initializer}
    known = {output.name for output in model.graph.output}
    for name in names:
        if not name or name not in made:
            raise InvalidInput("TLC303", f"the network has no tensor '{name}'", field="declare-hidden")
        if name not in known:
            known.add(name)
            model.graph.output.add().name = name
    return bytes(model.SerializeToString())


def _parsed(data: bytes) -> ModelProto:
    from google.protobuf.message import DecodeError
    from onnx import ModelProto

    model = ModelProto()
    try:
        model.ParseFromString(data)
    except (DecodeError, RuntimeError) as error:
        raise InvalidInput("TLC201", "not an ONNX file (protobuf does not parse)") from error
    return model


def _declared(network: Network, model: Model) -> list[tuple[Tensor, int, str]]:
    """(declared variable, its node in the model's graph, its ONNX name), in declaration order but outputs first."""
    graph, hidden = model.graph, network.of_kind("hidden")
    outputs = zip(network.of_kind("output"), graph.outputs, graph.output_names, strict=False)
    inputs = zip(network.of_kind("input"), graph.inputs, graph.input_names, strict=True)
    at = {name: node for node, name in zip(graph.outputs, graph.output_names, strict=True)}
    return [*inputs, *outputs, *((t, at[t.onnx_name], t.onnx_name) for t in hidden)]


def _check_declaration(network: Network, model: Model, types: Mapping[str, str] | None) -> None:
    """The declaration fits the model: numbers of tensors, their shapes, and (unless None) their element types."""
    where = {"file": str(model.path)}
    inputs, outputs = inputs_of(model.graph), outputs_of(model.graph)[: model.n_outputs]
    check_declared(network, inputs, outputs, file=str(model.path))
    for tensor, node, name in _declared(network, model):
        where["field"] = tensor.name
        shape = model.graph.nodes[node].shape
        if squeezed(shape) != squeezed(tensor.shape):
            message = f"the declared shape is not that of '{name}'"
            raise InvalidInput(
                "TLC303", message, expected=str(list(shape)), got=str(list(tensor.shape)), **where
            )
        if types is not None and types.get(name) != tensor.dtype:
            message = f"the declared element type is not that of '{name}'"
            raise InvalidInput(
                "TLC303", message, expected=types.get(name, "a type that is known"), got=tensor.dtype, **where
            )


def _element_types(model: Model) -> dict[str, str]:
    """The element type of every tensor of the model that has one, stated or inferred by the onnx package."""
    import onnx

    parsed = _parsed(model.data)
    infos: list[ValueInfoProto] = [*parsed.graph.input, *parsed.graph.output]
    if len(parsed.graph.output) > model.n_outputs:
        try:
            inferred = onnx.shape_inference.infer_shapes(parsed).graph
        except Exception as error:  # whatever its C++ raises: the types are then not known
            raise InvalidInput(
                "TLC303",
                f"the element types of hidden nodes cannot be inferred: {error}",
                file=str(model.path),
            ) from error
        infos = [*inferred.value_info, *inferred.output, *infos]
    types = {info.name: ELEMENT_TYPES.get(info.type.tensor_type.elem_type, "") for info in infos}
    types |= {t.name: ELEMENT_TYPES.get(t.data_type, "") for t in parsed.graph.initializer}
    for info in infos:
        if info.type.tensor_type.elem_type:
            types[info.name] = ELEMENT_TYPES.get(info.type.tensor_type.elem_type, "")
    return {name: dtype for name, dtype in types.items() if dtype}


def _check_isomorphic(network: Network, model: Model, other: Model) -> None:
    """The graphs agree in operations, shapes and connections, node by node. Raises TLC303."""
    a, b = model.graph, other.graph
    same = len(a.nodes) == len(b.nodes) and a.outputs[: model.n_outputs] == b.outputs[: other.n_outputs]
    if not same or any(
        type(x.op) is not type(y.op) or x.inputs != y.inputs or x.shape != y.shape
        for x, y in zip(a.nodes, b.nodes, strict=True)
    ):
        raise InvalidInput(
            "TLC303",
            f"network {network.name} is declared isomorphic to {network.isomorphic_to}, and its graph is another",
            file=str(model.path),
        )


# The joint graph.


def _places(network: Network, model: Model) -> tuple[int, ...]:
    graph = model.graph
    starts = dict(
        zip(graph.output_names, np.cumsum([0, *(graph.nodes[i].size for i in graph.outputs)]), strict=False)
    )
    names = list(graph.output_names[: model.n_outputs]) + [t.onnx_name for t in network.of_kind("hidden")]
    sizes = {name: graph.nodes[i].size for name, i in zip(graph.output_names, graph.outputs, strict=True)}
    return tuple(int(starts[name]) + k for name in names for k in range(sizes[name]))


def _joined(
    networks: Sequence[Network], models: Sequence[Model], monomials: Sequence[tuple[Variable, ...]]
) -> Graph:
    """The disjoint union of the networks' graphs, and the monomials."""
    if len(networks) == 1 and not monomials and not networks[0].of_kind("hidden"):
        return models[0].graph
    nodes: list[Node] = []
    inputs: list[str] = []
    outputs: list[tuple[int, str]] = []
    names: dict[str, int] = {}
    for network, model in zip(networks, models, strict=True):
        start, graph = len(nodes), model.graph
        prefix = f"{network.name}/" if len(networks) > 1 else ""
        for node in graph.nodes:
            moved = tuple(j + start for j in node.inputs)
            nodes.append(replace(node, inputs=moved, label=prefix + node.label))
        names |= {prefix + name: j + start for name, j in graph.names.items()}
        inputs += [prefix + name for name in graph.input_names]
        at = dict(zip(graph.output_names, graph.outputs, strict=True))
        wanted = [*graph.output_names[: model.n_outputs], *(t.onnx_name for t in network.of_kind("hidden"))]
        outputs += [(at[name] + start, prefix + name) for name in wanted]
    declared = [node for node, _ in outputs]
    for k, factors in enumerate(monomials):
        outputs.append((_monomial(nodes, declared, factors), f"monomial {k}"))
    places = tuple(node for node, _ in outputs)
    return Graph(tuple(nodes), places, tuple(inputs), tuple(name for _, name in outputs), names)


def _monomial(nodes: list[Node], outputs: Sequence[int], factors: Sequence[Variable]) -> int:
    """Append the product of ``factors``; its node."""
    inputs = [i for i, node in enumerate(nodes) if isinstance(node.op, Input)]
    product = -1
    for kind, index in factors:
        source, at = _located(nodes, inputs if kind == "X" else outputs, index)
        nodes.append(Node(Rearrange((1,), np.array([at], np.int64)), (source,), (1,), "factor"))
        factor = len(nodes) - 1
        if product >= 0:
            nodes.append(Node(Product(), (product, factor), (1,), "product"))
            factor = len(nodes) - 1
        product = factor
    return product


def _located(nodes: Sequence[Node], tensors: Sequence[int], flat: int) -> tuple[int, int]:
    """The tensor that flat value ``flat`` of ``tensors`` lies in, and its place there."""
    for node in tensors:
        if flat < nodes[node].size:
            return node, flat
        flat -= nodes[node].size
    raise ValueError(f"no flat value {flat}")
