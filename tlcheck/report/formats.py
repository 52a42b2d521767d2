"""The table of report formats: one renderer each, over the one record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from tlcheck.report.document import Json, JsonLines
from tlcheck.report.junit import JUnit
from tlcheck.report.record import FileResult, Run
from tlcheck.report.sarif import Sarif
from tlcheck.report.text import Text


class Renderer(Protocol):
    """``file`` gives what can be written as soon as a file is done, ``end`` what follows the last one."""

    def file(self, result: FileResult) -> str: ...

    def end(self, run: Run) -> str: ...


@dataclass(frozen=True, kw_only=True)
class Style:
    """How much and how coloured, and how wide (0: without limit); formats for machines ignore what they have no place for."""

    color: bool = False
    verbose: bool = False
    quiet: bool = False
    width: int = 0


RENDERERS: Final[dict[str, Callable[[Style], Renderer]]] = {
    "text": lambda style: Text(style.color, style.verbose, style.quiet, style.width),
    "json": lambda style: Json(verbose=style.verbose),
    "jsonl": lambda style: JsonLines(verbose=style.verbose),
    "junit": lambda style: JUnit(),
    "sarif": lambda style: Sarif(),
}
