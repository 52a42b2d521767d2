"""Solution tables of a PDE file: which theorem bounds the distance to the solution, and which parts it is about."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from tlcheck.errors import InvalidInput
from tlcheck.readers.expressions import is_name
from tlcheck.readers.own.toml_table import only, table
from tlcheck.trusted.science.differential import NoForm
from tlcheck.trusted.science.error_theorems import THEOREMS
from tlcheck.trusted.science.quantities import Quantity
from tlcheck.trusted.science.solution_error import Problem, Theorem
from tlcheck.trusted.taylor.space import MAX_VARIABLES


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
    if not isinstance(theorem, str) or theorem not in THEOREMS:
        raise InvalidInput(
            "TLC101",
            "no such theorem",
            field=f"{field}.theorem",
            expected=" or ".join(THEOREMS),
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


def theorem(name: str, given: Solution, quantity: Callable[[str], Quantity]) -> Theorem:
    """What the solution table ``name`` says; ``quantity``: of a part. Raises InvalidInput TLC101 and what ``quantity`` raises."""
    residual, initial, velocity, *boundary = (
        None if part is None else quantity(part)
        for part in (given.residual, given.initial, given.velocity, *given.boundary)
    )
    if residual is None:
        raise ValueError("a solution without a residual")
    try:
        problem = Problem(residual, tuple(q for q in boundary if q is not None), initial, velocity)
        return THEOREMS[given.theorem](problem)
    except NoForm as reason:
        raise InvalidInput(
            "TLC101", f"not a problem for {given.theorem}: {reason}", field=f"solution.{name}"
        ) from None
