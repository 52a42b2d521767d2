"""Thin matrices give the products of the matrices that they stand for."""

from __future__ import annotations

import numpy as np
import pytest

from tlcheck.prover.thin import Thin, thinned


def with_entries(rng: np.random.Generator, m: int, n: int, most: int) -> np.ndarray:
    """A matrix with up to ``most`` integers in each column, some with none."""
    w = np.zeros((m, n))
    for j in range(n):
        w[rng.choice(m, int(rng.integers(0, most + 1)), replace=False), j] = rng.integers(1, 9)
    return w


@pytest.mark.parametrize("most", [0, 1, 4])
def test_the_product_is_that_of_the_matrix(most: int):
    rng = np.random.default_rng(most)
    w = with_entries(rng, 200, 150, most)
    thin = thinned(w)
    assert isinstance(thin, Thin)
    for shape in ((200,), (7, 200), (2, 3, 200)):
        x = rng.integers(-5, 6, shape).astype(float)
        assert np.array_equal(x @ thin, x @ w)


def test_small_and_full_matrices_are_left_as_they_are():
    rng = np.random.default_rng(1)
    for w in (rng.normal(size=(200, 150)), with_entries(rng, 20, 30, 1)):
        assert thinned(w) is w
