"""Closed loops on jets, and at points exactly: the right-hand side, controllers and observers.

A jet over a box (calculus/jets.py) encloses value, gradient and Hessian of a function at every point of it, kinks as in
calculus/kinked_jets.py; every rule here keeps that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from tlcheck.trusted.arith.arb import Arb, ball
from tlcheck.trusted.calculus.exact_values import exact_value
from tlcheck.trusted.calculus.expression import (
    Expression,
    Number,
    text,
)
from tlcheck.trusted.calculus.expression_jets import expression_jet
from tlcheck.trusted.calculus.jets import (
    Jet,
    constant,
)
from tlcheck.trusted.calculus.kinked_jets import Kinks, activated, clipped, exactly
from tlcheck.trusted.calculus.ranges import Interval, Point
from tlcheck.trusted.science.dense_network import OUTER, Dense, Run, all_known


@dataclass(frozen=True)
class Block:
    """names = clip(outer(N(inputs) - N(minus)) + shift); nothing is subtracted when ``minus`` is empty, nothing
    clipped when ``clip`` is. A controller subtracts N at the equilibrium; an observer N at the estimate without
    output error."""

    names: tuple[str, ...]
    network: Dense
    inputs: tuple[Expression, ...]
    minus: tuple[Expression, ...] = ()
    outer: str = "linear"
    shift: Point = ()
    clip: tuple[Interval, ...] = ()

    def __post_init__(self) -> None:
        if len(self.inputs) != self.network.inputs or len(self.minus) not in (0, len(self.inputs)):
            raise ValueError("a network's inputs do not fit")
        sizes = {len(self.names), self.network.outputs, *(len(x) for x in (self.shift, self.clip) if x)}
        if len(sizes) != 1 or self.outer not in OUTER or any(a > b for a, b in self.clip):
            raise ValueError("a network's outputs do not fit")

    def text(self, network: str) -> str:
        """The definition, and the architecture of the network, which is called ``network``."""
        inner = f"{network}({', '.join(map(text, self.inputs))})"
        if self.minus:
            inner += f" - {network}({', '.join(map(text, self.minus))})"
        inner = inner if self.outer == "linear" else f"{self.outer}({inner})"
        if any(self.shift):
            inner += f" + ({', '.join(map(str, self.shift))})"
        if self.clip:
            inner = f"clip({inner}, {' x '.join(f'[{a}, {b}]' for a, b in self.clip)})"
        names = ", ".join(self.names)
        names = names if len(self.names) == 1 else f"({names})"
        return f"{names} = {inner}, {network}: {self.network.text}"

    def exact(self, at: Mapping[str, Fraction]) -> Point | None:
        """Its values where they are known exactly: where rational arithmetic gives the network's, or both evaluations have
        the same inputs."""
        inputs, minus = (all_known([exact_value(e, at) for e in side]) for side in (self.inputs, self.minus))
        zero = (Fraction(0),) * len(self.names)
        if inputs is None or minus is None:
            return None
        if self.minus and inputs == minus:
            here = less = zero
        else:
            found = self.network.exact(inputs), self.network.exact(minus) if minus else zero
            if found[0] is None or found[1] is None:
                return None
            here, less = found[0], found[1]
        values = all_known([exactly(a - b, self.outer) for a, b in zip(here, less, strict=True)])
        if values is None:
            return None
        values = tuple(v + s for v, s in zip(values, self.shift or zero, strict=True))
        if self.clip:
            values = tuple(min(b, max(a, v)) for v, (a, b) in zip(values, self.clip, strict=True))
        return values


@dataclass(frozen=True)
class Loop:
    """x+ = F(x) (``discrete``) or x' = F(x): blocks define further names one after another; ``equations`` use all of them."""

    discrete: bool
    states: tuple[str, ...]
    equations: tuple[Expression, ...]
    blocks: tuple[Block, ...] = ()

    def exact(self, at: Point) -> Point | None:
        """F at the point where rational arithmetic gives it; else None."""
        named = dict(zip(self.states, at, strict=True))
        for block in self.blocks:
            values = block.exact(named)
            if values is None:
                return None
            named |= zip(block.names, values, strict=True)
        return all_known([exact_value(e, named) for e in self.equations])

    def prepared(self) -> Run:
        """F on the jets of the states."""
        networks = [block.network.prepared() for block in self.blocks]
        taken: list[list[Arb] | None] = []
        for block, network in zip(self.blocks, networks, strict=True):
            numbers = [e.value for e in block.minus if isinstance(e, Number)]
            known = len(numbers) == len(block.minus) > 0
            taken.append(
                [o.value for o in network([constant(ball(q), 1) for q in numbers], Kinks())]
                if known
                else None
            )

        def run(x: Sequence[Jet], kinks: Kinks) -> list[Jet]:
            n = len(x[0].gradient)
            named = dict(zip(self.states, x, strict=True))
            for block, network, values in zip(self.blocks, networks, taken, strict=True):
                outputs = network([expression_jet(e, named, n, kinks) for e in block.inputs], kinks)
                if values is not None:
                    outputs = [o.shifted(-v) for o, v in zip(outputs, values, strict=True)]
                elif block.minus:
                    less = network([expression_jet(e, named, n, kinks) for e in block.minus], kinks)
                    outputs = [a - b for a, b in zip(outputs, less, strict=True)]
                named |= zip(block.names, _finished(block, outputs, kinks), strict=True)
            return [expression_jet(e, named, n, kinks) for e in self.equations]

        return run


def _finished(block: Block, outputs: Sequence[Jet], kinks: Kinks) -> list[Jet]:
    jets = [activated(jet, block.outer, kinks) for jet in outputs]
    if block.shift:
        jets = [jet.shifted(ball(q)) for jet, q in zip(jets, block.shift, strict=True)]
    if block.clip:
        jets = [clipped(jet, a, b, kinks) for jet, (a, b) in zip(jets, block.clip, strict=True)]
    return jets
