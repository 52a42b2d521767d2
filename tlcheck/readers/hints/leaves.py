"""Leaves of split trees as lists, in any order: what every reader of hints gives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_HINT_LITERALS

Cut: TypeAlias = tuple[int, int, float]
"""(graph node, index, point)."""


@dataclass(frozen=True, eq=False)
class LeafList:
    """L leaves: leaf i lies on side ``side[k]`` (-1: value <= point, +1: value >= point) of ``cuts[cut[k]]`` for every k in
    ``start[i]:start[i + 1]``. Some leaves may be missing, some wrong, some on both sides of a cut."""

    cuts: tuple[Cut, ...]
    start: NDArray[np.int64]
    cut: NDArray[np.int64]
    side: NDArray[np.int8]

    @property
    def count(self) -> int:
        return int(self.start.size - 1)


@dataclass(frozen=True, eq=False)
class Hints:
    """``source``: the tool. ``leaves``: by disjunct, where there are any. ``passed``: what was left out -> how often."""

    source: str
    leaves: Mapping[int, LeafList]
    passed: Mapping[str, int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return sum(part.count for part in self.leaves.values())

    def line(self) -> str:
        """One line for people."""
        text = f"{self.count} leaves of {self.source}"
        rest = ", ".join(f"{n} {what}" for what, n in self.passed.items() if n)
        return f"{text} ({rest})" if rest else text


class Leaves:
    """Collects leaves; literals as (node, index, side, point)."""

    def __init__(self) -> None:
        self._cuts: dict[Cut, int] = {}
        self._start, self._cut, self._side = [0], list[int](), list[int]()
        self.passed: Counter[str] = Counter()

    def add(self, literals: Iterable[tuple[int, int, int, float]]) -> None:
        """Raises InvalidInput when there are too many."""
        for node, index, side, point in literals:
            self._cut.append(self._cuts.setdefault((node, index, point), len(self._cuts)))
            self._side.append(side)
        self._start.append(len(self._cut))
        if len(self._cut) + len(self._start) > MAX_HINT_LITERALS:
            raise InvalidInput("TLC401", "too many splits in it", expected=f"at most {MAX_HINT_LITERALS}")

    def list(self) -> LeafList:
        return LeafList(
            tuple(self._cuts),
            np.array(self._start, np.int64),
            np.array(self._cut, np.int64),
            np.array(self._side, np.int8),
        )
