"""What an ONNX node means: the inputs on which version 0.1.0 read something else, and others of the same kinds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, defs, helper, numpy_helper

from tests import numpy_eval
from tests.helpers import FAULTS, needs_faults
from tlcheck.cli.main import main
from tlcheck.errors import InvalidInput
from tlcheck.readers.onnx import read_model
from tlcheck.readers.onnx.standard import max_opset
from tlcheck.trusted.ops.indexed import cut

F32 = np.float32


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str]:
    """The exit code and all that is said."""
    code = main([str(a) for a in arguments])
    said = capsys.readouterr()
    return code, said.out + said.err


def model(
    op: str,
    attributes: dict[str, Any],
    x: Any,
    constants: dict[str, Any] | None = None,
    *,
    opset: int = 13,
    outputs: tuple[str, ...] = ("y",),
) -> bytes:
    node = helper.make_node(op, ["x", *(constants or {})], list(outputs), **attributes)
    graph = helper.make_graph(
        [node], "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(c), name) for name, c in (constants or {}).items()],
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    data: bytes = made.SerializeToString()
    return data


def refused(data: bytes, *words: str, code: str = "TLC202") -> None:
    with pytest.raises(InvalidInput) as caught:
        read_model(data)
    assert caught.value.code == code
    for word in words:
        assert word in str(caught.value)


def agrees(data: bytes, x: Any) -> None:
    """The graph that is read has onnxruntime's value."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    (expected,) = session.run(["y"], {"x": x})
    (found,) = numpy_eval.evaluate(read_model(data), [x])
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


# The folders.


@needs_faults
def test_batchnorm_training(capsys: pytest.CaptureFixture[str]) -> None:
    code, said = run(capsys, "verify", FAULTS / "batchnorm_training" / "b.tlcert")
    assert code == 3
    assert "training mode" in said


@needs_faults
@pytest.mark.parametrize("semantics", ["real", "deployed"])
def test_dropout10(semantics: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = run(capsys, "verify", FAULTS / "dropout10" / "b.tlcert", "--semantics", semantics)
    assert code == 3
    assert "mask" in said


@needs_faults
def test_same_short_kernel(capsys: pytest.CaptureFixture[str]) -> None:
    code, said = run(capsys, "verify", FAULTS / "same_short_kernel" / "maxpool-short-kernel.tlcert")
    assert code == 3
    assert "auto_pad SAME_UPPER" in said


@needs_faults
@pytest.mark.parametrize("network", ["mean", "first"])
def test_convtranspose_same(network: str) -> None:
    data = (FAULTS / "convtranspose_same" / f"{network}.onnx").read_bytes()
    refused(data, "ConvTranspose", "auto_pad SAME_UPPER")


@needs_faults
def test_slice_negative_step(capsys: pytest.CaptureFixture[str]) -> None:
    folder = FAULTS / "slice_negative_step"
    assert run(capsys, "verify", folder / "b.tlcert")[0] == 4
    witness = [folder / "net.onnx", folder / "unsafe.vnnlib", folder / "w.txt"]
    assert run(capsys, "vnncomp", "witness", *witness)[0] == 0
    agrees((folder / "net.onnx").read_bytes(), F32([0.25, 2.5]))


@needs_faults
@pytest.mark.parametrize("semantics", ["real", "deployed"])
def test_resize_size(semantics: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = run(capsys, "verify", FAULTS / "resize_size" / "b.tlcert", "--semantics", semantics)
    assert code == 3
    assert "float32" in said


@needs_faults
def test_resize_extrapolation() -> None:
    data = (FAULTS / "resize_extrapolation" / "net.onnx").read_bytes()
    agrees(data, F32([[[[0.25, 0.75]]]]))


@needs_faults
def test_empty_tensor(capsys: pytest.CaptureFixture[str]) -> None:
    folder = FAULTS / "empty_tensor"
    agrees((folder / "net.onnx").read_bytes(), F32([0.5, -2.5]))
    _, said = run(capsys, "vnnlib", "verify", folder / "p.vnnlib", "--network", f"N={folder / 'net.onnx'}")
    assert said.splitlines()[0] == "unsat"


@needs_faults
@pytest.mark.parametrize("network", ["net", "finite"])
def test_causal_mask(network: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = FAULTS / "causal_mask" / f"{network}.onnx"
    agrees(path.read_bytes(), F32([[0.5, 1.0, 2.0]]))
    _, said = run(capsys, "vnnlib", "verify", FAULTS / "causal_mask" / "p.vnnlib", "--network", f"N={path}")
    assert said.splitlines()[0] == "unsat"


@needs_faults
def test_softplus_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = FAULTS / "softplus_export"
    _, said = run(capsys, "vnnlib", "verify", folder / "p.vnnlib", "--network", f"N={folder / 'net.onnx'}")
    assert said.splitlines()[0] == "unsat"
    pde = tmp_path / "pde.toml"
    pde.write_text(
        'format = "tlcheck.pde/1"\ncoordinates = ["t", "x"]\noutputs = ["u"]\n'
        '[domain]\nt = [0, 1]\nx = [-1, 1]\n[parts.residual]\nzero = "u_t - 1"\n'
    )
    made = tmp_path / "x.tlcert"
    assert run(capsys, "certify-pinn", folder / "net.onnx", pde, "-o", made)[0] == 0
    assert run(capsys, "verify", made)[0] == 0


# Opsets and forms.


@pytest.mark.parametrize("opset", [6, 29, 30])
def test_an_opset_that_the_package_does_not_have(opset: int) -> None:
    refused(model("Relu", {}, np.zeros(1), opset=opset), f"7 to {max_opset()}")
    assert max_opset() <= defs.onnx_opset_version()


@pytest.mark.parametrize("version", [0, 2, onnx.IR_VERSION + 1])
def test_a_format_that_the_package_does_not_have(version: int) -> None:
    made = onnx.load_from_string(model("Relu", {}, np.zeros(1)))
    made.ir_version = version
    refused(made.SerializeToString(), "ir_version")


X = np.arange(1, 5, dtype=F32).reshape(1, 1, 4)


@pytest.mark.parametrize(("op", "attributes", "constants", "opset", "word"), [
    ("Swish", {}, {}, 23, "it came with opset 24"),
    ("Upsample", {}, {"s": F32([1, 1, 2])}, 10, "deprecated"),
    ("Scatter", {}, {"i": np.zeros((1, 1, 1), np.int64), "u": F32([[[1]]])}, 11, "deprecated"),
    ("AveragePool", {"kernel_shape": [2], "dilations": [2]}, {}, 11, "attribute dilations"),
    ("ReduceMax", {"axes": [0]}, {}, 18, "attribute axes"),
    ("Clip", {"max": 1.0}, {}, 11, "attribute max"),
    ("Clip", {}, {"low": F32(0)}, 10, "operand 1"),
    ("ReduceMean", {"keepdims": 2}, {}, 13, "neither 0 nor 1"),
    ("ReduceMean", {"keepdims": 1.0}, {}, 13, "unexpected type"),
    ("Add", {}, {"b": np.zeros(1)}, 13, "different types"),
    ("LayerNormalization", {"stash_type": 10}, {"g": F32([1] * 4)}, 17, "stash_type"),
])  # fmt: skip
def test_a_form_of_another_opset(op: str, attributes: Any, constants: Any, opset: int, word: str) -> None:
    refused(model(op, attributes, X, constants, opset=opset), op, word)


@pytest.mark.parametrize(("op", "attributes", "opset", "outputs"), [
    ("BatchNormalization", {}, 7, ("y", "m", "v", "s", "t")), ("BatchNormalization", {}, 9, ("y", "m")),
    ("BatchNormalization", {}, 13, ("y", "", "v")), ("BatchNormalization", {}, 15, ("y", "m", "v")),
    ("BatchNormalization", {"training_mode": 1}, 15, ("y",)),
])  # fmt: skip
def test_training_mode(op: str, attributes: Any, opset: int, outputs: tuple[str, ...]) -> None:
    statistics = {name: F32([1]) for name in ("scale", "bias", "mean", "variance")}
    refused(model(op, attributes, X, statistics, opset=opset, outputs=outputs), "training mode")


@pytest.mark.parametrize("opset", [7, 8, 12, 22])
def test_indices_of_maxpool_may_be_named(opset: int) -> None:
    if opset > 7:
        agrees(model("MaxPool", {"kernel_shape": [2]}, X, opset=opset, outputs=("y", "i")), X)
    else:
        refused(model("MaxPool", {"kernel_shape": [2]}, X, opset=opset, outputs=("y", "i")), "output 1 'i'")


@pytest.mark.parametrize("opset", [7, 10, 12])
def test_a_mask_of_dropout_may_be_named(opset: int) -> None:
    agrees(model("Dropout", {}, X, opset=opset, outputs=("y", "mask")), X)


# Windows.


@pytest.mark.parametrize(("op", "attributes", "opset", "word"), [
    *((op, {"auto_pad": pad, "strides": [3], "kernel_shape": [1]}, 22, "shorter than the stride")
      for op in ("MaxPool", "AveragePool") for pad in ("SAME_UPPER", "SAME_LOWER")),
    ("MaxPool", {"auto_pad": "SAME_UPPER", "dilations": [2], "kernel_shape": [2]}, 13, "dilations"),
    ("AveragePool", {"auto_pad": "VALID", "strides": [3], "kernel_shape": [1]}, 13, "before opset 19"),
    ("MaxPool", {"ceil_mode": 1, "strides": [2], "kernel_shape": [2], "pads": [0, 1]}, 13, "starts in the padding"),
    ("AveragePool", {"ceil_mode": 1, "strides": [3], "kernel_shape": [3]}, 13, "two entries or more"),
    ("MaxPool", {"kernel_shape": [2], "pads": [2, 0]}, 13, "not below the kernel"),
])  # fmt: skip
def test_windows_on_which_tools_differ(op: str, attributes: Any, opset: int, word: str) -> None:
    n = 5 if "shorter" in word else 4
    refused(model(op, attributes, np.zeros((1, 1, n)), opset=opset), word)


@pytest.mark.parametrize(("op", "attributes", "opset", "word"), [
    ("Conv", {"auto_pad": "SAME_UPPER", "strides": [4]}, 22, "shorter than the stride"),
    ("Conv", {"auto_pad": "SAME_LOWER", "dilations": [2]}, 22, "dilations"),
    ("Conv", {"auto_pad": "SAME_UPPER", "strides": [2]}, 10, "before opset 11"),
    ("ConvTranspose", {"auto_pad": "SAME_LOWER", "strides": [3]}, 22, "shorter than the stride"),
    ("ConvTranspose", {"auto_pad": "SAME_LOWER", "strides": [2], "output_padding": [1]}, 22, "output_padding"),
    ("ConvTranspose", {"output_shape": [3]}, 22, "below the operand"),
    ("ConvTranspose", {"output_shape": [9]}, 22, "beyond"),
    ("ConvTranspose", {"dilations": [3], "output_padding": [2]}, 22, "not below the strides"),
])  # fmt: skip
def test_convolutions_on_which_tools_differ(op: str, attributes: Any, opset: int, word: str) -> None:
    refused(model(op, attributes, X, {"w": F32([[[1, 2]]])}, opset=opset), word)


# Slices, and other uses of integers of a file.


@pytest.mark.parametrize("step", [-3, -2, -1, 1, 2])
@pytest.mark.parametrize("n", [1, 2, 4])
def test_slice_is_onnxruntimes(n: int, step: int) -> None:
    x = np.arange(n, dtype=F32)
    for start in (-9, -n - 1, -n, -1, 0, 1, n - 1, n, 9):
        for end in (-(2**63), -9, -n, -1, 0, 1, n, 9):
            given = {"s": [start], "e": [end], "a": [0], "t": [step]}
            constants = {name: np.array(v, np.int64) for name, v in given.items()}
            data = model("Slice", {}, x, constants)
            taken = [float(v) for v in cut(start, end, step, n)]
            session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
            assert taken == session.run(["y"], {"x": x})[0].tolist()
            if taken:
                agrees(data, x)


@pytest.mark.parametrize(("op", "attributes", "constants", "opset", "word"), [
    ("Slice", {}, {"s": [-9], "e": [-9], "a": [2], "t": [-1]}, 11, "before opset 13"),
    ("Slice", {}, {"s": [-1], "e": [2**31 - 1], "a": [2], "t": [-1]}, 13, "negative step"),
    ("Squeeze", {"axes": [-3]}, {}, 10, "before opset 11"),
    ("Flatten", {"axis": -1}, {}, 9, "before opset 11"),
    ("Pad", {"mode": "reflect"}, {"p": [0, 0, 4, 0, 0, 0]}, 13, "reflects"),
])  # fmt: skip
def test_integers_on_which_tools_differ(
    op: str, attributes: Any, constants: Any, opset: int, word: str
) -> None:
    ints = {name: np.array(v, np.int64) for name, v in constants.items()}
    refused(model(op, attributes, X, ints, opset=opset), word)


# Minus infinity.


def masked(nodes: list[Any], constants: dict[str, Any], shape: tuple[int, ...]) -> bytes:
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(c), name) for name, c in constants.items()],
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data: bytes = made.SerializeToString()
    return data


CAUSAL = np.triu(np.full((3, 3), -np.inf, F32), 1)


def test_a_causal_mask_that_is_added() -> None:
    node = helper.make_node
    nodes = [node("Add", ["x", "m"], ["s"]), node("Softmax", ["s"], ["y"], axis=-1)]
    x = np.random.default_rng(0).normal(0, 1, (2, 3, 3)).astype(F32)
    agrees(masked(nodes, {"m": CAUSAL}, x.shape), x)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_a_causal_mask_that_is_chosen_and_moved(axis: int) -> None:
    node = helper.make_node
    nodes = [
        node("Trilu", ["full"], ["upper"], upper=0), node("Transpose", ["upper"], ["turned"]),
        node("Where", ["c", "x", "turned"], ["w"]), node("Transpose", ["w"], ["t"], perm=[1, 0]),
        node("Softmax", ["t"], ["y"], axis=axis),
    ]  # fmt: skip
    x = np.random.default_rng(1).normal(0, 1, (3, 3)).astype(F32)
    full = np.where(np.eye(3) > 0, 0, -np.inf).astype(F32)
    agrees(masked(nodes, {"full": full, "c": np.tri(3, dtype=np.bool_)}, x.shape), x)


@pytest.mark.parametrize(("operators", "word"), [
    (["Add", "Relu"], "tensor 's0'"), (["Add", "Identity"], "holds minus infinity"), (["Mul", "Identity"], "tensor 'm'"),
    (["Sub", "Identity"], "tensor 'm'"), (["Max", "Identity"], "tensor 'm'"),
])  # fmt: skip
def test_infinity_elsewhere_is_named(operators: list[str], word: str) -> None:
    first = helper.make_node(operators[0], ["x", "m"], ["s0"])
    nodes = [first, helper.make_node(operators[1], ["s0"], ["y"])]
    refused(masked(nodes, {"m": CAUSAL}, (3, 3)), word, code="TLC203")


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_other_numbers_that_are_none(value: float) -> None:
    nodes = [helper.make_node("Add", ["x", "mask"], ["s"]), helper.make_node("Softmax", ["s"], ["y"])]
    refused(masked(nodes, {"mask": np.full((3, 3), value, F32)}, (3, 3)), "tensor 'mask'", code="TLC203")
    refused(
        masked(nodes, {"mask": np.full((3, 3), -np.inf, F32)}, (3, 3)), "minus infinity only", code="TLC203"
    )
