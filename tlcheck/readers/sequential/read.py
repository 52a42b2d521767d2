"""Sequential PyTorch networks: weights in a .safetensors file, layers in a small JSON file.

A weights file says nothing about how its tensors are used, so a second file does::

    {"format": "tlcheck.sequential.v1",
     "input": [1, 1, 28, 28],
     "layers": [
       {"type": "conv2d", "weight": "0.weight", "bias": "0.bias", "stride": [2, 2], "padding": [1, 1]},
       {"type": "batchnorm", "weight": "1.weight", "bias": "1.bias", "mean": "1.running_mean",
        "var": "1.running_var", "eps": 1e-5},
       {"type": "relu"},
       {"type": "flatten"},
       {"type": "linear", "weight": "4.weight", "bias": "4.bias"}]}

``input`` is the whole shape, batch included. Layers apply in order; ``weight``, ``bias``, ``mean``, ``var`` name
tensors of the weights file. Every layer means what the PyTorch module of that name means in evaluation mode (a
linear weight is (out, in)); fields left out have PyTorch's defaults:

==================  =====================================================================================
linear              weight, bias
conv1d conv2d       weight, bias, stride, padding, dilation (one number per spatial axis), groups
conv_transpose2d    weight, bias, stride, padding, output_padding, dilation, groups
batchnorm           weight, bias, mean, var, eps
relu sigmoid tanh
abs identity
leaky_relu          negative_slope
clip                min, max (Hardtanh, ReLU6)
avgpool2d           kernel_size, stride (default: kernel_size), padding, ceil_mode, count_include_pad
maxpool2d           kernel_size, stride (default: kernel_size), padding, dilation, ceil_mode
flatten             start_dim, end_dim
reshape             shape (one entry may be -1)
scale               factor, offset: tensors that broadcast; x times factor plus offset
==================  =====================================================================================

The decimals ``eps``, ``negative_slope``, ``min`` and ``max`` denote the nearest float32, as PyTorch's export to
ONNX stores them. Weights (F16, BF16, F32, F64) are exact as stored. Floats of one network have one type, but for
16-bit weights, which are widened to float32.

Guarantee: the graph denotes that function exactly. Unknown fields, duplicate keys, tensors outside the file, and
non-finite weights are refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_JSON_BYTES
from tlcheck.readers.bytes import read_bytes
from tlcheck.readers.onnx.call import Builder, Call
from tlcheck.readers.onnx.operands import Data, Known, Late, Value
from tlcheck.readers.onnx.table import LOWERINGS, Row, remember
from tlcheck.readers.onnx.tensors import checked_shape
from tlcheck.readers.sequential import architecture as layers
from tlcheck.readers.sequential.architecture import Architecture, read_architecture
from tlcheck.readers.sequential.weights import read_tensors
from tlcheck.trusted.graph import Graph

if TYPE_CHECKING:
    from onnx import NodeProto


def load_safetensors_model(weights_path: str | Path, architecture_path: str | Path) -> Graph:
    """The network of the two files. Raises InvalidInput (TLC106, TLC2xx, TLC4xx) naming the file."""
    return read_safetensors_model(
        read_bytes(weights_path),
        read_bytes(architecture_path, limit=MAX_JSON_BYTES),
        weights_file=str(weights_path),
        architecture_file=str(architecture_path),
    )


def read_safetensors_model(
    weights: bytes, architecture: bytes, *, weights_file: str, architecture_file: str
) -> Graph:
    """The network in the two files' bytes; errors name the file."""
    described = read_architecture(architecture, architecture_file)
    try:
        tensors = read_tensors(weights)
    except InvalidInput as error:
        raise error.in_file(weights_file) from error.__cause__
    try:
        return _graph(described, tensors)
    except InvalidInput as error:
        raise error.in_file(architecture_file) from error.__cause__


class _Network:
    """The graph so far; each layer is lowered as the ONNX operator it is exported to."""

    def __init__(self, tensors: Mapping[str, Known], x: Data, builder: Builder) -> None:
        self.tensors = tensors
        self.x: Value = x
        self.builder = builder
        self.rows: set[Row] = set()
        self.label = ""

    def weight(self, name: str) -> Known:
        if name not in self.tensors:
            raise InvalidInput("TLC201", f"the weights file has no float tensor '{name}'", field=self.label)
        known = self.tensors[name]
        if known.dtype != self.x.dtype:
            raise InvalidInput(
                "TLC202",
                f"tensor '{name}' differs in type",
                field=self.label,
                expected=self.x.dtype,
                got=known.dtype,
            )
        return known

    def weights(self, *names: str | None) -> list[Value | None]:
        return [None if name is None else self.weight(name) for name in names]

    def apply(
        self, operator: str, operands: Sequence[Value | None] = (), *, opset: int = 20, **attributes: Any
    ) -> None:
        """x = operator(x, *operands), the operator as it is at ``opset``."""
        call = Call(
            self._node(operator, attributes),
            [self.x, *operands],
            self.builder,
            opset=opset,
            needed={"y"},
        )
        row = LOWERINGS[operator]
        self.rows.add(row)
        (found, *_) = call.lowered(row.load())
        if isinstance(found, Late):
            raise call.unsupported("a shape that the network's values decide")
        self.x = found

    def _node(self, operator: str, attributes: dict[str, Any]) -> NodeProto:
        from onnx import helper

        try:
            return helper.make_node(operator, ["x"], ["y"], name=self.label, **attributes)
        except (ValueError, OverflowError) as error:
            raise InvalidInput("TLC201", f"number out of range: {error}", field=self.label) from error


def _graph(architecture: Architecture, tensors: Mapping[str, Known]) -> Graph:
    builder = Builder()
    floats = {known.dtype for known in tensors.values()}
    dtype = "float64" if floats == {"float64"} else "float32"
    network = _Network(
        tensors, builder.input("input", checked_shape(tuple(architecture.input), "input"), dtype), builder
    )
    names = {"input": 0}
    for k, layer in enumerate(architecture.layers):
        network.label = f"layers.{k} ({type(layer).__struct_config__.tag})"
        _LAYERS[type(layer)](network, layer)
        names[f"layers.{k}"] = _node_of(network)
    graph = Graph(tuple(builder.nodes), (_node_of(network),), ("input",), ("output",), names)
    return remember(graph, network.rows)


def _node_of(network: _Network) -> int:
    if not isinstance(network.x, Data):
        raise InvalidInput("TLC201", "a layer without data", field=network.label)
    return network.x.node


def _linear(network: _Network, layer: layers.Linear) -> None:
    weight = network.weight(layer.weight)
    if len(weight.shape) != 2:
        raise InvalidInput("TLC204", f"linear weight of shape {weight.shape}", field=network.label)
    network.apply("MatMul", [Known(weight.array.T, weight.dtype)])
    if layer.bias is not None:
        bias = network.weight(layer.bias)
        if bias.shape != weight.shape[:1]:
            raise InvalidInput("TLC204", f"linear bias of shape {bias.shape}", field=network.label)
        network.apply("Add", [bias])


def _conv(network: _Network, layer: layers.Conv1d | layers.Conv2d) -> None:
    _of_rank(network, layer.weight, len(layer.stride))
    network.apply(
        "Conv", network.weights(layer.weight, layer.bias),
        strides=layer.stride, pads=layer.padding * 2, dilations=layer.dilation, group=layer.groups,
    )  # fmt: skip


def _of_rank(network: _Network, name: str, rank: int) -> None:
    shape = network.weight(name).shape
    if len(shape) != rank + 2:
        raise InvalidInput(
            "TLC204", f"weight '{name}' of shape {shape} needs {rank} spatial axes", field=network.label
        )


def _conv_transpose(network: _Network, layer: layers.ConvTranspose2d) -> None:
    _of_rank(network, layer.weight, 2)
    network.apply(
        "ConvTranspose", network.weights(layer.weight, layer.bias), strides=layer.stride, pads=layer.padding * 2,
        output_padding=layer.output_padding, dilations=layer.dilation, group=layer.groups,
    )  # fmt: skip


def _batchnorm(network: _Network, layer: layers.BatchNorm) -> None:
    names = (layer.weight, layer.bias, layer.mean, layer.var)
    network.apply("BatchNormalization", network.weights(*names), epsilon=layer.eps)


def _leaky_relu(network: _Network, layer: layers.LeakyRelu) -> None:
    network.apply("LeakyRelu", alpha=layer.negative_slope)


def _clip(network: _Network, layer: layers.Clip) -> None:
    network.apply("Clip", opset=10, min=layer.min, max=layer.max)


def _avgpool(network: _Network, layer: layers.AvgPool2d) -> None:
    network.apply(
        "AveragePool", kernel_shape=layer.kernel_size, strides=layer.stride or layer.kernel_size,
        pads=layer.padding * 2, ceil_mode=int(layer.ceil_mode), count_include_pad=int(layer.count_include_pad),
    )  # fmt: skip


def _maxpool(network: _Network, layer: layers.MaxPool2d) -> None:
    network.apply(
        "MaxPool", kernel_shape=layer.kernel_size, strides=layer.stride or layer.kernel_size,
        pads=layer.padding * 2, dilations=layer.dilation, ceil_mode=int(layer.ceil_mode),
    )  # fmt: skip


def _flatten(network: _Network, layer: layers.Flatten) -> None:
    shape, rank = network.x.shape, len(network.x.shape)
    if not (-rank <= layer.start_dim < rank and -rank <= layer.end_dim < rank):
        raise InvalidInput(
            "TLC204", f"dims {layer.start_dim} to {layer.end_dim} of {shape}", field=network.label
        )
    start, end = layer.start_dim % rank, layer.end_dim % rank
    if start > end:
        raise InvalidInput(
            "TLC204", f"dims {layer.start_dim} to {layer.end_dim} of {shape}", field=network.label
        )
    _reshape_to(network, [*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :]])


def _reshape(network: _Network, layer: layers.Reshape) -> None:
    _reshape_to(network, layer.shape)


def _reshape_to(network: _Network, shape: list[int]) -> None:
    if any(not -1 <= n < 1 << 62 for n in shape):
        raise InvalidInput("TLC204", f"shape {shape} is no shape", field=network.label)
    network.apply("Reshape", [Known(np.array(shape, np.int64), "int64")], allowzero=1)


def _scale(network: _Network, layer: layers.Scale) -> None:
    network.apply("Mul", [network.weight(layer.factor)])
    if layer.offset is not None:
        network.apply("Add", [network.weight(layer.offset)])


def _plain(operator: str) -> Callable[[_Network, Any], None]:
    return lambda network, layer: network.apply(operator)


_LAYERS: dict[type[layers.Layer], Callable[[_Network, Any], None]] = {
    layers.Linear: _linear,
    layers.Conv1d: _conv,
    layers.Conv2d: _conv,
    layers.ConvTranspose2d: _conv_transpose,
    layers.BatchNorm: _batchnorm,
    layers.Relu: _plain("Relu"),
    layers.Sigmoid: _plain("Sigmoid"),
    layers.Tanh: _plain("Tanh"),
    layers.Abs: _plain("Abs"),
    layers.Identity: _plain("Identity"),
    layers.LeakyRelu: _leaky_relu,
    layers.Clip: _clip,
    layers.AvgPool2d: _avgpool,
    layers.MaxPool2d: _maxpool,
    layers.Flatten: _flatten,
    layers.Reshape: _reshape,
    layers.Scale: _scale,
}
