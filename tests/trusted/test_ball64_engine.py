"""The float64 engine: sound for every map and kind of data, in every rounding mode; refuses what it cannot bound."""

from __future__ import annotations

import numpy as np
import pytest

from tests.trusted import engine_checks
from tests.trusted.engine_checks import REFUSALS, check_adjoint, check_chain, check_image
from tests.trusted.oracle import KINDS, MAPS, REPEATS
from tlcheck.trusted.arith.ball64 import Ball64


def seeds(name: str, salt: int) -> list[np.random.Generator]:
    return [np.random.default_rng([salt, r, *name.encode()]) for r in range(REPEATS)]


@pytest.mark.parametrize("name", MAPS)
def test_image(name: str) -> None:
    for rng in seeds(name, 1):
        for kind in KINDS:
            check_image(Ball64(), MAPS[name], kind, rng)


@pytest.mark.parametrize("name", MAPS)
def test_adjoint(name: str) -> None:
    for rng in seeds(name, 2):
        for kind in KINDS:
            check_adjoint(Ball64(), MAPS[name], kind, rng)


@pytest.mark.parametrize("name", MAPS)
def test_chain(name: str) -> None:
    for rng in seeds(name, 3):
        for kind in KINDS:
            check_chain(Ball64(), MAPS[name], kind, rng, linear=bool(rng.integers(0, 2)))
