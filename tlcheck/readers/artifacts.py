"""JSON artifacts of other systems: which format a file is, by its content, and what each format's claim proves.

One table. A format's reader is a module of ``tlcheck.readers.torchlean`` or ``tlcheck.readers.own``; it has
``load(data, files, options, format) -> Sequence[LoadedClaim]``: ``data`` is the file's content, strict JSON already;
``files`` reads what the artifact names, and its ``sources`` are those of the claims.
"""

from __future__ import annotations

import difflib
import importlib
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.readers.bytes import read_bytes, sha256_hex, without_mark
from tlcheck.readers.files import Files, beside
from tlcheck.readers.kinds import Sample, kind_of, sample_of
from tlcheck.readers.loaded import LoadedClaim, read_by
from tlcheck.readers.strict_json import check_strict

SUFFIXES: Final = (".json", ".jsonl", ".json.gz", ".jsonl.gz")
LEAVES: Final = ("leaves", "domains", "verified_domains", "terminal_domains")
LOWER: Final = ("lo", "input_lo", "x_L", "x_l", "domain_lo", "lower")
"""Names under which producers dump leaves, and a leaf's lower corner."""

OWN: Final = "tlcheck."
"""Formats of our own name files beside the artifact; those of other tools, paths of another machine."""

Recognise = Callable[[Mapping[str, Any]], bool]


@dataclass(frozen=True)
class Artifact:
    """``module``: in tlcheck.readers; ``proves``: what CERTIFIED says, for ``tlcheck formats``; ``fields``: some that no other
    JSON is likely to have together, for files that do not say what they are; ``lines``: it may be JSON lines."""

    module: str
    recognise: Recognise
    proves: str
    fields: tuple[str, ...] = ()
    lines: bool = False


@dataclass(frozen=True)
class _Tag:
    """Files whose top-level ``format`` is the tag."""

    tag: str

    def __call__(self, top: Mapping[str, Any]) -> bool:
        return bool(top.get("format") == self.tag)


def _keys(*keys: str) -> Recognise:
    return lambda top: all(key in top for key in keys)


ARTIFACTS: Final[dict[str, Artifact]] = {
    "tlcheck.corridor": Artifact(
        "torchlean.ode", _Tag("tlcheck.corridor/1"),
        "ODE corridors, scalar or quasi-monotone systems, as a claim of tlcheck's own", fields=("rhs", "segments"),
    ),
    "tlcheck.spline": Artifact(
        "torchlean.spline", _Tag("tlcheck.spline/1"),
        "splines: interpolation, C^k, monotone, convex, range, distance to a network", fields=("knots", "pieces"),
    ),
    "tlcheck.camera": Artifact(
        "torchlean.camera", _Tag("tlcheck.camera/1"), "camera boxes: cuboid, pose, tightness, pixels, uncertainty, lens",
        lines=True,
    ),
    "tlcheck.margins": Artifact(
        "torchlean.margin", _Tag("tlcheck.margins/1"), "certified accuracy of a classifier over a data set",
        fields=("data", "radius", "examples"),
    ),
    "tlcheck.output-box": Artifact(
        "torchlean.lirpa", _Tag("tlcheck.output-box/1"), "a network's outputs over an input box lie in a box",
    ),
    "tlcheck.lyapunov": Artifact(
        "torchlean.lyapunov", _Tag("tlcheck.lyapunov/1"), "Lyapunov conditions of a network along given dynamics",
        fields=("dynamics", "region", "V", "claims"),
    ),
    "tlcheck.pinn": Artifact(
        "own.pinn_domain", _Tag("tlcheck.pinn/1"), "PINN: residual, initial and boundary errors, over the whole domain",
        fields=("model", "pde", "at_most"),
    ),
    "tlcheck.stability": Artifact(
        "own.stability_artifact", _Tag("tlcheck.stability/1"),
        "closed loops: asymptotically stable, practically stable, or invariant only",
        fields=("states", "equations", "statement"),
    ),
    "tlcheck.conformance": Artifact(
        "own.conformance", _Tag("tlcheck.conformance/1"), "recorded outputs lie near those of all that a profile allows",
        fields=("values", "profile", "within"),
    ),
    "torchlean-margin": Artifact(
        "torchlean.margin", _Tag("robust_margin_cert_v0_1"),
        "classifier margins: from the weights and data it names, else that the artifact is consistent",
    ),
    "torchlean-leaves": Artifact(
        "torchlean.leaves", _Tag("abcrown_leaf_artifact_v0_1"), "leaf boxes and bounds: that the artifact is consistent",
        lines=True,
    ),
    "torchlean-leaves-2": Artifact(
        "torchlean.leaves", _Tag("abcrown_leaf_artifact_v0_2"), "leaf proofs: bounds recomputed from the model, and the cover",
    ),
    "torchlean-suite": Artifact(
        "torchlean.suite", _Tag("vnnlib_suite_v0_1"), "MNIST-FC suites: each instance safe, bounds recomputed from the weights",
        fields=("instances", "weights"),
    ),
    "torchlean-spline": Artifact(
        "torchlean.spline", _Tag("piecewise_poly_v0"), "splines: interpolation, exactly over the rationals",
    ),
    "torchlean-camera": Artifact(
        "torchlean.camera", _Tag("torchlean.camera.box3d.v1"), "camera boxes: TorchLean's seven invariants, with zero tolerance",
        lines=True,
    ),
    "torchlean-ode": Artifact(
        "torchlean.ode", _keys("rhs", "segments"), "ODE corridors: every solution stays between the two networks",
    ),
    "torchlean-pinn": Artifact(
        "torchlean.pinn", _keys("pinn", "u_bounds"), "PINN boxes: value and residual at the listed points, from the network",
    ),
    "torchlean-pinn-data": Artifact(
        "torchlean.pinn_data",
        lambda top: "collocation" in top and any(key in top for key in ("initial", "boundary", "data")),
        "PINN data sets: each value within the tolerance of the network given with --model",
    ),
    "torchlean-lirpa": Artifact(
        "torchlean.lirpa", _keys("graph", "input_box", "result"), "output boxes of the five named graphs",
    ),
    "torchlean-alpha-beta-nodes": Artifact(
        "torchlean.nodes", lambda top: "ibp" in top and "beta" in top, "node bounds: see torchlean-nodes; phases of a branch",
    ),
    "torchlean-nodes": Artifact(
        "torchlean.nodes", lambda top: isinstance(top.get("ibp"), list),
        "node bounds: interval boxes and affine bounds of a torchlean.ir.v1 graph",
    ),
    "lyapunov-json": Artifact(
        "torchlean.lyapunov", _keys("V_bounds", "Vdot_bounds"),
        "Lyapunov bounds: V and its derivative, from network and dynamics",
    ),
    "two-stage-bits": Artifact(
        "torchlean.two_stage", _keys("wC", "bC", "w1", "b1", "w2", "b2"), "two-stage van der Pol: decrease on a box",
    ),
    "omni3d-box": Artifact(
        "torchlean.camera",
        lambda top: "K" in top and any(key in top for key in ("corners3d", "corners3d_partial")),
        "Omni3D corners: positive depth of each corner given; its pixel in bbox2d if there is one", lines=True,
    ),
    "raw-leaf-dump": Artifact("torchlean.leaves", lambda top: _has_leaves(top), "leaf dumps: as torchlean-leaves", lines=True),
}  # fmt: skip
"""The first that recognises a file's top-level object is its format."""


def _has_leaves(top: Mapping[str, Any]) -> bool:
    lists = [top[key] for key in LEAVES if isinstance(top.get(key), list)]
    first = next((entry for entries in lists for entry in entries[:1] if isinstance(entry, dict)), {})
    return "format" not in top and any(key in first for key in LOWER)


TAGS: Final = tuple(a.recognise.tag for a in ARTIFACTS.values() if isinstance(a.recognise, _Tag))
NEIGHBOURS: Final = (
    "tlcheck.lock/1",
    "tlcheck.pde/1",
    "tlcheck.sequential.v1",
    "tlcheck.tree/1",
    "torchlean.ir.v1",
    "mnist_fc_crownobj_alpha_v0_1",
)
"""Tags of files that lie beside certificates and are none."""
REPORTED: Final = (None, "tlcert", "abcrown-dump", *ARTIFACTS)
"""What a line of tlcheck's own reports (JSON lines) has as ``format``."""
ELSEWHERE: Final = {
    "abcrown-dump": "an alpha,beta-CROWN dump is a folder in which this file is called certificate.json",
    "tlcheck.bundle": "a bundle is a folder or zip in which this file is called manifest.json",
}
"""Tags of files that make their folder a certificate, under one name only."""


def artifact_format(path: Path) -> str | None:
    """The format of the file, None when it is none of them (or no JSON at all)."""
    return look(path)[0]


def look(path: Path) -> tuple[str | None, InvalidInput | None]:
    """(format, problem) of a file by its content; both None for what is no certificate and does not say it is.

    A problem is a file with a suffix of certificates that cannot be read or is no JSON, or JSON that says it is of our
    formats, or has the fields of one, and is not or is called otherwise: a certificate that got lost.
    """
    if os.path.isdir(path):
        return None, None
    if not path.name.lower().endswith(SUFFIXES):
        return None, _renamed(path)
    try:
        data = read_bytes(path)
    except InvalidInput as error:
        return None, error
    top, claimed, name = _recognised(data)
    return (name, None) if name is not None else (None, _problem(data, top, claimed, str(path)))


def _recognised(data: bytes) -> tuple[Any, str | None, str | None]:
    """(first document, the tag of ours that it bears or nearly bears, the format that it is)."""
    tops = (found for text in (data, data.partition(b"\n")[0]) if (found := _document(text)) is not None)
    top = next(tops, None)
    claimed = _says_ours(top)
    name = None
    if isinstance(top, dict) and (claimed is None or claimed in TAGS):
        name = next((name for name, artifact in ARTIFACTS.items() if artifact.recognise(top)), None)
    return top, claimed, name


def _renamed(path: Path) -> InvalidInput | None:
    """A certificate in JSON that is not called so: a copy kept aside, or one whose suffix got lost."""
    try:
        sample = sample_of(path)
        if not sample.text.lstrip("\ufeff \t\r\n").startswith(("{", "[")):
            return None
        data = read_bytes(path)
    except (InvalidInput, OSError):
        return None  # a file that is passed over anyway
    top, claimed, name = _recognised(data)
    if name is None and claimed is None:
        name = _like(top) if top is not None else _cut(sample)
    if (name is None and claimed is None) or "tlcheck.bundle" in (
        name,
        claimed,
    ):  # that is said of its folder
        return None
    message = f"a certificate in JSON ({ascii(claimed or name)[1:-1]}) whose name does not end in .json"
    return InvalidInput("TLC102", message, file=str(path), expected="a name in .json, or the file elsewhere")


def _cut(sample: Sample) -> str | None:
    """The kind of certificate that the head of a text says it is, which does not parse."""
    kind = kind_of(sample)
    return kind if kind in ("certificate", "stability") else None


def _problem(data: bytes, top: Any, claimed: str | None, file: str) -> InvalidInput | None:
    """What is wrong with a file of no format; ``claimed``: the tag of ours that its first document nearly bears."""
    if claimed is not None:
        return _not_ours(claimed, file)
    if (like := _like(top)) is not None:
        return InvalidInput(
            "TLC102", f"it has the fields of a certificate ({like}), and does not say so", file=file, field="format",
            expected=like, got=ascii(top.get("format", "none"))[:80],
        )  # fmt: skip
    try:
        json.loads(data)
    except (ValueError, RecursionError) as error:
        lines = [line for line in data.split(b"\n") if line.strip()]
        documents = [_document(line) for line in lines]
        if len(lines) < 2 or any(document is None for document in documents):
            return InvalidInput(
                "TLC106", f"not JSON: {error}; mend it, or take it out of the folder", file=file
            )
        claimed = next((said for top in documents if (said := _says_ours(top)) is not None), None)
        return None if claimed is None else _not_ours(claimed, file)
    return None


def _not_ours(claimed: str, file: str) -> InvalidInput:
    if claimed in ELSEWHERE:
        return InvalidInput("TLC102", ELSEWHERE[claimed], file=file, field="format", got=ascii(claimed))
    if claimed in TAGS:
        return InvalidInput(
            "TLC102", "the tag of a certificate does not stand under the one key that is its place", file=file,
            expected='"format", once, at the top', got=ascii(claimed),
        )  # fmt: skip
    near = difflib.get_close_matches(claimed.casefold(), TAGS, 1, 0.6)
    return InvalidInput(
        "TLC102", "it says that it is a certificate, of a format that tlcheck does not know", file=file, field="format",
        expected=f"perhaps {near[0]}" if near else "a format of `tlcheck formats`", got=ascii(claimed[:80]),
    )  # fmt: skip


class _Doubled(dict[str, Any]):
    """An object in which a key occurs twice; ``pairs`` has them all."""

    pairs: list[tuple[str, Any]]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(result := dict(pairs)) == len(pairs):
        return result
    doubled = _Doubled(pairs)
    doubled.pairs = pairs
    return doubled


def _document(text: bytes) -> Any:
    """The JSON value, None when it is none (or null)."""
    try:
        return json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError):
        return None


def _says_ours(top: Any) -> str | None:
    """The tag by which a document, or one in its list, says that it is a certificate that tlcheck reads.

    A whole tag counts under any key; under ``format``, or a key near to that, also what begins or nearly reads as one.
    """
    if isinstance(top, list):
        items = (said for item in top[:1000] if isinstance(item, dict) and (said := _says_ours(item)))
        return next(items, None) or _inside({"": top})
    if isinstance(top, str):  # JSON inside a string of JSON
        inner = _document(top.encode("utf-8", "replace"))
        return None if isinstance(inner, str) else _says_ours(inner)
    if not isinstance(top, dict) or ({"path", "claims"} <= top.keys() and top.get("format") in REPORTED):
        return None
    for key, value in _pairs(top):
        near = _is_near(key, ("format",), 0.7)
        for text in _texts(value) if near else [value]:
            if isinstance(text, str) and len(text) <= MAX_TAG and text not in NEIGHBOURS:
                if text in TAGS or text in ELSEWHERE or _OURS.fullmatch(text):
                    return text
                if near and (
                    text.casefold().startswith(("tlcheck", "torchlean"))
                    or _is_near(text, (*TAGS, *ELSEWHERE), 0.85)
                ):
                    return text
    return None if top.get("format") in NEIGHBOURS else _inside(top)


def _pairs(top: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    return top.pairs if isinstance(top, _Doubled) else top.items()


def _texts(value: Any) -> list[Any]:
    """What stands for a tag: the value, or the entries of a list or an object in its place."""
    if isinstance(value, dict):
        return [item for _, item in _pairs(value)]
    return value if isinstance(value, list) else [value]


def _inside(top: dict[str, Any]) -> str | None:
    """The whole tag that an object deeper in the document has as its ``format``: a certificate that is wrapped."""
    waiting: list[Any] = [value for _, value in _pairs(top)]
    for _ in range(MAX_LOOKS):
        if not waiting:
            break
        value = waiting.pop(0)
        if isinstance(value, dict):
            tag = value.get("format")
            if isinstance(tag, str) and tag not in NEIGHBOURS and (tag in TAGS or _OURS.fullmatch(tag)):
                return tag
            waiting += value.values()
        elif isinstance(value, list):
            waiting += [item for item in value[:1000] if isinstance(item, dict | list)]
    return None


def _like(top: Any) -> str | None:
    """The format of ours whose fields an object has that does not say it."""
    if not isinstance(top, dict) or top.get("format") in NEIGHBOURS:
        return None
    return next((name for name, keys in FIELDS.items() if all(key in top for key in keys)), None)


def _is_near(word: str, words: Sequence[str], least: float) -> bool:
    return bool(difflib.get_close_matches(word.strip().casefold(), words, 1, least))


MAX_TAG: Final = 100
MAX_LOOKS: Final = 1000
FIELDS: Final = {
    "tlcheck.bundle": ("files", "claims"),
    **{a.recognise.tag: a.fields for a in ARTIFACTS.values() if isinstance(a.recognise, _Tag) and a.fields},
}  # fmt: skip
"""Fields that no other JSON is likely to have together, by the tag that goes with them."""
_OURS: Final = re.compile(r"tlcheck\.[a-z-]+/[0-9]+")


def load_artifact(path: Path, options: Options, name: str) -> Sequence[LoadedClaim]:
    """The claims in the file. Raises InvalidInput (TLC101, TLC106 and what the format's reader raises)."""
    files = beside(path)
    return read_artifact(read_bytes(path), files, options, name)


def read_artifact(data: bytes, files: Files, options: Options, name: str) -> Sequence[LoadedClaim]:
    """The claims in an artifact of format ``name``; ``files`` reads what it names.

    Of an artifact that lies in a bundle, ``options.model`` and ``options.property`` stand in for files that the bundle
    has no copy of, and must equal those that it has.
    """
    own = replace(files, sources=dict(files.sources), written=dict(files.written))
    claims = _read_artifact(data, files, options, name)
    if "manifest" in files.sources and (options.model is not None or options.property is not None):
        with suppress(InvalidInput):  # a file that is not there
            _read_artifact(data, own, replace(options, model=None, property=None), name)
        _check_given(files, own)
    return claims


def _check_given(files: Files, own: Files) -> None:
    """Of the files that the artifact's own reading took, those that the user's stand in for are the same. Raises TLC103."""
    replaced = Counter(sha for name, sha in own.sources.items() if name not in files.sources)
    given = Counter(sha for name, sha in files.sources.items() if name not in own.sources)
    if replaced - given:
        raise InvalidInput(
            "TLC103", "not the file that the bundle has a copy of (leave --model and --property out)",
            file=files.where, expected=", ".join(sorted(replaced)), got=", ".join(sorted(given)),
        )  # fmt: skip


def _read_artifact(data: bytes, files: Files, options: Options, name: str) -> Sequence[LoadedClaim]:
    files.elsewhere = not name.startswith(OWN)
    lines = data.strip().split(b"\n") if ARTIFACTS[name].lines and data.strip()[:1] == b"{" else [data]
    for line in lines if len(lines) > 1 and _is_object(lines[0]) else [data]:
        check_strict(line, files.where)
    files.sources["artifact"] = sha256_hex(data)
    data = without_mark(data, "TLC106", files.where)
    module = importlib.import_module(f"tlcheck.readers.{ARTIFACTS[name].module}")
    try:
        claims = read_by(module.__name__, lambda: module.load(data, files, options, name))
    except InvalidInput as error:
        raise error.in_file(files.where) from error.__cause__
    for given, option, roles in (
        (options.model, "--model", ("model",)),
        (options.property, "--property", ("property", "alphas")),
    ):
        if given is not None and not any(role in files.sources for role in roles):
            raise InvalidInput("TLC101", f"this artifact has no use for {option}", file=files.where)
    return claims


def _is_object(line: bytes) -> bool:
    """The line is a whole JSON object: the file is JSON lines."""
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
