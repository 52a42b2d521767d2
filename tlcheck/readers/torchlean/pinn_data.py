"""PINN data sets of TorchLean: each listed value against the network given with --model.

The tolerance is the user's (--slack), 0 unless given; TorchLean's own default is 1e-3. ``collocation`` has no values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Raw, Struct

from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.readers.files import Files
from tlcheck.readers.loaded import LoadedClaim
from tlcheck.readers.strict_json import decode
from tlcheck.readers.torchlean.mlp import read_network
from tlcheck.readers.torchlean.numbers import Read, decimals_text, number_reader
from tlcheck.trusted.science.data_points import DataPoints, Datum

MAX_ROWS: Final = 1_000_000
"""Most rows: each takes one enclosure of the network."""


class Row(Struct, frozen=True):
    """A point (x), (x, y) or (x, t) and the value there."""

    x: Raw
    u: Raw
    y: Raw = Raw()
    t: Raw = Raw()


class DataSet(Struct, frozen=True):
    initial: list[Row] = []
    boundary: list[Row] = []
    data: list[Row] = []


def load(data: bytes, files: Files, options: Options, format: str) -> Sequence[LoadedClaim]:
    """One claim. Raises InvalidInput."""
    rows = decode(data, DataSet, files.where)
    model = files.given(options.model, "model")
    if model is None:
        raise InvalidInput("TLC101", "a data set names no network: give its weights with --model")
    network = read_network(model, str(options.model), options.decimals)
    if network.outputs != 1:
        raise InvalidInput("TLC204", "wrong number of outputs", file=str(options.model), expected="1")
    read = number_reader(options.decimals)
    sections = {"initial": rows.initial, "boundary": rows.boundary, "data": rows.data}
    if not 0 < sum(map(len, sections.values())) <= MAX_ROWS:
        raise InvalidInput("TLC101", "wrong number of rows", expected=f"1 to {MAX_ROWS}")
    found = tuple(
        _datum(row, f"{name}[{k}]", network.inputs, read)
        for name, section in sections.items()
        for k, row in enumerate(section)
    )
    claim = DataPoints(network, found, options.slack, "given with --model", decimals_text(options.decimals))
    return [LoadedClaim("data", claim, sources=dict(files.sources))]


def _datum(row: Row, where: str, inputs: int, read: Read) -> Datum:
    if row.y and row.t:
        raise InvalidInput("TLC101", "both y and t", field=where)
    named = [("x", row.x), ("y", row.y), ("t", row.t)]
    point = tuple(read(value, f"{where}.{name}") for name, value in named if value)
    if len(point) != inputs:
        raise InvalidInput(
            "TLC101",
            "not a point of the network",
            field=where,
            expected=f"{inputs} coordinates",
            got=str(len(point)),
        )
    return Datum(point, read(row.u, f"{where}.u"), where)
