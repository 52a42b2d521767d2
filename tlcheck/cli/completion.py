"""``tlcheck completion``: what a shell asks for completions with."""

from __future__ import annotations

from typing import Final

import click

from tlcheck.report.record import ExitCode

SHELLS: Final = ("bash", "zsh", "fish")
COMPLETE_VARIABLE: Final = "_TLCHECK_COMPLETE"
"""Set by a completion script to ask for completions; click derives the same name."""


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> ExitCode:
    """Print the completion script of SHELL, for example: eval "$(tlcheck completion bash)"."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"click has no completion for {shell}")
    script = kind(context.find_root().command, {}, "tlcheck", COMPLETE_VARIABLE)
    click.echo(script.source_template % script.source_vars())
    return ExitCode.OK
