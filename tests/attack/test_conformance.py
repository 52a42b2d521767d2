"""Conformance certificates of a run, changed: bits of any file, and, with hashes that fit again, what is claimed."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.trusted.test_zonotopes import mlp
from tlcheck.cli.main import main
from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.readers.bundle.arrays import FLOATS, open_arrays
from tlcheck.readers.bytes import sha256_hex
from tlcheck.verify import verify_path
from tlcheck.writers.bundle import pack_arrays

Files = dict[str, bytes]
MANIFEST, ARTIFACT, VALUES, PROFILE = (
    "manifest.json",
    "conformance.json",
    "values.safetensors",
    "profile.json",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """What `tlcheck run` writes of a network of Tanh at three points, all with labels."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "net.onnx").write_bytes(mlp("Tanh"))
    np.save(folder / "x.npy", np.random.default_rng(1).standard_normal((3, 6)).astype(np.float32))
    target = folder / "x.tlcert"
    assert main(["run", str(folder / "net.onnx"), "--inputs", str(folder / "x.npy"), "-o", str(target)]) == 0
    if target.is_dir():
        return {p.name: p.read_bytes() for p in target.iterdir()}
    with zipfile.ZipFile(target) as bundle:
        return {name: bundle.read(name) for name in bundle.namelist()}


def verdict(files: Files, folder: Path) -> str:
    """Of the bundle with these files."""
    target = folder / "t.tlcert"
    with zipfile.ZipFile(target, "w") as bundle:
        for name, content in files.items():
            bundle.writestr(name, content)
    return _said(target)


def _said(target: Path) -> str:
    try:
        (claim,) = verify_path(target, Options()).claims
    except InvalidInput:
        return "INVALID"
    return claim.verdict.name


def signed(files: Files) -> Files:
    """With hashes of the files as they are now."""
    artifact = json.loads(files[ARTIFACT])
    digest = sha256_hex(files[artifact["model"]["file"]])
    artifact["model"]["sha256"] = digest
    artifact["runtime"]["model"]["executed_sha256"] = digest
    files = {**files, ARTIFACT: json.dumps(artifact).encode()}
    manifest = json.loads(files[MANIFEST])
    for name, about in manifest["files"].items():
        about |= {"sha256": sha256_hex(files[name]), "bytes": len(files[name])}
    return {**files, MANIFEST: json.dumps(manifest).encode()}


def with_values(files: Files, change: Callable[[dict[str, Any]], object]) -> Files:
    arrays = _arrays(files[VALUES])
    change(arrays)
    return signed({**files, VALUES: pack_arrays(arrays)})


def _arrays(content: bytes) -> dict[str, Any]:
    found = open_arrays(memoryview(content), VALUES)
    return {name: np.array(found.get(name, (None, None), FLOATS)) for name in ("inputs", "outputs")}


def with_artifact(files: Files, change: Callable[[dict[str, Any]], object]) -> Files:
    artifact = json.loads(files[ARTIFACT])
    change(artifact)
    return signed({**files, ARTIFACT: json.dumps(artifact).encode()})


def with_profile(files: Files, change: Callable[[dict[str, Any]], object]) -> Files:
    profile = json.loads(files[PROFILE])
    change(profile)
    return signed({**files, PROFILE: json.dumps(profile).encode()})


def test_what_was_written_and_signed_again(made: Files, tmp_path: Path) -> None:
    assert verdict(made, tmp_path) == "CERTIFIED" == verdict(signed(made), tmp_path)


@pytest.mark.parametrize("seed", range(12))
def test_no_bit_of_a_file_changes_unseen(seed: int, made: Files, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    name = sorted(made)[seed % len(made)]
    content = bytearray(made[name])
    content[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
    changed = verdict({**made, name: bytes(content)}, tmp_path)
    assert changed == "INVALID" or (
        name == MANIFEST and changed == "CERTIFIED" and _only_words(content, made)
    )


def _only_words(content: bytearray, made: Files) -> bool:
    """What is left of the manifest but its producer's and its claims' names is the same."""
    before, after = (json.loads(x) for x in (made[MANIFEST], bytes(content)))
    for one in (before, after):
        one.pop("producer", None)
        for claim in one["claims"]:
            claim.pop("name", None)
    return bool(before == after)


def flipped(bit: int, place: int, which: str) -> Callable[[dict[str, Any]], None]:
    def change(arrays: dict[str, Any]) -> None:
        values = arrays[which].astype(np.float32).copy()
        values.reshape(-1).view(np.uint32)[place] ^= np.uint32(1 << bit)
        arrays[which] = values

    return change


@pytest.mark.parametrize("bit", range(17, 32))
def test_bits_of_outputs(bit: int, made: Files, tmp_path: Path) -> None:
    """From 2^-6 of the value on: no execution gives that."""
    assert verdict(with_values(made, flipped(bit, bit % 12, "outputs")), tmp_path) in (
        "REFUTED",
        "UNPROVEN",
        "INVALID",
    )


@pytest.mark.parametrize("bit", range(19, 31))
def test_bits_of_inputs(bit: int, made: Files, tmp_path: Path) -> None:
    assert verdict(with_values(made, flipped(bit, 7, "inputs")), tmp_path) in (
        "REFUTED",
        "UNPROVEN",
        "INVALID",
    )


CLAIMS: dict[str, Callable[[Files], Files]] = {
    "another label": lambda f: with_artifact(f, lambda a: a.update(labels=[(k + 1) % 4 for k in a["labels"]])),
    "nearer than proved": lambda f: with_artifact(f, lambda a: a.update(within="1e-9")),
    "points in another order": lambda f: with_values(f, lambda v: v.update(inputs=v["inputs"][::-1].copy())),
    "an output more": lambda f: with_values(f, lambda v: v.update(outputs=np.hstack([v["outputs"], v["outputs"]]))),
    "inputs between float32 numbers": lambda f: with_values(f, lambda v: v.update(inputs=v["inputs"].astype(np.float64) * (1 + 2.0**-40))),
    "no number": lambda f: with_values(f, lambda v: v["outputs"].__setitem__((0, 0), np.nan)),
    "a coarser profile": lambda f: with_profile(f, lambda p: p.update(name="mine", functions={"Tanh": {"absolute": "0x1p-2"}})),
    "a name of another profile": lambda f: with_profile(f, lambda p: p.update(name="onnxruntime-cpu")),
    "numbers of another profile": lambda f: with_profile(f, lambda p: p["functions"].update(Tanh={"absolute": "0x1p-40"})),
    "a profile without the function": lambda f: with_profile(f, lambda p: (p.update(name="mine"), p["functions"].pop("Tanh"))),
    "another network": lambda f: signed({**f, "model.onnx": mlp("Softplus")}),
    "another format": lambda f: with_artifact(f, lambda a: a.update(format="tlcheck.conformance/2")),
}  # fmt: skip


@pytest.mark.parametrize("name", CLAIMS)
def test_claims_that_were_not_made(name: str, made: Files, tmp_path: Path) -> None:
    assert verdict(CLAIMS[name](made), tmp_path) in ("REFUTED", "UNPROVEN", "INVALID")


def test_a_record_of_another_graph(made: Files, tmp_path: Path) -> None:
    """Of the optimised graph, say, beside the file itself."""
    artifact = json.loads(made[ARTIFACT])
    artifact["runtime"]["model"] |= {"graph": "basic", "executed_sha256": "1" * 64}
    manifest, content = json.loads(made[MANIFEST]), json.dumps(artifact).encode()
    manifest["files"][ARTIFACT] |= {"sha256": sha256_hex(content), "bytes": len(content)}
    assert (
        verdict({**made, ARTIFACT: content, MANIFEST: json.dumps(manifest).encode()}, tmp_path) == "INVALID"
    )
