"""Rulings as text, JSON, JSON lines or CSV; a summary as text."""

from __future__ import annotations

import csv
import io
from typing import Any, Final

from tlcheck.referee.witness import RULINGS

Row = dict[str, Any]

COLUMNS: Final = (
    "ce_file", "ruling", "code", "real.holds", "real.margin", "real.in_region", "deployed.holds", "deployed.margin",
    "deployed.real_margin", "deployed.flipped", "tolerance.holds", "tolerance.margin", "tolerance.input_violation_decimal",
    "official.holds", "official.margin", "official.result", "repaired.holds", "repaired.margin",
    "produced.relative_difference_deployed", "produced.relative_difference_real", "seconds", "reason",
)  # fmt: skip


class Rows:
    """Rows one by one as ``format``: :meth:`start`, :meth:`row` for each, :meth:`end`."""

    def __init__(self, format: str) -> None:
        self.format = format
        self._count = 0

    def start(self) -> str:
        return {"json": "[\n", "csv": csv_line(COLUMNS)}.get(self.format, "")

    def row(self, row: Row) -> str:
        import msgspec

        self._count += 1
        if self.format == "text":
            return text_line(row)
        if self.format == "csv":
            return csv_line([_at(row, column) for column in COLUMNS])
        encoded = msgspec.json.encode(row).decode()
        return f"{encoded}\n" if self.format == "jsonl" else f"{',' if self._count > 1 else ' '}{encoded}\n"

    def end(self) -> str:
        return "]\n" if self.format == "json" else ""


def csv_line(values: Any) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(["" if v is None else v for v in values])
    return buffer.getvalue()


def text_line(row: Row) -> str:
    """One line: ruling, margins, distance, official rule, file; the reason where the ruling is not about margins."""
    from tlcheck.report.text import printable

    parts = [f"{row['ruling']:<15}"]
    if row["real"]["margin"] is not None or row["deployed"]["margin"] is not None:
        parts += [f"{name} {_short(row[name]['margin'])}" for name in ("real", "deployed")]
    if row["repaired"]["margin"] is not None:
        parts.append(f"repaired {_short(row['repaired']['margin'])}")
    away = row["tolerance"].get("input_violation")
    if away:
        parts.append(f"outside by {away:.3g}")
    parts.append(f"official {row['official'].get('result', '-')}")
    parts.append(row["ce_file"])
    if row["ruling"] in ("empty", "malformed", "wrong-shape", "unsupported"):
        parts.append(f"[{row['reason']}]")
    return printable("  ".join(parts)) + "\n"


def detail_lines(row: Row) -> str:
    """Every fact of one witness, for people."""
    from tlcheck.report.text import printable

    lines = [f"{row['ruling']}: {row['reason']} [{row['code']}]"]
    for name in ("real", "deployed", "tolerance", "repaired", "official", "produced"):
        facts = "  ".join(f"{key}={value}" for key, value in row[name].items() if value is not None)
        lines.append(f"  {name:<10}{facts or '-'}")
    return "".join(printable(line) + "\n" for line in lines)


def summary_text(summary: Row) -> str:
    """The tables, the shares, and each disagreement with the float32 replay."""
    import msgspec

    from tlcheck.referee.findings import CensusOut
    from tlcheck.referee.shares import census_lines
    from tlcheck.report.text import printable

    lines = ["", f"{summary['witnesses']} witnesses"]
    for column, table in summary["tables"].items():
        lines += ["", *_table(column, table)]
    exact, seconds = summary["exact_columns"], summary["seconds"]
    lines += [
        "",
        *census_lines(msgspec.convert(summary, CensusOut)),
        f"exact margins of the index: {exact['compared']} compared, {len(exact['signs_differ'])} signs differ",
        f"official rule of the index: {len(summary['rule2026_differences'])} differ",
        f"seconds: sum {seconds['sum']:.1f}, median {seconds['median']:.4f}, largest {seconds['largest']:.2f}",
        "",
        f"differences from the float32 replay: {len(summary['replay_differences'])}",
    ]
    for d in summary["replay_differences"]:
        margins = (
            f"real {_short(d['real_margin'])}, deployed {_short(d['deployed_margin'])}, "
            f"real at float32 {_short(d['real_margin_at_float32'])}, repaired {_short(d['repaired_margin'])}, "
            f"outside by {_short(d['input_violation'])}"
        )
        lines += [
            f"  {d['ce_file']}",
            f"    {d['replay_result']} -> {d['ruling']}: {d['why']}",
            f"    {margins}",
        ]
    return "".join(printable(line) + "\n" for line in lines)


def _table(column: str, table: dict[str, dict[str, int]]) -> list[str]:
    used = [name for name in RULINGS if any(name in counts for counts in table.values())]
    width = max(len(column), *(len(value) for value in table)) + 2
    lines = [column.ljust(width) + "".join(f"{name:>16}" for name in used)]
    for value, counts in table.items():
        lines.append((value or "-").ljust(width) + "".join(f"{counts.get(name, 0):>16}" for name in used))
    return lines


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:+.6g}"


def _at(row: Row, column: str) -> Any:
    name, _, key = column.partition(".")
    return row[name].get(key) if key else row[name]
