"""``tlcheck.conformance/1``: what is read, and every refusal."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.trusted.test_zonotopes import mlp
from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.readers.artifacts import artifact_format, load_artifact
from tlcheck.readers.runtime_profile import document_of
from tlcheck.trusted.science.conformance import NO_LABEL, Conformance
from tlcheck.writers.bundle import pack_arrays

Change = Callable[[dict[str, Any]], object]


def written(folder: Path, change: Change = lambda d: None, **arrays: Any) -> Path:
    (folder / "net.onnx").write_bytes(mlp("Relu"))
    (folder / "p.json").write_bytes(document_of())
    values = {"inputs": np.zeros((2, 6), np.float32), "outputs": np.ones((2, 4), np.float32), **arrays}
    (folder / "v.safetensors").write_bytes(pack_arrays(values))
    document = {
        "format": "tlcheck.conformance/1", "model": {"file": "net.onnx"}, "profile": "p.json", "values": "v.safetensors",
        "within": "1/4", "labels": [3, None], "runtime": {"anything": [1]},
    }  # fmt: skip
    change(document)
    (folder / "x.json").write_text(json.dumps(document))
    return folder / "x.json"


def test_what_is_read(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert artifact_format(path) == "tlcheck.conformance"
    (loaded,) = load_artifact(path, Options(), "tlcheck.conformance")
    claim = loaded.claim
    assert (
        isinstance(claim, Conformance)
        and claim.record.labels.tolist() == [3, NO_LABEL]
        and str(claim.within) == "1/4"
    )
    assert claim.record.inputs.shape == (2, 6) and claim.points.profile.name == "ieee-basic"
    assert set(loaded.sources) == {"artifact", "net.onnx", "p.json", "v.safetensors"}


CHANGES: dict[str, tuple[Change, str, str]] = {
    "unknown field": (lambda d: d.update(more=1), "TLC101", "more"),
    "no values": (lambda d: d.pop("values"), "TLC101", "values"),
    "hash": (lambda d: d.update(model={"file": "net.onnx", "sha256": "0" * 64}), "TLC103", "SHA-256"),
    "not there": (lambda d: d.update(values="w.safetensors"), "TLC402", "w.safetensors"),
    "a folder": (lambda d: d.update(profile="../p.json"), "TLC404", "folder"),
    "within": (lambda d: d.update(within="wide"), "TLC101", "within"),
    "negative": (lambda d: d.update(within="-1"), "TLC101", "negative"),
    "label": (lambda d: d.update(labels=[4, None]), "TLC101", "label"),
    "negative label": (lambda d: d.update(labels=[-1, None]), "TLC101", "label"),
    "labels": (lambda d: d.update(labels=[1]), "TLC101", "2 of them"),
    "profile": (lambda d: d.update(profile="x.json"), "TLC101", "x.json"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_refused(name: str, tmp_path: Path) -> None:
    change, code, said = CHANGES[name]
    with pytest.raises(InvalidInput) as caught:
        load_artifact(written(tmp_path, change), Options(), "tlcheck.conformance")
    assert caught.value.code == code and said in caught.value.line()


@pytest.mark.parametrize(
    "arrays",
    [
        {"outputs": np.ones((3, 4), np.float32)}, {"outputs": np.ones((2, 3), np.float32)}, {"inputs": np.ones((2, 5), np.float32)},
        {"inputs": np.zeros((2, 6), np.int32)}, {"outputs": np.full((2, 4), np.nan, np.float32)},
        {"inputs": np.zeros((0, 6), np.float32), "outputs": np.zeros((0, 4), np.float32)},
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit(arrays: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        load_artifact(
            written(tmp_path, lambda d: d.update(labels=[]), **arrays), Options(), "tlcheck.conformance"
        )
    assert caught.value.code in ("TLC101", "TLC105")
