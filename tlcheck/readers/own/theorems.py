"""Solution tables to the theorems that they name."""

from __future__ import annotations

from collections.abc import Callable

from tlcheck.errors import InvalidInput
from tlcheck.readers.own.solutions import Solution
from tlcheck.trusted.science.differential import NoForm
from tlcheck.trusted.science.error_theorems import THEOREMS
from tlcheck.trusted.science.quantities import Quantity
from tlcheck.trusted.science.solution_error import Problem, Theorem


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
