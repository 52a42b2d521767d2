"""Mistakes that users make: each answer is one line that says what the file is and what to do next."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import CERTIFICATES
from tlcheck.cli.main import main
from tlcheck.readers.artifacts import ARTIFACTS

ABSOLUTE = CERTIFICATES / "accept" / "absolute-split-away-from-zero" / "x.tlcert"
STABLE = CERTIFICATES / "accept" / "stability-oscillator" / "x.tlcert"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a network, a query and every other thing, as the working folder."""
    shutil.copy(ABSOLUTE / "model.onnx", tmp_path / "net.onnx")
    shutil.copy(ABSOLUTE / "property.vnnlib", tmp_path / "p.vnnlib")
    shutil.copytree(ABSOLUTE, tmp_path / "c.tlcert")
    with zipfile.ZipFile(tmp_path / "net.pt", "w") as archive:
        archive.writestr("net/data.pkl", b"\x80\x02")
    (tmp_path / "abcrown.log").write_text("epoch 1\nResult: unsat in 2.5 seconds\n")
    (tmp_path / "saved" / "variables").mkdir(parents=True)
    (tmp_path / "saved" / "saved_model.pb").write_bytes(b"\x08\x01\x12\x06\x0a\x04\x22\x02v1")
    (tmp_path / "empty").mkdir()
    np.savez(tmp_path / "a.npz", a=np.zeros(2))
    shutil.copy(ABSOLUTE / "arrays.safetensors", tmp_path / "w.safetensors")
    spec = json.loads((STABLE / "stability.json").read_text())
    (tmp_path / "c.txt").write_text('{"format": "tlcheck.spline/1"}')
    (tmp_path / "heat.toml").write_text('format = "tlcheck.pde/1"\ncoordinates = ["t", "x"]\n')
    (tmp_path / "loop.json").write_text(json.dumps({**spec, "level": 0.3}))
    monkeypatch.chdir(tmp_path)
    yield tmp_path


VERIFY = "tlcheck vnnlib verify"
CERTIFY = "tlcheck certify"
EXPORT = "torch.onnx.export("
MISTAKES: dict[str, tuple[str, int, tuple[str, ...]]] = {
    "no command": ("", 2, ("Usage: tlcheck", "verify ")),
    "no such file": ("verify c.tlcertt", 3, ("no such file", "did you mean c.tlcert?")),
    "a model": ("verify net.onnx", 3, ("an ONNX model", f"`{CERTIFY} net.onnx QUERY.vnnlib -o X.tlcert`")),
    "a property": ("verify p.vnnlib", 3, ("a VNN-LIB property", f"`{CERTIFY} NET.onnx p.vnnlib -o X.tlcert`")),
    "a PyTorch file": ("verify net.pt", 3, ("a PyTorch file", EXPORT, CERTIFY)),
    "a log": ("verify abcrown.log", 3, ("a verifier's log", "proves nothing", "`tlcheck formats`", CERTIFY)),
    "a certificate by another name": ("verify c.txt", 3, ("c.txt: a certificate in JSON", "expected a name in .json")),
    "a log to convert": ("convert abcrown.log -o x.tlcert", 3, ("a verifier's log", "`tlcheck formats`")),
    "a SavedModel": ("verify saved", 2, ("a TensorFlow SavedModel", "tf2onnx.convert --saved-model saved")),
    "a file of a SavedModel": ("verify saved/saved_model.pb", 3, ("TensorFlow SavedModel", "tf2onnx.convert")),
    "an empty folder": ("verify empty", 2, ("an empty folder", "`tlcheck formats`")),
    "arrays of numpy": ("verify a.npz", 3, ("numpy arrays", "certificate.json", "`tlcheck verify FOLDER`")),
    "arrays in safetensors": ("verify w.safetensors", 3, ("safetensors", "manifest.json", "`tlcheck verify ")),
    "no certificate": (
        "verify --model net.onnx --property p.vnnlib", 2, ("PATH...", f"`{CERTIFY} net.onnx p.vnnlib -o X.tlcert`"),
    ),
    "no path": ("verify", 2, ("PATH...", "`tlcheck verify certs/`")),
    "model and property swapped": (
        "verify c.tlcert --model p.vnnlib --property net.onnx", 2, ("a VNN-LIB property", "--property takes"),
    ),
    "property is the model": ("verify c.tlcert --property net.onnx", 2, ("an ONNX model", "--model takes")),
    "model is a PyTorch file": ("verify c.tlcert --model net.pt", 2, ("a PyTorch file", EXPORT)),
    "query and network swapped": (
        "vnnlib verify net.onnx --network N=p.vnnlib", 3, ("an ONNX model", "query", f"`{VERIFY} ", "N=net.onnx"),
    ),
    "network and query of a certificate swapped": (
        "certify p.vnnlib net.onnx -o x.tlcert", 3, ("not an ONNX model", f"`{CERTIFY} NET.onnx p.vnnlib -o X.tlcert`"),
    ),
    "two networks for a certificate": (
        "certify net.onnx net.onnx -o x.tlcert", 3, ("not a VNN-LIB property", f"`{CERTIFY} net.onnx QUERY.vnnlib -o X.tlcert`"),
    ),
    "a query for a network": (
        "vnnlib verify p.vnnlib --network N=p.vnnlib", 3, ("a VNN-LIB property, not an ONNX model", VERIFY),
    ),
    "a PyTorch file for a network": ("vnnlib verify p.vnnlib --network N=net.pt", 3, ("a PyTorch file", EXPORT)),
    "a SavedModel for a network": ("vnnlib verify p.vnnlib --network N=saved", 3, ("SavedModel", "tf2onnx.convert")),
    "no network": ("vnnlib verify p.vnnlib", 3, ("--network N=NET.onnx",)),
    "a network without a name": ("vnnlib verify p.vnnlib --network net.onnx", 2, ("--network N=net.onnx",)),
    "a time in words": ("verify c.tlcert --timeout 5min", 2, ("'5min'", "write 300")),
    "a time in words, of a query": ("vnnlib verify p.vnnlib --network N=net.onnx --timeout 1h", 2, ("write 3600",)),
    "no number": ("verify c.tlcert --timeout soon", 2, ("'soon'", "such as 300")),
    "a mistyped format": ("verify c.tlcert --input-format tlcheck.margin", 2, ("did you mean tlcheck.margins",)),
    "show of a model": ("show net.onnx", 3, ("an ONNX model", CERTIFY)),
    "plot of a model": ("plot net.onnx -o x.svg", 3, ("an ONNX model", CERTIFY)),
    "plot of a proof": ("plot c.tlcert -o x.svg", 3, ("a claim of unsat over 1 input", "unsat proofs over two inputs")),
    "a level that is a number": (
        "certify-lyapunov loop.json -o x.tlcert", 3, ("$.level", "is written as a string", 'write "0.3"'),
    ),
    "no stability claim": ("certify-lyapunov net.onnx -o x.tlcert", 3, ("an ONNX model, not a stability claim",)),
    "model and PDE swapped": ("certify-pinn p.vnnlib net.onnx -o x.tlcert", 3, ("a VNN-LIB property, not an ONNX model",)),
    "a PDE that is none": ("certify-pinn net.onnx p.vnnlib -o x.tlcert", 3, ("a VNN-LIB property, not a differential",)),
    "an unknown code": ("explain TLC02", 0, ("TLC002",)),
    "a code that is none": ("explain TLC029", 2, ("did you mean TLC",)),
    "a lock that is none": ("verify c.tlcert --expect p.vnnlib", 3, ("a VNN-LIB property, not a lock file",)),
    "a witness that is none": (
        "vnncomp witness net.onnx p.vnnlib net.onnx", 3, ("an ONNX model, not a witness", "`tlcheck vnncomp witness net.onnx"),
    ),
    "query and witness swapped": (
        "vnncomp witness net.onnx p.vnnlib p.vnnlib", 3, ("a VNN-LIB property, not a witness", "comes last"),
    ),
    "a folder for a witness": ("vnncomp witness net.onnx p.vnnlib saved", 3, ("a TensorFlow SavedModel, not a file",)),
    "a Lyapunov query that is a model": ("lyapunov-spec net.onnx", 3, ("an ONNX model, not a VNN-LIB property",)),
    "a Lyapunov query that is a PDE": ("lyapunov-spec heat.toml", 3, ("a differential equation", "certify-pinn NET.onnx")),
    "a PDE for a stability claim": (
        "certify-lyapunov heat.toml -o x.tlcert", 3, ("a differential equation", "`tlcheck certify-pinn NET.onnx heat.toml"),
    ),
    "two models for a PINN": (
        "certify-pinn net.onnx net.onnx -o x.tlcert", 3, ("not a differential equation", "certify-pinn net.onnx PDE.toml"),
    ),
    "a PyTorch file for a PINN": ("certify-pinn net.pt heat.toml -o x.tlcert", 3, ("a PyTorch file", EXPORT)),
    "nothing to convert": ("convert c.tlcertt -o x.tlcert", 3, ("no such file or folder", "did you mean c.tlcert?")),
    "results that are a file": ("vnncomp referee net.onnx --benchmarks empty", 3, ("an ONNX model, not a folder",)),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_says_what_to_do(here: Path, mistake: str, capsys: pytest.CaptureFixture[str]) -> None:
    command, code, parts = MISTAKES[mistake]
    assert main(command.split()) == code
    captured = capsys.readouterr()
    lines = [
        line for line in (captured.out + captured.err).splitlines() if all(part in line for part in parts[:1])
    ]
    assert lines, captured
    text = captured.out + captured.err
    for part in parts:
        assert part in text
    assert "Traceback" not in text and "BUG" not in text
    if code == 3 and "--network" not in command and "vnncomp" not in command:
        assert sum(line.startswith("INVALID") for line in text.splitlines()) == 1
        assert all(part in lines[0] for part in parts)


@pytest.mark.parametrize(("given", "name"), [("22", "TLC022"), ("tlc22", "TLC022"), ("TLC022", "TLC022"),
                                             ("[TLC001]", "TLC001"), ("TLC-102", "TLC102"), ("1", "TLC001")])  # fmt: skip
def test_explain_finds_the_code_that_is_meant(
    given: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", given]) == 0
    assert capsys.readouterr().out.startswith(f"{name}: ")


def completions(words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> set[str]:
    monkeypatch.setenv("_TLCHECK_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    capsys.readouterr()
    main([])
    return {line.partition(",")[2] for line in capsys.readouterr().out.splitlines()}


def test_the_shell_completes_codes_formats_and_equations(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert completions("tlcheck explain tlc02", monkeypatch, capsys) == {
        "TLC020",
        "TLC021",
        "TLC022",
        "TLC023",
    }
    found = completions("tlcheck verify --input-format tlcheck.s", monkeypatch, capsys)
    assert found == {name for name in ARTIFACTS if name.startswith("tlcheck.s")} and "tlcheck.spline" in found
    assert "burgers" in completions("tlcheck certify-pinn net.onnx bur", monkeypatch, capsys)


def test_advice_for_what_has_no_leaves(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "TLC022"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "margins, output boxes" in text
    assert CERTIFY in text
