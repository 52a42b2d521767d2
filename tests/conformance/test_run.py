"""Whole runs of small models: what is inside, what is not and where, labels, comparisons, the certificate."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from onnx import TensorProto, helper, load, numpy_helper

from tests.trusted.test_zonotopes import Draft, mlp
from tlcheck.cli.main import main
from tlcheck.conformance import running
from tlcheck.conformance.run_document import run_schema
from tlcheck.readers.runtime_profile import document_of
from tlcheck.runtime import pinned


@pytest.fixture
def there(tmp_path: Path) -> Path:
    (tmp_path / "net.onnx").write_bytes(mlp("Sigmoid"))
    random = np.random.default_rng(1)
    np.savez(
        tmp_path / "d.npz", x=random.standard_normal((6, 6)).astype(np.float32), y=random.integers(0, 4, 6)
    )
    return tmp_path


@pytest.fixture
def strict(there: Path) -> Path:
    """A profile that no float32 Sigmoid obeys."""
    profile = json.loads(document_of())
    profile |= {"name": "strict", "functions": {**profile["functions"], "Sigmoid": {"absolute": "0x1p-60"}}}
    path = there / "strict.json"
    path.write_text(json.dumps(profile))
    return path


Report = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def report(there: Path, capsys: pytest.CaptureFixture[str]) -> Report:
    def run(*more: object, model: str = "net.onnx", data: str = "d.npz") -> tuple[int, dict[str, Any]]:
        paths = (there / model, "--inputs", there / data)
        code = main(["run", *map(str, paths), "--format", "json", *map(str, more)])
        said = json.loads(capsys.readouterr().out)
        jsonschema.validate(said, run_schema())
        return code, said

    return run


def test_all_inside(report: Report) -> None:
    code, said = report("--threads", "1,2", "--batch", "1,4", "--layers", "--repeat", 3)
    assert code == 0 and said["inside"] == said["points"] == 6 and not said["outside"]
    (output,) = said["outputs"]
    assert 0 < output["observed_max"] < output["proved_max"] < 1e-3 and 1e-6 < output["ratio_max"] < 1
    assert said["labels"]["given"] == 6 and said["labels"]["decided"] == 6
    low, high = said["labels"]["accuracy_proved"]
    assert low == high == said["labels"]["accuracy_observed"]
    d = said["determinism"]
    assert (
        set(d["repeats"]) == {"2", "3"}
        and d["threads"]["2"]["differ"] == 0
        and d["batch"]["4"]["inside"] == 6
    )
    assert said["layers"]["first_outside"] is None and {t["operator"] for t in said["layers"]["tensors"]} == {
        "MatMul",
        "Add",
        "Sigmoid",
    }
    assert (
        said["model"]["sha256"] == said["model"]["executed_sha256"]
        and said["runtime"]["options"]["graph_optimization_level"]
    )


def test_the_optimised_graph_is_what_is_executed_and_read(report: Report) -> None:
    code, said = report("--graph", "basic", "--limit", 2)
    assert code == 0 and said["points"] == 2 and said["model"]["graph"] == "basic"
    assert said["model"]["sha256"] != said["model"]["executed_sha256"]


def test_a_profile_that_is_not_obeyed(there: Path, strict: Path, report: Report) -> None:
    d = Draft(1)
    (there / "sigmoid.onnx").write_bytes(d.model((6,), d.node("Neg", d.node("Sigmoid", "x"))))
    code, said = report("--profile", strict, "--layers", "-o", there / "c.tlcert", model="sigmoid.onnx")
    assert code == 1 and said["layers"]["first_outside"] == "Sigmoid 'Sigmoid0'" and said["outside_count"]
    assert not (there / "c.tlcert").exists()


def test_a_wrong_weight_is_outside(there: Path, report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is executed is not what was read: the first tensor that differs is named, nothing is written."""
    model = load(there / "net.onnx")
    weight = next(t for t in model.graph.initializer if t.name == "c2")
    changed = numpy_helper.to_array(weight).copy()
    changed[0, 0] += np.float32(0.01)
    weight.CopyFrom(numpy_helper.from_array(changed, "c2"))
    other = model.SerializeToString()
    real = pinned._session

    def swapped(content: bytes, *rest: Any) -> Any:
        every = len(content) != len((there / "net.onnx").read_bytes())
        return real(pinned.with_every_tensor(other)[0] if every else other, *rest)

    monkeypatch.setattr(pinned, "_session", swapped)
    code, said = report("--layers", "-o", there / "c.tlcert")
    assert code == 1 and said["outside_count"] > 0 and said["outside"][0]["output"]
    assert said["layers"]["first_outside"] == "MatMul 'MatMul3'"
    assert said["certificate"] is None and not (there / "c.tlcert").exists()


@pytest.mark.parametrize("against", ["cpu", "other.onnx"])
def test_against(there: Path, report: Report, against: str) -> None:
    (there / "other.onnx").write_bytes(mlp("Tanh"))
    code, said = report("--against", against if against == "cpu" else there / against, "--limit", 3)
    (found,) = said["against"]
    assert (
        code == 0 and found["inside"] == 3 and found["outputs"][0]["max"] <= found["outputs"][0]["proved_max"]
    )
    assert (found["outputs"][0]["max"] == 0) == (against == "cpu")


def test_the_certificate_is_checked_without_onnxruntime(
    there: Path, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, said = report("-o", there / "c.tlcert", "--outputs", there / "o.npz")
    assert code == 0 and said["certificate"].endswith("c.tlcert")
    with np.load(there / "o.npz") as kept:
        assert bool(((kept["lower"] <= kept["outputs"]) & (kept["outputs"] <= kept["upper"])).all()) and kept[
            "inputs"
        ].shape == (6, 6)
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    assert main(["verify", "--jobs", "1", str(there / "c.tlcert")]) == 0


def test_a_tie_is_undecided(there: Path, report: Report) -> None:
    """Two outputs from one sum whose order decides them: the label is not decided, and so is nothing to claim."""
    d = Draft(3)
    both = np.float32([[1, 1], [1e-9, 0]])
    (there / "tie.onnx").write_bytes(d.model((2,), d.node("MatMul", "x", d.constant(both))))
    np.savez(there / "tie.npz", x=np.float32([[1, 1]]), y=[0])
    code, said = report(model="tie.onnx", data="tie.npz")
    assert code == 4 and said["labels"]["undecided"] == [0] and said["labels"]["accuracy_proved"] == [0, 1]


def test_several_inputs_by_their_names(there: Path, report: Report) -> None:
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", 2]) for n in ("a", "b", "y")]
    graph = helper.make_graph([helper.make_node("Sub", ["a", "b"], ["y"])], "g", infos[:2], infos[2:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    (there / "two.onnx").write_bytes(model.SerializeToString())
    np.savez(there / "two.npz", b=np.float32([[1.5, 2]]), a=np.float32([[5, 7.5]]))
    code, _ = report("--outputs", there / "o.npz", model="two.onnx", data="two.npz")
    with np.load(there / "o.npz") as kept:
        assert code == 0 and kept["outputs"].tolist() == [[3.5, 5.5]]


def test_batches_that_the_model_does_not_take(there: Path, report: Report) -> None:
    model = load(there / "net.onnx")
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    (there / "net.onnx").write_bytes(model.SerializeToString())
    code, said = report("--batch", "1,4")
    assert code == 0 and "first axis is fixed" in said["determinism"]["batch"]["4"]["refused"]


REFUSED: Mapping[str, tuple[tuple[str, ...], int, str]] = {
    "cuda": (("--provider", "cuda"), 3, "CUDA"),
    "provider twice": (("--provider", "cpu", "--provider", "cpu"), 2, "each once"),
    "batch": (("--batch", "0"), 2, "whole numbers from 1 on"),
    "outputs": (("--outputs", "o.txt"), 2, ".npz"),
    "no such data": (("--inputs", "no.npz"), 3, "no such file"),
    "profile": (("--profile", "nobody"), 3, "no such runtime profile"),
    "against": (("--against", "no.onnx"), 3, "no.onnx"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_in_a_line(
    name: str, there: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "os.path.exists", lambda path: False if "nvidia" in str(path) else Path(path).exists()
    )
    more, code, said = REFUSED[name]
    assert main(["run", str(there / "net.onnx"), "--inputs", str(there / "d.npz"), *more]) == code
    both = capsys.readouterr()
    assert said in both.err + both.out and "Traceback" not in both.err


@pytest.mark.parametrize("format_", ["text", "markdown", "html"])
def test_every_format_has_both_statements(
    format_: str, there: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(
            [
                "run",
                str(there / "net.onnx"),
                "--inputs",
                str(there / "d.npz"),
                "--format",
                format_,
                "--limit",
                "1",
            ]
        )
        == 0
    )
    said = capsys.readouterr().out
    assert (
        "every float32 execution that the profile ieee-basic allows" in said
        and "of 1 points lie in the enclosures" in said
    )


def test_saturation_is_explained_by_an_execution_without_it(
    there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outputs are outside, and inside with exact kernels: only then is the cause named."""
    from fractions import Fraction

    from tlcheck.conformance.executable import Enclosures, load_subject
    from tlcheck.conformance.run_points import read_points
    from tlcheck.readers.runtime_profile import chosen_profile
    from tlcheck.robust.questions import Settings

    subject = load_subject(there / "net.onnx", "file")
    inputs = read_points(there / "d.npz", subject.graph, Settings(Fraction(0), limit=1))
    this = running._Run(subject, chosen_profile(), inputs, running.Asked(), lambda *_: None)
    ends = np.zeros((1, 4))
    found = Enclosures(ends - 1, ends + 1, ends, ({},))
    monkeypatch.setattr(running, "SATURATING", ("Sigmoid",))
    monkeypatch.setattr(running, "cpu_flags", lambda: ["avx2"])
    monkeypatch.setattr(running, "_timed", lambda s, pin, *_: (ends + (0 if pin.exact_int8 else 5), 1.0))
    this.explain(found)
    assert "x64quantprecision=1" in this.explained[0] and "no VNNI" in this.explained[0]
