"""Conversion: what cannot be converted is refused in one line and leaves nothing behind."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.helpers import DATA, needs_data
from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.readers.bundle.read import load_bundle
from tlcheck.verify import verify_path
from tlcheck.writers.convert import convert

pytestmark = needs_data
DUMP = DATA / "abcrown" / "safenlp" / "medical_320"


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    folder = tmp_path / "dump"
    folder.mkdir()
    for file in DUMP.iterdir():
        shutil.copyfile(file, folder / file.name)
    return folder


def refused(dump: Path, options: Options | None = None) -> InvalidInput:
    output = dump.parent / "b.tlcert"
    with pytest.raises(InvalidInput) as caught:
        convert(dump, output, options or Options())
    assert not output.exists()
    assert caught.value.file
    return caught.value


def test_model_and_property_may_be_given(dump: Path, tmp_path: Path) -> None:
    model, prop = tmp_path / "m.onnx", tmp_path / "q.vnnlib"
    shutil.move(next(dump.glob("*.onnx")), model)
    shutil.move(next(dump.glob("*.vnnlib")), prop)
    assert refused(dump).code == "TLC402"
    convert(dump, tmp_path / "b.tlcert", Options(model=model, property=prop))
    [claim] = load_bundle(tmp_path / "b.tlcert", None, None)
    assert claim.name == "dump"


def test_not_a_dump(tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    assert refused(folder).code == "TLC102"


def test_another_property(dump: Path) -> None:
    with next(dump.glob("*.vnnlib")).open("a") as file:
        file.write("; another")
    assert refused(dump).code == "TLC103"


@pytest.mark.parametrize("name", ["../x.onnx", "/etc/passwd", "a\\b", "", ".."])
def test_model_outside_the_dump(dump: Path, name: str) -> None:
    manifest = json.loads((dump / "certificate.json").read_text())
    manifest["onnx_file"] = name
    (dump / "certificate.json").write_text(json.dumps(manifest))
    assert refused(dump).code == "TLC404"


def test_model_behind_a_link(dump: Path, tmp_path: Path) -> None:
    model = next(dump.glob("*.onnx"))
    shutil.move(model, tmp_path / "m.onnx")
    model.symlink_to(tmp_path / "m.onnx")
    assert refused(dump).code == "TLC404"


@needs_data
@pytest.mark.parametrize(
    "name",
    [
        "ODE/logistic_learned_cert.json", "LiRPA/gru_gate_cert.json", "Robustness/digits_linear_margin_cert.json",
        "Splines/piecewise_linear_cert.json", "Geometry3D/check_box3d_camera_cert.json", "PINN/pinn_cert.json",
    ],
)  # fmt: skip
def test_artifacts_verify_identically_from_a_bundle(tmp_path: Path, name: str) -> None:
    """Every claim, with its verdict, margin and reason; and the bundle needs no other file."""
    artifact = DATA / "torchlean" / name
    convert(artifact, tmp_path / "x.tlcert", Options())
    before, after = (verify_path(path, Options()).claims for path in (artifact, tmp_path / "x.tlcert"))
    assert [(c.kind, c.verdict, c.bound, c.reason) for c in after] == [
        (c.kind, c.verdict, c.bound, c.reason) for c in before
    ]
