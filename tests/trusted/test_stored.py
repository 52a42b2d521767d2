"""Networks of 16-bit numbers: exact over the reals; deployed, what onnxruntime gives lies inside, and so does what rounds at every
step."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tests.cli.test_certify import query
from tests.helpers import IEEE
from tests.readers.test_quantized import executed, node
from tests.trusted.test_quantized_deployed import bounds
from tlcheck.cli.main import main
from tlcheck.errors import InvalidInput
from tlcheck.readers.onnx import read_model
from tlcheck.trusted.arith.box import OutOfRange
from tlcheck.trusted.arith.profile import NotDeployable, Profile
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.ops.stored import Stored

Array = NDArray[Any]
F16, F32, BF16 = TensorProto.FLOAT16, TensorProto.FLOAT, TensorProto.BFLOAT16
h = np.float16


def model(
    nodes: list[Any], stored: dict[str, Any], shape: tuple[int, ...], kind: int = F16, opset: int = 20
) -> bytes:
    """Its constants in the type of its input and output."""
    tensors = [
        helper.make_tensor(k, kind, np.shape(v), np.ravel(v).astype(float).tolist())
        for k, v in stored.items()
    ]
    given, made = (helper.make_tensor_value_info(n, kind, s) for n, s in (("x", shape), ("y", None)))
    graph = helper.make_graph(nodes, "g", [given], [made], tensors)
    opsets = [helper.make_opsetid("", opset)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString())


def ratio(graph: Graph, x: Array, theirs: Array, profile: Profile = IEEE) -> float:
    """The largest distance to the exact value / radius."""
    exact, wide = (bounds(graph, x, x, said).boxes[graph.outputs[0]] for said in (None, profile))
    middle = exact.lower / 2 + exact.upper / 2
    return float((np.abs(theirs.reshape(1, -1) - middle) / ((wide.upper - wide.lower) / 2)).max())


RNG = np.random.default_rng(0)


def w(*shape: int) -> Array:
    return RNG.normal(size=shape).astype(h)


MLP = [
    node("MatMul", "x w", "a"),
    node("Add", "a b", "c"),
    node("Relu", "c", "r"),
    node("MatMul", "r v", "d"),
    node("Tanh", "d", "y"),
]
WEIGHTS = {"w": w(16, 20) / h(4), "b": w(20), "v": w(20, 5) / h(8)}
CASES: dict[str, tuple[list[Any], dict[str, Any], tuple[int, ...]]] = {
    "layers": (MLP, WEIGHTS, (3, 16)),
    "Gemm": ([node("Gemm", "x w b", "y", alpha=0.5)], {"w": w(16, 20), "b": w(20)}, (3, 16)),
    "Conv": ([node("Conv", "x w b", "y", pads=[1, 1, 1, 1])], {"w": w(4, 2, 3, 3), "b": w(4)}, (1, 2, 6, 6)),
    "BatchNormalization": (
        [node("BatchNormalization", "x g b m v", "y")], {"g": w(4), "b": w(4), "m": w(4), "v": np.abs(w(4)) + h(0.1)}, (1, 4, 6, 6),
    ),
    "LayerNormalization": ([node("LayerNormalization", "x g b", "y")], {"g": w(16), "b": w(16)}, (3, 16)),
    "Softmax": ([node("Softmax", "x", "y")], {}, (3, 16)),
    "Sigmoid": ([node("Sigmoid", "x", "y")], {}, (3, 16)),
    "Gelu": ([node("Gelu", "x", "y")], {}, (3, 16)),
    "arithmetic": ([node("Mul", "x c", "a"), node("Div", "a d", "b"), node("Sub", "b x", "y")], {"c": 1.37, "d": 3.0}, (50,)),
    "AveragePool": ([node("AveragePool", "x", "y", kernel_shape=[3, 3])], {}, (1, 2, 6, 6)),
}  # fmt: skip


@pytest.mark.parametrize("name", list(CASES))
def test_what_onnxruntime_gives_lies_inside(name: str) -> None:
    """A twentieth of the radius would be seen: 2^-11 is what rounding loses."""
    nodes, stored, shape = CASES[name]
    data = model(nodes, stored, shape)
    graph = read_model(data)
    found = []
    for scale in (0.01, 2.0, 30.0):
        x = (np.random.default_rng(1).normal(size=shape) * scale).astype(h)
        found.append(ratio(graph, x, executed(data, x)))
    assert 0.05 < max(found) <= 1


def bfloat16(x: Array) -> Array:
    """Rounded to nearest even."""
    bits = np.asarray(x, np.float32).view(np.uint32).astype(np.uint64)
    return np.asarray(
        ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16 << 16).astype(np.uint32).view(np.float32), np.float64
    )


@pytest.mark.parametrize(("kind", "rounded"), [(F16, lambda x: x.astype(h).astype(float)), (BF16, bfloat16)])
def test_every_step_may_be_rounded(kind: int, rounded: Any) -> None:
    graph = read_model(data := model(MLP, WEIGHTS, (3, 16), kind, 22))
    stored = {t.name: numpy_helper.to_array(t).astype(float) for t in helper_tensors(data)}
    found = []
    for seed in range(20):
        x = rounded(np.random.default_rng(seed).normal(size=(3, 16)))
        r = np.maximum(rounded(rounded(x @ stored["w"]) + stored["b"]), 0)
        found.append(ratio(graph, x, rounded(np.tanh(rounded(r @ stored["v"])))))
    assert 0.05 < max(found) <= 1


def helper_tensors(data: bytes) -> Any:
    from onnx import load_from_string

    return load_from_string(data).graph.initializer


def test_casts_round() -> None:
    """Float32 at both ends, 16 bits between: over the reals nothing happens."""
    nodes = [node("Cast", "x", "a", to=F16), node("Mul", "a c", "b"), node("Cast", "b", "y", to=F32)]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", F32, [64])], [helper.make_tensor_value_info("y", F32, [64])],
        [numpy_helper.from_array(h(0.3), "c")],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 20)]
    data = helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()
    x = np.random.default_rng(0).normal(size=64).astype(np.float32)
    read = read_model(data)
    exact = bounds(read, x, x, None).boxes[read.outputs[0]]
    assert np.abs(exact.lower[0] - x.astype(float) * float(h(0.3))).max() < 1e-12
    rounded = (x.astype(h).astype(float) * float(h(0.3))).astype(h)
    assert 0.05 < ratio(read, x, rounded) <= 1
    assert ratio(read, x, executed(data, x)) <= 1  # which leaves the casts out


def test_overflow_is_not_bounded() -> None:
    graph = read_model(model([node("Mul", "x c", "y")], {"c": 2.0}, (1,)))
    assert bounds(graph, [32000.0], [32000.0]).boxes
    with pytest.raises(OutOfRange, match="float16 overflow"):
        bounds(graph, [33000.0], [33000.0])


def test_sums_of_another_type_are_refused_by_name() -> None:
    graph = read_model(model([node("Mul", "x c", "y")], {"c": 2.0}, (1,)))
    with pytest.raises(NotDeployable, match="float16, in which the profile ieee-basic"):
        bounds(graph, [1.0], [1.0], replace(IEEE, wide_sums=False))


def test_moves_store_nothing() -> None:
    graph = read_model(model([node("Flatten", "x", "f"), node("Transpose", "f", "y")], {}, (2, 3)))
    assert not any(isinstance(n.op, Stored) for n in graph.nodes)


def test_constants_of_16_bits_are_not_folded() -> None:
    with pytest.raises(InvalidInput, match="arithmetic on constants of type float16"):
        read_model(model([node("Mul", "c c", "d"), node("Add", "x d", "y")], {"c": 0.3}, (1,)))


@pytest.mark.parametrize("semantics", ["real", "deployed"])
def test_a_network_of_16_bits_is_certified(
    semantics: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """y = a + b / 2 is at most 1.5."""
    nodes = [node("MatMul", "x w", "a"), node("Relu", "a", "y")]
    (tmp_path / "net.onnx").write_bytes(model(nodes, {"w": [[1.0], [0.5]]}, (1, 2)))
    (tmp_path / "p.vnnlib").write_text(query(1.51))
    files = [str(tmp_path / name) for name in ("net.onnx", "p.vnnlib")]
    assert (
        main(["certify", *files, "-o", str(tmp_path / "x.tlcert"), "--jobs", "1", "--semantics", semantics])
        == 0
    )
    assert main(["verify", str(tmp_path / "x.tlcert"), "--semantics", semantics]) == 0
    assert "CERTIFIED" in capsys.readouterr().out
