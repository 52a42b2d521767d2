"""A few mutants of each kind that is cheap to judge; all of them: ``make mutations``. And the oracle itself."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import needs_data
from tests.mutations.claims import BURGERS, PARTS, TRACKING, loop_mutants, oscillator_mutants, pinn_mutants
from tests.mutations.oracle import Equation, Pinn, Tracking, cuts, halvings, highest, volume
from tests.mutations.run import judged
from tlcheck.cli.main import main

F = Fraction
UNIT = ((F(0), F(1)), (F(-1), F(1)))
LOOP_KINDS = ("loop_ulp", "loop_dropped_leaf", "tag")


@needs_data
def test_mutants_of_the_boundary_claim(tmp_path: Path) -> None:
    found = [judged(m) for m in pinn_mutants("boundary", tmp_path, 1)]
    wrong = [(f.mutant.kind, f.verdict, sorted(f.mutant.allowed), f.reason) for f in found if not f.right]
    assert not wrong and {f.verdict for f in found} == {"CERTIFIED", "REFUTED", "UNPROVEN", "INVALID"}


def test_mutants_of_a_continuous_loop(tmp_path: Path) -> None:
    found = [judged(m) for m in oscillator_mutants(tmp_path, 2)]
    wrong = [(f.mutant.kind, f.verdict, sorted(f.mutant.allowed), f.reason) for f in found if not f.right]
    assert not wrong and {f.verdict for f in found} == {"CERTIFIED", "REFUTED", "UNPROVEN", "INVALID"}


@needs_data
def test_mutants_of_the_stability_claim(tmp_path: Path) -> None:
    found = [judged(m) for m in loop_mutants(tmp_path, 1, LOOP_KINDS) if not m.bundle]
    wrong = [(f.mutant.kind, f.verdict, sorted(f.mutant.allowed), f.reason) for f in found if not f.right]
    assert not wrong and len(found) == len(LOOP_KINDS)


def test_exit_codes_of_mutants(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file exchanged in a bundle: one line, exit 3."""
    exchanged = next(m for m in oscillator_mutants(tmp_path, 1, ()) if m.kind == "file exchanged")
    folder = tmp_path / "x.tlcert"
    folder.mkdir()
    for name, data in exchanged.files.items():
        (folder / name).write_bytes(data)
    assert main(["verify", str(folder)]) == 3
    assert capsys.readouterr().out.startswith("INVALID")


def test_the_oracle_reads_trees() -> None:
    for tree in ("", "0", "..", "0.", "2..", "0...", ".0"):
        assert halvings(tree, UNIT) is None
    cells = halvings("01..1..", UNIT)
    assert cells is not None and len(cells) == 4 and sum(map(volume, cells)) == 2
    assert halvings("1..", (UNIT[0], (F(1), F(1)))) is None
    for tree in ("", "0 o", "o o", "x", "2 o o", "0@1/0 o o"):
        assert cuts(tree, UNIT) is None
    assert cuts("0@5 o 1 d e", UNIT) == [
        (UNIT, "o"),
        (((F(5), F(1)), (F(-1), F(0))), "d"),
        (((F(5), F(1)), (F(0), F(1))), "e"),
    ]


@needs_data
def test_the_oracle_differentiates() -> None:
    """60 digits against float64, and float64 against differences; the three equations."""
    net, rng = Pinn.read(BURGERS.read_bytes()), np.random.default_rng(1)
    assert Pinn.read(net.into(BURGERS.read_bytes())).layers[4][0].tolist() == net.layers[4][0].tolist()
    for point in rng.uniform((0.1, -0.9), (0.9, 0.9), (3, 2)):
        here = net.derivatives(point[None])
        for a, b in zip(here, net.exact_derivatives([F(p) for p in point.tolist()]), strict=True):
            assert abs(a[0] - float(b)) < 1e-9 * (1 + abs(a[0]))
        h = 1e-4
        t, left, right = (net.derivatives(point[None] + np.array([d]))[0] for d in ((h, 0), (0, -h), (0, h)))
        assert abs((t - here[0]) / h - here[1])[0] < 1e-2 * (1 + abs(here[1][0]))
        assert abs((right - 2 * here[0] + left) / h**2 - here[3])[0] < 1e-2 * (1 + abs(here[3][0]))
        for part in ("residual", "initial", "edge"):
            equation = Equation(part, F(3, 4), F(1, 3))
            exactly = float(equation.squared_exactly(net, [F(p) for p in point.tolist()]))
            assert equation.squared(net, point[None])[0] == pytest.approx(exactly, rel=1e-6, abs=1e-12)


@needs_data
def test_the_oracle_samples_loops() -> None:
    """The published claim has no violation; a level too high, and weights without effect, have one."""
    loop = Tracking.read(TRACKING.read_bytes())
    assert loop.at_rest and loop.violation() is None
    loop.level *= 3
    point = loop.violation()
    assert point is not None and loop.fails_at(point)
    idle = Tracking.read(TRACKING.read_bytes())
    idle.layers[-1] = (idle.layers[-1][0] * 0, idle.layers[-1][1])
    assert idle.violation() is not None
    idle.shift = F(1, 11)
    assert not idle.at_rest


@needs_data
def test_the_oracle_finds_the_highest_point() -> None:
    net = Pinn.read(BURGERS.read_bytes())
    equation, box = PARTS["initial"]
    top = highest(lambda points: equation.squared(net, points), box)
    grid = np.stack([np.zeros(20_001), np.linspace(-1, 1, 20_001)], 1)
    assert float(equation.squared_exactly(net, top)) >= equation.squared(net, grid).max() * (1 - 1e-9)
