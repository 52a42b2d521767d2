"""When an oracle's answer differs from the exact value by more than float32 explains."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.fuzz.operators.model import Case
from tests.fuzz.operators.oracles import NARROW, Exact

MOVES = {
    "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Expand", "Tile", "Concat", "Split", "Slice", "Gather",
    "GatherElements", "GatherND", "Scatter", "ScatterElements", "ScatterND", "Compress", "Trilu", "Pad", "DepthToSpace",
    "SpaceToDepth", "Dropout", "Constant", "ConstantOfShape", "Shape", "Size", "NonZero", "OneHot", "MaxPool", "GlobalMaxPool",
    "ReduceMax", "ReduceMin", "Max", "Min", "Clip", "Relu", "Abs", "Neg", "Sign", "Floor", "Ceil", "Round", "ArgMax", "ArgMin",
    "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "And", "Or", "Xor", "Not", "Where", "IsNaN", "IsInf", "Hardmax",
    "TopK",
}  # fmt: skip
"""Operators whose results no float32 execution rounds: they must agree exactly (Cast rounds, so it is not among them)."""

PRODUCTS = {
    "Gemm", "MatMul", "Conv", "ConvTranspose", "Einsum", "BatchNormalization", "AveragePool", "GlobalAveragePool", "CumSum", "Resize",
    "Upsample", "Sum", "Mean", "Add", "Sub", "LayerNormalization", "RMSNormalization", "InstanceNormalization", "GroupNormalization",
    "LpNormalization", "LRN", "ReduceSum", "ReduceMean", "ReduceL1", "ReduceL2", "ReduceSumSquare",
    "ReduceLogSum", "ReduceLogSumExp", "ReduceProd", "DequantizeLinear", "AffineGrid", "Det", "DFT", "STFT", "RNN", "GRU", "LSTM",
}  # fmt: skip
"""Sums of products: their error is relative to the sum of the terms' magnitudes."""

POLYNOMIALS = {
    "Gemm", "MatMul", "Conv", "ConvTranspose", "Einsum", "Add", "Sub", "Mul", "Sum", "CumSum", "ReduceSum", "ReduceL1", "ReduceSumSquare",
}  # fmt: skip
"""Sums of products of their operands and float attributes: exact in floating point where the numbers are short enough."""

NORMALISED = {
    "LayerNormalization", "InstanceNormalization", "GroupNormalization", "BatchNormalization",
}  # fmt: skip
"""A variance that cancels: its float32 error is divided by a root that may be as small as sqrt(epsilon)."""

FLOAT32_MAX = 3.4028235e38
LIMITS = {
    "float16": 65504.0,
    "bfloat16": 3.38e38,
    "float8_e5m2": 57344.0,
    "float8_e4m3fn": 448.0,
    "float8_e4m3fnuz": 240.0,
    "float8_e5m2fnuz": 57344.0,
}


def magnitude(case: Case) -> float:
    """The largest sum of magnitudes of terms that the operator may add up."""
    sizes = [x.value for x in case.operands if x is not None and x.value.dtype.kind == "f" and x.value.size]
    tops = [max(float(np.abs(v.astype(np.float64)).max()), 1.0) for v in sizes]
    if not tops:
        return 1.0
    if case.operator not in PRODUCTS:
        return max(tops)
    entries = max(v.size for v in sizes)
    if case.operator in ("Gemm", "MatMul", "Conv", "ConvTranspose", "Einsum", "BatchNormalization"):
        return float(np.prod(tops)) * entries
    if case.operator == "Det":
        return max(tops) ** sizes[0].shape[-1] * entries
    if case.operator in ("ReduceSumSquare", "ReduceL2", "LRN"):
        return max(tops) ** 2 * entries
    return max(tops) * entries


def is_exact(case: Case) -> bool:
    """No partial sum of the operator has more bits than the significands of the operands' type have: nothing rounds, in any order."""
    if case.operator not in POLYNOMIALS:
        return False
    values = [
        x.value for x in case.operands if x is not None and x.value.dtype.kind not in "iub" and x.value.size
    ]
    bits = min((SIGNIFICANDS.get(v.dtype.name, 0) for v in values), default=24)
    wide = [v.astype(np.float64) for v in values] + [
        np.array(a) for a in case.attributes.values() if isinstance(a, float)
    ]
    if bits == 0 or not all(np.isfinite(v).all() for v in wide):
        return False
    tops = [max(float(np.abs(v).max()), 1.0) for v in wide]
    shift = next((k for k in range(13) if all(not np.any(v * 2.0**k % 1) for v in wide)), 99)
    squares = (
        2 if case.operator in ("ReduceSumSquare", "Einsum") else 1
    )  # factors a term, or sums within sums
    terms = max((v.size for v in wide), default=1) ** squares
    return float(np.prod(tops) * 2.0 ** (shift * len(wide))) ** squares * terms < 2.0**bits


SIGNIFICANDS = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}


def tolerance(case: Case, low: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far outside the enclosure an oracle's value may lie.

    Nothing for what is only moved or chosen, or sums of products that do not round; else 1e-4 of the value and 1e-6 of the terms' magnitudes (about 16 roundings of
    float32 on the largest partial sum), 1e-3 where a variance cancels.
    """
    if case.operator in MOVES or is_exact(case):
        return np.zeros_like(low)
    terms = 1e-3 if case.operator in NORMALISED else 1e-6
    size = np.where(np.isfinite(low), np.abs(low), 0.0)
    return np.asarray(1e-4 * size + terms * max(1.0, magnitude(case)))


def difference(case: Case, exact: Exact, found: list[NDArray[Any]]) -> str | None:
    """The first difference, or None."""
    if len(found) != len(exact.shapes):
        return f"{len(found)} outputs for {len(exact.shapes)}"
    for k, (shape, low, high, theirs) in enumerate(
        zip(exact.shapes, exact.low, exact.high, found, strict=True)
    ):
        if theirs.shape != shape:
            return f"output {k}: shape {list(theirs.shape)}, exact {list(shape)}"
        values = theirs.astype(np.float64).ravel()
        allowed = tolerance(case, low)
        if theirs.dtype.kind in "iu":
            allowed = np.zeros_like(allowed)
        if theirs.dtype.name in NARROW and not (case.operator in MOVES or is_exact(case)):
            allowed = np.maximum(
                allowed, NARROW[theirs.dtype.name] * (np.where(np.isfinite(low), np.abs(low), 0.0) + 2.0**-13)
            )
        with np.errstate(invalid="ignore", over="ignore"):
            inside = (values >= low - allowed) & (values <= high + allowed)
            # infinity for what float32 cannot hold; half precision likewise
            limit = LIMITS.get(theirs.dtype.name, FLOAT32_MAX)
            inside |= np.isinf(values) & (np.sign(values) * np.where(values > 0, high, low) >= limit)
        # an entry without a value (an infinite enclosure) says nothing
        inside |= ~(np.isfinite(low) & np.isfinite(high))
        if not inside.all():
            at = int(np.flatnonzero(~inside)[0])
            place = [int(i) for i in np.unravel_index(at, shape)] if shape else []
            return f"output {k}{place}: {values[at]:.9g}, exact [{low[at]:.9g}, {high[at]:.9g}]"
    return None


def inferred_difference(exact: Exact, inferred: dict[str, Any]) -> str | None:
    """A shape that onnx's shape inference gives otherwise."""
    for k, (shape, other) in enumerate(zip(exact.shapes, inferred.values(), strict=False)):
        if other is not None and (
            len(other) != len(shape)
            or any(n is not None and n != s for n, s in zip(other, shape, strict=True))
        ):
            return f"output {k}: inferred shape {list(other)}, exact {list(shape)}"
    return None


def outside(exact: Exact, ends: list[tuple[NDArray[Any], NDArray[Any]]]) -> str | None:
    """An exact value that proved bounds on a box around the point leave out."""
    for k, ((lower, upper), low, high) in enumerate(zip(ends, exact.low, exact.high, strict=True)):
        wrong = np.isfinite(low) & ((lower > high) | (upper < low))
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            return f"output {k}, entry {at}: bounds [{lower[at]:.17g}, {upper[at]:.17g}], exact [{low[at]:.17g}, {high[at]:.17g}]"
    return None


def beyond(found: list[NDArray[Any]], ends: list[tuple[NDArray[Any], NDArray[Any]]]) -> str | None:
    """A float32 execution's value that deployed bounds at the point leave out (finite ones: overflow is no execution)."""
    for k, (theirs, (lower, upper)) in enumerate(zip(found, ends, strict=False)):
        values = theirs.astype(np.float64).ravel()
        if values.size != lower.size or theirs.dtype == np.float16:
            continue
        wrong = np.isfinite(values) & ~((lower <= values) & (values <= upper))
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            return f"output {k}, entry {at}: {values[at]:.9g}, deployed bounds [{lower[at]:.9g}, {upper[at]:.9g}]"
    return None
