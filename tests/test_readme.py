"""What the README quotes is what the commands say."""

from __future__ import annotations

import re

from tests.readme import README, commands, refreshed
from tlcheck.report.record import ExitCode
from tlcheck.trusted.verdict import Verdict


def test_command_texts_are_current() -> None:
    text = README.read_text(encoding="utf-8")
    assert commands(text) == ["--help", "verify --help", "formats"]
    assert refreshed(text) == text, "run `make readme`"


def test_every_exit_code_and_verdict_is_listed() -> None:
    text = README.read_text(encoding="utf-8")
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)} == set(map(int, ExitCode))
    assert set(re.findall(r"^\| `([A-Z]+)` \|", text, re.MULTILINE)) == {verdict.value for verdict in Verdict}
