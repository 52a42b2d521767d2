"""Files with a model's weights: beside the model that names them, by a plain name, and nowhere else.

Not in the working folder, not in a folder below, not through a link that leads away.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tlcheck.errors import InvalidInput
from tlcheck.readers.bytes import read_stored_bytes

ReadData = Callable[[str], bytes]
"""The content of the data file of that plain name, beside the model. Raises InvalidInput."""


def beside(folder: Path, *others: Path) -> ReadData:
    """Data files in that folder; ``others`` are files that mean something else there."""
    taken = {os.path.realpath(other) for other in others}

    def read(name: str) -> bytes:
        path = folder / name
        real = os.path.realpath(path)
        wrong = None
        if real in taken:
            wrong = ("TLC101", "a file in two roles, weights and another")
        elif os.path.dirname(real) != os.path.realpath(folder):
            wrong = ("TLC205", "external data through a link that leaves the model's folder")
        elif not os.path.isfile(path):
            wrong = ("TLC402", "the file with the model's weights is not beside it")
        if wrong:
            raise InvalidInput(*wrong, got=ascii(name))
        return read_stored_bytes(path)

    return read


def no_data(name: str) -> bytes:
    """For a model that has no folder."""
    raise InvalidInput("TLC205", "external data of a model that has no folder", got=ascii(name))
