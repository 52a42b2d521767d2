"""Float32 executions against the radii that are proved for them: ``python -m tests.trusted.radii [POINTS]``.

For each rule: the largest |onnxruntime's value - exact value| / radius over random and nasty points, at every optimisation level,
on 1 and 2 threads, in batches of 1 and 33. Above 1 is a false radius; below 1e-6 one that says nothing. Sums are also added up in
float32 in other orders, as trees, with and without FMA; means and variances by Welford's and Chan's updates.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tests.helpers import IEEE
from tlcheck.readers.onnx import read_model
from tlcheck.readers.runtime_profile import chosen_profile
from tlcheck.trusted.arith.arb import working_precision
from tlcheck.trusted.arith.ball64 import Ball64
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.profile import Profile
from tlcheck.trusted.bounds import Bounds, Enclosure, Slopes
from tlcheck.trusted.guidance import NO_GUIDANCE
from tlcheck.trusted.network import Network

Floats = NDArray[np.float32]
NOTICED: Final = ("Tanh", "Softmax 8", "LayerNormalization 4", "Attention, mask")
"""Where a twentieth of the radius of `onnxruntime-cpu` is too small, and must be seen to be."""
LEVELS: Final = ("ORT_DISABLE_ALL", "ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL")


@dataclass(frozen=True)
class Rule:
    """One node on a row of ``width`` values (a batch of rows). ``low``, ``high``: where its operand lies. A constant may be a
    function of the batch's size."""

    operator: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    constants: tuple[Any, ...] = ()
    opset: int = 20
    width: int = 64
    low: float = -30.0
    high: float = 30.0
    second: bool = False
    """The operand is its second operand too."""
    mirrored: bool = False
    """Its second operand is the operand, with rows turned round."""
    row: tuple[int, ...] = ()
    """The shape of a row of ``width`` values, where it is not (width,)."""
    domain: str = ""

    def model(self, batch: int) -> bytes:
        shape = [batch, *self.shape]
        second = ["x"] if self.second else ["m"] if self.mirrored else []
        names = ["x", *second, *(f"c{i}" for i in range(len(self.constants)))]
        node = helper.make_node(self.operator, names, ["y"], domain=self.domain, **self.attributes)
        constants = [c(batch) if callable(c) else c for c in self.constants]
        stored = [numpy_helper.from_array(c, f"c{i}") for i, c in enumerate(constants)]
        before = []
        if self.mirrored:
            stored.append(numpy_helper.from_array(np.arange(shape[-1])[::-1].copy(), "back"))
            before = [helper.make_node("Gather", ["x", "back"], ["m"], axis=len(shape) - 1)]
        graph = helper.make_graph(
            [*before, node], "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], stored,
        )  # fmt: skip
        opset = [helper.make_opsetid("", self.opset), helper.make_opsetid("com.microsoft", 1)]
        return bytes(helper.make_model(graph, opset_imports=opset, ir_version=10).SerializeToString())

    @property
    def shape(self) -> tuple[int, ...]:
        return self.row or (self.width,)


def gain(n: int) -> Any:
    return np.linspace(-1.5, 2, n, dtype=np.float32)


def _grid(*shape: int) -> Callable[[int], Floats]:
    """One grid for every row."""
    one = np.random.default_rng(5).uniform(-1.3, 1.3, (1, *shape)).astype(np.float32)
    return lambda batch: np.repeat(one, batch, axis=0)


def _values(*shape: int) -> Callable[[int], Floats]:
    """The same values for every row."""
    return lambda batch: np.broadcast_to(100 * _weights(*shape), (batch, *shape)).copy()


def _weights(*shape: int) -> Floats:
    return np.random.default_rng(4).normal(size=shape).astype(np.float32)


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
    "Product": Rule("Mul", mirrored=True),
    "Div": Rule("Div", mirrored=True, low=0.1, high=50),
    "MatMul": Rule("MatMul", second=True, low=-2, high=2, row=(8, 8)),
    "Softmax 8": Rule("Softmax", width=8, low=-20, high=20),
    "Softmax 512": Rule("Softmax", width=512, low=-20, high=20),
    "LayerNormalization": Rule("LayerNormalization", constants=(gain(64), gain(64)), low=-5, high=5),
    "LayerNormalization 4": Rule(
        "LayerNormalization", constants=(gain(4), np.zeros(4, np.float32)), width=4, low=-5, high=5
    ),
    "LayerNormalization offset": Rule("LayerNormalization", constants=(gain(64), gain(64)), low=-3e3, high=3e3),
    "SkipLayerNormalization": Rule(
        "SkipLayerNormalization", constants=(gain(64), gain(64)), mirrored=True, low=-5, high=5, domain="com.microsoft"
    ),
    "InstanceNormalization": Rule("InstanceNormalization", constants=(gain(4), gain(4)), low=-5, high=5, row=(4, 16)),
    **{
        f"InstanceNormalization {n}": Rule(
            "InstanceNormalization", constants=(gain(4), gain(4)), width=4 * n, low=-3e3, high=3e3, row=(4, n)
        )
        for n in (1, 2, 3)
    },
    "RMSNormalization": Rule("RMSNormalization", constants=(gain(64),), opset=23, low=-1e3, high=1e3),
    **{
        f"Attention{name}": Rule(
            "Attention", {"q_num_heads": 2, "kv_num_heads": 2, **more}, (_values(8, 8), *masks), opset=23, second=True, row=(8, 8), low=-6,
            high=6,
        )
        for name, more, masks in (
            ("", {}, ()), (", causal", {"is_causal": 1}, ()), (", softcap", {"softcap": 3.0}, ()), (", mask", {}, (_weights(8, 8) * 9,)),
        )
    },
    "com.microsoft.Attention": Rule(
        "Attention", {"num_heads": 2}, (_weights(8, 24), _weights(24)), domain="com.microsoft", row=(8, 8), low=-6, high=6
    ),
    "com.microsoft.MultiHeadAttention": Rule(
        "MultiHeadAttention", {"num_heads": 2}, (_values(8, 8),), domain="com.microsoft", second=True, row=(8, 8), low=-6, high=6
    ),
    **{
        f"com.microsoft.{op}": Rule(op, {}, (gain(64),), domain="com.microsoft", low=-6, high=6) for op in ("BiasGelu", "FastGelu")
    },
    "com.microsoft.QuickGelu": Rule("QuickGelu", domain="com.microsoft", low=-20, high=20),
    "com.microsoft.FusedMatMul": Rule("FusedMatMul", {"alpha": 0.3}, second=True, domain="com.microsoft", row=(8, 8)),
    "GroupNormalization": Rule(
        "GroupNormalization", {"num_groups": 2}, (gain(4), gain(4)), opset=21, low=-5, high=5, row=(4, 16)
    ),
    "LpNormalization": Rule("LpNormalization", {"axis": 1}, low=0.1, high=5),
    "BatchNormalization": Rule(
        "BatchNormalization", {}, (gain(64), gain(64), gain(64), np.abs(gain(64)) + np.float32(0.1)), low=-5, high=5
    ),
    "GlobalAveragePool": Rule("GlobalAveragePool", row=(1, 64), low=-1e5, high=1e5),
    "AveragePool": Rule(
        "AveragePool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}, width=64, row=(1, 8, 8), low=-1e5, high=1e5
    ),
    "GlobalLpPool": Rule("GlobalLpPool", {"p": 3}, row=(1, 64), low=-1e2, high=1e2),
    "CumSum": Rule("CumSum", constants=(np.array(1),), low=-1e5, high=1e5),
    "Resize": Rule(
        "Resize", {"mode": "linear"}, (np.float32([]), np.float32([1, 1, 1.7, 2])), width=30, row=(1, 5, 6), low=-1e5, high=1e5
    ),
    "AffineGrid": Rule("AffineGrid", {}, (lambda batch: np.array([batch, 1, 5, 7]),), width=6, row=(2, 3), low=-1e3, high=1e3),
    **{
        f"GridSample {mode}, {padding}": Rule(
            "GridSample", {"mode": mode, "padding_mode": padding}, (_grid(3, 4, 2),), width=30, row=(1, 5, 6), low=-1e5, high=1e5
        )
        for mode in ("linear", "cubic") for padding in ("zeros", "reflection")
    },
    **{
        f"GridSample of a computed grid, {padding}": Rule(
            "GridSample", {"padding_mode": padding, "align_corners": aligned}, second=True, width=16, row=(2, 4, 2), low=-1.5, high=1.5
        )
        for padding, aligned in (("zeros", 0), ("border", 1))
    },
    "Conv": Rule("Conv", {"pads": [1, 1, 1, 1]}, (_weights(4, 4, 3, 3), _weights(4)), row=(4, 4, 4), low=-1e5, high=1e5),
    "ConvTranspose": Rule(
        "ConvTranspose", {"strides": [2, 2]}, (_weights(4, 2, 3, 3), _weights(2)), row=(4, 4, 4), low=-1e5, high=1e5
    ),
    "Gemm": Rule("Gemm", {"alpha": 0.3, "beta": 7.0}, (_weights(64, 5), _weights(5)), low=-1e5, high=1e5),
    "Einsum": Rule("Einsum", {"equation": "bij,bkj->bik"}, row=(8, 8), second=True, low=-1e3, high=1e3),
    "ReduceMean": Rule("ReduceMean", {"axes": [1]}, opset=13),
    "ReduceL2": Rule("ReduceL2", {"axes": [1]}, opset=13),
    "ReduceLogSumExp": Rule("ReduceLogSumExp", {"axes": [1]}, opset=13, low=-8, high=8),
}  # fmt: skip


def points(rule: Rule, count: int, rng: np.random.Generator) -> Floats:
    """(count, width) in the rule's range: uniform, of every size, near the ends and 0, nearly equal, one large among small ones,
    pairs that cancel, small ones beside a large offset."""
    shape = (count, rule.width)
    uniform = rng.uniform(rule.low, rule.high, shape)
    largest = max(abs(rule.low), abs(rule.high))
    sizes = largest * np.exp2(-rng.uniform(0, 20, shape)) * np.sign(rng.normal(size=shape))
    near = rng.choice([rule.low, rule.high, 0.0, largest * 0.5], shape) * (
        1 + 2.0**-22 * rng.integers(-3, 4, shape)
    )
    scale = np.exp2(-rng.uniform(0, 24, (count, 1)))
    spike = np.where(
        np.arange(rule.width) == rng.integers(0, rule.width, (count, 1)), uniform, scale * uniform
    )
    cancels = np.where(np.arange(rule.width) % 2, -np.roll(uniform, 1, axis=1), uniform) + scale * sizes
    nearly = uniform[:, :1] * (1 + scale * uniform / largest)
    drawn = [uniform, sizes, near, spike, cancels, nearly, uniform[:, :1] * (1 + 1e-5 * uniform)]
    kind = rng.integers(0, len(drawn), (count, 1))
    return np.clip(np.select([kind == k for k in range(len(drawn))], drawn), rule.low, rule.high).astype(
        np.float32
    )


def enclosures(data: bytes, x: Floats, profile: Profile) -> tuple[Any, Any]:
    """(exact value, radius) of each entry of the output for each row of x as one input: the middle of the real box, and how far
    the float32 box reaches on its nearer side; NaN for rows about which nothing is said."""
    task = Network(read_model(data))
    with working_precision(128), np.errstate(all="ignore"):
        return _enclosed(task, x.astype(np.float64).reshape(len(x), -1), profile)


def _enclosed(network: Network, rows: Any, profile: Profile) -> tuple[Any, Any]:
    """All rows at once; where there is none for one of them, in halves."""
    try:
        exact, wide = (_Forward(network, profile=chosen).box(rows) for chosen in (None, profile))
    except OutOfRange:
        if len(rows) == 1:
            nothing = np.full((1, network.graph.n_outputs), np.nan)
            return nothing, nothing
        halves = (_enclosed(network, half, profile) for half in np.array_split(rows, 2))
        middles, radii = zip(*halves, strict=True)
        return np.concatenate(middles), np.concatenate(radii)
    middle = exact.lower / 2 + exact.upper / 2
    return middle, np.minimum(wide.upper - middle, middle - wide.lower)


@dataclass(frozen=True, eq=False)
class _Forward:
    """Boxes by intervals alone."""

    network: Network
    profile: Profile | None

    def box(self, rows: Any) -> Box:
        task = _Intervals(self.network, Ball64(), Slopes(NO_GUIDANCE, lambda _: None), self.profile)
        graph = self.network.graph
        return task.bounds({graph.inputs[0]: Box(rows, rows)}).boxes[graph.outputs[0]]


class _Intervals(Enclosure):
    """No backward passes: one node's radius is as it is."""

    def _refined(self, target: int, box: Box, known: Bounds) -> Box:
        return box


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


def online(q: Floats, k: Floats, v: Floats, block: int) -> Floats:
    """Attention (rows, queries, size) in float32, the softmax run along with the sum over blocks of keys."""
    scores = np.float32(1 / np.sqrt(q.shape[-1])) * (q @ k.swapaxes(1, 2))
    m, total = (
        np.full((*scores.shape[:2], 1), -np.inf, np.float32),
        np.zeros((*scores.shape[:2], 1), np.float32),
    )
    y = np.zeros((*scores.shape[:2], v.shape[-1]), np.float32)
    for start in range(0, scores.shape[2], block):
        part = scores[..., start : start + block]
        higher = np.maximum(m, part.max(axis=-1, keepdims=True))
        factor, weights = np.exp(m - higher), np.exp(part - higher)
        total, y = (
            factor * total + weights.sum(axis=-1, keepdims=True),
            factor * y + weights @ v[:, start : start + block],
        )
        m = higher
    return y / total


def online_ratio(count: int, profile: Profile, block: int) -> float:
    """The largest error / radius of a MultiHeadAttention that is computed so."""
    values = _values(64, 4)
    rule = Rule(
        "MultiHeadAttention",
        {"num_heads": 1},
        (values,),
        domain="com.microsoft",
        second=True,
        row=(64, 4),
        low=-6,
        high=6,
    )
    x = points(replace(rule, width=256), count, np.random.default_rng(6))
    rows = x.reshape(-1, 64, 4)
    exact, radius = enclosures(rule.model(1), x, profile)
    y = online(rows, rows, values(len(rows)), block).reshape(len(x), -1)
    return float((np.abs(y - exact) / radius).max())


ORDERS: Final = ("as stored", "reversed", "shuffled", "tree")


def sums(count: int, order: str, *, fma: bool) -> float:
    """The largest error / radius of a product with a matrix, in float32: 64 terms in this order, with or without FMA."""
    rule = Rule("MatMul", constants=(_weights(64, 1),), low=-1e5, high=1e5)
    x, w = points(rule, count, np.random.default_rng(1)), rule.constants[0][:, 0]
    places = {"reversed": np.arange(64)[::-1], "shuffled": np.random.default_rng(2).permutation(64)}
    x, w = x[:, places[order]] if order in places else x, w[places[order]] if order in places else w
    y = _tree(x * w) if order == "tree" else _row(x, w, fma=fma)
    stored = Rule("MatMul", constants=(w[:, None],))
    exact, radius = enclosures(stored.model(1), x, IEEE)
    return float((np.abs(y - exact[:, 0]) / radius[:, 0]).max())


def _row(x: Floats, w: Floats, *, fma: bool) -> Floats:
    """One term after the other; a fused one is rounded once (to float64 before, which is no more)."""
    total = np.zeros(len(x), np.float32)
    for column, weight in zip(x.T, w, strict=True):
        term = column.astype(np.float64) * weight if fma else column * weight
        total = (total + term).astype(np.float32)
    return total


def _tree(terms: Floats) -> Floats:
    while terms.shape[1] > 1:
        terms = terms[:, ::2] + terms[:, 1::2]
    return terms[:, 0]


def welford(x: Floats, strip: int) -> tuple[Floats, Floats]:
    """(means, variances) of the rows of x in float32: each strip of values by Welford's updates, the strips joined in pairs by
    Chan's, as onnxruntime's CUDA kernel does it."""
    one = np.float32(1)
    parts = []
    for start in range(0, x.shape[1], strip):
        count, m, square = np.float32(0), np.zeros(len(x), np.float32), np.zeros(len(x), np.float32)
        for column in x[:, start : start + strip].T:
            count = count + one
            before = column - m
            m = m + before / count
            square = square + before * (column - m)
        parts.append((count, m, square))
    while len(parts) > 1:
        joined = [_joined(*pair) for pair in zip(parts[::2], parts[1::2], strict=False)]
        parts = joined + parts[2 * len(joined) :]
    count, m, square = parts[0]
    return m, square / count


def _joined(a: Any, b: Any) -> Any:
    """Two sets, (count, mean, sum of squares)."""
    (i, m, p), (j, n, q) = a, b
    difference, total = n - m, i + j
    return (
        total,
        i / total * m + j / total * n,
        p + q + difference * difference * (i / total) * (j / total) * total,
    )


def welford_ratio(rule: Rule, count: int, profile: Profile, strip: int) -> float:
    """The largest error / radius of a LayerNormalization with these statistics."""
    x = points(rule, count, np.random.default_rng(3))
    gains, biases = rule.constants
    m, variance = welford(x, strip)
    inverse = np.float32(1) / np.sqrt(variance + np.float32(1e-5))
    y = gains * inverse[:, None] * (x - m[:, None]) + biases
    exact, radius = enclosures(rule.model(1), x, profile)
    finite = np.isfinite(radius)
    return float((np.abs(y - exact)[finite] / radius[finite]).max())


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    for name, work in {**_executed(count), **_emulated(count)}.items():
        if len(sys.argv) > 2 and sys.argv[2] not in name:
            continue
        sys.stdout.write(f"{name:40}{work():12.3g}\n")
        sys.stdout.flush()


def _executed(count: int) -> dict[str, Callable[[], float]]:
    """A twentieth of a radius is caught where its ratio is above 1."""
    small = chosen_profile("onnxruntime-cpu").numbers
    rules = {name: partial(ratio, rule, count) for name, rule in RULES.items()}
    twentieth = {f"{name}, radius / 20": partial(_times_20, RULES[name], count, small) for name in NOTICED}
    return {**rules, **twentieth}


def _times_20(rule: Rule, count: int, profile: Profile) -> float:
    return 20 * ratio(rule, count, profile)


def _emulated(count: int) -> dict[str, Callable[[], float]]:
    cuda = chosen_profile("cuda-math").numbers
    rows = -(-count // 64)
    added = {
        f"sum {order}{', FMA' if fma else ''}": partial(sums, count, order, fma=fma)
        for order in ORDERS
        for fma in (False, True)
        if not (fma and order == "tree")
    }
    joined = {
        f"Welford, {name}, strips of {strip}": partial(welford_ratio, RULES[name], rows, cuda, strip)
        for name in ("LayerNormalization", "LayerNormalization offset")
        for strip in (1, 4, 64)
    }
    blocks = {
        f"online softmax, blocks of {n}": partial(online_ratio, -(-count // 4096), IEEE, n)
        for n in (1, 8, 64)
    }
    return {**added, **joined, **blocks}


if __name__ == "__main__":
    main()
