"""True claims whose evidence is too weak: UNPROVEN, and rightly so."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from digits import P, model_file
from packing import Bundle, Case
from proofs import one_disjunct, split_elsewhere, teeth
from properties import vnnlib1
from reject import each_slope, property_of

F = Fraction

SIGMOID_OF_QUARTER = "0.56217650088579810402732363790294635383795939625766937"
"""53 digits of sigmoid(1/4), rounded down: it differs by less than 2^-128."""


def root_only(b: Bundle) -> None:
    """One leaf: the guidance of leaf 0 for the whole region."""
    kind = b.array("tree/kind")
    leaf = int(np.flatnonzero((kind == 1) & (b.array("tree/below") == 0))[0])
    b.arrays["c0/tree/roots"] = np.full_like(b.array("tree/roots"), leaf)


def cases() -> Iterator[Case]:
    def case(name: str, bundle: Bundle, code: str, note: str) -> Case:
        return Case("undecided", name, bundle.content(), 4, code, note)

    strict = property_of(split_elsewhere(), [(F(-1), F(1))], ["(< Y_0 0)"])
    yield case(
        "exact-tie-strict", strict, "TLC010", "|x| < 0 never holds, but these slopes are for the other side"
    )
    yield case("too-few-splits", one_disjunct().edited(root_only), "TLC010", "true, but not by one leaf")
    yield case("region-not-cut", teeth().edited(root_only), "TLC010", "an input range without input splits")
    yield case(
        "slopes-not-tuned", one_disjunct().edited(each_slope(np.zeros_like)), "TLC010", "every slope 0"
    )
    sigmoid = Bundle(
        {
            "model.onnx": model_file("logistic"),
            P: vnnlib1(1, [(F(0), F(1))], [f"(>= Y_0 {SIGMOID_OF_QUARTER})"]),
        }
    )
    yield case(
        "precision-too-low", sigmoid.add_sat([F(1, 4)]), "TLC012", "decided at --precision 512, not at 128"
    )
    third = Bundle(
        {
            "model.onnx": model_file("absolute"),
            P: vnnlib1(1, [(F(0), F(1))], ["(>= (* 3 Y_0) 1)", "(<= (* 3 Y_0) 1)"]),
        }
    )
    yield case(
        "equality-at-a-third",
        third.add_sat([F(1, 3)]),
        "TLC012",
        "3 y = 1 at x = 1/3: no ball is a third exactly",
    )
