"""Artifacts of tlcheck.pinn/1 that bound the distance to a solution: the theorem's parts, and a cover for each of its terms."""

from __future__ import annotations

from msgspec import Struct

from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.readers.decimals import exact_number
from tlcheck.readers.files import Files
from tlcheck.readers.loaded import LoadedClaim
from tlcheck.readers.own.equation import read_equation
from tlcheck.readers.strict_json import decode
from tlcheck.trusted.science.solution_error import SolutionErrorClaim


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


def load_solution(data: bytes, files: Files, options: Options) -> LoadedClaim:
    """Raises InvalidInput."""
    artifact = decode(data, ErrorArtifact, files.where)
    pde, graph = read_equation(artifact.pde, artifact.model, files, options)
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
