"""What malformed input raises, and what tlcheck does not decide.

``InvalidInput`` is the one exception a reader raises: it names the file, the field, what was expected
and what was found, and ends as verdict INVALID and exit code 3. A verdict is a value, never an
exception. Anything else that escapes is a bug and exits 70.
"""

from __future__ import annotations


class InvalidInput(Exception):
    """Input that is malformed, too large, unsupported, or not what it is said to belong to.

    ``code`` is a key of :data:`tlcheck.codes.CODES` (``tlcheck explain CODE`` prints its text).
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
        where = ": ".join(part for part in (self.file, self.field) if part)
        text = f"{where}: {self.message}" if where else self.message
        if self.expected:
            text += f" (expected {self.expected}"
            text += f", got {self.got})" if self.got else ")"
        elif self.got:
            text += f" (got {self.got})"
        return " ".join(text.split())

    def in_file(self, file: str) -> InvalidInput:
        """The same error, naming ``file`` unless it already names one."""
        if not self.file:
            self.file = file
            self.args = (self.line(),)
        return self

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (self.code, self.message, self.file, self.field, self.expected, self.got))


def _rebuild(code: str, message: str, file: str, field: str, expected: str, got: str) -> InvalidInput:
    return InvalidInput(code, message, file=file, field=field, expected=expected, got=got)
