"""Witnesses of deep networks: their enclosures blew up with depth, though the functions are benign."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np
from digits import P
from models import Writer
from packing import Bundle, Case, zip_of
from properties import vnnlib1

F = Fraction
LAYERS = 60
POINT = tuple(F(text) for text in ("0.5", "-1.25", "0.75", "0.1"))
TURN = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]], np.float32) / 2
"""An orthogonal matrix: it lengthens nothing, but the sums of magnitudes of its rows are 2."""


def deep(layer: Callable[[Writer, str, int], str], constraint: str, opset: int = 13) -> Bundle:
    """``layer`` LAYERS times, each after TURN; the witness is POINT."""
    w = Writer()
    turn, x = w.constant("turn", TURN), "x"
    for k in range(LAYERS):
        x = layer(w, w.node("MatMul", [x, turn], f"turned{k}"), k)
    w.node("Identity", [x], "y")
    model = w.model({"x": (1, 4)}, {"y": (1, 4)}, opset=opset)
    files = {"model.onnx": model, P: vnnlib1(4, [(F(-2), F(2))] * 4, [constraint])}
    return Bundle(files).add_sat(POINT)


def batch_normalization(w: Writer, x: str, k: int) -> str:
    """Factors scale / sqrt(var + epsilon) near 1, which no float is."""
    if k == 0:
        given = {
            "scale": [1.0, 0.9, 1.1, 1.0],
            "bias": [0.1, -0.2, 0.3, 0.15],
            "mean": [0.1, -0.3, 0.2, 0.05],
        }
        for name, values in {**given, "var": [1.0, 0.9, 1.1, 0.95]}.items():
            w.constant(name, np.array(values, np.float32))
    return w.node("BatchNormalization", [x, "scale", "bias", "mean", "var"], f"layer{k}")


def hard_swish(w: Writer, x: str, k: int) -> str:
    """1/2 - 5/4 HardSwish(x)"""
    if k == 0:
        w.constant("factor", np.array(-1.25, np.float32))
        w.constant("offset", np.array(0.5, np.float32))
    scaled = w.node("Mul", [w.node("HardSwish", [x], f"swish{k}"), "factor"], f"scaled{k}")
    return w.node("Add", [scaled, "offset"], f"layer{k}")


def instance_normalization(w: Writer, x: str, k: int) -> str:
    """Over the four values, with a gain and a bias."""
    if k == 0:
        w.constant("line", np.array([1, 1, 4]))
        w.constant("row", np.array([1, 4]))
        w.constant("gain", np.array([1.2], np.float32))
        w.constant("bias", np.array([0.1], np.float32))
    shaped = w.node("Reshape", [x, "line"], f"shaped{k}")
    normal = w.node("InstanceNormalization", [shaped, "gain", "bias"], f"normal{k}")
    return w.node("Reshape", [normal, "row"], f"layer{k}")


def cases() -> Iterator[Case]:
    def proved(name: str, made: Bundle, note: str) -> Case:
        return Case("regressions", name, zip_of(made.content()), 0, "TLC002", note)

    yield proved(
        "deep-batch-normalization",
        deep(batch_normalization, "(>= Y_3 6)"),
        "factors were balls of float64's width",
    )
    yield proved(
        "deep-hard-swish", deep(hard_swish, "(<= Y_0 -0.25)", 14), "1/6 was a ball of float32's width"
    )
    yield proved(
        "deep-instance-normalization",
        deep(instance_normalization, "(>= Y_2 1.5)"),
        "each layer multiplied the radii by 10, since a mean is correlated with its terms",
    )
