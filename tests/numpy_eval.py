"""A plain float64 evaluator of the graph's operations: the tests' independent reading of what they mean."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.graph import Graph
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.affine import Linear, Scale, Sum
from tlcheck.trusted.ops.attended import Attended
from tlcheck.trusted.ops.base import Operation
from tlcheck.trusted.ops.bent import Abs, Clip, LeakyRelu
from tlcheck.trusted.ops.convolution import Conv, ConvTranspose
from tlcheck.trusted.ops.discrete import ArgMax, Compare, Floor, Round, Select, Sign, Truncate
from tlcheck.trusted.ops.elementwise import Elementwise
from tlcheck.trusted.ops.gap import BentGap, Counterpart, Difference
from tlcheck.trusted.ops.indexed import Indexed, places
from tlcheck.trusted.ops.product import MatProduct, Product
from tlcheck.trusted.ops.product_gap import BothRounded
from tlcheck.trusted.ops.quantized import Paired, Quantize
from tlcheck.trusted.ops.s_shaped import Sigmoid, Tanh
from tlcheck.trusted.ops.selection import MaxOver
from tlcheck.trusted.ops.smooth import Cos, Erf, Exp, Log, Power, Reciprocal, Sin, Softplus, Sqrt
from tlcheck.trusted.ops.smooth_gap import SmoothGap
from tlcheck.trusted.ops.softmax import Softmax
from tlcheck.trusted.ops.statistics import Statistic, Unlike
from tlcheck.trusted.ops.stored import Stored
from tlcheck.trusted.ops.structure import Fixed, Input, Rearrange, ReduceSum
from tlcheck.trusted.ops.window_gap import MaxGap, SoftmaxGap

Array = NDArray[np.float64]


def evaluate(graph: Graph, inputs: Sequence[NDArray[Any]]) -> list[Array]:
    """Outputs for one array per input (any shape of the right size)."""
    values = evaluate_all(graph, inputs)
    return [values[i] for i in graph.outputs]


def evaluate_all(graph: Graph, inputs: Sequence[NDArray[Any]]) -> list[Array]:
    """The value of every node."""
    given = iter(inputs)
    values: list[Array] = []
    for node in graph.nodes:
        if isinstance(node.op, Input):
            value = np.asarray(next(given), np.float64).reshape(node.shape)
        else:
            value = rule(node.op)(node.op, *(values[j] for j in node.inputs))
        if value.shape != node.shape:
            raise AssertionError(f"{node.label}: value of shape {value.shape}, node of shape {node.shape}")
        values.append(value)
    return values


def _fixed(op: Any) -> Array:
    return np.asarray(op.value.mid, np.float64)


def _rearrange(op: Any, *xs: Array) -> Array:
    flat = np.concatenate([x.ravel() for x in xs])
    if op.index is not None:
        flat = np.append(flat, 0.0)[op.index]
    return flat.reshape(op.shape)


def _linear(op: Any, x: Array) -> Array:
    y: Array = x @ op.weight.mid.astype(np.float64)
    return y if op.bias is None else y + op.bias.mid.astype(np.float64)


def _conv(op: Any, x: Array) -> Array:
    w = op.weight.mid.astype(np.float64)
    rank, groups = len(op.kernel), op.groups
    x = np.pad(x, [(0, 0), (0, 0), *zip(op.pads_begin, op.pads_end, strict=True)])
    out = [
        (x.shape[a + 2] - op.dilations[a] * (op.kernel[a] - 1) - 1) // op.strides[a] + 1 for a in range(rank)
    ]
    x = x.reshape(x.shape[0], groups, -1, *x.shape[2:])
    w = w.reshape(groups, -1, *w.shape[1:])
    y = np.zeros((x.shape[0], groups, w.shape[1], *out))
    for tap in np.ndindex(*op.kernel):
        places = _places(op, tap, out)
        y += np.einsum("bgc...,goc->bgo...", x[(slice(None),) * 3 + places], w[(..., *tap)])
    return _biased(y.reshape(y.shape[0], -1, *out), op)


def _conv_transpose(op: Any, x: Array) -> Array:
    w = op.weight.mid.astype(np.float64)
    groups, size = op.groups, x.shape[2:]
    full = [
        s * (n - 1) + e + d * (k - 1) + 1
        for s, n, e, d, k in zip(op.strides, size, op.output_padding, op.dilations, op.kernel, strict=True)
    ]
    x = x.reshape(x.shape[0], groups, -1, *size)
    w = w.reshape(groups, -1, *w.shape[1:])
    y = np.zeros((x.shape[0], groups, w.shape[2], *full))
    for tap in np.ndindex(*op.kernel):
        places = _places(op, tap, size)
        y[(slice(None),) * 3 + places] += np.einsum("bgc...,gco->bgo...", x, w[(..., *tap)])
    y = y.reshape(y.shape[0], -1, *full)
    keep = tuple(slice(b, n - e) for b, e, n in zip(op.pads_begin, op.pads_end, full, strict=True))
    return _biased(y[(slice(None), slice(None), *keep)], op)


def _places(op: Any, tap: tuple[int, ...], counts: Sequence[int]) -> tuple[slice, ...]:
    """Where, in the padded image, tap falls for each of ``counts`` windows per axis."""
    return tuple(
        slice(k * d, k * d + (n - 1) * s + 1, s)
        for k, d, n, s in zip(tap, op.dilations, counts, op.strides, strict=True)
    )


def _biased(y: Array, op: Any) -> Array:
    if op.bias is None:
        return y
    return np.asarray(y + op.bias.mid.astype(np.float64).reshape(-1, *(1,) * (y.ndim - 2)))


def _scale(op: Any, x: Array) -> Array:
    y: Array = op.factor.mid.astype(np.float64) * x
    return y if op.offset is None else np.asarray(y + op.offset.mid.astype(np.float64))


def _sum(op: Any, *xs: Array) -> Array:
    return np.asarray(sum(s * x for s, x in zip(op.signs, xs, strict=True)))


def _clip(op: Any, x: Array) -> Array:
    if op.lower is not None:
        x = np.maximum(x, op.lower.mid.astype(np.float64))
    return x if op.upper is None else np.minimum(x, op.upper.mid.astype(np.float64))


def _quantize(op: Any, x: Array) -> Array:
    scale, low, high = (c.mid.astype(np.float64) for c in (op.scale, op.low, op.high))
    return np.asarray(np.clip(np.rint(x / scale), low, high))


def _sigmoid(op: Any, x: Array) -> Array:
    with np.errstate(over="ignore"):
        return np.asarray(1 / (1 + np.exp(-x)))


def _max_over(op: Any, x: Array) -> Array:
    return np.asarray(np.append(x.ravel(), -np.inf)[op.index].max(axis=1)).reshape(op.shape)


def _softmax(op: Any, x: Array) -> Array:
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def _arg_max(op: Any, x: Array) -> Array:
    if op.last:
        return np.asarray(x.shape[-1] - 1 - np.argmax(x[..., ::-1], axis=-1), np.float64)
    return np.asarray(np.argmax(x, axis=-1), np.float64)


def _indexed(op: Any, *xs: Array) -> Array:
    integers = [x.astype(np.int64) for x, moved in zip(xs, op.moved, strict=True) if not moved]
    entries = [x.ravel() for x, moved in zip(xs, op.moved, strict=True) if moved]
    entries.append(op.pool.mid.astype(np.float64).ravel())
    return np.concatenate(entries)[places(op, [x.shape for x in xs], integers)].reshape(op.shape)


def _gap(op: Any, a: Array, d: Array) -> Array:
    f = rule(op.f)
    return np.asarray(f(op.f, a) - f(op.f, a - d))


RELATIONS: dict[str, Callable[..., Any]] = {"==": np.equal, "<": np.less, "<=": np.less_equal}

RULES: dict[type[Operation], Callable[..., Array]] = {
    Fixed: _fixed,
    Rearrange: _rearrange,
    Statistic: lambda op, v, x: v,
    Attended: lambda op, x, v: x,
    Unlike: lambda op, x: x,
    Paired: lambda op, x: x,
    Stored: lambda op, x: x,
    Quantize: _quantize,
    ReduceSum: lambda op, x: np.asarray(x.sum(axis=op.axes, keepdims=op.keepdims)),
    Linear: _linear,
    Conv: _conv,
    ConvTranspose: _conv_transpose,
    Scale: _scale,
    Sum: _sum,
    Relu: lambda op, x: np.maximum(x, 0),
    LeakyRelu: lambda op, x: np.where(x >= 0, x, op.alpha * x),
    Abs: lambda op, x: np.abs(x),
    Clip: _clip,
    Sigmoid: _sigmoid,
    Tanh: lambda op, x: np.tanh(x),
    MaxOver: _max_over,
    Difference: lambda op, *xs: sum(s * x for s, x in zip(op.signs, xs, strict=True)),
    Counterpart: lambda op, p, q, x: rule(op.f)(op.f, -x),
    BothRounded: lambda op, x, *others: x,
    **dict.fromkeys((BentGap, SmoothGap, MaxGap, SoftmaxGap), _gap),
    Sin: lambda op, x: np.sin(x),
    Cos: lambda op, x: np.cos(x),
    Exp: lambda op, x: np.exp(x),
    Log: lambda op, x: np.log(x),
    Sqrt: lambda op, x: np.sqrt(x),
    Reciprocal: lambda op, x: 1 / x,
    Erf: lambda op, x: np.vectorize(math.erf, otypes=[np.float64])(x),
    Softplus: lambda op, x: np.logaddexp(x, 0),
    Power: lambda op, x: np.power(x, op.exponent),
    Product: lambda op, a, b: a * b,
    MatProduct: lambda op, a, b: a @ b,
    Softmax: _softmax,
    Sign: lambda op, x: np.sign(x),
    Floor: lambda op, x: np.floor(x),
    Round: lambda op, x: np.rint(x),
    Truncate: lambda op, x: np.trunc(x),
    Compare: lambda op, a, b: RELATIONS[op.relation](a, b).astype(np.float64),
    Select: lambda op, c, a, b: np.asarray(np.where(c != 0, a, b)),
    ArgMax: _arg_max,
    Indexed: _indexed,
}


def rule(op: Operation) -> Callable[..., Array]:
    """An elementwise function that has no reading here, by its own module's."""
    found = RULES.get(type(op))
    if found is None and isinstance(op, Elementwise):
        return lambda op, x: op.approximate(x)
    return found or RULES[type(op)]


def random_inputs(graph: Graph, seed: int) -> list[Array]:
    """One float32-representable array per input, entries uniform in [-1, 1]."""
    rng = np.random.default_rng(seed)
    shapes = [graph.nodes[i].shape for i in graph.inputs]
    return [rng.uniform(-1, 1, prod(s)).astype(np.float32).astype(np.float64).reshape(s) for s in shapes]
