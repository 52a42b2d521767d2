"""Where an execution leaves the enclosures: every tensor of the graph becomes an output."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tlcheck.conformance.executable import Subject, Tell
from tlcheck.conformance.run_document import Layer, Layers
from tlcheck.conformance.run_points import Inputs
from tlcheck.errors import InvalidInput
from tlcheck.readers.runtime_profile import RuntimeProfile
from tlcheck.runtime.ort import ExecutionFailed
from tlcheck.runtime.pinned import Pin, pinned, with_every_tensor
from tlcheck.trusted.arith.box import Box
from tlcheck.trusted.science.conformance import Points

Floats = NDArray[np.float64]


def layers_of(subject: Subject, profile: RuntimeProfile, inputs: Inputs, pin: Pin, tell: Tell) -> Layers:
    """Every tensor that tlcheck has a node for, point by point. Raises InvalidInput: the graph cannot be executed so."""
    content, made = with_every_tensor(subject.content)
    names = {name: subject.graph.names[name] for name, _ in made if name in subject.graph.names}
    worst = {name: [0.0, 0.0, 0.0] for name in names}
    first: dict[str, int] = {}
    points = Points(subject.network, profile.numbers)
    try:
        session = pinned(content, pin)
        for k, found in enumerate(points.enclosed(inputs.points)):
            tell("points compared, tensor by tensor", k + 1, len(inputs.points), "")
            if found is None:
                continue
            values = session.run(inputs.points[k : k + 1])
            for name, node in names.items():
                box = found.zonotopes.boxes.get(node)
                if box is None or name not in values or values[name].size != box.lower.shape[1]:
                    continue
                if not _within(values[name][0], box, found.domain, worst[name]):
                    first.setdefault(name, k)
    except ExecutionFailed as error:
        raise InvalidInput(
            "TLC505",
            f"onnxruntime does not give every tensor: {error}",
            file=str(subject.path),
            field="--layers",
        ) from None
    tensors = [
        Layer(tensor=name, operator=operator, observed_max=worst[name][0], proved_max=worst[name][1], outside=int(worst[name][2]))
        for name, operator in made if name in names
    ]  # fmt: skip
    leaves = next((layer for layer in tensors if layer.outside), None)
    where = None if leaves is None else f"{leaves.operator} '{leaves.tensor}'"
    return Layers(
        first_outside=where, point=None if leaves is None else first[leaves.tensor], tensors=tensors
    )


def _within(values: Floats, box: Box, domain: int, worst: list[float]) -> bool:
    """Whether the values lie in the box; ``worst`` takes the largest distance from its middle, its half width, points outside."""
    lower, upper = box.lower[domain], box.upper[domain]
    inside = bool(((values >= lower) & (values <= upper)).all())
    finite = np.isfinite(values)
    worst[0] = max(worst[0], float(np.abs(values - 0.5 * (lower + upper))[finite].max(initial=0.0)))
    worst[1] = max(worst[1], float((0.5 * (upper - lower)).max(initial=0.0)))
    worst[2] += not inside
    return inside
