"""Bundles as files in memory: read by the reference checker, changed, sealed again, written; and the reference checker as a module."""

from __future__ import annotations

import importlib.util
import json
import random
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.helpers import CERTIFICATES

SCRIPT = CERTIFICATES / "reference" / "check_unsat.py"


def load_reference() -> Any:
    spec = importlib.util.spec_from_file_location("check_unsat", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = sys.modules["check_unsat"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


REFERENCE = load_reference()
Files = dict[str, bytes]


def files_of(path: Path) -> Files:
    return REFERENCE.read_folder(path) if path.is_dir() else REFERENCE.read_zip(path.read_bytes())


def sealed(files: Files, manifest: Any = None) -> Files:
    """With lengths and hashes of the files as they are now, and this manifest."""
    m = manifest or json.loads(files["manifest.json"])
    for name, entry in m["files"].items():
        if name in files:
            entry |= {"sha256": sha256(files[name]).hexdigest(), "bytes": len(files[name])}
            entry.pop("unpacked_sha256", None)
    return files | {"manifest.json": json.dumps(m).encode()}


def split_arrays(data: bytes) -> dict[str, tuple[str, list[int], bytes]]:
    n = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + n])
    header.pop("__metadata__", None)
    body = data[8 + n :]
    return {k: (v["dtype"], v["shape"], body[slice(*v["data_offsets"])]) for k, v in header.items()}


def joined(arrays: dict[str, tuple[str, list[int], bytes]]) -> bytes:
    header, body = {}, b""
    for name, (kind, shape, data) in arrays.items():
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def role(files: Files, rng: random.Random, kind: str) -> str | None:
    """The file of this role in some unsat claim."""
    claims = [c for c in json.loads(files["manifest.json"])["claims"] if c["kind"] == "unsat"]
    names = [c["evidence"]["arrays"] if kind == "arrays" else c[kind] for c in claims]
    names = [n for n in names if isinstance(n, str)]
    return rng.choice(names) if names else None


def write(files: Files | bytes, path: Path) -> None:
    """A folder, or the zip that the bytes are."""
    if isinstance(files, bytes):
        path.write_bytes(files)
        return
    for name, data in files.items():
        full = path / name
        full.parent.mkdir(parents=True, exist_ok=True)
        full.write_bytes(data)
