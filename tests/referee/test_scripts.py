"""The competition's scripts, with a stand-in for tlcheck that answers as told."""

from __future__ import annotations

import csv
import gzip
import os
import shutil
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from tests.clocks import GUARD, wait_until
from tests.helpers import CERTIFICATES
from tests.referee.oracle import read
from tests.referee.stand_in import LIMIT, SCRIPTS, VERSION_1, Stand, contents, place, script

VERSION_2 = """; (vnnlib-version <1.0>) is said by this comment only
(vnnlib-version <2.0>)
(declare-network f (declare-input X float32 [1,2]) (declare-output Y float32 [1]))
(assert (<= X[0,0] 1.0))
"""
ASSIGNMENT = "X float32 [1,2]\n0.1000000000000000055511151231257827\n-1e-05\nY float32 [1]\n3\n"


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    return Stand(tmp_path)


def begun(stand: Stand) -> bool:
    log = stand.folder / "log"
    return log.exists() and log.read_text() != ""


def ended(pid: int) -> bool:
    """Whether the process has ended, or only nobody has asked how."""
    state = Path(f"/proc/{pid}/stat")
    try:
        os.kill(pid, 0)
        return state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z"
    except (ProcessLookupError, FileNotFoundError):
        return True


# Answers.


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize(
    ("told", "word"),
    [("unsat\n", "unsat"), ("unknown\n", "unknown"), ("timed-out\n", "timeout"), ("unsat", "unsat")],
)
def test_words(stand: Stand, told: str, word: str, version: str) -> None:
    stand.tell(told)
    assert stand.run(version=version) == f"{word}\n"
    network, query = f"N={stand.model}", str(stand.query)
    proof = f"{stand.results}.tlcert"
    assert stand.arguments() == [
        "vnnlib", "verify", query, "--timeout", LIMIT, "--proof-out", proof, "--network", network
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ("", 0),
        ("maybe\n", 0),
        ("unsat\n", 3),
        ("unknown\n", 70),
        ("sat\n", 70),
        ("UNSAT\n", 0),
        ("note\nunsat\n", 0),
    ],
)
def test_anything_else_is_an_error(stand: Stand, told: str, status: int) -> None:
    stand.tell(told, status)
    assert stand.run() == "error\n"


def test_what_tlcheck_does_not_support_is_unknown(stand: Stand) -> None:
    stand.tell("unknown\n", status=3)
    assert stand.run() == "unknown\n"


def test_a_witness_of_a_1_0_query(stand: Stand) -> None:
    """The decimals are the very ones that were printed."""
    stand.tell("sat\n" + ASSIGNMENT)
    expected = "((X_0 0.1000000000000000055511151231257827)\n(X_1 -1e-05)\n(Y_0 3))\n"
    assert stand.run() == f"sat\n{expected}"
    assert read(expected.encode(), 2) == [
        Fraction("0.1000000000000000055511151231257827"),
        Fraction("-1e-05"),
    ]


def test_a_witness_variable_by_variable(stand: Stand) -> None:
    stand.tell("sat\nX_0 real []\n0.5\nX_1 real []\n-2\n\nY_0 real [1]\n7\n")
    assert stand.run() == "sat\n((X_0 0.5)\n(X_1 -2)\n(Y_0 7))\n"


def test_a_witness_of_a_2_0_query_is_its_assignment(stand: Stand) -> None:
    stand.query.write_text(VERSION_2)
    stand.tell("sat\n" + ASSIGNMENT)
    assert stand.run() == "sat\n" + ASSIGNMENT
    assert f"f={stand.model}" in stand.arguments()


@pytest.mark.parametrize(
    "assignment",
    [
        "",
        "X float32 [1,2]\n0.5\n",
        "X float32 [2]\n0.5\nabc\n",
        "Z float32 [1]\n0.5\n",
        "X_1 real []\n0.5\n",
        "0.5\n",
    ],
)
def test_an_incomplete_witness_is_an_error(stand: Stand, assignment: str) -> None:
    stand.tell("sat\n" + assignment)
    assert stand.run() == "error\n"


def test_packed_query(stand: Stand) -> None:
    stand.query = stand.folder / "prop 1.vnnlib.gz"
    stand.query.write_bytes(gzip.compress(VERSION_2.encode()))
    stand.tell("unsat\n")
    assert stand.run() == "unsat\n"
    assert f"f={stand.model}" in stand.arguments()


# Time and interruption.


def test_a_run_that_does_not_end(stand: Stand) -> None:
    stand.tell("", sleep=3600)
    seconds = 1.0
    while not begun(stand):  # on a busy machine the time is over before the run begins
        assert stand.run(timeout=str(seconds)) == "timeout\n"
        seconds *= 2
    wait_until(lambda: ended(int(stand.log()[0])))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_run_leaves_nothing(stand: Stand, number: signal.Signals) -> None:
    stand.tell("unsat\n", sleep=3600)
    stand.results.write_text("no_result_in_file\n")
    known = {k: v for k, v in os.environ.items() if not k.startswith("TLCHECK")}
    process = subprocess.Popen(stand.command(), env={**known, **stand.environment})
    wait_until(lambda: begun(stand))
    process.send_signal(number)
    assert process.wait(GUARD) == 128 + number
    assert stand.results.read_text() == "no_result_in_file\n"
    wait_until(lambda: ended(int(stand.log()[0])))
    assert not [p for p in stand.folder.iterdir() if p.name.startswith(".")]


# What is missing or wrong.


def test_missing_query(stand: Stand) -> None:
    stand.tell("unsat\n")
    stand.query.unlink()
    assert stand.run() == "error\n"


def test_tlcheck_is_not_there(stand: Stand) -> None:
    stand.environment["TLCHECK"] = str(stand.folder / "nowhere")
    assert stand.run() == "error\n"


@pytest.mark.parametrize("cut", [3, 20, -6])
def test_a_packed_query_cut_short(stand: Stand, cut: int) -> None:
    stand.tell("unsat\n")
    stand.query.write_bytes(gzip.compress(VERSION_1.encode())[:cut])
    assert stand.run() == "error\n"


@pytest.mark.parametrize("timeout", ["", "0", "-1", "nan", "ten", "1e3"])
def test_not_a_timeout(stand: Stand, timeout: str) -> None:
    stand.tell("unsat\n")
    assert script(stand.command(timeout=timeout), stand.environment).returncode == 2
    assert not stand.results.exists()


def test_results_that_cannot_be_written(stand: Stand) -> None:
    stand.tell("unsat\n")
    for results in (stand.folder / "no" / "out.txt", stand.folder, Path("/dev/null")):
        stand.results = results
        assert script(stand.command(), stand.environment).returncode == 2
    assert not (stand.folder / "log").exists()
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("name", ["install_tool.sh", "prepare_instance.sh", "run_instance.sh"])
@pytest.mark.parametrize("arguments", [[], ["v3"], ["v1", "a", "b"], ["v1", "a", "b", "c", "d", "e", "f"]])
def test_usage(name: str, arguments: list[str]) -> None:
    done = script([str(SCRIPTS / name), *arguments], {"PYTHON": sys.executable})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: ")


# Categories.


def rows() -> list[dict[str, str]]:
    with (SCRIPTS / "categories.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_table() -> None:
    names = [row["name"] for row in rows()]
    assert names == sorted(set(names)) and "*" in names and len(names) > 30
    assert {row["supported"] for row in rows()} <= {"yes", "no"}
    assert all(row["notes"] for row in rows() if row["supported"] == "no")


@pytest.mark.parametrize(
    ("name", "supported"), [("skipped", False), ("with_options", True), ("a category of 2031", True)]
)
def test_categories(stand: Stand, name: str, supported: bool) -> None:
    """Read from the table alone, its options handed on."""
    stand.tell("unsat\n")
    scripts = shutil.copytree(SCRIPTS, stand.folder / "scripts")
    with (scripts / "categories.csv").open("a") as table:
        table.write('skipped,no,,far too large\nwith_options,yes,--semantics deployed,"a note, and more"\n')
    command = [str(scripts / "prepare_instance.sh"), "v1", name, "a.onnx", "b.vnnlib"]
    done = script(command, stand.environment)
    assert (done.returncode, done.stdout) == (0 if supported else 1, "")
    assert done.stderr == ("" if supported else "tlcheck: category skipped: far too large\n")
    if supported:
        assert stand.arguments() == ["--version"]
        command = [str(scripts / "run_instance.sh"), "v1", name, *stand.command()[3:]]
        assert script(command, stand.environment).returncode == 0
        assert ("--semantics" in stand.arguments()) == (name == "with_options")


def test_prepare_needs_tlcheck(stand: Stand) -> None:
    stand.environment["TLCHECK"] = str(stand.folder / "nowhere")
    command = [str(SCRIPTS / "prepare_instance.sh"), "v1", "acasxu_2023", "a.onnx", "b.vnnlib"]
    assert script(command, stand.environment).returncode != 0


# Several networks.


TWO = """(vnnlib-version <2.0>)
(declare-network f (declare-input X real [1]) (declare-output Y real [1]))
(declare-network g {relation} (declare-input U real [1]) (declare-output V real [1]))
(assert (<= X[0] U[0]))
"""


@pytest.mark.parametrize("relation", ["", "(isomorphic-to f)"])
def test_two_networks(stand: Stand, relation: str) -> None:
    stand.query.write_text(TWO.format(relation=relation))
    other = stand.folder / "other's.onnx"
    other.write_bytes(b"b model")
    stand.tell("unsat\n")
    assert stand.run(repr([("f", str(stand.model)), ("g", str(other))])) == "unsat\n"
    assert stand.arguments()[-4:] == ["--network", f"f={stand.model}", "--network", f"g={other}"]


def test_an_equal_network_is_not_given_twice(stand: Stand) -> None:
    stand.query.write_text(TWO.format(relation="(equal-to f)"))
    stand.tell("unsat\n")
    assert stand.run(repr([("f", str(stand.model)), ("g", str(stand.model))])) == "unsat\n"
    assert stand.arguments()[-2:] == ["--network", f"f={stand.model}"]
    assert stand.arguments().count("--network") == 1
    other = stand.folder / "other.onnx"
    other.write_bytes(b"b model")
    assert stand.run(repr([("f", str(stand.model)), ("g", str(other))])) == "error\n"


def test_equal_networks_with_weights_elsewhere_are_one_file(stand: Stand) -> None:
    """Two folders may hold other weights for the same model file."""
    stand.query.write_text(TWO.format(relation="(equal-to f)"))
    stand.tell("unsat\n")
    other = stand.folder / "copy.onnx"
    for content, expected in ((b"a model", "unsat\n"), (b"its location is net.onnx.data", "error\n")):
        stand.model.write_bytes(content)
        other.write_bytes(content)
        assert stand.run(repr([("f", str(stand.model)), ("g", str(other))])) == expected
    assert stand.run(repr([("f", str(stand.model)), ("g", str(stand.model))])) == "unsat\n"


@pytest.mark.parametrize("onnx", ["[", "[]", "[1]", "[('f',)]", "[('f', 1)]", "[__import__('os').getpid()]"])
def test_not_a_list_of_networks(stand: Stand, onnx: str) -> None:
    stand.tell("unsat\n")
    assert stand.run(onnx) == "error\n"
    assert not (stand.folder / "log").exists()


# Evidence.


def test_evidence_by_name(stand: Stand) -> None:
    stand.tell("unsat\n")
    proofs = stand.folder / "proofs"
    (proofs / "acasxu_2023").mkdir(parents=True)
    stand.environment["TLCHECK_CERTIFICATES"] = str(proofs)
    proof = proofs / "my net_prop 1.tlcert"
    stand.run()
    assert "--certificate" not in stand.arguments() and "--witness" not in stand.arguments()
    proof.mkdir()
    witness = proofs / "my net_prop 1.counterexample.gz"
    witness.write_bytes(b"")
    stand.run()
    assert stand.arguments()[-4:] == ["--certificate", str(proof), "--witness", str(witness)]
    nearer = proofs / "acasxu_2023" / proof.name
    nearer.mkdir()
    stand.run()
    assert stand.arguments()[-4:-2] == ["--certificate", str(nearer)]


@pytest.mark.parametrize("case", ["digits-mlp", "digits-witness", "digits-mlp-gzip"])
def test_evidence_by_content(stand: Stand, case: str) -> None:
    stand.tell("unsat\n")
    place(stand, CERTIFICATES / "accept" / case / "x.tlcert")
    stand.environment["TLCHECK_CERTIFICATES"] = str(CERTIFICATES / "accept")
    stand.run()
    found = stand.arguments()[stand.arguments().index("--certificate") + 1]
    assert found.startswith(str(CERTIFICATES / "accept"))
    assert {"model", "property"} <= set(contents(Path(found)))
    stand.model.write_bytes(stand.model.read_bytes() + b" ")
    stand.run()
    assert "--certificate" not in stand.arguments()


def test_evidence_that_is_broken_is_passed_over(stand: Stand) -> None:
    stand.tell("unsat\n")
    place(stand, CERTIFICATES / "accept" / "digits-mlp" / "x.tlcert")
    proofs = stand.folder / "proofs"
    (proofs / "b" / "manifest.json").mkdir(parents=True)
    (proofs / "a.tlcert").write_bytes(b"PK\x05\x06" + bytes(17))
    (proofs / "c.tlcert").write_bytes(b"")
    good = shutil.copy(CERTIFICATES / "accept" / "digits-mlp" / "x.tlcert", proofs / "d.tlcert")
    stand.environment["TLCHECK_CERTIFICATES"] = str(proofs)
    stand.run()
    assert stand.arguments()[-2:] == ["--certificate", str(good)]
    stand.environment["TLCHECK_CERTIFICATES"] = str(stand.folder / "no such folder")
    assert stand.run() == "unsat\n"
    assert "--certificate" not in stand.arguments()


# The scripts as files.


def test_shell_scripts_are_clean() -> None:
    scripts = sorted(SCRIPTS.glob("*.sh"))
    assert [p.name for p in scripts] == ["install_tool.sh", "prepare_instance.sh", "run_instance.sh"]
    assert all(os.access(p, os.X_OK) for p in scripts)
    checker = shutil.which("shellcheck")
    for path in scripts:
        subprocess.run(["bash", "-n", str(path)], check=True)
        if checker is not None:
            subprocess.run([checker, str(path)], check=True)
