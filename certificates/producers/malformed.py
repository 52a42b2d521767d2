"""Bundles that are INVALID: something valid with one thing malformed, each refused in one line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
from accept import packed
from digits import P
from models import Writer, gemm
from packing import ARRAYS, MANIFEST, Bundle, Case, Files, Member, with_manifest, zip_bytes, zip_of
from proofs import as_list, one_disjunct, split_elsewhere
from properties import vnnlib1

F = Fraction
MODEL = "model.onnx"


def seed() -> Bundle:
    """Small and valid: |x| with three leaves."""
    return split_elsewhere()


def manifests() -> Iterator[tuple[str, Files, str, str]]:
    """(name, files, code, note): what is wrong is in manifest.json or between it and the files."""
    good = seed().content()

    def edited(change: Callable[[Any], object]) -> Files:
        document = json.loads(good[MANIFEST])
        change(document)
        return {**good, MANIFEST: json.dumps(document, indent=1).encode() + b"\n"}

    def text(old: str, new: str) -> Files:
        changed = good[MANIFEST].replace(old.encode(), new.encode(), 1)
        if changed == good[MANIFEST]:
            raise ValueError(f"{old} is not there")
        return {**good, MANIFEST: changed}

    flipped = good[MODEL][:-1] + bytes([good[MODEL][-1] ^ 1])
    yield "hash-mismatch", {**good, MODEL: flipped}, "TLC103", "the model's last bit is flipped"
    yield (
        "property-swapped-after-hashing",
        {**good, P: good[P].replace(b"0.75", b"0.76")},
        "TLC103",
        "another threshold, as long",
    )
    yield "size-mismatch", {**good, P: good[P] + b"\n"}, "TLC103", "one byte more than the manifest says"
    yield (
        "missing-model",
        {k: v for k, v in good.items() if k != MODEL},
        "TLC402",
        "the manifest lists a model that is not there",
    )
    yield "unlisted-file", {**good, "extra.txt": b"x"}, "TLC101", "a file the manifest does not list"
    yield "no-manifest", {k: v for k, v in good.items() if k != MANIFEST}, "TLC101", "no manifest.json"
    yield "unknown-field", edited(lambda d: d.update(tolerance=1e-6)), "TLC101", "a tolerance is no field"
    yield (
        "unknown-kind",
        edited(lambda d: d["claims"][0].update(kind="certified")),
        "TLC101",
        "a kind of claim that does not exist",
    )
    yield (
        "missing-field",
        edited(lambda d: d["claims"][0].pop("evidence")),
        "TLC101",
        "an unsat claim without evidence",
    )
    yield "wrong-type", edited(lambda d: d.update(claims={})), "TLC101", "claims is no list"
    yield (
        "no-claims",
        edited(lambda d: d.update(claims=[])),
        "TLC101",
        "an empty list of claims certifies nothing",
    )
    yield (
        "two-claims-of-one-name",
        edited(
            lambda d: d["claims"].extend([dict(d["claims"][0], name="a"), dict(d["claims"][0], name="a")])
        ),
        "TLC101",
        "names are distinct",
    )
    yield (
        "unknown-format",
        edited(lambda d: d.update(format="certificate")),
        "TLC102",
        "another format's name",
    )
    yield "future-version", edited(lambda d: d.update(version=3)), "TLC102", "a version that is not read"
    yield (
        "duplicate-key",
        text('"version": 1,', '"version": 1,\n "version": 1,'),
        "TLC106",
        "a key twice in one object",
    )
    yield "not-a-number-in-json", text('"version": 1,', '"version": NaN,'), "TLC106", "NaN is not JSON"
    yield (
        "number-out-of-range",
        text('"version": "1"', '"version": "1", "notes": {"a": 1e999}'),
        "TLC106",
        "no double holds 1e999",
    )
    yield (
        "deep-json",
        text('"version": "1"', '"version": "1", "notes": {"a": ' + "[" * 200 + "]" * 200 + "}"),
        "TLC106",
        "nested 200 deep",
    )
    yield (
        "truncated-manifest",
        {**good, MANIFEST: good[MANIFEST][: len(good[MANIFEST]) // 2]},
        "TLC106",
        "half a manifest",
    )
    yield (
        "manifest-not-utf-8",
        {**good, MANIFEST: good[MANIFEST].replace(b"corpus", b"corp\xffs")},
        "TLC106",
        "a byte that is no UTF-8",
    )
    yield (
        "property-not-listed",
        edited(lambda d: d["claims"][0].update(property="q.vnnlib")),
        "TLC101",
        "the claim names a file that is not listed",
    )
    yield (
        "path-escape",
        edited(lambda d: d["files"].update({"../secret": d["files"][P]})),
        "TLC404",
        "a path that leaves the bundle",
    )
    yield (
        "absolute-path",
        edited(lambda d: d["files"].update({"/etc/hostname": d["files"][P]})),
        "TLC404",
        "an absolute path",
    )
    yield (
        "backslash-path",
        edited(lambda d: d["files"].update({"..\\secret": d["files"][P]})),
        "TLC404",
        "a path that leaves the bundle on Windows",
    )
    yield (
        "no-such-tensor",
        edited(lambda d: d["claims"][0]["evidence"].update(nodes=["nowhere"])),
        "TLC104",
        "evidence about a tensor the model has not",
    )
    yield (
        "weights-without-architecture",
        edited(lambda d: d["claims"][0].update(model={"weights": MODEL})),
        "TLC101",
        "half of a model given by parts",
    )
    claim = {"kind": "sat", "model": MODEL, "property": P}
    plain = {MODEL: good[MODEL], P: good[P]}
    for name, witness, code, note in (
        ("witness-too-long", ["0.5", "0.5"], "TLC101", "two values for one input"),
        ("witness-not-a-number", ["nan"], "TLC101", "nan is no point"),
        ("witness-as-a-float", [0.5], "TLC101", "witnesses are exact texts"),
        ("witness-over-zero", ["1/0"], "TLC101", "a quotient by zero"),
    ):
        yield name, with_manifest(plain, [{**claim, "witness": witness}]), code, note


def arrays() -> Iterator[tuple[str, Files, str, str]]:
    """What is wrong is an array."""
    tree, base = one_disjunct(), seed()
    rows = tree.array("tree/kind").size
    slope = next(n for n in tree.arrays if n.endswith("/lower"))[3:]

    def put(name: str, change: Callable[[Any], Any], bundle: Bundle = base) -> Files:
        return bundle.with_array(name, change).content()

    def first(value: float) -> Callable[[Any], Any]:
        def change(a: Any) -> Any:
            a = a.astype(np.float64 if isinstance(value, float) else np.int32)
            a.flat[0] = value
            return a

        return change

    yield "nan-slopes", put(slope, first(float("nan")), tree), "TLC105", "a slope is NaN"
    yield (
        "infinite-multiplier",
        put("leaves/split_beta", first(float("inf"))),
        "TLC105",
        "a multiplier is infinite",
    )
    yield "negative-multiplier", put("leaves/split_beta", first(-0.5)), "TLC105", "a split multiplier below 0"
    yield "negative-weight", put("leaves/weight", first(-1.0)), "TLC105", "a constraint weight below 0"
    yield (
        "nan-split-point",
        put("tree/point", lambda a: np.full(a.shape, np.nan, np.float32)),
        "TLC105",
        "a split at NaN",
    )
    yield "wrong-shape", put(slope, lambda a: a[:, :-1], tree), "TLC105", "one column of slopes is missing"
    yield (
        "wrong-array-type",
        put("leaves/constraint", lambda a: a.astype(np.float32)),
        "TLC105",
        "floats where integers belong",
    )
    yield "missing-array", put("leaves/split_side", lambda _: None), "TLC105", "no sides"
    yield (
        "unknown-array",
        base.edited(lambda b: b.arrays.update({"c0/leaves/tolerance": np.ones(1)})).content(),
        "TLC105",
        "an array that is not in the format",
    )
    yield (
        "array-of-no-claim",
        base.edited(lambda b: b.arrays.update({"c7/leaves/weight": np.ones(1)})).content(),
        "TLC105",
        "a prefix that no claim has",
    )
    yield "cyclic-tree", put("tree/below", lambda a: cycle(base, a)), "TLC105", "the root is its own child"
    yield (
        "child-out-of-range",
        put("tree/above", lambda a: np.where(base.array("tree/kind") == 0, rows + 100, 0).astype(np.int32)),
        "TLC105",
        "a child that is no row",
    )
    yield (
        "leaf-out-of-range",
        put("tree/below", lambda a: np.where(base.array("tree/kind") == 1, 99, a).astype(np.int32)),
        "TLC105",
        "a leaf without guidance",
    )
    yield (
        "neuron-out-of-range",
        put("tree/index", lambda a: a + 7),
        "TLC105",
        "a split of a value that the node has not",
    )
    yield "row-neither-split-nor-leaf", put("tree/kind", lambda a: a + 1), "TLC105", "kind 2"
    yield "too-few-roots", put("tree/roots", lambda a: a[:0]), "TLC105", "no tree for the only disjunct"
    yield (
        "constraint-out-of-range",
        put("leaves/constraint", lambda a: a + 5),
        "TLC105",
        "a constraint that the disjunct has not",
    )
    yield (
        "falling-pointers",
        put("leaves/constraint_ptr", lambda a: a[::-1].copy()),
        "TLC105",
        "row pointers that fall",
    )
    yield "side-zero", put("leaves/split_side", lambda a: a * 0), "TLC105", "a literal with no side"
    both = as_list(base).edited(lambda b: b.arrays.update({"c0/tree/kind": base.array("tree/kind")}))
    yield "tree-and-list", both.content(), "TLC105", "both a tree and a list of leaves"
    packed_arrays = base.content()[ARRAYS]
    for name, data, code, note in (
        ("arrays-truncated", packed_arrays[:-4], "TLC403", "four bytes of data are missing"),
        ("arrays-header-too-long", b"\xff" * 8 + packed_arrays[8:], "TLC403", "a header of 2^64 - 1 bytes"),
        (
            "arrays-overlap",
            packed_arrays.replace(b'"data_offsets":[0,', b'"data_offsets":[4,', 1),
            "TLC105",
            "an array that does not start where the last one ends",
        ),
        ("arrays-empty", b"", "TLC403", "an empty file of arrays"),
    ):
        yield name, with_manifest({**base.files, ARRAYS: data}, base.claims), code, note


def cycle(base: Bundle, below: Any) -> Any:
    root = int(base.array("tree/roots")[0])
    below[root] = root
    return below


def models() -> Iterator[tuple[str, Files, str, str]]:
    """What is wrong is in the model, whose hash is right."""

    def model(data: bytes) -> Files:
        return seed().with_file(MODEL, data).content()

    def written(build: Callable[[Writer], object]) -> Files:
        w = Writer()
        build(w)
        return model(w.model({"x": (1, 1)}, {"y": (1, 1)}))

    good = seed().files[MODEL]
    yield (
        "unknown-operator",
        written(lambda w: w.node("NonMaxSuppression", ["x"], "y")),
        "TLC202",
        "NonMaxSuppression has no exact rule",
    )
    yield (
        "nan-weight",
        written(lambda w: gemm(w, "x", "y", [[float("nan")]], [0])),
        "TLC203",
        "a weight is NaN",
    )
    yield (
        "infinite-bias",
        written(lambda w: gemm(w, "x", "y", [[1]], [float("inf")])),
        "TLC203",
        "a bias is infinite",
    )
    yield (
        "shape-mismatch",
        written(lambda w: gemm(w, "x", "y", [[1, 1]], [0])),
        "TLC204",
        "a weight for two inputs, the model has one",
    )
    yield (
        "undefined-tensor",
        written(lambda w: w.node("Relu", ["nowhere"], "y")),
        "TLC201",
        "a node reads a tensor that nothing makes",
    )
    yield (
        "cyclic-graph",
        written(lambda w: (w.node("Add", ["x", "y"], "z"), w.node("Relu", ["z"], "y"))),
        "TLC201",
        "y depends on y",
    )
    yield (
        "unknown-domain",
        written(lambda w: w.node("Relu", ["x"], "y", domain="example.org")),
        "TLC202",
        "an operator of another domain",
    )
    yield "truncated-model", model(good[: len(good) // 2]), "TLC201", "half a model"
    yield "model-is-text", model(b"not a model\n"), "TLC201", "a text file"
    yield "model-empty", model(b""), "TLC201", "an empty file"
    yield "external-data", model(external()), "TLC205", "weights in a file that no hash binds"


def external() -> bytes:
    """A model whose weight claims to lie in ../weights.bin."""
    import onnx

    proto = onnx.load_from_string(seed().files[MODEL])
    weight = proto.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    entry = weight.external_data.add()
    entry.key, entry.value = "location", "../weights.bin"
    data: bytes = proto.SerializeToString(deterministic=True)
    return data


def properties() -> Iterator[tuple[str, Files, str, str]]:
    """What is wrong is in the property, whose hash is right."""

    def prop(data: bytes) -> Files:
        return seed().with_file(P, data).content()

    good = seed().files[P]
    yield "property-unbalanced", prop(good + b"(assert (<= Y_0 1)"), "TLC301", "a parenthesis is missing"
    yield "property-undeclared", prop(good + b"(assert (<= Y_1 1))\n"), "TLC301", "Y_1 is not declared"
    yield "property-not-linear", prop(good + b"(assert (<= (* Y_0 Y_0) 1))\n"), "TLC302", "a square"
    yield (
        "property-with-not",
        prop(good + b"(assert (not (<= Y_0 1)))\n"),
        "TLC302",
        "not is no part of VNN-LIB",
    )
    yield (
        "property-for-two-inputs",
        prop(vnnlib1(1, [(F(0), F(1))] * 2, ["(>= Y_0 3)"])),
        "TLC303",
        "the model has one input",
    )
    unbounded = b"\n".join(line for line in good.split(b"\n") if b"<= X_0" not in line)
    yield "property-unbounded", prop(unbounded), "TLC304", "an input without upper bound"
    yield "property-nan", prop(good.replace(b"0.75", b"NaN")), "TLC301", "NaN is no decimal"
    yield "property-empty", prop(b""), "TLC301", "an empty file"


def archives() -> Iterator[tuple[str, bytes, str, str]]:
    """What is wrong is the zip."""
    good = seed().content()
    whole = zip_of(good)
    members = [Member(name, data) for name, data in good.items()]
    yield "truncated-zip", whole[: len(whole) // 2], "TLC403", "half a zip"
    yield "not-a-zip", b"certified\n", "TLC403", "a text file"
    yield "empty-file", b"", "TLC403", "no bytes at all"
    yield "zip-with-a-tail", whole + b"x", "TLC403", "a byte after the archive"
    yield (
        "zip-path-escape",
        zip_bytes([*members, Member("../evil", b"x")]),
        "TLC404",
        "a member that leaves the bundle",
    )
    yield "zip-duplicate-member", zip_bytes([*members, members[-1]]), "TLC403", "one name twice"
    yield (
        "zip-link",
        zip_bytes([*members, Member("link", b"/etc/hostname", mode=0o120777)]),
        "TLC404",
        "a symbolic link",
    )
    yield (
        "zip-wrong-crc",
        zip_bytes([Member(m.name, m.data, crc=0) for m in members]),
        "TLC403",
        "checksums of 0",
    )
    yield (
        "zip-bomb",
        zip_bytes([*members, Member("bomb", b"\x03\0", size=1 << 30, method=8)]),
        "TLC401",
        "two bytes that unpack to a gibibyte",
    )
    yield (
        "zip-unknown-compression",
        zip_bytes([Member(m.name, m.data, method=14) for m in members]),
        "TLC403",
        "LZMA is not read",
    )
    bundle = packed()
    cut = bundle.edited(lambda b: b.files.update({"model.onnx.gz": b.files["model.onnx.gz"][:-9]}))
    yield "truncated-gzip", zip_of(cut.content()), "TLC403", "a gzip model that ends early"


def cases() -> Iterator[Case]:
    for group in (manifests, arrays, models, properties, archives):
        for name, content, code, note in group():
            yield Case("malformed", name, content, 3, code, note)
