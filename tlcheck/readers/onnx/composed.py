"""Operators that are written out in the operations there are: activations, hyperbolic functions, one-hot codes.

Guarantee: the nodes emitted denote exactly the function in the ONNX specification, over the reals. Where it writes a number
that is no float32 (1/6, 0.044715, sqrt(2/pi)), the constant is that number; what float32 executions make of it is charged as
roundings of the operation that takes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod

import numpy as np

from tlcheck.readers.onnx import constants, exact
from tlcheck.readers.onnx.call import Call
from tlcheck.readers.onnx.elementwise import MINUS_ONE, ONE, multiplied, scale
from tlcheck.readers.onnx.linear import product
from tlcheck.readers.onnx.values import INTEGERS, Data, Known, Value
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.formula import Formula, pi, rational
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.affine import Sum
from tlcheck.trusted.ops.bent import Abs, Clip
from tlcheck.trusted.ops.discrete import MAX_TRUNCATED, ArgMax, Compare, Floor, Select, Truncate
from tlcheck.trusted.ops.product import Product
from tlcheck.trusted.ops.s_shaped import Sigmoid, Tanh
from tlcheck.trusted.ops.smooth import Cos, Erf, Exp, Log, Power, Reciprocal, Sin, Softplus, Sqrt

Lowering = Callable[[Call], Sequence[Value]]

ZERO = Constant(np.array(0.0))
HALF = Constant(np.array(0.5))


OF_NUMBERS = 2
"""float32 roundings of a number that the specification writes: its quotient or root, and its conversion."""


def number(formula: Formula) -> Constant:
    """One number."""
    return exact.evaluated(formula)


def _times(call: Call, x: Data, factor: float | Constant, offset: float = 0.0, *, roundings: int = 0) -> Data:
    """factor x + offset; two roundings, and ``roundings`` of the factor."""
    factor = factor if isinstance(factor, Constant) else Constant(np.array(factor))
    return scale(call, x, factor, Constant(np.array(offset)) if offset else None, 2 + roundings)


def _sum(call: Call, a: Data, b: Data, sign: int = 1) -> Data:
    return call.emit(Sum((1, sign)), a, b)


def _of(call: Call) -> Data:
    return call.data(call.value(0))


# Activations.


def _elu(call: Call, x: Data, alpha: Constant, inner: Constant) -> Data:
    """max(x, 0) + alpha (e^(inner min(x, 0)) - 1)"""
    below = call.emit(Exp(), _times(call, call.emit(Clip(None, ZERO), x), inner))
    return _sum(call, call.emit(Relu(), x), _times(call, scale(call, below, ONE, MINUS_ONE, 1), alpha))


def elu(call: Call) -> list[Value]:
    return [_elu(call, _of(call), Constant(np.array(call.attr_float("alpha", 1.0))), ONE)]


def selu(call: Call) -> list[Value]:
    """gamma times ELU."""
    alpha = call.attr_float("alpha", 1.67326319217681884765625)
    gamma = call.attr_float("gamma", 1.05070102214813232421875)
    return [_times(call, _elu(call, _of(call), Constant(np.array(alpha)), ONE), gamma)]


def celu(call: Call) -> list[Value]:
    """max(x, 0) + min(0, alpha (e^(x / alpha) - 1)), alpha > 0"""
    alpha = call.attr_float("alpha", 1.0)
    if not alpha > 0:
        raise call.unsupported(f"alpha {alpha}")
    return [_elu(call, _of(call), Constant(np.array(alpha)), number(1 / rational(alpha)))]


def _hard_sigmoid(call: Call, x: Data, alpha: Constant, beta: Constant, roundings: int = 0) -> Data:
    """min(max(alpha x + beta, 0), 1); ``roundings`` of alpha."""
    return call.emit(Clip(ZERO, ONE), scale(call, x, alpha, beta, 3 + roundings))


def hard_sigmoid(call: Call) -> list[Value]:
    alpha, beta = (Constant(np.array(call.attr_float(n, d))) for n, d in (("alpha", 0.2), ("beta", 0.5)))
    return [_hard_sigmoid(call, _of(call), alpha, beta)]


def hard_swish(call: Call) -> list[Value]:
    """x min(max(x / 6 + 1/2, 0), 1): the specification's text. (Its function body has 1/6 rounded to float32.)"""
    x = _of(call)
    return [call.emit(Product(), x, _hard_sigmoid(call, x, number(rational(1, 6)), HALF, OF_NUMBERS))]


def mish(call: Call) -> list[Value]:
    """x tanh(log(1 + e^x))"""
    x = _of(call)
    return [call.emit(Product(), x, call.emit(Tanh(), call.emit(Softplus(), x)))]


def swish(call: Call) -> list[Value]:
    """x sigmoid(alpha x)"""
    x = _of(call)
    return [call.emit(Product(), x, call.emit(Sigmoid(), _times(call, x, call.attr_float("alpha", 1.0))))]


def softsign(call: Call) -> list[Value]:
    """x / (1 + |x|)"""
    x = _of(call)
    return [call.emit(Product(), x, call.emit(Reciprocal(), _times(call, call.emit(Abs(), x), 1.0, 1.0)))]


def gelu(call: Call) -> list[Value]:
    """x (1 + erf(x / sqrt 2)) / 2; tanh: x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2"""
    x, kind = _of(call), call.attr_str("approximate", "none")
    if kind == "none":
        inner = call.emit(Erf(), _times(call, x, number(1 / rational(2).sqrt())))
    elif kind == "tanh":
        cubic = number(rational(44715, 1000000))
        cube = _times(call, call.emit(Power(3.0), x), cubic, roundings=OF_NUMBERS)
        root = number((2 / pi()).sqrt())
        inner = call.emit(Tanh(), _times(call, _sum(call, x, cube), root, roundings=OF_NUMBERS))
    else:
        raise call.unsupported(f"approximate {kind}")
    return [call.emit(Product(), x, scale(call, inner, HALF, HALF, 2))]


def thresholded_relu(call: Call) -> list[Value]:
    """x where x > alpha, else 0: a step at alpha, unless alpha is 0."""
    x, alpha = _of(call), call.attr_float("alpha", 1.0)
    if alpha == 0:
        return [call.emit(Relu(), x)]
    return [_where_above(call, x, alpha, x)]


def _where_above(call: Call, x: Data, level: float, y: Data) -> Data:
    """y where x > level, else 0."""
    bound, zero = (call.data(Known(np.full(x.shape, v), "float64")) for v in (level, 0.0))
    return call.emit(Select(), call.emit(Compare("<"), bound, x), y, zero).as_type(y.dtype)


def shrink(call: Call) -> list[Value]:
    """x + bias where x < -lambd, x - bias where x > lambd, else 0. With bias = lambd there is no step."""
    x, bias, lambd = _of(call), call.attr_float("bias", 0.0), call.attr_float("lambd", 0.5)
    if lambd < 0:
        raise call.unsupported(f"lambd {lambd}")
    sides = []
    for side in (x, _times(call, x, MINUS_ONE)):
        shifted = _times(call, side, 1.0, -bias)
        sides.append(
            call.emit(Relu(), shifted) if bias == lambd else _where_above(call, side, lambd, shifted)
        )
    return [_sum(call, sides[0], sides[1], -1)]


# Trigonometric and hyperbolic functions.


def tan(call: Call) -> list[Value]:
    x = _of(call)
    return [call.emit(Product(), call.emit(Sin(), x), call.emit(Reciprocal(), call.emit(Cos(), x)))]


def _exponentials(sign: int) -> Lowering:
    """(e^x + sign e^-x) / 2"""

    def lower(call: Call) -> list[Value]:
        x = _of(call)
        ends = [call.emit(Exp(), v) for v in (x, _times(call, x, MINUS_ONE))]
        return [_times(call, _sum(call, ends[0], ends[1], sign), HALF)]

    return lower


cosh, sinh = _exponentials(1), _exponentials(-1)


def _area(offset: float) -> Lowering:
    """log(x + sqrt(x^2 + offset))"""

    def lower(call: Call) -> list[Value]:
        x = _of(call)
        root = call.emit(Sqrt(), _times(call, call.emit(Power(2.0), x), 1.0, offset))
        return [call.emit(Log(), _sum(call, x, root))]

    return lower


def acosh(call: Call) -> list[Value]:
    """log(x + sqrt(x - 1) sqrt(x + 1)): not defined below 1."""
    x = _of(call)
    roots = [call.emit(Sqrt(), _times(call, x, 1.0, v)) for v in (-1.0, 1.0)]
    return [call.emit(Log(), _sum(call, x, call.emit(Product(), *roots)))]


asinh = _area(1.0)


def atanh(call: Call) -> list[Value]:
    """(log(1 + x) - log(1 - x)) / 2"""
    x = _of(call)
    logs = [call.emit(Log(), _times(call, x, v, 1.0)) for v in (1.0, -1.0)]
    return [_times(call, _sum(call, logs[0], logs[1], -1), HALF)]


# Powers and remainders.


def power(call: Call) -> list[Value]:
    """x^p: powers with one constant exponent for each entry; else e^(p log x), where x > 0."""
    x, p = call.value(0), call.value(1)
    call.require_float(x)
    shape = call.common_shape(x, p)
    if isinstance(p, Data):
        logs = _log(call, x)
        return [call.emit(Exp(), call.data(multiplied(call, p.as_type(logs.dtype), logs)))]
    if p.rad is not None or p.roundings:
        raise call.unsupported("an exponent that is not exact")
    exponents = np.broadcast_to(p.array.astype(np.float64), shape)
    values = np.unique(exponents).tolist()
    base = call.data(call.broadcast(x, shape))
    if len(values) == 1:
        return [_power(call, base, values[0])]
    if len(values) > MAX_EXPONENTS:
        raise call.unsupported(f"{len(values)} different exponents, at most {MAX_EXPONENTS}")
    # each power on its own entries only: elsewhere it may have no value
    flat, places = call.reshape(base, (exponents.size,)), np.zeros(exponents.size, np.int64)
    parts: list[Value] = []
    start = 0
    for value in values:
        chosen = np.flatnonzero(exponents.ravel() == value)
        part = call.data(call.move(flat, lambda a, chosen=chosen: a[chosen]))  # type: ignore[misc]
        parts.append(_power(call, part, value))
        places[chosen] = start + np.arange(chosen.size)
        start += chosen.size
    return [call.moves(parts, lambda arrays: np.concatenate(arrays)[places].reshape(shape))]


MAX_EXPONENTS = 256
"""Different exponents of one Pow."""


def _log(call: Call, x: Value) -> Data:
    """Of a constant: enclosed entry by entry, with its roundings."""
    if isinstance(x, Data):
        return call.emit(Log(), x)
    value = x.settled().constant()
    return call.data(Known.of(call.exactly(lambda: exact.enclose(lambda v: v.log(), value)), x.dtype))


def _power(call: Call, x: Data, p: float) -> Data:
    if p == 0:
        return scale(call, x, ZERO, ONE, 0)
    if p < 0:
        return call.emit(Reciprocal(), _power(call, x, -p))
    if p == 1:
        return x
    return call.emit(Sqrt() if p == 0.5 else Power(p), x)


def mod(call: Call) -> list[Value]:
    x = call.value(0)
    return [_mod(call, x, call.known(1))] if isinstance(x, Data) else constants.mod(call)


def _mod(call: Call, x: Data, divisor: Known) -> Value:
    """fmod: x - m trunc(x / m); else, of integers, x - m floor(x / m)."""
    fmod = call.attr_flag("fmod", False)
    m = divisor.array.astype(np.float64)
    if divisor.rad is not None or divisor.roundings or fmod != x.is_float or not m.all():
        raise call.unsupported("fmod of integers, a remainder of floats, or a divisor that is not exact")
    if bool((np.abs(m) >= MAX_TRUNCATED).any()):
        raise call.unsupported("a divisor beyond 2^31")
    shape = call.common_shape(x, divisor)
    wide = call.data(call.broadcast(x, shape))
    inverse = exact.reciprocal(Constant(m))
    if fmod:
        quotient = call.emit(Truncate(), scale(call, wide, inverse, None, 2))
    else:
        # x / m is a multiple of 1/|m|: 1/|2m| above it has the same floor, and is away from whole numbers
        half = exact.enclose(lambda d: 1 / (2 * abs(d)), Constant(m))
        quotient = call.emit(Floor(), scale(call, wide, inverse, half, 2))
    whole = scale(call, quotient, Constant(m), None, 1)
    return call.emit(Sum((1, -1)), wide, whole).as_type(x.dtype)


# Values that are not numbers: over the reals there are none.


def is_not_a_number(call: Call) -> list[Value]:
    """IsNaN and IsInf are 0 wherever the operand exists (as 0 x; where it does not, neither does 0 x)."""
    call.attr_flag("detect_negative", True)
    call.attr_flag("detect_positive", True)
    return [scale(call, _of(call), ZERO, None, 0).as_type("bool")]


# One-hot codes.


def _codes(call: Call, index: Value, depth: int, *, wrap: bool) -> Data:
    """(*index.shape, depth): 1 where the last place is the index (``wrap``: or the index + depth)."""
    shape = call.checked((*index.shape, depth))
    column = call.reshape(index, (*index.shape, 1))
    if isinstance(column, Known):
        column = Known(column.array.astype(np.float64), "float64")
    wide = call.data(call.broadcast(column, shape))
    places = [np.arange(depth), np.arange(depth) - depth] if wrap else [np.arange(depth)]
    hits = [
        call.emit(
            Compare("=="), wide, call.data(Known(np.array(np.broadcast_to(p, shape), np.float64), "float64"))
        )
        for p in places
    ]
    return hits[0] if len(hits) == 1 else call.emit(Sum((1, 1)), *hits)


def one_hot(call: Call) -> list[Value]:
    """values[1] where the index (negative ones from the end) is the place along ``axis``, else values[0]."""
    index, depths, values = call.value(0), call.known(1), call.known(2)
    if depths.array.size != 1 or values.shape != (2,) or index.dtype not in INTEGERS:
        raise call.misshapen(f"depth of shape {depths.shape}, values of shape {values.shape}")
    whole = [v for v in (index, values) if isinstance(v, Known) and not v.is_float]
    if any(bool((np.abs(v.array.astype(np.float64)) >= MAX_TRUNCATED).any()) for v in whole):
        raise call.unsupported("an integer beyond 2^31")
    if depths.rad is not None or depths.roundings:
        raise call.unsupported("a computed depth")
    if call.opset < 11 and not (isinstance(index, Known) and bool((index.array >= 0).all())):
        # before opset 11 the text gives negative indices no place; onnxruntime counts them from the end
        raise call.unsupported(
            "indices that may be negative before opset 11: the standard and runtimes differ"
        )
    depth = int(depths.array.reshape(()))
    axis = call.axis(call.attr_int("axis", -1), len(index.shape) + 1)
    if depth < 1:
        raise call.unsupported(f"depth {depth}")
    found = _codes(call, index, depth, wrap=True)
    settled = values.settled()
    entries = replace(settled, array=settled.array.astype(np.float64), dtype="float64")
    off, on = (
        call.data(entries.moved(lambda a, k=k: np.broadcast_to(a[k], found.shape)))  # type: ignore[misc]
        for k in (0, 1)
    )
    chosen = call.emit(Select(), found, on, off).as_type(values.dtype)
    return [call.move(chosen, lambda a: np.moveaxis(a, -1, axis))]


def hardmax(call: Call) -> list[Value]:
    """1 at the first largest entry along ``axis``, else 0. Before opset 13 the axes from ``axis`` on count as one."""
    x = _of(call)
    axis = call.axis(call.attr_int("axis", -1 if call.opset >= 13 else 1), len(x.shape))
    if 0 in x.shape:
        raise call.unsupported("empty set")
    if call.opset < 13:
        last = call.data(call.reshape(x, (prod(x.shape[:axis]), prod(x.shape[axis:]))))
    else:
        last = call.data(call.move(x, lambda a: np.moveaxis(a, axis, -1)))
    codes = _codes(call, call.emit(ArgMax(), last), last.shape[-1], wrap=False).as_type(x.dtype)
    if call.opset < 13:
        return [call.reshape(codes, x.shape)]
    return [call.move(codes, lambda a: np.moveaxis(a, -1, axis))]


# Numbers stored as integers.


def dequantize(call: Call) -> list[Value]:
    """(x - zero point) scale of a constant; one scale, or one per entry of ``axis``."""
    x, by, zero = call.known(0), call.known(1), call.optional_known(2)
    axis = call.attr_int("axis", 1)
    if call.attr_int("block_size", 0) or call.attr_int("output_dtype", 0):
        raise call.unsupported("blocks, or a given output type")
    if x.dtype not in INTEGERS or by.dtype != "float32":
        raise call.unsupported(f"{x.dtype} by a scale of type {by.dtype}")
    shifted = x.array.astype(np.float64)
    if bool((np.abs(shifted) >= MAX_TRUNCATED).any()):
        raise call.unsupported("an integer beyond 2^31")
    shape = [1] * len(x.shape)
    if by.array.size != 1:
        shape[call.axis(axis, len(x.shape))] = by.array.size
    if zero is not None:
        if zero.shape != by.shape:
            raise call.misshapen(f"zero point {zero.shape} and scale {by.shape} differ in shape")
        shifted = shifted - zero.array.astype(np.float64).reshape(shape)
    cast = int(not bool((shifted == shifted.astype(np.float32)).all()))  # float32 rounds large integers
    call.require_float(by)
    return [multiplied(call, Known(shifted, "float32", None, cast), call.reshape(by, tuple(shape)))]


# Sums along an axis.


def cum_sum(call: Call) -> list[Value]:
    """A product with a triangle of ones along the axis."""
    x, axes = call.value(0), call.ints(1)
    if len(axes) != 1:
        raise call.misshapen(f"axis {axes}")
    axis = call.axis(axes[0], len(x.shape))
    n = x.shape[axis]
    call.foldable(n * n)
    ones = np.triu(np.ones((n, n), np.float32), 1 if call.attr_flag("exclusive", False) else 0)
    if call.attr_flag("reverse", False):
        ones = ones.T
    call.require_float(x)
    last = call.move(call.data(x), lambda a: np.moveaxis(a, axis, -1))
    flat = call.reshape(last, (prod(last.shape[:-1]), n))
    y = product(call, flat, Known(np.ascontiguousarray(ones), x.dtype))
    return [call.move(call.reshape(y, last.shape), lambda a: np.moveaxis(a, -1, axis))]
