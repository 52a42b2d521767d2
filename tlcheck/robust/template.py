"""A property for each sample from one text: VNN-LIB with placeholders in braces, which VNN-LIB itself has not.

=================  ==========================================================================================
``{label}``        the sample's label: the class's number, or any number where nothing names classes
``{eps}``          --eps, in its own units (not normalised)
``{x 5}``          the network's input number 5 (flat, from 0) for the sample; also ``{lower 5}``, ``{upper 5}``: the ends
                   of its box
``{i}``            a line with it is repeated for each input; there ``{x}``, ``{lower}``, ``{upper}`` are input i's
``{j}``            a line with it is repeated for each output
``{other}``        a line with it is repeated for each output that is not the label
=================  ==========================================================================================

A number that has no short decimal is rounded: ``lower`` down, ``upper`` up, ``x``, ``label`` and ``eps`` are refused (TLC501)
unless exact, because nothing says which side is safe. A line has at most one of {i}, {j}, {other}. Any other brace is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from tlcheck.errors import InvalidInput
from tlcheck.report.numerals import number
from tlcheck.writers.query_text import decimal_above, decimal_below

Point = tuple[Fraction, ...]

_PLACE: Final = re.compile(r"\{([^{}]*)\}")
_WORD: Final = re.compile(r"(x|lower|upper)(?: (0|[1-9][0-9]{0,8}))?|label|eps|i|j|other")
_LOOPS: Final = ("i", "j", "other")


@dataclass(frozen=True)
class Filling:
    """What is put in for one sample. ``label``: its number, None where it has none."""

    x: Point
    lower: Point
    upper: Point
    label: Fraction | None
    eps: Fraction
    n_outputs: int


@dataclass(frozen=True)
class Template:
    """A text whose placeholders are all known."""

    text: str
    file: str = ""

    def __post_init__(self) -> None:
        for k, line in enumerate(self.text.split("\n")):
            rest = _PLACE.sub("", line)
            if "{" in rest or "}" in rest:
                raise self._wrong("a brace that opens or closes nothing", k, line)
            words = _PLACE.findall(line)
            unknown = [word for word in words if _WORD.fullmatch(word) is None]
            if unknown:
                raise self._wrong("no placeholder", k, f"{{{unknown[0]}}}")
            loops = {word for word in words if word in _LOOPS}
            if len(loops) > 1:
                raise self._wrong("a line is repeated for one thing", k, " and ".join(sorted(loops)))
            if "i" not in loops and {"x", "lower", "upper"} & set(words):
                raise self._wrong("which input's? {x 5}, or {x} on a line with {i}", k, line)

    def _wrong(self, message: str, k: int, got: str) -> InvalidInput:
        return InvalidInput("TLC501", message, file=self.file, field=f"line {k + 1}", got=ascii(got[:80]))

    @property
    def asks_label(self) -> bool:
        return bool({"label", "other"} & set(_PLACE.findall(self.text)))

    @property
    def asks_class(self) -> bool:
        """The label must be the number of an output."""
        return "other" in _PLACE.findall(self.text)

    @property
    def asks_box(self) -> bool:
        """The ends of a box around the sample are put in."""
        return any(word.startswith(("lower", "upper")) for word in _PLACE.findall(self.text))

    def filled(self, filling: Filling) -> bytes:
        """The property of one sample. Raises InvalidInput TLC501."""
        lines = [
            line for k, line in enumerate(self.text.split("\n")) for line in self._line(k, line, filling)
        ]
        return "\n".join(lines).encode()

    def _line(self, k: int, line: str, filling: Filling) -> Iterator[str]:
        loop = next((word for word in _PLACE.findall(line) if word in _LOOPS), "")
        if not loop:
            yield self._put(k, line, filling, None)
            return
        numbers = range(len(filling.x) if loop == "i" else filling.n_outputs)
        for at in numbers:
            if loop != "other" or at != filling.label:
                yield self._put(k, line, filling, at)

    def _put(self, k: int, line: str, filling: Filling, at: int | None) -> str:
        def value(match: re.Match[str]) -> str:
            word = match.group(1)
            if word in _LOOPS:
                return str(at)
            name, _, index = word.partition(" ")
            if name in ("label", "eps"):
                found = filling.label if name == "label" else filling.eps
                return self._exact(k, name, found)
            place = int(index) if index else at
            if place is None or place >= len(filling.x):
                raise self._wrong(f"the network has {len(filling.x)} inputs", k, word)
            ends: dict[str, Callable[[Fraction], str]] = {"lower": decimal_below, "upper": decimal_above}
            own: Point = getattr(filling, name)
            return ends[name](own[place]) if name in ends else self._exact(k, name, own[place])

        return _PLACE.sub(value, line)

    def _exact(self, k: int, name: str, value: Fraction | None) -> str:
        if value is None:
            raise self._wrong("the sample has no label", k, name)
        text = number(value)
        if "/" in text:
            raise self._wrong(
                "has no short decimal, and nothing says which way to round it", k, f"{name} = {text}"
            )
        return text


def read_template(data: bytes, file: str) -> Template:
    """The template in a file. Raises InvalidInput TLC501."""
    try:
        return Template(data.decode("utf-8").replace("\r\n", "\n"), file)
    except UnicodeDecodeError as error:
        raise InvalidInput("TLC501", "not UTF-8 text", file=file, got=f"byte {error.start}") from error
