"""Solution tables of a PDE file: which theorem bounds the distance to the solution, and which parts it is about."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from tlcheck.errors import InvalidInput
from tlcheck.readers.expressions import is_name
from tlcheck.readers.own.toml_table import only, table
from tlcheck.trusted.taylor.space import MAX_VARIABLES

NAMES: Final = ("burgers-L1", "parabolic-sup", "parabolic-L2", "elliptic-sup", "wave-energy")
"""Of error_theorems.THEOREMS, which only claims about a solution need."""


@dataclass(frozen=True)
class Solution:
    """``theorem``: of error_theorems.THEOREMS; the others name parts."""

    theorem: str
    residual: str
    boundary: tuple[str, ...]
    initial: str | None
    velocity: str | None


def read_solution(name: str, value: object, parts: Collection[str]) -> Solution:
    field = f"solution.{name}"
    if not is_name(name):
        raise InvalidInput("TLC101", "not a name", field=field)
    given = table(value, field)
    only(given, ("theorem", "residual", "boundary", "initial", "velocity"), f"{field}.")
    theorem, boundary = given.get("theorem"), given.get("boundary")
    if not isinstance(theorem, str) or theorem not in NAMES:
        raise InvalidInput(
            "TLC101",
            "no such theorem",
            field=f"{field}.theorem",
            expected=" or ".join(NAMES),
            got=ascii(theorem),
        )

    def part(role: str, name: object) -> str:
        if not isinstance(name, str) or name not in parts:
            raise InvalidInput(
                "TLC101",
                "no such part",
                field=f"{field}.{role}",
                expected=" or ".join(parts),
                got=ascii(name),
            )
        return name

    if not isinstance(boundary, list) or len(boundary) > 2 * MAX_VARIABLES:
        raise InvalidInput("TLC101", "expected a list of parts, one for each side", field=f"{field}.boundary")
    return Solution(
        theorem,
        part("residual", given.get("residual")),
        tuple(part("boundary", side) for side in boundary),
        part("initial", given["initial"]) if "initial" in given else None,
        part("velocity", given["velocity"]) if "velocity" in given else None,
    )
