"""Claims on tiny networks whose truth is known: networks that are affine between integers, evaluated in fractions at all corners.

A value's least and greatest over the box are attained at corners of its cells, so that ``Y < least`` is unsat, and so is
``Y > greatest``, while ``Y <= least`` and ``Y < least + tiny`` are not. What an operator means is written here a third time, from the
standard, without index tricks: what both checkers misread alike would show. Evidence is the best there is: all cells are leaves.
"""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from tests.twin_bundles import Files, joined, sealed

F = Fraction
Cells = dict[tuple[int, ...], Fraction]  # a tensor, by coordinates
Rule = Callable[[Any], Any]


def cells(shape: tuple[int, ...], values: list[Any]) -> Cells:
    return dict(zip(product(*map(range, shape)), map(F, values), strict=True))


def flat(x: Cells) -> list[Fraction]:
    return [x[c] for c in sorted(x)]


class Tiny:
    """One operator on constants of small integers, on an input box of integers; ``kinks``: of each input."""

    def __init__(self, op: str, shape: tuple[int, ...], meaning: Rule, *constants: Any, opset: int = 13,
                 first: bool = False, kinks: tuple[int, ...] = (), **attributes: Any) -> None:  # fmt: skip
        self.op, self.shape, self.meaning, self.opset, self.kinks = op, shape, meaning, opset, kinks
        names, self.initializers = [], []
        for i, value in enumerate(constants):
            names.append("" if value is None else f"c{i}")
            if value is not None:
                array = np.asarray(value, dtype=np.int64 if isinstance(value, np.ndarray) else np.float32)
                self.initializers.append(numpy_helper.from_array(array, f"c{i}"))
        inputs = [*names, "x"] if first else ["x", *names]
        self.node = helper.make_node(op, inputs, ["y"], **attributes)

    def model(self, size: int) -> bytes:
        """The operator, then a Flatten: y as a row of ``size``."""
        flatten = helper.make_node("Flatten", ["y"], ["z"], axis=0)
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shape)
        z = helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, size])
        graph = helper.make_graph([self.node, flatten], "g", [x], [z], self.initializers)
        return helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8
        ).SerializeToString()


def ints(*values: int) -> Any:
    return np.array(values)


def conv(
    x: Cells, w: Cells, b: list[int], pads: tuple[int, int, int, int], step: int, apart: int, group: int
) -> Cells:
    """y[0, f, r, c]: the sum of w[f, k, i, j] x[0, first channel of f's group + k, r step + i apart - top, c step + j apart - left]."""
    (_, channels, height, width), (filters, each, kh, kw) = (
        tuple(m + 1 for m in map(max, zip(*t, strict=True))) for t in (x, w)
    )
    top, left, bottom, right = pads
    rows, columns = (
        (s + p + q - apart * (k - 1) - 1) // step + 1
        for s, p, q, k in ((height, top, bottom, kh), (width, left, right, kw))
    )
    y = {}
    for f, r, c in product(range(filters), range(rows), range(columns)):
        first = channels // group * (f // (filters // group))
        y[0, f, r, c] = F(b[f]) + sum(
            (w[f, k, i, j] * x.get((0, first + k, r * step + i * apart - top, c * step + j * apart - left), F(0)) for k, i, j in product(range(each), range(kh), range(kw))), F(0),
        )  # fmt: skip
    return y


def pooled(
    x: Cells, size: tuple[int, int], pads: tuple[int, int], worth: Callable[[list[Fraction]], Fraction]
) -> Cells:
    """Windows of step 1, padded at the top and the left only, over one channel; ``worth`` of the values that are there."""
    height, width = (max(c[k] for c in x) + 1 for k in (2, 3))
    spots = product(range(height + pads[0] - size[0] + 1), range(width + pads[1] - size[1] + 1))
    inside = {
        (r, c): [x[0, 0, i, j] for i, j in product(range(r - pads[0], r - pads[0] + size[0]), range(c - pads[1], c - pads[1] + size[1])) if (0, 0, i, j) in x]
        for r, c in spots
    }  # fmt: skip
    return {(0, 0, r, c): worth(v) for (r, c), v in inside.items()}


def networks() -> dict[str, Tiny]:
    w23, m22 = [[1, -2, 3], [4, 5, -6]], [[1, 2], [-3, 4]]
    kernel = cells((2, 1, 2, 2), [1, 2, -3, 4, 5, -6, 7, 8])
    grouped = cells((2, 1, 1, 2), [1, -2, 3, 4])
    near = float(np.float32(0.1))  # the standard's alpha is a float
    return {
        "transpose-of-three-axes": Tiny("Transpose", (1, 2, 3), lambda x: {(j, k, i): x[i, j, k] for i, j, k in x}, perm=[1, 2, 0]),
        "gemm-both-turned": Tiny("Gemm", (2, 2), lambda x: {(i, j): 2 * sum(x[k, i] * [[1, 5], [3, -7]][j][k] for k in (0, 1)) - 3 * [4, -1][j] for i, j in x}, [[1, 5], [3, -7]], [4, -1], transA=1, transB=1, alpha=2.0, beta=-3.0),
        "gemm-column-of-bias": Tiny("Gemm", (2, 2), lambda x: {(i, j): sum(x[i, k] * m22[k][j] for k in (0, 1)) + [10, -20][i] for i, j in x}, m22, [[10], [-20]]),
        "matmul-from-the-left": Tiny("MatMul", (3, 1), lambda x: {(i, 0): sum(w23[i][k] * x[k, 0] for k in range(3)) for i in (0, 1)}, w23, first=True),
        "matmul-of-a-stack": Tiny("MatMul", (2, 1, 2), lambda x: {(s, 0, j): sum(x[s, 0, k] * m22[k][j] for k in (0, 1)) for s, _, j in x}, m22),
        "add-spreads-from-the-right": Tiny("Add", (2, 2), lambda x: {(i, j): x[i, j] + [7, -9][j] for i, j in x}, [7, -9]),
        "add-spreads-a-column": Tiny("Add", (2, 1), lambda x: {(i, j): x[i, 0] + [7, -9][j] for i, _ in x for j in (0, 1)}, [7, -9]),
        "difference-from-a-constant": Tiny("Sub", (1, 2), lambda x: {(i, j): [5, -3][j] - x[i, j] for i, j in x}, [5, -3], first=True),
        "difference-of-a-constant": Tiny("Sub", (1, 2), lambda x: {(i, j): x[i, j] - [5, -3][j] for i, j in x}, [5, -3]),
        "a-float-is-no-decimal": Tiny("Mul", (1, 1), lambda x: {(0, 0): x[0, 0] * F(near)}, [0.1]),
        "a-subnormal-weight": Tiny("Mul", (1, 1), lambda x: {(0, 0): x[0, 0] * F(float(np.float32(1e-45)))}, [1e-45]),
        "conv-is-no-flip": Tiny("Conv", (1, 1, 2, 3), lambda x: conv(x, kernel, [1, -1], (0, 0, 0, 0), 1, 1, 1), [[[[1, 2], [-3, 4]]], [[[5, -6], [7, 8]]]], [1, -1]),
        "conv-pads-top-left-bottom-right": Tiny("Conv", (1, 1, 2, 2), lambda x: conv(x, kernel, [0, 0], (1, 0, 0, 2), 1, 1, 1), [[[[1, 2], [-3, 4]]], [[[5, -6], [7, 8]]]], pads=[1, 0, 0, 2]),
        "conv-steps": Tiny("Conv", (1, 1, 4, 3), lambda x: conv(x, kernel, [0, 0], (0, 1, 0, 0), 2, 1, 1), [[[[1, 2], [-3, 4]]], [[[5, -6], [7, 8]]]], strides=[2, 2], pads=[0, 1, 0, 0]),
        "conv-dilated": Tiny("Conv", (1, 1, 3, 3), lambda x: conv(x, kernel, [0, 0], (0, 0, 0, 0), 1, 2, 1), [[[[1, 2], [-3, 4]]], [[[5, -6], [7, 8]]]], dilations=[2, 2]),
        "conv-of-groups": Tiny("Conv", (1, 2, 1, 2), lambda x: conv(x, grouped, [0, 3], (0, 0, 0, 0), 1, 1, 2), [[[[1, -2]]], [[[3, 4]]]], [0, 3], group=2),
        "average-without-padding": Tiny("AveragePool", (1, 1, 2, 2), lambda x: pooled(x, (2, 2), (1, 0), lambda v: sum(v, F(0)) / len(v)), kernel_shape=[2, 2], pads=[1, 0, 0, 0]),
        "average-with-padding": Tiny("AveragePool", (1, 1, 2, 2), lambda x: pooled(x, (2, 2), (1, 0), lambda v: sum(v, F(0)) / 4), kernel_shape=[2, 2], pads=[1, 0, 0, 0], count_include_pad=1),
        "maximum-pads-with-nothing": Tiny("MaxPool", (1, 1, 1, 2), lambda x: pooled(x, (1, 2), (0, 1), max), kernel_shape=[1, 2], pads=[0, 1, 0, 0]),
        "normalized": Tiny("BatchNormalization", (1, 2), lambda x: {(i, j): [3, -2][j] * (x[i, j] - [1, -1][j]) / [2, 4][j] + [5, 6][j] for i, j in x}, [3, -2], [5, 6], [1, -1], [3, 15], epsilon=1.0),
        "leaky": Tiny("LeakyRelu", (1, 2), lambda x: {c: v if v >= 0 else F(float(np.float32(0.01))) * v for c, v in x.items()}, kinks=(0,)),
        "relu": Tiny("Relu", (1, 2), lambda x: {c: max(v, F(0)) for c, v in x.items()}, kinks=(0,)),
        "absolute": Tiny("Abs", (1, 2), lambda x: {c: abs(v) for c, v in x.items()}, kinks=(0,)),
        "clip-above-alone": Tiny("Clip", (1, 2), lambda x: {c: min(v, F(1)) for c, v in x.items()}, None, 1.0, kinks=(1,)),
        "clip-below-alone": Tiny("Clip", (1, 2), lambda x: {c: max(v, F(-1)) for c, v in x.items()}, -1.0, kinks=(-1,)),
        "clip-of-old": Tiny("Clip", (1, 2), lambda x: {c: min(max(v, F(-1)), F(2)) for c, v in x.items()}, opset=9, min=-1.0, max=2.0, kinks=(-1, 2)),
        "pad-begins-then-ends": Tiny("Pad", (1, 2), lambda x: {(i, j): x.get((i - 1, j), F(3)) for i, j in product(range(2), range(4))}, ints(1, 0, 0, 2), 3.0),
        "pad-of-old": Tiny("Pad", (1, 2), lambda x: {(i, j): x.get((i, j - 2), F(-4)) for i, j in product(range(2), range(4))}, opset=10, pads=[0, 2, 1, 0], value=-4.0),
        "slice-from-behind": Tiny("Slice", (1, 5), lambda x: {(0, k): x[0, [1, 3][k]] for k in (0, 1)}, ints(-4), ints(99), ints(-1), ints(2)),
        "slice-of-old": Tiny("Slice", (3, 2), lambda x: {(i - 1, j - 1): x[i, j] for i, j in x if (i, j) == (1, 1)}, opset=9, starts=[1, -1], ends=[-1, 9], axes=[0, 1]),
        "concat-before": Tiny("Concat", (2, 1), lambda x: {(i, j): ([[8, 9], [-8, -9]][i][j] if j < 2 else x[i, 0]) for i, j in product(range(2), range(3))}, [[8, 9], [-8, -9]], first=True, axis=-1),
        "maximum-dilated": Tiny("MaxPool", (1, 1, 1, 4), lambda x: {(0, 0, 0, c): max(x[0, 0, 0, c], x[0, 0, 0, c + 2]) for c in (0, 1)}, kernel_shape=[1, 2], dilations=[1, 2]),
        "mul-spreads-a-column": Tiny("Mul", (2, 2), lambda x: {(i, j): x[i, j] * [2, -3][i] for i, j in x}, [[2], [-3]]),
        "reshape-keeps-and-infers": Tiny("Reshape", (2, 3, 1), lambda x: {(i, j): x[i, j, 0] for i, j, _ in x}, ints(0, -1)),
        "slice-clamped": Tiny("Slice", (1, 3), lambda x: {(0, k): x[0, k] for k in (0, 1)}, ints(-10), ints(2), ints(1)),
        "reshape-by-rows": Tiny("Reshape", (3, 2), lambda x: {(k // 3, k % 3): v for k, v in enumerate(flat(x))}, ints(-1, 3)),
        "squeeze": Tiny("Squeeze", (1, 2, 1), lambda x: {(j,): x[0, j, 0] for j in (0, 1)}, ints(0, -1)),
        "unsqueeze": Tiny("Unsqueeze", (2, 2), lambda x: {(0, i, 0, j): x[i, j] for i, j in x}, ints(0, 2)),
    }  # fmt: skip


LOW, HIGH, TINY = -2, 3, F(1, 1 << 60)  # the box of every input


def number(x: Fraction) -> str:
    """A decimal that is exactly this fraction, or a sum of what is left of it: denominators are powers of 2, or small."""
    assert x.denominator & (x.denominator - 1) == 0
    digits = x.denominator.bit_length() - 1
    return f"{x.numerator * 5**digits}e-{digits}"


def arrays(leaves: int, tree: list[tuple[int, int, int, float, int, int]]) -> bytes:
    """Every leaf has weight 1 on constraint 0; one tree, of rows (kind, node, index, point, below, above), for one disjunct."""
    columns: dict[str, tuple[str, list[Any]]] = {
        "leaves/constraint_ptr": ("I64", list(range(leaves + 1))), "leaves/constraint": ("I64", [0] * leaves),
        "leaves/weight": ("F64", [1.0] * leaves), "leaves/claimed": ("F64", [1.0] * leaves), "leaves/split_ptr": ("I64", [0] * (leaves + 1)),
        "tree/roots": ("I64", [0]),
    }  # fmt: skip
    columns |= {f"leaves/split_{k}": ("I64", []) for k in ("node", "index", "side")}
    columns |= {f"leaves/split_{k}": ("F64", []) for k in ("point", "beta")}
    for k, name in enumerate(("kind", "node", "index", "point", "below", "above")):
        columns[f"tree/{name}"] = ("F64" if name == "point" else "I64", [row[k] for row in tree])
    return joined(
        {
            k: (t, [len(v)], struct.pack(f"<{len(v)}{'d' if t == 'F64' else 'q'}", *v))
            for k, (t, v) in columns.items()
        }
    )


def cut_everywhere(
    size: int, kinks: tuple[int, ...]
) -> tuple[int, list[tuple[int, int, int, float, int, int]]]:
    """A tree that cuts every input at every kink."""
    rows: list[Any] = []
    leaves = 0

    def grow(cuts: list[tuple[int, int, bool]]) -> int:
        nonlocal leaves
        at = len(rows)
        rows.append(None)
        if not cuts:
            rows[at] = (1, 0, 0, 0.0, leaves, 0)
            leaves += 1
        else:
            (i, point, _), *rest = cuts
            rows[at] = (0, 0, i, float(point), grow(rest), grow(rest))
        return at

    grow([(i, k, True) for i in range(size) for k in kinks])
    return leaves, rows


def claims(name: str, net: Tiny) -> tuple[Files, list[tuple[str, bool]]]:
    """A bundle of claims about each value of the network, and (name, whether it is true) of each."""
    count = int(np.prod(net.shape))
    corners = product(*[sorted({LOW, HIGH, *net.kinks})] * count)
    values = [flat(net.meaning(cells(net.shape, list(c)))) for c in corners]
    size = len(values[0])
    leaves, rows = cut_everywhere(count, net.kinks)
    files: Files = {"net.onnx": net.model(size), "a.safetensors": arrays(leaves, rows)}
    head = [f"(declare-const X_{i} Real)" for i in range(count)] + [
        f"(declare-const Y_{j} Real)" for j in range(size)
    ]
    head += [f"(assert (and (>= X_{i} {LOW}) (<= X_{i} {HIGH})))" for i in range(count)]
    made, manifest = [], []
    for j in sorted(set(random.Random(name).sample(range(size), min(size, 3)))):
        least, most = min(v[j] for v in values), max(v[j] for v in values)
        for k, (text, true) in enumerate([
            (f"(< Y_{j} L)", True), (f"(> Y_{j} M)", True), (f"(<= Y_{j} L)", False), (f"(>= Y_{j} M)", False),
            (f"(< Y_{j} (+ L {number(TINY)}))", False), (f"(> Y_{j} (- M {number(TINY)}))", False),
        ]):  # fmt: skip
            scale = (
                (least.denominator | most.denominator)
                if (least.denominator & (least.denominator - 1))
                or (most.denominator & (most.denominator - 1))
                else 1
            )
            assert scale in (1, 3), name
            said = (
                text.replace(f"Y_{j}", f"(* Y_{j} {scale})")
                .replace("L", number(least * scale))
                .replace("M", number(most * scale))
            )
            files[f"p{j}-{k}.vnnlib"] = "\n".join([*head, f"(assert {said})"]).encode()
            made.append((f"{name}: {text}, L = {least}, M = {most}", true))
            manifest.append({"kind": "unsat", "name": f"{j}-{k}", "model": "net.onnx", "property": f"p{j}-{k}.vnnlib",
                             "evidence": {"arrays": "a.safetensors", "nodes": ["x"], "per_leaf_bounds": True}})  # fmt: skip
    listed: dict[str, Any] = {f: {} for f in files}
    whole = {
        "format": "tlcheck.bundle",
        "version": 1,
        "producer": {"name": "twin"},
        "files": listed,
        "claims": manifest,
    }
    return sealed(files | {"manifest.json": json.dumps(whole).encode()}, whole), made


# ---- Formulas, evaluated at points ----


def term(rng: random.Random, depth: int) -> Any:
    kind = rng.randrange(5 if depth else 2)
    if kind == 0:
        return str(rng.randrange(-2, 3))
    if kind == 1:
        return rng.choice(["X_0", "X_1", "Y_0", "Y_1"])
    if kind == 2:
        return ["*", str(rng.randrange(-2, 3)), term(rng, depth - 1)]
    return [rng.choice("+-"), *(term(rng, depth - 1) for _ in range(rng.randrange(1, 4)))]


def formula(rng: random.Random, depth: int) -> Any:
    if depth and rng.random() < 0.6:
        return [rng.choice(["and", "or"]), *(formula(rng, depth - 1) for _ in range(rng.randrange(1, 4)))]
    return [rng.choice(["<=", ">=", "<", ">"]), term(rng, 2), term(rng, 2)]


def text_of(item: Any) -> str:
    return item if isinstance(item, str) else "(" + " ".join(map(text_of, item)) + ")"


def value_of(item: Any, at: dict[str, Fraction]) -> Any:
    """A number, or whether the formula holds: by the operators' definitions, left to right."""
    if isinstance(item, str):
        return at[item] if item in at else F(item)
    op, parts = item[0], [value_of(p, at) for p in item[1:]]
    if op in ("and", "or"):
        return all(parts) if op == "and" else any(parts)
    if op in ("<=", ">=", "<", ">"):
        a, b = parts
        return (a < b or (a == b and "=" in op)) if op[0] == "<" else (a > b or (a == b and "=" in op))
    total = parts[0]
    if op == "-" and len(parts) == 1:
        return -total
    for p in parts[1:]:
        total = total + p if op == "+" else total - p if op == "-" else total * p
    return total


def formulas(count: int, seed: int) -> Iterator[tuple[Files, str, bool]]:
    """y = (x_0 + x_1, x_0 - 2 x_1) on [0, 2]^2; a bundle, the formula, and whether a point of a grid satisfies it (the claim is false)."""
    rng = random.Random(seed)
    net = Tiny("Gemm", (1, 2), lambda x: x, [[1, 1], [1, -2]])
    grid = [F(k, 4) for k in range(9)]
    at = [{"X_0": a, "X_1": b, "Y_0": a + b, "Y_1": a - 2 * b} for a, b in product(grid, grid)]
    head = (
        "(declare-const X_0 Real) (declare-const X_1 Real) (declare-const Y_0 Real) (declare-const Y_1 Real)"
    )
    head += "(assert (and (<= 0 X_0) (<= X_0 2) (>= X_1 0) (>= 2 X_1)))"
    for _ in range(count):
        asserted = [formula(rng, 2) for _ in range(rng.randrange(1, 3))]
        said = "\n".join([head, *(f"(assert {text_of(f)})" for f in asserted)])
        met = any(all(value_of(f, point) for f in asserted) for point in at)
        yield proposed(net, said, rng), text_of(asserted), met


def proposed(net: Tiny, said: str, rng: random.Random) -> Files:
    """Evidence for as many disjuncts as the formula has when it is written out, each a leaf with a weight of its own choice."""
    from tests.twin_bundles import REFERENCE

    try:
        disjuncts = REFERENCE.read_property(said.encode(), 2, 2)
    except REFERENCE.Problem:
        disjuncts = []
    leaves = len(disjuncts)
    chosen = [rng.randrange(max(len(d.constraints), 1)) for d in disjuncts]
    made = {
        "leaves/constraint_ptr": ("q", [*range(leaves + 1)]), "leaves/constraint": ("q", chosen), "leaves/weight": ("d", [1.0] * leaves),
        "leaves/claimed": ("d", [1.0] * leaves), "leaves/split_ptr": ("q", [0] * (leaves + 1)), "leaves/split_node": ("q", []),
        "leaves/split_index": ("q", []), "leaves/split_side": ("q", []), "leaves/split_point": ("d", []), "leaves/split_beta": ("d", []),
        "tree/kind": ("q", [1] * leaves), "tree/node": ("q", [0] * leaves), "tree/index": ("q", [0] * leaves), "tree/point": ("d", [0.0] * leaves),
        "tree/below": ("q", [*range(leaves)]), "tree/above": ("q", [0] * leaves), "tree/roots": ("q", [*range(leaves)]),
    }  # fmt: skip
    data = joined(
        {
            k: ("F64" if t == "d" else "I64", [len(v)], struct.pack(f"<{len(v)}{t}", *v))
            for k, (t, v) in made.items()
        }
    )
    files: Files = {"net.onnx": net.model(2), "a.safetensors": data, "p.vnnlib": said.encode()}
    claim = {
        "kind": "unsat",
        "model": "net.onnx",
        "property": "p.vnnlib",
        "evidence": {"arrays": "a.safetensors", "nodes": ["x"]},
    }
    listed: dict[str, Any] = {f: {} for f in files}
    whole = {
        "format": "tlcheck.bundle",
        "version": 1,
        "producer": {"name": "twin"},
        "files": listed,
        "claims": [claim],
    }
    return sealed(files | {"manifest.json": json.dumps(whole).encode()}, whole)
