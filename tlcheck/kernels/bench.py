"""How fast the kernels are, beside this library's or device's own product of doubles (dgemm), which rounds to nearest.

Products are counted as the multiply-adds that they mean: the kernels do two, one for each side, where operands may be negative.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from tlcheck import timer
from tlcheck.errors import InvalidInput
from tlcheck.kernels.calls import Calls, Floats
from tlcheck.trusted.arith.tiles import Tiles

SHAPES: Final = {
    "square": (512, 512, 512),
    "rows of a narrow network": (8192, 50, 50),
    "one row": (1, 1024, 1024),
}
"""Rows, inner size, columns."""
DEVICE_SHAPES: Final = {"square": (4096, 4096, 4096), "rows of a wide network": (16384, 1024, 1024)}
ROUNDS: Final = 5


@dataclass(frozen=True)
class Rate:
    """Nanoseconds per multiply-add of a kernel and of dgemm, each the best of ROUNDS."""

    shape: str
    kernel: str
    kernel_ns: float
    dgemm_ns: float

    @property
    def ratio(self) -> float:
        """Of dgemm's rate."""
        return self.dgemm_ns / self.kernel_ns


def on_the_host(calls: Calls) -> Iterator[Rate]:
    """One thread each, if the caller limits BLAS to one."""
    for shape, (m, k, n) in SHAPES.items():
        x, w = _operands(m, k, n)
        flat = np.ascontiguousarray(x[:, 0])
        own = _best(lambda flat=flat, w=w: flat @ w[0]) / (m * k * n)  # type: ignore[misc]
        for name, call in _kernels(calls, x, w).items():
            if name != "adjoint_tensor":  # of a device: its stub goes product by product
                yield Rate(shape, name, _best(call) / (m * k * n), own)


def on_a_device() -> Iterator[Rate]:
    """By the device's events. Untested on a GPU. Raises InvalidInput: no device, or no CuPy, whose dgemm is cuBLAS's."""
    from tlcheck.kernels.device import Device

    device = Device()
    try:
        import cupy
    except ImportError as error:
        raise InvalidInput(
            "TLC504", "dgemm on the device is CuPy's: pip install cupy-cuda13x", got=str(error)
        ) from None
    for shape, (m, k, n) in DEVICE_SHAPES.items():
        x, w = _operands(m, k, n)
        a, b = cupy.asarray(x[:, 0]), cupy.asarray(w[0])

        def own(a: object = a, b: object = b) -> None:
            cupy.matmul(a, b)
            cupy.cuda.Stream.null.synchronize()

        own()
        reference = _best(own) / (m * k * n)
        for name, call in _kernels(device, x, w).items():
            times = []
            for _ in range(ROUNDS):
                call()
                times.append(1e6 * device.milliseconds)
            yield Rate(shape, name, min(times) / (m * k * n), reference)


def _operands(m: int, k: int, n: int) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(0)
    return rng.uniform(-1, 1, (m, 1, k)), rng.uniform(-1, 1, (1, k, n))


def _kernels(calls: Calls, x: Floats, w: Floats) -> dict[str, Callable[[], object]]:
    tiles = Tiles(w, np.zeros((1, 1), np.int32), 1, w.shape[1])
    m, n = x.shape[0], w.shape[2]
    signed, positive = np.ones((1, n)), np.zeros((1, n))
    low, minus_high = np.zeros((m, n)), np.zeros((m, n))
    rows = np.ascontiguousarray(x[:, 0])
    return {
        "adjoint": lambda: calls.adjoint(tiles, x, signed),
        "adjoint, x >= 0": lambda: calls.adjoint(tiles, x, positive),
        "adjoint_tensor": lambda: calls.adjoint(tiles, x, signed, "adjoint_tensor"),
        "affine": lambda: calls.affine(tiles, rows, rows, low, minus_high),
    }


def _best(call: Callable[[], object]) -> float:
    """Nanoseconds of the fastest of ROUNDS."""
    times = []
    for _ in range(ROUNDS):
        start = timer.now()
        call()
        times.append(timer.now() - start)
    return 1e9 * min(times)
