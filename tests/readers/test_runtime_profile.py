"""Runtime profiles: tlcheck's own, a user's file, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.helpers import CERTIFICATES
from tlcheck.cli.main import main
from tlcheck.errors import InvalidInput
from tlcheck.readers.runtime_profile import (
    FOLDER,
    chosen_profile,
    profile_names,
    profile_schema,
    read_profile,
)

SIGMOID = CERTIFICATES / "accept" / "digits-sigmoid-lines"


def document(**changes: Any) -> dict[str, Any]:
    return {**json.loads((FOLDER / "ieee-basic.json").read_text("utf-8")), "name": "mine", **changes}


def written(tmp_path: Path, **changes: Any) -> Path:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(document(**changes)), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", profile_names())
def test_own_profiles(name: str) -> None:
    text = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    jsonschema.Draft202012Validator(profile_schema()).validate(text)
    assert chosen_profile(name).numbers.name == name == text["name"]
    assert len(chosen_profile(name).numbers.digest) == 64


@pytest.mark.parametrize(
    "changes, field",
    [
        ({"functions": {"Exp": {"relative": "-1"}}}, "functions.Exp"),
        ({"functions": {"Exp": {"relative": "1"}}}, "functions.Exp"),
        ({"functions": {"Exp": {"relative": "nan"}}}, "functions.Exp"),
        ({"functions": {"Expo": {"relative": "0"}}}, "functions"),
        ({"functions": {"Exp": {"relative": 0.5}}}, "Exp"),
        ({"normalisation": "welford"}, "normalisation"),
        ({"normalisation": {"LayerNormalization": "three-pass"}}, "three-pass"),
        ({"normalisation": {"LayerNorm": "welford"}}, "LayerNorm"),
        ({"kind": "certain"}, "kind"),
        ({"version": 2}, "version"),
        ({"name": "a b"}, "name"),
        ({"more": 1}, "more"),
    ],
)
def test_refused(tmp_path: Path, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_profile(written(tmp_path, **changes))
    assert field in caught.value.line()


def verdicts(tmp_path: Path, *options: str) -> tuple[int, dict[str, Any]]:
    report = tmp_path / "report.json"
    code = main(
        ["verify", str(SIGMOID), "--format", "json", "--output", str(report), "--jobs", "1", *options]
    )
    claim = json.loads(report.read_text("utf-8"))["results"][0]["claims"][0]
    return code, claim


def test_a_sigmoid_network_is_certified_for_float32_executions(tmp_path: Path) -> None:
    """The verdict names the profile, its kind and its hash."""
    code, claim = verdicts(tmp_path, "--semantics", "deployed")
    assert code == 0
    used = claim["arithmetic"]["profile"]
    assert used == {"name": "ieee-basic", "kind": "assumed", "sha256": chosen_profile().numbers.digest}
    assert any("runtime profile ieee-basic (assumed, sha256" in text for text in claim["assumptions"])
    real, deployed = (float(claim[k]["rigorous"]) for k in ("bound", "deployed"))
    assert 0 < deployed < real


def test_a_profile_of_the_users(tmp_path: Path) -> None:
    _, basic = verdicts(tmp_path, "--semantics", "deployed")
    path = written(tmp_path, functions={"Sigmoid": {"absolute": "0.001"}})
    code, claim = verdicts(tmp_path, "--semantics", "deployed", "--profile", str(path))
    assert code == 0 and claim["arithmetic"]["profile"]["name"] == "mine"
    assert float(claim["deployed"]["rigorous"]) < float(basic["deployed"]["rigorous"])


def test_a_function_without_an_entry(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, functions={"Tanh": {}})
    assert main(["verify", str(SIGMOID), "--semantics", "deployed", "--profile", str(path)]) == 3
    out = capsys.readouterr().out
    assert "Sigmoid, which the profile mine does not list" in out and "TLC202" in out


@pytest.mark.parametrize("name", ["no-such", "missing.json", "folder/"])
def test_no_such_profile(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = name if name == "no-such" else str(tmp_path / name)
    assert main(["verify", str(SIGMOID), "--semantics", "deployed", "--profile", given]) == 3
    assert "Traceback" not in "".join(capsys.readouterr())


def test_they_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["formats"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in profile_names())
    assert main(["schema", "profile"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "tlcheck runtime profile"


def test_a_name_of_tlchecks_own_is_no_other_profiles(tmp_path: Path) -> None:
    """A conformance certificate brings its profile: verdicts would name a better one than tlcheck's, as tlcheck's."""
    functions = {**document()["functions"], "Sigmoid": {"relative": "0x1p-26"}}
    with pytest.raises(InvalidInput, match="called ieee-basic and says otherwise"):
        read_profile(written(tmp_path, name="ieee-basic", functions=functions))
    assert read_profile(written(tmp_path, name="ieee-basic")).numbers.name == "ieee-basic", "the same numbers"
    assert read_profile(written(tmp_path, functions=functions)).numbers.name == "mine"
