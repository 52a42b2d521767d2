"""Files to bytes: sizes are checked before reading, gzip is undone within a limit.

When :func:`read_bytes` returns, the value is the whole content of a regular file, unpacked if the file was
gzip, and at most ``limit`` bytes long. Whether a file is gzip is decided by its first two bytes, never by its
name. A file that is gzip inside gzip is unpacked once.
"""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tlcheck.errors import InvalidInput
from tlcheck.limits import BOMB_BYTES, MAX_FILE_BYTES, MAX_PLAUSIBLE_RATIO, MAX_UNPACKED_BYTES, MIB
from tlcheck.readers.kinds import refusal

_GZIP_MAGIC: Final = b"\x1f\x8b"
_CHUNK: Final = 4 * MIB


def read_bytes(path: str | os.PathLike[str], *, limit: int = MAX_FILE_BYTES) -> bytes:
    """The content of the file, gunzipped when it is gzip; at most ``limit`` bytes, packed and unpacked.

    Raises InvalidInput: TLC402 no such regular file or no permission, TLC401 too large, TLC403 corrupt gzip.
    """
    return gunzip_if_packed(read_stored_bytes(path, limit=limit), limit=limit, file=os.fspath(path))


def read_stored_bytes(path: str | os.PathLike[str], *, limit: int = MAX_FILE_BYTES) -> bytes:
    """The bytes as stored (what a SHA-256 in a manifest speaks of); TLC402 or TLC401 as in ``read_bytes``."""
    name = os.fspath(path)
    try:
        mode = os.stat(name).st_mode
        if stat.S_ISDIR(mode):
            raise refusal(name, "file", "TLC402")
        if not stat.S_ISREG(mode):  # a pipe or a device could block or never end
            raise InvalidInput("TLC402", "not a regular file", file=name)
        with open(name, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            _check_size(size, limit, name)
            data = stream.read(size + 1)  # never ``limit``: read() allocates what it is asked for
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise InvalidInput("TLC402", f"cannot read the file: {reason}", file=name) from error
    if len(data) > size:
        raise InvalidInput("TLC402", "the file grew while it was read", file=name)
    note_read(name)
    return data


@contextmanager
def noting_reads() -> Iterator[set[str]]:
    """Gives a set that gets the real path of every file that is read inside the block, by this process."""
    noted: set[str] = set()
    _NOTED.append(noted)
    try:
        yield noted
    finally:
        _NOTED.pop()


def note_read(path: str | os.PathLike[str]) -> None:
    """Whoever opens an input file in another way than the functions here says so."""
    for noted in _NOTED:
        noted.add(os.path.realpath(path))


_NOTED: Final[list[set[str]]] = []


def gunzip_if_packed(data: bytes, *, limit: int = MAX_UNPACKED_BYTES, file: str = "") -> bytes:
    """``data`` itself, or what it unpacks to when it starts as gzip does (all members, zero padding allowed).

    Unpacking stops as soon as the content exceeds ``limit`` or MAX_UNPACKED_BYTES (TLC401); a member that ends
    early, fails its CRC or length, or is followed by anything but a member or zeros is TLC403.
    """
    if not data.startswith(_GZIP_MAGIC):
        return data
    limit = min(limit, MAX_UNPACKED_BYTES)
    chunks: list[bytes] = []
    size = 0
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data), mode="rb") as stream:
            while chunk := stream.read(min(_CHUNK, limit - size + 1)):
                size += len(chunk)
                _check_size(size, limit, file, what="unpacked content")
                check_plausible(size, len(data), file)
                chunks.append(chunk)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InvalidInput("TLC403", f"truncated or corrupt gzip data: {error}", file=file) from error
    return b"".join(chunks)


def without_mark(data: bytes, code: str, file: str = "") -> bytes:
    """A text without the UTF-8 byte order mark that some editors write before it, which means nothing.

    Raises InvalidInput ``code`` for the marks of UTF-16 and UTF-32: these bytes are no UTF-8.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")):
        raise InvalidInput(
            code,
            "text in UTF-16 or UTF-32; save it as UTF-8",
            file=file,
            expected="UTF-8",
            got="byte order mark",
        )
    return data.removeprefix(codecs.BOM_UTF8)


def sha256_hex(data: bytes) -> str:
    """The SHA-256 of ``data``, as 64 lower-case hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def check_plausible(unpacked: int, packed: int, file: str) -> None:
    """Refuse (TLC401) what unpacks to far more than real models, properties and proofs do."""
    if unpacked > BOMB_BYTES and unpacked > MAX_PLAUSIBLE_RATIO * packed:
        raise InvalidInput(
            "TLC401",
            "compression ratio of a bomb",
            file=file,
            expected=f"at most {MAX_PLAUSIBLE_RATIO}:1 above {BOMB_BYTES} bytes",
        )


def _check_size(size: int, limit: int, file: str, *, what: str = "file") -> None:
    if size > limit:
        raise InvalidInput(
            "TLC401",
            f"{what} is too large",
            file=file,
            expected=f"at most {limit} bytes",
            got=f"{size} bytes" if what == "file" else f"more than {limit} bytes",
        )
