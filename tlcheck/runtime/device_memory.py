"""Memory of a CUDA device, as its driver counts it, and what onnxruntime's pool may take of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

MIB: Final = 1 << 20
CUDA: Final = "CUDAExecutionProvider"
NO_LIMIT: Final = 1 << 60
"""Bytes that no device has: the provider's own way to say that there is no limit."""


def used_mib() -> float | None:
    """What all users hold on the first device; None without a driver, or without the package nvidia-ml-py."""
    try:
        import pynvml  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        handle: Any = pynvml.nvmlDeviceGetHandleByIndex(0)
        return float(pynvml.nvmlDeviceGetMemoryInfo(handle).used) / MIB
    except pynvml.NVMLError:
        return None


def grown(before: float | None, after: float | None) -> float | None:
    """What a session holds while it is there: its pool, which gives nothing back, its kernels, the context of a first one."""
    return None if before is None or after is None else max(0.0, after - before)


def pool_limit_mib(options: Mapping[str, Mapping[str, str]]) -> float | None:
    """Of ``InferenceSession.get_provider_options()``: the most that the pool on the device may hold; None without one."""
    said = options.get(CUDA, {}).get("gpu_mem_limit", "")
    if not said.isdigit() or int(said) >= NO_LIMIT:
        return None
    return int(said) / MIB
