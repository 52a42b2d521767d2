"""``tlcheck verify`` as a user meets it: real certificates, whole processes, a terminal, interrupts, journals, reports."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest

from tests.clocks import GUARD, Cpu, Noted, wait_until, without_progress
from tests.helpers import CERTIFICATES, DATA, REPOSITORY, needs_data
from tlcheck.cli.main import main
from tlcheck.report.codes import CODES
from tlcheck.report.schema import report_schema

ACCEPT, REJECT, REGRESSIONS = (CERTIFICATES / name for name in ("accept", "reject", "regressions"))
DUMPS = DATA / "abcrown"
CHAIN = REGRESSIONS / "chain-of-400-unordered-leaves"
SPLITS = ACCEPT / "digits-residual-many-leaves"
SEVERAL = ACCEPT / "digits-several-claims"

linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc, forked workers")

EAGER = """
import tlcheck.cli.progress as progress, tlcheck.checking.schedule as schedule
progress.PATIENCE_SECONDS = progress.REDRAW_SECONDS = 0
schedule.POOL_FROM = schedule.THREADS_FROM = 0
schedule.MAX_CHUNK = 4
from tlcheck.cli.main import entry
entry()
"""
"""tlcheck that takes every check for a long one: bar at once, small chunks, always a pool."""

ENDLESS = """
import time, tlcheck.checking.pool as pool, tlcheck.checking.schedule as schedule
from tests.clocks import Steps
def forever(*_): time.sleep(10**6)
if {where!r} == "bounds":
    schedule.root_bounds = lambda plan, region, over: list(over(forever, range(4)))
else:
    schedule.check_leaves = forever
pool.BEAT = 0.02
if {step}:
    Steps({step}).install()
"""
"""Workers that never give anything back, so that whatever ends the check is what is tested; a clock of looks if ``step``."""


def run(*arguments: object, script: str | None = None) -> subprocess.CompletedProcess[str]:
    start = ["-m", "tlcheck"] if script is None else ["-c", script]
    return subprocess.run(
        [sys.executable, *start, *map(str, arguments)],
        check=False, capture_output=True, text=True, cwd=REPOSITORY, timeout=GUARD,
    )  # fmt: skip


def report(*arguments: object, code: int, capsys: pytest.CaptureFixture[str]) -> Any:
    """The JSON report of a run in this process, which ends with ``code`` and obeys the schema."""
    capsys.readouterr()
    assert main(["verify", *map(str, arguments), "--format", "json"]) == code
    document = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator(report_schema()).validate(document)
    return document


def claims(document: Any) -> list[Any]:
    return [claim for result in document["results"] for claim in result["claims"]]


# Start, terminal, interrupts.


@pytest.mark.parametrize("argument", ["--version", "--help"])
def test_little_is_imported_to_say_little(argument: str) -> None:
    """Start-up is the import of modules: these are click's and the standard library's."""
    said = run(
        argument,
        script="from tlcheck.cli.main import main\nimport sys\nmain(sys.argv[1:])\nprint(len(sys.modules), file=sys.stderr)",
    )
    assert said.returncode == 0 and int(said.stderr) < 300


@linux
@pytest.mark.parametrize("columns", [80, 40])
def test_progress_on_a_terminal(columns: int) -> None:
    shown = drawn(columns, CHAIN)
    if columns >= 80:
        assert re.search(
            r"leaves .* \d+/400 worst margin [0-9.e-]+", shown
        )  # time left: test_progress, by its own clock


@linux
@pytest.mark.parametrize("options", [("--jobs", "1"), ("--jobs", "2")])
def test_progress_of_a_conjunction_of_conditions(options: tuple[str, ...]) -> None:
    shown = drawn(80, ACCEPT / "stability-integrator", *options)
    totals = {int(total) for total in re.findall(r"parts .* \d+/(\d+) ", shown)}
    assert len(totals) == 1 and totals.pop() >= 2


def drawn(columns: int, *arguments: object) -> str:
    """What ``verify`` draws on a terminal that wide, without its control sequences; it certifies."""
    import fcntl
    import pty
    import struct
    import termios

    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    command = [sys.executable, "-c", EAGER, "verify", *map(str, arguments)]
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")} | {"TERM": "xterm"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=follower, cwd=REPOSITORY, env=environment
    )
    os.close(follower)
    said = b""
    while chunk := _read(leader):
        said += chunk
    out, _ = process.communicate(timeout=GUARD)
    assert (process.returncode, out[:9]) == (0, b"CERTIFIED")
    shown = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", said).decode()
    lines = [line for line in re.split(r"[\r\n]+", shown) if line.strip()]
    assert lines
    assert max(map(len, lines)) <= columns
    return shown


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:  # the other end is closed
        return b""


def test_no_bar_without_a_terminal() -> None:
    done = run("verify", CHAIN, script=EAGER)
    assert (done.returncode, without_progress(done.stderr)) == (0, "")


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task")
    return [int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def ready(pid: int) -> bool:
    """The worker ignores Ctrl-C, and has the thread that follows its parent."""
    try:
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    except (FileNotFoundError, ProcessLookupError):
        return False
    return bool(int(status["SigIgn"], 16) >> (signal.SIGINT - 1) & 1) and int(status["Threads"]) > 1


@pytest.fixture(params=["bounds", "leaves"])
def endless_check(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[subprocess.Popen[str], list[int], Path]]:
    """A check that would never end, once its two workers are at it: (process, workers, where its report would go)."""
    target = tmp_path / "report.json"
    target.write_text("old")
    script = ENDLESS.format(where=request.param, step=0) + EAGER
    command = [sys.executable, "-c", script, "verify", str(SPLITS), "--arith", "arb", "--jobs", "2",
               "--format", "json", "--output", str(target)]  # fmt: skip
    process = subprocess.Popen(
        command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    wait_until(lambda: process.poll() is not None or sum(map(ready, children(process.pid))) == 2)
    yield process, children(process.pid), target
    process.kill()
    process.communicate()


@linux
@pytest.mark.parametrize("how", ["Ctrl-C", "Ctrl-C twice", "SIGINT", "SIGTERM"])
def test_an_interrupt_ends_workers_too(
    endless_check: tuple[subprocess.Popen[str], list[int], Path], how: str
) -> None:
    process, workers, target = endless_check
    if how.startswith("Ctrl-C"):  # a terminal sends it to every process of the group
        os.killpg(process.pid, signal.SIGINT)
        if how.endswith("twice"):
            os.killpg(process.pid, signal.SIGINT)
    else:
        process.send_signal(signal.SIGINT if how == "SIGINT" else signal.SIGTERM)
    _, said = process.communicate(timeout=GUARD)
    assert len(workers) == 2
    assert process.returncode == 130
    assert said.splitlines()[0] == "interrupted"
    assert "Traceback" not in said
    wait_until(lambda: not any(map(alive, workers)))
    assert target.read_text() == "old"
    assert [path.name for path in target.parent.iterdir()] == [target.name]


@linux
def test_workers_do_not_outlive_a_killed_parent(
    endless_check: tuple[subprocess.Popen[str], list[int], Path],
) -> None:
    process, workers, _ = endless_check
    process.kill()
    process.wait()
    assert len(workers) == 2
    wait_until(lambda: not any(map(alive, workers)))


# Limits.


@pytest.mark.parametrize("limit", [("--timeout", "1"), ("--max-memory", "1")])
def test_a_limit_leaves_the_claim_unproven(
    limit: tuple[str, str], capsys: pytest.CaptureFixture[str], steps: Callable[[float], Noted]
) -> None:
    steps(1.0)
    [claim] = claims(report(SPLITS, *limit, code=4, capsys=capsys))
    assert (claim["verdict"], claim["reason"]["code"]) == ("UNPROVEN", "TLC015")
    assert claim["bound"]["rigorous"] is None  # the leaves that were not reached may have a smaller one
    assert "0 of 18 leaves proved so far" in claim["reason"]["message"]


@linux
@pytest.mark.parametrize("where", ["bounds", "leaves"])
def test_the_time_limit_needs_no_worker_to_end(where: str) -> None:
    script = ENDLESS.format(where=where, step=0.01) + EAGER
    done = run("verify", SPLITS, "--arith", "arb", "--jobs", "2", "--timeout", "0.5", script=script)
    assert (done.returncode, without_progress(done.stderr)) == (4, "")
    assert "stopped at the time limit of 0.5 s; 0 of 18 leaves proved so far" in done.stdout


@needs_data
@pytest.mark.parametrize("dump", ["acasxu/net_1_1_prop_3", "sri_resnet_a/idx_8356"])
def test_the_time_limit_is_looked_at_often(
    dump: str, steps: Callable[[float], Noted], capsys: pytest.CaptureFixture[str]
) -> None:
    """By one process in exact arithmetic, where a whole check takes minutes: a piece of work is a second or so of the CPU."""
    clock = steps(0.1)
    assert main(["verify", str(DUMPS / dump), "--arith", "arb", "--jobs", "1", "--timeout", "0.5"]) == 4
    assert "stopped at the time limit of 0.5 s" in capsys.readouterr().out
    assert clock.looks < 30 and clock.longest < 20


@linux
@pytest.mark.parametrize("arith", ["arb", "ball64"])
def test_the_number_of_processes_changes_nothing(arith: str) -> None:
    found = []
    for jobs in (1, 2):
        done = run("verify", SPLITS, "--arith", arith, "--jobs", jobs, "--format", "json", script=EAGER)
        assert (done.returncode, without_progress(done.stderr)) == (0, "")
        [claim] = claims(json.loads(done.stdout))
        found.append((claim["bound"], claim["leaves"], claim["reason"]))
    assert found[0] == found[1]


@needs_data
@linux
def test_memory_of_a_whole_check() -> None:
    # VmHWM begins anew with a program; a child's ru_maxrss does not: it counts the parent's pages at the fork.
    script = (
        "import sys; from tlcheck.cli.main import main; code = main(sys.argv[1:]); "
        "print(next(l.split()[1] for l in open('/proc/self/status') if l.startswith('VmHWM'))); sys.exit(code)"
    )
    command = [
        sys.executable,
        "-c",
        script,
        "verify",
        "-q",
        "--jobs",
        "2",
        str(DUMPS / "cora" / "mnist_set_img13"),
    ]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) < 1 << 20  # KiB


# Journals.


def test_resume_does_what_is_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal = tmp_path / "journal"
    full = report(CHAIN, "--resume", journal, code=0, capsys=capsys)
    lines = journal.read_text().splitlines(keepends=True)
    assert len(lines) == 3
    journal.write_text("".join(lines[:2]) + lines[2][:100])  # a crash in the middle of a line
    resumed = report(CHAIN, "--resume", journal, code=0, capsys=capsys)
    assert claims(resumed)[0]["bound"] == claims(full)[0]["bound"]
    assert claims(resumed)[0]["leaves"] == {"total": 400, "certified": 400}
    assert any("journal" in assumption for assumption in claims(resumed)[0]["assumptions"])
    after = journal.read_text().splitlines(keepends=True)
    assert after[-1] == lines[2]  # the leaves that the cut line held, and only they
    report(CHAIN, "--resume", journal, code=0, capsys=capsys)
    assert journal.read_text() == "".join(after)


def test_one_journal_for_a_folder_and_both_semantics(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = tmp_path / "journal"
    arguments = (SEVERAL, SPLITS, "--semantics", "deployed", "--resume", journal)
    first = claims(report(*arguments, code=0, capsys=capsys))
    lines = journal.read_text().splitlines()
    assert len({json.loads(line)["key"] for line in lines[1:]}) == 6  # three unsat claims, two semantics
    second = claims(report(*arguments, code=0, capsys=capsys))
    assert journal.read_text().splitlines() == lines
    numbers = [[(c["bound"], c.get("deployed"), c["leaves"]) for c in found] for found in (first, second)]
    assert numbers[0] == numbers[1]


def test_a_journal_of_another_check_is_passed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = tmp_path / "journal"
    report(REJECT / "dropped-leaf", "--resume", journal, code=4, capsys=capsys)
    before = len(journal.read_text().splitlines())
    report(SPLITS, "--resume", journal, code=0, capsys=capsys)
    assert len(journal.read_text().splitlines()) == before + 1
    report(SPLITS, "--arith", "ball64", "--resume", journal, code=0, capsys=capsys)
    assert len(journal.read_text().splitlines()) == before + 2


def test_a_damaged_journal_is_only_less_help(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal = tmp_path / "journal"
    report(SPLITS, "--resume", journal, code=0, capsys=capsys)
    head, line = journal.read_text().splitlines()
    key = json.loads(line)["key"]
    rows = [[0, True, "0x1p99999", False], [1, 1, "0x1p0", False], [2, True, 3.5, False], [10**9, True, "inf", False],
            [-1, True, "0x1p0", False], "x", None]  # fmt: skip
    damage = [
        "\0\ufffd",
        "[" * 10_000,
        '{"key": 1}',
        json.dumps({"key": key, "leaves": rows}),
        "null",
        line[:-20],
    ]
    journal.write_text("\n".join([head, *damage]))
    [claim] = claims(report(SPLITS, "--resume", journal, code=0, capsys=capsys))
    assert claim["leaves"] == {"total": 18, "certified": 18}
    assert len(json.loads(journal.read_text().splitlines()[-1])["leaves"]) == 18


@pytest.mark.parametrize("what", ["README.md", "folder", "missing/journal"])
def test_what_is_no_journal_is_refused(what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "folder").mkdir()
    shutil.copy(REPOSITORY / "README.md", tmp_path)
    [claim] = claims(report(SPLITS, "--resume", tmp_path / what, code=3, capsys=capsys))
    assert claim["verdict"] == "INVALID"
    assert (tmp_path / "README.md").read_bytes() == (REPOSITORY / "README.md").read_bytes()


# Reports.


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree of folders with a certificate of every verdict."""
    root = tmp_path_factory.mktemp("mixture")
    for case in (
        "accept/digits-several-claims",
        "reject/dropped-leaf",
        "reject/witness-fails",
        "malformed/nan-weight",
    ):
        shutil.copytree(CERTIFICATES / case, root / "deep" / case)
    return root


def test_a_folder_tree_with_every_verdict(mixture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = report(mixture, code=3, capsys=capsys)
    assert document["verdict"] == "INVALID"
    verdicts = {claim["verdict"] for claim in claims(document)}
    assert verdicts == {"CERTIFIED", "UNPROVEN", "REFUTED", "INVALID"}
    for claim in claims(document):
        for bound in (claim["bound"], claim.get("deployed") or {}):
            if bound.get("rigorous") is not None:
                assert Fraction(bound["rigorous"]) <= Fraction(float.fromhex(bound["rigorous_hex"]))


def test_json_lines(mixture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(mixture), "--format", "jsonl"]) == 3
    *files, end = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    whole = report(mixture, code=3, capsys=capsys)
    jsonschema.Draft202012Validator(report_schema()).validate({**end, "results": files})
    assert [f["path"] for f in files] == [r["path"] for r in whole["results"]]
    assert (end["results"], end["verdict"]) == ([], "INVALID")


def test_junit(mixture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(mixture), "--format", "junit"]) == 3
    root = ElementTree.fromstring(capsys.readouterr().out)
    assert {k: root.get(k) for k in ("tests", "failures", "errors")} == {
        "tests": "6", "failures": "2", "errors": "1",
    }  # fmt: skip
    assert len(root.findall("./testsuite")) == 4
    assert len(root.findall("./testsuite/testcase")) == 6
    assert len(root.findall("./testsuite/testcase/failure")) == 2
    assert len(root.findall("./testsuite/testcase/error")) == 1


def test_sarif(mixture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(mixture), "--format", "sarif"]) == 3
    document = json.loads(capsys.readouterr().out)
    assert document["version"] == "2.1.0"
    [found] = document["runs"]
    rules = [rule["id"] for rule in found["tool"]["driver"]["rules"]]
    assert set(rules) <= CODES.keys()
    counts = found["properties"]["claims"]
    assert counts["CERTIFIED"] > 0 and sum(counts.values()) == 6
    assert len(found["results"]) == 6 - counts["CERTIFIED"]
    for result in found["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        assert (result["kind"], result["level"] in ("warning", "error")) == ("fail", True)
        assert result["message"]["text"]
        [location] = result["locations"]
        assert location["physicalLocation"]["artifactLocation"]["uri"].endswith("x.tlcert")


def test_text_names_the_claims_of_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(SEVERAL)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line[-9:] for line in lines[:2]] == ["(image 0)", "(image 1)"]
    assert re.fullmatch(
        r"3 claims in 1 file: 3 CERTIFIED; 1 file passed over \(names with -v\); [\d.]+ s", lines[-1]
    )


def test_verbose_quiet_and_color(mixture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "-v", str(SPLITS)]) == 0
    verbose = capsys.readouterr().out
    for word in ("claimed - rigorous", "leaves: 18 of 18 proved", "assumes: FLINT", "slack:", "layer"):
        assert word in verbose
    assert main(["verify", "-q", str(mixture)]) == 3
    [line] = capsys.readouterr().out.splitlines()
    assert line.startswith("INVALID")
    assert main(["verify", "--color", "always", str(SPLITS)]) == 0
    assert "\x1b[32;1mCERTIFIED" in capsys.readouterr().out


def test_output_appears_whole(tmp_path: Path, mixture: Path) -> None:
    target = tmp_path / "report.sarif"
    done = run("verify", mixture, "--format", "sarif", "--output", target)
    assert (done.returncode, done.stdout, without_progress(done.stderr)) == (3, "", "")
    assert json.loads(target.read_text())["version"] == "2.1.0"
    assert [path.name for path in tmp_path.iterdir()] == ["report.sarif"]


# What is asked about a claim.


def test_both_margins(capsys: pytest.CaptureFixture[str]) -> None:
    [claim] = claims(report(SPLITS, "--semantics", "deployed", code=0, capsys=capsys))
    real, deployed = (Fraction(claim[key]["rigorous"]) for key in ("bound", "deployed"))
    assert 0 < deployed < real
    assert any("float32 runtime" in assumption for assumption in claim["assumptions"])
    assert main(["verify", str(SPLITS), "--semantics", "deployed"]) == 0
    assert re.search(r"margin >= 0\.00635\d+, deployed >= 0\.0049\d+ ", capsys.readouterr().out)


def test_cross_check_says_what_it_compared(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["verify", "--cross-check", str(SEVERAL)]) == 0
    assert capsys.readouterr().out.count("cross-check: mpmath agrees") == 3
    monkeypatch.setattr("tlcheck.checking.crosscheck.mp_intervals.MAX_PRODUCTS", 10)
    document = report("--cross-check", SPLITS, code=0, capsys=capsys)
    assert claims(document)[0]["arithmetic"]["cross_check"].startswith("skipped: ")


@pytest.mark.parametrize("case", ["digits-mlp-no-slopes", "digits-witness", "empty-region"])
def test_show(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(next((ACCEPT / case).glob("x.tlcert")))]) == 0
    out = capsys.readouterr().out
    assert "network: " in out
    assert "claim (" in out


@pytest.mark.parametrize("option", ["--model", "--property"])
def test_another_file_than_the_certificate_was_made_for(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = (
        ACCEPT / "digits-pooled" / "x.tlcert" / ("model.onnx" if option == "--model" else "property.vnnlib")
    )
    document = report(ACCEPT / "digits-mlp-no-slopes", option, wrong, code=3, capsys=capsys)
    assert claims(document)[0]["reason"]["code"] == "TLC103"
    right = ACCEPT / "digits-pooled"
    assert main(["verify", "-q", str(right), option, str(wrong)]) == 0


def test_nothing_to_check_never_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(tmp_path)]) == 2
    assert main(["verify", str(SPLITS), str(tmp_path)]) == 2
    assert main(["verify", str(tmp_path / "missing")]) == 3
    assert main(["verify"]) == 2
    assert "CERTIFIED" not in capsys.readouterr().out


@needs_data
@pytest.mark.parametrize(
    "dump", ["safenlp/medical_320", "acasxu/net_2_9_prop_4", "eran_sigmoid/6x200_idx_7167"]
)
def test_a_converted_proof_verifies_identically(
    dump: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tmp_path / "x.tlcert"
    assert main(["convert", str(DUMPS / dump), "-o", str(bundle)]) == 0
    for options in ([], ["--arith", "ball64"]):
        before, after = claims(report(DUMPS / dump, bundle, *options, code=0, capsys=capsys))
        for key in ("verdict", "reason", "bound", "leaves", "assumptions", "arithmetic"):
            assert before[key] == after[key]


# Regressions under every arithmetic and the options they name.


def regressions() -> list[Path]:
    return [case for case in sorted(REGRESSIONS.iterdir()) if (case / "expected.json").is_file()]


@pytest.mark.parametrize("arith", ["arb", "ball64"])
def test_regressions_in_every_arithmetic(arith: str, capsys: pytest.CaptureFixture[str]) -> None:
    document = report(REGRESSIONS, "--arith", arith, "--jobs", "1", code=3, capsys=capsys)
    found = {Path(r["path"]).parent.name: r["claims"][0]["verdict"] for r in document["results"]}
    assert found == {case.name: _verdict(case, arith) for case in regressions()}


def _verdict(case: Path, arith: str) -> str:
    """What is expected of a case: of some, float64 proves less."""
    expected = json.loads((case / "expected.json").read_text())
    return "UNPROVEN" if expected.get("also", {}).get(f"--arith {arith}") == 4 else str(expected["verdict"])


def test_regressions_under_their_own_options() -> None:
    count = 0
    for case in regressions():
        for options, code in json.loads((case / "expected.json").read_text()).get("also", {}).items():
            words = [word.format(case=case) for word in options.split()]
            assert main(["verify", "-q", str(case), *words]) == code, case.name
            count += 1
    assert count >= 3


def test_a_chain_of_leaves_is_little_work() -> None:
    """Some tenths of a second of the CPU; cubic in its 400 leaves, it would be minutes."""
    with Cpu() as cpu:
        assert main(["verify", "-q", "--jobs", "1", str(CHAIN)]) == 0
    assert cpu.seconds < 10


# Conjunctions of conditions.


def test_false_conditions_are_counted_and_the_first_is_placed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(REJECT / "stability-level-too-high")]) == 1
    line = capsys.readouterr().out.splitlines()[0]
    assert re.search(
        r"V falls is false by 0\.05\d*; 4 of \d+ conditions are false, the first at \(-0\.\d+, ", line
    )
    found = claims(report(REJECT / "stability-level-too-high", code=1, capsys=capsys))[0]
    most = float(found["bound"]["rigorous"])
    assert most < 0
    assert most >= float.fromhex(found["bound"]["rigorous_hex"]), "an upper bound, rounded up"
    assert f"margin <= {most:.6}"[:16] in line


def test_what_does_not_apply_to_conditions_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--cross-check", str(ACCEPT / "stability-cone")]) == 0
    assert "cross-check: skipped: for unsat and sat claims, not for a stability" in capsys.readouterr().out
    bundle = ACCEPT / "stability-cone" / "x.tlcert"
    assert main(["verify", "--model", str(bundle / "stability.json"), str(bundle)]) == 3
    assert "this artifact has no use for --model [TLC101]" in capsys.readouterr().out
