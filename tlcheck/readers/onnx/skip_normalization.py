"""Normalisations as onnxruntime's optimiser writes them: of a sum of two tensors, and without a mean."""

from __future__ import annotations

from tlcheck.readers.onnx.call import Call
from tlcheck.readers.onnx.normalization import affine_of, by_mean_square, normalised, rms_normalization
from tlcheck.readers.onnx.operands import Data, Value
from tlcheck.trusted.ops.affine import Sum


def simplified(call: Call) -> list[Value]:
    """SimplifiedLayerNormalization: RMSNormalization. Its second output may be named, and not used."""
    call.harmless(1)
    return rms_normalization(call)


def skip_layer(call: Call) -> list[Value]:
    """LayerNormalization of input + skip + bias over the last axis. Whose kernel it is, and how it computes, a profile says."""
    x = _sum(call, 4)
    y, *_ = normalised(call, x, _last(x), _epsilon(call))
    return _results(call, x, affine_of(call, y, _vector(call, 2, x), _vector(call, 3, x)))


def skip_simplified(call: Call) -> list[Value]:
    """RMSNormalization of input + skip + bias over the last axis."""
    x = _sum(call, 3)
    y, _ = by_mean_square(call, x, _last(x), _epsilon(call))
    return _results(call, x, affine_of(call, y, _vector(call, 2, x), None))


def _last(x: Data) -> tuple[int, ...]:
    return (len(x.shape) - 1,)


def _epsilon(call: Call) -> float:
    return call.attr_float("epsilon", 1e-12)


def _sum(call: Call, bias: int) -> Data:
    """input + skip + bias (that operand), in any order."""
    x, skip, more = call.variable(0), call.value(1), _vector(call, bias, call.value(0))
    call.refuse_shape(len(x.shape) not in (2, 3), f"input of shape {x.shape}")
    fits = (
        skip.shape in (x.shape, x.shape[1:], (1, *x.shape[1:]))
        if len(x.shape) == 3
        else skip.shape == x.shape
    )
    call.refuse_shape(not fits, f"skip of shape {skip.shape} for input {x.shape}")
    parts = [x, *(call.data(call.broadcast(v, x.shape)) for v in (skip, more) if v is not None)]
    return call.emit(Sum((1,) * len(parts)), *parts)


def _vector(call: Call, i: int, x: Value) -> Value | None:
    """Operand i, one number for each of x's last axis; None where it is left out."""
    value = call.optional(i)
    wrong = value is not None and value.shape != x.shape[-1:]
    call.refuse_shape(wrong, f"operand {i} of shape {value and value.shape} for input {x.shape}")
    return value


def _results(call: Call, total: Data, y: Value) -> list[Value]:
    """The second and the third output, which kernels leave empty, may be named and not used; the fourth is the sum."""
    call.refuse(any(call.wanted[1:3]), "its mean or deviation is used, which onnxruntime does not compute")
    return [y, total, total, total]
