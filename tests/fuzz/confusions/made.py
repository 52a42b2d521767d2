"""Networks of one input, properties, proofs of all pairs; and what is true of any such files, decided exactly.

The truth shares nothing with tlcheck: weights by the onnx package, texts by ``formulas.meaning``, and on one input everything is
piecewise linear, so a finite set of points decides.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import operator
import os
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.fuzz.formulas.meaning import Meaning, meaning, term

Files = dict[str, bytes]
F = Fraction

WEIGHTS: dict[str, list[Any]] = {
    "absolute": [[1, -1], [0, 0], [[1, 1], [1, -1]], [0, 0]],
    "doubled": [[1, -1], [0, 0], [[2, 0], [-1, 1]], [0, 0]],
    "turned": [[1, -1], [0, 0], [[-1, -1], [1, -1]], [0, 1]],
}
"""a, b, rows of c, d of y = c relu(a x + b) + d."""
BOX = "(assert (>= X_0 {}))\n(assert (<= X_0 {}))\n"
HEAD = "(declare-const X_0 Real)\n(declare-const Y_0 Real)\n(declare-const Y_1 Real)\n"
PROPERTIES = {
    "high.vnnlib": HEAD + BOX.format("-1", "1") + "(assert (>= Y_0 1.5))\n",
    "low.vnnlib": HEAD + BOX.format("-1.0", "1.0") + "(assert (<= Y_0 -0.5))\n",
    "mixed.vnnlib": HEAD
    + BOX.format("0", "2")
    + "(assert (or (>= Y_0 4.5) (and (<= Y_1 -1.5) (>= X_0 0.5))))\n",
    "typed.vnnlib": "(vnnlib-version <2.0>)\n(declare-network N (declare-input X float32 [1,1]) (declare-output Y float32 [1,2]))\n"
    "(assert (and (>= X[0,0] -2.0) (<= X[0,0] -0.5)))\n(assert (<= Y[0,0] Y[0,1]))\n",
}


def network(name: str) -> bytes:
    a, b, c, d = WEIGHTS[name]
    tensors = {"a": [[v] for v in a], "b": b, "c": c, "d": d}
    nodes = [
        helper.make_node("Gemm", ["x", "a", "b"], ["z"], transB=1), helper.make_node("Relu", ["z"], ["h"]),
        helper.make_node("Gemm", ["h", "c", "d"], ["y"], transB=1),
    ]  # fmt: skip
    values = [numpy_helper.from_array(np.array(v, np.float32), k) for k, v in tensors.items()]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, s]) for n, s in (("x", 1), ("y", 2))]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], values)
    data: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8
    ).SerializeToString()
    return data


@dataclass(frozen=True)
class Made:
    """One proof of one claim: its entry in a manifest, and the files that it names."""

    claim: dict[str, Any]
    files: Files


@cache
def proofs() -> list[Made]:
    """Of every network with every property, and of every two networks, as the commands write them."""
    from tlcheck.cli.main import main

    found = []
    with TemporaryDirectory() as name:
        folder = Path(name)
        for net in WEIGHTS:
            (folder / f"{net}.onnx").write_bytes(network(net))
        for prop, text in PROPERTIES.items():
            (folder / prop).write_text(text)
        commands = [["certify", f"{net}.onnx", prop] for net, prop in itertools.product(WEIGHTS, PROPERTIES)]
        commands += [
            ["equiv", "absolute.onnx", "doubled.onnx", "--box", "high.vnnlib", "--within", w]
            for w in ("2.5", "0.5")
        ]
        for k, command in enumerate(commands):
            words = [str(folder / w) if (folder / w).exists() else w for w in command]
            with (
                open(os.devnull, "w") as null,
                contextlib.redirect_stdout(null),
                contextlib.redirect_stderr(null),
            ):
                main([*words, "-o", str(folder / f"{k}.tlcert"), "--jobs", "1"])
            found += _claims(folder / f"{k}.tlcert", k)
    return found


def _claims(path: Path, k: int) -> list[Made]:
    """Arrays get a name of their own, so that claims can share a bundle."""
    with zipfile.ZipFile(path) as packed:
        files = {n: packed.read(n) for n in packed.namelist()}
    document = json.loads(files.pop("manifest.json"))
    renamed = {n: f"{k}-{n}" if n.endswith(".safetensors") else n for n in files}
    text = json.dumps(document["claims"])
    for old, new in renamed.items():
        text = text.replace(json.dumps(old), json.dumps(new))
    return [Made(claim, {renamed[n]: data for n, data in files.items()}) for claim in json.loads(text)]


# The truth.


class Unknown(Exception):
    """Files that this oracle has no meaning for."""


Matrix = list[list[Fraction]]


def function(data: bytes) -> tuple[Any, list[Fraction]]:
    """(x -> (y_0, y_1), kinks) of Gemm and Relu nodes on one input."""
    model = onnx.load_from_string(data)
    stored = {t.name: _matrix(numpy_helper.to_array(t)) for t in model.graph.initializer}
    source, result = model.graph.input[0].name, model.graph.output[0].name

    def run(x: Fraction, bent: list[Fraction] | None = None) -> list[Fraction]:
        """``bent`` gets the operands of Relu."""
        known = {**stored, source: [[x]]}
        for node in model.graph.node:
            operands = [known[name] for name in node.input]
            if node.op_type == "Gemm":
                turned = {a.name: bool(a.i) for a in node.attribute}
                known[node.output[0]] = _gemm(*operands, turned)
            elif node.op_type == "Relu":
                if bent is not None:
                    bent += [v for row in operands[0] for v in row]
                known[node.output[0]] = [[max(v, F(0)) for v in row] for row in operands[0]]
            else:
                raise Unknown(node.op_type)
        (row,) = known[result]
        return row

    cuts = [F(-1000), F(1000)]
    for _ in range(2):  # as many layers of kinks
        found = set(cuts)
        for low, high in itertools.pairwise(cuts):
            ends: tuple[list[Fraction], list[Fraction]] = ([], [])
            run(low, ends[0])
            run(high, ends[1])
            for u, v in zip(*ends, strict=True):
                found |= {low - (high - low) * u / (v - u)} if min(u, v) < 0 < max(u, v) else set()
        cuts = sorted(found)
    return run, cuts[1:-1]


def _matrix(array: Any) -> Matrix:
    return [[F(float(v)) for v in row] for row in np.atleast_2d(array)]


def _gemm(a: Matrix, b: Matrix, c: Matrix, turned: dict[str, bool]) -> Matrix:
    a = [list(row) for row in zip(*a, strict=True)] if turned.get("transA") else a
    b = b if turned.get("transB") else [list(row) for row in zip(*b, strict=True)]
    if turned.keys() - {"transA", "transB"} or any(len(row) != len(column) for row in a for column in b):
        raise Unknown("Gemm")
    c = [row * len(b) if len(row) == 1 else row for row in (c * len(a) if len(c) == 1 else c)]
    if len(c) != len(a) or any(len(row) != len(b) for row in c):
        raise Unknown("C of Gemm")
    sums = [[sum(map(operator.mul, row, column), F(0)) for column in b] for row in a]
    return [[v + w for v, w in zip(row, more, strict=True)] for row, more in zip(sums, c, strict=True)]


def points(runs: Iterable[tuple[Any, list[Fraction]]], said: Meaning) -> list[Fraction]:
    """Ends and middles of all pieces on which every network is linear and no comparison of the text changes."""
    runs = list(runs)
    cuts = sorted({k for _, kinks in runs for k in kinks} | {F(0)})
    ends = [cuts[0] - 100, *cuts, cuts[-1] + 100]
    roots = set(ends)
    for low, high in itertools.pairwise(ends):
        for run, _ in runs:
            for left, right in said.atoms():
                gap = [
                    term(left, v, said.version) - term(right, v, said.version)
                    for v in (values(said, run, x) for x in (low, high))
                ]
                if gap[0] != gap[1]:
                    root = low + (high - low) * gap[0] / (gap[0] - gap[1])
                    roots |= {root} if low <= root <= high else set()
    every = sorted(roots)
    return every + [(a + b) / 2 for a, b in itertools.pairwise(every)]


def values(said: Meaning, run: Any, x: Fraction) -> dict[str, Fraction]:
    y = run(x)
    if len(said.inputs) != 1 or len(said.outputs) != len(y):
        raise Unknown("numbers of values")
    return dict(zip([*said.inputs, *said.outputs], [x, *y], strict=True))


def is_true(claim: dict[str, Any], files: Files) -> bool:
    """Of the claim as a manifest has it, and the files under the names that it gives. Raises Unknown."""
    try:
        said = meaning(files[claim["property"]].decode())
        runs = [function(files[claim[role]]) for role in ("model", "other") if role in claim]
        return _true(claim, said, runs)
    except Exception as error:  # what is no network or property raises anything
        raise Unknown(str(error)) from error


def _true(claim: dict[str, Any], said: Meaning, runs: list[Any]) -> bool:
    run = runs[0][0]
    if claim["kind"] == "unsat":
        return not satisfiable(said, runs[0])
    if claim["kind"] == "sat":
        (x,) = map(F, claim["witness"])
        return said.holds(values(said, run, x))
    within = F(claim["within"])

    def gap(x: Fraction) -> Fraction:
        return max(abs(a - b) for a, b in zip(run(x), runs[1][0](x), strict=True))

    if claim["kind"] == "equiv":
        return all(gap(x) <= within for x in points(runs, said) if _in_a_box(said, x))
    (x,) = map(F, claim["witness"])
    return _in_a_box(said, x) and gap(x) > within


def _in_a_box(said: Meaning, x: Fraction) -> bool:
    """Some outputs, however large, make the text true at x."""
    (name,) = said.inputs
    return any(
        said.holds({name: x, **dict(zip(said.outputs, y, strict=True))})
        for y in itertools.product((F(-1000), F(0), F(1000)), repeat=2)
    )


def satisfiable(said: Meaning, run: tuple[Any, list[Fraction]]) -> bool:
    return any(said.holds(values(said, run[0], x)) for x in points([run], said))


def packed(manifest: dict[str, Any] | str, files: Files) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {
            "manifest.json": (manifest if isinstance(manifest, str) else json.dumps(manifest)).encode(),
            **files,
        }.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def sha(data: bytes) -> str:
    return sha256(data).hexdigest()
