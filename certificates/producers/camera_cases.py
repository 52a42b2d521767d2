"""Camera boxes: claims of every kind of verdict, made of small rational numbers; and sampled envelopes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from copy import deepcopy
from itertools import product
from math import cos, radians, sin
from typing import Any, Final

from packing import Case, Files, with_manifest

K: Final = [["100", "0", "320"], ["0", "100", "240"], ["0", "0", "1"]]
CORNERS: Final = [[str(x), str(y), str(z)] for z in (10, 12) for y in (-1, 1) for x in (-1, 1)]
POSED: Final[dict[str, Any]] = {
    "camera": {
        "intrinsics": K,
        "rotation": [["1", "0", "0"], ["0", "1", "0"], ["0", "0", "1"]],
        "translation": ["0", "0", "0"],
    },
    "corners": CORNERS,
}
FULL: Final[dict[str, Any]] = {
    **POSED,
    "image": ["640", "480"],
    "box": ["310", "230", "330", "250"],
    "tight": "0",
    "cuboid": {"order": "bits", "handed": "right"},
    "pixels": {
        "rounding": "half-even",
        "offset": "1/2",
        "values": [
            [310, 230],
            [330, 230],
            [310, 250],
            [330, 250],
            [312, 232],
            [329, 232],
            [312, 249],
            [329, 249],
        ],
    },
    "lens": {"k": ["-0.1", "0.01"], "radius": "1/2"},
}
"""The corners' pixels are 320 +- 10 and 240 +- 10 in front, 320 +- 25/3 and 240 +- 25/3 behind."""
RANGES: Final = {
    "rotation_degrees": ["2", "2", "2"],
    "translation": ["0.05", "0.05", "0.05"],
    "focal": "0.01",
}


def bundle(*boxes: dict[str, Any]) -> Files:
    document = {"format": "tlcheck.camera/1", "boxes": boxes}
    return with_manifest(
        {"camera.json": json.dumps(document, indent=1).encode() + b"\n"},
        [{"kind": "artifact", "name": "c", "artifact": "camera.json", "format": "tlcheck.camera"}],
    )


def sampled_envelope(
    k: Sequence[Sequence[float]],
    corners: Sequence[Sequence[float]],
    degrees: float,
    shift: float,
    focal: float,
) -> list[float]:
    """The least and greatest pixels over the corners and middles of all ranges, in floats: what an envelope must hold.

    xmin, ymin, xmax, ymax. It is sampled: nothing here proves that it holds more.
    """
    ends = [float("inf"), float("inf"), float("-inf"), float("-inf")]
    for angles in product((-1, 0, 1), repeat=3):
        (ca, sa), (cb, sb), (cc, sc) = (
            (cos(radians(degrees * t)), sin(radians(degrees * t))) for t in angles
        )
        for x0, y0, z0 in corners:
            x1, y1, z1 = x0, ca * y0 - sa * z0, sa * y0 + ca * z0
            x2, y2, z2 = cb * x1 + sb * z1, y1, cb * z1 - sb * x1
            x3, y3 = cc * x2 - sc * y2, sc * x2 + cc * y2
            for dx, dy, dz, f in product(
                (-shift, shift), (-shift, shift), (-shift, shift), (1 - focal, 1 + focal)
            ):
                x, y, z = x3 + dx, y3 + dy, z2 + dz
                for axis, top in enumerate((x, y)):
                    off = k[0][1] * y / z if axis == 0 else 0.0
                    value = k[axis][axis] * f * top / z + off + k[axis][2]
                    ends[axis], ends[axis + 2] = min(ends[axis], value), max(ends[axis + 2], value)
    return ends


def widened(ends: Sequence[float], factor: float) -> list[str]:
    """The rectangle, ``factor`` times as wide and as high, to 4 decimals."""
    result = []
    for axis in (0, 1):
        half, middle = (ends[axis + 2] - ends[axis]) / 2 * factor, (ends[axis + 2] + ends[axis]) / 2
        result.append((middle - half, middle + half))
    return [f"{result[a][e]:.4f}" for e in (0, 1) for a in (0, 1)]


def cases() -> Iterator[Case]:
    def case(group: str, name: str, content: Files, exit: int, code: str, note: str) -> Case:
        return Case(group, f"camera-{name}", content, exit, code, note)

    def changed(**changes: Any) -> dict[str, Any]:
        return {**deepcopy(FULL), **changes}

    floats = [[float(x) for x in row] for row in CORNERS]
    ends = sampled_envelope([[float(x) for x in row] for row in K], floats, 2, 0.05, 0.01)

    def seen(factor: float) -> dict[str, Any]:
        return {**POSED, "uncertainty": {**RANGES, "envelope": widened(ends, factor), "least_depth": "9"}}

    yield case("accept", "all-conditions", bundle(FULL), 0, "TLC020", "every claim that is decided exactly")
    yield case(
        "accept", "envelope", bundle(seen(1.01)), 0, "TLC020", "every pose; 1.01 times what sampling finds"
    )
    behind = deepcopy(CORNERS)
    behind[5][2] = "-0.0455"
    yield case(
        "reject",
        "corner-behind",
        bundle({**POSED, "corners": behind}),
        1,
        "TLC021",
        "corner 5 has depth -0.0455",
    )
    yield case("reject", "envelope-too-small", bundle(seen(0.98)), 1, "TLC021", "some pose is seen outside")
    up = deepcopy(FULL["pixels"])
    up["values"][0] = [311, 231]
    yield case(
        "reject",
        "tie-rounded-up",
        bundle(changed(pixels=up)),
        1,
        "TLC021",
        "310 + 1/2 rounds to 310, not 311",
    )
    yield case(
        "reject",
        "lens-folds",
        bundle(changed(lens={"k": ["-2"], "radius": "1/2"})),
        1,
        "TLC021",
        "at r^2 > 1/6",
    )
    third = {**POSED, "corners": [["1/3", "1/3", "10/3"]]}
    still = {"rotation_degrees": ["0"] * 3, "translation": ["0"] * 3, "focal": "0"}
    exact = {**third, "uncertainty": {**still, "envelope": ["330", "250", "330", "250"]}}
    yield case(
        "undecided", "envelope-attained", bundle(exact), 4, "TLC022", "a third is no ball: ties stay open"
    )
    yield case(
        "malformed",
        "seven-corners",
        bundle(changed(corners=CORNERS[:7], pixels=None)),
        3,
        "TLC101",
        "no cuboid",
    )
    yield case(
        "malformed",
        "no-pose",
        bundle({"camera": {"intrinsics": K}, "corners": CORNERS}),
        3,
        "TLC101",
        "K alone",
    )
