"""Operators with constant weights: Gemm, MatMul, Conv, ConvTranspose, BatchNormalization."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from tlcheck.readers.onnx import exact
from tlcheck.readers.onnx.call import Call
from tlcheck.readers.onnx.elementwise import add_signed, scale, times
from tlcheck.readers.onnx.values import Data, Known, Shape, Value
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.ops.affine import Linear
from tlcheck.trusted.ops.convolution import Conv, ConvTranspose
from tlcheck.trusted.ops.product import MatProduct


def transposed(call: Call, x: Value) -> Value:
    """x with its last two axes swapped."""
    return call.move(x, lambda a: np.swapaxes(a, -1, -2))


def gemm(call: Call) -> list[Value]:
    """alpha A' B' + beta C."""
    a, b, c = call.value(0), call.value(1), call.optional(2)
    call.same_type(a, b, c)
    call.require_float(a)
    alpha, beta = call.attr_float("alpha", 1.0), call.attr_float("beta", 1.0)
    if len(a.shape) != 2 or len(b.shape) != 2:
        raise call.misshapen(f"operands of shapes {a.shape} and {b.shape} are not matrices")
    if call.attr_flag("transA", False):
        a = transposed(call, a)
    if call.attr_flag("transB", False):
        b = transposed(call, b)
    shape = (a.shape[0], b.shape[1])
    if c is not None and not call.fits(c.shape, shape):
        raise call.misshapen(f"C of shape {c.shape} does not broadcast to {shape}")
    roundings = int(alpha != 1 or (c is not None and beta != 1))
    bias = None
    if (
        isinstance(c, Known)
        and isinstance(b, Known)
        and (c.array.size == 1 or c.shape[-1:] == (c.array.size,) == shape[1:])
    ):
        flat = call.move(c, lambda v: np.broadcast_to(v.reshape(-1), (shape[1],)))
        bias, c = _known(call, flat), None
        bias = times(call, bias, beta)
    y = product(call, a, b, alpha=alpha, bias=bias, roundings=roundings)
    if c is None:
        return [y]
    if isinstance(c, Known):
        scaled = times(call, c, beta)
        charged = replace(scaled, roundings=c.roundings + int(beta != 1))
        return [add_signed(call, y, charged, 1)]
    factor = Constant(np.array(beta))
    return [add_signed(call, y, c if beta == 1 else scale(call, c, factor, None, 1), 1)]


def _known(call: Call, value: Value) -> Known:
    if not isinstance(value, Known):
        raise call.unsupported("variable weight")
    return value


def product(
    call: Call, a: Value, b: Value, *, alpha: float = 1.0, bias: Known | None = None, roundings: int = 0
) -> Value:
    """alpha (a b) + bias, numpy.matmul of operands of two or more axes; a bias needs a constant b."""
    if isinstance(b, Known):
        return _right(call, call.data(a), times(call, b, alpha), bias, roundings)
    if isinstance(a, Known):
        # A B = (B^T A^T)^T
        weight = _known(call, transposed(call, times(call, a, alpha)))
        return transposed(call, _right(call, call.data(transposed(call, b)), weight, None, roundings))
    y = _variable(call, a, b)
    return y if alpha == 1 else scale(call, y, Constant(np.array(alpha)), None, 1)


def _variable(call: Call, a: Data, b: Data) -> Data:
    """A product of two variables, batch entry by batch entry."""
    try:
        batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError as error:
        raise call.misshapen(f"{a.shape} and {b.shape} do not multiply") from error
    left, right = (call.data(call.broadcast(x, (*batch, *x.shape[-2:]))) for x in (a, b))
    return call.emit(MatProduct(), left, right)


def _right(call: Call, x: Data, weight: Known, bias: Known | None, roundings: int) -> Data:
    """x weight + bias for x (..., M, K), weight (..., K, N)."""
    if x.shape[-1] != weight.shape[-2]:
        raise call.misshapen(f"{x.shape} and {weight.shape} do not multiply")
    batch = weight.shape[:-2]
    if prod(batch) != 1:
        return _batched(call, x, weight)
    flat = _known(call, call.reshape(weight, weight.shape[-2:]))
    roundings += max(flat.roundings, 0 if bias is None else bias.roundings)
    y = call.emit(Linear(flat.constant(), None if bias is None else bias.constant(), roundings), x)
    extra = len(batch) + 2 - len(x.shape)
    return y if extra <= 0 else call.data(call.reshape(y, (1,) * extra + y.shape))


def _batched(call: Call, x: Data, weight: Known) -> Data:
    """One matrix per batch entry: a convolution of kernel size 1 with one group per batch entry."""
    try:
        batch = np.broadcast_shapes(x.shape[:-2], weight.shape[:-2])
    except ValueError as error:
        raise call.misshapen(f"{x.shape} and {weight.shape} do not multiply") from error
    (m, k), n, groups = x.shape[-2:], weight.shape[-1], prod(batch)
    columns = transposed(call, call.broadcast(x, (*batch, m, k)))
    rows = _known(call, transposed(call, call.broadcast(weight, (*batch, k, n))))
    kernels = _known(call, call.reshape(rows, (groups * n, k, 1)))
    call.require_float(kernels)
    op = Conv(kernels.constant(), None, (1,), (1,), (0,), (0,), groups, kernels.roundings)
    y = call.emit(op, call.data(call.reshape(columns, (1, groups * k, m))))
    return call.data(transposed(call, call.reshape(y, (*batch, n, m))))


def matmul(call: Call) -> list[Value]:
    a, b = call.value(0), call.value(1)
    call.same_type(a, b)
    call.require_float(a, b)
    if not a.shape or not b.shape:
        raise call.misshapen("operand without axes")
    vector_a, vector_b = len(a.shape) == 1, len(b.shape) == 1
    y = product(
        call,
        call.reshape(a, (1, *a.shape)) if vector_a else a,
        call.reshape(b, (*b.shape, 1)) if vector_b else b,
    )
    shape = y.shape
    if vector_b:
        shape = shape[:-1]
    if vector_a:
        shape = shape[:-2] + shape[-1:] if not vector_b else shape[:-1]
    return [call.reshape(y, shape)]


# convolutions


def per_axis(call: Call, name: str, rank: int, default: int) -> tuple[int, ...]:
    """A list attribute with one positive entry per spatial axis."""
    values = call.attr_ints(name)
    if values is None:
        return (default,) * rank
    if len(values) != rank or any(v < 1 for v in values):
        raise call.misshapen(f"{name} {values} must be {rank} positive numbers")
    return tuple(values)


def padding(call: Call, reach: Shape, strides: Shape, spatial: Shape) -> tuple[Shape, Shape]:
    """Begin and end padding per axis from ``pads`` or ``auto_pad``; ``reach`` = dilation (kernel - 1) + 1."""
    rank, mode, pads = len(reach), call.attr_str("auto_pad", "NOTSET"), call.attr_ints("pads")
    if mode != "NOTSET" and any(pads or ()):
        raise call.unsupported("pads together with auto_pad")
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        if len(spatial) != rank:
            raise call.misshapen(f"operand needs {rank} spatial axes")
        # SAME: ceil(size / stride) results
        total = [(-(-n // s) - 1) * s + r - n for n, s, r in zip(spatial, strides, reach, strict=True)]
        check_same(call, mode, strides, total)
        return split_padding(total, upper=mode == "SAME_UPPER")
    if mode == "VALID":
        return (0,) * rank, (0,) * rank
    if mode != "NOTSET":
        raise call.unsupported(f"auto_pad {mode}")
    if pads is None:
        return (0,) * rank, (0,) * rank
    if len(pads) != 2 * rank or any(p < 0 for p in pads):
        raise call.misshapen(f"pads {pads} must be {2 * rank} nonnegative numbers")
    return tuple(pads[:rank]), tuple(pads[rank:])


def check_same(call: Call, mode: str, strides: Shape, total: list[int]) -> None:
    """SAME adds ``total`` along each axis, where the standard and the runtimes agree on it. Raises TLC202 elsewhere.

    A kernel shorter than the stride may need less than nothing. The standard's formula then cuts the operand; runtimes cut
    it elsewhere, or add nothing, or refuse.
    """
    if any(t < 0 for t in total):
        raise call.unsupported(
            f"auto_pad {mode} with a kernel shorter than the stride: tools pad differently"
        )
    if call.op.startswith("Conv") and call.opset < 11 and any(s > 1 for s in strides):
        # the text of version 1: "pad the input so that the output spatial size match the input"
        raise call.unsupported(
            f"auto_pad {mode} with strides before opset 11: the standard and runtimes differ"
        )


def split_padding(total: list[int], *, upper: bool) -> tuple[Shape, Shape]:
    """An odd total goes to the end for ``upper``, to the beginning otherwise."""
    small, large = tuple(t // 2 for t in total), tuple(t - t // 2 for t in total)
    return (small, large) if upper else (large, small)


def _weights(call: Call) -> tuple[Data, Known, Known | None]:
    """Operand, weight and bias of a convolution, checked."""
    weight, bias = call.known(1), call.optional_known(2)
    call.same_type(call.value(0), weight, bias)
    x = call.data(call.value(0))
    if len(weight.shape) < 3 or len(x.shape) != len(weight.shape):
        raise call.misshapen(f"operand {x.shape} does not fit weight {weight.shape}")
    kernel = call.attr_ints("kernel_shape")
    if kernel is not None and tuple(kernel) != weight.shape[2:]:
        raise call.misshapen(f"kernel_shape {kernel} differs from the weight's {weight.shape[2:]}")
    if 0 in weight.shape:
        raise call.misshapen(f"empty weight {weight.shape}")
    return x, weight, bias


def _constants(call: Call, weight: Known, bias: Known | None) -> tuple[Constant, Constant | None, int]:
    """Weight, bias, and the float32 roundings that computed ones carry: each term has one of them as a factor."""
    call.require_float(weight)
    if bias is None:
        return weight.constant(), None, weight.roundings
    return weight.constant(), bias.constant(), max(weight.roundings, bias.roundings)


def _groups(call: Call) -> int:
    groups = call.attr_int("group", 1)
    if groups < 1:
        raise call.misshapen(f"group {groups} must be positive")
    return groups


def conv(call: Call) -> list[Value]:
    x, weight, bias = _weights(call)
    kernel = weight.shape[2:]
    strides, dilations = (
        per_axis(call, "strides", len(kernel), 1),
        per_axis(call, "dilations", len(kernel), 1),
    )
    reach = tuple(d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True))
    begin, end = padding(call, reach, strides, x.shape[2:])
    mode = call.attr_str("auto_pad", "NOTSET")
    if mode.startswith("SAME") and any(d > 1 for d in dilations):
        raise call.unsupported(f"auto_pad {mode} with dilations: onnxruntime has no such form")
    kernels, offset, roundings = _constants(call, weight, bias)
    op = Conv(kernels, offset, strides, dilations, begin, end, _groups(call), roundings)
    return [call.emit(op, x)]


def conv_transpose(call: Call) -> list[Value]:
    x, weight, bias = _weights(call)
    kernel = weight.shape[2:]
    rank = len(kernel)
    strides, dilations = per_axis(call, "strides", rank, 1), per_axis(call, "dilations", rank, 1)
    extra = tuple(call.attr_ints("output_padding") or (0,) * rank)
    if len(extra) != rank or any(e < 0 for e in extra):
        raise call.misshapen(f"output_padding {list(extra)} must be {rank} nonnegative numbers")
    if any(e >= s for e, s in zip(extra, strides, strict=True)):
        raise call.unsupported(
            f"output_padding {list(extra)} not below the strides: onnxruntime has no such form"
        )
    full = [
        s * (n - 1) + e + d * (k - 1) + 1
        for s, n, e, d, k in zip(strides, x.shape[2:], extra, dilations, kernel, strict=True)
    ]
    begin, end, extra = _transpose_padding(call, full, strides, x.shape[2:], extra)
    kernels, offset, roundings = _constants(call, weight, bias)
    try:
        op = ConvTranspose(kernels, offset, strides, dilations, begin, end, extra, _groups(call), roundings)
    except ValueError as error:
        raise call.misshapen(str(error)) from error
    return [call.emit(op, x)]


def _transpose_padding(
    call: Call, full: list[int], strides: Shape, spatial: Shape, extra: Shape
) -> tuple[Shape, Shape, Shape]:
    """Begin, end and output padding. ``full``: sizes without padding. output_shape or SAME fix the size.

    Read is what the standard's text, its shape inference and onnxruntime agree on; the rest is refused by name.
    """
    rank, mode = len(full), call.attr_str("auto_pad", "NOTSET")
    wanted, same = call.attr_ints("output_shape"), mode in ("SAME_UPPER", "SAME_LOWER")
    if wanted is None and not same:
        begin, end = padding(call, (1,) * rank, strides, spatial)
        return begin, end, extra
    if any(call.attr_ints("pads") or ()):
        raise call.unsupported("pads together with output_shape or auto_pad")
    if wanted is None and any(extra):
        raise call.unsupported(f"auto_pad {mode} with output_padding: shape inference and runtimes differ")
    if wanted is not None and mode == "VALID":
        raise call.unsupported("auto_pad VALID with output_shape: tools pad differently")
    if wanted is None:
        wanted = [n * s for n, s in zip(spatial, strides, strict=True)]
        total = [f - w for f, w in zip(full, wanted, strict=True)]
        check_same(call, mode, strides, total)
    else:
        total = _total_padding(call, full, spatial, wanted)
        if not same and any(extra) and any(t > 0 for t in total):
            raise call.unsupported("output_shape with output_padding: tools pad differently")
        # a result beyond the full one: the missing end is output padding, where tools agree on it
        extra = tuple(e + max(-t, 0) for e, t in zip(extra, total, strict=True))
        if any(t < 0 for t in total) and (same or any(e >= s for e, s in zip(extra, strides, strict=True))):
            raise call.unsupported(f"output_shape {wanted} beyond {full}: tools extend it differently")
        total = [max(t, 0) for t in total]
    if call.opset < 11 and any(t % 2 for t in total):
        # the text of version 1 puts the larger half at the other side than that of version 11
        raise call.unsupported("an odd padding to be split before opset 11: the standard and runtimes differ")
    begin, end = split_padding(total, upper=mode == "SAME_UPPER")
    return begin, end, extra


def _total_padding(call: Call, full: list[int], spatial: Shape, wanted: list[int]) -> list[int]:
    """Begin and end padding together, so that the result's sizes are output_shape. Raises TLC202, TLC204."""
    if len(wanted) != len(full) or any(w < 1 for w in wanted):
        raise call.misshapen(f"output_shape {wanted} must be {len(full)} positive numbers")
    if any(w < n for w, n in zip(wanted, spatial, strict=True)):
        raise call.unsupported(
            f"output_shape {wanted} below the operand's {list(spatial)}: shape inference refuses it"
        )
    return [f - w for f, w in zip(full, wanted, strict=True)]


def batch_normalization(call: Call) -> list[Value]:
    """factor (x - mean) + bias, factor = scale / sqrt(var + epsilon), per channel.

    Two steps, so that the deployed radius sees |x| + |mean|: runtimes also compute x factor + (bias - mean factor), whose
    second term may cancel. Roundings: at most 6 of x factor or mean factor, 2 of the bias.
    """
    x = call.data(call.value(0))
    if call.attr_flag("training_mode", False) or call.attr_int("spatial", 1) != 1:
        raise call.unsupported("training mode or spatial 0")
    if len(call.outputs) > 1:
        # before opset 14 this is what training mode is; from 14 on it is no form at all
        raise call.unsupported(f"more outputs than one ({', '.join(map(repr, call.outputs))}): training mode")
    call.attr_float("momentum", 0.9)
    epsilon = call.attr_float("epsilon", 1e-5)
    parts = [call.known(i).settled() for i in (1, 2, 3, 4)]
    call.require_float(*parts)
    channels = x.shape[1] if len(x.shape) > 1 else 1
    if any(p.shape != (channels,) for p in parts):
        raise call.misshapen(f"statistics of shapes {[p.shape for p in parts]} for {channels} channels")
    gain, bias, mean, variance = (p.constant() for p in parts)
    factor = call.exactly(lambda: exact.normalisation(gain, variance, epsilon))
    shape = (channels, *(1,) * max(len(x.shape) - 2, 0))

    def spread(values: Constant) -> Constant:
        return values.moved(lambda a: a.reshape(shape))

    one = Constant(np.ones((1,) * len(shape)))
    centred = scale(call, x, one, spread(exact.negative(mean)), 5)
    return [scale(call, centred, spread(factor), spread(bias), 4)]
