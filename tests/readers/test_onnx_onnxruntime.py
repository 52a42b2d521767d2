"""Operators written out in other operations, and Resize, against onnxruntime over variations of their attributes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests import numpy_eval
from tests.helpers import IEEE
from tests.trusted.test_audit import ONE_LEAF, claim, leaves
from tests.trusted.test_nonlinear import points
from tlcheck.errors import InvalidInput
from tlcheck.readers.onnx import read_model
from tlcheck.trusted.arith.arb import working_precision
from tlcheck.trusted.evaluate import Undecided, evaluate
from tlcheck.trusted.guidance import Guidance
from tlcheck.trusted.plan import Plan, Settings, root_bounds

F32 = TensorProto.FLOAT
RNG = np.random.default_rng(7)


def f32(*shape: int) -> Any:
    return RNG.normal(0, 1, shape).astype(np.float32)


Case = tuple[str, dict[str, Any], tuple[int, ...], list[Any], int]

CASES: list[Case] = [
    # (operator, attributes, shape of x, constants after x, opset)
    *(("Elu", {"alpha": a}, (7,), [], 16) for a in (1.0, 0.3, -0.5)),
    *(("Celu", {"alpha": a}, (7,), [], 16) for a in (1.0, 0.3)),
    ("Selu", {}, (7,), [], 16), ("Selu", {"alpha": 0.7, "gamma": 2.5}, (7,), [], 16),
    ("HardSigmoid", {}, (9,), [], 16), ("HardSigmoid", {"alpha": 1.5, "beta": -0.3}, (9,), [], 16),
    ("HardSwish", {}, (9,), [], 16), ("Mish", {}, (9,), [], 18), ("Softsign", {}, (9,), [], 16),
    *(("Gelu", {"approximate": a}, (9,), [], 20) for a in ("none", "tanh")),
    *(("ThresholdedRelu", {"alpha": a}, (9,), [], 16) for a in (0.0, 0.5, -0.4)),
    *(("Shrink", {"bias": b, "lambd": v}, (9,), [], 16) for b, v in ((0.0, 0.5), (0.5, 0.5), (0.2, 0.3))),
    ("Tan", {}, (9,), [], 16), ("Cosh", {}, (9,), [], 16), ("Sinh", {}, (9,), [], 16), ("Asinh", {}, (9,), [], 16),
    ("LayerNormalization", {}, (2, 3, 4), [f32(4), f32(4)], 17),
    ("LayerNormalization", {"axis": 1, "epsilon": 0.1}, (2, 3, 4), [f32(3, 4)], 17),
    ("LayerNormalization", {"axis": -2, "epsilon": 1e-3}, (2, 3, 4), [f32(4), f32(3, 4)], 17),
    ("InstanceNormalization", {"epsilon": 0.01}, (2, 3, 4, 2), [f32(3), f32(3)], 16),
    ("GroupNormalization", {"num_groups": 2}, (2, 4, 3, 2), [f32(4), f32(4)], 21),
    ("GroupNormalization", {"num_groups": 1, "epsilon": 0.2}, (1, 4, 5), [f32(4), f32(4)], 21),
    ("LRN", {"size": 3}, (2, 5, 2, 2), [], 13), ("LRN", {"size": 5, "alpha": 0.5, "beta": 0.5, "bias": 2.0}, (1, 7, 2, 3), [], 13),
    *(("LpNormalization", {"p": p, "axis": a}, (2, 3, 4), [], 16) for p in (1, 2) for a in (0, -1)),
    *(("GlobalLpPool", {"p": p}, (2, 3, 4, 2), [], 18) for p in (1, 2, 3, 4)),
    ("LpPool", {"kernel_shape": [2, 2], "p": 3, "pads": [1, 0, 0, 1]}, (1, 2, 3, 4), [], 18),
    ("CenterCropPad", {"axes": [1, -1]}, (2, 3, 4), [np.array([5, 1])], 18),
    ("Col2Im", {"pads": [1, 0, 0, 1], "strides": [1, 2]}, (1, 8, 9), [np.array([3, 6]), np.array([2, 2])], 18),
    *(("RotaryEmbedding", {"num_heads": 2, "interleaved": i}, (1, 2, 8), [f32(1, 2, 2), f32(1, 2, 2)], 23) for i in (0, 1)),
    ("Attention", {"q_num_heads": 2, "kv_num_heads": 1, "is_causal": 1, "softcap": 2.0}, (1, 3, 6), [f32(1, 4, 3), f32(1, 4, 2)], 23),
    *(("AffineGrid", {"align_corners": a}, (2, n, n + 1), [np.array([2, 1, 3, 4, 2][: n + 2])], 20) for n in (2, 3) for a in (0, 1)),
    *(("Det", {}, (2, n, n), [], 11) for n in (1, 2, 3, 4)),
    *(("GridSample", {"mode": mode, "padding_mode": p, "align_corners": a}, (1, 2, 3, 4), [f32(1, 2, 3, 2)], opset)
      for opset, mode in ((16, "bilinear"), (20, "linear"), (22, "cubic")) for p in ("zeros", "reflection") for a in (0, 1)),
    ("GridSample", {"padding_mode": "border"}, (1, 1, 3, 4, 2), [f32(1, 2, 1, 2, 3)], 20),
    ("GridSample", {"padding_mode": "border", "mode": "nearest"}, (1, 1, 3, 4), [f32(1, 2, 1, 2)], 16),
    *((f"Reduce{k}", {"keepdims": keep}, (2, 3, 5), [np.array([1, 2])], 18)
      for k in ("L1", "L2", "LogSumExp", "Prod", "SumSquare") for keep in (0, 1)),
    *(("CumSum", {"exclusive": e, "reverse": r}, (2, 5, 3), [np.array(1)], 14) for e in (0, 1) for r in (0, 1)),
    *(("Hardmax", {"axis": a}, (2, 3, 4), [], 13) for a in (0, -1)),
    *(("Trilu", {"upper": u}, (2, 3, 4), [np.array(k, np.int64)], 14) for u in (0, 1) for k in (-2, 0, 1, 9)),
    *(("Einsum", {"equation": e}, s, [c], 12) for e, s, c in (
        ("bij,bjk->bik", (2, 3, 4), f32(2, 4, 5)), ("bij,kj->bik", (2, 3, 4), f32(5, 4)), ("ij,ij->", (3, 4), f32(3, 4)),
        ("ij,k->jk", (3, 4), f32(5)), ("bhid,bhjd->bhij", (1, 2, 3, 4), f32(1, 2, 5, 4)), ("ij,jk", (2, 3), f32(3, 2)))),
    ("Einsum", {"equation": "ijk->ki"}, (2, 3, 4), [], 12), ("Einsum", {"equation": "i,j->ji"}, (3,), [f32(2)], 12),
    ("Pow", {}, (2, 3), [np.array([[2, 0, 1], [3, -1, -2]], np.float32)], 15),
    ("ScatterElements", {"axis": 1}, (2, 4), [np.array([[1, -1], [0, 2]]), f32(2, 2)], 16),
    ("Compress", {"axis": 1}, (2, 3), [np.array([True, False, True])], 11), ("Compress", {}, (2, 3), [np.array([False, True])], 11),
    ("Mod", {"fmod": 1}, (9,), [np.array(0.7, np.float32)], 13), ("Mod", {"fmod": 1}, (9,), [np.array(-0.25, np.float32)], 13),
    ("IsNaN", {}, (3,), [], 13), ("IsInf", {}, (3,), [], 10),
]  # fmt: skip

FRAMES = ("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners", "half_pixel_symmetric")
RESIZES: list[Case] = [
    ("Resize", {"mode": mode, "coordinate_transformation_mode": frame, "nearest_mode": rounding}, (1, 2, n, 3),
     [np.zeros(0, np.float32), *by], 19)
    for mode, roundings in (("linear", ("floor",)), ("nearest", ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")))
    for rounding in roundings
    for frame in FRAMES
    for n in (1, 4, 5)
    for by in (
        [np.array([1, 1, 2, 2], np.float32)], [np.array([1, 1, 3, 1], np.float32)], [np.array([1, 1, 0.5, 1], np.float32)],
        [np.array([1, 1, 1.3, 1], np.float32)], [np.zeros(0, np.float32), np.array([1, 2, 7, 2])],
        [np.zeros(0, np.float32), np.array([1, 2, 3, 6])], [np.zeros(0, np.float32), np.array([1, 2, 1, 1])],
    )
]  # fmt: skip


def proto(case: Case, variables: int = 1) -> bytes:
    """y = op(x, constants); the first ``variables`` operands are inputs."""
    operator, attributes, shape, constants, opset = case
    names = ["x", *(f"c{i}" for i in range(len(constants)))]
    operands = ["" if i and constants[i - 1].size == 0 else name for i, name in enumerate(names)]
    inputs = [helper.make_tensor_value_info("x", F32, shape)]
    inputs += [
        helper.make_tensor_value_info(n, F32, c.shape)
        for n, c in zip(names[1:variables], constants, strict=False)
    ]
    stored = [
        numpy_helper.from_array(c, n)
        for n, c in zip(names[1:], constants, strict=True)
        if n not in names[1:variables]
    ]
    nodes = [helper.make_node(operator, operands, ["y"], name="the node", **attributes)]
    result = "y"
    if operator in ("IsNaN", "IsInf"):
        nodes.append(helper.make_node("Cast", ["y"], ["z"], to=F32))
        result = "z"
    graph = helper.make_graph(
        nodes,
        "g",
        inputs,
        [helper.make_tensor_value_info(result, F32, None)],
        [t for t in stored if t.dims != [0]],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    return bytes(model.SerializeToString())


def run(data: bytes, feed: dict[str, Any], *, optimised: bool = True) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"]).run(None, feed)[0]


def compare(case: Case, *, exact: bool = True, tolerance: float = 2e-5) -> None:
    data = proto(case)
    graph = read_model(data)
    for scale in (1.0, 3.0):
        x = (f32(*case[2]) * scale).astype(np.float32)
        theirs = run(data, {"x": x})
        ours = numpy_eval.evaluate(graph, [x])[0]
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)
        if exact:
            with working_precision(128):
                balls = evaluate(graph, points(x)).outputs
            assert all(
                abs(float(b.mid()) - v) <= 1e-9 * max(1, abs(v))
                for b, v in zip(balls, ours.ravel(), strict=True)
            )


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c[0]}-{'-'.join(map(str, c[1].values()))}"[:60])
def test_value_is_onnxruntimes(case: Case) -> None:
    compare(case)


def unusual(attributes: dict[str, Any], shape: tuple[int, ...], by: list[Any]) -> bool:
    """No entries, or corners aligned for a size that is not whole."""
    sizes = shape * by[1].astype(np.float64) if by[1].size else by[2]
    aligned = attributes["coordinate_transformation_mode"] == "align_corners"
    return bool((sizes < 1).any() or (aligned and (sizes != np.floor(sizes)).any()))


def test_resize_is_onnxruntimes_or_refused() -> None:
    """Linear: always read, but for sizes that align no corners. Nearest: read unless a coordinate is at a step."""
    read = refused = 0
    for case in RESIZES:
        attributes, by = case[1], case[3]
        try:
            read_model(proto(case))
        except InvalidInput as error:
            assert error.code in ("TLC202", "TLC204") and "node 'the node'" in str(error)
            assert attributes["mode"] == "nearest" or unusual(attributes, case[2], by), (
                attributes,
                case[2],
                by,
            )
            refused += 1
            continue
        compare(case, exact=False, tolerance=1e-4)
        read += 1
    assert read > 350 and refused < 180, (read, refused)


@pytest.mark.parametrize("shape", [(1, 2, 3, 4)])
def test_upsample_linear_is_asymmetric(shape: tuple[int, ...]) -> None:
    case: Case = ("Upsample", {"mode": "linear"}, shape, [np.array([1, 1, 2, 3], np.float32)], 9)
    compare(case, exact=False)


@pytest.mark.parametrize(
    "case",
    [
        ("Pow", {}, (5,), [np.abs(f32(5)) + 0.1], 15),
        ("Einsum", {"equation": "ij,jk->ki"}, (2, 3), [f32(3, 4)], 12),
        ("LayerNormalization", {}, (2, 4), [f32(4), f32(4)], 17),
        ("ScatterElements", {"axis": 0}, (4,), [np.array([2, 0]), f32(2)], 16),
    ],
    ids=lambda c: str(c[0]),
)
def test_two_variables(case: Case) -> None:
    if case[0] == "ScatterElements":
        return compare(case)
    data = proto(case, variables=2)
    graph = read_model(data)
    x = np.abs(f32(*case[2])) + np.float32(0.2)
    feed = {"x": x, "c0": case[3][0]}
    ours = numpy_eval.evaluate(graph, [x, case[3][0]])[0]
    np.testing.assert_allclose(ours, run(data, feed), rtol=2e-5, atol=2e-5)
    return None


DEPLOYABLE = {"HardSigmoid", "CumSum", "Resize", "Trilu", "ReduceL1", "Einsum", "ScatterElements", "Compress"}


@pytest.mark.parametrize("case", [c for c in CASES + RESIZES[::5] if c[0] in DEPLOYABLE], ids=lambda c: c[0])
def test_float32_execution_lies_in_the_deployed_box(case: Case) -> None:
    try:
        graph = read_model(proto(case))
    except InvalidInput:
        pytest.skip("refused")
    for scale in (1.0, 1000.0):
        x = f32(*case[2]) * np.float32(scale)
        theirs = run(proto(case), {"x": x}).ravel()
        ends = x.ravel().tolist()
        asked = claim(graph, ends, ends, 1, 0)
        box = root_bounds(
            Plan(asked, Guidance(ONE_LEAF, leaves(1)), Settings("ball64", deployed=IEEE)), 0
        ).boxes[graph.outputs[0]]
        assert ((box.lower[0] <= theirs) & (theirs <= box.upper[0])).all()
        assert ((box.upper - box.lower)[0] <= 1e-4 * np.abs(x).max()).all()


def test_a_step_is_not_guessed() -> None:
    graph = read_model(proto(("ThresholdedRelu", {"alpha": 0.5}, (1,), [], 16)))
    with working_precision(128):
        assert float(evaluate(graph, points([0.5])).outputs[0]) == 0
        from tlcheck.trusted.arith.arb import arb

        with pytest.raises(Undecided):
            evaluate(graph, [[arb(0.5, 1e-20)]])


def arg_max_one_hot(depth: int, axis: int) -> bytes:
    """OneHot of ArgMax, summed over the first axis as integers."""
    node = helper.make_node
    nodes = [
        node("ArgMax", ["x"], ["i"], axis=1, keepdims=0),
        node("OneHot", ["i", "depth", "values"], ["h"], axis=axis),
        node("ReduceSum", ["h", "zero"], ["s"], keepdims=0),
        node("Mul", ["s", "s"], ["t"]),
        node("Mod", ["t", "three"], ["m"]),
        node("Cast", ["m"], ["y"], to=F32),
    ]
    stored = {
        "depth": np.array(depth), "values": np.array([-1, 5]), "zero": np.array([0]), "three": np.array(3),
    }  # fmt: skip
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", F32, (4, 3))], [helper.make_tensor_value_info("y", F32, None)],
        [numpy_helper.from_array(v, k) for k, v in stored.items()],
    )  # fmt: skip
    return bytes(
        helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8
        ).SerializeToString()
    )


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_integers_of_the_network(depth: int, axis: int) -> None:
    data = arg_max_one_hot(depth, axis)
    graph = read_model(data)
    for _ in range(5):
        x = f32(4, 3)
        theirs = run(data, {"x": x})
        with working_precision(128):
            found = evaluate(graph, points(x)).outputs
        assert [float(b) for b in found] == theirs.ravel().tolist()


REFUSALS: list[tuple[str, Case]] = [
    ("approximate", ("Gelu", {"approximate": "other"}, (3,), [], 20)),
    ("alpha", ("Celu", {"alpha": -1.0}, (3,), [], 16)),
    ("lambd", ("Shrink", {"lambd": -1.0}, (3,), [], 16)),
    ("mode cubic", ("Resize", {"mode": "cubic"}, (1, 1, 2, 2), [np.zeros(0, np.float32), np.ones(4, np.float32) * 2], 19)),
    ("antialias", ("Resize", {"antialias": 1, "mode": "linear"}, (1, 1, 2, 2), [np.zeros(0, np.float32), np.ones(4, np.float32)], 19)),
    ("letter twice", ("Einsum", {"equation": "ii->i"}, (2, 2), [], 12)),
    ("equation", ("Einsum", {"equation": "...i->...i"}, (2, 2), [], 12)),
    ("reduction", ("ScatterElements", {"reduction": "add"}, (2,), [np.array([0]), f32(1)], 16)),
    ("duplicate", ("ScatterElements", {}, (2,), [np.array([0, -2]), f32(2)], 16)),
    ("attribute frob", ("LayerNormalization", {"frob": 1}, (2, 2), [f32(2)], 17)),
    ("p 3", ("LpNormalization", {"p": 3}, (2, 2), [], 16)),
    ("not exact|different exponents|remainder", ("Mod", {}, (2,), [np.array(2.0, np.float32)], 13)),
]  # fmt: skip


@pytest.mark.parametrize(("why", "case"), REFUSALS, ids=lambda v: v if isinstance(v, str) else "")
def test_what_is_not_read_is_refused_and_named(why: str, case: Case) -> None:
    with pytest.raises(InvalidInput, match=why) as caught:
        read_model(proto(case))
    assert caught.value.code in ("TLC202", "TLC204") and "node 'the node'" in str(caught.value)


def test_further_outputs_of_layer_normalization() -> None:
    node = helper.make_node("LayerNormalization", ["x", "g"], ["y", "m", "d"], axis=-1)
    graph = helper.make_graph(
        [node], "g", [helper.make_tensor_value_info("x", F32, (2, 5))],
        [helper.make_tensor_value_info(n, F32, None) for n in ("y", "m", "d")], [numpy_helper.from_array(f32(5), "g")],
    )  # fmt: skip
    data = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10
    ).SerializeToString()
    import onnxruntime

    x = f32(2, 5)
    theirs = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"]).run(None, {"x": x})
    for a, b in zip(numpy_eval.evaluate(read_model(data), [x]), theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_quantised_weights() -> None:
    q, s, z = (
        np.arange(-6, 6, dtype=np.int8).reshape(3, 4),
        np.array([0.1, 0.2, 0.3, 0.7], np.float32),
        np.arange(4, dtype=np.int8),
    )
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["w"], axis=1),
        helper.make_node("MatMul", ["x", "w"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", F32, (2, 3))], [helper.make_tensor_value_info("y", F32, None)],
        [numpy_helper.from_array(v, k) for k, v in {"q": q, "s": s, "z": z}.items()],
    )  # fmt: skip
    data = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8
    ).SerializeToString()
    x = f32(2, 3)
    theirs = run(data, {"x": x}, optimised=False)  # its optimiser also rounds x to 8 bits
    np.testing.assert_allclose(numpy_eval.evaluate(read_model(data), [x])[0], theirs, rtol=1e-5, atol=1e-6)
