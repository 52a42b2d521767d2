"""A tripwire for native kernels that do not round downwards.

The bounds of ``directed`` hold for kernels whose every operation rounds towards minus infinity, gradual underflow included.
``rounds`` calls each of them on numbers whose exact results fall between two doubles, in every place of a vector, and
compares bits with rational arithmetic. Passing it proves nothing about other calls.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.arb import floor_float
from tlcheck.trusted.arith.directed import Kernels
from tlcheck.trusted.arith.tiles import Tiles

Floats = NDArray[np.float64]

WIDTH = 67
"""A tile and a bit: whole vectors and what is left over."""


class KernelsRefused(Exception):
    """Kernels that do not round as asked, so that their bounds would prove nothing."""


def rounds(kernels: Kernels) -> None:
    """Raise KernelsRefused unless the kernels round downwards on the numbers of this module."""
    rng = np.random.default_rng(20261130)
    for scale in (0, 400, -530):  # products near 1, near the largest doubles, subnormal
        a, b, c = (np.ldexp(rng.uniform(-2, 2, WIDTH), scale) for _ in range(3))
        c = np.ldexp(c, scale)
        for name, found, exact in _cases(kernels, a, b, c):
            wanted = [floor_float(x) for x in exact]
            if found.reshape(-1).tolist() != wanted:
                raise KernelsRefused(f"the kernels do not round downwards: {name}, numbers near 2^{scale}")


def _cases(kernels: Kernels, a: Floats, b: Floats, c: Floats) -> Iterator[tuple[str, Floats, list[Fraction]]]:
    """(kernel, its results, what they are before rounding): a_j b_j + c_j, or one a times every b_j."""
    products, sums = (_sums(a, b, z) for z in (0 * c, c))
    none, low, minus_high = np.zeros((1, WIDTH)), c[None, :].copy(), -c[None, :]
    kernels.scale(a, b[None, :], b[None, :], low, minus_high)
    yield "scale", low, sums
    yield "scale", minus_high, [-x for x in sums]
    block, line = a[None, None, :], (b[None, :], none)
    result, _ = kernels.step(block, c[None, None, :], (*line, *line), none, np.zeros((1, 1)))
    yield "step", result, sums
    column = (a[:, None, None], np.zeros((WIDTH, 1)), b[:, None])
    _, value = kernels.step(column[0], None, (column[1], column[2]) * 2, column[1], np.zeros((WIDTH, 1)))
    yield "step", value, products
    yield "concretise", kernels.concretise(column[0], column[2], column[2], np.zeros((WIDTH, 1))), products
    yield "concretise", kernels.concretise(column[0], None, None, b[:, None].copy()), _sums(a, 1 + 0 * a, b)
    one = Tiles(b[None, None, :].copy(), np.zeros((1, 1), np.int32), 1, 1)
    first = np.full(WIDTH, a[0])
    low, minus_high = c[None, :].copy(), -c[None, :]
    kernels.affine(one, first[None, :1], first[None, :1], low, minus_high)
    yield "affine", low, _sums(first, b, c)
    yield "affine", minus_high, [-x for x in _sums(first, b, c)]
    result, _ = kernels.adjoint(one, first[None, None, :1], none)
    yield "adjoint", result, _sums(first, b, 0 * c)
    each = Tiles(np.full((1, 1, 1), b[0]), one.link, 1, 1)
    _, charges = kernels.adjoint(each, column[0], np.ones((1, 1)))
    pairs = [(floor_float(x), floor_float(-x)) for x in _sums(a, 0 * b + b[0], 0 * c)]
    yield "adjoint's charges", charges, [Fraction(low) + Fraction(high) for low, high in pairs]


def _sums(a: Floats, b: Floats, c: Floats) -> list[Fraction]:
    return [
        Fraction(x) * Fraction(y) + Fraction(z)
        for x, y, z in zip(a.tolist(), b.tolist(), c.tolist(), strict=True)
    ]
