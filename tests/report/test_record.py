"""The worst verdict speaks for a run, and only affirmative proofs give exit code 0."""

from __future__ import annotations

from itertools import product

import pytest

from tests.report import samples
from tlcheck.report.record import ExitCode, FileResult, Run
from tlcheck.trusted.verdict import Verdict

FILES = {
    ExitCode.BUG: samples.CRASHED_FILE,
    ExitCode.INVALID: samples.INVALID_FILE,
    ExitCode.REFUTED: samples.file_of(samples.REFUTED),
    ExitCode.UNPROVEN: samples.file_of(samples.UNPROVEN),
    ExitCode.CERTIFIED: samples.file_of(samples.CERTIFIED),
}


@pytest.mark.parametrize("codes", list(product(FILES, repeat=3)))
def test_the_first_that_applies_speaks(codes: tuple[ExitCode, ...]) -> None:
    run = Run(results=tuple(FILES[code] for code in codes), seconds=0.0)
    order = [70, 3, 1, 4, 0]
    assert run.exit_code == min(codes, key=order.index)


def test_claims_of_one_file_count_like_files() -> None:
    run = Run(results=(samples.file_of(samples.CERTIFIED, samples.REFUTED, samples.UNPROVEN),), seconds=0.0)
    assert run.verdict is Verdict.REFUTED


NOTHING = FileResult("a", "tlcert", ())


@pytest.mark.parametrize("results", [(), (NOTHING,), (FILES[ExitCode.CERTIFIED], NOTHING)])
def test_nothing_claimed_is_not_certified(results: tuple[FileResult, ...]) -> None:
    assert Run(results=results, seconds=0.0).exit_code == ExitCode.INVALID


def test_a_bug_is_no_verdict() -> None:
    run = Run(results=(FILES[ExitCode.CERTIFIED], samples.CRASHED_FILE), seconds=0.0)
    assert run.verdict is None
    assert run.exit_code == ExitCode.BUG
