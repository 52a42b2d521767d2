"""Float32 executions against the radii that are proved for them: ``python -m tests.trusted.radii [POINTS]``.

For each rule: the largest |onnxruntime's value - exact value| / radius over random and nasty points, at every optimisation level,
on 1 and 2 threads, in batches of 1 and 33. Above 1 is a false radius; below 1e-6 one that says nothing. Sums are also added up in
float32 in shuffled order and as trees.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tests.helpers import IEEE
from tlcheck.readers.onnx import read_model
from tlcheck.trusted.arith.arb import working_precision
from tlcheck.trusted.arith.ball64 import Ball64
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.profile import Profile
from tlcheck.trusted.bounds import Enclosure, Slopes
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.guidance import NO_GUIDANCE
from tlcheck.trusted.network import Network

Floats = NDArray[np.float32]
LEVELS: Final = ("ORT_DISABLE_ALL", "ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL")


@dataclass(frozen=True)
class Rule:
    """One node on a row of ``width`` values (a batch of rows). ``low``, ``high``: where its operand lies."""

    operator: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    constants: tuple[Any, ...] = ()
    opset: int = 20
    width: int = 64
    low: float = -30.0
    high: float = 30.0
    second: bool = False
    """The operand is its second operand too."""

    def image_model(self) -> bytes:
        """Of one image (1, width, 1, 1)."""
        return self._model([1, self.width, 1, 1])

    def model(self, batch: int) -> bytes:
        return self._model([batch, *self.shape])

    def _model(self, shape: list[int]) -> bytes:
        names = ["x", *(["x"] if self.second else []), *(f"c{i}" for i in range(len(self.constants)))]
        node = helper.make_node(self.operator, names, ["y"], **self.attributes)
        stored = [numpy_helper.from_array(c, f"c{i}") for i, c in enumerate(self.constants)]
        graph = helper.make_graph(
            [node], "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], stored,
        )  # fmt: skip
        opset = [helper.make_opsetid("", self.opset)]
        return bytes(helper.make_model(graph, opset_imports=opset, ir_version=10).SerializeToString())

    @property
    def shape(self) -> tuple[int, ...]:
        if self.operator in ("InstanceNormalization", "GroupNormalization"):
            return (4, self.width // 4)
        return (8, self.width // 8) if self.operator == "MatMul" else (self.width,)


def gain(n: int) -> Any:
    return np.linspace(-1.5, 2, n, dtype=np.float32)


RULES: Final[dict[str, Rule]] = {
    **{
        op: Rule(op, low=low, high=high)
        for op, low, high in (
            ("Tanh", -12, 12), ("Sigmoid", -25, 25), ("Exp", -80, 60), ("Erf", -5, 5), ("Softplus", -30, 30), ("Sin", -1e4, 1e4),
            ("Cos", -1e4, 1e4), ("Log", 1e-6, 1e6), ("Sqrt", 0, 1e6), ("Reciprocal", 1e-3, 1e3), ("Atan", -1e3, 1e3),
            ("Asin", -1, 1), ("Acos", -1, 1), ("Elu", -20, 20), ("Selu", -20, 20), ("Celu", -20, 20), ("HardSwish", -5, 5),
            ("HardSigmoid", -4, 4), ("Mish", -20, 20), ("Softsign", -50, 50), ("Tan", -1.4, 1.4), ("Sinh", -10, 10),
            ("Cosh", -10, 10), ("Asinh", -100, 100),
        )
    },
    "Gelu erf": Rule("Gelu", {"approximate": "none"}, low=-6, high=6),
    "Gelu tanh": Rule("Gelu", {"approximate": "tanh"}, low=-6, high=6),
    "Pow 2": Rule("Pow", constants=(np.float32([2]),)),
    "Pow 3": Rule("Pow", constants=(np.float32([3]),)),
    "Pow 1.7": Rule("Pow", constants=(np.float32([1.7]),), low=1e-3, high=50),
    "Pow 0.5": Rule("Pow", constants=(np.float32([0.5]),), low=1e-3, high=50),
    "Pow -1": Rule("Pow", constants=(np.float32([-1]),), low=1e-2, high=50),
    "LogSoftmax": Rule("LogSoftmax", {"axis": 1}, opset=13, width=16, low=-20, high=20),
    "ReduceProd": Rule("ReduceProd", {"axes": [1]}, opset=13, width=8, low=-3, high=3),
    "Product": Rule("Mul", second=True),
    "Div": Rule("Div", second=True, low=0.1, high=50),
    "MatMul": Rule("MatMul", second=True, low=-2, high=2),
    "Softmax 8": Rule("Softmax", width=8, low=-20, high=20),
    "Softmax 512": Rule("Softmax", width=512, low=-20, high=20),
    "LayerNormalization": Rule("LayerNormalization", constants=(gain(64), gain(64)), low=-5, high=5),
    "LayerNormalization 4": Rule(
        "LayerNormalization", constants=(gain(4), np.zeros(4, np.float32)), width=4, low=-5, high=5
    ),
    "InstanceNormalization": Rule("InstanceNormalization", constants=(gain(4), gain(4)), low=-5, high=5),
    "GroupNormalization": Rule(
        "GroupNormalization", {"num_groups": 2}, (gain(4), gain(4)), opset=21, low=-5, high=5
    ),
    "MeanVarianceNormalization": Rule("MeanVarianceNormalization", {"axes": [1]}, opset=13, low=-5, high=5),
    "LpNormalization": Rule("LpNormalization", {"axis": 1}, low=0.1, high=5),
    "BatchNormalization": Rule(
        "BatchNormalization", {}, (gain(64), gain(64), gain(64), np.abs(gain(64)) + np.float32(0.1)), low=-5, high=5
    ),
    "ReduceMean": Rule("ReduceMean", {"axes": [1]}, opset=13),
    "ReduceL2": Rule("ReduceL2", {"axes": [1]}, opset=13),
    "ReduceLogSumExp": Rule("ReduceLogSumExp", {"axes": [1]}, opset=13, low=-8, high=8),
}  # fmt: skip


def points(rule: Rule, count: int, rng: np.random.Generator) -> Floats:
    """(count, width) in the rule's range: uniform, of every size, near the ends and 0, equal, and one large among small."""
    shape = (count, rule.width)
    uniform = rng.uniform(rule.low, rule.high, shape)
    largest = max(abs(rule.low), abs(rule.high))
    sizes = largest * np.exp2(-rng.uniform(0, 20, shape)) * np.sign(rng.normal(size=shape))
    near = rng.choice([rule.low, rule.high, 0.0, largest * 0.5], shape) * (
        1 + 2.0**-22 * rng.integers(-3, 4, shape)
    )
    kind = rng.integers(0, 5, (count, 1))
    drawn = np.select([kind == 0, kind == 1, kind == 2], [uniform, sizes, near], uniform)
    drawn = np.where(kind == 3, drawn[:, :1] * (1 + 1e-5 * uniform), drawn)
    return np.clip(drawn, rule.low, rule.high).astype(np.float32)


def enclosures(data: bytes, x: Floats, profile: Profile) -> tuple[Any, Any]:
    """(exact value, radius) of each entry of the output for each row of x as one input: middles and half widths of boxes; NaN
    for rows about which nothing is said."""
    graph = read_model(data)
    flat = x.astype(np.float64).reshape(len(x), -1)
    found = []
    with working_precision(128), np.errstate(all="ignore"):
        for row in flat:
            try:
                found.append(_enclosure(graph, row[None], profile))
            except OutOfRange:
                nothing = np.full((1, graph.n_outputs), np.nan)
                found.append((nothing, nothing))
    middles, radii = zip(*found, strict=True)
    return np.concatenate(middles), np.concatenate(radii)


def _enclosure(graph: Graph, row: Any, profile: Profile) -> tuple[Any, Any]:
    exact, wide = (
        Enclosure(Network(graph), Ball64(), Slopes(NO_GUIDANCE, lambda _: None), chosen)
        .bounds({graph.inputs[0]: Box(row, row)})
        .boxes[graph.outputs[0]]
        for chosen in (None, profile)
    )
    middle = exact.lower / 2 + exact.upper / 2
    return middle, np.minimum(wide.upper - middle, middle - wide.lower) - (exact.upper - exact.lower)


def executions(rule: Rule, x: Floats) -> Iterator[Floats]:
    """(count, outputs) of the rows of x: onnxruntime's, in every way it may be asked."""
    for level in LEVELS:
        for threads, batch in ((1, 1), (2, 33)):
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 4
            options.intra_op_num_threads = threads
            options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
            session = onnxruntime.InferenceSession(
                rule.model(batch), options, providers=["CPUExecutionProvider"]
            )
            rows = np.concatenate([x, x[: -len(x) % batch]]) if len(x) % batch else x
            parts = [
                session.run(None, {"x": rows[k : k + batch].reshape(batch, *rule.shape)})[0].reshape(
                    batch, -1
                )
                for k in range(0, len(rows), batch)
            ]
            yield np.concatenate(parts)[: len(x)]


def ratio(rule: Rule, count: int, profile: Profile = IEEE, seed: int = 0) -> float:
    """The largest error / radius over so many values."""
    rows = max(33, -(-count // rule.width) // 33 * 33)
    x = points(rule, rows, np.random.default_rng(seed))
    exact, radius = enclosures(rule.model(1), x, profile)
    finite = np.isfinite(radius)
    with np.errstate(all="ignore"):
        worst = [np.abs(y - exact)[finite] / radius[finite] for y in executions(rule, x)]
    return float(max(w.max() for w in worst))


def sums(count: int, shuffle: Callable[[Floats], Floats]) -> float:
    """The largest error / radius of float32 sums of 64 products, added up in the order that ``shuffle`` gives."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(count, 64)).astype(np.float32) * np.exp2(rng.integers(-8, 9, (count, 64))).astype(
        np.float32
    )
    total = np.zeros(count, np.float32)
    products = x * x[:, ::-1]
    for column in shuffle(products).T:
        total = total + column
    exact = (x.astype(np.float64) * x[:, ::-1]).sum(axis=1)
    gamma = 64 * 2.0**-24 / (1 - 64 * 2.0**-24)
    return float((np.abs(total - exact) / (gamma * np.abs(products.astype(np.float64)).sum(axis=1))).max())


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    for name, rule in RULES.items():
        if len(sys.argv) > 2 and sys.argv[2] not in name:
            continue
        sys.stdout.write(f"{name:24}{ratio(rule, count):12.3g}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
