"""What malformed input raises, and what tlcheck does not decide.

``InvalidInput`` is the one exception a reader raises: it names the file, the field, what was expected
and what was found, and ends as verdict INVALID and exit code 3. A verdict is a value, never an
exception. Anything else that escapes is a bug and exits 70.
"""

from __future__ import annotations

MAX_PART = 400
"""Longest part of an error's line."""


class InvalidInput(Exception):
    """Input that is malformed, too large, unsupported, or not what it is said to belong to.

    ``code`` is a key of :data:`tlcheck.report.codes.CODES` (``tlcheck explain CODE`` prints its text).
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        file: str = "",
        field: str = "",
        expected: str = "",
        got: str = "",
    ) -> None:
        self.code = code
        self.message = message
        self.file = file
        self.field = field
        self.expected = expected
        self.got = got
        super().__init__(self.line())

    def line(self) -> str:
        """One line: where, what, expected, got."""
        field, message, expected, got = map(_brief, (self.field, self.message, self.expected, self.got))
        where = ": ".join(part for part in (self.file, field) if part)
        text = f"{where}: {message}" if where else message
        if expected:
            text += f" (expected {expected}"
            text += f", got {got})" if got else ")"
        elif got:
            text += f" (got {got})"
        return " ".join(text.split())

    def in_file(self, file: str) -> InvalidInput:
        """The same error, naming ``file`` unless it already names one."""
        if not self.file:
            self.file = file
            self.args = (self.line(),)
        return self

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (self.code, self.message, self.file, self.field, self.expected, self.got))


def _brief(text: str) -> str:
    """``text``, cut when it holds a name or a value of any length from the input."""
    return text if len(text) <= MAX_PART else f"{text[:MAX_PART]}..."


def _rebuild(code: str, message: str, file: str, field: str, expected: str, got: str) -> InvalidInput:
    return InvalidInput(code, message, file=file, field=field, expected=expected, got=got)
