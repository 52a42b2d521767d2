"""onnxruntime's own operators: what its optimiser writes is read, and means what the model did."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests import numpy_eval
from tests.helpers import IEEE
from tests.readers.optimised import LEVELS, MODELS, Maker, operators, optimised
from tests.trusted.radii import enclosures
from tlcheck.errors import InvalidInput
from tlcheck.readers.onnx import modules_of, read_model
from tlcheck.readers.onnx.contributed import CONTRIBUTED
from tlcheck.trusted.arith.profile import NotDeployable

WRITTEN = {
    "com.microsoft.FastGelu", "com.microsoft.FusedConv", "com.microsoft.FusedGemm", "com.microsoft.FusedMatMul",
    "com.microsoft.Gelu", "com.microsoft.QuickGelu", "com.microsoft.SkipLayerNormalization", "SimplifiedLayerNormalization",
}  # fmt: skip
"""What the models below make the optimiser write."""
MACHINES_OWN = "com.microsoft.nchwc"
"""Whether its operators are written depends on the processor."""


def expected(name: str) -> dict[str, Any]:
    """Of onnxruntime's schema: operands, whether each is needed, outputs, attributes with their types, those required."""
    from onnxruntime.capi.onnxruntime_pybind11_state import get_all_operator_schema

    domain, _, operator = name.rpartition(".")
    (schema,) = (
        s for s in get_all_operator_schema() if (s.domain, s.name, s.since_version) == (domain, operator, 1)
    )
    kinds = {"FLOAT": 1, "INT": 2, "STRING": 3, "FLOATS": 6, "INTS": 7}
    return {
        "operands": [(i.name, str(i.option).endswith("Single")) for i in schema.inputs],
        "outputs": len(schema.outputs),
        "attributes": {k: kinds[str(a.type).rpartition(".")[2]] for k, a in schema.attributes.items()},
        "required": tuple(k for k, a in schema.attributes.items() if a.required),
        "types": [set(t.allowed_type_strs) for t in schema.type_constraints],
    }


@pytest.mark.parametrize("name", sorted(CONTRIBUTED))
def test_forms_are_onnxruntimes(name: str) -> None:
    found, form = expected(name), CONTRIBUTED[name].form
    assert [(o.name, o.required) for o in form.operands] == found["operands"]
    assert (form.max_outputs, dict(form.attributes), form.required) == (
        found["outputs"], found["attributes"], found["required"],
    )  # fmt: skip
    assert form.operands[0].types <= found["types"][0]


def test_every_row_is_there() -> None:
    assert all(callable(found.row.load()) for found in CONTRIBUTED.values())


@pytest.mark.parametrize("name", MODELS)
def test_optimised_models(name: str, tmp_path: Path) -> None:
    """At every level: read, equal to the original within what folded weights round, and executions inside."""
    data, rng = MODELS[name](), np.random.default_rng(1)
    graph = read_model(data)
    x = rng.normal(size=graph.nodes[graph.inputs[0]].shape).astype(np.float32)
    exact = numpy_eval.evaluate(graph, [x])[0]
    for level in LEVELS:
        saved, session = optimised(data, level, tmp_path)
        if any(op.startswith(MACHINES_OWN) for op in operators(saved)):
            continue
        again = read_model(saved)
        np.testing.assert_allclose(numpy_eval.evaluate(again, [x])[0], exact, rtol=2e-5, atol=2e-5)
        if level == "ORT_ENABLE_EXTENDED":
            middle, radius = enclosures(saved, x, IEEE)
            assert (np.abs(session.run(None, {"x": x})[0].ravel() - middle[0]) <= radius[0]).all()


def test_the_optimiser_writes_what_the_table_has(tmp_path: Path) -> None:
    found = {op for make in MODELS.values() for op in operators(optimised(make(), LEVELS[2], tmp_path)[0])}
    own = {op for op in found if op.startswith("com.microsoft") or op == "SimplifiedLayerNormalization"}
    assert own == WRITTEN


def node(
    operator: str, *operands: Any, outputs: int = 1, variable: int = 1, version: int = 1, **attributes: Any
) -> bytes:
    """One node of com.microsoft; the first ``variable`` operands are inputs."""
    names = ["" if x is None else f"i{k}" for k, x in enumerate(operands)]
    given = [(n, x) for n, x in zip(names, operands, strict=True) if n]
    made = helper.make_node(
        operator, names, [f"y{k}" for k in range(outputs)], "the node", domain="com.microsoft", **attributes
    )
    graph = helper.make_graph(
        [made], "g", [helper.make_tensor_value_info(n, TensorProto.FLOAT, x.shape) for n, x in given[:variable]],
        [helper.make_tensor_value_info("y0", TensorProto.FLOAT, None)], [numpy_helper.from_array(x, n) for n, x in given[variable:]],
    )  # fmt: skip
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", version)]
    return bytes(helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString())


M = Maker(seed=3)
SKIPPED = (M.w(2, 3, 4), M.w(2, 3, 4), M.w(4))
IMAGE, KERNEL, Z = M.w(1, 2, 4, 4), M.w(3, 2, 3, 3), M.w(1, 3, 4, 4, scale=4)
CASES: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("FusedConv", (IMAGE, KERNEL), {"pads": [1] * 4}),
    *(
        ("FusedConv", (IMAGE, KERNEL, M.w(3)), {"pads": [1] * 4, "activation": a, "activation_params": p} if p else {"activation": a})
        for a, p in (
            ("Relu", []), ("Tanh", []), ("Sigmoid", []), ("LeakyRelu", [0.2]), ("Clip", [-0.3, 0.4]), ("HardSigmoid", [0.3, 0.6]),
            ("HardSwish", []),
        )
    ),
    ("FusedConv", (IMAGE, KERNEL, M.w(3), Z), {"pads": [1] * 4, "activation": "Relu"}),
    ("FusedConv", (IMAGE, KERNEL, None, Z), {"pads": [1] * 4, "group": 1}),
    ("FusedGemm", (M.w(2, 3), M.w(4, 3), M.w(2, 4)), {"transB": 1, "alpha": 0.5, "beta": -2.0, "activation": "Relu"}),
    ("FusedGemm", (M.w(3, 2), M.w(3, 4)), {"transA": 1, "activation": "LeakyRelu", "activation_alpha": 0.3}),
    *(
        ("FusedMatMul", (M.w(*a), M.w(*b)), {"alpha": f} | dict.fromkeys(turned, 1))
        for a, b, f, turned in (
            ((2, 3, 4, 5), (2, 3, 5, 6), 0.25, ()), ((2, 3, 4, 5), (2, 3, 4, 6), -1.5, ("transA",)),
            ((2, 3, 4, 5), (3, 4, 5, 6), 1.0, ("transBatchA",)), ((2, 3, 4, 5), (3, 4, 2, 6), 1.0, ("transBatchA", "transA")),
            ((3, 4, 6, 2), (2, 3, 4, 5), 2.0, ("transBatchB",)), ((3, 4, 6, 5), (6, 3, 4, 5), 1.0, ("transBatchB", "transB")),
            ((3,), (3, 4), 0.5, ()),
        )
    ),
    ("TransposeMatMul", (M.w(2, 3, 4), M.w(2, 5, 4)), {"transB": 1, "alpha": 3.0}),
    ("BiasGelu", (M.w(2, 3, scale=2), M.w(3)), {}), ("FastGelu", (M.w(2, 3, scale=2), M.w(3)), {}),
    ("FastGelu", (M.w(2, 3, scale=2),), {}), ("Gelu", (M.w(2, 3, scale=2),), {}),
    *(("QuickGelu", (M.w(2, 3, scale=2),), {"alpha": a}) for a in (1.0, 1.702, -0.5)), ("QuickGelu", (M.w(2, 3),), {}),
    ("SkipLayerNormalization", SKIPPED, {}),
    ("SkipLayerNormalization", (*SKIPPED, M.w(4), M.w(4)), {"epsilon": 0.1}),
    ("SkipLayerNormalization", (M.w(2, 3, 4), M.w(1, 3, 4), M.w(4), None, M.w(4)), {"epsilon": 1e-5}),
    ("SkipLayerNormalization", (M.w(3, 4), M.w(3, 4), M.w(4)), {}), ("SkipLayerNormalization", (M.w(2, 3, 4), M.w(3, 4), M.w(4)), {}),
    ("SkipSimplifiedLayerNormalization", SKIPPED, {}),
    ("SkipSimplifiedLayerNormalization", (*SKIPPED, M.w(4)), {"epsilon": 0.1}),
    ("Trilu", (M.w(3, 4), np.array(1)), {"upper": 0}),
    ("Attention", (M.w(2, 3, 4), M.w(4, 12), M.w(12)), {"num_heads": 2}),
    ("Attention", (M.w(2, 3, 4), M.w(4, 12), M.w(12)), {"num_heads": 1, "scale": 0.3, "unidirectional": 1}),
    ("Attention", (M.w(2, 3, 4), M.w(4, 14), M.w(14)), {"num_heads": 2, "qkv_hidden_sizes": [4, 4, 6]}),
    *(
        ("Attention", (M.w(2, 3, 4), M.w(4, 12), M.w(12), mask), {"num_heads": 2} | more)
        for mask, more in (
            (np.array([[1, 1, 0], [0, 1, 1]], np.int32), {}),
            (np.array([[1, 1, 0], [0, 1, 1]], np.int32), {"mask_filter_value": -3.0, "unidirectional": 1}),
            (np.tril(np.ones((2, 3, 3), np.int32)), {"mask_filter_value": -2.0}),
        )
    ),
    ("Attention", (M.w(2, 3, 4), M.w(4, 12), M.w(12), None, None, M.w(1, 2, 3, 3)), {"num_heads": 2}),
    ("MultiHeadAttention", (M.w(1, 3, 4), M.w(1, 5, 4), M.w(1, 5, 6)), {"num_heads": 2}),
    ("MultiHeadAttention", (M.w(1, 3, 4), M.w(1, 3, 4), M.w(1, 3, 4), M.w(12)), {"num_heads": 2, "scale": 0.7, "unidirectional": 1}),
    ("MultiHeadAttention", (M.w(1, 3, 4), M.w(1, 2, 5, 2), M.w(1, 2, 5, 2)), {"num_heads": 2}),
    (
        "MultiHeadAttention", (M.w(2, 3, 4), M.w(2, 3, 4), M.w(2, 3, 4), None, np.array([[1, 1, 0], [0, 1, 1]], np.int32), M.w(2, 1, 3, 3)),
        {"num_heads": 1, "mask_filter_value": -4.0},
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_against_onnxruntimes_kernels(case: tuple[str, tuple[Any, ...], dict[str, Any]]) -> None:
    """With one variable operand and with two: the value, and the kernel's inside the deployed box."""
    operator, operands, attributes = case
    most = 1 if operator in ("FusedConv", "Trilu") else min(2, len(operands))
    for variable in range(1, most + 1):
        data = node(operator, *operands, variable=variable, **attributes)
        graph, given = read_model(data), list(operands[:variable])
        session = optimised_session(data)
        theirs = session.run(None, {f"i{k}": x for k, x in enumerate(given)})[0]
        ours = numpy_eval.evaluate(graph, given)[0]
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6)
        if variable == 1:
            middle, radius = enclosures(data, given[0][None], IEEE)
            assert (np.abs(theirs.ravel() - middle[0]) <= radius[0]).all()


def optimised_session(data: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def test_statistics_that_a_profile_does_not_describe() -> None:
    with pytest.raises(NotDeployable, match="SkipLayerNormalization, whose statistics"):
        enclosures(
            node("SkipLayerNormalization", *SKIPPED), SKIPPED[0][None], replace(IEEE, normalisation={})
        )


def test_fourth_output_is_the_sum() -> None:
    proto = onnx.load_from_string(node("SkipLayerNormalization", *SKIPPED, outputs=4))
    proto.graph.output[0].name = "y3"
    (found,) = numpy_eval.evaluate(read_model(proto.SerializeToString()), [SKIPPED[0]])
    np.testing.assert_allclose(found, SKIPPED[0].astype(float) + SKIPPED[1])


def test_its_modules_are_named() -> None:
    names = modules_of(read_model(node("BiasGelu", M.w(2, 3), M.w(3))))
    assert {"tlcheck.readers.onnx.fused", "tlcheck.readers.onnx.functions"} <= set(names)


PACKED = (M.w(2, 3, 4), M.w(4, 12), M.w(12))
REFUSED: list[tuple[bytes, str]] = [
    (node("NoSuchOperator", M.w(2, 3)), "com.microsoft"),
    (node("Gelu", M.w(2, 3), version=2), "unsupported version of domain com.microsoft"),
    (node("FusedConv", IMAGE, KERNEL, activation="Softplus"), "activation Softplus"),
    (node("FusedConv", IMAGE, KERNEL, activation="LeakyRelu"), "activation LeakyRelu with parameters None"),
    (node("FusedConv", IMAGE, KERNEL, activation_params=[0.1]), "activation_params without an activation"),
    (node("FusedConv", IMAGE, KERNEL, M.w(3), M.w(1, 3, 1, 1)), "Z of shape"),
    (node("FusedGemm", M.w(2, 3), M.w(3, 4)), "activation"),
    (node("FusedGemm", M.w(2, 3), M.w(3, 4), activation="LeakyRelu"), "activation LeakyRelu without"),
    (node("FusedGemm", M.w(2, 3), M.w(3, 4), activation="Relu", activation_alpha=0.5), "attribute activation_alpha"),
    (node("FusedMatMul", M.w(3), M.w(3, 4), transA=1), "a transposed operand of shape (3,)"),
    (node("FusedMatMul", M.w(2, 3), M.w(3, 4), beta=1.0), "attribute beta"),
    (node("BiasGelu", M.w(2, 3), M.w(2, 3)), "bias (2, 3)"),
    (node("SkipLayerNormalization", M.w(1, 2, 3, 4), M.w(1, 2, 3, 4), M.w(4)), "input of shape (1, 2, 3, 4)"),
    (node("SkipLayerNormalization", M.w(2, 3, 4), M.w(1, 1, 4), M.w(4)), "skip of shape"),
    (node("SkipLayerNormalization", M.w(2, 3, 4), M.w(2, 3, 4), M.w(1)), "operand 2 of shape"),
    (node("Attention", M.w(2, 3, 4), M.w(4, 12)), "without attribute num_heads"),
    (node("Attention", M.w(2, 3, 4), M.w(4, 12), num_heads=2), "at which onnxruntime's CPU kernel crashes: give zeros"),
    (node("Attention", *PACKED, num_heads=3), "3 heads of parts [4, 4, 4] of 12"),
    (node("Attention", *PACKED, num_heads=1, do_rotary=1), "give the graph of one pass"),
    (node("Attention", *PACKED, None, M.w(2, 2, 1, 2, 2), num_heads=2), "operand 4: keys and values that came"),
    (node("Attention", *PACKED, np.ones(2, np.int32), num_heads=2), "give one of (2, 3), 1 for keys"),
    (node("Attention", *PACKED, np.full((2, 3), 2, np.int32), num_heads=2), "a mask of other numbers"),
    (node("MultiHeadAttention", M.w(2, 3, 2, 3, 4), num_heads=2), "in one operand"),
    (node("MultiHeadAttention", M.w(1, 2, 4), M.w(1, 3, 4), M.w(1, 3, 4), num_heads=2, unidirectional=1), "2 queries and 3 keys"),
    (node("BiasSoftmax", M.w(2, 3), M.w(2, 3), is_inner_broadcast=0), "onnxruntime's CPU has no kernel of it: save the model at level"),
    (node("EmbedLayerNormalization", M.w(2, 3)), "give the network behind it"),
    (node("GroupQueryAttention", M.w(2, 3)), "give Attention of opset 23"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "text"), REFUSED, ids=[text for _, text in REFUSED])
def test_refused_by_name(data: bytes, text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_model(data)
    assert text in str(caught.value)


def test_unfilled_outputs_are_refused() -> None:
    proto = onnx.load_from_string(node("SkipLayerNormalization", *SKIPPED, outputs=2))
    proto.graph.output[0].name = "y1"
    with pytest.raises(InvalidInput, match="which onnxruntime does not compute"):
        read_model(proto.SerializeToString())


def test_a_domain_that_is_not_imported() -> None:
    proto = onnx.load_from_string(node("Gelu", M.w(2, 3)))
    del proto.opset_import[1]
    with pytest.raises(InvalidInput, match="is not imported") as caught:
        read_model(proto.SerializeToString())
    assert caught.value.code == "TLC201"


def test_its_operators_of_the_default_domain_need_its_domain() -> None:
    """LayerNormalization of opset 13: onnxruntime's, where its domain is imported; else none."""
    m = Maker(13)
    data = m.model([2, 4], m("LayerNormalization", "x", m.w(4)))
    with pytest.raises(InvalidInput, match="not in opset 13"):
        read_model(data)
    proto = onnx.load_from_string(data)
    proto.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    assert read_model(proto.SerializeToString()).outputs
