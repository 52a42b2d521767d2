"""Which format a path is, by its content; and reading it. One table: a format that is not in it is not read."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.readers.artifacts import ARTIFACTS, artifact_format, load_artifact
from tlcheck.readers.loaded import LoadedClaim

Reader = Callable[[Path, Options], Sequence[LoadedClaim]]


def is_certificate(path: Path) -> bool:
    """``path`` looks like a certificate of some format (it may still be malformed)."""
    return _format_of(path) is not None


def read_certificate(path: Path, options: Options) -> tuple[str, Sequence[LoadedClaim]]:
    """(format, claims); the format is ``options.input_format`` or else what the content says. Raises InvalidInput."""
    name = options.input_format or _format_of(path)
    if name is None or name not in FORMATS:
        raise InvalidInput(
            "TLC102",
            "not a certificate that tlcheck knows",
            file=str(path),
            expected="a format of `tlcheck formats`",
            got="" if name is None else name,
        )
    if name in READERS:
        return name, READERS[name](path, options)
    return name, load_artifact(path, options, name)


def _format_of(path: Path) -> str | None:
    if path.name.endswith(".tlcert"):
        return "tlcert"
    if os.path.isdir(path):
        return "abcrown-dump" if os.path.lexists(path / "certificate.json") else None
    return artifact_format(path)


def _read_bundle(path: Path, options: Options) -> Sequence[LoadedClaim]:
    from tlcheck.readers.bundle import load_bundle

    return load_bundle(path, options.model, options.property, options)


def _read_dump(path: Path, options: Options) -> Sequence[LoadedClaim]:
    from tlcheck.readers.abcrown import load_dump

    return load_dump(path, options.model, options.property)


READERS: dict[str, Reader] = {"tlcert": _read_bundle, "abcrown-dump": _read_dump}
FORMATS: tuple[str, ...] = (*READERS, *ARTIFACTS)
