"""Commands that say something, and convert: what they ask of the rest, and what they print."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import pytest

from tests.cli.conftest import FakeVerify
from tlcheck.cli.main import main
from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.report.codes import CODES
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.graph import Graph, Node
from tlcheck.trusted.ops.structure import Input
from tlcheck.trusted.query import Disjunct, InputBox, LinearConstraint, Query


def claim() -> UnsatClaim:
    graph = Graph((Node(Input((1,)), (), (1,)),), (0,), ("x",), ("y",))
    box = InputBox((Fraction(0),), (Fraction(1, 10),))
    unsafe = LinearConstraint((), ((0, Fraction(-1)),), Fraction(-1))
    return UnsatClaim(graph, Query(1, 1, (Disjunct(box, (unsafe,)),)))


def test_show(fake: FakeVerify, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Path, Options]] = []

    def load(path: Path, options: Options) -> SimpleNamespace:
        asked.append((path, options))
        return SimpleNamespace(
            format="tlcert", items=(SimpleNamespace(claim=claim(), guidance=None, said=None),)
        )

    monkeypatch.setattr(fake, "load", load, raising=False)
    assert main(["show", "a.tlcert", "--model", "m.onnx"]) == 0
    assert asked == [(Path("a.tlcert"), Options(model=Path("m.onnx")))]
    out = capsys.readouterr().out
    assert "a.tlcert: tlcert" in out
    assert "no x lies in any of the sets below" in out
    assert "0 <= x[0] <= 0.1" in out
    assert "-y[0] <= -1" in out


@pytest.mark.parametrize("command", [["show", "a"], ["convert", "a", "-o", "b"]])
def test_malformed_input_is_one_line(
    fake: FakeVerify, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    def refuse(*_: object) -> None:
        raise InvalidInput("TLC101", "malformed", file="a", field="tree", expected="a list", got="\x1b[2J")

    monkeypatch.setattr(fake, "load", refuse, raising=False)
    monkeypatch.setattr(fake, "convert", refuse, raising=False)
    assert main(command) == 3
    assert capsys.readouterr().err == "INVALID  a: tree: malformed (expected a list, got \\x1b[2J) [TLC101]\n"


def test_convert(fake: FakeVerify, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, ...]] = []
    monkeypatch.setattr(fake, "convert", lambda *arguments: asked.append(arguments), raising=False)
    assert main(["convert", "dump", "-o", "x.tlcert", "--property", "p.vnnlib"]) == 0
    assert asked == [(Path("dump"), Path("x.tlcert"), Options(property=Path("p.vnnlib")))]


@pytest.mark.parametrize("code", CODES)
def test_every_code_is_explained(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", code.lower()]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{code}: {CODES[code].title}\n")
    assert " ".join(CODES[code].explanation.split()) in " ".join(out.split())


@pytest.mark.parametrize("arguments", [["schema"], ["schema", "report"]])
def test_the_report_schema_is_a_schema(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    jsonschema.Draft202012Validator.check_schema(json.loads(capsys.readouterr().out))
