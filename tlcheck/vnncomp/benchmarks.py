"""The files of an instance: where in the benchmark folders a network and a property are, and their SHA-256.

A folder of benchmarks is a checkout of a competition's benchmarks, its ``benchmarks`` folder, or a folder with several
checkouts. Results name ``<checkout>/benchmarks/<benchmark>/...``: a file is taken from where most of that path agrees.
Nothing outside the given folders is read, and two different files that agree equally well are refused; so is a network
with weights in other files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tlcheck.errors import InvalidInput
from tlcheck.readers.bytes import gunzip_if_packed, read_stored_bytes, sha256_hex
from tlcheck.vnncomp.results import InstanceName

_YEAR_OF_CHECKOUT: Final = re.compile(r"vnncomp_?(20[0-9]{2})", re.IGNORECASE)


@dataclass(frozen=True)
class Source:
    """A file, the SHA-256 of what it holds once unpacked, and of the bytes as stored. ``in_parts``: it is a network
    some of whose weights are in other files, which no hash here speaks of."""

    path: Path
    sha256: str
    stored_sha256: str
    in_parts: bool = False


@dataclass(frozen=True)
class Instance:
    """Where an instance's files are; ``problem`` (code, message) instead of files that cannot be had."""

    name: InstanceName
    network: Source | None
    property: Source | None
    problem: tuple[str, str] | None = None


@dataclass
class Benchmarks:
    """Files below ``roots``. ``any_year``: also take them from a checkout of another year than the results name."""

    roots: Sequence[Path]
    any_year: bool = False
    _hashed: dict[Path, Source] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for root in self.roots:
            if not root.is_dir():
                raise InvalidInput("TLC402", "no such folder", file=str(root))

    def find(self, name: InstanceName) -> Instance:
        """The files of an instance, hashed."""
        if ";" in name.network or "=" in name.network.split("/")[0]:
            return Instance(name, None, None, ("TLC302", "a property of several networks"))
        try:
            network, query = self._source(name, name.network), self._source(name, name.property)
            if network.in_parts:
                raise InvalidInput(
                    "TLC205", "weights in other files: not what the hash is of", file=str(network.path)
                )
            return Instance(name, network, query)
        except InvalidInput as error:
            return Instance(name, None, None, (error.code, error.line()))

    def _source(self, name: InstanceName, relative: str) -> Source:
        path = self._path(name, relative)
        if path not in self._hashed:
            stored = read_stored_bytes(path)
            content = gunzip_if_packed(stored, file=str(path))
            self._hashed[path] = Source(path, sha256_hex(content), sha256_hex(stored), _in_parts(content))
        return self._hashed[path]

    def _path(self, name: InstanceName, relative: str) -> Path:
        """The file whose path agrees with the one written in most parts."""
        above = name.above.split("/") if name.above else []
        inside = [name.folder or name.benchmark, *relative.split("/")]
        if ".." in (*above, *inside) or any(os.path.isabs(part) or "\0" in part for part in inside):
            raise InvalidInput(
                "TLC404", "a path that leaves the folder of benchmarks", got=ascii("/".join(inside))
            )
        missing = InvalidInput("TLC402", "not in the benchmark folders", got="/".join(inside))
        for k in range(len(above) + 1):
            found = [path for root in self.roots for path in _candidates(root, [*above[k:], *inside])]
            right = [path for path in found if self.any_year or not _other_year(above, path)]
            if found and not right:
                year = _year(above)
                missing = InvalidInput(
                    "TLC402",
                    f"only in the benchmark folder of another year than {year} (--any-year takes it)",
                    got=str(found[0]),
                )
            if right:
                return _only(right)
        raise missing


def _in_parts(content: bytes) -> bool:
    """An ONNX model with external data. Where such a tensor's data is, is under the key "location"."""
    if b"location" not in content:
        return False
    from google.protobuf.message import DecodeError
    from onnx import ModelProto, TensorProto

    model = ModelProto()
    try:
        model.ParseFromString(content)
    except (DecodeError, RuntimeError):
        return False
    inside = (attribute.t for node in model.graph.node for attribute in node.attribute)
    return any(t.data_location == TensorProto.EXTERNAL for t in (*model.graph.initializer, *inside))


def _candidates(root: Path, parts: list[str]) -> list[Path]:
    """Files at ``parts`` below the root, below its ``benchmarks``, or beside it when they begin with its name."""
    starts = [root.joinpath(*parts), root.joinpath("benchmarks", *parts)]
    if parts[0] == root.resolve().name:
        starts.append(root.joinpath(*parts[1:]))
    seen: dict[str, Path] = {}
    for start in starts:
        for path in (start, start.parent / f"{start.name}.gz"):
            # os.path: a name that no file can have is one that is not there
            if os.path.isfile(path) and path.resolve().is_relative_to(root.resolve()):
                seen.setdefault(os.path.realpath(path), path)
    return list(seen.values())


def _only(paths: list[Path]) -> Path:
    """The path, when all hold the same bytes."""
    if len(paths) > 1:
        hashes = {sha256_hex(gunzip_if_packed(read_stored_bytes(p), file=str(p))) for p in paths}
        if len(hashes) > 1:
            raise InvalidInput(
                "TLC402",
                "different files of that name in the benchmark folders",
                got=", ".join(map(str, paths[:4])),
            )
    return paths[0]


def _year(above: list[str]) -> str:
    """The year in what results name above ``benchmarks``; empty when they name none."""
    match = next((m for part in above if (m := _YEAR_OF_CHECKOUT.search(part))), None)
    return match.group(1) if match else ""


def _other_year(above: list[str], path: Path) -> bool:
    """The path names checkouts of a year, and not that of the results."""
    year = _year(above)
    years = {m.group(1) for part in path.parts if (m := _YEAR_OF_CHECKOUT.search(part))}
    return bool(year and years and year not in years)
