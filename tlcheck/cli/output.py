"""Where a report goes: standard output as it comes, or a file that appears complete or not at all."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import click


class OutputError(click.ClickException):
    """The report cannot be written where it was asked for."""

    def __init__(self, target: Path, error: OSError) -> None:
        super().__init__(f"cannot write {click.format_filename(target)}: {error.strerror or error}")


class Output:
    """A context manager: text given to :meth:`write` is at ``target`` once the block ends without an exception.

    ``target`` None is standard output, written at once. A regular file is replaced in one step (a temporary file in
    its folder, then a rename), so a reader sees the old content or the new, and an interrupt leaves the old. What is
    not a regular file (a pipe, /dev/stdout) is written directly. Raises OutputError early when it cannot work.
    """

    def __init__(self, target: Path | None) -> None:
        self._target = None if target is None else Path(os.path.realpath(target))
        self._pieces: list[str] = []
        if self._target is not None and not self._target.parent.is_dir():
            raise OutputError(self._target, NotADirectoryError(0, "no such folder"))
        if self._target is not None and self._target.is_dir():
            raise OutputError(self._target, IsADirectoryError(0, "it is a folder"))

    def write(self, text: str) -> None:
        if self._target is not None:
            self._pieces.append(text)
        elif text:
            click.echo(text.encode("utf-8", "backslashreplace"), nl=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None or self._target is None:
            return
        content = "".join(self._pieces).encode("utf-8", "backslashreplace")
        try:
            if self._target.exists() and not stat.S_ISREG(self._target.stat().st_mode):
                self._target.write_bytes(content)
            else:
                replace_file(self._target, content)
        except OSError as failure:
            raise OutputError(self._target, failure) from failure


def replace_file(target: Path, content: bytes) -> None:
    """Make ``content`` the content of ``target`` in one step; its folder is left as it was if that fails."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else 0o666
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def use_color(choice: str, output: Path | None) -> bool:
    """``--color``: auto colours a terminal unless NO_COLOR is set."""
    if choice != "auto":
        return choice == "always"
    dumb = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    return output is None and not dumb and sys.stdout.isatty()
