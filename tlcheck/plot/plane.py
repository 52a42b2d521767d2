"""Two coordinates of a box: which ones, where the others are held, and which cells meet that plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tlcheck.errors import InvalidInput
from tlcheck.plot.canvas import plain, short
from tlcheck.trusted.calculus.ranges import Box

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Plane:
    """``axes``: the coordinates that are drawn, at most two; ``at``: a point of the plane; ``low``, ``high``: of the box."""

    names: tuple[str, ...]
    axes: tuple[int, ...]
    at: Floats
    low: Floats
    high: Floats

    @property
    def ends(self) -> tuple[Floats, Floats]:
        return self.low[list(self.axes)], self.high[list(self.axes)]

    @property
    def labels(self) -> tuple[str, str]:
        first, second = (self.axes * 2)[:2]
        return self.names[first], self.names[second]

    @property
    def held(self) -> str:
        """Where the other coordinates are, with a comma before it; "" when there is none."""
        others = [i for i in range(len(self.names)) if i not in self.axes]
        return "".join(f", {plain(self.names[i])} = {short(float(self.at[i]))}" for i in others)

    def meeting(self, low: Floats, high: Floats) -> NDArray[np.bool_]:
        """Of the cells (cells, coordinates): those that meet the plane; of two that touch it, the upper one."""
        others = [i for i in range(len(self.names)) if i not in self.axes]
        at, last = self.at[others], self.at[others] >= self.high[others]
        a, b = low[:, others], high[:, others]
        inside = (a <= at) & ((at < b) | (last & (at <= b)) | (a == b))
        return np.asarray(inside.all(axis=1))

    def grid(self, count: int) -> tuple[Floats, Floats, Floats]:
        """(x, y, points (count * count, coordinates)): y varies slowest."""
        (a, c), (b, d) = self.ends
        x, y = np.linspace(a, b, count), np.linspace(c, d, count)
        points = np.tile(self.at, (count * count, 1))
        points[:, self.axes[0]] = np.tile(x, count)
        points[:, self.axes[1]] = np.repeat(y, count)
        return x, y, points

    def line(self, count: int) -> tuple[Floats, Floats]:
        """(x, points (count, coordinates)) along the first axis."""
        (a, *_), (b, *_) = self.ends
        x = np.linspace(a, b, count)
        points = np.tile(self.at, (count, 1))
        points[:, self.axes[0]] = x
        return x, points


def plane_of(
    names: tuple[str, ...], box: Box, free: Sequence[int], at: Sequence[float], wanted: Sequence[str]
) -> Plane:
    """The first two coordinates of ``free``, or those ``wanted`` by name. Raises InvalidInput."""
    chosen = tuple(free[:2])
    if wanted:
        known = [names[i] for i in free]
        if (
            len(set(wanted)) != len(wanted)
            or len(wanted) != min(2, len(free))
            or not set(wanted) <= set(known)
        ):
            raise InvalidInput(
                "TLC101", "the axes are no two of this claim's coordinates", field="--axes",
                expected=" or ".join(known), got=ascii(",".join(wanted)),
            )  # fmt: skip
        chosen = tuple(names.index(name) for name in wanted)
    (low,), (high,) = edges([box])
    shown = [i in chosen for i in range(len(names))]
    return Plane(names, chosen, np.where(shown, at, np.clip(at, low, high)), low, high)


def edges(boxes: Sequence[Box]) -> tuple[Floats, Floats]:
    """Lower and upper corners (boxes, coordinates), to the nearest double. Raises InvalidInput where there is none."""
    if not boxes:
        raise InvalidInput("TLC102", "it has no cell or leaf to draw")
    ends = np.array([[[float(a), float(b)] for a, b in box] for box in boxes])
    return ends[:, :, 0], ends[:, :, 1]
