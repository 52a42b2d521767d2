"""Smooth functions of one variable for Taylor models (``univariate``), and which of them operations and expressions are.

Uniform bounds. sin, cos: 1/k!. softplus' = sigmoid <= 1. erf^(k) = +-2/sqrt(pi) H_{k-1}(x) exp(-x^2), and |H_n(x)| exp(-x^2/2)
<= 1.1 sqrt(2^n n!) (Cramer; Abramowitz and Stegun 22.14.17). exp, log and x^a (k > a): |c_k| = |a choose k| x^(a-k) and the like
are monotone in |x|.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Final

from tlcheck.trusted.arith.arb import Arb, ball
from tlcheck.trusted.taylor.s_shaped import Sigmoid, Tanh
from tlcheck.trusted.taylor.univariate import End, Number, Univariate


@dataclass(frozen=True)
class Softplus(Univariate):
    """v' = sigmoid."""

    def base(self, x: Arb) -> tuple[Arb, ...]:
        return (1 + x.exp()).log(), (1 + (x / 2).tanh()) / 2

    def coefficients(self, x: Number, base: tuple[Number, ...], n: int) -> list[Number]:
        slope = Sigmoid().coefficients(x, base[1:], max(n - 1, 0))
        return [base[0], *(slope[k] / (k + 1) for k in range(n))]

    def uniform(self, k: int) -> Arb:
        return Sigmoid().uniform(k - 1) / k


@dataclass(frozen=True)
class Sin(Univariate):
    """c_{k+2} = -c_k / ((k+1)(k+2)); ``quarter`` turns further: 1 is cos."""

    quarter: int = 0

    def base(self, x: Arb) -> tuple[Arb, ...]:
        return (x.cos(), -x.sin()) if self.quarter else (x.sin(), x.cos())

    def coefficients(self, x: Number, base: tuple[Number, ...], n: int) -> list[Number]:
        v = [base[0], base[1]]
        for k in range(n - 1):
            v.append(-v[k] / ((k + 1) * (k + 2)))
        return v[: n + 1]

    def uniform(self, k: int) -> Arb:
        return 1 / Arb(k + 1).gamma()


@dataclass(frozen=True)
class Exp(Univariate):
    """v' = v."""

    def base(self, x: Arb) -> tuple[Arb, ...]:
        return (x.exp(),)

    def coefficients(self, x: Number, base: tuple[Number, ...], n: int) -> list[Number]:
        v = [base[0]]
        for k in range(n):
            v.append(v[k] / (k + 1))
        return v

    def extreme(self, k: int) -> End:
        return "high"


@dataclass(frozen=True)
class Log(Univariate):
    """v' = 1/x."""

    domain: ClassVar[int] = 1

    def base(self, x: Arb) -> tuple[Arb, ...]:
        return x.log(), 1 / x

    def coefficients(self, x: Number, base: tuple[Number, ...], n: int) -> list[Number]:
        slope = Root(Fraction(-1)).coefficients(x, base[1:], max(n - 1, 0))
        return [base[0], *(slope[k] / (k + 1) for k in range(n))]

    def extreme(self, k: int) -> End:
        return "low"


@dataclass(frozen=True)
class Root(Univariate):
    """x^a, a not a whole number >= 0: for x > 0, and for x != 0 when a is -1. c_{k+1} = c_k (a - k) / ((k+1) x)."""

    exponent: Fraction

    @property
    def domain(self) -> int:  # type: ignore[override]
        return -1 if self.exponent == -1 else 1

    def base(self, x: Arb) -> tuple[Arb, ...]:
        if self.exponent == -1:
            return (1 / x,)
        return (x.sqrt() if self.exponent == Fraction(1, 2) else (x.log() * ball(self.exponent)).exp(),)

    def coefficients(self, x: Number, base: tuple[Number, ...], n: int) -> list[Number]:
        v = [base[0]]
        for k in range(n):
            factor = self.exponent - k
            v.append(v[k] * factor.numerator / (factor.denominator * (k + 1)) / x)
        return v

    def extreme(self, k: int) -> End:
        return "near zero" if k > self.exponent else "high"


@dataclass(frozen=True)
class Erf(Univariate):
    """v' = g, g' = -2 x g: (k+1) g_{k+1} = -2 (x g_k + g_{k-1})."""

    def base(self, x: Arb) -> tuple[Arb, ...]:
        return x.erf(), 2 / Arb.pi().sqrt() * (-x * x).exp()

    def coefficients(self, x: Number, base: tuple[Number, ...], n: int) -> list[Number]:
        g = [base[1]]
        for k in range(n - 1):
            inner = x * g[k] + g[k - 1] if k else x * g[0]
            g.append(inner * -2 / (k + 1))
        return [base[0], *(g[k] / (k + 1) for k in range(n))]

    def uniform(self, k: int) -> Arb:
        root = (Arb(2) ** (k - 1) * Arb(k).gamma()).sqrt()
        return 2 / Arb.pi().sqrt() * Arb(11) / 10 * root / Arb(k + 1).gamma()


OPERATIONS: Final[dict[str, Univariate]] = {
    "Softplus": Softplus(),
    "Sin": Sin(),
    "Cos": Sin(1),
    "Exp": Exp(),
    "Log": Log(),
    "Sqrt": Root(Fraction(1, 2)),
    "Reciprocal": Root(Fraction(-1)),
    "Erf": Erf(),
}
"""By the names of the classes in ops/smooth.py: no module of an operation is loaded that a network has not."""

APPLIED: Final[dict[str, Univariate]] = {
    "tanh": Tanh(),
    "sin": Sin(),
    "cos": Sin(1),
    "exp": Exp(),
    "log": Log(),
    "sqrt": Root(Fraction(1, 2)),
}
"""Functions of expressions; abs is a hinge."""
