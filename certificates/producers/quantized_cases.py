"""Networks of 8-bit integers: the digits classifier quantized, robust around a digit; how far rounding takes a number."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import cache

import numpy as np
from digits import P, digits_box, label
from models import load_trained
from operator_cases import MODEL, network
from packing import Bundle, Case, zip_of
from properties import loses, vnnlib1
from prove import BARE, prove
from quantizer import Layer, Quantizer

from tlcheck.trusted.claim import UnsatClaim

F = Fraction
LAYERS = (0, 2, 4)
SCHEMES = ((16 / 255, 0), (88 / 255, 0), (192 / 255, 0), (2.5, 128))
"""Scales and zero points of the image, the hidden layers and the scores: a little more than the corpus's images need."""


@cache
def classifier(form: str) -> bytes:
    """The corpus's multilayer perceptron; ``form``: of Quantizer. Products of integers have no biases."""
    weights = load_trained()[0]["mlp"]
    layers = [
        Layer("MatMul", weights[f"{i}.weight"].T.copy(), weights[f"{i}.bias"], relu=i != LAYERS[-1])
        for i in LAYERS
    ]
    quantizer = Quantizer(layers, SCHEMES)
    return quantizer.model([1, 64], getattr(quantizer, form)())


def bare(model: bytes, prop: bytes) -> Bundle:
    """A claim whose evidence is weights alone: nothing was searched."""
    bundle = Bundle({MODEL: model, P: prop})
    return bundle.add_unsat(prove(UnsatClaim(bundle.graph(), bundle.query(P)), BARE))


def robust(form: str, k: int, eps: str) -> Bundle:
    return bare(classifier(form), vnnlib1(10, digits_box(k, eps), [loses(label(k))]))


def above(distance: str) -> bytes:
    """For some number of [0, 10], its quantized one is so much above it."""
    return vnnlib1(1, [(F(0), F(10))], [f"(>= Y_0 (+ X_0 {distance}))"])


def half_a_step() -> Bundle:
    """Quantized with scale 1, a number is never more than 0.50001 below."""
    model = network(
        [("QuantizeLinear", "x s z", "q", {}), ("DequantizeLinear", "q s z", "y", {})],
        {"s": np.float32(1), "z": np.uint8(3)}, x=(1, 1), y=(1, 1), opset=13,
    )  # fmt: skip
    return bare(model, above("0.50001"))


def cases() -> Iterator[Case]:
    for name, form, note in (
        ("digits-quantized", "with_floats", "QuantizeLinear and DequantizeLinear around every layer"),
        ("digits-integers", "with_integers", "products of 8-bit integers (QLinearMatMul)"),
    ):
        yield Case("accept", name, zip_of(robust(form, 0, "0.02").content()), 0, "TLC001", note)
    proof = half_a_step()
    yield Case(
        "accept", "quantized-within-half-a-step", proof.content(), 0, "TLC001",
        "rounding to a multiple of 1 adds at most 1/2: the step's lines, though the box is 10 wide",
    )  # fmt: skip
    yield Case(
        "reject", "quantized-within-less-than-half", proof.with_file(P, above("0.49")).content(), 4, "TLC010",
        "0.505 is rounded to 1", (F("0.505"),),
    )  # fmt: skip
