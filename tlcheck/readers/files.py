"""Files that an artifact names: beside it, or in its bundle. Every one that is read is hashed.

Only the artifact's own folder is looked in; for what a file that the user gave names, that file's folder. A name is that
of a file; one with a folder is refused. Artifacts of other tools (``elsewhere``) name files by paths of the machine they
were made on: of these the last part counts, and two different paths with the same last part are refused, for they cannot
both be meant. ``sources`` is what a claim was read from: name -> SHA-256 of the unpacked content.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from tlcheck.errors import InvalidInput
from tlcheck.readers.bytes import read_bytes, sha256_hex
from tlcheck.readers.data_files import ReadData, no_data
from tlcheck.readers.data_files import beside as data_beside

ROLES: Final = ("artifact", "manifest", "model", "model weights", "property", "alphas")
"""Keys of ``sources`` that are no files' names."""


@dataclass
class Files:
    """``read_named`` gives the unpacked content of a file by its plain name, ``read_data`` that of a data file of an ONNX
    model, as stored. ``where`` names the artifact in errors."""

    where: str
    read_named: Callable[[str], bytes]
    sources: dict[str, str] = field(default_factory=dict)
    elsewhere: bool = False
    written: dict[str, PurePosixPath] = field(default_factory=dict)
    """By last part: how the artifact wrote it first."""
    read_data: ReadData = no_data

    def read(self, name: str, field: str = "", sha256: str = "") -> bytes:
        """The file that the artifact calls ``name``. Raises InvalidInput: TLC404 not a file name, TLC402 not there,
        TLC103 when the artifact says another ``sha256``."""
        plain = self._plain(name, field)
        try:
            data = self.read_named(plain)
        except InvalidInput as error:
            error.field = error.field or field
            raise
        found = sha256_hex(data)
        if sha256 and found != sha256.lower():
            raise InvalidInput(
                "TLC103",
                "not the file the certificate was made for (SHA-256)",
                field=field,
                expected=sha256[:64],
                got=found,
            )
        self.sources[plain] = found
        return data

    def _plain(self, name: str, field: str) -> str:
        """The name of the one file that can be meant. Raises InvalidInput TLC404."""
        path = PurePosixPath(name.replace("\\", "/"))
        plain = path.name
        if not plain or plain == ".." or not plain.isprintable():
            raise InvalidInput("TLC404", "not the name of a file", field=field, got=ascii(name[:80]))
        if not self.elsewhere and plain != name:
            raise InvalidInput(
                "TLC404", "a name with a folder", field=field, expected="the name of a file beside this one",
                got=ascii(name[:80]),
            )  # fmt: skip
        if plain in ROLES or plain.startswith("model data "):
            raise InvalidInput(
                "TLC404", "a name that means something else in reports", field=field, got=plain
            )
        first = self.written.setdefault(plain, path)
        if first != path:
            raise InvalidInput(
                "TLC404", "two paths with the same last part", field=field, expected=ascii(str(first)[:80]),
                got=ascii(name[:80]),
            )  # fmt: skip
        return plain

    def given(self, path: Path | None, role: str) -> bytes | None:
        """The content of a file that the user named (``--model``, ``--property``); None when there is none."""
        if path is None:
            return None
        data = read_bytes(path)
        self.sources[role] = sha256_hex(data)
        return data

    def named(self, name: str, content: bytes, field: str) -> None:
        """A file that was read because another one names it. Raises InvalidInput TLC404."""
        self.sources[self._plain(name, field)] = sha256_hex(content)


def beside(artifact: Path) -> Files:
    """The files in the artifact's folder, and no link out of it."""
    folder = artifact.parent

    def read_named(name: str) -> bytes:
        path = folder / name
        if os.path.dirname(os.path.realpath(path)) != os.path.realpath(folder):
            raise InvalidInput("TLC404", "must name a file of the folder", got=ascii(name[:80]))
        return read_bytes(path)

    return Files(str(artifact), read_named, read_data=data_beside(folder))
