"""JSON artifacts of other systems: which format a file is, by its content, and what each format's claim proves.

One table. A format's reader is the module of its name in ``tlcheck.readers.torchlean``; it has
``load(data, files, options, format) -> Sequence[LoadedClaim]``: ``data`` is the file's content, strict JSON already;
``files`` reads what the artifact names, and its ``sources`` are those of the claims.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.readers.bytes import read_bytes, sha256_hex
from tlcheck.readers.files import Files, beside
from tlcheck.readers.loaded import LoadedClaim
from tlcheck.readers.strict_json import check_strict

SUFFIXES: Final = (".json", ".jsonl", ".json.gz", ".jsonl.gz")
LEAVES: Final = ("leaves", "domains", "verified_domains", "terminal_domains")
LOWER: Final = ("lo", "input_lo", "x_L", "x_l", "domain_lo", "lower")
"""Names under which producers dump leaves, and a leaf's lower corner."""

JSON_LINES: Final = ("raw-leaf-dump", "torchlean-leaves", "tlcheck.camera", "torchlean-camera", "omni3d-box")

OWN: Final = "tlcheck."
"""Formats of our own name files beside the artifact; those of other tools, paths of another machine."""

Recognise = Callable[[Mapping[str, Any]], bool]


@dataclass(frozen=True)
class Artifact:
    """``module``: in tlcheck.readers.torchlean; ``proves``: what CERTIFIED says, for ``tlcheck formats``."""

    module: str
    recognise: Recognise
    proves: str


def _tag(tag: str) -> Recognise:
    return lambda top: top.get("format") == tag


def _keys(*keys: str) -> Recognise:
    return lambda top: all(key in top for key in keys)


ARTIFACTS: Final[dict[str, Artifact]] = {
    "tlcheck.corridor": Artifact(
        "ode", _tag("tlcheck.corridor/1"), "ODE corridors, scalar or quasi-monotone systems, as a claim of tlcheck's own",
    ),
    "tlcheck.spline": Artifact(
        "spline", _tag("tlcheck.spline/1"), "splines: interpolation, C^k, monotone, convex, range, distance to a network",
    ),
    "tlcheck.camera": Artifact(
        "camera", _tag("tlcheck.camera/1"), "camera boxes: cuboid, pose, tightness, pixels, uncertainty, lens",
    ),
    "tlcheck.margins": Artifact(
        "margin", _tag("tlcheck.margins/1"), "certified accuracy of a classifier over a data set",
    ),
    "tlcheck.output-box": Artifact(
        "lirpa", _tag("tlcheck.output-box/1"), "a network's outputs over an input box lie in a box",
    ),
    "tlcheck.lyapunov": Artifact(
        "lyapunov", _tag("tlcheck.lyapunov/1"), "Lyapunov conditions of a network along given dynamics",
    ),
    "tlcheck.pinn": Artifact(
        "pinn_domain", _tag("tlcheck.pinn/1"), "PINN: residual, initial and boundary errors, over the whole domain",
    ),
    "tlcheck.stability": Artifact(
        "stability", _tag("tlcheck.stability/1"), "closed loops: asymptotically stable, practically stable, or invariant only",
    ),
    "torchlean-margin": Artifact(
        "margin", _tag("robust_margin_cert_v0_1"),
        "classifier margins: from the weights and data it names, else that the artifact is consistent",
    ),
    "torchlean-leaves": Artifact(
        "leaves", _tag("abcrown_leaf_artifact_v0_1"), "leaf boxes and bounds: that the artifact is consistent",
    ),
    "torchlean-leaves-2": Artifact(
        "leaves", _tag("abcrown_leaf_artifact_v0_2"), "leaf proofs: bounds recomputed from the model, and the cover",
    ),
    "torchlean-suite": Artifact(
        "suite", _tag("vnnlib_suite_v0_1"), "MNIST-FC suites: each instance safe, bounds recomputed from the weights",
    ),
    "torchlean-spline": Artifact(
        "spline", _tag("piecewise_poly_v0"), "splines: interpolation, exactly over the rationals",
    ),
    "torchlean-camera": Artifact(
        "camera", _tag("torchlean.camera.box3d.v1"), "camera boxes: TorchLean's seven invariants, with zero tolerance",
    ),
    "torchlean-ode": Artifact(
        "ode", _keys("rhs", "segments"), "ODE corridors: every solution stays between the two networks",
    ),
    "torchlean-pinn": Artifact(
        "pinn", _keys("pinn", "u_bounds"), "PINN boxes: value and residual at the listed points, from the network",
    ),
    "torchlean-pinn-data": Artifact(
        "pinn_data",
        lambda top: "collocation" in top and any(key in top for key in ("initial", "boundary", "data")),
        "PINN data sets: each value within the tolerance of the network given with --model",
    ),
    "torchlean-lirpa": Artifact(
        "lirpa", _keys("graph", "input_box", "result"), "output boxes of the five named graphs",
    ),
    "torchlean-alpha-beta-nodes": Artifact(
        "nodes", lambda top: "ibp" in top and "beta" in top, "node bounds: see torchlean-nodes; phases of a branch",
    ),
    "torchlean-nodes": Artifact(
        "nodes", lambda top: isinstance(top.get("ibp"), list),
        "node bounds: interval boxes and affine bounds of a torchlean.ir.v1 graph",
    ),
    "lyapunov-json": Artifact(
        "lyapunov", _keys("V_bounds", "Vdot_bounds"), "Lyapunov bounds: V and its derivative, from network and dynamics",
    ),
    "two-stage-bits": Artifact(
        "two_stage", _keys("wC", "bC", "w1", "b1", "w2", "b2"), "two-stage van der Pol: decrease on a box",
    ),
    "omni3d-box": Artifact(
        "camera",
        lambda top: "K" in top and any(key in top for key in ("corners3d", "corners3d_partial")),
        "Omni3D corners: positive depth of each corner given; its pixel in bbox2d if there is one",
    ),
    "raw-leaf-dump": Artifact("leaves", lambda top: _has_leaves(top), "leaf dumps: as torchlean-leaves"),
}  # fmt: skip
"""The first that recognises a file's top-level object is its format."""


def _has_leaves(top: Mapping[str, Any]) -> bool:
    lists = [top[key] for key in LEAVES if isinstance(top.get(key), list)]
    first = next((entry for entries in lists for entry in entries[:1] if isinstance(entry, dict)), {})
    return "format" not in top and any(key in first for key in LOWER)


def artifact_format(path: Path) -> str | None:
    """The format of the file, None when it is none of them (or no JSON at all)."""
    if not path.name.endswith(SUFFIXES) or not path.is_file():
        return None
    try:
        top = _top(read_bytes(path))
    except InvalidInput:
        return None
    return next((name for name, artifact in ARTIFACTS.items() if artifact.recognise(top)), None)


def load_artifact(path: Path, options: Options, name: str) -> Sequence[LoadedClaim]:
    """The claims in the file. Raises InvalidInput (TLC101, TLC106 and what the format's reader raises)."""
    files = beside(path)
    return read_artifact(read_bytes(path), files, options, name)


def read_artifact(data: bytes, files: Files, options: Options, name: str) -> Sequence[LoadedClaim]:
    """The claims in an artifact of format ``name``; ``files`` reads what it names."""
    files.elsewhere = not name.startswith(OWN)
    lines = data.strip().split(b"\n") if name in JSON_LINES and data.strip()[:1] == b"{" else [data]
    for line in lines if len(lines) > 1 and _is_object(lines[0]) else [data]:
        check_strict(line, files.where)
    files.sources["artifact"] = sha256_hex(data)
    module = importlib.import_module(f"tlcheck.readers.torchlean.{ARTIFACTS[name].module}")
    try:
        claims: Sequence[LoadedClaim] = module.load(data, files, options, name)
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


def _top(data: bytes) -> Mapping[str, Any]:
    """The top-level object, or the first line's in JSON lines; empty when there is none."""
    for text in (data, data.partition(b"\n")[0]):
        try:
            top = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(top, dict):
            return top
    return {}
