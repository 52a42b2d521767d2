"""Which format a path is, by its content; and reading it. One table: a format that is not in it is not read."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from tlcheck.errors import InvalidInput
from tlcheck.readers.loaded import LoadedClaim

Reader = Callable[[Path, Path | None, Path | None], Sequence[LoadedClaim]]


def is_certificate(path: Path) -> bool:
    """``path`` looks like a certificate of some format (it may still be malformed)."""
    return _format_of(path) is not None


def read_certificate(path: Path, model: Path | None, prop: Path | None) -> tuple[str, Sequence[LoadedClaim]]:
    """(format, claims). Raises InvalidInput."""
    name = _format_of(path)
    if name is None:
        raise InvalidInput(
            "TLC102",
            "not a certificate that tlcheck knows",
            file=str(path),
            expected="a .tlcert bundle or a folder with an alpha,beta-CROWN dump",
        )
    return name, READERS[name](path, model, prop)


def _format_of(path: Path) -> str | None:
    if path.name.endswith(".tlcert"):
        return "tlcert"
    if os.path.isdir(path) and os.path.lexists(path / "certificate.json"):
        return "abcrown-dump"
    return None


def _read_bundle(path: Path, model: Path | None, prop: Path | None) -> Sequence[LoadedClaim]:
    from tlcheck.readers.bundle import load_bundle

    return load_bundle(path, model, prop)


def _read_dump(path: Path, model: Path | None, prop: Path | None) -> Sequence[LoadedClaim]:
    from tlcheck.readers.abcrown import load_dump

    return load_dump(path, model, prop)


READERS: dict[str, Reader] = {"tlcert": _read_bundle, "abcrown-dump": _read_dump}
