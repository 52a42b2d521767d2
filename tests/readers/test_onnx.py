"""The ONNX reader on real networks, on hostile files, and on the forms of the opsets."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tests.helpers import DATA, needs_data
from tests.numpy_eval import evaluate, evaluate_all, random_inputs
from tlcheck.errors import InvalidInput
from tlcheck.readers.onnx import load_model, read_model
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.affine import Linear, Scale

F32, F64, I64 = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64


def model(
    nodes: Sequence[onnx.NodeProto],
    *,
    inputs: Mapping[str, Sequence[Any]] | None = None,
    constants: dict[str, Any] | None = None,
    outputs: Sequence[str] = ("y",),
    opset: int = 17,
    dtype: int = F32,
) -> onnx.ModelProto:
    """A model from nodes; by default one input x of shape (1, 4) and one output y."""
    infos = [helper.make_tensor_value_info(n, dtype, s) for n, s in (inputs or {"x": [1, 4]}).items()]
    results = [helper.make_tensor_value_info(n, dtype, None) for n in outputs]
    stored = [numpy_helper.from_array(np.asarray(v), n) for n, v in (constants or {}).items()]
    graph = helper.make_graph(list(nodes), "g", infos, results, stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def read(proto: onnx.ModelProto) -> Graph:
    return read_model(proto.SerializeToString(), file="m.onnx")


def refused(proto: onnx.ModelProto | bytes, code: str, *, folder: Path | None = None) -> InvalidInput:
    data = proto if isinstance(proto, bytes) else proto.SerializeToString()
    with pytest.raises(InvalidInput) as caught:
        read_model(data, file="m.onnx", folder=folder)
    assert caught.value.code == code, str(caught.value)
    assert str(caught.value).startswith("m.onnx")
    assert "\n" not in str(caught.value)
    return caught.value


def by_onnxruntime(data: bytes, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    types = {"tensor(float)": np.float32, "tensor(double)": np.float64}
    feeds = {i.name: x.astype(types[i.type]) for i, x in zip(session.get_inputs(), inputs, strict=True)}
    return [np.asarray(y) for y in session.run(None, feeds)]


def agrees_with_onnxruntime(data: bytes, *, runs: int = 3, tolerance: float = 1e-4) -> Graph:
    graph = read_model(data)
    for seed in range(runs):
        inputs = random_inputs(graph, seed)
        for ours, theirs in zip(evaluate(graph, inputs), by_onnxruntime(data, inputs), strict=True):
            assert ours.shape == theirs.shape
            scale = max(1.0, float(np.abs(theirs).max(initial=0)))
            np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance * scale)
    return graph


# real networks

LARGEST = 3_000_000
"""Files beyond it (bytes as stored) take too long for a test that runs always."""


def networks() -> list[Path]:
    """One path per distinct file name and size."""
    if not DATA.is_dir():
        return []
    found = {
        (p.name, p.stat().st_size): p
        for p in sorted(DATA.rglob("*.onnx*"))
        if p.name.endswith((".onnx", ".onnx.gz")) and p.stat().st_size <= LARGEST
    }
    return sorted(found.values(), key=lambda p: p.stat().st_size)


HUGE = ("tllBench_n=2_N=M=56", "tllBench_n=2_N=M=64", "tllBench_n=2_N=M=40")
"""100 MB and more when unpacked: the same layers as their smaller siblings."""


@needs_data
@pytest.mark.parametrize("path", networks(), ids=lambda p: p.name[:60])
def test_real_network(path: Path) -> None:
    if path.name.startswith(HUGE):
        assert load_model(path).n_inputs == 2
        return
    data = path.read_bytes()
    agrees_with_onnxruntime(gzip.decompress(data) if path.suffix == ".gz" else data)


@needs_data
def test_names_of_activations_are_kept() -> None:
    path = next(p for p in networks() if p.name == "mnist-net_256x2.onnx.gz")
    graph = load_model(path)
    proto = onnx.load_from_string(gzip.decompress(path.read_bytes()))
    relus = [n for n in proto.graph.node if n.op_type == "Relu"]
    assert len(relus) == 2
    for relu in relus:
        node = graph.nodes[graph.names[relu.output[0]]]
        assert isinstance(node.op, Relu)
        assert node.inputs == (graph.names[relu.input[0]],)
    x = random_inputs(graph, 0)
    assert evaluate_all(graph, x)[graph.names[relus[0].output[0]]].shape == (1, 256)


def test_weights_are_exact_and_single_precision() -> None:
    weight = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    graph = read(model([helper.make_node("Gemm", ["x", "w"], ["y"], transB=1)], constants={"w": weight}))
    op = graph.nodes[-1].op
    assert isinstance(op, Linear)
    assert op.weight.mid.dtype == np.float32 and op.weight.rad is None
    np.testing.assert_array_equal(op.weight.mid, weight.T)


def contains(constant: Constant, exact: Fraction) -> bool:
    rad = 0.0 if constant.rad is None else float(constant.rad.ravel()[0])
    return abs(Fraction(float(constant.mid.ravel()[0])) - exact) <= Fraction(rad)


@pytest.mark.parametrize("divisor", [3.0, 0.1, 255.0, 1e-30, 7e30, 4.0])
def test_division_encloses_the_reciprocal(divisor: float) -> None:
    c = np.float32(divisor)
    op = read(model([helper.make_node("Div", ["x", "c"], ["y"])], constants={"c": c})).nodes[-1].op
    assert isinstance(op, Scale)
    assert contains(op.factor, 1 / Fraction(float(c)))
    assert (op.factor.rad is None) == (divisor == 4.0)
    if op.factor.rad is not None:
        assert float(op.factor.rad.max()) <= abs(float(op.factor.mid.max())) * 2.0**-52


@pytest.mark.parametrize(
    ("operator", "a", "b", "exact"),
    [
        ("Add", 1.0, 2.0**-40, Fraction(1) + Fraction(2) ** -40),
        ("Add", 1.0, 2.0**-60, Fraction(1) + Fraction(2) ** -60),
        ("Sub", 0.1, 0.3, None),
        ("Mul", 0.1, 0.3, None),
        ("Div", 1.0, 3.0, None),
    ],
)
def test_folded_arithmetic_is_exact(operator: str, a: float, b: float, exact: Fraction | None) -> None:
    """float64 operands in a float64 graph; the constant reaches the graph as an offset."""
    nodes = [helper.make_node(operator, ["a", "b"], ["c"]), helper.make_node("Add", ["x", "c"], ["y"])]
    graph = read(model(nodes, constants={"a": np.float64(a), "b": np.float64(b)}, dtype=F64))
    p, q = Fraction(a), Fraction(b)
    value = {"Add": p + q, "Sub": p - q, "Mul": p * q, "Div": p / q}[operator]
    assert exact is None or exact == value
    op = graph.nodes[-1].op
    assert isinstance(op, Scale) and op.offset is not None
    assert contains(op.offset, value)
    representable = Fraction(float(value)) == value
    assert (op.offset.rad is None) == representable


def test_folding_counts_float32_roundings() -> None:
    nodes = [helper.make_node("Mul", ["a", "b"], ["c"]), helper.make_node("Mul", ["x", "c"], ["y"])]
    third, half = np.float32(1 / 3), np.float32(0.5)
    for b, roundings in ((third, 2), (half, 1)):
        op = read(model(nodes, constants={"a": third, "b": b})).nodes[-1].op
        assert isinstance(op, Scale) and op.roundings == roundings and op.factor.rad is None


def test_batch_normalization_encloses_its_factor() -> None:
    rng = np.random.default_rng(1)
    parts = {n: rng.uniform(0.5, 2, 3).astype(np.float32) for n in ("s", "b", "m", "v")}
    node = helper.make_node("BatchNormalization", ["x", "s", "b", "m", "v"], ["y"], epsilon=1e-5)
    centred, scaled = read(model([node], inputs={"x": [1, 3, 2, 2]}, constants=parts)).nodes[-2:]
    op = scaled.op
    assert isinstance(centred.op, Scale) and centred.op.roundings == 5 and centred.op.offset is not None
    np.testing.assert_array_equal(centred.op.offset.mid.ravel(), -parts["m"].astype(np.float64))
    assert isinstance(op, Scale) and op.roundings == 4 and op.factor.rad is not None
    epsilon = Fraction(float(np.float32(1e-5)))
    for k in range(3):
        s, v = Fraction(float(parts["s"][k])), Fraction(float(parts["v"][k]))
        low = Fraction(float(op.factor.mid.ravel()[k])) - Fraction(float(op.factor.rad.ravel()[k]))
        high = low + 2 * Fraction(float(op.factor.rad.ravel()[k]))
        # low <= s / sqrt(v + eps) <= high, squared
        assert low**2 * (v + epsilon) <= s**2 <= high**2 * (v + epsilon)


def test_symbolic_batch_is_one_and_initializers_are_not_inputs() -> None:
    proto = model(
        [helper.make_node("Add", ["x", "c"], ["y"])],
        inputs={"x": ["batch", 4], "c": [4]},
        constants={"c": np.ones(4, np.float32)},
    )
    graph = read(proto)
    assert graph.input_names == ("x",) and graph.nodes[graph.inputs[0]].shape == (1, 4)


def test_two_inputs_in_declaration_order() -> None:
    graph = read(model([helper.make_node("Sub", ["b", "a"], ["y"])], inputs={"a": [2], "b": [2]}))
    assert graph.input_names == ("a", "b")
    np.testing.assert_array_equal(evaluate(graph, [np.array([1.0, 2]), np.array([5.0, 7])])[0], [4, 5])


def test_gzipped_file_and_external_data(tmp_path: Path) -> None:
    weight = np.arange(16, dtype=np.float32).reshape(4, 4)
    proto = external(model([helper.make_node("MatMul", ["x", "w"], ["y"])], constants={"w": weight}), "w.bin")
    (tmp_path / "w.bin").write_bytes(b"1234" + weight.tobytes())
    (tmp_path / "m.onnx.gz").write_bytes(gzip.compress(proto.SerializeToString()))
    graph = load_model(tmp_path / "m.onnx.gz")
    np.testing.assert_array_equal(evaluate(graph, [np.ones(4)])[0], weight.sum(axis=0)[None])


def external(proto: onnx.ModelProto, location: str, length: int = 64) -> onnx.ModelProto:
    """The model with its first initializer's data in another file, from offset 4."""
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "4"), ("length", str(length))):
        tensor.external_data.add(key=key, value=value)
    return proto


# forms of the opsets, against onnxruntime

X = {"x": [2, 3, 4]}


def ints(*values: int) -> NDArray[np.int64]:
    return np.array(values, np.int64)


FORMS: list[tuple[str, list[int], list[str], dict[str, Any], dict[str, Any], dict[str, list[int]]]] = [
    # operator, opsets, further operands, attributes, constants, input
    ("Squeeze", [7, 9, 11], [], {"axes": [0]}, {}, {"x": [1, 3, 1]}),
    ("Squeeze", [13, 21, 24], ["a"], {}, {"a": ints(-1, 0)}, {"x": [1, 3, 1]}),
    ("Squeeze", [7, 13, 24], [], {}, {}, {"x": [1, 3, 1]}),
    ("Unsqueeze", [7, 9, 11], [], {"axes": [0, 2]}, {}, X),
    ("Unsqueeze", [13, 21, 24], ["a"], {}, {"a": ints(-1, 0)}, X),
    ("Clip", [7, 9], [], {"min": -0.5, "max": 0.25}, {}, X),
    ("Clip", [7, 9], [], {"min": -0.5}, {}, X),
    ("Clip", [11, 13, 24], ["l", "u"], {}, {"l": np.float32(-0.5), "u": np.float32(0.25)}, X),
    ("Clip", [11, 13, 24], ["", "u"], {}, {"u": np.float32(0.25)}, X),
    ("Pad", [7, 9], [], {"pads": [0, 1, 2, 0, 0, 1], "value": 1.5}, {}, X),
    ("Pad", [7, 9], [], {"pads": [0, -1, 2, 0, 0, -1]}, {}, X),
    ("Pad", [11, 13, 24], ["p"], {"mode": "reflect"}, {"p": ints(0, 1, 2, 0, 0, 1)}, X),
    ("Pad", [11, 13, 24], ["p"], {"mode": "edge"}, {"p": ints(0, 1, 2, 0, 0, 1)}, X),
    ("Pad", [11, 13, 24], ["p", "v"], {}, {"p": ints(0, 1, 2, 0, 0, 1), "v": np.float32(-2)}, X),
    ("Pad", [18, 24], ["p", "", "a"], {}, {"p": ints(1, 2), "a": ints(-1)}, X),
    ("Slice", [7, 9], [], {"starts": [0, 1], "ends": [2, -1], "axes": [1, 2]}, {}, X),
    ("Slice", [10, 11, 13, 24], ["s", "e", "a", "t"], {}, {"s": ints(-1), "e": ints(-9), "a": ints(2), "t": ints(-2)}, X),
    ("Slice", [10, 11, 13, 24], ["s", "e"], {}, {"s": ints(0, 1), "e": ints(1, 1 << 60)}, X),
    ("ReduceSum", [7, 11], [], {"axes": [1], "keepdims": 0}, {}, X),
    ("ReduceSum", [7, 11, 13], [], {}, {}, X),
    ("ReduceSum", [13, 24], ["a"], {"keepdims": 0}, {"a": ints(-1, 0)}, X),
    ("ReduceSum", [13, 24], [], {"noop_with_empty_axes": 1}, {}, X),
    ("ReduceMean", [7, 11, 13], [], {"axes": [-1] , "keepdims": 0}, {}, X),
    ("ReduceMean", [18, 24], ["a"], {}, {"a": ints(1)}, X),
    ("ReduceMax", [7, 13], [], {"axes": [1]}, {}, X),
    ("ReduceMin", [18, 20], ["a"], {}, {"a": ints(1, 2)}, X),
    ("Dropout", [7, 10], [], {"ratio": 0.3}, {}, X),
    ("Dropout", [12, 13, 22], ["r", "t"], {}, {"r": np.float32(0.3), "t": np.bool_(False)}, X),
    ("BatchNormalization", [7, 9, 14, 15], ["c", "c", "c", "c"], {}, {"c": np.array([0.5, 1, 2], np.float32)}, X),
    ("Flatten", [7, 9, 13, 24], [], {"axis": 2}, {}, X),
    ("Flatten", [11, 24], [], {"axis": -1}, {}, X),
    ("Upsample", [7], [], {"scales": [1.0, 1.0, 2.0, 3.0]}, {}, {"x": [1, 2, 2, 2]}),
    ("Upsample", [9], ["s"], {}, {"s": np.array([1, 1, 2, 3], np.float32)}, {"x": [1, 2, 2, 2]}),
    ("Resize", [10], ["s"], {}, {"s": np.array([1, 1, 2, 3], np.float32)}, {"x": [1, 2, 2, 2]}),
    ("Resize", [13, 19], ["", "s"], {}, {"s": np.array([1, 1, 2, 3], np.float32)}, {"x": [1, 2, 2, 2]}),
    ("MatMul", [7, 13], ["w"], {}, {"w": np.arange(24, dtype=np.float32).reshape(2, 4, 3)}, X),
    ("MatMul", [7, 13], ["w"], {}, {"w": np.arange(4, dtype=np.float32)}, X),
    ("Gather", [7, 11, 13], ["i"], {"axis": 1}, {"i": np.array([[2, 0]])}, X),
    ("Gather", [11, 13], ["i"], {"axis": -1}, {"i": np.array(-1)}, X),
    ("Tile", [7, 13], ["i"], {}, {"i": ints(1, 2, 3)}, X),
    ("Expand", [8, 13], ["i"], {}, {"i": ints(2, 1, 3, 4)}, X),
    ("MaxPool", [8, 10, 12, 22], [], {"kernel_shape": [3], "strides": [2], "auto_pad": "SAME_UPPER"}, {}, X),
    ("MaxPool", [10, 12, 22], [], {"kernel_shape": [2], "dilations": [2], "pads": [1, 0], "ceil_mode": 1}, {}, X),
    ("AveragePool", [7, 10, 11, 19], [], {"kernel_shape": [3], "strides": [2], "auto_pad": "SAME_LOWER"}, {}, X),
    ("AveragePool", [11, 19, 22], [], {"kernel_shape": [2], "pads": [1, 1], "count_include_pad": 1}, {}, X),
    ("GlobalAveragePool", [7, 22], [], {}, {}, X),
    ("GlobalMaxPool", [7, 22], [], {}, {}, X),
    ("LeakyRelu", [7, 16], [], {}, {}, X),
    ("PRelu", [7, 9, 16], ["c"], {}, {"c": np.array([[0.5], [-1], [2]], np.float32)}, X),
    ("Max", [8, 12, 13], ["c"], {}, {"c": np.array([0.5, -1, 0, 0.1], np.float32)}, X),
    ("Min", [8, 12, 13], ["c", "x"], {}, {"c": np.array([[0.5, -1, 0, 0.1]], np.float32)}, X),
    ("Mean", [8, 13], ["c"], {}, {"c": np.float32(3)}, X),
]  # fmt: skip


@pytest.mark.parametrize(("operator", "opset", "case"), [(f[0], v, f) for f in FORMS for v in f[1]], ids=str)
def test_form_of_opset(operator: str, opset: int, case: Any) -> None:
    _, _, operands, attributes, constants, inputs = case
    node = helper.make_node(operator, ["x", *operands], ["y"], **attributes)
    agrees_with_onnxruntime(
        model([node], inputs=inputs, constants=constants, opset=opset).SerializeToString(), tolerance=1e-5
    )


@pytest.mark.parametrize(
    ("opset", "extra", "attributes", "sizes"),
    [
        (7, False, {"axis": 1}, None), (11, False, {"axis": 1, "split": [1, 3]}, [1, 3]), (13, True, {"axis": 1}, [3, 1]),
        (13, False, {"axis": -1}, None), (18, False, {"axis": 1, "num_outputs": 2}, None), (24, True, {"axis": 1}, [0, 4]),
    ],
)  # fmt: skip
def test_split(opset: int, extra: bool, attributes: dict[str, Any], sizes: list[int] | None) -> None:
    node = helper.make_node("Split", ["x", "s"] if extra else ["x"], ["y", "z"], **attributes)
    joined = helper.make_node("Concat", ["z", "y"], ["w"], axis=1)
    proto = model(
        [node, joined], constants={"s": ints(*sizes)} if extra and sizes else {}, outputs=["w"], opset=opset
    )
    agrees_with_onnxruntime(proto.SerializeToString())


@pytest.mark.parametrize("attributes", [
    {"auto_pad": "SAME_UPPER"}, {"auto_pad": "SAME_LOWER"}, {"output_shape": [6]}, {"output_shape": [8], "output_padding": [1]},
    {"pads": [1, 0]}, {"output_padding": [1]}, {"dilations": [2], "pads": [0, 1]}, {"auto_pad": "VALID"},
])  # fmt: skip
@pytest.mark.parametrize("opset", [7, 11, 22])
def test_conv_transpose_padding(attributes: dict[str, Any], opset: int) -> None:
    weight = np.random.default_rng(2).standard_normal((4, 1, 3)).astype(np.float32)
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2], group=2, **attributes)
    proto = model([node], inputs={"x": [1, 4, 3]}, constants={"w": weight}, opset=opset)
    if opset < 11 and ("SAME" in str(attributes) or attributes == {"output_shape": [6]}):
        # version 1's text: the result has the operand's size, and the larger half of the padding is elsewhere
        refused(proto, "TLC202")
        return
    agrees_with_onnxruntime(proto.SerializeToString())


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize(
    "attributes", [{}, {"auto_pad": "SAME_UPPER"}, {"auto_pad": "SAME_LOWER"}, {"auto_pad": "VALID"}]
)
def test_conv(rank: int, attributes: dict[str, Any]) -> None:
    rng = np.random.default_rng(3)
    weight = rng.standard_normal((4, 1, *(3, 2, 2)[:rank])).astype(np.float32)
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], strides=[2, 1, 2][:rank], group=2, **attributes)
    constants = {"w": weight, "b": rng.standard_normal(4).astype(np.float32)}
    proto = model([node], inputs={"x": [2, 2, *(5, 4, 3)[:rank]]}, constants=constants)
    agrees_with_onnxruntime(proto.SerializeToString())


@pytest.mark.parametrize("variable", ["a", "b"])
@pytest.mark.parametrize("trans", [(0, 0), (1, 0), (0, 1), (1, 1)])
@pytest.mark.parametrize("c_shape", [(), (1,), (5,), (3, 1), (1, 5), (3, 5)])
def test_gemm(variable: str, trans: tuple[int, int], c_shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(4)
    shapes = {"a": (4, 3) if trans[0] else (3, 4), "b": (5, 4) if trans[1] else (4, 5), "c": c_shape}
    values = {n: np.asarray(rng.standard_normal(s), np.float32) for n, s in shapes.items()}
    node = helper.make_node(
        "Gemm", ["a", "b", "c"], ["y"], alpha=0.5, beta=1.1, transA=trans[0], transB=trans[1]
    )
    shape = values.pop(variable).shape
    proto = model([node], inputs={variable: shape}, constants=values)
    agrees_with_onnxruntime(proto.SerializeToString(), runs=1)


def test_shape_arithmetic_is_folded() -> None:
    """Reshape to (batch, -1) as exporters write it."""
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "zero"], ["n"]),
        helper.make_node("Unsqueeze", ["n", "zero1"], ["n1"]),
        helper.make_node("Concat", ["n1", "minus"], ["target"], axis=0),
        helper.make_node("Reshape", ["x", "target"], ["y"]),
    ]
    constants = {"zero": np.array(0), "zero1": ints(0), "minus": ints(-1)}
    graph = agrees_with_onnxruntime(
        model(nodes, inputs={"x": [2, 3, 4]}, constants=constants).SerializeToString()
    )
    assert len(graph.nodes) == 2 and graph.nodes[-1].shape == (2, 12)


# hostile and unsupported files

RELU = helper.make_node("Relu", ["x"], ["y"], name="relu")


def changed(change: Callable[[onnx.ModelProto], object]) -> onnx.ModelProto:
    """A good model with one thing changed."""
    proto = model(
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="mm")],
        constants={"w": np.ones((4, 2), np.float32)},
    )
    read(proto)
    change(proto)
    return proto


def weight(proto: onnx.ModelProto) -> TensorProto:
    tensor: TensorProto = proto.graph.initializer[0]
    return tensor


def set_weight(value: float) -> Callable[[onnx.ModelProto], object]:
    def change(proto: onnx.ModelProto) -> None:
        array = np.ones((4, 2), np.float32)
        array[1, 1] = value
        weight(proto).CopyFrom(numpy_helper.from_array(array, "w"))

    return change


def set_dims(*dims: int) -> Callable[[onnx.ModelProto], object]:
    return lambda proto: (weight(proto).ClearField("dims"), weight(proto).dims.extend(dims))


def set_input_shape(*shape: Any) -> Callable[[onnx.ModelProto], object]:
    return lambda proto: proto.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", F32, shape))


MALFORMED: list[tuple[str, str, Callable[[onnx.ModelProto], object]]] = [
    ("NaN weight", "TLC203", set_weight(float("nan"))),
    ("infinite weight", "TLC203", set_weight(float("-inf"))),
    ("dims bigger than data", "TLC201", set_dims(4, 3)),
    ("huge dims", "TLC401", set_dims(1 << 40, 1 << 40)),
    ("negative dims", "TLC204", set_dims(-4, -2)),
    ("seventeen axes", "TLC401", set_dims(*[1] * 17)),
    ("weight does not fit", "TLC204", set_dims(2, 4)),
    ("unknown element type", "TLC202", lambda m: setattr(weight(m), "data_type", 17)),
    ("integer weight", "TLC202", lambda m: weight(m).CopyFrom(numpy_helper.from_array(np.ones((4, 2), np.int32), "w"))),
    ("double weight", "TLC202", lambda m: weight(m).CopyFrom(numpy_helper.from_array(np.ones((4, 2)), "w"))),
    ("missing tensor", "TLC201", lambda m: m.graph.ClearField("initializer")),
    ("cycle", "TLC201", lambda m: m.graph.node[0].input.__setitem__(0, "y")),
    ("out of order", "TLC201", lambda m: m.graph.node[0].input.__setitem__(0, "r") or m.graph.node.append(helper.make_node("Relu", ["x"], ["r"]))),
    ("output not defined", "TLC201", lambda m: setattr(m.graph.output[0], "name", "z")),
    ("two definitions", "TLC201", lambda m: m.graph.node.append(helper.make_node("Relu", ["x"], ["y"]))),
    ("redefined input", "TLC201", lambda m: m.graph.node.append(helper.make_node("Relu", ["x"], ["x"]))),
    ("redefined weight", "TLC201", lambda m: m.graph.node.append(helper.make_node("Relu", ["x"], ["w"]))),
    ("two weights of one name", "TLC201", lambda m: m.graph.initializer.append(weight(m))),
    ("no output", "TLC201", lambda m: m.graph.ClearField("output")),
    ("no graph", "TLC201", lambda m: m.ClearField("graph")),
    ("no opset", "TLC201", lambda m: m.ClearField("opset_import")),
    ("old opset", "TLC202", lambda m: setattr(m.opset_import[0], "version", 6)),
    ("future opset", "TLC202", lambda m: setattr(m.opset_import[0], "version", 99)),
    ("huge input", "TLC401", set_input_shape(1 << 31, 4)),
    ("negative input", "TLC204", set_input_shape(-1, 4)),
    ("symbolic width", "TLC202", set_input_shape(1, "n")),
    ("integer input", "TLC202", lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", I64)),
    ("half input", "TLC202", lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", TensorProto.FLOAT16)),
    ("unknown operator", "TLC202", lambda m: setattr(m.graph.node[0], "op_type", "Frobnicate")),
    ("other domain", "TLC202", lambda m: setattr(m.graph.node[0], "domain", "com.microsoft")),
    ("unknown attribute", "TLC202", lambda m: m.graph.node[0].attribute.append(helper.make_attribute("alpha", 2.0))),
    ("attribute twice", "TLC201", lambda m: m.graph.node[0].attribute.extend([helper.make_attribute("a", 2.0)] * 2)),
    ("unread operand", "TLC202", lambda m: m.graph.node[0].input.append("w")),
    ("missing operand", "TLC201", lambda m: m.graph.node[0].input.pop()),
    ("unknown output", "TLC202", lambda m: (m.graph.node[0].output.append("z"), m.graph.output.append(helper.make_tensor_value_info("z", F32, None)))),
    ("local function", "TLC202", lambda m: m.functions.add(name="f")),
    ("sparse initializer", "TLC202", lambda m: m.graph.sparse_initializer.add()),
    ("external data outside", "TLC205", lambda m: external(m, "../x")),
    ("external data absolute", "TLC205", lambda m: external(m, "/etc/hostname")),
    ("external data without place", "TLC205", lambda m: external(m, "")),
    ("external data absent", "TLC402", lambda m: external(m, "absent.bin", 32)),
    ("segment", "TLC202", lambda m: setattr(weight(m).segment, "begin", 1)),
]  # fmt: skip


@pytest.mark.parametrize(("what", "code", "change"), MALFORMED, ids=[case[0] for case in MALFORMED])
def test_malformed(what: str, code: str, change: Callable[[onnx.ModelProto], object], tmp_path: Path) -> None:
    refused(changed(change), code, folder=tmp_path)


def test_external_data_through_a_link_outside(tmp_path: Path) -> None:
    inside = tmp_path / "model"
    inside.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(100))
    (inside / "w.bin").symlink_to(tmp_path / "secret.bin")
    refused(changed(lambda m: external(m, "w.bin", 32)), "TLC205", folder=inside)


def test_external_data_in_the_model_itself(tmp_path: Path) -> None:
    """A file has one role: the bytes of a model are not its weights."""
    path = tmp_path / "m.onnx"
    path.write_bytes(changed(lambda m: external(m, "m.onnx", 32)).SerializeToString())
    with pytest.raises(InvalidInput) as caught:
        load_model(path)
    assert caught.value.code == "TLC101"


def test_external_data_too_short(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(35))
    refused(changed(lambda m: external(m, "w.bin", 32)), "TLC403", folder=tmp_path)


@pytest.mark.parametrize("data", [b"", b"garbage", b"\x00" * 100, bytes(range(256))])
def test_garbage(data: bytes) -> None:
    refused(data, "TLC201")


def test_every_truncation_is_refused() -> None:
    data = model([RELU, helper.make_node("Relu", ["y"], ["z"])]).SerializeToString()
    for length in range(len(data)):
        refused(data[:length], "TLC201")


def test_every_byte_changed_is_read_or_refused() -> None:
    """No other exception than InvalidInput escapes, whatever the byte."""
    data = changed(lambda m: None).SerializeToString()
    rng = np.random.default_rng(5)
    for place in range(len(data)):
        mutated = bytearray(data)
        mutated[place] ^= int(rng.integers(1, 256))
        try:
            read_model(bytes(mutated))
        except InvalidInput as error:
            assert error.code.startswith(("TLC2", "TLC4"))


@pytest.mark.parametrize("operator", ["SequenceConstruct", "RandomNormalLike", "NonZero"])
def test_unsupported_operator_is_named(operator: str) -> None:
    error = refused(model([helper.make_node(operator, ["x"], ["y"], name="the node")]), "TLC202")
    assert f"unsupported operator {operator} at node 'the node'" in str(error)


VARIABLE: list[tuple[str, list[str], dict[str, Any]]] = [
    ("Cast", ["x"], {"to": TensorProto.INT8}), ("Cast", ["x"], {"to": TensorProto.UINT8}),
    ("Gather", ["c", "x"], {}), ("Reshape", ["c", "x"], {}), ("Clip", ["x", "x"], {}), ("Mod", ["x", "x"], {}),
    ("Where", ["x", "x", "c"], {}), ("Range", ["x", "x", "x"], {}), ("Not", ["x"], {}),
]  # fmt: skip


@pytest.mark.parametrize(("operator", "operands", "attributes"), VARIABLE)
def test_unsupported_with_variable_operand(
    operator: str, operands: list[str], attributes: dict[str, Any]
) -> None:
    node = helper.make_node(operator, operands, ["y"], name="n", **attributes)
    error = refused(
        model([node], inputs={"x": [4, 4]}, constants={"c": np.ones((4, 4), np.float32)}), "TLC202"
    )
    assert f"unsupported operator {operator} at node 'n'" in str(error)


HUGE_RESULTS: list[tuple[str, list[str], dict[str, Any], dict[str, Any]]] = [
    ("Expand", ["x", "s"], {}, {"s": ints(1 << 40, 1)}),
    ("Tile", ["x", "s"], {}, {"s": ints(1 << 40, 1 << 40)}),
    ("Pad", ["x"], {"pads": [0, 1 << 60, 0, 0]}, {}),
    ("Upsample", ["x"], {"scales": [1.0, 3e38]}, {}),
    ("Unsqueeze", ["x"], {"axes": list(range(20))}, {}),
    ("MaxPool", ["x3"], {"kernel_shape": [1 << 40], "pads": [1 << 40, 0]}, {}),
    ("AveragePool", ["x3"], {"kernel_shape": [1 << 40], "pads": [1 << 40, 0]}, {}),
    ("Conv", ["x3", "k"], {"pads": [1 << 60, 0]}, {"k": np.ones((1, 1, 1), np.float32)}),
]


@pytest.mark.parametrize(
    ("operator", "operands", "attributes", "constants"), HUGE_RESULTS, ids=lambda v: str(v)[:20]
)
def test_huge_results_are_not_allocated(
    operator: str, operands: list[str], attributes: dict[str, Any], constants: dict[str, Any]
) -> None:
    node = helper.make_node(operator, operands, ["y"], **attributes)
    inputs = {"x": [1, 4], "x3": [1, 1, 4]}
    with pytest.raises(InvalidInput) as caught:
        read(model([node], inputs=inputs, constants=constants, opset=9))
    assert caught.value.code in ("TLC401", "TLC202")


@pytest.mark.parametrize("limits", [(0, 1 << 60, 1), (-(1 << 63), (1 << 63) - 1, 1), (0, -(1 << 62), -1)])
def test_huge_range(limits: tuple[int, int, int]) -> None:
    nodes = [helper.make_node("Range", ["a", "b", "c"], ["r"]), helper.make_node("Expand", ["x", "r"], ["y"])]
    refused(model(nodes, constants={n: np.array(v) for n, v in zip("abc", limits, strict=True)}), "TLC401")


def test_pads_beside_auto_pad_are_refused() -> None:
    node = helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2], auto_pad="SAME_UPPER", pads=[1, 0])
    refused(model([node], inputs={"x": [1, 1, 4]}), "TLC202")


WEIGHT_OF_TWO = {"k": np.ones((1, 1, 2), np.float32)}
UNKNOWN_WORDS: list[tuple[str, list[str], int, dict[str, Any], str]] = [
    *(
        (operator, operands, 13, {"auto_pad": word, **more}, f"auto_pad {word}".rstrip())
        for word in ("SAME", "notset", "")
        for operator, operands, more in [
            ("Conv", ["x", "k"], {}), ("ConvTranspose", ["x", "k"], {}), ("ConvTranspose", ["x", "k"], {"output_shape": [5]}),
            ("MaxPool", ["x"], {"kernel_shape": [2]}), ("AveragePool", ["x"], {"kernel_shape": [2]}),
        ]
    ),
    ("Pad", ["x", "none"], 19, {"mode": "other"}, "mode other"), ("Pad", ["x", "none"], 18, {"mode": "wrap"}, "mode wrap"),
    ("Cast", ["x"], 25, {"to": F32, "round_mode": "other"}, "round_mode other"),
]  # fmt: skip


@pytest.mark.parametrize(("operator", "operands", "opset", "attributes", "said"), UNKNOWN_WORDS)
def test_words_that_an_attribute_does_not_have_are_no_defaults(
    operator: str, operands: list[str], opset: int, attributes: dict[str, Any], said: str
) -> None:
    node = helper.make_node(operator, operands, ["y"], **attributes)
    constants = {"none": ints(0, 0, 0, 0, 0, 0), **WEIGHT_OF_TWO}
    constants = {name: constants[name] for name in operands if name in constants}
    error = refused(model([node], inputs={"x": [1, 1, 4]}, constants=constants, opset=opset), "TLC202")
    assert said in str(error)


ZEROS_BESIDE_AUTO_PAD = [
    (operator, mode) for operator in ("Conv", "ConvTranspose", "MaxPool", "AveragePool") for mode in ("SAME_UPPER", "SAME_LOWER", "VALID")
]  # fmt: skip


@pytest.mark.parametrize(("operator", "mode"), ZEROS_BESIDE_AUTO_PAD)
def test_pads_of_zeros_beside_auto_pad(operator: str, mode: str) -> None:
    """The text forbids both. Shape inference takes the zeros, runtimes refuse or take auto_pad; VALID says the same as zeros."""
    conv = operator.startswith("Conv")
    more = {} if conv else {"kernel_shape": [2]}
    node = helper.make_node(
        operator, ["x", "k"] if conv else ["x"], ["y"], auto_pad=mode, pads=[0, 0], **more
    )
    proto = model([node], inputs={"x": [1, 1, 4]}, constants=WEIGHT_OF_TWO if conv else {})
    if operator != "ConvTranspose" and mode == "VALID":
        assert read(proto).nodes[-1].shape == (1, 1, 3)
    else:
        assert f"pads together with auto_pad {mode}" in str(refused(proto, "TLC202"))


def test_division_by_zero_is_no_real_function() -> None:
    refused(model([helper.make_node("Div", ["x", "c"], ["y"])], constants={"c": np.float32(0)}), "TLC203")


def test_unneeded_nodes_are_left_out() -> None:
    graph = read(model([RELU, helper.make_node("Sin", ["x"], ["s"])]))
    assert len(graph.nodes) == 2


@pytest.mark.parametrize("name", ["s", "t", "gone"])
def test_unneeded_nodes_have_their_order(name: str) -> None:
    """Cyclic, used before it is made, or missing."""
    nodes = [RELU, helper.make_node("Sin", [name], ["s"]), helper.make_node("Cos", ["x"], ["t"])]
    assert f"'{name}' is not defined before its use" in str(refused(model(nodes), "TLC201"))


def test_integer_overflow_is_refused() -> None:
    nodes = [helper.make_node("Mul", ["a", "a"], ["s"]), helper.make_node("Reshape", ["x", "s"], ["y"])]
    refused(model(nodes, constants={"a": ints(1 << 40)}), "TLC202")


def test_float16_and_bfloat16_weights_are_exact() -> None:
    half = np.array([0.1, -3.25, 65504, 6e-8], np.float16)
    nodes = [helper.make_node("Cast", ["h"], ["c"], to=F32), helper.make_node("Add", ["x", "c"], ["y"])]
    op = read(model(nodes, constants={"h": half})).nodes[-1].op
    assert isinstance(op, Scale) and op.offset is not None
    np.testing.assert_array_equal(op.offset.mid.astype(np.float64), half.astype(np.float64))
    proto = model(nodes, constants={"h": half})
    tensor = proto.graph.initializer[0]
    tensor.data_type, tensor.raw_data = (
        TensorProto.BFLOAT16,
        np.array([0x3FC0, 0xBF80, 0, 1], np.uint16).tobytes(),
    )
    op = read(proto).nodes[-1].op
    assert isinstance(op, Scale) and op.offset is not None
    np.testing.assert_array_equal(op.offset.mid, np.array([1.5, -1, 0, 2.0**-133], np.float32))
