"""Whether the BLAS at hand is one that the float64 engines' error bounds hold for."""

from __future__ import annotations

from functools import cache

from threadpoolctl import threadpool_limits


@cache
def blas_usable() -> bool:
    """It passes the probe."""
    from tlcheck.trusted.arith.probe import BlasRefused, probe

    try:
        with threadpool_limits(1, "blas"):
            probe()
    except BlasRefused:
        return False
    return True
