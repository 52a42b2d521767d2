"""Quantities on many cells at a time, by Taylor models in float64 (``taylor.models64``); what they do not tell, Arb is asked.

The models are those of a box around each cell: its ends are the cell's, rounded outwards, and the engine widens them again. So a
range over the box holds the one over the cell. For integrals of r >= 0, with volumes |box| >= |cell|,
    |box| mean over the box - (|box| - |cell|) sup over the box <= integral over the cell <= |box| mean over the box.
Means and their roots as ``Quantity.mean_over`` has them; sums of squares, roots and volumes are Arb's.

Guarantee: a ball that is given holds the number. It rests on double precision and on BLAS's sums, as ``arith.ball64``; the value
at the centre of one cell of each batch is found again in Arb, and must meet the ball of its cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import prod

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.arb import Arb, arb, ball, floor_float
from tlcheck.trusted.arith.probe import probe
from tlcheck.trusted.calculus.ranges import Box, square
from tlcheck.trusted.science.quantities import Quantity, mean_of
from tlcheck.trusted.taylor.engine import OutsideDomain
from tlcheck.trusted.taylor.models64 import Engine64, Models64, mean_squares, means
from tlcheck.trusted.taylor.models_arb import mean_square
from tlcheck.trusted.taylor.space import Space

Floats = NDArray[np.float64]


LEAST = 2.0**-80
"""A mean of r below it, or of its root below the root of it, is not told from rounding: Arb may know that it is 0."""


class FloatsDisagree(RuntimeError):
    """Arb has a value outside what float64 said: a bug, or arithmetic that is not what it is taken for; never a verdict."""


@dataclass(frozen=True, eq=False)
class Found:
    """On each cell of a batch: r, and the integral of r ("L2") or of its root ("L1"). Not finite where nothing is known."""

    ranges: list[Arb]
    integrals: list[Arb]


def found(quantity: Quantity, cells: Sequence[Box], order: int, norm: str) -> Found:
    """``norm`` "sup": without integrals. Raises BlasRefused, FloatsDisagree."""
    probe()
    free = quantity.free
    low = np.array([[floor_float(a) for a, _ in cell] for cell in cells])
    high = np.array([[-floor_float(-b) for _, b in cell] for cell in cells])
    with np.errstate(all="ignore"):
        engine = Engine64(Space(len(free), order), low, high, free)
    if not (np.isfinite(engine.centre).all() and np.isfinite(engine.half).all()):
        unknown = [arb("nan")] * len(cells)
        return Found(unknown, unknown)
    with np.errstate(all="ignore"):
        models = quantity.models(engine)
    ranges = _ranges(models)
    _compare(quantity, cells, ranges)
    if norm == "sup":
        return Found(ranges, [])
    least = LEAST if norm == "L2" else LEAST**0.5
    mean = [m if m.abs_upper() >= least else arb("nan") for m in _means(models, norm)]
    volumes = _volumes(cells, engine.half[:, list(free)].tolist())
    tops = [r.abs_upper() if norm == "L2" else r.abs_upper().sqrt() for r in ranges]
    every = zip(volumes, mean, tops, strict=True)
    return Found(
        ranges, [ball(box) * m - ball(box - cell) * arb(0).union(top) for (cell, box), m, top in every]
    )


def _ranges(models: Sequence[Models64]) -> list[Arb]:
    """The sum of the squares."""
    ends = [(low[:, 0].tolist(), high[:, 0].tolist()) for low, high in map(Engine64.bounds, models)]
    return [
        sum((square(arb(low[k]).union(arb(high[k]))) for low, high in ends), arb(0))
        for k in range(len(models[0].remainder))
    ]


def _means(models: Sequence[Models64], norm: str) -> list[Arb]:
    found = []
    for model in models:
        (square_, off_square), (mean, off) = mean_squares(model), means(model)
        columns = (square_, off_square, mean, off, model.remainder)
        found.append(
            [tuple(map(float, row)) for row in zip(*(c[:, 0].tolist() for c in columns), strict=True)]
        )
    return [mean_of([_two_means(*row) for row in rows], norm) for rows in zip(*found, strict=True)]


def _two_means(
    square_: float, off_square: float, mean: float, off: float, remainder: float
) -> tuple[Arb, Arb]:
    """Of e^2 and e."""
    return mean_square(arb(square_, off_square), arb(remainder)), arb(mean, off) + arb(0, remainder)


def _volumes(cells: Sequence[Box], halves: Sequence[Sequence[float]]) -> list[tuple[Fraction, Fraction]]:
    """Of the cell and its box, over the coordinates that vary."""
    return [
        (
            prod((b - a for a, b in cell if a < b), start=Fraction(1)),
            prod((2 * Fraction(h) for h in half), start=Fraction(1)),
        )
        for cell, half in zip(cells, halves, strict=True)
    ]


def _compare(quantity: Quantity, cells: Sequence[Box], ranges: Sequence[Arb]) -> None:
    """Raises FloatsDisagree."""
    k = len(cells) // 2
    centre = tuple(((a + b) / 2,) * 2 for a, b in cells[k])
    try:
        value = quantity.over(centre, 0, {})
    except OutsideDomain:
        return
    if not value.overlaps(ranges[k]):
        where = quantity.where(centre)
        raise FloatsDisagree(f"TLC902: {where}: Arb finds {value}, float64 {ranges[k]} on the cell around it")
