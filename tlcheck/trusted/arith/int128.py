"""Arrays of signed 128-bit integers, as (hi: int64, lo: uint64), value = hi * 2^64 + lo.

Integer arithmetic of numpy only: exact, no floating-point rounding. Every function states its range; callers keep
values below 2^126 in magnitude.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Int = NDArray[np.int64]
UInt = NDArray[np.uint64]
Wide = tuple[Int, UInt]

_ONE = np.uint64(1)
_LOW = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)


def widen(x: Int) -> Wide:
    """int64 -> 128 bits."""
    return x >> np.int64(63), x.view(np.uint64)


def add(a: Wide, b: Wide) -> Wide:
    """a + b, exact while the sum fits 127 bits."""
    lo = a[1] + b[1]
    return a[0] + b[0] + (lo < b[1]).astype(np.int64), lo


def negate(a: Wide) -> Wide:
    """-a"""
    lo = ~a[1] + _ONE
    return ~a[0] + (lo == 0).astype(np.int64), lo


def multiply(a: Int, b: Int) -> Wide:
    """a * b for |a|, |b| < 2^63, exact. Broadcasts."""
    sign = (a ^ b) < 0
    ua, ub = np.abs(a).view(np.uint64), np.abs(b).view(np.uint64)
    a1, a0 = ua >> _32, ua & _LOW
    b1, b0 = ub >> _32, ub & _LOW
    low = a0 * b0
    mid = a1 * b0 + (low >> _32)
    mid2 = a0 * b1 + (mid & _LOW)
    high = a1 * b1 + (mid >> _32) + (mid2 >> _32)
    positive: Wide = (high.view(np.int64), (mid2 << _32) | (low & _LOW))
    negative = negate(positive)
    return np.where(sign, negative[0], positive[0]), np.where(sign, negative[1], positive[1])


def bit_length(a: Wide) -> Int:
    """For each entry, b with |a| <= 2^b (at most 2 above the least)."""
    flip = a[0] >> np.int64(63)
    hi = (a[0] ^ flip).astype(np.float64)
    lo = (a[1] ^ flip.view(np.uint64)).astype(np.float64)
    # frexp(x) = (m, e) with x < 2^e for exact x; conversion to float may round up to the next power: e covers it.
    high_bits = np.frexp(hi)[1].astype(np.int64)
    low_bits = np.frexp(lo)[1].astype(np.int64)
    return np.where(hi > 0, high_bits + 64, low_bits) + 1


def row_bit_length(a: Wide) -> Int:
    """For each row of a (M, n) array, b with |entry| <= 2^b for all entries (at most 2 above the least)."""
    if a[0].shape[1] == 0:
        return np.zeros(a[0].shape[0], np.int64)
    flip = a[0] >> np.int64(63)
    top = (a[0] ^ flip).max(axis=1).astype(np.float64)
    bits: Int = np.frexp(top)[1].astype(np.int64) + 65
    low = np.flatnonzero(top == 0)
    if low.size:
        small = (a[1][low] ^ flip[low].view(np.uint64)).max(axis=1).astype(np.float64)
        bits[low] = np.frexp(small)[1] + 1
    return bits


def shift_right_floor(a: Wide, s: Int) -> Int:
    """floor(a / 2^s) for s in [0, 127]; the result must fit int64."""
    su = s.astype(np.uint64)
    if s.size and int(s.min()) > 0 and int(s.max()) < 64:
        joined: UInt = (a[1] >> su) | (a[0].view(np.uint64) << (np.uint64(64) - su))
        return joined.view(np.int64)
    small = s < 64
    k = np.where(small, su, su - np.uint64(64))
    up = np.where(k > 0, a[0].view(np.uint64) << (np.uint64(64) - np.maximum(k, _ONE)), np.uint64(0))
    low = (a[1] >> k) | up
    high = a[0] >> k.astype(np.int64)
    return np.where(small, low.view(np.int64), high)


def rows_cut(a: Wide, s: Int) -> NDArray[np.bool_]:
    """For each row of a (M, n) array, whether floor(entry / 2^s[row]) loses anything: some bit below s is set (0 <= s <= 127)."""
    if a[0].shape[1] == 0:
        return np.zeros(a[0].shape[0], np.bool_)
    lo = np.bitwise_or.reduce(a[1], axis=1)
    hi = np.bitwise_or.reduce(a[0].view(np.uint64), axis=1)
    su = np.clip(s, 0, 127).astype(np.uint64)
    small = np.minimum(su, np.uint64(63))  # of 64 and more, all of lo counts
    large = np.where(su > 64, su, np.uint64(64)) - np.uint64(64)
    below = np.where(su >= 64, lo, lo & ((_ONE << small) - _ONE))
    return np.asarray((below != 0) | ((hi & ((_ONE << large) - _ONE)) != 0))
