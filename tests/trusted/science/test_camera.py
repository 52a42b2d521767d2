"""Camera boxes: TorchLean's invariants, the further conditions, pose envelopes, and what every mutation is called."""

from __future__ import annotations

import json
import math
import random
import sys
from fractions import Fraction as F
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers import DATA, REPOSITORY, needs_data
from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.readers.files import Files
from tlcheck.readers.torchlean import camera
from tlcheck.trusted.decide import ConditionsOutcome, decide_conditions
from tlcheck.trusted.verdict import Verdict
from tlcheck.verify import verify_path

Document = dict[str, Any]
GOLDEN = DATA / "torchlean" / "Geometry3D" / "check_box3d_camera_cert.json"
OMNI3D = DATA / "scientific" / "geometry3d" / "omni3d_issue19_negative_depth.json"

BOX: Document = {
    "format": "torchlean.camera.box3d.v1", "image_width": 640.0, "image_height": "480", "tol": 0.0,
    "camera_P": [100, 0, 320, 0, 0, 100, 240, 0, 0, 0, 1, 0],
    "corners3d": [c for z in (10, 12) for y in (-1, 1) for x in (-1, 1) for c in (x, y, z)],
    "bbox2d": [309.0, 229.0, 331.0, 251.0],
}  # fmt: skip
CORNERS = [[str(x), str(y), str(z)] for z in (10, 12) for y in (-1, 1) for x in (-1, 1)]
POSE: Document = {
    "intrinsics": [["100", "0", "320"], ["0", "100", "240"], ["0", "0", "1"]],
    "rotation": [["1", "0", "0"], ["0", "1", "0"], ["0", "0", "1"]],
    "translation": ["0", "0", "0"],
}
FULL: Document = {
    "camera": {**POSE, "projection": [["100", "0", "320", "0"], ["0", "100", "240", "0"], ["0", "0", "1", "0"]]},
    "corners": CORNERS, "image": ["640", "480"], "box": ["310", "230", "330", "250"], "tight": "0",
    "cuboid": {"order": "bits"}, "lens": {"k": ["-0.1", "0.01"], "radius": "1/2"},
    "pixels": {"rounding": "floor", "values": [[310, 230], [330, 230], [310, 250], [330, 250],
                                               [311, 231], [328, 231], [311, 248], [328, 248]]},
    "uncertainty": {"rotation_degrees": ["2", "2", "2"], "translation": ["0.05", "0.05", "0.05"], "focal": "0.01",
                    "envelope": ["290", "210", "350", "270"], "least_depth": "9"},
}  # fmt: skip


def load(document: Any, kind: str = "tlcheck.camera", **options: Any) -> list[Any]:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()

    def read(name: str) -> bytes:
        raise InvalidInput("TLC402", "no such file")

    return [c.claim for c in camera.load(data, Files("x.json", read), Options(**options), kind)]


def judge(document: Any, kind: str = "tlcheck.camera", **options: Any) -> ConditionsOutcome:
    (claim,) = load(document, kind, **options)
    assert claim.statement
    return decide_conditions(claim)


def ours(*boxes: Document) -> Document:
    return {"format": "tlcheck.camera/1", "boxes": list(boxes)}


def spoiled(document: Document, *path: Any, to: Any) -> Document:
    """A copy with one entry replaced."""
    copy: Document = json.loads(json.dumps(document))
    at: Any = copy
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = to
    return copy


# Golden rows, TORCHLEAN.md 1.15, and the fixtures of 1.13.


@needs_data
def test_the_bundled_box_is_accepted_with_one_pixel_of_slack() -> None:
    (result,) = verify_path(GOLDEN, Options()).claims
    assert result.verdict is Verdict.CERTIFIED
    assert result.details["projected hull"] == [310.0, 230.0, 330.0, 250.0]
    conditions: Any = result.details["conditions"]
    assert (
        conditions["corner inside the box"]["least_slack"] == 1
        and conditions["tolerance"]["least_slack"] == 0
    )
    assert "carries no network" in result.statement and result.details["decimals"] == "nearest binary64"


@needs_data
def test_omni3d_corners_behind_the_camera_are_refuted_by_name() -> None:
    outcome = judge(OMNI3D.read_bytes(), "omni3d-box")
    assert outcome.verdict is Verdict.REFUTED
    assert [(f.name, f.where) for f in outcome.failures] == [
        ("positive depth", "corner 0"),
        ("positive depth", "corner 1"),
    ]
    assert outcome.failures[0].high == -0.04547452926635742 and outcome.tallies["positive depth"].proved == 2


@pytest.mark.parametrize(
    ("path", "to", "first"),
    [
        (("corners3d", 2), -10, "positive depth"),
        (("corners3d", 2), 0, "positive depth"),
        (("camera_P", 2), 1e4, "corner inside the image"),
        (("bbox2d",), [315.0, 235.0, 325.0, 245.0], "corner inside the box"),
        (("bbox2d",), [331.0, 229.0, 309.0, 251.0], "order of the box"),
        (("bbox2d",), [229.0, 309.0, 251.0, 331.0], "corner inside the box"),
        (("bbox2d", 0), -1, "box inside the image"),
        (("image_width",), 0, "image size"),
        (("image_height",), 240.5, "box inside the image"),
        (("tol",), -1e-300, "tolerance"),
        (("bbox2d", 0), 310.00000000000006, "corner inside the box"),
    ],
)
def test_each_bad_box_is_refuted_for_its_own_reason(path: tuple[Any, ...], to: Any, first: str) -> None:
    outcome = judge(spoiled(BOX, *path, to=to), "torchlean-camera")
    assert (outcome.verdict, outcome.code) == (Verdict.REFUTED, "TLC021")
    assert outcome.failures[0].name == first


@pytest.mark.parametrize(
    ("path", "to"),
    [
        (("corners3d",), BOX["corners3d"][:23]), (("camera_P",), BOX["camera_P"][:11]), (("bbox2d",), [1, 2, 3]),
        (("corners3d", 0), "x"), (("tol",), None), (("tol",), "NaN"), (("image_width",), [640]), (("bbox2d", 0), True),
        (("camera_P", 0), {"a": 1}), (("corners3d",), 3), (("tol",), "0x1p0"), (("tol",), " 1"),
    ],
)  # fmt: skip
def test_malformed_boxes_are_invalid(path: tuple[Any, ...], to: Any) -> None:
    with pytest.raises(InvalidInput) as error:
        load(spoiled(BOX, *path, to=to), "torchlean-camera")
    assert error.value.code == "TLC101"


@pytest.mark.parametrize("text", ["1e999", "Infinity", "NaN", "-Infinity"])
def test_numbers_that_are_none_are_invalid(text: str) -> None:
    for written in (text, f'"{text}"'):
        with pytest.raises(InvalidInput) as error:
            load(json.dumps(BOX).replace("309.0", written).encode(), "torchlean-camera")
        assert error.value.code in ("TLC101", "TLC106")


def test_a_tolerance_counts_only_as_far_as_the_user_allows() -> None:
    loose = {**BOX, "tol": 1.5, "bbox2d": [311.0, 229.0, 331.0, 251.0]}
    assert judge(loose, "torchlean-camera").verdict is Verdict.REFUTED
    assert judge(loose, "torchlean-camera", slack=F(99, 100)).verdict is Verdict.REFUTED
    assert judge(loose, "torchlean-camera", slack=F(1)).verdict is Verdict.CERTIFIED
    assert "widened by 1" in load(loose, "torchlean-camera", slack=F(1))[0].statement
    assert "widened by 3/2" in load(loose, "torchlean-camera", slack=F(7))[0].statement


def test_decimals_are_read_as_asked() -> None:
    """0.1 is above a tenth as binary64: a corner at x = 0.1, z = 1 under f = 1 is then right of 1/10."""
    tenth = {
        **BOX,
        "camera_P": [10, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0],
        "corners3d": ["0.1", 0, 1] * 8,
        "bbox2d": [0, 0, 1, 1],
    }
    assert judge(tenth, "torchlean-camera", decimals="exact").verdict is Verdict.CERTIFIED
    assert judge(tenth, "torchlean-camera").verdict is Verdict.REFUTED


def test_json_lines_are_a_claim_each() -> None:
    lines = b"\n".join(json.dumps(b).encode() for b in (BOX, {**BOX, "bbox2d": [0, 0, 1, 1]}, BOX))
    assert [decide_conditions(c).verdict.name for c in load(lines, "torchlean-camera")] == [
        "CERTIFIED",
        "REFUTED",
        "CERTIFIED",
    ]


# Our own format.


def test_a_box_is_all_that_it_claims() -> None:
    outcome = judge(ours(FULL))
    assert outcome.verdict is Verdict.CERTIFIED
    assert {"tight box", "parallel edges", "right angles", "positive volume", "orthogonal R", "P = K [R | t]", "integer pixel",
            "monotone lens", "corner within the lens radius", "depth under uncertainty", "image inside the envelope"} <= set(
        outcome.tallies)  # fmt: skip


@pytest.mark.parametrize(
    ("path", "to", "name"),
    [
        (("corners", 6, 2), "-1/1000", "positive depth"),
        (("corners", 3, 0), "1.0000000000000001", "parallel edges"),
        (("cuboid", "handed"), "left", "positive volume"),
        (("cuboid", "order"), "ring", "parallel edges"),
        (("camera", "rotation", 0, 0), "0.9999999999", "orthogonal R"),
        (("camera", "rotation", 0, 0), "-1", "determinant of R"),
        (("camera", "projection", 1, 3), "1e-30", "P = K [R | t]"),
        (("camera", "intrinsics", 2, 2), "2", "last entry of K is 1"),
        (("camera", "intrinsics", 1, 0), "1", "upper triangular K"),
        (("camera", "intrinsics", 0, 0), "-100", "focal length"),
        (("box", 0), "309.999", "tight box"),
        (("box", 0), "310.001", "corner inside the box"),
        (("image", 1), "249", "box inside the image"),
        (("pixels", "values", 4, 0), 312, "integer pixel"),
        (("pixels", "rounding"), "ceil", "integer pixel"),
        (("pixels", "offset"), "1/2", "integer pixel"),
        (("lens", "k", 0), "-1.35", "monotone lens"),
        (("lens", "radius"), "0.14", "corner within the lens radius"),
        (("uncertainty", "envelope", 0), "309", "image inside the envelope"),
        (("uncertainty", "least_depth"), "9.95", "depth under uncertainty"),
    ],
)
def test_each_false_condition_is_refuted_by_name(path: tuple[Any, ...], to: Any, name: str) -> None:
    outcome = judge(ours(spoiled(FULL, *path, to=to)))
    assert outcome.verdict is Verdict.REFUTED
    assert name in {failure.name for failure in outcome.failures}


@pytest.mark.parametrize(
    ("path", "to"),
    [
        (("corners",), CORNERS[:7]), (("corners", 0), ["1", "2"]), (("corners", 0, 0), 1.0), (("camera",), {}),
        (("camera", "rotation"), None), (("uncertainty", "focal"), "1"), (("uncertainty", "translation"), ["0", "0", "-1"]),
        (("uncertainty", "rotation_degrees", 0), "91"), (("pixels", "values"), [[1, 2]]), (("pixels", "values", 0), [1.5, 2]),
        (("tight",), "-1"), (("cuboid", "edge_eps"), "-1"), (("box",), None), (("lens", "k"), []), (("extra",), 1),
        (("cuboid", "order"), "any"), (("image",), ["640"]), (("corners",), []), (("box", 0), "1/0"), (("box", 0), "1e99999"),
    ],
)  # fmt: skip
def test_malformed_claims_are_invalid(path: tuple[Any, ...], to: Any) -> None:
    with pytest.raises(InvalidInput) as error:
        load(ours(spoiled(FULL, *path, to=to)))
    assert error.value.code in ("TLC101", "TLC401")


def test_batches_name_the_box() -> None:
    outcome = judge(
        ours(
            FULL, {**FULL, "name": "car 7", "box": ["0", "0", "1", "1"]}, {"camera": POSE, "corners": CORNERS}
        )
    )
    assert outcome.verdict is Verdict.REFUTED and outcome.where.startswith("car 7: ")
    assert outcome.measures["boxes"] == 3
    with pytest.raises(InvalidInput):
        load(ours())


def test_ring_order_and_left_handed_boxes() -> None:
    ring = [CORNERS[k] for k in (0, 1, 3, 2, 4, 5, 7, 6)]
    assert (
        judge(ours({"camera": POSE, "corners": ring, "cuboid": {"order": "ring"}})).verdict
        is Verdict.CERTIFIED
    )
    mirrored = [[str(-int(x)), y, z] for x, y, z in CORNERS]
    left = {"camera": POSE, "corners": mirrored, "cuboid": {"handed": "left"}}
    assert judge(ours(left)).verdict is Verdict.CERTIFIED
    flat = {"camera": POSE, "corners": [["1", "1", "9"]] * 8, "cuboid": {}}
    assert {f.name for f in judge(ours(flat)).failures} == {"positive volume"}
    skewed = [[str(F(x) + F(y, 100)), y, z] for x, y, z in ((x, int(y), z) for x, y, z in CORNERS)]
    skewed = [[x, str(y), z] for x, y, z in skewed]
    for eps, verdict in (("0.01", Verdict.CERTIFIED), ("0.0099", Verdict.REFUTED)):
        box = {"camera": POSE, "corners": skewed, "cuboid": {"cosine_eps": eps}}
        assert judge(ours(box)).verdict is verdict


def test_a_rotation_that_is_none_of_the_doubles() -> None:
    """3/5, 4/5 is a rotation exactly; its binary64 neighbours are one to 1e-15 only."""
    exact = [["3/5", "-4/5", "0"], ["4/5", "3/5", "0"], ["0", "0", "1"]]
    rounded = [[float(F(x)).hex() for x in row] for row in exact]
    for rotation, eps, verdict in (
        (exact, "0", Verdict.CERTIFIED), (rounded, "0", Verdict.REFUTED), (rounded, "1e-15", Verdict.CERTIFIED)
    ):  # fmt: skip
        box = {"camera": {**POSE, "rotation": rotation, "rotation_eps": eps}, "corners": CORNERS}
        assert judge(ours(box)).verdict is verdict


def test_truncated_boxes() -> None:
    """The left half of the solid leaves the image, whose left edge the box takes."""
    camera_ = {**POSE, "intrinsics": [["100", "0", "5"], ["0", "100", "240"], ["0", "0", "1"]]}
    cut = {"camera": camera_, "corners": CORNERS, "image": ["640", "480"], "box": ["0", "230", "15", "250"]}
    assert judge(ours(cut)).failures[0].name == "corner inside the image"
    assert judge(ours({**cut, "truncated": True})).verdict is Verdict.CERTIFIED
    short = {**cut, "truncated": True, "box": ["0.5", "230", "15", "250"]}
    assert judge(ours(short)).failures[0].name == "corner inside the box"
    with pytest.raises(InvalidInput):
        load(ours({"camera": camera_, "corners": CORNERS, "truncated": True}))


# Integer pixels near ties, against an oracle in integers.


def near_tie(chance: random.Random) -> tuple[list[str], int, int, int, F]:
    """A point on the axis of x with pixel a/c: at, or as near as 2^-60 to, an integer or a half."""
    c = chance.randint(1, 1 << 24) * chance.choice([1, 2, 3, 7])
    twice = chance.randint(-2000, 2000)
    a, scale = twice * c << 60, 2 << 60
    a += chance.choice([0, 0, 1, -1, c, -c])
    return [str(F(a, scale)), "0", str(c)], a, c * scale, twice, F(a, scale * c)


def rounded(numerator: int, denominator: int, how: str) -> int:
    """By integer division only."""
    low, rest = divmod(numerator, denominator)
    if how == "floor" or rest == 0:
        return low
    if how == "ceil":
        return low + 1
    return low + (2 * rest > denominator or (2 * rest == denominator and low % 2 == 1))


def test_near_ties_are_decided_like_the_oracle() -> None:
    chance = random.Random(11)
    unit = [["1", "0", "0", "0"], ["0", "1", "0", "0"], ["0", "0", "1", "0"]]
    wrong = 0
    for _ in range(400):
        how = chance.choice(["floor", "ceil", "half-even"])
        half = chance.choice([0, 1])
        points = [near_tie(chance) for _ in range(8)]
        truth = [rounded(2 * a + half * d, 2 * d, how) for _, a, d, _, _ in points]
        middle = rounded(half, 2, how)
        values = [[t, middle] for t in truth]
        lie = chance.randrange(9)
        if lie < 8:
            values[lie][0] += chance.choice([-1, 1])
        pixels = {"rounding": how, "offset": "1/2" if half else "0", "values": values}
        box = {"camera": {"projection": unit}, "corners": [p[0] for p in points], "pixels": pixels}
        outcome = judge(ours(box))
        tally = outcome.tallies["integer pixel"]
        wrong += (tally.proved, tally.disproved) != ((16, 0) if lie == 8 else (15, 1))
    assert wrong == 0


def test_float32_inputs_are_the_numbers_that_they_are() -> None:
    x = float(np.float32(0.1))  # above 1/10: 10 of them make more than 1
    box = {"camera": {"projection": [["10", "0", "0", "0"], ["0", "1", "0", "0"], ["0", "0", "1", "0"]]}, "corners": [[x.hex(), "0", "1"]]}  # fmt: skip
    assert (
        judge(ours({**box, "pixels": {"rounding": "ceil", "values": [[2, 0]]}})).verdict is Verdict.CERTIFIED
    )
    assert judge(ours({**box, "pixels": {"rounding": "ceil", "values": [[1, 0]]}})).verdict is Verdict.REFUTED


# Random boxes against plain fractions.


def test_random_boxes_against_plain_fractions() -> None:
    chance = random.Random(4)
    seen = set()
    for _ in range(150):
        p = [[F(chance.randint(-9, 9), chance.randint(1, 5)) for _ in range(4)] for _ in range(2)]
        p.append([F(0), F(0), F(1), F(chance.randint(-2, 2))])
        corners = [
            [F(chance.randint(-3, 3), 2) for _ in range(2)] + [F(chance.randint(1, 9))] for _ in range(8)
        ]
        side = F(chance.choice([3, 8, 40]))
        box = [-side, -side, side, side]
        rays = [[sum(row[k] * x for k, x in enumerate([*c, F(1)])) for row in p] for c in corners]
        depths = [r[2] > 0 for r in rays]
        inside = [
            d and all(box[a] <= r[a] / r[2] <= box[a + 2] for a in (0, 1))
            for r, d in zip(rays, depths, strict=True)
        ]
        text = {"camera": {"projection": [[str(x) for x in row] for row in p]},
                "corners": [[str(x) for x in c] for c in corners], "box": [str(b) for b in box]}  # fmt: skip
        outcome = judge(ours(text))
        assert outcome.verdict is (Verdict.CERTIFIED if all(inside) else Verdict.REFUTED)
        assert outcome.tallies["positive depth"].proved == sum(depths)
        assert outcome.tallies["corner inside the box"].proved == sum(inside)
        seen.add(outcome.verdict)
    assert len(seen) == 2


# Pose and focal length.


def producers(monkeypatch: pytest.MonkeyPatch, name: str) -> Any:
    monkeypatch.setattr(sys, "path", [str(REPOSITORY / "certificates" / "producers"), *sys.path])
    return __import__(name)


def pixels_of(
    corners: np.ndarray[Any, Any], chance: np.random.Generator, n: int, u: Document
) -> np.ndarray[Any, Any]:
    """Sampled pixels (n, 8, 2) over the ranges, rotations by numpy's matrices, K as in POSE."""
    found = []
    degrees, shifts, focal = (
        np.array([float(F(x)) for x in v]) for v in (u["rotation_degrees"], u["translation"], [u["focal"]])
    )
    for _ in range(n):
        extreme = chance.random() < 0.5
        t = chance.choice([-1.0, 1.0], 8) if extreme else chance.uniform(-1, 1, 8)
        a, b, c = np.radians(degrees * t[:3])
        x = np.array([[1, 0, 0], [0, math.cos(a), -math.sin(a)], [0, math.sin(a), math.cos(a)]])
        y = np.array([[math.cos(b), 0, math.sin(b)], [0, 1, 0], [-math.sin(b), 0, math.cos(b)]])
        z = np.array([[math.cos(c), -math.sin(c), 0], [math.sin(c), math.cos(c), 0], [0, 0, 1]])
        p = corners @ (z @ y @ x).T + shifts * t[3:6]
        f = 100 * (1 + focal[0] * t[6:8])
        found.append(f * p[:, :2] / p[:, 2:] + np.array([320, 240]))
    return np.array(found)


def test_certified_envelopes_hold_every_sampled_pose_and_are_tight(monkeypatch: pytest.MonkeyPatch) -> None:
    made = producers(monkeypatch, "camera_cases")
    chance, rng = random.Random(6), np.random.default_rng(6)
    k = [[100.0, 0.0, 320.0], [0.0, 100.0, 240.0], [0.0, 0.0, 1.0]]
    for trial in range(12):
        centre = (
            [0, 0, 5] if trial < 3 else [chance.uniform(-2, 2), chance.uniform(-2, 2), chance.uniform(3, 9)]
        )
        half = [chance.uniform(0.1, 1) for _ in range(3)]
        corners = np.round([[c + s * h for c, s, h in zip(centre, signs, half, strict=True)] for signs in product((-1, 1), repeat=3)], 3)  # fmt: skip
        ends = made.sampled_envelope(k, corners.tolist(), 2, 0.05, 0.01)
        base = {"camera": POSE, "corners": [[repr(x) for x in c] for c in corners.tolist()]}
        for factor, verdict in (
            (1.02, Verdict.CERTIFIED),
            (1.002, Verdict.CERTIFIED),
            (0.998, Verdict.REFUTED),
        ):
            u = {**made.RANGES, "envelope": made.widened(ends, factor)}
            assert judge(ours({**base, "uncertainty": u})).verdict is verdict
            if factor == 1.002:
                seen = pixels_of(corners, rng, 200, u)
                low, high = seen.min(axis=(0, 1)), seen.max(axis=(0, 1))
                envelope = [float(e) for e in u["envelope"]]
                assert (low >= envelope[:2]).all() and (high <= envelope[2:]).all()


def test_wide_ranges_are_bisected_and_stay_sound() -> None:
    """40 degrees, off-axis: the extremes lie inside the ranges, not at their corners."""
    rng = np.random.default_rng(8)
    corners = np.array([[0.2, -0.3, 6.0], [1.0, 0.5, 5.0]])
    base = {"camera": POSE, "corners": [[repr(x) for x in c] for c in corners.tolist()]}
    ranges: Document = {
        "rotation_degrees": ["40", "10", "40"],
        "translation": ["0.1", "0", "0.2"],
        "focal": "0.02",
    }
    seen = pixels_of(corners, rng, 3000, ranges)
    low, high = seen.min(axis=(0, 1)), seen.max(axis=(0, 1))
    grown = [low[0] - 8, low[1] - 8, high[0] + 8, high[1] + 8]
    cut = [low[0] + 0.5, low[1], high[0], high[1]]
    for envelope, verdict in ((grown, Verdict.CERTIFIED), (cut, Verdict.REFUTED)):
        u = {**ranges, "envelope": [repr(float(e)) for e in envelope]}
        assert judge(ours({**base, "uncertainty": u})).verdict is verdict


def test_a_pose_that_brings_a_corner_behind_the_camera() -> None:
    near = {"camera": POSE, "corners": [["0", "0", "0.049"]]}
    ranges = {"rotation_degrees": ["0", "0", "0"], "translation": ["0", "0", "0.05"], "focal": "0"}
    outcome = judge(ours({**near, "uncertainty": {**ranges, "envelope": ["0", "0", "640", "480"]}}))
    assert [f.name for f in outcome.failures] == ["depth under uncertainty"]
    assert outcome.tallies["image inside the envelope"].proved == 0


def test_hostile_bytes_end_in_a_claim_or_one_error() -> None:
    chance = random.Random(9)
    for document, kind in ((ours(FULL), "tlcheck.camera"), (BOX, "torchlean-camera")):
        text = json.dumps(document).encode()
        for _ in range(250):
            data = bytearray(text)
            for _ in range(chance.randint(1, 3)):
                data[chance.randrange(len(data))] = chance.choice(b'0123456789-/.e"[]{},:x\x00\xff')
            try:
                decide_conditions(load(bytes(data), kind)[0])
            except InvalidInput as error:
                assert error.code in ("TLC101", "TLC106", "TLC401")


def test_numbers_of_any_size_do_not_crash() -> None:
    for size in ("1e4000", "1e-4000"):
        for path in (
            ("corners", 0, 0),
            ("box", 2),
            ("camera", "intrinsics", 0, 0),
            ("uncertainty", "envelope", 2),
            ("tight",),
        ):
            outcome = judge(ours(spoiled(FULL, *path, to=size)))
            assert outcome.message
        assert judge(ours({"camera": POSE, "corners": [[size, size, size]]})).verdict is Verdict.CERTIFIED


def test_the_cases_are_what_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = set()
    for case in producers(monkeypatch, "camera_cases").cases():
        case.write(tmp_path)
        path = tmp_path / case.group / case.name / "x.tlcert"
        if case.exit == 3:
            with pytest.raises(InvalidInput) as error:
                verify_path(path, Options())
            assert error.value.code == case.code
        else:
            (result,) = verify_path(path, Options()).claims
            assert (result.verdict.name, result.reason.code) == (case.verdict, case.code), case.name
        groups.add(case.group)
    assert groups == {"accept", "reject", "undecided", "malformed"}
