"""The linear maps that affine operations are made of.

An affine operation is y = sum_i M_i x_i + offset with one map per operand. Engines know how to apply a map and
its adjoint; they know nothing about operations. Sizes are flat: a map takes n_in values to n_out values.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.constant import Constant

Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class MatMap:
    """x (positions, K) -> x W (positions, N)."""

    weight: Constant
    positions: int

    @property
    def n_in(self) -> int:
        return self.positions * self.weight.shape[0]

    @property
    def n_out(self) -> int:
        return self.positions * self.weight.shape[1]

    @property
    def fan_in(self) -> int:
        return self.weight.shape[0]

    @property
    def fan_out(self) -> int:
        return self.weight.shape[1]


@dataclass(frozen=True, eq=False)
class ConvMap:
    """The cross-correlation (batch, C, *small-to-large indices) of ``ops.affine.Conv``, or its adjoint.

    ``weight`` (O, C/groups, *kernel); ``wide`` = (batch, C, *S) and ``narrow`` = (batch, O, *T) are the shapes of
    the correlation's operand and result. ``transposed``: the map is the adjoint, from narrow to wide.
    """

    weight: Constant
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[int, ...]
    groups: int
    wide: Shape
    narrow: Shape
    transposed: bool

    @property
    def kernel(self) -> Shape:
        return self.weight.shape[2:]

    @property
    def n_in(self) -> int:
        return prod(self.narrow if self.transposed else self.wide)

    @property
    def n_out(self) -> int:
        return prod(self.wide if self.transposed else self.narrow)

    @property
    def fan_in(self) -> int:
        """Most terms in one value of the map's result."""
        return self._narrow_terms if not self.transposed else self._wide_terms

    @property
    def fan_out(self) -> int:
        """Most terms in one value of the adjoint's result."""
        return self._wide_terms if not self.transposed else self._narrow_terms

    @property
    def _narrow_terms(self) -> int:
        return self.weight.shape[1] * prod(self.kernel)

    @property
    def _wide_terms(self) -> int:
        return (self.weight.shape[0] // self.groups) * prod(self.kernel)


@dataclass(frozen=True, eq=False)
class DiagMap:
    """x -> factor * x, ``factor`` broadcasting to ``shape``."""

    factor: Constant
    shape: Shape

    @property
    def n_in(self) -> int:
        return prod(self.shape)

    n_out = n_in

    fan_in = fan_out = 1

    @cached_property
    def flat(self) -> Constant:
        """The factor as a flat float64 constant of n_in entries."""
        return broadcast(self.factor, self.shape)


@dataclass(frozen=True, eq=False)
class SignMap:
    """x -> sign * x, sign 1 or -1 (exact)."""

    sign: int
    size: int

    @property
    def n_in(self) -> int:
        return self.size

    n_out = n_in

    fan_in = fan_out = 1


@dataclass(frozen=True, eq=False)
class IndexMap:
    """y[k] = x[index[k]], or 0 where index[k] is -1 (exact). ``transposed``: the adjoint, sums over equal indices.

    ``index`` has one entry per value of the gather's result; ``size`` is the size of its operand.
    """

    index: NDArray[np.int64]
    size: int
    transposed: bool = False

    @property
    def n_in(self) -> int:
        return int(self.index.size) if self.transposed else self.size

    @property
    def n_out(self) -> int:
        return self.size if self.transposed else int(self.index.size)

    def gathered(self, x: NDArray[Any]) -> NDArray[Any]:
        """x (.., size) -> (.., len(index)), not transposed; of an operand without entries, zeros."""
        if not x.shape[-1]:
            return np.zeros((*x.shape[:-1], self.index.size), x.dtype)
        out: NDArray[Any] = x[..., self.index]
        out[..., self.index < 0] = 0
        return out

    @cached_property
    def multiplicity(self) -> int:
        """How often the most used entry is gathered."""
        used = self.index[self.index >= 0]
        return int(np.bincount(used, minlength=1).max()) if used.size else 0

    @property
    def fan_in(self) -> int:
        return max(1, self.multiplicity) if self.transposed else 1

    @property
    def fan_out(self) -> int:
        return 1 if self.transposed else max(1, self.multiplicity)

    @cached_property
    def is_identity(self) -> bool:
        return int(self.index.size) == self.size and bool((self.index == np.arange(self.size)).all())


Map = MatMap | ConvMap | DiagMap | SignMap | IndexMap


@dataclass(frozen=True, eq=False)
class Affine:
    """y = sum_i maps[i] x_i + offset. ``offset`` is flat (n_out,) or None.

    ``roundings``: float32 roundings of one value beyond those of the plain sum of its terms (a deployed radius
    only). ``exact``: the float32 execution moves values and rounds nothing.
    """

    maps: tuple[Map, ...]
    offset: Constant | None
    roundings: int
    exact: bool


def broadcast(c: Constant, shape: Shape) -> Constant:
    """As flat float64, contiguous."""
    wide = Constant(c.mid.astype(np.float64), c.rad, c.formula)
    return wide.moved(lambda a: np.ascontiguousarray(np.broadcast_to(a, shape)).reshape(-1))
