"""Operators that move values: their index maps. Each works on constants and on data alike.

A lowering here gives ``Call.move`` a function that only selects and repeats entries of an array; the same function
is applied to a constant's entries or to the positions of a node's entries.
"""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import NDArray

from tlcheck.readers.onnx.call import Call
from tlcheck.readers.onnx.values import INTEGERS, Data, Known, Shape, Value
from tlcheck.trusted.ops.indexed import cut
from tlcheck.trusted.ops.structure import Rearrange


def identity(call: Call) -> list[Value]:
    return [call.value(0)]


def dropout(call: Call) -> list[Value]:
    """Inference: the identity, and from opset 12 on a mask of ones. Before, the standard does not say what the mask is
    (onnxruntime writes zeros at opset 10, ones at 7, whatever the mode): it may be named, as exporters do, but not used.
    """
    call.attr_float("ratio", 0.5)
    call.attr_int("seed", 0)
    call.optional_known(1)
    if call.opset < 12:
        call.harmless(1)
        if any(call.wanted[1:]):
            raise call.unsupported("its mask is used, which the standard does not define before opset 12")
        return [call.value(0)]
    training = call.optional_known(2)
    if training is not None and bool(training.array.any()):
        raise call.unsupported("training mode")
    x = call.value(0)
    return [x, Known(np.broadcast_to(np.array(True), x.shape), "bool")]


# shapes


def reshape(call: Call) -> list[Value]:
    x, target = call.value(0), call.ints(1)
    keep_zero = call.attr_flag("allowzero", False)
    shape = []
    for axis, n in enumerate(target):
        if n == 0 and not keep_zero:
            if axis >= len(x.shape):
                raise call.misshapen(f"{x.shape} does not reshape to {target}")
            n = x.shape[axis]
        shape.append(n)
    return [call.reshape(x, _inferred(call, x.shape, shape))]


def _inferred(call: Call, source: Shape, target: list[int]) -> Shape:
    """``target`` with its -1 replaced."""
    size, rest = prod(source), prod(n for n in target if n != -1)
    if any(n < -1 for n in target) or target.count(-1) > 1 or (-1 in target and (rest == 0 or size % rest)):
        raise call.misshapen(f"{source} does not reshape to {target}")
    return tuple(size // rest if n == -1 else n for n in target)


def flatten(call: Call) -> list[Value]:
    x, axis = call.value(0), call.attr_int("axis", 1)
    rank = len(x.shape)
    if axis < 0 and call.opset < 11:
        raise call.unsupported("a negative axis before opset 11")
    if not -rank <= axis <= rank:
        raise call.misshapen(f"axis {axis} out of range of rank {rank}")
    axis = axis + rank if axis < 0 else axis
    return [call.reshape(x, (prod(x.shape[:axis]), prod(x.shape[axis:])))]


def _listed_axes(call: Call) -> list[int] | None:
    """The axes of Squeeze and Unsqueeze: before opset 11 not negative ones."""
    axes = call.ints_of_input_or_attribute(1, "axes")
    if call.opset < 11 and any(a < 0 for a in axes or ()):
        raise call.unsupported("a negative axis before opset 11: the standard and runtimes differ")
    return axes


def squeeze(call: Call) -> list[Value]:
    x, axes = call.value(0), _listed_axes(call)
    if axes == []:
        raise call.unsupported("an empty list of axes: onnxruntime takes it for all of size 1")
    gone = (
        call.axes(axes, len(x.shape))
        if axes is not None
        else tuple(a for a, n in enumerate(x.shape) if n == 1)
    )
    if any(x.shape[a] != 1 for a in gone):
        raise call.misshapen(f"axes {gone} of {x.shape} are not of size 1")
    return [call.reshape(x, tuple(n for a, n in enumerate(x.shape) if a not in gone))]


def unsqueeze(call: Call) -> list[Value]:
    x, axes = call.value(0), _listed_axes(call)
    if axes is None:
        raise call.unsupported("no axes")
    rank = len(x.shape) + len(axes)
    added, sizes = call.axes(axes, rank), iter(x.shape)
    return [call.reshape(x, tuple(1 if a in added else next(sizes) for a in range(rank)))]


def transpose(call: Call) -> list[Value]:
    x, perm = call.value(0), call.attr_ints("perm")
    if perm is not None and sorted(perm) != list(range(len(x.shape))):
        raise call.misshapen(f"perm {perm} for rank {len(x.shape)}")
    return [call.move(x, lambda a: np.transpose(a, perm))]


def expand(call: Call) -> list[Value]:
    x, target = call.value(0), tuple(call.ints(1))
    if any(n < 0 for n in target):
        raise call.misshapen(f"negative size in {target}")
    try:
        shape = np.broadcast_shapes(x.shape, target)
    except ValueError as error:
        raise call.misshapen(f"{x.shape} does not expand to {target}") from error
    return [call.broadcast(x, shape)]


def tile(call: Call) -> list[Value]:
    x, repeats = call.value(0), call.ints(1)
    if len(repeats) != len(x.shape) or any(r < 0 for r in repeats):
        raise call.misshapen(f"repeats {repeats} for shape {x.shape}")
    call.checked(tuple(n * r for n, r in zip(x.shape, repeats, strict=True)))
    return [call.move(x, lambda a: np.tile(a, repeats))]


# joining and cutting


def concat(call: Call) -> list[Value]:
    values = call.values()
    axis = call.axis(call.required_int("axis"), len(values[0].shape))
    return [call.moves(values, lambda arrays: np.concatenate(arrays, axis=axis))]


def split(call: Call) -> list[Value]:
    x, sizes = call.value(0), call.ints_of_input_or_attribute(1, "split")
    axis = call.axis(call.attr_int("axis", 0), len(x.shape))
    total = x.shape[axis]
    if sizes is None:
        parts = call.attr_int("num_outputs", call.n_outputs)
        if parts != call.n_outputs or (total % parts and not call.has("num_outputs")):
            raise call.misshapen(f"{total} does not split into {parts} parts")
        chunk = -(-total // parts)
        sizes = [chunk] * (parts - 1) + [total - chunk * (parts - 1)]
        if sizes[-1] < min(chunk, 1):
            raise call.unsupported(f"{total} into {parts} parts of {chunk}: only the last may be smaller")
    if sum(sizes) != total or any(n < 0 for n in sizes) or len(sizes) != call.n_outputs:
        raise call.misshapen(f"{total} does not split into {sizes} for {call.n_outputs} outputs")
    results, start = [], 0
    for k, n in enumerate(sizes):
        cut = (slice(None),) * axis + (slice(start, start + n),)
        results.append(call.move(x, lambda a, cut=cut: a[cut]) if call.wanted[k] else x)  # type: ignore[misc]
        start += n
    return results


def slice_(call: Call) -> list[Value]:
    x = call.value(0)
    starts, ends = call.ints_of_input_or_attribute(1, "starts"), call.ints_of_input_or_attribute(2, "ends")
    axes, steps = call.ints_of_input_or_attribute(3, "axes"), call.optional_ints(4)
    if starts is None or ends is None:
        raise call.unsupported("no starts or ends")
    axes = list(range(len(starts))) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    call.axes(axes, len(x.shape))
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise call.misshapen("starts, ends, axes and steps differ in length, or a step is 0")
    picked = [np.arange(n) for n in x.shape]
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        picked[axis] = np.array(_taken(call, start, end, step, x.shape[axis]), np.int64)
    return [call.move(x, lambda a: a[np.ix_(*picked)])]


INT32_MAX, INT64_MAX = (1 << 31) - 1, (1 << 63) - 1


def _taken(call: Call, start: int, end: int, step: int, size: int) -> range:
    """The entries along an axis. Raises TLC202 where the standard and onnxruntime differ."""
    if step < 0 and end in (INT32_MAX, INT64_MAX):
        # the text clamps it to the last entry; onnxruntime takes it for the end in the step's direction
        raise call.unsupported(f"end {end} of a negative step: the standard and runtimes differ")
    taken = cut(start, end, step, size)
    if call.opset < 13 and taken != range(size)[start:end:step]:
        # before opset 13 the text says "similar to numpy"; onnxruntime clamps as the text of version 13
        raise call.unsupported(
            f"start {start} of a negative step before opset 13: the standard and runtimes differ"
        )
    return taken


# selection by constant indices


def _indices(call: Call, i: int) -> NDArray[np.int64]:
    known = call.known(i)
    if known.dtype not in INTEGERS:
        raise call.unsupported(f"indices of type {known.dtype}")
    return known.array.astype(np.int64)


def gather(call: Call) -> list[Value]:
    x, index = call.value(0), _indices(call, 1)
    axis = call.axis(call.attr_int("axis", 0), len(x.shape))
    call.checked(x.shape[:axis] + index.shape + x.shape[axis + 1 :])
    return [call.move(x, lambda a: np.take(a, index, axis=axis))]


def gather_elements(call: Call) -> list[Value]:
    x, index = call.value(0), _indices(call, 1)
    axis = call.axis(call.attr_int("axis", 0), len(x.shape))
    if len(index.shape) != len(x.shape) or any(
        i > n for a, (i, n) in enumerate(zip(index.shape, x.shape, strict=True)) if a != axis
    ):
        raise call.misshapen(f"indices of shape {index.shape} for data {x.shape}")
    where: list[NDArray[np.int64]] = list(np.indices(index.shape, sparse=True))
    where[axis] = index
    return [call.move(x, lambda a: a[tuple(where)])]


def gather_nd(call: Call) -> list[Value]:
    x, index = call.value(0), _indices(call, 1)
    batch = call.attr_int("batch_dims", 0)
    if not 0 <= batch < min(len(x.shape), len(index.shape)) or x.shape[:batch] != index.shape[:batch]:
        raise call.misshapen(f"batch_dims {batch} for shapes {x.shape} and {index.shape}")
    if not 1 <= index.shape[-1] <= len(x.shape) - batch:
        raise call.misshapen(f"indices of shape {index.shape} for data {x.shape}")
    call.checked(index.shape[:-1] + x.shape[batch + index.shape[-1] :])
    grid = np.indices(index.shape[:-1], sparse=True)[:batch]
    return [call.move(x, lambda a: a[(*grid, *np.moveaxis(index, -1, 0))])]


def scatter_nd(call: Call) -> list[Value]:
    """Constant, distinct indices; no reduction."""
    x, index, updates = call.value(0), _indices(call, 1), call.value(2)
    if call.attr_str("reduction", "none") != "none":
        raise call.unsupported("reduction")
    depth = index.shape[-1] if index.shape else 0
    if not 1 <= depth <= len(x.shape) or updates.shape != index.shape[:-1] + x.shape[depth:]:
        raise call.misshapen(f"indices {index.shape} and updates {updates.shape} for data {x.shape}")
    rows = index.reshape(-1, depth)
    rows = np.where(rows < 0, rows + np.array(x.shape[:depth]), rows)
    if len(np.unique(rows, axis=0)) != len(rows):
        raise call.unsupported("duplicate indices")

    def scattered(arrays: list[NDArray[np.generic]]) -> NDArray[np.generic]:
        result = np.array(arrays[0])
        result[tuple(np.moveaxis(index, -1, 0))] = arrays[1]
        return result

    return [call.moves([x, updates], scattered)]


def scatter_elements(call: Call) -> list[Value]:
    """Constant, distinct places; no reduction."""
    x, index, updates = call.value(0), _indices(call, 1), call.value(2)
    if call.attr_str("reduction", "none") != "none":
        raise call.unsupported("reduction")
    axis = call.axis(call.attr_int("axis", 0), len(x.shape))
    if (
        index.shape != updates.shape
        or len(index.shape) != len(x.shape)
        or any(i > n for a, (i, n) in enumerate(zip(index.shape, x.shape, strict=True)) if a != axis)
    ):
        raise call.misshapen(f"indices {index.shape} and updates {updates.shape} for data {x.shape}")
    n = x.shape[axis]
    if bool(((index < -n) | (index >= n)).any()):
        raise call.misshapen(f"an index out of range of size {n}")
    where: list[NDArray[np.int64]] = list(np.indices(index.shape))
    where[axis] = np.where(index < 0, index + n, index)
    if len(np.unique(np.stack([w.ravel() for w in where]), axis=1).T) != index.size:
        raise call.unsupported("duplicate indices")

    def scattered(arrays: list[NDArray[np.generic]]) -> NDArray[np.generic]:
        result = np.array(arrays[0])
        result[tuple(where)] = arrays[1]
        return result

    return [call.moves([x, updates], scattered)]


def compress(call: Call) -> list[Value]:
    """The entries (or slices along ``axis``) whose condition, a constant, is true."""
    x, chosen = call.value(0), call.known(1)
    if chosen.dtype != "bool" or len(chosen.shape) != 1:
        raise call.unsupported(f"condition of type {chosen.dtype}, shape {chosen.shape}")
    axis = call.axis(call.attr_int("axis", 0), len(x.shape)) if call.has("axis") else None
    return [call.move(x, lambda a: np.compress(chosen.array, a, axis=axis))]


def trilu(call: Call) -> list[Value]:
    """The upper (or lower) triangle of the last two axes from diagonal k on; zeros elsewhere."""
    x, upper = call.value(0), call.attr_flag("upper", True)
    given = call.optional_ints(1)
    k = given[0] if given else 0
    if len(x.shape) < 2 or abs(k) > 1 << 31:
        raise call.misshapen(f"operand {x.shape}, k {k}")
    if given is not None and len(given) != 1:
        raise call.misshapen(f"k {given} is not one number")
    triangle = np.tri(x.shape[-2], x.shape[-1], k - 1 if upper else k, dtype=np.bool_) != upper
    kept = np.broadcast_to(triangle, x.shape)
    if isinstance(x, Known):
        zero = Known(np.zeros((), x.array.dtype), x.dtype)
        return [call.moves([x, zero], lambda arrays: np.where(kept, *arrays))]
    if 0 in x.shape:
        raise call.unsupported("an operand without entries")
    index = np.where(kept.ravel(), np.arange(prod(x.shape), dtype=np.int64), -1)
    return [call.emit(Rearrange(x.shape, index), x)]


# padding

_NUMPY_MODES = {"reflect": "reflect", "edge": "edge", "wrap": "wrap"}


def pad(call: Call) -> list[Value]:
    x, mode = call.value(0), call.attr_str("mode", "constant")
    widths = _pad_widths(call, len(x.shape))
    fill = _pad_value(call, x)
    # negative widths remove entries
    cut = tuple(slice(max(-b, 0), n - max(-e, 0)) for n, (b, e) in zip(x.shape, widths, strict=True))
    grow = [(max(b, 0), max(e, 0)) for b, e in widths]
    if any(c.stop < c.start for c in cut):
        raise call.misshapen(f"pads {widths} remove more than {x.shape}")
    call.checked(tuple(c.stop - c.start + b + e for c, (b, e) in zip(cut, grow, strict=True)))
    if not any(b or e for b, e in widths):
        return [x]
    if mode == "constant":
        return [_padded(call, x, fill, cut, grow)]
    if mode not in _NUMPY_MODES:
        raise call.unsupported(f"mode {mode}")
    if any(b < 0 or e < 0 for b, e in widths):
        raise call.unsupported(f"negative pads in mode {mode}")
    if mode == "reflect" and any(max(w) >= n for w, n in zip(widths, x.shape, strict=True) if any(w)):
        raise call.unsupported(f"pads {widths} beyond what {x.shape} reflects: onnxruntime has no such form")
    return [call.move(x, lambda a: np.pad(a, grow, mode=_NUMPY_MODES[mode]))]  # type: ignore[call-overload]


def _pad_widths(call: Call, rank: int) -> list[tuple[int, int]]:
    pads, axes = call.ints_of_input_or_attribute(1, "pads"), call.optional_ints(3)
    if pads is None:
        raise call.unsupported("no pads")
    axes = list(range(rank)) if axes is None else axes
    call.axes(axes, rank)
    if len(pads) != 2 * len(axes):
        raise call.misshapen(f"{len(pads)} pads for {len(axes)} axes")
    widths = [(0, 0)] * rank
    for k, axis in enumerate(axes):
        widths[axis] = (pads[k], pads[k + len(axes)])
    return widths


def _pad_value(call: Call, x: Value) -> Known:
    value = call.optional_known(2)
    if value is None:
        zero = np.array(call.attr_float("value", 0.0), dtype=np.float32)
        return Known(zero if x.dtype not in INTEGERS else zero.astype(x.dtype), x.dtype)
    if value.array.size != 1:
        raise call.misshapen(f"constant_value of shape {value.shape}")
    call.same_type(x, value)
    return value.moved(lambda a: a.reshape(()))


def _padded(call: Call, x: Value, fill: Known, cut: tuple[slice, ...], grow: list[tuple[int, int]]) -> Value:
    if isinstance(x, Data) and fill.rad is None and fill.array == 0:
        index = np.arange(prod(x.shape), dtype=np.int64).reshape(x.shape)[cut]
        if not any(b or e for b, e in grow):
            return call.move(x, lambda a: a[cut])
        index = np.pad(index, grow, constant_values=-1)
        return call.emit(Rearrange(index.shape, np.ascontiguousarray(index.ravel())), x)
    return call.moves([x, fill], lambda arrays: np.pad(arrays[0][cut], grow, constant_values=arrays[1]))


# blocks


def depth_to_space(call: Call) -> list[Value]:
    x, block, mode = call.value(0), call.required_int("blocksize"), call.attr_str("mode", "DCR")
    if len(x.shape) != 4 or block < 1 or x.shape[1] % (block * block) or mode not in ("DCR", "CRD"):
        raise call.misshapen(f"blocksize {block}, mode {mode} for {x.shape}")
    b, c, h, w = x.shape
    inner = (block, block, c // block**2) if mode == "DCR" else (c // block**2, block, block)
    perm = (0, 3, 4, 1, 5, 2) if mode == "DCR" else (0, 1, 4, 2, 5, 3)
    shape = (b, c // block**2, h * block, w * block)
    return [call.move(x, lambda a: a.reshape(b, *inner, h, w).transpose(perm).reshape(shape))]


def space_to_depth(call: Call) -> list[Value]:
    x, block, mode = call.value(0), call.required_int("blocksize"), call.attr_str("mode", "DCR")
    if (
        len(x.shape) != 4
        or block < 1
        or x.shape[2] % block
        or x.shape[3] % block
        or mode not in ("DCR", "CRD")
    ):
        raise call.misshapen(f"blocksize {block}, mode {mode} for {x.shape}")
    b, c, h, w = x.shape
    inner = (b, c, h // block, block, w // block, block)
    perm = (0, 3, 5, 1, 2, 4) if mode == "DCR" else (0, 1, 3, 5, 2, 4)
    shape = (b, c * block**2, h // block, w // block)
    return [call.move(x, lambda a: a.reshape(inner).transpose(perm).reshape(shape))]
