"""Rulings of earlier runs, by content: the same bytes under the same checker need no second look.

JSON lines in one file, appended as rulings become known, so that a run that was cut short continues. The key is the
SHA-256 of every file a ruling rests on, of tlcheck's own source, and of what computes: a corrected tlcheck or another
onnxruntime asks again. The file is the user's own; whoever edits it edits his own report.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from tlcheck.errors import InvalidInput

HEAD: Final = {"store": "tlcheck referee", "version": 1}


@cache
def checker() -> str:
    """The SHA-256 of tlcheck's source and of the versions it computes with."""
    from tlcheck.report.versions import tool_versions

    digest = hashlib.sha256(json.dumps(tool_versions(), sort_keys=True).encode())
    package = Path(__file__).parents[1]
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def key_of(*hashes: str) -> str:
    """The key of evidence with these hashes, in this order."""
    return hashlib.sha256("\0".join([checker(), *hashes]).encode()).hexdigest()


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
