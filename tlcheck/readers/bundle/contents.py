"""The files of a bundle: each has the role and the SHA-256 that the manifest gives it, and is read as these very bytes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_FILE_BYTES
from tlcheck.readers.bundle.manifest import Manifest, role_of
from tlcheck.readers.bundle.store import Store
from tlcheck.readers.bytes import gunzip_if_packed, sha256_hex
from tlcheck.readers.data_files import ReadData

Sources = dict[str, str]


def checked_view(path: Path, store: Store, manifest: Manifest, name: str) -> memoryview:
    """The file's stored bytes, if they have the manifest's hash."""
    view = store.view(name)
    compare(manifest.files[name].sha256, hashlib.sha256(view).hexdigest(), str(path), name)
    return view


def compare(expected: str, found: str, file: str, field: str) -> None:
    if expected != found:
        raise InvalidInput(
            "TLC103",
            "not the file the certificate was made for (SHA-256)",
            file=file,
            field=field,
            expected=expected,
            got=found,
        )


@dataclass(frozen=True, eq=False)
class Contents:
    """``sha256`` is of the manifest, whose hashes the store's files have."""

    path: Path
    store: Store
    manifest: Manifest
    sha256: str

    @property
    def producer(self) -> str:
        return f"{self.manifest.producer.name} {self.manifest.producer.version}".strip()

    def where(self, name: str) -> str:
        return f"{self.path}/{name}"

    def content(self, name: str) -> bytes:
        """The file's bytes, unpacked, bound to the manifest's hashes (again: the file could have changed since)."""
        stored = self.stored(name)
        expected = self.manifest.files[name].unpacked_sha256
        data = gunzip_if_packed(stored, limit=MAX_FILE_BYTES, file=self.where(name))
        if expected is not None:
            compare(expected, sha256_hex(data), str(self.path), f"{name} (unpacked)")
        return data

    def stored(self, name: str) -> bytes:
        stored = bytes(self.store.view(name))
        compare(self.manifest.files[name].sha256, sha256_hex(stored), str(self.path), name)
        return stored

    def listed(self, name: str) -> bytes:
        """The content of a file that an artifact names."""
        if name not in self.manifest.files:
            raise InvalidInput("TLC402", "no such file in the bundle", got=ascii(name[:80]))
        return self.content(name)

    def data_beside(self, model: str) -> ReadData:
        """Files of the bundle in the folder of the model."""

        def read(name: str) -> bytes:
            path = (PurePosixPath(model).parent / name).as_posix()
            if path not in self.manifest.files:
                raise InvalidInput(
                    "TLC205", "external data that the bundle does not hold", got=ascii(path[:80])
                )
            role = role_of(self.manifest, path)
            if role is not None:
                raise InvalidInput(
                    "TLC101", "a file in two roles", expected=role, got=f"weights of {model[:80]!a}"
                )
            return self.stored(path)

        return read
