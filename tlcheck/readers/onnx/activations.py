"""Activations that are written out in the operations there are.

Guarantee: the nodes emitted denote exactly the function in the ONNX specification, over the reals. Where it writes a number
that is no float32 (1/6, 0.044715, sqrt(2/pi)), the constant is that number; what float32 executions make of it is charged as
roundings of the operation that takes it.
"""

from __future__ import annotations

import numpy as np

from tlcheck.readers.onnx.arithmetic import MINUS_ONE, ONE, negative, scale
from tlcheck.readers.onnx.call import Call
from tlcheck.readers.onnx.exact import evaluated
from tlcheck.readers.onnx.functions import HALF, ZERO, added, linear
from tlcheck.readers.onnx.operands import Data, Known, Value
from tlcheck.trusted.constant import Constant
from tlcheck.trusted.formula import pi, rational
from tlcheck.trusted.ops.activation import Abs, Clip, LeakyRelu, Relu, Sigmoid, Tanh
from tlcheck.trusted.ops.affine import Sum
from tlcheck.trusted.ops.discrete import Compare, Select
from tlcheck.trusted.ops.product import Product
from tlcheck.trusted.ops.smooth import Erf, Exp, Power, Reciprocal, Softplus

OF_NUMBERS = 2
"""float32 roundings of a number that the specification writes: its quotient or root, and its conversion."""


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


def _elu(call: Call, x: Data, alpha: Constant, inner: Constant) -> Data:
    """max(x, 0) + alpha (e^(inner min(x, 0)) - 1)"""
    below = call.emit(Exp(), linear(call, call.emit(Clip(None, ZERO), x), inner))
    return added(call, call.emit(Relu(), x), linear(call, scale(call, below, ONE, MINUS_ONE, 1), alpha))


def elu(call: Call) -> list[Value]:
    return [_elu(call, call.variable(0), Constant(np.array(call.attr_float("alpha", 1.0))), ONE)]


def selu(call: Call) -> list[Value]:
    """gamma times ELU."""
    alpha = call.attr_float("alpha", 1.67326319217681884765625)
    gamma = call.attr_float("gamma", 1.05070102214813232421875)
    return [linear(call, _elu(call, call.variable(0), Constant(np.array(alpha)), ONE), gamma)]


def celu(call: Call) -> list[Value]:
    """max(x, 0) + min(0, alpha (e^(x / alpha) - 1)), alpha > 0"""
    alpha = call.attr_float("alpha", 1.0)
    call.refuse(not alpha > 0, f"alpha {alpha}")
    return [_elu(call, call.variable(0), Constant(np.array(alpha)), evaluated(1 / rational(alpha)))]


def _hard_sigmoid(call: Call, x: Data, alpha: Constant, beta: Constant, roundings: int = 0) -> Data:
    """min(max(alpha x + beta, 0), 1); ``roundings`` of alpha."""
    return call.emit(Clip(ZERO, ONE), scale(call, x, alpha, beta, 3 + roundings))


def hard_sigmoid(call: Call) -> list[Value]:
    alpha, beta = (Constant(np.array(call.attr_float(n, d))) for n, d in (("alpha", 0.2), ("beta", 0.5)))
    return [_hard_sigmoid(call, call.variable(0), alpha, beta)]


def hard_swish(call: Call) -> list[Value]:
    """x min(max(x / 6 + 1/2, 0), 1): the specification's text. (Its function body has 1/6 rounded to float32.)"""
    x = call.variable(0)
    return [call.emit(Product(), x, _hard_sigmoid(call, x, evaluated(rational(1, 6)), HALF, OF_NUMBERS))]


def mish(call: Call) -> list[Value]:
    """x tanh(log(1 + e^x))"""
    x = call.variable(0)
    return [call.emit(Product(), x, call.emit(Tanh(), call.emit(Softplus(), x)))]


def swish(call: Call) -> list[Value]:
    """x sigmoid(alpha x)"""
    x = call.variable(0)
    return [call.emit(Product(), x, call.emit(Sigmoid(), linear(call, x, call.attr_float("alpha", 1.0))))]


def softsign(call: Call) -> list[Value]:
    """x / (1 + |x|)"""
    x = call.variable(0)
    return [call.emit(Product(), x, call.emit(Reciprocal(), linear(call, call.emit(Abs(), x), 1.0, 1.0)))]


def gelu(call: Call) -> list[Value]:
    """x (1 + erf(x / sqrt 2)) / 2; tanh: x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2"""
    x, kind = call.variable(0), call.attr_str("approximate", "none")
    if kind == "none":
        inner = call.emit(Erf(), linear(call, x, evaluated(1 / rational(2).sqrt())))
    elif kind == "tanh":
        cubic = evaluated(rational(44715, 1000000))
        cube = linear(call, call.emit(Power(3.0), x), cubic, roundings=OF_NUMBERS)
        root = evaluated((2 / pi()).sqrt())
        inner = call.emit(Tanh(), linear(call, added(call, x, cube), root, roundings=OF_NUMBERS))
    else:
        raise call.unsupported(f"approximate {kind}")
    return [call.emit(Product(), x, scale(call, inner, HALF, HALF, 2))]


def thresholded_relu(call: Call) -> list[Value]:
    """x where x > alpha, else 0: a step at alpha, unless alpha is 0."""
    x, alpha = call.variable(0), call.attr_float("alpha", 1.0)
    return [call.emit(Relu(), x) if alpha == 0 else _where_above(call, x, alpha, x)]


def _where_above(call: Call, x: Data, level: float, y: Data) -> Data:
    """y where x > level, else 0."""
    bound, zero = (call.data(Known(np.full(x.shape, v), "float64")) for v in (level, 0.0))
    return call.emit(Select(), call.emit(Compare("<"), bound, x), y, zero).as_type(y.dtype)


def shrink(call: Call) -> list[Value]:
    """x + bias where x < -lambd, x - bias where x > lambd, else 0. With bias = lambd there is no step."""
    x, bias, lambd = call.variable(0), call.attr_float("bias", 0.0), call.attr_float("lambd", 0.5)
    call.refuse(lambd < 0, f"lambd {lambd}")

    def beyond(side: Data) -> Data:
        shifted = linear(call, side, 1.0, -bias)
        return call.emit(Relu(), shifted) if bias == lambd else _where_above(call, side, lambd, shifted)

    above, below = (beyond(side) for side in (x, linear(call, x, MINUS_ONE)))
    return [added(call, above, below, -1)]
