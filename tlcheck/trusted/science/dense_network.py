"""Dense networks of a closed loop: on jets, and exactly where rational arithmetic gives their values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Final

from tlcheck.trusted.calculus.jets import Jet, mapped
from tlcheck.trusted.calculus.kinked_jets import Kinks, activated, exactly
from tlcheck.trusted.calculus.layers import Layer
from tlcheck.trusted.calculus.ranges import Point
from tlcheck.trusted.calculus.written import number_text

Matrix = tuple[Point, ...]
Run = Callable[[Sequence[Jet], "Kinks"], list[Jet]]

ACTIVATIONS: Final = ("linear", "relu", "leaky_relu", "tanh", "sigmoid", "sin")
OUTER: Final = ("linear", "abs", "tanh", "sigmoid")
"""What may be applied to the output of a controller or of a candidate's network."""
MAX_EXACT_BITS: Final = 5_000
"""Of a value of a network in rational arithmetic: a hundred layers of floats."""


@dataclass(frozen=True)
class Dense:
    """Dense layers, ``activation`` between them: leaky relu has ``slope`` below 0. The exact real function of their numbers."""

    layers: tuple[Layer, ...]
    activation: str
    slope: Fraction = Fraction(0)

    def __post_init__(self) -> None:
        if not self.layers or any(len(a.bias) != b.inputs for a, b in pairwise(self.layers)):
            raise ValueError("the layers of a network do not fit together")
        if self.activation not in ACTIVATIONS or any(s.activation != "linear" for s in self.layers):
            raise ValueError("the activation of a network")

    @property
    def inputs(self) -> int:
        return self.layers[0].inputs

    @property
    def outputs(self) -> int:
        return len(self.layers[-1].bias)

    @property
    def text(self) -> str:
        """Its architecture: ``2-8-1 tanh``."""
        sizes = "-".join(map(str, (self.inputs, *(len(s.bias) for s in self.layers))))
        if len(self.layers) == 1:
            return f"{sizes} linear"
        slope = f"({number_text(self.slope)})" if self.activation == "leaky_relu" else ""
        return f"{sizes} {self.activation}{slope}"

    def exact(self, inputs: Point) -> Point | None:
        """Its values where rational arithmetic gives them; else None."""
        values: Point | None = inputs
        for k, layer in enumerate(self.layers):
            if values is None:
                return None
            rows = zip(layer.weight, layer.bias, strict=True)
            values = all_known([_affine(row, bias, values) for row, bias in rows])
            if values is not None and k + 1 < len(self.layers):
                values = all_known([exactly(q, self.activation, self.slope) for q in values])
        return values

    def prepared(self) -> Run:
        """The network on jets, its numbers as balls of the working precision."""
        layers = [layer.balls() for layer in self.layers]

        def run(inputs: Sequence[Jet], kinks: Kinks) -> list[Jet]:
            jets = list(inputs)
            for k, (weight, bias) in enumerate(layers):
                jets = [jet.shifted(b) for jet, b in zip(mapped(weight, jets), bias, strict=True)]
                if k + 1 < len(layers):
                    jets = [activated(jet, self.activation, kinks, self.slope) for jet in jets]
            return jets

        return run


def _affine(row: Point, total: Fraction, x: Point) -> Fraction | None:
    """row . x + total; None when it takes too many digits."""
    for w, q in zip(row, x, strict=True):
        total += w * q
        if total.denominator.bit_length() + total.numerator.bit_length() > MAX_EXACT_BITS:
            return None
    return total


def all_known(values: Sequence[Fraction | None]) -> Point | None:
    """The values, when each is known."""
    known = tuple(q for q in values if q is not None)
    return known if len(known) == len(values) else None
