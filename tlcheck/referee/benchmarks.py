"""The files of an instance: where in the benchmark folders a network and a property are, and their SHA-256.

A folder of benchmarks is a checkout of a competition's benchmarks, its ``benchmarks`` folder, or a folder with several
checkouts. Results name ``<checkout>/benchmarks/<benchmark>/...``: a file is taken from where most of that path agrees.
Nothing outside the given folders is read, and two different files that agree equally well are refused. Weights in other
files are those beside the network, and the network's hash is of them too. Of a file's year only the folders given and
those below them speak: what lies above them is the user's own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from tlcheck.errors import InvalidInput
from tlcheck.readers.bytes import gunzip_if_packed, read_stored_bytes, sha256_hex
from tlcheck.readers.data_files import beside
from tlcheck.readers.formats.detect import check_there
from tlcheck.readers.kinds import refusal
from tlcheck.readers.onnx import whole_model
from tlcheck.referee.results import InstanceName

Role = Literal["network", "property"]
_YEAR_OF_CHECKOUT: Final = re.compile(r"vnn[-_ ]?comp[-_ ]?(20[0-9]{2})", re.IGNORECASE)


@dataclass(frozen=True)
class Source:
    """A file, the SHA-256 of what it holds once unpacked (of a network with weights in other files: of them all, see
    ``Whole.identity``), and every hash by which a certificate may name it: as stored, or unpacked."""

    path: Path
    sha256: str
    named: frozenset[str]


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
    _hashed: dict[tuple[Role, Path], Source] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for root in self.roots:
            if not check_there(root):
                raise refusal(root, "folder", "TLC402")

    def find(self, name: InstanceName) -> Instance:
        """The files of an instance, hashed."""
        if ";" in name.network or "=" in name.network.split("/")[0]:
            return Instance(name, None, None, ("TLC302", "a property of several networks"))
        try:
            network = self._source(name, name.network, "network")
            return Instance(name, network, self._source(name, name.property, "property"))
        except InvalidInput as error:
            return Instance(name, None, None, (error.code, error.line()))

    def _source(self, name: InstanceName, relative: str, role: Role) -> Source:
        path = self._path(name, relative, role)
        if (role, path) not in self._hashed:
            self._hashed[role, path] = _hashed(path, role)
        return self._hashed[role, path]

    def _path(self, name: InstanceName, relative: str, role: Role) -> Path:
        """The file whose path agrees with the one written in most parts."""
        above = name.above.split("/") if name.above else []
        inside = [name.folder or name.benchmark, *relative.split("/")]
        if ".." in (*above, *inside) or any(os.path.isabs(part) or "\0" in part for part in inside):
            raise InvalidInput(
                "TLC404", "a path that leaves the folder of benchmarks", got=ascii("/".join(inside))
            )
        missing = InvalidInput("TLC402", "not in the benchmark folders", got="/".join(inside))
        for k in range(len(above) + 1):
            found = [(root, p) for root in self.roots for p in _candidates(root, [*above[k:], *inside])]
            right = [p for root, p in found if self.any_year or not _other_year(above, root, p)]
            if found and not right:
                year = _year(above)
                missing = InvalidInput(
                    "TLC402",
                    f"only in the benchmark folder of another year than {year} (--any-year takes it)",
                    got=str(found[0][1]),
                )
            if right:
                return _only(right, role)
        raise missing


def _hashed(path: Path, role: Role) -> Source:
    stored = read_stored_bytes(path)
    content = gunzip_if_packed(stored, file=str(path))
    named = frozenset({sha256_hex(stored), sha256_hex(content)})
    if role == "property":
        return Source(path, sha256_hex(content), named)
    return Source(path, whole_model(content, beside(path.parent), file=str(path)).identity, named)


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


def _only(paths: list[Path], role: Role) -> Path:
    """The path, when all hold the same bytes (of a network: all its files)."""
    if len(paths) > 1 and len({_hashed(p, role).sha256 for p in paths}) > 1:
        raise InvalidInput(
            "TLC402",
            "different files of that name in the benchmark folders",
            got=", ".join(map(str, paths[:4])),
        )
    return paths[0]


def _year(folders: Sequence[str]) -> str:
    """The year of the innermost checkout among the folders of a path; empty when none names one."""
    years = [m.group(1) for part in folders if (m := _YEAR_OF_CHECKOUT.search(part))]
    return years[-1] if years else ""


def _other_year(above: list[str], root: Path, path: Path) -> bool:
    """The file is of a checkout of a year, and not that of the results; as named, or where links lead.

    A checkout is the folder that the user named, or one below it: folders further up are no part of it.
    """
    year = _year(above)
    named = [*_own_name(root), *path.relative_to(root).parts[:-1]]
    there = root.resolve()
    linked = [*_own_name(there), *path.resolve().relative_to(there).parts[:-1]]
    return any(found not in ("", year) for found in (_year(named), _year(linked))) if year else False


def _own_name(root: Path) -> tuple[str, ...]:
    """The folder's name, however it is written; that of a checkout's folder ``benchmarks`` is the checkout's."""
    parts = Path(os.path.abspath(root)).parts
    return parts[-2:] if parts[-1] == "benchmarks" else parts[-1:]
