"""A constant tensor: exact dyadic numbers, or an enclosure of exact numbers.

``mid`` holds floats (float16, float32 or float64), each an exact dyadic rational. ``rad`` is None when the
constant is exactly ``mid``; otherwise every exact entry lies in [mid - rad, mid + rad], with rad >= 0 float64.
NaN and infinities are refused.

``formula`` says which real numbers they are, where that is known: it encloses the same numbers at any precision. What is
evaluated in Arb at a point takes it (``formula.formula_of``); what works in float64, or speaks of float32 executions (whose
rounded constants the radius may include), takes ``mid`` and ``rad``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tlcheck.trusted.arith.formula import Formula

Array = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Constant:
    mid: Array
    rad: NDArray[np.float64] | None = None
    formula: Formula | None = None

    def __post_init__(self) -> None:
        if self.mid.dtype not in (np.float16, np.float32, np.float64):
            raise ValueError(f"constant of type {self.mid.dtype}")
        if not bool(np.isfinite(self.mid).all()):
            raise ValueError("constant with NaN or infinity")
        if self.rad is not None:
            if self.rad.dtype != np.float64 or self.rad.shape != self.mid.shape:
                raise ValueError("radius of the wrong type or shape")
            if not bool((np.isfinite(self.rad) & (self.rad >= 0)).all()):
                raise ValueError("radius negative or not finite")
        if self.formula is not None and (self.rad is None or self.formula.shape != self.mid.shape):
            raise ValueError("a formula of exact numbers, or of another shape")

    @property
    def shape(self) -> tuple[int, ...]:
        return self.mid.shape

    @property
    def size(self) -> int:
        return int(self.mid.size)

    def moved(self, how: Callable[[NDArray[Any]], NDArray[Any]]) -> Constant:
        """``how`` applied, which only selects and repeats entries: any array goes through it."""
        rad = None if self.rad is None else how(self.rad)
        return Constant(how(self.mid), rad, None if self.formula is None else self.formula.moved(how))
