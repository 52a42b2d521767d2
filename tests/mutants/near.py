"""Which tests are near which module: arguments of pytest, beneath ``tests/``; the most dangerous modules first.

Quick ones that fail when the module is wrong, not all that reach it: every mutant that lives costs all of them.
"""

from __future__ import annotations

from typing import Final

_BALL64 = ("trusted/arith/test_ball64_charges.py",) + tuple(
    f"trusted/arith/test_ball64_engine.py::test_{name}"
    for name in (
        "image", "adjoint", "residual", "refuses_bad_coefficients_and_constants", "refuses_bad_boxes",
        "multiplier_needs_one_row_a_domain", "too_many_terms_are_refused", "constants_dominate_what_they_stand_for",
        "long_dot_products_drop_terms", "unit_seeds_go_through_a_matrix_exactly",
    )
)  # fmt: skip
_DECIDING = (
    "trusted/test_same_leaves.py",
    "trusted/test_audit.py",
    "trusted/test_ties.py",
    "trusted/test_guidance_of_regions.py",
)

NEAR: Final[dict[str, tuple[str, ...]]] = {
    "trusted/arith/ball64": _BALL64,
    "trusted/arith/integer": ("trusted/arith/test_integer_engine.py",),
    "trusted/arith/integer_convolution": ("trusted/arith/test_integer_engine.py",),
    "trusted/arith/int128": ("trusted/arith/test_int128.py",),
    "trusted/arith/packed": ("trusted/arith/test_packed.py",),
    "trusted/arith/arb": (
        "trusted/arith/test_arb.py",
        "trusted/science/test_conditions.py::test_ends_are_outward",
        "trusted/science/test_conditions.py::test_ends_beyond_doubles",
    ),
    "trusted/arith/box": (
        "trusted/arith/test_box.py",
        "trusted/arith/test_ball64_engine.py::test_box_refuses_nan",
    ),
    "trusted/arith/float32": ("trusted/arith/test_float32.py",),
    "trusted/arith/constant": ("trusted/arith/test_balls.py",),
    "trusted/arith/balls": ("trusted/arith/test_balls.py",),
    "trusted/arith/formula": ("trusted/arith/test_balls.py",),
    "trusted/arith/maps": (
        "trusted/arith/test_integer_engine.py::test_image",
        "trusted/arith/test_integer_engine.py::test_adjoint",
    ),
    "trusted/intervals": ("trusted/test_intervals.py",),
    "trusted/linear_bounds": (
        "trusted/test_linear_bounds.py",
        "trusted/test_windows.py",
        "trusted/test_gap.py",
        "readers/test_two_models.py",
        *_DECIDING,
    ),
    "trusted/cover": ("trusted/test_cover.py",),
    "trusted/decide": ("trusted/test_decide.py", "trusted/test_witness.py"),
    "trusted/tally": ("trusted/test_decide.py", "trusted/science/test_conditions.py"),
    "trusted/witness": ("trusted/test_witness.py",),
    "trusted/conditions": ("trusted/science/test_conditions.py",),
    "trusted/leaf_pass": _DECIDING,
    "trusted/plan": (*_DECIDING, "trusted/test_decide_soundness.py"),
    "trusted/bounds": ("trusted/test_windows.py", *_DECIDING),
    "trusted/windows": ("trusted/test_windows.py",),
    "trusted/zonotopes": ("trusted/test_zonotopes.py",),
    "trusted/rounding": ("trusted/test_radii.py",),
    "trusted/query": ("trusted/test_query.py",),
    "trusted/graph": ("trusted/test_query.py",),
    "trusted/network": ("trusted/test_windows.py",),
    "trusted/ops/bent": (
        "trusted/test_interval_ops.py",
        "trusted/test_relaxed_ops.py",
        "trusted/test_radii.py",
    ),
    "trusted/ops/smooth": ("trusted/test_nonlinear.py", "trusted/test_interval_ops.py"),
    "trusted/ops/s_shaped": ("trusted/test_nonlinear.py", "trusted/test_interval_ops.py"),
    "trusted/ops/product": ("trusted/test_relaxed_ops.py", "trusted/test_radii.py"),
    "trusted/ops/selection": (
        "trusted/test_relaxed_ops.py",
        "trusted/test_neighbours.py::test_lines_of_a_selection_hold",
    ),
    "trusted/ops/gap": ("trusted/test_gap.py",),
    "trusted/ops/smooth_gap": ("trusted/test_gap.py",),
    "trusted/ops/window_gap": ("trusted/test_gap.py",),
    "trusted/ops/product_gap": ("trusted/test_gap.py",),
    "readers/onnx/call": ("readers/test_onnx.py",),
    "readers/onnx/table": ("readers/test_onnx.py", "readers/test_onnx_table.py"),
    "readers/onnx/standard": ("readers/test_onnx.py", "readers/test_onnx_table.py"),
    "readers/vnnlib/version1": ("readers/test_vnnlib.py",),
    "readers/vnnlib/normal_form": ("readers/test_vnnlib.py",),
    "readers/vnnlib/version2": ("readers/test_vnnlib.py",),
    "readers/bundle/manifest": ("readers/test_bundle.py",),
    "readers/bundle/evidence": ("readers/test_bundle.py",),
    "readers/bundle/arrays": ("readers/test_bundle.py",),
    "readers/decimals": ("readers/test_vnnlib.py",),
    "readers/strict_json": ("readers/test_bundle.py",),
}
"""Module, without ``tlcheck/`` and ``.py`` -> its near tests."""
