"""Faults of version 0.1.0: messages for files that are something else, and what SARIF lists."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.helpers import FAULTS, needs_faults
from tlcheck.cli.main import main

MESSAGES = FAULTS / "messages"
NET, QUERY = MESSAGES / "net.onnx", MESSAGES / "p.vnnlib"


@needs_faults
@pytest.mark.parametrize("query", ["p.vnnlib", "bom.vnnlib", "declare-fun.vnnlib"])
def test_messages(query: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A byte order mark and a function without arguments say nothing else than the plain file: y = relu(x/2) >= 0."""
    assert main(["vnnlib", "verify", str(MESSAGES / query), "--network", f"N={NET}"]) == 0
    assert capsys.readouterr().out.split() == ["unsat"]


@needs_faults
def test_messages_a_byte_order_mark_before_an_equation(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """It is read: what does not fit is the network, which has one input."""
    assert main(["certify-pinn", str(NET), str(MESSAGES / "bom.toml"), "-o", str(tmp_path / "x.tlcert")]) == 3
    assert "expected 2 inputs and 1 output, got 1 input" in capsys.readouterr().err


@needs_faults
@pytest.mark.parametrize(
    "arguments",
    [
        [MESSAGES / "tar.vnnlib.gz", "--network", f"N={NET}"],
        [QUERY, "--network", f"N={MESSAGES / 'tar.onnx.gz'}"],
    ],
)
def test_messages_tar_in_gz_is_named(arguments: list[object], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vnnlib", "verify", *map(str, arguments)]) == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "a tar archive inside gzip" in captured.err
    assert "`tar -xzf " in captured.err


@needs_faults
def test_messages_a_bundle_called_zip(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(MESSAGES / "bundle.zip"), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["results"][0]["format"] == "tlcert"


@needs_faults
def test_sarif(capsys: pytest.CaptureFixture[str]) -> None:
    """Of claims that are CERTIFIED there is no result."""
    assert main(["verify", str(MESSAGES / "bundle.zip"), "--format", "sarif"]) == 0
    [run] = json.loads(capsys.readouterr().out)["runs"]
    assert run["results"] == []
    assert run["properties"]["claims"]["CERTIFIED"] == 1
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["TLC020"]
