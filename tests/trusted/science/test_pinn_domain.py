"""Bounds over whole domains: the cover, the claim, the PDE files, the command; mutations judged by an oracle of its own."""

from __future__ import annotations

import json
import random
import zipfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.clocks import Steps
from tests.helpers import DATA, needs_data
from tlcheck.cli.main import main
from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.prover.cell_cover import find_cover, highest
from tlcheck.prover.pinn_search import READY, Request, certify, ready
from tlcheck.readers.artifacts import artifact_format, load_artifact
from tlcheck.readers.onnx import read_model
from tlcheck.readers.own.pde import read_pde
from tlcheck.trusted.decide import ConditionsOutcome, decide_conditions
from tlcheck.trusted.science.cells import LEAF, cells
from tlcheck.trusted.science.pinn_domain import IntegralClaim, SupremumClaim
from tlcheck.trusted.tally import check_part
from tlcheck.trusted.verdict import Verdict
from tlcheck.verify import verify_path

BURGERS = DATA / "scientific" / "pinn" / "burgers_tanh_lbfgs.onnx"
SMALL_PDE = """
format = "tlcheck.pde/1"
title = "a small one"
coordinates = ["t", "x"]
outputs = ["u"]
[constants]
c = "1/4"
[domain]
t = [0, 0.5]
x = [-0.5, "1/3"]
[parts.residual]
zero = "u_t + u*u_x - c*u_xx"
[parts.edge]
at = { x = -0.5 }
other = { x = "1/3" }
zero = "u - other_u"
"""


class Small:
    """A 2-4-4-1 tanh network, its ONNX file, and its derivatives by numpy: an oracle."""

    def __init__(self, seed: int = 1) -> None:
        rng = np.random.default_rng(seed)
        self.layers = [
            (rng.normal(0, 0.9, (n, m)).astype(np.float32), rng.normal(0, 0.4, m).astype(np.float32))
            for n, m in ((2, 4), (4, 4), (4, 1))
        ]

    def onnx(self) -> bytes:
        nodes, constants, last = [], [], "x"
        for k, (w, b) in enumerate(self.layers):
            constants += [numpy_helper.from_array(w, f"w{k}"), numpy_helper.from_array(b, f"b{k}")]
            nodes.append(helper.make_node("Gemm", [last, f"w{k}", f"b{k}"], [f"z{k}"]))
            last = f"z{k}"
            if k < 2:
                nodes.append(helper.make_node("Tanh", [last], [f"a{k}"]))
                last = f"a{k}"
        one = TensorProto.FLOAT
        graph = helper.make_graph(
            nodes, "pinn", [helper.make_tensor_value_info("x", one, [1, 2])],
            [helper.make_tensor_value_info(last, one, [1, 1])], constants,
        )  # fmt: skip
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 9
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString())

    def residual_squared(self, points: np.ndarray[Any, Any], c: float = 0.25) -> np.ndarray[Any, Any]:
        v = points.astype(np.float64)
        t, x, xx = np.zeros_like(v), np.zeros_like(v), np.zeros_like(v)
        t[:, 0], x[:, 1] = 1, 1
        for k, (w, b) in enumerate(self.layers):
            v, t, x, xx = v @ w + b, t @ w, x @ w, xx @ w
            if k < 2:
                y = np.tanh(v)
                slope = 1 - y**2
                v, t, x, xx = y, slope * t, slope * x, slope * xx - 2 * y * slope * x**2
        return np.asarray((t + v * x - c * xx)[:, 0] ** 2)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the small model, its PDE file and their bundle."""
    folder = tmp_path_factory.mktemp("pinn")
    (folder / "net.onnx").write_bytes(Small().onnx())
    (folder / "small.toml").write_text(SMALL_PDE)
    bundle(folder)
    return folder


def bundle(folder: Path) -> None:
    found = certify(
        folder / "net.onnx", folder / "small.toml", folder / "x.tlcert", Request(4, jobs=1), lambda *_: None
    )
    assert all(part.complete and not part.false for part in found)


def unpacked(small: Path, target: Path, part: str = "residual") -> dict[str, Any]:
    """The bundle's files in ``target``, and the part's artifact."""
    with zipfile.ZipFile(small / "x.tlcert") as archive:
        archive.extractall(target)
    document: dict[str, Any] = json.loads((target / f"{part}.json").read_text())
    return document


def judged(folder: Path, document: dict[str, Any]) -> ConditionsOutcome:
    path = folder / "claim.json"
    path.write_text(json.dumps(document))
    assert artifact_format(path) == "tlcheck.pinn"
    [loaded] = load_artifact(path, Options(), "tlcheck.pinn")
    assert isinstance(loaded.claim, SupremumClaim | IntegralClaim)
    by_balls, quick = (decide_conditions(claim, 96) for claim in (loaded.claim, loaded.claim.in_float64()))
    assert quick.verdict is by_balls.verdict
    return quick


# the cover


def test_cells_tile_the_domain() -> None:
    domain = ((Fraction(0), Fraction(1)), (Fraction(-1, 3), Fraction(1, 2)), (Fraction(2), Fraction(2)))
    found = cells(domain, "01..10...")
    assert len(found) == 5
    volume = sum((b - a) * (d - c) for (a, b), (c, d), _ in found)
    assert volume == Fraction(5, 6)
    rng = random.Random(1)
    for _ in range(200):
        point = tuple(a + (b - a) * Fraction(rng.randrange(0, 65), 64) for a, b in domain)
        holds = [all(a <= x <= b for x, (a, b) in zip(point, cell, strict=True)) for cell in found]
        assert any(holds)
    assert found[0] == ((0, Fraction(1, 2)), (Fraction(-1, 3), Fraction(1, 12)), (2, 2))


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ("", "missing"), ("0.", "missing"), ("0..", ""), ("0...", "ends before"), ("..", "ends before"),
        ("2..", "no coordinate"), ("x", "no coordinate"), ("0.1..0", "ends before"), ("٠..", "no coordinate"),
        ("0" * 300 + "." * 301, "more than 256"),
    ],
)  # fmt: skip
def test_trees_that_are_none(tree: str, message: str) -> None:
    domain = ((Fraction(0), Fraction(1)), (Fraction(0), Fraction(1)), (Fraction(2), Fraction(2)))
    if not message:
        assert len(cells(domain, tree)) == 2
        return
    with pytest.raises(ValueError, match=message):
        cells(domain, tree)


# the whole way


def test_certified_two_sided(small: Path) -> None:
    result = verify_path(small / "x.tlcert", Options(jobs=1))
    residual, edge = result.claims
    assert residual.verdict is Verdict.CERTIFIED and edge.verdict is Verdict.CERTIFIED
    assert "u_t + u*u_x" in residual.statement and "for all t in [0, " in residual.statement
    assert "at least" in residual.statement and "nothing about the solution" in residual.statement
    assert "other_u" in edge.statement and "x = 1/3" in edge.statement
    assert set(residual.details["sources"]) >= {"manifest", "artifact", "model.onnx", "pde.toml"}  # type: ignore[call-overload]
    with zipfile.ZipFile(small / "x.tlcert") as archive:
        document = json.loads(archive.read("residual.json"))
    rng = np.random.default_rng(0)
    top = Small().residual_squared(rng.uniform([0, -0.5], [0.5, 1 / 3], (200_000, 2))).max()
    assert top <= float(document["at_most"]) and float(document["at_least"]) >= top * (1 - 1e-6)
    assert float(document["at_most"]) <= 1.0051 * float(document["at_least"])


def test_a_pool_finds_the_same(small: Path, steps: Callable[[float], Steps]) -> None:
    one, two = (verify_path(small / "x.tlcert", Options(jobs=jobs)).claims[0] for jobs in (1, 2))
    assert one.verdict is two.verdict is Verdict.CERTIFIED
    assert one.details["conditions"] == two.details["conditions"] and one.bound == two.bound
    steps(1.0)
    late = verify_path(small / "x.tlcert", Options(jobs=2, timeout=1)).claims[0]
    assert late.verdict is Verdict.UNPROVEN and late.reason.code == "TLC015"


def test_every_part_must_be_answered(small: Path, tmp_path: Path) -> None:
    document = unpacked(small, tmp_path)
    (tmp_path / "claim.json").write_text(json.dumps(document))
    [loaded] = load_artifact(tmp_path / "claim.json", Options(), "tlcheck.pinn")
    claim: Any = loaded.claim
    assert len(claim.parts()) > 1

    def all_but_one(parts: Any, precision: int) -> Any:
        return [check_part(part, precision, lambda: None) for part in parts[1:]]

    with pytest.raises(ValueError, match="parts were checked"):
        decide_conditions(claim, 96, check_parts=all_but_one)


def test_the_command(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, pde = str(small / "net.onnx"), str(small / "small.toml")
    target = tmp_path / "y.tlcert"
    common = ["certify-pinn", model, pde, "-o", str(target), "--jobs", "1", "--part", "residual"]
    assert main([*common, "--order", "4"]) == 0
    assert capsys.readouterr().out.startswith("found     residual: at most ")
    written = target.read_bytes()
    assert main([*common, "--order", "1", "--tolerance", "1e-6", "--max-cells", "20"]) == 4
    assert "no cover" in capsys.readouterr().out and target.read_bytes() == written
    assert main([*common, "--bound", "residual=1e-3"]) == 1
    assert capsys.readouterr().out.startswith("FALSE     residual: at most 0.001")
    assert main(["verify", str(target)]) == 1
    assert "REFUTED" in capsys.readouterr().out
    for extra, code in (
        (["--bound", "nothing=1"], 2), (["--bound", "residual"], 2), (["--bound", "residual=x"], 2),
        (["--bound", "residual=-1"], 2), (["--tolerance", "1/0"], 2), (["--tolerance", "1e400"], 2), (["--part", "x"], 2),
    ):  # fmt: skip
        assert main([*common, *extra]) == code
        assert len(capsys.readouterr().err.strip().splitlines()) <= 5
    assert main([*common, "--bound", "residual=1e400"]) == 0
    capsys.readouterr()
    (small / "wide.toml").write_text(SMALL_PDE.replace("[0, 0.5]", "[0, 1e400]"))
    assert main(["certify-pinn", model, str(small / "wide.toml"), "-o", str(target)]) == 3
    assert main(["certify-pinn", model, "nowhere", "-o", str(target)]) == 3
    assert main(["certify-pinn", pde, pde, "-o", str(target)]) == 3
    assert main(["certify-pinn", model, pde, "-o", str(tmp_path / "x.zip")]) == 3
    assert not [p for p in tmp_path.iterdir() if p.name != "y.tlcert"]


# integrals


@pytest.mark.parametrize("norm", ["L2", "L1"])
def test_integrals_from_both_sides(norm: str, small: Path, tmp_path: Path) -> None:
    """Against a midpoint rule of 10^6 points; then each bound moved to its wrong side."""
    request = Request(4, None, ("residual",), Fraction(1, 100), 1, norm=norm)
    target = tmp_path / "i.tlcert"
    certify(small / "net.onnx", small / "small.toml", target, request, lambda *_: None)
    [claim] = verify_path(target, Options(jobs=1)).claims
    assert claim.verdict is Verdict.CERTIFIED and "the integral of " in claim.statement
    with zipfile.ZipFile(target) as archive:
        archive.extractall(tmp_path)
    document = json.loads((tmp_path / "residual.json").read_text())
    n = 1000
    t, x = (np.arange(n) + 0.5) / n * 0.5, -0.5 + (np.arange(n) + 0.5) / n * (5 / 6)
    values = Small().residual_squared(np.stack(np.meshgrid(t, x), -1).reshape(-1, 2))
    integral = float(np.mean(values if norm == "L2" else np.sqrt(values))) * 0.5 * 5 / 6
    low, high = float(document["at_least"]), float(document["at_most"])
    assert low <= integral <= high <= low * 1.05
    one, two = (verify_path(target, Options(jobs=jobs)).claims[0] for jobs in (1, 2))
    assert one.verdict is two.verdict and one.details["conditions"] == two.details["conditions"]
    for change, verdict in (
        ({"at_most": str(low * 0.99)}, Verdict.REFUTED),
        ({"at_least": str(high * 1.01), "at_most": "99"}, Verdict.REFUTED),
        ({"at_most": str(integral * 1.00001)}, Verdict.UNPROVEN),
        ({"tree": LEAF}, Verdict.UNPROVEN),
    ):
        assert judged(tmp_path, document | change).verdict is verdict, change
    for change in ({"witness": ["0", "0"]}, {"norm": "L3"}, {"order": 0}):
        with pytest.raises(InvalidInput):
            judged(tmp_path, document | change)


# mutations


def weight_by_an_ulp(rng: random.Random, folder: Path, document: dict[str, Any], net: Small) -> None:
    w, _ = net.layers[rng.randrange(3)]
    i, j = rng.randrange(w.shape[0]), rng.randrange(w.shape[1])
    w[i, j] = np.nextafter(w[i, j], np.float32(rng.choice([-9, 9])))
    (folder / "model.onnx").write_bytes(net.onnx())


def weight_by_a_lot(rng: random.Random, folder: Path, document: dict[str, Any], net: Small) -> None:
    w, _ = net.layers[rng.randrange(3)]
    w[rng.randrange(w.shape[0]), rng.randrange(w.shape[1])] += np.float32(rng.uniform(-0.5, 0.5))
    (folder / "model.onnx").write_bytes(net.onnx())


def coefficient(rng: random.Random, folder: Path, document: dict[str, Any], net: Small) -> None:
    document["c"] = rng.choice(["0.2", "0.26", "0.2501", "0.3", "0"])
    (folder / "pde.toml").write_text(SMALL_PDE.replace('"1/4"', f'"{document["c"]}"'))


def domain(rng: random.Random, folder: Path, document: dict[str, Any], net: Small) -> None:
    document["t"] = rng.choice([0.25, 0.499, 0.501, 1.5])
    (folder / "pde.toml").write_text(SMALL_PDE.replace("[0, 0.5]", f"[0, {document['t']}]"))


def tree_cut(rng: random.Random, folder: Path, document: dict[str, Any], net: Small) -> None:
    """A leaf dropped, one too many, or a cut along another coordinate."""
    tree = document["tree"]
    k = rng.randrange(len(tree))
    document["tree"] = rng.choice(
        [tree[:k] + tree[k + 1 :], tree[:k] + LEAF + tree[k:], tree[:k] + "0" + tree[k + 1 :]]
    )


def coarser(rng: random.Random, folder: Path, document: dict[str, Any], net: Small) -> None:
    document["tree"] = document["tree"].replace("0..", LEAF, rng.randrange(1, 4)).replace("1..", LEAF, 1)


def order(rng: random.Random, folder: Path, document: dict[str, Any], net: Small) -> None:
    document["order"] = rng.choice([1, 2, 3, 6])


def bound(rng: random.Random, folder: Path, document: dict[str, Any], net: Small) -> None:
    document["at_most"] = str(float(document["at_most"]) * rng.choice([0.5, 0.99, 0.9999, 1.01]))


def lower(rng: random.Random, folder: Path, document: dict[str, Any], net: Small) -> None:
    document["at_least"] = str(float(document["at_least"]) * rng.choice([0.5, 1.0001, 2]))


def witness(rng: random.Random, folder: Path, document: dict[str, Any], net: Small) -> None:
    document["witness"] = [str(rng.uniform(0, 0.5)), str(rng.uniform(-0.5, 0.33))]


MUTATIONS: list[Callable[[random.Random, Path, dict[str, Any], Small], None]] = [
    weight_by_an_ulp, weight_by_a_lot, coefficient, domain, tree_cut, coarser, order, bound, lower, witness,
]  # fmt: skip


@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda m: m.__name__)
def test_mutations_are_classified_correctly(mutate: Any, small: Path, tmp_path: Path) -> None:
    """Six of each. CERTIFIED only what an oracle finds true, REFUTED only what it finds false; a tree is whole or INVALID."""
    verdicts = []
    for seed in range(6):
        rng, net = random.Random(seed), Small()
        document = unpacked(small, tmp_path)
        mutate(rng, tmp_path, document, net)
        c, t = float(Fraction(document.pop("c", "1/4"))), document.pop("t", 0.5)
        points = np.random.default_rng(seed).uniform([0, -0.5], [t, 1 / 3], (40_000, 2))
        listed = np.array([[float(Fraction(x)) for x in document["witness"]]])
        top = net.residual_squared(points, c).max()
        here = net.residual_squared(listed, c)[0]
        try:
            verdict = judged(tmp_path, document).verdict
        except InvalidInput as error:
            assert mutate in (tree_cut, domain) and error.code == "TLC101"
            verdicts.append("INVALID")
            continue
        at_most, at_least = float(document["at_most"]), float(document["at_least"])
        if verdict is Verdict.CERTIFIED:
            assert max(top, here) <= at_most and here >= at_least * (1 - 1e-9)
        if verdict is Verdict.REFUTED:
            assert max(top, here) > at_most
        if mutate is weight_by_an_ulp:
            assert (verdict is Verdict.CERTIFIED) is bool(here >= at_least), (here, at_least)
        verdicts.append(verdict.name)
    expected = {
        weight_by_an_ulp: {"CERTIFIED", "UNPROVEN"}, tree_cut: {"INVALID", "UNPROVEN", "CERTIFIED"}, coarser: {"UNPROVEN", "CERTIFIED"},
        lower: {"CERTIFIED", "UNPROVEN"}, bound: {"REFUTED", "UNPROVEN", "CERTIFIED"}, witness: {"UNPROVEN"},
    }.get(mutate)  # fmt: skip
    assert expected is None or set(verdicts) <= expected, verdicts
    if mutate is tree_cut:
        assert "INVALID" in verdicts
    if mutate in (bound, coefficient, weight_by_a_lot):
        assert "REFUTED" in verdicts, verdicts


def test_a_file_changed_in_the_bundle_is_noticed(small: Path, tmp_path: Path) -> None:
    folder = tmp_path / "x.tlcert"
    unpacked(small, folder)
    (folder / "pde.toml").write_text(SMALL_PDE.replace('"1/4"', '"1/5"'))
    with pytest.raises(InvalidInput) as error:
        verify_path(folder, Options())
    assert error.value.code == "TLC103"


# hostile artifacts and PDE files

BAD_ARTIFACTS: list[tuple[dict[str, Any], str]] = [
    ({"tree": "0"}, "TLC101"), ({"tree": LEAF * 2}, "TLC101"), ({"order": 0}, "TLC101"), ({"order": 13}, "TLC101"),
    ({"order": -1}, "TLC101"), ({"part": "nothing"}, "TLC101"), ({"witness": ["0"]}, "TLC101"),
    ({"witness": ["9", "0"]}, "TLC101"), ({"witness": ["nan", "0"]}, "TLC101"), ({"witness": None}, "TLC101"),
    ({"at_most": 0.1}, "TLC101"), ({"at_most": "inf"}, "TLC101"), ({"more": 1}, "TLC101"), ({"model": "../x"}, "TLC404"),
    ({"pde": ".."}, "TLC404"), ({"pde": "model.onnx"}, "TLC101"), ({"model": "pde.toml"}, "TLC201"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "code"), BAD_ARTIFACTS)
def test_hostile_artifacts(change: dict[str, Any], code: str, small: Path, tmp_path: Path) -> None:
    document = unpacked(small, tmp_path) | change
    with pytest.raises(InvalidInput) as error:
        judged(tmp_path, document)
    assert error.value.code == code and "\n" not in error.value.line()


BAD_PDES = [
    ('format = "tlcheck.pde/1"', 'format = "x"', "TLC102"),
    ('format = "tlcheck.pde/1"', "", "TLC102"),
    ("[domain]", "[domain", "TLC101"),
    ('"1/4"', "nan", "TLC101"),
    ('"1/4"', "1e99999999", "TLC401"),
    ('"1/4"', "9" * 6000, "TLC101"),
    ('"1/4"', '"u"', "TLC101"),
    ('"1/4"', "true", "TLC101"),
    ("c = ", "u_x = ", "TLC101"),
    ("c = ", "pi = ", "TLC101"),
    ("[0, 0.5]", "[0.5, 0]", "TLC101"),
    ("[0, 0.5]", "[0, 0]", "TLC101"),
    ("[0, 0.5]", "[0]", "TLC101"),
    ("[0, 0.5]", "[0, inf]", "TLC101"),
    ("[0, 0.5]", "1979-05-27", "TLC101"),
    ("t = [0, 0.5]", "", "TLC101"),
    ("t = [0, 0.5]", "t = [0, 0.5]\ny = [0, 1]", "TLC101"),
    ('["t", "x"]', '["t", "t"]', "TLC101"),
    ('["t", "x"]', '["t", "xx"]', "TLC101"),
    ('["t", "x"]', '["t", "x", "a", "b", "d"]', "TLC101"),
    ('["u"]', '["u", "x"]', "TLC101"),
    ('["u"]', '["u_x"]', "TLC101"),
    ('["u"]', '["other"]', "TLC101"),
    ("u_t + u*u_x", "u_y + u*u_x", "TLC101"),
    ("u_t + u*u_x", "u_ttttt", "TLC101"),
    ("u_t + u*u_x", "other_u", "TLC101"),
    ("u_t + u*u_x", "u_t + (", "TLC101"),
    ('zero = "u_t + u*u_x - c*u_xx"', "", "TLC101"),
    ('zero = "u_t + u*u_x - c*u_xx"', "zero = []", "TLC101"),
    ('zero = "u_t + u*u_x - c*u_xx"', 'zero = "u"\nmore = 1', "TLC101"),
    ("at = { x = -0.5 }", "at = { x = -0.6 }", "TLC101"),
    ("at = { x = -0.5 }", "", "TLC101"),
    ('other = { x = "1/3" }', "other = { t = 0.1 }", "TLC101"),
    ("[parts.edge]", "[parts.'a b']", "TLC101"),
]


@pytest.mark.parametrize(("old", "new", "code"), BAD_PDES)
def test_hostile_pde_files(old: str, new: str, code: str) -> None:
    assert old in SMALL_PDE
    with pytest.raises(InvalidInput) as error:
        read_pde(SMALL_PDE.replace(old, new).encode(), "x.toml")
    assert error.value.code == code and error.value.file == "x.toml" and "\n" not in error.value.line()


def test_constants_do_not_multiply_without_end() -> None:
    bomb = "\n".join(f'c{k} = "{"+".join([f"c{k - 1}"] * 20)}"' for k in range(1, 12))
    text = SMALL_PDE.replace('c = "1/4"', f'c = "1/4"\nc0 = 1\n{bomb}').replace("c*u_xx", "c11*u_xx")
    with pytest.raises(InvalidInput) as error:
        read_pde(text.encode(), "x.toml")
    assert error.value.code == "TLC401"
    with pytest.raises(InvalidInput):
        read_pde(b"\xff\xfe" + SMALL_PDE.encode(), "x")


def test_numbers_of_pde_files_are_exact() -> None:
    pde = read_pde(SMALL_PDE.replace("[0, 0.5]", "[0.1, 0.3]").encode(), "x.toml")
    assert pde.parts["residual"].domain == (
        (Fraction(1, 10), Fraction(3, 10)),
        (Fraction(-1, 2), Fraction(1, 3)),
    )
    assert pde.parts["edge"].other == ((1, Fraction(1, 3)),)


@pytest.mark.parametrize("name", ready())
def test_ready_pde_files(name: str) -> None:
    pde = read_pde((READY / f"{name}.toml").read_bytes(), name)
    assert "residual" in pde.parts and pde.title


def test_a_network_that_does_not_fit() -> None:
    graph = read_model(Small().onnx(), file="net.onnx", folder=None)
    with pytest.raises(InvalidInput) as error:
        read_pde((READY / "schrodinger.toml").read_bytes(), "s").quantity("residual", graph)
    assert error.value.code == "TLC204"


# the public Burgers network


@needs_data
def test_burgers_initial_and_boundary(tmp_path: Path) -> None:
    """Tighter than the published certificates (2.63e-6, 6.63e-7 and 9.39e-7), two-sided."""
    bounds = {"initial": "1.60e-6", "boundary_left": "8.1e-8", "boundary_right": "6.6e-8"}
    request = Request(5, {k: Fraction(v) for k, v in bounds.items()}, tuple(bounds))
    found = certify(BURGERS, Path("burgers"), tmp_path / "b.tlcert", request, lambda *_: None)
    assert [p.cover.cells < 60 for p in found if p.cover is not None] == [True] * 3
    result = verify_path(tmp_path / "b.tlcert", Options())
    assert [c.verdict for c in result.claims] == [Verdict.CERTIFIED] * 3


def _near_the_shock(tmp_path: Path, t: str = "[0.3979, 0.3982]", x: str = "[-0.005, -0.0048]") -> Path:
    text = (READY / "burgers.toml").read_text()
    text = text.replace("t = [0, 1]", f"t = {t}").replace("x = [-1, 1]", f"x = {x}")
    path = tmp_path / "near.toml"
    path.write_text(text[: text.index("[parts.initial]")])
    return path


@needs_data
def test_burgers_residual_near_its_maximum(tmp_path: Path) -> None:
    """Where it is hardest: at most 0.0181 is proved, at most 0.01796 refuted by a point."""
    pde = _near_the_shock(tmp_path)
    target = tmp_path / "n.tlcert"
    certify(BURGERS, pde, target, Request(5, {"residual": Fraction("0.0181")}), lambda *_: None)
    [proved] = verify_path(target, Options()).claims
    assert proved.verdict is Verdict.CERTIFIED and "at least 0.01796975" in proved.statement
    [false] = certify(BURGERS, pde, target, Request(5, {"residual": Fraction("0.01796")}), lambda *_: None)
    assert false.false and false.cover is None
    [refuted] = verify_path(target, Options()).claims
    assert refuted.verdict is Verdict.REFUTED and "witness" in refuted.reason.message


@needs_data
@pytest.mark.parametrize(
    "whole, most", [(False, 100), pytest.param(True, 5000, marks=pytest.mark.full)], ids=["shock", "whole"]
)
def test_burgers_residual_in_many_cells(tmp_path: Path, whole: bool, most: int) -> None:
    """Around the shock, where cells are smallest; and on the whole domain (``make full``)."""
    pde = Path("burgers") if whole else _near_the_shock(tmp_path, "[0.375, 0.40625]", "[-0.03125, 0.03125]")
    request = Request(5, {"residual": Fraction("0.0181")}, ("residual",))
    [part] = certify(BURGERS, pde, tmp_path / "b.tlcert", request, lambda *_: None)
    assert part.cover is not None and 50 < part.cover.cells < most
    assert (tmp_path / "b.tlcert").stat().st_size < 1 << 20
    [claim] = verify_path(tmp_path / "b.tlcert", Options()).claims
    assert claim.verdict is Verdict.CERTIFIED


def test_the_finder_gives_up_and_says_where_it_stands() -> None:
    graph = read_model(Small().onnx(), file="net.onnx", folder=None)
    quantity = read_pde(SMALL_PDE.encode(), "x").quantity("residual", graph)
    top = highest(quantity)
    assert top is not None and top.value > 0
    below = find_cover(quantity, Fraction(top.value) * Fraction(99, 100), 3, jobs=1, max_cells=300)
    assert below.tree == "" and below.worst > top.value * 0.99
    found = find_cover(quantity, Fraction(top.value) * 2, 3, jobs=1, max_cells=300)
    assert found.tree.count(LEAF) == found.cells and len(cells(quantity.domain, found.tree)) == found.cells
