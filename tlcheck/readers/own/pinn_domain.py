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
from tlcheck.readers.bytes import sha256_hex
from tlcheck.readers.decimals import exact_number
from tlcheck.readers.files import Files
from tlcheck.readers.loaded import LoadedClaim
from tlcheck.readers.onnx import read_model
from tlcheck.readers.onnx.external import whole_of
from tlcheck.readers.own.pde import Pde, read_pde
from tlcheck.readers.strict_json import decode
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.science.pinn_domain import IntegralClaim, SupremumClaim
from tlcheck.trusted.science.solution_error import SolutionErrorClaim

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


class Cover(Struct, frozen=True, forbid_unknown_fields=True):
    order: int
    tree: str


class ErrorArtifact(Struct, frozen=True, forbid_unknown_fields=True):
    """``solution``: which table of the PDE file; ``covers``: one for each term of its theorem."""

    format: str
    model: str
    pde: str
    solution: str
    at_most: str
    covers: dict[str, Cover]


def load(data: bytes, files: Files, options: Options, format: str) -> Sequence[LoadedClaim]:
    """One claim. Raises InvalidInput."""
    named = decode(data, _Named, files.where)
    if named.format != FORMAT:
        raise InvalidInput("TLC102", "unknown format", field="format", expected=FORMAT)
    if named.solution is not None:
        return [_solution(decode(data, ErrorArtifact, files.where), files, options)]
    artifact = decode(data, Artifact, files.where)
    pde, graph = _read(artifact, files, options)
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


def _read(artifact: Artifact | ErrorArtifact, files: Files, options: Options) -> tuple[Pde, Graph]:
    pde = read_pde(files.read(artifact.pde, "pde"), artifact.pde)
    given = files.given(options.model, "model")
    model = files.read(artifact.model, "model", "" if given is None else sha256_hex(given))
    content = whole_of(files, model, artifact.model)
    if given is not None and whole_of(files, given, artifact.model, options.model) != content:
        raise InvalidInput(
            "TLC103", "--model and the artifact's model have other weights beside them", field="model"
        )
    return pde, read_model(content, file=artifact.model)


def _solution(artifact: ErrorArtifact, files: Files, options: Options) -> LoadedClaim:
    pde, graph = _read(artifact, files, options)
    if artifact.solution not in pde.solutions:
        raise InvalidInput(
            "TLC101",
            "no such solution table",
            field="solution",
            expected=" or ".join(pde.solutions) or "a PDE file with one",
            got=ascii(artifact.solution),
        )
    theorem = pde.theorem(artifact.solution, graph)
    at_most = exact_number(artifact.at_most, field="at_most")
    covers = {name: (cover.order, cover.tree) for name, cover in artifact.covers.items()}
    try:
        claim = SolutionErrorClaim(artifact.solution, theorem, at_most, covers)
    except ValueError as problem:
        raise InvalidInput("TLC101", str(problem), field="covers") from None
    return LoadedClaim(artifact.solution, claim, sources=dict(files.sources))
