"""Interval boxes: the claimed box contains the network's interval box (``exact_intervals``), TorchLean's notion of an output box.

It implies that every output lies in the claimed box (``output_box``), but not the other way round: a claimed box may lie inside
the interval box and still contain every output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from tlcheck.trusted.arith.profile import Profile
from tlcheck.trusted.conditions import Check, ConditionClaim, Measure, Slack, nonnegative, undecided
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.network import Network
from tlcheck.trusted.science.exact_intervals import End, Ends, NoRule, as_ball, interval_boxes


@dataclass(frozen=True, eq=False)
class ClaimedBox(ConditionClaim):
    """claimed_lower[k] and claimed_upper[k] for output k over the box lower <= x <= upper, all exact.

    ``network_name``: what the statement calls the network; ``decimals``: how the reader read numbers.
    """

    graph: Graph
    lower: tuple[Fraction, ...]
    upper: tuple[Fraction, ...]
    claimed_lower: tuple[Fraction, ...]
    claimed_upper: tuple[Fraction, ...]
    network_name: str
    decimals: str
    deployed: Profile | None = None

    def __post_init__(self) -> None:
        if not len(self.lower) == len(self.upper) == self.graph.n_inputs:
            raise ValueError("output box: one input interval per input")
        if not len(self.claimed_lower) == len(self.claimed_upper) == self.graph.n_outputs:
            raise ValueError("output box: one claimed interval per output")
        if any(l > u for l, u in zip(self.lower, self.upper, strict=True)):
            raise ValueError("output box: an empty input box")


class IntervalBox(ClaimedBox):
    """The claimed box contains the network's interval box. REFUTED says nothing about the network's outputs."""

    kind = "interval box"

    @property
    def statement(self) -> str:
        return f"the claimed box contains the exact interval-propagation box of {self.network_name} over the input box"

    def checks(self, precision: int, tick: Callable[[], None]) -> Iterator[Check | Measure]:
        yield Measure("decimals", self.decimals)
        network = Network(self.graph)
        try:
            found = output_ends(network, interval_boxes(network, self.lower, self.upper))
        except NoRule as problem:
            yield undecided("interval box", str(problem))
            return
        for k, (low, high, sharp) in enumerate(found):
            tick()
            yield _contained("lower end", subtract(low, self.claimed_lower[k]), f"output {k}", sharp=sharp)
            yield _contained("upper end", subtract(self.claimed_upper[k], high), f"output {k}", sharp=sharp)


def _contained(name: str, slack: Slack, where: str, *, sharp: bool) -> Check:
    """slack >= 0, for an end that may lie beyond the interval box's (then the slack is too small: no disproof)."""
    check = nonnegative(name, slack, where)
    return check if sharp or check.holds else undecided(name, where)


def subtract(a: End, b: End) -> End:
    """a - b"""
    return a - b if isinstance(a, Fraction) and isinstance(b, Fraction) else as_ball(a) - as_ball(b)


def output_ends(network: Network, boxes: dict[int, Ends]) -> list[tuple[End, End, bool]]:
    """(lower, upper, sharp) of every output, flat."""
    found: list[tuple[End, End, bool]] = []
    for node, _ in network.output_slices:
        box = boxes[node]
        found += [(l, u, box.sharp) for l, u in zip(box.lower.tolist(), box.upper.tolist(), strict=True)]
    return found
