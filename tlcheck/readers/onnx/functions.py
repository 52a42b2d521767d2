"""Functions of real numbers, activations among them, that are written out in the operations there are.

Guarantee: the nodes emitted denote exactly the function in the ONNX specification, over the reals. Where it writes a number
that is no float32 (1/6, 0.044715, sqrt(2/pi)), the constant is that number; what float32 executions make of it is charged as
roundings of the operation that takes it.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Final

import numpy as np

from tlcheck.readers.onnx import exact
from tlcheck.readers.onnx.arithmetic import MINUS_ONE, ONE, folded, multiplied, negative, scale
from tlcheck.readers.onnx.call import Call
from tlcheck.readers.onnx.operands import Data, Known, Value
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.formula import pi, rational
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.affine import Sum
from tlcheck.trusted.ops.base import Operation
from tlcheck.trusted.ops.bent import Abs, Clip, LeakyRelu
from tlcheck.trusted.ops.discrete import Compare, Select
from tlcheck.trusted.ops.product import Product
from tlcheck.trusted.ops.s_shaped import Sigmoid, Tanh
from tlcheck.trusted.ops.smooth import Cos, Erf, Exp, Log, Power, Reciprocal, Sin, Softplus, Sqrt

ZERO, HALF = Constant(np.array(0.0)), Constant(np.array(0.5))

OF_NUMBERS = 2
"""float32 roundings of a number that the specification writes: its quotient or root, and its conversion."""


def linear(call: Call, x: Data, factor: float | Constant, offset: float = 0.0, *, roundings: int = 0) -> Data:
    """factor x + offset; two roundings, and ``roundings`` of the factor."""
    factor = factor if isinstance(factor, Constant) else Constant(np.array(factor))
    return scale(call, x, factor, Constant(np.array(offset)) if offset else None, 2 + roundings)


def added(call: Call, a: Data, b: Data, sign: int = 1) -> Data:
    """a + sign * b."""
    return call.emit(Sum((1, sign)), a, b)


def sqrt(call: Call) -> list[Value]:
    return [_with_constants(call, Sqrt(), exact.sqrt, 1)]


def reciprocal(call: Call) -> list[Value]:
    return [_with_constants(call, Reciprocal(), exact.reciprocal, 2)]


def _with_constants(
    call: Call, op: Operation, function: Callable[[Constant], Constant], weight: int
) -> Value:
    """A constant's value exactly; one float32 rounding, and ``weight`` for each that the constant has."""
    x = call.value(0)
    if isinstance(x, Data):
        return call.emit(op, x)
    call.require_float(x)
    return folded(call, call.exactly(lambda: function(x.constant())), x.dtype, weight * x.roundings + 1)


def prelu(call: Call) -> list[Value]:
    """x where it is positive, else slope x: max(x, 0) - slope max(-x, 0)."""
    x, slope = call.value(0), call.known(1)
    call.same_type(x, slope)
    if not call.fits(slope.shape, x.shape):
        raise call.misshapen(f"slope {slope.shape} does not broadcast to {x.shape}")
    x, values = call.data(x), np.unique(slope.array)
    if slope.is_exact and values.size == 1:
        return [call.emit(LeakyRelu(float(values[0])), x)]
    below = call.emit(Relu(), negative(call, x))
    scaled = scale(call, below, slope.constant(), None, 1 + slope.roundings)
    return [call.emit(Sum((1, -1)), call.emit(Relu(), x), scaled)]


MAX_EXPONENTS = 256
"""Different exponents of one Pow."""


def power(call: Call) -> list[Value]:
    """x^p: powers with one constant exponent for each entry; else e^(p log x), where x > 0."""
    x, p = call.value(0), call.value(1)
    call.require_float(x)
    shape = call.common_shape(x, p)
    if isinstance(p, Data):
        logs = _log(call, x)
        return [call.emit(Exp(), call.data(multiplied(call, p.as_type(logs.dtype), logs)))]
    call.require_exact("an exponent that is not exact", p)
    exponents = np.broadcast_to(p.array.astype(np.float64), shape)
    values = np.unique(exponents).tolist()
    base = call.data(call.broadcast(x, shape))
    if len(values) == 1:
        return [_power(call, base, values[0])]
    call.refuse(len(values) > MAX_EXPONENTS, f"{len(values)} different exponents, at most {MAX_EXPONENTS}")
    # each power on its own entries only: elsewhere it may have no value
    flat = call.reshape(base, (exponents.size,))
    chosen = [np.flatnonzero(exponents.ravel() == value) for value in values]
    pieces = zip(chosen, values, strict=True)
    parts = [_power(call, call.data(call.move(flat, itemgetter(c))), v) for c, v in pieces]
    places = np.argsort(np.concatenate(chosen))
    return [call.moves(parts, lambda arrays: np.concatenate(arrays)[places].reshape(shape))]


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


# One formula each.


def _times(call: Call, x: Data, y: Data) -> Data:
    return call.emit(Product(), x, y)


def _tan(call: Call, x: Data) -> Data:
    """sin x / cos x"""
    return _times(call, call.emit(Sin(), x), call.emit(Reciprocal(), call.emit(Cos(), x)))


def _exponentials(call: Call, x: Data) -> Data:
    """Cosh and Sinh: (e^x + e^-x) / 2 and (e^x - e^-x) / 2"""
    plus, minus = (call.emit(Exp(), v) for v in (x, linear(call, x, MINUS_ONE)))
    return linear(call, added(call, plus, minus, 1 if call.op == "Cosh" else -1), HALF)


def _asinh(call: Call, x: Data) -> Data:
    """log(x + sqrt(x^2 + 1))"""
    root = call.emit(Sqrt(), linear(call, call.emit(Power(2.0), x), 1.0, 1.0))
    return call.emit(Log(), added(call, x, root))


def _acosh(call: Call, x: Data) -> Data:
    """log(x + sqrt(x - 1) sqrt(x + 1)): not defined below 1."""
    roots = [call.emit(Sqrt(), linear(call, x, 1.0, v)) for v in (-1.0, 1.0)]
    return call.emit(Log(), added(call, x, _times(call, *roots)))


def _atanh(call: Call, x: Data) -> Data:
    """(log(1 + x) - log(1 - x)) / 2"""
    plus, minus = (call.emit(Log(), linear(call, x, v, 1.0)) for v in (1.0, -1.0))
    return linear(call, added(call, plus, minus, -1), HALF)


def elu(call: Call, x: Data, alpha: float, inner: Constant = ONE) -> Data:
    """max(x, 0) + alpha (e^(inner min(x, 0)) - 1)"""
    below = call.emit(Exp(), linear(call, call.emit(Clip(None, ZERO), x), inner))
    return added(call, call.emit(Relu(), x), linear(call, scale(call, below, ONE, MINUS_ONE, 1), alpha))


def softsign(call: Call, x: Data) -> Data:
    """x / (1 + |x|)"""
    return _times(call, x, call.emit(Reciprocal(), linear(call, call.emit(Abs(), x), 1.0, 1.0)))


def _hard_swish(call: Call, x: Data) -> Data:
    """x min(max(x / 6 + 1/2, 0), 1): the specification's text. (Its function body has 1/6 rounded to float32.)"""
    sixth = exact.evaluated(rational(1, 6))
    return _times(call, x, call.emit(Clip(ZERO, ONE), scale(call, x, sixth, HALF, 3 + OF_NUMBERS)))


def _gelu(call: Call, x: Data) -> Data:
    """x (1 + erf(x / sqrt 2)) / 2; tanh: x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2"""
    kind = call.attr_str("approximate", "none")
    call.refuse(kind not in ("none", "tanh"), f"approximate {kind}")
    if kind == "none":
        inner = call.emit(Erf(), linear(call, x, exact.evaluated(1 / rational(2).sqrt())))
    else:
        cubic, root = exact.evaluated(rational(44715, 1000000)), exact.evaluated((2 / pi()).sqrt())
        cube = linear(call, call.emit(Power(3.0), x), cubic, roundings=OF_NUMBERS)
        inner = call.emit(Tanh(), linear(call, added(call, x, cube), root, roundings=OF_NUMBERS))
    return _times(call, x, scale(call, inner, HALF, HALF, 2))


def _thresholded_relu(call: Call, x: Data) -> Data:
    """x where x > alpha, else 0: a step at alpha, unless alpha is 0."""
    alpha = call.attr_float("alpha", 1.0)
    return call.emit(Relu(), x) if alpha == 0 else where_above(call, x, alpha, x)


def where_above(call: Call, x: Data, level: float, y: Data) -> Data:
    """y where x > level, else 0."""
    bound, zero = (call.data(Known(np.full(x.shape, v), "float64")) for v in (level, 0.0))
    return call.emit(Select(), call.emit(Compare("<"), bound, x), y, zero).as_type(y.dtype)


def _shrink(call: Call, x: Data) -> Data:
    """x + bias where x < -lambd, x - bias where x > lambd, else 0. With bias = lambd there is no step."""
    bias, lambd = call.attr_float("bias", 0.0), call.attr_float("lambd", 0.5)
    call.refuse(lambd < 0, f"lambd {lambd}")

    def beyond(side: Data) -> Data:
        shifted = linear(call, side, 1.0, -bias)
        return call.emit(Relu(), shifted) if bias == lambd else where_above(call, side, lambd, shifted)

    above, below = (beyond(side) for side in (x, linear(call, x, MINUS_ONE)))
    return added(call, above, below, -1)


FORMULAS: Final[dict[str, Callable[[Call, Data], Data]]] = {
    "Acosh": _acosh,
    "Asinh": _asinh,
    "Atanh": _atanh,
    "Cosh": _exponentials,
    "Elu": lambda call, x: elu(call, x, call.attr_float("alpha", 1.0)),
    "Gelu": _gelu,
    "HardSwish": _hard_swish,
    # x tanh(log(1 + e^x))
    "Mish": lambda call, x: _times(call, x, call.emit(Tanh(), call.emit(Softplus(), x))),
    "Shrink": _shrink,
    "Sinh": _exponentials,
    "Softsign": softsign,
    # x sigmoid(alpha x)
    "Swish": lambda call, x: _times(
        call, x, call.emit(Sigmoid(), linear(call, x, call.attr_float("alpha", 1.0)))
    ),
    "Tan": _tan,
    "ThresholdedRelu": _thresholded_relu,
}


def written(call: Call) -> list[Value]:
    """The formula of the operator's name, of its operand."""
    return [FORMULAS[call.op](call, call.variable(0))]


def swiglu(call: Call) -> list[Value]:
    """a sigmoid(alpha a) b"""
    a, b = call.variable(0), call.value(1)
    call.refuse_shape(a.shape != b.shape, f"operands of shapes {a.shape} and {b.shape}")
    return [multiplied(call, FORMULAS["Swish"](call, a), b)]


def selu(call: Call) -> list[Value]:
    """gamma times ELU."""
    alpha = call.attr_float("alpha", 1.67326319217681884765625)
    gamma = call.attr_float("gamma", 1.05070102214813232421875)
    return [linear(call, elu(call, call.variable(0), alpha), gamma)]


def celu(call: Call) -> list[Value]:
    """max(x, 0) + min(0, alpha (e^(x / alpha) - 1)), alpha > 0"""
    alpha = call.attr_float("alpha", 1.0)
    call.refuse(not alpha > 0, f"alpha {alpha}")
    return [elu(call, call.variable(0), alpha, exact.evaluated(1 / rational(alpha)))]


def hard_sigmoid(call: Call) -> list[Value]:
    """min(max(alpha x + beta, 0), 1)"""
    alpha, beta = (Constant(np.array(call.attr_float(n, d))) for n, d in (("alpha", 0.2), ("beta", 0.5)))
    return [call.emit(Clip(ZERO, ONE), scale(call, call.variable(0), alpha, beta, 3))]
