"""The referee's report on a terminal and as CSV: every count is there, and nothing in a name is obeyed."""

from __future__ import annotations

import csv
import io

from tests.referee.made_report import HOSTILE, hostile, made
from tlcheck.referee import overview
from tlcheck.referee.findings import RESULTS, VERDICTS
from tlcheck.report.text import printable

REPORT = made(300)


def lines_of(text: str, start: str) -> list[str]:
    return [line for line in text.splitlines() if line.split()[:1] == [start]]


def test_every_tool_and_benchmark_has_its_counts() -> None:
    text = overview.summary_text(REPORT)
    for t in REPORT.tools:
        answers, rulings = (line.split()[1:] for line in lines_of(text, t.tool))
        assert answers == [
            str(n) for n in (t.instances, *(t.answers[r] for r in RESULTS), t.confirmed, t.contradicted)
        ]
        assert sum(map(int, rulings)) == sum(t.rulings.values()) + t.without_witness
    for b in REPORT.benchmarks:
        [line] = lines_of(text, b.benchmark)
        assert line.split()[1:] == [
            str(n) for n in (b.instances, *(b.verdicts[v] for v in VERDICTS), b.contradicted)
        ]
    for verdict in VERDICTS:
        assert lines_of(text, verdict)[0].split() == [verdict, str(REPORT.verdicts[verdict])]
    assert "note: nnv/results.csv: 2 lines with an unknown word" in text
    assert "INCOMPLETE" not in text


def test_lines_fit_a_terminal() -> None:
    text = overview.summary_text(made(700))
    contradictions = text.index("answers that a certified fact contradicts")
    assert max(map(len, text[:contradictions].splitlines())) <= 100


def test_twenty_contradictions_then_a_count() -> None:
    report = made(700)
    assert len(report.contradictions) > overview.SHOWN_CONTRADICTIONS
    text = overview.summary_text(report)
    assert text.count(", but certified ") == overview.SHOWN_CONTRADICTIONS
    assert f"  and {len(report.contradictions) - overview.SHOWN_CONTRADICTIONS} more\n" in text


def test_an_empty_incomplete_report() -> None:
    text = overview.summary_text(hostile())
    assert "\nINCOMPLETE" in text
    empty = overview.summary_text(made(0))
    assert "0 of 0 (0.0 %)" in empty and "contradicts: 0" in empty


def test_nothing_in_a_name_reaches_the_terminal() -> None:
    text = overview.summary_text(hostile())
    assert not [c for c in text if not c.isprintable() and c != "\n"]
    tools = text[text.index("  tool ") : text.index("answers that")]
    assert max(map(len, tools.splitlines())) < 200


def test_csv_of_instances() -> None:
    rows = list(csv.DictReader(io.StringIO("".join(overview.instances_csv(REPORT)))))
    assert len(rows) == len(REPORT.instances)
    for n, (row, i) in enumerate(zip(rows, REPORT.instances, strict=True)):
        assert (int(row["instance"]), row["network"], row["verdict"]) == (n, i.network, i.verdict)
        assert sum(int(row[r]) for r in RESULTS) == len(i.answers)
        assert int(row["contradicted"]) == sum(a.contradicted for a in i.answers)
        assert row["settled_by"].split() == i.settled_by


def test_csv_of_answers_has_exact_margins() -> None:
    rows = list(csv.DictReader(io.StringIO("".join(overview.answers_csv(REPORT)))))
    said = [(n, a) for n, i in enumerate(REPORT.instances) for a in i.answers]
    assert len(rows) == len(said)
    for row, (n, a) in zip(rows, said, strict=True):
        assert (int(row["instance"]), row["tool"], row["result"]) == (n, a.tool, a.result)
        assert row["contradicted"] == str(a.contradicted)
        assert row["ruling"] == (a.witness.ruling if a.witness else "")
        margin = a.witness.real["margin"] if a.witness else None
        assert row["real.margin"] == ("" if margin is None else repr(margin))


def test_csv_cells_are_harmless() -> None:
    report = hostile()
    for text in ("".join(overview.instances_csv(report)), "".join(overview.answers_csv(report))):
        assert not [c for c in text if not c.isprintable() and c != "\n"]
        rows = list(csv.reader(io.StringIO(text)))
        assert len({len(row) for row in rows}) == 1
        cells = [cell for row in rows for cell in row]
        assert f"'{HOSTILE['formula']}" in cells and HOSTILE["formula"] not in cells
        assert printable(HOSTILE["control"]) in cells
    margins = [
        row["real.margin"] for row in csv.DictReader(io.StringIO("".join(overview.answers_csv(REPORT))))
    ]
    assert any(margin.startswith("-") for margin in margins)
