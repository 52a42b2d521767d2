"""The engine over native kernels: sound and sharp for every map, a kind of data each; what its maps are as gathered products."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from tests.helpers import kernels_engine
from tests.trusted.engine_checks import (
    check_adjoint,
    check_chain,
    check_image,
    check_residual,
    refusal_allowed,
)
from tests.trusted.oracle import KINDS, MAPS, dense
from tlcheck.trusted.arith.arb import floor_float
from tlcheck.trusted.arith.directed import pieces
from tlcheck.trusted.arith.maps import ConvMap, IndexMap, MatMap
from tlcheck.trusted.arith.tiles import from_places, in_places, tiles_of

CHECKS = (
    check_image,
    check_adjoint,
    check_residual,
    partial(check_chain, linear=True),
    partial(check_chain, linear=False),
)


@pytest.mark.parametrize("name", MAPS)
def test_every_check(name: str) -> None:
    """Two kinds of data a map, others each: all kinds and all maps occur with every check."""
    kinds = list(KINDS)
    first = list(MAPS).index(name)
    for k, check in enumerate(CHECKS):
        kind = kinds[(first + 2 * k) % len(kinds)]
        rng = np.random.default_rng([7, k, *name.encode()])
        with refusal_allowed(kind):
            check(kernels_engine(), MAPS[name], kind, rng)


@pytest.mark.parametrize("name", MAPS)
def test_gathered_products_are_the_maps(name: str) -> None:
    rng = np.random.default_rng([8, *name.encode()])
    m = MAPS[name](rng, lambda r, shape: r.integers(-8, 8, shape).astype(np.float64))
    if not isinstance(m, MatMap | ConvMap) or m.weight.rad is not None:
        pytest.skip("no product of exact weights")
    matrix = np.array([floor_float(q) for q in dense(m, rng).fractions()]).reshape(m.n_out, m.n_in)
    for adjoint in (False, True):
        tiles = tiles_of(m, m.weight.mid.astype(np.float64), adjoint)
        wanted = matrix.T if adjoint else matrix
        x = rng.integers(-8, 8, (3, tiles.n_in)).astype(np.float64)
        moved, back = x, np.zeros((3, tiles.n_out))
        before, after = (), ()
        if isinstance(m, ConvMap):
            wide_first = m.transposed == adjoint
            before, after = (m.wide, m.narrow) if wide_first else (m.narrow, m.wide)
            moved = in_places(before, x)
        kernels = kernels_engine().kernels  # type: ignore[attr-defined]
        kernels.affine(tiles, moved, moved, back, np.zeros((3, tiles.n_out)))
        found = from_places(after, back) if after else back
        assert np.array_equal(found, x @ wanted.T)


def test_pieces_hold_every_use_once() -> None:
    m = IndexMap(np.array([2, 0, -1, 2, 2, 0]), 4)
    found = pieces(m)
    assert len(found) == 3
    used = np.concatenate([p[p >= 0] for p in found])
    assert sorted(used.tolist()) == [0, 1, 3, 4, 5]
    assert all(m.index[p[i]] == i for p in found for i in range(4) if p[i] >= 0)
