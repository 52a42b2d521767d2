"""Bugs that tlcheck had, as the smallest input that showed each: a false CERTIFIED, a crash, or an answer too late.

``also``: the exit code under further options, as a user would type them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from digits import P, model_file
from models import Writer, gemm
from packing import MANIFEST, Bundle, Case, zip_of
from proofs import dominates, one_disjunct, split_elsewhere
from properties import vnnlib1
from reject import property_of

from tlcheck.trusted.guidance import LEAF, SPLIT, Guidance, LeafSlopes, Leaves, SharedSlopes, Tree

F = Fraction
UNIT = (F(-1), F(1))
MIX = [[1.0, 2.0, 3.0], [0.25, -0.75, 1.0], [1.0, 1.0, 0.125]]


@dataclass(frozen=True)
class Regression(Case):
    also: Mapping[str, int] = field(default_factory=dict)

    def expected(self) -> dict[str, Any]:
        more = {"also": dict(self.also)} if self.also else {}
        return {**super().expected(), **more}


# Evidence by hand.


def ints(*values: int) -> Any:
    return np.array(values, np.int64)


Split = tuple[int, int, int, float, float]
"""Node, index, side, point, multiplier."""


def leaves(*splits: Sequence[Split]) -> Leaves:
    """A leaf each, with weight 1 on constraint 0."""
    count = len(splits)
    rows = [row for leaf in splits for row in leaf]
    columns = [np.array([row[k] for row in rows], np.int64 if k < 3 else np.float64) for k in range(5)]
    return Leaves(
        np.arange(count + 1), np.zeros(count, np.int64), np.ones(count), np.cumsum([0, *map(len, splits)]),
        *columns, np.full(count, np.nan),
    )  # fmt: skip


ONE_LEAF = Tree(ints(LEAF), ints(0), ints(0), np.zeros(1), ints(0), ints(0), ints(0))


def halves(node: int, point: float = 0.0) -> Tree:
    """One split, of value 0 of a node; leaf 0 is below."""
    return Tree(
        ints(SPLIT, LEAF, LEAF), ints(node, 0, 0), ints(0, 0, 0), np.array([point, 0, 0]),
        ints(1, 0, 1), ints(2, 0, 0), ints(0),
    )  # fmt: skip


def bundle(
    model: bytes, prop: bytes, guidance: Callable[[Mapping[str, int]], Guidance] | None = None
) -> Bundle:
    """One claim; its guidance may ask for the numbers of tensors."""
    made = Bundle({"model.onnx": model, P: prop})
    asked = made.graph().names
    return made.add_unsat(Guidance(ONE_LEAF, leaves([])) if guidance is None else guidance(asked))


# False CERTIFIED.


def padded_maximum() -> Bundle:
    """max over windows with padding of (1e300 x0, x1): the first window's only real entry reaches -1e310."""
    w = Writer()
    hidden = w.node("MatMul", ["x", w.constant("w", np.array([[1e300, 0], [0, 1]]))], "z")
    shaped = w.node("Reshape", [hidden, w.constant("shape", np.array([1, 1, 2], np.int64))], "r")
    pooled = w.node("MaxPool", [shaped], "p", kernel_shape=[2], strides=[2], pads=[1, 1])
    w.node("Flatten", [pooled], "y")
    model = w.model({"x": (1, 2)}, {"y": (1, 2)}, double=True)
    return bundle(model, vnnlib1(2, [(F(-(10**10)), F(0)), (F(0), F(1))], ["(<= Y_0 -1)"]))


def shared_operand() -> Bundle:
    """y = a + b, a = -3 x, b = x: a multiplier on b >= 0 also reached a."""
    w = Writer()
    a, b = gemm(w, "x", "a", [[-3]], [0]), gemm(w, "x", "b", [[1]], [0])
    w.node("Add", [a, b], "y")
    model = w.model({"x": (1, 1)}, {"y": (1, 1)})
    prop = vnnlib1(1, [(F("0.25"), F(1))], ["(<= Y_0 -1)"])

    def guidance(names: Mapping[str, int]) -> Guidance:
        node = names["b"]
        return Guidance(halves(node), leaves([(node, 0, -1, 0.0, 0.0)], [(node, 0, 1, 0.0, 1.0)]))

    return bundle(model, prop, guidance)


def tensor_twice() -> Bundle:
    """y = z + z, z = relu(x) - 1/2, with multipliers on both sides of z = 0."""
    w = Writer()
    hidden = w.node("Relu", [gemm(w, "x", "first", [[1]], [0])], "relu")
    z = gemm(w, hidden, "z", [[1]], [-0.5])
    w.node("Add", [z, z], "y")
    model = w.model({"x": (1, 1)}, {"y": (1, 1)})
    prop = vnnlib1(1, [UNIT], ["(<= Y_0 -0.5)"])

    def guidance(names: Mapping[str, int]) -> Guidance:
        node = names["z"]
        return Guidance(halves(node), leaves([(node, 0, -1, 0.0, 2.0)], [(node, 0, 1, 0.0, 2.0)]))

    return bundle(model, prop, guidance)


def every_multiplier(value: float) -> Callable[[Any], Any]:
    return lambda beta: np.full(beta.shape, value)


def repeated(base: Bundle, share: float) -> Bundle:
    """Every split of every leaf twice, each with ``share`` of its multiplier."""
    changed = base.copy()
    for name in ("split_node", "split_index", "split_side", "split_point", "split_beta"):
        factor = share if name == "split_beta" else 1
        changed.arrays[f"c0/leaves/{name}"] = np.repeat(base.array(f"leaves/{name}") * factor, 2)
    changed.arrays["c0/leaves/split_ptr"] = 2 * base.array("leaves/split_ptr").astype(np.int32)
    return changed


def reaches_three_quarters() -> Bundle:
    """|x| >= 3/4 on [-3/4, 3/4]: satisfied at the ends."""
    return property_of(split_elsewhere(), [(F("-0.75"), F("0.75"))], ["(>= Y_0 0.75)"])


# Crashes.


def mixed(activation: str, slopes: SharedSlopes | None = None, **attributes: float) -> Bundle:
    """Gemm, an activation on three values, and their sum."""
    w = Writer()
    hidden = w.node(activation, [gemm(w, "x", "z", MIX, [0] * 3)], "h", **attributes)
    gemm(w, hidden, "y", [[1] * 3], [0])
    model = w.model({"x": (1, 3)}, {"y": (1, 1)})
    prop = vnnlib1(1, [UNIT, (F("-0.25"), F("0.875")), (F("0.125"), F(1))], ["(<= Y_0 -100)"])
    return bundle(
        model,
        prop,
        lambda names: Guidance(
            ONE_LEAF, leaves([]), shared_slopes={} if slopes is None else {names["h"]: slopes}
        ),
    )


STEEP = SharedSlopes(np.array([2.0, 0.125, 0.125]), np.array([5.0, 0.25, 1 / 3]))


def scaled_output(coefficient: str, weight: float, end: int) -> Bundle:
    """coefficient y <= -1 for y = weight x, x in [-end, end]."""
    w = Writer()
    w.node("MatMul", ["x", w.constant("w", np.array([[weight]]))], "y")
    model = w.model({"x": (1, 1)}, {"y": (1, 1)}, double=True)
    return bundle(model, vnnlib1(1, [(F(-end), F(end))], [f"(<= (* {coefficient} Y_0) -1)"]))


def settled_early() -> Bundle:
    """z3 = h/2 twice over, positive as soon as it is written in terms of h: no row is left for the layers below."""
    w = Writer()
    h = w.node("Relu", [gemm(w, "x", "z1", [[1], [-1]], [0.5, 0.5])], "h1")
    h = w.node("Relu", [gemm(w, h, "z2", [[1, 1], [1, 1]], [0.5, 0.5])], "h2")
    h = w.node("Relu", [gemm(w, h, "z3", [[1, -0.5], [-0.5, 1]], [0.125, 0.125])], "h3")
    gemm(w, h, "y", [[1, 1]], [0])
    model = w.model({"x": (1, 1)}, {"y": (1, 1)})

    def guidance(names: Mapping[str, int]) -> Guidance:
        none = LeafSlopes(np.zeros(0, np.int64), np.zeros((1, 0)), None)
        slopes = {names[h]: none for h in ("h1", "h2", "h3")}
        return Guidance(ONE_LEAF, leaves([]), leaf_slopes=slopes)

    return bundle(model, vnnlib1(1, [UNIT], ["(<= Y_0 -0.5)"]), guidance)


def slopes_without_input_splits() -> Bundle:
    """Slopes of two leaves, bounds in each leaf, and no input split that would make them two domains."""
    w = Writer()
    h = w.node("Relu", [gemm(w, "x", "z1", MIX, [0] * 3)], "h1")
    h = w.node("Relu", [gemm(w, h, "z2", MIX, [0] * 3)], "h2")
    gemm(w, h, "y", [[1] * 3], [0])
    model = w.model({"x": (1, 3)}, {"y": (1, 1)})

    def guidance(names: Mapping[str, int]) -> Guidance:
        slopes = {names["h1"]: LeafSlopes(np.arange(3), np.full((2, 3), 0.5), None)}
        return Guidance(halves(names["z1"]), leaves([], []), leaf_slopes=slopes, per_leaf_bounds=True)

    return bundle(model, vnnlib1(1, [UNIT] * 3, ["(<= Y_0 -100)"]), guidance)


# Too slow, and semantics.


def chain(count: int) -> Bundle:
    """[0, 1] cut at the multiples of 1/count by a chain of splits, as an unordered list, last leaf first."""
    base = bundle(model_file("absolute"), vnnlib1(1, [(F(0), F(1))], ["(>= Y_0 1.5)"]))
    paths = []
    for k in range(count):
        path = [(1, j / count) for j in range(1, k + 1)]
        paths.append([*path, (-1, (k + 1) / count)] if k + 1 < count else path)
    paths.reverse()
    rows = [row for path in paths for row in path]
    changed = base.copy()
    changed.arrays = {
        "c0/leaves/disjunct": np.zeros(count, np.uint8),
        "c0/leaves/constraint_ptr": np.arange(count + 1, dtype=np.int32),
        "c0/leaves/constraint": np.zeros(count, np.uint8),
        "c0/leaves/weight": np.ones(count, np.float32),
        "c0/leaves/split_ptr": np.cumsum([0, *map(len, paths)]).astype(np.int32),
        "c0/leaves/split_node": np.zeros(len(rows), np.uint8),
        "c0/leaves/split_index": np.zeros(len(rows), np.uint8),
        "c0/leaves/split_side": np.array([side for side, _ in rows], np.int32),
        "c0/leaves/split_point": np.array([point for _, point in rows], np.float32),
        "c0/leaves/split_beta": np.zeros(len(rows), np.float32),
        "c0/leaves/claimed": np.full(count, np.nan, np.float32),
    }
    changed.claims[0]["evidence"].update(nodes=["x"], per_leaf_bounds=True)
    return changed


def overflows_in_float32() -> Bundle:
    """1e-30 (1e30 x) is x, and infinite in float32 for x = 1e10."""
    w = Writer()
    gemm(w, gemm(w, "x", "z", [[1e30]], [0]), "y", [[1e-30]], [0])
    model = w.model({"x": (1, 1)}, {"y": (1, 1)})
    return bundle(model, vnnlib1(1, [(F(10**10), F(2 * 10**10))], [f"(>= Y_0 {3 * 10**10})"]))


def flushed() -> Bundle:
    """LeakyRelu multiplies a subnormal operand by -2^20, which a runtime may flush to 0 first."""
    w = Writer()
    w.node("LeakyRelu", ["x"], "y", alpha=2.0**100)
    model = w.model({"x": (1, 1)}, {"y": (1, 1)})
    point = F(-1, 2**127)
    return bundle(model, vnnlib1(1, [(point, point)], ["(>= Y_0 -0.000000001)"]))


def cancelling_normalisation() -> Bundle:
    """BatchNormalization with mean = offset = 1000 and factor 1 is x, but x - 1000 loses the bits of x."""
    w = Writer()
    given = {"s": 1.0, "b": 1000.0, "m": 1000.0, "v": 1.0}
    operands = [w.constant(name, np.array([value], np.float32)) for name, value in given.items()]
    w.node("BatchNormalization", ["x", *operands], "y", epsilon=0.0)
    model = w.model({"x": (1, 1)}, {"y": (1, 1)})
    return bundle(model, vnnlib1(1, [(F("0.0001"), F("0.0002"))], ["(<= Y_0 0)"]))


def out_of_range_number() -> dict[str, bytes]:
    content = split_elsewhere().content()
    old, new = b'"version": "1"', b'"version": "1", "notes": {"seconds": 1e999}'
    return {**content, MANIFEST: content[MANIFEST].replace(old, new, 1)}


def cases() -> Iterator[Case]:
    def proved(name: str, made: Bundle, note: str, also: Mapping[str, int] | None = None) -> Case:
        return Regression("regressions", name, zip_of(made.content()), 0, "TLC001", note, also=also or {})

    def false(name: str, made: Bundle, point: Sequence[str], note: str, code: str = "TLC010") -> Case:
        exact = tuple(map(F, point))
        return Regression("regressions", name, zip_of(made.content()), 4, code, note, exact)

    def malformed(name: str, files: Mapping[str, bytes], code: str, note: str) -> Case:
        return Regression("regressions", name, zip_of(files), 3, code, note)

    yield false(
        "maxpool-padding-beside-an-infinite-end", padded_maximum(), ["-1e10", "0"],
        "the padding of MaxPool was taken for the largest entry of a window with an infinite lower end", "TLC013",
    )  # fmt: skip
    beta = "leaves/split_beta"
    for word, value in (("nan", np.nan), ("infinite", np.inf)):
        wrong = split_elsewhere().with_array(beta, every_multiplier(value)).content()
        yield malformed(f"multipliers-{word}", wrong, "TLC105", f"every multiplier {word}")
    yield false(
        "multipliers-that-overflow", reaches_three_quarters().with_array(beta, every_multiplier(1.5e308)),
        ["0.75"], "multipliers of 1.5e308: their sums overflow",
    )  # fmt: skip
    yield Regression(
        "regressions", "multiplier-in-two-halves", zip_of(repeated(dominates(), 0.5).content()), 4, "TLC010",
        "true; of several multipliers of a neuron in one leaf the first counts, and half is too little",
    )  # fmt: skip
    yield false(
        "multiplier-repeated", repeated(reaches_three_quarters().with_array(beta, every_multiplier(0.5)), 1.0),
        ["0.75"], "every split of a leaf is listed twice",
    )  # fmt: skip
    yield proved("multipliers-repeated-many-leaves", repeated(one_disjunct(), 0.5), "the same on two layers")
    yield false(
        "multiplier-on-one-operand-of-a-sum", shared_operand(), ["1"],
        "the operands of a sum shared one array of coefficients, so a multiplier on one reached the other",
    )  # fmt: skip
    yield false("multiplier-on-a-tensor-added-to-itself", tensor_twice(), ["0"], "y = z + z, both split on z")
    yield proved(
        "chain-of-400-unordered-leaves", chain(400), "the cover check was cubic in the chain's length"
    )
    yield malformed(
        "number-out-of-range", out_of_range_number(), "TLC106", "1e999 in a manifest is no double"
    )
    yield proved("slopes-of-two-and-more", mixed("Sigmoid", STEEP), "slope off the grid")
    yield proved("steep-leaky-relu", mixed("LeakyRelu", STEEP, alpha=3.0), "LeakyRelu with slope 3")
    yield proved("falling-leaky-relu", mixed("LeakyRelu", alpha=-5.0), "LeakyRelu with slope -5")
    yield proved(
        "coefficient-not-a-double", scaled_output("0.1", 0.5, 1), "1/10 in the property is no double"
    )
    yield false(
        "coefficient-not-a-double-on-an-infinite-end", scaled_output("0.1", 1e300, 10**10), ["-1e10"],
        "the rounding error of 1/10 times an infinite end", "TLC013",
    )  # fmt: skip
    yield false(
        "coefficient-above-every-double",
        scaled_output("1e400", 1.0, 1),
        ["-1"],
        "1e400 in the property",
        "TLC013",
    )
    yield proved("every-row-settled-early", settled_early(), "no row was left to carry to the input")
    yield proved(
        "leaf-slopes-without-input-splits",
        slopes_without_input_splits(),
        "slopes of more leaves than domains",
    )
    float32 = {"--semantics deployed": 4}
    yield proved("float32-overflow", overflows_in_float32(), "true of the function only", also=float32)
    yield proved("float32-flush-before-a-factor", flushed(), "true of the function only", also=float32)
    yield proved(
        "float32-normalisation-cancels",
        cancelling_normalisation(),
        "x - 1000 loses the bits of x",
        also=float32,
    )
