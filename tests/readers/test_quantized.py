"""Networks of 8-bit integers: tlcheck's reading, onnxruntime's kernels and the reference evaluator give the same integers."""

from __future__ import annotations

import warnings
from fractions import Fraction
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from tlcheck.errors import InvalidInput
from tlcheck.readers.onnx import read_model
from tlcheck.trusted.arith.arb import working_precision
from tlcheck.trusted.evaluate import Evaluator, Undecided
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.ops.quantized import Paired, Quantize

Array = NDArray[Any]
f32, u8, i8, i32 = np.float32, np.uint8, np.int8, np.int32


def node(op: str, inputs: str, output: str, **attributes: Any) -> Any:
    return helper.make_node(op, inputs.split(), [output], **attributes)


def model(nodes: list[Any], stored: dict[str, Any], shape: tuple[int, ...], opset: int = 19) -> bytes:
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in stored.items()],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", opset)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString())


def executed(data: bytes, x: Array) -> Array:
    """onnxruntime's, the file as it is."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0], np.float64)


def reference(data: bytes, x: Array) -> Array:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(ReferenceEvaluator(data).run(None, {"x": x})[0], np.float64)  # type: ignore[index]


def exact(graph: Graph, x: Array) -> Array:
    with working_precision(128):
        found = Evaluator(graph).evaluate([[Fraction(float(v)) for v in x.ravel()]]).outputs
    return np.array([float(y.mid()) for y in found])


def agrees(data: bytes, x: Array, within: float = 0.0) -> Graph:
    graph = read_model(data)
    wanted = exact(graph, x)
    for theirs in (executed(data, x), reference(data, x)):
        assert np.abs(theirs.ravel() - wanted).max() <= within
    return graph


def around_ties(scale: float, low: int, high: int, rng: np.random.Generator) -> Array:
    """Numbers anywhere, beyond the ends, and two float32 neighbours away from half way numbers: their quotients are decided.

    Not beyond 2^31 scales, where the reference evaluator's integers wrap around.
    """
    n = rng.integers(low - 2, high + 3, 40) + 0.5
    tie = (n * scale).astype(f32)
    near = tie * (1 + f32(2.0**-21) * rng.choice([-1, 1], 40).astype(f32))
    return np.concatenate(
        [near, rng.uniform(1.2 * low * scale, 1.2 * high * scale, 40), [0, 1e6, -1e6, 1e-40]]
    ).astype(f32)


@pytest.mark.parametrize("opset", [10, 19, 25])
@pytest.mark.parametrize(("dtype", "zero"), [(u8, 0), (u8, 3), (u8, 128), (i8, 0), (i8, -7)])
def test_quantize_gives_the_integers_of_the_tools(dtype: Any, zero: int, opset: int) -> None:
    limits, rng = np.iinfo(dtype), np.random.default_rng(abs(zero) + opset)
    x = around_ties(0.037, limits.min - zero, limits.max - zero, rng)
    nodes = [node("QuantizeLinear", "x s z", "q"), node("Cast", "q", "y", to=1)]
    agrees(model(nodes, {"s": f32(0.037), "z": dtype(zero)}, x.shape, opset), x)
    ties = (rng.integers(-600, 600, 84) / 4).astype(f32)
    agrees(model(nodes, {"s": f32(0.5), "z": dtype(zero)}, x.shape, opset), ties)


def test_half_way_is_decided_exactly() -> None:
    """The mean of two integers of one scale, in that scale: a tie, though the scale is no power of two."""
    nodes = [node("QuantizeLinear", "x s", "q"), node("DequantizeLinear", "q s", "d"), node("ReduceMean", "d", "m", axes=[1]),
             node("QuantizeLinear", "m s", "r"), node("Cast", "r", "y", to=1)]  # fmt: skip
    data = model(nodes, {"s": f32(0.1)}, (1, 2), 13)
    found = [
        exact(read_model(data), np.array([a, b], f32)).item() for a, b in ((0.1, 0.2), (0.2, 0.3), (0.3, 0.4))
    ]
    assert found == [2, 2, 4]


@pytest.mark.parametrize("axis", [1, -1, 0])
def test_a_scale_for_each_entry_of_an_axis(axis: int) -> None:
    rng, shape = np.random.default_rng(axis + 1), (3, 4, 5)
    n = shape[axis]
    scale = rng.uniform(0.01, 0.5, n).astype(f32)
    zero = rng.integers(0, 200, n).astype(u8)
    nodes = [
        node("QuantizeLinear", "x s z", "q", axis=axis),
        node("DequantizeLinear", "q s z", "y", axis=axis),
    ]
    x = rng.normal(0, 9, shape).astype(f32)
    agrees(model(nodes, {"s": scale, "z": zero}, shape), x, 1e-5)


SCHEMES = {"sa": f32(0.02), "za": u8(120), "sy": f32(0.11)}


@pytest.mark.parametrize("weights", [i8, u8])
@pytest.mark.parametrize("zero", [0, 101])
def test_products_of_integers(weights: Any, zero: int) -> None:
    rng = np.random.default_rng(zero)
    b = rng.integers(np.iinfo(weights).min, np.iinfo(weights).max + 1, (20, 5)).astype(weights)
    sb, zb = rng.uniform(0.003, 0.03, 5).astype(f32), np.full(5, 4, weights)
    stored = {**SCHEMES, "b": b, "sb": sb, "zb": zb, "zy": u8(zero)}
    nodes = [
        node("QuantizeLinear", "x sa za", "q"),
        node("QLinearMatMul", "q sa za b sb zb sy zy", "p"),
        node("Cast", "p", "y", to=1),
    ]
    x = rng.normal(size=(7, 20)).astype(f32)
    graph = agrees(model(nodes, stored, x.shape), x)
    assert any(isinstance(n.op, Paired) for n in graph.nodes) == (weights is i8)
    sums = [
        node("QuantizeLinear", "x sa za", "q"),
        node("MatMulInteger", "q b za zb", "p"),
        node("Cast", "p", "y", to=1),
    ]
    agrees(model(sums, {**stored, "zb": weights(4)}, x.shape), x)


def test_small_weights_need_no_guard() -> None:
    b = np.full((4, 2), -64, i8)
    nodes = [
        node("QuantizeLinear", "x sa za", "q"),
        node("MatMulInteger", "q b za", "p"),
        node("Cast", "p", "y", to=1),
    ]
    for last, guarded in ((63, False), (64, True)):
        b[3, 1] = last
        graph = read_model(model(nodes, {**SCHEMES, "b": b}, (3, 4)))
        assert any(isinstance(n.op, Paired) for n in graph.nodes) == guarded


def test_convolutions_of_integers() -> None:
    """Padding is the zero point."""
    rng = np.random.default_rng(5)
    w = rng.integers(-127, 128, (4, 2, 3, 3)).astype(i8)
    stored = {
        **SCHEMES,
        "w": w,
        "sw": rng.uniform(0.003, 0.03, 4).astype(f32),
        "zw": np.zeros(4, i8),
        "zy": u8(100),
    }
    stored["b"] = rng.integers(-3000, 3000, 4).astype(i32)
    geometry = {"pads": [1, 1, 0, 0], "strides": [1, 2]}
    nodes = [node("QuantizeLinear", "x sa za", "q"), node("QLinearConv", "q sa za w sw zw sy zy b", "p", **geometry),
             node("MaxPool", "p", "m", kernel_shape=[2, 2]), node("Cast", "m", "y", to=1)]  # fmt: skip
    x = rng.normal(size=(1, 2, 6, 7)).astype(f32)
    agrees(model(nodes, stored, x.shape), x)
    sums = [
        node("QuantizeLinear", "x sa za", "q"),
        node("ConvInteger", "q w za", "p", **geometry),
        node("Cast", "p", "y", to=1),
    ]
    agrees(model(sums, stored, x.shape), x)


def test_an_odd_zero_point_leaves_ties_open() -> None:
    """The standard's text rounds before it adds the zero point, its reference after: half way they differ, and nothing is said."""
    stored = {"one": f32(1), "half": f32(0.5), "z": u8(0), "b": np.ones((1, 1), u8)}
    nodes = [
        node("QuantizeLinear", "x one z", "q"),
        node("QLinearMatMul", "q half z b one z one zy", "p"),
        node("Cast", "p", "y", to=1),
    ]
    x = np.array([[5.0]], f32)
    agrees(model(nodes, {**stored, "zy": u8(2)}, (1, 1)), x)
    odd = model(nodes, {**stored, "zy": u8(1)}, (1, 1))
    assert executed(odd, x) != reference(odd, x)
    with pytest.raises(Undecided, match="half way"):
        exact(read_model(odd), x)
    agrees(odd, np.array([[4.0]], f32))


def dynamic(*, bias: float = 0.0) -> tuple[bytes, Array]:
    """What onnxruntime's dynamic quantization writes: a product of integers whose scale and zero point the network computes."""
    rng = np.random.default_rng(3)
    nodes = [helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]), node("MatMulInteger", "q b z zb", "p"), node("Cast", "p", "f", to=1),
             node("Mul", "s sb", "t"), node("Mul", "f t", "u"), node("Add", "u c", "y")]  # fmt: skip
    stored = {
        "b": rng.integers(-60, 60, (12, 3)).astype(i8),
        "zb": i8(0),
        "sb": f32(0.013),
        "c": np.full(3, bias, f32),
    }
    return model(nodes, stored, (1, 12)), (3 * rng.normal(size=(20, 12))).astype(f32)


def test_scales_of_the_networks_own_values() -> None:
    nodes = [helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]), node("Cast", "q", "y", to=1)]
    rng = np.random.default_rng(1)
    for low, high in ((-3, 3), (1, 5), (-4, -1), (-1e-3, 7)):
        x = rng.uniform(low, high, (3, 7)).astype(f32)
        agrees(model(nodes, {}, x.shape), x)
    data, points = dynamic(bias=0.5)
    for x in points:
        agrees(data, x[None], 1e-5)


def test_all_zero_has_no_dynamic_scale() -> None:
    nodes = [helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]), node("Cast", "q", "y", to=1)]
    graph = read_model(model(nodes, {}, (2,)))
    with working_precision(128):
        assert not any(y.is_finite() for y in Evaluator(graph).evaluate([[Fraction(0)] * 2]).outputs)


def test_stored_integers_are_exact_weights() -> None:
    nodes = [node("DequantizeLinear", "q s", "w"), node("MatMul", "x w", "y")]
    graph = read_model(model(nodes, {"q": np.array([[3], [-7]], i8), "s": f32(0.1)}, (1, 2)))
    weight = graph.nodes[graph.outputs[0]].op.weight  # type: ignore[attr-defined]
    assert weight.rad is None and weight.mid.tolist() == [[3 * float(f32(0.1))], [-7 * float(f32(0.1))]]


def test_stored_numbers_are_quantized_exactly() -> None:
    """Where float32 may round to another integer the enclosure holds both, and the formula is the exact one."""
    values = np.array([0.9, 1.875, np.nextafter(f32(1.875), f32(2)), 1e9], f32)
    nodes = [
        node("QuantizeLinear", "w s", "q"),
        node("DequantizeLinear", "q s", "d"),
        node("Mul", "x d", "y"),
    ]
    graph = read_model(model(nodes, {"w": values, "s": f32(0.75)}, (4,)))
    factor = graph.nodes[graph.outputs[0]].op.factor  # type: ignore[attr-defined]
    assert factor.mid.tolist() == [0.75, 1.5, 2.25, 255 * 0.75]
    assert (factor.rad > 0.7).tolist() == [False, True, True, False]
    assert exact(graph, np.ones(4, f32)).tolist() == factor.mid.tolist()


def test_large_integers_are_rounded_when_they_become_floats() -> None:
    """int32 sums beyond 2^24 do not fit float32: a rounding of deployed executions."""
    nodes = [
        node("QuantizeLinear", "x s", "q"),
        node("MatMulInteger", "q b", "p"),
        node("Cast", "p", "y", to=1),
    ]
    graph = read_model(model(nodes, {"s": f32(1), "b": np.full((1000, 1), 255, u8)}, (1, 1000)))
    assert getattr(graph.nodes[graph.outputs[0]].op, "roundings", 0) > 0


REFUSED: dict[str, tuple[list[Any], dict[str, Any], str]] = {
    "a scale of 0": ([node("QuantizeLinear", "x s", "q")], {"s": f32(0)}, "not positive"),
    "a negative scale": ([node("QuantizeLinear", "x s", "q")], {"s": f32(-1)}, "not positive"),
    "a subnormal scale": ([node("QuantizeLinear", "x s", "q")], {"s": f32(1e-40)}, "not normal"),
    "blocks": ([node("QuantizeLinear", "x s", "q", block_size=2, axis=1)], {"s": np.ones((2, 2), f32)}, "blocks"),
    "a scale for each of another axis": ([node("QuantizeLinear", "x s", "q", axis=0)], {"s": np.ones(3, f32)}, "3 scales"),
    "zero points of another shape": ([node("QuantizeLinear", "x s z", "q")], {"s": f32(1), "z": np.zeros(4, u8)}, "shape"),
    "another type": ([node("QuantizeLinear", "x s z", "q")], {"s": f32(1), "z": i32(0)}, "int32"),
    "a factor that float32 cannot hold": (
        [node("QuantizeLinear", "x s z", "i"), node("QLinearMatMul", "i t z b t z s z", "q")],
        {"s": f32(1), "t": f32(1e-30), "z": u8(0), "b": np.ones((4, 2), u8)}, "float32 cannot hold",
    ),
    "sums beyond int32": (
        [node("Expand", "x n", "w"), node("QuantizeLinear", "w s", "i"), node("MatMulInteger", "i b", "q")],
        {"s": f32(1), "n": np.array([2, 40000]), "b": np.full((40000, 1), 255, u8)}, "int32",
    ),
    "rows of zero points": (
        [node("QuantizeLinear", "x s", "i"), node("MatMulInteger", "i b za", "q")],
        {"s": f32(1), "b": np.ones((4, 2), u8), "za": np.zeros(2, u8)}, "where one is read",
    ),
    "arithmetic on integers": ([node("QuantizeLinear", "x s", "i"), node("Add", "i i", "q")], {"s": f32(1)}, "uint8"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(REFUSED))
def test_refused_by_name(name: str) -> None:
    nodes, stored, wanted = REFUSED[name]
    shape = (2, 1) if name.startswith("sums") else (2, 4)
    with pytest.raises(InvalidInput, match=wanted) as caught:
        read_model(model([*nodes, node("Cast", "q", "y", to=1)], stored, shape, 25))
    assert caught.value.code in ("TLC202", "TLC204")


def test_a_computed_scale_is_refused() -> None:
    nodes = [
        node("ReduceMax", "x", "s", keepdims=0),
        node("QuantizeLinear", "x s", "q"),
        node("Cast", "q", "y", to=1),
    ]
    with pytest.raises(InvalidInput, match="operand 1 is not constant"):
        read_model(model(nodes, {}, (2, 4)))


def test_each_value_has_its_constants() -> None:
    nodes = [node("QuantizeLinear", "x s", "q", axis=1), node("Cast", "q", "y", to=1)]
    graph = read_model(model(nodes, {"s": f32([1, 2])}, (2, 2)))
    (op,) = (n.op for n in graph.nodes if isinstance(n.op, Quantize))
    assert op.scale.mid.tolist() == [[1, 2], [1, 2]]
