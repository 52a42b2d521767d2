"""ONNX nodes that were read as something else than what they are: each a claim that was CERTIFIED and is false, or not defined.

What the reader refuses has no graph to make evidence from: the evidence is that of a stand-in of the same size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from digits import P
from models import Writer
from packing import Bundle, Case, zip_of
from properties import vnnlib1
from regressions import ONE_LEAF, UNIT, Regression, leaves

from tlcheck.trusted.guidance import Guidance

F = Fraction
MODEL = "model.onnx"
Shape = tuple[int, ...]


def network(
    nodes: Sequence[tuple[str, str, str, Mapping[str, Any]]],
    constants: Mapping[str, Any],
    *,
    x: Shape,
    y: Shape,
    opset: int,
) -> bytes:
    """Nodes (operator, operands, results, attributes) from x to y; names are separated by spaces."""
    from onnx import TensorProto, helper, numpy_helper

    made = [
        helper.make_node(operator, operands.split(" "), results.split(" "), **attributes)
        for operator, operands, results, attributes in nodes
    ]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, list(s)) for n, s in (("x", x), ("y", y))]
    stored = [numpy_helper.from_array(np.asarray(a), name) for name, a in constants.items()]
    graph = helper.make_graph(made, "corpus", ends[:1], ends[1:], stored)
    model = helper.make_model(
        graph, producer_name="tlcheck-corpus", opset_imports=[helper.make_opsetid("", opset)]
    )
    model.ir_version = 8
    serialized: bytes = model.SerializeToString(deterministic=True)
    return serialized


def claimed(model: bytes, sizes: tuple[int, int], prop: bytes) -> Bundle:
    """A claim about ``model`` with the evidence of a stand-in of these numbers of inputs and outputs."""
    n, m = sizes
    w = Writer()
    w.node("MatMul", ["x", w.constant("w", np.ones((n, m), np.float32))], "y")
    made = Bundle({MODEL: w.model({"x": (1, n)}, {"y": (1, m)}), P: prop})
    made.add_unsat(Guidance(ONE_LEAF, leaves([])))
    made.files[MODEL] = model
    return made


def low(outputs: int, inputs: int) -> bytes:
    """Y_0 >= 5 for inputs in [-1, 1]."""
    return vnnlib1(outputs, [UNIT] * inputs, ["(>= Y_0 5)"])


F32 = np.float32
REFUSED: list[tuple[str, bytes, tuple[int, int], str]] = [
    (
        "batchnorm-of-several-outputs",
        network(
            [("BatchNormalization", "x s b m v", "y m1 v1 m2 v2", {"epsilon": 0.0})],
            {"s": F32([1]), "b": F32([0]), "m": F32([0]), "v": F32([1])},
            x=(1, 1, 2), y=(1, 1, 2), opset=9,
        ),
        (2, 2),
        "before opset 14 more than one output is training mode: the operand's own mean and variance",
    ),
    (
        "dropout-mask-before-opset-12",
        network(
            [("Dropout", "x", "d mask", {}), ("Cast", "mask", "m", {"to": 1}), ("Add", "d m", "y", {})],
            {}, x=(1,), y=(1,), opset=10,
        ),
        (1, 1),
        "the standard does not say what the mask is; runtimes write ones, or zeros",
    ),
    (
        "maxpool-same-kernel-below-stride",
        network(
            [("MaxPool", "x", "y", {"auto_pad": "SAME_UPPER", "kernel_shape": [1], "strides": [3]})],
            {}, x=(1, 1, 3), y=(1, 1, 1), opset=13,
        ),
        (3, 1),
        "the formula's padding is -2, which cuts the operand; nothing was cut",
    ),
    (
        "convtranspose-same-kernel-below-stride",
        network(
            [("ConvTranspose", "x w", "c", {"auto_pad": "SAME_UPPER", "strides": [3]}), ("GlobalAveragePool", "c", "y", {})],
            {"w": F32([[[1]]])}, x=(1, 1, 3), y=(1, 1, 1), opset=13,
        ),
        (3, 1),
        "9 results by the text, 7 by shape inference and onnxruntime",
    ),
    (
        "resize-size-that-float32-decides",
        network(
            [("Resize", "x r s", "z", {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}),
             ("ReduceSum", "z", "y", {"keepdims": 0})],
            {"r": F32([]), "s": F32([1.3])}, x=(10,), y=(), opset=13,
        ),
        (10, 1),
        "10 times the float32 nearest to 1.3 is below 13, and 13 in float32",
    ),
    (
        "opset-after-the-package",
        network([("Relu", "x", "y", {})], {}, x=(1,), y=(1,), opset=29),
        (1, 1),
        "the installed standard ends before opset 29",
    ),
    (
        "attribute-of-a-newer-opset",
        network(
            [("AveragePool", "x", "y", {"kernel_shape": [2], "dilations": [2]})], {}, x=(1, 1, 3), y=(1, 1, 1), opset=11
        ),
        (3, 1),
        "AveragePool has dilations from opset 19 on",
    ),
    (
        "flag-that-is-two",
        network([("ReduceMax", "x", "y", {"axes": [0], "keepdims": 2})], {}, x=(1, 2), y=(2,), opset=13),
        (2, 2),
        "runtimes take keepdims 2 for 0",
    ),
    (
        "auto-pad-that-is-no-word",
        network(
            [("ConvTranspose", "x w", "y", {"auto_pad": "SAME", "output_shape": [3], "strides": [2]})],
            {"w": F32([[[1, 1]]])}, x=(1, 1, 2), y=(1, 1, 3), opset=13,
        ),
        (2, 3),
        "auto_pad has no word SAME, beside output_shape neither",
    ),
    (
        "zeros-beside-auto-pad",
        network(
            [("ConvTranspose", "x w", "y", {"auto_pad": "SAME_UPPER", "pads": [0, 0]})],
            {"w": F32([[[1, 1]]])}, x=(1, 1, 2), y=(1, 1, 2), opset=13,
        ),
        (2, 2),
        "pads of zeros: the reference evaluator gives three entries, auto_pad two, shape inference refuses both together",
    ),
    (
        "comparison-that-float32-decides",
        network(
            [("Mul", "a b", "p", {}), ("Sub", "p one", "d", {}), ("Greater", "d zero", "c", {}), ("Add", "x far", "z", {}),
             ("Where", "c x z", "y", {})],
            {"a": F32([0.1]), "b": F32([10]), "one": F32([1]), "zero": F32([0]), "far": F32([100])}, x=(1,), y=(1,), opset=13,
        ),
        (1, 1),
        "10 times the float32 nearest to 0.1 is above 1, and 1 in float32; the difference is a float32 exactly",
    ),
    (
        "least-of-large-integers",
        network(
            [("Min", "a b", "m", {}), ("Cast", "m", "c", {"to": 1}), ("Add", "x c", "y", {})],
            {"a": np.int64([2, 2]), "b": np.int64([1 << 31, 1 << 31])}, x=(2,), y=(2,), opset=13,
        ),
        (2, 2),
        "onnxruntime compares the lower halves of int64 as signed numbers: 2147483648",
    ),
]  # fmt: skip


def slice_from_below() -> Bundle:
    """y = x[number of entries of x[-9::-1]]: one, so y = x1. Python's slice is empty, and y would be x0."""
    ints = {"s": [-9], "e": [-(2**63)], "a": [0], "step": [-1]}
    model = network(
        [("Slice", "x s e a step", "tail", {}), ("Shape", "tail", "n", {}), ("Gather", "x n", "y", {"axis": 0})],
        {name: np.array(v, np.int64) for name, v in ints.items()},
        x=(2,), y=(1,), opset=13,
    )  # fmt: skip
    made = Bundle({MODEL: model, P: vnnlib1(1, [(F(0), F(1)), (F(2), F(3))], ["(>= Y_0 1.5)"])})
    return made.add_unsat(Guidance(ONE_LEAF, leaves([])))


def cases() -> Iterator[Case]:
    for name, model, sizes, note in REFUSED:
        content = claimed(model, sizes, low(sizes[1], sizes[0])).content()
        yield Regression("regressions", name, zip_of(content), 3, "TLC202", note)
    yield Regression(
        "regressions", "slice-backwards-from-below", zip_of(slice_from_below().content()), 4, "TLC010",
        "the start of a negative step is clamped to the first entry", (F(0), F(2)),
    )  # fmt: skip
