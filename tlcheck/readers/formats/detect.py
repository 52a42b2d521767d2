"""Which format a path is, by its content; and reading it. One table: a format that is not in it is not read.

In a folder, every entry is a certificate, or a problem (it says, or its name or its content says for it, that it is a
certificate, and it is none), or is passed over. Nothing is left out: what is passed over is counted in the report.
"""

from __future__ import annotations

import difflib
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_MANIFEST_BYTES
from tlcheck.options import Options
from tlcheck.readers.artifacts import ARTIFACTS, SUFFIXES, load_artifact, look
from tlcheck.readers.bundle.manifest import FORMAT, MANIFEST
from tlcheck.readers.bundle.store import Store, open_store
from tlcheck.readers.kinds import kind_of, refusal, sample_of
from tlcheck.readers.loaded import LoadedClaim, read_by

Reader = Callable[[Path, Options], Sequence[LoadedClaim]]

DUMP = "certificate.json"
ARRAYS = "arrays.safetensors"
"""As tlcheck calls the evidence of a bundle."""
BUNDLE_ARRAYS = (b'tree/kind"', b'leaves/constraint_ptr"')
"""Ends of the names that the arrays of every proof in a bundle have, as a safetensors header has them."""
DUMP_ARRAYS = "leaf_lb.npy"
"""An array that every dump of alpha,beta-CROWN has."""
_COPY = re.compile(
    r"(?i)\.tlcert[ ._-]?(?:\(?\d+\)?|gz|xz|bz2|zst|zip|7z|tar|tar\.\w+|tgz|bak|backup|old|orig|copy|save|swp|te?mp|"
    r"part|partial|crdownload|download|disabled|off|~)$"
)
"""Names of a bundle that was packed, copied aside, or not written to its end."""


@dataclass(frozen=True)
class Survey:
    """What is at or under a path, each entry once, sorted."""

    certificates: tuple[Path, ...] = ()
    problems: tuple[tuple[Path, InvalidInput], ...] = ()
    passed: tuple[Path, ...] = ()


def is_certificate(path: Path) -> bool:
    """``path`` looks like a certificate of some format (it may still be malformed)."""
    return recognise(path)[0] is not None


def read_certificate(path: Path, options: Options) -> tuple[str, Sequence[LoadedClaim]]:
    """(format, claims); the format is ``options.input_format`` or else what the content says. Raises InvalidInput."""
    name, problem = (options.input_format, None) if options.input_format else recognise(path)
    if problem is not None:
        raise problem
    if name is None:
        raise refusal(path, "certificate", "TLC102")
    if name not in FORMATS:
        raise InvalidInput(
            "TLC102",
            "no format of certificates",
            file=str(path),
            expected="a format of `tlcheck formats`",
            got=name,
        )
    if name in READERS:
        return name, READERS[name](path, options)
    return name, load_artifact(path, options, name)


def recognise(path: Path) -> tuple[str | None, InvalidInput | None]:
    """(format, problem); both None for what is passed over in a folder."""
    if path.name.lower().endswith(".tlcert"):
        return "tlcert", None
    try:
        if os.path.isdir(path):
            return _folder(path)
        if os.path.isfile(path) and (found := _archive(path)) != (None, None):
            return found
    except OSError as error:
        reason = f"cannot read it: {error.strerror or error}"
        return None, InvalidInput("TLC402", reason, file=str(path))
    found = look(path)
    if found == (None, None) and os.path.isfile(path) and _COPY.search(path.name):
        message = "a bundle by its name, packed or cut short: unpack it, or take it out of the folder"
        return None, InvalidInput("TLC102", message, file=str(path), expected="a name in .tlcert")
    return found


def _folder(path: Path) -> tuple[str | None, InvalidInput | None]:
    """A bundle, a dump, a folder that was one, or any other. Raises OSError."""
    names = os.listdir(path)
    if DUMP in names and look(path / DUMP)[0] is None:
        return "abcrown-dump", None
    if MANIFEST in names:
        with open(path / MANIFEST, "rb") as stream:
            if FORMAT.encode() in stream.read(MAX_MANIFEST_BYTES):
                return "tlcert", None
    for name in sorted(names, key=lambda n: ("manifest" not in n.lower(), n)):
        if (lost := _part_of_certificate(path / name)) is not None:
            return None, InvalidInput("TLC101", lost, file=str(path))
    return None, None


def _part_of_certificate(path: Path) -> str | None:
    """Why the folder of this file must have been a bundle or a dump; None when it need not."""
    if not os.path.isfile(path):
        return None
    try:
        sample = sample_of(path)
    except OSError:
        return None  # said where the folder's entries are looked at
    kind = kind_of(sample)
    is_json = sample.text.lstrip("\ufeff \t\r\n").startswith("{")  # not a text about manifests
    # A file that is called as certificates are is a problem itself.
    if kind == "manifest" and is_json and not path.name.lower().endswith(SUFFIXES):
        return (
            f"a bundle's folder without {MANIFEST}: {path.name} has a manifest's content; name it {MANIFEST}"
        )
    if kind == "safetensors" and (path.name == ARRAYS or any(n in sample.head for n in BUNDLE_ARRAYS)):
        return f"a bundle's folder without {MANIFEST}: {path.name} holds the evidence of a proof"
    if kind == "npz" and DUMP_ARRAYS in sample.names:
        return f"an alpha,beta-CROWN dump without {DUMP}: {path.name} holds its arrays"
    return None


def _archive(path: Path) -> tuple[str | None, InvalidInput | None]:
    """A zip with a bundle's manifest is a bundle, whatever its name. Raises OSError."""
    with open(path, "rb") as stream:
        if stream.read(4) != b"PK\3\4":
            return None, None
    try:
        store = open_store(path)
    except InvalidInput as error:
        return None, error if kind_of(sample_of(path)) == "bundle" else None
    if _is_manifest(store, MANIFEST):
        return "tlcert", None
    inner = sorted(
        name
        for name in store.sizes
        if (name.endswith(f"/{MANIFEST}") and _is_manifest(store, name)) or name.lower().endswith(".tlcert")
    )
    if inner:
        return None, InvalidInput(
            "TLC101", f"a zip with a bundle in it, at {inner[0]}: unpack it, or zip what is in the bundle's folder",
            file=str(path),
        )  # fmt: skip
    lost = sorted(name for name in store.sizes if name.rpartition("/")[2] == ARRAYS)
    if lost:
        return None, InvalidInput(
            "TLC101", f"a zip of a bundle without its {MANIFEST}: {lost[0]} holds the evidence of a proof", file=str(path)
        )  # fmt: skip
    return None, None


def _is_manifest(store: Store, name: str) -> bool:
    try:
        return name in store.sizes and FORMAT.encode() in bytes(store.view(name)[: 1 << 16])
    except InvalidInput:
        return True  # what cannot be unpacked is not passed over


def survey(path: Path) -> Survey:
    """``path`` itself if it is a certificate (or a file), else what is below it. Raises TLC402: nothing there."""
    if not check_there(path):
        return Survey((path,))
    return _Walk().run(path)


def check_there(path: Path) -> bool:
    """Whether ``path`` is a folder. Raises TLC402: nothing is there, or a folder above it that may not be entered."""
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except FileNotFoundError:
        raise InvalidInput("TLC402", "no such file or folder" + _similar(path), file=str(path)) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise InvalidInput(
            "TLC402", f"cannot look there: {reason}", file=str(path), expected=_closed(path)
        ) from error


def _similar(path: Path) -> str:
    """What may have been meant: the entry of the folder whose name is nearest."""
    try:
        names = os.listdir(path.parent)
    except OSError:
        return f"; there is no folder {path.parent}"
    near = difflib.get_close_matches(path.name, names, 1)
    return f"; did you mean {path.parent / near[0]}?" if near else ""


def _closed(path: Path) -> str:
    """The outermost folder on the way to ``path`` that cannot be entered."""
    for parent in reversed(path.parents):
        try:
            os.stat(os.path.join(parent, "."))
        except (OSError, ValueError):
            return f"a folder that may be entered at {parent}"
    return "a path that can be followed"


class _Walk:
    """One pass over a folder and all below it, in the order of names; links to folders are not followed."""

    def __init__(self) -> None:
        self.certificates: list[Path] = []
        self.problems: list[tuple[Path, InvalidInput]] = []
        self.passed: list[Path] = []

    def run(self, root: Path) -> Survey:
        waiting = [root]
        while waiting:
            waiting += reversed(list(self._entries(waiting.pop())))
        problems = sorted(self.problems, key=lambda problem: problem[0])
        return Survey(tuple(sorted(self.certificates)), tuple(problems), tuple(sorted(self.passed)))

    def _entries(self, path: Path) -> Iterator[Path]:
        """Files ``path``; the entries of a folder that is no certificate."""
        name, problem = recognise(path)
        if name is not None:
            self.certificates.append(path)
            return
        if problem is not None:
            self.problems.append((path, problem))
        try:
            if os.path.isdir(path):
                yield from sorted(filter(self._enters, path.iterdir()))
            elif problem is None:
                self.passed.append(path)
        except OSError as error:
            if problem is None:
                reason = f"cannot read the folder: {error.strerror}"
                self.problems.append((path, InvalidInput("TLC402", reason, file=str(path))))

    def _enters(self, entry: Path) -> bool:
        """Whether there is something to look at: else ``entry`` is filed at once."""
        try:
            mode = os.stat(entry).st_mode
        except OSError as error:
            dangling = os.path.islink(entry) and isinstance(error, FileNotFoundError)
            if dangling and not entry.name.lower().endswith((".tlcert", *SUFFIXES)):
                self.passed.append(entry)
            else:
                reason = f"cannot read it: {error.strerror}"
                self.problems.append((entry, InvalidInput("TLC402", reason, file=str(entry))))
            return False
        if stat.S_ISDIR(mode) and os.path.islink(entry) and recognise(entry) == (None, None):
            self.passed.append(entry)
            return False
        return True


def _read_bundle(path: Path, options: Options) -> Sequence[LoadedClaim]:
    from tlcheck.readers.bundle.read import load_bundle

    return load_bundle(path, options.model, options.property, options)


def _read_dump(path: Path, options: Options) -> Sequence[LoadedClaim]:
    from tlcheck.readers.formats import abcrown

    return read_by(abcrown.__name__, lambda: abcrown.load_dump(path, options.model, options.property))


READERS: dict[str, Reader] = {"tlcert": _read_bundle, "abcrown-dump": _read_dump}
FORMATS: tuple[str, ...] = (*READERS, *ARTIFACTS)
