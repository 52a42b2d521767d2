"""Which evidence a path is, by its content; and reading it as hints."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_JSON_BYTES
from tlcheck.options import Options
from tlcheck.readers.bytes import read_bytes
from tlcheck.readers.formats.detect import DUMP, recognise
from tlcheck.readers.hints.aptp import read_aptp
from tlcheck.readers.hints.leaves import Hints
from tlcheck.readers.hints.marabou import read_marabou
from tlcheck.readers.hints.proofs import read_dump, read_proofs
from tlcheck.readers.hints.subject import Subject
from tlcheck.readers.hints.tree_lines import read_tree_lines

EXPECTED: Final = "a tree (tlcheck.tree/1), an APTP or Marabou proof, an alpha-beta-CROWN dump, or a tlcheck bundle"
_APTP: Final = re.compile(rb"\s*+(?:;[^\n]*+\s*+)*+\(\s*+declare-")
_TREE: Final = re.compile(rb'\s*+\{[^\n]{0,400}"tlcheck\.tree/')
_MARABOU: Final = re.compile(rb'"(?:tableau|upperBounds|lowerBounds|constraints|proof)"\s*+:')


def read_hints(path: Path, subject: Subject, options: Options | None = None) -> Hints:
    """What the evidence at ``path`` says of where to split. Raises InvalidInput."""
    name = str(path)
    if os.path.isdir(path) and (path / DUMP).is_file():
        return read_dump(path, subject)
    if os.path.isdir(path) or recognise(path)[0] == "tlcert":
        return read_proofs(path, subject, options or Options())
    data = read_bytes(path, limit=MAX_JSON_BYTES)
    if _TREE.match(data):
        return read_tree_lines(data, subject, name)
    if _APTP.match(data):
        return read_aptp(data, subject, name)
    if data.lstrip()[:1] == b"{" and _MARABOU.search(data, 0, 4096):
        return read_marabou(data, subject, name)
    raise InvalidInput("TLC102", "no evidence that is read as hints", file=name, expected=EXPECTED)
