"""The box around a sample, exactly: what may be added to it in the units of the data, then the network's normalisation.

With p the sample's value over ``divide``, inputs are (q - mean) / std for every q with |q - p| <= eps and, where there is a
clip, low <= q <= high. All of it is rational arithmetic; only the writer of the query rounds, outward. The claim is about
these inputs as real numbers: what a program's own float32 makes of q on the way there is not part of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from tlcheck.errors import InvalidInput

Point = tuple[Fraction, ...]


@dataclass(frozen=True)
class Ball:
    """``eps`` and ``clip`` in the units of the data after ``divide``; ``mean`` and ``std`` for each flat input."""

    eps: Fraction
    mean: Point
    std: Point
    divide: Fraction = Fraction(1)
    clip: tuple[Fraction, Fraction] | None = None

    def __post_init__(self) -> None:
        if self.eps < 0 or self.divide <= 0 or any(s <= 0 for s in self.std):
            raise ValueError("eps is at least 0, divide and std are above 0")
        if self.clip is not None and self.clip[0] >= self.clip[1]:
            raise ValueError("clip: the lower end comes first")

    def scaled(self, values: Point, name: str) -> Point:
        """The sample in the units of eps. Raises TLC503: it lies outside the clip."""
        found = tuple(value / self.divide for value in values)
        if self.clip is not None:
            low, high = self.clip
            outside = next((p for p in found if not low <= p <= high), None)
            if outside is not None:
                raise InvalidInput(
                    "TLC503", "a sample lies outside --clip: are the units the same?", field=name,
                    expected=f"{float(low):.6g} to {float(high):.6g}", got=f"{float(outside):.6g}",
                )  # fmt: skip
        return found

    def inputs(self, scaled: Point) -> Point:
        """The network's input for a sample."""
        return tuple((q - m) / s for q, m, s in zip(scaled, self.mean, self.std, strict=True))

    def ends(self, scaled: Point) -> tuple[Point, Point]:
        """(lower, upper) ends of the box of inputs."""
        low, high = [q - self.eps for q in scaled], [q + self.eps for q in scaled]
        if self.clip is not None:
            low, high = [max(q, self.clip[0]) for q in low], [min(q, self.clip[1]) for q in high]
        return self.inputs(tuple(low)), self.inputs(tuple(high))

    def distance_squared(self, scaled: Point, inputs: Point) -> Fraction:
        """The square of the Euclidean distance, in the units of eps, of the network's input ``inputs`` from a sample."""
        moved = (x * s + m for x, s, m in zip(inputs, self.std, self.mean, strict=True))
        return sum(((q - p) ** 2 for q, p in zip(moved, scaled, strict=True)), Fraction(0))
