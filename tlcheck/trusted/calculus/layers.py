"""Dense layers, and networks from one number to one number: the exact real functions of their numbers."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from tlcheck.trusted.arith.arb import Arb, arb_mat, ball

ACTIVATIONS: Final = ("linear", "relu", "sigmoid", "sin", "tanh")


@dataclass(frozen=True)
class Layer:
    """x -> activation(weight x + bias); ``weight`` row by row."""

    weight: tuple[tuple[Fraction, ...], ...]
    bias: tuple[Fraction, ...]
    activation: str = "linear"

    def __post_init__(self) -> None:
        widths = {len(row) for row in self.weight}
        if len(widths) != 1 or 0 in widths or len(self.weight) != len(self.bias):
            raise ValueError("weight and bias of a layer do not fit")
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation {self.activation!r}")

    @property
    def inputs(self) -> int:
        return len(self.weight[0])

    def balls(self) -> tuple[arb_mat, list[Arb]]:
        """Weight and bias at the working precision."""
        weight = arb_mat(len(self.bias), self.inputs, [ball(q) for row in self.weight for q in row])
        return weight, [ball(q) for q in self.bias]


@dataclass(frozen=True)
class ScalarNetwork:
    """A network from one number to one number: layers whose sizes fit."""

    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        sizes = [1, *(len(layer.bias) for layer in self.layers)]
        if not self.layers or sizes[-1] != 1 or sizes[:-1] != [layer.inputs for layer in self.layers]:
            raise ValueError("not a network from one number to one number")

    @property
    def piecewise_linear(self) -> bool:
        return all(layer.activation in ("linear", "relu") for layer in self.layers)
