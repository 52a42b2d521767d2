"""The start-up probe passes on this machine's numpy and refuses every product that breaks the bounds' model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tlcheck.trusted.arith.probe import BlasRefused, probe

Matmul = Callable[[np.ndarray, np.ndarray], np.ndarray]


def planewise(product: Matmul) -> Matmul:
    """A product of two matrices, extended to stacks and vectors as numpy does."""

    def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        if b.ndim == 1:
            return product(a, b[:, None])[..., 0]
        if a.ndim == 3:
            return np.stack([product(x, b) for x in a])
        return product(a, b)

    return matmul


@planewise
def strassen(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if a.shape[0] % 2 or b.shape[1] % 2 or a.shape[1] % 2:
        return a @ b
    i, k, j = a.shape[0] // 2, a.shape[1] // 2, b.shape[1] // 2
    a11, a12, a21, a22 = a[:i, :k], a[:i, k:], a[i:, :k], a[i:, k:]
    b11, b12, b21, b22 = b[:k, :j], b[:k, j:], b[k:, :j], b[k:, j:]
    m1, m2, m3 = (a11 + a22) @ (b11 + b22), (a21 + a22) @ b11, a11 @ (b12 - b22)
    m4, m5, m6, m7 = (
        a22 @ (b21 - b11),
        (a11 + a12) @ b22,
        (a21 - a11) @ (b11 + b12),
        (a12 - a22) @ (b21 + b22),
    )
    return np.block([[m1 + m4 - m5 + m7, m3 + m5], [m2 + m4, m1 - m2 + m3 + m6]])


@planewise
def winograd(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Winograd's inner product: pairs of a's and b's entries are added before multiplying."""
    pairs = (a[:, None, 0::2] + b.T[None, :, 1::2]) * (a[:, None, 1::2] + b.T[None, :, 0::2])
    own = (a[:, 0::2] * a[:, 1::2]).sum(axis=1)[:, None] + (b[0::2] * b[1::2]).sum(axis=0)[None, :]
    return pairs.sum(axis=2) - own


def float32(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a.astype(np.float32) @ b.astype(np.float32)).astype(np.float64)


def scaled_float32(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """float32 mantissas with the range of doubles."""
    return cut(a, 24) @ cut(b, 24) if a.ndim + b.ndim > 1 else a


def tf32(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return cut(a, 11) @ cut(b, 11)


def cut(a: np.ndarray, bits: int) -> np.ndarray:
    mantissa, exponent = np.frexp(a)
    return np.ldexp(np.rint(np.ldexp(mantissa, bits)), exponent - bits)


def float32_sums(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Exact products, results rounded to 24 bits."""
    return cut(a @ b, 24)


def fixed_point(bits: int) -> Matmul:
    """Ozaki-type emulation: rows and columns as integers of a fixed number of bits, relative to their largest."""

    @planewise
    def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        ra = np.frexp(np.abs(a).max(axis=1))[1] - bits
        cb = np.frexp(np.abs(b).max(axis=0))[1] - bits
        ia, ib = integers(a, ra[:, None]), integers(b, cb[None, :])
        return np.ldexp((ia @ ib).astype(np.float64), ra[:, None] + cb[None, :])

    return matmul


def integers(a: np.ndarray, exponents: np.ndarray) -> np.ndarray:
    """a 2^-exponents, cut to Python integers."""
    return np.array([int(v) for v in np.ldexp(a, -exponents).reshape(-1).tolist()], dtype=object).reshape(
        a.shape
    )


@planewise
def reversed_sums(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Another order of summation: allowed."""
    total = np.zeros((a.shape[0], b.shape[1]))
    for k in reversed(range(a.shape[1])):
        total = total + np.outer(a[:, k], b[k])
    return total


@planewise
def flushed(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Subnormal operands and results flushed to zero: allowed."""
    a, b = (np.where(np.abs(x) < 2.0**-1022, 0.0, x) for x in (a, b))
    c = a @ b
    return np.where(np.abs(c) < 2.0**-1022, 0.0, c)


@planewise
def one_entry_off(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    c = a @ b
    c[-1, -1] *= 1 + 2.0**-40
    return c


@planewise
def drops_the_last_term(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[:, :-1] @ b[:-1]


def not_a_number(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a @ b) * np.nan


def test_passes_on_this_machine_and_is_little_work_once() -> None:
    products: list[int] = []

    def counted(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        products.append(a.size * (1 if b.ndim == 1 else b.shape[-1]))
        return np.matmul(a, b)

    probe.cache_clear()
    probe(counted)
    assert 10 < len(products) < 60 and sum(products) < 1e7  # some milliseconds of multiply-adds
    products.clear()
    probe(counted)
    assert products == []
    probe()


@pytest.mark.parametrize("matmul", [reversed_sums, flushed], ids=["reversed", "flushed"])
def test_passes_what_the_model_allows(matmul: Matmul) -> None:
    probe(matmul)


REFUSED: dict[str, Matmul] = {
    "strassen": strassen,
    "winograd": winograd,
    "float32": float32,
    "scaled-float32": scaled_float32,
    "tf32": tf32,
    "float32-sums": float32_sums,
    "fixed-point-55": fixed_point(55),
    "fixed-point-79": fixed_point(79),
    "fixed-point-200": fixed_point(200),
    "51-bit-sums": lambda a, b: cut(a @ b, 51),
    "one-entry-off": one_entry_off,
    "dropped-term": drops_the_last_term,
    "nan": not_a_number,
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name: str) -> None:
    with pytest.raises(BlasRefused, match="start-up probe"):
        probe(REFUSED[name])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_refusal_is_not_remembered_as_a_success() -> None:
    for _ in range(2):
        with pytest.raises(BlasRefused):
            probe(float32)
