"""ONNX files to :class:`tlcheck.trusted.graph.Graph`.

Guarantee: the graph denotes the exact real function that the ONNX graph denotes, with the weights exactly as
stored, every dropout off, and a symbolic first axis of an input taken as 1. Operators on constants alone are
folded exactly. Whatever has no exact rule is refused (TLC202), never approximated or ignored.
"""

from __future__ import annotations

from pathlib import Path

from tlcheck.errors import InvalidInput
from tlcheck.readers.data_files import beside
from tlcheck.readers.kinds import instead
from tlcheck.readers.onnx.external import Whole, load_whole, whole_model
from tlcheck.readers.onnx.table import LOWERINGS, modules_of
from tlcheck.readers.onnx.walk import read_graph
from tlcheck.trusted.graph import Graph

__all__ = ["LOWERINGS", "Whole", "load_model", "load_whole", "modules_of", "read_model", "whole_model"]


def load_model(path: str | Path) -> Graph:
    """The network in an .onnx or .onnx.gz file. Raises InvalidInput (TLC2xx, TLC4xx) naming the file."""
    return read_model(load_whole(Path(path)).content, file=str(path))


def read_model(data: bytes, *, file: str = "", folder: Path | None = None) -> Graph:
    """The network in an ONNX file's bytes; external data is looked up in ``folder`` only. Raises InvalidInput.

    Where a claim is made about the network, its data files belong to the claim's sources: ``whole_model`` names them.
    """
    try:
        return read_graph(data if folder is None else whole_model(data, beside(folder)).content)
    except InvalidInput as error:
        better = instead(error, data, file, "model") if error.code == "TLC201" else error
        raise better.in_file(file) from error.__cause__
