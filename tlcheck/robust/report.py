"""The report of a run: a table of the samples, what they add up to, and what exactly was asked."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from tlcheck import __version__
from tlcheck.checking.outcome import profile_named
from tlcheck.report.numerals import number
from tlcheck.report.record import ExitCode
from tlcheck.report.text import printable
from tlcheck.robust.answer import ATTACKED, CERTIFIED, UNDECIDED, WRONG, Answer
from tlcheck.robust.questions import Questions

Status = Literal["certified", "attacked", "wrong", "undecided"]
WORDS: Final[dict[str, Status]] = {
    CERTIFIED: "certified",
    ATTACKED: "attacked",
    WRONG: "wrong",
    UNDECIDED: "undecided",
}


class Sample(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``query``: its question's file. ``margin``, ``deployed_margin``: what the proof has to spare, rounded down.
    ``executed``: onnxruntime's float32 execution has the counterexample too."""

    name: str
    label: str | None
    query: str
    answer: Status
    reason: str = ""
    clean: bool | None = None
    deployed: bool | None = None
    margin: str = ""
    deployed_margin: str = ""
    leaves: int = 0
    executed: bool | None = None
    seconds: float = 0.0
    taken_over: bool = False


class Totals(Struct, frozen=True, kw_only=True):
    """``certified`` + ``attacked`` + ``wrong`` + ``undecided`` = ``inputs``; ``clean``: the sample itself is certainly right."""

    inputs: Annotated[int, Meta(ge=0)]
    clean: int
    certified: int
    certified_deployed: int
    attacked: int
    wrong: int
    undecided: int


class Document(Struct, frozen=True, kw_only=True):
    """report.json."""

    schema_version: Literal["robust-1"]
    tlcheck: str
    model: str
    model_sha256: str
    data: str
    eps: str
    norm: str
    clip: list[str] | None
    divide: str
    mean: list[str]
    std: list[str]
    layout: str
    property_per_input: str | None
    semantics: str
    profile: dict[str, str]
    timeout: float
    seconds: float
    said: list[str]
    notes: list[str]
    totals: Totals
    inputs: list[Sample]


@dataclass(frozen=True, eq=False)
class Report:
    questions: Questions
    answers: tuple[Answer, ...]
    semantics: str
    profile: str
    timeout: float
    seconds: float
    notes: tuple[str, ...] = ()

    @property
    def totals(self) -> Totals:
        counts = Counter(answer.status for answer in self.answers)
        return Totals(
            inputs=len(self.answers),
            clean=sum(answer.clean is True for answer in self.answers),
            certified=counts[CERTIFIED],
            certified_deployed=sum(a.status == CERTIFIED and a.deployed is True for a in self.answers),
            attacked=counts[ATTACKED],
            wrong=counts[WRONG],
            undecided=counts[UNDECIDED],
        )

    @property
    def proved(self) -> bool:
        """Some claim was written."""
        return any(answer.status != UNDECIDED for answer in self.answers)

    @property
    def exit_code(self) -> ExitCode:
        """0: every sample is certified; 1: one is wrong or attacked; 4: none is, and one is undecided; 70: a bug met one."""
        totals = self.totals
        if any(answer.bug for answer in self.answers):
            return ExitCode.BUG
        if totals.wrong or totals.attacked:
            return ExitCode.REFUTED
        return ExitCode.UNPROVEN if totals.undecided else ExitCode.OK


def document(report: Report) -> Document:
    q, settings = report.questions, report.questions.settings
    return Document(
        schema_version="robust-1", tlcheck=__version__, model=q.network.path.name, model_sha256=q.network.whole.sha256,
        data=q.samples.source, eps=number(settings.eps), norm=settings.norm,
        clip=None if settings.clip is None else [number(end) for end in settings.clip], divide=number(q.ball.divide),
        mean=[number(m) for m in settings.mean], std=[number(s) for s in settings.std], layout=q.arrangement.layout,
        property_per_input=None if settings.template is None else settings.template.name, semantics=report.semantics,
        profile=profile_named(report.profile),
        timeout=report.timeout, seconds=round(report.seconds, 3), said=q.said(), notes=list(report.notes),
        totals=report.totals, inputs=[_sample(q, answer) for answer in report.answers],
    )  # fmt: skip


def _sample(q: Questions, a: Answer) -> Sample:
    label = None if q.samples.labels is None else q.samples.labels.texts[a.sample]
    return Sample(
        name=q.samples.names[a.sample], label=label, query=q.file(a.sample), answer=WORDS[a.status], reason=a.reason,
        clean=a.clean, deployed=a.deployed, margin=a.margin, deployed_margin=a.deployed_margin, leaves=a.leaves,
        executed=a.executed, seconds=round(a.seconds, 3), taken_over=a.taken,
    )  # fmt: skip


def json_text(report: Report) -> str:
    return msgspec.json.format(msgspec.json.encode(_unicode(document(report))), indent=1).decode() + "\n"


def _unicode(value: Any) -> Any:
    """Builtins, with the bytes of file names that are no UTF-8 written as escapes."""
    if isinstance(value, Struct):
        return _unicode(msgspec.to_builtins(value))
    if isinstance(value, dict):
        return {key: _unicode(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_unicode(entry) for entry in value]
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def robust_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of report.json."""
    from tlcheck.schemas import schema_of

    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "tlcheck certify-robust report",
        **schema_of(Document),
    }


# for people


def line(q: Questions, a: Answer) -> str:
    """One sample."""
    return f"{a.status:9}  {q.name(a.sample)}  {'; '.join(_facts(a))}".rstrip()


EXECUTED: Final = {True: " (onnxruntime agrees)", False: " (onnxruntime does not agree)", None: ""}


def _facts(a: Answer) -> list[str]:
    facts = []
    if a.status == CERTIFIED:
        facts.append(f"margin >= {_short(a.margin)}" + _deployed(a))
        facts.append(f"{a.leaves} {'leaf' if a.leaves == 1 else 'leaves'}")
    if a.reason:
        facts.append(a.reason + EXECUTED[a.executed] * (a.status == ATTACKED))
    return [*facts, f"{a.seconds:.2f} s" + (" (evidence of an earlier run)" if a.taken else "")]


def _deployed(a: Answer) -> str:
    if a.deployed is None:
        return ", deployed: no rule"
    return f", deployed >= {_short(a.deployed_margin)}" if a.deployed else ", not deployed"


def _short(margin: str) -> str:
    """A decimal, rounded down to few digits."""
    from decimal import ROUND_FLOOR, Context, Decimal

    return str(Context(6, ROUND_FLOOR).create_decimal(Decimal(margin))) if margin else "0"


def summary(report: Report) -> list[str]:
    t = report.totals
    shown = [
        f"{t.inputs} inputs: {_share(t.clean, t.inputs)} clean, {_share(t.certified, t.inputs)} certified "
        f"({t.certified_deployed} for every float32 execution too), {t.attacked} attacked, {t.wrong} wrong, "
        f"{t.undecided} undecided; {report.seconds:.1f} s"
    ]
    return [*shown, accuracy(report), *report.notes]


def accuracy(report: Report) -> str:
    """The share of samples around which there is no counterexample, from below and from above: both are proved."""
    totals = report.totals
    above = totals.inputs - totals.wrong - totals.attacked
    what = "robust accuracy" if report.questions.template is None else "the property holds for"
    low, high = _percent(totals.certified, totals.inputs), _percent(above, totals.inputs, up=True)
    return f"{what}: at least {low}, at most {high} of these inputs"


def _share(part: int, whole: int) -> str:
    return f"{part} ({_percent(part, whole)})"


def _percent(part: int, whole: int, *, up: bool = False) -> str:
    """Rounded down, or up: 100.0 % are all, and as a bound from above 0.0 % are none."""
    tenths = -(-1000 * part // whole) if up else 1000 * part // whole
    return f"{tenths // 10}.{tenths % 10} %"


def text(report: Report) -> str:
    lines = [*report.questions.said(), *(line(report.questions, a) for a in report.answers), *summary(report)]
    return "".join(f"{printable(entry)}\n" for entry in lines)


ROWS: Final = (
    ("inputs", "inputs", "the samples that were asked about"),
    ("clean", "clean", "the network's exact output at the sample is right"),
    ("certified", "certified", "proved, over the reals: no counterexample in the whole box; `robust.tlcert`"),
    ("certified, deployed", "certified_deployed", "of these, proved for every float32 execution too"),
    (
        "attacked",
        "attacked",
        "right at the sample, with a proved counterexample in the box; `attacked.tlcert`",
    ),
    ("wrong", "wrong", "the sample itself is a counterexample; `attacked.tlcert`"),
    ("undecided", "undecided", "none of these within the time"),
)

OF_PROPERTY: Final = {
    "clean": "the sample itself is no counterexample",
    "certified": "proved, over the reals: the query has no counterexample; `robust.tlcert`",
    "attacked": "the query has a proved counterexample, another than the sample; `attacked.tlcert`",
}
"""What a row says in place of that where a property is asked."""
ROWS_OF_PROPERTY: Final = tuple((row, key, OF_PROPERTY.get(row, says)) for row, key, says in ROWS)


def markdown(report: Report) -> str:
    q, totals = report.questions, report.totals
    out = [f"# Robustness of {markdown_cell(q.network.path.name)}", ""]
    out += [f"- {markdown_cell(entry)}" for entry in q.said()]
    out += [
        f"- network SHA-256 `{q.network.whole.sha256}`; semantics {report.semantics}; {report.timeout:g} s an input",
        "- float32 executions: runtime profile {name} ({kind}, SHA-256 `{sha256}`)".format(
            **profile_named(report.profile)
        ),
        "",
    ]
    out += ["| | inputs | share | |", "| --- | ---: | ---: | --- |"]
    for title, field, meaning in ROWS if q.template is None else ROWS_OF_PROPERTY:
        count = getattr(totals, field)
        out.append(f"| {title} | {count} | {_percent(count, totals.inputs)} | {meaning} |")
    if report.proved:
        out += [
            "",
            f"{accuracy(report).capitalize()}.",
            "",
            "Check it: `tlcheck verify . --expect robust.lock` in this folder.",
        ]
    out += ["", *(CLAIM if q.template is None else CLAIM_OF_PROPERTY), ""]
    out += [
        "| input | label | answer | margin | deployed | leaves | s | |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: | --- |",
    ]
    out += [_row(q, a) for a in report.answers]
    return "\n".join(out) + "\n"


CLAIM: Final = (
    "What is claimed: for every real vector in an input's box, as its query in `queries/` writes it, the exact real function of",
    "the network has no output of another class that is at least the label's. The box is that of the network's input: clip,",
    "mean and std are in it, exactly or rounded outward. What a program's own float32 makes of a picture before the network",
    "is not part of it.",
)
CLAIM_OF_PROPERTY: Final = (
    "What is claimed: no real input vector satisfies the input's query in `queries/` together with the exact real function of",
    "the network. Boxes are where that text sets them; its numbers are those of the network's input: clip, mean and std are in",
    "them, exactly or rounded outward. What a program's own float32 makes of a sample before the network is not part of it.",
)


def _row(q: Questions, a: Answer) -> str:
    label = "" if q.samples.labels is None else q.samples.labels.texts[a.sample]
    deployed = {True: _short(a.deployed_margin), False: "no", None: ""}[a.deployed]
    cells = [
        q.samples.names[a.sample], label, a.status, _short(a.margin) if a.margin else "",
        deployed if a.status == CERTIFIED else "", str(a.leaves or ""), f"{a.seconds:.2f}", a.reason,
    ]  # fmt: skip
    return f"| {' | '.join(map(markdown_cell, cells))} |"


_MARKS: Final = re.compile(r"[\\`*_\[\]<>&|~$@]|(?<=http):|(?<=https):|(?<=www)\.", re.IGNORECASE)
"""What markdown, as GitHub has it, reads as something else than text, in a cell or after a list's dash."""


def markdown_cell(text: str) -> str:
    """Text that stays in its cell, and text."""
    return _MARKS.sub(r"\\\g<0>", "".join(c if c.isprintable() else " " for c in text))
