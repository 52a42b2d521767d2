"""What others say of a model: tlcheck's exact value, onnxruntime's, the reference evaluator's, shape inference's."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.fuzz.operators.model import Built
from tests.helpers import IEEE
from tlcheck.errors import InvalidInput
from tlcheck.trusted.arith.arb import Arb, arb, working_precision
from tlcheck.trusted.arith.ball64 import Ball64
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.profile import NotDeployable
from tlcheck.trusted.bounds import Enclosure, Slopes
from tlcheck.trusted.evaluate import Evaluator, Undecided
from tlcheck.trusted.guidance import NO_GUIDANCE
from tlcheck.trusted.network import Network
from tlcheck.trusted.plan import NoRelaxation

os.environ.setdefault(
    "ALLOW_RELEASED_ONNX_OPSET_ONLY", "0"
)  # onnxruntime: opsets newer than its own, where it has kernels

NAME = "one operator"
"""What messages call the model's file."""

Arrays = list[NDArray[Any]]
Feed = dict[str, NDArray[Any]]
Runner = Callable[[Feed], Arrays]


@dataclass
class Exact:
    """``status``: value, refused, undefined (some entry has no value), undecided. Outputs' shapes, ends, in order."""

    status: str
    detail: str = ""
    shapes: tuple[tuple[int, ...], ...] = ()
    low: tuple[NDArray[np.float64], ...] = ()
    high: tuple[NDArray[np.float64], ...] = ()
    graph: Any = None


def exact(built: Built) -> Exact:
    """The reader's graph at the model's inputs. Lets anything but InvalidInput and Undecided escape."""
    from tlcheck.readers.onnx import read_model

    try:
        graph = read_model(built.data, file=NAME)
    except InvalidInput as error:
        return Exact("refused", f"{error.code} {error.line()}")
    return at_point(graph, built.feed)


def at_point(graph: Any, feed: Feed, bits: int = 160) -> Exact:
    """Its value there."""
    sizes = [graph.nodes[i].shape for i in graph.outputs]
    points = [[arb(v) for v in feed[name].astype(np.float64).ravel().tolist()] for name in graph.input_names]
    try:
        with working_precision(bits):
            balls = Evaluator(graph).evaluate(points).outputs
            ends = [_ends(ball) for ball in balls]
    except Undecided as error:
        return Exact("undecided", str(error), tuple(sizes), graph=graph)
    low, high = (np.array([e[k] for e in ends], np.float64) for k in (0, 1))
    status = "value" if all(ball.is_finite() for ball in balls) else "undefined"
    cuts = np.cumsum([int(np.prod(s)) for s in sizes])[:-1]
    return Exact(status, "", tuple(sizes), tuple(np.split(low, cuts)), tuple(np.split(high, cuts)), graph)


def _ends(ball: Arb) -> tuple[float, float]:
    if not ball.is_finite():
        return float("-inf"), float("inf")
    mid = float(ball.mid())
    rest = float(abs(ball - arb(mid)).abs_upper()) if np.isfinite(mid) else 0.0
    if rest == 0 or rest < abs(mid) * 2.0**-54:
        return mid, mid
    return float(np.nextafter(mid - rest, -np.inf)), float(np.nextafter(mid + rest, np.inf))


def bounds(
    exact: Exact, built: Built, radius: float, *, deployed: bool
) -> list[tuple[NDArray[Any], NDArray[Any]]] | None:
    """(lower, upper) of each output over the box of that radius around the inputs, real or deployed; None: no such bounds."""
    network = Network(exact.graph)
    if network.without_relaxation is not None:
        return None
    points = [built.feed[name].astype(np.float64).reshape(1, -1) for name in exact.graph.input_names]
    boxes = {i: Box(x - radius, x + radius) for i, x in zip(exact.graph.inputs, points, strict=True)}
    try:
        with working_precision(128):
            task = Enclosure(
                network, Ball64(), Slopes(NO_GUIDANCE, lambda _: None), IEEE if deployed else None
            )
            found = task.bounds(boxes).boxes
    except (OutOfRange, NotDeployable, NoRelaxation):
        return None
    return [(found[i].lower[0], found[i].upper[0]) for i in exact.graph.outputs]


def _session(built: Built, level: str) -> Runner:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    session = onnxruntime.InferenceSession(built.lowered, options, providers=["CPUExecutionProvider"])
    return lambda feed: list(session.run(None, feed))


def plain(built: Built) -> Runner:
    return _session(built, "ORT_DISABLE_ALL")


def optimised(built: Built) -> Runner:
    return _session(built, "ORT_ENABLE_ALL")


def reference(built: Built) -> Runner:
    import onnx
    from onnx.reference import ReferenceEvaluator

    evaluator = ReferenceEvaluator(onnx.load_from_string(built.data))

    def run(feed: Feed) -> Arrays:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return [np.asarray(v) for v in evaluator.run(None, feed)]

    return run


RUNNERS: dict[str, Callable[[Built], Runner]] = {
    "onnxruntime": plain, "onnxruntime optimised": optimised, "reference": reference,
}  # fmt: skip


def ask(name: str, built: Built, feeds: Sequence[Feed] = ()) -> list[Arrays | str]:
    """Its outputs, or why it has none, at the model's inputs and at ``feeds``."""
    try:
        run = RUNNERS[name](built)
    except Exception as error:  # noqa: BLE001  (an oracle refuses in its own way)
        return [_refusal(error)] * (1 + len(feeds))
    return [_asked(run, feed) for feed in (built.feed, *feeds)]


def _refusal(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _asked(run: Runner, feed: Feed) -> Arrays | str:
    try:
        found = run(feed)
    except Exception as error:  # noqa: BLE001
        return _refusal(error)
    bad = [
        v
        for v in found
        if not isinstance(v, np.ndarray) or (v.dtype.kind not in "fiub" and v.dtype.name not in NARROW)
    ]
    return f"an output that is no tensor of numbers ({bad[0]!r})"[:200] if bad else found


NARROW = {
    "float16": 2.0**-9, "bfloat16": 2.0**-6, "float8_e4m3fn": 2.0**-3, "float8_e4m3fnuz": 2.0**-3, "float8_e5m2": 2.0**-2,
    "float8_e5m2fnuz": 2.0**-2, "float4_e2m1fn": 2.0**-1, "int4": 0.0, "uint4": 0.0, "int2": 0.0, "uint2": 0.0,
}  # fmt: skip
"""Types narrower than float32, and what a few roundings to them may change of a value."""
