"""The conformance certificate of a run: a bundle that ``tlcheck verify`` checks without the runtime or the device."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from tlcheck import __version__
from tlcheck.conformance.executable import Subject
from tlcheck.conformance.run_document import Document
from tlcheck.conformance.running import Ran
from tlcheck.errors import InvalidInput
from tlcheck.readers.bundle.manifest import ArtifactClaim, Producer
from tlcheck.readers.bytes import sha256_hex
from tlcheck.writers.bundle import narrowed, pack_arrays, write_artifact_bundle

ARTIFACT: Final = "conformance.json"
MODEL: Final = "model.onnx"
PROFILE: Final = "profile.json"
VALUES: Final = "values.safetensors"


def write_certificate(target: Path, subject: Subject, profile: bytes, ran: Ran) -> None:
    """The graph as it was executed, the profile's document, inputs, outputs, and where they are from. Raises InvalidInput."""
    document = ran.document
    if document.within is None or document.outside_count:
        raise InvalidInput(
            "TLC503", "no certificate: some output lies outside, or there is no enclosure", file=str(target),
            got=f"{document.points - document.inside} of {document.points} points",
        )  # fmt: skip
    artifact: dict[str, Any] = {
        "format": "tlcheck.conformance/1",
        "model": {"file": MODEL, "sha256": sha256_hex(subject.content)},
        "profile": PROFILE,
        "values": VALUES,
        "within": document.within,
        "labels": list(ran.labels) if any(label is not None for label in ran.labels) else [],
        "runtime": _runtime(document),
    }
    files = {
        ARTIFACT: msgspec.json.format(msgspec.json.encode(artifact), indent=1) + b"\n",
        MODEL: subject.content,
        PROFILE: profile,
        VALUES: pack_arrays({"inputs": _floats(ran.points), "outputs": _floats(ran.values)}),
    }
    claim = ArtifactClaim("tlcheck.conformance", ARTIFACT, "conformance", "conformance")
    write_artifact_bundle(target, files, [claim], Producer("tlcheck run", __version__))


def _floats(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return narrowed(np.ascontiguousarray(values, np.float64))


def _runtime(document: Document) -> dict[str, Any]:
    """The record's word: nothing of it is proved."""
    said: dict[str, Any] = msgspec.to_builtins(document.runtime)
    return {**said, "model": msgspec.to_builtins(document.model), "tlcheck": __version__}
