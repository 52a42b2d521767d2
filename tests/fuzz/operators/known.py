"""The oracles' own defects: where one of them differs from the standard's text, and by which sentence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.fuzz.operators.model import Case


@dataclass(frozen=True)
class Defect:
    """``oracle`` (a name of ``oracles.RUNNERS``, or the beginning of some, or "inference") is wrong about what ``applies`` says.

    ``applies`` gets the case and the text of the difference. The model still needs another oracle that agrees, or it counts as
    unconfirmed.
    """

    operators: str
    oracle: str
    applies: Callable[[Case, str], bool]
    reason: str


def _attribute(case: Case, name: str, default: Any) -> Any:
    return case.attributes.get(name, default)


def _operand(case: Case, i: int) -> Any:
    x = case.operands[i] if i < len(case.operands) else None
    return None if x is None else x.value


def _one_entry_of_a_fraction(case: Case, text: str) -> bool:
    """A scale that gives one entry by rounding down."""
    scales = _operand(case, 2)
    if _attribute(case, "coordinate_transformation_mode", "") != "pytorch_half_pixel" or scales is None:
        return False
    axes = _attribute(case, "axes", list(range(len(scales))))
    sizes = [_operand(case, 0).shape[a] * float(s) for a, s in zip(axes, scales, strict=False)]
    return any(1 < s < 2 for s in sizes)


def _backwards(case: Case, text: str) -> bool:
    steps = _operand(case, 4)
    return steps is not None and bool((steps < 0).any())


DEFECTS: list[Defect] = [
    Defect("RNN GRU LSTM", "reference", lambda case, _: not {"activations", "clip"}.isdisjoint(case.attributes),
           "'activations: A list of ... activation functions', 'clip: ... is applied to the input of activations'; it takes the usual "
           "functions and no clip"),
    Defect("STFT", "inference", lambda case, _: _attribute(case, "onesided", 1) == 1,
           "'the output has the shape: [batch_size][frames][dft_unique_bins][2], where dft_unique_bins is frame_length // 2 + 1'; it "
           "counts one more"),
    Defect("Loop", "reference", lambda case, _: _operand(case, 1) is None,
           "'input (trip_count, \"\") // for loop'; without a condition it never runs the body"),
    Defect("Loop", "reference", lambda case, text: "shape" in text and any(x is not None and x.value.ndim == 0 for x in case.operands[2:]),
           "'scan_outputs ... the value of each at the end of each iteration is concatenated' along a new first axis; it gives single numbers "
           "another axis of size 1"),
    Defect("Softmax LogSoftmax Hardmax", "reference", lambda case, _: case.opset < 13,
           "before version 13 'the input is coerced into a 2-dimensional tensor' at axis; it takes one axis"),
    Defect("LRN", "reference", lambda case, _: True,
           "'square_sum[n, c, d1, ..] = sum over max(0, c - floor((size - 1) / 2)) <= i <= min(C - 1, ..)' for every channel c; it "
           "sums for as many channels as there are batch entries"),
    Defect("LRN", "onnxruntime", lambda case, text: any(v in text for v in (": nan,", ": inf,", ": -inf,")),
           "'square_sum[..] = sum(X[n, i, d1, ..] ^ 2)' is not negative; it keeps a running sum, in which the rounding errors of large "
           "entries stay, and takes a power of 0 or of a negative number"),
    Defect("Slice", "reference", _backwards,
           "'for negative stepping, clamp starts[i] to [0, dims[axes[i]]-1] and ends[i] to [-1, dims[axes[i]]-1]'; it clamps as Python"),
    Defect("LpNormalization", "reference", lambda case, _: _attribute(case, "p", 2) == 1,
           "'Lp-normalization': the norm of order 1 is a sum of magnitudes; it adds the values with their signs"),
    Defect("GlobalMaxPool", "reference", lambda case, _: len(_operand(case, 0).shape) != 4,
           "'Output data tensor .. The output tensor has the same rank as the input'; it gives other ranks than 4 another rank"),
    Defect("MaxPool", "reference", lambda case, _: any(_attribute(case, "pads", [0])) or bool(_attribute(case, "ceil_mode", 0)),
           "'pad_shape[i] is the sum of pads along axis i'; with pads that differ, or windows that would start in the end padding "
           "('ignored'), it counts other windows"),
    Defect("LpPool", "reference", lambda case, _: bool(_attribute(case, "ceil_mode", 0)),
           "'ceil_mode: Whether to use ceil or floor (default) to compute the output shape': a window that ends beyond the operand has the "
           "entries that are there; it gives some of them another sum"),
    Defect("ConvTranspose", "reference", lambda case, _: _attribute(case, "group", 1) > 1 and len(case.operands) > 2,
           "'B: Optional 1D bias to be added to the convolution, has size of M'; with groups it adds the bias's first part to each"),
    Defect("BatchNormalization", "reference", lambda case, _: 9 <= case.opset < 14,
           "'Output case #2: Y (test mode)': one output is test mode; it trains whenever momentum has a value, which it has by default"),
    Defect("MatMul", "onnxruntime", lambda case, _: _operand(case, 0).size == 0 and _operand(case, 1).size == 0,
           "'Matrix product that behaves like numpy.matmul'; with an inner size of 0 it does not broadcast the batch"),
    Defect("OneHot", "reference", lambda case, _: _operand(case, 2).dtype.kind == "f",
           "'values: [off_value, on_value]' are the entries; it computes off + (on - off) code, rounded"),
    Defect("Unsqueeze", "reference", lambda case, _: case.opset < 13 and len(case.attributes["axes"]) > 1,
           "'The order of values in axes does not matter': they are places in the result; it inserts one after the other"),
    Defect("Resize", "reference", _one_entry_of_a_fraction,
           "pytorch_half_pixel: 'length_resized > 1 ? (x_resized + 0.5) / scale - 0.5 : 0'; it compares scale times length with 1"),
    Defect("Squeeze", "inference", lambda case, _: case.opset < 13 and case.attributes["axes"] != sorted(case.attributes["axes"]),
           "'List of non-negative integers, indicate the dimensions to squeeze', in any order; it finds them in rising order only"),
    Defect("Shape", "reference", lambda case, _: min(_attribute(case, "end", 0), _attribute(case, "start", 0)) < -len(_operand(case, 0).shape),
           "'start/end values are clamped to the range [0, r]'; it takes them as Python's slices do"),
]  # fmt: skip


def reason(case: Case, oracle: str, text: str) -> str | None:
    """Why the oracle's difference counts for nothing, if it does."""
    for defect in DEFECTS:
        if (
            case.operator in defect.operators.split()
            and oracle.startswith(defect.oracle)
            and defect.applies(case, text)
        ):
            return defect.reason
    return None
