"""Bundles: what is written is read back exactly; every malformed one ends in InvalidInput naming what is wrong."""

from __future__ import annotations

import gzip
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import fields, replace
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import onnx
import pytest

from tests.clocks import Cpu
from tests.helpers import CERTIFICATES, DATA, needs_data
from tlcheck.checking.lock import lock_schema
from tlcheck.errors import InvalidInput
from tlcheck.keys import graph_key
from tlcheck.options import Options
from tlcheck.readers.bundle.arrays import open_arrays
from tlcheck.readers.bundle.evidence import read_guidance
from tlcheck.readers.bundle.manifest import Evidence, Manifest
from tlcheck.readers.bundle.read import is_bundle, load_bundle, manifest_schema, read_bundle
from tlcheck.readers.decimals import exact_number
from tlcheck.readers.formats.abcrown import load_dump
from tlcheck.readers.loaded import LoadedClaim
from tlcheck.readers.onnx import read_model
from tlcheck.readers.runtime_profile import profile_schema
from tlcheck.referee.findings import referee_schema
from tlcheck.report.schema import report_schema
from tlcheck.robust.report import robust_schema
from tlcheck.trusted.claim import SatClaim, UnsatClaim
from tlcheck.trusted.cover import leaves as cover_leaves
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.guidance import (
    LEAF,
    SPLIT,
    Guidance,
    IntermediateSlopes,
    LeafSlopes,
    Leaves,
    RegionGuidance,
    SharedSlopes,
    Tree,
)
from tlcheck.trusted.query import Query
from tlcheck.writers.bundle import SatOut, UnsatOut, guidance_arrays, pack_arrays, write_bundle
from tlcheck.writers.convert import convert

PROPERTY = b"""
(declare-const X_0 Real) (declare-const X_1 Real) (declare-const Y_0 Real)
(assert (>= X_0 -1)) (assert (<= X_0 1)) (assert (>= X_1 -1)) (assert (<= X_1 1)) (assert (<= Y_0 -0.5))
"""
Files = dict[str, bytes]


def model_bytes() -> bytes:
    """y = |x0 + x1| as 2 ReLUs, twice over."""
    from onnx import TensorProto, helper, numpy_helper

    first = np.array([[1, -1], [1, -1]], np.float32)
    second = np.array([[1], [1]], np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "w1"], ["z"]),
        helper.make_node("Relu", ["z"], ["a"]),
        helper.make_node("MatMul", ["a", "w2"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1])],
        [numpy_helper.from_array(first, "w1"), numpy_helper.from_array(second, "w2")],
    )
    data: bytes = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()
    return data


MODEL = model_bytes()
GRAPH = read_model(MODEL)


def ints(*values: int) -> Any:
    return np.array(values, dtype=np.int64)


def floats(*values: float) -> Any:
    return np.array(values, dtype=np.float64)


def guidance(graph: Graph = GRAPH) -> Guidance:
    """Two leaves: z[1] <= 0 and z[1] >= 0; something in every field."""
    z, a, y = graph.names["z"], graph.names["a"], graph.names["y"]
    tree = Tree(
        ints(SPLIT, LEAF, LEAF),
        ints(z, 0, 0),
        ints(1, 0, 0),
        floats(0, 0, 0),
        ints(1, 0, 1),
        ints(2, 0, 0),
        ints(0),
    )
    leaves = Leaves(
        ints(0, 1, 2), ints(0, 0), floats(1.0, 0.1), ints(0, 1, 2), ints(z, z), ints(1, 1), ints(-1, 1),
        floats(0, 0), floats(0.25, 0), floats(0.5, np.nan),
    )  # fmt: skip
    own = LeafSlopes(ints(1), np.array([[0.5], [0.25]], np.float32), None)
    inner = IntermediateSlopes(ints(0, 1), ints(0), np.ones((1, 2), np.uint8), np.full((1, 2), 0.1))
    return Guidance(
        tree, leaves, leaf_slopes={a: own}, shared_slopes={a: SharedSlopes(None, floats(0.1, -0.0))},
        intermediate={(y, a): inner}, per_leaf_bounds=True,
    )  # fmt: skip


def write(target: Path, *, as_zip: bool = True, **changes: Any) -> Path:
    arguments: dict[str, Any] = {
        "model_bytes": MODEL, "model_name": "net.onnx", "property_bytes": PROPERTY, "property_name": "p.vnnlib",
        "graph": GRAPH, "claims": [UnsatOut("abs", guidance()), SatOut("point", (Fraction(1, 2), Fraction(-1, 3)))],
    }  # fmt: skip
    write_bundle(target, as_zip=as_zip, **{**arguments, **changes})
    return target


def same(a: Any, b: Any) -> bool:
    """Equal field by field, arrays in type and bits too."""
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return set(a) == set(b) and all(same(a[k], b[k]) for k in a)
    if hasattr(a, "__dataclass_fields__"):
        return type(a) is type(b) and all(same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    return bool(a == b)


# what is written is read


@pytest.mark.parametrize("as_zip", [True, False])
def test_round_trip(tmp_path: Path, as_zip: bool) -> None:
    bundle = read_bundle(write(tmp_path / "b.tlcert", as_zip=as_zip), None, None)
    unsat, sat = bundle.claims
    assert isinstance(unsat.claim, UnsatClaim) and unsat.name == "abs"
    assert unsat.guidance is not None and same(unsat.guidance, guidance())
    assert isinstance(sat.claim, SatClaim) and sat.claim.witness == (Fraction(1, 2), Fraction(-1, 3))
    assert sat.claim.graph is unsat.claim.graph and sat.claim.query is unsat.claim.query
    assert unsat.sources["model"] == sha256(MODEL).hexdigest()
    assert set(unsat.sources) == {"manifest", "model", "property", "arrays"}
    assert bundle.sha256 == unsat.sources["manifest"]
    assert [claim.name for claim in bundle.claims[:1]] == ["abs"]


def test_bytes_are_deterministic(tmp_path: Path) -> None:
    first, second = write(tmp_path / "1.tlcert"), write(tmp_path / "2.tlcert")
    assert first.read_bytes() == second.read_bytes()


def test_an_ordinary_zip_of_the_folder_is_a_bundle(tmp_path: Path) -> None:
    folder = write(tmp_path / "b.tlcert", as_zip=False)
    with zipfile.ZipFile(tmp_path / "z.tlcert", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in folder.iterdir():
            archive.write(file, file.name)
    [claim, _] = load_bundle(tmp_path / "z.tlcert", None, None)
    assert claim.guidance is not None and same(claim.guidance, guidance())


def test_gzip_members_are_bound_unpacked_too(tmp_path: Path) -> None:
    path = write(tmp_path / "b.tlcert", model_bytes=gzip.compress(MODEL, mtime=0), model_name="net.onnx.gz")
    bundle = read_bundle(path, None, None)
    assert bundle.manifest.files["net.onnx.gz"].unpacked_sha256 == sha256(MODEL).hexdigest()
    assert bundle.claims[0].sources["model"] == sha256(MODEL).hexdigest()


def test_large_arrays_are_stored_plainly_and_aligned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlcheck.writers.bundle.DEFLATE_UP_TO", 0)
    path = write(tmp_path / "b.tlcert")
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            assert info.compress_type == zipfile.ZIP_STORED
            assert (info.header_offset + 30 + len(info.filename) + len(info.extra)) % 64 == 0
    [claim, _] = load_bundle(path, None, None)
    assert claim.guidance is not None and same(claim.guidance, guidance())


@pytest.mark.parametrize("as_zip", [True, False])
def test_only_a_bundle_is_replaced(tmp_path: Path, as_zip: bool) -> None:
    target = tmp_path / "b.tlcert"
    for folder_first in (True, False, True):
        write(target, as_zip=not folder_first)
        write(target, as_zip=as_zip)
        assert len(read_bundle(target, None, None).claims) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["b.tlcert"]
    for name, make in (("f.tlcert", Path.touch), ("d.tlcert", Path.mkdir)):
        other = tmp_path / name
        make(other)
        with pytest.raises(InvalidInput, match="not a bundle"):
            write(other, as_zip=as_zip)
        assert other.exists()
    with pytest.raises(InvalidInput, match="ends in"):
        write(tmp_path / "b.zip", as_zip=as_zip)


@pytest.mark.parametrize("as_zip", [True, False])
def test_a_failed_write_leaves_the_old(tmp_path: Path, as_zip: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    target = write(tmp_path / "b.tlcert", as_zip=as_zip)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(InvalidInput, match="No space left"):
        write(target, as_zip=as_zip)
    assert len(read_bundle(target, None, None).claims) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["b.tlcert"]


def test_evidence_about_a_nameless_node_cannot_be_written(tmp_path: Path) -> None:
    nameless = replace(GRAPH, names={"x": GRAPH.names["x"]})
    with pytest.raises(InvalidInput, match="no tensor of the model"):
        write(tmp_path / "b.tlcert", graph=nameless)
    assert not list(tmp_path.iterdir())


def test_is_bundle() -> None:
    assert is_bundle(Path("a/b.tlcert"))
    assert not is_bundle(Path("a/b.zip"))


DUMPS = [
    "mnist_fc/256x2_prop_0_0.03",
    "acasxu/net_3_8_prop_4",
    "eran_sigmoid/6x200_idx_56",
    "sri_resnet_a/idx_4091",
    "tllverifybench/N8_1",
    "safenlp/medical_1738",
]


@needs_data
@pytest.mark.parametrize("dump", DUMPS)
def test_a_converted_dump_is_the_dump(dump: str, tmp_path: Path) -> None:
    folder = DATA / "abcrown" / dump
    output = tmp_path / "b.tlcert"
    convert(folder, output, Options())
    [original], [claim] = load_dump(folder, None, None), load_bundle(output, None, None)
    assert same(original.guidance, claim.guidance)
    assert isinstance(original.claim, UnsatClaim) and original.claim.query == claim.claim.query
    assert claim.sources["model"] == original.sources["model"]
    assert claim.producer.startswith("alpha-beta-CROWN")


@needs_data
def test_convert_binds_the_given_model(tmp_path: Path) -> None:
    wrong = tmp_path / "net.onnx"
    wrong.write_bytes(MODEL)
    with pytest.raises(InvalidInput) as caught:
        convert(DATA / "abcrown" / DUMPS[1], tmp_path / "b.tlcert", Options(model=wrong))
    assert caught.value.code == "TLC103"
    assert not (tmp_path / "b.tlcert").exists()


# files as bytes: take a good bundle, change one thing


def good(folder: Path) -> Files:
    root = write(folder / "good.tlcert", as_zip=False)
    return {file.name: file.read_bytes() for file in root.iterdir()}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return good(tmp_path_factory.mktemp("good"))


def rehashed(files: Files) -> Files:
    """The manifest lists the other files as they are now."""
    manifest = json.loads(files["manifest.json"])
    others = {name: data for name, data in files.items() if name != "manifest.json"}
    manifest["files"] = {n: {"sha256": sha256(d).hexdigest(), "bytes": len(d)} for n, d in others.items()}
    return {**files, "manifest.json": json.dumps(manifest).encode()}


def edited(files: Files, edit: Callable[[Any], object]) -> Files:
    manifest = json.loads(files["manifest.json"])
    edit(manifest)
    return {**files, "manifest.json": json.dumps(manifest).encode()}


def arrays_of(files: Files) -> dict[str, Any]:
    from safetensors.numpy import load

    return dict(load(files["arrays.safetensors"]))


def with_arrays(files: Files, edit: Callable[[dict[str, Any]], object]) -> Files:
    arrays = arrays_of(files)
    edit(arrays)
    return rehashed({**files, "arrays.safetensors": pack_arrays(arrays)})


def with_header(files: Files, edit: Callable[[dict[str, Any]], object], tail: bytes = b"") -> Files:
    """The arrays' header edited as JSON."""
    data = files["arrays.safetensors"]
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    edit(header)
    text = json.dumps(header).encode()
    packed = struct.pack("<Q", len(text)) + text + data[8 + length :] + tail
    return rehashed({**files, "arrays.safetensors": packed})


def as_folder(path: Path, files: Files) -> Path:
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def as_zip(path: Path, files: Files) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def refused(path: Path, model: Path | None = None, prop: Path | None = None) -> InvalidInput:
    """Reading every claim ends in InvalidInput, after little work, naming a file."""
    with Cpu() as cpu, pytest.raises(InvalidInput) as caught:
        list(load_bundle(path, model, prop))
    assert cpu.seconds < 10
    assert caught.value.file
    assert "\n" not in caught.value.line()
    return caught.value


def test_the_seed_of_all_cases_is_good(files: Files, tmp_path: Path) -> None:
    for path in (
        as_folder(tmp_path / "b.tlcert", rehashed(files)),
        as_zip(tmp_path / "z.tlcert", with_arrays(files, dict.keys)),
    ):
        [unsat, _] = load_bundle(path, None, None)
        assert unsat.guidance is not None and same(unsat.guidance, guidance())
    jsonschema.Draft202012Validator(manifest_schema()).validate(json.loads(files["manifest.json"]))


# the manifest


def claim0(**changes: Any) -> Callable[[Any], object]:
    return lambda m: m["claims"][0].update(changes)


def evidence(**changes: Any) -> Callable[[Any], object]:
    return lambda m: m["claims"][0]["evidence"].update(changes)


def leave_out(manifest: Any, name: str) -> None:
    """The property is not listed, and no claim speaks of it."""
    del manifest["files"][name]
    for claim in manifest["claims"]:
        claim["property"] = {"sha256": NULL}


NULL = "0" * 64
MANIFESTS: dict[str, tuple[Callable[[Any], object], str, str]] = {
    "unknown field": (lambda m: m.update(x=1), "TLC101", "x"),
    "unknown claim field": (claim0(x=1), "TLC101", "claims"),
    "unknown evidence field": (evidence(x=1), "TLC101", "evidence"),
    "unknown kind": (claim0(kind="unknown"), "TLC101", "claims"),
    "other format": (lambda m: m.update(format="x"), "TLC102", "format"),
    "other version": (lambda m: m.update(version=3), "TLC102", "version"),
    "version is a float": (lambda m: m.update(version=1.5), "TLC102", "version"),
    "no claims": (lambda m: m.update(claims=[]), "TLC101", "claims"),
    "no producer": (lambda m: m.pop("producer"), "TLC101", "producer"),
    "two claims of one name": (lambda m: m["claims"][1].update(name="abs"), "TLC101", "name"),
    "lists itself": (lambda m: m["files"].update({"manifest.json": {"sha256": NULL, "bytes": 1}}), "TLC101", "files"),
    "lists what is missing": (lambda m: m["files"].update({"n": {"sha256": NULL, "bytes": 1}}), "TLC402", "n"),
    "does not list a file": (lambda m: leave_out(m, "p.vnnlib"), "TLC101", "p.vnnlib"),
    "wrong hash": (lambda m: m["files"]["p.vnnlib"].update(sha256=NULL), "TLC103", "p.vnnlib"),
    "upper-case hash": (lambda m: m["files"]["p.vnnlib"].update(sha256="A" * 64), "TLC101", "files"),
    "hash with a newline": (lambda m: m["files"]["p.vnnlib"].update(sha256=NULL + "\n"), "TLC101", "files"),
    "wrong size": (lambda m: m["files"]["p.vnnlib"].update(bytes=3), "TLC103", "p.vnnlib"),
    "wrong unpacked hash": (lambda m: m["files"]["p.vnnlib"].update(unpacked_sha256=NULL), "TLC103", "p.vnnlib"),
    "path goes up": (lambda m: m["files"].update({"../x": {"sha256": NULL, "bytes": 1}}), "TLC404", "files"),
    "absolute path": (lambda m: m["files"].update({"/etc/passwd": {"sha256": NULL, "bytes": 1}}), "TLC404", "files"),
    "model not listed": (claim0(model="/etc/passwd"), "TLC101", "model"),
    "model is the property": (claim0(model="p.vnnlib"), "TLC101", "property"),
    "property is the model": (claim0(property="net.onnx"), "TLC101", "property"),
    "model of two kinds": (claim0(model={"sha256": NULL, "weights": "net.onnx"}), "TLC101", "model"),
    "weights alone": (claim0(model={"weights": "net.onnx"}), "TLC101", "model"),
    "weights that are none": (claim0(model={"weights": "net.onnx", "architecture": "p.vnnlib"}), "TLC101", "property"),
    "model left out": (claim0(model={"sha256": NULL}), "TLC402", "model"),
    "property left out": (claim0(property={"sha256": NULL}), "TLC402", "property"),
    "node of another model": (evidence(nodes=["x", "z", "a", "conv5"]), "TLC104", "nodes[3]"),
    "a weight as node": (evidence(nodes=["x", "w1", "a", "y"]), "TLC104", "nodes[1]"),
    "too few nodes": (evidence(nodes=["x", "z", "a"]), "TLC105", "intermediate"),
    "no nodes": (evidence(nodes=[]), "TLC105", ""),
    "slopes on an affine node": (evidence(nodes=["x", "z", "z", "y"]), "TLC104", "slopes"),
    "another prefix": (evidence(prefix="c1/"), "TLC105", "c0/"),
    "prefix without slash": (evidence(prefix="c0"), "TLC101", "prefix"),
    "arrays are the model": (evidence(arrays="net.onnx"), "TLC101", "evidence.arrays"),
    "witness too short": (lambda m: m["claims"][1].update(witness=["1"]), "TLC101", "witness"),
    "witness of numbers": (lambda m: m["claims"][1].update(witness=[0.5, 1]), "TLC101", "witness"),
    "witness is nan": (lambda m: m["claims"][1].update(witness=["nan", "0"]), "TLC101", "witness[0]"),
    "witness over zero": (lambda m: m["claims"][1].update(witness=["0", "1/0"]), "TLC101", "witness[1]"),
    "witness too large": (lambda m: m["claims"][1].update(witness=["0", "1e999999999"]), "TLC401", "witness[1]"),
    "lone surrogate": (lambda m: m["claims"][1].update(name="\ud800"), "TLC106", ""),
}  # fmt: skip


@pytest.mark.parametrize("case", MANIFESTS)
def test_malformed_manifest(case: str, files: Files, tmp_path: Path) -> None:
    edit, code, field = MANIFESTS[case]
    error = refused(as_folder(tmp_path / "b.tlcert", edited(files, edit)))
    assert (error.code, field in error.line()) == (code, True), error.line()


TEXTS = {
    "empty": (b"", "TLC106"),
    "a list": (b"[]", "TLC101"),
    "not UTF-8": (b'{"format": "\xff"}', "TLC106"),
    "duplicate key": (b'{"format": "tlcheck.bundle", "format": "tlcheck.bundle"}', "TLC106"),
    "deep": (b"[" * 100_000 + b"]" * 100_000, "TLC106"),
    "NaN": (b'{"version": NaN}', "TLC106"),
    "open string of escapes": (b'"' + b'\\"' * 200_000, "TLC106"),
    "open string, lone escape": (b'"' + b'\\"' * 200_000 + b"\\", "TLC106"),
    "long integer": (b'{"version": ' + b"1" * 100_000 + b"}", "TLC106"),
}


@pytest.mark.parametrize("case", TEXTS)
def test_manifest_that_is_no_strict_json(case: str, files: Files, tmp_path: Path) -> None:
    text, code = TEXTS[case]
    error = refused(as_folder(tmp_path / "b.tlcert", {**files, "manifest.json": text}))
    assert error.code == code
    assert "manifest.json" in error.file


def test_duplicate_key_in_a_claim(files: Files, tmp_path: Path) -> None:
    text = files["manifest.json"].replace(b'"name": "abs"', b'"name": "abs", "name": "other"')
    assert text != files["manifest.json"]
    assert refused(as_folder(tmp_path / "b.tlcert", {**files, "manifest.json": text})).code == "TLC106"


# arrays


def put(name: str, *values: float, dtype: Any = np.float64) -> Callable[[dict[str, Any]], object]:
    return lambda arrays: arrays.update({f"c0/{name}": np.array(values, dtype)})


def put2(name: str, values: Any, dtype: Any = np.float32) -> Callable[[dict[str, Any]], object]:
    return lambda arrays: arrays.update({f"c0/{name}": np.array(values, dtype)})


HUGE = 2**63 - 1
ARRAYS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "missing": (lambda a: a.pop("c0/leaves/weight"), "leaves/weight"),
    "missing column of the tree": (lambda a: a.pop("c0/tree/above"), "tree/above"),
    "neither tree nor list": (lambda a: [a.pop(n) for n in list(a) if "tree/" in n], "leaves/disjunct"),
    "unknown": (put("leaves/colour", 1), "leaves/colour"),
    "unknown slopes": (put("leaf_slopes/2/middle", 1), "leaf_slopes/2/middle"),
    "tree and list": (put("leaves/disjunct", 0, 0, dtype=np.int64), "leaves/disjunct"),
    "of no claim": (lambda a: a.update({"c7/tree/kind": np.zeros(1)}), "c7/tree/kind"),
    "wrong rank": (put2("leaves/weight", [[1, 1]]), "leaves/weight"),
    "wrong length": (put("leaves/weight", 1), "leaves/weight"),
    "wrong type": (put("leaves/constraint", 0, 0), "leaves/constraint"),
    "slopes of integers": (put2("leaf_slopes/2/lower", [[1], [0]], np.int64), "leaf_slopes/2/lower"),
    "slopes of other leaves": (put2("leaf_slopes/2/lower", [[1]]), "leaf_slopes/2/lower"),
    "slopes NaN": (put2("leaf_slopes/2/lower", [[1], [np.nan]]), "leaf_slopes/2/lower"),
    "slopes infinite": (put("shared_slopes/2/upper", 0, np.inf), "shared_slopes/2/upper"),
    "slopes of another size": (put("shared_slopes/2/upper", 0, 0, 0), "shared_slopes/2/upper"),
    "weight NaN": (put("leaves/weight", 0, np.nan), "leaves/weight"),
    "weight negative": (put("leaves/weight", 0, -1), "leaves/weight"),
    "beta negative": (put("leaves/split_beta", 0, -1), "leaves/split_beta"),
    "claimed infinite": (put("leaves/claimed", 0, np.inf), "leaves/claimed"),
    "point NaN": (put("tree/point", np.nan, 0, 0), "tree/point"),
    "side 0": (put("leaves/split_side", 1, 0, dtype=np.int32), "leaves/split_side"),
    "no pointers": (put("leaves/constraint_ptr", dtype=np.int64), "leaves/constraint_ptr"),
    "pointers fall": (put("leaves/constraint_ptr", 0, 3, 2, dtype=np.int64), "leaves/constraint_ptr"),
    "pointers wrap": (put("leaves/split_ptr", 0, HUGE, 2, dtype=np.int64), "leaves/split_ptr"),
    "pointers far": (put("leaves/split_ptr", 0, 1, HUGE, dtype=np.int64), "leaves/split_"),
    "pointers do not start at 0": (put("leaves/split_ptr", 1, 1, 2, dtype=np.int64), "leaves/split_ptr"),
    "constraint that is not there": (put("leaves/constraint", 0, 1, dtype=np.int64), "leaves/constraint"),
    "negative constraint": (put("leaves/constraint", 0, -1, dtype=np.int64), "leaves/constraint"),
    "node not in the table": (put("leaves/split_node", 1, 9, dtype=np.int64), "leaves/split_node"),
    "tree node not in the table": (put("tree/node", -1, 0, 0, dtype=np.int64), "tree/node"),
    "value that is not there": (put("leaves/split_index", 1, 2, dtype=np.int64), "leaves/split_index"),
    "tree value that is not there": (put("tree/index", 2, 0, 0, dtype=np.int64), "tree/index"),
    "kind 2": (put("tree/kind", 0, 1, 2, dtype=np.uint8), "tree/kind"),
    "roots of other disjuncts": (put("tree/roots", 0, 0, dtype=np.int64), "tree/roots"),
    "column that is not there": (put("leaf_slopes/2/columns", 2, dtype=np.int64), "leaf_slopes/2/columns"),
    "column twice": (put("intermediate/3/2/columns", 1, 1, dtype=np.int64), "intermediate/3/2/columns"),
    "row that is not there": (put("intermediate/3/2/row", 1, dtype=np.int64), "intermediate/3/2/row"),
    "passes differ": (put2("intermediate/3/2/upper", [[0, 1], [0, 1]]), "intermediate/3/2/upper"),
    "slopes of position 9": (put("shared_slopes/9/upper", 0, 0), "shared_slopes/9"),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_malformed_array(case: str, files: Files, tmp_path: Path) -> None:
    edit, field = ARRAYS[case]
    error = refused(as_folder(tmp_path / "b.tlcert", with_arrays(files, edit)))
    assert error.code == "TLC105"
    assert field in error.field, error.line()


# regions with evidence of their own


def guidance_of_regions() -> Guidance:
    """As ``guidance``, and its slopes again as those of the one disjunct's region."""
    common = guidance()
    own = RegionGuidance(
        leaf_slopes=common.leaf_slopes, shared_slopes=common.shared_slopes, intermediate=common.intermediate,
        rows=np.array([0, 1], np.int64),
    )  # fmt: skip
    return replace(common, own={0: own})


@pytest.fixture(scope="module")
def of_regions(tmp_path_factory: pytest.TempPathFactory) -> Files:
    path = tmp_path_factory.mktemp("regions") / "b.tlcert"
    write(path, claims=[UnsatOut("abs", guidance_of_regions())], as_zip=False)
    return {file.name: file.read_bytes() for file in path.iterdir()}


def test_regions_round_trip(of_regions: Files, tmp_path: Path) -> None:
    assert json.loads(of_regions["manifest.json"])["version"] == 2
    [claim] = load_bundle(as_folder(tmp_path / "b.tlcert", of_regions), None, None)
    assert claim.guidance is not None and same(claim.guidance, guidance_of_regions())
    two = {"q": RegionGuidance(per_leaf_bounds=True)}
    query = Query(2, 1, (claim.claim.query.disjuncts[0],) * 3)  # type: ignore[union-attr]
    own = replace(
        guidance(), own={0: two["q"], 2: two["q"]}, tree=replace(guidance().tree, roots=ints(0, 0, 0))
    )
    nodes, arrays = guidance_arrays(own, GRAPH)
    (tmp_path / "x.safetensors").write_bytes(pack_arrays(arrays))
    opened = open_arrays((tmp_path / "x.safetensors").read_bytes(), "x")
    names = {name: name for name in opened.entries}
    found = read_guidance(Evidence("x", "", nodes, True), 2, opened, names, GRAPH, query)
    assert found.own[0] is found.own[2] and 1 not in found.own and found.own[0].per_leaf_bounds


def test_version_1_has_no_regions(of_regions: Files, tmp_path: Path) -> None:
    old = edited(of_regions, lambda m: m.update(version=1))
    error = refused(as_folder(tmp_path / "b.tlcert", old))
    assert error.code == "TLC105" and "regions/0/" in error.field and error.message == "unknown array"


REGIONS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "no such disjunct": (put("regions/0/disjuncts", 1, dtype=np.int64), "regions/0/disjuncts"),
    "a disjunct twice": (put("regions/0/disjuncts", 0, 0, dtype=np.int64), "regions/0/disjuncts"),
    "a disjunct of two regions": (
        lambda a: a.update(
            {n.replace("regions/0", "regions/1"): v for n, v in list(a.items()) if "regions/0" in n}
        ),
        "regions/1/disjuncts",
    ),
    "no disjuncts": (lambda a: a.pop("c0/regions/0/disjuncts"), "disjuncts"),
    "no rows": (lambda a: a.pop("c0/regions/0/rows"), "rows"),
    "rows that fall": (put("regions/0/rows", 1, 0, dtype=np.int64), "regions/0/rows"),
    "a leaf that is not there": (put("regions/0/rows", 0, 2, dtype=np.int64), "regions/0/rows"),
    "other rows": (put("regions/0/rows", 0, dtype=np.int64), "regions/0/leaf_slopes/2/lower"),
    "neither yes nor no": (put("regions/0/per_leaf_bounds", 2, dtype=np.uint8), "regions/0/per_leaf_bounds"),
    "unknown": (put("regions/0/tree/kind", 0, dtype=np.uint8), "regions/0/tree/kind"),
    "regions in regions": (put("regions/0/regions/0/rows", 0, dtype=np.uint8), "regions/0/regions/0/rows"),
    "no number": (put("regions/x/rows", 0, dtype=np.uint8), "regions/x/rows"),
    "slopes NaN": (put2("regions/0/leaf_slopes/2/lower", [[1], [np.nan]]), "regions/0/leaf_slopes/2/lower"),
    "row that is not there": (
        put("regions/0/intermediate/3/2/row", 1, dtype=np.int64),
        "regions/0/intermediate/3/2/row",
    ),
}


@pytest.mark.parametrize("case", REGIONS)
def test_malformed_region(case: str, of_regions: Files, tmp_path: Path) -> None:
    edit, field = REGIONS[case]
    error = refused(as_folder(tmp_path / "b.tlcert", with_arrays(of_regions, edit)))
    assert error.code == "TLC105"
    assert field in error.field, error.line()


def entry(**changes: Any) -> Callable[[dict[str, Any]], object]:
    return lambda header: header["c0/leaves/weight"].update(changes)


HEADERS: dict[str, tuple[Callable[[dict[str, Any]], object], bytes, str]] = {
    "data too long": (dict.keys, b"\0", "TLC403"),
    "array left out": (lambda h: h.pop(max(h, key=lambda n: h[n]["data_offsets"])), b"", "TLC403"),
    "unknown type": (entry(dtype="BF16"), b"", "TLC105"),
    "another type": (entry(dtype="F32"), b"", "TLC105"),
    "another shape": (entry(shape=[3]), b"", "TLC105"),
    "negative size": (entry(shape=[-2]), b"", "TLC105"),
    "huge size": (entry(shape=[2**62, 2**62]), b"", "TLC105"),
    "many axes": (entry(shape=[1] * 100_000), b"", "TLC105"),
    "overlap": (entry(data_offsets=[0, 8]), b"", "TLC105"),
    "beyond the end": (entry(data_offsets=[10**9, 10**9 + 8]), b"", "TLC105"),
    "unknown field": (entry(x=1), b"", "TLC105"),
    "unprintable name": (lambda h: h.update({"c0/\n": h.pop("c0/leaves/weight")}), b"", "TLC105"),
}


@pytest.mark.parametrize("case", HEADERS)
def test_malformed_header(case: str, files: Files, tmp_path: Path) -> None:
    edit, tail, code = HEADERS[case]
    error = refused(as_folder(tmp_path / "b.tlcert", with_header(files, edit, tail)))
    assert error.code == code, error.line()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "TLC403"),
        (b"\xff" * 8, "TLC403"),
        (struct.pack("<Q", 2**40) + b"{}", "TLC403"),
        (struct.pack("<Q", 2) + b"[]", "TLC105"),
        (struct.pack("<Q", 16) + b'{"a": 1, "a": 2}', "TLC106"),
        (struct.pack("<Q", 200_000) + b"[" * 200_000, "TLC106"),
    ],
)
def test_arrays_that_are_no_safetensors(data: bytes, code: str, files: Files, tmp_path: Path) -> None:
    changed = rehashed({**files, "arrays.safetensors": data})
    assert refused(as_folder(tmp_path / "b.tlcert", changed)).code == code


def test_a_boolean_is_0_or_1(files: Files, tmp_path: Path) -> None:
    changed = with_arrays(files, put2("leaf_slopes/2/lower", [[True], [False]], np.bool_))
    [claim, _] = load_bundle(as_folder(tmp_path / "b.tlcert", changed), None, None)
    assert claim.guidance is not None
    data = bytearray(changed["arrays.safetensors"])
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    start = 8 + int.from_bytes(data[:8], "little") + header["c0/leaf_slopes/2/lower"]["data_offsets"][0]
    data[start] = 2
    assert (
        refused(
            as_folder(tmp_path / "c.tlcert", rehashed({**changed, "arrays.safetensors": bytes(data)}))
        ).code
        == "TLC105"
    )


# an unordered list of leaves


def as_list(arrays: dict[str, Any]) -> None:
    for name in list(arrays):
        if name.startswith("c0/tree/"):
            del arrays[name]
    arrays["c0/leaves/disjunct"] = np.zeros(2, np.int64)


def test_a_list_of_leaves_becomes_a_tree(files: Files, tmp_path: Path) -> None:
    [claim, _] = load_bundle(as_folder(tmp_path / "b.tlcert", with_arrays(files, as_list)), None, None)
    assert claim.guidance is not None and claim.problem is None
    tree = claim.guidance.tree
    found = {leaf.guidance: leaf.path for leaf in cover_leaves(tree, [n.size for n in GRAPH.nodes], 2, 10)}
    assert {k: path[0].side for k, path in found.items()} == {0: -1, 1: 1}


def test_a_missing_leaf_is_unproven_not_invalid(files: Files, tmp_path: Path) -> None:
    def one_sided(arrays: dict[str, Any]) -> None:
        as_list(arrays)
        arrays["c0/leaves/split_side"] = np.array([1, 1], np.int64)

    claims = load_bundle(as_folder(tmp_path / "b.tlcert", with_arrays(files, one_sided)), None, None)
    claim: LoadedClaim = claims[0]
    assert claim.guidance is None and claim.problem is not None
    assert claim.problem[0] == "TLC017"


# files that the bundle has no copy of


@pytest.fixture
def without(files: Files, tmp_path: Path) -> Path:
    """A bundle without model and property, which are beside it."""
    (tmp_path / "net.onnx.gz").write_bytes(gzip.compress(MODEL))
    (tmp_path / "p.vnnlib").write_bytes(PROPERTY)

    def leave_out(manifest: Any) -> None:
        del manifest["files"]["net.onnx"], manifest["files"]["p.vnnlib"]
        for claim in manifest["claims"]:
            claim["model"] = {"sha256": sha256(MODEL).hexdigest()}
            claim["property"] = {"sha256": sha256(PROPERTY).hexdigest()}

    kept = {name: files[name] for name in ("manifest.json", "arrays.safetensors")}
    return as_folder(tmp_path / "b.tlcert", edited(kept, leave_out))


def test_files_given_apart(without: Path) -> None:
    model, prop = without.parent / "net.onnx.gz", without.parent / "p.vnnlib"
    [unsat, _] = load_bundle(without, model, prop)
    assert unsat.guidance is not None and same(unsat.guidance, guidance())
    assert refused(without, None, prop).code == "TLC402"
    assert refused(without, prop, prop).code == "TLC103"
    assert refused(without, model, model).code == "TLC103"


def test_given_files_are_those_of_the_bundle(files: Files, tmp_path: Path) -> None:
    path = as_folder(tmp_path / "b.tlcert", files)
    (tmp_path / "net.onnx").write_bytes(MODEL)
    (tmp_path / "p.vnnlib").write_bytes(PROPERTY)
    assert len(list(load_bundle(path, tmp_path / "net.onnx", tmp_path / "p.vnnlib"))) == 2
    (tmp_path / "net.onnx").write_bytes(MODEL + b"\0")
    assert refused(path, tmp_path / "net.onnx").code == "TLC103"
    assert refused(path, None, tmp_path / "net.onnx").code == "TLC103"


def test_a_given_file_is_that_of_every_claim(files: Files, tmp_path: Path) -> None:
    """A claim that leaves its model out does not excuse another claim of the bundle, which is about another network."""
    (tmp_path / "net.onnx").write_bytes(MODEL)
    other = onnx.load_model_from_string(MODEL)
    other.doc_string = "another file"

    def leave_one_out(manifest: Any) -> None:
        manifest["claims"][1]["model"] = {"sha256": sha256(other.SerializeToString()).hexdigest()}

    path = as_folder(tmp_path / "b.tlcert", edited(files, leave_one_out))
    (tmp_path / "other.onnx").write_bytes(other.SerializeToString())
    assert refused(path, tmp_path / "other.onnx").code == "TLC103"
    assert refused(path, tmp_path / "net.onnx").code == "TLC103"


def test_external_data_are_the_bundles_own(files: Files, tmp_path: Path) -> None:
    """A data file of the bundle beside the model is read and named; one that is elsewhere is not looked for."""
    model = onnx.load_from_string(MODEL)
    onnx.external_data_helper.convert_model_to_external_data(model, location="w.bin", size_threshold=0)
    onnx.save(model, str(tmp_path / "net.onnx"))
    external = {
        **files,
        "net.onnx": (tmp_path / "net.onnx").read_bytes(),
        "w.bin": (tmp_path / "w.bin").read_bytes(),
    }
    bundle = as_folder(tmp_path / "b.tlcert", rehashed(external))
    [unsat, _] = load_bundle(bundle, tmp_path / "net.onnx", None)
    assert graph_key(unsat.claim.graph) == graph_key(read_model(MODEL))
    assert unsat.sources["model data w.bin"] == sha256(external["w.bin"]).hexdigest()
    (tmp_path / "w.bin").write_bytes(bytes(len(external["w.bin"])))
    assert refused(bundle, tmp_path / "net.onnx").code == "TLC103"
    del external["w.bin"]
    assert refused(as_folder(tmp_path / "c.tlcert", rehashed(external))).code == "TLC205"


def test_a_sequential_model(tmp_path: Path, files: Files) -> None:
    weights = pack_arrays(
        {"w1": np.array([[1, 1], [-1, -1]], np.float32), "w2": np.array([[1, 1]], np.float32)}
    )
    layers = [{"type": "linear", "weight": "w1"}, {"type": "relu"}, {"type": "linear", "weight": "w2"}]
    architecture = json.dumps({"format": "tlcheck.sequential.v1", "input": [1, 2], "layers": layers}).encode()
    kept = {n: files[n] for n in ("manifest.json", "p.vnnlib", "arrays.safetensors")}
    changed = rehashed({**kept, "w.safetensors": weights, "arch.json": architecture})

    def point(manifest: Any) -> None:
        for claim in manifest["claims"]:
            claim["model"] = {"weights": "w.safetensors", "architecture": "arch.json"}
        manifest["claims"][0]["evidence"]["nodes"] = ["input", "layers.0", "layers.1", "layers.2"]

    [unsat, sat] = load_bundle(as_folder(tmp_path / "b.tlcert", edited(changed, point)), None, None)
    assert unsat.guidance is not None and len(unsat.guidance.leaf_slopes) == 1
    assert sat.sources["architecture"] == sha256(architecture).hexdigest()


# folders and zips


def test_a_link_in_a_folder(files: Files, tmp_path: Path) -> None:
    folder = as_folder(tmp_path / "b.tlcert", files)
    (tmp_path / "p.vnnlib").write_bytes((folder / "p.vnnlib").read_bytes())
    (folder / "p.vnnlib").unlink()
    (folder / "p.vnnlib").symlink_to("../p.vnnlib")
    assert refused(folder).code == "TLC404"


def test_a_pipe_in_a_folder(files: Files, tmp_path: Path) -> None:
    folder = as_folder(tmp_path / "b.tlcert", files)
    (folder / "net.onnx").unlink()
    os.mkfifo(folder / "net.onnx")
    assert refused(folder).code == "TLC402"


def test_extra_file_in_a_folder(files: Files, tmp_path: Path) -> None:
    assert refused(as_folder(tmp_path / "b.tlcert", {**files, "deep/extra": b""})).field == "deep/extra"


def test_no_manifest(files: Files, tmp_path: Path) -> None:
    rest = {name: data for name, data in files.items() if name != "manifest.json"}
    assert refused(as_folder(tmp_path / "b.tlcert", rest)).code == "TLC101"
    assert refused(as_zip(tmp_path / "z.tlcert", rest)).code == "TLC101"


def test_too_many_files(files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlcheck.readers.bundle.store.MAX_ZIP_MEMBERS", 3)
    assert refused(as_folder(tmp_path / "b.tlcert", files)).code == "TLC401"
    assert refused(as_zip(tmp_path / "z.tlcert", files)).code == "TLC401"


def test_too_large(files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlcheck.readers.bundle.store.MAX_BUNDLE_BYTES", 100)
    assert refused(as_folder(tmp_path / "b.tlcert", files)).code == "TLC401"
    assert refused(as_zip(tmp_path / "z.tlcert", files)).code == "TLC401"


def test_no_such_bundle(tmp_path: Path) -> None:
    assert refused(tmp_path / "b.tlcert").code == "TLC402"


@pytest.mark.parametrize(
    "name", ["../x", "/x", "a/../x", "a\\x", "C:x", "a//x", "./x", "a\nx", "a/./x", "x" * 2000]
)
def test_member_names(name: str, files: Files, tmp_path: Path) -> None:
    assert refused(as_zip(tmp_path / "z.tlcert", {**files, name: b"1"})).code == "TLC404"


def test_duplicate_member(files: Files, tmp_path: Path) -> None:
    path = as_zip(tmp_path / "z.tlcert", files)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("p.vnnlib", b"x")
    assert refused(path).code == "TLC403"


def test_link_in_a_zip(files: Files, tmp_path: Path) -> None:
    info = zipfile.ZipInfo("p.vnnlib")
    info.external_attr = 0o120777 << 16
    path = as_zip(tmp_path / "z.tlcert", {n: d for n, d in files.items() if n != "p.vnnlib"})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(info, b"/etc/passwd")
    assert refused(path).code == "TLC404"


def test_every_truncation_of_a_zip(files: Files, tmp_path: Path) -> None:
    data = as_zip(tmp_path / "z.tlcert", files).read_bytes()
    for length in [*range(30), *range(30, len(data), 97), len(data) - 1]:
        path = tmp_path / "t.tlcert"
        path.write_bytes(data[:length])
        assert refused(path).code == "TLC403"


def test_a_zip_with_something_around_it(files: Files, tmp_path: Path) -> None:
    data = as_zip(tmp_path / "z.tlcert", files).read_bytes()
    for around in (b"#!/bin/sh\n" + data, data + b"\0", b"PK" + data):
        path = tmp_path / "t.tlcert"
        path.write_bytes(around)
        assert refused(path).code == "TLC403"


def test_every_byte_of_a_directory(files: Files, tmp_path: Path) -> None:
    """A changed byte in the zip's structure is harmless or InvalidInput, never anything else."""
    data = bytearray(
        as_zip(tmp_path / "z.tlcert", {"manifest.json": files["manifest.json"][:40]}).read_bytes()
    )
    path = tmp_path / "t.tlcert"
    for at in range(len(data)):
        for value in (0, 1, 255):
            changed = data.copy()
            changed[at] = value
            path.write_bytes(changed)
            refused(path)


def packed_member(
    name: bytes, *, flags: int = 0, method: int = 8, packed: bytes = b"", size: int, crc: int = 0
) -> bytes:
    """A zip of one member, whose headers say what they are told to."""
    fields_ = (flags, method, 0, 0x21, crc, len(packed), size, len(name), 0)
    local = struct.pack("<4s5H3L2H", b"PK\3\4", 20, *fields_) + name + packed
    central = struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, *fields_, 0, 0, 0, 0, 0) + name
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(central), len(local), 0)
    return local + central + end


def deflated(content: bytes) -> bytes:
    pack = zlib.compressobj(9, zlib.DEFLATED, -15)
    return pack.compress(content) + pack.flush()


@pytest.mark.parametrize(
    ("member", "code"),
    [
        ({"flags": 1, "packed": b"x", "size": 1, "method": 0}, "TLC403"),
        ({"method": 14, "packed": b"x", "size": 1}, "TLC403"),
        ({"method": 0, "packed": b"x", "size": 2}, "TLC403"),
        ({"packed": b"x", "size": 2**31}, "TLC401"),
        ({"packed": bytes(2**21 + 1), "size": 2**31 + 1}, "TLC401"),
        ({"packed": b"\xff\xff", "size": 10}, "TLC403"),
        ({"packed": deflated(bytes(1000)), "size": 10}, "TLC403"),
        ({"packed": deflated(bytes(10)), "size": 1000}, "TLC403"),
        ({"packed": deflated(bytes(10)) + b"more", "size": 10}, "TLC403"),
        ({"packed": deflated(bytes(10)), "size": 10, "crc": 7}, "TLC403"),
        ({"packed": deflated(bytes(70 << 20)), "size": 70 << 20}, "TLC401"),
    ],
)
def test_hostile_member(member: dict[str, Any], code: str, tmp_path: Path) -> None:
    path = tmp_path / "z.tlcert"
    path.write_bytes(packed_member(b"manifest.json", **member))
    assert refused(path).code == code


def test_members_that_share_bytes(files: Files, tmp_path: Path) -> None:
    """Two directory entries for one local header (a quine bomb)."""
    name, content = b"manifest.json", b"{}"
    fields_ = (0, 0, 0, 0x21, zlib.crc32(content), len(content), len(content), len(name), 0)
    local = struct.pack("<4s5H3L2H", b"PK\3\4", 20, *fields_) + name + content
    entries = [
        struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, *fields_, 0, 0, 0, 0, 0) + other
        for other in (name, b"manifest.jsoN")
    ]
    directory = b"".join(entries)
    path = tmp_path / "z.tlcert"
    path.write_bytes(
        local + directory + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 2, 2, len(directory), len(local), 0)
    )
    assert refused(path).code == "TLC403"


# numbers and schemas


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.5", Fraction(1, 2)),
        ("-1e-3", Fraction(-1, 1000)),
        ("1/3", Fraction(1, 3)),
        ("-6/4", Fraction(-3, 2)),
        ("0x1.8p-3", Fraction(3, 16)),
        ("-0x.8p+1", Fraction(-1)),
        ("0x1p-1074", Fraction(5e-324)),
        ((0.1).hex(), Fraction(0.1)),
    ],
)
def test_exact_numbers(text: str, value: Fraction) -> None:
    assert exact_number(text) == value


@pytest.mark.parametrize(
    "text", ["", "nan", "inf", "1/2/3", "0x", "0xp1", "0x1", "1_0", " 1", "1/", "/2", "1.5/2", "0x1p", "١"]
)
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        exact_number(text, field="f")
    assert caught.value.code == "TLC101"


@pytest.mark.parametrize(
    "text", ["9" * 100_000, "1/" + "9" * 5000, "0x1p999999", "0x" + "f" * 5000 + "p0", "1e-5000"]
)
def test_numbers_too_long(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        exact_number(text)
    assert caught.value.code == "TLC401"


@pytest.mark.parametrize(
    ("name", "generate"),
    [
        ("bundle", manifest_schema),
        ("profile", profile_schema),
        ("report", report_schema),
        ("referee", referee_schema),
        ("lock", lock_schema),
        ("robust", robust_schema),
    ],
)
def test_published_schema_is_the_generated_one(name: str, generate: Callable[[], dict[str, Any]]) -> None:
    published = json.loads((CERTIFICATES / "schemas" / f"{name}.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(published)
    assert published == generate()


REFUSED_BY_SCHEMA = [
    "unknown field", "unknown claim field", "unknown evidence field", "unknown kind", "other format", "other version",
    "no claims", "no producer", "upper-case hash", "model of two kinds", "weights alone", "witness of numbers",
    "prefix without slash",
]  # fmt: skip


@pytest.mark.parametrize("case", REFUSED_BY_SCHEMA)
def test_the_schema_refuses_what_the_reader_refuses(case: str, files: Files) -> None:
    document = json.loads(edited(files, MANIFESTS[case][0])["manifest.json"])
    assert list(jsonschema.Draft202012Validator(manifest_schema()).iter_errors(document))


def test_every_manifest_field_is_in_the_format_notes() -> None:
    text = (CERTIFICATES / "FORMAT.md").read_text(encoding="utf-8")
    names = {f for kind in manifest_schema()["$defs"].values() for f in kind["properties"]}
    assert {f.name for f in _struct_fields(Manifest)} <= names
    assert [name for name in sorted(names) if f"`{name}`" not in text] == []


def _struct_fields(kind: type) -> Any:
    import msgspec

    return msgspec.structs.fields(kind)
