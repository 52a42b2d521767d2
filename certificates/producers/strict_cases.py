"""Strict constraints whose bound is exactly attained, and names that say otherwise than the order: what each must come to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, Final

import numpy as np
from digits import P
from models import Writer, gemm
from packing import Bundle, Case, Files, with_manifest
from proofs import teeth
from properties import vnnlib1
from regressions import ONE_LEAF, Regression
from reject import property_of

from tlcheck.trusted.guidance import LEAF, Guidance, Leaves, SharedSlopes, Tree

F = Fraction
UNIT: Final = [(F(-1), F(1))]
TENTH: Final = [(F(1, 10), F(1))]


def evidence(rows: Sequence[Mapping[int, float]], slopes: Mapping[int, SharedSlopes]) -> Guidance:
    """One leaf for each disjunct, with these weights of its constraints."""
    none, floats, count = np.zeros(0, np.int64), np.zeros(0), len(rows)
    start = np.zeros(count + 1, np.int64)
    leaves = Leaves(
        np.cumsum([0, *map(len, rows)]).astype(np.int64), np.array([q for r in rows for q in r], np.int64),
        np.array([w for r in rows for w in r.values()], np.float64), start, none, none, none, floats, floats,
        np.full(count, np.nan),
    )  # fmt: skip
    each, zeros = np.arange(count, dtype=np.int64), np.zeros(count, np.int64)
    tree = (
        ONE_LEAF
        if count == 1
        else Tree(np.full(count, LEAF), zeros, zeros, np.zeros(count), each, zeros, each)
    )
    return Guidance(tree, leaves, shared_slopes=slopes)


def absolute(
    box: list[tuple[F, F]], formulas: Sequence[str], *rows: Mapping[int, float], scale: float = 1.0
) -> Bundle:
    """y = scale |x|, with lower lines 0, which keep its least value exactly."""
    w = Writer()
    h = w.node("Relu", [gemm(w, "x", "z", [[1], [-1]], [0, 0])], "h")
    gemm(w, h, "y", [[scale, scale]], [0])
    made = Bundle({"model.onnx": w.model({"x": (1, 1)}, {"y": (1, 1)}), P: vnnlib1(1, box, formulas)})
    node = made.graph().names["h"]
    return made.add_unsat(evidence(rows, {node: SharedSlopes(np.zeros(2), None)}))


def double(box: list[tuple[F, F]], formulas: Sequence[str], *rows: Mapping[int, float]) -> Bundle:
    """y = 2 x"""
    w = Writer()
    gemm(w, "x", "y", [[2]], [0])
    made = Bundle({"model.onnx": w.model({"x": (1, 1)}, {"y": (1, 1)}), P: vnnlib1(1, box, formulas)})
    return made.add_unsat(evidence(rows, {}))


# Names.

PDE: Final = """format = "tlcheck.pde/1"
title = "u_t = 1"
coordinates = ["t", "x"]
outputs = ["u"]

[domain]
t = [0, 1]
x = [-1, 1]

[parts.residual]
zero = "u_t - 1"
"""


def first_of(names: Sequence[str]) -> bytes:
    """The first of two inputs, with these names."""
    w = Writer()
    w.node(
        "Add", [names[0], w.node("Mul", [names[1], w.constant("zero", np.array([[0.0]]))], "nothing")], "u"
    )
    return w.model(dict.fromkeys(names, (1, 1)), {"u": (1, 1)}, double=True)


def equation(names: Sequence[str]) -> Files:
    """u_t = 1 by place for the first input, whatever it is called."""
    document: dict[str, Any] = {
        "format": "tlcheck.pinn/1", "model": "model.onnx", "pde": "pde.toml", "part": "residual",
        "at_most": "0", "order": 2, "tree": ".",
    }  # fmt: skip
    files = {"model.onnx": first_of(names), "pde.toml": PDE.encode(), "r.json": json.dumps(document).encode()}
    claim = {"kind": "artifact", "name": "residual", "artifact": "r.json", "format": "tlcheck.pinn"}
    return with_manifest(files, [claim])


def declared(names: Sequence[str], shapes: Sequence[str] = ("[1,1]", "[1,1]")) -> Bundle:
    """A property of VNN-LIB 2.0 of y = the network's input t, declaring the inputs in this order."""
    lines = [f"(declare-input {n} real {s})" for n, s in zip(names, shapes, strict=True)]
    boxes = [
        f"(assert (and (>= {n}[0,0] {a}) (<= {n}[0,0] {b})))"
        for n, a, b in (("t", "1.0", "2.0"), ("x", "-1.0", "0.0"))
    ]
    text = "\n".join(
        ["(vnnlib-version <2.0>)", "(declare-network N", *lines, "(declare-output u real [1,1])", ")", *boxes,
         "(assert (<= u[0,0] 0.5))"]
    )  # fmt: skip
    return Bundle({"model.onnx": first_of(("t", "x")), P: text.encode() + b"\n"})


def cases() -> Iterator[Case]:
    def proved(name: str, made: Bundle, note: str, *, rounded: int = 4) -> Case:
        """``rounded``: the exit code in float64, whose margin is below 0."""
        return Regression(
            "regressions", name, made.content(), 0, "TLC001", note, also={"--arith ball64": rounded}
        )

    def false(name: str, made: Bundle, point: F, note: str) -> Case:
        return Case("reject", name, made.content(), 4, "TLC010", note, (point,))

    one = {0: 1.0}
    yield proved(
        "exact-tie-at-a-tip", property_of(teeth(), [(F(0), F(1))], ["(> Y_0 1)"]),
        "the sawtooth reaches 1 and never exceeds it: margin 0",
    )  # fmt: skip
    yield proved(
        "strict-at-a-kink", absolute(UNIT, ["(< Y_0 0)"], one), "the same by lower lines 0, in one leaf"
    )
    yield proved(
        "strict-by-a-sum", absolute(UNIT, ["(<= Y_0 0.5)", "(< (- 0.5 Y_0) 0)"], {0: 1.0, 1: 1.0}),
        "y <= 1/2 and y > 1/2: their sum says 0 < 0",
    )  # fmt: skip
    yield proved(
        "strict-at-a-decimal-end", double(TENTH, ["(< Y_0 0.2)"], one),
        "2 x is at least 0.2 on [0.1, 1], whose end is no double",
    )  # fmt: skip
    yield proved(
        "strict-inputs-exclude-each-other", double(TENTH, ["(< X_0 0.1)"], {}),
        "x >= 0.1 and x < 0.1: no weight is needed", rounded=0,
    )  # fmt: skip
    yield false("strict-turned", absolute(UNIT, ["(<= Y_0 0)"], one), F(0), "|x| <= 0 holds at 0")
    yield false(
        "strict-sum-turned", absolute(UNIT, ["(<= Y_0 0.5)", "(<= (- 0.5 Y_0) 0)"], {0: 1.0, 1: 1.0}), F(1, 2),
        "y <= 1/2 and y >= 1/2 hold where y = 1/2",
    )  # fmt: skip
    other = ["(< Y_0 1)", "(<= Y_0 0)"]
    yield false(
        "strict-but-not-weighed",
        absolute(UNIT, other, {1: 1.0}),
        F(0),
        "the weight is on the other constraint",
    )
    yield false(
        "strict-with-weight-zero", absolute(UNIT, other, {0: 0.0, 1: 1.0}), F(0),
        "a weight of 0 on the strict constraint is none",
    )  # fmt: skip
    yield false(
        "strict-with-the-least-weight", absolute(UNIT, other, {0: 5e-324, 1: 1.0}), F(0),
        "weighed, the strict constraint takes its bound along: the margin is below 0",
    )  # fmt: skip
    yield false(
        "strict-of-another-disjunct", absolute(UNIT, ["(or (and (< Y_0 0)) (and (<= Y_0 0)))"], one, one), F(0),
        "the same row of weights in a disjunct that is strict and in one that is not",
    )  # fmt: skip
    turned = double(TENTH, ["(<= Y_0 0.2)"], one)  # at 0.1 alone, which balls cannot tell
    yield Case("reject", "strict-at-a-decimal-end-turned", turned.content(), 4, "TLC010", "2 x is 0.2 at 0.1")
    yield false(
        "strict-beyond-a-decimal-end", double(TENTH, ["(< Y_0 0.20000000000000000000000000000000000001)"], one),
        F(1, 10), "0.2 is below the bound by 10^-38",
    )  # fmt: skip
    yield false(
        "inputs-meet-in-a-point", double(TENTH, ["(<= X_0 0.1)", "(<= Y_0 1)"], {0: 1.0}), F(1, 10),
        "x >= 0.1 and x <= 0.1 leave x = 0.1",
    )  # fmt: skip
    yield from named()


def named() -> Iterator[Case]:
    def malformed(name: str, content: Files, code: str, note: str) -> Case:
        return Case("malformed", name, content, 3, code, note)

    yield malformed(
        "pinn-inputs-in-another-order", equation(("x", "t")), "TLC204",
        "a network of (x, t) for an equation in (t, x): by place the claim is about u_x",
    )  # fmt: skip
    unsat = evidence([{0: 1.0}], {})
    yield Case(
        "accept", "inputs-declared-by-name", declared(("t", "x")).add_unsat(unsat).content(), 0, "TLC001",
        "two inputs, declared in the model's order",
    )  # fmt: skip
    swapped = {**declared(("t", "x")).add_unsat(unsat).content()}
    yield malformed(
        "inputs-declared-in-another-order", rehashed(swapped, declared(("x", "t")).files[P]), "TLC303",
        "inputs x, t are declared for a model of t, x",
    )  # fmt: skip
    flat = declared(("t", "x")).files[P].replace(b"real [1,1]", b"real [2,1]", 1)
    yield malformed(
        "input-declared-of-another-shape",
        rehashed(swapped, flat),
        "TLC303",
        "t is declared [2,1], and is [1,1]",
    )


def rehashed(content: Files, prop: bytes) -> Files:
    """The bundle with another property, bound by its hash."""
    from hashlib import sha256

    old = sha256(content[P]).hexdigest().encode()
    new = sha256(prop).hexdigest().encode()
    return {k: prop if k == P else v.replace(old, new) for k, v in content.items()}
