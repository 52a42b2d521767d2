"""The only module of the trusted ring that imports flint.

Guarantees: products of integer matrices are exact (FLINT's ``fmpz_mat``); balls are Arb's; ``lower_float`` and
``upper_float`` never cross the end of a ball. ``ctx.prec`` is set here and nowhere else.

Integer matrices are multiplied *packed* (Kronecker substitution): the entries of a row of the right factor become
the 128-bit digits of one large integer, so that one multiply-add of FLINT serves a whole row and numpy arrays
convert to and from FLINT by bytes instead of entry by entry.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction

import numpy as np
from flint import arb, arb_mat, ctx, fmpq, fmpz, fmpz_mat
from numpy.typing import NDArray

from tlcheck.trusted.arith.int128 import Int, Wide

__all__ = [
    "PRECISION",
    "Arb",
    "Packed",
    "arb",
    "arb_mat",
    "ball",
    "compare_nonnegative",
    "compare_positive",
    "current_precision",
    "exact_ball",
    "floor_float",
    "fmpz_mat",
    "lower_float",
    "number_text",
    "packed_product",
    "small_matrix",
    "upper_float",
    "working_precision",
]

Arb = arb
PRECISION = 128
"""Default precision of balls, in bits."""

_FIELD = 128
_BLOCK = 2048
"""Digits per large integer: 32 KiB, so that a row of operands stays in cache."""


@contextmanager
def working_precision(bits: int) -> Iterator[None]:
    """Arb's working precision inside the block. Not reentrant across threads (FLINT's is global)."""
    before = ctx.prec
    ctx.prec = bits
    try:
        yield
    finally:
        ctx.prec = before


def current_precision() -> int:
    """Arb's working precision, in bits."""
    return int(ctx.prec)


def lower_float(x: arb) -> float:
    """A double <= every number of the ball; -inf when there is none."""
    if not x.is_finite():
        return -math.inf
    f = float(x.lower())
    while not arb(f) <= x.lower():
        f = math.nextafter(f, -math.inf)
        if f == -math.inf:
            break
    return f


def floor_float(q: Fraction) -> float:
    """The largest double <= q; -inf below them all."""
    try:
        f = q.numerator / q.denominator  # correctly rounded
    except OverflowError:
        return -math.inf if q < 0 else math.nextafter(math.inf, 0)
    n, d = f.as_integer_ratio()
    return f if n * q.denominator <= q.numerator * d else math.nextafter(f, -math.inf)


def upper_float(x: arb) -> float:
    """A double >= every number of the ball; inf when there is none."""
    return -lower_float(-x)


def ball(q: Fraction) -> arb:
    """The rational as a ball at the working precision."""
    return arb(fmpq(q.numerator, q.denominator))


def exact_ball(mantissa: int, exponent: int) -> arb:
    """mantissa * 2^exponent, exactly (whatever the working precision)."""
    return arb(fmpz(mantissa)) * arb(2) ** exponent if not mantissa else arb((fmpz(mantissa), fmpz(exponent)))


def compare_positive(x: arb) -> bool:
    """True only if every number of the ball is finite and > 0."""
    return bool(x.is_finite() and x > 0)


def compare_nonnegative(x: arb) -> bool:
    """True only if every number of the ball is finite and >= 0."""
    return bool(x.is_finite() and x >= 0)


def number_text(x: arb, direction: str, digits: int = 17) -> tuple[str, str]:
    """(decimal, hex) of a double at or beyond the ball's end: ``direction`` "down" is its lower end, "up" its upper.

    The decimal is rounded further in the same direction, so it bounds the ball as well.
    """
    f = lower_float(x) if direction == "down" else upper_float(x)
    return decimal_outward(f, direction, digits), f.hex()


def decimal_outward(f: float, direction: str, digits: int = 17) -> str:
    """A decimal with at most ``digits`` significant digits on the ``direction`` side of the double ``f``."""
    if not math.isfinite(f):
        return repr(f)
    if f == 0:
        return "0"
    exact = Fraction(f)
    exponent = math.floor(math.log10(abs(f))) - digits + 1
    scale = Fraction(10) ** exponent
    scaled = exact / scale
    n = math.floor(scaled) if direction == "down" else math.ceil(scaled)
    sign, digits_text = ("-" if n < 0 else ""), str(abs(n))
    point = len(digits_text) + exponent
    digits_text = digits_text.rstrip("0")
    if 0 < point <= 16:
        whole, rest = digits_text[:point].ljust(point, "0"), digits_text[point:]
        return f"{sign}{whole}.{rest}" if rest else f"{sign}{whole}"
    if -4 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits_text}"
    rest = f".{digits_text[1:]}" if digits_text[1:] else ""
    return f"{sign}{digits_text[0]}{rest}e{point - 1}"


class Packed:
    """The rows of an integer matrix (K, N), packed for products from the left. Entries: |w| < 2^62."""

    def __init__(self, rows: Int) -> None:
        self.shape = (int(rows.shape[0]), int(rows.shape[1]))
        self._blocks = [_pack_block(rows[:, s : s + _BLOCK]) for s in range(0, self.shape[1], _BLOCK)]

    def blocks(self, rows: list[int] | None) -> Iterator[fmpz_mat]:
        """The packed rows, or some of them, block by block, each a column of large integers."""
        for block in self._blocks:
            yield block if rows is None else fmpz_mat(len(rows), 1, [block[k, 0] for k in rows])


def small_matrix(a: Int) -> fmpz_mat:
    """An int64 matrix as a FLINT matrix."""
    return fmpz_mat(int(a.shape[0]), int(a.shape[1]), a.reshape(-1).tolist())


def packed_product(a: Int, packed: Packed) -> Wide:
    """A B exactly, for int64 A (M, K) and packed B (K, N); every |entry| must be below 2^126. Returns (M, N).

    Columns of A that are zero throughout (inactive neurons) take no part.
    """
    n = packed.shape[1]
    m = int(a.shape[0])
    used = np.flatnonzero(a.any(axis=0))
    everything = used.size == a.shape[1]
    matrix = small_matrix(a if everything else a[:, used])
    hi = np.zeros((m, n), np.int64)
    lo = np.zeros((m, n), np.uint64)
    if not used.size:
        return hi, lo
    for b, block in enumerate(packed.blocks(None if everything else used.tolist())):
        start = b * _BLOCK
        stop = min(n, start + _BLOCK)
        for i, value in enumerate((matrix * block).entries()):
            hi[i, start:stop], lo[i, start:stop] = unpack(value, stop - start)
    return hi, lo


def pack(digits: Int) -> fmpz:
    """sum_j digits[j] 2^(128 j), |digits| < 2^62."""
    fields = np.zeros((digits.size, 2), np.uint64)
    fields[:, 0] = (digits + np.int64(1 << 62)).view(np.uint64)
    return fmpz(int.from_bytes(fields.tobytes(), "little")) - _bias(digits.size, 62)


def unpack(value: fmpz, n: int) -> Wide:
    """The n signed 128-bit digits of ``value``; each must be below 2^127 in magnitude."""
    raw = int(value + _bias(n, 127)).to_bytes(16 * n, "little")
    fields = np.frombuffer(raw, np.uint64).reshape(n, 2)
    return (fields[:, 1] ^ np.uint64(1 << 63)).view(np.int64), fields[:, 0]


_BIASES: dict[tuple[int, int], fmpz] = {}


def _bias(n: int, bit: int) -> fmpz:
    """sum_{j<n} 2^(128 j + bit)"""
    key = (n, bit)
    if key not in _BIASES:
        if len(_BIASES) > 256:
            _BIASES.clear()
        _BIASES[key] = fmpz(1 << bit) * ((fmpz(1) << (_FIELD * n)) - 1) // ((fmpz(1) << _FIELD) - 1)
    return _BIASES[key]


def _pack_block(rows: Int) -> fmpz_mat:
    return fmpz_mat(int(rows.shape[0]), 1, [pack(np.ascontiguousarray(row)) for row in rows])


def floats_to_balls(values: NDArray[np.floating]) -> list[arb]:
    """Each float as an exact ball."""
    return [arb(v) for v in values.astype(np.float64).reshape(-1).tolist()]
