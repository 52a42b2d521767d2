"""Examples of a data set with their boxes, and claims that are checked example by example."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import inf

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.arb import ball, lower_float, upper_float
from tlcheck.trusted.conditions import ConditionClaim, Item

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MAX_PARTS = 1000
"""Most parts of a claim: so many that progress is seen, and not more than a pool's tasks are worth."""
LARGEST = 2.0**1000


@dataclass(frozen=True, eq=False)
class Examples:
    """``inputs`` (N, n) exact doubles, ``labels`` (N,), and the boxes around the inputs. ``clip``: (low, high) or None."""

    inputs: Floats
    labels: Ints
    radius: Fraction
    clip: tuple[Fraction, Fraction] | None

    def __post_init__(self) -> None:
        if self.inputs.ndim != 2 or self.labels.shape != (self.inputs.shape[0],):
            raise ValueError("examples: one label an input row")
        if not bool(np.isfinite(self.inputs).all()) or not 0 <= self.radius <= LARGEST:
            raise ValueError("examples: inputs must be finite, the radius from 0 to 2^1000")
        if self.clip is not None:
            low, high = self.clip
            size = (float(self.inputs.min(initial=0.0)), float(self.inputs.max(initial=0.0)))
            if (
                not low <= high
                or self.count == 0
                or not (low <= Fraction(size[0]) and Fraction(size[1]) <= high)
            ):
                raise ValueError("examples: an input outside the clipping range")

    @property
    def count(self) -> int:
        return int(self.labels.size)

    def box(self, k: int) -> tuple[list[Fraction], list[Fraction]]:
        """The exact box of example k."""
        centre = [Fraction(v) for v in self.inputs[k].tolist()]
        lower, upper = [c - self.radius for c in centre], [c + self.radius for c in centre]
        if self.clip is not None:
            lower, upper = [max(v, self.clip[0]) for v in lower], [min(v, self.clip[1]) for v in upper]
        return lower, upper

    def boxes(self, rows: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """(lower, upper) of some examples, rounded outward."""
        x = self.inputs[rows]
        reach = upper_float(ball(self.radius))
        lower, upper = np.nextafter(x - reach, -inf), np.nextafter(x + reach, inf)
        if self.clip is not None:
            lower = np.maximum(lower, lower_float(ball(self.clip[0])))
            upper = np.minimum(upper, upper_float(ball(self.clip[1])))
        return lower, upper


class ByExample(ConditionClaim):
    """A claim whose examples are checked one by one."""

    examples: Examples

    @abstractmethod
    def some(self, first: int, last: int, precision: int, tick: Callable[[], None]) -> Iterator[Item]:
        """What ``checks`` gives, of the examples from ``first`` up to ``last``."""

    def checks(self, precision: int, tick: Callable[[], None]) -> Iterator[Item]:
        yield from self.some(0, self.examples.count, precision, tick)

    def parts(self) -> Sequence[ConditionClaim]:
        n = self.examples.count
        step = -(-n // MAX_PARTS)
        return [_Part(self, k, min(k + step, n)) for k in range(0, n, step)] if n else []


@dataclass(frozen=True, eq=False)
class _Part(ConditionClaim):
    """The examples from ``first`` up to ``last`` of a claim."""

    whole: ByExample
    first: int
    last: int

    @property
    def kind(self) -> str:  # type: ignore[override]
        return self.whole.kind

    @property
    def statement(self) -> str:
        return f"{self.whole.statement}: the examples {self.first} to {self.last - 1}"

    def checks(self, precision: int, tick: Callable[[], None]) -> Iterator[Item]:
        yield from self.whole.some(self.first, self.last, precision, tick)
