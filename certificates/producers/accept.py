"""Cases that are CERTIFIED: proofs that tlcheck's prover found, and witnesses."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import cache

from digits import (
    P,
    bundle_of,
    crossing,
    digits_box,
    image,
    label,
    model_file,
    proved,
    robust,
)
from packing import Bundle, Case, gzip_stored, zip_of
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
from properties import around, loses, vnnlib1, vnnlib2
from prove import BARE, BOUNDS, INPUTS, LINES

F = Fraction


def several_claims() -> Bundle:
    """Two unsat claims and a witness about one model."""
    bundle = robust("mlp", 0, "0.05")
    bundle.claims[0]["name"] = "image 0"
    box = digits_box(1, "0.05")
    bundle.files["second.vnnlib"] = vnnlib1(10, box, [loses(label(1))])
    proved(bundle, prop="second.vnnlib", name="image 1")
    bundle.files["whole-cube.vnnlib"] = vnnlib1(10, [(F(0), F(1))] * 64, [f"(>= Y_{label(1)} Y_{label(0)})"])
    return bundle.add_sat([F(v, 16) for v in image(1)], "whole-cube.vnnlib", "another image is another digit")


def packed() -> Bundle:
    """Model and property as gzip files."""
    plain = robust("mlp", 0, "0.04")
    packed_files = {
        "model.onnx.gz": gzip_stored(plain.files["model.onnx"]),
        "property.vnnlib.gz": gzip_stored(plain.files[P]),
    }
    claims = [{**plain.claims[0], "model": "model.onnx.gz", "property": "property.vnnlib.gz"}]
    return Bundle(packed_files, claims, plain.arrays)


def digits2() -> Bundle:
    """The same kind of claim in VNN-LIB 2.0."""
    box = digits_box(3, "0.03")
    worse = " ".join(f"(>= Y[0,{j}] Y[0,{label(3)}])" for j in range(10) if j != label(3))
    return bundle_of("mlp", vnnlib2([("X", (1, 64), box)], ("Y", (1, 10)), [f"(or {worse})"]))


def on_the_boundary() -> Bundle:
    """A witness at which both constraints hold with equality, exactly."""
    return Bundle(
        {
            "model.onnx": model_file("absolute"),
            P: vnnlib1(1, [(F(-1), F(1))], ["(>= Y_0 0.375)", "(<= Y_0 0.375)"]),
        }
    ).add_sat([F("-0.375")])


def attack() -> Bundle:
    """A witness that a digit's neighbourhood holds another digit: half way to another image and a bit."""
    point, eps = crossing("mlp", 0, 1)
    return Bundle(
        {"model.onnx": model_file("mlp"), P: vnnlib1(10, around(image(0), eps), [loses(label(0))])}
    ).add_sat(point)


def cases() -> Iterator[Case]:
    def case(name: str, bundle: Bundle, note: str, *, as_zip: bool = False) -> Case:
        files = bundle.content()
        code = "TLC002" if any(c["kind"] == "sat" for c in bundle.claims) else "TLC001"
        return Case("accept", name, zip_of(files) if as_zip else files, 0, code, note)

    yield case("digits-mlp", robust("mlp", 0, "0.06"), "robust around a digit, no splits", as_zip=True)
    yield case("digits-mlp-splits", robust("mlp", 2, "0.08"), "neuron splits with multipliers", as_zip=True)
    yield case(
        "digits-mlp-intermediate-slopes",
        robust("mlp", 1, "0.06", BOUNDS),
        "slopes for intermediate bounds too",
    )
    yield case(
        "digits-mlp-no-slopes",
        robust("mlp", 3, "0.02", BARE),
        "no slopes given: the checker's own",
    )
    yield case("digits-mlp-gzip", packed(), "model and property are gzip files")
    yield case("digits-mlp-vnnlib2", digits2(), "VNN-LIB 2.0", as_zip=True)
    yield case("digits-conv", robust("conv", 1, "0.06"), "two convolutions", as_zip=True)
    yield case(
        "digits-residual-splits", split_proof(), "a residual connection, neuron splits on both sides of it"
    )
    yield case("digits-residual-many-leaves", one_disjunct(), "one disjunct, many leaves", as_zip=True)
    yield case(
        "digits-residual-unordered-leaves", unordered(), "the same proof as an unordered list of leaves"
    )
    yield case("digits-sigmoid-lines", robust("sigmoid", 0, "0.06", LINES), "one line per sigmoid")
    yield case("digits-tanh-lines", robust("tanh", 1, "0.06", LINES), "one line per tanh", as_zip=True)
    yield case(
        "digits-pooled", robust("pooled", 1, "0.04"), "BatchNormalization, LeakyRelu, MaxPool, AveragePool"
    )
    yield case(
        "digits-safetensors",
        robust("sequential", 0, "0.05"),
        "weights in safetensors with an architecture file",
    )
    yield case("digits-several-claims", several_claims(), "two unsat claims and a witness", as_zip=True)
    yield case("digits-witness", attack(), "sat: an image of another class within the radius")
    yield case("absolute-split-away-from-zero", split_elsewhere(), "split points 1/4 and 0")
    yield case("absolute-witness-on-the-boundary", on_the_boundary(), "sat: y = 0.375 exactly")
    yield case("maximum-dominates-input", dominates(), "a constraint on input and output")
    yield case("pair-two-inputs", two_inputs(), "two inputs, constraints that mix them, input splits")
    yield case("sawtooth-input-splits", teeth(), "an output range by input splits", as_zip=True)
    yield case("surface-two-boxes", two_boxes(), "a disjunction over two boxes")
    yield case("empty-region", empty_region(), "the box is empty: nothing is left to prove")
    yield case(
        "backdoor-over-the-reals", backdoor(), "true of the exact function, false of every float32 execution"
    )


def unordered() -> Bundle:
    listed = as_list(one_disjunct())
    return reordered(listed, list(reversed(range(one_disjunct().array("leaves/claimed").size))))


def empty_region() -> Bundle:
    return bundle_of("absolute", vnnlib1(1, [(F(1), F(-1))], ["(>= Y_0 0)"]))


@cache
def backdoor() -> Bundle:
    return bundle_of("backdoor", vnnlib1(1, [(F(0), F(1))], ["(<= Y_0 0.25)"]), INPUTS)
