"""Deployed executions of quantized networks: onnxruntime's integers lie in the proved boxes and between the proved lines, where
a quotient that float32 rounds decides them too; what is not charged would be seen."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.cli.test_certify import query
from tests.helpers import CERTIFICATES, IEEE
from tests.readers.test_quantized import dynamic, executed, f32, i8, model, node, u8
from tlcheck.cli.main import main
from tlcheck.readers.onnx import read_model
from tlcheck.trusted.arith.arb import working_precision
from tlcheck.trusted.arith.ball64 import Ball64
from tlcheck.trusted.arith.box import Box
from tlcheck.trusted.arith.profile import NotDeployable, Profile
from tlcheck.trusted.bounds import Bounds, Enclosure, Slopes
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.guidance import NO_GUIDANCE
from tlcheck.trusted.network import Network

sys.path.append(str(CERTIFICATES / "producers"))
from quantizer import Layer, Quantizer

Floats = NDArray[np.float32]
SATURATING = replace(IEEE, exact_products=False)


def enclosure(graph: Graph, profile: Profile | None) -> Enclosure:
    return Enclosure(Network(graph), Ball64(), Slopes(NO_GUIDANCE, lambda _: None), profile)


def bounds(graph: Graph, low: Any, high: Any, profile: Profile | None = IEEE) -> Bounds:
    ends = (np.asarray(x, np.float64).reshape(1, -1) for x in (low, high))
    with working_precision(128):
        return enclosure(graph, profile).bounds({graph.inputs[0]: Box(*ends)})


def outside(graph: Graph, x: Floats, theirs: NDArray[Any], profile: Profile | None = IEEE) -> int:
    """How many of their values lie outside the box of the output at x."""
    box = bounds(graph, x, x, profile).boxes[graph.outputs[0]]
    y = theirs.reshape(1, -1)
    return int(((y < box.lower) | (y > box.upper)).sum())


def near_ties(scale: float, low: int, high: int, count: int, rng: np.random.Generator) -> Floats:
    """The float32 numbers nearest to half way, and up to two neighbours of these; multiples of the scale; beyond the ends."""
    n = rng.integers(low - 1, high + 2, count) + rng.choice([0.5, 0.5, 0.5, 0.0, 0.3], count)
    x = (n * scale).astype(f32)
    for _ in range(2):
        x = np.where(
            rng.random(count) < 0.5, np.nextafter(x, rng.choice([-np.inf, np.inf], count).astype(f32)), x
        )
    return x


STORED = {"s": f32(0.037), "z": u8(100)}
PAIR = [node("QuantizeLinear", "x s z", "q"), node("DequantizeLinear", "q s z", "d")]


def test_a_quotient_is_rounded_before_it_is_rounded_to_an_integer() -> None:
    """Half way numbers and their neighbours: over the reals some executions are elsewhere, deployed none."""
    x = near_ties(0.037, -100, 155, 60_000, np.random.default_rng(0))
    graph = read_model(data := model([*PAIR[:1], node("Cast", "q", "y", to=1)], STORED, x.shape))
    theirs = executed(data, x)
    assert outside(graph, x, theirs) == 0
    assert outside(graph, x, theirs, None) > 0


def distance(charge: float, count: int = 40_000) -> float:
    """The largest |DQ(Q(x)) - x| / its proved bound times ``charge``, over points where nothing saturates."""
    low, high = -90 * STORED["s"], 150 * STORED["s"]
    data = model([*PAIR, node("Sub", "d x", "y")], STORED, (1, 1))
    graph = read_model(data)
    known = bounds(graph, [low], [high])
    with working_precision(128):
        least, most = (
            float(enclosure(graph, IEEE).row_bounds(graph.outputs[0], np.array([0]), sign, known)[0])
            for sign in (1, -1)
        )
    x = near_ties(float(STORED["s"]), -90, 150, count, np.random.default_rng(1)).clip(low, high)
    theirs = executed(model([*PAIR, node("Sub", "d x", "y")], STORED, x.shape), x)
    assert -least == pytest.approx(-most, rel=1e-4)
    return float(np.abs(theirs).max() / (charge * -least))


def test_half_a_step_is_all_that_is_lost() -> None:
    assert 0.999 < distance(1.0) <= 1.0


def test_a_twentieth_of_it_would_be_seen() -> None:
    assert distance(0.05) > 1


FACTORS = {
    "one": f32(1),
    "sa": f32(0.3),
    "sb": f32(0.3),
    "sy": f32(0.18),
    "z": u8(0),
    "zy": u8(100),
    "b": np.ones((1, 1), u8),
}
"""0.3 0.3 / 0.18 is a half in float32, and a little more over the reals: every odd number is a tie there."""


def test_the_factor_of_a_stored_product_is_rounded() -> None:
    nodes = [
        node("QuantizeLinear", "x one z", "q"),
        node("QLinearMatMul", "q sa z b sb z sy zy", "p"),
        node("Cast", "p", "y", to=1),
    ]
    x = np.arange(250, dtype=f32)[:, None]
    graph = read_model(data := model(nodes, FACTORS, x.shape))
    theirs = executed(data, x)
    assert outside(graph, x, theirs) == 0
    assert outside(graph, x, theirs, None) > 50


def random_product(rng: np.random.Generator, weights: Any) -> tuple[bytes, Floats]:
    """A stored product of random scales, on integers of the full range."""
    k = 40
    limits = np.iinfo(weights)
    stored = {
        "sa": f32(rng.uniform(0.001, 0.2)), "za": u8(rng.integers(256)), "zb": weights(rng.integers(-5, 5) if limits.min else 3),
        "b": rng.integers(limits.min, limits.max + 1, (k, 60)).astype(weights), "sb": rng.uniform(0.001, 0.2, 60).astype(f32),
        "zy": u8(128),
    }  # fmt: skip
    stored["zb"] = np.full(60, stored["zb"], weights)
    stored["sy"] = f32(float(stored["sa"]) * 0.1 * 60 * 100 * rng.uniform(0.3, 3))
    x = (rng.integers(0, 256, (30, k)) - float(stored["za"])) * float(stored["sa"])
    nodes = [
        node("QuantizeLinear", "x sa za", "q"),
        node("QLinearMatMul", "q sa za b sb zb sy zy", "p"),
        node("Cast", "p", "y", to=1),
    ]
    return model(nodes, stored, x.shape), x.astype(f32)


@pytest.mark.parametrize("weights", [i8, u8])
def test_stored_products_of_random_scales(weights: Any) -> None:
    rng = np.random.default_rng(7)
    for _ in range(10):
        data, x = random_product(rng, weights)
        assert outside(read_model(data), x, executed(data, x)) == 0


def test_scales_that_the_network_computes() -> None:
    data, points = dynamic()
    graph = read_model(data)
    assert [outside(graph, x, executed(data, x[None])) for x in points] == [0] * len(points)
    low, high = points[0] - f32(0.01), points[0] + f32(0.01)
    box = bounds(graph, low, high).boxes[graph.outputs[0]]
    found = np.concatenate(
        [executed(data, np.random.default_rng(k).uniform(low, high).astype(f32)[None]) for k in range(20)]
    )
    assert (box.lower <= found).all() and (found <= box.upper).all()
    assert (box.upper - box.lower).max() < 10 * np.abs(points[0]).max()


def saturated(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.int64]:
    """Sums of products of uint8 (M, K) and int8 (K, N), as kernels without VNNI make them: pairs in int16."""
    pairs = (
        (a.astype(np.int64)[:, :, None] * b.astype(np.int64)[None])
        .reshape(len(a), -1, 2, b.shape[1])
        .sum(axis=2)
    )
    return np.asarray(pairs.clip(-(2**15), 2**15 - 1).sum(axis=1))


def test_kernels_that_saturate_are_refused_by_name() -> None:
    """Their integers are far outside; with weights of -64 to 63 they are right, and no profile need say so."""
    nodes = [
        node("QuantizeLinear", "x one z", "q"),
        node("MatMulInteger", "q b z", "p"),
        node("Cast", "p", "y", to=1),
    ]
    x = np.full((1, 4), 255, f32)
    for weight, wrong in ((127, 1), (63, 0), (-64, 0)):
        b = np.full((4, 1), weight, i8)
        graph = read_model(model(nodes, {"one": f32(1), "z": u8(0), "b": b}, x.shape))
        assert outside(graph, x, saturated(x.astype(np.uint8), b)) == wrong
        if not wrong:
            assert outside(graph, x, saturated(x.astype(np.uint8), b), SATURATING) == 0
            continue
        with pytest.raises(NotDeployable, match="uint8 and int8"):
            bounds(graph, x, x, SATURATING)


def small(form: str) -> bytes:
    """y of two inputs in [0, 1]: two layers of positive weights."""
    layers = [
        Layer("MatMul", f32([[1.0, 0.5], [0.25, 1.0]]), np.zeros(2, f32)),
        Layer("MatMul", f32([[1.0], [0.5]]), np.zeros(1, f32), relu=False),
    ]
    quantizer = Quantizer(layers, [(1 / 255, 0), (1.75 / 255, 0), (2.25 / 255, 0)])
    return quantizer.model([1, 2], getattr(quantizer, form)())


@pytest.mark.parametrize("semantics", ["real", "deployed"])
@pytest.mark.parametrize("form", ["with_floats", "with_integers"])
def test_a_quantized_network_is_certified_end_to_end(
    form: str, semantics: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """y is at most 2.0625; quantization adds less than 0.03."""
    (tmp_path / "net.onnx").write_bytes(small(form))
    (tmp_path / "p.vnnlib").write_text(query(2.1))
    files = [str(tmp_path / name) for name in ("net.onnx", "p.vnnlib")]
    options: Sequence[str] = ["--semantics", semantics]
    assert main(["certify", *files, "-o", str(tmp_path / "x.tlcert"), "--jobs", "1", *options]) == 0
    assert main(["verify", str(tmp_path / "x.tlcert"), "--cross-check", *options]) == 0
    assert "CERTIFIED" in capsys.readouterr().out


def test_a_witness_against_a_quantized_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The attack looks through the steps as if nothing were rounded."""
    (tmp_path / "net.onnx").write_bytes(small("with_floats"))
    (tmp_path / "p.vnnlib").write_text(query(2.0))
    files = [str(tmp_path / name) for name in ("net.onnx", "p.vnnlib")]
    assert main(["certify", *files, "-o", str(tmp_path / "x.tlcert"), "--jobs", "1"]) == 0
    assert "sat " in capsys.readouterr().out
