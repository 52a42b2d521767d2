"""The ONNX project's own operator tests, against the reader and a plain evaluator of its graph.

Every single-node test of an operator in LOWERINGS runs in each *role* it allows: one float input variable and the
rest constant, several variable, or all constant (then the reader folds). What the reader refuses is listed in
REFUSED with the reason, and must be refused.
"""

from __future__ import annotations

import functools
import re
import warnings
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.numpy_eval import evaluate
from tlcheck.errors import InvalidInput
from tlcheck.readers.onnx import LOWERINGS, read_model

FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE)

SYMMETRIC = {
    "Add", "Sub", "Max", "Min", "Sum", "Mean", "Concat", "Where", "ScatterND", "Mul", "Div", "MatMul", "Gemm",
    "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Pow", "LayerNormalization", "GroupNormalization",
    "InstanceNormalization", "RMSNormalization", "Einsum", "ScatterElements", "RotaryEmbedding", "SwiGLU",
    "TensorScatter",
}  # fmt: skip
"""Operators whose every float operand may be variable."""
CONSTANT_ONLY = {
    "BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor",
    "Constant", "ConvInteger", "DequantizeLinear", "MatMulInteger", "Mod", "NonZero", "OneHot", "QLinearConv", "QLinearMatMul", "Range",
}  # fmt: skip
"""Operators that the reader only folds, or that take constants but for integers of the network."""

UNREAD_TYPE = (
    "element type that the reader does not read (float8, 4-bit, string, complex, sequence, optional)"
)
TRAINING = "training mode"
EMPTY = "data without entries, or the sum of none"
SHAPES_ONLY = "folded for integers only: shape arithmetic"
EMPTY_ROW = "a query that attends to no key: the standard did not say what it gets"
SHIFTS = "a shift of a negative integer, or by as many bits as there are: not defined before opset 28"
RESIZED = "cubic, cropped or antialiased, or a coordinate at a step that float32 does not decide"

REFUSED: list[tuple[str, str, str]] = [
    # (test name, role, both regular expressions; reason)
    (
        r"test_(cast|castlike)_.*(FLOAT8|FLOAT4|INT4|INT2|STRING|E8M0|e8m0|e2m1|float8|BFLOAT16).*",
        r".*",
        UNREAD_TYPE,
    ),
    (r"test_(cast|castlike)_DOUBLE_to_(FLOAT16|FLOAT)(_expanded)?", r"first", "narrowing of data"),
    (r"test_batchnorm.*training.*|test_training_dropout.*", r".*", TRAINING),
    (r"test_maxpool_with_argmax.*", r".*", "Indices is not a real function"),
    (r"test_identity_(sequence|opt)|test_equal_string.*", r".*", UNREAD_TYPE),
    (r"test_.*_empty_set.*|test_reshape_allowzero_reordered|test_split_zero_size.*", r"first", EMPTY),
    (r"test_reduce_.*_empty_set(_non_reduced_axis_zero)?", r"none", EMPTY),
    (r"test_reduce_(max|min)_(bool_inputs|empty_set_bool)", r".*", "a reduction of booleans"),
    (
        r"test_range_.*float.*|test_mod_.*float.*|test_mod_int64_fmod",
        r"none",
        SHAPES_ONLY,
    ),
    (r"test_maxpool_2d_uint8", r".*", SHAPES_ONLY),
    (
        r"test_attention_.*(mask_causal|causal_(nonpad|with_past).*|causal_padded_kv.*|nonpad_decode|with_past|ext_cache_.*)",
        r".*",
        "is_causal after keys that came before",
    ),
    (
        r"test_attention_.*(nan_robustness|mode3_zero|mode3_softmax_precision|gqa_rank4_mask)",
        r".*",
        EMPTY_ROW,
    ),
    (r"test_attention_local_window_rank1_boolean_mask", r".*", "a mask that onnxruntime does not repeat"),
    (r"test_bitshift_.*(ge_width|negative_shift|negative_input|int8_overflow|int32_overflow)", r".*", SHIFTS),
    (r"test_resize_.*(cubic|crop_and_resize|not_larger|not_smaller|antialias).*", r".*", RESIZED),
    (r"test_resize_downsample_scales_linear_align_corners", r".*", "2.4 entries between aligned corners"),
    (r"test_resize_downsample_sizes_nearest|test_resize_upsample_sizes_nearest(_axes_._.)?", r".*", RESIZED),
    (r"test_resize_upsample_sizes_nearest_floor_align_corners", r".*", RESIZED),
    (r"test_pow", r"second", "a power of 0 with a variable exponent"),
    (r"test_pow_types_(float64|int(32|64)_.*)", r".*", "a power of integers"),
    (r"test_cumsum_.*int32.*", r".*", "a sum of integers"),
    (r"test_(de)?quantizelinear_(e4m3|e5m2|u?int[24]|float[46]|blocked).*", r".*", UNREAD_TYPE),
    (r"test_qlinearmatmul_.*float16", r".*", "scales that are not float32"),
    (r"test_quantizelinear(_u?int16)?", r"none", "a constant half way between two integers, cast"),
    (r"test_einsum_batch_diagonal", r".*", "a letter twice in a term"),
    (r"test_onehot_with_(negative_)?axis", r".*", "indices that are floats"),
    (r"test_scatter_elements_with_(duplicate|reduction).*", r".*", "a reduction of scattered values"),
    (r"test_if_(seq|opt)|test_loop(13_seq|16_seq_none)", r".*", UNREAD_TYPE),
    (r"test_dft_irfft(_opset19)?", r".*", "an inverse of one side"),
    (r"test_scan_sum", r".*", "the form of opset 8, with a batch"),
    (r"test_scatternd_(add|multiply|max|min).*", r".*", "a reduction of scattered values"),
]

ROUNDED = {
    "test_swiglu_float16": 1e-3,
    "test_gridsample_bicubic": 1e-4,
    "test_celu_float16": 1e-3,
    "test_celu_bfloat16": 2e-2,
    "test_einsum_batch_matmul_bfloat16": 2e-2,
    "test_einsum_sum_bfloat16": 2e-2,
    **dict.fromkeys(["test_attention_4d_fp16", "test_attention_4d_gqa_with_past_and_present_fp16"], 2e-3),
    **dict.fromkeys(["test_attention_4d_causal_fp16"], 2e-3),
    **{
        f"test_attention_{kind}_bf16": 2e-2
        for kind in ("3d_causal", "4d_causal", "4d_padded_kv", "4d_attn_mask_causal")
    },
    "test_averagepool_2d_ceil_last_window_starts_on_pad": 1e-4,
    **dict.fromkeys(
        [
            "test_cast_FLOAT_to_FLOAT16",
            "test_castlike_FLOAT_to_FLOAT16",
            "test_castlike_FLOAT_to_FLOAT16_expanded",
        ],
        5e-4,
    ),
}
"""Tests whose expected output has few digits only."""


@functools.cache
def every_case() -> dict[str, Any]:
    """Every ONNX test of an operator, or of one written out, by name."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {test.name: test for test in collect_testcases(None) if test.model is not None}


@functools.cache
def cases() -> dict[str, Any]:
    """Every single-node ONNX test of a supported operator, by name."""
    return {name: test for name, test in every_case().items() if is_ours(test.model)}


LEFT_OUT = {
    "test_dynamicquantizelinear": "-2.5 / (5 / 255) is half way between two integers, and a little less in float32",
    "test_l2normalization_axis_0": "a vector of norm 0 has no direction",
    **dict.fromkeys(
        [
            "test_cast_FLOAT_to_BFLOAT16",
            "test_castlike_FLOAT_to_BFLOAT16",
            "test_castlike_FLOAT_to_BFLOAT16_expanded",
        ],
        "an output that numpy has no type for",
    ),
}
"""Tests at a point where the function is not defined, or that cannot be compared."""


def is_ours(proto: onnx.ModelProto) -> bool:
    nodes = proto.graph.node
    return len(nodes) == 1 and not nodes[0].domain and nodes[0].op_type in LOWERINGS and not proto.functions


def float_inputs(test: Any) -> list[str]:
    """Operands that may be variable; CastLike's second operand gives its type only."""
    inputs = test.model.graph.input[:1] if "castlike" in test.name else test.model.graph.input
    return [i.name for i in inputs if i.type.tensor_type.elem_type in FLOATS]


def roles(test: Any) -> list[str]:
    operator = test.model.graph.node[0].op_type
    floats = float_inputs(test)
    if operator in CONSTANT_ONLY or not floats:
        return ["none"]
    if operator == "Attention":
        return ["all"]
    chosen = ["first", "none"]
    if operator in SYMMETRIC and len(floats) > 1:
        chosen.append("second")
    if operator in SYMMETRIC and len(floats) > 1:
        chosen.append("all")
    return chosen


def variable_inputs(test: Any, role: str) -> list[str]:
    floats = float_inputs(test)
    return {"first": floats[:1], "second": floats[1:2], "all": floats, "none": []}[role]


def with_role(test: Any, arrays: list[Any], variable: list[str]) -> onnx.ModelProto:
    """The test's model with all inputs but ``variable`` made initializers and its outputs cast to double."""
    model = onnx.ModelProto()
    model.CopyFrom(test.model)
    for entry in model.opset_import:
        entry.version = max(entry.version, 7)  # Not has been the same since 1
    graph = model.graph
    kept = [i for i in graph.input if i.name in variable or not i.type.HasField("tensor_type")]
    graph.initializer.extend(
        as_tensor(array, info.name)
        for info, array in zip(test.model.graph.input, arrays, strict=True)
        if info not in kept
    )
    del graph.input[:]
    graph.input.extend(kept or [helper.make_tensor_value_info("unused input", TensorProto.FLOAT, [1])])
    outputs = list(graph.output)
    del graph.output[:]
    for info in outputs:
        graph.node.append(
            helper.make_node("Cast", [info.name], [f"{info.name} as double"], to=TensorProto.DOUBLE)
        )
        graph.output.append(helper.make_tensor_value_info(f"{info.name} as double", TensorProto.DOUBLE, None))
    return model


def as_tensor(value: Any, name: str) -> TensorProto:
    """Tests of types that numpy lacks hold protobuf tensors already."""
    if not isinstance(value, TensorProto):
        return numpy_helper.from_array(np.asarray(value), name)
    tensor = TensorProto()
    tensor.CopyFrom(value)
    tensor.name = name
    return tensor


def finite_entries(x: Any, y: Any) -> tuple[Any, Any]:
    """x and y = f(x), with 0 wherever either is NaN or infinite: the reader refuses those as no real numbers."""
    readable = (*FLOATS, TensorProto.FLOAT16)
    if any(isinstance(v, TensorProto) and v.data_type not in readable for v in (x, y)):
        return x, y
    x, y = (numpy_helper.to_array(v) if isinstance(v, TensorProto) else np.asarray(v) for v in (x, y))
    if x.dtype.kind != "f" or y.dtype.kind != "f":
        return x, y
    keep = np.isfinite(x) & np.isfinite(y)
    return np.where(keep, x, x.dtype.type(0)), np.where(keep, y, y.dtype.type(0))


def as_array(value: Any) -> Any:
    return np.asarray(numpy_helper.to_array(value) if isinstance(value, TensorProto) else value, np.float64)


def run(test: Any, role: str) -> None:
    variable = variable_inputs(test, role)
    for stored, stored_results in test.data_sets:
        arrays, expected = list(stored), list(stored_results)
        if test.name.startswith("test_cast"):
            arrays[0], expected[0] = finite_entries(arrays[0], expected[0])
        if test.name.startswith(("test_isnan", "test_isinf")):  # what is left is never one
            arrays[0], expected[0] = np.where(np.isfinite(arrays[0]), arrays[0], 0), np.zeros(arrays[0].shape)
            arrays[0] = arrays[0].astype(stored[0].dtype)
        model = with_role(test, arrays, variable)
        graph = read_model(model.SerializeToString(), file=test.name)
        given = {info.name: a for info, a in zip(test.model.graph.input, arrays, strict=True)}
        results = evaluate(graph, [given[name] for name in variable] or [np.zeros(1)])
        assert len(results) == len(expected)
        for result, wanted in zip(results, expected, strict=True):
            assert result.shape == as_array(wanted).shape
            tolerance = ROUNDED.get(test.name, 1e-5)
            np.testing.assert_allclose(result, as_array(wanted), rtol=tolerance, atol=tolerance)


def refusal(name: str, role: str) -> str | None:
    return next((why for n, r, why in REFUSED if re.fullmatch(n, name) and re.fullmatch(r, role)), None)


WITHOUT_TESTS = {"GlobalLpPool"}
"""Operators of which onnx has no node test; ``test_onnx_onnxruntime`` and ``test_depth`` have them."""


def test_operators_without_tests() -> None:
    assert not WITHOUT_TESTS & {test.model.graph.node[0].op_type for test in cases().values()}


@pytest.mark.parametrize("operator", sorted(LOWERINGS.keys() - WITHOUT_TESTS))
def test_operator(operator: str) -> None:
    """All of the operator's tests in all roles; a failure names the test and the role."""
    failures = []
    done = 0
    for name, test in cases().items():
        if test.model.graph.node[0].op_type != operator or name in LEFT_OUT:
            continue
        for role in roles(test):
            why = refusal(name, role)
            try:
                run(test, role)
            except InvalidInput as error:
                if why is None or error.code not in ("TLC202", "TLC203", "TLC204"):
                    failures.append(f"{name} [{role}]: {error.code} {error}")
            except (AssertionError, TypeError, ValueError) as error:
                failures.append(f"{name} [{role}]: {' '.join(str(error).split())[:300]}")
            else:
                if why is not None:
                    failures.append(f"{name} [{role}]: accepted, but listed as refused ({why})")
            done += 1
    assert done, f"no ONNX test of {operator}"
    assert not failures, "\n".join(failures)


WRITTEN_OUT = {
    "affine_grid_2d": "first", "affine_grid_3d_align_corners": "first", "linear_attention_delta": "all",
    "linear_attention_gated_delta_gqa": "all", "linear_attention_decode_step": "first",
}  # fmt: skip
"""Operators that onnx itself writes out with an If or a Scan."""


@pytest.mark.parametrize("name", WRITTEN_OUT)
def test_graphs_inside_nodes(name: str) -> None:
    run(every_case()[f"test_{name}_expanded"], WRITTEN_OUT[name])
