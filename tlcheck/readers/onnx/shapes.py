"""Operators that give values another shape or order, join and cut them. Each works on constants and on data alike.

A lowering here gives ``Call.move`` a function that only selects and repeats entries of an array; the same function
is applied to a constant's entries or to the positions of a node's entries.
"""

from __future__ import annotations

from math import prod

import numpy as np

from tlcheck.readers.onnx.call import DIFFER, Call
from tlcheck.readers.onnx.operands import Known, Shape, Value


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
        text = "its mask is used, which the standard does not define before opset 12"
        call.refuse(any(call.wanted[1:]), text)
        return [call.value(0)]
    training = call.optional_known(2)
    call.refuse(training is not None and bool(training.array.any()), "training mode")
    x = call.value(0)
    return [x, Known(np.broadcast_to(np.array(True), x.shape), "bool")]


# shapes


def reshape(call: Call) -> list[Value]:
    x, target = call.value(0), call.ints(1)
    text = f"{x.shape} does not reshape to {target}"
    if not call.attr_flag("allowzero", False):
        call.refuse_shape(any(n == 0 for n in target[len(x.shape) :]), text)
        target = [n or x.shape[axis] for axis, n in enumerate(target)]
    return [call.reshape(x, _inferred(call, x.shape, target))]


def _inferred(call: Call, source: Shape, target: list[int]) -> Shape:
    """``target`` with its -1 replaced."""
    size, rest = prod(source), prod(n for n in target if n != -1)
    wrong = any(n < -1 for n in target) or target.count(-1) > 1
    open_ = -1 in target and (rest == 0 or size % rest != 0)
    call.refuse_shape(wrong or open_, f"{source} does not reshape to {target}")
    return tuple(size // rest if n == -1 else n for n in target)


def flatten(call: Call) -> list[Value]:
    x, axis = call.value(0), call.attr_int("axis", 1)
    rank = len(x.shape)
    call.refuse(axis < 0 and call.opset < 11, "a negative axis before opset 11")
    call.refuse_shape(not -rank <= axis <= rank, f"axis {axis} out of range of rank {rank}")
    axis = axis + rank if axis < 0 else axis
    return [call.reshape(x, (prod(x.shape[:axis]), prod(x.shape[axis:])))]


def _listed_axes(call: Call) -> list[int] | None:
    """The axes of Squeeze and Unsqueeze: before opset 11 not negative ones."""
    axes = call.ints_of_input_or_attribute(1, "axes")
    old = call.opset < 11 and any(a < 0 for a in axes or ())
    call.refuse(old, "a negative axis before opset 11", DIFFER)
    return axes


def squeeze(call: Call) -> list[Value]:
    x, axes = call.value(0), _listed_axes(call)
    call.refuse(axes == [], "an empty list of axes: onnxruntime takes it for all of size 1")
    ones = [a for a, n in enumerate(x.shape) if n == 1]
    gone = call.axes(ones if axes is None else axes, len(x.shape))
    call.refuse_shape(any(x.shape[a] != 1 for a in gone), f"axes {gone} of {x.shape} are not of size 1")
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
    call.refuse_shape(any(n < 0 for n in target), f"negative size in {target}")
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
        parts = call.attr_int("num_outputs", len(call.outputs))
        if parts != len(call.outputs) or (total % parts and not call.has("num_outputs")):
            raise call.misshapen(f"{total} does not split into {parts} parts")
        chunk = -(-total // parts)
        sizes = [chunk] * (parts - 1) + [total - chunk * (parts - 1)]
        if sizes[-1] < min(chunk, 1):
            raise call.unsupported(f"{total} into {parts} parts of {chunk}: only the last may be smaller")
    if sum(sizes) != total or any(n < 0 for n in sizes) or len(sizes) != len(call.outputs):
        raise call.misshapen(f"{total} does not split into {sizes} for {len(call.outputs)} outputs")
    places = np.split(np.arange(total), np.cumsum(sizes)[:-1])

    def part(k: int) -> Value:
        return call.move(x, lambda a: np.take(a, places[k], axis)) if call.wanted[k] else x

    return [part(k) for k in range(len(sizes))]


def blocks(call: Call) -> list[Value]:
    """DepthToSpace, and SpaceToDepth, which undoes it."""
    x, n, mode = call.value(0), call.required_int("blocksize"), call.attr_str("mode", "DCR")
    deep = call.op == "DepthToSpace"
    divided = [(1, n * n)] if deep else [(2, n), (3, n)]
    if len(x.shape) != 4 or n < 1 or any(x.shape[a] % k for a, k in divided) or mode not in ("DCR", "CRD"):
        raise call.misshapen(f"blocksize {n}, mode {mode} for {x.shape}")
    b, c, h, w = x.shape
    if deep:
        c = c // n**2
        inner, perm = ((n, n, c), (0, 3, 4, 1, 5, 2)) if mode == "DCR" else ((c, n, n), (0, 1, 4, 2, 5, 3))
        split, shape = (b, *inner, h, w), (b, c, h * n, w * n)
    else:
        perm = (0, 3, 5, 1, 2, 4) if mode == "DCR" else (0, 1, 3, 5, 2, 4)
        split, shape = (b, c, h // n, n, w // n, n), (b, c * n**2, h // n, w // n)
    return [call.move(x, lambda a: a.reshape(split).transpose(perm).reshape(shape))]
