"""The referee's page: what is embedded is the report; in a real browser it works, asks for nothing and runs nothing hostile."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache, partial
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlencode

import msgspec
import pytest
from msgspec.structs import asdict, replace

from tests.clocks import GUARD
from tests.referee.made_report import HOSTILE, NUMBERS, hostile, made
from tlcheck.referee import page
from tlcheck.referee.findings import RESULTS, VERDICTS, RefereeOut, Result, Verdict
from tlcheck.referee.witness import RULINGS
from tlcheck.report.text import printable

PARTS = {
    kind: files("tlcheck.referee").joinpath("page", f"page.{kind}").read_text("utf-8")
    for kind in ("html", "css", "js")
}
VOID = {"meta", "input", "br", "wbr", "rect"}


@lru_cache
def rendered(which: str) -> tuple[RefereeOut, str]:
    report = hostile() if which == "hostile" else made(int(which))
    return report, page.render(report)


# What is embedded.


def between(html: str, start: str, end: str) -> str:
    return html.split(start, 1)[1].split(end, 1)[0]


def data_of(html: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        between(html, '<script type="application/json" id="data">', "</script>")
    )
    return found


def unpacked(data: dict[str, Any]) -> list[dict[str, Any]]:
    """The instances as in the report, without nulls in facts: the inverse of what page.py documents."""
    s = data["strings"]
    witness_names = ("file", "sha256", "ruling", "settled", "code", "reason", "format")
    fact_names = ("real", "deployed", "tolerance", "official", "repaired", "produced")

    def witness(w: list[Any] | None) -> dict[str, Any] | None:
        if w is None:
            return None
        texts = {name: None if k is None else s[k] for name, k in zip(witness_names, w, strict=False)}
        facts = {
            name: dict(zip(data["shapes"][f[0]], f[1:], strict=True))
            for name, f in zip(fact_names, w[7:], strict=True)
        }
        return texts | facts

    def answer(a: list[Any]) -> dict[str, Any]:
        tool, result, written, seconds, contradicted, *rest = a
        return {
            "tool": s[tool], "result": s[result], "written": s[written], "seconds": seconds, "contradicted": bool(contradicted),
            "witness": witness(rest[0] if rest else None),
        }  # fmt: skip

    names = (
        "benchmark",
        "version",
        "network",
        "property",
        "network_sha256",
        "property_sha256",
        "verdict",
        "code",
        "reason",
    )
    proof = ("file", "format", "kind", "verdict", "code", "reason", "margin")
    return [
        {name: s[k] for name, k in zip(names, i, strict=False)}
        | {"settled_by": [s[k] for k in i[9]], "answers": [answer(a) for a in i[10]]}
        | {
            "certificates": [
                {n: None if k is None else s[k] for n, k in zip(proof, c, strict=True)} for c in i[11]
            ]
        }
        for i in data["instances"]
    ]


def plain(value: Any, *, keep: bool = True) -> Any:
    """Structs as dictionaries, strings printable, nulls of facts left out."""
    if isinstance(value, msgspec.Struct):
        facts = ("real", "deployed", "tolerance", "official", "repaired", "produced")
        return {k: plain(v, keep=k not in facts) for k, v in asdict(value).items()}
    if isinstance(value, dict):
        return {printable(k): plain(v, keep=keep) for k, v in value.items() if keep or v is not None}
    if isinstance(value, list):
        return [plain(v, keep=keep) for v in value]
    return printable(value) if isinstance(value, str) else value


@pytest.mark.parametrize("which", ["0", "40", "hostile"])
def test_the_embedded_data_are_the_report(which: str) -> None:
    report, html = rendered(which)
    assert unpacked(data_of(html)) == plain(report.instances)


def test_the_page_is_much_smaller_than_the_json() -> None:
    report, html = rendered("300")
    packed = between(html, 'id="data">', "</script>")
    assert len(packed) < 0.45 * len(msgspec.json.encode(report))


# What is written by Python: escaped, well formed, nothing to load.


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.stack and self.stack[-1] == tag, (tag, self.stack)
        self.stack.pop()

    def handle_data(self, data: str) -> None:
        if self.stack and self.stack[-1] not in ("script", "style"):
            self.texts.append(data)


@pytest.mark.parametrize("which", ["0", "40", "hostile"])
def test_tags_and_attributes_are_the_templates_own(which: str) -> None:
    report, html = rendered(which)
    parser = Tags()
    parser.feed(html)
    parser.close()
    assert parser.stack == []
    names = [name for _, attributes in parser.seen for name in attributes]
    assert not [name for name in names if name.startswith("on") or name in ("style", "src", "action")]
    assert {a["href"][:1] for _, a in parser.seen if a.get("href")} <= {"#"}
    assert {tag for tag, _ in parser.seen} <= {
        tag for tag, _ in _tags(page.render(replace(rendered("40")[0], complete=False)))
    }
    identities = [a["id"] for _, a in parser.seen if "id" in a]
    assert len(identities) == len(set(identities))
    for tag, attributes in parser.seen:
        assert tag != "th" or attributes.get("scope") in ("row", "col", "colgroup")
    assert printable(report.results) in parser.texts


def _tags(html: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = Tags()
    parser.feed(html)
    return parser.seen


def test_hostile_names_are_text() -> None:
    html = rendered("hostile")[1]
    assert html.count("</script>") == 2
    assert not [c for c in html if not c.isprintable() and c != "\n"]
    embedded = between(html, 'id="data">', "</script>")
    assert not {"<", ">", "&"} & set(embedded)
    html.encode("utf-8")


def test_the_policy_allows_this_style_and_this_script_only() -> None:
    html = rendered("40")[1]
    policy = between(html, 'Content-Security-Policy" content="', '"')
    allowed = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    for name, text in (
        ("style-src", between(html, "<style>", "</style>")),
        ("script-src", html.rsplit("<script>", 1)[1].split("</script>")[0]),
    ):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert allowed.pop(name) == f"'sha256-{digest}'"
    assert allowed == {"default-src": "'none'", "base-uri": "'none'", "form-action": "'none'"}


def test_the_parts_build_text_only_and_load_nothing() -> None:
    forbidden = r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|Function\(|fetch\(|XMLHttp|WebSocket|import\b|localStorage"
    assert not re.search(forbidden, PARTS["js"])
    assert not re.search(r"url\(|@import|@font-face", PARTS["css"])
    assert not [part for part in PARTS.values() if re.search(r"https?:", part)]


# Words.


def test_every_word_is_explained() -> None:
    assert tuple(page.VERDICT_MEANINGS) == VERDICTS == get_args(Verdict)
    assert tuple(page.RESULT_MEANINGS) == RESULTS == get_args(Result)
    assert tuple(page.RULING_MEANINGS) == RULINGS
    text = rendered("40")[1]
    for meanings in (page.VERDICT_MEANINGS, page.RULING_MEANINGS, page.RESULT_MEANINGS, page.FACT_MEANINGS):
        assert all(f">{meaning.replace(chr(39), '&#x27;')}<" in text for meaning in meanings.values())


def test_headline_without_scripts() -> None:
    report, html = rendered("300")
    before = html.split('id="data">')[0]
    sat, unsat, contested = (report.verdicts[v] for v in ("sat", "unsat", "contested"))
    assert f"settles {sat + unsat} ({100 * (sat + unsat) / 300:.1f} %): {sat} sat, {unsat} unsat" in before
    assert f"disagree on {contested} more" in before
    assert "<noscript>" in before
    for t in report.tools:
        line = between(before, f'<th scope="row"><span class="name" title="{t.tool}">', "</tr>")
        assert re.findall(r">(\d+)<", line)[:8] == [
            str(n) for n in (t.instances, *(t.answers[r] for r in RESULTS), t.confirmed, t.contradicted)
        ]
    assert "Incomplete report" not in before
    assert "Incomplete report" in page.render(replace(report, complete=False))


def test_contradictions_link_to_their_instances() -> None:
    report, html = rendered("300")
    assert report.contradictions
    section = between(html, '<h2 id="contradictions">', "</section>")
    assert sorted(map(int, re.findall(r'href="#i(\d+)"', section))) == sorted(
        c.instance for c in report.contradictions
    )


def test_a_tool_with_many_contradictions_gets_a_link_to_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "LISTED", 2)
    report = rendered("300")[0]
    [worst] = [t for t in report.tools if t.contradicted == max(t.contradicted for t in report.tools)][:1]
    html = page.render(report)
    assert f'<a href="#tool={worst.tool}&amp;contradicted=1">all {worst.contradicted} in the list' in html


# Contrast.


def luminance(colour: str) -> float:
    channels = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_contrast_is_aa(scheme: int) -> None:
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", PARTS["css"].split(":root {")[scheme + 1]))
    for text in ("ink", "muted", "link", "good", "warn", "bad"):
        for ground in ("paper", "panel"):
            light, dark = sorted((luminance(colours[text]), luminance(colours[ground])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, ground)


# In a browser.

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium found")


@dataclass
class Shown:
    """The page after its script: its rows as texts, its evidence, every element; what was logged and asked for."""

    dom: str
    console: list[str]
    requests: list[str]
    rows: list[str] = field(default_factory=list)
    evidence: str = ""
    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)


class Dom(HTMLParser):
    def __init__(self, shown: Shown) -> None:
        super().__init__()
        self.shown, self.inside = shown, ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.shown.tags.append((tag, attributes))
        classes = (attributes.get("class") or "").split()
        if tag == "tr" and "row" in classes:
            self.shown.rows.append("")
            self.inside = "row"
        elif tag == "tr" and "evidence" in classes:
            self.inside = "evidence"

    def handle_endtag(self, tag: str) -> None:
        if (tag == "tr" and self.inside == "row") or tag == "body":
            self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside == "row":
            self.shown.rows[-1] += data
        elif self.inside == "evidence":
            self.shown.evidence += data


@pytest.fixture(scope="module")
def browse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, str], Shown]]:
    """(html, fragment) to what a browser makes of it, served from a local port that notes what it is asked for."""
    asked: list[str] = []
    served: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = served[-1] if self.path == "/report.html" else b""
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield partial(_browse, server.server_port, tmp_path_factory.mktemp("profile"), asked, served)
    server.shutdown()
    server.server_close()


def _browse(
    port: int, profile: Path, asked: list[str], served: list[bytes], html: str, fragment: str = ""
) -> Shown:
    asked.clear()
    served.append(html.encode("utf-8"))
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
               f"--user-data-dir={profile}", "--virtual-time-budget=5000", "--enable-logging=stderr", "--dump-dom"]  # fmt: skip
    command = [str(CHROMIUM), *options, f"http://127.0.0.1:{port}/report.html{fragment}"]
    done = subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", timeout=GUARD, check=True
    )
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    shown = Shown(done.stdout, console, [path for path in asked if path != "/favicon.ico"])
    Dom(shown).feed(done.stdout)
    return shown


Browse = Callable[..., Shown]


@needs_chromium
def test_browser_lists_the_first_page(browse: Browse) -> None:
    report, html = rendered("300")
    shown = browse(html)
    assert (shown.console, shown.requests) == ([], ["/report.html"])
    assert len(shown.rows) == 100 and shown.evidence == ""
    for row, i in zip(shown.rows, report.instances, strict=False):
        assert i.verdict in row and i.network.rsplit("/")[-1] in row and i.property.rsplit("/")[-1] in row
        assert row.count("contradicted") == sum(a.contradicted for a in i.answers)
    assert "300 of 300 instances" in shown.dom and "page 1 of 3" in shown.dom


@needs_chromium
def test_browser_filters_by_fragment(browse: Browse) -> None:
    report, html = rendered("300")
    wanted = {"tool": "rover", "ruling": "holds-repaired", "verdict": "sat", "q": "VNNLIB prop_"}
    shown = browse(html, f"#{urlencode(wanted)}")
    fitting = [
        n for n, i in enumerate(report.instances)
        if i.verdict == "sat" and any(a.tool == "rover" and a.witness is not None and a.witness.ruling == "holds-repaired" for a in i.answers)
    ]  # fmt: skip
    assert 0 < len(fitting) < 100
    assert [re.match(r"i\d+", row).group() for row in shown.rows] == [f"i{n}" for n in fitting]  # type: ignore[union-attr]
    assert f"{len(fitting)} of 300 instances" in shown.dom
    assert shown.console == []


@needs_chromium
def test_browser_opens_an_instance_by_fragment(browse: Browse) -> None:
    """A contradicted one on a later page, with a filter that leaves it out and a tool that does not exist."""
    report, html = rendered("300")
    wanted = report.contradictions[-1].instance
    instance = report.instances[wanted]
    shown = browse(html, f"#i{wanted}&verdict=contested&tool=nobody&contradicted=")
    assert shown.console == []
    assert shown.rows[0].startswith(f"i{wanted}")
    assert f"i{wanted} is shown besides" in shown.dom and "there is no tool nobody" in shown.dom
    assert all(a.tool in shown.evidence for a in instance.answers)
    for text in (
        instance.network_sha256,
        instance.property_sha256,
        instance.reason,
        instance.network,
        *instance.settled_by,
    ):
        assert text in shown.evidence
    evidence = [a.witness for a in instance.answers if a.witness is not None]
    assert evidence and shown.evidence.count("contradicted") == sum(a.contradicted for a in instance.answers)
    for w in evidence:
        assert w.sha256 in shown.evidence and w.reason in shown.evidence
        for fact in (w.real, w.deployed, w.tolerance, w.official, w.repaired):
            if fact["margin"] is not None:
                assert f'title="{json.dumps(fact["margin"])}">{fact["margin"]:.3g}<' in shown.dom
    assert [a.get("aria-expanded") for tag, a in shown.tags if tag == "a" and "aria-expanded" in a].count(
        "true"
    ) == 1


@needs_chromium
def test_browser_takes_hostile_names_and_a_nonsense_fragment_as_text(browse: Browse) -> None:
    report, html = rendered("hostile")
    wanted = next(n for n, i in enumerate(report.instances) if i.network == HOSTILE["script"])
    shown = browse(html, f"#i{wanted}&i99999&i-1&%E0%A4%A&page=-7&verdict=__proto__")
    assert "there is no instance i99999" in shown.dom and "there is no verdict __proto__" in shown.dom
    assert (shown.console, shown.requests) == ([], ["/report.html"])
    assert not {"img", "b"} & {tag for tag, attributes in shown.tags if attributes.get("src")}
    assert [tag for tag, _ in shown.tags].count("script") == 2
    assert "owned" not in between(shown.dom, "<title>", "</title>").replace(
        HOSTILE["script"].replace("<", "&lt;").replace(">", "&gt;"), ""
    )
    assert shown.evidence.count(HOSTILE["script"]) >= 15
    shortened = re.findall(r"n(\d) <b><span title=\"([^\"]*)\">([^<]*)<", shown.dom)
    assert [(float(full), short) for _, full, short in shortened] == [(x, f"{x:.3g}") for x in NUMBERS]
    assert '<span title="12345">1.23e+04</span>' in shown.dom
    rows = "\n".join(shown.rows)
    assert all(
        printable(text)[:60] in rows
        for text in (HOSTILE["image"], HOSTILE["entity"], HOSTILE["long"], HOSTILE["direction"])
    )


@needs_chromium
def test_these_tests_see_errors_and_requests(browse: Browse) -> None:
    shown = browse("<!doctype html><img src='x'><script>throw new Error('planted')</script>")
    assert any("planted" in line for line in shown.console)
    assert shown.requests == ["/report.html", "/x"]
