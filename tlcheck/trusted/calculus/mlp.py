"""Dense networks of several variables on jets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tlcheck.trusted.calculus.jets import FUNCTIONS, Jet, mapped
from tlcheck.trusted.calculus.layers import Layer


@dataclass(frozen=True)
class Mlp:
    """Dense layers, one after another: the exact real function of their numbers."""

    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        sizes = [(len(layer.weight), len(layer.weight[0])) for layer in self.layers]
        if not sizes or any(a[0] != b[1] for a, b in pairwise(sizes)):
            raise ValueError("the layers of a network do not fit together")

    @property
    def inputs(self) -> int:
        return len(self.layers[0].weight[0])

    @property
    def outputs(self) -> int:
        return len(self.layers[-1].bias)

    def prepared(self) -> Callable[[Sequence[Jet]], list[Jet]]:
        """The network on jets, its numbers as balls of the working precision."""
        layers = [(*layer.balls(), FUNCTIONS[layer.activation]) for layer in self.layers]

        def network(inputs: Sequence[Jet]) -> list[Jet]:
            jets = list(inputs)
            for weight, bias, activation in layers:
                jets = [
                    jet.shifted(b).through(activation)
                    for jet, b in zip(mapped(weight, jets), bias, strict=True)
                ]
            return jets

        return network
