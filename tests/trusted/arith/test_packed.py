"""Products of packed integer matrices are exact, at the ends of their range too."""

from __future__ import annotations

import numpy as np
import pytest

from tlcheck.trusted.arith import packed as lib


@pytest.mark.parametrize("n", [1, 2, 5, 2047, 2048, 2049, 4100])
def test_packed_product_is_exact(n: int) -> None:
    rng = np.random.default_rng(n)
    w = rng.integers(-(1 << 52), (1 << 52) + 1, (3, n))
    w[:, rng.random(n) < 0.3] = 0
    w[0, 0], w[1, n - 1] = -(1 << 61), (1 << 62) - 1
    a = rng.integers(-(1 << 59), 1 << 59, (4, 3))
    a[0], a[1, 0] = (1 << 59) - 1, -(1 << 62)
    idle, one = a.copy(), np.zeros_like(a)
    idle[:, 1] = 0
    one[2, 2] = -1
    for left in (a, idle, one, np.zeros_like(a), np.zeros((0, 3), np.int64)):
        hi, lo = lib.packed_product(left, lib.Packed(w))
        assert (
            hi.astype(object) * (1 << 64) + lo.astype(object) == left.astype(object) @ w.astype(object)
        ).all()


def test_pack_and_unpack_are_inverse_at_the_ends() -> None:
    top = (1 << 62) - 1
    digits = np.array([0, top, -top, -1, 1, -top, top, 0], np.int64)
    hi, lo = lib.unpack(lib.pack(digits), digits.size)
    assert (hi.astype(object) * (1 << 64) + lo.astype(object) == digits.astype(object)).all()
    limit = (1 << 127) - 1
    values = [limit, -limit, 0, -1, limit, -limit]
    total = sum(v << (128 * i) for i, v in enumerate(values))
    hi, lo = lib.unpack(lib.fmpz_mat(1, 1, [total])[0, 0], len(values))
    assert (hi.astype(object) * (1 << 64) + lo.astype(object)).tolist() == values
    with pytest.raises(OverflowError):
        lib.unpack(lib.fmpz_mat(1, 1, [1 << (128 * 6)])[0, 0], 6)
