"""ODE corridors: claims of every kind of verdict, small enough to follow by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from packing import Case, Files, with_manifest

Document = dict[str, Any]


def line(value: str, slope: str = "0") -> Document:
    return {"layers": [{"weight": [[slope]], "bias": [value]}]}


def curve(text: str) -> Document:
    return {"expression": text}


def segment(
    t0: str, t1: str, lower: list[Document], upper: list[Document], *init: tuple[str, str]
) -> Document:
    boxes = [{"lo": lo, "hi": hi} for lo, hi in init]
    return {"t0": t0, "t1": t1, "init": boxes, "lower": lower, "upper": upper}


def corridor(rhs: list[str], *segments: Document, **more: Any) -> Document:
    states = ["u"] if len(rhs) == 1 else [f"u{k}" for k in range(len(rhs))]
    return {
        "format": "tlcheck.corridor/1",
        "states": states,
        "rhs": rhs,
        "segments": list(segments),
        **more,
    }


def bundle(document: Any) -> Files:
    files = {"corridor.json": json.dumps(document, indent=1).encode() + b"\n"}
    return with_manifest(
        files, [{"kind": "artifact", "name": "u", "artifact": "corridor.json", "format": "tlcheck.corridor"}]
    )


TENTH = ("1/10", "0.1")
LOGISTIC = ["u*(1 - u)"]
TANH: Document = {
    "layers": [
        {"weight": [["1"], ["0.5"]], "bias": ["-1", "0"], "activation": "tanh"},
        {"weight": [["0.5", "1.2"]], "bias": ["0.6"]},
    ]
}
"""An upper curve of the logistic equation from 0.1: 0.6 + tanh(t - 1)/2 + 1.2 tanh(t/2)."""
KINKED: Document = {
    "layers": [
        {"weight": [["1"], ["1"]], "bias": ["0", "-1/3"], "activation": "relu"},
        {"weight": [["0.16", "0.05"]], "bias": ["0.1"]},
    ]
}
"""0.1 + 0.16 t, steeper by 0.05 from t = 1/3: a kink that no double is."""


def cases() -> Iterator[Case]:
    first = segment("0", "1", [line("0.1", "0.05")], [TANH], TENTH)
    second = segment("1", "3", [line("0")], [line("2")], ("0.15", "1.2"))
    joined = corridor(LOGISTIC, first, second, forever=True)
    yield Case("accept", "corridor-two-segments", bundle(joined), 0, "TLC020", "tanh, then walls for ever")
    kinked = corridor(["u"], segment("0", "1/2", [line("0.1", "0.1")], [KINKED], TENTH))
    yield Case("accept", "corridor-relu-kink", bundle(kinked), 0, "TLC020", "one-sided slopes at t = 1/3")
    box = segment("0", "1", [curve("exp(-2*t)/5")] * 2, [line("0.3")] * 2, ("0.2", "0.3"), ("0.2", "0.3"))
    coupled = corridor(["u1 - 2*u0", "u0 - 2*u1"], box)
    yield Case("accept", "corridor-quasi-monotone", bundle(coupled), 0, "TLC020", "two states")
    apart = corridor(LOGISTIC, first, {**second, "lower": [line("1/5")]})
    yield Case(
        "reject", "corridor-disconnected", bundle(apart), 1, "TLC021", "the second segment starts above"
    )
    generous = corridor(LOGISTIC, segment("0", "1", [line("0.1", "1")], [line("2")], TENTH), slack="100")
    yield Case("reject", "corridor-slack-of-its-own", bundle(generous), 1, "TLC021", "it grants itself 100")
    spin = corridor(
        ["u1", "-u0"],
        {**box, "lower": [line("0", "-2"), line("0.2")], "upper": [line("0.3", "0.3"), line("0.3")]},
    )
    yield Case(
        "reject", "corridor-rotation", bundle(spin), 1, "TLC021", "it leaves at once, though corners hold"
    )
    root = corridor(["sqrt(u)"], segment("0", "1", [line("0")], [curve("1 + 2*t")], ("0", "0")))
    yield Case("undecided", "corridor-root-at-zero", bundle(root), 4, "TLC022", "two solutions start at 0")
    empty = corridor(LOGISTIC, segment("0", "1", [line("0")], [line("1")], ("0.2", "0.1")))
    yield Case("malformed", "corridor-no-initial-value", bundle(empty), 3, "TLC101", "0.2 <= u(0) <= 0.1")
