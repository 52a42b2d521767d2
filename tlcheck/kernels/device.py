"""The kernels for NVIDIA GPUs: compiled by NVRTC (no driver needed), launched through the CUDA driver (cuda-bindings: cuda-core
asks for a driver where it makes PTX). Launches are untested on a GPU.

What is here is for ``tlcheck kernels``: no verdict rests on it. ``Device`` has the methods of ``native.Native``; a call
copies its arrays there and back.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np

from tlcheck.errors import InvalidInput
from tlcheck.kernels.build import folder
from tlcheck.kernels.calls import Argument, Calls, Floats, checked
from tlcheck.trusted.arith.box import OutOfRange

THREADS: Final = 256
"""Of a block (shim.h)."""

SOURCE: Final = '#include "kernels.h"\n'
OPTIONS: Final = ("--std=c++17", "--fmad=false", "-default-device", "-lineinfo")
"""No contraction of products and sums; the rounding of each operation is written in its name."""


@dataclass(frozen=True)
class Code:
    """What NVRTC made for ``architecture``: PTX (text) for "compute_NN", a cubin for "sm_NN"."""

    architecture: str
    code: bytes


def compiled(architecture: str, *extra: str) -> Code:
    """The kernels for "compute_NN" or "sm_NN". Raises InvalidInput: NVRTC is not there, or refuses."""
    nvrtc = _nvrtc()
    program = _done(nvrtc.nvrtcCreateProgram(SOURCE.encode(), b"kernels.cu", 0, [], []))
    options = [*OPTIONS, f"--gpu-architecture={architecture}", f"-I{folder()}", *extra]
    try:
        _done(nvrtc.nvrtcCompileProgram(program, len(options), [o.encode() for o in options]))
    except InvalidInput:
        raise InvalidInput(
            "TLC506", "the kernels do not compile", field=f"NVRTC, {architecture}", got=_log(program)
        ) from None
    real = architecture.startswith("sm_")
    size, get = (
        (nvrtc.nvrtcGetCUBINSize, nvrtc.nvrtcGetCUBIN) if real else (nvrtc.nvrtcGetPTXSize, nvrtc.nvrtcGetPTX)
    )
    code = b" " * _done(size(program))
    _done(get(program, code))
    return Code(architecture, code)


@cache
def _nvrtc() -> Any:
    try:
        from cuda.bindings import nvrtc

        _done(nvrtc.nvrtcVersion())
    except (ImportError, RuntimeError) as error:
        raise InvalidInput(
            "TLC504", "NVRTC is not installed: pip install 'tlcheck[gpu]'", got=str(error).partition("\n")[0]
        ) from None
    return nvrtc


def _done(result: tuple[Any, ...]) -> Any:
    """What a call of NVRTC gave besides its status."""
    status, *rest = result
    if int(status):
        raise InvalidInput("TLC506", "NVRTC refuses", got=str(status))
    return rest[0] if len(rest) == 1 else rest


def _log(program: Any) -> str:
    nvrtc = _nvrtc()
    log = b" " * _done(nvrtc.nvrtcGetProgramLogSize(program))
    _done(nvrtc.nvrtcGetProgramLog(program, log))
    lines = log.decode(errors="replace").strip(" \0\n").splitlines()
    return next((line for line in lines if "error" in line), lines[0] if lines else "no reason given")


class Device(Calls):
    """The kernels on one GPU, from a cubin made for it. Raises InvalidInput: no driver, no device."""

    def __init__(self, number: int = 0, *extra: str) -> None:
        self.driver = _driver()
        handle = self._done(self.driver.cuDeviceGet(number))
        self.name = self._done(self.driver.cuDeviceGetName(256, handle)).strip(b" \0").decode()
        attribute = self.driver.CUdevice_attribute
        major, minor = (
            self._done(self.driver.cuDeviceGetAttribute(which, handle))
            for which in (
                attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
                attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
            )
        )
        self._done(self.driver.cuCtxSetCurrent(self._done(self.driver.cuDevicePrimaryCtxRetain(handle))))
        self.code = compiled(f"sm_{major}{minor}", *extra)
        self.module = self._done(self.driver.cuModuleLoadData(self.code.code))
        self.milliseconds = 0.0
        """Of the last launch, by the device's events."""

    def _done(self, result: tuple[Any, ...]) -> Any:
        status, *rest = result
        if int(status):
            raise InvalidInput("TLC506", "the GPU refuses", got=str(status))
        return rest[0] if len(rest) == 1 else rest

    def run(
        self, kernel: str, grid: tuple[int, int], given: Sequence[Argument], results: Sequence[Floats]
    ) -> None:
        """Arrays go there, the kernel runs, results come back. Raises OutOfRange: no sizes, or too little memory."""
        if grid[0] >= 1 << 31 or grid[1] >= 1 << 16:
            raise OutOfRange(f"a grid of {grid} blocks")
        free, _ = self._done(self.driver.cuMemGetInfo())
        arrays = [a for a in given if isinstance(a, np.ndarray)]
        if sum(checked(*a.shape) for a in arrays) > free:
            raise OutOfRange(f"arrays beyond the {free} free bytes of {self.name}")
        held: dict[int, Any] = {}
        try:
            for array in {id(a): a for a in arrays}.values():
                held[id(array)] = self._done(self.driver.cuMemAlloc(max(8, array.nbytes)))
                self._done(self.driver.cuMemcpyHtoD(held[id(array)], array.ctypes.data, array.nbytes))
            if grid[0] and grid[1]:
                self._launch(kernel, grid, [held[id(a)] if isinstance(a, np.ndarray) else a for a in given])
            for array in results:
                self._done(self.driver.cuMemcpyDtoH(array.ctypes.data, held[id(array)], array.nbytes))
        finally:
            for pointer in held.values():
                self._done(self.driver.cuMemFree(pointer))

    def _launch(self, kernel: str, grid: tuple[int, int], given: Sequence[Any]) -> None:
        function = self._done(self.driver.cuModuleGetFunction(self.module, f"tlc_{kernel}".encode()))
        values = tuple(0 if value is None else int(value) for value in given)
        kinds = tuple(ctypes.c_longlong if isinstance(value, int) else ctypes.c_void_p for value in given)
        start, end = (self._done(self.driver.cuEventCreate(0)) for _ in range(2))
        self._done(self.driver.cuEventRecord(start, 0))
        self._done(self.driver.cuLaunchKernel(function, *grid, 1, THREADS, 1, 1, 0, 0, (values, kinds), 0))
        self._done(self.driver.cuEventRecord(end, 0))
        self._done(self.driver.cuEventSynchronize(end))
        self.milliseconds = float(self._done(self.driver.cuEventElapsedTime(start, end)))
        for event in (start, end):
            self._done(self.driver.cuEventDestroy(event))


def _driver() -> Any:
    """The CUDA driver, initialised. Raises InvalidInput."""
    try:
        from cuda.bindings import driver

        (status,) = driver.cuInit(0)
    except (ImportError, RuntimeError) as error:
        raise InvalidInput("TLC506", "no CUDA device here", got=str(error).partition("\n")[0]) from None
    if int(status):
        raise InvalidInput("TLC506", "no CUDA device here", got=str(status))
    return driver
