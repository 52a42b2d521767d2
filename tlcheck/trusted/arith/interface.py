"""What an arithmetic engine offers to the passes. Implementations by name: ``engines.py``.

``Block`` is an engine's own representation of coefficients on one node's values. The invariant of a form, for every
domain, row and point of the domain:
    form(point) >= sum over pending blocks of coefficients . values + constant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.arb import Arb
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.maps import Map

Floats = NDArray[np.float64]
Line = tuple[Floats, Floats]
B = TypeVar("B")


SLOPE_BITS = 40
SMALL_SLOPE = 2.0**-16
FINEST_SCALE = -200


def slope_scale(largest: Floats) -> NDArray[np.int32]:
    """The grid of a domain's slopes, multiples of 2^(scale - SLOPE_BITS), by the largest of them, below 2^(scale + 1).

    At least 0, but where all are below SMALL_SLOPE: they would lose most of their digits.
    """
    least = np.where((largest > 0) & (largest < SMALL_SLOPE), FINEST_SCALE, 0)
    return np.asarray(np.maximum(np.frexp(largest)[1] - 1, least), np.int32)


@dataclass(frozen=True, eq=False)
class Multipliers:
    """Multipliers on split literals of one node, in columns: ``signed`` = beta * side with beta >= 0 and
    side (z_neuron - point) >= 0 on that domain. Each (domain, neuron) occurs once.
    """

    domain: NDArray[np.int64]
    neuron: NDArray[np.int64]
    signed: Floats
    point: Floats

    def __post_init__(self) -> None:
        if (
            not self.domain.shape
            == self.neuron.shape
            == self.signed.shape
            == self.point.shape
            == (self.domain.size,)
        ):
            raise ValueError("multipliers: columns of one length")
        if not bool(np.isfinite(self.signed).all() and np.isfinite(self.point).all()):
            raise OutOfRange("multipliers: not finite")
        # A repeated pair would be subtracted once and its points added twice.
        if len(set(zip(self.domain.tolist(), self.neuron.tolist(), strict=True))) != self.domain.size:
            raise ValueError("multipliers: a neuron twice in one domain")


class LinearForm(Protocol[B]):
    """D domains times R rows of linear forms, each with a proved lower bound."""

    blocks: dict[int, B]

    @property
    def shape(self) -> tuple[int, int]: ...

    def seed_units(self, node: int, size: int, indices: NDArray[np.int64], signs: NDArray[np.int64]) -> None:
        """Coefficient signs[k] on value indices[k]: of row k in every domain, or, with one row, of domain k.

        With indices (D, K): on value indices[d, k], of row k in domain d.
        """

    def seed_rows(self, node: int, mid: Floats, rad: Floats | None, box: Box) -> None:
        """Coefficients mid (D, R, n), each within rad of the exact one."""

    def put(self, node: int, block: B, box: Box | None) -> None:
        """Add coefficients on ``node``, whose values lie in ``box`` (None only for first, exact coefficients)."""

    def through_map(self, m: Map, block: B, box: Box) -> B:
        """Coefficients on M x -> coefficients on x, for x in ``box``."""

    def through_lines(self, block: B, lower: Line, upper: Line, box: Box) -> B:
        """Coefficients on f(z) -> on z in ``box``, where f lies between the lines (slope, intercept)."""

    def offset(self, block: B, offset: Constant) -> None:
        """constant += coefficients . offset"""

    def charge(self, block: B, radius: Floats) -> None:
        """constant -= |coefficients| . radius"""

    def multipliers(self, block: B, given: Multipliers, box: Box) -> B:
        """form -= signed (z_neuron - point) for each, one row a domain; changes ``block``."""

    def copy_block(self, block: B) -> B:
        """A copy that may be changed."""

    def lower(self, boxes: dict[int, Box]) -> Floats:
        """Lower bounds (D, R), replacing pending blocks by their least values over their nodes' boxes."""

    def lower_balls(self, boxes: dict[int, Box]) -> list[Arb]:
        """The same of one row a domain, as exact balls: what an engine proves finer than doubles is kept."""

    def keep(self, kept: NDArray[np.int64]) -> None:
        """Keep some rows (of one domain) or some domains (of one row)."""


class Engine(Protocol):
    """Forward enclosures of linear maps, and forms for the backward pass."""

    name: str

    def image(self, maps: tuple[Map, ...], boxes: tuple[Box, ...], offset: Constant | None) -> Box:
        """An enclosure of sum_i M_i x_i + offset for x_i in boxes[i]."""

    def magnitude_up(self, m: Map, xm: Floats) -> Floats:
        """>= |M| xm for xm >= 0."""

    def form(self, domains: int, rows: int) -> LinearForm[Any]:
        """An empty form in this arithmetic."""
