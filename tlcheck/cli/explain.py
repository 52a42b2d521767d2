"""Commands that only say something: show, explain, formats, schema."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from tlcheck.options import Options
from tlcheck.report.codes import CODES
from tlcheck.report.record import ExitCode

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

SCHEMAS: Final = ("report", "bundle", "lock", "profile", "referee", "robust", "run")
FORMATS: Final = {
    "certificates": (
        ("tlcert", "tlcheck's own bundle: a folder or a zip with manifest.json and arrays.safetensors"),
        (
            "abcrown-dump",
            "a branch-and-bound proof of alpha-beta-CROWN: a folder with certificate.json and arrays.npz",
        ),
    ),
    "models": (
        (".onnx, .onnx.gz", "ONNX, opset 7 or newer"),
        (".safetensors", "weights, beside a small architecture file (in bundles)"),
    ),
    "properties": ((".vnnlib, .vnnlib.gz", "VNN-LIB 1.0 and 2.0"),),
    "reports": (
        ("text, json, jsonl", "for people; one document; one line per file"),
        ("junit, sarif", "JUnit XML; SARIF 2.1.0"),
    ),
}
ANY_PATH: Final = click.Path(path_type=Path)


@click.command()
@click.argument("cert", type=ANY_PATH)
@click.option(
    "--model", type=ANY_PATH, metavar="FILE", help="The network, where the certificate has no copy."
)
@click.option(
    "--property", type=ANY_PATH, metavar="FILE", help="The property, where the certificate has no copy."
)
def show(cert: Path, model: Path | None, property: Path | None) -> ExitCode:
    """Say in words what CERT would prove. Checks no proof."""
    from tlcheck.report.text import printable
    from tlcheck.report.words import claim_lines
    from tlcheck.verify import load

    loaded = load(cert, Options(model=model, property=property))
    click.echo(printable(f"{cert}: {loaded.format}"))
    for item in loaded.items:
        said = [] if item.said is None else [f"claim ({item.said[0]}): {item.said[1]}; that is:"]
        for line in [*said, *claim_lines(item.claim, item.guidance)]:
            click.echo(printable(line))
    return ExitCode.OK


def _complete_codes(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """For the shell: codes, and what each is about."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(c, help=e.title) for c, e in CODES.items() if c.startswith(incomplete.upper())]


@click.command()
@click.argument("code", required=False, shell_complete=_complete_codes)
def explain(code: str | None) -> ExitCode:
    """Say what the reason CODE means (without CODE: list them)."""
    if code is None:
        for name, entry in CODES.items():
            click.echo(f"{name}  {entry.title}")
        return ExitCode.OK
    name = _code(code)
    click.echo(f"{name}: {CODES[name].title}")
    click.echo(click.wrap_text(CODES[name].explanation, width=100))
    return ExitCode.OK


def _code(given: str) -> str:
    """The reason code that is meant: in any case, with or without TLC, brackets and leading zeros. Raises UsageError."""
    plain = given.strip("[]() ").upper()
    digits = plain.removeprefix("TLC").lstrip("-_ ")
    name = f"TLC{int(digits):03d}" if digits.isascii() and digits.isdigit() and len(digits) < 9 else plain
    if name in CODES:
        return name
    from difflib import get_close_matches

    near = get_close_matches(name, CODES, 3)
    hint = f"did you mean {', '.join(near)}?" if near else "`tlcheck explain` lists them"
    raise click.UsageError(f"no reason code {given!r}; {hint}")


@click.command()
def formats() -> ExitCode:
    """List what tlcheck reads and writes, and what each certificate's format proves."""
    from tlcheck.readers.artifacts import ARTIFACTS
    from tlcheck.readers.runtime_profile import chosen_profile, profile_names

    artifacts = tuple((name, artifact.proves) for name, artifact in ARTIFACTS.items())
    for title, rows in FORMATS.items():
        click.echo(f"{title}:")
        for name, text in (*rows, *artifacts) if title == "certificates" else rows:
            click.echo(f"  {name:28}{text}")
    click.echo("runtime profiles:")
    for name in profile_names():
        document = chosen_profile(name).document
        click.echo(f"  {name:28}{document.kind}: {document.provenance.what}")
    return ExitCode.OK


@click.command()
@click.argument("name", type=click.Choice(SCHEMAS), required=False)
def schema(name: str | None) -> ExitCode:
    """Print the JSON Schema NAME: report (the default), bundle (a .tlcert manifest), lock, profile (of a runtime),
    referee, robust or run (their reports)."""
    import msgspec

    if name == "bundle":
        from tlcheck.readers.bundle.read import manifest_schema

        document = manifest_schema()
    elif name == "profile":
        from tlcheck.readers.runtime_profile import profile_schema

        document = profile_schema()
    elif name == "lock":
        from tlcheck.checking.lock import lock_schema

        document = lock_schema()
    elif name == "referee":
        from tlcheck.referee.findings import referee_schema

        document = referee_schema()
    elif name == "robust":
        from tlcheck.robust.report import robust_schema

        document = robust_schema()
    elif name == "run":
        from tlcheck.conformance.run_document import run_schema

        document = run_schema()
    else:
        from tlcheck.report.schema import report_schema

        document = report_schema()
    click.echo(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())
    return ExitCode.OK
