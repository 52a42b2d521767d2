"""Published witnesses, corrupted in every way at hand: each ruled as a second, independent exact evaluation rules it.

The judge is ``oracle``: its own readers of the network, the query and the witness, and Python integers.
"""

from __future__ import annotations

import csv
import gzip
import math
import re
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import DATA, needs_data
from tests.referee.oracle import PAIR, TOLERANCE, Instance, read, unpacked
from tests.referee.small import decimal
from tlcheck.prover.regions import Regions
from tlcheck.referee.witness import Model, load_regions, rule_file

pytestmark = needs_data

FAMILIES = ("acasxu", "safenlp", "rl_benchmarks", "reach_prob_density")
OUTCOMES = ("strict", "strict_dec_only", "strict_f32_only", "tol_input", "tol_io", "wrong")
ROUNDS = 3
Random = np.random.Generator


@dataclass(frozen=True, eq=False)
class Base:
    """A published witness: its text, cut into pairs and what stands between them."""

    model: Path
    query: Path
    text: str

    @property
    def instance(self) -> Instance:
        return opened(self.model, self.query)[0]

    def pairs(self, kind: str = "X") -> list[re.Match[str]]:
        return [m for m in re.finditer(PAIR, self.text) if m[1] == kind]

    def values(self) -> list[str]:
        return [m[3] for m in self.pairs()]

    def with_value(self, i: int, value: str, kind: str = "X") -> str:
        pair = self.pairs(kind)[i]
        return self.text[: pair.start(3)] + value + self.text[pair.end(3) :]


@cache
def opened(model: Path, query: Path) -> tuple[Instance, Model, Regions]:
    exact = Model(model)
    return Instance(model, query), exact, load_regions(query, exact)


@cache
def bases() -> list[Base]:
    """For each family and outcome of the float replay, one witness; distinct in their texts."""
    root, chosen = DATA / "vnncomp", {}
    with (root / "index.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            family = next((f for f in FAMILIES if f in row["category"]), None)
            if family is not None and row["replay_result"] in OUTCOMES:
                chosen.setdefault((family, row["replay_result"]), row)
    return [
        Base(root / r["onnx"], root / r["vnnlib"], unpacked(root / r["ce_file"]).decode())
        for r in chosen.values()
    ]


# The corruptions: a text (or the bytes of a file) from a base.


def digit(base: Base, rng: Random) -> str:
    i = int(rng.integers(len(base.values())))
    value = base.values()[i]
    places = [k for k, c in enumerate(value) if c.isdigit()]
    k = places[int(rng.integers(len(places)))]
    return base.with_value(
        i, value[:k] + str((int(value[k]) + int(rng.integers(1, 10))) % 10) + value[k + 1 :]
    )


def sign(base: Base, rng: Random) -> str:
    i = int(rng.integers(len(base.values())))
    value = base.values()[i]
    return base.with_value(i, value[1:] if value.startswith("-") else f"-{value}")


def swapped_lines(base: Base, rng: Random) -> str:
    first, second = sorted(rng.choice(len(base.pairs()), 2, replace=False))
    a, b = base.pairs()[first], base.pairs()[second]
    return base.text[: a.start()] + b[0] + base.text[a.end() : b.start()] + a[0] + base.text[b.end() :]


def swapped_values(base: Base, rng: Random) -> str:
    i, j = (int(k) for k in rng.choice(len(base.pairs()), 2, replace=False))
    swapped = Base(base.model, base.query, base.with_value(i, base.values()[j]))
    return swapped.with_value(j, base.values()[i])


def one_ulp_outside(base: Base, rng: Random) -> str:
    i, upward = int(rng.integers(len(base.pairs()))), bool(rng.integers(2))
    box = base.instance.disjuncts[0]
    end = box.upper[i] if upward else box.lower[i]
    beyond = float(end)
    while Fraction(beyond) <= end if upward else Fraction(beyond) >= end:
        beyond = math.nextafter(beyond, math.inf if upward else -math.inf)
    return base.with_value(i, decimal(Fraction(beyond)))


def on_the_bound(base: Base, rng: Random) -> str:
    i = int(rng.integers(len(base.pairs())))
    box = base.instance.disjuncts[0]
    return base.with_value(i, decimal((box.lower, box.upper)[int(rng.integers(2))][i]))


def at_the_tolerance(base: Base, rng: Random) -> str:
    """As far outside as the competition allows, or 10^-30 beyond it."""
    i = int(rng.integers(len(base.pairs())))
    beyond = Fraction(int(rng.integers(2)), 10**30)
    return base.with_value(i, decimal(base.instance.disjuncts[0].upper[i] + TOLERANCE + beyond))


def truncated(base: Base, rng: Random) -> str:
    return base.text[: int(rng.integers(len(base.text)))]


def truncated_at_the_end(base: Base, rng: Random) -> str:
    return base.text.rstrip()[: -int(rng.integers(1, 4))]


def given_twice(base: Base, rng: Random) -> str:
    pair = base.pairs()[int(rng.integers(len(base.pairs())))]
    value = pair[3] if rng.integers(2) else "0.0"
    return base.text[: pair.end()] + f"\n(X_{pair[2]} {value})" + base.text[pair.end() :]


def left_out(base: Base, rng: Random) -> str:
    pair = base.pairs()[int(rng.integers(len(base.pairs())))]
    return base.text[: pair.start()] + base.text[pair.end() :]


def last_input_left_out(base: Base, rng: Random) -> str:
    pair = base.pairs()[-1]
    return base.text[: pair.start()] + base.text[pair.end() :]


def one_input_too_many(base: Base, rng: Random) -> str:
    pair = base.pairs()[-1]
    return base.text[: pair.end()] + f"\n(X_{len(base.pairs())} 0.0)" + base.text[pair.end() :]


def renumbered(base: Base, rng: Random) -> str:
    pair = base.pairs()[int(rng.integers(len(base.pairs())))]
    other = ["-1", "+0", f"0{pair[2]}", "99999999999", "0x0", ""][int(rng.integers(6))]
    return base.text[: pair.start(2)] + other + base.text[pair.end(2) :]


def not_a_number(base: Base, rng: Random) -> str:
    words = [
        "nan",
        "-nan",
        "NaN",
        "inf",
        "-Infinity",
        "1_0",
        "0x1p-3",
        "1,5",
        "٣",
        "1e",
        ".",
        "--1",
        "tensor(1)",
    ]
    return base.with_value(int(rng.integers(len(base.pairs()))), words[int(rng.integers(len(words)))])


def huge_exponent(base: Base, rng: Random) -> str:
    words = ["1e99999999999", "1e4097", "1e400", "-1E+308", "1e-400", "1e-99999", "0e99999", "1e+000004"]
    return base.with_value(int(rng.integers(len(base.pairs()))), words[int(rng.integers(len(words)))])


def trailing_garbage(base: Base, rng: Random) -> str:
    words = [
        ")",
        " 1",
        "(X_0 0.5)",
        "(Z_0 1)",
        "sat",
        "\x00",
        "\ufeff",
        "()",
        "; end",
        "X real [1]\n0.5",
        "\n\n",
    ]
    return base.text.rstrip() + words[int(rng.integers(len(words)))]


def outputs(base: Base, rng: Random) -> str:
    """What the file says the network gave: never evidence, so nothing changes."""
    if not base.pairs("Y"):
        return base.text
    words = ["nan", "inf", "1e308", "-1e30", "0"]
    i = int(rng.integers(len(base.pairs("Y"))))
    return base.with_value(i, words[int(rng.integers(len(words)))], "Y")


TEXTS: list[Callable[[Base, Random], str]] = [
    digit, sign, swapped_lines, swapped_values, one_ulp_outside, on_the_bound, at_the_tolerance, truncated,
    truncated_at_the_end, given_twice, left_out, last_input_left_out, one_input_too_many, renumbered, not_a_number,
    huge_exponent, trailing_garbage, outputs,
]  # fmt: skip


def expected(instance: Instance, data: bytes) -> tuple[str, list[Fraction]]:
    point = read(data, instance.n_inputs)
    return (point, []) if isinstance(point, str) else (instance.ruling(point), point)


@pytest.mark.parametrize("corrupt", TEXTS, ids=lambda f: f.__name__)
def test_ruled_as_the_oracle_rules(corrupt: Callable[[Base, Random], str], tmp_path: Path) -> None:
    rng = np.random.default_rng(zlib.crc32(corrupt.__name__.encode()))
    path, seen = tmp_path / "w.counterexample.gz", Counter[str]()
    for base in bases() * ROUNDS:
        instance, model, regions = opened(base.model, base.query)
        data = corrupt(base, rng).encode()
        path.write_bytes(gzip.compress(data))
        ruling = rule_file(model, regions, path)
        name, point = expected(instance, data)
        assert ruling.ruling == name, (base.query, base.model, data[:400])
        assert (ruling.real.holds is True) == (name == "holds")
        if point and instance.away(point) == 0:
            assert ruling.real.margin is not None and ruling.real.margin_upper is not None
            assert ruling.real.margin <= instance.slack(point) <= ruling.real.margin_upper
        seen[name] += 1
    never = {
        "given_twice": "malformed", "left_out": None, "last_input_left_out": "wrong-shape",
        "one_input_too_many": "wrong-shape", "renumbered": "malformed", "not_a_number": "malformed",
    }.get(corrupt.__name__)  # fmt: skip
    assert never is None or set(seen) == {never}
    if corrupt is one_ulp_outside:
        assert seen["holds"] == 0 and seen["holds-repaired"] > 0
    if corrupt in (swapped_lines, outputs):
        plain = Counter(expected(b.instance, b.text.encode())[0] for b in bases() * ROUNDS)
        assert seen == plain and len(plain) >= 3


def test_enough_cases() -> None:
    assert len(bases()) * len(TEXTS) * ROUNDS >= 1000


def test_every_byte_of_the_file(tmp_path: Path) -> None:
    """A bit flipped in the gzip file: refused, or (in a part that says nothing about the content) the same ruling."""
    base = bases()[0]
    instance, model, regions = opened(base.model, base.query)
    name, _ = expected(instance, base.text.encode())
    packed = gzip.compress(base.text.encode())
    rng, path, refused = np.random.default_rng(5), tmp_path / "w.gz", 0
    for k in [*range(12), *(int(v) for v in rng.integers(12, len(packed), 40))]:
        flipped = bytearray(packed)
        flipped[k] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        try:
            data = gzip.decompress(flipped) if flipped[:2] == b"\x1f\x8b" else bytes(flipped)
        except (OSError, EOFError, zlib.error):
            data = None
        ruling = rule_file(model, regions, path).ruling
        if data is None:
            assert ruling == "malformed"
        else:
            assert ruling == expected(instance, data)[0] and (data != base.text.encode() or ruling == name)
        refused += ruling == "malformed"
    assert refused > 40
