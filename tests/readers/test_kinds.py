"""What a file is, by its content: every kind is recognised, and nothing that a reader takes is called something else."""

from __future__ import annotations

import gzip
import io
import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import CERTIFICATES, DATA, needs_data
from tlcheck.errors import InvalidInput
from tlcheck.readers.kinds import FITS, KINDS, WANTED, instead, kind_of, refusal, sample_of, sample_of_bytes

PAIR = CERTIFICATES / "accept" / "pair-two-inputs" / "x.tlcert"
ONNX = (PAIR / "model.onnx").read_bytes()
VNNLIB = (PAIR / "property.vnnlib").read_bytes()


def zipped(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return out.getvalue()


def tarred(name: str, data: bytes, format: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as archive:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def npz() -> bytes:
    out = io.BytesIO()
    np.savez(out, a=np.zeros(2))
    return out.getvalue()


def safetensors() -> bytes:
    from safetensors.numpy import save

    return bytes(save({"a": np.zeros(2, np.float32)}))


TORCH_LEGACY = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2)
LOGS = [
    "unsat\n",
    "Result: unsat in 3.1 seconds\n",
    "12:00:01 INFO start\nverified_status: safe-incomplete\n",
    "sat\n",
]
CASES: dict[str, list[bytes]] = {
    "onnx": [ONNX, gzip.compress(ONNX)],
    "vnnlib": [VNNLIB, b"\xef\xbb\xbf" + VNNLIB, gzip.compress(VNNLIB), b"; a comment\n(vnnlib-version <2.0>)\n",
               b"(declare-fun X_0 () Real)", b"(set-logic QF_LRA)"],
    "pytorch": [zipped("net/data.pkl", "net/version"), zipped("archive/constants.pkl", "archive/code/x.py"), TORCH_LEGACY],
    "pickle": [pickle.dumps([1], 4)],
    "keras": [b"\x89HDF\r\n\x1a\n" + b"\0" * 8, zipped("config.json", "model.weights.h5")],
    "npz": [npz()],
    "bundle": [zipped("manifest.json", "model.onnx")],
    "zip": [zipped("a.txt")],
    "npy": [b"\x93NUMPY\x01\x00"],
    "tar": [tarred("net.onnx", ONNX, f) for f in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)],
    "tar.gz": [gzip.compress(tarred("net.onnx", ONNX, tarfile.GNU_FORMAT))],
    "packed": [b"\xfd7zXZ\0\0"],
    "tflite": [b"\x1c\0\0\0TFL3"],
    "saved model": [b"\x08\x01\x12\x06\x0a\x04\x22\x02v1"],
    "safetensors": [safetensors()],
    "witness": [b"sat\n((X_0 0.5)\n(Y_0 1))", b"((X_0 0.5))", b"(X_0 1)", b"sat\nX real [1,2]\n0 1\n"],
    "tree": [b'{"record": "tree", "format": "tlcheck.tree/1"}\n'],
    "aptp": [b"(declare-const X_0 Real)\n(declare-pwl N_1 ReLU)\n"],
    "lock": [b'{\n "format": "tlcheck.lock/1"'],
    "pde": [b'format = "tlcheck.pde/1"\n', b'\xef\xbb\xbf# heat\nformat = "tlcheck.pde/1"\n'],
    "stability": [b'{"format": "tlcheck.stability/1"}', b'format = "tlcheck.stability/1"'],
    "certificate": [b'{"format": "tlcheck.spline/1"}'],
    "manifest": [(PAIR / "manifest.json").read_bytes()],
    "report": [b'{\n  "schema_version": 1, "tool": {}}'],
    "lfs": [b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"],
    "utf-16": ["(declare-const".encode("utf-16")],
    "picture": [b"\x89PNG\r\n\x1a\n"],
    "json": [b'{"a": 1}', b"[]"],
    "nnet": [b"//Neural Network File Format by Kyle Julian\n"],
    "log": [log.encode() for log in LOGS],
    "text": [b"# A title\n\nSome words on a network.\n"],
    "empty": [b""],
    "unknown": [b"\xff\x00\x17", b"\0"],
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_each_kind_is_recognised_in_a_file_whatever_its_name(name: str, tmp_path: Path) -> None:
    for number, data in enumerate(CASES[name]):
        path = tmp_path / f"{number}.bin"
        path.write_bytes(data)
        assert kind_of(sample_of(path)) == name


def test_every_kind_of_the_table_has_a_case(tmp_path: Path) -> None:
    folders = {
        "empty folder": [], "saved model folder": ["saved_model.pb", "variables"], "bundle folder": ["manifest.json"],
        "folder": ["a.txt"],
    }  # fmt: skip
    for number, (name, entries) in enumerate(folders.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        for entry in entries:
            (folder / entry).write_bytes(b"")
        assert kind_of(sample_of(folder)) == name
    assert set(CASES) | set(folders) == set(KINDS)


@pytest.mark.parametrize("wanted", WANTED)
def test_every_kind_says_what_it_is_and_what_to_do(wanted: str, tmp_path: Path) -> None:
    path = tmp_path / "a b.bin"
    for data in (d for found in CASES.values() for d in found):
        path.write_bytes(data)
        line = refusal(path, wanted, "TLC102").line()
        noun = KINDS[kind_of(sample_of(path))].noun
        assert (f"not {WANTED[wanted]}; " in line) != noun.startswith(WANTED[wanted])
        assert "{file}" not in line and "\n" not in line
        assert line == line.strip() and not line.endswith(";")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("!" + "\n" * 65000, "text"), ("-\n" * 32000, "text"), ("x" + " \t" * 32000, "text"), (" " * 65000 + "x", "text"),
        ("sat" + "_a" * 32000 + "!", "log"), ("sat-" * 16000 + "!", "text"), ("result" + " " * 65000, "text"),
        ("result: a " * 6500, "text"), ("statusstatus" * 5000, "text"), ("( " * 32000, "text"), ("(" * 65000, "text"),
        ("line\n" * 9000 + "Result: unsat in 2 s\n", "log"), ("\n" * 60000 + "unsat\n", "log"),
        ("\n" * 60000 + "((X_0 1))\n", "witness"),
    ],
)  # fmt: skip
def test_no_text_takes_long(text: str, kind: str) -> None:
    """A regular expression that tries every way to read such a text would not end."""
    assert kind_of(sample_of_bytes(text.encode())) == kind


def test_a_name_with_blanks_is_quoted_in_commands(tmp_path: Path) -> None:
    path = tmp_path / "a b.onnx"
    path.write_bytes(ONNX)
    assert f"tlcheck certify '{path}'" in refusal(path, "certificate", "TLC102").line()


def test_what_fits_keeps_its_readers_own_message() -> None:
    error = InvalidInput("TLC301", "line 3 is wrong")
    assert instead(error, VNNLIB, "", "property") is error
    assert instead(error, b"some words", "", "property") is error
    better = instead(error, ONNX, "n.onnx", "property")
    assert (better.code, better.file) == ("TLC301", "n.onnx")
    assert set(FITS) == set(WANTED)


@given(st.binary(max_size=300))
def test_any_bytes_have_a_kind(data: bytes) -> None:
    for prefix in (b"", b"\x08\x08", b"PK\3\4", b"\x1f\x8b\x08", b"\x80\x02", b"{", b"("):
        assert kind_of(sample_of_bytes(prefix + data)) in KINDS


@needs_data
@pytest.mark.parametrize(("pattern", "name"), [("*.onnx", "onnx"), ("*.vnnlib", "vnnlib")])
def test_real_files_are_what_they_are(pattern: str, name: str) -> None:
    files = sorted(DATA.rglob(pattern))
    assert len(files) > 10
    for path in files:
        assert kind_of(sample_of(path)) == name, path
