"""Pictures: every kind that is drawn, what is written in them, the same bytes twice, and what is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from fractions import Fraction
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from tests.helpers import CERTIFICATES, DATA, REPOSITORY, needs_data
from tests.trusted.science.test_pinn_domain import SMALL_PDE, Small
from tlcheck.cli.main import main
from tlcheck.options import Options
from tlcheck.plot import floats, pinn, stability
from tlcheck.plot.canvas import plain, scale
from tlcheck.plot.plane import plane_of
from tlcheck.prover.pinn_search import Request, certify
from tlcheck.trusted.calculus.jets import coordinates
from tlcheck.trusted.calculus.kinked_jets import Kinks
from tlcheck.trusted.science.pinn_domain import IntegralClaim, SupremumClaim
from tlcheck.trusted.science.stability_claim import Stability
from tlcheck.trusted.science.stability_tree import OUTSIDE, leaves_of
from tlcheck.verify import load

ACCEPT, REJECT = CERTIFICATES / "accept", CERTIFICATES / "reject"
OSCILLATOR = ACCEPT / "stability-oscillator" / "x.tlcert"
SVG = "{http://www.w3.org/2000/svg}"
NOT_A_VERDICT = "`tlcheck verify` decides"


def words(picture: Path) -> str:
    """All text of an SVG, which must be well-formed."""
    root = ElementTree.parse(picture).getroot()
    assert root.tag == f"{SVG}svg"
    return " ".join(text for node in root.iter(f"{SVG}text") for text in node.itertext())


def drawn(certificate: Path, folder: Path, *more: str) -> str:
    target = folder / "x.svg"
    assert main(["plot", str(certificate), "-o", str(target), *more]) == 0
    return words(target)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Exit 3 and one line, which is returned."""
    capsys.readouterr()
    assert main(["plot", *arguments]) == 3
    line = capsys.readouterr().err
    assert line.startswith("INVALID") and line.count("\n") == 1
    return line


def claim_in(certificate: Path, part: int = 0) -> Any:
    return load(certificate, Options()).items[part].claim


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pinn")
    (folder / "net.onnx").write_bytes(Small().onnx())
    (folder / "small.toml").write_text(SMALL_PDE)
    for norm in ("sup", "L1", "L2"):
        request = Request(4, jobs=1, norm=norm, tolerance=Fraction(1, 4))
        certify(
            folder / "net.onnx", folder / "small.toml", folder / f"{norm}.tlcert", request, lambda *_: None
        )
    return folder


# each kind


def test_bounds_over_a_domain(network: Path, tmp_path: Path) -> None:
    text = drawn(network / "sup.tlcert", tmp_path)
    claim = claim_in(network / "sup.tlcert")
    for part in (
        "residual", "edge", "(bound − largest r on the cell) / bound", "float64 Taylor models", "witness",
        "sampled on a 160 × 160 grid", f"{len(claim.cells)} cells", "bound", NOT_A_VERDICT, "tlcheck certify-pinn",
    ):  # fmt: skip
        assert part in text
    assert not any(word in text for word in ("CERTIFIED", "REFUTED", "proved"))


@pytest.mark.parametrize("norm", ["L1", "L2"])
def test_integrals(norm: str, network: Path, tmp_path: Path) -> None:
    text = drawn(network / f"{norm}.tlcert", tmp_path)
    assert "contribution of each cell" in text and "sum over cells" in text
    assert ("root of r" in text) == (norm == "L1")


def test_one_claim_of_several(network: Path, tmp_path: Path) -> None:
    text = drawn(network / "sup.tlcert", tmp_path, "--claim", "edge")
    assert "edge" in text and "residual" not in text


def test_distances_to_the_solution_say_what_is_claimed(tmp_path: Path) -> None:
    text = drawn(ACCEPT / "solution-heat-L2" / "x.tlcert", tmp_path)
    assert (
        "L2: the root of the integral over x of (u_theta - u)^2, for every t of the domain, is at most 0.6"
        in text
    )
    assert "sum over cells" in text


STABLE = [
    ("accept/stability-oscillator", ["V′ < 0", "V > level", "core", "−V′ (Arb, lower bound)", "x1", "x2", "simulated"]),
    ("accept/stability-cone", ["by pieces", "asymptotically stable", "(1 − k) V(x) − V(x⁺)", "equilibrium (0, 0)"]),
    ("accept/stability-practical", ["inner level", "V, sampled"]),
    ("accept/stability-invariant", ["invariant only", "level 4"]),
    ("reject/stability-unstable-origin", ["given against the claim", "not established here"]),
    ("reject/stability-level-too-high", ["not established here ("]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "parts"), STABLE, ids=[name for name, _ in STABLE])
def test_stability(name: str, parts: list[str], tmp_path: Path) -> None:
    text = drawn(CERTIFICATES / name / "x.tlcert", tmp_path)
    assert NOT_A_VERDICT in text
    for part in parts:
        assert part in text


def test_three_states_are_cut(tmp_path: Path) -> None:
    document = json.loads((OSCILLATOR / "stability.json").read_text())
    document["states"].append("z")
    document["equations"].append("-z")
    document["V"]["quadratic"] = [["3/2", "1/2", "0"], ["1/2", "1", "0"], ["0", "0", "1"]]
    for box in (document["region"], document["core"]):
        box["lower"].append(box["lower"][0])
        box["upper"].append(box["upper"][0])
    document["tree"] = "2@1/2 0 d d o"
    (tmp_path / "claim.json").write_text(json.dumps(document))
    text = drawn(tmp_path / "claim.json", tmp_path)
    assert ", z = 0" in text and "projected" in text and "V′ < 0 (2)" in text and "V > level (1)" not in text
    text = drawn(tmp_path / "claim.json", tmp_path, "--axes", "z, x1")
    assert ", x2 = 0" in text and "V > level (1)" in text


@pytest.mark.parametrize("name", ["corridor-two-segments", "corridor-relu-kink"])
def test_corridors(name: str, tmp_path: Path) -> None:
    text = drawn(ACCEPT / name / "x.tlcert", tmp_path)
    for part in (
        "corridor of u",
        "lower v",
        "upper w",
        "numerical solution",
        "least room",
        "Arb, lower bound",
    ):
        assert part in text


def test_a_tie_that_takes_many_boxes_is_given_up(tmp_path: Path) -> None:
    drawn(CERTIFICATES / "undecided" / "corridor-root-at-zero" / "x.tlcert", tmp_path)


def test_splits_of_two_inputs(tmp_path: Path) -> None:
    text = drawn(ACCEPT / "surface-two-boxes" / "x.tlcert", tmp_path)
    assert "leaves of the proof of unsat: 2, of 2 regions" in text


@needs_data
def test_published_files(tmp_path: Path) -> None:
    text = drawn(DATA / "torchlean" / "ODE" / "logistic_learned_cert.json", tmp_path)
    assert "corridor of u" in text and "TorchLean" in text


# what is drawn is so


def test_sampled_margins_are_not_below_enclosed_ones(network: Path) -> None:
    for norm in ("sup", "L2"):
        claim = claim_in(network / f"{norm}.tlcert")
        assert isinstance(claim, SupremumClaim | IntegralClaim)
        (enclosed,) = pinn._amounts(claim, ())
        (sampled,) = pinn._amounts(claim, ())
        sampled.__dict__["enclosed"] = False
        low, high = enclosed.ranges
        values = sampled.ranges[1]
        assert (values <= high * (1 + 1e-9)).all()
        assert norm == "sup" or np.allclose(values, high, rtol=0.5, atol=float(high.max()) * 0.2)
        assert (low <= high).all()


def test_what_takes_too_long_is_sampled_and_said_so(
    network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, limit in ((pinn, "MAX_ENCLOSED"), (pinn, "MAX_SAMPLED"), (stability, "MAX_JUDGED")):
        monkeypatch.setattr(module, limit, 1)
    text = drawn(network / "sup.tlcert", tmp_path)
    assert "sampled, 1 point a cell" in text and "Taylor models" not in text and "they are sampled" in text
    text = drawn(OSCILLATOR, tmp_path)
    assert "least of 9 samples, float64" in text and "Arb" not in text and "margins are sampled" in text


@pytest.mark.parametrize("name", ["oscillator", "cone", "practical", "integrator"])
def test_floats_are_near_the_enclosures(name: str) -> None:
    c = claim_in(ACCEPT / f"stability-{name}" / "x.tlcert").conditions
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.9, 0.9, (20, len(c.region)))
    v, f = floats.candidate(c.candidate)(points.T), floats.loop(c.loop)(points.T)
    for k, point in enumerate(points.tolist()):
        x = coordinates(tuple((Fraction(q), Fraction(q)) for q in point))
        assert v[k] == pytest.approx(float(c.candidate.prepared()(x, Kinks()).value.mid()), rel=1e-12)
        exact = [float(jet.value.mid()) for jet in c.loop.prepared()(x, Kinks())]
        assert f[:, k].tolist() == pytest.approx(exact, rel=1e-12, abs=1e-14)


def test_sampled_margins_of_leaves_are_above_proved_ones() -> None:
    claim = claim_in(OSCILLATOR)
    assert isinstance(claim, Stability)
    c = claim.conditions
    plane = plane_of(c.loop.states, c.region, (0, 1), [0.0, 0.0], ())
    judged, sampled = stability._Drawn(claim, plane), stability._Drawn(claim, plane)
    sampled.__dict__["judged"] = False
    assert len(judged.margins) == sum(1 for _ in leaves_of(claim.tree, c.region))
    assert (np.isnan(judged.margins) == np.isnan(sampled.margins)).all()
    known = ~np.isnan(judged.margins)
    assert (judged.margins[known] <= sampled.margins[known] + 1e-6).all() and (
        judged.margins[known] > 0
    ).all()
    assert np.isnan(judged.margins[judged.tags == OUTSIDE]).all()


def test_scales() -> None:
    assert type(scale(np.array([1.0, 2.0]))[0]).__name__ == "Normalize"
    assert type(scale(np.array([1e-9, 2.0]))[0]).__name__ == "LogNorm"
    assert type(scale(np.array([-1.0, 1e-9, 2.0]))[0]).__name__ == "Normalize"
    for nothing in ([], [np.nan], [np.inf], [0.0, 0.0], [5.0]):
        scale(np.array(nothing))


def test_trees_of_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads((OSCILLATOR / "stability.json").read_text())
    document["tree"] = "e"
    (tmp_path / "claim.json").write_text(json.dumps(document))
    assert "no cell or leaf" in refused(capsys, str(tmp_path / "claim.json"), "-o", str(tmp_path / "x.svg"))


def test_planes() -> None:
    box = ((Fraction(0), Fraction(1)),) * 3
    plane = plane_of(("x", "y", "z"), box, (0, 1, 2), [2.0, 0.5, 3.0], ("y", "x"))
    assert plane.at.tolist() == [2.0, 0.5, 1.0] and plane.held == ", z = 1" and plane.labels == ("y", "x")
    low = np.array([[0, 0, 0], [0, 0, 0.5], [0.5, 0, 1]])
    high = np.array([[1, 1, 0.5], [1, 1, 1], [1, 1, 1]])
    assert plane.meeting(low, high).tolist() == [False, True, True]


# the file


@pytest.mark.parametrize(("kind", "part"), [("svg", "residual"), ("png", "edge")])
def test_the_same_bytes_twice(kind: str, part: str, network: Path, tmp_path: Path) -> None:
    targets = [tmp_path / f"{k}.{kind}" for k in (1, 2)]
    for target in targets:
        assert main(["plot", str(network / "sup.tlcert"), "--claim", part, "-o", str(target)]) == 0
    first, second = (target.read_bytes() for target in targets)
    assert first == second and b"<dc:date>" not in first and len(first) < 400_000


def test_the_settings_of_the_user_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib

    drawn(OSCILLATOR, tmp_path)
    plainly = (tmp_path / "x.svg").read_bytes()
    monkeypatch.setitem(matplotlib.rcParams, "font.size", 30.0)
    drawn(OSCILLATOR, tmp_path)
    assert (tmp_path / "x.svg").read_bytes() == plainly
    assert matplotlib.rcParams["font.size"] == 30.0


def test_targets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.png").write_text("mine")
    (tmp_path / "empty.svg").touch()
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n...")
    (tmp_path / "link.png").symlink_to(tmp_path / "picture.png")
    for name, said in (
        ("notes.png", "not replaced"), ("empty.svg", "not replaced"), ("folder.png", "not replaced"),
        ("link.png", "not replaced"), ("x.jpg", "ends in .svg or .png"), ("x", "ends in .svg or .png"),
        ("none/x.svg", "no such folder"),
    ):  # fmt: skip
        assert said in refused(capsys, str(OSCILLATOR), "-o", str(tmp_path / name))
    assert (tmp_path / "notes.png").read_text() == "mine"
    assert main(["plot", str(OSCILLATOR), "-o", str(tmp_path / "picture.png")]) == 0
    assert len((tmp_path / "picture.png").read_bytes()) > 10_000
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "empty.svg", "folder.png", "link.png", "notes.png", "picture.png"
    ]  # fmt: skip


def test_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str], network: Path) -> None:
    target = str(tmp_path / "x.svg")
    bundle = str(network / "sup.tlcert")
    (tmp_path / "cut.tlcert").write_bytes((network / "sup.tlcert").read_bytes()[:-500])
    for arguments, said in (
        ([str(ACCEPT / "digits-witness" / "x.tlcert")], "nothing in it can be drawn (expected PINN bounds"),
        ([str(ACCEPT / "pair-two-inputs" / "x.tlcert")], "got a claim of unsat over 4 inputs"),
        ([str(tmp_path / "none.tlcert")], "no such file"),
        ([str(tmp_path / "cut.tlcert")], "cut.tlcert"),
        ([str(CERTIFICATES / "malformed" / "stability-dropped-leaf" / "x.tlcert")], "TLC"),
        ([bundle, "--claim", "other"], "no such claim (expected residual or edge"),
        ([bundle, "--axes", "t,y"], "(expected t or x"),
        ([bundle, "--axes", "t,t"], "--axes"),
        ([str(ACCEPT / "corridor-relu-kink" / "x.tlcert"), "--axes", "v"], "no such states"),
    ):
        assert said in refused(capsys, *arguments, "-o", target)
    assert not (tmp_path / "x.svg").exists()


def test_names_are_only_text(tmp_path: Path) -> None:
    folder = tmp_path / "a$b$<&>$\\frac$.tlcert"
    shutil.copytree(OSCILLATOR, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["producer"] = {"name": "$\\x$ <b>\x1b[31m" + "y" * 200, "version": "$1$"}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    text = drawn(folder, tmp_path)
    assert "a$b$<&>$\\frac$" in text and "$\\x$ <b>" in text and "\x1b" not in text and "y" * 60 not in text
    assert plain("a$b\n") == "a\\$b\\n"


def test_numbers_too_large_for_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads((OSCILLATOR / "stability.json").read_text())
    document["region"] = {"lower": ["-1e400", "-1e400"], "upper": ["1e400", "1e400"]}
    (tmp_path / "claim.json").write_text(json.dumps(document))
    line = refused(capsys, str(tmp_path / "claim.json"), "-o", str(tmp_path / "x.svg"))
    assert "TLC401" in line
    for size in ("1e300", "1e-300"):
        document["region"] = {"lower": [f"-{size}"] * 2, "upper": [size] * 2}
        document["core"], document["tree"] = document["region"], "c"
        (tmp_path / "claim.json").write_text(json.dumps(document))
        drawn(tmp_path / "claim.json", tmp_path)


# matplotlib


def test_without_matplotlib(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['matplotlib'] = None; from tlcheck.cli.main import main; "
        f"sys.exit(main(['plot', {str(OSCILLATOR)!r}, '-o', {str(tmp_path / 'x.svg')!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY)
    assert done.returncode == 3
    assert "pip install 'tlcheck[plot]'" in done.stderr and done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_no_other_command_loads_matplotlib() -> None:
    code = "import sys; import tlcheck.cli.main, tlcheck.verify, tlcheck.prover.pinn_search; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY)
    assert done.stdout == "False\n"


def test_a_bundle_is_read_as_for_a_check(
    network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file changed in the bundle is noticed before anything is drawn."""
    with zipfile.ZipFile(network / "sup.tlcert") as archive:
        archive.extractall(tmp_path / "y.tlcert")
    artifact = tmp_path / "y.tlcert" / "residual.json"
    artifact.write_text(artifact.read_text().replace('"order": 4', '"order": 3'))
    assert "TLC103" in refused(capsys, str(tmp_path / "y.tlcert"), "-o", str(tmp_path / "x.svg"))
