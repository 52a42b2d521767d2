"""The report of a run as text, markdown, HTML and JSON: one list of sections, a renderer for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import Final

import msgspec

from tlcheck.conformance.run_document import Compared, Document, Memory, outside_elsewhere
from tlcheck.report.text import printable
from tlcheck.robust.report import markdown_cell

Row = tuple[str, str]
Section = tuple[str, list[Row]]


def sections(d: Document) -> Iterator[Section]:
    """(heading, (what, value) lines)."""
    yield "", [
        ("model", f"{d.model.file} (SHA-256 {d.model.sha256[:16]}..), graph {d.model.graph} ({d.model.executed_sha256[:16]}..)"),
        *(("inputs", line) for line in d.inputs),
        ("profile", f"{d.profile.name} ({d.profile.kind}): {d.profile.provenance['what']}"),
        ("proved", d.proved),
        ("observed", d.observed),
    ]  # fmt: skip
    yield "outputs", list(_outputs(d))
    yield "labels", list(_labels(d))
    yield "determinism", list(_determinism(d))
    if d.layers is not None:
        yield "layers", list(_layers(d))
    if d.against:
        yield "against", list(_against(d))
    yield "cost", list(_cost(d))
    yield "assumed", [("", text) for text in d.assumptions]


def _outputs(d: Document) -> Iterator[Row]:
    for o in d.outputs:
        yield (
            o.name,
            (
                f"observed at most {o.observed_max:.3g} from the enclosure's middle, proved at most {o.proved_max:.3g}; "
                f"ratio at most {o.ratio_max:.3g}, median {o.ratio_median:.3g}"
            ),
        )
    for out in d.outside:
        value = "not finite" if out.value is None else f"{out.value:.9g}"
        yield (
            "OUTSIDE",
            f"{out.name}, {out.output}[{out.place}]: {value}, allowed {out.lower:.9g} to {out.upper:.9g}",
        )
    if d.outside_count:
        yield "OUTSIDE", f"{d.outside_count} of {d.points} points"
    if d.no_enclosure:
        yield (
            "no enclosure",
            f"{len(d.no_enclosure)} points: a magnitude that float32 may not hold, first point {d.no_enclosure[0]}",
        )
    for text in d.explained:
        yield "cause", text


def _labels(d: Document) -> Iterator[Row]:
    found = d.labels
    yield "decided", f"at {found.decided} of {d.points} points no allowed execution gives another class"
    if found.given and found.accuracy_proved is not None and found.accuracy_observed is not None:
        low, high = found.accuracy_proved
        yield (
            "accuracy",
            f"observed {found.accuracy_observed:.4%}; proved of every allowed execution: {low:.4%} to {high:.4%}",
        )
    if found.undecided_count:
        yield "undecided", f"{found.undecided_count} points: {', '.join(map(str, found.undecided))}"


def _determinism(d: Document) -> Iterator[Row]:
    found = d.determinism
    for what, runs in (
        ("run", found.repeats),
        ("threads", found.threads),
        ("batch", found.batch),
        ("provider", found.providers),
    ):
        for name, one in runs.items():
            yield f"{what} {name}", _compared(one, found.values, d.points)


def _compared(c: Compared, values: int, points: int) -> str:
    if c.refused:
        return f"not executed: {c.refused}"
    bits = "same bits" if not c.differ else f"{c.differ} of {values} values differ, by at most {c.max:.3g}"
    return f"{bits}; inside at {c.inside} of {points} points" + (
        f", OUTSIDE at {c.outside}" if c.outside else ""
    )


def _layers(d: Document) -> Iterator[Row]:
    if d.layers is None:
        return
    first = d.layers.first_outside
    yield (
        "first outside",
        "none: every tensor lies in its enclosure" if first is None else f"{first}, point {d.layers.point}",
    )
    for t in d.layers.tensors:
        out = f"; OUTSIDE at {t.outside} points" if t.outside else ""
        yield f"{t.operator} {t.tensor}", f"observed {t.observed_max:.3g}, proved {t.proved_max:.3g}{out}"


def _against(d: Document) -> Iterator[Row]:
    for a in d.against:
        for o in a.outputs:
            yield a.what, f"{o.name}: differs by at most {o.max:.3g}, proved at most {o.proved_max:.3g}"
        out = f", OUTSIDE at {a.outside}" if a.outside else ""
        yield a.what, f"inside at {a.inside} of {d.points} points{out}; another class at {a.other_classes}"


def _cost(d: Document) -> Iterator[Row]:
    yield (
        "speed",
        f"{d.speed.inference_points_per_s:.4g} points/s executed, {d.speed.checked_points_per_s:.4g} points/s enclosed",
    )
    yield "memory", _memory(d.memory)
    if d.certificate is not None:
        yield "written", f"{d.certificate}; check it anywhere: tlcheck verify {d.certificate}"


def headline(d: Document) -> str:
    if d.outside_count:
        return f"OUTSIDE   {d.outside_count} of {d.points} points: this runtime does not obey the profile {d.profile.name}"
    if d.layers is not None and d.layers.first_outside is not None:
        where = f"{d.layers.first_outside}, point {d.layers.point}"
        return f"OUTSIDE   {where}: this runtime does not obey the profile {d.profile.name}"
    if outside := outside_elsewhere(d):
        return f"OUTSIDE   {outside} of {d.points} points, in another execution than the first: see determinism and against"
    if d.no_enclosure:
        return f"UNDECIDED {len(d.no_enclosure)} of {d.points} points have no enclosure"
    return f"INSIDE    {d.inside} of {d.points} points"


def text(d: Document) -> str:
    lines = [headline(d)]
    for heading, rows in sections(d):
        if not rows:
            continue
        lines += [heading] if heading else []
        indent = "  " if heading else ""
        lines += [
            f"{indent}{what:<10}{' ' if len(what) >= 10 else ''}{value}" if what else f"{indent}{value}"
            for what, value in rows
        ]
    return "\n".join(map(printable, lines)) + "\n"


def markdown(d: Document) -> str:
    out = [f"# {markdown_cell(headline(d))}", ""]
    for heading, rows in sections(d):
        if not rows:
            continue
        out += [f"## {heading}", ""] if heading else []
        out += [
            "| | |",
            "| --- | --- |",
            *(f"| {markdown_cell(what)} | {markdown_cell(value)} |" for what, value in rows),
            "",
        ]
    return "\n".join(out)


def html(d: Document) -> str:
    style = "body{font:15px/1.5 sans-serif;max-width:60em;margin:2em auto}td{padding:.1em 1em .1em 0;vertical-align:top}"
    out = [
        f"<!doctype html><meta charset=utf-8><title>tlcheck run</title><style>{style}</style><h1>{escape(headline(d))}</h1>"
    ]
    for heading, rows in sections(d):
        if not rows:
            continue
        out += [f"<h2>{escape(heading)}</h2>"] if heading else []
        cells = (f"<tr><td>{escape(printable(what))}<td>{escape(printable(value))}" for what, value in rows)
        out.append(f"<table>{''.join(cells)}</table>")
    return "\n".join(out) + "\n"


def json(d: Document) -> str:
    return msgspec.json.format(msgspec.json.encode(d), indent=2).decode() + "\n"


RENDERERS: Final[dict[str, Callable[[Document], str]]] = {
    "text": text,
    "json": json,
    "markdown": markdown,
    "html": html,
}


def names() -> Sequence[str]:
    return tuple(RENDERERS)


def _memory(m: Memory) -> str:
    said = [f"peak {m.peak_host_mib:.0f} MiB"]
    if m.device_pool_mib is not None:
        limit = "" if m.device_pool_limit_mib is None else f" of at most {m.device_pool_limit_mib:.0f}"
        said.append(f"device pool {m.device_pool_mib:.0f}{limit} MiB")
    if m.device_used_mib is not None:
        said.append(f"device {m.device_used_mib:.0f} MiB")
    return ", ".join(said)
