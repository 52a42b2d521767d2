"""Boxes: what they refuse, and what is said of their ends."""

from __future__ import annotations

import numpy as np
import pytest

from tlcheck.trusted.arith.box import Box

LOWER, UPPER = np.array([[-3.0, 1.0], [0.5, -7.0]]), np.array([[2.0, 4.0], [0.75, -6.0]])
BOX = Box(LOWER, UPPER)


def test_magnitudes() -> None:
    assert BOX.magnitude.tolist() == [[3.0, 4.0], [0.75, 7.0]]
    assert BOX.largest == 7.0 and BOX.largest_each.tolist() == [4.0, 7.0]
    empty = Box(np.zeros((2, 0)), np.zeros((2, 0)))
    assert empty.largest == 0.0 and empty.largest_each.tolist() == [0.0, 0.0]


def test_the_intersection() -> None:
    other = Box(np.array([[-1.0, 0.0], [0.0, -6.5]]), np.array([[1.0, 5.0], [1.0, -5.0]]))
    met = BOX.meet(other)
    assert met.lower.tolist() == [[-1.0, 1.0], [0.5, -6.5]] and met.upper.tolist() == [
        [1.0, 4.0],
        [0.75, -6.0],
    ]


def test_rows_of_domains() -> None:
    second = BOX.rows(np.array([1, 1]))
    assert second.lower.tolist() == [[0.5, -7.0]] * 2 and second.upper.tolist() == [[0.75, -6.0]] * 2
    shared = Box(BOX.lower[:1], BOX.upper[:1])
    assert shared.rows(slice(5, 9)) is shared


@pytest.mark.parametrize("side", [0, 1])
def test_no_number_is_no_end(side: int) -> None:
    ends = [np.zeros((1, 3)), np.ones((1, 3))]
    ends[side][0, 1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        Box(*ends)


@pytest.mark.parametrize(
    ("lower", "upper"),
    [((2, 3), (1, 3)), ((1, 3), (2, 3)), ((1, 2), (1, 3)), ((3,), (3,)), ((1, 1, 3), (1, 1, 3))],
)
def test_shapes(lower: tuple[int, ...], upper: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\(D, n\)"):
        Box(np.zeros(lower), np.ones(upper))
