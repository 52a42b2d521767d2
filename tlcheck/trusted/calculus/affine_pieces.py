"""Piecewise linear networks of one variable, cut at every kink, exactly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from math import lcm
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.calculus.layers import Layer, ScalarNetwork


class TooManyPieces(ArithmeticError):
    """A piecewise linear network has more pieces, or longer exact numbers, than are looked at."""


@dataclass(frozen=True)
class AffinePiece:
    """On [start, end] the function is value + slope t, exactly."""

    start: Fraction
    end: Fraction
    value: Fraction
    slope: Fraction


Integers = NDArray[np.object_]


MAX_SCALE_BITS: Final = 1 << 16
"""Of the common denominator of a layer's values; a deep network of doubles has some hundred bits a layer."""


def affine_pieces(
    network: ScalarNetwork,
    start: Fraction,
    end: Fraction,
    limit: int,
    tick: Callable[[], None] = lambda: None,
) -> list[AffinePiece]:
    """A piecewise linear network on [start, end], cut at every kink, exactly. Raises TooManyPieces beyond ``limit``.

    Before each relu the values are affine on the piece, (a + b t)/d in integers. A neuron changes sign at most once on it,
    at -a/b. Cut there, no sign changes inside a sub-piece, so its middle tells which neurons are active on all of it.
    """
    one, zero = np.array([1], object), np.array([0], object)
    pieces: list[tuple[Fraction, Fraction, Integers, Integers, int]] = [(start, end, zero, one, 1)]
    for layer in network.layers:
        d = _common_denominator(layer)
        weight = np.array([[int(q * d) for q in row] for row in layer.weight], object)
        bias = np.array([int(q * d) for q in layer.bias], object)
        cut: list[tuple[Fraction, Fraction, Integers, Integers, int]] = []
        for left, right, a, b, scale in pieces:
            tick()
            if (scale * d).bit_length() > MAX_SCALE_BITS:
                raise TooManyPieces("exact values have too many digits")
            a, b, scale = weight.dot(a) + bias * scale, weight.dot(b), scale * d
            kinks = _roots(a, b, left, right) if layer.activation == "relu" else []
            for low, high in zip([left, *kinks], [*kinks, right], strict=True):
                if layer.activation == "relu":
                    middle = (low + high) / 2
                    active = (a * middle.denominator + b * middle.numerator) > 0
                    cut.append((low, high, np.where(active, a, 0), np.where(active, b, 0), scale))
                else:
                    cut.append((low, high, a, b, scale))
            if len(cut) > limit:
                raise TooManyPieces(f"more than {limit} pieces")
        pieces = cut
    return [AffinePiece(p, q, Fraction(a[0], d), Fraction(b[0], d)) for p, q, a, b, d in pieces]


def _common_denominator(layer: Layer) -> int:
    d = 1
    for q in (*chain.from_iterable(layer.weight), *layer.bias):
        d = lcm(d, q.denominator)
        if d.bit_length() > MAX_SCALE_BITS:
            raise TooManyPieces("weights have too many digits")
    return d


def _roots(a: Integers, b: Integers, left: Fraction, right: Fraction) -> list[Fraction]:
    """The t strictly between ``left`` and ``right`` where some a_k + b_k t is zero."""
    found: Sequence[Fraction] = [Fraction(-p, q) for p, q in zip(a, b, strict=True) if q]
    return sorted({t for t in found if left < t < right})
