"""Each step of affine forms by itself, against exact rationals: with the same symbols, what it gives is within its rest."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from tests.trusted.test_relaxed_ops import Net
from tlcheck.trusted.affine_forms import AffineForm, Forms, spread_up
from tlcheck.trusted.arith.ball64 import Ball64
from tlcheck.trusted.arith.box import Box
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.network import Network
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.affine import Linear, Scale, Sum

D, S = 2, 4
Exact = Fraction | int
SEEDS = pytest.mark.parametrize("seed", range(8))


def random_form(rng: np.random.Generator, n: int, size: float = 2.0**-60) -> AffineForm:
    """Of numbers of many magnitudes; its own rest is small, so that what a step must add to it counts."""
    centre, terms = (rng.normal(0, 1, s) * 2.0 ** rng.integers(-30, 30, s) for s in ((D, n), (D, S, n)))
    return AffineForm(centre, terms, np.abs(rng.normal(0, size, (D, n))), spread_up(terms))


def within(form: AffineForm, d: int, k: int, centre: Fraction, terms: list[Fraction], rest: Fraction) -> bool:
    """Every centre + terms . symbols + r, |r| <= rest, is value k of the form in domain d, with the same symbols."""
    off = abs(centre - Fraction(form.centre[d, k])) + rest
    mine = [Fraction(x) for x in form.terms[d, :, k].tolist()]
    off += sum((abs(a - b) for a, b in zip(terms, mine, strict=True)), Fraction(0))
    return off <= Fraction(form.rest[d, k]) and sum(map(abs, mine), Fraction(0)) <= Fraction(
        form.spread[d, k]
    )


def forms(net: Net, output: int) -> Forms:
    return Forms(Network(net.graph(output)), Ball64(), D)


def magnitude(x: AffineForm) -> np.ndarray:
    return (np.abs(x.centre) + x.spread + x.rest) * (1 + 2.0**-40)


@SEEDS
@pytest.mark.parametrize("radii", [False, True])
def test_matrices(seed: int, radii: bool) -> None:
    rng, n, m = np.random.default_rng([1, seed]), 5, 3
    w, b = rng.normal(0, 1, (n, m)), rng.normal(0, 1, m) * 2.0**20
    wr, br = (np.abs(rng.normal(0, 2.0**-10, x.shape)) if radii else None for x in (w, b))
    net, x = Net(n), random_form(rng, n, 1.0 if seed % 2 else 0.0)
    made = forms(net, net.add(Linear(Constant(w, wr), Constant(b, br)), 0))
    affine = made.network.affine[1]
    assert affine is not None
    found = made._affine(affine, [(x, magnitude(x))])
    for d, k in np.ndindex(D, m):
        column = [Fraction(v) for v in w[:, k].tolist()]
        of = [
            [a * Fraction(v) for a, v in zip(column, r, strict=True)]
            for r in [x.centre[d].tolist(), *x.terms[d].tolist()]
        ]
        rest = sum(
            (abs(a) * Fraction(v) for a, v in zip(column, x.rest[d].tolist(), strict=True)), Fraction(0)
        )
        if radii:
            reach = [
                abs(Fraction(c)) + sum(abs(Fraction(t)) for t in ts)
                for c, ts in zip(x.centre[d], x.terms[d].T, strict=True)
            ]
            rest += sum(
                (Fraction(a) * r for a, r in zip(wr[:, k], reach, strict=True)), Fraction(0)
            ) + Fraction(br[k])
        centre, *terms = [sum(r, Fraction(0)) for r in of]
        assert within(found, d, k, centre + Fraction(b[k]), terms, rest)


@SEEDS
def test_sums_and_factors(seed: int) -> None:
    rng, n = np.random.default_rng([2, seed]), 4
    f, b = rng.normal(0, 1, n), rng.normal(0, 1, n) * 2.0**20
    net, x, y = Net(n), random_form(rng, n), random_form(rng, n, 1.0 if seed % 2 else 2.0**-60)
    made = forms(net, net.add(Sum((1, -1)), net.add(Scale(Constant(f), Constant(b), 1), 0), 0))
    scale, plus = made.network.affine[1], made.network.affine[2]
    assert scale is not None and plus is not None
    scaled, total = (
        made._affine(scale, [(x, magnitude(x))]),
        made._affine(plus, [(x, magnitude(x)), (y, magnitude(y))]),
    )
    for d, k in np.ndindex(D, n):
        a, c = Fraction(f[k]), Fraction(b[k])
        own, other = (
            [Fraction(v) for v in (z.centre[d, k], z.rest[d, k], *z.terms[d, :, k])] for z in (x, y)
        )
        assert within(scaled, d, k, a * own[0] + c, [a * t for t in own[2:]], abs(a) * own[1])
        parts = [p - q for p, q in zip(own[2:], other[2:], strict=True)]
        assert within(total, d, k, own[0] - other[0], parts, own[1] + other[1])


@SEEDS
def test_relus_and_radii(seed: int) -> None:
    """A form's ReLU is the slope's multiple of it, and t / 2 with a symbol: t covers the bend at both ends of the box."""
    rng, n = np.random.default_rng([3, seed]), 6
    net, x = Net(n), random_form(rng, n, 1.0 if seed % 2 else 2.0**-60)
    made = forms(net, net.add(Relu(), 0))
    made.symbols = S
    low = x.box().lower
    box = Box(
        np.minimum(low, np.where(rng.random((D, n)) < 0.7, -np.abs(low), low)), np.maximum(x.box().upper, low)
    )
    radius = np.abs(rng.normal(0, 1, (1, n)))
    found = made._form(1, {0: x}, {0: box}, box, radius)
    with np.errstate(all="ignore"):
        chord = np.clip(box.upper / (box.upper - box.lower), 0.0, 1.0)
    for d, k in np.ndindex(D, n):
        l, u = (Fraction(v) for v in (box.lower[d, k], box.upper[d, k]))
        slope = Fraction(chord[d, k]) if l < 0 < u else Fraction(int(l >= 0))
        fresh = [Fraction(v) for v in found.terms[d, S:, k].tolist()]
        half = sum(fresh, Fraction(0))
        assert len([v for v in fresh if v]) == (1 if l < 0 < u else 0)
        assert 2 * half >= max(-slope * l, (1 - slope) * u) if l < 0 < u else half == 0
        own = [Fraction(v) for v in (x.centre[d, k], x.rest[d, k], *x.terms[d, :, k])]
        terms = [*(slope * t for t in own[2:]), *fresh]
        assert within(found, d, k, slope * own[0] + half, terms, slope * own[1] + Fraction(radius[0, k]))


@SEEDS
def test_boxes_of_forms(seed: int) -> None:
    x = random_form(np.random.default_rng([4, seed]), 5)
    box = x.box()
    for d, k in np.ndindex(D, 5):
        reach = sum((abs(Fraction(t)) for t in x.terms[d, :, k].tolist()), Fraction(x.rest[d, k]))
        assert Fraction(box.lower[d, k]) <= Fraction(x.centre[d, k]) - reach
        assert Fraction(box.upper[d, k]) >= Fraction(x.centre[d, k]) + reach
