"""Kept inputs: one for every kind of thing that a run has met, in a folder that grows by ``--grow`` alone.

What a kind is, the target says; an input is kept when it has a kind that no kept one has, and is small.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import cached_property
from hashlib import sha256
from pathlib import Path

KEPT = Path(__file__).parent / "kept"
FORMULAS = KEPT / "formulas"
BUNDLES = KEPT / "bundles"
MOST_BYTES = 3000


class Corpus:
    """The files of a folder, and the kinds that they have (``kinds``: of one input; asked only when something may be kept)."""

    def __init__(self, folder: Path, kinds: Callable[[bytes], Collection[str]]) -> None:
        self.folder, self._kinds, self.new = folder, kinds, 0

    def inputs(self) -> list[bytes]:
        return [path.read_bytes() for path in sorted(self.folder.glob("*"))]

    @cached_property
    def seen(self) -> set[str]:
        return {kind for data in self.inputs() for kind in self._kinds(data)}

    def keep(self, data: bytes, kinds: Iterable[str]) -> bool:
        """Whether it was kept."""
        fresh = set(kinds) - self.seen
        if not fresh or len(data) > MOST_BYTES:
            return False
        self.seen.update(fresh)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / sha256(data).hexdigest()[:12]).write_bytes(data)
        self.new += 1
        return True

    def said(self) -> str:
        return f"{len(self.inputs())} kept inputs, {self.new} of them new"
