"""``tlcheck.pinn/1``: a bound over a whole domain on what a network leaves over of one part of a PDE file.

The artifact names the model (ONNX) and the PDE file, which lie beside it or in its bundle; the claim is about these files,
whose hashes are reported. The tree, the order and the witness are evidence. See certificates/formats/pde.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.readers.bundle.numbers import exact_number
from tlcheck.readers.bytes import sha256_hex
from tlcheck.readers.files import Files
from tlcheck.readers.loaded import LoadedClaim
from tlcheck.readers.onnx import read_model
from tlcheck.readers.pde import read_pde
from tlcheck.readers.strict_json import decode
from tlcheck.trusted.science.pinn_domain import IntegralClaim, SupremumClaim

FORMAT: Final = "tlcheck.pinn/1"


class Artifact(Struct, frozen=True, forbid_unknown_fields=True):
    """Numbers are strings: decimals, quotients or hexadecimal floats, exact. ``tree``: see pinn_domain.cells."""

    format: str
    model: str
    pde: str
    part: str
    at_most: str
    order: int
    tree: str
    witness: list[str] | None = None
    at_least: str | None = None
    norm: str = "sup"


def load(data: bytes, files: Files, options: Options, format: str) -> Sequence[LoadedClaim]:
    """One claim. Raises InvalidInput."""
    artifact = decode(data, Artifact, files.where)
    if artifact.format != FORMAT:
        raise InvalidInput("TLC102", "unknown format", field="format", expected=FORMAT)
    pde = read_pde(files.read(artifact.pde, "pde"), artifact.pde)
    given = files.given(options.model, "model")
    model = files.read(artifact.model, "model", "" if given is None else sha256_hex(given))
    graph = read_model(model, file=artifact.model, folder=None)
    if artifact.part not in pde.parts:
        raise InvalidInput(
            "TLC101", "no such part", field="part", expected=" or ".join(pde.parts), got=ascii(artifact.part)
        )
    quantity = pde.quantity(artifact.part, graph)
    at_most = exact_number(artifact.at_most, field="at_most")
    at_least = None if artifact.at_least is None else exact_number(artifact.at_least, field="at_least")
    witness = None
    if artifact.witness is not None:
        witness = tuple(exact_number(x, field=f"witness[{k}]") for k, x in enumerate(artifact.witness))
    claim: SupremumClaim | IntegralClaim
    try:
        if artifact.norm == "sup":
            claim = SupremumClaim(
                artifact.part, quantity, at_most, artifact.order, artifact.tree, witness, at_least
            )
        elif witness is not None:
            raise ValueError("an integral has no witness")
        else:
            claim = IntegralClaim(
                artifact.part, quantity, artifact.norm, at_most, artifact.order, artifact.tree, at_least
            )
    except ValueError as problem:
        raise InvalidInput("TLC101", str(problem), field="norm, order, tree or witness") from None
    return [LoadedClaim(artifact.part, claim, sources=dict(files.sources))]
