"""A tripwire for matrix products that are not sums of double-precision products.

The bounds of ball64 hold for a product computed as any tree of IEEE double operations: any order, blocking, threads,
FMA, rounding mode, flush-to-zero. They do not hold for Strassen or Winograd schemes, for float32 or TF32 arithmetic,
or for fixed-point emulation of doubles. ``probe`` multiplies small matrices whose exact product is known from integer
arithmetic and on which each of those is visibly wrong. Passing it proves nothing about other sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Matmul = Callable[[Floats, Floats], Floats]

SIZE = 48
SPREAD = 200
HALF = 26
"""Bits of each half of an integer that is multiplied exactly in two int64 pieces."""


class BlasRefused(Exception):
    """Products of this numpy are not computed in IEEE double arithmetic, so that float64 bounds would prove nothing."""


@cache
def probe(matmul: Matmul = np.matmul) -> None:
    """Raise BlasRefused unless ``matmul`` behaves on the probe's matrices. A success is remembered."""
    rng = np.random.default_rng(20240229)
    for case, a, b, exact in _exact_cases(rng):
        for layout, columns, c in _layouts(matmul, a, b):
            _require(bool((c == exact[:, columns]).all()), f"{case} ({layout})")
    _probe_rounding(matmul, rng)
    _probe_ties(matmul)
    _probe_small(matmul)


def _require(passed: bool, case: str) -> None:
    if not passed:
        raise BlasRefused(f"float64 matrix products fail the start-up probe: {case}; use --arith arb")


def _layouts(matmul: Matmul, a: Floats, b: Floats) -> Iterator[tuple[str, slice, Floats]]:
    """The same product, or some of its columns, through the ways in which the engine calls it."""
    everything, last = slice(None), slice(-1, None)
    yield "contiguous", everything, matmul(a, b)
    yield "transposed", everything, matmul(a, np.ascontiguousarray(b.T).T)
    yield "stacked", everything, matmul(np.stack([a, a]), b)[1]
    yield "vector", last, matmul(a, b[:, -1])[:, None]


def _exact_cases(rng: np.random.Generator) -> Iterator[tuple[str, Floats, Floats, Floats]]:
    """Integer matrices with 20-bit entries, scaled by powers of two: every order of double operations is exact."""
    a, b = (rng.integers(-(1 << 20), 1 << 20, (SIZE, SIZE)) for _ in range(2))
    product = (a @ b).astype(np.float64)
    fa, fb = a.astype(np.float64), b.astype(np.float64)
    rows, inner, columns = (rng.choice([-SPREAD, 0, SPREAD], SIZE) for _ in range(3))
    block = np.where(np.arange(SIZE) < SIZE // 2, 0, -60)
    none = np.zeros(SIZE, np.int64)
    scalings = (
        ("integers", none, none, none),
        ("scaled rows", rows, none, none),
        ("scaled columns", none, none, columns),
        ("scaled inner index", none, inner, none),
        ("scaled blocks", block, block, block),
        ("all scaled", rows, inner, columns),
    )
    for case, r, k, c in scalings:
        left = np.ldexp(fa, r[:, None] + k[None, :])
        right = np.ldexp(fb, c[None, :] - k[:, None])
        yield case, left, right, np.ldexp(product, r[:, None] + c[None, :])


def _probe_rounding(matmul: Matmul, rng: np.random.Generator) -> None:
    """52-bit integers: |c - exact| <= (K + 4) 2^-52 sum |a b|, checked in integers."""
    k, n = SIZE, SIZE // 4
    a, b = (rng.integers(-(1 << 2 * HALF), 1 << 2 * HALF, shape) for shape in ((n, k), (k, n)))
    exact, size = _wide_product(a, b), _wide_product(np.abs(a), np.abs(b))
    c = matmul(a.astype(np.float64), b.astype(np.float64))
    _require(bool(np.isfinite(c).all()), "rounding")
    for got, want, total in zip(c.reshape(-1).tolist(), exact, size, strict=True):
        _require(abs(int(got) - want) << 52 <= (k + 4) * total, "rounding")


def _wide_product(a: Ints, b: Ints) -> list[int]:
    """The exact entries of a b, |entries| of a and b <= 2^52, from three int64 products."""
    mask = np.int64((1 << HALF) - 1)
    a1, a0, b1, b0 = a >> np.int64(HALF), a & mask, b >> np.int64(HALF), b & mask
    parts = [p.reshape(-1).tolist() for p in (a1 @ b1, a1 @ b0 + a0 @ b1, a0 @ b0)]
    return [(high << 2 * HALF) + (middle << HALF) + low for high, middle, low in zip(*parts, strict=True)]


def _probe_ties(matmul: Matmul) -> None:
    """1 + x among zeros: exact where it is a double, else one of the two doubles around it."""
    unit = 2.0**-52
    ends = ((unit, 1 + unit, 1 + unit), (unit / 2, 1.0, 1 + unit), (1.5 * unit, 1 + unit, 1 + 2 * unit),
            (-unit / 2, 1 - unit / 2, 1 - unit / 2), (-unit / 4, 1 - unit / 2, 1.0))  # fmt: skip
    a = np.zeros((len(ends), SIZE))
    low, high = (np.array([row[i] for row in ends]) for i in (1, 2))
    for first, second in ((0, 1), (0, SIZE - 1), (SIZE // 2, 5)):
        a[:] = 0.0
        a[:, first], a[:, second] = 1.0, [row[0] for row in ends]
        c = matmul(a, np.ones((SIZE, 8)))
        _require(bool(((c >= low[:, None]) & (c <= high[:, None])).all()), "ties")


def _probe_small(matmul: Matmul) -> None:
    """Products around the smallest doubles: kept or flushed, nothing else."""
    step = np.arange(SIZE, dtype=np.float64)
    for case, scale in (("subnormal results", -1060), ("subnormal operands", -1070)):
        left = np.ldexp(1.0, -530) if case == "subnormal results" else 1.0
        a = np.outer(1 + step[:8], 1 + step) * left
        b = np.full((SIZE, 8), np.ldexp(1.0, scale + 530 if case == "subnormal results" else scale))
        c = matmul(a, b)
        exact = np.ldexp((1 + step[:8]) * float((1 + step).sum()), scale)  # exact in gradual underflow
        _require(bool(((c >= 0) & (c <= np.maximum(2 * exact, 2.0**-1020)[:, None])).all()), case)
