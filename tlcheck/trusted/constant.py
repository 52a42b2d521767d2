"""A constant tensor: exact dyadic numbers, or an enclosure of exact numbers.

``mid`` holds floats (float16, float32 or float64), each an exact dyadic rational. ``rad`` is None when the
constant is exactly ``mid``; otherwise every exact entry lies in [mid - rad, mid + rad], with rad >= 0 float64.
NaN and infinities are refused.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Constant:
    mid: Array
    rad: NDArray[np.float64] | None = None

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

    @property
    def shape(self) -> tuple[int, ...]:
        return self.mid.shape

    @property
    def size(self) -> int:
        return int(self.mid.size)
