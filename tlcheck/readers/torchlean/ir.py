"""Graphs of TorchLean, ``torchlean.ir.v1``: operations, parents, shapes. Weights come from a state dict.

A ``const`` node may hold ``values``. A node of kind linear, conv2d or matmul with one parent names its parameters with
``weight`` and ``bias``; without these, the k-th such node takes the k-th ``layers.<i>`` of the state dict. Shapes are
checked. Kinds that have no exact rule here (random masks, tuples, losses) are refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from msgspec import Raw, Struct
from numpy.typing import NDArray

from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_NODES, MAX_TENSOR_ELEMENTS
from tlcheck.readers.bytes import sha256_hex
from tlcheck.readers.files import Files, beside
from tlcheck.readers.strict_json import decode
from tlcheck.readers.torchlean.builder import LAYER_NORM_EPSILON, Builder, Shape, quotient
from tlcheck.readers.torchlean.state_dict import StateDict, layers_of, numeric, read_state_dict
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.affine import Linear, Scale, Sum
from tlcheck.trusted.ops.base import Operation
from tlcheck.trusted.ops.bent import Abs
from tlcheck.trusted.ops.convolution import Conv
from tlcheck.trusted.ops.product import MatProduct, Product
from tlcheck.trusted.ops.s_shaped import Sigmoid, Tanh
from tlcheck.trusted.ops.selection import MaxOver
from tlcheck.trusted.ops.smooth import Cos, Exp, Log, Reciprocal, Sin, Sqrt
from tlcheck.trusted.ops.softmax import Softmax
from tlcheck.trusted.ops.structure import Fixed, Rearrange, ReduceSum

MAX_PADDING: Final = 64
"""Padding beyond any kernel: a padded operand is built."""


class IrNode(Struct, frozen=True):
    id: int
    kind: str
    shape: list[int]
    parents: list[int] = []
    axis: int | None = None
    perm: list[int] | None = None
    kH: int = 0
    kW: int = 0
    stride: int = 1
    padding: int = 0
    values: Raw = Raw()
    weight: str = ""
    bias: str = ""


class IrGraph(Struct, frozen=True):
    nodes: list[IrNode]
    input_id: int
    output_id: int
    format: str = "torchlean.ir.v1"
    weights: str = ""


@dataclass(frozen=True, eq=False)
class Read:
    """``place``: a node's id to its position in the graph."""

    graph: Graph
    place: Mapping[int, int]


def named_weights(data: bytes, files: Files) -> str:
    """The file that a graph names with ``weights``, or ""."""
    return decode(data, IrGraph, files.where).weights


def weights_beside(data: bytes, files: Files, given: Path | None = None) -> StateDict:
    """The state dict that a graph names with ``weights``, beside the graph; empty when it names none."""
    name = named_weights(data, files)
    if not name:
        return {}
    if given is None:
        return read_state_dict(replace(files, elsewhere=True).read(name, "weights"), name)
    own = beside(given)
    own.elsewhere = True
    content = own.read(name, "weights")
    files.sources["model weights"] = sha256_hex(content)
    return read_state_dict(content, name)


def read_ir(data: bytes, file: str, parameters: StateDict) -> Read:
    """The network. Raises InvalidInput TLC101, TLC106, TLC201, TLC202, TLC204, TLC401."""
    top = decode(data, IrGraph, file)
    if top.format != "torchlean.ir.v1":
        raise InvalidInput("TLC102", "not a graph of torchlean.ir.v1", file=file, field="format")
    if len(top.nodes) > MAX_NODES:
        raise InvalidInput("TLC401", "too many nodes", file=file, expected=f"at most {MAX_NODES}")
    try:
        return _Walk(parameters).read(top)
    except InvalidInput as error:
        raise error.in_file(file) from error.__cause__


@dataclass
class _Walk:
    parameters: StateDict
    builder: Builder = field(default_factory=Builder)
    place: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.unnamed: Iterator[str] = iter([name for name, _, _ in layers_of(self.parameters)])

    def read(self, top: IrGraph) -> Read:
        for node in top.nodes:
            where = f"nodes[{node.id}]"
            if node.id in self.place or any(p not in self.place for p in node.parents):
                raise InvalidInput("TLC201", "an id twice, or a parent that comes later", field=where)
            if any(n < 0 for n in node.shape) or prod(node.shape) > MAX_TENSOR_ELEMENTS:
                raise InvalidInput("TLC204", "not a shape", field=where, got=str(node.shape)[:60])
            self.place[node.id] = self._added(node, where)
            found = self.builder.shape(self.place[node.id])
            if found != tuple(node.shape):
                raise InvalidInput(
                    "TLC204",
                    "not the shape of the operation",
                    field=where,
                    expected=str(found),
                    got=str(node.shape),
                )
        inputs = [node.id for node in top.nodes if node.kind == "input"]
        if inputs != [top.input_id] or top.output_id not in self.place:
            raise InvalidInput(
                "TLC201", "input_id is not the only input, or output_id is no node", field="input_id"
            )
        names = {str(i): n for i, n in self.place.items()}
        return Read(self.builder.graph(self.place[top.output_id], names), self.place)

    def _added(self, node: IrNode, where: str) -> int:
        rule = KINDS.get(node.kind)
        if rule is None:
            raise InvalidInput(
                "TLC202",
                "unsupported kind",
                field=where,
                expected=", ".join(KINDS),
                got=ascii(node.kind[:40]),
            )
        if node.stride < 1 or not 0 <= node.padding <= MAX_PADDING or min(node.kH, node.kW) < 0:
            raise InvalidInput(
                "TLC204", "not a window", field=where, expected=f"stride >= 1, padding <= {MAX_PADDING}"
            )
        try:
            return rule(self, node, *(self.place[p] for p in node.parents))
        except (TypeError, ValueError, IndexError, ArithmeticError) as error:
            raise InvalidInput("TLC204", f"{node.kind}: {error}", field=where) from None

    def parameter(self, name: str) -> NDArray[np.float64]:
        if name not in self.parameters:
            raise InvalidInput("TLC201", "no such parameter in the state dict", got=ascii(name[:80]))
        return self.parameters[name]

    def weight_and_bias(self, node: IrNode) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        if node.weight:
            return self.parameter(node.weight), self.parameter(node.bias) if node.bias else None
        layer = next(self.unnamed, None)
        if layer is None:
            raise InvalidInput(
                "TLC201", f"no parameters for node {node.id}", expected="weight, or layers.<i>.weight"
            )
        return self.parameter(f"{layer}.weight"), self.parameter(f"{layer}.bias")


Rule = Callable[..., int]


def _input(w: _Walk, node: IrNode) -> int:
    return w.builder.input(tuple(node.shape), f"input {node.id}")


def _const(w: _Walk, node: IrNode) -> int:
    if not bytes(node.values):
        raise InvalidInput("TLC201", "a constant without values", field=f"nodes[{node.id}].values")
    values = msgspec.json.decode(node.values)
    if not numeric(values if isinstance(values, list) else [values]):
        raise ValueError("values that are not numbers")
    flat = np.array(values, dtype=np.float64)
    return w.builder.add(Fixed(Constant(flat.reshape(node.shape))))


def _simple(op: Callable[[], Operation]) -> Rule:
    return lambda w, node, *xs: w.builder.add(op(), *xs, label=f"{node.kind} {node.id}")


def _same(w: _Walk, node: IrNode, x: int) -> int:
    return w.builder.reshape(x, tuple(node.shape))


def _moved(w: _Walk, x: int, index: NDArray[np.int64]) -> int:
    return w.builder.add(Rearrange(index.shape, np.ascontiguousarray(index.reshape(-1))), x)


def _places(w: _Walk, x: int) -> NDArray[np.int64]:
    shape = w.builder.shape(x)
    return np.arange(prod(shape), dtype=np.int64).reshape(shape)


def _permute(w: _Walk, node: IrNode, x: int) -> int:
    return _moved(w, x, _places(w, x).transpose(node.perm or []))


def _swap(a: int, b: int) -> Rule:
    return lambda w, node, x: _moved(w, x, _places(w, x).swapaxes(a, b))


def _broadcast(w: _Walk, node: IrNode, x: int) -> int:
    return _moved(w, x, np.broadcast_to(_places(w, x), tuple(node.shape)))


def _concat(w: _Walk, node: IrNode, *xs: int) -> int:
    starts = np.cumsum([0, *(prod(w.builder.shape(x)) for x in xs)])
    parts = [_places(w, x) + starts[k] for k, x in enumerate(xs)]
    index = np.concatenate(parts, axis=node.axis or 0)
    return w.builder.add(Rearrange(index.shape, np.ascontiguousarray(index.reshape(-1))), *xs)


def _extreme(sign: int) -> Rule:
    """The greater (1) or smaller (-1) of two values: min(a, b) = -max(-a, -b)."""

    def rule(w: _Walk, node: IrNode, a: int, b: int) -> int:
        n = prod(w.builder.shape(a))
        if w.builder.shape(b) != w.builder.shape(a):
            raise ValueError("operands differ in shape")
        both = w.builder.add(Rearrange((2 * n,), np.arange(2 * n, dtype=np.int64)), a, b)
        index = np.stack([np.arange(n, dtype=np.int64), np.arange(n, 2 * n, dtype=np.int64)], axis=1)
        return _signed(w, w.builder.add(MaxOver(tuple(node.shape), index), _signed(w, both, sign)), sign)

    return rule


def _signed(w: _Walk, x: int, sign: int) -> int:
    return x if sign > 0 else w.builder.add(Scale(Constant(np.array(-1.0)), None, 0), x)


def _reduce(mean: bool) -> Rule:
    def rule(w: _Walk, node: IrNode, x: int) -> int:
        shape = w.builder.shape(x)
        axes = tuple(range(len(shape))) if node.axis is None else (node.axis % max(len(shape), 1),)
        total = w.builder.add(ReduceSum(axes, False), x)
        total = w.builder.reshape(total, tuple(node.shape))
        count = prod(shape[a] for a in axes)
        return w.builder.add(Scale(quotient(1, count), None, 1), total) if mean else total

    return rule


def _last_axis(w: _Walk, node: IrNode, x: int) -> None:
    rank = len(w.builder.shape(x))
    if node.axis is not None and node.axis % max(rank, 1) != rank - 1:
        raise InvalidInput(
            "TLC202", f"{node.kind} over an axis that is not the last", field=f"nodes[{node.id}].axis"
        )


def _softmax(w: _Walk, node: IrNode, x: int) -> int:
    _last_axis(w, node, x)
    return w.builder.add(Softmax(), x)


def _layer_norm(w: _Walk, node: IrNode, x: int) -> int:
    _last_axis(w, node, x)
    return w.builder.layer_norm(x, LAYER_NORM_EPSILON)


def _linear(w: _Walk, node: IrNode, x: int) -> int:
    weight, bias = w.weight_and_bias(node)
    constant = None if bias is None else Constant(bias)
    return w.builder.add(Linear(Constant(weight.T.copy()), constant), x, label=f"linear {node.id}")


def _matmul(w: _Walk, node: IrNode, *xs: int) -> int:
    if len(xs) == 2:
        return w.builder.add(MatProduct(), *xs)
    weight, _ = w.weight_and_bias(node)
    return w.builder.add(Linear(Constant(weight.T.copy())), *xs, label=f"matmul {node.id}")


def _windows(w: _Walk, x: int, op: Callable[[Shape], Operation], shape: list[int]) -> int:
    """An operation on (1, C, H, W), for an operand (C, H, W)."""
    batched = w.builder.reshape(x, (1, *w.builder.shape(x)))
    y = w.builder.add(op(w.builder.shape(batched)), batched)
    return w.builder.reshape(y, w.builder.shape(y)[1:] if len(shape) == 3 else tuple(shape))


def _conv2d(w: _Walk, node: IrNode, x: int) -> int:
    weight, bias = w.weight_and_bias(node)
    pads = (node.padding,) * 2
    constant = None if bias is None else Constant(bias)
    return _windows(
        w, x, lambda _: Conv(Constant(weight), constant, (node.stride,) * 2, (1, 1), pads, pads), node.shape
    )


def _max_pool(w: _Walk, node: IrNode, x: int) -> int:
    c, h, wide = w.builder.shape(x)
    padded = np.full((c, h + 2 * node.padding, wide + 2 * node.padding), -1, np.int64)
    padded[:, node.padding : node.padding + h, node.padding : node.padding + wide] = _places(w, x)
    view = np.lib.stride_tricks.sliding_window_view(padded, (node.kH, node.kW), axis=(1, 2))
    index = view[:, :: node.stride, :: node.stride].reshape(prod(node.shape), -1)
    return w.builder.add(MaxOver(tuple(node.shape), np.ascontiguousarray(index)), x)


def _average_pool(w: _Walk, node: IrNode, x: int) -> int:
    """Sums over windows by a convolution with ones, then the division; padding counts, as in TorchLean."""
    pads = (node.padding,) * 2
    ones = Constant(np.ones((w.builder.shape(x)[0], 1, node.kH, node.kW)))
    total = _windows(
        w,
        x,
        lambda shape: Conv(ones, None, (node.stride,) * 2, (1, 1), pads, pads, shape[1]),
        node.shape,
    )
    return w.builder.add(Scale(quotient(1, node.kH * node.kW), None, 1), total)


KINDS: Final[Mapping[str, Rule]] = {
    "input": _input,
    "const": _const,
    "detach": _same,
    "reshape": _same,
    "flatten": _same,
    "permute": _permute,
    "swap_first_two": _swap(0, 1),
    "transpose3d_last_two": _swap(1, 2),
    "broadcast_to": _broadcast,
    "concat": _concat,
    "add": _simple(lambda: Sum((1, 1))),
    "sub": _simple(lambda: Sum((1, -1))),
    "mul_elem": _simple(Product),
    "max_elem": _extreme(1),
    "min_elem": _extreme(-1),
    "relu": _simple(Relu),
    "abs": _simple(Abs),
    "tanh": _simple(Tanh),
    "sigmoid": _simple(Sigmoid),
    "exp": _simple(Exp),
    "log": _simple(Log),
    "sin": _simple(Sin),
    "cos": _simple(Cos),
    "sqrt": _simple(Sqrt),
    "inv": _simple(Reciprocal),
    "softmax": _softmax,
    "layernorm": _layer_norm,
    "sum": _reduce(mean=False),
    "reduce_sum": _reduce(mean=False),
    "reduce_mean": _reduce(mean=True),
    "linear": _linear,
    "matmul": _matmul,
    "conv2d": _conv2d,
    "max_pool2d": _max_pool,
    "max_pool2d_pad": _max_pool,
    "avg_pool2d": _average_pool,
    "avg_pool2d_pad": _average_pool,
}
"""A kind and the function that adds it; a kind that is not here is refused."""
