"""What is executed: the graph, known to the byte, and its enclosures at points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tlcheck.conformance.run_document import Model
from tlcheck.errors import InvalidInput
from tlcheck.readers.bytes import sha256_hex
from tlcheck.readers.onnx import load_whole, read_model
from tlcheck.readers.runtime_profile import RuntimeProfile
from tlcheck.runtime.ort import ExecutionFailed
from tlcheck.runtime.pinned import Pin, Pinned, optimised, pinned
from tlcheck.trusted.arith.probe import BlasRefused, probe
from tlcheck.trusted.arith.profile import NotDeployable
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.network import Network
from tlcheck.trusted.science.conformance import Points

Floats = NDArray[np.float64]
Level = Literal["file", "basic"]
Tell = Callable[[str, int, int, str], None]
"""Called with (stage, done, total, what was done last)."""


@dataclass(frozen=True, eq=False)
class Subject:
    """A model at a level of graph optimisation. ``content``: the bytes that are executed, and that ``graph`` was read from."""

    path: Path
    level: Level
    sha256: str
    content: bytes
    graph: Graph

    @cached_property
    def network(self) -> Network:
        return Network(self.graph)

    def session(self, pin: Pin) -> Pinned:
        """Raises ExecutionFailed, InvalidInput: it has other inputs than were read."""
        made = pinned(self.content, pin)
        sizes = [port.size for port in made.ports]
        if sizes != [self.graph.nodes[i].size for i in self.graph.inputs]:
            raise InvalidInput(
                "TLC204", "onnxruntime reads other inputs", file=str(self.path), got=str(sizes)
            )
        return made


def load_subject(path: Path, level: Level) -> Subject:
    """Raises InvalidInput: it cannot be read, or onnxruntime cannot optimise it."""
    whole = load_whole(path)
    content = whole.content
    if level == "basic":
        try:
            content = optimised(content)
        except ExecutionFailed as error:
            raise InvalidInput(
                "TLC505", f"onnxruntime cannot load the model: {error}", file=str(path)
            ) from None
    file = str(path) if level == "file" else f"{path} (basic optimisations)"
    return Subject(path, level, whole.sha256, content, read_model(content, file=file))


@dataclass(frozen=True, eq=False)
class Enclosures:
    """At N points, (N, n_outputs): ends of what every allowed execution gives, NaN where there is no enclosure, and their
    middle; ``keeps[k]``: of point k, by label, whether allowed executions keep it."""

    lower: Floats
    upper: Floats
    centre: Floats
    keeps: tuple[dict[int, bool | None], ...]

    @property
    def radius(self) -> Floats:
        return np.maximum(self.upper - self.centre, self.centre - self.lower)

    def inside(self, outputs: Floats) -> NDArray[np.bool_]:
        """(N,): every output of the point lies in its enclosure. A number that is not finite never does."""
        return np.asarray(((outputs >= self.lower) & (outputs <= self.upper)).all(axis=1))

    @property
    def there(self) -> NDArray[np.bool_]:
        """(N,): points that have an enclosure."""
        return np.asarray(~np.isnan(self.lower).any(axis=1))

    def counts(self, outputs: Floats) -> tuple[int, int]:
        """(points inside, points outside)."""
        inside = self.inside(outputs)
        return int(inside.sum()), int((self.there & ~inside).sum())


def enclosures(
    subject: Subject, profile: RuntimeProfile, points: Floats, labels: list[set[int]], tell: Tell
) -> Enclosures:
    """``labels``: of each point, those to decide. Raises InvalidInput TLC202: the profile has no radius for an operator."""
    count, n = len(points), subject.graph.n_outputs
    lower, upper, centre = (np.full((count, n), np.nan) for _ in range(3))
    keeps: list[dict[int, bool | None]] = [{} for _ in range(count)]
    try:
        probe()
        for k, found in enumerate(Points(subject.network, profile.numbers).enclosed(points)):
            tell("points enclosed", k + 1, count, "")
            if found is not None:
                lower[k], upper[k], centre[k] = found.lower, found.upper, found.centre
            for label in labels[k]:
                keeps[k][label] = None if found is None else found.keeps(label)
    except BlasRefused as error:
        raise InvalidInput("TLC505", str(error)) from None
    except NotDeployable as error:
        raise InvalidInput(
            "TLC202", f"no float32 radius for {error}", file=str(subject.path), field="--profile",
            expected="operators that the profile lists",
        ) from None  # fmt: skip
    return Enclosures(lower, upper, centre, tuple(keeps))


def executed(session: Pinned, points: Floats, batch: int) -> Floats:
    """(N, n_outputs): all outputs in their order. Raises ExecutionFailed."""
    made = session.run(points, batch)
    return np.concatenate([made[name] for name in session.outputs], axis=1)


def is_classifier(graph: Graph) -> bool:
    """One output tensor with a number for each of several classes."""
    shape = graph.nodes[graph.outputs[0]].shape
    return len(graph.outputs) == 1 and graph.n_outputs > 1 and graph.n_outputs == max(shape)


def about(subject: Subject) -> Model:
    """For reports."""
    executed = sha256_hex(subject.content)
    return Model(file=subject.path.name, sha256=subject.sha256, graph=subject.level, executed_sha256=executed)
