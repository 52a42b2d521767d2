"""Stability certificates, ``tlcheck.stability/1``: a claim with its tree, or with points against it."""

from __future__ import annotations

from collections.abc import Sequence

from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.readers.decimals import exact_number
from tlcheck.readers.files import Files
from tlcheck.readers.loaded import LoadedClaim
from tlcheck.readers.own.stability import conditions_of, read_artifact, read_tree
from tlcheck.trusted.science.stability_claim import Stability


def load(data: bytes, files: Files, options: Options, format: str) -> Sequence[LoadedClaim]:
    """One claim. Raises InvalidInput."""
    artifact = read_artifact(data, files.where)
    conditions = conditions_of(artifact, files)
    if not artifact.tree.strip():
        raise InvalidInput("TLC101", "no tree yet: run tlcheck certify-lyapunov", field="tree")
    points = tuple(
        tuple(exact_number(q, field=f"points[{k}]") for q in point) for k, point in enumerate(artifact.points)
    )
    named = [name for name in files.sources if name not in ("artifact", "manifest")]
    origin = f"models: {', '.join(ascii(name)[1:-1] for name in named)}" if named else ""
    try:
        claim = Stability(conditions, read_tree(artifact.tree), points, origin)
    except ValueError as error:
        raise InvalidInput("TLC105", str(error), field="tree") from None
    return [LoadedClaim("stability", claim, sources=dict(files.sources))]
