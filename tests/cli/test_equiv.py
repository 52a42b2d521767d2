"""``tlcheck equiv``: two networks and a box; a bound with its certificate, a point, or neither; nothing half-written."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.clocks import Noted
from tests.solver.small import Tiny
from tlcheck.cli.main import main
from tlcheck.options import Options
from tlcheck.report.record import ExitCode
from tlcheck.verify import verify_path

NET = Tiny(((2, -1), (1, 1), (-1, 3)), (0, 1, -1), ((1, 1, -2),))
"""y = relu(2a - b) + relu(a + b + 1) - 2 relu(-a + 3b - 1)."""
OTHER = replace(NET, b=(0, 1, 0))
"""Up to 2 less than NET on [0, 1]^2, where its third neuron is above 1."""


class Case:
    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys = folder, capsys
        self.model, self.other = NET.file(folder / "net.onnx"), OTHER.file(folder / "other.onnx")
        self.output = folder / "out.tlcert"

    def run(self, *more: object, other: Path | None = None, box: str = "0,1") -> int:
        given = (self.model, other or self.other, "--box", box, "--jobs", 1, *more)
        return main(["equiv", *map(str, given)])

    def document(self, *more: object, **given: object) -> tuple[int, dict[str, object]]:
        code = self.run("--format", "json", *more, **given)  # type: ignore[arg-type]
        return code, json.loads(self.capsys.readouterr().out)


@pytest.fixture
def case(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Case:
    return Case(tmp_path, capsys)


def test_within_a_bound(case: Case) -> None:
    """The same file twice, as two: nothing but roundings; the bundle says it again elsewhere."""
    assert case.run("--within", "1e-9", "-o", case.output, other=case.model) == 0
    assert "no output differs by more than 1e-9" in case.capsys.readouterr().out
    (claim,) = verify_path(case.output, Options()).claims
    assert (claim.kind, claim.verdict.value) == ("equiv", "CERTIFIED") and "more than 1e-9" in claim.statement
    assert main(["show", str(case.output)]) == 0
    assert "claim (equiv): no output of model differs" in case.capsys.readouterr().out


def test_a_bound_is_found(case: Case) -> None:
    """Above the largest difference, 2, and proved; beside the largest that was found."""
    code, found = case.document("-o", case.output)
    difference = found["difference"]
    assert code == 0 and found["answer"] == "equivalent" and found["verdict"] == "CERTIFIED"
    assert isinstance(difference, dict)
    assert 2 <= float(difference["within"]) <= 3 and float(difference["proved"]) <= float(
        difference["within"]
    )
    assert float(difference["found"]) == 2 and difference["output"] == 0


def test_a_point_where_they_differ(case: Case) -> None:
    """Exit code 1; the bundle holds the point, and is CERTIFIED: they do differ."""
    code, found = case.document("--within", "1.9", "-o", case.output)
    assert code == ExitCode.REFUTED and found["answer"] == "different"
    (claim,) = verify_path(case.output, Options()).claims
    assert (claim.kind, claim.verdict.value) == ("differ", "CERTIFIED")
    point = [Fraction(x) for x in found["difference"]["point"]]  # type: ignore[index]
    third = -point[0] + 3 * point[1]
    assert 2 * (max(third, Fraction(0)) - max(third - 1, Fraction(0))) > Fraction("1.9")


def test_splits_prove_what_the_root_does_not(case: Case) -> None:
    """2 (relu(2a - b) - relu(2a - 2b)) + relu(-a + 3b - 1) - relu(-a + 4b - 1) is at most 1: both do not add up."""
    first = Tiny(((2, -1), (1, 1), (-1, 3)), (0, 1, -1), ((2, 1, 1),))
    case.model = first.file(case.folder / "net.onnx")
    other = replace(first, w=((2, -2), (1, 1), (-1, 4))).file(case.folder / "other.onnx")
    code, found = case.document("--within", "1.05", "-o", case.output, other=other)
    assert code == 0 and found["search"]["closed"] > 2, found["search"]  # type: ignore[index]
    assert float(found["difference"]["proved"]) > 1.05  # type: ignore[index]


def test_neither(case: Case, steps: Callable[[float], Noted]) -> None:
    """The clock has run out before a bound is found: nothing is written."""
    steps(10.0)
    assert case.run("--within", "2", "--timeout", "1", "-o", case.output) == ExitCode.UNPROVEN
    assert "unknown" in case.capsys.readouterr().out
    assert sorted(p.name for p in case.folder.iterdir()) == ["net.onnx", "other.onnx"]


def test_float32_executions(case: Case) -> None:
    """A bound of what two executions differ by is above what roundings alone may make."""
    code, found = case.document("--semantics", "deployed", other=case.model)
    assert code == 0 and 1e-7 < float(found["difference"]["within"]) < 1e-4  # type: ignore[index]


def boxes(folder: Path) -> dict[str, tuple[str, list[object]]]:
    """The box [0, 1]^2 in every form: (SPEC, more options)."""
    (folder / "b.json").write_text('{"lower": [0, 0.0], "upper": ["1", [1e0]]}')
    (folder / "c.json").write_text('{"center": [[0.5, 0.5]]}')
    (folder / "b.csv").write_text("lower,upper\n0,1\n0,1\n")
    np.savez(folder / "b.npz", lower=np.zeros((1, 2), np.float32), upper=np.ones((1, 2)))
    declared = "".join(f"(declare-const {v} Real)" for v in ("X_0", "X_1", "Y_0"))
    ends = "".join(f"(assert (>= X_{i} 0))(assert (<= X_{i} 1))" for i in (0, 1))
    (folder / "b.vnnlib").write_text(f"{declared}{ends}(assert (>= Y_0 100))")
    files = {name: (str(folder / name), []) for name in ("b.json", "b.csv", "b.npz", "b.vnnlib")}
    return {"numbers": ("0 1", []), **files, "center": (str(folder / "c.json"), ["--eps", "1/2"])}  # type: ignore[dict-item]


@pytest.mark.parametrize("form", ["numbers", "b.json", "b.csv", "b.npz", "b.vnnlib", "center"])
def test_every_form_of_box(case: Case, form: str) -> None:
    spec, more = boxes(case.folder)[form]
    code, found = case.document(*more, box=spec)
    assert code == 0 and float(found["difference"]["found"]) == 2  # type: ignore[index]


MISTAKES: dict[str, tuple[str, list[object], int, str]] = {
    "no box": ("nothing", [], 3, "--box: no box that is read"),
    "no such file": ("none.json", [], 3, "no such file"),
    "crossed": ("1,0", [], 3, "a lower end above the upper one"),
    "eps of a box": ("0,1", ["--eps", "1"], 3, "other values than a box has"),
    "a negative bound": ("0,1", ["--within", "-1"], 2, "below 0"),
    "no number": ("0,1", ["--within", "1e-4x"], 2, "write 0.0001, 1e-4 or 1/10000"),
    "no bundle's name": ("0,1", ["-o", "x.zip"], 3, "a bundle's name ends in .tlcert"),
    "a profile that is not there": (
        "0,1",
        ["--semantics", "deployed", "--profile", "x"],
        3,
        "no such runtime profile",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_one_line(case: Case, mistake: str) -> None:
    box, more, code, message = MISTAKES[mistake]
    assert case.run(*more, box=box) == code
    said = case.capsys.readouterr()
    assert message in said.err + said.out and "Traceback" not in said.err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"lower": [0], "upper": [1]}', "another number of values than the network has inputs"),
        ('{"lower": [0, 0]}', "other values than a box has"),
        ('{"lower": [0, null], "upper": [1, 1]}', "no number"),
        ("[1, 2]", "no box"),
        ('{"lower": [0, NaN], "upper": [1, 1]}', "NaN is not a number"),
    ],
)
def test_boxes_that_are_none(case: Case, content: str, message: str) -> None:
    (case.folder / "b.json").write_text(content)
    assert case.run(box=str(case.folder / "b.json")) == 3
    assert message in case.capsys.readouterr().err


def test_networks_that_do_not_fit(case: Case) -> None:
    two = replace(NET, v=((1, 1, -2), (0, 1, 0))).file(case.folder / "two.onnx")
    assert case.run(other=two) == 3
    assert "the networks' outputs differ in shape" in case.capsys.readouterr().err


def test_a_model_for_two(case: Case) -> None:
    """--model says nothing of a claim about two networks: refused by name."""
    assert case.run("-o", case.output) == 0
    with pytest.raises(Exception, match="leave --model out"):
        verify_path(case.output, Options(model=case.model))
