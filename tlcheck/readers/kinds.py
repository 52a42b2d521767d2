"""What a file is, by its first bytes and its content, never by its name: for the messages that refuse it.

One table, KINDS: how a kind is recognised, what it is called, and what to do with it where something else was wanted.
Nothing is believed of what is found here: a verdict rests on no kind, only the words of a refusal do, and which files
of a folder are passed over. At most HEAD bytes at either end of a file are read; nothing is unpacked beyond that.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import stat
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tlcheck.errors import InvalidInput

HEAD: Final = 1 << 16

WANTED: Final = {
    "certificate": "a certificate",
    "model": "an ONNX model",
    "property": "a VNN-LIB property",
    "witness": "a witness",
    "pde": "a differential equation (TOML, tlcheck.pde/1)",
    "stability": "a stability claim (tlcheck.stability/1)",
    "lock": "a lock file",
    "file": "a file",
    "folder": "a folder",
}
"""What a command wanted, in words."""


@dataclass(frozen=True)
class Sample:
    """``head``: the first bytes, unpacked when the file is gzip; ``tail``: the last ones as stored. ``names``: of a
    folder's entries, or of a zip's members as far as they were seen. ``size``: of the unpacked content, -1 unknown."""

    file: str
    head: bytes = b""
    tail: bytes = b""
    names: tuple[str, ...] = ()
    size: int = -1
    folder: bool = False
    packed: bool = False

    @property
    def text(self) -> str:
        """The head as text without a byte order mark; empty when it is none."""
        data = self.head.removeprefix(b"\xef\xbb\xbf")
        if b"\0" in data:
            return ""
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as error:
            return data[: error.start].decode("utf-8") if error.start + 4 > len(data) >= HEAD - 4 else ""


@dataclass(frozen=True)
class Kind:
    """``noun`` says what it is; ``advice`` what to do with it, by what was wanted ("" for all else).

    ``plain`` kinds say so little that a reader's own message is better.
    """

    noun: str
    recognise: Callable[[Sample], bool]
    advice: Mapping[str, str]
    plain: bool = False

    def next(self, wanted: str, file: str) -> str:
        """What to do, with the file's name in it."""
        text = self.advice.get(wanted, self.advice.get("", ""))
        return text.replace("{file}", shlex.quote(file) if file else "FILE")


# Recognition.


def _begins(*magic: bytes) -> Callable[[Sample], bool]:
    return lambda s: s.head.startswith(magic)


def _says(pattern: str) -> Callable[[Sample], bool]:
    found = re.compile(pattern)
    return lambda s: found.match(s.text) is not None


def _holds(*names: str) -> Callable[[Sample], bool]:
    """A folder with an entry of one of these names."""
    return lambda s: s.folder and any(name in s.names for name in names)


def _zip_with(test: Callable[[str], bool]) -> Callable[[Sample], bool]:
    return lambda s: s.head.startswith(b"PK\3\4") and any(map(test, s.names))


def _is_tar(s: Sample) -> bool:
    """The checksum of a first header, which every variant of the format has."""
    block = s.head[:512]
    if len(block) < 512 or not block.strip(b"\0"):
        return False
    try:
        stored = int(block[148:156].strip(b" \0") or b"0", 8)
    except ValueError:
        return False
    return stored == sum(block[:148]) + 8 * 32 + sum(block[156:])


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 64:
        value |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 128:
            return value, at
    raise ValueError


def _fields(s: Sample) -> Iterator[tuple[int, int, int]]:
    """(number, wire type, value or length) of the protobuf fields that begin in the head. Raises ValueError."""
    at = 0
    while at < len(s.head):
        key, at = _varint(s.head, at)
        value, at = _varint(s.head, at)
        if key & 7 == 2:
            at += value
        elif key & 7 != 0:
            raise ValueError
        if 0 <= s.size < at:
            raise ValueError
        yield key >> 3, key & 7, value


def _protobuf(wire: Mapping[int, int]) -> Callable[[Sample], set[int]]:
    """The numbers of the fields, if each is in ``wire`` with its type; else none."""

    def numbers(s: Sample) -> set[int]:
        found = set()
        try:
            for number, kind, _ in _fields(s):
                if wire.get(number) != kind:
                    return set()
                found.add(number)
        except ValueError:
            return set()
        return found

    return numbers


_ONNX_FIELDS: Final = _protobuf({1: 0, 2: 2, 3: 2, 4: 2, 5: 0, 6: 2, 7: 2, 8: 2, 14: 2, 20: 2, 25: 2, 26: 2})
"""ModelProto: ir_version, producer, ..., graph (7), opset_import (8), ..."""
_SAVED_MODEL_FIELDS: Final = _protobuf({1: 0, 2: 2})
"""TensorFlow's SavedModel: schema version, then graphs."""


def _is_onnx(s: Sample) -> bool:
    return (not s.folder and {1, 7} <= (found := _ONNX_FIELDS(s))) or {7, 8} <= found


def _is_saved_model(s: Sample) -> bool:
    return s.head.startswith(b"\x08\x01\x12") and _SAVED_MODEL_FIELDS(s) == {1, 2}


def _is_safetensors(s: Sample) -> bool:
    length = int.from_bytes(s.head[:8], "little")
    return len(s.head) > 9 and s.head[8:9] == b"{" and 2 <= length <= 1 << 28 and not s.folder


_BLANK: Final = r"(?:[ \t\r\n]++|;[^\n]*+\n?)*+"
_VNNLIB: Final = (
    _BLANK + r"\([ \t\r\n]*+(?:declare-|define-|assert\b|vnnlib-version|set-(?:logic|info|option)|check-sat)"
)
_ANSWER: Final = r"unsat|sat|safe|unsafe|verified|unverified|falsified|certified|robust|holds|violated|unknown|time-?d?-?out"
_LOG: Final = re.compile(
    rf"(?i)\W*+(?:{_ANSWER})(?:[-_]\w++)*+[\s,;:.\d]*+(?:s|sec|seconds)?[.\s]*+$"
    rf"|.*(?:result|status|verdict)\w*+\W++(?:\w++\W++)?(?:{_ANSWER})\b"
)
"""A line that is an answer with perhaps a time, or that says "result: answer". Possessive, so that no text takes long."""
_LOG_LINE: Final = 400
"""Characters of a line that are looked at."""


def _is_log(s: Sample) -> bool:
    return any(_LOG.match(line[:_LOG_LINE]) is not None for line in s.text.split("\n"))


def _tagged(pattern: str) -> Callable[[Sample], bool]:
    """JSON or TOML whose head has a ``format`` that matches."""
    found = re.compile(rf"""["']?format["']?\s*[:=]\s*["'](?:{pattern})["']""")
    return lambda s: found.search(s.text) is not None


def _is_json(s: Sample) -> bool:
    text = s.text.lstrip()
    if text[:1] not in ("{", "["):
        return False
    if 0 <= s.size <= len(s.head):
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            return False
    return True


def _is_pickle(s: Sample) -> bool:
    return len(s.head) > 2 and s.head[0] == 0x80 and s.head[1] in (2, 3, 4, 5)


_TORCH: Final = {
    "": "write the network with torch.onnx.export(model, example_input, 'net.onnx') and use that",
    "certificate": "write the network with torch.onnx.export(model, example_input, 'net.onnx'), then `tlcheck certify "
    "net.onnx QUERY.vnnlib -o X.tlcert`",
}
_QUERY: Final = "`tlcheck certify NET.onnx QUERY.vnnlib -o X.tlcert`"

KINDS: Final[dict[str, Kind]] = {
    "empty folder": Kind(
        "an empty folder", lambda s: s.folder and not s.names,
        {"": "name a certificate or a folder of them; `tlcheck formats` lists what one can be"},
    ),
    "saved model folder": Kind(
        "a TensorFlow SavedModel", _holds("saved_model.pb", "saved_model.pbtxt"),
        {"": "convert it with `python -m tf2onnx.convert --saved-model {file} --output net.onnx` and use that"},
    ),
    "bundle folder": Kind(
        "a tlcheck bundle", _holds("manifest.json"), {"": "check it with `tlcheck verify {file}`"},
    ),
    "folder": Kind(
        "a folder", lambda s: s.folder, {"": "name the file"}, plain=True,
    ),
    "empty": Kind(
        "an empty file", lambda s: not s.folder and not s.head and s.size <= 0, {"": "write it anew"},
    ),
    "lfs": Kind(
        "a Git LFS pointer, not the file itself", _begins(b"version https://git-lfs.github.com/spec/"),
        {"": "get the file with `git lfs pull`"},
    ),
    "pytorch": Kind(
        "a PyTorch file (a pickle, which tlcheck does not load)",
        lambda s: _zip_with(lambda n: n.endswith(("/data.pkl", "/constants.pkl", "/archive_format")) or n == "data.pkl")(s)
        or (_is_pickle(s) and b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19." in s.head[:64]),
        _TORCH,
    ),
    "bundle": Kind(
        "a zip with a manifest, as tlcheck bundles are", _zip_with(lambda n: n == "manifest.json"),
        {"": "check it with `tlcheck verify {file}`"},
    ),
    "keras": Kind(
        "a Keras model", lambda s: s.head.startswith(b"\x89HDF\r\n\x1a\n")
        or _zip_with(lambda n: n == "model.weights.h5")(s),
        {"": "write it as ONNX (`model.export('net.onnx', format='onnx')`, or tf2onnx) and use that"},
    ),
    "npz": Kind(
        "numpy arrays (.npz)", _zip_with(lambda n: n.endswith(".npy")),
        {"": "a network is an ONNX model, a query VNN-LIB",
         "certificate": "a proof of alpha-beta-CROWN is a folder with certificate.json beside arrays.npz: `tlcheck verify "
         "FOLDER`"},
    ),
    "zip": Kind("a zip archive", _begins(b"PK\3\4", b"PK\5\6"), {"": "unpack it with `unzip {file}` and use what is in it"}),
    "npy": Kind(
        "a numpy array (.npy)", _begins(b"\x93NUMPY"), {"": "a network is an ONNX model, a query VNN-LIB; see `tlcheck formats`"}
    ),
    "tar": Kind(
        "a tar archive", lambda s: not s.packed and _is_tar(s), {"": "unpack it with `tar -xf {file}` and use what is in it"}
    ),
    "tar.gz": Kind(
        "a tar archive inside gzip", lambda s: s.packed and _is_tar(s),
        {"": "unpack it with `tar -xzf {file}` and use what is in it"},
    ),
    "packed": Kind(
        "packed with xz, bzip2, zstd or 7z", _begins(b"\xfd7zXZ\0", b"BZh", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf"),
        {"": "unpack it, or pack it with gzip"},
    ),
    "tflite": Kind(
        "a TensorFlow Lite model", lambda s: s.head[4:8] == b"TFL3",
        {"": "convert it with `python -m tf2onnx.convert --tflite {file} --output net.onnx` and use that"},
    ),
    "saved model": Kind(
        "a file of a TensorFlow SavedModel", _is_saved_model,
        {"": "convert its folder with `python -m tf2onnx.convert --saved-model FOLDER --output net.onnx` and use that"},
    ),
    "onnx": Kind(
        "an ONNX model", _is_onnx,
        {"": "name it where the network goes: `--network N={file}` or `--model {file}`",
         "certificate": "make one for a query with `tlcheck certify {file} QUERY.vnnlib -o X.tlcert`; a certificate "
         "without a copy of it takes `--model {file}`",
         "property": "the property is a query: the order is `tlcheck certify {file} QUERY.vnnlib -o X.tlcert`, or "
         "`tlcheck vnnlib verify QUERY.vnnlib --network N={file}`",
         "witness": "the network comes first: `tlcheck vnncomp witness {file} QUERY.vnnlib WITNESS`",
         "pde": "the network comes first: `tlcheck certify-pinn {file} PDE.toml -o X.tlcert`",
         "stability": "the claim names it; about a query: `tlcheck certify-lyapunov QUERY.vnnlib --model {file} -o X.tlcert`"},
    ),
    "safetensors": Kind(
        "arrays in safetensors", _is_safetensors,
        {"": "a network is an ONNX model: write one with torch.onnx.export",
         "certificate": "they are a part of a bundle, which has a manifest.json beside them: `tlcheck verify BUNDLE.tlcert`"},
    ),
    "pickle": Kind("a Python pickle, which tlcheck does not load", _is_pickle, _TORCH),
    "utf-16": Kind("text in UTF-16", _begins(b"\xff\xfe", b"\xfe\xff"), {"": "save it as UTF-8"}),
    "picture": Kind(
        "a picture", _begins(b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"%PDF"), {"": "name another file"},
    ),
    "aptp": Kind(
        "a proof in APTP, which is a hint", lambda s: "declare-pwl" in s.text,
        {"": "complete it with `tlcheck certify NET.onnx QUERY.vnnlib --from {file} -o X.tlcert`"},
    ),
    "vnnlib": Kind(
        "a VNN-LIB property", _says(_VNNLIB),
        {"": "name it where the query goes: `tlcheck certify NET.onnx {file} -o X.tlcert`, or `tlcheck vnnlib verify {file} "
         "--network N=NET.onnx`",
         "certificate": "make one with `tlcheck certify NET.onnx {file} -o X.tlcert`; a certificate without a copy "
         "of it takes `--property {file}`",
         "witness": "the witness comes last: `tlcheck vnncomp witness NET.onnx {file} WITNESS`"},
    ),
    "witness": Kind(
        "a witness (a point, as a tool gives it with `sat`)",
        _says(r"\s*+(?:(?:sat|violated)\b\s*+)?(?:\(\s*+)++[XY]_\d++\s|\s*+sat\s++[A-Za-z_]\w*+[ \t]++\w++[ \t]*+\["),
        {"": "judge it with `tlcheck vnncomp witness NET.onnx QUERY.vnnlib {file}`"},
    ),
    "lock": Kind(
        "a lock file of tlcheck", _tagged(r"tlcheck\.lock/\d+"), {"": "compare with it: `tlcheck verify --expect {file} PATH`"},
    ),
    "pde": Kind(
        "a differential equation (tlcheck.pde/1)", _tagged(r"tlcheck\.pde/\d+"),
        {"": "find a proof about it with `tlcheck certify-pinn NET.onnx {file} -o X.tlcert`"},
    ),
    "stability": Kind(
        "a stability claim (tlcheck.stability/1)", _tagged(r"tlcheck\.stability/\d+"),
        {"": "find its proof with `tlcheck certify-lyapunov {file} -o X.tlcert`"},
    ),
    "tree": Kind(
        "a tree of splits, which is a hint (tlcheck.tree/1)", _tagged(r"tlcheck\.tree/\d+"),
        {"": "complete it with `tlcheck certify NET.onnx QUERY.vnnlib --from {file} -o X.tlcert`"},
    ),
    "manifest": Kind(
        "a bundle's manifest", _tagged(r"tlcheck\.bundle"), {"": "check its folder with `tlcheck verify FOLDER`"},
    ),
    "certificate": Kind(
        "a certificate in JSON", _tagged(r"tlcheck\.[a-z-]+/\d+|abcrown_leaf_artifact_v0_[12]|robust_margin_cert_v0_1"),
        {"": "check it with `tlcheck verify {file}`", "certificate": "its name must end in .json (or .jsonl, .json.gz)"},
    ),
    "report": Kind(
        "a report of tlcheck", _says(r'\s*\{\s*"schema_version"'), {"": "it is about certificates: name those"},
    ),
    "json": Kind("JSON of another kind", _is_json, {"": "see `tlcheck formats`"}, plain=True),
    "nnet": Kind(
        "a network in the .nnet format", _says(r"//[^\n]*(?i:neural network)"), {"": "write it as ONNX and use that"},
    ),
    "log": Kind(
        "a text with an answer in it (such as a verifier's log, which proves nothing)", _is_log,
        {"": "give the proof that the verifier wrote (`tlcheck formats` lists what is read), or have the query answered: "
         + _QUERY},
    ),
    "text": Kind(
        "text", lambda s: bool(s.text),
        {"": f"`tlcheck formats` lists what a certificate can be; a query is answered by {_QUERY}"},
        plain=True,
    ),
    "unknown": Kind(
        "none of the formats that tlcheck knows", lambda s: True,
        {"": f"`tlcheck formats` lists them; a query is answered by {_QUERY}"}, plain=True,
    ),
}  # fmt: skip
"""The first that recognises a file is its kind; the last recognises everything."""

FITS: Final[dict[str, set[str]]] = {
    "certificate": {"bundle", "bundle folder", "certificate", "stability", "manifest"},
    "model": {"onnx"},
    "property": {"vnnlib"},
    "witness": {"witness", "log"},
    "pde": {"pde"},
    "stability": {"stability"},
    "lock": {"lock"},
    "file": set(),
    "folder": {"bundle folder", "saved model folder", "empty folder"},
}
"""Kinds that are what was wanted: their reader's own message says what is wrong with them."""


def kind_of(sample: Sample) -> str:
    """The key in KINDS."""
    return next(name for name, kind in KINDS.items() if kind.recognise(sample))


def sample_of(path: str | os.PathLike[str]) -> Sample:
    """A look at a file or folder. Raises OSError."""
    file = os.fspath(path)
    status = os.stat(file)
    if stat.S_ISDIR(status.st_mode):
        return Sample(file, names=tuple(sorted(os.listdir(file))), folder=True)
    if not stat.S_ISREG(status.st_mode):
        return Sample(file, b"\0")
    with open(file, "rb") as stream:
        head = stream.read(HEAD)
        stream.seek(max(0, status.st_size - HEAD))
        tail = stream.read(HEAD)
    return _sample(file, head, tail, status.st_size)


def sample_of_bytes(data: bytes, file: str = "") -> Sample:
    """A look at a file's unpacked content."""
    return _sample(file, data[:HEAD], data[-HEAD:], len(data))


def _sample(file: str, head: bytes, tail: bytes, size: int) -> Sample:
    if head.startswith(b"PK\3\4"):
        return Sample(file, head, tail, tuple(_members(head, tail)), size)
    if not head.startswith(b"\x1f\x8b"):
        return Sample(file, head, tail, (), size)
    unpack = zlib.decompressobj(31)
    try:
        inner = unpack.decompress(head, HEAD)
    except zlib.error:
        return Sample(file, head, tail, (), size)
    return Sample(file, inner, tail, (), len(inner) if unpack.eof else -1, packed=True)


def _members(head: bytes, tail: bytes) -> Iterator[str]:
    """Names in a zip's first local header, and in the entries of its directory that lie in ``tail``."""
    size = int.from_bytes(head[26:28], "little")
    yield head[30 : 30 + size].decode("utf-8", "replace")
    for found in re.finditer(re.escape(b"PK\1\2"), tail):
        at = found.start()
        size = int.from_bytes(tail[at + 28 : at + 30], "little")
        yield tail[at + 46 : at + 46 + size].decode("utf-8", "replace")


def refusal(path: str | os.PathLike[str], wanted: str, code: str) -> InvalidInput:
    """``path`` is not what was wanted: what it is, and what to do with it."""
    file = os.fspath(path)
    try:
        sample = sample_of(path)
    except OSError as error:
        return InvalidInput("TLC402", f"cannot read it: {error.strerror or error}", file=file)
    return _refusal(KINDS[kind_of(sample)], wanted, code, file)


def unlike(error: InvalidInput, path: str | os.PathLike[str], wanted: str) -> InvalidInput:
    """``error``, or a better one where what is at ``path`` is something else altogether."""
    try:
        name = kind_of(sample_of(path))
    except OSError:
        return error
    return error if KINDS[name].plain or name in FITS[wanted] else refusal(path, wanted, error.code)


def instead(error: InvalidInput, data: bytes, file: str, wanted: str) -> InvalidInput:
    """``error``, which a reader raised about ``data``, or a better one where ``data`` is something else altogether."""
    name = kind_of(sample_of_bytes(data, file))
    if KINDS[name].plain or name in FITS[wanted]:
        return error
    if name == "tar" and _is_packed(file):
        name = "tar.gz"
    return _refusal(KINDS[name], wanted, error.code, file)


def _is_packed(file: str) -> bool:
    try:
        return bool(file) and sample_of(file).packed
    except OSError:
        return False


def swapped(path: Path | None, wanted: str) -> InvalidInput | None:
    """Why the file that an option names cannot be what the option wants: None unless it is surely another one's."""
    if path is None:
        return None
    try:
        name = kind_of(sample_of(path))
    except OSError:
        return None  # its reader says so
    if KINDS[name].plain or name in FITS[wanted] or name not in _NEVER[wanted]:
        return None
    if (right := _TAKES.get(name)) is not None:
        message = f"{KINDS[name].noun}, which {right} takes; --{wanted} takes {WANTED[wanted]}"
        return InvalidInput("TLC301", message, file=os.fspath(path))
    return _refusal(KINDS[name], wanted, "TLC201" if wanted == "model" else "TLC301", os.fspath(path))


_FILES: Final = {"pytorch", "pickle", "keras", "saved model", "saved model folder", "tflite", "lfs", "tar", "tar.gz",
                 "utf-16"}  # fmt: skip
_NEVER: Final = {"model": _FILES | {"vnnlib", "witness"}, "property": _FILES | {"onnx"}}
"""Kinds that --model and --property take under no format of certificate."""
_TAKES: Final = {"onnx": "--model", "vnnlib": "--property"}


def _refusal(kind: Kind, wanted: str, code: str, file: str) -> InvalidInput:
    another = "" if kind.noun.startswith(WANTED[wanted]) else f", not {WANTED[wanted]}"
    return InvalidInput(code, f"{kind.noun}{another}; {kind.next(wanted, file)}", file=file)
