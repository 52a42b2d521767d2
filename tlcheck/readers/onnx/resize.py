"""Resize and Upsample: nearest neighbour and linear interpolation, as the affine maps that they are.

The operand's coordinate of each result is computed in exact rationals from the scale as stored (or the ratio of the
sizes). Linear weights are continuous in it: what float32 may make of them is in the constants' radii, except where float32
computes them exactly. Nearest neighbours are not: a coordinate so near to a step that float32 may choose another neighbour is
refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray

from tlcheck.limits import MAX_TENSOR_ELEMENTS
from tlcheck.readers.onnx.call import Call
from tlcheck.readers.onnx.matrices import along
from tlcheck.readers.onnx.operands import FLOAT32_UNIT, Known, Shape, Value
from tlcheck.trusted.arith.formula import Rationals

HALF = Fraction(1, 2)

Frame = Callable[[int, Fraction, int, int], Fraction]
"""(place in the result, scale, operand's size, result's size) -> coordinate in the operand."""


FRAMES: dict[str, Frame] = {
    "half_pixel": lambda i, s, n, m: (i + HALF) / s - HALF,
    "half_pixel_symmetric": lambda i, s, n, m: Fraction(n, 2) * (1 - m / (n * s)) + (i + HALF) / s - HALF,
    "pytorch_half_pixel": lambda i, s, n, m: (i + HALF) / s - HALF if m > 1 else Fraction(0),
    "align_corners": lambda i, s, n, m: Fraction(i * (n - 1), m - 1) if m > 1 else Fraction(0),
    "asymmetric": lambda i, s, n, m: i / s,
}

NEAREST: dict[str, tuple[Callable[[Fraction], int], Fraction]] = {
    "round_prefer_floor": (lambda x: ceil(x - HALF), HALF),
    "round_prefer_ceil": (lambda x: floor(x + HALF), HALF),
    "floor": (floor, Fraction(0)),
    "ceil": (ceil, Fraction(0)),
}
"""A coordinate's neighbour, and where between whole numbers it steps."""


def upsample(call: Call) -> list[Value]:
    """Resize as it was before opset 10: coordinates i / scale."""
    x, mode, scales = call.value(0), call.attr_str("mode", "nearest"), call.attr_floats("scales")
    scales = _floats(call, call.known(1)) if scales is None else scales
    call.refuse(any(s < 1 for s in scales), f"scales {scales} below 1")
    call.refuse_shape(len(scales) != len(x.shape), f"{len(scales)} scales for shape {x.shape}")
    targets = [_by_scale(call, n, s) for n, s in zip(x.shape, scales, strict=True)]
    return [_resized(call, x, targets, mode, "asymmetric", "floor")]


def resize(call: Call) -> list[Value]:
    x = call.value(0)
    # of other modes only
    call.attr_float("cubic_coeff_a", -0.75)
    call.attr_float("extrapolation_value", 0.0)
    for flag in ("antialias", "exclude_outside"):
        call.refuse(call.attr_flag(flag, False), "antialias or exclude_outside")
    call.refuse(call.attr_str("keep_aspect_ratio_policy", "stretch") != "stretch", "keep_aspect_ratio_policy")
    frame = call.attr_str("coordinate_transformation_mode", "half_pixel" if call.opset > 10 else "asymmetric")
    nearest = call.attr_str("nearest_mode", "round_prefer_floor" if call.opset > 10 else "floor")
    if call.opset > 10:
        call.optional(1)
    return [_resized(call, x, _targets(call, x.shape), call.attr_str("mode", "nearest"), frame, nearest)]


Target = tuple[int, Fraction]
"""(size of the result, scale) along one axis."""


def _targets(call: Call, shape: Shape) -> list[Target]:
    """One per axis, from scales or sizes of the axes given."""
    given = call.attr_ints("axes")
    axes = list(range(len(shape))) if given is None else [call.axis(a, len(shape)) for a in given]
    scales, sizes = call.optional_known(2 if call.opset > 10 else 1), call.optional_ints(3)
    by_scale = scales is not None and scales.array.size > 0
    call.refuse(by_scale and bool(sizes), "scales and sizes together: only one of them may be there")
    factors = _floats(call, scales) if scales is not None and by_scale else sizes
    if factors is None:
        raise call.unsupported("neither scales nor sizes")
    if len(factors) != len(axes) or len(set(axes)) != len(axes) or 0 in shape or any(f <= 0 for f in factors):
        raise call.misshapen(f"factors {factors} for axes {axes} of {shape}")
    result: list[Target] = [(n, Fraction(1)) for n in shape]
    for a, f in zip(axes, factors, strict=True):
        result[a] = _by_scale(call, shape[a], f) if by_scale else (int(f), Fraction(int(f), shape[a]))
    return result


def _by_scale(call: Call, n: int, s: float) -> Target:
    """Sizes are floor(n s): refused where runtimes, which multiply in float32, get another one."""
    call.refuse(not 0 < s <= MAX_TENSOR_ELEMENTS, f"scale {s}")
    size = floor(n * Fraction(s))
    rounded = {floor(np.float32(n) * np.float32(s)), floor(np.float64(n) * np.float64(s))}
    text = f"size {n} times scale {s:.9g}, rounded down, is {size} exactly and another in float32"
    call.refuse(rounded != {size}, text)
    return size, Fraction(s)


def _floats(call: Call, known: Known) -> list[float]:
    call.refuse(
        not (known.is_float and known.is_exact and len(known.shape) == 1), "scales that are not exact numbers"
    )
    return [float(v) for v in known.array.tolist()]


def _resized(call: Call, x: Value, targets: list[Target], mode: str, frame: str, nearest: str) -> Value:
    call.checked(tuple(m for m, _ in targets))
    unread = mode not in ("nearest", "linear") or frame not in FRAMES or nearest not in NEAREST
    call.refuse(unread, f"mode {mode}, {frame}, {nearest}")
    call.refuse(frame == "half_pixel_symmetric" and call.opset < 19, f"{frame} before opset 19")
    call.refuse_shape(any(m < 1 for m, _ in targets), f"sizes {[m for m, _ in targets]}")
    if frame == "align_corners" and any(n * s != m for n, (m, s) in zip(x.shape, targets, strict=True)):
        raise call.unsupported("align_corners with a scale that does not give a whole size")
    changed = [a for a, (m, s) in enumerate(targets) if (m, s) != (x.shape[a], Fraction(1))]
    if tuple(m for m, _ in targets) == x.shape and any(x.shape[a] > 1 for a in changed):
        raise call.unsupported("scales that leave every size as it is: onnxruntime takes them for 1")
    if call.opset <= 10 and mode == "nearest" and any(s < 1 < (1 / s).denominator for _, s in targets):
        raise call.unsupported("opset 10 does not say which neighbour; onnxruntime's is the one above")
    if mode == "linear":
        call.require_float(x)
        for a in changed:
            x = _interpolated(call, x, a, *targets[a], frame)
        return x
    picked = [np.arange(n) for n in x.shape]
    for a in changed:
        picked[a] = _neighbours(call, x.shape[a], *targets[a], frame, nearest)
    return call.move(x, lambda v: v[np.ix_(*picked)])


def _exact_in_float32(s: Fraction, frame: str) -> bool:
    """Coordinates are small dyadic numbers, whatever the order of the operations."""
    small = s.numerator.bit_count() == 1 and s.denominator.bit_count() == 1 and 2**-10 <= s <= 2**10
    return small and frame in ("half_pixel", "pytorch_half_pixel", "asymmetric")


def _uncertainty(n: int) -> Fraction:
    """How far a float32 coordinate, at most n or so, may be off: eight roundings of it, two more than any frame makes."""
    return Fraction(FLOAT32_UNIT) * 8 * (n + 1)


def _neighbours(call: Call, n: int, m: int, s: Fraction, frame: str, nearest: str) -> NDArray[np.int64]:
    call.foldable(m)
    rule, step = NEAREST[nearest]
    off = Fraction(0) if _exact_in_float32(s, frame) else _uncertainty(n)
    # i / s of whole i and s: a quotient rounded to nearest does not leave the right side of a whole number
    divides = frame == "asymmetric" and nearest == "floor" and s.denominator == 1

    def neighbour(x: Fraction) -> int:
        return min(max(rule(x), 0), n - 1)

    found = []
    for i in range(m):
        x = FRAMES[frame](i, s, n, m)
        near = abs(x - step - round(x - step)) <= off
        undecided = off and near and not divides and neighbour(x - off) != neighbour(x + off)
        call.refuse(bool(undecided), f"{frame} with {nearest}: coordinate {float(x)} is at a step")
        found.append(neighbour(x))
    return np.array(found, np.int64)


def _interpolated(call: Call, x: Value, axis: int, m: int, s: Fraction, frame: str) -> Value:
    """(1 - t) x[j] + t x[j + 1] along ``axis`` at coordinate j + t, cut to the operand: a product with a matrix (n, m)."""
    n = x.shape[axis]
    call.foldable(n * m)
    weight, radius, exactly = np.zeros((n, m)), np.zeros((n, m)), [Fraction(0)] * (n * m)
    exact = _exact_in_float32(s, frame)
    off = _uncertainty(n)
    for i in range(m):
        place = min(max(FRAMES[frame](i, s, n, m), Fraction(0)), Fraction(n - 1))
        j = min(floor(place), n - 1)
        for k, t in ((j, 1 - (place - j)), (j + 1, place - j)):
            if t:
                weight[k, i], exactly[k * m + i] = float(t), t
                radius[k, i] = 0.0 if Fraction(float(t)) == t else 2.0**-53
        if not exact:  # float32 may find the place in the next cell on either side
            radius[max(j - 1, 0) : j + 3, i] += float(off) + 2 * FLOAT32_UNIT
    known = Known(weight, x.dtype, None, 4)
    if radius.any():
        known = replace(known, rad=radius, formula=Rationals((n, m), tuple(exactly)))
    return along(call, x, axis, known)
