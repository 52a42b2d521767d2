"""Output boxes: every output of a network over an input box lies in the claimed box; end by end, by ``output_range``.

``interval_box`` is another claim, about interval propagation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tlcheck.trusted.conditions import Check, Measure
from tlcheck.trusted.evaluate import Evaluator
from tlcheck.trusted.network import Network
from tlcheck.trusted.science.executions import OfOutputs
from tlcheck.trusted.science.interval_box import ClaimedBox
from tlcheck.trusted.science.output_range import Range


class OutputBox(ClaimedBox, OfOutputs):
    """Every output of the network over the input box lies in the claimed box."""

    kind = "output box"

    @property
    def statement(self) -> str:
        return f"for every input in the box, every output of {self.network_name} lies in the claimed box{self.also}"

    def checks(self, precision: int, tick: Callable[[], None]) -> Iterator[Check | Measure]:
        yield Measure("decimals", self.decimals)
        over = Range(Evaluator(self.graph), Network(self.graph), self.lower, self.upper, tick, self.deployed)
        for k in range(self.graph.n_outputs):
            tick()
            yield over.at_least("lower end", k, 1, self.claimed_lower[k], f"output {k}")
            yield over.at_least("upper end", k, -1, -self.claimed_upper[k], f"output {k}")
