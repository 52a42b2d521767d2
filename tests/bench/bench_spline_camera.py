"""Measured goals of splines and camera boxes: ``python -m tests.bench.bench_spline_camera`` (about two minutes)."""

from __future__ import annotations

import json
import math
import random
import sys
import time
from fractions import Fraction as F
from itertools import product
from typing import Any

from tests.helpers import REPOSITORY
from tests.trusted.science.test_camera import POSE, near_tie, ours, rounded
from tests.trusted.science.test_camera import load as load_camera
from tests.trusted.science.test_spline import follower, network
from tests.trusted.science.test_spline import load as load_spline
from tlcheck.trusted.decide import decide_conditions


def quintic(h: F, a: tuple[F, F, F], b: tuple[F, F, F]) -> list[str]:
    """The degree 5 piece with these values and first two derivatives at its ends."""
    p, q, r = b[0] - a[0] - a[1] * h - a[2] * h * h / 2, (b[1] - a[1] - a[2] * h) * h, (b[2] - a[2]) * h * h
    top = [(10 * p - 4 * q + r / 2) / h**3, (-15 * p + 7 * q - r) / h**4, (6 * p - 3 * q + r / 2) / h**5]
    return [str(c) for c in (*a[:2], a[2] / 2, *top)]


def splines() -> None:
    n = 1000
    knots = [F(k, 100) for k in range(n + 1)]
    at = [tuple(F(round(math.exp(float(x) / 5) / 5**d * 10**12), 10**12) for d in range(3)) for x in knots]
    document: dict[str, Any] = {
        "format": "tlcheck.spline/1", "knots": [str(x) for x in knots], "values": [str(v[0]) for v in at], "smooth": 2,
        "pieces": [quintic(b - a, v, w) for a, b, v, w in zip(knots, knots[1:], at, at[1:], strict=False)],
        "monotone": "increasing", "convex": "convex", "range": ["1", "7.4"],
    }  # fmt: skip
    start = time.perf_counter()
    outcome = decide_conditions(load_spline(document))
    print(f"1,000 pieces of degree 5: {outcome.verdict.name}, {time.perf_counter() - start:.2f} s")
    net = network("tanh", 1, 64, 64, 1)
    near, sup = follower(net, 10)
    near["distance"] = {"network": "n", "bound": repr(1.01 * sup)}
    start = time.perf_counter()
    outcome = decide_conditions(load_spline(near, network=net))
    print(
        f"distance to 1-64-64-1 tanh at 1.01 sup: {outcome.verdict.name}, {time.perf_counter() - start:.2f} s, {outcome.measures}"
    )


def boxes() -> None:
    chance = random.Random(1)
    made = []
    for _ in range(10_000):
        f, g = repr(chance.uniform(500, 700)), repr(chance.uniform(500, 700))
        centre = [chance.uniform(-1, 1), chance.uniform(-1, 1), chance.uniform(5, 12)]
        corners = [[repr(c + chance.uniform(-0.5, 0.5)) for c in centre] for _ in range(8)]
        projection = [[f, "0", "320.125", "0.5"], ["0", g, "240.1", "0.25"], ["0", "0", "1", "0.001"]]
        made.append(
            {
                "camera": {"projection": projection},
                "corners": corners,
                "image": ["640", "480"],
                "box": ["1", "1", "639", "479"],
            }
        )
    data = json.dumps(ours(*made)).encode()
    start = time.perf_counter()
    (claim,) = load_camera(data)
    middle = time.perf_counter()
    outcome = decide_conditions(claim)
    end = time.perf_counter()
    print(
        f"10,000 boxes ({len(data) / 1e6:.1f} MB): {outcome.verdict.name}, read {middle - start:.1f} s, decided "
        f"{end - middle:.1f} s: {10_000 / (end - start):.0f} boxes a second"
    )


def ties() -> None:
    chance = random.Random(2)
    unit = [["1", "0", "0", "0"], ["0", "1", "0", "0"], ["0", "0", "1", "0"]]
    wrong = lies = 0
    start = time.perf_counter()
    for _ in range(1_250):
        made = []
        for _ in range(10):
            how, half = chance.choice(["floor", "ceil", "half-even"]), chance.choice([0, 1])
            points = [near_tie(chance) for _ in range(8)]
            values = [
                [rounded(2 * a + half * d, 2 * d, how), rounded(half, 2, how)] for _, a, d, _, _ in points
            ]
            lie = chance.choice([0, 0, 1, -1])
            values[0][0] += lie
            lies += lie != 0
            pixels = {"rounding": how, "offset": "1/2" if half else "0", "values": values}
            made.append({"camera": {"projection": unit}, "corners": [p[0] for p in points], "pixels": pixels})
        for box in made:
            tally = decide_conditions(load_camera(ours(box))[0]).tallies["integer pixel"]
            told = int(box["pixels"]["values"][0][0] != rounded_of(box))
            wrong += (tally.proved, tally.disproved) != (16 - told, told)
    print(
        f"100,000 near-tie pixels ({lies} false): {wrong} wrong decisions, {time.perf_counter() - start:.0f} s"
    )


def rounded_of(box: dict[str, Any]) -> int:
    """What the first pixel is, by integer division."""
    x, _, z = box["corners"][0]
    q = F(x) / F(z) + F(box["pixels"]["offset"])
    return rounded(q.numerator, q.denominator, box["pixels"]["rounding"])


def envelopes() -> None:
    sys.path.insert(0, str(REPOSITORY / "certificates" / "producers"))
    from camera_cases import RANGES, sampled_envelope, widened

    chance = random.Random(3)
    k = [[100.0, 0.0, 320.0], [0.0, 100.0, 240.0], [0.0, 0.0, 1.0]]
    proved = {1.02: 0, 1.005: 0, 1.001: 0}
    slowest, total, count = 0.0, 0.0, 60
    for _ in range(count):
        centre = [chance.uniform(-3, 3), chance.uniform(-2, 2), chance.uniform(3, 15)]
        half = [chance.uniform(0.1, 1) for _ in range(3)]
        corners = [
            [round(c + s * h, 4) for c, s, h in zip(centre, t, half, strict=True)]
            for t in product((-1, 1), repeat=3)
        ]
        ends = sampled_envelope(k, corners, 2, 0.05, 0.01)
        for factor in proved:
            u = {**RANGES, "envelope": widened(ends, factor)}
            box = {"camera": POSE, "corners": [[repr(x) for x in c] for c in corners], "uncertainty": u}
            start = time.perf_counter()
            proved[factor] += decide_conditions(load_camera(ours(box))[0]).verdict.name == "CERTIFIED"
            seconds = time.perf_counter() - start
            slowest, total = max(slowest, seconds), total + seconds
    print(f"pose envelopes of {count} boxes, certified at each factor of the sampled hull: {proved}")
    print(f"pose envelopes: mean {total / count / len(proved):.3f} s, slowest {slowest:.3f} s a box")


if __name__ == "__main__":
    splines()
    boxes()
    envelopes()
    ties()
