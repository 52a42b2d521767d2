"""Products of matrices in TF32, emulated: operands cut, exact products, blocks added with 24 bits; all lie inside the radius."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.helpers import IEEE
from tests.readers.test_quantized import model, node
from tests.trusted.test_stored import ratio
from tlcheck.cli.main import main
from tlcheck.readers.onnx import read_model
from tlcheck.readers.runtime_profile import chosen_profile

Array = NDArray[np.float64]
TF32 = replace(IEEE, tf32=True)


def cut(x: Array, nearest: bool) -> Array:
    """To 10 bits after the leading one."""
    m, e = np.frexp(x)
    scaled = np.ldexp(m, 11)
    return np.asarray(np.ldexp(np.rint(scaled) if nearest else np.trunc(scaled), e - 11))


def product(a: Array, b: Array, block: int, nearest: bool) -> Array:
    """a b: blocks of products and the sum so far, each truncated to 24 bits below the largest of them."""
    a, b = cut(a, nearest), cut(b, nearest)
    total = np.zeros((len(a), b.shape[1]))
    for k in range(0, a.shape[1], block):
        terms = np.concatenate([a[:, k : k + block, None] * b[None, k : k + block], total[:, None]], axis=1)
        unit = np.ldexp(1.0, np.frexp(np.abs(terms).max(axis=1))[1] - 24)
        total = (np.trunc(terms / unit[:, None]) * unit[:, None]).sum(axis=1)
        total = np.trunc(total / unit) * unit
    return total


@pytest.mark.parametrize("k", [3, 64, 1000])
@pytest.mark.parametrize("block", [4, 16])
@pytest.mark.parametrize("nearest", [True, False])
def test_sums_lie_inside(k: int, block: int, nearest: bool) -> None:
    rng = np.random.default_rng(k)
    x, w = (np.abs(rng.normal(size=s)).astype(np.float32).astype(float) for s in ((4, k), (k, 3)))
    for y in (w, w * rng.choice([-1, 1], w.shape)):
        graph = read_model(model([node("MatMul", "x w", "y")], {"w": y.astype(np.float32)}, x.shape))
        found = product(x, y, block, nearest)
        assert 1e-4 < ratio(graph, x, found, TF32) <= 1
        if y is w and not nearest:
            assert ratio(graph, x, found) > 1


def test_a_product_of_two_variables() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8, 8)).astype(np.float32).astype(float)
    graph = read_model(model([node("MatMul", "x x", "y")], {}, x.shape))
    assert 1e-3 < ratio(graph, x, product(x, x, 4, False), TF32) <= 1


def test_other_operations_stay_float32() -> None:
    graph = read_model(model([node("Mul", "x c", "y")], {"c": np.float32(0.3)}, (1, 4)))
    x = np.array([[1.1, 2.3, 0.7, 0.1]])
    y = x * float(np.float32(0.3)) * (1 + 2.0**-20)
    assert ratio(graph, x, y, TF32) > 1


def test_the_option_is_a_profile(capsys: pytest.CaptureFixture[Any]) -> None:
    assert chosen_profile("ieee-tf32").numbers.tf32 and not IEEE.tf32
    proof = "certificates/accept/digits-mlp/x.tlcert"
    assert main(["verify", proof, "--semantics", "deployed", "--tf32", "-v"]) == 0
    assert (
        "TF32: operands cut to 10 bits" in (said := capsys.readouterr().out) and "profile ieee-tf32" in said
    )
    assert main(["verify", proof, "--semantics", "deployed", "-v"]) == 0
    assert "no TF32" in capsys.readouterr().out
    assert main(["verify", proof, "--tf32", "--profile", "ieee-basic"]) == 2
