"""Conv and ConvTranspose, and the geometry that pooling has too: strides, dilations, padding."""

from __future__ import annotations

from dataclasses import dataclass

from tlcheck.readers.onnx.call import DIFFER, NO_FORM, PADS_DIFFER, Call
from tlcheck.readers.onnx.operands import Data, Known, Shape, Value
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.ops.convolution import Conv, ConvTranspose

SAME = ("SAME_UPPER", "SAME_LOWER")
MODES = ("NOTSET", "VALID", *SAME)


@dataclass(frozen=True)
class Kernel:
    """A kernel and how it moves, one entry per spatial axis."""

    sizes: Shape
    strides: Shape
    dilations: Shape

    @property
    def reach(self) -> Shape:
        """Entries from its first to its last."""
        return tuple(d * (k - 1) + 1 for d, k in zip(self.dilations, self.sizes, strict=True))


def kernel_of(call: Call, sizes: Shape) -> Kernel:
    """With the node's strides and dilations."""
    strides, dilations = (_per_axis(call, name, len(sizes)) for name in ("strides", "dilations"))
    return Kernel(sizes, strides, dilations)


def _per_axis(call: Call, name: str, rank: int) -> Shape:
    """A list attribute with one positive entry per spatial axis; ones when absent."""
    values = call.attr_ints(name)
    if values is None:
        return (1,) * rank
    wrong = len(values) != rank or any(v < 1 for v in values)
    call.refuse_shape(wrong, f"{name} {values} must be {rank} positive numbers")
    return tuple(values)


def auto_pad(call: Call) -> str:
    """One of ``MODES``. Raises TLC202 for any other word."""
    mode = call.attr_str("auto_pad", "NOTSET")
    call.refuse(mode not in MODES, f"auto_pad {mode}")
    return mode


def spatial_axes(call: Call, x: Value) -> Shape:
    """The sizes of x's axes after batch and channel."""
    call.refuse_shape(len(x.shape) < 3, f"operand {x.shape} without spatial axes")
    return x.shape[2:]


def padding(call: Call, reach: Shape, strides: Shape, spatial: Shape) -> tuple[Shape, Shape]:
    """Begin and end padding per axis from ``pads`` or ``auto_pad``."""
    rank, mode, pads = len(reach), auto_pad(call), call.attr_ints("pads")
    both = pads is not None and (mode in SAME or (mode != "NOTSET" and any(pads)))
    call.refuse(
        both, f"pads together with auto_pad {mode}", PADS_DIFFER
    )  # of zeros too: some tools take these
    if mode in SAME:
        call.refuse_shape(len(spatial) != rank, f"operand needs {rank} spatial axes")
        # SAME: ceil(size / stride) results
        total = [(-(-n // s) - 1) * s + r - n for n, s, r in zip(spatial, strides, reach, strict=True)]
        _check_same(call, mode, strides, total)
        return _split(total, mode)
    if mode == "VALID" or pads is None:
        return (0,) * rank, (0,) * rank
    wrong = len(pads) != 2 * rank or any(p < 0 for p in pads)
    call.refuse_shape(wrong, f"pads {pads} must be {2 * rank} nonnegative numbers")
    return tuple(pads[:rank]), tuple(pads[rank:])


def _check_same(call: Call, mode: str, strides: Shape, total: list[int]) -> None:
    """SAME adds ``total`` along each axis, where the standard and the runtimes agree on it. Raises TLC202 elsewhere.

    A kernel shorter than the stride may need less than nothing. The standard's formula then cuts the operand; runtimes cut
    it elsewhere, or add nothing, or refuse. The text of version 1 of Conv: "pad the input so that the output spatial size
    match the input".
    """
    short = any(t < 0 for t in total)
    call.refuse(short, f"auto_pad {mode} with a kernel shorter than the stride", PADS_DIFFER)
    old = call.op.startswith("Conv") and call.opset < 11
    call.refuse(old and any(s > 1 for s in strides), f"auto_pad {mode} with strides before opset 11", DIFFER)


def _split(total: list[int], mode: str) -> tuple[Shape, Shape]:
    """An odd total goes to the end for SAME_UPPER, to the beginning otherwise."""
    small, large = tuple(t // 2 for t in total), tuple(t - t // 2 for t in total)
    return (small, large) if mode == "SAME_UPPER" else (large, small)


def _operands(call: Call) -> tuple[Data, Known, Known | None]:
    """Operand, weight and bias, of one type."""
    weight, bias = call.known(1), call.optional_known(2)
    call.same_type(call.value(0), weight, bias)
    return call.variable(0), weight, bias


def _checked(call: Call, x: Data, weight: Known, bias: Known | None) -> tuple[Constant, Constant | None, int]:
    """Weight and bias of a convolution, and the float32 roundings that computed ones carry: each term has one of them as a
    factor."""
    shape = weight.shape
    wrong = len(shape) < 3 or len(x.shape) != len(shape)
    call.refuse_shape(wrong, f"operand {x.shape} does not fit weight {shape}")
    kernel = call.attr_ints("kernel_shape")
    wrong = kernel is not None and tuple(kernel) != shape[2:]
    call.refuse_shape(wrong, f"kernel_shape {kernel} differs from the weight's {shape[2:]}")
    call.refuse_shape(0 in shape, f"empty weight {shape}")
    if bias is None:
        return weight.constant(), None, weight.roundings
    return weight.constant(), bias.constant(), max(weight.roundings, bias.roundings)


def _groups(call: Call) -> int:
    groups = call.attr_int("group", 1)
    call.refuse_shape(groups < 1, f"group {groups} must be positive")
    return groups


def conv(call: Call) -> list[Value]:
    return [convolved(call, *_operands(call))]


def convolved(call: Call, x: Data, by: Known, bias: Known | None, exact: bool = False) -> Data:
    """The correlation that the node's attributes describe; ``exact``: of integers."""
    weight, offset, roundings = _checked(call, x, by, bias)
    kernel = kernel_of(call, weight.shape[2:])
    begin, end = padding(call, kernel.reach, kernel.strides, x.shape[2:])
    mode = auto_pad(call)
    dilated = mode in SAME and any(d > 1 for d in kernel.dilations)
    call.refuse(dilated, f"auto_pad {mode} with dilations", NO_FORM)
    op = Conv(weight, offset, kernel.strides, kernel.dilations, begin, end, _groups(call), roundings, exact)
    return call.emit(op, x)


def conv_transpose(call: Call) -> list[Value]:
    x, by, added = _operands(call)
    weight, bias, roundings = _checked(call, x, by, added)
    kernel, spatial = kernel_of(call, weight.shape[2:]), x.shape[2:]
    rank, strides = len(spatial), kernel.strides
    extra = tuple(call.attr_ints("output_padding") or (0,) * rank)
    wrong = len(extra) != rank or any(e < 0 for e in extra)
    call.refuse_shape(wrong, f"output_padding {list(extra)} must be {rank} nonnegative numbers")
    wide = any(e >= s for e, s in zip(extra, strides, strict=True))
    call.refuse(wide, f"output_padding {list(extra)} not below the strides", NO_FORM)
    parts = zip(strides, spatial, extra, kernel.reach, strict=True)
    full = [s * (n - 1) + e + r for s, n, e, r in parts]
    begin, end, extra = _transpose_padding(call, full, strides, spatial, extra)
    groups = _groups(call)
    op = ConvTranspose(weight, bias, strides, kernel.dilations, begin, end, extra, groups, roundings)
    return [call.emit(op, x)]


def _transpose_padding(
    call: Call, full: list[int], strides: Shape, spatial: Shape, extra: Shape
) -> tuple[Shape, Shape, Shape]:
    """Begin, end and output padding. ``full``: sizes without padding. output_shape or SAME fix the size.

    Read is what the standard's text, its shape inference and onnxruntime agree on; the rest is refused by name.
    """
    mode, wanted, pads = auto_pad(call), call.attr_ints("output_shape"), call.attr_ints("pads")
    both = mode != "NOTSET" and pads is not None
    call.refuse(both, f"pads together with auto_pad {mode}", PADS_DIFFER)  # of zeros too
    if wanted is None and mode not in SAME:
        return (*padding(call, (1,) * len(full), strides, spatial), extra)
    call.refuse(any(pads or ()), "pads together with output_shape")
    if wanted is None:
        why = "shape inference and runtimes differ"
        call.refuse(any(extra), f"auto_pad {mode} with output_padding", why)
        total = [f - n * s for f, n, s in zip(full, spatial, strides, strict=True)]
        _check_same(call, mode, strides, total)
    else:
        total = _total_padding(call, full, spatial, wanted)
        same, beyond = mode in SAME, any(t < 0 for t in total)
        padded = not same and any(extra) and any(t > 0 for t in total)
        call.refuse(padded, "output_shape with output_padding", PADS_DIFFER)
        # a result beyond the full one: the missing end is output padding, where tools agree on it
        extra = tuple(e + max(-t, 0) for e, t in zip(extra, total, strict=True))
        wide = any(e >= s for e, s in zip(extra, strides, strict=True))
        text = f"output_shape {wanted} beyond {full}: tools extend it differently"
        call.refuse(beyond and (same or wide), text)
        total = [max(t, 0) for t in total]
    # the text of version 1 puts the larger half at the other side than that of version 11
    odd = call.opset < 11 and any(t % 2 for t in total)
    call.refuse(odd, "an odd padding to be split before opset 11", DIFFER)
    return (*_split(total, mode), extra)


def _total_padding(call: Call, full: list[int], spatial: Shape, wanted: list[int]) -> list[int]:
    """Begin and end padding together, so that the result's sizes are output_shape. Raises TLC202, TLC204."""
    call.refuse(auto_pad(call) == "VALID", "auto_pad VALID with output_shape", PADS_DIFFER)
    wrong = len(wanted) != len(full) or any(w < 1 for w in wanted)
    call.refuse_shape(wrong, f"output_shape {wanted} must be {len(full)} positive numbers")
    below = any(w < n for w, n in zip(wanted, spatial, strict=True))
    text = f"output_shape {wanted} below the operand's {list(spatial)}"
    call.refuse(below, text, "shape inference refuses it")
    return [f - w for f, w in zip(full, wanted, strict=True)]
