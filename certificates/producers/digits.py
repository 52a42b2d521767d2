"""The networks by name, the images of digits, and proofs about them as bundles: what cases of every group are made of."""

from __future__ import annotations

from fractions import Fraction
from functools import cache

from models import HAND_MADE, load_trained, onnx_of, sequential_files
from packing import ARCHITECTURE, WEIGHTS, Bundle
from properties import around, loses, vnnlib1
from prove import NEURONS, proofs

from tlcheck.trusted.arith.arb import ball, lower_float, working_precision
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.evaluate import evaluate
from tlcheck.trusted.graph import Graph

F = Fraction
P = "property.vnnlib"
Point = tuple[Fraction, ...]


@cache
def model_file(name: str) -> bytes:
    if name in HAND_MADE:
        return HAND_MADE[name]()
    return onnx_of(name, load_trained()[0][name])


def image(k: int) -> list[int]:
    return [int(v) for v in load_trained()[1]["images"][k]]


def label(k: int) -> int:
    return int(load_trained()[1]["labels"][k])


def digits_box(k: int, eps: str) -> list[tuple[Fraction, Fraction]]:
    return around(image(k), F(eps))


def bundle_of(model: str, prop: bytes, kind: str = NEURONS) -> Bundle:
    """A bundle with one unsat claim and its proof. Raises NoProof."""
    if model == "sequential":
        weights, architecture = sequential_files(load_trained()[0]["sequential"])
        bundle = Bundle({WEIGHTS: weights, ARCHITECTURE: architecture, P: prop})
    else:
        bundle = Bundle({"model.onnx": model_file(model), P: prop})
    return proved(bundle, kind)


def proved(bundle: Bundle, kind: str = NEURONS, prop: str = P, name: str = "") -> Bundle:
    """The bundle with one more claim: of this property. Raises NoProof."""
    model = [bundle.files[f] for f in bundle.model_files]
    claim = UnsatClaim(bundle.graph(), bundle.query(prop))
    found = proofs().of(claim, [*model, bundle.files[prop]], kind)
    return bundle.add_claim(found.nodes, found.arrays, found.per_leaf_bounds, prop, name)


def robust(model: str, k: int, eps: str, kind: str = NEURONS) -> Bundle:
    """No point within ``eps`` of image k is taken for another digit; VNN-LIB 1.0."""
    return bundle_of(model, vnnlib1(10, digits_box(k, eps), [loses(label(k))]), kind)


def outputs_below(graph: Graph, point: Point) -> list[Fraction]:
    """Doubles just below the exact outputs at a point."""
    with working_precision(256):
        return [F(lower_float(y)) for y in evaluate(graph, [[ball(q) for q in point]]).outputs]


def scores(model: bytes, point: Point) -> list[Fraction]:
    return outputs_below(Bundle({"model.onnx": model}).graph(), point)


@cache
def crossing(model: str, a: int, b: int) -> tuple[Point, Fraction]:
    """The first of 16 steps from image a to image b where a's label has lost, and its distance from a."""
    start, end = image(a), image(b)
    for step in range(1, 17):
        point = tuple(F(p, 16) + F(step, 16) * F(q - p, 16) for p, q in zip(start, end, strict=True))
        y = scores(model_file(model), point)
        if max(v for j, v in enumerate(y) if j != label(a)) > y[label(a)] + F(1, 64):
            return point, max(abs(q - F(p, 16)) for p, q in zip(start, point, strict=True))
    raise ValueError("no crossing")


def centre(k: int) -> Point:
    return tuple(F(v, 16) for v in image(k))
