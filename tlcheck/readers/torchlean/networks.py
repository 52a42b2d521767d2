"""The network that an artifact of TorchLean is about: ONNX, a graph of torchlean.ir.v1, or a state dict of dense layers.

What reads it is imported by what the file is.
"""

from __future__ import annotations

from pathlib import Path

from msgspec import Raw, Struct

from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.readers.asked import note_asked
from tlcheck.readers.files import Files
from tlcheck.readers.strict_json import decode
from tlcheck.trusted.graph import Graph


class ModelFile(Struct, frozen=True, forbid_unknown_fields=True):
    """A model beside the artifact, or in its bundle. ``sha256``: of its unpacked content."""

    file: str
    sha256: str = ""


def read_network(files: Files, options: Options, model: ModelFile | None, field: str = "model") -> Graph:
    """The network of --model, else of the file named: ONNX, a torchlean.ir.v1 graph, or a state dict of dense layers.

    Raises InvalidInput: TLC402 when there is neither, and what reading a model raises.
    """
    data = files.given(options.model, "model")
    if data is None:
        if model is None:
            raise InvalidInput("TLC402", "the artifact names no model", field=field, expected="--model FILE")
        return _parsed(files.read(model.file, field, model.sha256), files, model.file, None)
    if model is not None and model.sha256 and files.sources["model"] != model.sha256.lower():
        raise InvalidInput(
            "TLC103", "not the model the certificate was made for (SHA-256)", field=field,
            expected=model.sha256[:64], got=files.sources["model"],
        )  # fmt: skip
    return _parsed(data, files, str(options.model), options.model)


def _parsed(data: bytes, files: Files, name: str, given: Path | None) -> Graph:
    """``given``: the path of the user's file; then what it names lies beside it."""
    if name.endswith((".onnx", ".onnx.gz")) or not data.lstrip().startswith(b"{"):
        from tlcheck.readers.onnx import read_model
        from tlcheck.readers.onnx.external import whole_of

        note_asked("tlcheck.readers.onnx")
        return read_model(whole_of(files, data, name, given), file=name)
    if "nodes" in decode(data, dict[str, Raw], name):
        from tlcheck.readers.torchlean.ir import read_ir, weights_beside

        note_asked("tlcheck.readers.torchlean.ir")
        return read_ir(data, name, weights_beside(data, files, given)).graph
    from tlcheck.readers.torchlean.state_dict import read_dense

    note_asked("tlcheck.readers.torchlean.state_dict")
    return read_dense(data, name)
