"""Smooth functions of one variable. Outside its domain a function has no value, and nothing that needs it is proved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tlcheck.trusted.ops.activation import Elementwise
from tlcheck.trusted.ops.base import require


class Smooth(Elementwise):
    """An elementwise function with an interval rule, and lines by its curvature (``nonlinear.py``)."""


@dataclass(frozen=True, eq=False)
class Sin(Smooth):
    """sin(x), x in radians"""


@dataclass(frozen=True, eq=False)
class Cos(Smooth):
    """cos(x), x in radians"""


@dataclass(frozen=True, eq=False)
class Exp(Smooth):
    """e^x"""


@dataclass(frozen=True, eq=False)
class Log(Smooth):
    """Natural logarithm; x > 0."""


@dataclass(frozen=True, eq=False)
class Sqrt(Smooth):
    """Square root; x >= 0."""


@dataclass(frozen=True, eq=False)
class Reciprocal(Smooth):
    """1 / x; x != 0."""


@dataclass(frozen=True, eq=False)
class Erf(Smooth):
    """2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x"""


@dataclass(frozen=True, eq=False)
class Softplus(Smooth):
    """log(1 + e^x)"""


MAX_EXPONENT = 1024.0


@dataclass(frozen=True, eq=False)
class Power(Smooth):
    """x^exponent, for an exact exponent in (0, 1024]; x >= 0 unless the exponent is whole."""

    exponent: float

    def __post_init__(self) -> None:
        fits = bool(np.isfinite(self.exponent)) and 0 < self.exponent <= MAX_EXPONENT
        require(fits, "Power: exponent must be positive and at most 1024")

    @property
    def whole(self) -> bool:
        return self.exponent == int(self.exponent)
