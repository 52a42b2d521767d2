"""ONNX files to :class:`tlcheck.trusted.graph.Graph`.

Guarantee: the graph denotes the exact real function that the ONNX graph denotes, with the weights exactly as
stored, every dropout off, and a symbolic first axis of an input taken as 1. Operators on constants alone are
folded exactly. Whatever has no exact rule is refused (TLC202), never approximated or ignored.
"""

from __future__ import annotations

from pathlib import Path

from tlcheck.errors import InvalidInput
from tlcheck.readers.kinds import instead
from tlcheck.readers.onnx.table import LOWERINGS
from tlcheck.readers.onnx.walk import read_graph
from tlcheck.trusted.graph import Graph

__all__ = ["LOWERINGS", "load_model", "read_model"]


def load_model(path: str | Path) -> Graph:
    """The network in an .onnx or .onnx.gz file. Raises InvalidInput (TLC2xx, TLC4xx) naming the file."""
    from tlcheck.readers.bytes import read_bytes

    path = Path(path)
    return read_model(read_bytes(path), file=str(path), folder=path.parent)


def read_model(data: bytes, *, file: str = "", folder: Path | None = None) -> Graph:
    """The network in an ONNX file's bytes; external data is looked up in ``folder`` only. Raises InvalidInput."""
    try:
        return read_graph(data, folder)
    except InvalidInput as error:
        better = instead(error, data, file, "model") if error.code == "TLC201" else error
        raise better.in_file(file) from error.__cause__
