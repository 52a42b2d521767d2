"""The built wheel, installed in an empty environment and used from outside the repository (``make wheel-test``).

An editable install makes every folder of the repository importable, so only this shows that nothing is missing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.helpers import CERTIFICATES, REPOSITORY
from tlcheck import __version__

pytestmark = pytest.mark.wheel

BIN = "Scripts" if os.name == "nt" else "bin"


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, REPOSITORY, cwd=folder)
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment that holds the wheel and what it asks for."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", folder, cwd=folder)
    run(folder / BIN / "python", "-m", "pip", "install", "--quiet", wheel, cwd=folder)
    return folder / BIN


def test_the_wheel_holds_the_package_only(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.partition("/")[0] for name in names} == {"tlcheck", f"tlcheck-{__version__}.dist-info"}
    sources = {
        path.relative_to(REPOSITORY).as_posix()
        for path in (REPOSITORY / "tlcheck").rglob("*")
        if path.suffix in (".py", ".html", ".css", ".js", ".toml")
    }
    kernels = {f"tlcheck/kernels/source/{path.name}" for path in (REPOSITORY / "kernels").iterdir()}
    assert sources | kernels <= set(names)


def test_the_program_says_its_version(installed: Path, tmp_path: Path) -> None:
    assert run(installed / "tlcheck", "--version", cwd=tmp_path).stdout == f"tlcheck {__version__}\n"


def test_it_verifies_outside_the_repository(installed: Path, tmp_path: Path) -> None:
    cases = sorted(path for path in (CERTIFICATES / "accept").iterdir() if not path.name.startswith("."))
    case = cases[0]
    copy = tmp_path / case.name
    if case.is_dir():
        shutil.copytree(case, copy)
    else:
        shutil.copy(case, copy)
    done = run(installed / "tlcheck", "verify", copy.name, cwd=tmp_path)
    assert done.stdout.startswith("CERTIFIED")


def test_it_prints_its_schemas(installed: Path, tmp_path: Path) -> None:
    for name in ("report", "bundle"):
        assert run(installed / "tlcheck", "schema", name, cwd=tmp_path).stdout.startswith("{")


def test_only_what_executes_models_needs_onnxruntime(installed: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(CERTIFICATES / "accept" / "digits-mlp-splits" / "x.tlcert") as bundle:
        bundle.extractall(tmp_path)
    packages = run(installed / "python", "-m", "pip", "list", cwd=tmp_path).stdout
    assert "onnxruntime" not in packages
    said = run(
        installed / "tlcheck", "certify", "model.onnx", "property.vnnlib", "-o", "x.tlcert", cwd=tmp_path
    )
    assert "CERTIFIED  unsat" in said.stdout
    command = [installed / "tlcheck", "run", "model.onnx", "--inputs", "x.npz"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 3 and done.stderr.count("\n") == 1
    assert "pip install 'tlcheck[run]'" in done.stderr
