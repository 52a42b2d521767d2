"""Constants in Arb, at the working precision.

Guarantee: each ball holds the exact number that the formula, or the constant, stands for. For a formula over exact numbers the
radii are rounding errors only. A number that does not exist (division by 0) is a ball that is not finite.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tlcheck.trusted.arith.arb import Arb, arb, ball
from tlcheck.trusted.constant import Constant
from tlcheck.trusted.formula import Applied, Formula, Moved, Rationals, Shape, Stored

FUNCTIONS: dict[str, Callable[..., Arb]] = {
    "plus": lambda a, b: a + b,
    "minus": lambda a, b: a - b,
    "times": lambda a, b: a * b,
    "over": lambda a, b: a / b,
    "negative": lambda a: -a,
    "sqrt": lambda a: a.sqrt(),
    "log": lambda a: a.log(),
    "abs": abs,
    "pi": arb.pi,
}
"""What ``formula.ARITY`` names. On a ball that is not in the domain Arb's are not finite."""


def constant_balls(c: Constant, shape: Shape | None = None) -> list[Arb]:
    """Every number of the constant, broadcast to ``shape``; flat, row-major."""
    return _spread(formula_balls(c.exactly), c.shape, c.shape if shape is None else shape)


def formula_balls(formula: Formula) -> list[Arb]:
    """Every number of the formula; flat, row-major. Parts that occur several times are computed once."""
    known: dict[int, list[Arb]] = {}

    def of(part: Formula) -> list[Arb]:
        if id(part) not in known:
            known[id(part)] = _computed(part, of)
        return known[id(part)]

    return of(formula)


def _computed(formula: Formula, of: Callable[[Formula], list[Arb]]) -> list[Arb]:
    match formula:
        case Stored(mid, rad):
            mids = mid.astype(np.float64).reshape(-1).tolist()
            if rad is None:
                return [arb(m) for m in mids]
            return [
                arb(m, r) for m, r in zip(mids, rad.reshape(-1).tolist(), strict=True)
            ]  # Arb rounds a radius up
        case Rationals(_, values):
            return [ball(q) for q in values]
        case Moved(parts, index):
            flat, zero = [value for part in parts for value in of(part)], arb(0)
            return [flat[i] if i >= 0 else zero for i in index.reshape(-1).tolist()]
        case Applied(name, ()):
            return [FUNCTIONS[name]()]
        case Applied(name, parts):
            columns = [_spread(of(part), part.shape, formula.shape) for part in parts]
            return [FUNCTIONS[name](*entries) for entries in zip(*columns, strict=True)]
        case _:
            raise ValueError(f"no balls of {type(formula).__name__}")


def _spread(values: list[Arb], shape: Shape, target: Shape) -> list[Arb]:
    """Flat ``values`` of ``shape``, broadcast to ``target``."""
    if shape == target:
        return values
    places = np.broadcast_to(np.arange(len(values)).reshape(shape), target)
    return [values[i] for i in places.reshape(-1).tolist()]
