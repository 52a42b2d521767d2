"""Functions with kinks in Taylor models. What a network with such operations asks for.

All are made of hinges f(z) = (b z for z <= 0, c z for z >= 0): max(x, a) = a + relu(x - a), min(x, a) = a - relu(a - x),
max(x, y) = x + relu(y - x). Values have a model on every box. A derivative has one only where z is certainly not 0 on the whole
box: then f is linear around each of its values, F' = b or c and the higher ones are 0; otherwise OutsideDomain. So a model of
D^a g, |a| >= 1, says that D^a g exists at every point of the box, as the derivative of a function that is defined around the
point. (It may exist where this refuses: kinks can cancel.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, cast

import numpy as np

from tlcheck.trusted.arith.arb import arb
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.ops.base import Operation
from tlcheck.trusted.taylor.derivatives import Derivatives, Jet, M, negated
from tlcheck.trusted.taylor.engine import Engine

if TYPE_CHECKING:
    from tlcheck.trusted.ops.bent import Clip, LeakyRelu
    from tlcheck.trusted.ops.selection import MaxOver

KINKS: Final = frozenset({"Relu", "LeakyRelu", "Abs", "Clip", "MaxOver"})


def known(op: Operation) -> bool:
    """By the name of its class: no module of an operation is loaded that a network has not."""
    return type(op).__name__ in KINKS


def kinked(op: Operation, derivatives: Derivatives, engine: Engine[M], operands: Sequence[Jet[M]]) -> Jet[M]:
    """``op``: one that is known."""
    g = operands[0]
    match type(op).__name__:
        case "LeakyRelu":
            return derivatives.hinge(engine, cast("LeakyRelu", op).alpha, 1.0, g)
        case "Abs":
            return derivatives.hinge(engine, -1.0, 1.0, g)
        case "Clip":
            return _clipped(cast("Clip", op), derivatives, engine, g)
        case "MaxOver":
            rows = [_greatest(derivatives, engine, row, g) for row in cast("MaxOver", op).index.tolist()]
            return {a: engine.stack([row[a] for row in rows]) for a in g}
        case _:
            return derivatives.hinge(engine, 0.0, 1.0, g)


def _clipped(op: Clip, derivatives: Derivatives, engine: Engine[M], g: Jet[M]) -> Jet[M]:
    if op.lower is not None:
        g = _not_below(derivatives, engine, op.lower, g)
    if op.upper is not None:
        above = Constant(-op.upper.mid)
        g = negated(engine, _not_below(derivatives, engine, above, negated(engine, g)))
    return g


def _not_below(derivatives: Derivatives, engine: Engine[M], bound: Constant, g: Jet[M]) -> Jet[M]:
    """max(g, bound) = bound + relu(g - bound)."""
    zero = derivatives.indices[0]
    numbers = bound.mid.astype(np.float64).reshape(-1).tolist()
    least = engine.constants([arb(v) for v in numbers * (engine.count(g[zero]) // len(numbers))])
    over = derivatives.hinge(engine, 0.0, 1.0, {**g, zero: engine.add(g[zero], engine.negate(least))})
    return {**over, zero: engine.add(over[zero], least)}


def _greatest(derivatives: Derivatives, engine: Engine[M], row: Sequence[int], g: Jet[M]) -> Jet[M]:
    """max(x, y) = x + relu(y - x), over the entries of the row; -1 is none."""
    first, *others = ({a: engine.pick(x, j) for a, x in g.items()} for j in dict.fromkeys(row) if j >= 0)
    for y in others:
        less = negated(engine, first)
        over = derivatives.hinge(engine, 0.0, 1.0, {a: engine.add(y[a], less[a]) for a in y})
        first = {a: engine.add(first[a], over[a]) for a in y}
    return first
