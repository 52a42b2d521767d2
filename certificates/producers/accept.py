"""Cases that are CERTIFIED: proofs found by ``prove.py``, and witnesses. The other groups start from these."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cache

import numpy as np
from models import HAND_MADE, load_trained, onnx_of, sequential_files
from packing import ARCHITECTURE, WEIGHTS, Bundle, Case, gzip_stored, zip_of
from properties import around, beats, loses, vnnlib1, vnnlib2
from prove import INPUTS, LINES, NEURONS, prove

from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.guidance import Guidance

F = Fraction
P = "property.vnnlib"


class NoProof(Exception):
    """The producer gave up: the case is not what it should be."""


@cache
def model_file(name: str) -> bytes:
    if name in HAND_MADE:
        return HAND_MADE[name]()
    return onnx_of(name, load_trained()[0][name])


def image(k: int) -> list[int]:
    return [int(v) for v in load_trained()[1]["images"][k]]


def label(k: int) -> int:
    return int(load_trained()[1]["labels"][k])


def digits_box(k: int, eps: str) -> list[tuple[Fraction, Fraction]]:
    return around(image(k), F(eps))


def bundle_of(model: str, prop: bytes, kind: str = NEURONS, max_leaves: int = 64, **options: bool) -> Bundle:
    """A bundle with one unsat claim and its proof. Raises NoProof."""
    if model == "sequential":
        weights, architecture = sequential_files(load_trained()[0]["sequential"])
        bundle = Bundle({WEIGHTS: weights, ARCHITECTURE: architecture, P: prop})
    else:
        bundle = Bundle({"model.onnx": model_file(model), P: prop})
    return bundle.add_unsat(guidance_of(bundle, kind, max_leaves, P, **options))


def guidance_of(
    bundle: Bundle, kind: str = NEURONS, max_leaves: int = 64, prop: str = P, **options: bool
) -> Guidance:
    found = prove(UnsatClaim(bundle.graph(), bundle.query(prop)), kind, max_leaves, **options)
    if found is None:
        raise NoProof(f"no proof with {max_leaves} leaves")
    return found


def robust(
    model: str, k: int, eps: str, kind: str = NEURONS, max_leaves: int = 64, **options: bool
) -> Bundle:
    """No point within ``eps`` of image k is taken for another digit; VNN-LIB 1.0."""
    return bundle_of(model, vnnlib1(10, digits_box(k, eps), [loses(label(k))]), kind, max_leaves, **options)


# Proofs that other groups start from.


@cache
def split_proof() -> Bundle:
    """Neuron splits with multipliers on the residual net: some 15 leaves over 9 disjuncts."""
    return robust("residual", 2, "0.06")


@cache
def one_disjunct() -> Bundle:
    """Neuron splits on the residual net, one disjunct, so that every leaf is of one tree."""
    return bundle_of("residual", vnnlib1(10, digits_box(2, "0.0675"), [beats(label(2), 8, F(0))]))


@cache
def teeth() -> Bundle:
    """The sawtooth stays at most 1 on [0, 1]: cut at the multiples of 1/16."""
    return bundle_of("sawtooth", vnnlib1(1, [(F(0), F(1))], ["(>= Y_0 1.015625)"]), INPUTS)


@cache
def dominates() -> Bundle:
    """max(x0, x1) >= x0: a constraint that mixes input and output, and needs a split."""
    return bundle_of("maximum", vnnlib1(1, [(F(-1), F(1))] * 2, ["(<= (+ Y_0 0.125) X_0)"]))


@cache
def two_boxes() -> Bundle:
    """A disjunction over two boxes, each with its own bound, for the surface x y."""
    low = "(and (>= X_0 -1) (<= X_0 -0.5) (>= X_1 -1) (<= X_1 -0.5) (<= Y_0 0.03125))"
    high = "(and (>= X_0 0.5) (<= X_0 1) (>= X_1 -1) (<= X_1 -0.5) (>= Y_0 -0.03125))"
    return bundle_of("surface", vnnlib1(1, [(F(-1), F(1)), (F(-1), F(1))], [f"(or {low} {high})"]), INPUTS)


@cache
def two_inputs() -> Bundle:
    """Several inputs, VNN-LIB 2.0: g(v) > g(u) where v lies above u, unless their sums say otherwise."""
    u, v = [(F(0), F("0.5"))] * 2, [(F("0.25"), F(1))] * 2
    formulas = ["(>= Y[0,0] (+ Y[0,1] 0.0625))", "(>= V[0,0] U[0,0])", "(>= V[0,1] U[0,1])"]
    return bundle_of("pair", vnnlib2([("U", (1, 2), u), ("V", (1, 2), v)], ("Y", (1, 2)), formulas))


def as_list(bundle: Bundle, claim: int = 0) -> Bundle:
    """The same proof as an unordered list of leaves, last leaf first in the file's order of disjuncts."""
    from tlcheck.trusted.cover import leaves
    from tlcheck.trusted.guidance import LEAF, Tree

    graph, prefix = bundle.graph(), f"c{claim}/"
    nodes = bundle.claims[claim]["evidence"]["nodes"]
    columns = {
        name: bundle.array(f"tree/{name}", claim).astype(np.int64)
        for name in ("kind", "node", "index", "below", "above", "roots")
    }
    real = np.array([graph.names[n] for n in nodes] or [0])
    columns["node"] = np.where(columns["kind"] == LEAF, 0, real[np.maximum(columns["node"], 0)])
    tree = Tree(**columns, point=bundle.array("tree/point", claim).astype(float))
    count = bundle.array("leaves/claimed", claim).size
    disjunct = np.zeros(count, np.uint8)
    for leaf in leaves(tree, [n.size for n in graph.nodes], count, 1000):
        disjunct[leaf.guidance] = leaf.disjunct

    def edit(b: Bundle) -> None:
        for name in [n for n in b.arrays if n.startswith(f"{prefix}tree/")]:
            del b.arrays[name]
        b.arrays[f"{prefix}leaves/disjunct"] = disjunct

    return bundle.edited(edit)


def reordered(bundle: Bundle, order: Sequence[int], claim: int = 0) -> Bundle:
    """An unordered list of leaves in another order (leaves may be left out or repeated)."""
    changed = bundle.copy()
    at = f"c{claim}/"
    a = changed.arrays
    for kind, names in (
        ("constraint", ("constraint", "weight")),
        ("split", ("split_node", "split_index", "split_side", "split_point", "split_beta")),
    ):
        starts = a[f"{at}leaves/{kind}_ptr"].astype(np.int64)
        picked = [np.arange(starts[k], starts[k + 1]) for k in order]
        rows = np.concatenate(picked) if picked else np.zeros(0, np.int64)
        for name in names:
            a[f"{at}leaves/{name}"] = a[f"{at}leaves/{name}"][rows]
        a[f"{at}leaves/{kind}_ptr"] = np.cumsum([0, *(p.size for p in picked)]).astype(np.int32)
    for name in list(a):
        if name.startswith(at) and (
            name.endswith(("leaves/disjunct", "leaves/claimed"))
            or ("leaf_slopes/" in name and not name.endswith("columns"))
        ):
            a[name] = a[name][list(order)]
    return changed


def split_elsewhere() -> Bundle:
    """|x| < 3/4 on [-5/8, 5/8], split at 1/4 and then at 0: split points need not be kinks."""
    from prove import Candidate, Search

    from tlcheck.trusted.cover import Literal

    bundle = Bundle(
        {"model.onnx": model_file("absolute"), P: vnnlib1(1, [(F("-0.625"), F("0.625"))], ["(>= Y_0 0.75)"])}
    )
    graph = bundle.graph()
    z = graph.names["first"]
    paths = [
        (Literal(z, 0, 1, 0.25),),
        (Literal(z, 0, -1, 0.25), Literal(z, 0, -1, 0.0)),
        (Literal(z, 0, -1, 0.25), Literal(z, 0, 1, 0.0)),
    ]
    search = Search(UnsatClaim(graph, bundle.query()), NEURONS, 3)
    candidates = [Candidate(path, (1.0,), (), (0.0,) * len(path)) for path in paths]
    return bundle.add_unsat(search.assemble([candidates]))


def several_claims() -> Bundle:
    """Two unsat claims and a witness about one model."""
    bundle = robust("mlp", 0, "0.05")
    bundle.claims[0]["name"] = "image 0"
    box = digits_box(1, "0.05")
    bundle.files["second.vnnlib"] = vnnlib1(10, box, [loses(label(1))])
    bundle.add_unsat(guidance_of(bundle, prop="second.vnnlib"), "second.vnnlib", "image 1")
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
    from reject import crossing

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
        robust("mlp", 1, "0.06", intermediate=True),
        "slopes for intermediate bounds too",
    )
    yield case(
        "digits-mlp-no-slopes",
        robust("mlp", 3, "0.02", own_slopes=False),
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
    return bundle_of("backdoor", vnnlib1(1, [(F(0), F(1))], ["(<= Y_0 0.25)"]))
