"""Float32 executions by onnxruntime, pinned so that a replay is repeatable on one machine.

CPU: one thread, sequential, deterministic kernels, onnxruntime's default graph optimisations (what a plain replay
script and the competition use). CUDA: only where a device is, TF32 off. The last bits depend on the machine and the version.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.errors import InvalidInput
from tlcheck.readers.onnx import load_whole
from tlcheck.readers.onnx.external import has_external_data

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

DTYPES: Final = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16}
QUIET: Final = 4
"""onnxruntime's severity "fatal": what fails is raised as well, and standard error is the user's."""


class ExecutionFailed(Exception):
    """onnxruntime cannot load or run the model, or is not installed. Says why."""


def library() -> Any:
    """The package onnxruntime, an extra. Raises ExecutionFailed."""
    try:
        import onnxruntime
    except ImportError as error:
        raise ExecutionFailed(
            f"onnxruntime does not load ({brief(error)}): pip install 'tlcheck[run]'"
        ) from error
    return onnxruntime


def check_library() -> None:
    """For commands that are nothing without it. Raises InvalidInput TLC504."""
    try:
        library()
    except ExecutionFailed as error:
        raise InvalidInput("TLC504", str(error)) from error


@dataclass(frozen=True, eq=False)
class Session:
    """One model on one device. ``run`` takes and gives flat values: all inputs, all outputs, row-major."""

    session: InferenceSession
    device: str
    inputs: tuple[tuple[str, tuple[int, ...], Any], ...]

    @property
    def n_inputs(self) -> int:
        return sum(int(np.prod(shape)) for _, shape, _ in self.inputs)

    def run(self, point: NDArray[np.float32]) -> NDArray[np.float64]:
        """The outputs at float32 inputs, each exact in float64. Raises ExecutionFailed, ValueError on another size."""
        if point.shape != (self.n_inputs,):
            raise ValueError(f"{point.size} values for {self.n_inputs} inputs")
        feeds = {}
        start = 0
        for name, shape, dtype in self.inputs:
            size = int(np.prod(shape))
            feeds[name] = point[start : start + size].astype(dtype).reshape(shape)
            start += size
        try:
            outputs = self.session.run(None, feeds)
        except Exception as error:
            raise ExecutionFailed(brief(error)) from error
        return np.concatenate([np.asarray(y, np.float64).reshape(-1) for y in outputs])


def load_session(model: str | Path, *, device: str = "cpu") -> Session:
    """A session of an .onnx or .onnx.gz file. Raises InvalidInput (unreadable file), ExecutionFailed."""
    return make_session(load_whole(Path(model)).content, device=device)


def make_session(model: bytes, *, device: str = "cpu") -> Session:
    """A session of a model's bytes, all weights inside. Raises ExecutionFailed."""
    onnxruntime = library()
    if has_external_data(model):  # onnxruntime would look for them in the working folder
        raise ExecutionFailed("weights in other files")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.log_severity_level = QUIET
    cuda = ("CUDAExecutionProvider", {"use_tf32": "0"})
    providers = [cuda, "CPUExecutionProvider"] if device == "cuda" else ["CPUExecutionProvider"]
    try:
        session = onnxruntime.InferenceSession(model, options, providers=providers)
    except Exception as error:
        raise ExecutionFailed(brief(error)) from error
    if device == "cuda" and "CUDAExecutionProvider" not in session.get_providers():
        raise ExecutionFailed("the CUDA provider does not start")
    return Session(session, device, tuple(_input(entry) for entry in session.get_inputs()))


def devices() -> tuple[str, ...]:
    """``cpu``, and ``cuda`` where onnxruntime has its provider and there is a device."""
    there = any(os.path.exists(path) for path in ("/dev/nvidia0", "/proc/driver/nvidia/version"))
    try:
        there = there and "CUDAExecutionProvider" in library().get_available_providers()
    except ExecutionFailed:
        there = False
    return ("cpu", "cuda") if there else ("cpu",)


def _input(entry: Any) -> tuple[str, tuple[int, ...], Any]:
    """(name, shape, element type); a symbolic axis is 1, as in :mod:`tlcheck.readers.onnx`."""
    if entry.type not in DTYPES:
        raise ExecutionFailed(f"input {entry.name} of type {entry.type}")
    return entry.name, tuple(n if isinstance(n, int) else 1 for n in entry.shape), DTYPES[entry.type]


def brief(error: Exception) -> str:
    """In one line."""
    return " ".join(str(error).split())[:200]
