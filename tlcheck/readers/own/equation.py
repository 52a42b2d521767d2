"""The equation and the network that a claim about a PINN names."""

from __future__ import annotations

from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.readers.bytes import sha256_hex
from tlcheck.readers.files import Files
from tlcheck.readers.onnx import read_model
from tlcheck.readers.onnx.external import whole_of
from tlcheck.readers.own.pde import Pde, read_pde
from tlcheck.trusted.graph import Graph


def read_equation(pde: str, model: str, files: Files, options: Options) -> tuple[Pde, Graph]:
    """What the artifact calls so, or the model that the user gave. Raises InvalidInput."""
    equation = read_pde(files.read(pde, "pde"), pde)
    given = files.given(options.model, "model")
    data = files.read(model, "model", "" if given is None else sha256_hex(given))
    content = whole_of(files, data, model)
    if given is not None and whole_of(files, given, model, options.model) != content:
        raise InvalidInput(
            "TLC103", "--model and the artifact's model have other weights beside them", field="model"
        )
    return equation, read_model(content, file=model)
