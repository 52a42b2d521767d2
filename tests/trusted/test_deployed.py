"""Deployed semantics on real networks: what float32 programs compute lies in the proved boxes."""

from __future__ import annotations

import gzip
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import DATA, IEEE, needs_data
from tests.trusted.test_decide_soundness import execute32
from tlcheck.options import Options
from tlcheck.readers.onnx import read_model
from tlcheck.trusted.arith.arb import ball, lower_float, upper_float
from tlcheck.trusted.arith.ball64 import Ball64
from tlcheck.trusted.arith.box import Box
from tlcheck.trusted.arith.integer import IntegerEngine
from tlcheck.trusted.bounds import Enclosure, Slopes
from tlcheck.trusted.claim import SatClaim
from tlcheck.trusted.decide import decide_sat
from tlcheck.trusted.evaluate import evaluate
from tlcheck.trusted.graph import Graph, Node
from tlcheck.trusted.guidance import NO_GUIDANCE
from tlcheck.trusted.network import Network
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.structure import Input
from tlcheck.trusted.query import Disjunct, InputBox, LinearConstraint, Query
from tlcheck.trusted.verdict import Verdict
from tlcheck.verify import verify_path

MODELS = (
    "abcrown/acasxu/net_1_1_prop_1/ACASXU_run2a_1_1_batch_2000.onnx",
    "abcrown/mnist_fc/256x2_prop_0_0.03/mnist-net_256x2.onnx.gz",
    "abcrown/safenlp/medical_320/perturbations_0.onnx",
    "abcrown/oval21/base_img3161/cifar_base_kw.onnx",
    "abcrown/collins_rul_cnn/small_w20_16pert_d5/NN_rul_small_window_20.onnx",
    "abcrown/sri_resnet_a/idx_8356/resnet_3b2_bn_mixup_adv_4.0_bs128_lr-1.onnx.gz",
)


def model_bytes(name: str) -> bytes:
    path = DATA / name
    if not path.exists():
        path = next(path.parent.glob("*.onnx*"))
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


def deployed_box(graph: Graph, points: list[np.ndarray], engine: Ball64 | IntegerEngine) -> Box:
    """The outputs' box of every float32 execution at one point."""
    network = Network(graph)
    inputs = {
        node: Box(p.reshape(1, -1).astype(np.float64), p.reshape(1, -1).astype(np.float64))
        for node, p in zip(graph.inputs, points, strict=True)
    }
    task = Enclosure(network, engine, Slopes(NO_GUIDANCE, lambda _: None), deployed=IEEE)
    return task.bounds(inputs).boxes[graph.outputs[0]]


@needs_data
@pytest.mark.parametrize("name", MODELS, ids=[Path(m).parent.name for m in MODELS])
def test_onnxruntime_stays_inside(name: str) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    data = model_bytes(name)
    graph = read_model(data)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(7)
    for _ in range(3):
        points = [rng.uniform(0, 1, graph.nodes[i].shape).astype(np.float32) for i in graph.inputs]
        feeds = {
            i.name: p.reshape([d if isinstance(d, int) and d > 0 else 1 for d in i.shape])
            for i, p in zip(session.get_inputs(), points, strict=True)
        }
        (found, *_) = session.run(None, feeds)
        box = deployed_box(graph, points, Ball64())
        flat = found.reshape(-1).astype(np.float64)
        assert (box.lower[0] <= flat).all() and (flat <= box.upper[0]).all()
        exact = evaluate(graph, [[ball(Fraction(float(v))) for v in p.reshape(-1)] for p in points]).outputs
        assert all(low <= lower_float(y) for low, y in zip(box.lower[0], exact, strict=True))
        assert all(upper_float(y) <= high for high, y in zip(box.upper[0], exact, strict=True))
        if (
            graph.nodes[graph.outputs[0]].size < 100 and len(graph.nodes) < 25
        ):  # forward boxes widen with depth
            assert float((box.upper - box.lower).max()) < 0.05 * max(1.0, float(np.abs(flat).max()))


@needs_data
@pytest.mark.parametrize("name", [MODELS[0], MODELS[2]], ids=["acasxu", "safenlp"])
def test_any_order_with_and_without_fma_stays_inside(name: str) -> None:
    graph = read_model(model_bytes(name))
    rng = np.random.default_rng(3)
    points = [rng.uniform(0, 1, graph.nodes[i].shape).astype(np.float32) for i in graph.inputs]
    boxes = [deployed_box(graph, points, engine) for engine in (Ball64(), IntegerEngine())]
    results = [execute32(graph, [p.astype(np.float64) for p in points], rng) for _ in range(6)]
    outputs = np.array([r[graph.outputs[0]].reshape(-1) for r in results], dtype=np.float64)
    for box in boxes:
        assert (box.lower <= outputs).all() and (outputs <= box.upper).all()
    assert len({tuple(row) for row in outputs}) > 1, "the executions should differ: the test would be vacuous"


@needs_data
def test_both_margins_are_reported() -> None:
    folder = DATA / "abcrown" / "safenlp" / "medical_1738"
    (result,) = verify_path(folder, Options(semantics="deployed")).claims
    assert result.verdict is Verdict.CERTIFIED
    assert (
        result.bound.rigorous is not None
        and result.deployed is not None
        and result.deployed.rigorous is not None
    )
    assert 0 < float(result.deployed.rigorous.decimal) < float(result.bound.rigorous.decimal)
    assert any("round to nearest" in a for a in result.assumptions)


@needs_data
def test_a_margin_smaller_than_float32_rounding_is_not_proved() -> None:
    folder = DATA / "abcrown" / "acasxu" / "net_1_1_prop_3"
    (real,) = verify_path(folder, Options(arith="ball64")).claims
    (deployed,) = verify_path(folder, Options(arith="ball64", semantics="deployed")).claims
    assert real.verdict is Verdict.CERTIFIED
    assert deployed.verdict is Verdict.UNPROVEN and deployed.reason.code == "TLC016"


@pytest.mark.parametrize("x, deployed", [(Fraction(1, 10), False), (Fraction(float(np.float32(0.1))), True)])
def test_no_execution_is_at_a_witness_that_is_no_float32_number(x: Fraction, deployed: bool) -> None:
    """It would be given another number: what is proved at the witness is not about it."""
    graph = Graph((Node(Input((1, 1)), (), (1, 1)), Node(Relu(), (0,), (1, 1))), (1,), ("x",), ("y",))
    wanted = LinearConstraint((), ((0, Fraction(1)),), Fraction(1))
    query = Query(1, 1, (Disjunct(InputBox((Fraction(0),), (Fraction(1),)), (wanted,)),))
    claim = SatClaim(graph, query, (x,))
    assert decide_sat(claim).verdict is Verdict.CERTIFIED
    found = decide_sat(claim, deployed=IEEE)
    assert found.verdict is (Verdict.CERTIFIED if deployed else Verdict.UNPROVEN)
