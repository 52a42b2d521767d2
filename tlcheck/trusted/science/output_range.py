"""The outputs of a network over one input box: bounds of each kind, computed when first needed, and points that disprove.

Proof of one end, c <= f_k(x) for all x in the box: the interval box's end, the least mixture of softmax weights, or the bound of
a backward pass (``bounds.Enclosure``), is at least c. Disproof: an end of the interval box below c that the network attains
(``Range.attained``), or a point of the input box where f_k < c, evaluated in Arb. The points tried are corners in the direction
of the differences of f (they need no trust: each is a point of the box).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import inf

import numpy as np

from tlcheck.trusted.arith.arb import Arb, arb, ball, lower_float, upper_float
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.integer import IntegerEngine
from tlcheck.trusted.arith.profile import Profile
from tlcheck.trusted.bounds import Bounds, Enclosure, Slopes
from tlcheck.trusted.conditions import Check, ends, nonnegative
from tlcheck.trusted.evaluate import Evaluator, Undecided
from tlcheck.trusted.guidance import NO_GUIDANCE
from tlcheck.trusted.network import Network
from tlcheck.trusted.ops.affine import Linear
from tlcheck.trusted.ops.softmax import Softmax
from tlcheck.trusted.ops.structure import Input
from tlcheck.trusted.science.exact_intervals import End, Ends, NoRule, as_ball, interval_boxes
from tlcheck.trusted.science.interval_box import output_ends, subtract

Point = Sequence[Fraction]
MAX_PROBED = 128
"""Inputs of a network whose corners are tried: each costs two evaluations."""


@dataclass(frozen=True, eq=False)
class Range:
    """The network's outputs over one input box; each kind of bound is computed when first needed."""

    evaluator: Evaluator
    network: Network
    lower: Point
    upper: Point
    tick: Callable[[], None] = lambda: None
    deployed: Profile | None = None
    """Bounds are those of these executions; points are of the exact function, which is one of them."""

    def at_least(self, name: str, k: int, sign: int, bound: Fraction, where: str) -> Check:
        """The condition: sign f_k(x) >= bound for every x in the box."""
        best: End | None = None
        if self.deployed is None and self.interval is not None:
            low, high, _ = self.interval[k]
            best = subtract(low if sign > 0 else -high, bound)
            if best >= 0 or self.attained:
                return nonnegative(name, best, where)
        for lower in (self._mixture if self.deployed is None else self._forward, self._backward):
            found = lower(k, sign)
            if found is None:
                continue
            slack = found - bound
            if slack >= 0:
                return nonnegative(name, slack, where)
            best = slack if not isinstance(best, Fraction) or slack > best else best
        worst = self._least_value(k, sign)
        gap = None if worst is None else worst - ball(bound)
        if gap is not None and gap < 0:
            return nonnegative(name, gap, where)
        low_end = None if best is None else ends(best)[0]
        return Check(name, None, low_end, None if gap is None else ends(gap)[1], where)

    @cached_property
    def attained(self) -> bool:
        """Every end of the interval box is an output's value at a corner: the network is unary affine operations, at most
        one of which mixes values, so that each input enters an output once."""
        nodes, mixes = self.network.graph.nodes, 0
        for i in self.network.needed:
            affine = self.network.affine[i]
            if isinstance(nodes[i].op, Input):
                continue
            if affine is None or len(affine.maps) != 1:
                return False
            mixes += affine.maps[0].fan_in > 1
            if affine.maps[0].fan_in == 1 and affine.maps[0].fan_out > 1:
                return False
        return mixes <= 1 and self.interval is not None and all(sharp for _, _, sharp in self.interval)

    @cached_property
    def interval(self) -> list[tuple[End, End, bool]] | None:
        return None if self._boxes is None else output_ends(self.network, self._boxes)

    @cached_property
    def _boxes(self) -> dict[int, Ends] | None:
        try:
            return interval_boxes(self.network, self.lower, self.upper)
        except NoRule:
            return None

    def _mixture(self, k: int, sign: int) -> Fraction | None:
        """A lower bound of sign f_k, where outputs are a linear map of softmax weights p: they sum to 1 and lie in their
        boxes, so the least value gives the smallest coefficients all that the lower ends leave of 1."""
        node, place = self._place(k)
        nodes = self.network.graph.nodes
        op = nodes[node].op
        if (
            not isinstance(op, Linear)
            or op.weight.rad is not None
            or (op.bias is not None and op.bias.rad is not None)
        ):
            return None
        weights = nodes[node].inputs[0]
        if self._boxes is None or not isinstance(nodes[weights].op, Softmax):
            return None
        n, outputs = op.weight.shape
        row, column = divmod(place, outputs)
        terms = [sign * Fraction(w) for w in op.weight.mid[:, column].astype(np.float64).tolist()]
        box = self._boxes[weights].at(np.arange(row * n, (row + 1) * n))
        low = [max(Fraction(lower_float(as_ball(x))), Fraction(0)) for x in box.lower.tolist()]
        high = [min(Fraction(upper_float(as_ball(x))), Fraction(1)) for x in box.upper.tolist()]
        total = sum((w * l for w, l in zip(terms, low, strict=True)), Fraction(0))
        left = 1 - sum(low)
        for w, l, u in sorted(zip(terms, low, high, strict=True)):
            share = min(u - l, left)
            total, left = total + w * share, left - share
        offset = Fraction(0) if op.bias is None else Fraction(float(op.bias.mid[column]))
        return total + sign * offset

    def _place(self, k: int) -> tuple[int, int]:
        """(node, value) of output k."""
        return next((node, k - s.start) for node, s in self.network.output_slices if s.start <= k < s.stop)

    @cached_property
    def _known(self) -> tuple[Enclosure, Bounds] | None:
        if self.network.without_relaxation is not None:
            return None
        low, high = (
            np.array([lower_float(ball(q)) for q in self.lower]),
            [upper_float(ball(q)) for q in self.upper],
        )
        box = Box(low[None], np.array(high)[None])
        inputs = {n: Box(box.lower[:, s], box.upper[:, s]) for n, s in self.network.input_slices.items()}
        task = Enclosure(self.network, IntegerEngine(), Slopes(NO_GUIDANCE, lambda _: None), self.deployed)
        try:
            return task, task.bounds(inputs)
        except OutOfRange:
            return None

    def _forward(self, k: int, sign: int) -> Fraction | None:
        """The end of the output's box."""
        if self._known is None:
            return None
        node, place = self._place(k)
        box = self._known[1].boxes[node]
        low = float(box.lower[0, place] if sign > 0 else -box.upper[0, place])
        return None if low in (-inf, inf) else Fraction(low)

    def _backward(self, k: int, sign: int) -> Fraction | None:
        """A lower bound of sign f_k from one backward pass."""
        if self._known is None:
            return None
        task, known = self._known
        node, place = self._place(k)
        try:
            (low,) = task.row_bounds(node, np.array([place]), sign, known).tolist()
        except OutOfRange:
            return None
        return None if low in (-inf, inf) else Fraction(low)

    def values(self, point: Point) -> Sequence[Arb] | None:
        """The outputs at a point; None where they are not decided."""
        self.tick()
        slices = self.network.input_slices
        try:
            return self.evaluator.evaluate([point[s] for s in slices.values()]).outputs
        except Undecided:
            return None

    @cached_property
    def _differences(self) -> list[tuple[int, Sequence[Arb], Sequence[Arb]]]:
        """(input, outputs at its lower end, at its upper end), the others at their middles."""
        free = [i for i, (l, u) in enumerate(zip(self.lower, self.upper, strict=True)) if l < u]
        if len(free) > MAX_PROBED:
            return []
        middle = [(l + u) / 2 for l, u in zip(self.lower, self.upper, strict=True)]
        found = []
        for i in free:
            at = [self.values([*middle[:i], end, *middle[i + 1 :]]) for end in (self.lower[i], self.upper[i])]
            if at[0] is not None and at[1] is not None:
                found.append((i, at[0], at[1]))
        return found

    @cached_property
    def _seen(self) -> dict[tuple[Fraction, ...], Sequence[Arb] | None]:
        return {}

    def _least_value(self, k: int, sign: int) -> Arb | None:
        """sign f_k at the corner towards which its differences fall."""
        corner = [(l + u) / 2 for l, u in zip(self.lower, self.upper, strict=True)]
        for i, low, high in self._differences:
            falls = sign * (high[k] - low[k]).mid() < 0
            corner[i] = self.upper[i] if falls else self.lower[i]
        key = tuple(corner)
        if key not in self._seen:
            self._seen[key] = self.values(corner)
        values = self._seen[key]
        return None if values is None or not values[k].is_finite() else arb(sign) * values[k]
