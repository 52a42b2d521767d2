"""Tiny networks and queries for the solver's tests, and an exact reading of both that shares no code with tlcheck."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tlcheck.cli.main import main

F = Fraction


def write(
    path: Path, nodes: Sequence[onnx.NodeProto], inputs: object, outputs: object, **constants: object
) -> Path:
    """An ONNX file; inputs and outputs as {name: (element type, shape)}."""
    infos = [
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in dict(group).items()]  # type: ignore[call-overload]
        for group in (inputs, outputs)
    ]
    stored = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(list(nodes), "g", infos[0], infos[1], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path.write_bytes(model.SerializeToString())
    return path


def relu_file(path: Path) -> Path:
    """y = relu(x), one value."""
    one = (TensorProto.FLOAT, [1])
    return write(path, [helper.make_node("Relu", ["x"], ["y"])], {"x": one}, {"y": one})


@dataclass(frozen=True)
class Tiny:
    """y = V relu(W x + b), small integers: h = W x + b is the tensor "h"."""

    w: tuple[tuple[int, ...], ...]
    b: tuple[int, ...]
    v: tuple[tuple[int, ...], ...]

    def file(self, path: Path) -> Path:
        nodes = [
            helper.make_node("MatMul", ["x", "W"], ["m"]),
            helper.make_node("Add", ["m", "b"], ["h"]),
            helper.make_node("Relu", ["h"], ["r"]),
            helper.make_node("MatMul", ["r", "V"], ["y"]),
        ]
        f = np.float32
        return write(
            path,
            nodes,
            {"x": (TensorProto.FLOAT, [1, len(self.w[0])])},
            {"y": (TensorProto.FLOAT, [1, len(self.v)])},
            W=np.array(self.w, f).T,
            b=np.array(self.b, f),
            V=np.array(self.v, f).T,
        )

    def hidden(self, x: Sequence[Fraction]) -> list[Fraction]:
        return [
            sum((k * v for k, v in zip(row, x, strict=True)), F(0)) + c
            for row, c in zip(self.w, self.b, strict=True)
        ]

    def outputs(self, x: Sequence[Fraction]) -> list[Fraction]:
        r = [max(h, F(0)) for h in self.hidden(x)]
        return [sum((k * v for k, v in zip(row, r, strict=True)), F(0)) for row in self.v]


@dataclass(frozen=True)
class Run:
    code: int
    out: str
    err: str

    @property
    def verdict(self) -> str:
        return self.out.split("\n", 1)[0]

    def values(self) -> dict[str, list[Fraction]]:
        """The assignment after ``sat``."""
        found: dict[str, list[Fraction]] = {}
        name = ""
        for line in self.out.splitlines()[1:]:
            if line.endswith("]"):
                name = line.split()[0]
                found[name] = []
            else:
                found[name].append(F(line))
        return found


def solver(*arguments: object) -> Run:
    """``tlcheck vnnlib ...`` in this process."""
    out, err = io.StringIO(), io.StringIO()
    before = sys.stdout, sys.stderr
    try:
        with redirect_stdout(out), redirect_stderr(err):
            code = main(["vnnlib", *map(str, arguments)])
    finally:
        sys.stdout, sys.stderr = before
    return Run(code, out.getvalue(), err.getvalue())


def verify(query: Path, seconds: float = 4, **networks: Path) -> Run:
    given = [f"--network={name}={path}" for name, path in networks.items()]
    return solver("verify", query, *given, "--timeout", seconds)


def text(networks: str, *assertions: str) -> str:
    return f"(vnnlib-version <2.0>)\n{networks}\n" + "".join(f"(assert {a})\n" for a in assertions)
