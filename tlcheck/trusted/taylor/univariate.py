"""What Taylor models ask of a smooth function of one variable: its coefficients at a point, and bounds on them over an interval.

With c_k(x) = f^(k)(x) / k!, a function has
- ``base``: values at x, in Arb, from which ``coefficients`` gives c_0..c_n by a recurrence (from f's differential
  equation). The recurrence uses +, -, * and / only, on whatever kind of enclosure it is given: balls in, balls out.
- either ``uniform``: a bound on |c_k| over the whole real line, k >= 1, or ``extreme``: the end of an interval at
  which |c_k| is the greatest on it, and ``domain``: 1 if x > 0 is needed, -1 if x != 0 is, 0 if nothing is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import comb
from typing import Any, ClassVar, Literal

from tlcheck.trusted.arith.arb import Arb

Number = Any
"""A ball of some engine: an Arb, or an array of float64 balls."""
End = Literal["low", "high", "near zero"]


class Univariate(ABC):
    """See the module. Immutable."""

    domain: ClassVar[int] = 0

    @abstractmethod
    def base(self, x: Arb) -> tuple[Arb, ...]: ...

    @abstractmethod
    def coefficients(self, x: Number, base: tuple[Number, ...], n: int) -> list[Number]:
        """[c_0, ..., c_n]."""

    def uniform(self, k: int) -> Arb | None:
        """>= |c_k| everywhere; None where ``extreme`` tells instead."""
        return None

    def extreme(self, k: int) -> End:
        raise ValueError(f"{type(self).__name__} is bounded uniformly")


def tower_weight(k: int, m: int) -> int:
    """Coefficient k of f^(m)/m! is tower_weight(k, m) c_{k+m}."""
    return comb(k + m, m)
