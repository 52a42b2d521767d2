"""Conv and ConvTranspose, and the geometry that pooling has too: strides, dilations, padding."""

from __future__ import annotations

from tlcheck.readers.onnx.call import Call
from tlcheck.readers.onnx.operands import Data, Known, Shape, Value
from tlcheck.trusted.constant import Constant
from tlcheck.trusted.ops.affine import Conv, ConvTranspose


def spatial_axes(call: Call, x: Value) -> Shape:
    """The sizes of x's axes after batch and channel."""
    call.refuse_shape(len(x.shape) < 3, f"operand {x.shape} without spatial axes")
    return x.shape[2:]


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
    call.refuse(mode != "NOTSET" and any(pads or ()), "pads together with auto_pad")
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        call.refuse_shape(len(spatial) != rank, f"operand needs {rank} spatial axes")
        # SAME: ceil(size / stride) results
        total = [(-(-n // s) - 1) * s + r - n for n, s, r in zip(spatial, strides, reach, strict=True)]
        check_same(call, mode, strides, total)
        return split_padding(total, upper=mode == "SAME_UPPER")
    if mode == "VALID":
        return (0,) * rank, (0,) * rank
    call.refuse(mode != "NOTSET", f"auto_pad {mode}")
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
    call.refuse_shape(0 in weight.shape, f"empty weight {weight.shape}")
    return x, weight, bias


def _constants(call: Call, weight: Known, bias: Known | None) -> tuple[Constant, Constant | None, int]:
    """Weight, bias, and the float32 roundings that computed ones carry: each term has one of them as a factor."""
    call.require_float(weight)
    if bias is None:
        return weight.constant(), None, weight.roundings
    return weight.constant(), bias.constant(), max(weight.roundings, bias.roundings)


def _groups(call: Call) -> int:
    groups = call.attr_int("group", 1)
    call.refuse_shape(groups < 1, f"group {groups} must be positive")
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
    call.refuse(any(call.attr_ints("pads") or ()), "pads together with output_shape or auto_pad")
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
