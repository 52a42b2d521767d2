"""DynamicQuantizeLinear: scale and zero point are of the network's own values.

Over the reals, with m = min(0, least x) and M = max(0, largest x): scale = (M - m) / 255, zero point = round(-m / scale), and
y = round(x / scale) + zero point, cut to [0, 255]. Where all x are 0 the standard divides by 0: there is no value,
nor one of the scale.
"""

from __future__ import annotations

from math import prod
from typing import Final

import numpy as np

from tlcheck.readers.onnx import exact
from tlcheck.readers.onnx.arithmetic import ONE, negative, scale
from tlcheck.readers.onnx.call import Call
from tlcheck.readers.onnx.operands import Data, Value
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.affine import Sum
from tlcheck.trusted.ops.bent import Clip
from tlcheck.trusted.ops.product import Product
from tlcheck.trusted.ops.quantized import Quantize
from tlcheck.trusted.ops.selection import MaxOver
from tlcheck.trusted.ops.smooth import Reciprocal

LEVELS: Final = 255
ENDS: Final = (Constant(np.array(0.0)), Constant(np.array(float(LEVELS))))
ROUND: Final = Quantize(ONE, Constant(np.array(-(2.0**16))), Constant(np.array(2.0**16)))
"""To integers: quotients are at most 255 in magnitude."""


def quantize(call: Call) -> list[Value]:
    x = call.variable(0)
    call.refuse(x.dtype != "float32", f"a tensor of type {x.dtype}")
    least, most = _largest(call, negative(call, x)), _largest(call, x)  # -m and M
    by = call.exactly(lambda: exact.reciprocal(Constant(np.array(float(LEVELS)))))
    step = scale(call, call.emit(Sum((1, 1)), most, least), by, None, 1)
    inverse = call.emit(Reciprocal(), step)
    zero = call.emit(Clip(*ENDS), call.emit(ROUND, call.emit(Product(), least, inverse)))
    n = call.emit(ROUND, call.emit(Product(), x, _wide(call, inverse, x)))
    y = call.emit(Clip(*ENDS), call.emit(Sum((1, 1)), n, _wide(call, zero, x)))
    return [y.as_type("uint8"), _nonzero(call, step), zero.as_type("uint8")]


def _nonzero(call: Call, x: Data) -> Data:
    """x, without a value where it is 0: there tools say 1, or 1/255. Steps of its own, so that none has to round."""
    return call.emit(Reciprocal(), call.emit(Reciprocal(), x))


def _largest(call: Call, x: Data) -> Data:
    """max(0, x's largest entry), a scalar."""
    index = np.arange(prod(x.shape), dtype=np.int64)[None]
    return call.emit(Relu(), call.emit(MaxOver((), index), x))


def _wide(call: Call, x: Data, like: Data) -> Data:
    return call.data(call.broadcast(x, like.shape))
