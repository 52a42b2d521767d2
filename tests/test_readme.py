"""What the README quotes is what the commands say."""

from __future__ import annotations

import re

from tests.helpers import REPOSITORY
from tests.readme import README, commands, refreshed, timeless
from tlcheck.report.record import ExitCode
from tlcheck.trusted.verdict import Verdict


def test_command_texts_are_current() -> None:
    text = README.read_text(encoding="utf-8")
    assert {"--help", "verify --help", "formats"} <= set(commands(text))
    assert timeless(refreshed(text)) == timeless(text), "run `make readme`"


def test_every_exit_code_and_verdict_is_listed() -> None:
    text = README.read_text(encoding="utf-8")
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)} == set(map(int, ExitCode))
    assert set(re.findall(r"^\| `([A-Z]+)` \|", text, re.MULTILINE)) == {verdict.value for verdict in Verdict}


def test_every_option_and_command_is_listed() -> None:
    from tlcheck.cli.commands import COMMANDS
    from tlcheck.cli.verify import verify

    text = README.read_text(encoding="utf-8")
    for option in verify.params:
        for name in option.opts if option.param_type_name == "option" else ():
            assert re.search(rf"^ +(-\w, )?{name}\b|^ +{name}, ", text, re.MULTILINE), name
    for name in COMMANDS:
        assert re.search(rf"^  {name} ", text, re.MULTILINE), name


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (REPOSITORY / target).exists(), target
