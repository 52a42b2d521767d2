"""exp and tanh of float64 arrays, against Arb."""

from __future__ import annotations

import numpy as np
import pytest

from tlcheck.trusted.arith.arb import Arb, upper_float, working_precision
from tlcheck.trusted.arith.exp64 import COEFFICIENTS, EXP, FAR, LN2, TANH, exp, tanh


def arguments() -> list[float]:
    rng = np.random.default_rng(0)
    halves = (np.arange(-1009, 1010) + 0.5) * np.log(2)
    return [
        *rng.uniform(-FAR, FAR, 2000).tolist(), *rng.uniform(-2, 2, 2000).tolist(), *halves.tolist(),
        *np.nextafter(halves, np.inf).tolist(), *(10.0 ** rng.uniform(-300, 2, 500)).tolist(),
        0.0, -0.0, FAR, -FAR, 5e-324, -5e-324, 1.0, -1.0,
    ]  # fmt: skip


def test_within_their_errors_and_near_them() -> None:
    x = np.array(arguments())
    with working_precision(160):
        of_exp = [abs(Arb(v) / Arb(a).exp() - 1) for a, v in zip(x.tolist(), exp(x).tolist(), strict=True)]
        of_tanh = [abs(Arb(v) - Arb(a).tanh()) for a, v in zip(x.tolist(), tanh(x).tolist(), strict=True)]
    assert EXP / 40 < max(map(upper_float, of_exp)) < EXP / 4
    assert TANH / 40 < max(map(upper_float, of_tanh)) < TANH / 4


@pytest.mark.parametrize("x", [1e3, 1e300, np.inf])
def test_far_away(x: float) -> None:
    assert exp(np.array([x]))[0] == exp(np.array([FAR]))[0] > 1e303
    assert 0 < exp(np.array([-x]))[0] < 1e-303
    assert tanh(np.array([-x, x])).tolist() == [-1.0, 1.0]


def test_no_number_stays_none() -> None:
    assert np.isnan(exp(np.array([np.nan]))).all() and np.isnan(tanh(np.array([np.nan]))).all()


def test_constants_are_what_the_proof_says() -> None:
    with working_precision(300):
        assert LN2[0] * 2.0**32 == int(LN2[0] * 2.0**32) < 2**32 and 0 <= LN2[1] <= 2.0**-31
        assert abs(Arb(2).log() - Arb(LN2[0]) - Arb(LN2[1])) < Arb(2) ** -84
        near = Arb("0.36")
        terms = [near**i / Arb(i + 1).gamma() * (2 * i + 2) for i in range(14)]
        assert Arb("1.001") * sum(terms, Arb(0)) / (-near).exp() < Arb("5.62")
        assert near**14 / Arb(15).gamma() * (2 * near).exp() < Arb("0.08") * Arb(2) ** -52
    assert len(COEFFICIENTS) == 14
