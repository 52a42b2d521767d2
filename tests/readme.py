"""The README's command texts and examples are what the commands print: ``python -m tests.readme`` refreshes them."""

from __future__ import annotations

import contextlib
import io
import os
import re
from typing import Final
from unittest import mock

from tests.helpers import DATA, REPOSITORY

README: Final = REPOSITORY / "README.md"
BLOCK: Final = re.compile(
    r"<!-- (?P<kind>tlcheck|example:|dump:) (?P<arguments>[^>]*) -->\n.*?<!-- end -->", re.DOTALL
)
"""``tlcheck``: a help text; ``example:`` runs in this repository; ``dump:`` beside the alpha,beta-CROWN proofs."""
WIDTH: Final = 100


def printed(kind: str, arguments: list[str]) -> str:
    """What ``tlcheck ARGUMENTS`` prints on a terminal WIDTH columns wide."""
    from tlcheck.cli.main import main

    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")  # reports are written as bytes
    size = os.terminal_size((WIDTH, 24))
    folder = DATA / "abcrown" if kind == "dump:" else REPOSITORY
    with (
        mock.patch("shutil.get_terminal_size", return_value=size),
        contextlib.redirect_stdout(out),
        contextlib.chdir(folder),
    ):
        main(arguments)
    out.seek(0)
    return out.read().strip("\n")


def refreshed(text: str) -> str:
    """``text`` with the content of every block replaced; a dump's is left alone where the dumps are not."""

    def block(found: re.Match[str]) -> str:
        kind, arguments = found["kind"], found["arguments"]
        if kind == "dump:" and not DATA.is_dir():
            return found[0]
        command = "" if kind == "tlcheck" else f"$ tlcheck {arguments}\n"
        shown = command + printed(kind, arguments.split())
        return f"<!-- {kind} {arguments} -->\n```\n{shown}\n```\n<!-- end -->"

    return BLOCK.sub(block, text)


def timeless(text: str) -> str:
    """``text`` without what differs from run to run: times and memory, digits that depend on the BLAS, and the size and the hash of
    the sources, which any commit may change."""
    text = re.sub(r" +\d+\.\d+ s\b", " T s", text)
    text = re.sub(r"(\.\d{3})\d+", r"\1", text)
    text = re.sub(
        r"rests on [\d,]+ code lines in \d+ modules(.*), sha256 \w+",
        r"rests on N code lines in N modules\1, sha256 S",
        text,
    )
    return re.sub(r"(seconds_\w+|peak_mib): [\d.]+", r"\1: T", text)


def commands(text: str) -> list[str]:
    return [found["arguments"] for found in BLOCK.finditer(text) if found["kind"] == "tlcheck"]


if __name__ == "__main__":
    README.write_text(refreshed(README.read_text(encoding="utf-8")), encoding="utf-8")
