"""Splines: claims of every kind of verdict, made of small rational numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from packing import Case, Files, with_manifest

PARABOLA: Final[dict[str, Any]] = {
    "format": "tlcheck.spline/1",
    "knots": ["0", "1", "3/2"],
    "pieces": [["0", "0", "1"], ["1", "2", "1"]],
    "values": ["0", "1", "9/4"],
    "smooth": 2,
    "monotone": "increasing",
    "convex": "convex",
    "range": ["0", "9/4"],
}
TANH: Final[dict[str, Any]] = {
    "meta": {"activation": "tanh"},
    "layers.0.weight": [[1.0]],
    "layers.0.bias": [0.0],
    "layers.1.weight": [[1.0]],
    "layers.1.bias": [0.0],
}
TAYLOR: Final = {
    "format": "tlcheck.spline/1",
    "knots": ["0", "1/4"],
    "pieces": [["0", "1", "0", "-1/3", "0", "2/15"]],
}
"""The network tanh(x), and its Taylor polynomial: their distance on [0, 1/4] is 17/315 x^7 and less."""


def bundle(document: Any, *, network: Any = None) -> Files:
    files = {"spline.json": text(document)}
    if network is not None:
        files["net.json"] = text(network)
    return with_manifest(
        files, [{"kind": "artifact", "name": "s", "artifact": "spline.json", "format": "tlcheck.spline"}]
    )


def text(document: Any) -> bytes:
    return json.dumps(document, indent=1).encode() + b"\n"


def distance(bound: str, **changes: Any) -> Files:
    near = {**TAYLOR, **changes, "distance": {"network": "net.json", "bound": bound}}
    return bundle(near, network=TANH)


def cases() -> Iterator[Case]:
    touching = {**PARABOLA, "pieces": [["1/9", "-2/3", "1"], ["4/9", "4/3", "1"]], "values": None}
    touching |= {"monotone": None, "range": ["0", "16/9"]}
    dips = {**PARABOLA, "pieces": [["0", "-1/100", "303/100", "-202/100"], ["1", "-1/100"]], "values": None}
    dips |= {"smooth": 0, "convex": None, "monotone": "nondecreasing", "range": ["0", "1"]}

    def case(group: str, name: str, content: Files, exit: int, code: str, note: str) -> Case:
        return Case(group, f"spline-{name}", content, exit, code, note)

    yield case("accept", "parabola", bundle(PARABOLA), 0, "TLC020", "every kind of claim but the distance")
    yield case(
        "accept", "touches-its-range", bundle(touching), 0, "TLC020", "(x - 1/3)^2 >= 0: a double zero"
    )
    yield case(
        "accept",
        "near-tanh",
        distance("0.000004"),
        0,
        "TLC020",
        "sup |p - tanh| is 17/315 4^-7, about 3.3e-6",
    )
    yield case("reject", "dips", bundle(dips), 1, "TLC021", "falls at once, by a slope of -1/100")
    off = {**PARABOLA, "pieces": [["0", "0", "1"], ["1", "2." + "0" * 39 + "1", "1"]], "values": None}
    yield case(
        "reject",
        "slope-jumps",
        bundle({**off, "range": None}),
        1,
        "TLC021",
        "C^1 fails by 1e-40: no tolerance",
    )
    yield case("reject", "far-from-tanh", distance("0.000003"), 1, "TLC021", "10 percent too close")
    attained = distance("1/4", pieces=[["1/4", "1", "-1"]])
    yield case(
        "undecided",
        "distance-attained",
        attained,
        4,
        "TLC022",
        "1/4 + x - x^2 - tanh x is 1/4 at 0, and less after",
    )
    short = {**PARABOLA, "values": ["0", "1"]}
    yield case("malformed", "values-missing", bundle(short), 3, "TLC101", "two values for three knots")
    floats = {**PARABOLA, "knots": [0, 1, 1.5]}
    yield case("malformed", "knots-as-floats", bundle(floats), 3, "TLC101", "numbers are strings")
