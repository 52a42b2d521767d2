"""``tlcheck.pinn/1``: a bound over a whole domain on what a network leaves over of one part of a PDE file.

The artifact names the model (ONNX) and the PDE file, which lie beside it or in its bundle; the claim is about these files,
whose hashes are reported. The tree, the order and the witness are evidence. See certificates/formats/pde.md. An artifact
with ``solution`` bounds the distance to the solution instead: certificates/formats/solution_error.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.readers.asked import note_asked
from tlcheck.readers.decimals import exact_number
from tlcheck.readers.files import Files
from tlcheck.readers.loaded import LoadedClaim
from tlcheck.readers.own.equation import read_equation
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


class _Named(Struct, frozen=True):
    """``solution``: which of the two kinds an artifact is."""

    format: str
    solution: str | None = None


def load(data: bytes, files: Files, options: Options, format: str) -> Sequence[LoadedClaim]:
    """One claim. Raises InvalidInput."""
    named = decode(data, _Named, files.where)
    if named.format != FORMAT:
        raise InvalidInput("TLC102", "unknown format", field="format", expected=FORMAT)
    if named.solution is not None:
        from tlcheck.readers.own.pinn_solution import load_solution

        note_asked("tlcheck.readers.own.pinn_solution")
        return [load_solution(data, files, options)]
    artifact = decode(data, Artifact, files.where)
    pde, graph = read_equation(artifact.pde, artifact.model, files, options)
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
