"""ONNX models some of whose weights lie in other files: these are put inside, and every file is hashed.

Guarantee: ``Whole.content`` is the model with all its weights inside, exactly as stored; each file that it was made of
is among ``files``, and ``sources`` names the SHA-256 of every one. A data file is found beside the model that names
it, by a plain name, and nowhere else: not in the working folder, not in a folder below, not through a link that leads
away. What has been made whole is read and executed from its bytes alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tlcheck.errors import InvalidInput
from tlcheck.keys import key
from tlcheck.limits import MAX_FILE_BYTES
from tlcheck.readers.bytes import read_bytes, sha256_hex
from tlcheck.readers.data_files import ReadData, beside
from tlcheck.readers.files import Files
from tlcheck.readers.onnx.tensors import checked_shape, element_type, item_bytes

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from onnx import ModelProto, TensorProto

EXTERNAL: Final = 1
"""TensorProto.DataLocation of a tensor whose data is in another file."""
VALUES: Final = [f"{kind}_data" for kind in "raw float int32 string int64 double uint64".split()]
"""Fields of a tensor whose data is inside."""


@dataclass(frozen=True, eq=False)
class Whole:
    """A model with its weights inside. ``sha256``: of the model file itself, unpacked; ``files``: data files by name."""

    content: bytes
    sha256: str
    files: Mapping[str, bytes] = field(default_factory=dict)

    def sources(self, role: str = "model") -> dict[str, str]:
        """The SHA-256 of every file that the network depends on, by its role."""
        data = {f"{role} data {name}": sha256_hex(content) for name, content in sorted(self.files.items())}
        return {role: self.sha256, **data}

    @property
    def identity(self) -> str:
        """One name for all that the network depends on: the file's SHA-256 where that is all."""
        return self.sha256 if not self.files else key("network", self.sources())


def load_whole(path: Path) -> Whole:
    """The model in an .onnx or .onnx.gz file, with the weights beside it. Raises InvalidInput."""
    return whole_model(read_bytes(path), beside(path.parent, path), file=str(path))


def whole_model(data: bytes, read: ReadData, *, file: str = "") -> Whole:
    """The model in an ONNX file's bytes, with the weights that ``read`` finds. Raises InvalidInput TLC2xx, TLC4xx."""
    sha256 = sha256_hex(data)
    if not has_external_data(data):
        return Whole(data, sha256)
    try:
        return _filled(data, sha256, read)
    except InvalidInput as error:
        raise error.in_file(file) from error.__cause__


def whole_of(files: Files, data: bytes, name: str, given: Path | None = None) -> bytes:
    """The model of an artifact with the weights in other files put inside: those beside the model that the user gave, else
    the artifact's. Raises InvalidInput as ``whole_model``."""
    if given is not None:
        model = whole_model(data, beside(given.parent), file=str(given))
        files.sources.update(model.sources())
        return model.content
    model = whole_model(data, files.read_data, file=name)
    for plain, content in model.files.items():
        files.named(plain, content, "external data")
    return model.content


def has_external_data(data: bytes) -> bool:
    """Whether some tensor of the model lies in another file; False for what is no model."""
    if b"location" not in data:  # the key under which such a tensor names its file
        return False
    try:
        return any(tensor.data_location == EXTERNAL for tensor in _tensors(parse(data)))
    except InvalidInput:
        return False


def parse(data: bytes) -> ModelProto:
    """The model. Raises InvalidInput TLC201."""
    from google.protobuf.message import DecodeError
    from onnx import ModelProto

    model = ModelProto()
    try:
        model.ParseFromString(data)
    except (DecodeError, RuntimeError) as error:
        raise InvalidInput("TLC201", "not an ONNX file (protobuf does not parse)") from error
    return model


def _tensors(message: Message) -> Iterator[TensorProto]:
    """Every tensor of the model, in whatever part: graphs inside attributes, functions, training, sparse tensors."""
    from google.protobuf.message import Message
    from onnx import TensorProto

    if isinstance(message, TensorProto):
        yield message
        return
    for entry, value in message.ListFields():
        if entry.message_type is not None:
            for part in [value] if isinstance(value, Message) else value:
                yield from _tensors(part)


def _filled(data: bytes, sha256: str, read: ReadData) -> Whole:
    model, size = parse(data), len(data)
    files: dict[str, bytes] = {}
    for tensor in _tensors(model):
        if tensor.data_location != EXTERNAL:
            continue
        where = f"tensor '{tensor.name}'"
        try:
            content = _content(tensor, files, read, where)
        except InvalidInput as error:
            error.field = error.field or where
            raise
        size += len(content)
        if size > MAX_FILE_BYTES:
            most = f"at most {MAX_FILE_BYTES} bytes"
            raise InvalidInput("TLC401", "model and weights are too large", expected=most)
        del tensor.external_data[:]
        tensor.ClearField("data_location")
        tensor.raw_data = content
    return Whole(model.SerializeToString(), sha256, files)


def _content(tensor: TensorProto, files: dict[str, bytes], read: ReadData, where: str) -> bytes:
    """The tensor's bytes. Raises TLC201, TLC205, TLC402, TLC403."""
    if any(getattr(tensor, name) for name in VALUES):
        raise InvalidInput("TLC201", "a tensor whose data is here and in another file", field=where)
    entries = {entry.key: entry.value for entry in tensor.external_data}
    if len(entries) != len(tensor.external_data):
        raise InvalidInput("TLC201", "a duplicate entry of external data", field=where)
    name = _plain(entries.get("location", ""), where)
    shape = checked_shape(tuple(tensor.dims), where)
    size = prod(shape) * item_bytes(element_type(tensor.data_type, where))
    offset = _natural(entries.get("offset", "0"), where)
    length = entries.get("length", str(size))
    if _natural(length, where) != size:
        raise InvalidInput(
            "TLC201", "external data length differs", field=where, expected=str(size), got=length
        )
    if name not in files:
        files[name] = read(name)
    end, there = offset + size, len(files[name])
    if end > there:
        text = "external data file too short"
        raise InvalidInput("TLC403", text, field=where, expected=f"{end} bytes", got=f"{there} bytes")
    return files[name][offset:end]


def _plain(location: str, where: str) -> str:
    """The location if it is the name of a file beside the model."""
    if not location or location in (".", "..") or not location.isprintable() or set(location) & set("/\\:"):
        text = "external data is not in a file beside the model"
        plain = "the plain name of a file in the model's folder"
        raise InvalidInput("TLC205", text, field=where, expected=plain, got=ascii(location[:80]))
    return location


def _natural(text: str, where: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        what = "external data offset or length is not a number"
        raise InvalidInput("TLC201", what, field=where, got=ascii(text[:40]))
    return int(text)
