"""Which file, claim or folder is meant: what a second attack on the gate, lock files and keys found."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.test_keys import affine
from tests.helpers import CERTIFICATES
from tlcheck.cli.main import main
from tlcheck.readers.formats.detect import survey
from tlcheck.referee.benchmarks import Benchmarks
from tlcheck.referee.results import instance_name

ACCEPT = CERTIFICATES / "accept"
SPLINE: dict[str, Any] = json.loads((ACCEPT / "spline-parabola" / "x.tlcert" / "spline.json").read_text())
PAIR = ACCEPT / "pair-two-inputs" / "x.tlcert"
TENT = ACCEPT / "output-box-of-a-tent" / "x.tlcert"
ABSOLUTE = {
    "layers.0.weight": [[1.0], [-1.0]],
    "layers.0.bias": [0.0, 0.0],
    "layers.1.weight": [[1.0, 1.0]],
    "layers.1.bias": [0.0],
}


def written(folder: Path, files: dict[str, Any], claims: list[dict[str, Any]]) -> Path:
    """A bundle of JSON files."""
    folder.mkdir(exist_ok=True)
    entries = {}
    for name, document in files.items():
        data = json.dumps(document).encode()
        (folder / name).write_bytes(data)
        entries[name] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    manifest = {"format": "tlcheck.bundle", "version": 1, "producer": {"name": "t"}, "files": entries}
    (folder / "manifest.json").write_text(json.dumps({**manifest, "claims": claims}))
    return folder


# Lock files.


@pytest.mark.parametrize(
    "name", ["certificate net.json", "arrays", "certificate", "manifest 2", "arrays x.json"]
)
def test_a_lock_holds_every_file_that_an_artifact_names(name: str, tmp_path: Path) -> None:
    """A file whose name reads as the role of evidence is what the claim is about, and may not change."""
    artifact = json.loads((TENT / "artifact.json").read_text())
    artifact["model"]["file"] = name
    (tmp_path / "box.json").write_text(json.dumps(artifact))
    net = (TENT / "net.json").read_text()
    (tmp_path / name).write_text(net)
    lock = tmp_path / "claims.lock"
    assert main(["lock", str(tmp_path / "box.json"), "-o", str(lock)]) == 0
    assert main(["verify", str(tmp_path / "box.json"), "--expect", str(lock)]) == 0
    (tmp_path / name).write_text(net.replace("2.0", "1.9"))
    assert main(["verify", str(tmp_path / "box.json"), "--expect", str(lock)]) == 3


def test_a_lock_holds_which_claim_of_an_artifact_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two instances of a suite have one kind, one statement, and the same files; the second asks for less."""
    spec = {"id": 1, "input_lo": [-1.0], "input_hi": [1.0], "spec": [{"mat": [[-1.0]], "rhs": [-1.25]}]}
    weaker = {**spec, "id": 2, "spec": [{"mat": [[-1.0]], "rhs": [-9.0]}]}
    suite = {"format": "vnnlib_suite_v0_1", "instances": [spec, weaker], "weights": {"file": "net.json"}}
    files = {"suite.json": suite, "net.json": ABSOLUTE}

    def claims(part: str) -> list[dict[str, Any]]:
        return [
            {
                "kind": "artifact",
                "format": "torchlean-suite",
                "artifact": "suite.json",
                "part": part,
                "name": "safe",
            }
        ]

    bundle, lock = tmp_path / "x.tlcert", tmp_path / "claims.lock"
    written(bundle, files, claims("instance 1"))
    assert main(["lock", str(bundle), "-o", str(lock)]) == 0
    assert main(["verify", str(bundle), "--expect", str(lock)]) == 0
    written(bundle, files, claims("instance 2"))
    assert main(["verify", str(bundle)]) == 0
    capsys.readouterr()
    assert main(["verify", str(bundle), "--expect", str(lock)]) == 3
    assert "TLC112" in capsys.readouterr().out


# Lost certificates.


def _retagged(value: object) -> bytes:
    return json.dumps({**SPLINE, "format": value}).encode()


WHOLE = json.dumps(SPLINE).encode()
UNTAGGED = {k: v for k, v in SPLINE.items() if k != "format"}
FILES: dict[str, tuple[str, bytes]] = {
    "format in a list": ("s.json", _retagged(["tlcheck.spline/1"])),
    "format as an object": ("s.json", _retagged({"name": "tlcheck.spline", "version": 1})),
    "format is null": ("s.json", _retagged(None)),
    "half a format": ("s.json", _retagged("spline/1")),
    "no format": ("s.json", json.dumps(UNTAGGED).encode()),
    "mistyped under another key": ("s.json", json.dumps({**UNTAGGED, "kind": "tlcheck.splin"}).encode()),
    "wrapped": ("s.json", json.dumps({"certificate": SPLINE}).encode()),
    "wrapped in a list": ("s.json", json.dumps({"all": [SPLINE, SPLINE]}).encode()),
    "a list of lists": ("s.json", json.dumps([[SPLINE]]).encode()),
    "JSON in a string": ("s.json", json.dumps(json.dumps(SPLINE)).encode()),
    "kept aside": ("s.json.bak", WHOLE),
    "an editor's copy": ("s.json~", WHOLE),
    "another suffix": ("s.cert", WHOLE),
    "no suffix": ("s", WHOLE),
    "packed under another suffix": ("s.bak.gz", gzip.compress(WHOLE, mtime=0)),
    "not written to its end": ("s.json.part", WHOLE[: len(WHOLE) // 2]),
    "after a byte order mark, elsewhere": ("s.old", b"\xef\xbb\xbf" + WHOLE),
}


@pytest.mark.parametrize("case", FILES)
def test_a_certificate_in_disguise_is_a_problem(case: str, tmp_path: Path) -> None:
    name, data = FILES[case]
    (tmp_path / "good.json").write_bytes(WHOLE)
    (tmp_path / name).write_bytes(data)
    found = survey(tmp_path)
    assert [p.name for p in found.certificates] == ["good.json"]
    assert [p.name for p, _ in found.problems] == [name]
    assert main(["verify", str(tmp_path)]) == 3


def zipped(source: Path, target: Path, leave_out: str = "") -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(source.iterdir()):
            if path.name != leave_out:
                archive.write(path, path.name)
    return target


def inside_a_zip(folder: Path) -> None:
    zipped(PAIR, folder.parent / "inner.zip")
    with zipfile.ZipFile(folder / "all.zip", "w") as archive:
        archive.write(folder.parent / "inner.zip", "proofs/x.tlcert")


def without_format(folder: Path) -> None:
    shutil.copytree(PAIR, folder / "x")
    manifest = json.loads((PAIR / "manifest.json").read_text())
    del manifest["format"]
    (folder / "x" / "manifest.json").write_text(json.dumps(manifest))


BUNDLES: dict[str, Callable[[Path], object]] = {
    "inside a zip": inside_a_zip,
    "zipped without its manifest": lambda f: zipped(PAIR, f / "x.zip", "manifest.json"),
    "gzip of a zip": lambda f: (f / "x.tlcert.gz").write_bytes(
        gzip.compress(zipped(PAIR, f.parent / "i.zip").read_bytes(), mtime=0)
    ),
    "cut off": lambda f: (f / "x.tlcert.part").write_bytes(
        zipped(PAIR, f.parent / "i.zip").read_bytes()[:900]
    ),
    "its manifest says no format": without_format,
}


@pytest.mark.parametrize("case", BUNDLES)
def test_a_bundle_in_disguise_is_a_problem(case: str, tmp_path: Path) -> None:
    folder = tmp_path / "certs"
    folder.mkdir()
    (folder / "good.json").write_bytes(WHOLE)
    BUNDLES[case](folder)
    assert survey(folder).problems
    assert main(["verify", str(folder)]) == 3


OTHERS = {
    "notes.md": b'{"format": "tlcheck.bundle"} is how a manifest begins\n'[13:]
    + b'`"format": "tlcheck.bundle"`\n',
    "made.py": b'TAG = {"format": "tlcheck.spline/1"}\n',
    "notebook.ipynb": b'{"cells": [{"source": ["write {\'format\': \'tlcheck.spline/1\'}"]}], "nbformat": 4}',
    "x.tlcert.sha256": b"0" * 64 + b"  x.tlcert\n",
    "schema.json": b'{"properties": {"format": {"const": "tlcheck.spline/1"}}}',
    "log.json": b'{"event": "x", "format": 3}',
}


def test_what_speaks_of_certificates_is_none(tmp_path: Path) -> None:
    """Texts about certificates, checksums, schemas and tlcheck's own reports, also a second time."""
    (tmp_path / "good.json").write_bytes(WHOLE)
    for name, data in OTHERS.items():
        (tmp_path / name).write_bytes(data)
    for _ in range(2):
        for form in ("json", "jsonl", "sarif"):
            report = tmp_path / f"report.{form}.json"
            assert main(["verify", str(tmp_path), "--format", form, "--output", str(report)]) == 0


# The year of a checkout.


def taken(root: Path | str) -> bool:
    written = "vnncomp2025_benchmarks/benchmarks/small/"
    name = instance_name("small", f"{written}n.onnx", f"{written}p.vnnlib")
    return Benchmarks([Path(root)]).find(name).problem is None


@pytest.mark.parametrize("name", ["vnncomp2024_benchmarks", "vnncomp-2024", "VNN-COMP_2024", "vnn comp 2024"])
def test_files_of_another_year_however_their_folder_is_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = tmp_path / name
    folder = checkout / "benchmarks" / "small"
    folder.mkdir(parents=True)
    (folder / "n.onnx").write_bytes(b"n")
    (folder / "p.vnnlib").write_bytes(b"p")
    for link, target in (("vnncomp2025", checkout), ("plain", checkout), ("files", checkout / "benchmarks")):
        (tmp_path / link).symlink_to(target)
    monkeypatch.chdir(checkout)
    assert not any(taken(root) for root in (".", "benchmarks", "./benchmarks", "benchmarks/small/.."))
    monkeypatch.chdir(checkout / "benchmarks")
    assert not any(taken(root) for root in (".", "..", "small/.."))
    links = ("vnncomp2025", "vnncomp2025/benchmarks", "plain", "plain/benchmarks", "files")
    assert not any(taken(tmp_path / link) for link in links)
    (tmp_path / "other").mkdir()
    shutil.move(checkout, tmp_path / "other" / "mine")
    assert taken(tmp_path / "other" / "mine") and taken(tmp_path / "other" / "mine" / "benchmarks")


# --model and --property stand in for what is not there.


def test_a_claim_of_a_bundle_is_about_the_network_that_it_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The claim of the artifact is false of the bundle's network, and true of another one that the user gives."""
    net = (TENT / "net.json").read_text()
    artifact = json.loads((TENT / "artifact.json").read_text())
    false_net = json.loads(net.replace("2.0", "900.0"))
    claims = [{"kind": "artifact", "format": "tlcheck.output-box", "artifact": "artifact.json"}]
    bundle = written(tmp_path / "x.tlcert", {"artifact.json": artifact, "net.json": false_net}, claims)
    assert main(["verify", str(bundle)]) == 1
    good, same = tmp_path / "good.json", tmp_path / "same.json"
    good.write_text(net)
    same.write_bytes((bundle / "net.json").read_bytes())
    capsys.readouterr()
    assert main(["verify", str(bundle), "--model", str(good)]) == 3
    assert "TLC103" in capsys.readouterr().out
    assert main(["verify", str(bundle), "--model", str(same)]) == 1
    (bundle / "net.json").unlink()
    written(bundle, {"artifact.json": artifact}, claims)
    assert main(["verify", str(bundle), "--model", str(good)]) == 0


def test_weights_of_a_bundle_s_model_are_beside_the_model(tmp_path: Path) -> None:
    """An artifact in a folder names a model of the bundle: its data file is the model's, not one beside the artifact."""
    model = affine(tmp_path / "made", 0.25, "net.onnx.data")
    bundle = written(tmp_path / "x.tlcert", {}, [])
    (bundle / "sub").mkdir()
    box = {"input": {"lower": ["0"], "upper": ["1"]}, "output": {"lower": ["0"], "upper": ["1/2"]}}
    artifact = {"format": "tlcheck.output-box/1", "model": {"file": "net.onnx"}, **box}
    contents = {
        "net.onnx": model.read_bytes(),
        "net.onnx.data": model.with_name("net.onnx.data").read_bytes(),
        "sub/net.onnx.data": affine(tmp_path / "other", 9.0, "net.onnx.data")
        .with_name("net.onnx.data")
        .read_bytes(),
        "sub/box.json": json.dumps(artifact).encode(),
    }
    entries = {}
    for name, data in contents.items():
        (bundle / name).write_bytes(data)
        entries[name] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    manifest = json.loads((bundle / "manifest.json").read_text())
    claim = {"kind": "artifact", "format": "tlcheck.output-box", "artifact": "sub/box.json"}
    (bundle / "manifest.json").write_text(json.dumps({**manifest, "files": entries, "claims": [claim]}))
    assert main(["verify", str(bundle)]) == 0
