"""The competition's scripts with tlcheck itself: what they answer is true, by an evaluation that is not tlcheck's."""

from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from tests.helpers import CERTIFICATES, REPOSITORY
from tests.referee.oracle import Instance, read
from tests.referee.stand_in import SCRIPTS, Stand, place

ACCEPT = CERTIFICATES / "accept"


@pytest.fixture
def real(tmp_path: Path) -> Stand:
    stand = Stand(tmp_path)
    path = stand.folder / "tlcheck"
    path.write_text(f'#!/bin/sh\nPYTHONPATH="{REPOSITORY}" exec "{sys.executable}" -m tlcheck "$@"\n')
    path.chmod(0o755)
    stand.environment["TLCHECK"] = str(path)
    return stand


def counterexample(stand: Stand, results: str) -> str:
    """The ruling of the oracle on the file's counterexample, which the competition's own parser would read."""
    word, _, rest = results.partition("\n")
    assert word == "sat"
    instance = Instance(stand.model, stand.query)
    point = read(rest.encode(), instance.n_inputs)
    assert not isinstance(point, str)
    return instance.ruling(point)


def test_sat_from_a_certificate(real: Stand) -> None:
    place(real, ACCEPT / "digits-witness" / "x.tlcert")
    real.environment["TLCHECK_CERTIFICATES"] = str(ACCEPT / "digits-witness")
    assert counterexample(real, real.run()) == "holds"


@pytest.mark.parametrize("case", ["digits-mlp-gzip", "sawtooth-input-splits"])
def test_unsat_from_a_certificate(real: Stand, case: str) -> None:
    place(real, ACCEPT / case / "x.tlcert")
    real.environment["TLCHECK_CERTIFICATES"] = str(ACCEPT / case)
    assert real.run() == "unsat\n"


def test_the_proof_of_another_query_proves_nothing(real: Stand) -> None:
    """By its name it is this instance's; the query is one that any input satisfies."""
    bundle = ACCEPT / "digits-mlp" / "x.tlcert"
    place(real, bundle)
    box = [line for line in real.query.read_text().splitlines() if "assert" not in line or "Y_" not in line]
    real.query.write_text("\n".join([*box, "(assert (<= Y_0 1000000.0))"]))
    proofs = real.folder / "proofs"
    proofs.mkdir()
    (proofs / "my net_prop 1.tlcert").symlink_to(bundle)
    real.environment["TLCHECK_CERTIFICATES"] = str(proofs)
    assert counterexample(real, real.run()) == "holds"


TWO = """(vnnlib-version <2.0>)
(declare-network f (declare-input X real [1]) (declare-output Y real [1]))
(declare-network g (equal-to f) (declare-input U real [1]) (declare-output V real [1]))
(assert (and (>= X[0] 0.0) (<= X[0] 0.25)))
(assert (and (>= U[0] 0.5) (<= U[0] 1.0)))
(assert (<= X[0] U[0]))
"""


def test_two_networks_of_version_2(real: Stand) -> None:
    place(real, ACCEPT / "absolute-witness-on-the-boundary" / "x.tlcert")
    real.query.write_text(TWO)
    networks = repr([("f", str(real.model)), ("g", str(real.model))])
    word, x, at, y, reached, u, other, *rest = real.run(networks).split("\n")
    assert (word, x, y, u) == ("sat", "X real [1]", "Y real [1]", "U real [1]")
    assert 0 <= Fraction(at) <= Fraction(1, 4) and Fraction(1, 2) <= Fraction(other) <= 1
    assert abs(Fraction(at)) == Fraction(reached)  # the network is |x|
    assert (rest[0], Fraction(rest[1]), rest[2:]) == ("V real [1]", Fraction(other), [""])


def test_without_evidence_and_with_little_time(real: Stand) -> None:
    """The query has no witness and its proof has many leaves: whatever the time allows, never sat and no error."""
    place(real, ACCEPT / "digits-residual-many-leaves" / "x.tlcert")
    assert real.run(timeout="2") in ("unknown\n", "timeout\n", "unsat\n")


def test_malformed_network(real: Stand) -> None:
    real.model.write_bytes(b"no model")
    assert real.run() == "error\n"


@pytest.mark.wheel
def test_install(tmp_path: Path) -> None:
    """Into a fresh environment, from this checkout; then an instance runs."""
    environment = {"PYTHON": sys.executable, "TLCHECK_VENV": str(tmp_path / "a venv")}
    known = {k: v for k, v in os.environ.items() if not k.startswith("TLCHECK")}
    command = [str(SCRIPTS / "install_tool.sh"), "v1"]
    done = subprocess.run(command, env={**known, **environment}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    stand = Stand(tmp_path)
    stand.environment = environment
    place(stand, CERTIFICATES / "accept" / "digits-mlp" / "x.tlcert")
    environment["TLCHECK_CERTIFICATES"] = str(CERTIFICATES / "accept" / "digits-mlp")
    assert stand.run() == "unsat\n"
