"""Networks of which the largest value of a form of the outputs over a box is known exactly, or to any number of digits.

Why it is known, maker by maker: a small network of two variables is cut into the polygons on which it is affine (``cells``); a sum of
functions of one variable each reaches the sum of their maxima, which their kinks give (``reached``), and so do pools over windows that do
not overlap; a spike is concave where it is not zero; a network that rises (or falls) with each input is largest at a corner.
Nothing of tlcheck has a part in it: values are sums of Fractions, smooth ones mpmath's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product

import mpmath
import numpy as np
import onnx
from onnx import helper, numpy_helper

from tests.truth.exact_cells import cells, summit
from tests.truth.queries import Form, Point
from tests.truth.scalar import Layer, kinks, reached
from tests.truth.small_nets import Array, Net, Rng, dyadic, layered

F = Fraction
ZERO, ONE = F(0), F(1)
Draw = Callable[[Rng, tuple[int, ...]], Array]
"""Weights of a shape."""


@dataclass(frozen=True)
class Peak:
    """``form`` is at most ``top`` over the box, and at ``point`` it is ``top``; both to within ``slop``. ``cuts``: (input, value), where
    the network is affine between. ``size``: what distances from the top are multiples of."""

    model: bytes
    outputs: int
    lower: Point
    upper: Point
    form: Form
    top: Fraction
    point: Point | None
    cuts: tuple[tuple[int, float], ...] = ()
    slop: Fraction = ZERO
    size: Fraction = ONE


def dyadics(rng: Rng, shape: tuple[int, ...]) -> Array:
    return dyadic(rng, shape, 3, 1.0)


def full(rng: Rng, shape: tuple[int, ...]) -> Array:
    """All 24 bits of the significand are drawn."""
    return rng.normal(0, 1, shape).astype(np.float32)


def wild(rng: Rng, shape: tuple[int, ...]) -> Array:
    """Of every size that float32 has, subnormal numbers too."""
    exponents = rng.choice([-149, -140, -126, -100, -24, 0, 24, 100, 120], shape)
    return np.ldexp(np.sign(rng.normal(0, 1, shape)) * rng.integers(1, 8, shape), exponents).astype(
        np.float32
    )


def exact(values: Array) -> list[list[Fraction]]:
    return [[F(float(v)) for v in row] for row in np.atleast_2d(values)]


def forward(layers: Sequence[tuple[Array, Array]], point: Sequence[Fraction]) -> list[Fraction]:
    """Affine layers with ReLUs between, in rationals."""
    h = list(point)
    for k, (weights, bias) in enumerate(layers):
        z = [F(float(b)) for b in bias]
        h = [
            b + sum((w * x for w, x in zip(row, h, strict=True)), F(0))
            for row, b in zip(exact(weights), z, strict=True)
        ]
        h = h if k + 1 == len(layers) else [max(v, F(0)) for v in h]
    return h


# boxes


def sixteenths(rng: Rng, n: int) -> tuple[Point, Point]:
    lower = tuple(F(int(a), 16) for a in rng.integers(-24, 8, n))
    return lower, tuple(a + F(int(w), 16) for a, w in zip(lower, rng.integers(1, 32, n), strict=True))


def decimals(rng: Rng, n: int) -> tuple[Point, Point]:
    """Decimals that are no floats."""
    digits = int(rng.choice([1, 2, 7, 20]))
    ends = [sorted(F(int(k), 10) for k in rng.integers(-20, 21, 2)) for _ in range(n)]
    fine = [F(int(k), 10**digits) for k in rng.integers(1, 10, 2 * n)]
    return (
        tuple(a + d for (a, _), d in zip(ends, fine[:n], strict=True)),
        tuple(b + 1 + d for (_, b), d in zip(ends, fine[n:], strict=True)),
    )


# two variables, in polygons


def hill(rng: Rng, *, fixed: int = 0, blocks: int = 0) -> Peak:
    """A dense network of two variables; ``fixed``: further inputs, of no width; ``blocks``: of residuals."""
    widths = (2, int(rng.integers(2, 5)), int(rng.integers(2, 4)))
    layers = [
        (dyadics(rng, (b, a)), dyadic(rng, (b,), 3, 0.5)) for a, b in zip(widths, widths[1:], strict=False)
    ]
    inner = []
    for _ in range(blocks):
        w = layers[-1][0].shape[0]
        inner.append(((dyadics(rng, (2, w)), dyadics(rng, (2,))), (dyadics(rng, (w, 2)), dyadics(rng, (w,)))))
    last = (dyadics(rng, (2, widths[-1])), dyadics(rng, (2,)))
    lower, upper = sixteenths(rng, 2 + fixed)
    upper = (*upper[:2], *lower[2:])
    spread = dyadics(rng, (layers[0][0].shape[0], fixed))
    shift = [sum((w * x for w, x in zip(row, lower[2:], strict=True)), F(0)) for row in exact(spread)]
    known: list[Layer] = [(exact(w), [F(float(v)) for v in b]) for w, b in layers]
    if fixed:
        known[0] = (known[0][0], [b + s for b, s in zip(known[0][1], shift, strict=True)])
    for (v, b), (u, c) in inner:  # what a ReLU gave goes through the next one unchanged
        same = np.eye(v.shape[1], dtype=np.float32)
        known += [
            (exact(np.vstack([v, same])), [*map(F, b.tolist()), *[F(0)] * len(same)]),
            (exact(np.hstack([u, same])), [*map(F, c.tolist())]),
        ]
    known.append((exact(last[0]), [F(float(v)) for v in last[1]]))
    form = [F(int(c)) for c in rng.choice([-2, -1, 1, 3], 2)]
    top = summit(list(cells(known, lower[:2], upper[:2])), form)
    assert top is not None
    net = Net((1, 2 + fixed))
    h = "x"
    for k, (w, b) in enumerate(layers):
        weights = np.hstack([w, spread]) if k == 0 else w
        h = net.add("Relu", net.affine(h, weights.astype(np.float32), b))
    for (v, b), (u, c) in inner:
        h = net.add("Relu", net.add("Add", h, net.affine(net.add("Relu", net.affine(h, v, b)), u, c)))
    model = net.model(net.affine(h, *last), 2)
    outputs = {f"Y_{j}": c for j, c in enumerate(form)}
    return Peak(model, 2, lower, upper, outputs, top.value, (*top.point, *lower[2:]))


def residual(rng: Rng) -> Peak:
    return hill(rng, blocks=1 + (rng.random() < 0.2))


# sums of functions of one variable


def scalar(rng: Rng, draw: Draw, depth: int) -> list[tuple[Array, Array]]:
    """(1 -> k -> ... -> 1), the last bias 0."""
    sizes = [1, *rng.integers(1, 4, depth).tolist(), 1]
    layers = [(draw(rng, (b, a)), draw(rng, (b,))) for a, b in zip(sizes, sizes[1:], strict=False)]
    layers[-1] = (layers[-1][0], np.zeros(1, np.float32))
    return layers


def known(layers: Sequence[tuple[Array, Array]]) -> list[Layer]:
    return [(exact(w), [F(float(v)) for v in b]) for w, b in layers]


def sums(
    rng: Rng,
    draw: Draw = dyadics,
    *,
    box: Callable[[Rng, int], tuple[Point, Point]] = sixteenths,
    depth: int = 1,
    inputs: int = 0,
) -> Peak:
    """Y_0 is the sum of some functions, Y_1 minus that of the others, Y_0 - Y_1 is asked for. Neurons are shuffled."""
    n = inputs or int(rng.integers(1, 4))
    lower, upper = box(rng, n)
    parts = [scalar(rng, draw, depth) for _ in range(n)]
    ranges = [reached(known(p), a, b) for p, a, b in zip(parts, lower, upper, strict=True)]
    above = rng.random(n) < 0.6
    layers = []
    before = np.arange(n)
    for k in range(depth + 1):
        weights, bias = blocks([p[k][0] for p in parts]), np.concatenate([p[k][1] for p in parts])
        if k == depth:
            signs = np.where(above, [[1], [0]], [[0], [-1]]).astype(np.float32)
            weights, bias = signs @ weights, np.zeros(2, np.float32)
        order = np.arange(len(bias)) if k == depth else rng.permutation(len(bias))
        layers.append((weights[order][:, before].astype(np.float32), bias[order]))
        before = order
    bias = draw(rng, (1,))
    layers[-1][1][0] = bias[0]
    top = sum((r.most for r in ranges), F(float(bias[0])))
    return Peak(
        layered(layers),
        2,
        lower,
        upper,
        {"Y_0": F(1), "Y_1": F(-1)},
        top,
        tuple(r.at_most for r in ranges),
        cut_at(parts, lower, upper),
    )


def blocks(parts: Sequence[Array]) -> Array:
    """Block diagonal."""
    rows, columns = sum(p.shape[0] for p in parts), sum(p.shape[1] for p in parts)
    whole, r, c = np.zeros((rows, columns), np.float32), 0, 0
    for p in parts:
        whole[r : r + p.shape[0], c : c + p.shape[1]] = p
        r, c = r + p.shape[0], c + p.shape[1]
    return whole


def cut_at(
    parts: Sequence[Sequence[tuple[Array, Array]]], lower: Point, upper: Point, most: int = 12
) -> tuple[tuple[int, float], ...]:
    """All kinks, if the pieces are not too many."""
    found = [kinks(known(p), a, b) for p, a, b in zip(parts, lower, upper, strict=True)]
    if np.prod([len(k) + 1.0 for k in found]) > most:
        return ()
    return tuple((i, float(x)) for i, ks in enumerate(found) for x in dict.fromkeys(ks))


def affine(rng: Rng, draw: Draw = full) -> Peak:
    """No ReLU, or some that never change: the top is at a corner, and is met there alone."""
    n = int(rng.integers(1, 5))
    lower, upper = decimals(rng, n)
    weights = draw(rng, (1, n))
    weights[weights == 0] = 1
    point = tuple(b if w > 0 else a for w, a, b in zip(weights[0].tolist(), lower, upper, strict=True))
    bias = draw(rng, (1,))
    layers = [(weights, bias)]
    if rng.random() < 0.5:  # a first layer that is the identity where it matters
        layers = [(np.eye(n, dtype=np.float32), np.full(n, 32, np.float32)), (weights, bias)]
    top = forward(layers, point)[0]
    return Peak(layered(layers), 1, lower, upper, {"Y_0": F(1)}, top, point)


# slivers


def spike(rng: Rng, depth: int) -> Peak:
    """h relu(1 - sum |x - a| / w) on [0, 1]^n with w = 2^-depth, on a slope that is less steep: only splits around ``a`` show it."""
    n = int(rng.integers(1, 4))
    w = 2.0**-depth
    a = np.array([(2 * int(k) + 1) * w / 2 for k in rng.integers(0, 2**depth, n)])
    height = float(rng.choice([0.5, 1, 3, -1]))
    slope = rng.choice([-0.25, 0, 0.125], n) * abs(height)
    scale = np.concatenate([np.diag(np.full(n, 1 / w)), -np.diag(np.full(n, 1 / w))])
    first = np.concatenate([scale, np.eye(n)]).astype(np.float32)
    offset = np.concatenate([-(scale @ a), np.zeros(n)]).astype(np.float32)
    second = np.zeros((1 + n, 3 * n), np.float32)
    second[0, : 2 * n] = -1
    second[1:, 2 * n :] = np.eye(n)
    last = np.array([[height, *slope]], np.float32)
    layers = [
        (first, offset),
        (second, np.array([1] + [0] * n, np.float32)),
        (last, np.zeros(1, np.float32)),
    ]
    sign = 1 if height > 0 else -1
    tip = tuple(F(float(x)) for x in a)
    best = max(
        [tip, *product((F(0), F(1)), repeat=n)], key=lambda p: sign * forward(layers, p)[0]
    )  # concave on its support, affine beside it
    top = sign * forward(layers, best)[0]
    cuts = tuple((i, x) for i in range(n) for x in ((a[i] - w, a[i], a[i] + w) if n == 1 else (a[i],)))
    return Peak(
        layered(layers), 1, (F(0),) * n, (F(1),) * n, {"Y_0": F(sign)}, top, best, cuts, size=F(abs(height))
    )


def tents(rng: Rng, depth: int) -> Peak:
    """The tent map, again and again: 2^(depth - 1) equal peaks on [0, 1], between which it is 0; of one input or a sum of two."""
    n = int(rng.integers(1, 3)) if depth < 4 else 1
    eye, zero = np.eye(n, dtype=np.float32), np.zeros(n, np.float32)
    up = np.kron(eye, np.array([[2], [4]], np.float32))
    down = np.kron(eye, np.array([[1, -1]], np.float32))
    bias = np.tile(np.array([0, -2], np.float32), n)
    layers = [(up, bias), *[(up @ down, bias)] * (depth - 1), (np.ones((1, n), np.float32) @ down, zero[:1])]
    peak = F(2 * int(rng.integers(0, 2 ** (depth - 1))) + 1, 2**depth)
    cuts = tuple((i, k / 2**depth) for i in range(n) for k in range(1, 2**depth)) if n * depth < 5 else ()
    return Peak(layered(layers), 1, (F(0),) * n, (F(1),) * n, {"Y_0": F(1)}, F(n), (peak,) * n, cuts)


# images


def pooled(rng: Rng) -> Peak:
    """A function of each pixel (convolutions of one pixel, perhaps with a residual), then windows that do not overlap."""
    lower, upper = sixteenths(rng, 16)
    wide = rng.random(16) < 0.4
    upper = tuple(b if w else a for a, b, w in zip(lower, upper, wide, strict=True))
    net = Net((1, 1, 4, 4))
    z, size, place = "x", 4, [(k,) for k in range(16)]
    low, high = list(lower), list(upper)
    kernel = np.ones((1, 1, 1, 1), np.float32)
    if rng.random() < 0.4:  # patches that do not overlap
        kernel = dyadics(rng, (1, 1, 2, 2))
        z, size = net.add("Conv", "x", net.constant(kernel), strides=[2, 2]), 2
        place = [
            tuple(4 * (2 * i + a) + 2 * j + b for a in (0, 1) for b in (0, 1)) for i in (0, 1) for j in (0, 1)
        ]
        sides = [
            [
                sorted((F(float(w)) * lower[k], F(float(w)) * upper[k]))
                for w, k in zip(kernel.reshape(-1), ks, strict=True)
            ]
            for ks in place
        ]
        low, high = (
            [sum((s[0] for s in row), F(0)) for row in sides],
            [sum((s[1] for s in row), F(0)) for row in sides],
        )
    c = int(rng.integers(1, 4))
    w, b, v = dyadics(rng, (c, 1)), dyadics(rng, (c,)), dyadics(rng, (1, c))
    h = net.add("Relu", net.add("Conv", z, net.constant(w.reshape(c, 1, 1, 1)), net.constant(b)))
    y = net.add("Conv", h, net.constant(v.reshape(1, c, 1, 1)))
    layers = [(w, b), (v, np.zeros(1, np.float32))]
    if rng.random() < 0.5:
        y = net.add("Add", y, z)
        ends = np.array([[1], [-1]], np.float32)
        layers = [
            (np.vstack([w, ends]), np.append(b, [0, 0])),
            (np.hstack([v, ends.T]), np.zeros(1, np.float32)),
        ]
    ranges = [reached(known(layers), p, q) for p, q in zip(low, high, strict=True)]
    windows, y, mean = pool(rng, net, y, size)
    coefficients = dyadics(rng, (1, len(windows)))
    flat = net.add("Flatten", y)
    model = net.model(net.affine(flat, coefficients, np.zeros(1, np.float32)), 1)
    top, reach = F(0), [r.at_most for r in ranges]
    for window, weight in zip(windows, exact(coefficients)[0], strict=True):
        ks = [k for k in window if k >= 0]
        top += weight * windowed(
            ranges, ks, reach, weight >= 0, len(window) if mean == "all" else len(ks), bool(mean)
        )
    point = spread_back(kernel.reshape(-1), place, lower, upper, low, high, reach)
    return Peak(model, 1, lower, upper, {"Y_0": F(1)}, top, point)


def pool(rng: Rng, net: Net, y: str, size: int) -> tuple[list[list[int]], str, str]:
    """The windows (pixels, -1 beside the image), the node, and of means what they divide by."""
    kind = str(rng.choice(["none", "MaxPool", "MaxPool", "AveragePool"]))
    if kind == "none":
        return [[k] for k in range(size * size)], y, ""
    pad = int(rng.integers(2))
    count = (size + 2 * pad) // 2
    attributes = {} if kind == "MaxPool" else {"count_include_pad": int(rng.integers(2))}
    y = net.add(kind, y, kernel_shape=[2, 2], strides=[2, 2], pads=[pad] * 4, **attributes)
    inside = range(size)
    windows = [
        [
            size * r + q if r in inside and q in inside else -1
            for r in (2 * i - pad, 2 * i + 1 - pad)
            for q in (2 * j - pad, 2 * j + 1 - pad)
        ]
        for i in range(count)
        for j in range(count)
    ]
    return windows, y, "" if kind == "MaxPool" else "all" if attributes["count_include_pad"] else "inside"


def windowed(
    ranges: Sequence, ks: Sequence[int], reach: list[Fraction], up: bool, count: int, mean: bool
) -> Fraction:
    """The largest (or least) value of a window; ``reach`` is set to where its pixels have to be."""
    for k in ks:
        reach[k] = ranges[k].at_most if up else ranges[k].at_least
    values = [ranges[k].most if up else ranges[k].least for k in ks]
    return sum(values, F(0)) / count if mean else max(values)


def spread_back(
    weights: Array, place: Sequence[tuple[int, ...]], lower: Point, upper: Point,
    low: Sequence[F], high: Sequence[F], reach: Sequence[F],
) -> Point:  # fmt: skip
    """Pixels whose patches have these sums: each goes the same share of its way."""
    point = list(lower)
    for ks, a, b, z in zip(place, low, high, reach, strict=True):
        share = (z - a) / (b - a) if b > a else F(0)
        for w, k in zip(weights.tolist(), ks, strict=True):
            point[k] = lower[k] + (share if w >= 0 else 1 - share) * (upper[k] - lower[k])
    return tuple(point)


# smooth


SMOOTH: dict[str, Callable[[mpmath.mpf], mpmath.mpf]] = {
    "Sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "Tanh": mpmath.tanh,
    "Softplus": lambda x: mpmath.log(1 + mpmath.exp(x)),
    "Exp": mpmath.exp,
    "Atan": mpmath.atan,
    "Erf": mpmath.erf,
    "Softsign": lambda x: x / (1 + abs(x)),
    "Elu": lambda x: x if x > 0 else mpmath.expm1(x),
}
"""They rise."""


def rising(rng: Rng) -> Peak:
    """Weights >= 0 but for the first layer's, whose columns have one sign each: the top is at a corner."""
    name = str(rng.choice(list(SMOOTH)))
    sizes = [
        int(rng.integers(1, 4)),
        *rng.integers(1, 4, int(rng.integers(1, 3 if name != "Exp" else 2))).tolist(),
        1,
    ]
    layers = [
        (np.abs(dyadics(rng, (b, a))), dyadics(rng, (b,))) for a, b in zip(sizes, sizes[1:], strict=False)
    ]
    signs = rng.choice([-1, 1], sizes[0]).astype(np.float32)
    layers[0] = (layers[0][0] * signs, layers[0][1])
    lower, upper = sixteenths(rng, sizes[0])
    sign = int(rng.choice([-1, 1]))
    point = tuple(b if s * sign > 0 else a for s, a, b in zip(signs, lower, upper, strict=True))
    net, h = Net((1, sizes[0])), "x"
    for k, (w, b) in enumerate(layers):
        h = net.affine(net.add(name, h) if k else h, w, b)
    value = mapped(layers, SMOOTH[name], point)
    slop = F(1, 10**50) * (1 + abs(value))
    return Peak(net.model(h, 1), 1, lower, upper, {"Y_0": F(sign)}, sign * value, point, slop=slop)


def mapped(
    layers: Sequence[tuple[Array, Array]], f: Callable[[mpmath.mpf], mpmath.mpf], point: Point
) -> Fraction:
    """The network with f between its layers, to about 70 digits."""
    with mpmath.workdps(75):
        h = [mpmath.mpf(x.numerator) / x.denominator for x in point]
        for k, (w, b) in enumerate(layers):
            h = [f(x) for x in h] if k else h
            h = [
                mpmath.mpf(float(c)) + mpmath.fsum(float(u) * x for u, x in zip(row, h, strict=True))
                for row, c in zip(w, b, strict=True)
            ]
        sign, m, e, _ = h[0]._mpf_
        return (-1) ** sign * F(int(m)) * F(2) ** int(e)


def waves(rng: Rng) -> Peak:
    """c . sin(x) over intervals that hold a crest of each: the top is the sum of |c|, at points that are no rational numbers."""
    n = int(rng.integers(1, 4))
    c = rng.choice([-2, -1, 0.5, 1, 3], (1, n)).astype(np.float32)
    net = Net((1, n))
    y = net.affine(net.add("Sin", "x"), c, np.zeros(1, np.float32))
    turn = [F(11, 7) if v > 0 else F(-11, 7) for v in c[0]]  # a crest is within 1/700 of it
    lower = tuple(t - F(int(k), 8) for t, k in zip(turn, rng.integers(1, 9, n), strict=True))
    upper = tuple(t + F(int(k), 8) for t, k in zip(turn, rng.integers(1, 9, n), strict=True))
    lower, upper = (tuple(F(round(v * 1024), 1024) for v in side) for side in (lower, upper))
    return Peak(net.model(y, 1), 1, lower, upper, {"Y_0": F(1)}, F(float(np.abs(c).sum())), None)


def products(rng: Rng) -> Peak:
    """Products of pairs of inputs, squares: the top of each is at a corner, or 0 in the middle."""
    pairs = int(rng.integers(1, 3))
    lower, upper = sixteenths(rng, 2 * pairs + 1)
    net = Net((1, 2 * pairs + 1))
    order = np.eye(2 * pairs + 1, dtype=np.float32)
    a = net.affine("x", order[:pairs], np.zeros(pairs, np.float32))
    b = net.affine("x", order[pairs : 2 * pairs], np.zeros(pairs, np.float32))
    last = net.affine("x", order[2 * pairs :], np.zeros(1, np.float32))
    parts = net.add("Concat", net.add("Mul", a, b), net.add("Mul", last, last), axis=1)
    c = rng.choice([-2, -1, -0.5, 0.5, 1, 3], (1, pairs + 1)).astype(np.float32)
    point, top = [F(0)] * (2 * pairs + 1), F(0)
    for k, weight in enumerate(exact(c)[0][:-1]):
        best = max(
            product((lower[k], upper[k]), (lower[pairs + k], upper[pairs + k])),
            key=lambda p: weight * p[0] * p[1],
        )
        point[k], point[pairs + k] = best
        top += weight * best[0] * best[1]
    low, high, weight = lower[-1], upper[-1], exact(c)[0][-1]
    ends = [low, high, *([F(0)] if low <= 0 <= high else [])]
    point[-1] = max(ends, key=lambda x: weight * x * x)
    top += weight * point[-1] ** 2
    model = net.model(net.affine(parts, c, np.zeros(1, np.float32)), 1)
    return Peak(model, 1, lower, upper, {"Y_0": F(1)}, top, tuple(point))


# quantised


def quantised(rng: Rng) -> Peak:
    """Rounded to steps, through a layer of weights >= 0, rounded again: it rises (or falls) with each input, so its top is at a corner."""
    n, width = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    signs = rng.choice([-1, 1], n).astype(np.float32)
    w, b = np.abs(dyadics(rng, (width, n))) * signs, dyadics(rng, (width,))
    v, c = np.abs(dyadics(rng, (1, width))), dyadics(rng, (1,))
    lower, upper = sixteenths(rng, n) if rng.random() < 0.5 else decimals(rng, n)
    steps = [(np.float32(rng.choice([0.5, 0.125, 0.1, 0.03])), int(rng.integers(-5, 6))) for _ in range(2)]
    sign = int(rng.choice([-1, 1]))
    point = tuple(q if s * sign > 0 else p for s, p, q in zip(signs, lower, upper, strict=True))
    net = Net((1, n))
    h = net.affine(stepped(net, "x", *steps[0]), w, b)
    h = stepped(net, net.add("Relu", h), *steps[1])
    model = net.model(net.affine(h, v, c), 1)
    x = [rounded(p, *steps[0]) for p in point]
    z = [rounded(max(y, F(0)), *steps[1]) for y in forward([(w, b)], x)]
    return Peak(model, 1, lower, upper, {"Y_0": F(sign)}, sign * forward([(v, c)], z)[0], point)


def stepped(net: Net, x: str, scale: np.float32, zero: int) -> str:
    ends = net.constant(np.array(scale)), net.constant(np.array(zero, np.int8))
    return net.add("DequantizeLinear", net.add("QuantizeLinear", x, *ends), *ends)


def rounded(x: Fraction, scale: np.float32, zero: int) -> Fraction:
    """To the nearest step of int8, even ones at ties."""
    s = F(float(scale))
    return s * (min(max(round(x / s) + zero, -128), 127) - zero)


# infinite


def clipped(rng: Rng, peak: Peak) -> Peak:
    """Followed by a Clip with no end on one side, or an infinity, of a network of one output: what rises keeps the place of the top."""
    (sign,) = peak.form.values()
    at_top = peak.top * sign
    end = F(float(np.float32(at_top + F(int(rng.integers(-2, 3)), 2))))
    below = bool(rng.integers(2))
    ends = (float(end), np.inf) if below else (-np.inf, float(end))
    proto = onnx.load_from_string(peak.model)
    last = proto.graph.output[0].name
    said = ["end0", "end1"] if rng.random() < 0.2 else ["end0"] if below else ["", "end1"]
    proto.graph.initializer.extend(
        numpy_helper.from_array(np.array(e, np.float32), f"end{k}")
        for k, e in enumerate(ends)
        if f"end{k}" in said
    )
    proto.graph.node.append(helper.make_node("Clip", [last, *said], ["clipped"]))
    proto.graph.output[0].name = "clipped"
    top = max(at_top, end) if below else min(at_top, end)
    return replace(peak, model=proto.SerializeToString(), top=sign * top)


def far(rng: Rng, n: int) -> tuple[Point, Point]:
    """Boxes beyond float32's numbers, or double's."""
    e = int(rng.choice([30, 38, 39, 100, 308, 309, 400]))
    lower, upper = sixteenths(rng, n)
    return tuple(a * 10**e for a in lower), tuple(b * 10**e for b in upper)


def chain(rng: Rng) -> Peak:
    """Layers of huge weights one after the other: values beyond every double."""
    count, e = int(rng.integers(2, 14)), int(rng.choice([90, 110, 126]))
    lower, upper = sixteenths(rng, 1)
    weights = [np.array([[np.ldexp(int(k), e)]], np.float32) for k in rng.integers(1, 4, count)]
    layers = [(w, np.zeros(1, np.float32)) for w in weights]
    layers.append((np.ones((1, 1), np.float32), dyadics(rng, (1,))))
    top = forward(layers, upper)[0]
    return Peak(layered(layers), 1, lower, upper, {"Y_0": F(1)}, top, upper)


# two networks


def shifted(rng: Rng) -> tuple[Peak, bytes]:
    """f, of any kind, and f + h with h a sum of functions of one variable: they differ by h, whatever f is. ``form`` is the difference on the
    side on which it is larger."""
    n = int(rng.integers(1, 4))
    lower, upper = sixteenths(rng, n)
    hidden = int(rng.integers(2, 5))
    layers = [
        (dyadics(rng, (hidden, n)), dyadics(rng, (hidden,))),
        (dyadics(rng, (1, hidden)), dyadics(rng, (1,))),
    ]
    parts = [scalar(rng, dyadics, 1) for _ in range(n)]
    ranges = [reached(known(p), a, b) for p, a, b in zip(parts, lower, upper, strict=True)]
    activation = str(rng.choice(["Relu", "Sigmoid", "Tanh", "Abs", "LeakyRelu"]))
    models = []
    for both in (False, True):
        net = Net((1, n))
        y = net.affine(net.add(activation, net.affine("x", *layers[0])), *layers[1])
        if both:
            first = blocks([p[0][0] for p in parts]), np.concatenate([p[0][1] for p in parts])
            second = np.ones((1, n), np.float32) @ blocks([p[1][0] for p in parts])
            bent = net.add("Relu", net.affine("x", *first))
            y = net.add("Add", y, net.affine(bent, second.astype(np.float32), np.zeros(1, np.float32)))
        models.append(net.model(y, 1))
    most, least = sum((r.most for r in ranges), F(0)), sum((r.least for r in ranges), F(0))
    up = most >= -least
    sign, top = (F(1), most) if up else (F(-1), -least)
    point = tuple(r.at_most if up else r.at_least for r in ranges)
    peak = Peak(
        models[0], 2, lower, upper, {"Y_0": -sign, "Y_1": sign}, top, point, cut_at(parts, lower, upper)
    )
    return peak, models[1]
