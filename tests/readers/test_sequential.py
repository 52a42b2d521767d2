"""Sequential networks from safetensors: against the same layers in onnxruntime, and hostile files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save

from tests.numpy_eval import evaluate, random_inputs
from tlcheck.errors import InvalidInput
from tlcheck.readers.sequential.read import load_safetensors_model
from tlcheck.trusted.graph import Graph

RNG = np.random.default_rng(0)
WEIGHTS: dict[str, NDArray[Any]] = {
    "conv.w": RNG.standard_normal((4, 1, 3, 3)).astype(np.float32),
    "conv.b": RNG.standard_normal(4).astype(np.float32),
    "up.w": RNG.standard_normal((4, 2, 2, 2)).astype(np.float32),
    "bn.w": RNG.uniform(0.5, 2, 4).astype(np.float32),
    "bn.b": RNG.standard_normal(4).astype(np.float32),
    "bn.m": RNG.standard_normal(4).astype(np.float32),
    "bn.v": RNG.uniform(0.5, 2, 4).astype(np.float32),
    "fc.w": RNG.standard_normal((3, 16)).astype(np.float32),
    "fc.b": RNG.standard_normal(3).astype(np.float32),
    "steps": np.arange(3, dtype=np.int64),
}
BN = {"weight": "bn.w", "bias": "bn.b", "mean": "bn.m", "var": "bn.v"}
LAYERS: list[dict[str, Any]] = [
    {"type": "conv2d", "weight": "conv.w", "bias": "conv.b", "stride": [2, 2], "padding": [1, 1]},
    {"type": "batchnorm", **BN, "eps": 1e-3},
    {"type": "leaky_relu", "negative_slope": 0.1},
    {"type": "maxpool2d", "kernel_size": [2, 2]},
    {"type": "flatten"},
    {"type": "linear", "weight": "fc.w", "bias": "fc.b"},
    {"type": "sigmoid"},
]


def architecture(
    layers: list[dict[str, Any]], shape: tuple[int, ...] = (1, 1, 8, 8), **fields: Any
) -> dict[str, Any]:
    return {"format": "tlcheck.sequential.v1", "input": list(shape), "layers": layers, **fields}


def load(tmp_path: Path, what: dict[str, Any] | str, weights: dict[str, Any] | bytes = WEIGHTS) -> Graph:
    (tmp_path / "w.safetensors").write_bytes(weights if isinstance(weights, bytes) else save(weights))
    (tmp_path / "a.json").write_text(what if isinstance(what, str) else json.dumps(what))
    return load_safetensors_model(tmp_path / "w.safetensors", tmp_path / "a.json")


def onnx_run(nodes: list[Any], shape: tuple[int, ...], x: NDArray[Any]) -> NDArray[Any]:
    import onnxruntime

    stored = [numpy_helper.from_array(v, n) for n, v in WEIGHTS.items()]
    x_info = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    y_info = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "g", [x_info], [y_info], stored)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x.astype(np.float32)})[0])


def test_network_agrees_with_onnxruntime(tmp_path: Path) -> None:
    graph = load(tmp_path, architecture(LAYERS))
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "conv.w", "conv.b"], ["1"], strides=[2, 2], pads=[1, 1, 1, 1]),
        node("BatchNormalization", ["1", "bn.w", "bn.b", "bn.m", "bn.v"], ["2"], epsilon=1e-3),
        node("LeakyRelu", ["2"], ["3"], alpha=0.1),
        node("MaxPool", ["3"], ["4"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", ["4"], ["5"]),
        node("Gemm", ["5", "fc.w", "fc.b"], ["6"], transB=1),
        node("Sigmoid", ["6"], ["y"]),
    ]
    for seed in range(3):
        x = random_inputs(graph, seed)
        np.testing.assert_allclose(
            evaluate(graph, x)[0], onnx_run(nodes, (1, 1, 8, 8), x[0]), rtol=1e-5, atol=1e-5
        )
    assert graph.names["layers.6"] == graph.outputs[0]


SINGLE: list[tuple[dict[str, Any], tuple[int, ...], tuple[int, ...]]] = [
    ({"type": "conv_transpose2d", "weight": "up.w", "stride": [2, 2]}, (1, 4, 3, 3), (1, 2, 6, 6)),
    ({"type": "avgpool2d", "kernel_size": [2, 2], "padding": [1, 1]}, (1, 2, 4, 4), (1, 2, 3, 3)),
    (
        {"type": "maxpool2d", "kernel_size": [3, 3], "stride": [2, 2], "ceil_mode": True},
        (1, 2, 6, 6),
        (1, 2, 3, 3),
    ),
    ({"type": "flatten", "start_dim": 2}, (1, 2, 4, 4), (1, 2, 16)),
    ({"type": "reshape", "shape": [4, -1]}, (1, 2, 4, 4), (4, 8)),
    ({"type": "clip", "min": 0, "max": 6}, (1, 3), (1, 3)),
    ({"type": "scale", "factor": "fc.b", "offset": "fc.b"}, (2, 3), (2, 3)),
    ({"type": "tanh"}, (2, 3), (2, 3)),
    ({"type": "abs"}, (2, 3), (2, 3)),
    ({"type": "identity"}, (2, 3), (2, 3)),
    ({"type": "batchnorm", **BN}, (2, 4), (2, 4)),
]


@pytest.mark.parametrize(("layer", "shape", "result"), SINGLE, ids=lambda v: str(v)[:30])
def test_single_layer(
    layer: dict[str, Any], shape: tuple[int, ...], result: tuple[int, ...], tmp_path: Path
) -> None:
    graph = load(tmp_path, architecture([layer], shape))
    assert evaluate(graph, random_inputs(graph, 0))[0].shape == result


def test_linear_is_out_in_and_exact(tmp_path: Path) -> None:
    graph = load(tmp_path, architecture([LAYERS[5]], (2, 16)))
    x = random_inputs(graph, 0)[0]
    expected = x @ WEIGHTS["fc.w"].astype(np.float64).T + WEIGHTS["fc.b"]
    np.testing.assert_allclose(evaluate(graph, [x])[0], expected, rtol=1e-14)


def test_half_weights_are_widened_exactly(tmp_path: Path) -> None:
    weight = np.array([[0.1, 65504], [6e-8, -1]], np.float16)
    graph = load(tmp_path, architecture([{"type": "linear", "weight": "w"}], (2,)), {"w": weight})
    np.testing.assert_array_equal(evaluate(graph, [np.array([1.0, 0])])[0], weight[:, 0].astype(np.float64))


def bad_header(header: str, data: bytes = b"") -> bytes:
    return len(header).to_bytes(8, "little") + header.encode() + data


MALFORMED_WEIGHTS: list[tuple[str, bytes]] = [
    ("TLC403", b""),
    ("TLC403", b"\xff" * 20),
    ("TLC403", bad_header('{"w": {}}')[:-1]),
    ("TLC106", bad_header('{"w": ')),
    ("TLC106", bad_header('{"a": 1, "a": 1}')),
    ("TLC201", bad_header('{"w": {"dtype": "F32", "shape": [1]}}', bytes(4))),
    ("TLC201", bad_header('{"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}', bytes(4))),
    ("TLC201", bad_header('{"w": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}', bytes(8))),
    ("TLC204", bad_header('{"w": {"dtype": "F32", "shape": [-1, -1], "data_offsets": [0, 4]}}', bytes(4))),
    (
        "TLC401",
        bad_header('{"w": {"dtype": "F32", "shape": [1099511627776], "data_offsets": [0, 4]}}', bytes(4)),
    ),
    ("TLC202", bad_header('{"w": {"dtype": "F7", "shape": [1], "data_offsets": [0, 4]}}', bytes(4))),
    ("TLC403", bad_header('{"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}', bytes(5))),
    ("TLC403", bad_header('{"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}', bytes(3))),
    ("TLC203", save({"w": np.array([np.nan], np.float32)})),
]


@pytest.mark.parametrize(("code", "data"), MALFORMED_WEIGHTS)
def test_malformed_weights(code: str, data: bytes, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        load(tmp_path, architecture([{"type": "relu"}]), data)
    assert caught.value.code == code, str(caught.value)
    assert "w.safetensors" in str(caught.value)


def with_layer(**change: Any) -> dict[str, Any]:
    return architecture([{**LAYERS[0], **change}])


MALFORMED_ARCHITECTURE: list[tuple[str, dict[str, Any] | str]] = [
    ("TLC106", "{"),
    (
        "TLC106",
        '{"format": "tlcheck.sequential.v1", "format": "tlcheck.sequential.v1", "input": [1], "layers": []}',
    ),
    ("TLC106", '{"format": "tlcheck.sequential.v1", "input": [NaN], "layers": []}'),
    ("TLC201", architecture(LAYERS, extra=1)),
    ("TLC201", architecture(LAYERS) | {"format": "other"}),
    ("TLC201", architecture([{"type": "softmax"}])),
    ("TLC201", with_layer(unknown=1)),
    ("TLC201", with_layer(weight="absent")),
    ("TLC201", with_layer(weight="steps")),
    ("TLC201", with_layer(stride=[1])),
    ("TLC201", with_layer(stride=["1", "1"])),
    ("TLC204", with_layer(stride=[0, 1])),
    ("TLC204", with_layer(padding=[-1, 0])),
    ("TLC401", with_layer(padding=[1 << 60, 0])),
    ("TLC201", with_layer(padding=[1 << 63, 0])),
    ("TLC204", with_layer(groups=0)),
    ("TLC204", with_layer(weight="fc.w")),
    ("TLC204", architecture([LAYERS[5]], (1, 17))),
    ("TLC204", architecture([{"type": "reshape", "shape": [5, -1]}], (1, 16))),
    ("TLC204", architecture([{"type": "flatten", "start_dim": 5}], (1, 16))),
    ("TLC204", architecture(LAYERS, (1, 0))),
    ("TLC204", architecture(LAYERS, (-1, 4))),
    ("TLC401", architecture(LAYERS, (1 << 40, 4))),
]


@pytest.mark.parametrize(("code", "what"), MALFORMED_ARCHITECTURE, ids=lambda v: str(v)[:60])
def test_malformed_architecture(code: str, what: dict[str, Any] | str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        load(tmp_path, what)
    assert caught.value.code == code, str(caught.value)
    assert "a.json" in str(caught.value)


def test_no_layers_is_the_identity(tmp_path: Path) -> None:
    assert load(tmp_path, architecture([])).outputs == (0,)


@pytest.mark.parametrize("number", ["1e999", "1e39"])
def test_decimals_out_of_range(number: str, tmp_path: Path) -> None:
    text = json.dumps(architecture([{"type": "leaky_relu", "negative_slope": 7}])).replace("7", number)
    with pytest.raises(InvalidInput) as caught:
        load(tmp_path, text)
    assert caught.value.code in ("TLC201", "TLC203", "TLC106")
