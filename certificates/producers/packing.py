"""Bundles as values that can be edited, and cases that can be written: the same input gives the same bytes anywhere.

Zips are stored, not deflated, and gzip files hold stored blocks: compressors differ between machines.
"""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from properties import exact_text

from tlcheck.readers.onnx import read_model
from tlcheck.readers.sequential.read import read_safetensors_model
from tlcheck.readers.vnnlib.read import read_query
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.guidance import Guidance
from tlcheck.trusted.query import Query
from tlcheck.writers.bundle import guidance_arrays, pack_arrays

Array = NDArray[Any]
Files = dict[str, bytes]

ARRAYS: Final = "arrays.safetensors"
MANIFEST: Final = "manifest.json"
WEIGHTS, ARCHITECTURE = "model.safetensors", "architecture.json"
BUNDLE: Final = "x.tlcert"


@dataclass
class Bundle:
    """What a bundle is made of, before hashes are taken. ``arrays`` are those of every claim, under its prefix."""

    files: Files = field(default_factory=dict)
    claims: list[dict[str, Any]] = field(default_factory=list)
    arrays: dict[str, Array] = field(default_factory=dict)

    def copy(self) -> Bundle:
        return copy.deepcopy(self)

    @property
    def model(self) -> str | dict[str, str]:
        if WEIGHTS in self.files:
            return {"weights": WEIGHTS, "architecture": ARCHITECTURE}
        return next(name for name in self.files if ".onnx" in name)

    @property
    def model_files(self) -> list[str]:
        return [self.model] if isinstance(self.model, str) else list(self.model.values())

    def graph(self) -> Graph:
        if WEIGHTS in self.files:
            return read_safetensors_model(
                self.files[WEIGHTS],
                self.files[ARCHITECTURE],
                weights_file=WEIGHTS,
                architecture_file=ARCHITECTURE,
            )
        return read_model(gunzip_stored(self.files[str(self.model)]))

    def query(self, name: str = "property.vnnlib") -> Query:
        graph = self.graph()
        return read_query(gunzip_stored(self.files[name]), graph)

    def add_unsat(self, guidance: Guidance, prop: str = "property.vnnlib", name: str = "") -> Bundle:
        """The bundle with one more claim."""
        nodes, own = guidance_arrays(guidance, self.graph())
        return self.add_claim(nodes, own, guidance.per_leaf_bounds, prop, name)

    def add_claim(
        self, nodes: Sequence[str], own: Mapping[str, Array], per_leaf_bounds: bool, prop: str, name: str
    ) -> Bundle:
        """The bundle with one more claim, and its evidence as a bundle has it: ``own`` without the claim's prefix."""
        prefix = f"c{len(self.claims)}/"
        self.arrays |= {prefix + k: v for k, v in own.items()}
        evidence = {
            "arrays": ARRAYS,
            "prefix": prefix,
            "nodes": list(nodes),
            "per_leaf_bounds": per_leaf_bounds,
        }
        self.claims.append(
            {"kind": "unsat", "name": name, "model": self.model, "property": prop, "evidence": evidence}
        )
        return self

    def add_sat(self, witness: Sequence[Fraction], prop: str = "property.vnnlib", name: str = "") -> Bundle:
        texts = [exact_text(q) for q in witness]
        self.claims.append(
            {"kind": "sat", "name": name, "model": self.model, "property": prop, "witness": texts}
        )
        return self

    def content(self) -> Files:
        """Every file, the manifest with their hashes first."""
        files = dict(self.files)
        if self.arrays:
            files[ARRAYS] = pack_arrays(self.arrays)
        return with_manifest(files, self.claims)

    # edits, each of a copy

    def edited(self, edit: Callable[[Bundle], object]) -> Bundle:
        changed = self.copy()
        edit(changed)
        return changed

    def with_array(self, name: str, change: Callable[[Array], Any], claim: int = 0) -> Bundle:
        """With ``change(array)`` in place of one array (None: without it)."""

        def edit(b: Bundle) -> None:
            value = change(b.arrays[f"c{claim}/{name}"].copy())
            if value is None:
                del b.arrays[f"c{claim}/{name}"]
            else:
                b.arrays[f"c{claim}/{name}"] = np.asarray(value)

        return self.edited(edit)

    def with_file(self, name: str, data: bytes) -> Bundle:
        return self.edited(lambda b: b.files.__setitem__(name, data))

    def array(self, name: str, claim: int = 0) -> Array:
        return self.arrays[f"c{claim}/{name}"]


def with_manifest(files: Mapping[str, bytes], claims: Sequence[Mapping[str, Any]], **changes: Any) -> Files:
    """``files`` with a manifest that lists them as they are; ``changes`` replace its fields."""
    listed = {
        name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        for name, data in sorted(files.items())
    }
    document = {
        "format": "tlcheck.bundle",
        "version": 1,
        "producer": {"name": "tlcheck-corpus", "version": "1"},
        "files": listed,
        "claims": [{k: v for k, v in claim.items() if v != ""} for claim in claims],
        **changes,
    }
    return {MANIFEST: json.dumps(document, indent=1).encode() + b"\n", **dict(sorted(files.items()))}


def gzip_stored(data: bytes) -> bytes:
    """A gzip file of stored blocks."""
    pieces = [data[i : i + 65535] for i in range(0, len(data), 65535)] or [b""]
    blocks = [
        struct.pack("<BHH", k == len(pieces) - 1, len(p), len(p) ^ 0xFFFF) + p for k, p in enumerate(pieces)
    ]
    return (
        b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
        + b"".join(blocks)
        + struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF)
    )


def gunzip_stored(data: bytes) -> bytes:
    return zlib.decompress(data, 31) if data[:2] == b"\x1f\x8b" else data


@dataclass(frozen=True)
class Member:
    """A zip member as written: what its headers say may differ from what it is."""

    name: str
    data: bytes
    size: int | None = None
    method: int = 0
    mode: int = 0o100644
    crc: int | None = None


def zip_bytes(members: Sequence[Member]) -> bytes:
    """A zip file, byte for byte the same anywhere."""
    body, directory = b"", b""
    for m in members:
        name = m.name.encode()
        crc = zlib.crc32(m.data) if m.crc is None else m.crc
        size = len(m.data) if m.size is None else m.size
        common = struct.pack("<4H3L2H", 0, m.method, 0, 0x21, crc, len(m.data), size, len(name), 0)
        header = (
            b"PK\1\2"
            + struct.pack("<2H", 3 << 8 | 20, 20)
            + common
            + struct.pack("<3H2L", 0, 0, 0, m.mode << 16, len(body))
        )
        directory += header + name
        body += b"PK\3\4" + struct.pack("<H", 20) + common + name + m.data
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, len(members), len(members), len(directory), len(body), 0)
    return body + directory + end


def zip_of(files: Mapping[str, bytes]) -> bytes:
    return zip_bytes([Member(name, data) for name, data in files.items()])


@dataclass(frozen=True)
class Case:
    """One folder of the corpus. ``content``: files of a folder bundle, or the bytes of a zip.

    ``counterexample``: for a false unsat claim, a point (exact texts) that satisfies the property.
    """

    group: str
    name: str
    content: Files | bytes
    exit: int
    code: str
    note: str
    counterexample: tuple[Fraction, ...] | None = None
    claim: int = 0

    @property
    def verdict(self) -> str:
        return {0: "CERTIFIED", 1: "REFUTED", 3: "INVALID", 4: "UNPROVEN"}[self.exit]

    def expected(self) -> dict[str, Any]:
        document: dict[str, Any] = {
            "exit": self.exit,
            "code": self.code,
            "verdict": self.verdict,
            "note": self.note,
        }
        if self.counterexample is not None:
            document["claim"] = self.claim
            document["counterexample"] = [exact_text(q) for q in self.counterexample]
        return document

    def write(self, root: Path) -> None:
        """The case's folder under ``root``/group, from empty."""
        folder = root / self.group / self.name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "expected.json").write_text(
            json.dumps(self.expected(), indent=1) + "\n", encoding="utf-8", newline="\n"
        )
        target = folder / BUNDLE
        if isinstance(self.content, bytes):
            target.write_bytes(self.content)
            return
        target.mkdir()
        for name, data in self.content.items():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_bytes(data)
