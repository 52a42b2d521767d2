"""Executions are of float32: which points are ones, and whether a disjunct holds there, exactly."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from tlcheck.runtime.execution import as_float32, holds
from tlcheck.trusted.query import Disjunct, InputBox, LinearConstraint

F = Fraction
TENTH = F(float(np.float32(0.1)))


@pytest.mark.parametrize(
    "point", [(F(0),), (F(1, 2), F(-3)), (TENTH,), (F(2) ** -149,), (F(float(np.finfo(np.float32).max)),)]
)
def test_a_point_of_float32(point: tuple[Fraction, ...]) -> None:
    single = as_float32(point)
    assert single is not None and single.dtype == np.float32 and tuple(map(F, single.tolist())) == point


@pytest.mark.parametrize(
    "value", [F(1, 10), F(0.1), F(1, 3), F(2) ** -150, F(2) ** 128, F(10) ** 400, TENTH + F(1, 10**60)]
)
def test_no_point_of_float32(value: Fraction) -> None:
    assert as_float32((F(0), value)) is None


@pytest.mark.parametrize(
    ("x", "y", "strict", "expected"),
    [
        (F(0), F(1), False, True), (F(0), F(1), True, False), (F(0), F(1) - F(1, 10**40), True, True),
        (F(0), F(1) + F(1, 10**40), False, False), (F(-1, 10**40), F(0), False, False), (F(2), F(-1), False, True),
    ],
)  # fmt: skip
def test_a_disjunct_holds_exactly(x: Fraction, y: Fraction, strict: bool, expected: bool) -> None:
    """x + y <= 1 (or <) on [0, 2]."""
    constraint = LinearConstraint(((0, F(1)),), ((0, F(1)),), F(1), strict=strict)
    assert holds(Disjunct(InputBox((F(0),), (F(2),)), (constraint,)), (x,), (y,)) is expected
