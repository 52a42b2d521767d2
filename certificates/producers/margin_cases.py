"""Networks with MaxPool whose examples, or leaves, lead in different entries of a window: each is proved as it is alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction as F
from typing import Any, Final

import numpy as np
from digits import P, image, label, model_file
from models import Writer
from network_cases import bundle, text
from packing import Bundle, Case, Files, zip_of
from properties import vnnlib1
from regressions import ints, leaves

from tlcheck.trusted.guidance import LEAF, SPLIT, Guidance, Tree

RIGHT: Final = (0, 1, 3, 4, 6, 7, 8, 9)
"""The trained images whose label the pooled network gives."""


def margins(
    network: bytes,
    inputs: Sequence[Sequence[float]],
    labels: Sequence[int],
    radius: str,
    clip: tuple[str, str],
) -> Files:
    """Every example is claimed."""
    data = {"examples": [{"x": list(x), "y": y} for x, y in zip(inputs, labels, strict=True)]}
    n = len(labels)
    document: dict[str, Any] = {
        "format": "tlcheck.margins/1", "model": {"file": "model.onnx"}, "data": {"file": "data.json"},
        "radius": radius, "examples": n, "clip": clip, "certified": list(range(n)), "count": n,
    }  # fmt: skip
    return bundle("tlcheck.margins", document, {"model.onnx": network, "data.json": text(data)})


def digits(labels: Sequence[int] | None = None) -> Files:
    """Images on the pooled digits network."""
    truth = [label(k) for k in RIGHT] if labels is None else labels
    images = [[float(v) for v in image(k)] for k in RIGHT]
    return margins(model_file("pooled"), images, truth, "1/4", ("0", "16"))


def maximum(width: int, stride: int) -> bytes:
    """y = the maxima over windows of four inputs."""
    w = Writer()
    shaped = w.node("Reshape", ["x", w.constant("shape", np.array([1, 1, 4], np.int64))], "r")
    pooled = w.node("MaxPool", [shaped], "p", kernel_shape=[width], strides=[stride])
    w.node("Flatten", [pooled], "y")
    return w.model({"x": (1, 4)}, {"y": (1, 1 + (4 - width) // stride)})


def four_leaders() -> Files:
    """max(x0, x1) against max(x2, x3), each of the four inputs leading once: no entry serves all."""
    return margins(maximum(2, 2), np.eye(4).tolist(), [0, 0, 1, 1], "1/4", ("0", "1"))


def leaves_that_differ() -> Bundle:
    """max(x0, x1) > (x0 + x1)/2 - 5/16 on [0, 1]^2: the leaves above 1/2 in one input only need that input."""
    box = [(F(0), F(1)), (F(0), F(1)), (F(0), F(0)), (F(0), F(0))]
    prop = vnnlib1(2, box, ["(<= (+ Y_0 (* -0.5 X_0) (* -0.5 X_1)) -0.3125)"])
    made = Bundle({"model.onnx": maximum(2, 2), P: prop})
    x = made.graph().names["x"]
    tree = Tree(
        ints(SPLIT, SPLIT, SPLIT, LEAF, LEAF, LEAF, LEAF), ints(x, x, x, 0, 0, 0, 0), ints(0, 1, 1, 0, 0, 0, 0),
        np.array([0.5, 0.5, 0.5, 0, 0, 0, 0]), ints(1, 3, 5, 0, 1, 2, 3), ints(2, 4, 6, 0, 0, 0, 0), ints(0),
    )  # fmt: skip
    return made.add_unsat(Guidance(tree, leaves([], [], [], []), per_leaf_bounds=True))


def cases() -> Iterator[Case]:
    yield Case(
        "accept", "margins-of-a-pooled-network", digits(), 0, "TLC020", "several images through a MaxPool"
    )
    wrong = [(label(k) + (k == 4)) % 10 for k in RIGHT]
    yield Case("reject", "margins-of-a-pooled-network-wrong-label", digits(wrong), 1, "TLC021",
               "example 3 is another digit; the others keep their margins")  # fmt: skip
    yield Case("regressions", "margins-that-lead-in-different-entries", four_leaders(), 0, "TLC020",
               "one window entry was chosen for all examples of a file: two of four were not proved")  # fmt: skip
    yield Case("regressions", "leaves-that-lead-in-different-entries", zip_of(leaves_that_differ().content()), 0, "TLC001",
               "one window entry was chosen for all leaves of a chunk")  # fmt: skip
