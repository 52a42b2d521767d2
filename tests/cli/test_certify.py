"""``tlcheck certify``: an answer with its certificate, or nothing at all."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.clocks import Noted
from tests.solver.small import Tiny
from tlcheck import timer
from tlcheck.cli.main import main
from tlcheck.options import Options
from tlcheck.report.record import ExitCode
from tlcheck.verify import verify_path

NET = Tiny(((2, -1), (1, 1), (-1, 3)), (0, 1, -1), ((1, 1, -2),))
"""y = relu(2a - b) + relu(a + b + 1) - 2 relu(-a + 3b - 1), on [0, 1]^2 at most 4, at (1, 0)."""


def query(bound: float, low: float = 0, high: float = 1) -> str:
    box = "".join(f"(assert (>= X_{i} {low}))(assert (<= X_{i} {high}))" for i in (0, 1))
    declared = "(declare-const X_0 Real)(declare-const X_1 Real)(declare-const Y_0 Real)"
    return f"{declared}{box}(assert (>= Y_0 {bound}))"


class Case:
    """A folder with a network and a property; ``run`` is ``tlcheck certify`` on them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model, self.property = NET.file(folder / "net.onnx"), folder / "p.vnnlib"
        self.output = folder / "out.tlcert"
        self.ask(4.5)

    def ask(self, bound: float, **box: float) -> None:
        self.property.write_text(query(bound, **box))

    def run(self, *more: object) -> int:
        given = (self.model, self.property, "-o", self.output, "--jobs", 1, *more)
        return main(["certify", *map(str, given)])

    def files(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()} - {"net.onnx", "p.vnnlib"}


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


@pytest.mark.parametrize(("bound", "answer"), [(4.5, "unsat"), (3.9, "sat")])
def test_an_answer_has_a_certificate(
    case: Case, capsys: pytest.CaptureFixture[str], bound: float, answer: str
) -> None:
    case.ask(bound)
    assert case.run() == ExitCode.CERTIFIED
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first.split()[0] == answer
    assert second.split()[:2] == ["CERTIFIED", answer] and str(case.output) in second
    assert case.files() == {"out.tlcert"}
    assert verify_path(case.output, Options()).claims[0].verdict.value == "CERTIFIED"
    assert main(["verify", str(case.output)]) == ExitCode.CERTIFIED


def test_a_witness_says_what_executions_do(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    case.ask(3.9)
    assert case.run("--format", "json") == ExitCode.CERTIFIED
    document = json.loads(capsys.readouterr().out)
    assert document["answer"] == "sat" and "execution satisfies" in document["search"]["executed"]


def test_json_is_that_of_verify_with_the_answer(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    assert case.run("--format", "json") == ExitCode.CERTIFIED
    ours = json.loads(capsys.readouterr().out)
    assert main(["verify", "--format", "json", str(case.output)]) == ExitCode.CERTIFIED
    theirs = json.loads(capsys.readouterr().out)
    assert set(ours) - set(theirs) == {"answer", "search"}
    assert ours["answer"] == "unsat" and ours["verdict"] == theirs["verdict"] == "CERTIFIED"
    for one in (ours, theirs):
        for claim in (claim for result in one["results"] for claim in result["claims"]):
            claim.pop("seconds")
    assert ours["results"] == theirs["results"]


def test_json_fits_the_schema(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    import jsonschema

    from tlcheck.report.schema import report_schema

    for bound in (4.5, 3.9):
        case.ask(bound)
        case.run("--format", "json")
        jsonschema.Draft202012Validator(report_schema()).validate(json.loads(capsys.readouterr().out))


@pytest.mark.parametrize(
    ("output", "code"),
    [(f"{'x' * 300}.tlcert", ExitCode.USAGE), ("none/x.tlcert", 3), ("x.zip", 3), ("", 3)],
    ids=["long name", "no folder", "no bundle", "no property"],
)
def test_json_of_what_is_refused_is_a_document_too(
    case: Case, output: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """A target that cannot be written, one that is no bundle, and a property that is none."""
    import jsonschema

    from tlcheck.report.schema import report_schema

    if output:
        case.output = case.folder / output
    else:
        case.property.write_text("(assert")
    assert case.run("--format", "json") == code
    said = capsys.readouterr()
    document = json.loads(said.out)
    jsonschema.Draft202012Validator(report_schema()).validate(document)
    assert (document["answer"], document["verdict"], said.err) == ("unknown", "INVALID", "")
    assert document["search"]["why"] == document["results"][0]["claims"][0]["reason"]["message"]
    assert case.run() == code
    assert len(capsys.readouterr().err.splitlines()) == 1


@contextmanager
def at_once(_: float, error: type[BaseException]) -> Iterator[None]:
    """An alarm that rings as soon as it is set."""
    raise error
    yield


def test_executions_of_a_witness_are_given_up_in_time(
    case: Case,
    capsys: pytest.CaptureFixture[str],
    steps: Callable[[float], Noted],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The answer is sat, over the reals: what is said beside it has a time of its own."""
    steps(1e-3)
    monkeypatch.setattr(timer, "alarm", at_once)
    case.ask(3.9)
    assert case.run("--timeout", "60") == ExitCode.CERTIFIED
    line = capsys.readouterr().out.splitlines()[0]
    assert line.startswith("sat") and "whether every one does was not decided in time" in line
    assert case.run("--timeout", "60", "--semantics", "deployed") == ExitCode.UNPROVEN
    assert capsys.readouterr().out.startswith("unknown")


def test_packed_files_are_kept_packed(case: Case) -> None:
    for path in (case.model, case.property):
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    case.model, case.property = (Path(f"{p}.gz") for p in (case.model, case.property))
    assert case.run() == ExitCode.CERTIFIED
    assert main(["verify", str(case.output)]) == ExitCode.CERTIFIED


def test_for_every_float32_execution(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    assert case.run("--semantics", "deployed", "--format", "json") == ExitCode.CERTIFIED
    claim = json.loads(capsys.readouterr().out)["results"][0]["claims"][0]
    assert float(claim["deployed"]["rigorous"]) > 0
    assert main(["verify", "--semantics", "deployed", str(case.output)]) == ExitCode.CERTIFIED


def test_what_rounding_may_break_is_not_certified_deployed(
    case: Case, steps: Callable[[float], Noted], capsys: pytest.CaptureFixture[str]
) -> None:
    """The least margin of 1e-9 is less than float32 rounds; over the reals it is enough."""
    case.ask(4.000000001)
    steps(0.01)
    assert case.run("--semantics", "deployed", "--timeout", 30) == ExitCode.UNPROVEN
    assert capsys.readouterr().out.startswith("unknown ") and case.files() == set()


def test_unknown_writes_nothing(
    case: Case, steps: Callable[[float], Noted], capsys: pytest.CaptureFixture[str]
) -> None:
    """The clock has run out before anything is tried."""
    steps(10.0)
    assert case.run("--timeout", 1) == ExitCode.UNPROVEN
    out = capsys.readouterr().out
    assert out.startswith("unknown ") and "nothing written" in out and "TLC023" in out
    assert case.files() == set()
    assert case.run("--timeout", 1, "--format", "json") == ExitCode.UNPROVEN
    document = json.loads(capsys.readouterr().out)
    assert (document["answer"], document["verdict"]) == ("unknown", "UNPROVEN")
    assert document["search"]["why"]


def test_an_older_bundle_stays_when_nothing_is_found(case: Case, steps: Callable[[float], Noted]) -> None:
    assert case.run() == ExitCode.CERTIFIED
    before = case.output.read_bytes()
    steps(10.0)
    assert case.run("--timeout", 1) == ExitCode.UNPROVEN
    assert case.output.read_bytes() == before


def test_what_is_no_bundle_is_not_replaced(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    case.output.write_text("my notes")
    assert case.run() == ExitCode.INVALID
    assert "TLC402" in capsys.readouterr().err
    assert case.output.read_text() == "my notes" and case.files() == {"out.tlcert"}


def test_a_bundle_is_replaced_in_one_step(case: Case) -> None:
    """A folder bundle too."""
    assert case.run() == ExitCode.CERTIFIED
    first = case.output.read_bytes()
    case.ask(3.9)
    assert case.run() == ExitCode.CERTIFIED
    assert case.output.read_bytes() != first
    shutil.unpack_archive(case.output, case.folder / "apart", "zip")
    case.output.unlink()
    (case.folder / "apart").rename(case.output)
    assert case.run() == ExitCode.CERTIFIED
    assert case.output.is_file() and case.files() == {"out.tlcert"}


@pytest.mark.parametrize(
    ("output", "code"),
    [("out.zip", ExitCode.INVALID), ("none/out.tlcert", ExitCode.INVALID)],
)
def test_the_target_is_looked_at_first(
    case: Case, output: str, code: ExitCode, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before the model, which is none."""
    case.output = case.folder / output
    case.model.write_bytes(b"no model")
    assert case.run() == code
    assert output.split("/")[0] in capsys.readouterr().err


@pytest.mark.parametrize(
    ("model", "content"),
    [
        (True, b""),
        (True, b"\x1f\x8b\x08cut"),
        (True, b"\x08\x09\x12\xff\xff\xff\xff\x7f"),
        (False, b""),
        (False, b"\xff\xfe"),
        (False, b"(assert"),
        (False, b"(declare-const X_0 Real)(assert (<= X_0 1.0))"),
        (False, query(1.0).replace("X_1", "X_7").encode()),
        (False, query(1.0, high=float("nan")).encode()),
    ],
)
def test_hostile_input_is_one_line(
    case: Case, model: bool, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (case.model if model else case.property).write_bytes(content)
    assert case.run() == ExitCode.INVALID
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("INVALID  ") and err.count("\n") == 1
    assert case.files() == set()


def test_missing_files_are_one_line(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    case.model.unlink()
    assert case.run() == ExitCode.INVALID
    assert capsys.readouterr().err.count("\n") == 1 and case.files() == set()


def test_a_device_without_an_engine(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    assert case.run("--device", "cuda") == ExitCode.INVALID
    assert "TLC505" in capsys.readouterr().err and case.files() == set()


def test_a_region_that_is_empty(case: Case) -> None:
    case.ask(3.9, low=1, high=0)
    assert case.run() == ExitCode.CERTIFIED


def test_a_region_of_one_point(case: Case) -> None:
    case.ask(1.5, low=0, high=0)
    assert case.run() == ExitCode.CERTIFIED


def test_several_regions_and_mixed_constraints(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    """Two boxes and a line between inputs and outputs; one region is a side of zero width."""
    declared = "(declare-const X_0 Real)(declare-const X_1 Real)(declare-const Y_0 Real)"
    boxes = [
        (0, 1, 0, 1, "(>= Y_0 (+ 4.5 (* 0.0 X_0)))"),
        (-1, 0, 0.5, 0.5, "(>= (+ Y_0 X_0) 3.0)"),
        (2, 2, 2, 3, "(>= Y_0 9)"),
    ]
    parts = [
        f"(and (>= X_0 {a}) (<= X_0 {b}) (>= X_1 {c}) (<= X_1 {d}) {last})" for a, b, c, d, last in boxes
    ]
    case.property.write_text(f"{declared}(assert (or {' '.join(parts)}))")
    assert case.run() == ExitCode.CERTIFIED
    assert capsys.readouterr().out.startswith("unsat ")


@pytest.mark.parametrize("jobs", [1, 2])
def test_processes_find_the_same_answer(case: Case, jobs: int) -> None:
    assert case.run("--jobs", jobs) == ExitCode.CERTIFIED


def test_an_interrupted_run_goes_on(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C after so many looks at the clock; the next run takes up what is closed, and does less."""
    from tlcheck.prover.input_search import InputSearch

    case.ask(4.0001)
    journal = case.folder / "j.jsonl"
    attempted: list[int] = []
    real = InputSearch.close

    def interrupted(self: InputSearch, work: list[object], over: Callable[[], bool]) -> list[object]:
        looks = 0

        def stop() -> bool:
            nonlocal looks
            looks += 1
            if looks > 3:
                raise KeyboardInterrupt
            return over()

        attempted.append(len(work))
        return real(self, work, stop)  # type: ignore[arg-type, return-value]

    monkeypatch.setattr(InputSearch, "close", interrupted)
    assert case.run("--resume", journal) == ExitCode.INTERRUPTED
    assert case.files() == {"j.jsonl"}
    monkeypatch.setattr(InputSearch, "close", real)
    assert case.run("--resume", journal) == ExitCode.CERTIFIED
    assert case.files() == {"j.jsonl", "out.tlcert"}


def test_a_journal_of_something_else_is_refused(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    journal = case.folder / "j.jsonl"
    journal.write_text("my notes\n")
    assert case.run("--resume", journal) == ExitCode.INVALID
    assert journal.read_text() == "my notes\n" and "TLC101" in capsys.readouterr().err


def test_a_hostile_journal_costs_time_alone(case: Case) -> None:
    """Rows that are none, evidence that proves nothing, weights of constraints that are not there."""
    from tlcheck.checking.journal import Lines, search_key
    from tlcheck.prover.question import Question

    journal = case.folder / "j.jsonl"
    lines = Lines.at(journal, search_key(Question.load(case.model, case.property).claim, "real"))
    one = float(1).hex()
    literal = [0, 0, 1, (0.5).hex()]
    rows: list[object] = [
        None, 5, [], ["inputs", 0, [], None], ["inputs", 0, [literal], [[[0, "nan"]], {}, []], one],
        ["inputs", 0, [literal], [[[7, one]], {}, []], one], ["inputs", 9, [], [[[0, one]], {}, []], one],
        ["inputs", 0, [[0, 99, 1, one]], None, one], ["inputs", 0, [literal, [0, 1, -1, "inf"]], [[[0, one]], {}, []], one],
        ["neurons", 0, [], [[[0, one]], {"2": "AAAA"}, []], one], ["inputs", 0, [[0, 0, -1, (0.5).hex()]], [[[0, one]], {}, []], one],
    ]  # fmt: skip
    lines.append("branches", rows)
    assert case.run("--resume", journal) == ExitCode.CERTIFIED
