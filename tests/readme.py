"""The README's command texts are what the commands print: ``python -m tests.readme`` refreshes them."""

from __future__ import annotations

import contextlib
import io
import os
import re
from typing import Final
from unittest import mock

from tests.helpers import REPOSITORY

README: Final = REPOSITORY / "README.md"
BLOCK: Final = re.compile(r"<!-- tlcheck (?P<arguments>[^>]*) -->\n.*?<!-- end -->", re.DOTALL)
WIDTH: Final = 100


def printed(arguments: list[str]) -> str:
    """What ``tlcheck ARGUMENTS`` prints on a terminal WIDTH columns wide."""
    from tlcheck.cli.main import main

    out = io.StringIO()
    size = os.terminal_size((WIDTH, 24))
    with mock.patch("shutil.get_terminal_size", return_value=size), contextlib.redirect_stdout(out):
        main(arguments)
    return out.getvalue().strip("\n")


def refreshed(text: str) -> str:
    """``text`` with the content of every block replaced."""

    def block(found: re.Match[str]) -> str:
        arguments = found["arguments"]
        return f"<!-- tlcheck {arguments} -->\n```\n{printed(arguments.split())}\n```\n<!-- end -->"

    return BLOCK.sub(block, text)


def commands(text: str) -> list[str]:
    return [found["arguments"] for found in BLOCK.finditer(text)]


if __name__ == "__main__":
    README.write_text(refreshed(README.read_text(encoding="utf-8")), encoding="utf-8")
