"""Claims with a known counterexample, each with a true twin that is nearly the same, and evidence of all sorts.

The counterexample of a piecewise-linear network is confirmed in exact rational arithmetic, written here and not in
tlcheck; that of a smooth one in Arb. Properties go through the VNN-LIB reader, since decimals are where lies hide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.attack.mutations import Point, outputs_at
from tlcheck.readers.vnnlib.read import read_property
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.graph import Graph, Node
from tlcheck.trusted.guidance import LEAF, SPLIT, Guidance, LeafSlopes, Leaves, SharedSlopes, Tree
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.affine import Linear, Sum
from tlcheck.trusted.ops.base import Operation
from tlcheck.trusted.ops.bent import Abs, LeakyRelu
from tlcheck.trusted.ops.elementwise import Elementwise
from tlcheck.trusted.ops.s_shaped import Sigmoid, Tanh
from tlcheck.trusted.ops.selection import MaxOver
from tlcheck.trusted.ops.structure import Input

Array = NDArray[Any]
F = Fraction


# Networks.


class Net:
    """A graph built node by node; the last node is the output."""

    def __init__(self, n_inputs: int) -> None:
        self.nodes = [Node(Input((1, n_inputs)), (), (1, n_inputs), "x")]

    def add(self, op: Operation, *inputs: int) -> int:
        shape = op.output_shape(tuple(self.nodes[j].shape for j in inputs))
        self.nodes.append(Node(op, inputs, shape, f"n{len(self.nodes)}"))
        return len(self.nodes) - 1

    def linear(self, weight: Any, bias: Any = None, of: int = -1, dtype: Any = np.float32) -> int:
        w = np.array(weight, dtype=dtype).reshape(self.nodes[of].shape[-1], -1)
        b = None if bias is None else Constant(np.array(bias, dtype=dtype).reshape(-1))
        return self.add(Linear(Constant(w), b), of % len(self.nodes))

    def relu(self, of: int = -1) -> int:
        return self.add(Relu(), of % len(self.nodes))

    def graph(self) -> Graph:
        return Graph(tuple(self.nodes), (len(self.nodes) - 1,), ("x",), ("y",))


def affine(weight: Any, bias: Any = None, n_inputs: int = 1, dtype: Any = np.float32) -> Graph:
    net = Net(n_inputs)
    net.linear(weight, bias, dtype=dtype)
    return net.graph()


def mlp(n_inputs: int, *layers: tuple[Any, Any], activation: Callable[[], Operation] = Relu) -> Graph:
    """Linear layers with an activation between them."""
    net = Net(n_inputs)
    for k, (weight, bias) in enumerate(layers):
        if k:
            net.add(activation(), len(net.nodes) - 1)
        net.linear(weight, bias)
    return net.graph()


def spike(at: float, width: float, height: float) -> Graph:
    """Zero but for a triangle of that height at ``at``, 2 ``width`` wide (all powers of two, or short sums of them)."""
    k = height / width
    return mlp(1, ([[1, 1, 1]], [-(at - width), -at, -(at + width)]), ([[k], [-2 * k], [k]], [0]))


def spike2(at: tuple[float, float], width: float) -> Graph:
    """relu(1 - |x0 - a0| / w - |x1 - a1| / w): a pyramid of height 1."""
    k = 1 / width
    first = ([[k, -k, 0, 0], [0, 0, k, -k]], [-k * at[0], k * at[0], -k * at[1], k * at[1]])
    return mlp(2, first, ([[-1]] * 4, [1]), ([[1]], [0]))


# Exact evaluation.


def exact_outputs(graph: Graph, point: Point) -> list[Fraction] | None:
    """The outputs at a rational point, exactly; None when an operation is not piecewise linear."""
    values: list[list[Fraction]] = []
    for node in graph.nodes:
        xs = [values[j] for j in node.inputs]
        match node.op:
            case Input():
                y = list(point)
            case Linear(weight=w, bias=b):
                columns = [[F(float(v)) for v in w.mid[:, j]] for j in range(w.shape[1])]
                y = [sum((a * x for a, x in zip(c, xs[0], strict=True)), F(0)) for c in columns]
                if b is not None:
                    y = [v + F(float(o)) for v, o in zip(y, b.mid, strict=True)]
            case Relu():
                y = [max(v, F(0)) for v in xs[0]]
            case LeakyRelu(alpha=alpha):
                y = [v if v >= 0 else F(alpha) * v for v in xs[0]]
            case Abs():
                y = [abs(v) for v in xs[0]]
            case Sum(signs=signs):
                y = [
                    sum((s * v for s, v in zip(signs, row, strict=True)), F(0))
                    for row in zip(*xs, strict=True)
                ]
            case MaxOver(index=index):
                y = [max(xs[0][i] for i in row if i >= 0) for row in index.tolist()]
            case _:
                return None
        values.append(y)
    return [v for i in graph.outputs for v in values[i]]


def satisfied(claim: UnsatClaim, point: Point) -> bool:
    """Some disjunct holds at the point, exactly."""
    y = exact_outputs(claim.graph, point)
    if y is None:
        raise ValueError("not piecewise linear")
    return any(
        all(a <= x <= b for a, x, b in zip(d.box.lower, point, d.box.upper, strict=True))
        and all(
            (left < c.bound) if c.strict else (left <= c.bound)
            for c in d.constraints
            for left in [
                sum((q * point[i] for i, q in c.inputs), F(0)) + sum((q * y[i] for i, q in c.outputs), F(0))
            ]
        )
        for d in claim.query.disjuncts
    )


# Lies.


@dataclass(frozen=True, eq=False)
class Lie:
    """``lie`` is false at ``point``; ``truth`` is nearly the same and true. ``cuts``: where evidence should split inputs."""

    name: str
    graph: Graph
    lie: str
    truth: str
    point: tuple[str, ...]
    cuts: tuple[tuple[int, float], ...] = ()
    smooth: bool = False

    def claim(self, which: str) -> UnsatClaim:
        n_in, n_out = self.graph.n_inputs, self.graph.n_outputs
        declared = "".join(f"(declare-const X_{i} Real)" for i in range(n_in))
        declared += "".join(f"(declare-const Y_{i} Real)" for i in range(n_out))
        text = declared + getattr(self, which)
        return UnsatClaim(
            self.graph, read_property(text.encode(), n_inputs=n_in, n_outputs=n_out, file=self.name)
        )

    @property
    def witness(self) -> Point:
        return tuple(F(p) for p in self.point)


def box(*sides: tuple[str, str]) -> str:
    return "".join(f"(assert (>= X_{i} {a}))(assert (<= X_{i} {b}))" for i, (a, b) in enumerate(sides))


def asserted(*formulas: str) -> str:
    return "".join(f"(assert {f})" for f in formulas)


def one(name: str, graph: Graph, sides: str, false: str, true: str, *point: str, **options: Any) -> Lie:
    """The lie and the truth differ in the last assertion only."""
    return Lie(name, graph, sides + asserted(false), sides + asserted(true), point, **options)


UNIT = box(("0", "1"))
SQUARE = box(("0", "1"), ("0", "1"))
SAME = affine([[1]])
"""y = x"""


def all_lies() -> list[Lie]:
    return [
        *_spikes(),
        *_ties(),
        *_faces(),
        *_corners(),
        *_disjuncts(),
        *_mixed(),
        *_extremes(),
        *_shapes(),
        *_smooth(),
    ]


def _spikes() -> Iterator[Lie]:
    for at, width in ((0.5, 2.0**-4), (0.375, 2.0**-12), (0.640625, 2.0**-20)):
        cuts = ((0, at - width), (0, at), (0, at + width))
        yield one(
            f"spike of width {width}",
            spike(at, width, 1.0),
            UNIT,
            "(>= Y_0 1)",
            "(>= Y_0 1.0000001)",
            str(at),
            cuts=cuts,
        )
    yield one(
        "spike below", spike(0.5, 2.0**-8, -1.0), UNIT, "(<= Y_0 -1)", "(<= Y_0 -1.0001)", "0.5",
        cuts=((0, 0.5 - 2.0**-8), (0, 0.5), (0, 0.5 + 2.0**-8)),
    )  # fmt: skip
    cuts = tuple((i, c) for i in (0, 1) for c in (0.25, 0.5, 0.75))
    yield one(
        "pyramid in the square",
        spike2((0.5, 0.25), 0.25),
        SQUARE,
        "(>= Y_0 1)",
        "(>= Y_0 1.001)",
        "0.5",
        "0.25",
        cuts=cuts,
    )
    needle = spike2((0.5, 0.25), 2.0**-10)
    yield one(
        "needle in the square",
        needle,
        SQUARE,
        "(>= Y_0 0.999)",
        "(>= Y_0 1.001)",
        "0.5",
        "0.25",
        cuts=((0, 0.5), (1, 0.25)),
    )


def _ties() -> Iterator[Lie]:
    yield one("tie at the top", affine([[2]]), UNIT, "(>= Y_0 2)", "(>= Y_0 2.000000001)", "1")
    yield one("tie at the bottom", affine([[2]], [-1]), UNIT, "(<= Y_0 -1)", "(<= Y_0 -1.000000001)", "0")
    yield one("strict, one unit of 1e-30 below the tie", SAME, UNIT, "(> Y_0 0.999999999999999999999999999999)",
              "(>= Y_0 1.0000000001)", "1")  # fmt: skip
    yield one("equality", SAME, UNIT, "(= Y_0 0.1)", "(= Y_0 1.1)", "1/10")
    relu = mlp(1, ([[1, -1]], None), ([[1], [1]], None))
    yield one(
        "kink of the absolute value",
        relu,
        box(("-1", "1")),
        "(<= Y_0 0)",
        "(<= Y_0 -0.000001)",
        "0",
        cuts=((0, 0.0),),
    )
    yield one(
        "tie at zero of a dead neuron",
        mlp(1, ([[1]], [-1]), ([[1]], None)),
        UNIT,
        "(>= Y_0 0)",
        "(>= Y_0 0.00001)",
        "1",
    )
    yield one("minus zero", SAME, box(("-0.0", "0")), "(>= Y_0 -0.0)", "(>= Y_0 1e-9)", "0")
    yield one("weight minus zero", affine([[-0.0]], [-0.0]), UNIT, "(<= Y_0 -0.0)", "(<= Y_0 -1e-9)", "1/2")
    yield one("box of one point", SAME, box(("0.1", "0.1")), "(>= Y_0 0.1)", "(>= Y_0 0.1000000001)", "1/10")
    two = affine([[1, -1]])
    yield one("conjunction met at one point", two, UNIT, "(and (<= Y_0 0.3) (<= Y_1 -0.3))", "(and (<= Y_0 0.2999) (<= Y_1 -0.3))",
              "3/10", cuts=((0, 0.29995),))  # fmt: skip


def _faces() -> Iterator[Lie]:
    """The face of the box is a decimal that floats round inwards; only there is the unsafe set met."""
    for face in ("0.1", "0.3", "0.7", "0.15", "1.1", "2.675", "0.12345678901234567890123", "16777217"):
        above, below = F(face) * F(1001, 1000), F(face) * F(999, 1000)
        up, down = f"{float(above):.12f}", f"{float(below):.12f}"
        yield one(f"upper face {face}", SAME, box(("0", face)), f"(>= Y_0 {face})", f"(>= Y_0 {up})", face)
        yield one(
            f"lower face {face}", SAME, box((face, "100000000")), f"(<= Y_0 {face})", f"(<= Y_0 {down})", face
        )
    yield one(
        "decimal coefficient", affine([[3]]), UNIT, "(>= (* 0.3 Y_0) 0.9)", "(>= (* 0.3 Y_0) 0.9000001)", "1"
    )
    yield one(
        "sum of decimals",
        affine([[1, 2]]),
        box(("0", "0.1")),
        "(>= (+ Y_0 Y_1) 0.3)",
        "(>= (+ Y_0 Y_1) 0.3000001)",
        "1/10",
    )


def _corners() -> Iterator[Lie]:
    for n in (2, 4):
        total = mlp(n, (np.eye(n), [-0.875] * n), ([[1]] * n, None))
        corner = box(*[("0", "1")] * n)
        yield one(
            f"one corner of {n}",
            total,
            corner,
            f"(>= Y_0 {n * 0.125})",
            f"(>= Y_0 {n * 0.125 + 0.001})",
            *["1"] * n,
        )
    decimals = mlp(3, (np.eye(3), [-0.5] * 3), ([[1], [1], [1]], None))
    yield one(
        "corner of decimals",
        decimals,
        box(*[("0", "0.7")] * 3),
        "(>= Y_0 0.6)",
        "(>= Y_0 0.600001)",
        "0.7",
        "0.7",
        "0.7",
    )
    signs = affine([[1], [-1]], n_inputs=2)
    yield one(
        "mixed corner",
        signs,
        box(("0.1", "0.3"), ("-0.7", "0.1")),
        "(>= Y_0 1)",
        "(>= Y_0 1.000001)",
        "0.3",
        "-0.7",
    )


def _disjuncts() -> Iterator[Lie]:
    two = affine([[1, -1]])
    for k in range(3):
        unsafe = ["(and (>= Y_0 2))", "(and (>= Y_1 1))", "(and (<= Y_0 -1))"]
        truth = f"(or {' '.join(unsafe)})"
        unsafe[k] = "(and (>= Y_0 0.9) (<= Y_1 -0.9))"
        yield one(f"disjunct {k} of 3 can be met", two, UNIT, f"(or {' '.join(unsafe)})", truth, "1")
    boxes = "(or (and (>= X_0 0) (<= X_0 0.5) (>= Y_0 {a})) (and (>= X_0 0.5) (<= X_0 1) (>= Y_0 {b})))"
    yield Lie(
        "one of two boxes",
        SAME,
        asserted(boxes.format(a="0.6", b="1")),
        asserted(boxes.format(a="0.6", b="1.1")),
        ("1",),
    )
    shared = "(or (and (>= X_0 0) (<= X_0 0.1) (>= Y_0 0.1)) (and (>= X_0 2) (<= X_0 1) (>= Y_0 -9)))"
    yield Lie(
        "the other box is empty",
        SAME,
        asserted(shared),
        asserted(shared.replace("(>= Y_0 0.1)", "(>= Y_0 0.11)")),
        ("1/10",),
    )
    yield Lie("two or assertions", two, UNIT + asserted("(or (>= Y_0 2) (>= Y_0 1))", "(or (>= Y_1 1) (<= Y_1 -1))"),
              UNIT + asserted("(or (>= Y_0 2) (>= Y_0 1.1))", "(or (>= Y_1 1) (<= Y_1 -1))"), ("1",))  # fmt: skip


def _mixed() -> Iterator[Lie]:
    yield one("output against input", SAME, UNIT, "(>= Y_0 X_0)", "(>= Y_0 (+ X_0 0.001))", "0.5")
    half = mlp(1, ([[1]], [-0.5]), ([[2]], None))
    yield one(
        "output above input at one end", half, UNIT, "(>= (- Y_0 X_0) 0)", "(>= (- Y_0 X_0) 0.001)", "1"
    )
    strict = box(("0", "1")) + asserted("(< X_0 1)")
    yield one("strict input bound", SAME, strict, "(>= Y_0 0.9999)", "(>= Y_0 1.001)", "0.99999")
    yield one("constraint on inputs alone", affine([[1], [1]], n_inputs=2), SQUARE, "(and (>= (- X_0 X_1) 1) (>= Y_0 1))",
              "(and (>= (- X_0 X_1) 1.001) (>= Y_0 1))", "1", "0")  # fmt: skip


def _extremes() -> Iterator[Lie]:
    big = 2.0**30
    cancel = mlp(1, ([[big, big]], [0, -1.0]), ([[1], [-1]], None))
    yield one(
        "cancellation of 2^30",
        cancel,
        box(("0.5", "1")),
        "(>= Y_0 1)",
        "(>= Y_0 1.0001)",
        "1",
        cuts=((0, 0.75),),
    )
    yield one("subnormal weight", affine([[2.0**-149]]), UNIT, "(>= Y_0 1e-45)", "(>= Y_0 1e-44)", "1")
    yield one(
        "huge weight",
        affine([[2.0**100]]),
        UNIT,
        "(>= Y_0 1267650600228229401496703205376)",
        "(>= Y_0 1.27e30)",
        "1",
    )
    yield one("huge and tiny", affine([[2.0**100, 2.0**-100]], [-(2.0**100), 0]), UNIT, "(and (>= Y_0 0) (>= Y_1 7.8e-31))",
              "(and (>= Y_0 1e20) (>= Y_1 7.8e-31))", "1")  # fmt: skip
    yield one("float64 weight of 1 + 2^-52", affine([[1 + 2.0**-52]], dtype=np.float64), UNIT,
              "(>= Y_0 1.0000000000000002)", "(>= Y_0 1.000000001)", "1")  # fmt: skip


def _shapes() -> Iterator[Lie]:
    net = Net(1)
    z = net.linear([[1, -1]])
    net.relu(z)
    halves = net.linear([[1], [1]])
    absolute = net.add(Abs(), net.linear([[1]], of=0))
    net.add(Sum((1, -1)), halves, absolute)
    yield one(
        "zero by two ways",
        net.graph(),
        box(("-1", "1")),
        "(>= Y_0 0)",
        "(>= Y_0 0.01)",
        "0.3",
        cuts=((0, 0.0), (0, 0.5), (0, -0.5)),
    )
    skip = Net(1)
    hidden = skip.linear([[1]], of=skip.relu(skip.linear([[1]], [-0.5])))
    skip.add(Sum((1, 1)), 0, hidden)
    yield one("residual", skip.graph(), UNIT, "(>= Y_0 1.5)", "(>= Y_0 1.500001)", "1")
    top = Net(2)
    top.add(MaxOver((1, 1), np.array([[0, 1]], dtype=np.int64)), 0)
    top.linear([[1]])
    yield one(
        "maximum of two",
        top.graph(),
        box(("0", "0.3"), ("0", "0.7")),
        "(>= Y_0 0.7)",
        "(>= Y_0 0.71)",
        "0",
        "0.7",
    )
    leaky = mlp(1, ([[1]], None), ([[1]], None), activation=lambda: LeakyRelu(0.25))
    yield one("leaky", leaky, box(("-0.4", "0")), "(<= Y_0 -0.1)", "(<= Y_0 -0.1001)", "-0.4")
    deep = mlp(1, *[([[1]], [0])] * 6)
    yield one("six layers", deep, box(("0.1", "0.7")), "(>= Y_0 0.7)", "(>= Y_0 0.70001)", "0.7")


def _smooth() -> Iterator[Lie]:
    tanh = mlp(1, ([[1]], None), ([[1]], None), activation=Tanh)
    # tanh(1) = 0.76159415595576488811...
    yield one(
        "tanh at the end", tanh, UNIT, "(>= Y_0 0.761594155955764888)", "(>= Y_0 0.765)", "1", smooth=True
    )
    sigmoid = mlp(1, ([[4]], None), ([[1]], None), activation=Sigmoid)
    # sigmoid(-4) = 0.017986209962091559...
    yield one(
        "sigmoid at the end",
        sigmoid,
        box(("-1", "0")),
        "(<= Y_0 0.01798620996209156)",
        "(<= Y_0 0.0175)",
        "-1",
        smooth=True,
    )
    bump = mlp(1, ([[16, 16]], [-4, -12]), ([[1], [-1]], None), activation=Sigmoid)
    # sigmoid(4) - sigmoid(-4) = 0.96402758007581688395...
    yield one("bump of sigmoids", bump, UNIT, "(>= Y_0 0.964027580075816883)", "(>= Y_0 1.01)", "0.5", smooth=True,
              cuts=((0, 0.25), (0, 0.5), (0, 0.75)))  # fmt: skip


# Evidence.


@dataclass
class _Grower:
    """Grows one tree per disjunct and the leaves' evidence beside it."""

    claim: UnsatClaim
    rng: np.random.Generator

    def __post_init__(self) -> None:
        self.rows: list[tuple[int, int, int, float, int, int]] = []
        self.roots: list[int] = []
        self.weights: list[list[tuple[int, float]]] = []
        self.betas: list[list[tuple[int, int, int, float, float]]] = []

    def leaf(self, weights: list[tuple[int, float]], betas: list[tuple[int, int, int, float, float]]) -> int:
        self.weights.append(weights)
        self.betas.append(betas)
        return self.row(LEAF, 0, 0, 0.0, len(self.weights) - 1, 0)

    def row(self, *entries: Any) -> int:
        self.rows.append(entries)  # type: ignore[arg-type]
        return len(self.rows) - 1

    def guidance(self, per_leaf: bool, slopes: str) -> Guidance:
        columns = list(zip(*self.rows, strict=True))
        ints = [np.array(columns[k], dtype=np.int64) for k in (0, 1, 2, 4, 5)]
        point = np.array(columns[3], dtype=np.float64)
        tree = Tree(ints[0], ints[1], ints[2], point, ints[3], ints[4], np.array(self.roots, dtype=np.int64))
        weights = [w for row in self.weights for w in row]
        betas = [b for row in self.betas for b in row]
        leaves = Leaves(
            np.cumsum([0, *map(len, self.weights)]),
            np.array([w[0] for w in weights], dtype=np.int64),
            np.array([w[1] for w in weights], dtype=np.float64),
            np.cumsum([0, *map(len, self.betas)]),
            *(np.array([b[k] for b in betas], dtype=np.int64) for k in range(3)),
            *(np.array([b[k] for b in betas], dtype=np.float64) for k in (3, 4)),
            np.full(len(self.weights), np.nan),
        )
        own, shared = self._slopes(slopes, len(self.weights))
        return Guidance(tree, leaves, leaf_slopes=own, shared_slopes=shared, per_leaf_bounds=per_leaf)

    def _slopes(self, how: str, count: int) -> tuple[dict[int, LeafSlopes], dict[int, SharedSlopes]]:
        own: dict[int, LeafSlopes] = {}
        shared: dict[int, SharedSlopes] = {}
        for i, node in enumerate(self.claim.graph.nodes):
            if not isinstance(node.op, Elementwise) or how == "adaptive":
                continue
            low, high = (0.0, 1.0) if how in ("leaf", "shared") else (-3.0, 3.0)
            draw = self.rng.uniform(low, high, (2, count, node.size))
            if how == "shared":
                shared[i] = SharedSlopes(draw[0, 0], draw[1, 0])
            else:
                own[i] = LeafSlopes(
                    np.arange(node.size), draw[0], draw[1] if self.rng.random() < 0.5 else None
                )
        return own, shared


def double(q: Fraction) -> float:
    """The nearest double; the largest where it is beyond all."""
    try:
        return float(q)
    except OverflowError:
        return float(np.copysign(np.finfo(np.float64).max, q > 0 or -1))


def systematic(
    claim: UnsatClaim, cuts: Sequence[tuple[int, float]], bisect: int = 0, per_leaf: bool = True
) -> Guidance:
    """Every cut on every input box, ``bisect`` halvings below, and at each leaf the constraint that fails most there."""
    grower = _Grower(claim, np.random.default_rng(0))
    for d in claim.query.disjuncts:
        lower, upper = [double(q) for q in d.box.lower], [double(q) for q in d.box.upper]

        def grow(
            lo: list[float], hi: list[float], left: Sequence[tuple[int, float]], halvings: int, d: Any = d
        ) -> int:
            inside = [(i, c) for i, c in left if lo[i] < c < hi[i]]
            widest = int(np.argmax(np.subtract(hi, lo)))
            middle = (lo[widest] + hi[widest]) / 2
            if inside:
                (i, c), *rest = inside
            elif halvings and lo[widest] < middle < hi[widest]:
                i, c, rest, halvings = widest, middle, [], halvings - 1
            else:
                return grower.leaf([(_best(claim, d, lo, hi), 1.0)], [])
            below = grow(lo, [*hi[:i], c, *hi[i + 1 :]], rest, halvings)
            above = grow([*lo[:i], c, *lo[i + 1 :]], hi, rest, halvings)
            return grower.row(SPLIT, 0, i, c, below, above)

        grower.roots.append(grow(lower, upper, cuts, bisect))
    return grower.guidance(per_leaf, "adaptive")


def _best(claim: UnsatClaim, d: Any, lo: list[float], hi: list[float]) -> int:
    """The constraint whose least value over a few points of the box is largest."""
    t = (
        np.array(list(np.ndindex(*[3] * len(lo)))) / 2
        if len(lo) <= 4
        else np.array([[0.0] * len(lo), [1.0] * len(lo)])
    )
    points = np.array(lo) + t * (np.array(hi) - np.array(lo))
    y = outputs_at(claim.graph, points)
    scores = []
    for c in d.constraints:
        left = sum((double(q) * y[:, i] for i, q in c.outputs), np.zeros(len(points)))
        left = left + sum((double(q) * points[:, i] for i, q in c.inputs), np.zeros(len(points)))
        scores.append(float((left - double(c.bound)).min()))
    return int(np.argmax(scores)) if scores else 0


def random_guidance(claim: UnsatClaim, rng: np.random.Generator, depth: int) -> Guidance:
    """Random trees over inputs and neurons, weights on the constraints, multipliers (some on splits not made), slopes."""
    grower = _Grower(claim, rng)
    graph = claim.graph
    operands = sorted({n.inputs[0] for n in graph.nodes if isinstance(n.op, Elementwise)} - {0})
    for d in claim.query.disjuncts:
        budget = [48]

        def grow(path: list[tuple[int, int, int, float]], d: Any = d, budget: list[int] = budget) -> int:
            if len(path) >= depth or budget[0] <= 0 or rng.random() < 0.15:
                return grower.leaf(_weights(len(d.constraints), rng), _betas(path, graph, rng))
            budget[0] -= 1
            node = int(rng.choice([0, *operands]))
            index = int(rng.integers(prod(graph.nodes[node].shape)))
            if node == 0:
                lo, hi = double(d.box.lower[index]), double(d.box.upper[index])
                point = float(rng.choice([lo, hi, lo + rng.random() * (hi - lo), (lo + hi) / 2]))
            else:
                point = float(rng.choice([0.0, 0.0, -0.0, rng.normal(), 1e-30]))
            below = grow([*path, (node, index, -1, point)])
            above = grow([*path, (node, index, 1, point)])
            return grower.row(SPLIT, node, index, point, below, above)

        grower.roots.append(grow([]))
    return grower.guidance(bool(rng.random() < 0.5), str(rng.choice(["adaptive", "leaf", "shared", "wild"])))


def _weights(n: int, rng: np.random.Generator) -> list[tuple[int, float]]:
    if not n:
        return []
    if rng.random() < 0.6:
        return [(int(rng.integers(n)), float(rng.choice([1.0, 1.0, 1e-3, 1e6])))]
    return [(q, float(w)) for q, w in enumerate(rng.exponential(size=n)) if rng.random() < 0.8]


def _betas(path: list[tuple[int, int, int, float]], graph: Graph, rng: np.random.Generator) -> list[Any]:
    found = [
        (*literal, float(rng.exponential(10.0 ** rng.integers(-2, 3))))
        for literal in path
        if rng.random() < 0.7
    ]
    if rng.random() < 0.3:  # a split that the leaf's path does not make
        node = int(rng.integers(len(graph.nodes)))
        found.append((node, int(rng.integers(graph.nodes[node].size)), int(rng.choice([-1, 1])), 0.0, 5.0))
    return found
