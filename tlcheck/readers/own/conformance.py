"""``tlcheck.conformance/1``: what a runtime made of a network's inputs, recorded by ``tlcheck run``.

The artifact names the model (ONNX), the runtime profile and the arrays, which lie beside it or in its bundle; the claim is about
these files, whose hashes are reported. ``runtime`` is the record's word: nothing is proved of it; where it
names the executed graph by its hash, that is the model's. See certificates/formats/conformance.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np
from msgspec import Struct

from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.readers.bundle.arrays import FLOATS, open_arrays
from tlcheck.readers.decimals import exact_number
from tlcheck.readers.files import Files
from tlcheck.readers.loaded import LoadedClaim
from tlcheck.readers.runtime_profile import profile_of
from tlcheck.readers.strict_json import decode
from tlcheck.readers.torchlean.networks import ModelFile, read_network
from tlcheck.trusted.network import Network
from tlcheck.trusted.science.conformance import NO_LABEL, Conformance, Points, Record

FORMAT: Final = "tlcheck.conformance/1"


class Artifact(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``values``: a .safetensors file with ``inputs`` (N, n_inputs) and ``outputs`` (N, n_outputs), flat and row-major over the
    model's inputs and outputs in their order. ``labels``: of each point the output that no execution lets another one reach, or
    null. ``within`` is exact."""

    format: Literal["tlcheck.conformance/1"]
    model: ModelFile
    profile: str
    values: str
    within: str
    labels: list[int | None] = []
    runtime: dict[str, Any] = {}


def load(data: bytes, files: Files, options: Options, format: str) -> Sequence[LoadedClaim]:
    """One claim. Raises InvalidInput."""
    artifact = decode(data, Artifact, files.where)
    graph = read_network(files, options, artifact.model)
    profile = profile_of(files.read(artifact.profile, "profile"), artifact.profile)
    arrays = open_arrays(memoryview(files.read(artifact.values, "values")), artifact.values)
    inputs = arrays.get("inputs", (None, graph.n_inputs), FLOATS).astype(np.float64)
    outputs = arrays.get("outputs", (len(inputs), graph.n_outputs), FLOATS).astype(np.float64)
    try:
        record = Record(inputs, outputs, _labels(artifact.labels, len(inputs)))
        claim = Conformance(
            Points(Network(graph), profile.numbers), record, exact_number(artifact.within, field="within")
        )
    except ValueError as problem:
        raise InvalidInput("TLC101", str(problem), field="values, labels or within") from None
    _is_of(artifact, files)
    return [LoadedClaim("conformance", claim, sources=files.sources)]


def _is_of(artifact: Artifact, files: Files) -> None:
    """The record says itself that another graph was executed: TLC103."""
    said = artifact.runtime.get("model")
    executed = said.get("executed_sha256") if isinstance(said, dict) else None
    sources = files.sources
    found = sources.get("model") or sources.get(artifact.model.file)
    if executed is not None and executed != found:
        raise InvalidInput(
            "TLC103", "the record is of another graph than the model here (SHA-256)", field="runtime.model.executed_sha256",
            expected=str(found), got=str(executed)[:64],
        )  # fmt: skip


def _labels(labels: Sequence[int | None], count: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    if not labels:
        return np.full(count, NO_LABEL, np.int64)
    if len(labels) != count or any(label is not None and not 0 <= label < 1 << 31 for label in labels):
        raise InvalidInput(
            "TLC101", "not a label, or null, for each point", field="labels", expected=f"{count} of them"
        )
    return np.array([NO_LABEL if label is None else label for label in labels], np.int64)
