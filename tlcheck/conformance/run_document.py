"""The report of ``tlcheck run`` as types: what is published as its JSON Schema, and what every format renders."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

MOST_NAMED: Final = 20
"""Points and values that are named one by one; the rest is counted."""

Count = Annotated[int, Meta(ge=0)]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class Model(Struct, frozen=True, kw_only=True):
    """``graph``: file, the model as it is, or basic, what onnxruntime's basic optimisations made of it; the graph of that hash is
    the one that was executed and that the enclosures are of."""

    file: str
    sha256: Sha256
    graph: Literal["file", "basic"]
    executed_sha256: Sha256


class ProfileOut(Struct, frozen=True, kw_only=True):
    """What is assumed of the runtime, and where that is known from."""

    name: str
    kind: str
    sha256: Sha256
    provenance: dict[str, str]


class Runtime(Struct, frozen=True, kw_only=True):
    """The execution that all others are compared with."""

    onnxruntime: str
    provider: str
    threads: int
    batch: int
    options: dict[str, str]
    environment: dict[str, str]
    machine: str
    cpu_flags: list[str]


class Outside(Struct, frozen=True, kw_only=True):
    """An output that no execution that the profile allows has: these have ``lower`` to ``upper``. ``value`` null: not finite."""

    point: int
    name: str
    output: str
    place: int
    value: float | None
    lower: float
    upper: float


class OutputOut(Struct, frozen=True, kw_only=True):
    """``observed_max``: the largest distance from the middle of the enclosure; ``proved_max``: of the enclosures' ends."""

    name: str
    observed_max: float
    proved_max: float
    ratio_max: float
    ratio_median: float


class LabelsOut(Struct, frozen=True, kw_only=True):
    """``decided``: points at which no allowed execution gives another class than this one. Of given labels: ``accuracy_proved`` =
    [proved right, not proved wrong], as parts of all; ``undecided``: the points in between."""

    given: Count
    decided: Count
    accuracy_observed: float | None = None
    accuracy_proved: tuple[float, float] | None = None
    undecided: list[int] = []
    undecided_count: Count = 0


class Compared(Struct, frozen=True, kw_only=True):
    """Another execution against the first: output values that differ and by how much at most, points inside and outside.
    ``refused``: why there is none."""

    differ: Count = 0
    max: float = 0.0
    inside: Count = 0
    outside: Count = 0
    points_per_s: float = 0.0
    refused: str = ""


class Determinism(Struct, frozen=True, kw_only=True):
    """Executions with all but one thing as in the first: repeated, with other threads, batch sizes, providers."""

    values: Count
    repeats: dict[str, Compared] = {}
    threads: dict[str, Compared] = {}
    batch: dict[str, Compared] = {}
    providers: dict[str, Compared] = {}


class Layer(Struct, frozen=True, kw_only=True):
    """A tensor inside the graph, in the order of execution."""

    tensor: str
    operator: str
    observed_max: float
    proved_max: float
    outside: Count


class Layers(Struct, frozen=True, kw_only=True):
    """``first_outside``: the first tensor a value of which no allowed execution has, with the point; null: there is none."""

    first_outside: str | None
    point: int | None
    tensors: list[Layer]


class Difference(Struct, frozen=True, kw_only=True):
    """``max``: between the two executions; ``proved_max``: between any two that the profile allows."""

    name: str
    max: float
    proved_max: float


class Against(Struct, frozen=True, kw_only=True):
    """A second execution, of the same model elsewhere or of another model, at the same points."""

    what: str
    model: Model
    inside: Count
    outside: Count
    outputs: list[Difference]
    other_classes: Count


class Speed(Struct, frozen=True, kw_only=True):
    inference_points_per_s: float
    checked_points_per_s: float
    seconds: float


class Memory(Struct, frozen=True, kw_only=True):
    """Of the CUDA device: ``device_pool_mib``, by how much what is held on it had grown when the first execution had ended, its
    session still there (onnxruntime's pool, kernels, the context); ``device_pool_limit_mib``; ``device_used_mib``, by all its
    users, then."""

    peak_host_mib: float
    device_used_mib: float | None = None
    device_pool_mib: float | None = None
    device_pool_limit_mib: float | None = None


class Document(Struct, frozen=True, kw_only=True):
    """The report of one run of `tlcheck run --format json`.

    ``proved`` is the theorem: it holds for every execution that the profile allows, whoever runs it. ``observed`` is about the
    executions that were made here. ``explained``: what was found about a cause.
    """

    schema_version: Literal[1]
    tool: dict[str, str]
    model: Model
    profile: ProfileOut
    runtime: Runtime
    inputs: list[str]
    points: Count
    inside: Count
    outside: list[Outside]
    outside_count: Count
    no_enclosure: list[int]
    proved: str
    observed: str
    within: str | None
    outputs: list[OutputOut]
    labels: LabelsOut
    determinism: Determinism
    layers: Layers | None = None
    against: list[Against] = []
    explained: list[str] = []
    speed: Speed
    memory: Memory
    assumptions: list[str]
    certificate: str | None = None


def outside_elsewhere(d: Document) -> int:
    """The most points outside of an execution other than the first."""
    found = d.determinism
    runs = [
        run for kind in (found.repeats, found.threads, found.batch, found.providers) for run in kind.values()
    ]
    return max([0, *(run.outside for run in runs), *(run.outside for run in d.against)])


def run_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the report."""
    from tlcheck.schemas import schema_of

    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "tlcheck run report",
        **schema_of(Document),
    }
