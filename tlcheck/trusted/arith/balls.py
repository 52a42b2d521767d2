"""Constants in Arb, at the working precision.

Guarantee: each ball holds the exact number that the formula, or the constant, stands for. For a formula over exact numbers the
radii are rounding errors only. A number that does not exist (division by 0) is a ball that is not finite.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.arb import Arb, arb, ball
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.formula import Applied, Formula, Moved, Rationals, Shape, Stored, formula_of

FUNCTIONS: dict[str, Callable[..., Arb]] = {
    "plus": lambda a, b: a + b,
    "minus": lambda a, b: a - b,
    "times": lambda a, b: a * b,
    "over": lambda a, b: a / b,
    "negative": lambda a: -a,
    "sqrt": lambda a: a.sqrt(),
    "log": lambda a: a.log(),
    "abs": abs,
    "cos_pi": lambda a: a.cos_pi(),
    "pi": arb.pi,
}
"""What ``formula.ARITY`` names. On a ball that is not in the domain Arb's are not finite."""


def constant_balls(c: Constant, shape: Shape | None = None) -> list[Arb]:
    """Every number of the constant, broadcast to ``shape``; flat, row-major."""
    values = formula_balls(formula_of(c))
    if shape is None or shape == c.shape:
        return values
    return [values[i] for i in _spread(c.shape, shape).tolist()]


def formula_balls(formula: Formula) -> list[Arb]:
    """Every number of the formula; flat, row-major."""
    return _at(formula, np.arange(prod(formula.shape)))


def _at(formula: Formula, places: NDArray[np.int64]) -> list[Arb]:
    """The numbers at these flat places: no others are computed."""
    match formula:
        case Stored(mid, rad):
            mids = mid.reshape(-1)[places].astype(np.float64).tolist()
            if rad is None:
                return [arb(m) for m in mids]
            rads = rad.reshape(-1)[places].tolist()
            return [arb(m, r) for m, r in zip(mids, rads, strict=True)]  # Arb rounds a radius up
        case Rationals(_, values):
            return [ball(values[i]) for i in places.tolist()]
        case Moved(parts, index):
            return _moved(parts, index.reshape(-1)[places])
        case Applied(name, ()):
            return [FUNCTIONS[name]()] * places.size
        case Applied(name, parts):
            columns = []
            for part in parts:
                if part.shape == formula.shape:
                    columns.append(_at(part, places))
                else:
                    columns.append(_moved((part,), _spread(part.shape, formula.shape)[places]))
            return [FUNCTIONS[name](*entries) for entries in zip(*columns, strict=True)]
        case _:
            raise ValueError(f"no balls of {type(formula).__name__}")


def _moved(parts: Sequence[Formula], index: NDArray[np.int64]) -> list[Arb]:
    """The entries at ``index`` of the parts laid one after the other, 0 at -1; each is computed once."""
    distinct, back = np.unique(index, return_inverse=True)
    found = [arb(0)] * int((distinct < 0).sum())
    start = 0
    for part in parts:
        size = prod(part.shape)
        inside = distinct[(distinct >= start) & (distinct < start + size)]
        found += _at(part, inside - start)
        start += size
    return [found[i] for i in back.reshape(-1).tolist()]


def _spread(shape: Shape, target: Shape) -> NDArray[np.int64]:
    """For each flat place of ``target``, that of ``shape`` which broadcasts to it."""
    return np.broadcast_to(np.arange(prod(shape)).reshape(shape), target).reshape(-1)
