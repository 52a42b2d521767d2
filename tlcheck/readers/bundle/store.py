"""A bundle's files, in a folder or a zip: their names and sizes first, their bytes only on request.

When :func:`open_store` returns: every name is a plain relative path; there are no links, no duplicates, no encrypted
members; number, sizes and compression ratios are within the limits of limits.py. Nothing was unpacked or allocated
for it. A zip is read by its central directory alone, without ZIP64 and without anything before or after.
"""

from __future__ import annotations

import mmap
import os
import stat
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_BUNDLE_BYTES, MAX_UNPACK_RATIO, MAX_UNPACKED_BYTES, MAX_ZIP_MEMBERS
from tlcheck.readers.bundle.manifest import MAX_NAME, check_name
from tlcheck.readers.bytes import check_plausible

_END: Final = struct.Struct("<4s4H2LH")
_CENTRAL: Final = struct.Struct("<4s6H3L5H2L")
_LOCAL: Final = struct.Struct("<4s5H3L2H")
_STORED, _DEFLATED = 0, 8
_ENCRYPTED: Final = 0x0001 | 0x0040 | 0x2000
_UNIX: Final = 3
_MAX_CENTRAL: Final = MAX_ZIP_MEMBERS * (46 + MAX_NAME + 256)
"""Largest central directory: names and 256 bytes of extra fields each."""


class Store(Protocol):
    """``sizes``: the unpacked length of every file."""

    @property
    def sizes(self) -> Mapping[str, int]: ...

    def view(self, name: str) -> memoryview:
        """The file's bytes, memory-mapped where they are stored plainly. Raises TLC402, TLC403."""


def open_store(path: Path) -> Store:
    """The bundle at ``path``. Raises InvalidInput: TLC401 to TLC404."""
    return _open_folder(path) if path.is_dir() else _open_zip(path)


def _map_file(path: Path) -> memoryview:
    """A regular file's bytes, not through a link. Raises TLC402, TLC404."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0))
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise InvalidInput("TLC402", "not a regular file", file=str(path))
            if status.st_size == 0:
                return memoryview(b"")
            return memoryview(mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ))
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InvalidInput("TLC402", f"cannot read the file: {reason}", file=str(path)) from error


def _check_total(total: int, file: str) -> None:
    if total > MAX_BUNDLE_BYTES:
        raise InvalidInput(
            "TLC401",
            "the bundle's files are too large",
            file=file,
            expected=f"at most {MAX_BUNDLE_BYTES} bytes",
            got=str(total),
        )


def _check_count(count: int, file: str) -> None:
    if count > MAX_ZIP_MEMBERS:
        raise InvalidInput(
            "TLC401",
            "too many files in the bundle",
            file=file,
            expected=f"at most {MAX_ZIP_MEMBERS}",
            got=str(count),
        )


# folders


@dataclass(frozen=True)
class _Folder:
    root: Path
    sizes: Mapping[str, int]

    def view(self, name: str) -> memoryview:
        return _map_file(self.root / name)


def _open_folder(root: Path) -> _Folder:
    sizes: dict[str, int] = {}
    folders = [""]
    seen = 0
    while folders:
        inner = folders.pop()
        try:
            with os.scandir(root / inner) as entries:
                for entry in entries:
                    seen += 1
                    _check_count(seen, str(root))
                    _add_entry(entry, inner + entry.name, sizes, folders, str(root))
        except OSError as error:
            raise InvalidInput(
                "TLC402", f"cannot read the folder: {error.strerror}", file=str(root)
            ) from error
    _check_total(sum(sizes.values()), str(root))
    return _Folder(root, sizes)


def _add_entry(
    entry: os.DirEntry[str], name: str, sizes: dict[str, int], folders: list[str], file: str
) -> None:
    check_name(name, file, "file name")
    if entry.is_symlink():
        raise InvalidInput(
            "TLC404", "a symbolic link in a bundle", file=file, field=name, expected="a regular file"
        )
    if entry.is_dir(follow_symlinks=False):
        folders.append(name + "/")
    elif entry.is_file(follow_symlinks=False):
        sizes[name] = entry.stat(follow_symlinks=False).st_size
    else:
        raise InvalidInput("TLC402", "not a regular file", file=file, field=name)


# zips


@dataclass(frozen=True)
class _Member:
    name: str
    method: int
    crc: int
    packed: int
    size: int
    header: int


@dataclass(frozen=True)
class _Zip:
    file: str
    data: memoryview
    sizes: Mapping[str, int]
    members: Mapping[str, _Member]
    starts: Mapping[str, int]

    def view(self, name: str) -> memoryview:
        member, start = self.members[name], self.starts[name]
        packed = self.data[start : start + member.packed]
        content = packed if member.method == _STORED else memoryview(_inflate(packed, member, self.file))
        if zlib.crc32(content) != member.crc:
            raise InvalidInput("TLC403", "corrupt zip: wrong CRC", file=self.file, field=name)
        return content


def _inflate(packed: memoryview, member: _Member, file: str) -> bytes:
    unpack = zlib.decompressobj(-15)
    try:
        content = unpack.decompress(packed, member.size + 1)
    except zlib.error as error:
        raise InvalidInput("TLC403", f"corrupt zip: {error}", file=file, field=member.name) from None
    if len(content) != member.size or not unpack.eof or unpack.unused_data:
        raise InvalidInput(
            "TLC403", "corrupt zip: sizes differ from the directory", file=file, field=member.name
        )
    return content


def _open_zip(path: Path) -> _Zip:
    file = str(path)
    data = _map_file(path.resolve() if path.is_symlink() else path)
    count, directory = _end_of(data, file)
    members: dict[str, _Member] = {}
    at = directory
    for _ in range(count):
        member, at = _central(data, at, file)
        if member is None:
            continue
        if member.name in members:
            raise InvalidInput("TLC403", "duplicate member in the zip", file=file, field=member.name)
        members[member.name] = member
    if at != len(data) - _END.size:
        raise _bad_zip("the central directory has another length", file)
    sizes = {name: member.size for name, member in members.items()}
    _check_total(sum(sizes.values()), file)
    check_plausible(sum(sizes.values()), len(data), file)
    return _Zip(file, data, sizes, members, _starts(data, members, directory, file))


def _bad_zip(message: str, file: str, field: str = "") -> InvalidInput:
    return InvalidInput("TLC403", f"truncated or corrupt zip: {message}", file=file, field=field)


def _end_of(data: memoryview, file: str) -> tuple[int, int]:
    """(number of entries, offset of the central directory)."""
    if len(data) < _END.size or bytes(data[:2]) != b"PK":
        raise _bad_zip("not a zip file", file)
    signature, disk, first, here, count, size, offset, comment = _END.unpack(data[-_END.size :])
    if signature != b"PK\5\6" or comment:
        raise _bad_zip("it does not end in an end record without comment", file)
    if count == 0xFFFF or 0xFFFFFFFF in (size, offset):
        raise InvalidInput("TLC401", "a ZIP64 file (4 GiB or more): use a folder", file=file)
    _check_count(count, file)
    if disk or first or here != count or size > _MAX_CENTRAL or offset + size != len(data) - _END.size:
        raise _bad_zip("the end record does not fit the file", file)
    return count, offset


def _central(data: memoryview, at: int, file: str) -> tuple[_Member | None, int]:
    """The central directory entry at ``at`` (None: a folder), and where the next one starts."""
    if at + _CENTRAL.size > len(data):
        raise _bad_zip("the central directory ends early", file)
    (
        signature,
        made,
        _,
        flags,
        method,
        _,
        _,
        crc,
        packed,
        size,
        name_size,
        extra,
        comment,
        _,
        _,
        attributes,
        header,
    ) = _CENTRAL.unpack(data[at : at + _CENTRAL.size])
    after = at + _CENTRAL.size
    end = after + name_size + extra + comment
    if signature != b"PK\1\2" or end > len(data):
        raise _bad_zip("bad central directory entry", file)
    name = _name(data[after : after + name_size], file)
    kind = stat.S_IFMT(attributes >> 16)
    if kind == stat.S_IFLNK:
        raise InvalidInput("TLC404", "a symbolic link in a bundle", file=file, field=name)
    if made >> 8 == _UNIX and kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise InvalidInput("TLC404", "a special file in a bundle", file=file, field=name)
    if name.endswith("/") and size == 0:
        check_name(name[:-1], file, "member name")
        return None, end
    check_name(name, file, "member name")
    member = _Member(name, method, crc, packed, size, header)
    _check_member(member, flags, file)
    return member, end


def _name(raw: memoryview, file: str) -> str:
    try:
        return bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidInput(
            "TLC404", "a member name that is not UTF-8", file=file, got=ascii(bytes(raw[:80]))
        ) from None


def _check_member(member: _Member, flags: int, file: str) -> None:
    if flags & _ENCRYPTED:
        raise InvalidInput("TLC403", "encrypted member", file=file, field=member.name)
    if member.method not in (_STORED, _DEFLATED):
        raise InvalidInput(
            "TLC403",
            "unsupported compression",
            file=file,
            field=member.name,
            expected="stored or deflate",
            got=str(member.method),
        )
    if member.method == _STORED and member.packed != member.size:
        raise _bad_zip("stored member of two sizes", file, member.name)
    if member.method == _DEFLATED and member.size > MAX_UNPACKED_BYTES:
        raise InvalidInput(
            "TLC401",
            "member unpacks to too much",
            file=file,
            field=member.name,
            expected=f"at most {MAX_UNPACKED_BYTES} bytes",
            got=str(member.size),
        )
    if member.size > max(1, member.packed) * MAX_UNPACK_RATIO:
        raise InvalidInput(
            "TLC401",
            "compression ratio of a bomb",
            file=file,
            field=member.name,
            expected=f"at most {MAX_UNPACK_RATIO}:1",
        )


def _starts(data: memoryview, members: Mapping[str, _Member], directory: int, file: str) -> dict[str, int]:
    """Where each member's data start; local headers agree with the directory, and members do not overlap."""
    starts: dict[str, int] = {}
    free = 0
    for member in sorted(members.values(), key=lambda m: m.header):
        fixed = member.header + _LOCAL.size
        if member.header < free or fixed > directory:
            raise _bad_zip("members overlap or lie outside", file, member.name)
        signature, _, flags, method, _, _, _, _, _, name_size, extra = _LOCAL.unpack(
            data[member.header : fixed]
        )
        same = signature == b"PK\3\4" and method == member.method and not flags & _ENCRYPTED
        if not same or bytes(data[fixed : fixed + name_size]) != member.name.encode("utf-8"):
            raise _bad_zip("local header and directory differ", file, member.name)
        starts[member.name] = fixed + name_size + extra
        free = starts[member.name] + member.packed
        if free > directory:
            raise _bad_zip("member data end outside", file, member.name)
    return starts
