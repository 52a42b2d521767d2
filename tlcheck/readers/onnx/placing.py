"""A tensor put at a place of another, or cut to fit one: CenterCropPad, TensorScatter, Col2Im."""

from __future__ import annotations

from functools import reduce
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlcheck.readers.onnx.call import DIFFER, Call
from tlcheck.readers.onnx.convolution import kernel_of, padding
from tlcheck.readers.onnx.operands import Known, Value
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.ops.convolution import ConvTranspose


def center_crop_pad(call: Call) -> list[Value]:
    """Cut, or filled up with zeros, to a shape, around the middle; what is odd goes to the end."""
    x, wanted = call.value(0), call.ints(1)
    given = call.attr_ints("axes")
    axes = list(range(len(x.shape))) if given is None else given
    call.axes(axes, len(x.shape))
    wrong = len(wanted) != len(axes) or any(n < 1 for n in wanted)
    call.refuse_shape(wrong, f"shape {wanted} for axes {axes} of {x.shape}")
    picked = [np.arange(n) for n in x.shape]
    for axis, size in zip(axes, wanted, strict=True):
        picked[axis] = _centred(x.shape[axis], size)
    call.checked(tuple(len(p) for p in picked))
    where = np.ix_(*picked)
    inside = reduce(np.logical_and, (w >= 0 for w in where), np.array(True))
    zero = Known(np.zeros((), x.array.dtype if isinstance(x, Known) else np.float32), x.dtype)
    return [call.moves([x, zero], lambda arrays: np.where(inside, arrays[0][where], arrays[1]))]


def _centred(size: int, wanted: int) -> NDArray[np.int64]:
    """Which entries of an axis are taken; -1: none."""
    if wanted <= size:
        start = (size - wanted) // 2
        return np.arange(start, start + wanted)
    before = (wanted - size) // 2
    return np.pad(np.arange(size), (before, wanted - size - before), constant_values=-1)


def tensor_scatter(call: Call) -> list[Value]:
    """The update put into the cache along ``axis``, for each entry of the batch from an index on, which is a constant."""
    cache, update, starts = call.value(0), call.value(1), call.optional_ints(2)
    mode = call.attr_str("mode", "linear")
    call.refuse(mode not in ("linear", "circular"), f"mode {mode}")
    axis = call.axis(call.attr_int("axis", -2), len(cache.shape))
    rest = [a for a in range(len(cache.shape)) if a != axis]
    fits = len(update.shape) == len(cache.shape) and all(update.shape[a] == cache.shape[a] for a in rest)
    call.refuse_shape(
        not fits or axis == 0, f"update {update.shape} for cache {cache.shape} along axis {axis}"
    )
    batch, size, length = cache.shape[0], cache.shape[axis], update.shape[axis]
    starts = [0] * batch if starts is None else starts
    last = size - (length if mode == "linear" else 1)
    wrong = len(starts) != batch or length > size or any(not 0 <= s <= last for s in starts)
    call.refuse(wrong, f"write_indices {starts} for an update of {length} in {size}")
    places = (np.array(starts)[:, None] + np.arange(length)) % size

    def written(arrays: list[NDArray[Any]]) -> NDArray[Any]:
        result = np.moveaxis(np.array(arrays[0]), axis, 1)
        result[np.arange(batch)[:, None], places] = np.moveaxis(arrays[1], axis, 1)
        return np.moveaxis(result, 1, axis)

    return [call.moves([cache, update], written)]


def col2im(call: Call) -> list[Value]:
    """Columns of blocks added up where they lie in an image: a transposed convolution with a 1 for each entry of a block."""
    x, image, block = call.variable(0), call.ints(1), call.ints(2)
    wrong = len(x.shape) != 3 or len(image) != len(block) or not block or any(n < 1 for n in (*image, *block))
    call.refuse_shape(
        wrong or x.shape[1] % prod(block) != 0, f"image {image}, block {block} for operand {x.shape}"
    )
    kernel = kernel_of(call, tuple(block))
    call.refuse(len(block) == 1 and kernel.dilations != (1,), "dilations along one axis", DIFFER)
    begin, end = padding(call, kernel.reach, kernel.strides, tuple(image))
    parts = list(zip(image, begin, end, kernel.reach, kernel.strides, strict=True))
    call.refuse_shape(
        any(n + b + e < r for n, b, e, r, _ in parts), f"block {block} larger than the image {image}"
    )
    counts = tuple((n + b + e - r) // s + 1 for n, b, e, r, s in parts)
    call.refuse_shape(prod(counts) != x.shape[2], f"{prod(counts)} blocks for operand {x.shape}")
    extra = tuple((n + b + e - r) % s for n, b, e, r, s in parts)
    channels = x.shape[1] // prod(block)
    ones = np.tile(np.eye(prod(block), dtype=np.float32), (channels, 1)).reshape(-1, 1, *block)
    spread = call.data(call.reshape(x, (x.shape[0], x.shape[1], *counts)))
    op = ConvTranspose(Constant(ones), None, kernel.strides, kernel.dilations, begin, end, extra, channels)
    return [call.emit(op, spread)]
