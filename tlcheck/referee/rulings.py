"""Rulings of earlier runs, by content: the same bytes under the same checker need no second look.

JSON lines in one file, appended as rulings become known, so that a run that was cut short continues. The key is of every
file that a ruling rests on, in its role, of tlcheck's own source, and of what computes (``keys.lasting_key``): a
corrected tlcheck or another onnxruntime asks again. The file is the user's own; whoever edits it edits his own report.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from tlcheck.errors import InvalidInput

HEAD: Final = {"store": "tlcheck referee", "version": 1}


@dataclass
class Store:
    """A mapping of keys to JSON objects that outlives the run; ``path`` None keeps it in memory. A context manager."""

    path: Path | None
    _known: dict[str, Any] = field(default_factory=dict)
    _file: Any = None

    def __enter__(self) -> Self:
        if self.path is None:
            return self
        try:
            self._file = open(self.path, "a+", encoding="utf-8")
            _lock(self._file, self.path)
            self._file.seek(0)
            self._read(self._file.read())
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise InvalidInput("TLC402", f"cannot use the store: {reason}", file=str(self.path)) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def get(self, key: str) -> Any | None:
        return self._known.get(key)

    def put(self, key: str, value: Any) -> None:
        self._known[key] = value
        if self._file is not None:
            self._file.write(json.dumps({"key": key, "value": value}) + "\n")
            self._file.flush()

    def _read(self, text: str) -> None:
        lines = text.splitlines()
        if not lines:
            self._file.write(json.dumps(HEAD) + "\n")
            self._file.flush()
            return
        if _parse(lines[0]) != HEAD:
            raise InvalidInput("TLC101", "not a store of the referee", file=str(self.path))
        for line in lines[1:]:
            entry = _parse(line)
            if isinstance(entry, dict) and isinstance(entry.get("key"), str) and "value" in entry:
                self._known[entry["key"]] = entry["value"]
        if not text.endswith("\n"):  # cut short: the next line must not be swallowed
            self._file.write("\n")


def _parse(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):  # ValueError: not JSON, or an integer of thousands of digits
        return None


def _lock(file: Any, path: Path) -> None:
    """One run at a time writes a store."""
    if os.name != "posix":
        return
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise InvalidInput("TLC402", "another run is using the store", file=str(path)) from None
