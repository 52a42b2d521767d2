"""The shares of a census of witnesses, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tlcheck.referee.findings import CensusOut

SHARES: Final = (
    ("officially_correct", "count", "officially correct", (
        ("outside_as_written", "outside the written bounds"),
        ("outside_both", "also after rounding to float32"),
        ("settled_sat", "settled sat"),
    )),
    ("rounding", "compared", "", (("flipped", "rounding alone flips"),)),
    ("clipping", "outside", "", (("repaired", "moving into the region repairs"),)),
)  # fmt: skip
"""The shares of a census: which counts, the key of the whole, what the whole is called; each part's key and words."""


def shares(census: CensusOut) -> Iterator[tuple[str, str, int, int]]:
    """(name of the whole, words, part, whole) of every share whose counts the census has."""
    for key, whole, name, parts in SHARES:
        counts: dict[str, int] = getattr(census, key)
        yield from (
            (name, words, counts[part], counts.get(whole, 0)) for part, words in parts if part in counts
        )


def census_lines(census: CensusOut) -> list[str]:
    """The shares in words, as ``tlcheck vnncomp witness --index`` says them."""
    named: dict[str, list[str]] = {}
    lines = []
    for name, words, part, whole in shares(census):
        text = f"{words} {share_text(part, whole)}"
        if name:
            named.setdefault(f"{name} {whole}", []).append(text)
        else:
            lines.append(text)
    return [f"{name}: {', '.join(texts)}" for name, texts in named.items()] + lines


def share_text(part: int, whole: int) -> str:
    return f"{part} of {whole} ({percent(part, whole)} %)"


def percent(part: int, whole: int) -> str:
    return f"{100 * part / whole if whole else 0.0:.1f}"
