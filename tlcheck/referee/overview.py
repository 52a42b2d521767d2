"""The referee's report for a terminal, and as CSV.

Names come from hostile folders: everything written here has gone through ``printable``. In CSV a text cell that a
spreadsheet would take for a formula (it starts with one of ``= + - @`` or their full-width forms) gets an apostrophe in
front, as OWASP advises; numbers are written as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from textwrap import wrap
from typing import Any, Final

from tlcheck.referee.findings import RESULTS, VERDICTS, AnswerOut, RefereeOut
from tlcheck.referee.render import csv_line
from tlcheck.referee.shares import census_lines
from tlcheck.referee.witness import RULINGS
from tlcheck.report.text import printable

Cell = str | int
SHOWN_CONTRADICTIONS: Final = 20
WIDTH: Final = 100
WIDEST_NAME: Final = 40
"""Characters of a name in a table; a contradiction has all of it."""
FORMULA: Final = tuple("=+-@＝＋－＠")

INSTANCE_NAMES: Final = ("benchmark", "version", "network", "property", "verdict")
ANSWER_COLUMNS: Final = ("tool", "result", "written", "seconds", "contradicted")
EVIDENCE_COLUMNS: Final = (
    "ruling", "settled", "code", "reason", "format", "file", "sha256", "real.holds", "real.margin", "real.in_region",
    "deployed.holds", "deployed.margin", "deployed.real_margin", "deployed.flipped", "tolerance.holds",
    "tolerance.margin", "tolerance.input_violation_decimal", "official.holds", "official.margin", "official.result",
    "repaired.holds", "repaired.margin",
)  # fmt: skip


def summary_text(report: RefereeOut) -> str:
    """What is proved, contested and contradicted, per tool and benchmark; within 100 columns where names allow."""
    instances = len(report.instances)
    lines = [f"referee of {report.results}: {instances} instances, {report.seconds:.1f} s"]
    if report.reused:
        lines[0] += f", {report.reused} rulings of an earlier run"
    if not report.complete:
        lines.append("INCOMPLETE: the run was stopped early; evidence not yet judged is missing")
    lines += ["", *(f"  {v:<12}{report.verdicts.get(v, 0):>7}" for v in VERDICTS)]
    lines += ["", *grid(("tool", "instances", *RESULTS, "confirmed", "contradicted"), tool_rows(report))]
    used = [r for r in RULINGS if any(r in t.rulings for t in report.tools)]
    heads = ("tool", *(r.replace("-", "-\n") for r in used), "no\nfile")
    rulings: list[list[Cell]] = [
        [t.tool, *(t.rulings.get(r, 0) for r in used), t.without_witness] for t in report.tools
    ]
    lines += ["", "rulings of witnesses (no file: answers of sat without one)", *grid(heads, rulings)]
    lines += ["", *grid(("benchmark", "instances", *VERDICTS, "contradicted"), benchmark_rows(report))]
    lines += ["", f"{report.census.witnesses} witnesses", *_wrapped(census_lines(report.census))]
    lines += ["", f"answers that a certified fact contradicts: {len(report.contradictions)}"]
    for c in report.contradictions[:SHOWN_CONTRADICTIONS]:
        lines.append(
            f"  {c.tool}: {c.answer}, but certified {c.fact}: {c.benchmark} {c.network} {c.property}"
        )
        lines.append(f"    {c.evidence}")
    if len(report.contradictions) > SHOWN_CONTRADICTIONS:
        lines.append(f"  and {len(report.contradictions) - SHOWN_CONTRADICTIONS} more")
    lines += [""] * bool(report.notes) + [f"note: {note}" for note in report.notes]
    return "".join(printable(line) + "\n" for line in lines)


def tool_rows(report: RefereeOut) -> list[list[Cell]]:
    """A row a tool: name, instances, each of RESULTS, confirmed, contradicted."""
    return [
        [t.tool, t.instances, *(t.answers.get(r, 0) for r in RESULTS), t.confirmed, t.contradicted]
        for t in report.tools
    ]


def benchmark_rows(report: RefereeOut) -> list[list[Cell]]:
    """A row a benchmark: name, instances, each of VERDICTS, contradicted answers."""
    return [
        [b.benchmark, b.instances, *(b.verdicts.get(v, 0) for v in VERDICTS), b.contradicted]
        for b in report.benchmarks
    ]


def _wrapped(lines: list[str]) -> list[str]:
    return [part for line in lines for part in wrap(line, WIDTH, subsequent_indent="  ")]


def grid(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> list[str]:
    """A table whose first column is a name; a heading may take two lines."""
    heads = [("\n" + c).rsplit("\n", 2)[-2:] for c in columns]
    lines = [[_short(row[0]), *map(str, row[1:])] for row in rows]
    lines = [[head[k] for head in heads] for k in (0, 1) if any(head[k] for head in heads)] + lines
    widths = [max(len(line[k]) for line in lines) for k in range(len(columns))]
    numbers = ("".join(f"  {c:>{w}}" for c, w in zip(line[1:], widths[1:], strict=True)) for line in lines)
    return [f"  {line[0].ljust(widths[0])}{rest}" for line, rest in zip(lines, numbers, strict=True)]


def instances_csv(report: RefereeOut) -> Iterator[str]:
    """The heading, then a line an instance; ``instance`` is its position in the report."""
    judged, rest = ("code", "reason"), ("settled_by", "network_sha256", "property_sha256")
    yield csv_line(("instance", *INSTANCE_NAMES, *judged, *RESULTS, "contradicted", *rest))
    for n, i in enumerate(report.instances):
        names = (*(getattr(i, name) for name in (*INSTANCE_NAMES, *judged)),)
        counts = (
            *(sum(a.result == r for a in i.answers) for r in RESULTS),
            sum(a.contradicted for a in i.answers),
        )
        hashes = (" ".join(i.settled_by), i.network_sha256, i.property_sha256)
        yield csv_line([n, *map(_cell, (*names, *counts, *hashes))])


def answers_csv(report: RefereeOut) -> Iterator[str]:
    """The heading, then a line an answer, with the ruling on its witness, its facts and margins."""
    yield csv_line(("instance", *INSTANCE_NAMES, *ANSWER_COLUMNS, *EVIDENCE_COLUMNS))
    for n, instance in enumerate(report.instances):
        head = [n, *(_cell(getattr(instance, name)) for name in INSTANCE_NAMES)]
        for answer in instance.answers:
            yield csv_line([*head, *(_cell(getattr(answer, c)) for c in ANSWER_COLUMNS), *_evidence(answer)])


def _evidence(answer: AnswerOut) -> list[Any]:
    if answer.witness is None:
        return [None] * len(EVIDENCE_COLUMNS)
    found = []
    for column in EVIDENCE_COLUMNS:
        name, _, key = column.partition(".")
        value = getattr(answer.witness, name)
        found.append(_cell(value.get(key) if key else value))
    return found


def _cell(value: object) -> object:
    """Text made printable and harmless in a spreadsheet; numbers and None as they are."""
    if value is None or isinstance(value, int | float):
        return value
    text = printable(str(value))
    return f"'{text}" if text.startswith(FORMULA) else text


def _short(name: Cell) -> str:
    text = printable(str(name))
    return text if len(text) <= WIDEST_NAME else f"{text[: WIDEST_NAME - 1]}…"
