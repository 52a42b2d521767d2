"""Images of affine maps: rearrangements and signs on the ends themselves, all else by the engine, offsets and all maps included."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tlcheck.trusted.arith.box import Box
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.integer import IntegerEngine
from tlcheck.trusted.arith.maps import Affine, IndexMap, Map, SignMap
from tlcheck.trusted.intervals import image
from tlcheck.trusted.ops.structure import Rearrange

BOX = Box(np.array([[0.1, -0.3, 1 / 3]]), np.array([[0.7, -0.2, 1e300]]))
OTHER = Box(np.array([[1.0, 2.0, 3.0]]), np.array([[1.0, 2.0, 4.0]]))
ONES = Constant(np.ones(3))


def of(maps: tuple[Map, ...], boxes: tuple[Box, ...], offset: Constant | None = None) -> Box:
    unused: Any = Rearrange((3,))
    return image(unused, Affine(maps, offset, 0, True), boxes, IntegerEngine())


@pytest.mark.parametrize(
    ("m", "lower", "upper"),
    [
        (SignMap(1, 3), [0.1, -0.3, 1 / 3], [0.7, -0.2, 1e300]),
        (SignMap(-1, 3), [-0.7, 0.2, -1e300], [-0.1, 0.3, -1 / 3]),
        (IndexMap(np.array([2, 0, -1, 2]), 3), [1 / 3, 0.1, 0.0, 1 / 3], [1e300, 0.7, 0.0, 1e300]),
    ],
)  # fmt: skip
def test_ends_are_moved_exactly(m: Map, lower: list[float], upper: list[float]) -> None:
    found = of((m,), (BOX,))
    assert (found.lower.tolist(), found.upper.tolist()) == ([lower], [upper])


@pytest.mark.parametrize("m", [SignMap(1, 3), SignMap(-1, 3), IndexMap(np.array([0, 1, 2]), 3)])
def test_offsets_and_second_maps_count(m: Map) -> None:
    sign = -1 if isinstance(m, SignMap) and m.sign < 0 else 1
    ends = (
        sorted((sign * 1.0, sign * 1.0)),
        sorted((sign * 2.0, sign * 2.0)),
        sorted((sign * 3.0, sign * 4.0)),
    )
    for found, more in (
        (of((m,), (OTHER,), ONES), np.ones((2, 3))),
        (of((m, SignMap(1, 3)), (OTHER, OTHER)), np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 4.0]])),
    ):
        assert np.allclose(found.lower[0], np.array([e[0] for e in ends]) + more[0], rtol=1e-9)
        assert np.allclose(found.upper[0], np.array([e[1] for e in ends]) + more[1], rtol=1e-9)


def test_scattered_values_are_summed() -> None:
    found = of((IndexMap(np.array([1, 1, 0]), 2, transposed=True),), (OTHER,))
    assert np.allclose(found.lower, [[3, 3]], rtol=1e-9) and np.allclose(found.upper, [[4, 3]], rtol=1e-9)
    assert bool((found.lower <= [[3, 3]]).all() and (found.upper >= [[4, 3]]).all())
