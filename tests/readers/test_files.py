"""Names of files in artifacts: ours lie beside the artifact; other tools' paths count by their last part, which one of them has."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tlcheck.cli.main import main
from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.readers.artifacts import ARTIFACTS, read_artifact
from tlcheck.readers.files import Files, beside
from tlcheck.readers.torchlean.ir import weights_beside

WITH_A_FOLDER = [
    "ctrl/net.json",
    "ctrl\\net.json",
    "./net.json",
    "/net.json",
    "../net.json",
    "net.json/",
    "a//net.json",
]
NO_NAME = ["", ".", "..", "a/..", "/", "net\n.json"]


def files(elsewhere: bool = False, content: Callable[[str], bytes] = str.encode) -> Files:
    return Files("x.json", content, elsewhere=elsewhere)


@pytest.mark.parametrize("name", WITH_A_FOLDER)
def test_a_folder_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        files().read(name, "networks[0].network.file")
    error = refused.value
    assert error.code == "TLC404" and error.field == "networks[0].network.file"
    assert error.expected == "the name of a file beside this one" and error.got == ascii(name)


@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("name", NO_NAME)
def test_what_is_no_name(name: str, elsewhere: bool) -> None:
    with pytest.raises(InvalidInput) as refused:
        files(elsewhere).read(name)
    assert refused.value.code == "TLC404"


@pytest.mark.parametrize("name", WITH_A_FOLDER)
def test_a_path_of_another_machine(name: str) -> None:
    asked = files(elsewhere=True)
    assert asked.read(name) == asked.read(name) == b"net.json" and set(asked.sources) == {"net.json"}


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("ctrl/net.json", "plant/net.json", False), ("net.json", "plant/net.json", False), ("/net.json", "net.json", False),
        ("C:\\a\\net.json", "/a/net.json", False), ("a/net.json", "a\\net.json", True), ("./net.json", "net.json", True),
        ("a/net.json", "a/NET.json", True), ("a/x.json", "b/y.json", True),
    ],
)  # fmt: skip
def test_two_paths_with_one_last_part(first: str, second: str, same: bool) -> None:
    asked = files(elsewhere=True)
    asked.read(first)
    if same:
        asked.read(second)
        return
    with pytest.raises(InvalidInput) as refused:
        asked.read(second, "b")
    assert (
        refused.value.code == "TLC404" and refused.value.field == "b" and refused.value.got == ascii(second)
    )


@pytest.mark.parametrize("name", ARTIFACTS)
def test_which_artifacts_may_name_paths(name: str) -> None:
    asked = files(elsewhere=name.startswith("tlcheck."))
    with pytest.raises(InvalidInput):
        read_artifact(b"{}", asked, Options(), name)
    assert asked.elsewhere is not name.startswith("tlcheck.")


def test_a_graph_of_torchlean_in_an_artifact_of_ours() -> None:
    """The graph's weights are a path of where the graph was made; ours is not read for another."""
    graph = json.dumps({"nodes": [], "input_id": 0, "output_id": 0, "weights": "runs/1/w.json"}).encode()
    asked = files(content=lambda name: b'{"w": [1.0]}')
    assert set(weights_beside(graph, asked)) == {"w"} and not asked.elsewhere
    other = files(content=lambda name: b'{"w": [1.0]}')
    other.read("w.json")
    with pytest.raises(InvalidInput):
        weights_beside(graph, other)


def linear(gain: str) -> str:
    return json.dumps(
        {"tensors": {"0.weight": {"shape": [1, 1], "data": [gain]}, "0.bias": {"shape": [1], "data": ["0"]}}}
    )


def test_two_networks_of_one_name_are_not_confused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once, ctrl/net.json and plant/net.json were both the net.json of the specification's folder."""
    for folder, gain in (("ctrl", "9"), ("plant", "9"), (".", "-1")):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "net.json").write_text(linear(gain))

    def network(name: str, file: str) -> object:
        return {"names": [name], "network": {"file": file}, "inputs": ["x"], "minus": ["0"]}

    document = {
        "format": "tlcheck.stability/1", "time": "continuous", "statement": "asymptotic", "states": ["x"],
        "networks": [network("u", "ctrl/net.json"), network("w", "plant/net.json")], "equations": ["u + w"],
        "V": {"quadratic": [["1"]]}, "region": {"lower": ["-1"], "upper": ["1"]}, "level": "1/2",
    }  # fmt: skip
    spec, target = tmp_path / "spec.json", tmp_path / "x.tlcert"
    for written in (document, document | {"tree": "0 d d"}):
        spec.write_text(json.dumps(written))
        command = (
            ["verify", str(spec)] if "tree" in written else ["certify-lyapunov", str(spec), "-o", str(target)]
        )
        assert main(command) == 3 and not target.exists()
        said = "".join(capsys.readouterr())
        assert "networks[0].network.file" in said and "'ctrl/net.json'" in said and "TLC404" in said


def test_links_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out.json").write_text("{}")
    (tmp_path / "in" / "net.json").symlink_to(tmp_path / "out.json")
    with pytest.raises(InvalidInput) as refused:
        beside(tmp_path / "in" / "x.json").read("net.json")
    assert refused.value.code == "TLC404"
