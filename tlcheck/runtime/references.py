"""Elementary functions in double precision, against which float32 executions are measured, and the nodes that compute them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.arb import arb, lower_float, upper_float, working_precision
from tlcheck.trusted.ops.arcs import Acos, Asin
from tlcheck.trusted.ops.elementwise import Elementwise
from tlcheck.trusted.ops.s_shaped import Atan, Sigmoid, Tanh
from tlcheck.trusted.ops.smooth import Cos, Erf, Exp, Log, Power, Reciprocal, Sin, Softplus, Sqrt

Doubles = NDArray[np.float64]

REFERENCE_ULPS: Final = 8
"""What a reference may err by, in units of 2^-52 of its value; spot-checked in Arb."""
SPOTS: Final = 64
"""Places of a spot check."""


@dataclass(frozen=True, eq=False)
class Function:
    """``op``: what it is. ``nodes``: each (ONNX operator, further constant operand) that a network may have for it."""

    op: Elementwise
    nodes: tuple[tuple[str, float | None], ...]
    reference: Callable[[Doubles], Doubles]
    absolute: bool = False
    """Its relative error has no bound: it is said absolutely."""


def _erf(x: Doubles) -> Doubles:
    """Near 0 by two terms of its series (the third is below 2^-52 of them), from 6 on 1, between by the C library."""
    size = np.abs(x)
    y = np.where(size < 2.0**-13, 2 / math.sqrt(math.pi) * x * (1 - x * x / 3), np.sign(x))
    between = (size >= 2.0**-13) & (size < 6)
    y[between] = [math.erf(v) for v in x[between].tolist()]
    return y


def _softplus(x: Doubles) -> Doubles:
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


FUNCTIONS: Final[dict[str, Function]] = {
    "Acos": Function(Acos(), (("Acos", None),), np.arccos),
    "Asin": Function(Asin(), (("Asin", None),), np.arcsin),
    "Atan": Function(Atan(), (("Atan", None),), np.arctan),
    "Cos": Function(Cos(), (("Cos", None),), np.cos, absolute=True),
    "Cube": Function(Power(3.0), (("Pow", 3.0),), lambda x: x * x * x),
    "Erf": Function(Erf(), (("Erf", None),), _erf),
    "Exp": Function(Exp(), (("Exp", None),), np.exp),
    "Log": Function(Log(), (("Log", None),), np.log),
    "Reciprocal": Function(Reciprocal(), (("Reciprocal", None), ("Pow", -1.0)), lambda x: 1 / x),
    "Sigmoid": Function(Sigmoid(), (("Sigmoid", None),), lambda x: 1 / (1 + np.exp(-x)), absolute=True),
    "Sin": Function(Sin(), (("Sin", None),), np.sin, absolute=True),
    "Softplus": Function(Softplus(), (("Softplus", None),), _softplus),
    "Sqrt": Function(Sqrt(), (("Sqrt", None), ("Pow", 0.5)), np.sqrt),
    "Square": Function(Power(2.0), (("Pow", 2.0),), np.square),
    "Tanh": Function(Tanh(), (("Tanh", None),), np.tanh),
}
"""By the names that profiles have for them. Pow and Root have two operands and are not here."""


def spot_check(name: str) -> float:
    """The reference's largest error at places of all sizes, in units of 2^-52 of the value, enclosed in Arb."""
    function, rng = FUNCTIONS[name], np.random.default_rng(0)
    sizes = np.exp2(rng.uniform(-30, 7, SPOTS)) * rng.choice([-1.0, 1.0], SPOTS)
    x = sizes.astype(np.float32).astype(np.float64)
    with np.errstate(all="ignore"):
        found = function.reference(x.copy())
    worst = 0.0
    with working_precision(128):
        for at, y in zip(x.tolist(), found.tolist(), strict=True):
            exact = function.op.ball(arb(at))
            if exact.is_finite() and abs(lower_float(exact)) > 2.0**-1000:
                away = arb(y) - exact
                error = max(abs(lower_float(away)), abs(upper_float(away)))
                worst = max(worst, error / abs(lower_float(exact)) * 2.0**52)
    return worst
