"""Where a report goes: standard output as it comes, or a file that appears complete or not at all."""

from __future__ import annotations

import errno
import os
import stat
import sys
from pathlib import Path
from types import TracebackType
from typing import Final, Self

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
        if self._target is not None:
            check_writable(self._target)

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


def check_writable(target: Path) -> None:
    """A file can be made there, or what is there be replaced, as far as can be told. Raises OutputError."""
    folder, mode = _mode(target.parent, target), _mode(target, target)
    if not stat.S_ISDIR(folder):
        raise OutputError(target, NotADirectoryError(0, "no such folder"))
    if stat.S_ISDIR(mode):
        raise OutputError(target, IsADirectoryError(0, "it is a folder"))
    if not os.access(target.parent, os.W_OK | os.X_OK) and (not mode or stat.S_ISREG(mode)):
        raise OutputError(target, PermissionError(0, "no permission to write in its folder"))


def _mode(path: Path, target: Path) -> int:
    """What is at ``path``; 0 when nothing is. Raises OutputError where that cannot be told: a folder that may not be
    entered, a name too long, links in a circle."""
    try:
        return os.stat(path).st_mode
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise OutputError(target, error) from error


UNUSABLE: Final = frozenset(
    getattr(errno, name)
    for name in (
        *(
            "EACCES",
            "EPERM",
            "EROFS",
            "ENOENT",
            "ENOTDIR",
            "EISDIR",
            "ELOOP",
            "ENAMETOOLONG",
            "EEXIST",
            "ENOTEMPTY",
        ),
        *(
            "ENOSPC",
            "EDQUOT",
            "EFBIG",
            "EIO",
            "EMFILE",
            "ENFILE",
            "EBUSY",
            "ETXTBSY",
            "ENXIO",
            "ENODEV",
            "ESTALE",
        ),
    )
    if hasattr(errno, name)
)
"""What a file or a folder of the user's can be, without a bug in tlcheck."""
PACKAGE: Final = os.path.realpath(Path(__file__).parents[1])


def unusable(error: OSError) -> str | None:
    """One line about a file of the user's that the system refuses; None where the error may be a bug."""
    if error.errno == errno.ENOSPC:
        return f"cannot write the output: {error.strerror}"
    if error.errno not in UNUSABLE or not isinstance(error.filename, (str, bytes)):
        return None
    name = os.fsdecode(error.filename)
    if os.path.realpath(name).startswith(PACKAGE + os.sep):
        return None
    return f"cannot use {click.format_filename(name)}: {error.strerror}"


def line_width(output: Path | None) -> int:
    """Columns of the terminal that a text report goes to; 0 where lines are as long as they are."""
    if output is not None or not sys.stdout.isatty():
        return 0
    from shutil import get_terminal_size

    return get_terminal_size().columns


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
