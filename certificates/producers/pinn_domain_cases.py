"""Claims over whole domains: what a small network leaves over of the heat equation, and its distance to the solution.

The network has seven tanh in (t, x), with weights that were fitted once and rounded. Trees cut evenly, the coordinates in turn.
``artifacts()`` as in stability_cases.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from models import Writer
from stability_cases import Document, Made

ARTIFACT: Final = "pinn.json"

SLOPES: Final = (
    (0.0, 0.48, -0.44, -1.42, -0.73, -1.59, 0.1),
    (2.14, -0.79, -0.99, 0.78, 0.57, 0.17, -1.49),
)
SHIFTS: Final = (-1.19, 0.15, 1.25, 0.18, 0.42, -0.03, 1.32)
WEIGHTS: Final = (-0.751, -8.413, -1.38, -0.056, -3.935, -0.257, 4.032)

HEAT: Final = """format = "tlcheck.pde/1"
title = "Heat equation, conductivity 1/10"
coordinates = ["t", "x"]
outputs = ["u"]

[domain]
t = [0, 1]
x = [0, 1]

[parts.residual]
zero = "u_t - 0.1*u_xx"

[parts.initial]
at = { t = 0 }
zero = "u - sin(pi*x)"

[parts.left]
at = { x = 0 }
zero = "u"

[parts.right]
at = { x = 1 }
zero = "u"

[solution.sup]
theorem = "parabolic-sup"
residual = "residual"
initial = "initial"
boundary = ["left", "right"]

[solution.L2]
theorem = "parabolic-L2"
residual = "residual"
initial = "initial"
boundary = ["left", "right"]
"""
SUP: Final = ("0.289", "0.35")
L1: Final = ("0.2", "0.22")
L2: Final = ("0.0589", "0.0591")
ERROR: Final = {"sup": "0.73", "L2": "0.6"}
"""Below and above what the trees give; in floating point the amounts are 0.28948, 0.20369 and 0.059027."""
EDGES: Final = {"sup": ("lower end of x", "upper end of x"), "L2": ("lower end", "upper end")}


def network() -> bytes:
    """u(t, x) as ONNX, in double precision."""
    writer = Writer()
    constants = {"slopes": SLOPES, "shifts": SHIFTS, "weights": [[c] for c in WEIGHTS]}
    names = [writer.constant(name, np.array(value)) for name, value in constants.items()]
    inner = writer.node("Gemm", ["p", *names[:2]], "inner")
    bent = writer.node("Tanh", [inner], "bent")
    writer.node("MatMul", [bent, names[2]], "u")
    return writer.model({"p": (1, 2)}, {"u": (1, 1)}, double=True)


def even(depth: int, *axes: int) -> str:
    """The tree of 2^depth cells that cuts along ``axes`` in turn."""
    return f"{axes[0]}{even(depth - 1, *axes[1:], axes[0]) * 2}" if depth else "."


def part(norm: str, at_most: str, at_least: str, **more: Any) -> Document:
    """A claim about the residual."""
    document = {"format": "tlcheck.pinn/1", "model": "model.onnx", "pde": "pde.toml", "part": "residual"}
    return document | {
        "norm": norm, "at_most": at_most, "at_least": at_least, "order": 5, "tree": even(6, 0, 1), **more,
    }  # fmt: skip


def solution(name: str, at_most: str) -> Document:
    lines = {"order": 5, "tree": even(3, 1)}, {"order": 5, "tree": even(2, 0)}
    cells = {"order": 5, "tree": even(5, 0, 1)}
    covers = {"residual": cells, "initial": lines[0], **dict.fromkeys(EDGES[name], lines[1])}
    if name == "L2":
        covers["lift"] = {"order": 5, "tree": even(2, 0, 1)}
    return {
        "format": "tlcheck.pinn/1", "model": "model.onnx", "pde": "pde.toml", "solution": name, "at_most": at_most,
        "covers": covers,
    }  # fmt: skip


def artifacts() -> Iterator[Made]:
    model = network()

    def made(group: str, name: str, document: Document, code: str, note: str, pde: str = HEAT) -> Made:
        exit_code = {"TLC020": 0, "TLC021": 1, "TLC022": 4}.get(code, 3)
        written = (json.dumps(document, indent=1) + "\n").encode()
        files = {ARTIFACT: written, "model.onnx": model, "pde.toml": pde.encode()}
        return group, name, files, exit_code, code, note

    top = {"witness": ["1", "0.33"]}
    yield made(
        "accept",
        "pinn-domain-sup",
        part("sup", SUP[1], SUP[0], **top),
        "TLC020",
        "largest square of a residual",
    )
    yield made("accept", "pinn-domain-L1", part("L1", L1[1], L1[0]), "TLC020", "its mean size, two-sided")
    yield made("accept", "pinn-domain-L2", part("L2", L2[1], L2[0]), "TLC020", "its mean square, two-sided")
    yield made(
        "reject", "pinn-domain-below-maximum", part("sup", SUP[0], "0", **top), "TLC021",
        "a bound below the value at the witness",
    )  # fmt: skip
    yield made(
        "reject",
        "pinn-domain-integral-too-low",
        part("L2", L2[0], "0"),
        "TLC021",
        "a bound below the integral",
    )
    cut = part("L1", L1[1], L1[0])
    yield made(
        "malformed",
        "pinn-domain-dropped-cell",
        cut | {"tree": cut["tree"][:-1]},
        "TLC101",
        "the tree lacks a cell",
    )
    yield made(
        "accept", "solution-heat-sup", solution("sup", ERROR["sup"]), "TLC020", "distance to the solution"
    )
    yield made(
        "accept", "solution-heat-L2", solution("L2", ERROR["L2"]), "TLC020", "with a lift of the sides"
    )
    yield made(
        "undecided", "solution-bound-too-low", solution("sup", "1/100"), "TLC022",
        "below the true distance; what the residual shows is only an upper bound",
    )  # fmt: skip
    for name, old, new, note in (
        ("solution-backward-heat", "u_t - 0.1", "u_t + 0.1", "backwards in time"),
        ("solution-growing-reaction", "0.1*u_xx", "0.1*u_xx - u/1000", "a coefficient of u below 0"),
        (
            "solution-jump-in-the-corner",
            'x = 1 }\nzero = "u"',
            'x = 1 }\nzero = "u - 1/1000"',
            "data that jump",
        ),
    ):
        yield made("undecided", name, solution("sup", "1000"), "TLC022", note, replaced(old, new))
    cubic = replaced("0.1*u_xx", "0.1*u_xx + u^3")
    yield made("malformed", "solution-other-equation", solution("sup", "1000"), "TLC101", "no theorem", cubic)
    scaled = replaced('"u - sin(pi*x)"', '"(u - sin(pi*x))/10^9"')
    yield made(
        "malformed", "solution-scaled-part", solution("sup", "1000"), "TLC101", "initial / 10^9", scaled
    )
    side = replaced("at = { x = 1 }", "at = { x = 0 }")
    yield made(
        "malformed", "solution-missing-side", solution("sup", "1000"), "TLC101", "one side twice", side
    )
    bare = solution("L2", "1000")
    del bare["covers"]["lift"]
    yield made("malformed", "solution-without-lift", bare, "TLC101", "an amount without its cover")


def replaced(old: str, new: str) -> str:
    if old not in HEAT:
        raise ValueError(old)
    return HEAT.replace(old, new)


def cases() -> Iterator[Any]:
    """As bundles of the corpus."""
    from packing import Case, with_manifest

    for group, name, files, exit_code, code, note in artifacts():
        claim = {"kind": "artifact", "format": "tlcheck.pinn", "artifact": ARTIFACT}
        yield Case(group, name, with_manifest(files, [claim]), exit_code, code, note)
