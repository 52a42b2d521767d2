"""Boxes of float64: enclosures of a node's values, one row per domain."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class OutOfRange(Exception):
    """A number left the range in which an engine's bounds are proved (or is infinite): no bound is given."""


@dataclass(frozen=True, eq=False)
class Box:
    """lower <= value <= upper, arrays (D, n); D = 1 when all domains share the box. Infinite ends mean unknown."""

    lower: Floats
    upper: Floats

    def __post_init__(self) -> None:
        if self.lower.shape != self.upper.shape or self.lower.ndim != 2:
            raise ValueError("box: lower and upper must be (D, n)")
        if bool(np.isnan(self.lower).any() or np.isnan(self.upper).any()):
            raise ValueError("box: NaN")

    @cached_property
    def magnitude(self) -> Floats:
        """max(|lower|, |upper|), (D, n)."""
        return np.maximum(np.abs(self.lower), np.abs(self.upper))

    @cached_property
    def largest(self) -> float:
        """The largest magnitude of all."""
        return float(self.magnitude.max()) if self.magnitude.size else 0.0

    @cached_property
    def largest_each(self) -> Floats:
        """Each domain's largest magnitude, (D,): what is charged to a domain must not depend on the others."""
        return np.asarray(self.magnitude.max(axis=1, initial=0.0))

    def meet(self, other: Box) -> Box:
        """The intersection."""
        return Box(np.maximum(self.lower, other.lower), np.minimum(self.upper, other.upper))

    def widened(self, radius: Floats) -> Box:
        """Widened by a radius, outward."""
        return Box(np.nextafter(self.lower - radius, -np.inf), np.nextafter(self.upper + radius, np.inf))

    def rows(self, domains: slice | NDArray[np.int64]) -> Box:
        """The rows of some domains (a shared box stays shared)."""
        if self.lower.shape[0] == 1:
            return self
        return Box(self.lower[domains], self.upper[domains])
