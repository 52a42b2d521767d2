"""RNN, GRU and LSTM against onnxruntime and the reference evaluator, over the reals and as float32 executions."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from tests import numpy_eval
from tests.helpers import CERTIFICATES, IEEE
from tests.readers.test_onnx_onnxruntime import run
from tlcheck.cli.main import main
from tlcheck.errors import InvalidInput
from tlcheck.readers.onnx import modules_of, read_model
from tlcheck.readers.onnx.recurrent import GATES, USUAL
from tlcheck.readers.runtime_profile import profile
from tlcheck.trusted.arith.arb import working_precision
from tlcheck.trusted.arith.ball64 import Ball64
from tlcheck.trusted.arith.box import Box
from tlcheck.trusted.arith.profile import NotDeployable, Profile
from tlcheck.trusted.bounds import Enclosure, Slopes
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.guidance import NO_GUIDANCE
from tlcheck.trusted.network import Network

sys.path.append(str(CERTIFICATES / "producers"))

F32 = TensorProto.FLOAT


@dataclass
class Case:
    """``stored``: which of B, lens, h, c, P there are."""

    op: str
    stored: str = "B"
    direction: str = "forward"
    layout: int = 0
    opset: int = 22
    outputs: tuple[str, ...] = ("y",)
    attributes: dict[str, Any] = field(default_factory=dict)
    sizes: tuple[int, int, int, int] = (3, 2, 3, 2)
    """Steps, batch, inputs, hidden."""

    def model(self, seed: int = 0) -> tuple[bytes, Any]:
        """The model, and an input."""
        rng = np.random.default_rng(seed)
        (steps, batch, width, size), n = self.sizes, 1 + (self.direction == "bidirectional")
        rows = GATES[self.op] * size

        def normal(*shape: int) -> Any:
            return rng.normal(0, 0.7, shape).astype(np.float32)

        def first(a: Any) -> Any:
            return np.ascontiguousarray(a.swapaxes(0, 1)) if self.layout else a

        x = first(normal(steps, batch, width))
        tensors = {
            "W": normal(n, rows, width), "R": normal(n, rows, size), "B": normal(n, 2 * rows),
            "lens": np.full(batch, steps, np.int32), "h": first(normal(n, batch, size)), "c": first(normal(n, batch, size)),
            "P": normal(n, 3 * size),
        }  # fmt: skip
        there = {"W", "R", *self.stored.split()} - (set() if self.op == "LSTM" else {"c", "P"})
        names = ["x", *(name if name in there else "" for name in tensors)]
        names = names[: 1 + max(i for i, name in enumerate(names) if name)]
        more = {"layout": 1} if self.layout else {}
        node = helper.make_node(
            self.op,
            names,
            self.outputs,
            "the node",
            hidden_size=size,
            direction=self.direction,
            **more,
            **self.attributes,
        )
        graph = helper.make_graph(
            [node], "g", [helper.make_tensor_value_info("x", F32, x.shape)],
            [helper.make_tensor_value_info(o, F32, None) for o in self.outputs if o],
            [numpy_helper.from_array(tensors[name], name) for name in names[1:] if name],
        )  # fmt: skip
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)
        return made.SerializeToString(), x


def with_(op: str, **more: Any) -> Case:
    return Case(op, outputs=("y", "yh", "yc")[: 3 if op == "LSTM" else 2], **more)


def activations(op: str, name: str, alpha: float | None = None, beta: float | None = None) -> Case:
    """All of that kind, the one number or both given."""
    count = len(USUAL[op])
    given = {"activation_alpha": alpha, "activation_beta": beta}
    lists = {k: [v] * count for k, v in given.items() if v is not None}
    return with_(op, attributes={"activations": [name] * count, **lists})


BOTH: list[Case] = [
    *(with_(op, direction=d, stored=s) for op in GATES for d in ("forward", "reverse", "bidirectional") for s in ("", "B lens h c")),
    *(with_("LSTM", stored=s, direction="bidirectional") for s in ("P", "B P", "B h c P")),
    *(with_("GRU", stored=s, attributes={"linear_before_reset": 1}) for s in ("", "B", "B h")),
    *(with_(op, opset=o) for op in GATES for o in (7, 14)),
    Case("LSTM", outputs=("", "yh")), Case("LSTM", outputs=("", "", "yc")), Case("GRU", outputs=("", "yh")),
]  # fmt: skip
"""Both know them."""

ONNXRUNTIME: list[Case] = [
    *(activations(op, name) for op in GATES for name in ("Relu", "Sigmoid", "Softsign", "Softplus", "HardSigmoid", "LeakyRelu")),
    *(activations("GRU", *a) for a in (("Affine", 0.5, 0.25), ("ScaledTanh", 1.5, 0.7), ("Elu", 0.6), ("ThresholdedRelu", 0.25))),
    *(activations("LSTM", *a) for a in (("Affine", 0.5, 0.25), ("LeakyRelu", 0.2), ("HardSigmoid", 0.3, 0.4))),
    with_("LSTM", attributes={"activations": ["LeakyRelu", "Sigmoid", "Tanh"], "activation_alpha": [0.3]}),
    with_("RNN", direction="bidirectional", attributes={"activations": ["Tanh", "Relu"]}),
    with_("RNN", attributes={"clip": 0.25}), with_("GRU", stored="B h", attributes={"clip": 0.25, "linear_before_reset": 1}),
]  # fmt: skip
"""The reference evaluator takes the usual activations whatever the node says, and no clip."""


def agree(case: Case, theirs: list[Any], graph: Graph, x: Any) -> None:
    ours = numpy_eval.evaluate(graph, [x])
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=2e-6)


def executed(data: bytes, x: Any) -> list[Any]:
    import onnxruntime

    return list(onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"]).run(None, {"x": x}))


def referred(data: bytes, x: Any) -> list[Any]:
    return list(ReferenceEvaluator(onnx.load_from_string(data)).run(None, {"x": x}))


@pytest.mark.parametrize("case", BOTH, ids=str)
def test_values_are_onnxruntimes_and_the_references(case: Case) -> None:
    data, x = case.model()
    graph = read_model(data)
    agree(case, executed(data, x), graph, x)
    full = Case(**{**vars(case), "outputs": ("y", "yh", "yc")[: 3 if case.op == "LSTM" else 2]}).model()[0]
    wanted = [o for o in zip(referred(full, x), case.outputs, strict=False) if o[1]]
    agree(case, [value for value, _ in wanted], graph, x)


@pytest.mark.parametrize("case", ONNXRUNTIME, ids=str)
def test_values_are_onnxruntimes(case: Case) -> None:
    data, x = case.model()
    agree(case, executed(data, x), read_model(data), x)


@pytest.mark.parametrize("op", GATES)
def test_batch_first(op: str) -> None:
    """onnxruntime has no such form on the CPU; the standard's shapes, and the reference evaluator."""
    case = with_(op, layout=1, stored="B h c", direction="bidirectional", sizes=(3, 2, 4, 5))
    data, x = case.model()
    agree(case, referred(data, x), read_model(data), x)


@pytest.mark.parametrize("op", GATES)
def test_weights_that_the_network_computes(op: str) -> None:
    data, x = with_(op, stored="B h c").model()
    proto = onnx.load_from_string(data)
    graph = proto.graph
    variable = {t.name: numpy_helper.to_array(t) for t in graph.initializer if t.name in ("W", "R", "B")}
    kept = [t for t in graph.initializer if t.name not in variable]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    graph.input.extend(helper.make_tensor_value_info(k, F32, v.shape) for k, v in variable.items())
    ours = numpy_eval.evaluate(read_model(proto.SerializeToString()), [x, *variable.values()])
    for a, b in zip(ours, executed(data, x), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=2e-6)


# float32 executions


def deployed(graph: Graph, x: Any, said: Profile) -> list[Box]:
    """Boxes of the outputs of every float32 execution at that point."""
    point = x.astype(np.float64).reshape(1, -1)
    with working_precision(128):
        task = Enclosure(Network(graph), Ball64(), Slopes(NO_GUIDANCE, lambda _: None), said)
        found = task.bounds({graph.inputs[0]: Box(point, point)}).boxes
    return [found[i] for i in graph.outputs]


DEPLOYED = [
    with_("RNN"), with_("GRU", stored="B h"), with_("GRU", attributes={"linear_before_reset": 1}), with_("LSTM", stored="B h c"),
    with_("LSTM", stored="B P"), with_("RNN", attributes={"activations": ["Sigmoid"]}),
    with_("GRU", attributes={"activations": ["HardSigmoid", "Relu"]}),
]  # fmt: skip


@pytest.mark.parametrize("case", DEPLOYED, ids=str)
def test_executions_lie_in_the_deployed_box(case: Case) -> None:
    for seed in range(3):
        data, x = case.model(seed)
        boxes = deployed(read_model(data), x, IEEE)
        for box, value in zip(boxes, executed(data, x), strict=True):
            assert (box.lower[0] <= value.ravel()).all() and (value.ravel() <= box.upper[0]).all()
            assert float((box.upper - box.lower).max()) < 1e-3


@pytest.mark.parametrize(("op", "name"), [("RNN", "RecurrentTanh"), ("GRU", "RecurrentSigmoid")])
def test_kernels_of_their_own_are_named(op: str, name: str) -> None:
    """onnxruntime's RNN computes (1 - e^-2x) / (1 + e^-2x), its GRU rational functions of their own."""
    data, x = Case(op).model()
    with pytest.raises(NotDeployable, match=name):
        deployed(read_model(data), x, profile("onnxruntime-cpu").numbers)


def test_an_lstm_has_the_operators_own_kernels() -> None:
    data, x = with_("LSTM").model()
    for name in ("onnxruntime-cpu", "mlas-rational"):
        assert deployed(read_model(data), x, profile(name).numbers)


@pytest.mark.parametrize("name", ["Softsign", "Softplus", "Elu"])
def test_activations_of_other_steps_have_no_radius(name: str) -> None:
    data, x = activations("LSTM", name).model()
    with pytest.raises(NotDeployable, match=f"{name} of LSTM, which runtimes compute by other steps"):
        deployed(read_model(data), x, IEEE)


def test_the_tanh_of_an_rnn_is_not_the_operators() -> None:
    """What the name of its own rests on: near 0 the errors are far above those of Tanh."""
    tiny = np.float32(-1.5e-8)
    weight = [
        numpy_helper.from_array(np.array(v, np.float32).reshape(1, 1, 1), k) for k, v in (("W", 1), ("R", 0))
    ]
    found = []
    for node in (
        helper.make_node("RNN", ["x", "W", "R"], ["y"], hidden_size=1),
        helper.make_node("Tanh", ["x"], ["y"]),
    ):
        graph = helper.make_graph(
            [node], "g", [helper.make_tensor_value_info("x", F32, (1, 1, 1))], [helper.make_tensor_value_info("y", F32, None)],
            weight if node.op_type == "RNN" else [],
        )  # fmt: skip
        data = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
        ).SerializeToString()
        found.append(abs(float(run(data, {"x": np.full((1, 1, 1), tiny)}).item()) / float(tiny) - 1))
    assert found[1] < 1e-6 < 0.5 < found[0]


# refusals

REFUSALS: list[tuple[str, Case]] = [
    ("clip: onnxruntime does not clip the cell", with_("LSTM", attributes={"clip": 1.0})),
    ("clip 0.0", with_("GRU", attributes={"clip": 0.0})),
    ("input_forget", with_("LSTM", attributes={"input_forget": 1})),
    ("linear_before_reset is 2", with_("GRU", attributes={"linear_before_reset": 2})),
    ("direction sideways", with_("RNN", direction="sideways")),
    ("activation tanh", activations("RNN", "tanh")),
    ("2 activations, expected 1", with_("RNN", attributes={"activations": ["Tanh", "Tanh"]})),
    ("Affine without activation_alpha", activations("RNN", "Affine")),
    ("ThresholdedRelu without activation_alpha", activations("GRU", "ThresholdedRelu")),
    ("which is whose", with_("LSTM", attributes={"activations": ["Sigmoid", "LeakyRelu", "Tanh"], "activation_alpha": [0.3]})),
    ("attribute layout: RNN of opset 13", with_("RNN", layout=1, opset=13)),
]  # fmt: skip


@pytest.mark.parametrize(("why", "case"), REFUSALS, ids=lambda v: v if isinstance(v, str) else "")
def test_what_is_not_read_is_refused_and_named(why: str, case: Case) -> None:
    with pytest.raises(InvalidInput, match=why) as caught:
        read_model(case.model()[0])
    assert caught.value.code in ("TLC202", "TLC204") and "node 'the node'" in str(caught.value)


def test_sequences_that_end_early_are_refused() -> None:
    data, _ = with_("LSTM", stored="B lens").model()
    proto = onnx.load_from_string(data)
    (lens,) = (t for t in proto.graph.initializer if t.name == "lens")
    lens.CopyFrom(numpy_helper.from_array(np.array([3, 2], np.int32), "lens"))
    with pytest.raises(InvalidInput, match="sequence_lens that are not all 3"):
        read_model(proto.SerializeToString())


@pytest.mark.parametrize("name", ["W", "R", "B", "h", "c", "P"])
def test_shapes_that_do_not_fit(name: str) -> None:
    data, _ = with_("LSTM", stored="B h c P").model()
    proto = onnx.load_from_string(data)
    (tensor,) = (t for t in proto.graph.initializer if t.name == name)
    array = numpy_helper.to_array(tensor)
    tensor.CopyFrom(numpy_helper.from_array(array[..., :-1].copy(), name))
    with pytest.raises(InvalidInput, match="expected") as caught:
        read_model(proto.SerializeToString())
    assert caught.value.code == "TLC204"


def test_a_long_sequence_is_refused_at_once() -> None:
    data, _ = Case("RNN", sizes=(60_000, 1, 1, 1)).model()
    with pytest.raises(InvalidInput, match="60000 steps: at most"):
        read_model(data)


def test_one_module_is_asked_for() -> None:
    data, _ = Case("GRU").model()
    assert modules_of(read_model(data)) == ("tlcheck.readers.onnx.recurrent",)


def test_an_lstm_is_certified_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Three steps of two numbers, two classes: no point near this one changes its class, over the reals and in float32."""
    import lstm

    rng = np.random.default_rng(1)
    shapes = {"W": (12, 2), "R": (12, 3), "B": (12,), "V": (2, 3), "b": (2,)}
    weights = {name: rng.integers(-128, 129, shape) / 128 for name, shape in shapes.items()}
    image = rng.integers(0, 9, (3, 1, 2)) / 8
    logits, _ = lstm.forward(weights, image)
    label = int(logits.argmax())
    (tmp_path / "m.onnx").write_bytes(lstm.onnx_of(weights, rows=3))
    (tmp_path / "p.vnnlib").write_text(lstm.question(image, label, eps=0.01, digits=2), encoding="utf-8")
    found = read_model((tmp_path / "m.onnx").read_bytes())
    np.testing.assert_allclose(numpy_eval.evaluate(found, [image])[0], logits, rtol=1e-6)
    made = str(tmp_path / "x.tlcert")
    files = [str(tmp_path / name) for name in ("m.onnx", "p.vnnlib")]
    assert main(["certify", *files, "-o", made, "--jobs", "1"]) == 0
    assert main(["verify", made, "--semantics", "deployed", "--profile", "onnxruntime-cpu"]) == 0
    assert "CERTIFIED" in capsys.readouterr().out
    (tmp_path / "p.vnnlib").write_text(lstm.question(image, 1 - label, eps=0.01, digits=2), encoding="utf-8")
    assert main(["certify", *files, "-o", str(tmp_path / "y.tlcert"), "--jobs", "1"]) == 0
    assert "CERTIFIED  sat" in capsys.readouterr().out
