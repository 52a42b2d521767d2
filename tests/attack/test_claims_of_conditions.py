"""Attacks on claims made of conditions: near ties against exact oracles, statements that say too much, hostile files."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from fractions import Fraction as F
from pathlib import Path
from typing import Any

import mpmath
import pytest

from tests.clocks import Cpu, Steps
from tests.trusted.science.networks import ONE_JOB, checked, failing, refused, verdicts
from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.readers.expressions import parse_expression
from tlcheck.readers.torchlean.lyapunov import decay, over_norm
from tlcheck.trusted.calculus.layers import Layer, ScalarNetwork
from tlcheck.trusted.calculus.mlp import Mlp
from tlcheck.trusted.calculus.polynomial import negative_point
from tlcheck.trusted.calculus.written import brief, number_text
from tlcheck.trusted.conditions import ConditionClaim
from tlcheck.trusted.decide import decide_conditions
from tlcheck.trusted.science.corridor import CorridorClaim, Segment
from tlcheck.trusted.science.lyapunov_boxes import LyapunovConditions
from tlcheck.trusted.science.piecewise import Distance, Piece
from tlcheck.trusted.science.spline import SplineClaim, Wants
from tlcheck.trusted.verdict import Verdict
from tlcheck.verify import verify_path

NOT_A_TENTH = "0x1.999999999999ap-4"
"""The double nearest to one tenth, which is above it."""


def judged(claim: ConditionClaim) -> str:
    return decide_conditions(claim).verdict.name


def never_wrong(truth: bool, claim: ConditionClaim) -> None:
    assert judged(claim) in (("CERTIFIED", "UNPROVEN") if truth else ("REFUTED", "UNPROVEN"))


def tie(rng: random.Random) -> F:
    return rng.choice((0, 1, -1)) * F(1, 10 ** rng.randint(6, 34))


def written(q: F) -> str:
    return f"({'0-' if q < 0 else ''}{abs(q.numerator)}/{q.denominator})"


# Near ties: the truth is known exactly; CERTIFIED of a falsehood, or REFUTED of a truth, fails.

CURVES = {
    "sin(3*t)": ("3*cos(3*t)", lambda t: mpmath.sin(3 * t)), "exp(-t)": ("-exp(-t)", lambda t: mpmath.exp(-t)),
    "tanh(t)": ("(1-tanh(t)^2)", mpmath.tanh), "sqrt(t+1)": ("1/(2*sqrt(t+1))", lambda t: mpmath.sqrt(t + 1)),
    "log(t+2)": ("1/(t+2)", lambda t: mpmath.log(t + 2)), "t^3": ("3*t^2", lambda t: t**3),
}  # fmt: skip


@pytest.mark.parametrize("seed", range(12))
def test_corridors_that_miss_by_1e_minus_30(seed: int) -> None:
    """u' = g' - k (u - g) + d and v = g: a sub-solution if and only if d >= 0."""
    rng = random.Random(seed)
    g, (slope, value) = rng.choice(list(CURVES.items()))
    d, k, t0 = tie(rng), rng.randint(1, 4), F(rng.randint(0, 3), 7)
    rhs = parse_expression(f"({slope}) - {k}*(u - ({g})) + {written(d)}", ("t", "u"))
    lower, upper = (parse_expression(text, ("t",)) for text in (g, f"{g} + 1/3"))
    start = F(int(mpmath.floor(value(mpmath.mpf(t0.numerator) / t0.denominator) * 2**20)) + 1, 2**20)
    segment = Segment(t0, t0 + F(1, 3), ((start, start),), (lower,), (upper,))
    never_wrong(d >= 0, CorridorClaim(("u",), (rhs,), (segment,)))


@pytest.mark.parametrize(
    "kink", [F(0), F(1), F(1, 3), F(1, 10**20), 1 - F(1, 10**25), 1 + F(1, 10**20), F(-1, 10**20)]
)
def test_kinks_at_and_beside_the_ends(kink: F) -> None:
    """A relu curve with slopes a before the kink and b after it, u' = c: c must be at least the slopes within [0, 1]."""
    rng = random.Random(str(kink))
    upper = parse_expression("100 + 100*t", ("t",))
    for _ in range(6):
        a, b = F(rng.randint(-3, 3)), F(rng.randint(-3, 3))
        hidden = Layer(((F(1),), (F(1),), (F(-1),)), (-kink, F(5), F(5)), "relu")
        curve = ScalarNetwork((hidden, Layer(((b - a, a / 2, -a / 2),), (F(0),))))
        c = rng.choice((a, b)) + tie(rng)
        truth = (kink <= 0 or c >= a) and (kink >= 1 or c >= b)
        segment = Segment(F(0), F(1), ((F(50), F(50)),), (curve,), (upper,))
        claim = CorridorClaim(("u",), (parse_expression(f"{written(c)} + 0*u", ("t", "u")),), (segment,))
        assert judged(claim) == ("CERTIFIED" if truth else "REFUTED")


@pytest.mark.parametrize("seed", range(40))
def test_polynomials_that_touch_zero(seed: int) -> None:
    """Products of powers of linear factors, shifted by next to nothing: every answer is checked exactly."""
    rng = random.Random(seed)
    width = F(rng.randint(1, 5), rng.randint(1, 3))
    p, roots = [F(rng.choice((1, -1, 3)))], []
    for _ in range(rng.randint(1, 4)):
        r = rng.choice((F(0), width, width / 3, width / 2, -F(1, 10**20), width + F(1, 10**20), F(1, 10**20)))
        roots.append(r)
        for _ in range(rng.randint(1, 4)):
            p = [(p[i - 1] if i else 0) - r * (p[i] if i < len(p) else 0) for i in range(len(p) + 1)]
    p[0] += (shift := rng.choice((F(0), tie(rng))))

    def at(x: F) -> F:
        return sum((c * x**i for i, c in enumerate(p)), F(0))

    tried = [width * F(i, 48) for i in range(49)]
    tried += [r + s * F(1, 10**k) for r in roots for k in range(0, 40, 3) for s in (0, 1, -1)]
    seen = any(at(x) < 0 for x in tried if 0 <= x <= width)
    found = negative_point(tuple(p), width)
    assert (0 <= found <= width and at(found) < 0) if found is not None else not seen
    if not seen and shift >= 0:
        assert found is None
    integral = (F(0), *(c / (i + 1) for i, c in enumerate(p)))
    claim = SplineClaim((F(0), width), (Piece(F(0), width, integral),), Wants(monotone="increasing"))
    assert judged(claim) == ("CERTIFIED" if found is None else "REFUTED")


@pytest.mark.parametrize("seed", range(10))
def test_distances_that_miss_by_little(seed: int) -> None:
    """The greatest tanh(a x) or sin(a x) on [0, w] is known to 60 digits: bounds just above and just below it."""
    rng = random.Random(seed)
    w, a, sign = F(rng.randint(1, 40), 10), rng.choice((1, -1)) * rng.randint(1, 5), rng.choice((1, -1))
    activation = rng.choice(("tanh", "sin"))
    with mpmath.workdps(80):
        z = abs(a) * mpmath.mpf(w.numerator) / w.denominator
        most = (
            mpmath.tanh(z) if activation == "tanh" else mpmath.sin(z) if z < mpmath.pi / 2 else mpmath.mpf(1)
        )
        bound = F(int(mpmath.floor(most * 10**60)), 10**60) + sign * F(1, 10 ** rng.randint(4, 25))
    network = ScalarNetwork((Layer(((F(a),),), (F(0),), activation), Layer(((F(1),),), (F(0),))))
    flat = (Piece(F(0), w, (F(0),)),)
    never_wrong(sign > 0, SplineClaim((F(0), w), flat, Wants(distance=Distance(network, bound))))


@pytest.mark.parametrize("make", [lambda s, a, d: decay(2 * s + d), lambda s, a, d: over_norm(a * a + d)])
@pytest.mark.parametrize("d", [F(1, 10**30), F(1, 10**12), F(-1, 10**3)])
def test_decay_and_norm_that_miss_by_little(make: Callable[[F, F, F], Any], d: F) -> None:
    """x' = -s (x - e), V = a^2 (x - e)^2: V' = -2 s V exactly, on a box without a core around e."""
    s, a, e = F(5, 3), F(3), F(-1, 3)
    network = Mlp((Layer(((a,),), (-a * e,)),))
    claim = LyapunovConditions(
        network, (parse_expression("(0-5/3)*(x1+1/3)", ("x1",)),), ((e - 1, e + 1),), (make(s, a, d),), "here", "exact",
        "squared", reference=(e,), core=((e - F(1, 4), e + F(1, 4)),),
    )  # fmt: skip
    never_wrong(d <= 0, claim)


# Statements claim no more than was proved.


def test_a_double_is_not_written_as_the_decimal_beside_it(tmp_path: Path) -> None:
    """Exact numbers: "u(0) in [0.1, 0.1]" would speak of another initial value, which the lower curve is above."""
    value = F(float.fromhex(NOT_A_TENTH))
    assert (
        number_text(value) == NOT_A_TENTH
        and number_text(value, nearest=True) == number_text(F(1, 10)) == "0.1"
    )
    constant = [{"layers": [{"weight": [["0"]], "bias": [NOT_A_TENTH]}]}]
    segment = {
        "t0": "0",
        "t1": "1",
        "init": [{"lo": NOT_A_TENTH, "hi": NOT_A_TENTH}],
        "lower": constant,
        "upper": constant,
    }
    document = {"format": "tlcheck.corridor/1", "states": ["u"], "rhs": ["0*u"], "segments": [segment]}
    (claim,) = checked(tmp_path, document)
    assert (
        claim.verdict.name == "CERTIFIED" and "0.1" not in claim.statement and NOT_A_TENTH in claim.statement
    )
    segment["init"] = [{"lo": "0.1", "hi": "0.1"}]
    (claim,) = checked(tmp_path, document)
    assert claim.verdict.name == "REFUTED" and failing(claim) == {"initial value, lower"}
    segment["init"] = [{"lo": "0.1", "hi": NOT_A_TENTH}]
    (claim,) = checked(tmp_path, document, Options(jobs=1, decimals="binary64"))
    assert (
        claim.verdict.name == "CERTIFIED"
        and "[0.1, 0.1]" in claim.statement
        and "binary64" in claim.statement
    )


def test_long_numbers_are_named_by_their_size() -> None:
    assert (
        brief(F(10**4000 + 1)) == "about 1.00000e+4000" and brief(F(1, 10**400 + 1)) == "about 1.00000e-400"
    )


CAMERA: dict[str, Any] = {
    "camera": {
        "intrinsics": [["100", "0", "0"], ["0", "100", "0"], ["0", "0", "1"]],
        "rotation": [["1", "0", "0"], ["0", "1", "0"], ["0", "0", "1"]], "translation": ["0", "0", "0"],
    },
    "image": ["100", "100"], "truncated": True,
}  # fmt: skip


def test_a_truncated_box_is_not_called_tight(tmp_path: Path) -> None:
    """Pixels (-100, -1000) and (50, 50): what the image shows starts near x = 43, yet a pixel lies beyond the left side."""
    box = {
        **CAMERA,
        "corners": [["-1", "-10", "1"], ["1/2", "1/2", "1"]],
        "box": ["0", "0", "50", "50"],
        "tight": "0",
    }
    (claim,) = checked(tmp_path, {"format": "tlcheck.camera/1", "boxes": [box]})
    assert claim.verdict.name == "CERTIFIED" and "tight" not in claim.statement
    assert "hull of the corners given" in claim.statement


# Hostile files.

WEIGHTS: dict[str, Any] = {"layers.0.weight": [[1.0, 0.0], [0.0, 1.0]], "layers.0.bias": [0.0, 0.0]}
MARGINS: dict[str, Any] = {
    "format": "tlcheck.margins/1", "model": {"file": "net.json"}, "data": {"file": "data.json"}, "radius": "1/8",
    "examples": 1, "count": 1,
}  # fmt: skip
DATA = {"examples": [{"x": [0.75, 0.25], "y": 0}]}


@pytest.mark.parametrize(
    "change",
    [
        {"meta": {"activation": ["relu"]}},
        {"meta": {"activation": {}}},
        {"layers.0.gamma": [2.0, -1.0]},
        {"layers.1000000.weight": [[-1.0, 0.0], [0.0, -1.0]], "layers.1000000.bias": [0.0, 0.0]},
        {"layers.00.bias": [0.0, 9.0]},
        {"params": {"layers.0.weight": [[1.0, 0.0], [0.0, 1.0]], "layers.0.bias": [0.0, 0.0]}},
    ],
)
def test_nothing_of_a_network_is_left_out(change: dict[str, Any], tmp_path: Path) -> None:
    """An activation that is no name; parameters that no dense network has; layers given twice or beyond the numbering."""
    assert verdicts(checked(tmp_path, MARGINS, net_json=WEIGHTS, data_json=DATA)) == ["CERTIFIED"]
    code = "TLC202" if "meta" in change else "TLC101"
    assert refused(tmp_path, MARGINS, net_json={**WEIGHTS, **change}, data_json=DATA) == code


@pytest.mark.parametrize(
    "values",
    ['["1_0", "2"]', '["\\uff11", "2"]', "[true, false]", "true", '"12"', "[null, 1]", "[[1], 2]", "{}"],
)
def test_constants_are_numbers(values: str, tmp_path: Path) -> None:
    graph = """{"input_id": 0, "output_id": 2, "nodes": [{"id": 0, "kind": "input", "shape": [2]},
        {"id": 1, "kind": "const", "shape": [2], "values": %s}, {"id": 2, "kind": "add", "parents": [0, 1], "shape": [2]}]}"""
    document = {
        "format": "tlcheck.output-box/1", "model": {"file": "g.json"}, "input": {"lower": ["0", "0"], "upper": ["1", "1"]},
        "output": {"lower": ["10", "2"], "upper": ["11", "3"]},
    }  # fmt: skip
    assert verdicts(checked(tmp_path, document, g_json=graph % "[10, 2]")) == ["CERTIFIED"]
    assert refused(tmp_path, document, g_json=graph % values) == "TLC204"


def test_margins_beyond_every_double(tmp_path: Path) -> None:
    """Differences that no double holds are reported, not a crash; an artifact without eps says nothing of a network."""
    example = {
        "label": 0,
        "logits_lo": ["1e400", "-1e400"],
        "logits_hi": ["2e400", "-1e400"],
        "certified": True,
    }
    document: dict[str, Any] = {"format": "robust_margin_cert_v0_1", "num_classes": 2, "examples": [example]}
    (claim,) = checked(tmp_path, document, Options(jobs=1, decimals="exact"))
    assert claim.verdict.name == "CERTIFIED"
    document |= {"examples": [{"label": 0, "logits_lo": [1, 0], "logits_hi": [1, 0]}]}
    document["meta"] = {"weights_path": "net.json", "dataset_path": "data.json"}
    claims = checked(tmp_path, document, net_json=WEIGHTS, data_json=DATA)
    assert len(claims) == 1 and "nothing about a network" in claims[0].statement


def test_the_hull_of_a_raw_dump_is_exact(tmp_path: Path) -> None:
    """Two lower ends that are one double: the root is the lesser, so both leaves lie in it."""
    ends = ("0.1", "0.09999999999999999999")
    leaves = ",".join(f'{{"x_L": [{low}], "x_U": [1], "lb": 1, "threshold": 0}}' for low in ends)
    exact = Options(jobs=1, decimals="exact")
    assert verdicts(checked(tmp_path, f'{{"leaves": [{leaves}]}}', exact)) == ["CERTIFIED"]


def test_long_numbers_in_high_degrees_are_refused_at_once(tmp_path: Path) -> None:
    """Greatest common divisors of a million bits, a hundred of them, took a minute past any time limit."""
    coefficients = [f"0.{'7' * 2000}"] * 101
    document = {
        "format": "tlcheck.spline/1",
        "knots": ["0", "1/" + "3" * 3000],
        "pieces": [coefficients],
        "smooth": 0,
    }
    with Cpu() as cpu:
        assert refused(tmp_path, document, ONE_JOB) == "TLC401"
    assert cpu.seconds < 20


def test_a_time_limit_stops_the_cutting_of_a_deep_network(
    tmp_path: Path, steps: Callable[[float], Steps]
) -> None:
    """It's cut into too many pieces to wait for: the cutting itself looks at the clock."""
    clock = steps(0.01)
    rng = random.Random(1)
    n = 40

    def rows(count: int, width: int) -> list[list[float]]:
        return [[rng.gauss(0, 0.5) for _ in range(width)] for _ in range(count)]

    network = {
        "weights": [rows(n, 1), *(rows(n, n) for _ in range(5)), rows(1, n)], "biases": [rows(1, n)[0] for _ in range(6)] + [[0]],
        "activations": ["relu"] * 6 + ["linear"],
    }  # fmt: skip
    document = {
        "format": "tlcheck.spline/1", "knots": ["-50", "50"], "pieces": [["0"]],
        "distance": {"network": "net.json", "bound": "1e9"},
    }  # fmt: skip
    (claim,) = checked(tmp_path, document, Options(jobs=1, timeout=0.2), net_json=network)
    assert (claim.verdict.name, claim.reason.code) == ("UNPROVEN", "TLC015") and clock.looks < 40


@pytest.mark.parametrize("name", ["", "..", ".", "con\nfig", "\0", "absent.json", "x" * 3000, "pipe"])
def test_names_of_files(name: str, tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe")
    document = {**MARGINS, "data": {"file": name}}
    assert refused(tmp_path, document, net_json=WEIGHTS) in ("TLC402", "TLC404")


def test_a_link_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "data.json").write_text('{"examples": []}', encoding="utf-8")
    (tmp_path / "inside" / "data.json").symlink_to(tmp_path / "data.json")
    assert refused(tmp_path / "inside", MARGINS, net_json=WEIGHTS) == "TLC404"


@pytest.mark.parametrize(
    "name", ["tlcert", "abcrown-dump", "tlcheck.corridor", "torchlean-nodes", "two-stage-bits", "none"]
)
def test_a_format_forced_on_another(name: str, tmp_path: Path) -> None:
    from tlcheck.verify import verify_path

    checked(tmp_path, MARGINS, net_json=WEIGHTS, data_json=DATA)
    for path in (tmp_path / "artifact.json", tmp_path):
        with pytest.raises(InvalidInput):
            verify_path(path, Options(jobs=1, input_format=name))
    assert ONE_JOB.input_format is None


@pytest.mark.parametrize(
    "rhs",
    [
        "3*u^(2/3)", "sqrt(abs(u))", "abs(u)^(1/2)", "sqrt(u)", "3*(u^2)^(1/3)", "exp(log(abs(u))/2)", "2*sqrt(sqrt(u^2))",
        "u/abs(u)", "0*(1/u)",
    ],
)  # fmt: skip
def test_exactly_one_solution_is_never_said_where_there_are_several_or_none(tmp_path: Path, rhs: str) -> None:
    """u = 0 satisfies every inequality as an equality, but f is not Lipschitz there (or not defined)."""
    zero = [{"expression": "0"}]
    segment = {"t0": "0", "t1": "1", "init": [{"lo": "0", "hi": "0"}], "lower": zero, "upper": zero}
    path = tmp_path / "c.json"
    path.write_text(
        json.dumps({"format": "tlcheck.corridor/1", "states": ["u"], "rhs": [rhs], "segments": [segment]})
    )
    (claim,) = verify_path(path, Options()).claims
    assert claim.verdict is not Verdict.CERTIFIED


def test_a_corridor_that_misses_by_the_smallest_of_terms(tmp_path: Path) -> None:
    third = [{"expression": "1/3"}]
    segment = {"t0": "0", "t1": "1", "init": [{"lo": "1/3", "hi": "1/3"}], "lower": third, "upper": third}
    path = tmp_path / "c.json"
    document = {
        "format": "tlcheck.corridor/1", "states": ["u"], "rhs": ["abs(u-1/3)-1/10^30"], "segments": [segment],
    }  # fmt: skip
    path.write_text(json.dumps(document))
    (claim,) = verify_path(path, Options()).claims
    assert claim.verdict is Verdict.REFUTED
    assert claim.reason.message.startswith("sub-solution")
