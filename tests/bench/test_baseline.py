"""The float64 baseline agrees with what the verifier claimed and with the dumps' own recheck."""

from __future__ import annotations

import ast
import json

import numpy as np
import pytest

from tests.bench import baseline
from tests.helpers import DATA, needs_data

DUMPS = DATA / "abcrown"
SMALL = [  # split terms; convolutions; relaxation lines; sub-boxes
    "mnist_fc/256x2_prop_6_0.03",
    "oval21/base_img3161",
    "eran_sigmoid/6x200_idx_7955",
    "acasxu/net_3_6_prop_3",
]


@needs_data
@pytest.mark.parametrize("name", SMALL)
def test_agrees_with_the_dump(name: str) -> None:
    result = baseline.recompute(DUMPS / name)
    recheck = json.loads((DUMPS / "CHECKS.json").read_text())["results"][name]
    # The recheck didn't move the float32 lines outward; without lines it did the same arithmetic.
    tolerance = 1e-4 if result.kind == "lines" else 1e-9
    assert result.min_margin == pytest.approx(recheck["exact_box"]["min_margin_rederived"], abs=tolerance)
    with np.load(DUMPS / name / "arrays.npz") as arrays:
        np.testing.assert_allclose(result.leaf_bounds, arrays["leaf_lb"], rtol=1e-4, atol=1e-4)
        for k, (lower, upper) in result.layer_bounds.items():
            if result.kind == "input-box":
                leaves = arrays["debug_leaf"]
                claimed = arrays[f"debug_lb/{k}"].T, arrays[f"debug_ub/{k}"].T
                lower, upper = lower[:, leaves], upper[:, leaves]
            else:
                claimed = arrays[f"interm_lb/{k}"][:, None], arrays[f"interm_ub/{k}"][:, None]
            # Tighter than claimed is possible: the verifier kept an early pass's bound of some neurons.
            scale = 1e-4 * (1.0 + np.maximum(np.abs(claimed[0]), np.abs(claimed[1])))
            assert np.all(lower >= claimed[0] - scale)
            assert np.all(upper <= claimed[1] + scale)


@needs_data
def test_all_leaves_of_the_small_dumps_are_proved() -> None:
    assert baseline.main([str(DUMPS / name) for name in SMALL]) == 0


def test_imports_nothing_from_tlcheck() -> None:
    with open(baseline.__file__, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    modules |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not any(module.split(".")[0] in ("tlcheck", "tests") for module in modules)


def test_convolution_backward_is_the_adjoint_of_the_convolution() -> None:
    """a . conv(x) = (returned coefficients) . x + (returned constant), in exact small integers."""
    random = np.random.default_rng(1)
    weight = random.integers(-3, 4, (3, 2, 3, 2)).astype(np.float64)
    bias = random.integers(-3, 4, 3).astype(np.float64)
    geometry = {"strides": [2, 1], "dilations": [1, 2], "pads": [1, 0, 2, 1]}
    node = baseline.Node("Conv", ("x",), "y", (weight, bias), geometry, False)
    shape = baseline.output_shape(node, (2, 6, 5))
    network = baseline.Network((node,), {"x": (2, 6, 5), "y": shape}, "x", "y")
    x = random.integers(-3, 4, (2, 6, 5)).astype(np.float64)
    padded = np.pad(x, ((0, 0), (1, 2), (0, 1)))
    y = np.empty(shape)
    for f, i, j in np.ndindex(*shape):
        y[f, i, j] = bias[f] + (weight[f] * padded[:, 2 * i : 2 * i + 3, j : j + 3 : 2]).sum()
    a = random.integers(-3, 4, (y.size, 4)).astype(np.float64)
    (coefficients,), constant = baseline.through_conv(network, node, a)
    assert constant is not None
    np.testing.assert_array_equal(y.reshape(-1) @ a, x.reshape(-1) @ coefficients + constant)


@pytest.mark.parametrize("op", baseline.ACTIVATIONS)
def test_largest_gap_is_the_sampled_one(op: str) -> None:
    random = np.random.default_rng(2)
    w, b = random.uniform(-0.2, 1.2, 200) ** 3, random.normal(size=200)
    lower = random.normal(scale=3.0, size=200)
    upper = lower + random.exponential(2.0, 200)
    z = np.linspace(lower, upper, 4001)
    for sign in (1.0, -1.0):
        sampled = np.maximum(sign * (w * z + b - baseline.evaluate(op, z)), 0.0).max(axis=0)
        found = baseline.largest_gap(op, w, b, lower, upper, sign)
        assert np.all(found >= sampled - 1e-12)
        np.testing.assert_allclose(found, sampled, atol=1e-3)
