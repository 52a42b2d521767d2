"""128-bit integers, against Python's."""

from __future__ import annotations

import random
from itertools import product

import numpy as np
import pytest

from tests.trusted.oracle import REPEATS
from tlcheck.trusted.arith import int128

EDGES = [
    0,
    1,
    2,
    3,
    (1 << 31) - 1,
    1 << 31,
    1 << 32,
    (1 << 32) - 1,
    1 << 53,
    (1 << 53) + 1,
    1 << 62,
    (1 << 63) - 1,
]
WIDE = sorted({s * (v + d) for v in (0, 1, 1 << 52, 1 << 53, 1 << 62, 1 << 63, 1 << 64, 1 << 65, 1 << 100, 1 << 117,
               1 << 125) for d in (-1, 0, 1) for s in (-1, 1)})  # fmt: skip


def random_int64(rng: np.random.Generator, n: int) -> np.ndarray:
    bits = rng.integers(0, 63, n)
    return (rng.integers(0, 1 << 62, n) >> (62 - bits)) * rng.choice([-1, 1], n)


def wide(values: list[int]) -> int128.Wide:
    hi = np.array([v >> 64 for v in values], np.int64)
    return hi, np.array([v & ((1 << 64) - 1) for v in values], np.uint64)


def ints(a: int128.Wide) -> list[int]:
    return [
        h * (1 << 64) + low
        for h, low in zip(a[0].reshape(-1).tolist(), a[1].reshape(-1).tolist(), strict=True)
    ]


def wide_values(rng: np.random.Generator) -> list[int]:
    drawn = [int(a) * int(b) for a, b in zip(random_int64(rng, 300), random_int64(rng, 300), strict=True)]
    return WIDE + drawn


def test_widen() -> None:
    values = [s * v for v in EDGES for s in (-1, 1)]
    assert ints(int128.widen(np.array(values, np.int64))) == values


def test_multiply() -> None:
    rng = np.random.default_rng(0)
    for _ in range(REPEATS):
        a = np.concatenate([np.repeat(EDGES, len(EDGES)), random_int64(rng, 2000)]).astype(np.int64)
        b = np.concatenate([np.tile(EDGES, len(EDGES)), random_int64(rng, 2000)]).astype(np.int64)
        for sign_a, sign_b in product((1, -1), repeat=2):
            want = [int(x) * sign_a * int(y) * sign_b for x, y in zip(a, b, strict=True)]
            assert ints(int128.multiply(a * sign_a, b * sign_b)) == want
    column = int128.multiply(a[:7, None], b[None, :5])
    assert ints(column) == [int(x) * int(y) for x in a[:7] for y in b[:5]]


def test_add_negate() -> None:
    rng = np.random.default_rng(1)
    for _ in range(REPEATS):
        values = wide_values(rng)
        other = [values[i] for i in rng.permutation(len(values))]
        assert ints(int128.add(wide(values), wide(other))) == [
            a + b for a, b in zip(values, other, strict=True)
        ]
        assert ints(int128.negate(wide(values))) == [-a for a in values]


@pytest.mark.parametrize("seed", range(5))
def test_row_bit_length_covers_every_entry_and_is_near(seed: int) -> None:
    rng = random.Random(seed)
    for limit in (1, 20, 62, 64, 66, 125):
        values = [rng.choice((-1, 1)) * rng.getrandbits(rng.randint(1, limit)) for _ in range(40)]
        hi, lo = wide(values)
        found = int128.row_bit_length((hi.reshape(4, 10), lo.reshape(4, 10)))
        for row, b in enumerate(found.tolist()):
            largest = max(abs(v) for v in values[10 * row : 10 * row + 10])
            assert largest <= 2**b and b <= largest.bit_length() + 2


@pytest.mark.parametrize("seed", range(5))
def test_shift_right_floor_by_less_than_a_word(seed: int) -> None:
    rng = random.Random(seed)
    shifts = [rng.randint(1, 63) for _ in range(60)]
    values = [rng.choice((-1, 1)) * rng.getrandbits(rng.randint(1, 60 + s)) for s in shifts]
    found = int128.shift_right_floor(wide(values), np.array(shifts))
    assert found.tolist() == [v >> s for v, s in zip(values, shifts, strict=True)]


def test_bit_length_covers_and_is_near() -> None:
    values = wide_values(np.random.default_rng(2))
    for v, b in zip(values, int128.bit_length(wide(values)).tolist(), strict=True):
        assert abs(v) <= 1 << b
        assert b <= abs(v).bit_length() + 2


def test_shift_right_floor() -> None:
    values = wide_values(np.random.default_rng(3))
    pairs = [(v, s) for v in values for s in range(128) if -(1 << 63) <= v >> s < 1 << 63]
    v, s = [p[0] for p in pairs], np.array([p[1] for p in pairs], np.int64)
    assert int128.shift_right_floor(wide(v), s).tolist() == [a >> k for a, k in pairs]


@pytest.mark.parametrize("s", [0, 1, 2, 62, 63, 64, 65, 126, 127])
def test_one_bit_below_is_seen_and_one_above_is_not(s: int) -> None:
    for k in range(127):
        for sign in (1, -1):
            hi, lo = wide([sign << k])
            assert int128.rows_cut((hi[None], lo[None]), np.array([s])).tolist() == [k < s]


def test_no_columns() -> None:
    none = np.zeros((3, 0), np.int64), np.zeros((3, 0), np.uint64)
    assert int128.row_bit_length(none).tolist() == [0, 0, 0]


@pytest.mark.parametrize("least", [0, 1])
def test_shift_right_floor_of_less_and_more_than_a_word(least: int) -> None:
    """All shifts positive, some of them a word or more."""
    values = wide_values(np.random.default_rng(4))
    pairs = [(v, s) for v in values for s in (least, 63, 64, 65, 127) if -(1 << 63) <= v >> s < 1 << 63]
    v, s = [p[0] for p in pairs], np.array([p[1] for p in pairs], np.int64)
    assert int128.shift_right_floor(wide(v), s).tolist() == [a >> k for a, k in pairs]


def test_rows_cut() -> None:
    """Whether floor(entry / 2^s) loses anything, in any row, against Python's integers."""
    rng = np.random.default_rng(5)
    for _ in range(200):
        s = rng.integers(0, 128, 4)
        lows = rng.integers(0, 127, (4, 3))
        exact = [[int(rng.integers(-(2**20), 2**20)) * (2 ** min(int(k), 100)) for k in row] for row in lows]
        hi = np.array([[x >> 64 for x in row] for row in exact], np.int64)
        lo = np.array([[x & (2**64 - 1) for x in row] for row in exact], np.uint64)
        wanted = [any(x % 2 ** int(k) for x in row) for row, k in zip(exact, s, strict=True)]
        assert int128.rows_cut((hi, lo), s.astype(np.int64)).tolist() == wanted
    assert (
        int128.rows_cut(
            (np.zeros((2, 0), np.int64), np.zeros((2, 0), np.uint64)), np.ones(2, np.int64)
        ).tolist()
        == [False] * 2
    )
