"""Cases that must not be CERTIFIED: proofs with one thing broken, false claims, and witnesses that are none.

A false unsat claim carries its counterexample: a point that satisfies the property, which tests confirm exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from math import nextafter
from typing import Any

import numpy as np
from digits import (
    P,
    Point,
    bundle_of,
    centre,
    crossing,
    digits_box,
    image,
    label,
    model_file,
    robust,
    scores,
)
from models import load_trained, onnx_of
from packing import Bundle, Case, zip_of
from proofs import (
    as_list,
    dominates,
    one_disjunct,
    reordered,
    split_elsewhere,
    split_proof,
    teeth,
    two_boxes,
    two_inputs,
)
from properties import around, beats, loses, vnnlib1
from prove import INPUTS, LINES

F = Fraction
RIVAL = 8
"""The digit that one_disjunct() is about."""


# Evidence with one thing wrong; the claim is still true.


def broken() -> Iterator[tuple[str, Bundle, str, str]]:
    """(name, bundle, reason code, note)."""
    base, n = one_disjunct(), one_disjunct().array("leaves/claimed").size
    listed = as_list(base)
    yield (
        "missing-branch",
        reordered(listed, [k for k in range(n) if k != 5]),
        "TLC017",
        "an unordered list without leaf 5",
    )
    starts = base.array("leaves/split_ptr").astype(int)
    sides = base.array("leaves/split_side")
    upper = [k for k in range(n) if sides[starts[k]] == 1]
    yield "one-sided-cover", reordered(listed, upper), "TLC017", "only the leaves above the first split"
    yield (
        "duplicate-leaf",
        reordered(listed, [4 if k == 5 else k for k in range(n)]),
        "TLC017",
        "leaf 4 twice, leaf 5 never",
    )
    nine = as_list(split_proof())
    kept = [k for k, d in enumerate(nine.array("leaves/disjunct").tolist()) if d != 3]
    yield "disjunct-without-leaf", reordered(nine, kept), "TLC017", "no leaf for disjunct 3"
    yield "empty-list-of-leaves", reordered(listed, []), "TLC017", "a list of no leaves"
    yield (
        "gap-between-split-points",
        listed.with_array("leaves/split_point", gap),
        "TLC017",
        "one leaf starts at 1/2, its sibling ends at 0",
    )
    yield (
        "sides-swapped-in-list",
        listed.with_array("leaves/split_side", first_flipped),
        "TLC017",
        "one literal points the other way",
    )

    kind, below = base.array("tree/kind"), base.array("tree/below").astype(int)
    root = int(base.array("tree/roots")[0])
    yield (
        "dropped-leaf",
        base.with_array("tree/above", at(root, below[root])),
        "TLC010",
        "both sides of the first split use one side's proof",
    )
    yield "swapped-children", base.edited(swap_children), "TLC010", "the root's children are swapped"
    leaf_rows = np.flatnonzero(kind == 1)
    yield (
        "leaves-rotated",
        base.with_array("tree/below", rotated(leaf_rows)),
        "TLC010",
        "every leaf has the guidance of another, twelve further on",
    )
    yield (
        "wrong-neuron-split",
        base.with_array("tree/index", at(root, (base.array("tree/index")[root] + 1) % 20)),
        "TLC010",
        "the tree splits the next neuron",
    )
    yield (
        "wrong-layer-split",
        base.with_array("tree/node", other_node(root)),
        "TLC010",
        "the tree splits another layer",
    )
    yield (
        "split-at-the-wrong-point",
        base.with_array("tree/point", at(root, 100.0)),
        "TLC010",
        "split where no value is: one child has it all",
    )
    yield "weights-all-zero", base.with_array("leaves/weight", np.zeros_like), "TLC010", "0 > 0 is no proof"
    yield (
        "weights-on-the-wrong-constraint",
        two_inputs().with_array("leaves/constraint", lambda a: (a + 1) % 3),
        "TLC010",
        "weights moved by one constraint",
    )
    yield (
        "weight-of-the-output-constraint-zero",
        dominates().with_array("leaves/weight", np.zeros_like),
        "TLC010",
        "no weight on the only constraint",
    )
    yield (
        "multipliers-huge",
        base.with_array("leaves/split_beta", lambda b: 1000 * (b + 1)),
        "TLC010",
        "multipliers a thousand times too large",
    )
    yield (
        "multipliers-dropped",
        dominates().with_array("leaves/split_beta", np.zeros_like),
        "TLC010",
        "multipliers 0 where they are needed",
    )
    yield (
        "multipliers-on-the-other-side",
        dominates().with_array("leaves/split_side", np.negative),
        "TLC010",
        "multipliers on literals that are not on the path",
    )
    yield "slopes-inverted", base.edited(each_slope(lambda a: 1 - a)), "TLC010", "every slope a is 1 - a"
    yield (
        "slopes-outside-range",
        base.edited(each_slope(lambda a: np.where(a > 0, -3, 7.5).astype(np.float32))),
        "TLC010",
        "slopes -3 and 7.5 are not believed",
    )
    yield (
        "lines-too-steep",
        robust("sigmoid", 0, "0.06", LINES).edited(each_slope(lambda a: np.full_like(a, 2.0), "shared")),
        "TLC010",
        "sound lines of slope 2 prove nothing",
    )
    yield (
        "bounds-of-the-whole-region",
        teeth().edited(lambda b: b.claims[0]["evidence"].update(per_leaf_bounds=False)),
        "TLC010",
        "input splits without bounds in each leaf",
    )


def at(row: int, value: float) -> Callable[[Any], Any]:
    def change(a: Any) -> Any:
        a = a.astype(np.float64 if isinstance(value, float) else np.int32)
        a[row] = value
        return a

    return change


def gap(points: Any) -> Any:
    points[0] = 0.5
    return points


def first_flipped(sides: Any) -> Any:
    sides[0] = -sides[0]
    return sides


def swap_children(b: Bundle) -> None:
    root = int(b.array("tree/roots")[0])
    below, above = b.array("tree/below"), b.array("tree/above")
    below[root], above[root] = int(above[root]), int(below[root])


def rotated(rows: Any) -> Callable[[Any], Any]:
    def change(a: Any) -> Any:
        a[rows] = np.roll(a[rows], 12)
        return a

    return change


def other_node(root: int) -> Callable[[Any], Any]:
    def change(a: Any) -> Any:
        a[root] = next(v for v in a if v != a[root] and v >= 0)
        return a

    return change


def each_slope(change: Callable[[Any], Any], kind: str = "leaf") -> Callable[[Bundle], object]:
    def edit(b: Bundle) -> None:
        for name in list(b.arrays):
            if f"{kind}_slopes/" in name and not name.endswith("columns"):
                b.arrays[name] = change(b.arrays[name])

    return edit


# False claims, with a counterexample.


def false_claims() -> Iterator[tuple[str, Bundle, Point, str]]:
    """(name, bundle, counterexample, note). The evidence is a proof of the true claim next to it."""
    base, own = one_disjunct(), label(2)
    low = scores(base.files["model.onnx"], centre(2))
    known = low[RIVAL] - low[own]
    threshold = F(int((known - F(1, 1000)) * 1024), 1024) - F(1, 1024)
    yield (
        "tightened-threshold",
        property_of(base, digits_box(2, "0.0675"), [beats(own, RIVAL, threshold)]),
        centre(2),
        "the bound is moved past the image's own value",
    )
    yield (
        "other-label-claimed",
        property_of(base, digits_box(2, "0.0675"), [beats(RIVAL, own, F(0))]),
        centre(2),
        "the two digits are exchanged in the property",
    )
    point, eps = crossing("residual", 2, 1)
    wide = property_of(split_proof(), around(image(2), eps), [loses(own)])
    yield "property-widened", wide, point, "the radius reaches an image of another class"
    yield (
        "property-of-the-whole-cube",
        property_of(split_proof(), [(F(0), F(1))] * 64, [loses(own)]),
        centre(1),
        "the region is [0, 1]^64",
    )
    yield from changed_models()
    yield (
        "disjunct-added",
        disjunct_added(),
        centre(2),
        "a tenth disjunct, true at the image, with another disjunct's proof",
    )
    dropped = two_inputs().with_file(
        P,
        two_inputs()
        .files[P]
        .replace(b"(assert (>= V[0,0] U[0,0]))\n", b"")
        .replace(b"(assert (>= V[0,1] U[0,1]))\n", b""),
    )
    dropped = dropped.with_array("leaves/constraint", np.zeros_like)
    yield (
        "constraints-dropped",
        dropped,
        (F("0.5"), F("0.5"), F("0.25"), F("0.25")),
        "without the constraints that order u and v",
    )
    moved = (
        two_boxes()
        .files[P]
        .replace(
            b"(>= X_0 0.5) (<= X_0 1) (>= X_1 -1) (<= X_1 -0.5)",
            b"(>= X_0 0.5) (<= X_0 1) (>= X_1 0.5) (<= X_1 1)",
        )
    )
    yield (
        "second-box-moved",
        two_boxes().with_file(P, moved),
        (F("0.75"), F("0.75")),
        "the second box lies where x y is positive",
    )
    half = F("0.75")
    yield (
        "touches-the-threshold",
        property_of(split_elsewhere(), [(-half, half)], ["(>= Y_0 0.75)"]),
        (half,),
        "|x| >= 3/4 holds at the box's ends only",
    )
    ulp = F(nextafter(0.75, 0))
    yield (
        "one-ulp-too-wide",
        property_of(split_elsewhere(), [(-ulp, half)], ["(>= Y_0 0.75)"]),
        (half,),
        "true on [-3/4 + ulp, 3/4 - ulp], false at 3/4",
    )
    yield (
        "non-strict-at-the-minimum",
        property_of(split_elsewhere(), [(F(-1), F(1))], ["(<= Y_0 0)"]),
        (F(0),),
        "|x| < 0 never holds, |x| <= 0 does",
    )
    yield (
        "mixed-constraint-turned",
        property_of(dominates(), [(F(-1), F(1))] * 2, ["(>= (- Y_0 0.125) X_0)"]),
        (F(-1), F(1)),
        "max(x0, x1) <= x0 + 1/8 is false",
    )
    small = property_of(teeth(), [(F(0), F(1))], ["(>= Y_0 0.984375)"])
    yield "sawtooth-tips", small, (F(1, 16),), "the tips reach 1"
    for name, change, note in believed():
        yield name, small.edited(change), (F(1, 16),), note
    yield from rounding()


def property_of(base: Bundle, box: Sequence[tuple[Fraction, Fraction]], formulas: Sequence[str]) -> Bundle:
    return base.with_file(P, vnnlib1(base.graph().n_outputs, box, formulas))


def believed() -> Iterator[tuple[str, Callable[[Bundle], object], str]]:
    """False claims that a checker would pass if it believed one array."""

    def claimed(b: Bundle) -> None:
        b.arrays["c0/leaves/claimed"] = np.full(b.array("leaves/claimed").shape, 1e6)

    def heavy(b: Bundle) -> None:
        b.arrays["c0/leaves/split_beta"] = np.full(b.array("leaves/split_beta").shape, 1e6)

    def far(b: Bundle) -> None:
        b.arrays["c0/tree/point"] = np.where(b.array("tree/kind") == 0, 1e300, 0.0)

    def tiny(b: Bundle) -> None:
        b.arrays["c0/leaves/weight"] = np.full(b.array("leaves/weight").shape, 5e-324)

    yield "claimed-bound-believed", claimed, "the producer claims a margin of a million"
    yield "multipliers-believed", heavy, "multipliers of a million on the input splits"
    yield "split-outside-the-region", far, "every input split at 1e300"
    yield "weights-subnormal", tiny, "weights of 2^-1074"


def disjunct_added() -> Bundle:
    base = split_proof()
    more = loses(label(2))[:-1] + f" (and (>= Y_{label(2)} Y_0)))"
    changed = property_of(base, digits_box(2, "0.06"), [more])
    return changed.with_array("tree/roots", lambda r: np.append(r, r[-1]))


def changed_models() -> Iterator[tuple[str, Bundle, Point, str]]:
    """The model is changed and its hash taken again: binding passes, the claim is false."""
    base, own = one_disjunct(), label(2)
    weights = load_trained()[0]["residual"]
    low = scores(base.files["model.onnx"], centre(2))
    bias = weights["4.bias"].copy()
    bias[RIVAL] += np.float32(int(low[own] - low[RIVAL]) + 2)
    yield (
        "bias-shifted",
        with_weights(base, {"4.bias": bias}),
        centre(2),
        "one bias of the last layer is larger",
    )
    yield (
        "last-layer-negated",
        with_weights(base, {"4.weight": -weights["4.weight"], "4.bias": -weights["4.bias"]}),
        centre(2),
        "the last layer has the other sign",
    )
    for row in range(20):
        column = weights["4.weight"].copy()
        column[RIVAL, row] += np.float32(64)
        changed = with_weights(base, {"4.weight": column})
        y = scores(changed.files["model.onnx"], centre(2))
        if y[RIVAL] > y[own] + 1:
            yield "model-perturbed", changed, centre(2), "one weight is larger by 64"
            return
    raise ValueError("no single weight turns the answer")


def with_weights(base: Bundle, changes: dict[str, Any]) -> Bundle:
    return base.with_file("model.onnx", onnx_of("residual", {**load_trained()[0]["residual"], **changes}))


def rounding() -> Iterator[tuple[str, Bundle, Point, str]]:
    """True of every float32 execution, false of the function (Zombori et al. 2021; Jia and Rinard 2021)."""
    truth = bundle_of("backdoor", vnnlib1(1, [(F("0.5"), F(1))], ["(>= Y_0 0.75)"]), INPUTS)
    lie = property_of(truth, [(F("0.5"), F(1))], ["(>= Y_0 0.25)"])
    yield "backdoor-rounding", lie, (F("0.75"),), "float32 gives relu(1/2 - x) = 0 here, the function is 1/2"
    truth = bundle_of("rounded-away", vnnlib1(1, [(F(0), F(1))], ["(>= Y_0 0.25)"]), INPUTS)
    lie = property_of(truth, [(F(0), F(1))], ["(>= Y_0 1e-10)"])
    yield "rounded-away", lie, (F(1),), "float32 gives 0 everywhere, the function reaches 2^-30"


# Witnesses that are none.


def witnesses() -> Iterator[tuple[str, Bundle, str]]:
    absolute = Bundle(
        {"model.onnx": model_file("absolute"), P: vnnlib1(1, [(F(-1), F("0.75"))], ["(>= Y_0 0.5)"])}
    )
    yield "witness-fails", absolute.copy().add_sat([F("0.25")]), "|1/4| >= 1/2"
    yield "witness-outside", absolute.copy().add_sat([F(1)]), "outside the region; the constraint holds there"
    yield (
        "witness-one-ulp-outside",
        absolute.copy().add_sat([F(nextafter(0.75, 1))]),
        "one double above the region's end",
    )
    yield (
        "witness-1e-4-outside",
        absolute.copy().add_sat([F("0.7501")]),
        "within the competition's tolerance, outside the region",
    )
    strict = absolute.with_file(P, vnnlib1(1, [(F(-1), F(1))], ["(> Y_0 0.5)"]))
    yield "witness-on-a-strict-bound", strict.add_sat([F("-0.5")]), "y > 1/2 at y = 1/2"
    third = absolute.with_file(P, vnnlib1(1, [(F(-1), F(1))], ["(>= (* 3 Y_0) 1)"]))
    yield "witness-rounded", third.add_sat([F("0.333333333333333333333")]), "a decimal a little below 1/3"
    gaps = absolute.with_file(
        P,
        vnnlib1(
            1, [(F(-1), F(1))], ["(or (and (<= X_0 -0.5) (>= Y_0 0.5)) (and (>= X_0 0.5) (>= Y_0 0.5)))"]
        ),
    )
    yield "witness-between-two-boxes", gaps.add_sat([F(0)]), "in neither box"
    box = digits_box(0, "0.05")
    digits = Bundle({"model.onnx": model_file("mlp"), P: vnnlib1(10, box, [loses(label(0))])})
    yield (
        "witness-of-another-image",
        digits.copy().add_sat(centre(1)),
        "another image, far outside the radius",
    )
    yield (
        "witness-is-the-image-itself",
        digits.copy().add_sat(centre(0)),
        "the image is classified as labelled",
    )
    tied = Bundle({"model.onnx": model_file("rounded-away"), P: vnnlib1(1, [(F(0), F(1))], ["(<= Y_0 0)"])})
    yield "witness-true-in-float32-only", tied.add_sat([F(1)]), "float32 gives y = 0, the function 2^-30"


def cases() -> Iterator[Case]:
    for name, bundle, code, note in broken():
        yield Case("reject", name, bundle.content(), 4, code, note)
    for name, bundle, point, note in false_claims():
        yield Case("reject", name, zip_of(bundle.content()), 4, "TLC010", note, point)
    for name, bundle, note in witnesses():
        yield Case("reject", name, zip_of(bundle.content()), 1, "TLC011", note)
