"""Node certificates, and TorchLean's weaker notion of their boxes: each contains the interval box. It may fail for true boxes.

Interval boxes are ``exact_intervals``, operands of ReLU cut to their stated phases.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from tlcheck.trusted.conditions import Check, ConditionClaim, Measure, nonnegative, undecided
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.network import Network
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.science.exact_intervals import Ends, NoRule, interval_boxes, largest, least, vector
from tlcheck.trusted.science.interval_box import subtract

ZERO = Fraction(0)
Row = tuple[Fraction, ...]


@dataclass(frozen=True)
class AffineEntry:
    """lower_rows (d, n) and lower_offset (d,), and the same above."""

    lower_rows: tuple[Row, ...]
    lower_offset: Row
    upper_rows: tuple[Row, ...]
    upper_offset: Row


@dataclass(frozen=True)
class NodeEntry:
    """What is stated of one node: ``node``, its position in the graph, ``name`` for reports; None: nothing.

    ``alpha`` (d,) and ``phases`` (d,), -1, 0 or 1, belong to a ReLU: lower slopes, and signs of its operand.
    """

    node: int
    name: str
    box: tuple[Row, Row] | None = None
    affine: AffineEntry | None = None
    alpha: Row | None = None
    phases: tuple[int, ...] | None = None


@dataclass(frozen=True, eq=False)
class NodesClaim(ConditionClaim):
    """``graph``: its outputs are the nodes of ``entries``, in order. lower <= x <= upper is the input box."""

    graph: Graph
    lower: Row
    upper: Row
    entries: tuple[NodeEntry, ...]
    decimals: str

    def __post_init__(self) -> None:
        if self.graph.outputs != tuple(e.node for e in self.entries):
            raise ValueError("nodes: the graph's outputs are not the entries' nodes")
        if not len(self.lower) == len(self.upper) == self.graph.n_inputs:
            raise ValueError("nodes: one interval an input")
        if any(l > u for l, u in zip(self.lower, self.upper, strict=True)):
            raise ValueError("nodes: an empty input box")
        for e in self.entries:
            size, n = self.graph.nodes[e.node].size, self.graph.n_inputs
            parts: list[Sequence[object]] = [*(e.box or ())]
            if e.affine is not None:
                parts += [
                    e.affine.lower_rows,
                    e.affine.lower_offset,
                    e.affine.upper_rows,
                    e.affine.upper_offset,
                ]
                if any(len(r) != n for r in (*e.affine.lower_rows, *e.affine.upper_rows)):
                    raise ValueError(f"node {e.name}: not one coefficient an input")
            parts += [p for p in (e.alpha, e.phases) if p is not None]
            if any(len(p) != size for p in parts):
                raise ValueError(f"node {e.name}: not one entry a value, of which there are {size}")
            if (e.alpha is not None or e.phases is not None) and not isinstance(
                self.graph.nodes[e.node].op, Relu
            ):
                raise ValueError(f"node {e.name}: slopes or phases of something that is no ReLU")
            if e.alpha is not None and not all(0 <= a <= 1 for a in e.alpha):
                raise ValueError(f"node {e.name}: a slope outside [0, 1]")
            if e.phases is not None and not all(p in (-1, 0, 1) for p in e.phases):
                raise ValueError(f"node {e.name}: a phase that is not -1, 0 or 1")

    @cached_property
    def _network(self) -> Network:
        return Network(self.graph)

    @cached_property
    def _phases(self) -> Mapping[int, tuple[int, ...]]:
        """Operand node -> stated signs."""
        return {
            self.graph.nodes[e.node].inputs[0]: e.phases
            for e in self.entries
            if e.phases is not None and any(e.phases)
        }

    @property
    def _branch(self) -> str:
        count = sum(sum(p != 0 for p in signs) for signs in self._phases.values())
        return f" at which {count} ReLU operands have their stated signs" if count else ""

    @property
    def _possible_text(self) -> str:
        return "; each stated sign occurs in its operand's interval" if self._phases else ""

    def checks(self, precision: int, tick: Callable[[], None]) -> Iterator[Check | Measure]:
        yield Measure("nodes without a box", sum(e.box is None for e in self.entries))
        yield Measure("decimals", self.decimals)
        try:
            boxes = interval_boxes(self._network, self.lower, self.upper, self._cut)
            yield from self._possible(boxes)
            yield from self._judged(boxes, tick)
        except NoRule as problem:
            yield undecided("interval box", str(problem))

    @abstractmethod
    def _judged(self, boxes: Mapping[int, Ends], tick: Callable[[], None]) -> Iterator[Check]:
        """The claim's conditions. Raises NoRule where an end is unbounded."""

    def _cut(self, node: int, ends: Ends) -> Ends:
        signs = self._phases.get(node)
        if signs is None:
            return ends
        lower = [largest([ZERO, l]) if s > 0 else l for l, s in zip(ends.lower.tolist(), signs, strict=True)]
        upper = [least([ZERO, u]) if s < 0 else u for u, s in zip(ends.upper.tolist(), signs, strict=True)]
        return Ends(vector(lower), vector(upper), ends.sharp)

    def _possible(self, boxes: Mapping[int, Ends]) -> Iterator[Check]:
        """Each stated phase leaves something of its operand's interval; else nothing is claimed of anything."""
        for node in self._phases:
            pairs = zip(boxes[node].lower.tolist(), boxes[node].upper.tolist(), strict=True)
            for k, (low, high) in enumerate(pairs):
                if self._phases[node][k]:
                    yield nonnegative("possible phase", subtract(high, low), f"operand {node}, value {k}")

    def _stated(self) -> Iterator[tuple[int, NodeEntry, int]]:
        """(place among the flat outputs, entry, value)"""
        start = 0
        for e in self.entries:
            size = self.graph.nodes[e.node].size
            yield from ((start + k, e, k) for k in range(size))
            start += size


class IntervalBoxes(NodesClaim):
    """Every stated box contains the interval box of its node."""

    kind = "node boxes"

    @property
    def statement(self) -> str:
        return (
            "every stated box contains the exact interval-propagation box of its node over the input box"
            f"{self._branch and ', operands cut to their stated signs'}{self._possible_text}"
        )

    def _judged(self, boxes: Mapping[int, Ends], tick: Callable[[], None]) -> Iterator[Check]:
        for _, e, k in self._stated():
            tick()
            if e.box is None:
                continue
            found, where = boxes[e.node], f"node {e.name}, value {k}"
            for name, slack in (
                ("lower end", subtract(found.lower[k], e.box[0][k])),
                ("upper end", subtract(e.box[1][k], found.upper[k])),
            ):
                check = nonnegative(name, slack, where)
                yield check if found.sharp or check.holds else undecided(name, where)
