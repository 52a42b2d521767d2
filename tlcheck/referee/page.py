"""The referee's report as one HTML file that needs nothing else: no network, no server, no framework.

Every name in a report is hostile. Each string has gone through ``printable`` (no control or direction characters). Tables
written here are escaped; the list and its evidence are built by ``page/page.js`` from text nodes only, out of JSON in which
``<``, ``>`` and ``&`` are escapes. The Content-Security-Policy allows the one style and the one script by hash, nothing else.

The data are arrays, so that 7,000 instances of 10 tools load at once. ``strings`` holds each string once; an integer
where a string belongs is a position in it. An entry of ``instances`` is

    [benchmark, version, network, property, network_sha256, property_sha256, verdict, code, reason, [settled_by ..],
     [[tool, result, written, seconds, 0 or 1: contradicted, witness or nothing] ..],
     [[file, format, kind, verdict, code, reason, margin] ..]]

and a witness is [file, sha256, ruling, settled, code, reason, format, real, deployed, tolerance, official, repaired,
produced]. A fact is [shape, value ..]: ``shapes[shape]`` names the values; null ones are left out.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Any, Final
from urllib.parse import urlencode

from tlcheck.referee.findings import RESULTS, VERDICTS, AnswerOut, Evidence, InstanceOut, RefereeOut, ToolOut
from tlcheck.referee.overview import benchmark_rows, tool_rows
from tlcheck.referee.shares import census_lines, percent, shares
from tlcheck.referee.witness import RULINGS
from tlcheck.report.text import printable

VERDICT_MEANINGS: Final = {
    "sat": "certified: some point satisfies the property's constraints, evaluated exactly",
    "unsat": "certified: a checked proof says that no such point exists",
    "contested": "tools disagree and no certified evidence settles it",
    "open": "tools do not disagree and no certified evidence settles it",
    "unsupported": "the network, the property or the evidence cannot be judged; the reason says why",
}
RULING_MEANINGS: Final = {
    "holds": "the point is inside its region and every constraint holds there, evaluated exactly as written",
    "holds-repaired": "outside its region by at most the tolerance; moved into it exactly, it holds",
    "tolerance-only": "outside its region; the constraints hold only with the competition's input tolerance",
    "fails": "a constraint fails, evaluated exactly, or the point is too far outside every region",
    "empty": "the file holds no point",
    "malformed": "the file cannot be read as a point",
    "wrong-shape": "the point has not as many inputs as the network",
    "unsupported": "the network or the property cannot be evaluated exactly, or the enclosures do not decide",
}
RESULT_MEANINGS: Final = {
    "sat": "the tool says that a counterexample exists",
    "unsat": "the tool says that none exists",
    "unknown": "the tool gave up",
    "timeout": "the tool ran out of time",
    "error": "the tool crashed, or its answer cannot be read",
}
FACT_MEANINGS: Final = {
    "real": "exact real arithmetic at the point as written, in the region as written",
    "deployed": "the float32 execution at the point rounded to float32",
    "tolerance": "as real, with the bounds on the inputs moved out by the competition's tolerance",
    "official": "the competition's rule of 2026",
    "repaired": "as real, at the point moved into its region",
    "produced": "the outputs that the file claims, against those found; never evidence",
}
DETAIL_MEANINGS: Final = {
    "margin_upper": "the margin rounded up",
    "in_region": "the point lies in a region of the property",
    "verdict": "of the exact check",
    "input_violation": "how far outside the nearest region the point lies, rounded up",
    "input_violation_decimal": "how far outside the nearest region the point lies, as a decimal rounded up",
    "within_tolerance": "a region is within the tolerance",
    "real_margin": "the exact margin at the point rounded to float32",
    "real_margin_upper": "the exact margin at the point rounded to float32, rounded up",
    "flipped": "the float32 network decides the output condition otherwise than the exact one at the same point",
    "moved": "how far the point was moved into its region",
    "result": "in the words of the competition's script",
}
LISTED: Final = 200
"""Most contradictions of one tool in its own table; the list of instances has them all."""
ESCAPES: Final = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


def render(report: RefereeOut) -> str:
    """The page as the text of one file, to be written as UTF-8."""
    style, script, page = (
        files("tlcheck.referee").joinpath("page", f"page.{kind}").read_text("utf-8")
        for kind in ("css", "js", "html")
    )
    policy = f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; base-uri 'none'; form-action 'none'"
    return Template(page).substitute(
        policy=policy,
        style=style,
        script=script,
        data=_embedded(_packed(report)),
        results=_text(report.results),
        incomplete=_incomplete(report),
        lead=_lead(report),
        bar=_bar(report),
        witnesses=f"{report.census.witnesses:,}",
        census_lines=_text("; ".join(census_lines(report.census))),
        verdicts=_verdicts(report),
        tools=_tools(report),
        contradictions=_contradictions(report),
        benchmarks=_benchmarks(report),
        census=_census(report),
        words=_words(),
        about=_about(report),
        benchmark_options=_options(b.benchmark for b in report.benchmarks),
        tool_options=_options(t.tool for t in report.tools),
        verdict_options=_options(VERDICTS),
        ruling_options=_options(RULINGS),
    )


# The data of the list.


class _Strings:
    """Each string once; called with a string, its position."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        return self._places.setdefault(text, len(self._places))

    def all(self) -> list[str]:
        return [printable(text) for text in self._places]


def _packed(report: RefereeOut) -> dict[str, Any]:
    strings = _Strings()
    shapes: dict[tuple[str, ...], int] = {}
    return {
        "instances": [_instance(i, strings, shapes) for i in report.instances],
        "complete": report.complete,
        "strings": strings.all(),
        "shapes": [[printable(name) for name in shape] for shape in shapes],
        "meanings": {
            "verdict": VERDICT_MEANINGS,
            "ruling": RULING_MEANINGS,
            "result": RESULT_MEANINGS,
            "fact": FACT_MEANINGS,
            "detail": DETAIL_MEANINGS,
        },
    }


def _instance(i: InstanceOut, s: _Strings, shapes: dict[tuple[str, ...], int]) -> list[Any]:
    names = (i.benchmark, i.version, i.network, i.property, i.network_sha256, i.property_sha256)
    certificates = [
        [
            *map(s, (c.file, c.format, c.kind, c.verdict, c.code, c.reason)),
            None if c.margin is None else s(c.margin),
        ]
        for c in i.certificates
    ]
    head = [s(text) for text in (*names, i.verdict, i.code, i.reason)]
    return [
        *head,
        [s(text) for text in i.settled_by],
        [_answer(a, s, shapes) for a in i.answers],
        certificates,
    ]


def _answer(a: AnswerOut, s: _Strings, shapes: dict[tuple[str, ...], int]) -> list[Any]:
    packed = [s(a.tool), s(a.result), s(a.written), a.seconds, int(a.contradicted)]
    return packed if a.witness is None else [*packed, _witness(a.witness, s, shapes)]


def _witness(w: Evidence, s: _Strings, shapes: dict[tuple[str, ...], int]) -> list[Any]:
    facts = (w.real, w.deployed, w.tolerance, w.official, w.repaired, w.produced)
    settled = None if w.settled is None else s(w.settled)
    head = [s(w.file), s(w.sha256), s(w.ruling), settled, s(w.code), s(w.reason), s(w.format)]
    return [*head, *(_fact(fact, shapes) for fact in facts)]


def _fact(fact: dict[str, Any], shapes: dict[tuple[str, ...], int]) -> list[Any]:
    known = {name: value for name, value in fact.items() if value is not None}
    return [shapes.setdefault(tuple(known), len(shapes)), *map(_clean, known.values())]


def _clean(value: Any) -> Any:
    """``value`` without nulls, every string in it printable."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable(str(k)): _clean(v) for k, v in value.items() if v is not None}
    return [_clean(v) for v in value] if isinstance(value, list | tuple) else value


def _embedded(value: Any) -> str:
    """JSON that neither ends the element it stands in nor starts a comment in it."""
    import msgspec

    return msgspec.json.encode(value).decode().translate(ESCAPES)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


# Tables that need no script.


def _text(text: object) -> str:
    return escape(printable(str(text)))


def _name(text: str, more: str = "") -> str:
    """A name, with places to break the line at."""
    breakable = re.sub(r"([_./-])", r"\1<wbr>", _text(text))
    return f'<span class="name{more}" title="{_text(text)}">{breakable}</span>'


def _word(kind: str, text: str, meanings: dict[str, str]) -> str:
    return f'<span class="w {kind}-{_text(text)}" title="{_text(meanings[text])}">{_text(text)}</span>'


def _options(values: Iterable[str]) -> str:
    return "".join(f'<option value="{_text(v)}">{_text(v)}</option>' for v in values)


def _count(count: int, **filters: str) -> str:
    """A number in a cell, leading to the instances it counts."""
    if not count or not filters:
        return f'<td class="n{"" if count else " zero"}">{count:,}</td>'
    query = urlencode({name: printable(value) for name, value in filters.items()})
    return f'<td class="n"><a href="#{_text(query)}">{count:,}</a></td>'


def _table(caption: str, head: str, rows: Iterable[str], *, is_dense: bool = False) -> str:
    label, dense = _text(caption), ' class="dense"' if is_dense else ""
    region = f'<div class="scroll" tabindex="0" role="region" aria-label="{label}">'
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    table = f"<caption><span>{label}</span></caption><thead>{head}</thead><tbody>{body}</tbody>"
    return f"{region}<table{dense}>{table}</table></div>"


def _head(*columns: str) -> str:
    """Column headings; a leading ``#`` marks a column of numbers."""
    cells = (
        f'<th scope="col" class="n">{_text(c[1:])}</th>'
        if c.startswith("#")
        else f'<th scope="col">{_text(c)}</th>'
        for c in columns
    )
    return f"<tr>{''.join(cells)}</tr>"


def _row(name: str, *cells: str) -> str:
    return f'<th scope="row">{name}</th>{"".join(cells)}'


def _incomplete(report: RefereeOut) -> str:
    if report.complete:
        return ""
    return (
        '<p class="notice" role="note"><strong>Incomplete report.</strong> The run was stopped early: evidence not yet '
        "judged is missing, and counts as no file. What is certified here stays certified; what is open or contested "
        "may not stay so.</p>"
    )


def _lead(report: RefereeOut) -> str:
    sat, unsat, contested = (report.verdicts.get(v, 0) for v in ("sat", "unsat", "contested"))
    blamed = sum(1 for t in report.tools if t.contradicted)
    total = len(report.instances)
    return (
        f"Of {total:,} instances, certified evidence settles {sat + unsat:,} ({percent(sat + unsat, total)} %): "
        f"{sat:,} sat, {unsat:,} unsat. Tools disagree on {contested:,} more that nothing settles. "
        f"{len(report.contradictions):,} answers of {blamed} of {len(report.tools)} tools are contradicted by a certified fact."
    )


def _bar(report: RefereeOut) -> str:
    total, at, parts = max(1, sum(report.verdicts.get(v, 0) for v in VERDICTS)), 0.0, []
    for v in VERDICTS:
        width = 1000 * report.verdicts.get(v, 0) / total
        parts.append(f'<rect class="{v}" x="{at:.2f}" y="0" width="{width:.2f}" height="10"/>')
        at += width
    return f'<svg class="bar" viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true">{"".join(parts)}</svg>'


def _verdicts(report: RefereeOut) -> str:
    total = len(report.instances)
    key = (
        '<svg class="key" viewBox="0 0 1 1" aria-hidden="true"><rect class="{}" width="1" height="1"/></svg>'
    )
    rows = [
        _row(
            f'<span class="keyed">{key.format(v)}{_word("v", v, VERDICT_MEANINGS)}</span>',
            _count(n := report.verdicts.get(v, 0), verdict=v),
            f'<td class="n">{percent(n, total)}</td>',
            f"<td>{_text(VERDICT_MEANINGS[v])}</td>",
        )
        for v in VERDICTS
    ]
    head = _head("verdict", "#instances", f"#% of {total:,}", "meaning")
    return _table("Every instance has one verdict.", head, rows)


def _tools(report: RefereeOut) -> str:
    groups = (
        ("Answers", len(RESULTS)),
        ("Against certified facts", 2),
        ("Rulings of its witness files", len(RULINGS) + 1),
    )
    top = "".join(f'<th scope="colgroup" class="first" colspan="{n}">{name}</th>' for name, n in groups)
    columns = _head(
        "tool", "#instances", *(f"#{c}" for c in (*RESULTS, "confirmed", "contradicted", *RULINGS, "no file"))
    )
    rows = [_tool(t, cells) for t, cells in zip(report.tools, tool_rows(report), strict=True)]
    return _table(
        "What each tool answered, what a certified fact says of it, and what its witness files are worth "
        "(no file: answers of sat without one).",
        f'<tr><td colspan="2"></td>{top}</tr>{columns}',
        rows,
        is_dense=True,
    )


def _tool(t: ToolOut, cells: Sequence[str | int]) -> str:
    *answers, contradicted = (int(n) for n in cells[1:])
    return _row(
        _name(t.tool),
        *map(_count, answers),
        _count(contradicted, tool=t.tool, contradicted="1"),
        *(_count(t.rulings.get(r, 0), tool=t.tool, ruling=r) for r in RULINGS),
        _count(t.without_witness),
    )


def _benchmarks(report: RefereeOut) -> str:
    rows = []
    for b, cells in zip(report.benchmarks, benchmark_rows(report), strict=True):
        verdicts = (
            _count(int(n), benchmark=b.benchmark, verdict=v)
            for v, n in zip(VERDICTS, cells[2:-1], strict=True)
        )
        rows.append(
            _row(
                _name(b.benchmark),
                _count(b.instances, benchmark=b.benchmark),
                *verdicts,
                _count(b.contradicted, benchmark=b.benchmark, contradicted="1"),
            )
        )
    head = _head("benchmark", "#instances", *(f"#{v}" for v in VERDICTS), "#contradicted answers")
    return _table("Instances of each benchmark by verdict.", head, rows)


def _contradictions(report: RefereeOut) -> str:
    parts = []
    for t in report.tools:
        mine = [c for c in report.contradictions if c.tool == t.tool]
        if not mine:
            continue
        rows = [
            f'<th scope="row"><a href="#i{c.instance}">i{c.instance}</a></th>'
            + "".join(f"<td>{_name(x, ' clamp')}</td>" for x in (c.benchmark, c.network, c.property))
            + f'<td class="contradicted">{c.answer}</td><td>{_word("v", c.fact, VERDICT_MEANINGS)}</td>'
            + f'<td><span class="clamp"><code>{_text(c.evidence)}</code></span></td>'
            for c in mine[:LISTED]
        ]
        head = _head("instance", "benchmark", "network", "property", "its answer", "certified", "by")
        query = _text(urlencode({"tool": printable(t.tool), "contradicted": "1"}))
        more = (
            f'<p><a href="#{query}">all {len(mine):,} in the list of instances</a></p>'
            if len(mine) > LISTED
            else ""
        )
        parts.append(
            f"<details><summary>{_name(t.tool)}: {len(mine):,}</summary>"
            f"{_table(f'Contradicted answers of {printable(t.tool)[:80]}', head, rows)}{more}</details>"
        )
    return "".join(parts) or "<p>None.</p>"


def _census(report: RefereeOut) -> str:
    census = report.census
    rulings = [
        _row(
            _word("r", r, RULING_MEANINGS),
            _count(n := census.rulings.get(r, 0), ruling=r),
            f'<td class="n">{percent(n, census.witnesses)}</td>',
            f"<td>{_text(RULING_MEANINGS[r])}</td>",
        )
        for r in RULINGS
    ]
    parts = [
        _row(
            _text(f"{name}: {words}" if name else words),
            f'<td class="n">{part:,}</td><td class="n">{whole:,}</td><td class="n">{percent(part, whole)}</td>',
        )
        for name, words, part, whole in shares(census)
    ]
    return _table(
        f"Rulings on {census.witnesses:,} witness files.",
        _head("ruling", "#files", f"#% of {census.witnesses:,}", "meaning"),
        rulings,
    ) + _table("What the competition's rule lets through.", _head("share", "#count", "#of", "#%"), parts)


def _words() -> str:
    def listed(title: str, meanings: dict[str, str]) -> str:
        items = "".join(
            f"<dt>{_text(k.replace('_', ' '))}</dt><dd>{_text(v)}</dd>" for k, v in meanings.items()
        )
        return f"<h3>{title}</h3><dl>{items}</dl>"

    return (
        "<p>Verdicts and rulings are explained in their tables above. A margin is the least slack over the constraints of "
        "the best disjunct, rounded down: the fact it belongs to needs it nonnegative. Numbers have three digits here; "
        "their titles have all.</p>"
        + listed("Answers of tools", RESULT_MEANINGS)
        + listed("Facts about a witness", FACT_MEANINGS)
        + listed("What a fact rests on", DETAIL_MEANINGS)
    )


def _about(report: RefereeOut) -> str:
    items = {
        "run": f"{report.seconds:,.1f} s; {report.reused:,} rulings taken from an earlier run on the same bytes",
        **report.tool,
    }
    listed = "".join(f"<dt>{_text(k)}</dt><dd>{_text(v)}</dd>" for k, v in items.items())
    notes = "".join(f'<li class="name">{_text(note)}</li>' for note in report.notes)
    return (f"<h3>Notes on the folders</h3><ul>{notes}</ul>" if notes else "") + f"<dl>{listed}</dl>"
