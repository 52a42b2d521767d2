"""Measuring how accurately a provider of onnxruntime computes elementary functions in float32: over every float, or every K-th.

What comes out is a runtime profile of kind "measured": a statement about the kernels that ran here. Every bit pattern of
float32 is an operand (but infinities and NaN), in long tensors, and some alone: the end of a tensor may have another kernel.
"""

from __future__ import annotations

import math
import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from math import ceil, frexp, ldexp
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.errors import InvalidInput
from tlcheck.readers.runtime_profile import AccuracyText, ProfileDocument, Provenance, profile
from tlcheck.runtime.ort import ExecutionFailed
from tlcheck.runtime.pinned import PROVIDERS, Pin, pinned
from tlcheck.runtime.references import FUNCTIONS, REFERENCE_ULPS, Function, spot_check

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Floats = NDArray[np.float32]

PATTERNS: Final = 1 << 32
BLOCK: Final = 1 << 20
"""Operands of one execution."""
ALONE: Final = (1 << 20) - 3
"""Every so many patterns one is executed alone, too."""
LARGEST: Final = 2.0**126
"""Radii are about values up to here (``LARGEST32``)."""
TINY: Final = 2.0**-126
"""What flushing a result may cost, and the operands that may be taken for 0, are charged anyway."""
LARGE_RELATIVE: Final = 2.0**-14
"""A larger relative error is one near a zero or in a tail: then the absolute one is what is said."""
NEAR: Final = (0.5, 1.0, math.pi / 2, 2.0, math.pi, 9.0, 18.0, 88.0)
"""Beside these and their negatives every float is executed: a sample has what functions do near their zeros and ends."""
BESIDE: Final = 1 << 12
MARGINS: Final = (1.25, 1.5)
"""What is measured, times this: over every float, over some of them."""
LIKE: Final = {"cpu": "onnxruntime-cpu", "cuda": "cuda-math"}
"""tlcheck's own profile that says how normalisations and attention are computed."""


@dataclass(frozen=True)
class Errors:
    """The largest absolute and relative error; ``bad``: an operand whose result is not finite where the function is."""

    absolute: float = 0.0
    relative: float = 0.0
    bad: float | None = None

    def with_(self, other: Errors) -> Errors:
        bad = other.bad if self.bad is None else self.bad
        return Errors(max(self.absolute, other.absolute), max(self.relative, other.relative), bad)


@dataclass(frozen=True)
class Asked:
    """``sample``: every so many floats; 1: all of them."""

    provider: str = "cpu"
    functions: tuple[str, ...] = tuple(FUNCTIONS)
    sample: int = 1

    @property
    def blocks(self) -> int:
        return -(-PATTERNS // (BLOCK * self.sample))

    def block(self, k: int) -> Floats:
        """The k-th operands."""
        start, step = k * BLOCK * self.sample, self.sample
        patterns = np.arange(start, min(start + BLOCK * step, PATTERNS), step, dtype=np.uint64)
        return finite(patterns.astype(np.uint32).view(np.float32))


def finite(x: Floats) -> Floats:
    """Infinities and NaN are no operands: 0 in their place."""
    return np.where(np.isfinite(x), x, np.float32(0)).astype(np.float32)


Done = Callable[[str, int], Errors | None]
"""What an earlier run found for a function's block, if anything."""
Keep = Callable[[str, int, Errors], None]
Tell = Callable[[int, int, str], None]
"""Called with (blocks done, blocks in all, the function)."""


@dataclass(frozen=True, eq=False)
class Calibration:
    asked: Asked
    done: Done = lambda name, k: None
    keep: Keep = lambda name, k, errors: None
    tell: Tell = lambda done, total, name: None
    found: dict[str, Errors] = field(default_factory=dict)

    def run(self) -> ProfileDocument:
        """Raises InvalidInput: there is no such provider, or it computes something else."""
        total = self.asked.blocks * len(self.asked.functions)
        for i, name in enumerate(self.asked.functions):
            if (ulps := spot_check(name)) > REFERENCE_ULPS:
                raise InvalidInput(
                    "TLC505",
                    f"numpy's double {name} errs by {ulps:.3g} units of 2^-52 here",
                    expected="8 at most",
                )
            worst = self._alone(name).with_(self._beside(name))
            for k in range(self.asked.blocks):
                worst = worst.with_(self._block(name, k))
                self.tell(i * self.asked.blocks + k + 1, total, name)
            if worst.bad is not None:
                raise InvalidInput(
                    "TLC505",
                    f"{name}({worst.bad!r}) is not finite with the {self.asked.provider} provider",
                    expected="a number",
                )
            self.found[name] = worst
        return self.document()

    def _block(self, name: str, k: int) -> Errors:
        earlier = self.done(name, k)
        if earlier is not None:
            return earlier
        errors = Errors()
        for session in self._sessions(name):
            errors = errors.with_(measured(FUNCTIONS[name], self.asked.block(k), _executed(session)))
        self.keep(name, k, errors)
        return errors

    def _alone(self, name: str) -> Errors:
        """Of operands in tensors of three, whose kernel is the one for what is left over."""
        x = finite(
            np.arange(ALONE // 2 + 1, PATTERNS, ALONE, dtype=np.uint64).astype(np.uint32).view(np.float32)
        )
        errors = Errors()
        for session in self._sessions(name):
            parts = [_executed(session)(x[k : k + 3]) for k in range(0, len(x), 3)]
            errors = errors.with_(measured(FUNCTIONS[name], x, lambda _, parts=parts: np.concatenate(parts)))  # type: ignore[misc]
        return errors

    def _beside(self, name: str) -> Errors:
        patterns = np.array([*NEAR, *(-x for x in NEAR)], np.float32).view(np.uint32)[:, None] + np.arange(
            -BESIDE, BESIDE
        )
        x = patterns.astype(np.uint32).view(np.float32).reshape(-1)
        errors = Errors()
        for session in self._sessions(name):
            errors = errors.with_(measured(FUNCTIONS[name], x, _executed(session)))
        return errors

    def _sessions(self, name: str) -> list[InferenceSession]:
        if name not in self._open:
            self._open.clear()
            self._open[name] = [session(self.asked.provider, *node) for node in FUNCTIONS[name].nodes]
        return self._open[name]

    @cached_property
    def _open(self) -> dict[str, list[InferenceSession]]:
        return {}

    def document(self) -> ProfileDocument:
        like = profile(LIKE[self.asked.provider]).document
        return ProfileDocument(
            format="tlcheck.profile", version=1, name=self._name(), kind="measured", provenance=self._provenance(),
            normalisation=like.normalisation,
            attention=like.attention,
            functions={name: self._accuracy(name, errors) for name, errors in sorted(self.found.items())},  # type: ignore[misc]
        )  # fmt: skip

    def _name(self) -> str:
        import onnxruntime

        return f"onnxruntime-{onnxruntime.__version__}-{self.asked.provider}-{platform.machine().lower().replace('_', '-')}"

    @property
    def _margin(self) -> float:
        return MARGINS[self.asked.sample > 1]

    def _accuracy(self, name: str, errors: Errors) -> AccuracyText:
        """The relative error where it is small everywhere, else the absolute one; each rounded up."""
        reference = REFERENCE_ULPS * 2.0**-52
        if errors.relative <= LARGE_RELATIVE and not FUNCTIONS[name].absolute:
            return AccuracyText(relative=rounded_up(errors.relative * self._margin + reference))
        return AccuracyText(absolute=rounded_up(errors.absolute * self._margin + reference))

    def _provenance(self) -> Provenance:
        import onnxruntime

        provider, sample = self.asked.provider, self.asked.sample
        of = "every float32" if sample == 1 else f"every {sample}-th float32 (by bit pattern)"
        between = "" if sample == 1 else "the floats between, "
        return Provenance(
            what=f"onnxruntime {onnxruntime.__version__}, {PROVIDERS[provider]}, on {hardware(provider)}.",
            how=f"The largest errors of {of} but infinities and NaN, in tensors of {BLOCK} and of 3, against double "
            f"precision (numpy {np.__version__}, {REFERENCE_ULPS} units of 2^-52 added), times {self._margin}, rounded up. "
            f"Normalisations as in the profile {LIKE[provider]}, not measured.",
            not_covered=f"Other versions, devices and kernels, {between}operands below 2^-126 and results beyond 2^126 (charged "
            "or refused anyway), powers but 2, 3, 1/2 and -1, roots of higher order, what an optimiser fuses.",
            date=today(),
        )


def today() -> str:
    from datetime import UTC, datetime

    return datetime.now(UTC).date().isoformat()


def hardware(provider: str) -> str:
    """The CPU and what of its instructions decides which kernels run; of CUDA, the device too."""
    said = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    facts = dict(part.split(":", 1) for line in reversed(lines) if ":" in (part := line.replace("\t", "")))
    model, flags = facts.get("model name", said).strip(), set(facts.get("flags", "").split())
    kinds = [f for f in ("avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8") if f in flags]
    text = f"{model} ({', '.join(kinds)})" if kinds else model
    return text if provider == "cpu" else f"CUDA device {_device()}, host {text}"


def _device() -> str:
    """Its name, as the driver says it."""
    names = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    for line in names[0].read_text("utf-8", errors="replace").splitlines() if names else ():
        if line.startswith("Model:"):
            return line.partition(":")[2].strip()
    return "of unknown name"


def rounded_up(x: float) -> str:
    """Hexadecimal, three bits: at least x."""
    mantissa, exponent = frexp(x)  # 1/2 <= mantissa < 1, so eighths of it are exact
    digits, power = ldexp(ceil(mantissa * 8), exponent - 3).hex().split("p")
    return f"{digits.rstrip('0').rstrip('.')}p{power}"


def session(provider: str, operator: str, constant: float | None) -> InferenceSession:
    """Of one node on a vector of any length. Raises InvalidInput TLC505: no such provider, or it has no such kernel."""
    try:
        return pinned(_model(operator, constant), Pin(provider)).session
    except ExecutionFailed as error:
        raise InvalidInput(
            "TLC505", f"{operator} on the {provider} provider: {error}",
            expected="a device, and onnxruntime's provider with a kernel for it",
        ) from None  # fmt: skip


def _model(operator: str, constant: float | None) -> bytes:
    from onnx import TensorProto, helper, numpy_helper

    names = ["x"] if constant is None else ["x", "c"]
    stored = [] if constant is None else [numpy_helper.from_array(np.array([constant], np.float32), "c")]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "xy"]
    graph = helper.make_graph([helper.make_node(operator, names, ["y"])], "g", values[:1], values[1:], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def _executed(made: InferenceSession) -> Callable[[Floats], Any]:
    return lambda x: made.run(None, {"x": x})[0]


def measured(function: Function, x: Floats, executed: Callable[[Floats], Any]) -> Errors:
    """The errors at these operands, beyond 2^-126, which radii charge anyway. An operand below that may be taken for 0."""
    y = executed(x).astype(np.float64)
    with np.errstate(all="ignore"):
        exact = function.reference(x.astype(np.float64))
        error = np.abs(y - exact)
        at_zero = function.reference(np.zeros(1))[0]
        small = np.abs(x) < TINY
        if np.isfinite(at_zero):
            error = np.where(small, np.minimum(error, np.abs(y - at_zero)), error)
            small &= False
        counts = np.isfinite(exact) & (np.abs(exact) <= LARGEST) & ~small
        error = np.maximum(error - TINY, 0.0)
        relative = np.where(counts & (error > 0), error / np.abs(exact), 0.0)
    bad = np.flatnonzero(counts & ~np.isfinite(y))
    error = np.where(counts, error, 0.0)
    if bad.size:
        return Errors(bad=float(x[bad[0]]))
    return Errors(float(error.max(initial=0.0)), float(relative.max(initial=0.0)))


def json_text(document: ProfileDocument) -> str:
    """As tlcheck's own profiles are written: numbers that are 0 are left out."""
    import msgspec

    content = msgspec.to_builtins(document)
    content["functions"] = {
        name: {part: text for part, text in said.items() if text != "0"}
        for name, said in content["functions"].items()
    }
    return msgspec.json.format(msgspec.json.encode(content), indent=1).decode() + "\n"
