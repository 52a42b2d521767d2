"""Sixty layers of every operator, at an exact point: the enclosure is sharp at 128 bits, and holds the exact value.

A layer is a f(x) + c x + b, f the operator with ordinary parameters (float32 numbers, so that quotients, means and factors are no
floats), and a, b, c dyadic, so that values stay near 1. The exact value comes from mpmath at ``BITS`` bits, from the formula in
the standard written out here: it shares nothing with the reader.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest
from mpmath import mp, mpf
from onnx import TensorProto, defs, helper, numpy_helper

from tests.trusted.functions import OPERATORS, SMALL
from tlcheck.readers.onnx import LOWERINGS, read_model
from tlcheck.trusted.arith.arb import arb, working_precision
from tlcheck.trusted.arith.balls import constant_balls
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.evaluate import evaluate

LAYERS = 60
BITS = 600
WITHIN = Fraction(1, 2**40)
ERROR = Fraction(1, 2**400)
"""Far more than mpmath's roundings become in 60 layers."""

Array = Any
"""Of mpmath numbers, dtype object."""
X = None
"""Marks the operand that varies."""


@dataclass(frozen=True)
class Layer:
    """f is the operators ``steps`` = (name, operands, attributes) one after the other; ``f`` is what it means."""

    steps: tuple[tuple[str, tuple[Any, ...], dict[str, Any]], ...]
    f: Callable[[Array], Array]
    a: float = 1.0
    b: float = 0.0
    c: float = 0.0
    start: Any = (0.5, -1.25, 0.75, 1.0)
    shape: tuple[int, ...] = (1, 4)
    opset: int = 0


def one(op: str, f: Callable[[Array], Array], *operands: Any, **more: Any) -> tuple[str, Layer]:
    """One operator; ``operands`` default to X. Numbers named as fields of Layer are these, others attributes."""
    fields = {k: more.pop(k) for k in ("a", "b", "c", "start", "shape", "opset") if k in more}
    return op, Layer(((op, operands or (X,), more),), f, **fields)


# What operators mean.


def each(f: Callable[[Any], Any]) -> Callable[[Array], Array]:
    return np.frompyfunc(f, 1, 1)


def exact(values: Any) -> Array:
    """Floats as the numbers they are."""
    return each(lambda v: mpf(float(v)))(np.asarray(values, dtype=object))


def centred(x: Array) -> Array:
    """A (1, 2, 3) matrix times the centres of three entries side by side, and of one above: (1, 3, 2), as (1, 2, 3)."""
    columns = [x[:, :, 0] * c + x[:, :, 2] for c in (-mpf(2) / 3, mpf(0), mpf(2) / 3)]
    return np.stack(columns, axis=1).reshape(1, 2, 3)


def f32(*values: float) -> Any:
    return np.array(values, np.float32)


def ints(*values: int) -> Any:
    return np.array(values, np.int64)


def single(value: float) -> Any:
    """A float32 attribute's exact value."""
    return mpf(float(np.float32(value)))


sqrt, exp, log, tanh, erf = (
    each(mpmath.sqrt),
    each(mpmath.exp),
    each(mpmath.log),
    each(mpmath.tanh),
    each(mpmath.erf),
)
sigmoid = each(lambda v: 1 / (1 + mpmath.exp(-v)))


def elu(alpha: Any, gamma: Any = 1) -> Callable[[Any], Any]:
    return lambda v: gamma * (v if v > 0 else alpha * (mpmath.exp(v) - 1))


def celu(alpha: Any) -> Callable[[Any], Any]:
    return lambda v: max(v, mpf(0)) + min(mpf(0), alpha * (mpmath.exp(v / alpha) - 1))


def cut(v: Any, low: Any, high: Any) -> Any:
    return max(low, min(high, v))


def normal(x: Array, axes: Any, epsilon: Any) -> Array:
    """(x - mean) / sqrt(variance + epsilon)"""
    count = x.size // x.sum(axis=axes, keepdims=True).size
    centred = x - x.sum(axis=axes, keepdims=True) / mpf(count)
    return centred / sqrt((centred**2).sum(axis=axes, keepdims=True) / mpf(count) + epsilon)


def grouped(x: Array, groups: int, gain: Array, bias: Array) -> Array:
    y = normal(x.reshape(groups, -1), 1, single(1e-5)).reshape(x.shape)
    return y * gain + bias


def lrn(x: Array) -> Array:
    y = x.copy()
    for i in range(x.shape[1]):
        around = (x[:, max(0, i - 1) : i + 2] ** 2).sum(axis=1)
        y[:, i] = x[:, i] / each(lambda v: v ** single(0.75))(single(1.0) + single(0.3) / 3 * around)
    return y


def conv(x: Array, w: Array) -> Array:
    """Kernel 3, padding 1, along the last axis."""
    padded = np.concatenate([x * 0, x, x * 0], axis=2)
    n = x.shape[2]
    rows = [
        sum(w[o, i, k] * padded[:, i, n - 1 + k : 2 * n - 1 + k] for i in range(w.shape[1]) for k in range(3))
        for o in range(w.shape[0])
    ]
    return np.stack(rows, axis=1)


def averages(x: Array) -> Array:
    """Of windows of 3 around each place, of what lies in x."""
    n = x.shape[2]
    windows = [x[:, :, max(0, i - 1) : min(n, i + 2)] for i in range(n)]
    return np.stack([w.sum(axis=2) / mpf(w.shape[2]) for w in windows], axis=2)


def maxima(x: Array) -> Array:
    n = x.shape[2]
    return np.stack([x[:, :, max(0, i - 1) : min(n, i + 2)].max(axis=2) for i in range(n)], axis=2)


def interpolated(x: Array, m: int, coordinate: Callable[[int], Fraction]) -> Array:
    """Linear, along the last axis, ends repeated."""
    n = x.shape[-1]
    columns = []
    for i in range(m):
        place = min(max(coordinate(i), Fraction(0)), Fraction(n - 1))
        j = int(place)
        t = mpf((place - j).numerator) / (place - j).denominator
        columns.append((1 - t) * x[..., j] + t * x[..., min(j + 1, n - 1)])
    return np.stack(columns, axis=-1)


def resized(x: Array) -> Array:
    """4 to 7 to 4, half_pixel."""
    y = interpolated(x, 7, lambda i: (i + Fraction(1, 2)) * Fraction(4, 7) - Fraction(1, 2))
    return interpolated(y, 4, lambda i: (i + Fraction(1, 2)) * Fraction(7, 4) - Fraction(1, 2))


def gelu_tanh(v: Any) -> Any:
    return v / 2 * (1 + mpmath.tanh(mpmath.sqrt(2 / mp.pi) * (v + mpf(44715) / 1000000 * v**3)))


def log_sum_exp(x: Array) -> Array:
    return log(exp(x).sum(axis=1, keepdims=True))


KEYS, VALUES = (
    np.array(v, np.float32).reshape(1, 2, 2) for v in ([1.0, -0.5, 0.25, 0.75], [0.5, -1.0, 1.0, 0.25])
)


def attended(x: Array) -> Array:
    """One head of two queries of size 2."""
    scores = exp(np.matmul(x, exact(KEYS).swapaxes(1, 2)) / mpmath.sqrt(2))
    return np.matmul(scores / scores.sum(axis=-1, keepdims=True), exact(VALUES))


def turned(x: Array) -> Array:
    """Two pairs of one head, halves apart."""
    (c, d), (s, t) = (mpf(0.625), mpf(0.75)), (mpf(0.75), mpf(0.5))
    p, q, r, w = x.ravel().tolist()
    return np.array([c * p - s * r, d * q - t * w, s * p + c * r, t * q + d * w], object).reshape(x.shape)


def kept(f: Callable[..., Array]) -> Callable[[Array], Array]:
    """A reduction over axis 1."""
    return lambda x: f(x, axis=1, keepdims=True)


def product(x: Array, **how: Any) -> Array:
    return np.multiply.reduce(x, **how)


W = f32(0.3, -0.7, 0.9, 0.4, 0.6, 0.2, -0.8, 0.5, 0.1, 0.7, 0.3, -0.4, -0.9, 0.2, 0.6, 0.3).reshape(4, 4)
KERNEL = f32(0.3, -0.7, 0.4, 0.6, 0.2, -0.8, 0.1, 0.7, 0.3, -0.9, 0.2, 0.6).reshape(2, 2, 3)
G, B = f32(1.3, 0.7, -1.1, 0.9), f32(0.1, -0.2, 0.3, 0.15)
H = f32(1.01, 0.99, -1.02, 0.98)
G4, B4 = G.reshape(4, 1), B.reshape(4, 1)
MEAN, VARIANCE = f32(0.1, -0.3, 0.2, 0.7), f32(0.9, 1.7, 0.6, 1.1)
POSITIVE = (1.25, 1.5, 1.125, 1.75)
CUBE = (0.5, -1.25, 0.75, 1.0, 0.25, -0.5, 1.5, 0.125, -0.75, 1.25, -1.0, 0.375)
VOLUME: dict[str, Any] = {"start": CUBE, "shape": (1, 4, 3)}
LINE: dict[str, Any] = {"start": CUBE[:8], "shape": (1, 2, 4)}
WIDE: dict[str, Any] = {"kernel_shape": [3], "pads": [1, 1]}
AXIS: Any = ints(1)
NEGATIVE: dict[str, Any] = {"a": -1.5, "b": 1.0}


GATES = f32(*np.linspace(-0.7, 0.9, 64).tolist())


def cell(x: Array, count: int) -> list[Array]:
    """Pre-activations of ``count`` gates of a step without a state: rows of the weights, and both biases."""
    w = exact(GATES[: 16 * count]).reshape(4 * count, 4)
    pre = (x.reshape(4) * w).sum(axis=1) + 2 * exact(np.tile(B, count))
    return list(pre.reshape(count, 4))


def rnn(x: Array) -> Array:
    return tanh(cell(x, 1)[0]).reshape(x.shape)


def gru(x: Array) -> Array:
    z, _, h = cell(x, 3)
    return ((1 - sigmoid(z)) * tanh(h)).reshape(x.shape)


def lstm(x: Array) -> Array:
    i, o, _, c = cell(x, 4)
    return (sigmoid(o) * tanh(sigmoid(i) * tanh(c))).reshape(x.shape)


def recurrent(op: str, f: Callable[[Array], Array], count: int, **more: Any) -> tuple[str, Layer]:
    weights = (
        GATES[: 16 * count].reshape(1, 4 * count, 4),
        np.ones((1, 4 * count, 4), np.float32),
        np.tile(B, 2 * count)[None],
    )
    step = (op, (X, *weights), {"hidden_size": 4})
    return op, Layer((step, ("Squeeze", (X, ints(1)), {})), f, shape=(1, 1, 4), **more)


def dft(x: Array) -> Array:
    """Of four complex numbers: (1, 4, 2)."""
    y = x.copy()
    for k in range(4):
        angles = [-2 * mp.pi * k * m / 4 for m in range(4)]
        cos, sin = [mpmath.cos(a) for a in angles], [mpmath.sin(a) for a in angles]
        y[0, k, 0] = sum(
            c * x[0, m, 0] - s * x[0, m, 1] for m, (c, s) in enumerate(zip(cos, sin, strict=True))
        )
        y[0, k, 1] = sum(
            s * x[0, m, 0] + c * x[0, m, 1] for m, (c, s) in enumerate(zip(cos, sin, strict=True))
        )
    return y


def stft(x: Array) -> Array:
    """Of one frame of three: (1, 3, 1) to (1, 1, 2, 2), its last column."""
    window, third = exact(f32(0.7, 1.3, 0.9)), 2 * mp.pi / 3
    cos = sum(w * v * mpmath.cos(third * m) for m, (w, v) in enumerate(zip(window, x[0, :, 0], strict=True)))
    sin = -sum(w * v * mpmath.sin(third * m) for m, (w, v) in enumerate(zip(window, x[0, :, 0], strict=True)))
    total = sum(w * v for w, v in zip(window, x[0, :, 0], strict=True))
    return np.array([total, cos, sin], dtype=object).reshape(1, 3, 1)


STFT_STEPS: Any = (
    ("STFT", (X, ints(1)[0], f32(0.7, 1.3, 0.9)), {}), ("Reshape", (X, ints(4)), {}), ("Gather", (X, ints(0, 2, 3)), {}),
    ("Reshape", (X, ints(1, 3, 1)), {}),
)  # fmt: skip

TABLE: list[tuple[str, Layer]] = [
    one("DFT", dft, a=0.5, start=CUBE[:8], shape=(1, 4, 2)),
    ("STFT", Layer(STFT_STEPS, stft, a=0.4375, b=0.25, start=CUBE[:3], shape=(1, 3, 1))),
    recurrent("RNN", rnn, 1, a=1.5), recurrent("GRU", gru, 3, a=4.0), recurrent("LSTM", lstm, 4, a=6.0, b=0.5),
    *(one(name, each(row.function), a=row.chain[0], b=row.chain[1], start=SMALL) for name, row in OPERATORS.items() if row.chain),
    # arithmetic and functions, entry by entry
    one("Abs", abs, a=1.5, b=-1.0),
    one("Add", lambda x: x + exact(G), X, G, a=-1.0),
    one("Clip", each(lambda v: cut(v, single(-1.1), single(1.3))), X, f32(-1.1)[0], f32(1.3)[0], a=-1.5, b=0.25),
    one("Div", lambda x: x / exact(H), X, H),
    one("Div", lambda x: single(0.7) / x, f32(0.7), X, start=POSITIVE, a=2.0),
    one("LeakyRelu", each(lambda v: v if v >= 0 else single(0.1) * v), alpha=0.1, **NEGATIVE),
    one("Max", lambda x: np.maximum(x, exact(B)), X, B, **NEGATIVE),
    one("Mean", lambda x: (2 * x + exact(B)) / 3, X, X, B, a=-1.5),
    one("Min", lambda x: np.minimum(x, exact(B)), X, B, **NEGATIVE),
    one("Mul", lambda x: x * exact(H), X, H, a=-1.0),
    one("Neg", lambda x: -x, b=0.5),
    one("PRelu", lambda x: np.where(x > 0, x, exact(B) * x), X, B, **NEGATIVE),
    one("Relu", each(lambda v: max(v, mpf(0))), **NEGATIVE),
    one("Sigmoid", sigmoid, a=4.0, b=-2.0),
    one("Sub", lambda x: exact(G) - x, G, X, a=1.0),
    one("Sum", lambda x: 2 * x + exact(B), X, X, B, a=-0.5),
    one("Tanh", tanh, a=-1.5, b=0.25),
    # activations and other functions, written out
    one("Acosh", each(mpmath.acosh), b=1.25, start=POSITIVE),
    one("Asinh", each(mpmath.asinh), a=-1.5, b=0.25),
    one("Atanh", each(mpmath.atanh), a=-0.75, b=0.125, start=SMALL),
    one("Celu", each(celu(single(0.3))), alpha=0.3, **NEGATIVE),
    one("Cosh", each(mpmath.cosh), a=0.5, b=-1.0, c=0.5),
    one("Elu", each(elu(single(0.7))), alpha=0.7, **NEGATIVE),
    one("Gelu", each(lambda v: v / 2 * (1 + mpmath.erf(v / mpmath.sqrt(2)))), **NEGATIVE),
    one("Gelu", each(gelu_tanh), approximate="tanh", **NEGATIVE),
    one("HardSigmoid", each(lambda v: cut(single(0.3) * v + single(0.4), 0, 1)), alpha=0.3, beta=0.4, a=4.0, b=-2.0),
    one("HardSwish", each(lambda v: v * cut(v / 6 + mpf(1) / 2, 0, 1)), a=-2.0, b=1.0),
    one("Mish", each(lambda v: v * mpmath.tanh(mpmath.log(1 + mpmath.exp(v)))), a=-2.0, b=1.0),
    one("Mod", each(lambda v: v - 3 * int(v / 3)), X, f32(3.0), fmod=1, a=1.5, b=0.25),
    one("Pow", lambda x: x**2, X, f32(2.0), a=-1.25, b=1.0),
    one("Pow", each(lambda v: v ** single(0.3)), X, f32(0.3), start=POSITIVE, b=0.25, c=0.25),
    one("Pow", each(lambda v: single(1.3) ** v), f32(1.3), X, a=-1.0, b=1.5, c=0.5),
    one("Pow", each(lambda v: 1 / v**3), X, f32(-3.0), start=POSITIVE, a=0.5, b=0.5),
    one("Selu", each(elu(single(1.67326319217681884765625), single(1.05070102214813232421875))), **NEGATIVE),
    one("Shrink", each(lambda v: v + single(0.3) if v < -single(0.3) else v - single(0.3) if v > single(0.3) else mpf(0)),
        bias=0.3, lambd=0.3, a=-1.0, b=0.5),
    one("Sinh", each(mpmath.sinh), a=-0.75, b=0.125, c=0.25, start=SMALL),
    one("Softsign", each(lambda v: v / (1 + abs(v))), a=-2.0, b=0.5),
    one("Swish", each(lambda v: v / (1 + mpmath.exp(-single(1.1) * v))), alpha=1.1, a=-2.0, b=1.0),
    one("Tan", each(mpmath.tan), a=-0.75, b=0.125, start=SMALL),
    one("ThresholdedRelu", each(lambda v: v if v > single(0.3) else mpf(0)), alpha=0.3, a=-1.5, b=1.1875),
    # normalisations
    one("GroupNormalization", lambda x: grouped(x, 2, exact(G4), exact(B4)), X, G, B, num_groups=2, opset=21, **VOLUME),
    one("InstanceNormalization", lambda x: normal(x, 2, single(1e-5)) * exact(G4) + exact(B4), X, G, B, **VOLUME),
    one("LRN", lrn, size=3, alpha=0.3, beta=0.75, bias=1.0, a=1.5, b=0.125, **VOLUME),
    one("LayerNormalization", lambda x: normal(x, -1, single(1e-5)) * exact(G) + exact(B), X, G, B),
    one("LpNormalization", lambda x: x / sqrt((x**2).sum(axis=1, keepdims=True)), axis=1, p=2, a=2.0, b=0.25),
    one("LpNormalization", lambda x: x / abs(x).sum(axis=1, keepdims=True), axis=1, p=1, a=-3.0, b=0.25),
    one("RMSNormalization", lambda x: x / sqrt((x**2).sum(axis=-1, keepdims=True) / mpf(4) + single(1e-5)) * exact(G),
        X, G, axis=-1, b=0.25),
    # constant weights
    one("BatchNormalization",
        lambda x: (x - exact(MEAN)[:, None]) / sqrt(exact(VARIANCE) + single(1e-3))[:, None] * exact(G4) + exact(B4),
        X, G, B, MEAN, VARIANCE, epsilon=1e-3, a=-0.625, **VOLUME),
    one("Conv", lambda x: conv(x, exact(KERNEL)) + exact(f32(0.1, -0.2))[:, None], X, KERNEL, f32(0.1, -0.2), pads=[1, 1],
        a=0.75, **LINE),
    one("ConvTranspose", lambda x: conv(x, exact(KERNEL).transpose(1, 0, 2)[:, :, ::-1]), X, KERNEL, pads=[1, 1], a=0.75,
        b=0.5, **LINE),
    one("CumSum", lambda x: np.cumsum(x, axis=1), X, ints(1), a=0.5, b=0.25, c=-0.75),
    one("Einsum", lambda x: x.dot(exact(W)), X, W, equation="ij,jk->ik", a=0.625, b=0.25),
    one("Gemm", lambda x: single(0.7) * x.dot(exact(W)) + single(0.3) * exact(B), X, W, B, alpha=0.7, beta=0.3, a=1.125),
    one("MatMul", lambda x: x.dot(exact(W)), X, W, a=0.625, b=0.25),
    one("MatMul", lambda x: x.dot(x), X, X, a=-0.5, b=0.5, shape=(2, 2)),
    # pooling and reductions
    one("AveragePool", averages, a=-0.875, b=0.125, **WIDE, **LINE),
    one("GlobalAveragePool", lambda x: x.sum(axis=2, keepdims=True) / mpf(3), a=1.5, c=-1.0, **VOLUME),
    one("GlobalLpPool", lambda x: (abs(x) ** 3).sum(axis=2, keepdims=True) ** (mpf(1) / 3), a=-0.25, b=0.25, c=0.75, p=3, **VOLUME),
    one("GlobalMaxPool", lambda x: x.max(axis=2, keepdims=True), a=-1.0, b=0.25, c=0.75, **VOLUME),
    one("MaxPool", maxima, a=-1.0, b=0.5, **WIDE, **LINE),
    one("ReduceL1", kept(lambda x, **h: abs(x).sum(**h)), X, AXIS, a=-0.25, b=0.5, c=-0.5),
    one("ReduceL2", lambda x: sqrt((x**2).sum(axis=1, keepdims=True)), X, AXIS, a=-0.5, b=0.5, c=-0.75),
    one("ReduceLogSum", lambda x: log(x.sum(axis=1, keepdims=True)), X, AXIS, a=0.5, c=0.5, start=POSITIVE),
    one("ReduceLogSumExp", log_sum_exp, X, AXIS, a=-0.5, b=0.5, c=0.75),
    one("ReduceMax", kept(np.maximum.reduce), X, AXIS, a=-1.0, b=0.25, c=0.75),
    one("ReduceMean", lambda x: x[:, :3].sum(axis=1, keepdims=True) / mpf(3), X, AXIS, a=1.5, c=-1.0,
        start=(0.5, -1.25, 1.0), shape=(1, 3)),
    one("ReduceMin", kept(np.minimum.reduce), X, AXIS, a=-1.0, b=0.25, c=0.75),
    one("ReduceProd", kept(product), X, AXIS, a=-0.5, b=0.5, c=0.5),
    one("ReduceSum", kept(np.add.reduce), X, AXIS, a=-0.5, b=0.25, c=1.0),
    one("ReduceSumSquare", kept(lambda x, **h: (x**2).sum(**h)), X, AXIS, a=-0.25, b=0.5, c=0.5),
    ("Resize", Layer((
        ("Resize", (X, "", "", ints(1, 1, 7)), {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}),
        ("Resize", (X, "", "", ints(1, 1, 4)), {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}),
    ), resized, a=-0.875, b=0.125, shape=(1, 1, 4))),
    ("Upsample", Layer((
        ("Upsample", (X, f32(1, 1, 1.3)), {"mode": "linear"}),
        ("Slice", (X,), {"starts": [1], "ends": [5], "axes": [2]}),
    ), lambda x: interpolated(x, 5, lambda i: i / Fraction(float(np.float32(1.3))))[..., 1:],
        a=-0.875, b=0.125, shape=(1, 1, 4), opset=9)),
    # smooth functions, products of variables, softmax
    one("Cos", each(mpmath.cos), a=-2.0),
    one("Erf", erf, a=-1.5, b=0.25),
    one("Exp", exp, a=-0.75, b=1.0),
    one("Log", log, b=1.5, start=POSITIVE),
    one("LogSoftmax", lambda x: x - log_sum_exp(x), axis=1, a=-0.75, b=-1.0),
    one("Reciprocal", each(lambda v: 1 / v), start=POSITIVE, a=2.0),
    one("Sin", each(mpmath.sin), a=-2.0, b=0.25),
    one("Softmax", lambda x: exp(x) / exp(x).sum(axis=1, keepdims=True), axis=1, a=4.0, b=-1.0),
    one("Softplus", each(lambda v: mpmath.log(1 + mpmath.exp(v))), a=-2.0, b=1.0),
    one("Sqrt", sqrt, a=1.5, b=0.25, start=POSITIVE),
    one("Attention", attended, X, KEYS, VALUES, q_num_heads=1, kv_num_heads=1, a=-2.0, b=0.5, c=0.25, shape=(1, 2, 2)),
    one("RotaryEmbedding", turned, X, f32(0.625, 0.75).reshape(1, 1, 2), f32(0.75, 0.5).reshape(1, 1, 2), num_heads=1, a=1.0,
        shape=(1, 1, 4)),
    one("SwiGLU", lambda x: x * x / (1 + exp(-x)), X, X, a=-1.0, b=0.75, start=POSITIVE),
    ("AffineGrid", Layer((("AffineGrid", (X, ints(1, 1, 1, 3)), {}), ("Reshape", (X, ints(1, 2, 3)), {})), centred, a=0.75, b=0.25, c=-0.5,
                         shape=(1, 2, 3), start=(0.5, -1.25, 1.0, 0.75, 0.25, -0.5))),
    one("Det", lambda x: np.array(x[0, 0] * x[1, 1] - x[0, 1] * x[1, 0]), a=0.5, b=-0.25, c=-0.75, start=(0.5, -1.25, 1.0, 0.75),
        shape=(2, 2)),
    one("GridSample", lambda x: (3 * x + x[..., ::-1]) / 4, X, f32(-0.25, 0, 0.25, 0).reshape(1, 1, 2, 2), a=1.5, b=0.25, c=-0.5,
        start=(0.5, -1.25), shape=(1, 1, 1, 2)),
    one("Col2Im", lambda x: x, X, ints(4), ints(1), a=-0.875, b=0.25, shape=(1, 1, 4)),
    one("LpPool", lambda x: sqrt(x[..., :3]**2 + np.append(x[..., 1:3]**2, [[[mpf(0)]]], -1)), X, kernel_shape=[2], pads=[0, 1],
        a=-0.5, b=0.5, c=-0.75, start=(0.5, -1.25, 1.0), shape=(1, 1, 3)),
    # numbers stored as integers
    one("DequantizeLinear", lambda x: exact([2, -6, 6, 0]) * single(0.1), np.array([3, -5, 7, 1], np.int8), f32(0.1)[0],
        np.array(1, np.int8), c=-0.875),
]  # fmt: skip

MOVES = "moves values and computes nothing"
STEPS = "its value is an integer or a choice: sharp, or undecided"
CONSTANTS = "takes constants, or changes a type"
INSIDE = "what it computes is in the graphs inside it"
WITHOUT = {
    MOVES: "CenterCropPad Compress Concat DepthToSpace Dropout Expand Flatten Gather GatherElements GatherND Identity Pad Reshape "
    "ReverseSequence Scatter ScatterElements ScatterND Slice SpaceToDepth Split Squeeze TensorScatter Tile Transpose Trilu Unsqueeze",
    STEPS: "And ArgMax ArgMin Ceil ConvInteger DynamicQuantizeLinear Equal Floor Greater GreaterOrEqual Hardmax IsInf IsNaN Less LessOrEqual "
    "MatMulInteger Not OneHot Or QLinearConv QLinearMatMul QuantizeLinear Round Sign TopK Where Xor",
    CONSTANTS: "BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Cast CastLike Constant ConstantOfShape EyeLike NonZero Range Shape "
    "Size",
    INSIDE: "If Loop Scan",
}
"""Operators without a chain, and why."""


def model(layer: Layer) -> bytes:
    """LAYERS layers, one after the other."""
    stored: dict[str, Any] = {}
    nodes = []

    def constant(value: Any) -> str:
        name = f"c{len(stored)}"
        stored[name] = np.asarray(value)
        return name

    def node(op: str, operands: list[str], **attributes: Any) -> str:
        nodes.append(helper.make_node(op, operands, [f"t{len(nodes)}"], **attributes))
        return f"t{len(nodes) - 1}"

    x = "x"
    for _ in range(LAYERS):
        y = x
        for op, operands, attributes in layer.steps:
            names = [y if v is X else v if isinstance(v, str) else constant(v) for v in operands]
            y = node(op, names, **attributes)
        y = node("Add", [node("Mul", [y, constant(f32(layer.a))]), constant(f32(layer.b))])
        x = node("Add", [y, node("Mul", [x, constant(f32(layer.c))])]) if layer.c else y
    graph = helper.make_graph(
        nodes, "depth", [helper.make_tensor_value_info("x", TensorProto.FLOAT, layer.shape)],
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(v, k) for k, v in stored.items()],
    )  # fmt: skip
    opset = helper.make_opsetid("", layer.opset or defs.onnx_opset_version())
    data: bytes = helper.make_model(graph, opset_imports=[opset], ir_version=10).SerializeToString()
    return data


def meaning(layer: Layer) -> list[Fraction]:
    with mpmath.workprec(BITS):
        x = exact(np.array(layer.start).reshape(layer.shape))
        for _ in range(LAYERS):
            x = mpf(layer.a) * layer.f(x) + mpf(layer.b) + mpf(layer.c) * x
        return [Fraction(*mpmath.libmp.to_rational(v._mpf_)) for v in x.reshape(-1).tolist()]


def test_every_operator_has_a_chain_or_a_reason() -> None:
    reasons = [name for names in WITHOUT.values() for name in names.split()]
    assert len(set(reasons)) == len(reasons)
    assert {name for name, _ in TABLE} | set(reasons) == set(LOWERINGS)
    assert not {name for name, _ in TABLE} & set(reasons)


@pytest.mark.parametrize("layer", [layer for _, layer in TABLE], ids=[name for name, _ in TABLE])
def test_sixty_layers(layer: Layer) -> None:
    graph = read_model(model(layer))
    with working_precision(128):
        outputs = evaluate(graph, [[arb(v) for v in layer.start]]).outputs
    exactly = meaning(layer)
    largest = max(abs(v) for v in exactly)
    assert 2**-8 < largest < 2**8
    for ball, value in zip(outputs, exactly, strict=True):
        mid, rad = (dyadic(*v.man_exp()) for v in (ball.mid(), ball.rad()))
        assert rad <= WITHIN * largest
        assert abs(value - mid) <= rad + ERROR


def dyadic(mantissa: Any, exponent: Any) -> Fraction:
    return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)


@pytest.mark.parametrize("layer", [layer for _, layer in TABLE], ids=[name for name, _ in TABLE])
def test_formulas_lie_in_the_enclosures_that_passes_use(layer: Layer) -> None:
    """What is evaluated at a point is one of the functions that bounds are proved of."""
    constants = [
        c for n in read_model(model(layer)).nodes[:40] for c in vars(n.op).values() if isinstance(c, Constant)
    ]
    for c in constants:
        assert c.rad is None or c.formula is not None
        if c.rad is None or c.formula is None:
            continue
        with working_precision(300):
            balls = constant_balls(c)
        for ball, mid, rad in zip(balls, c.mid.reshape(-1).tolist(), c.rad.reshape(-1).tolist(), strict=True):
            away = abs(dyadic(*ball.mid().man_exp()) - Fraction(mid))
            assert away + dyadic(*ball.rad().man_exp()) <= Fraction(rad) + Fraction(1, 2**250)
