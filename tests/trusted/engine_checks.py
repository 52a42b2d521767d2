"""What must hold of every engine, for every map and kind of data: soundness, sharpness, refusal.

The checks compute everything exactly (``oracle``) and build the known boxes as the hull of the sampled points, which
is the tightest, most adversarial box that the engines may be given.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from fractions import Fraction

import numpy as np

from tests.trusted.oracle import (
    KINDS,
    ORDINARY,
    Exact,
    MakeMap,
    Rng,
    apply,
    dense,
    exact_minimum,
    hull,
    random_box,
    sample,
    weight_within,
)
from tlcheck.trusted.arith import ball64
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.interface import Engine, Multipliers
from tlcheck.trusted.arith.limbs import LimbEngine
from tlcheck.trusted.arith.maps import DiagMap, IndexMap, Map, MatMap, SignMap

POINTS = 12


def tolerance(engine: Engine) -> Fraction:
    return Fraction(1, 10**9) if isinstance(engine, ball64.Ball64 | LimbEngine) else Fraction(1, 10**12)


class Environment:
    """The floating-point environment that the engine's calls run in; the tests of other modes replace it."""

    enter: Callable[[], AbstractContextManager[None]] = nullcontext


def mode() -> AbstractContextManager[None]:
    return Environment.enter()


def refusal_allowed(kind: str) -> AbstractContextManager[None]:
    """Extreme data may be refused with OutOfRange, nothing else."""
    return suppress(OutOfRange) if kind == "extreme" else nullcontext()


def columns(*given: tuple[int, int, float, float]) -> Multipliers:
    """Multipliers from (domain, neuron, signed, point)."""
    domain, neuron, signed, point = zip(*given, strict=True)
    return Multipliers(np.array(domain), np.array(neuron), np.array(signed), np.array(point))


def constant(rng: Rng, kind: str, n: int, rad: bool) -> Constant:
    mid = KINDS[kind](rng, (n,))
    return Constant(mid, np.abs(mid.astype(np.float64)) * 2.0**-15 if rad else None)


def check_image(engine: Engine, make: MakeMap, kind: str, rng: Rng) -> None:
    """The image contains the exact images of points; it is sharp for a point, and grows with its box."""
    m = make(rng, KINDS[kind])
    domains = int(rng.integers(1, 3))
    box_ = random_box(rng, KINDS[kind], domains, m.n_in)
    skip = random_box(rng, KINDS[kind], 1, m.n_out)
    offset = constant(rng, kind, m.n_out, rad=bool(rng.integers(0, 2)))
    second = SignMap(-1, m.n_out)
    with mode():
        result = engine.image((m, second), (box_, skip), offset)
        inner = Box(0.5 * box_.lower + 0.5 * box_.upper, 0.5 * box_.lower + 0.5 * box_.upper)
        smaller = engine.image((m, second), (inner, skip), offset)
    x, s = Exact.of(sample(rng, box_, POINTS)), Exact.of(sample(rng, skip, POINTS))
    y = apply(dense(m, rng), x) - s + weight_within(offset, rng)[None, :, None]
    assert y.violations(result.lower[:, :, None], above=True) == 0
    assert y.violations(result.upper[:, :, None], above=False) == 0
    if kind in ORDINARY:
        slack = 1e-6 * np.maximum(1.0, result.magnitude)
        assert bool(
            (smaller.lower >= result.lower - slack).all() and (smaller.upper <= result.upper + slack).all()
        )
    if kind in ORDINARY and _certain(m) and offset.rad is None:
        point = Box(box_.lower, box_.lower)
        at = engine.image((m,), (point,), None)
        size = float(
            engine.image((_magnitude(m),), (Box(np.abs(point.lower), np.abs(point.lower)),), None).upper.max()
        )
        assert float((at.upper - at.lower).max()) <= 1e-12 * size + 1e-90


def _certain(m: Map) -> bool:
    c = m.weight if hasattr(m, "weight") else m.factor if isinstance(m, DiagMap) else None
    return c is None or c.rad is None


def _magnitude(m: Map) -> Map:
    """The map with absolute weights."""
    match m:
        case SignMap():
            return SignMap(1, m.size)
        case IndexMap():
            return m
        case DiagMap():
            return DiagMap(Constant(np.abs(m.factor.mid)), m.shape)
        case _:
            return replace(m, weight=Constant(np.abs(m.weight.mid)))


def check_adjoint(engine: Engine, make: MakeMap, kind: str, rng: Rng) -> None:
    """One map: lower bound <= exact minimum over the box, and close to it when nothing is uncertain."""
    m = make(rng, KINDS[kind])
    domains, rows = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    box_ = random_box(rng, KINDS[kind], int(rng.choice([1, domains])), m.n_in)
    matrix = dense(m, rng)
    image = hull(apply(matrix, Exact.of(sample(rng, box_, POINTS))))
    form = engine.form(domains, rows)
    rad = None
    if rng.random() < 0.5:
        indices, signs = rng.integers(0, m.n_out, rows), rng.choice([-1, 1], rows)
        seeds = np.zeros((1, rows, m.n_out))
        seeds[0, np.arange(rows), indices] = signs
        seeds = np.repeat(seeds, domains, axis=0)
        with mode():
            form.seed_units(1, m.n_out, indices, signs)
    else:
        seeds = KINDS[kind](rng, (domains, rows, m.n_out)).astype(np.float64)
        rad = np.abs(seeds) * 2.0**-30 if rng.random() < 0.3 else None
        whole = engine.image((m,), (box_,), None)
        image = Box(whole.lower, whole.upper)
        with mode():
            form.seed_rows(1, seeds.copy(), rad, image)
    with mode():
        form.put(0, form.through_map(m, form.blocks.pop(1), box_), box_)
        lower = form.lower({0: box_})
    assert lower.shape == (domains, rows)
    true = weight_within(Constant(seeds, rad), rng)
    flat = Exact(true.ints.reshape(-1, m.n_out), true.exponent) @ matrix
    coefficients = Exact(flat.ints.reshape(*true.shape[:2], -1), flat.exponent)
    least = exact_minimum(coefficients, box_)
    assert least.violations(lower, above=True) == 0
    if kind in ORDINARY and rad is None and _certain(m):
        product = Exact(abs(true.ints).reshape(-1, m.n_out), true.exponent) @ matrix.absolute()
        sums = Exact(product.ints.reshape(coefficients.shape), product.exponent)
        size = exact_minimum(-sums, Box(box_.magnitude, box_.magnitude))
        # A row without coefficients may still be charged the last bit of what could have been there.
        weights = max(abs(q) for q in (*matrix.fractions(), *true.fractions()))
        largest = max(*(-s for s in size.fractions()), weights * weights * Fraction(box_.largest))
        gaps = [q - Fraction(b) for q, b in zip(least.fractions(), lower.reshape(-1).tolist(), strict=True)]
        assert max(gaps) <= tolerance(engine) * largest + Fraction(1, 10**90), (
            float(max(gaps)),
            float(largest),
        )


def check_chain(engine: Engine, make: MakeMap, kind: str, rng: Rng, linear: bool) -> None:
    """x -> y = M1 x + b -> z between lines of y; w = M2 z + M3 y + c. The bound of S w + T z holds at sampled points.

    ``linear``: the two lines are one and nothing is charged; then the bound must also be close to the minimum.
    """
    draw = KINDS[kind]
    m1 = make(rng, draw)
    n = m1.n_out
    domains = int(rng.integers(1, 3))
    rows = int(rng.integers(1, 4)) if linear else 1
    m2, m3, k = _second_layer(rng, kind, n)
    box0 = random_box(rng, draw, int(rng.choice([1, domains])), m1.n_in)
    uncertain = not linear and bool(rng.integers(0, 2))
    b, c = constant(rng, kind, n, uncertain), constant(rng, kind, k, uncertain)
    x = Exact.of(np.broadcast_to(sample(rng, box0, POINTS), (domains, m1.n_in, POINTS)).copy())
    radius = np.abs(draw(rng, (int(rng.choice([1, domains])), n)).astype(np.float64)) * (
        0.0 if linear else 2.0**-10
    )
    delta = Exact.of(radius[:, :, None] * rng.choice([-1.0, 0.0, 1.0], (radius.shape[0], n, POINTS)))
    a1, a2, a3 = dense(m1, rng), dense(m2, rng), dense(m3, rng)
    bias, shift = weight_within(b, rng), weight_within(c, rng)
    y = apply(a1, x) + bias[None, :, None] + delta
    lower, upper = _lines(rng, kind, y, domains, linear)
    low = Exact.of(lower[0])[:, :, None] * y + Exact.of(lower[1])[:, :, None]
    high = Exact.of(upper[0])[:, :, None] * y + Exact.of(upper[1])[:, :, None]
    theta = Exact.of(rng.choice([0.0, 0.0, 1.0, 1.0, 0.5], y.shape))
    z = low + theta * (high - low)
    w = apply(a2, z) + apply(a3, y) + shift[None, :, None]
    box1, box2, box3 = hull(y), hull(z), hull(w)
    s, t = draw(rng, (domains, rows, k)).astype(np.float64), draw(rng, (domains, rows, n)).astype(np.float64)
    value = _rows(Exact.of(s), w) + _rows(Exact.of(t), z)
    form = engine.form(domains, rows)
    pieces: list[tuple[int, int, float, float]] = [] if linear else _multipliers(rng, kind, box1, domains)
    with mode():
        form.seed_rows(3, s.copy(), None, box3)
        form.seed_rows(2, t.copy(), None, box2)
        block = form.blocks.pop(3)
        form.offset(block, c)
        form.put(2, form.through_map(m2, block, box2), box2)
        form.put(1, form.through_map(m3, block, box1), box1)
        form.put(1, form.through_lines(form.blocks.pop(2), lower, upper, box1), box1)
        block = form.blocks.pop(1)
        if pieces:
            block = form.copy_block(block)
        if pieces:
            block = form.multipliers(block, columns(*pieces), box1)
        form.charge(block, radius)
        form.offset(block, b)
        form.put(0, form.through_map(m1, block, box0), box0)
        bound = form.lower({0: box0})
    assert bound.shape == (domains, rows)
    assert value.violations(bound[:, :, None], above=True) == 0
    if linear and kind in ORDINARY and _certain(m1):
        _check_sharp(engine, bound, (s, t), (a1, a2, a3), (lower, bias, shift), box0)


def _second_layer(rng: Rng, kind: str, n: int) -> tuple[Map, Map, int]:
    """Two maps from n values to k values."""
    draw = KINDS[kind]
    match int(rng.integers(0, 3)):
        case 0:
            k = int(rng.integers(1, 6))
            return MatMap(Constant(draw(rng, (n, k))), 1), MatMap(Constant(draw(rng, (n, k))), 1), k
        case 1:
            return SignMap(1, n), DiagMap(Constant(draw(rng, (n,))), (n,)), n
        case _:
            k = int(rng.integers(1, 2 * n + 1))
            return IndexMap(rng.integers(-1, n, k), n), IndexMap(rng.integers(0, n, k), n), k


def _lines(
    rng: Rng, kind: str, y: Exact, domains: int, linear: bool
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Slopes on the engines' grid; lower line <= upper line at every sampled y."""
    n = y.shape[1]
    shape = (int(rng.choice([1, domains])), n)
    scale = int(rng.choice([0, 0, 1, 12]))
    steps = 2.0 ** (scale - 40)
    ls, us = (np.rint(rng.uniform(-1, 1, shape) * 2.0**40) * steps for _ in range(2))
    special = rng.random(shape)
    ls = np.where(special < 0.2, 0.0, np.where(special < 0.4, 1.0, ls))
    if rng.random() < 0.2:
        ls = np.round(ls)
    heights = KINDS[kind](rng, shape).astype(np.float64) * float(rng.choice([0.0, 1.0]))
    if linear:
        return (ls, heights), (ls, heights)
    low = Exact.of(ls)[:, :, None] * y + Exact.of(heights)[:, :, None]
    over = (low - Exact.of(us)[:, :, None] * y).floats(up=True).max(axis=2)
    if shape[0] == 1:
        over = over.max(axis=0, keepdims=True)
    return (ls, heights), (us, over)


def _multipliers(rng: Rng, kind: str, box1: Box, domains: int) -> list[tuple[int, int, float, float]]:
    """(domain, neuron, beta * side, point) with side (y - point) >= 0 on the box."""
    pieces = []
    pairs = rng.permutation(domains * box1.lower.shape[1])[: int(rng.integers(0, 6))]
    for d, j in zip(*(c.tolist() for c in np.divmod(pairs, box1.lower.shape[1])), strict=True):
        side = int(rng.choice([-1, 1]))
        end = float((box1.lower if side > 0 else box1.upper)[d if box1.lower.shape[0] > 1 else 0, j])
        beta = float(abs(KINDS[kind](rng, (1,)).astype(np.float64)[0])) * 2.0 ** int(
            rng.choice([-20, 0, 0, 20])
        )
        pieces.append((d, j, side * beta, end))
    return pieces


def _rows(coefficients: Exact, points: Exact) -> Exact:
    """(D, R, n) on (D, n, P): (D, R, P)."""
    stacked = np.stack([np.dot(coefficients.ints[d], points.ints[d]) for d in range(points.shape[0])])
    return Exact(stacked, coefficients.exponent + points.exponent)


def _check_sharp(
    engine: Engine,
    bound: np.ndarray,
    seeds: tuple[np.ndarray, np.ndarray],
    matrices: tuple[Exact, Exact, Exact],
    constants: tuple[tuple[np.ndarray, np.ndarray], Exact, Exact],
    box0: Box,
) -> None:
    (a1, a2, a3), (line, bias, shift) = matrices, constants
    for d in range(bound.shape[0]):
        slope, height = (Exact.of(v[d if v.shape[0] > 1 else 0]) for v in line)
        s, t = Exact.of(seeds[0][d]), Exact.of(seeds[1][d])
        on_z = s @ a2 + t
        on_y = on_z * slope[None, :] + s @ a3
        part = box0.rows(slice(d, d + 1))
        least = exact_minimum(on_y @ a1, part)
        least = least + ((on_z @ height) + (on_y @ bias) + (s @ shift))[None, :]
        on_z = s.absolute() @ a2.absolute() + t.absolute()
        on_y = on_z * slope.absolute()[None, :] + s.absolute() @ a3.absolute()
        size = -exact_minimum(-(on_y @ a1.absolute()), Box(part.magnitude, part.magnitude))
        heights = (on_z @ height.absolute()) + (on_y @ bias.absolute()) + (s.absolute() @ shift.absolute())
        size = size + heights[None, :]
        largest = max(size.fractions())
        for exact, got in zip(least.fractions(), bound[d].tolist(), strict=True):
            gap = exact - Fraction(got)
            assert gap <= 8 * tolerance(engine) * largest + Fraction(1, 10**90), (float(gap), float(largest))


Block = np.ndarray | tuple[np.ndarray, np.ndarray]


def exact_block(block: Block) -> Exact:
    """The exact coefficients (D * R, n) of a block of either engine."""
    if isinstance(block, np.ndarray):
        return Exact.of(block.reshape(-1, block.shape[-1]))
    q, e = block
    least = int(e.min())
    return Exact(
        q.astype(np.int64).astype(object) * np.array([1 << int(x) - least for x in e], dtype=object)[:, None],
        least,
    )


def negated(block: Block) -> Block:
    return -block if isinstance(block, np.ndarray) else (-block[0], block[1])


def check_residual(engine: Engine, make: MakeMap, kind: str, rng: Rng) -> None:
    """One step, and then its own result subtracted: only the step's rounding is left, which it must have charged.

    Nothing else is charged on the way, so that no other term can hide a missing one. The step is a map, a pair of
    lines, a sum of two blocks or a multiplier.
    """
    m = make(rng, KINDS[kind])
    box_ = random_box(rng, KINDS[kind], 1, m.n_in)
    seeds = KINDS[kind](rng, (1, 1, m.n_out)).astype(np.float64)
    other = KINDS[kind](rng, (1, 1, m.n_in)).astype(np.float64)
    slopes = np.rint(rng.uniform(-2, 2, (2, m.n_in)) * 2.0**40) * 2.0**-40
    neuron, signed = int(rng.integers(0, m.n_in)), float(KINDS[kind](rng, (1,)).astype(np.float64)[0])
    zeros = np.zeros((1, m.n_in))
    whole = engine.image((m,), (box_,), None)
    for step in ("map", "lines", "sum", "multiplier"):
        form = engine.form(1, 1)
        with mode():
            if step == "map":
                form.seed_rows(1, seeds.copy(), None, whole)
                block = form.through_map(m, form.blocks.pop(1), box_)
            else:
                form.seed_rows(0, other.copy(), None, box_)
                block = form.copy_block(form.blocks.pop(0))
            if step == "lines":
                block = form.through_lines(block, (slopes[:1], zeros), (slopes[1:], zeros), box_)
            elif step == "sum":
                form.put(0, block, box_)
                form.seed_rows(0, seeds[:, :, :1] * np.ones((1, 1, m.n_in)), None, box_)
                block = form.blocks.pop(0)
            elif step == "multiplier":
                block = form.multipliers(block, columns((0, neuron, signed, 0.0)), box_)
            block = form.copy_block(block)
        rest = -exact_block(block)
        with mode():
            form.put(0, block, box_)
            form.put(0, negated(block), box_)
            lower = form.lower({0: box_})
        first = Exact.of(other[0])
        if step == "map":
            rest = rest + Exact.of(seeds[0]) @ dense(m, rng)
        elif step == "lines":
            mask = other[0] >= 0
            rest = rest + first * Exact.of(np.where(mask, slopes[:1], slopes[1:]))
        elif step == "sum":
            rest = rest + first + Exact.of(np.full((1, m.n_in), seeds[0, 0, 0]))
        else:
            # A cut multiplier is as sound as the given one, but another form: leave it out of the comparison.
            if not isinstance(engine, ball64.Ball64):
                continue
            unit = np.zeros((1, m.n_in))
            unit[0, neuron] = signed
            rest = rest + first - Exact.of(unit)
        assert exact_minimum(rest, box_).violations(lower, above=True) == 0, step
