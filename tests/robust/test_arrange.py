"""The order of a sample's values: taken where there is one way alone, refused by name where there are two."""

from __future__ import annotations

import numpy as np
import pytest

from tlcheck.errors import InvalidInput
from tlcheck.robust.arrange import arranged, spread

Shape = tuple[int, ...]


@pytest.mark.parametrize(
    "sample, tensor, way",
    [
        ((784,), (1, 784), "given"),
        ((28, 28), (1, 784), "given"),
        ((28, 28), (1, 1, 28, 28), "given"),
        ((28, 28, 1), (1, 28, 28, 1), "given"),
        ((784,), (1, 1, 28, 28), "given"),
        ((28, 28, 1), (1, 784), "given"),
        ((1, 28, 28), (1, 784), "given"),
        ((3, 32, 32), (1, 3, 32, 32), "given"),
        ((32, 32, 3), (1, 3, 32, 32), "hwc-to-chw"),
        ((3, 32, 32), (1, 32, 32, 3), "chw-to-hwc"),
        ((5,), (5,), "given"),
        ((28, 28), (1, 784, 1), "given"),
        ((784, 1), (1, 1, 1, 784), "given"),
        ((1,), (1, 1), "given"),
    ],
)
def test_one_way_alone(sample: Shape, tensor: Shape, way: str) -> None:
    found = arranged(sample, tensor)
    assert found.layout == way or not found.moves
    values = np.arange(np.prod(sample)).reshape(sample)
    axes = {"hwc-to-chw": (2, 0, 1), "chw-to-hwc": (1, 2, 0)}.get(way)
    assert np.array_equal(found.order, (values if axes is None else values.transpose(axes)).ravel())


@pytest.mark.parametrize(
    "sample, tensor, ways",
    [
        ((32, 32, 3), (1, 3072), {"given", "hwc-to-chw"}),
        ((3, 32, 32), (1, 3072), {"given", "chw-to-hwc"}),
        ((3072,), (1, 3, 32, 32), {"given", "hwc-to-chw"}),
        ((3072,), (1, 32, 32, 3), {"given", "chw-to-hwc"}),
        ((3, 3, 3), (1, 3, 3, 3), {"given", "hwc-to-chw", "chw-to-hwc"}),
    ],
)
def test_two_ways_are_refused_and_each_can_be_said(sample: Shape, tensor: Shape, ways: set[str]) -> None:
    with pytest.raises(InvalidInput, match="--layout") as error:
        arranged(sample, tensor)
    assert error.value.code == "TLC502"
    assert set(error.value.expected.split(" or ")) == ways
    orders = {arranged(sample, tensor, way).order for way in ways}
    assert len(orders) == len(ways)


@pytest.mark.parametrize(
    "sample, tensor", [((28, 28), (1, 3072)), ((14, 56), (1, 1, 28, 28)), ((32, 3, 32), (1, 3, 32, 32))]
)
def test_what_does_not_fit(sample: Shape, tensor: Shape) -> None:
    with pytest.raises(InvalidInput) as error:
        arranged(sample, tensor)
    assert error.value.code == "TLC503"


def test_a_layout_that_does_not_fit() -> None:
    with pytest.raises(InvalidInput, match="with --layout chw-to-hwc"):
        arranged((32, 32, 3), (1, 3, 32, 32), "chw-to-hwc")


def test_numbers_of_channels() -> None:
    assert spread((1,), (2, 2), "--mean") == (0, 0, 0, 0)
    assert spread((1, 2, 3), (3, 1, 2), "--mean") == (0, 0, 1, 1, 2, 2)
    assert spread((1, 2, 3), (1, 2, 3), "--mean") == (0, 1, 2, 0, 1, 2)
    assert spread((1, 2, 3), (3,), "--mean") == (0, 1, 2)
    for shape, code in (((3, 2, 3), "TLC502"), ((6,), "TLC503"), ((2, 3), "TLC503")):
        with pytest.raises(InvalidInput) as error:
            spread((1, 2, 3), shape, "--mean")
        assert error.value.code == code
