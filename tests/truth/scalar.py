"""Functions of one variable, and what they reach on an interval, in rationals: sums of such have a maximum that is known exactly.

Written without anything of tlcheck.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

F = Fraction
Layer = tuple[Sequence[Sequence[Fraction]], Sequence[Fraction]]
"""(W, b) of z = W h + b; a ReLU follows on every layer but the last."""
Line = tuple[Fraction, Fraction]
"""(a, b): a x + b."""


@dataclass(frozen=True)
class Range:
    """The least and the largest value, and a point of each."""

    least: Fraction
    at_least: Fraction
    most: Fraction
    at_most: Fraction


def reached(layers: Sequence[Layer], low: Fraction, high: Fraction) -> Range:
    """Of the network's one output."""
    points = [(y, x) for a, b, rows in pieces(layers, low, high) for x in (a, b) for y in [at(rows[0], x)]]
    (least, x), (most, z) = min(points), max(points)
    return Range(least, x, most, z)


def kinks(layers: Sequence[Layer], low: Fraction, high: Fraction) -> list[Fraction]:
    """Between them it is affine."""
    return [b for _, b, _ in pieces(layers, low, high)][:-1]


def pieces(
    layers: Sequence[Layer], low: Fraction, high: Fraction
) -> Iterator[tuple[Fraction, Fraction, list[Line]]]:
    """Intervals one after the other, and the outputs on each."""
    yield from _pieces(layers, low, high, [(F(1), F(0))])


def _pieces(
    layers: Sequence[Layer], low: Fraction, high: Fraction, values: list[Line]
) -> Iterator[tuple[Fraction, Fraction, list[Line]]]:
    (weights, bias), later = layers[0], layers[1:]
    rows = [combined(w, values, b) for w, b in zip(weights, bias, strict=True)]
    if not later:
        yield low, high, rows
        return
    roots = {-b / a for a, b in rows if a} if low < high else set()
    ends = [low, *sorted(r for r in roots if low < r < high), high]
    for a, b in zip(ends, ends[1:], strict=False):
        middle = (a + b) / 2
        yield from _pieces(later, a, b, [r if at(r, middle) > 0 else (F(0), F(0)) for r in rows])


def combined(weights: Sequence[Fraction], rows: Sequence[Line], constant: Fraction) -> Line:
    pairs = list(zip(weights, rows, strict=True))
    return sum((w * r[0] for w, r in pairs), F(0)), sum((w * r[1] for w, r in pairs), constant)


def at(row: Line, x: Fraction) -> Fraction:
    return row[0] * x + row[1]
