"""One run of every kind of outcome, with text that a hostile certificate could hold."""

from __future__ import annotations

from dataclasses import replace

from tlcheck.errors import InvalidInput
from tlcheck.report.record import FileResult, Run, crashed, invalid
from tlcheck.report.result import Bound, ClaimResult, Number, Reason
from tlcheck.trusted.verdict import Verdict

HOSTILE = 'bad\x1b[2J\x07 <&>\n"name" \x00 \ud800 é \u202e'

ODD_PATH = "x \x1b[2J <&>\n\udc80 é"
"""A path as the operating system can give one: control characters, an undecodable byte."""

CERTIFIED = ClaimResult(
    kind="unsat",
    statement="no input of the region has an output in the unsafe set",
    verdict=Verdict.CERTIFIED,
    reason=Reason("TLC001", "3 of 3 leaves proved"),
    bound=Bound(
        rigorous=Number("0.12345678901", "0x1.f9add3739635p-4", "down"),
        claimed=Number("0.125", "0x1p-3", "exact"),
        required=Number("0", "0x0p+0", "exact"),
    ),
    leaves_total=3,
    leaves_certified=3,
    assumptions=("python-flint computes correctly",),
    arithmetic={"engine": "arb", "precision": 128, "rows": {"arb": 10, "ball64": 0}},
    details={
        "layers": [{"label": "Gemm_0", "slack": 0.25}, {"label": "Gemm_2", "slack": float("inf")}],
        "worst": Number("-1e-7", "-0x1.ad7f29abcaf48p-24", "down"),
    },
    seconds=1.25,
)
UNPROVEN = replace(
    CERTIFIED,
    verdict=Verdict.UNPROVEN,
    reason=Reason("TLC010", "1 of 3 leaves not proved", "leaf 2"),
    bound=replace(CERTIFIED.bound, rigorous=Number("-3.14159265e-5", "-0x1.078p-15", "down")),
    leaves_certified=2,
)
REFUTED = ClaimResult(
    kind="unsat",
    statement=HOSTILE,
    verdict=Verdict.REFUTED,
    reason=Reason("TLC014", "x = (1, 2)", HOSTILE),
    seconds=0.5,
)
DEPLOYED = replace(CERTIFIED, deployed=Bound(rigorous=Number("0.119", "0x1.e7p-4", "down")))

OF_VERDICT = {claim.verdict: claim for claim in (CERTIFIED, UNPROVEN, REFUTED)}


def file_of(*claims: ClaimResult, path: str = "a.tlcert") -> FileResult:
    return FileResult(path=path, format="tlcert", claims=claims)


INVALID_FILE = invalid(
    "dir/b.tlcert",
    InvalidInput("TLC103", "hash mismatch", file="dir/b.tlcert", field="model", expected="aa", got=HOSTILE),
)
CRASHED_FILE = crashed("c.tlcert", ZeroDivisionError("division\nby zero"))

ALL = Run(
    results=(
        file_of(CERTIFIED, UNPROVEN),
        file_of(REFUTED, DEPLOYED, path=ODD_PATH),
        INVALID_FILE,
        CRASHED_FILE,
    ),
    seconds=3.0,
)
GOOD = Run(results=(file_of(CERTIFIED),), seconds=1.3)
