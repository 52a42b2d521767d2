"""The points at which a model is executed: float32 numbers, flat over its inputs; and their labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tlcheck.errors import InvalidInput
from tlcheck.readers.datasets import numpy_files, safetensor_files
from tlcheck.readers.datasets.read import read_dataset
from tlcheck.readers.datasets.samples import Decimals, Numbers, Samples, names_labels
from tlcheck.robust.arrange import arranged
from tlcheck.robust.questions import Settings, ball_of, described, labels_of
from tlcheck.trusted.graph import Graph

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Inputs:
    """``points`` (N, n_inputs): what is fed, as doubles; ``labels``: of each, the output that is right; ``said``: in words."""

    points: Floats
    names: tuple[str, ...]
    labels: tuple[int, ...] | None
    said: tuple[str, ...]


def read_points(path: Path, graph: Graph, settings: Settings) -> Inputs:
    """The points in a data set: prepared in double precision as it was asked, then rounded to float32. Raises InvalidInput."""
    several = len(graph.inputs) > 1
    read = [
        _samples(path, name, settings, by_name=several or _has(path, name, settings))
        for name in graph.input_names
    ]
    counts = {samples.values.count for samples in read}
    if len(counts) > 1:
        raise InvalidInput(
            "TLC501", "inputs of different numbers of points", file=str(path), got=str(sorted(counts))
        )
    try:
        columns = [
            _prepared(samples, settings, graph.nodes[node].shape)
            for samples, node in zip(read, graph.inputs, strict=True)
        ]
        first = read[0]
        labels = None if first.labels is None else tuple(map(int, labels_of(first, settings, graph)))  # type: ignore[arg-type]
    except InvalidInput as error:
        raise error.in_file(str(path)) from error.__cause__
    count = min(counts.pop(), settings.limit or first.values.count)
    exact = np.concatenate([values[:count] for values in columns], axis=1)
    with np.errstate(over="ignore"):
        points = exact.astype(np.float32).astype(np.float64)
    if not bool(np.isfinite(points).all()):
        raise InvalidInput("TLC503", "a value that float32 does not hold", file=str(path))
    rounded = int((points != exact).any(axis=1).sum())
    said = [described(samples) for samples in read]
    if rounded:
        said.append(f"rounded to float32 at {rounded} of {count} points: the points are the rounded ones")
    return Inputs(points, first.names[:count], None if labels is None else labels[:count], tuple(said))


def _has(path: Path, name: str, settings: Settings) -> bool:
    """Whether a file of arrays has one that is called as the input."""
    if settings.data.keys or not path.is_file():
        return False
    names = {".npz": numpy_files.names_in, ".safetensors": safetensor_files.names_in}.get(path.suffix.lower())
    return names is not None and name in names(path)


def _samples(path: Path, name: str, settings: Settings, *, by_name: bool) -> Samples:
    """``by_name``: the array that is called as the input, and labels if there are some."""
    if not by_name:
        return read_dataset(path, settings.data)
    if path.suffix.lower() not in (".npz", ".safetensors"):
        raise InvalidInput(
            "TLC503", "a model of several inputs takes an array for each", file=str(path),
            expected=".npz or .safetensors with arrays of the inputs' names", got=name,
        )  # fmt: skip
    names = numpy_files.names_in(path) if path.suffix.lower() == ".npz" else safetensor_files.names_in(path)
    labels = [other for other in names if other != name and names_labels(other)][
        : settings.data.labels is None
    ]
    return read_dataset(path, replace(settings.data, keys=(name, *labels)))


def _prepared(samples: Samples, settings: Settings, shape: tuple[int, ...]) -> Floats:
    """(N, n): (value / divide - mean) / std in the order of the input."""
    arrangement = arranged(samples.values.shape, shape, settings.layout)
    ball = ball_of(samples, settings, arrangement)
    mean, std = (np.array([float(x) for x in numbers]) for numbers in (ball.mean, ball.std))
    values = _numbers(samples)[:, list(arrangement.order)]
    if ball.divide == 1 and not mean.any() and bool((std == 1).all()):
        return values
    return np.asarray((values / float(ball.divide) - mean) / std)


def _numbers(samples: Samples) -> Floats:
    values = samples.values
    if isinstance(values, Numbers):
        return np.asarray(values.array, np.float64).reshape(values.count, -1)
    rows: Sequence[Sequence[object]] = (
        values.rows if isinstance(values, Decimals) else [values.exact(k) for k in range(values.count)]
    )
    return np.array([[float(x) for x in row] for row in rows])  # type: ignore[arg-type]
