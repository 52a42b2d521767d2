"""The kernels on the host: the library is called, block after block, in one thread.

Calls leave Python's lock; a call's floating-point environment is its own (``stub.c``).
"""

from __future__ import annotations

import ctypes
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Final

import numpy as np

from tlcheck.kernels.build import Library, build
from tlcheck.kernels.calls import Argument, Calls, Floats
from tlcheck.trusted.arith.box import OutOfRange

PROBLEMS: Final = {1: "a negative size", 2: "a size beyond 64 bits", 3: "an array of more than 2^40 bytes"}


@dataclass(frozen=True)
class Native(Calls):
    """The kernels of one library."""

    library: Library

    def __getstate__(self) -> dict[str, Library]:
        return {"library": self.library}

    @cached_property
    def loaded(self) -> ctypes.CDLL:
        with tempfile.TemporaryDirectory(prefix="tlcheck-kernels-") as scratch:
            path = os.path.join(scratch, "kernels.so")
            with open(path, "wb") as file:
                file.write(self.library.code)
            return ctypes.CDLL(path)

    def run(
        self, kernel: str, grid: tuple[int, int], given: Sequence[Argument], results: Sequence[Floats]
    ) -> None:
        """Raises OutOfRange where the sizes are none, or the rounding mode is not to be had."""
        code = getattr(self.loaded, f"tlc_{kernel}_host")(*map(_converted, given))
        if code:
            raise OutOfRange(PROBLEMS.get(code, "the rounding mode cannot be set"))


@cache
def native() -> Native:
    """The kernels as this machine's compiler makes them. Raises InvalidInput."""
    return Native(build())


def _converted(value: Any) -> Any:
    """As ctypes takes it: a pointer to an array that lies in memory as the kernel reads it, a size, null."""
    if value is None:
        return None
    if isinstance(value, int):
        return ctypes.c_longlong(value)
    if value.dtype not in (np.float64, np.int32) or not value.flags.c_contiguous or not value.flags.aligned:
        raise ValueError(f"a kernel's array of {value.dtype}, in another layout")
    return ctypes.c_void_p(value.ctypes.data)
