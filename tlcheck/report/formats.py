"""The table of report formats: one renderer each, over the one record, imported when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from tlcheck.report.record import FileResult, Run


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


def _text(style: Style) -> Renderer:
    from tlcheck.report.text import Text

    return Text(style.color, style.verbose, style.quiet, style.width)


def _json(style: Style) -> Renderer:
    from tlcheck.report.document import Json

    return Json(verbose=style.verbose)


def _jsonl(style: Style) -> Renderer:
    from tlcheck.report.document import JsonLines

    return JsonLines(verbose=style.verbose)


def _junit(style: Style) -> Renderer:
    from tlcheck.report.junit import JUnit

    return JUnit()


def _sarif(style: Style) -> Renderer:
    from tlcheck.report.sarif import Sarif

    return Sarif()


RENDERERS: Final[dict[str, Callable[[Style], Renderer]]] = {
    "text": _text,
    "json": _json,
    "jsonl": _jsonl,
    "junit": _junit,
    "sarif": _sarif,
}
