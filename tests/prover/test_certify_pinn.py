"""``tlcheck certify-pinn`` as a user meets it: parts that are exactly zero, points, integrals, options, messages, files."""

from __future__ import annotations

import json
import re
import zipfile
from fractions import Fraction
from hashlib import sha256
from math import inf
from pathlib import Path
from typing import get_args

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.trusted.science.test_pinn_domain import SMALL_PDE, Small
from tlcheck.cli.main import main
from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.prover.cell_cover import LEAST, enclosed, find_cover, find_integral, highest, values_at
from tlcheck.prover.pinn_search import BadRequest, PartFound, Request, certify
from tlcheck.readers.artifacts import load_artifact
from tlcheck.readers.onnx import read_model
from tlcheck.readers.own.pde import read_pde
from tlcheck.readers.sequential.architecture import Architecture, Layer
from tlcheck.trusted.science.cells import LEAF
from tlcheck.trusted.science.quantities import Quantity
from tlcheck.trusted.verdict import Verdict
from tlcheck.verify import verify_path

Capture = pytest.CaptureFixture[str]

HARD_PDE = """
format = "tlcheck.pde/1"
coordinates = ["t", "x"]
outputs = ["u"]
[domain]
t = [0, 1]
x = [0, 1]
[parts.residual]
zero = "u_t - u_xx"
[parts.left]
at = { x = 0 }
zero = "u"
[parts.right]
at = { x = 1 }
zero = "u"
[parts.corner]
at = { t = 0, x = 0 }
zero = "u - 1/2"
"""


def hard() -> bytes:
    """x (1 - x) N(t, x): zero at both ends, whatever N is."""
    inner = onnx.load_model_from_string(Small().onnx()).graph
    [last] = [o.name for o in inner.output]
    constants = [
        *inner.initializer,
        numpy_helper.from_array(np.array([[0], [1]], np.float32), "pick"),
        numpy_helper.from_array(np.array([1], np.float32), "one"),
    ]
    nodes = [
        *inner.node,
        helper.make_node("MatMul", ["x", "pick"], ["at"]),
        helper.make_node("Sub", ["one", "at"], ["rest"]),
        helper.make_node("Mul", ["at", "rest"], ["bump"]),
        helper.make_node("Mul", ["bump", last], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, "hard", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1])], constants,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "net.onnx").write_bytes(Small().onnx())
    (tmp_path / "hard.onnx").write_bytes(hard())
    (tmp_path / "small.toml").write_text(SMALL_PDE)
    (tmp_path / "hard.toml").write_text(HARD_PDE)
    return tmp_path


def run(folder: Path, *options: str, model: str = "net.onnx", pde: str = "small.toml") -> int:
    """``certify-pinn`` with one process, into x.tlcert; the exit code."""
    path = folder / pde if (folder / pde).is_file() else pde
    common = ["certify-pinn", str(folder / model), str(path), "-o", str(folder / "x.tlcert"), "--jobs", "1"]
    return main([*common, *options])


def written(folder: Path, **parts: str) -> None:
    """small.toml, of a domain x in [-1, 1], with these parts (an expression, or fields)."""
    text = SMALL_PDE[: SMALL_PDE.index("[parts.residual]")].replace('[-0.5, "1/3"]', "[-1, 1]")
    for name, zero in parts.items():
        text += f"[parts.{name}]\n" + (zero if "\n" in zero else f'zero = "{zero}"\n')
    (folder / "small.toml").write_text(text)


def quantity(folder: Path, part: str, model: str = "net.onnx", pde: str = "small.toml") -> Quantity:
    graph = read_model((folder / model).read_bytes())
    return read_pde((folder / pde).read_bytes(), "x").quantity(part, graph)


# integrals


@pytest.mark.parametrize("norm", ["L1", "L2"])
def test_an_integral_without_a_cover(norm: str, here: Path, capsys: Capture) -> None:
    """Both with a bound that is not decided by then, and without one; and what was found can be written."""
    few = ("--norm", norm, "--part", "residual", "--order", "2", "--max-cells", "6", "--tolerance", "1e-3")
    assert run(here, *few) == 4
    out = capsys.readouterr().out
    assert out.startswith(f"no cover  residual ({norm}): known only to be between ") and "--tolerance" in out
    low, high = (float(x) for x in out.split("between ")[1].split(" (")[0].split(" and "))
    assert run(here, *few, "--bound", f"residual={(low + high) / 2}") == 4
    out = capsys.readouterr().out
    assert "is not decided: it is between" in out and "others only below" not in out
    assert not (here / "x.tlcert").exists()
    points = np.random.default_rng(0).uniform([0, -0.5], [0.5, 1 / 3], (40_000, 2))
    values = Small().residual_squared(points)
    assert low < float(np.mean(values if norm == "L2" else np.sqrt(values))) * 0.5 * 5 / 6 < high


@pytest.mark.parametrize("norm", ["L1", "L2"])
def test_a_false_bound_of_an_integral_is_written(norm: str, here: Path, capsys: Capture) -> None:
    """FALSE here, REFUTED there; a true one next to it is proved. Neither needs a narrow enclosure."""
    part = ("--norm", norm, "--part", "residual")
    assert run(here, *part) == 0
    [claim] = verify_path(here / "x.tlcert", Options(jobs=1)).claims
    assert claim.verdict is Verdict.CERTIFIED
    with zipfile.ZipFile(here / "x.tlcert") as archive:
        document = json.loads(archive.read("residual.json"))
    low, high = float(document["at_least"]), float(document["at_most"])
    capsys.readouterr()
    assert run(here, *part, "--bound", f"residual={low * 0.98}") == 1
    out = capsys.readouterr().out
    assert out.startswith(f"FALSE     residual ({norm}): at most ") and "but it is at least" in out
    [claim] = verify_path(here / "x.tlcert", Options(jobs=1)).claims
    assert claim.verdict is Verdict.REFUTED
    assert run(here, *part, "--bound", f"residual={high * 1.02}") == 0
    [claim] = verify_path(here / "x.tlcert", Options(jobs=1)).claims
    assert claim.verdict is Verdict.CERTIFIED
    assert run(here, *part, "--bound", "residual=1e400") == 0


# parts that are zero, points


@pytest.mark.parametrize("norm", ["sup", "L1", "L2"])
def test_parts_that_are_exactly_zero(norm: str, here: Path) -> None:
    """What a hard constraint makes zero is certified to be at most 0, also when 0 is asked for."""
    for options in ((), ("--bound", "left=0", "--bound", "right=0")):
        assert run(here, "--norm", norm, *options, model="hard.onnx", pde="hard.toml") == 0
        claims = verify_path(here / "x.tlcert", Options(jobs=1)).claims
        assert [c.verdict for c in claims] == [Verdict.CERTIFIED] * 4
        assert "is at most 0 for all t in [0, 1] at x = 0" in claims[1].statement or norm != "sup"


def test_zero_but_for_rounding_has_a_floor(here: Path) -> None:
    """sin(pi) is zero, and no enclosure of it is: the bound is one that float64 can find, and Arb proves it."""
    (here / "hard.toml").write_text(HARD_PDE.replace('x = 1 }\nzero = "u"', 'x = 1 }\nzero = "u + sin(pi)"'))
    for norm, bound in (("sup", LEAST), ("L2", LEAST), ("L1", 2 * LEAST**0.5)):
        request = Request(parts=("right",), norm=norm, jobs=1)
        [found] = certify(here / "hard.onnx", here / "hard.toml", here / "x.tlcert", request, lambda *_: None)
        assert found.complete and found.at_most is not None and 0 < found.at_most <= Fraction(bound) * 2
        [claim] = verify_path(here / "x.tlcert", Options(jobs=1)).claims
        assert claim.verdict is Verdict.CERTIFIED


def test_one_cell_does_not_make_a_small_value_zero(here: Path) -> None:
    """1e-15 and its square are not 0: a bound of 0 is FALSE."""
    written(here, a="1/10^15 + 0*u")
    assert run(here, "--bound", "a=0") == 1
    assert verify_path(here / "x.tlcert", Options(jobs=1)).claims[0].verdict is Verdict.REFUTED
    assert run(here) == 0


@pytest.mark.parametrize("norm", ["sup", "L1", "L2"])
def test_a_part_with_every_coordinate_fixed(norm: str, here: Path) -> None:
    hard_ = {"model": "hard.onnx", "pde": "hard.toml"}
    assert run(here, "--norm", norm, "--part", "corner", **hard_) == 0
    [claim] = verify_path(here / "x.tlcert", Options(jobs=1)).claims
    assert claim.verdict is Verdict.CERTIFIED and "at t = 0, x = 0" in claim.statement
    assert "for all" not in claim.statement and "integral" not in claim.statement
    assert run(here, "--norm", norm, "--part", "corner", "--bound", "corner=0.2", **hard_) == 1
    assert verify_path(here / "x.tlcert", Options(jobs=1)).claims[0].verdict is Verdict.REFUTED


def test_the_cover_of_a_point_is_one_cell(here: Path) -> None:
    q = quantity(here, "corner", "hard.onnx", "hard.toml")
    cover = find_cover(q, Fraction(1, 4), 5, jobs=1, max_cells=9)
    assert (cover.tree, cover.cells) == (LEAF, 1)
    assert find_cover(q, Fraction(24, 100), 5, jobs=1, max_cells=9).tree == ""
    assert find_integral(q, "L1", 5, 0.0, jobs=1, max_cells=9).high == 0.5


# several parts


def test_parts_are_told_as_they_are_found(here: Path) -> None:
    events: list[str] = []

    def done(part: PartFound) -> None:
        events.append(part.name)

    certify(
        here / "net.onnx", here / "small.toml", here / "x.tlcert", Request(jobs=1),
        lambda part, *_: events.append(f"search {part}"), done,
    )  # fmt: skip
    assert events.index("search residual") < events.index("residual") < events.index("search edge")
    assert events[-1] == "edge"


def test_what_was_found_is_named_when_nothing_is_written(here: Path, capsys: Capture) -> None:
    assert run(here, "--max-cells", "4", "--order", "1", "--bound", "edge=1e6") == 4
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("no cover  residual: at most ") and "--max-cells" in lines[0]
    assert lines[1].startswith("found     edge: at most 1000000") and "; 1 cell, " in lines[1]
    assert lines[2] == "nothing written; what was found can be, with --part edge"
    assert not (here / "x.tlcert").exists()


# options


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--part", "edge", "--bound", "residual=1"), "--bound residual: no --part residual is chosen"),
        (("--bound", "edge=1", "--bound", "edge=2"), "--bound 'edge=2': there is another bound of edge"),
        (("--bound", "nothing=1"), "--bound nothing: expected a part of the PDE file: residual or edge"),
        (("--part", "nothing"), "--part nothing: expected a part"),
        (("--bound", "edge=-1"), "--bound 'edge=-1': '-1' is negative"),
        (("--bound", "edge=abc"), "--bound 'edge=abc': "), (("--bound", "edge=inf"), "--bound 'edge=inf': "),
        (("--bound", "=1"), "--bound '=1': expected PART=NUMBER"), (("--tolerance", "x"), "--tolerance: "),
    ],
)  # fmt: skip
def test_options_that_do_not_fit(options: tuple[str, ...], says: str, here: Path, capsys: Capture) -> None:
    assert run(here, *options) == 2
    err = capsys.readouterr().err
    assert says in " ".join(err.split()) and "small.toml" not in err
    assert not (here / "x.tlcert").exists()


def test_with_solution_errors_parts_are_tables(here: Path, capsys: Capture) -> None:
    for options in (("--part", "residual"), ("--bound", "residual=1")):
        assert run(here, "--solution-error", *options, pde="heat") == 2
        err = " ".join(capsys.readouterr().err.split())
        assert "with --solution-error it names a [solution.NAME] of the PDE file: sup or L2" in err
    with pytest.raises(BadRequest, match="--bound residual"):
        certify(
            here / "net.onnx", here / "small.toml", here / "x.tlcert",
            Request(parts=("edge",), bounds={"residual": Fraction(1)}), lambda *_: None,
        )  # fmt: skip


def test_help_tells_the_two_l2_apart(capsys: Capture) -> None:
    assert main(["certify-pinn", "--help"]) == 0
    assert "L2: the square of the norm" in " ".join(capsys.readouterr().out.split())


# functions that are not defined everywhere


def test_a_point_with_a_value_is_found_beside_others_without(here: Path, capsys: Capture) -> None:
    written(here, p="u + 0*log(x)")
    top = highest(quantity(here, "p"))
    assert top is not None and top.point[1] > 0
    for norm in ("sup", "L1"):
        assert run(here, "--norm", norm) == 4
        out = capsys.readouterr().out
        assert "no bound at t = 0.25, x = 0: log may be undefined" in out.replace("t = 1/4", "t = 0.25")


def test_no_value_anywhere_names_the_file(here: Path, capsys: Capture) -> None:
    written(here, p="u + log(x - 2)")
    assert run(here) == 3
    err = capsys.readouterr().err
    assert "small.toml: parts.p: no value at any of the points tried" in err
    values = values_at(quantity(here, "p"), np.array([[0.1, 0.5]]))
    assert values[0] == -inf


def test_no_cover_names_the_cell_and_the_function(here: Path, capsys: Capture) -> None:
    """Near the edge of a domain; the cell that is named has no bound in Arb either."""
    written(here, p='at = { x = [0.1, 1] }\nzero = "u + sqrt(x - 1/10)"\n')
    for norm in ("sup", "L2"):
        options = ("--bound", "p=1000") if norm == "sup" else ()
        assert run(here, "--norm", norm, "--max-cells", "40", *options) == 4
        out = capsys.readouterr().out
        assert "no bound at t " in out and "x in [0.1, " in out and "root may be undefined" in out, out
    low, high, reason = enclosed(quantity(here, "p"), quantity(here, "p").domain, 5, "sup")
    assert (low, high) == (-inf, inf) and "root" in reason


# PDE files


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("[0, 0.5]", "[0, inf]", "domain.t: not a decimal number (got 'inf')"),
        ("[0, 0.5]", "[0, 1e99999999]", "domain.t: the exponent of a decimal number is too large"),
        ("-0.5 }\nother", "nan }\nother", "parts.edge.at.x: not a decimal number"),
        ('"1/4"', '"2*nu"', "constants.c: not an expression (expected a number, pi, a function, a constant above it (there "
         "is none), got 'nu' at column 3)"),
        ('"1/4"', '"1/4"\nd = "c*e"', "a constant above it (c), got 'e' at column 3)"),
        ("u_t + u*u_x", "u_yy + u", "t, x, u, c or a derivative such as u_xx (order 4 at most), got 'u_yy' at column 1)"),
        ("u_t + u*u_x", "u_t +  u**2", "expected ^ for a power, got '*' at column 10)"),
        ("u*u_x - c*u_xx", "u_x +", "got the end)"), ("u_t + u*u_x", "u_t + 2 u", "got 'u' at column 9)"),
        ("u_t + u*u_x", "u_t + ü", "got '\\xfc - c*u_xx' at column 7)"), ("u_t + u*u_x", "u_t)", "or the end, got ')' at column 4)"),
    ],
)  # fmt: skip
def test_messages_say_what_and_where(old: str, new: str, says: str) -> None:
    assert old in SMALL_PDE
    with pytest.raises(InvalidInput) as error:
        read_pde(SMALL_PDE.replace(old, new).encode(), "x.toml")
    line = error.value.line()
    assert line.startswith("x.toml: ") and says in line and len(line) < 300, line


def test_a_narrowed_residual_is_what_is_blamed(here: Path, capsys: Capture) -> None:
    text = HARD_PDE.replace('zero = "u_t - u_xx"', 'at = { t = [0, 0.5] }\nzero = "u_t - u_xx"')
    text += '[parts.initial]\nat = { t = 0 }\nzero = "u"\n[solution.s]\ntheorem = "parabolic-sup"\nresidual = "residual"\n'
    (here / "narrow.toml").write_text(text + 'initial = "initial"\nboundary = ["left", "right"]\n')
    assert run(here, "--solution-error", pde="narrow.toml", model="hard.onnx") == 3
    err = capsys.readouterr().err
    assert "residual's domain, t in [0, 0.5], x in [0, 1]" in err and "the part on t in [0, 1], x = 0" in err


def test_the_distance_to_a_solution_of_one_coordinate(here: Path, capsys: Capture) -> None:
    """Its boundary parts are points."""
    x, w = helper.make_tensor_value_info, np.array([[0.5]], np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["z"]), helper.make_node("Sin", ["z"], ["y"])], "one",
        [x("x", TensorProto.FLOAT, [1, 1])], [x("y", TensorProto.FLOAT, [1, 1])], [numpy_helper.from_array(w, "w")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    (here / "one.onnx").write_bytes(model.SerializeToString())
    (here / "one.toml").write_text(
        'format = "tlcheck.pde/1"\ncoordinates = ["x"]\noutputs = ["u"]\n[domain]\nx = [0, 1]\n'
        '[parts.r]\nzero = "u_xx + u/4"\n[parts.a]\nat = { x = 0 }\nzero = "u"\n[parts.b]\nat = { x = 1 }\n'
        'zero = "u - 1/2"\n[parts.g]\nzero = "u_xx + 1/10"\n'
        '[solution.s]\ntheorem = "elliptic-sup"\nresidual = "g"\nboundary = ["a", "b"]\n'
    )
    assert (
        run(here, model="one.onnx", pde="one.toml") == 0
    )  # the residual r is exactly zero, but not as one cell
    assert run(here, "--solution-error", model="one.onnx", pde="one.toml") == 0
    [claim] = verify_path(here / "x.tlcert", Options(jobs=1)).claims
    assert claim.verdict is Verdict.CERTIFIED
    capsys.readouterr()
    assert run(here, "--solution-error", "--bound", "s=1e-9", model="one.onnx", pde="one.toml") == 4
    assert "the theorem gives about" in capsys.readouterr().out


def test_a_ready_name_is_found_beside_a_folder(
    here: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "heat").mkdir()
    monkeypatch.chdir(here)
    assert run(here, "--part", "boundary_left", pde="heat") == 0
    capsys.readouterr()
    for name in ("head", "heat.toml"):
        assert run(here, pde=name) == 3
        assert "burgers, diffusion_sorption, heat" in capsys.readouterr().err
    assert run(here, pde=".") == 3


def test_sizes_are_counted_in_words(here: Path, capsys: Capture) -> None:
    assert run(here, pde="schrodinger") == 3
    assert "expected 2 inputs and 2 outputs, got 2 inputs and 1 output:" in capsys.readouterr().err


# the model, and where the bundle goes


def beside(folder: Path, location: str = "net.onnx.data") -> Path:
    """net.onnx with its weights in another file."""
    model = onnx.load_model_from_string(Small().onnx())
    onnx.external_data_helper.convert_model_to_external_data(
        model, location="net.onnx.data", size_threshold=0
    )
    onnx.save_model(model, str(folder / "net.onnx"))
    changed = (folder / "net.onnx").read_bytes()
    assert (folder / "net.onnx.data").stat().st_size > 0 and b"net.onnx.data" in changed
    if location != "net.onnx.data":
        model = onnx.load(str(folder / "net.onnx"), load_external_data=False)
        for tensor in model.graph.initializer:
            tensor.external_data[0].value = location
        (folder / "net.onnx").write_bytes(model.SerializeToString())
    return folder / "net.onnx"


def test_weights_beside_the_model_are_put_into_the_bundle(here: Path, tmp_path: Path) -> None:
    """The same network, and so the same evidence; the bundle is read without the data file."""
    assert run(here) == 0
    with zipfile.ZipFile(here / "x.tlcert") as archive:
        one = archive.read("residual.json")
    beside(here)
    with pytest.raises(InvalidInput):
        read_model((here / "net.onnx").read_bytes())
    assert run(here) == 0
    (here / "net.onnx.data").unlink()
    claims = verify_path(here / "x.tlcert", Options(jobs=1)).claims
    assert [c.verdict for c in claims] == [Verdict.CERTIFIED] * 2
    with zipfile.ZipFile(here / "x.tlcert") as archive:
        assert archive.read("residual.json") == one
        inside = onnx.load_model_from_string(archive.read("model.onnx"))
    assert not any(tensor.data_location for tensor in inside.graph.initializer)
    weights = {t.name: numpy_helper.to_array(t) for t in inside.graph.initializer}
    assert all(np.array_equal(weights[f"w{k}"], w) for k, (w, _) in enumerate(Small().layers))


def test_weights_that_are_elsewhere_or_not_there(here: Path, capsys: Capture) -> None:
    (here.parent / "outside.data").write_bytes(bytes(10_000))
    for location, code in (("../outside.data", "TLC205"), ("gone", "TLC402"), ("", "TLC205")):
        beside(here, location)
        assert run(here) == 3
        assert f"[{code}]" in capsys.readouterr().err
    beside(here)
    (here / "net.onnx.data").write_bytes(b"short")
    assert run(here) == 3
    assert "[TLC403]" in capsys.readouterr().err and not (here / "x.tlcert").exists()


def test_an_artifact_beside_such_a_model(here: Path) -> None:
    """Its data file is found beside it, hashed, and not replaced by one of the same name elsewhere."""
    assert run(here) == 0
    with zipfile.ZipFile(here / "x.tlcert") as archive:
        archive.extractall(here / "loose")
    beside(here)
    (here / "loose" / "model.onnx").write_bytes((here / "net.onnx").read_bytes())
    artifact, data = here / "loose" / "residual.json", here / "loose" / "net.onnx.data"
    with pytest.raises(InvalidInput, match="not beside it"):
        load_artifact(artifact, Options(), "tlcheck.pinn")
    data.write_bytes((here / "net.onnx.data").read_bytes())
    [claim] = load_artifact(artifact, Options(model=here / "net.onnx"), "tlcheck.pinn")
    assert claim.sources["net.onnx.data"] == sha256(data.read_bytes()).hexdigest()
    assert [c.verdict for c in verify_path(artifact, Options(jobs=1)).claims] == [Verdict.CERTIFIED]
    (here / "net.onnx.data").write_bytes(bytes(data.stat().st_size))
    with pytest.raises(InvalidInput, match="other weights beside them"):
        load_artifact(artifact, Options(model=here / "net.onnx"), "tlcheck.pinn")


def test_a_weights_file_is_no_network(here: Path, capsys: Capture) -> None:
    (here / "net.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}      ")
    assert run(here, model="net.safetensors") == 3
    err = capsys.readouterr().err
    assert "net.safetensors: arrays in safetensors, not an ONNX model" in err and "torch.onnx.export" in err


def test_where_nothing_can_be_written_nothing_is_searched(
    here: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tlcheck.prover.pinn_search.tempfile.TemporaryFile", refuse)
    monkeypatch.setattr("tlcheck.prover.pinn_search.find_cover", lambda *_, **__: pytest.fail("a search"))
    assert run(here) == 3
    assert "x.tlcert: cannot write there: Permission denied" in capsys.readouterr().err


def test_nothing_is_left_behind(here: Path) -> None:
    before = sorted(p.name for p in here.iterdir())
    assert run(here, "--max-cells", "1", "--order", "1") == 4
    assert sorted(p.name for p in here.iterdir()) == before


def test_the_notes_on_architecture_files_name_every_layer_and_field() -> None:
    text = (Path(__file__).parents[2] / "certificates" / "formats" / "sequential.md").read_text()
    rows = [
        line.split("|")[1:-1] for line in text.splitlines() if line.startswith("| `") and "`type`" not in line
    ]
    noted = {name.strip(" `"): set(re.findall(r"`(\w+)`", fields + more)) for names, fields, more in rows
             for name in names.split(",")}  # fmt: skip
    for layer in get_args(Layer):
        tag = layer.__struct_config__.tag
        assert set(layer.__struct_fields__) == noted.pop(tag), tag
    assert not noted
    example = json.loads(text.partition("```json")[2].partition("```")[0])
    assert msgspec.convert(example, Architecture).layers[3]
