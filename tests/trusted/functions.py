"""The table of functions of one variable that are not piecewise linear: a row here gives an operation all its property tests.

Its value on balls, its box, its lines and its cross-check against mpmath (``test_nonlinear``, ``test_interval_ops``); what it
may claim of derivative, curvature and ends (``test_interval_ops``); S-shaped ones also in networks over boxes of every kind
(``test_evaluate``, ``test_crosscheck``). One with a ``chain`` is also an ONNX operator of its class's name: sixty layers of it
(``test_depth``), and models of it among those of ``python -m tests.fuzz operators``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import mpmath
import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.box import Box
from tlcheck.trusted.ops.arcs import Acos, Asin
from tlcheck.trusted.ops.elementwise import Elementwise
from tlcheck.trusted.ops.roots import Root
from tlcheck.trusted.ops.s_shaped import Atan, Sigmoid, SShaped, Tanh
from tlcheck.trusted.ops.smooth import Cos, Erf, Exp, Log, Power, Reciprocal, Sin, Softplus, Sqrt

ALL = (-np.inf, np.inf)
POSITIVE = (1e-300, np.inf)
NOT_NEGATIVE = (0.0, np.inf)


class Row(NamedTuple):
    """``function``: mpmath's; ``low`` to ``high``: where ordinary points are taken; ``domain``: where nasty ones may be.

    ``chain``: (a, b) such that x -> a f(x) + b, sixty times, stays in the domain and near 1, from SMALL.
    """

    op: Elementwise
    function: Callable[[Any], Any]
    low: float
    high: float
    domain: tuple[float, float] = ALL
    chain: tuple[float, float] | None = None

    def within(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """The points, moved into the domain."""
        return np.clip(np.abs(x) if self.domain[0] >= 0 else x, *self.domain)

    def box(self, box: Box) -> Box:
        low, high = self.within(box.lower), self.within(box.upper)
        return Box(np.minimum(low, high), np.maximum(low, high))


def far(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function that mpmath cannot compute far out, where it is as at 5000 to thousands of digits."""
    return lambda z: function(max(min(z, mpmath.mpf(5000)), mpmath.mpf(-5000)))


FUNCTIONS: dict[str, Row] = {
    "sigmoid": Row(Sigmoid(), far(lambda z: 1 / (1 + mpmath.exp(-z))), -20, 20),
    "tanh": Row(Tanh(), far(mpmath.tanh), -20, 20),
    "atan": Row(Atan(), mpmath.atan, -50, 50, chain=(-1.5, 0.25)),
    "acos": Row(Acos(), mpmath.acos, -0.99, 0.99, (-1.0, 1.0), (0.5, -0.75)),
    "asin": Row(Asin(), mpmath.asin, -0.99, 0.99, (-1.0, 1.0), (-0.75, 0.125)),
    "sin": Row(Sin(), mpmath.sin, -20, 20),
    "cos": Row(Cos(), mpmath.cos, -20, 20),
    "exp": Row(Exp(), mpmath.exp, -30, 30),
    "log": Row(Log(), mpmath.log, 1e-3, 1e6, POSITIVE),
    "sqrt": Row(Sqrt(), mpmath.sqrt, 0, 1e6, NOT_NEGATIVE),
    "reciprocal": Row(Reciprocal(), lambda z: 1 / z, -5, -1e-3, POSITIVE),
    "erf": Row(Erf(), mpmath.erf, -6, 6),
    "cube root": Row(Root(3), mpmath.cbrt, 0, 1e6, NOT_NEGATIVE),
    "softplus": Row(Softplus(), lambda z: mpmath.log1p(mpmath.exp(z)), -30, 30),
    "square": Row(Power(2.0), lambda z: z**2, -3, 3),
    "cube": Row(Power(3.0), lambda z: z**3, -3, 3),
    "power": Row(Power(1.7), lambda z: z ** mpmath.mpf(1.7), 0, 9, NOT_NEGATIVE),
}

SMALL = (0.5, -0.25, 0.125, 0.625)
OPERATORS = {type(row.op).__name__: row for row in FUNCTIONS.values() if row.chain is not None}
"""Rows that are ONNX operators, by their names there."""
S_SHAPED = {name: row for name, row in FUNCTIONS.items() if isinstance(row.op, SShaped)}
