"""Recorded executions: the outputs are the exact ones, rounded to float32, so that every machine makes the same bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any, Final

import numpy as np
from digits import image, label, model_file, scores
from models import Writer
from network_cases import bundle, text
from packing import Case, Files

from tlcheck.writers.bundle import pack_arrays

Array = np.ndarray[Any, Any]

POINTS: Final = 5
WITHIN: Final = "1/50"
PROFILE: Final[dict[str, Any]] = {
    "format": "tlcheck.profile", "version": 1, "name": "corpus", "kind": "assumed", "normalisation": {},
    "provenance": {
        "what": "Any float32 runtime.", "how": "Sums and products are rounded to nearest.", "not_covered": "Functions.",
        "date": "2026-11-30",
    },
    "functions": {},
}  # fmt: skip
INPUTS: Final = np.array([[1, 2], [-1, 0.1], [0.3, -0.7]], np.float32)
"""Of the small network, whose outputs there have LABELS."""
LABELS: Final = (0, 1, 0)


def small(activation: str = "Relu") -> bytes:
    """A network of two inputs and two outputs."""
    w = Writer()
    first = np.array([[1, -2, 3], [0.5, 1, -1]], np.float32)
    hidden = w.node(activation, [w.node("MatMul", ["x", w.constant("first", first)], "h")], "a")
    w.node("MatMul", [hidden, w.constant("second", np.array([[1, 0], [0, 1], [0.1, -3]], np.float32))], "y")
    return w.model({"x": (1, 2)}, {"y": (1, 2)})


def exact(network: bytes, inputs: Any) -> Array:
    points = [tuple(map(Fraction, row)) for row in inputs.tolist()]
    return np.array([[float(y) for y in scores(network, point)] for point in points], np.float32)


def record(
    network: bytes,
    inputs: Array,
    labels: Sequence[int | None],
    *,
    outputs: Array | None = None,
    within: str = WITHIN,
) -> Files:
    values = {"inputs": inputs, "outputs": exact(network, inputs) if outputs is None else outputs}
    document = {
        "format": "tlcheck.conformance/1", "model": {"file": "model.onnx"}, "profile": "profile.json",
        "values": "values.safetensors", "within": within, "labels": list(labels),
        "runtime": {"note": "exact values, rounded to float32"},
    }  # fmt: skip
    files = {"model.onnx": network, "profile.json": text(PROFILE), "values.safetensors": pack_arrays(values)}
    return bundle("tlcheck.conformance", document, files)


def digits() -> Files:
    images = np.array([image(k) for k in range(POINTS)], np.float32)
    return record(model_file("mlp"), images, [label(k) for k in range(POINTS)])


def moved() -> Array:
    """One output of one point is off by a hundred-thousandth."""
    outputs = exact(small(), INPUTS)
    outputs[1, 1] += np.float32(1e-5)
    return outputs


def cases() -> Iterator[Case]:
    yield Case(
        "accept", "conformance-of-a-digits-network", digits(), 0, "TLC020", "five points, each with its label"
    )
    yield Case("reject", "conformance-moved-output", record(small(), INPUTS, LABELS, outputs=moved()), 1, "TLC021",
               "an output that no execution allowed by the profile has")  # fmt: skip
    yield Case("reject", "conformance-wrong-label", record(small(), INPUTS, (0, 1, 1)), 1, "TLC021",
               "every allowed execution gives another class")  # fmt: skip
    yield Case("undecided", "conformance-within-too-little", record(small(), INPUTS, LABELS, within="1/1000000000"), 4, "TLC022",
               "the enclosures are wider, which disproves nothing")  # fmt: skip
    yield Case("undecided", "conformance-without-a-function", record(small("Sigmoid"), INPUTS, (None,) * 3), 4, "TLC022",
               "the profile does not say how accurate Sigmoid is")  # fmt: skip
    yield Case(
        "malformed",
        "conformance-labels",
        record(small(), INPUTS, (1, 0)),
        3,
        "TLC101",
        "two labels for three points",
    )
