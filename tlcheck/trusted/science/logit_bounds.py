"""Bounds of every output over the box of every example of a data set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from tlcheck.trusted.arith.profile import Profile
from tlcheck.trusted.conditions import Item, Measure
from tlcheck.trusted.evaluate import Evaluator
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.network import Network
from tlcheck.trusted.science.examples import ByExample, Examples
from tlcheck.trusted.science.executions import OfOutputs
from tlcheck.trusted.science.output_range import Range


@dataclass(frozen=True, eq=False)
class LogitBounds(ByExample, OfOutputs):
    """lower[k, j] <= f_j(z) <= upper[k, j] for every z in example k's box."""

    graph: Graph
    examples: Examples
    lower: Sequence[Sequence[Fraction]]
    upper: Sequence[Sequence[Fraction]]
    decimals: str
    deployed: Profile | None = None
    kind = "logit bounds"

    @property
    def statement(self) -> str:
        n = self.examples.count
        return f"for each of {n} examples, every output of the model over its box is in the stated bounds{self.also}"

    @cached_property
    def _ready(self) -> tuple[Evaluator, Network]:
        return Evaluator(self.graph), Network(self.graph)

    def some(self, first: int, last: int, precision: int, tick: Callable[[], None]) -> Iterator[Item]:
        if first == 0:
            yield Measure("decimals", self.decimals)
        for k in range(first, last):
            low, high = self.lower[k], self.upper[k]
            over = Range(*self._ready, *self.examples.box(k), tick, self.deployed)
            for j in range(self.graph.n_outputs):
                where = f"example {k}, class {j}"
                yield over.at_least("lower bound", j, 1, low[j], where)
                yield over.at_least("upper bound", j, -1, -high[j], where)
