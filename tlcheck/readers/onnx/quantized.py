"""Numbers stored as integers: QuantizeLinear, DequantizeLinear, and products of such numbers.

Guarantee, over the reals: an integer q of scale s and zero point z stands for (q - z) s, exactly; a number x becomes
round(x / s) + z, halves to the even one, cut to the type's range. Sums of products of integers are exact, and a product that is
stored again is what that makes of the product of the numbers. Deployed: the division, or the factor that kernels make of three
scales, rounds four times at most, before the rounding to an integer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.readers.onnx import exact
from tlcheck.readers.onnx.arithmetic import ONE, multiplied, scale
from tlcheck.readers.onnx.call import Call
from tlcheck.readers.onnx.operands import INTEGERS, Data, Known, Shape, Value
from tlcheck.readers.onnx.tensors import element_type
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.formula import Stored
from tlcheck.trusted.ops.affine import Sum
from tlcheck.trusted.ops.quantized import STEPS, Paired, Quantize

Floats = NDArray[np.float64]

SMALL: Final = ("uint8", "int8", "uint16", "int16")
"""Types to which numbers are quantized."""
ROUNDINGS: Final = 2
"""Of a sum of one term, which counts two more: four in all."""
RELATIVE: Final = 2.0**-21
"""More than these four."""
WEIGHTS: Final = (-64, 63)
"""Two products of such an int8 number and a uint8 one add up in int16."""
SUMS: Final = 2**31


@dataclass(frozen=True, eq=False)
class Scheme:
    """(q - zero) scale, both arrays broadcasting to the tensor; ``dtype``: q's. ``moving``: a zero point, one number, that the
    network computes, in place of ``zero``."""

    scale: Floats
    zero: Floats
    dtype: str
    moving: Data | None = None

    @property
    def ends(self) -> tuple[Floats, Floats]:
        """The least and the greatest q - zero."""
        limits = np.iinfo(self.dtype)
        return limits.min - self.zero, limits.max - self.zero

    @property
    def largest(self) -> int:
        """The largest magnitude of q - zero."""
        limits = np.iinfo(self.dtype)
        found = int(max(np.abs(end).max() for end in self.ends))
        return found if self.moving is None else int(limits.max) - int(limits.min)


def _scheme(call: Call, by: Known, zero: Known | None, dtype: str, places: Callable[[int], Shape]) -> Scheme:
    """``places``: from how many scales there are, more than one, to the shape in which they broadcast to the tensor."""
    call.refuse(by.dtype != "float32", f"a scale of type {by.dtype}")
    call.require_exact("a computed scale", by)
    call.refuse(len(by.shape) > 1, "blocks of scales")
    sizes = by.array.astype(np.float64)
    zeros = np.zeros(by.shape) if zero is None else zero.array.astype(np.float64)
    wrong = zeros.size != sizes.size or zeros.ndim > 1
    call.refuse_shape(wrong, f"zero point {zeros.shape} and scale {by.shape} differ in shape")
    shape = () if sizes.size == 1 else places(sizes.size)
    return Scheme(sizes.reshape(shape), zeros.reshape(shape), dtype)


def _divides(call: Call, scheme: Scheme) -> Scheme:
    """Its scales are positive, and they and their reciprocals are normal float32 numbers."""
    outside = (scheme.scale < STEPS[0]) | (scheme.scale > STEPS[1])
    call.refuse(bool(outside.any()), "a scale that is not positive, or not normal")
    return scheme


def _along(call: Call, x: Value) -> Callable[[int], Shape]:
    """One scale for each entry of the attribute ``axis``."""
    axis = call.attr_int("axis", 1)

    def places(count: int) -> Shape:
        at = call.axis(axis, len(x.shape))
        call.refuse_shape(x.shape[at] != count, f"{count} scales for axis {axis} of {x.shape}")
        return tuple(count if i == at else 1 for i in range(len(x.shape)))

    return places


def _blocks(call: Call) -> None:
    call.refuse(call.attr_int("block_size", 0) != 0, "blocks")


def quantize(call: Call) -> list[Value]:
    x, zero = call.value(0), call.optional_known(2)
    call.attr_flag("saturate", True)  # of conversions to float8
    _blocks(call)
    call.refuse(call.attr_int("precision", 0) not in (0, 1), "a division that is not float32's")
    call.refuse(x.dtype != "float32", f"a quantized tensor of type {x.dtype}")
    given = call.attr_int("output_dtype", 0)
    dtype = zero.dtype if zero is not None else element_type(given or 2, f"node '{call.label}'")
    call.refuse(
        given != 0 and element_type(given, f"node '{call.label}'") != dtype,
        "output_dtype and another zero point",
    )
    call.refuse(dtype not in SMALL, f"quantization to {dtype}")
    scheme = _divides(call, _scheme(call, call.known(1), zero, dtype, _along(call, x)))
    return [_stored(call, x, scheme) if isinstance(x, Known) else _quantized(call, x, scheme)]


def _operation(scheme: Scheme, shape: Shape, ties: bool = True) -> Quantize:
    numbers = (scheme.scale, *scheme.ends)
    step, low, high = (Constant(n if n.size == 1 else np.broadcast_to(n, shape).copy()) for n in numbers)
    return Quantize(step, low, high, ties)


def _quantized(call: Call, x: Data, scheme: Scheme, ties: bool = True) -> Data:
    rounded = scale(call, x, ONE, None, ROUNDINGS)
    n = call.emit(_operation(scheme, x.shape, ties), rounded)
    return _shifted(call, n, scheme.zero).as_type(scheme.dtype)


def _shifted(call: Call, n: Data, by: Floats) -> Data:
    """n + by, integers."""
    return scale(call, n, ONE, Constant(by), 0) if bool(by.any()) else n


def _stored(call: Call, x: Known, scheme: Scheme) -> Known:
    """A constant's integers. Where executions may round an entry to another one, the radius says so."""
    call.require_exact("a computed constant", x)
    op, values = _operation(scheme, x.shape), x.array.astype(np.float64).reshape(-1)
    op.output_shape((x.shape,))
    below, above = op.nearest(values, -1), op.nearest(values, 1)
    n = np.where(below % 2 == 0, below, above)  # they differ half way between two, of which one is even
    spare = RELATIVE * np.abs(values)
    rad = np.maximum(op.nearest(values + spare, 1) - n, n - op.nearest(values - spare, -1)).reshape(x.shape)
    q = n.reshape(x.shape) + scheme.zero
    if not rad.any():
        return Known(q.astype(scheme.dtype), scheme.dtype)
    return Known(q, scheme.dtype, rad, 0, Stored(q, None))


def dequantize(call: Call) -> list[Value]:
    """(x - zero point) scale; one scale, or one per entry of ``axis``."""
    x, by, zero = call.value(0), call.known(1), call.optional_known(2)
    _blocks(call)
    call.refuse(call.attr_int("output_dtype", 0) not in (0, 1), "an output that is not float32")
    call.refuse(x.dtype not in INTEGERS, f"a tensor of type {x.dtype}")
    scheme = _scheme(call, by, zero, x.dtype, _along(call, x))
    if isinstance(x, Known):
        return [_numbers(call, x, scheme)]
    call.refuse(x.dtype not in (*SMALL, "int32"), f"a computed tensor of type {x.dtype}")
    call.refuse(x.dtype == "int32" and bool(scheme.zero.any()), "a zero point of int32")
    n = _shifted(call, x, -scheme.zero)
    return [scale(call, n, Constant(scheme.scale), None, 1 + (x.dtype == "int32")).as_type("float32")]


def _numbers(call: Call, x: Known, scheme: Scheme) -> Value:
    call.require_whole(x)
    stored = Constant(x.array.astype(np.float64), x.rad, x.formula)
    shifted = call.exactly(lambda: exact.subtract(stored, Constant(scheme.zero)))
    cast = int(
        not bool((shifted.mid == shifted.mid.astype(np.float32)).all())
    )  # float32 rounds large integers
    by = Known(scheme.scale.astype(np.float32), "float32")
    return multiplied(call, Known.of(shifted, "float32", cast), by)


# Products


def _centred(call: Call, x: Value, scheme: Scheme) -> Value:
    """q - zero point, integers."""
    if scheme.moving is not None:
        wide = call.data(call.broadcast(scheme.moving, x.shape))
        return call.emit(Sum((1, -1)), call.numbers(x), wide).as_type("float32")
    if isinstance(x, Data):
        return _shifted(call, x, -scheme.zero).as_type("float32")
    call.require_exact("a computed operand", x)
    return Known(x.array.astype(np.float64) - scheme.zero, "float32")


def _most(x: Value, scheme: Scheme) -> int:
    """The largest magnitude of what ``_centred`` makes of it."""
    if isinstance(x, Data) or scheme.moving is not None:
        return scheme.largest
    return int(np.abs(x.array.astype(np.float64) - scheme.zero).max(initial=0))


def _safe(a: Value, b: Value) -> bool:
    """Kernels that add two products in int16 compute these too."""
    if a.dtype == b.dtype:
        return True
    signed = a if a.dtype == "int8" else b
    return isinstance(signed, Known) and WEIGHTS[0] <= signed.array.min() and signed.array.max() <= WEIGHTS[1]


def _guarded(call: Call, sums: Value, a: Value, b: Value) -> Data:
    return call.data(sums) if _safe(a, b) else call.emit(Paired(), call.data(sums))


def _bounded(call: Call, terms: int, a: int, b: int, bias: int = 0) -> None:
    call.refuse(terms * a * b + bias >= SUMS, "sums of products that may leave int32")


def _whole_numbers(call: Call, i: int, zero: int, places: Callable[[int], Shape]) -> tuple[Value, Scheme]:
    """Operand i, of scale 1, with the optional zero point that is operand ``zero``."""
    x, point = call.value(i), call.optional(zero)
    call.refuse(x.dtype not in ("uint8", "int8"), f"an operand of type {x.dtype}")
    if isinstance(point, Data):
        call.refuse(prod(point.shape) != 1, f"a computed zero point of shape {point.shape}")
        one = call.data(call.reshape(point, ()))
        return x, Scheme(np.ones(()), np.zeros(()), x.dtype, one)
    ones = Known(np.ones(() if point is None else point.shape, np.float32), "float32")
    return x, _scheme(call, ones, point, x.dtype, places)


def _one(count: int) -> Shape:
    raise ValueError(f"{count} scales or zero points where one is read")


def _columns(x: Value) -> Callable[[int], Shape]:
    """One scale or zero point for each column of the second factor."""

    def places(count: int) -> Shape:
        if len(x.shape) < 2 or x.shape[-1] != count:
            raise ValueError(f"{count} scales or zero points of a factor of shape {x.shape}")
        return (count,)

    return places


def _matrix_product(call: Call, a: tuple[Value, Scheme], b: tuple[Value, Scheme]) -> Data:
    from tlcheck.readers.onnx.matrices import multiply

    (x, left), (y, right) = a, b
    _bounded(call, x.shape[-1] if x.shape else 0, _most(x, left), _most(y, right))
    sums = multiply(call, _centred(call, x, left), _centred(call, y, right), exact=True)
    return _guarded(call, sums, x, y)


def matmul_integer(call: Call) -> list[Value]:
    a, b = _whole_numbers(call, 0, 2, _one), _whole_numbers(call, 1, 3, _columns(call.value(1)))
    return [_matrix_product(call, a, b).as_type("int32")]


def _tensor(call: Call, i: int, places: Callable[[int], Shape]) -> tuple[Value, Scheme]:
    """Operands i, i + 1 and i + 2: integers, their scale and zero point."""
    x, by, zero = call.value(i), call.known(i + 1), call.known(i + 2)
    call.refuse(x.dtype not in ("uint8", "int8"), f"an operand of type {x.dtype}")
    return x, _scheme(call, by, zero, x.dtype, places)


def _requantized(call: Call, sums: Data, scales: Floats, i: int) -> Data:
    """The sums, of numbers with these scales, stored with scale and zero point i and i + 1.

    ``scales``: products of two float32 numbers, exact. Half way between two integers an odd zero point is added before or after
    the rounding: the standard's text and its reference differ there.
    """
    zero = call.known(i + 1)
    to = _divides(call, _scheme(call, call.known(i), zero, zero.dtype, _one))
    call.refuse(to.dtype not in ("uint8", "int8"), f"a result of type {to.dtype}")
    factors = np.concatenate([scales.reshape(-1), (scales / to.scale).reshape(-1)])
    outside = (factors < 8 * STEPS[0]) | (factors > STEPS[1] / 8)
    call.refuse(bool(outside.any()), "a product of scales that float32 cannot hold")
    numbers = scale(call, sums, Constant(scales), None, 0).as_type("float32")
    return _quantized(call, numbers, to, ties=not bool((to.zero % 2).any()))


def qlinear_matmul(call: Call) -> list[Value]:
    a, b = _tensor(call, 0, _one), _tensor(call, 3, _columns(call.value(3)))
    sums = _matrix_product(call, a, b)
    return [_requantized(call, sums, a[1].scale * b[1].scale, 6)]


def _kernels(w: Value) -> Callable[[int], Shape]:
    """One scale or zero point for each output channel."""

    def places(count: int) -> Shape:
        if not w.shape or w.shape[0] != count:
            raise ValueError(f"{count} scales or zero points for weights {w.shape}")
        return (count, *(1,) * (len(w.shape) - 1))

    return places


def _convolution(call: Call, x: tuple[Value, Scheme], w: tuple[Value, Scheme], bias: Known | None) -> Data:
    from tlcheck.readers.onnx.convolution import convolved

    weight = _centred(call, *w)
    if not isinstance(weight, Known):
        raise call.unsupported("weights that the network computes")
    added = 0 if bias is None else int(np.abs(bias.array.astype(np.float64)).max(initial=0))
    _bounded(call, prod(weight.shape[1:]), _most(*x), _most(*w), added)
    sums = convolved(call, call.data(_centred(call, *x)), weight, bias, exact=True)
    return _guarded(call, sums, x[0], w[0])


def qlinear_conv(call: Call) -> list[Value]:
    x, w, bias = _tensor(call, 0, _one), _tensor(call, 3, _kernels(call.value(3))), call.optional_known(8)
    if bias is not None:
        call.require_exact("a computed bias", bias)
        bias = Known(bias.array.astype(np.float64), "float32")
    sums = _convolution(call, x, w, bias)
    by = w[1].scale.reshape(-1, *(1,) * (len(sums.shape) - 2)) if w[1].scale.size > 1 else w[1].scale
    return [_requantized(call, sums, x[1].scale * by, 6)]


def conv_integer(call: Call) -> list[Value]:
    x, w = _whole_numbers(call, 0, 2, _one), _whole_numbers(call, 1, 3, _kernels(call.value(1)))
    return [_convolution(call, x, w, None).as_type("int32")]
