"""tanh and the sigmoid for Taylor models (``univariate``).

Uniform bounds. tanh has simple poles with residue 1 at i pi m / 2, m odd, and (Mittag-Leffler) c_k(x) is up to sign the
sum over them of (x - pole)^-(k+1), k >= 1; for real x |x - pole| >= pi |m| / 2, so
    |c_k| <= 2 (2/pi)^(k+1) sum_{m odd > 0} m^-(k+1) <= (pi^2/4) (2/pi)^(k+1).
sigmoid(x) = (1 + tanh(x/2))/2 divides that by 2^(k+1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tlcheck.trusted.arith.arb import Arb
from tlcheck.trusted.taylor.univariate import Number, Univariate


def _square_coefficient(v: list[Number], k: int) -> Number:
    """Coefficient k of v^2."""
    total = None
    for i in range((k + 1) // 2):
        term = v[i] * v[k - i] * 2
        total = term if total is None else total + term
    if k % 2 == 0:
        term = v[k // 2] * v[k // 2]
        total = term if total is None else total + term
    return total


def _tanh_bound(k: int) -> Arb:
    pi = Arb.pi()
    return pi * pi / 4 * (2 / pi) ** (k + 1)


@dataclass(frozen=True)
class Tanh(Univariate):
    """v' = 1 - v^2."""

    def base(self, x: Arb) -> tuple[Arb, ...]:
        return (x.tanh(),)

    def coefficients(self, x: Number, base: tuple[Number, ...], n: int) -> list[Number]:
        v = [base[0]]
        for k in range(n):
            square = _square_coefficient(v, k)
            v.append((1 - square if k == 0 else -square) / (k + 1))
        return v

    def uniform(self, k: int) -> Arb:
        return _tanh_bound(k)


@dataclass(frozen=True)
class Sigmoid(Univariate):
    """v' = v - v^2."""

    def base(self, x: Arb) -> tuple[Arb, ...]:
        return ((1 + (x / 2).tanh()) / 2,)

    def coefficients(self, x: Number, base: tuple[Number, ...], n: int) -> list[Number]:
        v = [base[0]]
        for k in range(n):
            v.append((v[k] - _square_coefficient(v, k)) / (k + 1))
        return v

    def uniform(self, k: int) -> Arb:
        return Arb(1) if k == 0 else _tanh_bound(k) / 2 ** (k + 1)


OPERATIONS: Final[dict[str, Univariate]] = {"Tanh": Tanh(), "Sigmoid": Sigmoid()}
"""By the names of the classes in ops/s_shaped.py."""
