"""Products whose left operand is gathered: dense maps, convolutions, their adjoints, in one form that native kernels take.

    y[i, g, c] = sum over taps a and channels o of x[link[i, a], g, o] weights[g, a channels + o, c]     (0 where link is -1)

Values of x and y lie places first, channels last: ``in_places`` and ``from_places`` move them from and to a map's own order.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.convolution import taps
from tlcheck.trusted.arith.maps import ConvMap, MatMap

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Tiles:
    """weights (groups, taps * channels, columns); link (places, taps), entries -1 to sources - 1."""

    weights: Floats
    link: NDArray[np.int32]
    sources: int
    channels: int

    def __post_init__(self) -> None:
        if (
            self.link.ndim != 2
            or self.weights.ndim != 3
            or self.weights.shape[1] != self.taps * self.channels
        ):
            raise ValueError("tiles: shapes do not fit")
        if self.link.size and not (self.link.min() >= -1 and self.link.max() < self.sources):
            raise ValueError("tiles: a link to no place")
        if not bool(np.isfinite(self.weights).all()):
            raise ValueError("tiles: a weight that is not finite")

    @property
    def places(self) -> int:
        return int(self.link.shape[0])

    @property
    def taps(self) -> int:
        return int(self.link.shape[1])

    @property
    def groups(self) -> int:
        return int(self.weights.shape[0])

    @property
    def columns(self) -> int:
        return int(self.weights.shape[2])

    @property
    def n_in(self) -> int:
        return self.sources * self.groups * self.channels

    @property
    def n_out(self) -> int:
        return self.places * self.groups * self.columns


def tiles_of(m: MatMap | ConvMap, weight: Floats, adjoint: bool) -> Tiles:
    """The map, or its adjoint, with ``weight`` in place of its own (its midpoints, its radii)."""
    if isinstance(m, MatMap):
        link = np.arange(m.positions, dtype=np.int32)[:, None]
        return Tiles(
            np.ascontiguousarray((weight.T if adjoint else weight)[None]),
            link,
            m.positions,
            weight.shape[adjoint],
        )
    grouped = weight.reshape(
        m.groups, weight.shape[0] // m.groups, weight.shape[1], -1
    )  # (g, O/g, C/g, taps)
    to_wide = m.transposed != adjoint
    order = (0, 3, 1, 2) if to_wide else (0, 3, 2, 1)
    weights = np.ascontiguousarray(grouped.transpose(order)).reshape(
        m.groups, -1, grouped.shape[2 if to_wide else 1]
    )
    sources = prod((m.narrow if to_wide else m.wide)[2:]) * m.wide[0]
    return Tiles(weights, _link(m, to_wide), sources, grouped.shape[1 if to_wide else 2])


def _link(m: ConvMap, to_wide: bool) -> NDArray[np.int32]:
    """(batch * places, taps): which place of the operand a tap of a place of the result takes."""
    narrow, wide = (np.arange(prod(s[2:]), dtype=np.int32).reshape(s[2:]) for s in (m.narrow, m.wide))
    target, source = (wide, narrow) if to_wide else (narrow, wide)
    link = np.full((target.size, prod(m.kernel)), -1, np.int32)
    for flat, narrow_slices, wide_slices in taps(m):
        to, come = (wide_slices, narrow_slices) if to_wide else (narrow_slices, wide_slices)
        link[target[to].reshape(-1), flat] = source[come].reshape(-1)
    images = np.arange(m.wide[0], dtype=np.int32)[:, None, None] * np.int32(source.size)
    return np.where(link < 0, np.int32(-1), link + images).reshape(-1, link.shape[1])


def in_places(shape: tuple[int, ...], x: Floats) -> Floats:
    """x (.., batch * channels * places) -> (.., batch * places * channels)."""
    return _moved(x, shape[0], shape[1], prod(shape[2:]))


def from_places(shape: tuple[int, ...], x: Floats) -> Floats:
    """x (.., batch * places * channels) -> (.., batch * channels * places)."""
    return _moved(x, shape[0], prod(shape[2:]), shape[1])


def _moved(x: Floats, batch: int, a: int, b: int) -> Floats:
    """x (.., batch * a * b) -> (.., batch * b * a)."""
    swapped = np.swapaxes(x.reshape(*x.shape[:-1], batch, a, b), -1, -2)
    return np.ascontiguousarray(swapped).reshape(x.shape)
