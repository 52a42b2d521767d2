"""Which module has which command: one table, and the group of commands that imports a module when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Final

import click

COMMANDS: Final = {
    "verify": "verify",
    "lock": "lock",
    "show": "explain",
    "plot": "plot",
    "convert": "convert",
    "certify": "certify",
    "certify-pinn": "certify_pinn",
    "certify-robust": "certify_robust",
    "equiv": "equiv",
    "certify-lyapunov": "certify_lyapunov",
    "lyapunov-spec": "lyapunov_spec",
    "run": "run_model",
    "calibrate": "calibrate",
    "vnncomp": "vnncomp",
    "vnnlib": "vnnlib",
    "explain": "explain",
    "formats": "explain",
    "kernels": "kernels",
    "schema": "explain",
    "completion": "completion",
}
"""The module in ``tlcheck.cli`` of each command, which is called there as here."""


class Commands(click.Group):
    """The commands of COMMANDS, each imported when it is looked up."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*COMMANDS, *self.commands})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.commands and cmd_name in COMMANDS:
            module = import_module(f"tlcheck.cli.{COMMANDS[cmd_name]}")
            self.add_command(getattr(module, cmd_name.replace("-", "_")))
        return super().get_command(ctx, cmd_name)
