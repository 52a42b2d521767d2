"""Files that an artifact names: beside it, or in its bundle. Every one that is read is hashed.

Artifacts name files by paths of the machine they were made on; only the last part counts, and only the artifact's own
folder is looked in. ``sources`` is what a claim was read from: name -> SHA-256 of the unpacked content.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tlcheck.errors import InvalidInput
from tlcheck.readers.bytes import read_bytes, sha256_hex


@dataclass
class Files:
    """``read_named`` gives the unpacked content of a file by its plain name. ``where`` names the artifact in errors."""

    where: str
    read_named: Callable[[str], bytes]
    sources: dict[str, str] = field(default_factory=dict)

    def read(self, name: str, field: str = "", sha256: str = "") -> bytes:
        """The file that the artifact calls ``name``. Raises InvalidInput: TLC404 not a file name, TLC402 not there,
        TLC103 when the artifact says another ``sha256``."""
        plain = PurePosixPath(name.replace("\\", "/")).name
        if not plain or plain == ".." or not plain.isprintable():
            raise InvalidInput("TLC404", "not the name of a file", field=field, got=ascii(name[:80]))
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

    def given(self, path: Path | None, role: str) -> bytes | None:
        """The content of a file that the user named (``--model``, ``--property``); None when there is none."""
        if path is None:
            return None
        data = read_bytes(path)
        self.sources[role] = sha256_hex(data)
        return data


def beside(artifact: Path) -> Files:
    """The files in the artifact's folder, and no link out of it."""
    folder = artifact.parent

    def read_named(name: str) -> bytes:
        path = folder / name
        if os.path.dirname(os.path.realpath(path)) != os.path.realpath(folder):
            raise InvalidInput("TLC404", "must name a file of the folder", got=ascii(name[:80]))
        return read_bytes(path)

    return Files(str(artifact), read_named)
