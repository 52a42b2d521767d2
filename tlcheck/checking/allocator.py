"""The C library's allocator: how much freed memory it keeps."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Final

TRIM_THRESHOLD: Final = -1
MMAP_THRESHOLD: Final = -3
"""Names of glibc's mallopt."""
KEPT: Final = 64 << 20
LARGEST: Final = 32 << 20
"""The most that glibc allows."""


@cache
def keep_freed_memory() -> bool:
    """Keep up to 64 MiB of what is freed, where the C library is glibc: whether it was.

    By default arrays of some MiB go back to the kernel each time, which hands them out again page by page, zeroed: up to a
    third of the time of a pass in float64.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(MMAP_THRESHOLD, LARGEST)) and bool(mallopt(TRIM_THRESHOLD, KEPT))
