"""Executions of one graph, known to the byte: what a session executes is what was hashed and read.

``file``: the model as it is, no graph optimisation. ``basic``: onnxruntime's basic optimisations are written to a file, and that
file is executed as it is. CUDA: TF32, tuning and fallback to the CPU are off; a graph with a node that the device does not
execute is refused.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.runtime.ort import DTYPES, QUIET, ExecutionFailed, brief, library

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, SessionOptions

Floats = NDArray[np.float64]

PROVIDERS: Final = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
CUDA_OPTIONS: Final = {
    "use_tf32": "0",
    "tunable_op_enable": "0",
    "cudnn_conv_algo_search": "DEFAULT",
    "arena_extend_strategy": "kSameAsRequested",
}
EXACT_CUDA: Final = {
    "NVIDIA_TF32_OVERRIDE": "0",
    "CUBLAS_EMULATE_SINGLE_PRECISION": "0",
    "CUBLAS_EMULATE_DOUBLE_PRECISION": "0",
}
"""What the environment must not say otherwise: products in fewer bits than float32's."""
NO_FALLBACK: Final = "session.disable_cpu_ep_fallback"
EXACT_INT8: Final = "session.x64quantprecision"
"""Kernels for int8 that never saturate, where the CPU has no VNNI."""


@dataclass(frozen=True)
class Pin:
    """Where and how a graph is executed."""

    provider: str = "cpu"
    threads: int = 1
    exact_int8: bool = False

    @property
    def options(self) -> dict[str, str]:
        """What is said to onnxruntime, for the record."""
        said = {"graph_optimization_level": "ORT_DISABLE_ALL", "intra_op_num_threads": str(self.threads)}
        if self.provider == "cuda":
            said |= {NO_FALLBACK: "1", **CUDA_OPTIONS}
        return said | ({EXACT_INT8: "1"} if self.exact_int8 else {})


@dataclass(frozen=True)
class Port:
    """An input tensor: ``shape`` of one point; ``many``: its first axis takes any number of points."""

    name: str
    shape: tuple[int, ...]
    dtype: Any
    many: bool

    @property
    def size(self) -> int:
        return prod(self.shape)


@dataclass(frozen=True, eq=False)
class Pinned:
    """A graph's session. Points are flat: all inputs, row-major, in their order; so are outputs."""

    session: InferenceSession
    pin: Pin

    @cached_property
    def ports(self) -> tuple[Port, ...]:
        return tuple(_port(entry) for entry in self.session.get_inputs())

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        return tuple(entry.name for entry in self.session.get_outputs())

    @property
    def takes_batches(self) -> bool:
        return all(port.many for port in self.ports)

    def run(self, points: Floats, batch: int = 1) -> dict[str, Floats]:
        """By output, (N, size): values at points (N, n) of float32 numbers, ``batch`` at a time. Raises ExecutionFailed.

        The last batch is filled up with its last point, so that all have one size.
        """
        if batch > 1 and not self.takes_batches:
            raise ExecutionFailed("the model's first axis is fixed: it takes no batch")
        found: dict[str, list[Floats]] = {name: [] for name in self.outputs}
        for first in range(0, len(points), batch):
            part = points[first : first + batch]
            full = np.concatenate([part, np.repeat(part[-1:], batch - len(part), axis=0)])
            for name, values in zip(self.outputs, self._batch(full), strict=True):
                found[name].append(values[: len(part)])
        return {name: np.concatenate(parts) for name, parts in found.items()}

    def _batch(self, points: Floats) -> list[Floats]:
        feeds, start = {}, 0
        for port in self.ports:
            values = points[:, start : start + port.size].astype(port.dtype)
            feeds[port.name] = values.reshape((len(points), *port.shape[1:]) if port.many else port.shape)
            start += port.size
        try:
            made = self.session.run(None, feeds)
        except Exception as error:
            raise ExecutionFailed(brief(error)) from error
        return [
            _by_point(np.asarray(y, np.float64), len(points), name)
            for y, name in zip(made, self.outputs, strict=True)
        ]


def _by_point(values: Floats, points: int, name: str) -> Floats:
    if points > 1 and (not values.ndim or values.shape[0] != points):
        raise ExecutionFailed(
            f"output {name} of a batch of {points} has the shape {values.shape}: it is not one part a point"
        )
    return values.reshape(points, -1)


def _port(entry: Any) -> Port:
    if entry.type not in DTYPES:
        raise ExecutionFailed(f"input {entry.name} of type {entry.type}")
    shape = tuple(n if isinstance(n, int) else 1 for n in entry.shape)
    return Port(
        entry.name, shape, DTYPES[entry.type], bool(entry.shape) and not isinstance(entry.shape[0], int)
    )


def check_provider(provider: str) -> None:
    """Raises ExecutionFailed: it is not there, or its arithmetic would be another."""
    onnxruntime = library()
    there = onnxruntime.get_available_providers()
    if PROVIDERS[provider] not in there:
        what = ", ".join(name for name, long in PROVIDERS.items() if long in there)
        raise ExecutionFailed(
            f"this onnxruntime has no {provider.upper()} provider, only {what}: install onnxruntime-gpu where there is a device"
        )
    if provider != "cuda":
        return
    if not any(os.path.exists(path) for path in ("/dev/nvidia0", "/proc/driver/nvidia/version")):
        raise ExecutionFailed(
            "no CUDA device on this machine; `tlcheck verify` checks a conformance certificate without one"
        )
    for name, wanted in EXACT_CUDA.items():
        if os.environ.setdefault(name, wanted) != wanted:
            raise ExecutionFailed(
                f"{name}={os.environ[name]} asks for products in fewer bits; unset it or set it to {wanted}"
            )


def pinned(model: bytes, pin: Pin) -> Pinned:
    """A session that executes exactly this graph. Raises ExecutionFailed."""
    onnxruntime = library()
    check_provider(pin.provider)
    options = _options(pin)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = _session(model, options, pin.provider)
    if PROVIDERS[pin.provider] not in session.get_providers():
        raise ExecutionFailed(f"the {pin.provider.upper()} provider does not start")
    return Pinned(session, pin)


def optimised(model: bytes) -> bytes:
    """What onnxruntime's basic optimisations make of a model: standard ONNX, in its own bytes. Raises ExecutionFailed."""
    onnxruntime = library()
    with tempfile.TemporaryDirectory(prefix="tlcheck-") as folder:
        path = Path(folder) / "basic.onnx"
        options = _options(Pin())
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(path)
        _session(model, options, "cpu")
        return path.read_bytes()


def _options(pin: Pin) -> SessionOptions:
    onnxruntime = library()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = pin.threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = QUIET
    if pin.provider == "cuda":
        options.add_session_config_entry(NO_FALLBACK, "1")
    if pin.exact_int8:
        options.add_session_config_entry(EXACT_INT8, "1")
    return options


def _session(model: bytes, options: SessionOptions, provider: str) -> InferenceSession:
    onnxruntime = library()
    chosen: Sequence[str | tuple[str, Mapping[str, str]]] = [PROVIDERS[provider]]
    if provider == "cuda":
        chosen = [(PROVIDERS[provider], CUDA_OPTIONS)]
    try:
        return onnxruntime.InferenceSession(model, options, providers=chosen)
    except Exception as error:
        raise ExecutionFailed(brief(error)) from error


def with_every_tensor(model: bytes) -> tuple[bytes, list[tuple[str, str]]]:
    """The model with every tensor that a node makes as an output; (tensor, operator) in the order of the nodes."""
    from onnx import ValueInfoProto

    from tlcheck.readers.onnx.external import parse

    found = parse(model)
    there = {output.name for output in found.graph.output}
    made = [(name, node.op_type) for node in found.graph.node for name in node.output if name]
    found.graph.output.extend(ValueInfoProto(name=name) for name, _ in made if name not in there)
    return found.SerializeToString(), made


def cpu_flags() -> list[str]:
    """Of the instructions that choose onnxruntime's kernels, those that this CPU has; empty where they are not known."""
    wanted = ("avx", "avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimd", "asimddp")
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    line = next((part for part in text.splitlines() if part.lower().startswith(("flags", "features"))), "")
    return [flag for flag in wanted if flag in line.split()]
