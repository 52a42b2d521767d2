"""Relaxations: lines that bound an operation from below and from above, as data for the backward pass.

For a value y and an operand's entry x in [l, u]: a lower line ls x + lt and an upper line us x + ut. Slopes are free choices
(guidance or a heuristic), snapped to a grid; intercepts are *computed* by the operation as rigorous ends, so
that any slope is sound; a bad one is only loose.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.box import Box
from tlcheck.trusted.arith.interface import SLOPE_BITS, slope_scale
from tlcheck.trusted.arith.maps import IndexMap

Floats = NDArray[np.float64]
LARGEST = 2.0**100


@dataclass(frozen=True, eq=False)
class Lines:
    """(slope, intercept) of the lower and of the upper line, arrays (D, n) or (1, n)."""

    lower: tuple[Floats, Floats]
    upper: tuple[Floats, Floats]


@dataclass(frozen=True, eq=False)
class SlopeGuess:
    """Suggested slopes, (D, n) or (1, n); None leaves the choice to the heuristic."""

    lower: Floats | None = None
    upper: Floats | None = None

    def shape(self, box: Box) -> tuple[int, ...]:
        """Of the lines on ``box``: one row a domain."""
        given = (g.shape for g in (self.lower, self.upper) if g is not None)
        return np.broadcast_shapes(box.lower.shape, *given)


NO_GUESS = SlopeGuess()


@dataclass(frozen=True, eq=False)
class Part:
    """Lines in entries of one operand: those that ``entries`` gathers (None: all), whose box is ``box``."""

    operand: int
    lines: Lines
    box: Box
    entries: IndexMap | None = None


@dataclass(frozen=True, eq=False)
class Relaxation:
    """y = S t, and each term t_k lies between the sums over ``parts`` of the lines in their k-th entry.

    ``sums`` is S, None for t = y; then ``terms`` is the box of t.
    """

    parts: tuple[Part, ...]
    sums: IndexMap | None = None
    terms: Box | None = None


def snap(slope: Floats) -> Floats:
    """The nearest multiples of 2^-40 of slopes (D, n), or of several lines (..., D, n); at most LARGEST in magnitude.

    Coarser for all of a domain by the factor that brings its largest below 2, finer where that is small (``slope_scale``): the
    other domains play no part. Not a number becomes 0.
    """
    clean = np.clip(np.nan_to_num(slope, nan=0.0, posinf=0.0, neginf=0.0), -LARGEST, LARGEST)
    but_domains = tuple(a for a in range(clean.ndim) if a != clean.ndim - 2)
    largest = np.abs(clean).max(axis=but_domains, keepdims=True, initial=0.0)
    return grid(clean, SLOPE_BITS - slope_scale(largest))


def grid(x: Floats, bits: int | NDArray[np.int32] = SLOPE_BITS) -> Floats:
    """The nearest multiples of 2^-bits."""
    return np.ldexp(np.rint(np.ldexp(x, bits)), -bits)


@lru_cache(maxsize=16)
def picked(box: Box, entries: IndexMap) -> Box:
    """The box of the entries."""
    return Box(box.lower[:, entries.index], box.upper[:, entries.index])
