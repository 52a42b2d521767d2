"""Text: one line per claim, then one line that sums up. For people; nothing parses it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import Final

from tlcheck.report.record import UNREADABLE, WORST_FIRST, FileResult, Run
from tlcheck.report.result import Bound, ClaimResult, Number
from tlcheck.trusted.verdict import Verdict

COLOURS: Final = {
    Verdict.CERTIFIED: "32;1",
    Verdict.REFUTED: "31;1",
    Verdict.UNPROVEN: "33;1",
    Verdict.INVALID: "35;1",
}
BUG_COLOUR: Final = "37;41;1"
SHOWN_DIGITS: Final = 6
SHORT_KINDS: Final = ("unsat", "sat", "equiv", "differ")
"""Significant digits of a number in text; the JSON report has all of them."""
INDENT: Final = " " * 11
NARROWEST: Final = 20
"""Columns beside the indentation that a line has at least."""
ROUNDINGS: Final = {"down": ROUND_FLOOR, "up": ROUND_CEILING}


@dataclass(frozen=True)
class Text:
    """Lines for a terminal. ``quiet`` keeps only what is INVALID or a bug. Lines are broken between words where ``width``,
    the terminal's, is known."""

    color: bool = False
    verbose: bool = False
    quiet: bool = False
    width: int = 0

    def file(self, result: FileResult) -> str:
        """The lines of one file, as soon as it is done."""
        lines: list[str] = []
        if result.error is not None:
            lines.append(
                self._line("BUG", BUG_COLOUR, f"{result.path}: [{result.error.code}] {result.error.message}")
            )
        for claim, roots in result.with_roots:
            if not self.quiet or claim.verdict is Verdict.INVALID:
                name = claim.details.get("name") if len(result.claims) > 1 else None
                lines.append(self._claim(result.path, claim, "" if name is None else f" ({name})"))
                more = self._details(claim, roots) if self.verbose else _cross_check(claim)
                lines += [self._broken(printable(line), indent_of(line) + "  ") for line in more]
        return "".join(f"{line}\n" for line in lines)

    def end(self, run: Run) -> str:
        """What no lock file has and, verbose, what was passed over; then the summary line."""
        if self.quiet:
            return ""
        lines = [f"not in the lock file: {claim.path} ({claim.name})" for claim in run.unexpected]
        if self.verbose:
            lines += [f"passed over: {other.path}: {other.what}" for other in run.passed]
        return "".join(f"{self._broken(printable(line), INDENT)}\n" for line in (*lines, self._summary(run)))

    def _summary(self, run: Run) -> str:
        counts = Counter(claim.verdict for claim in run.claims)
        parts = [f"{counts[verdict]} {verdict.value}" for verdict in reversed(WORST_FIRST) if counts[verdict]]
        bugs = sum(result.error is not None for result in run.results)
        if bugs:
            parts.append(f"{bugs} stopped by a bug in tlcheck")
        claims = sum(claim.kind != UNREADABLE for claim in run.claims)
        files = len({result.path for result in run.results})
        text = (
            f"{claims} {_plural('claim', claims)} in {files} {_plural('file', files)}: "
            f"{', '.join(parts) or 'nothing decided'}; "
        )
        if run.unexpected:
            text += f"{len(run.unexpected)} not in the lock file; "
        if run.passed:
            count = len(run.passed)
            text += (
                f"{count} {_plural('file', count)} passed over{'' if self.verbose else ' (names with -v)'}; "
            )
        return f"{text}{run.seconds:.1f} s"

    def _claim(self, path: str, claim: ClaimResult, name: str) -> str:
        word, colour = claim.verdict.value, COLOURS[claim.verdict]
        if claim.verdict is Verdict.INVALID:
            message = claim.reason.message
            named = message if message.startswith(path) else f"{path}: {message}"
            return self._line(word, colour, f"{named} [{claim.reason.code}]")
        kind = f"{claim.kind:6}" if claim.kind in SHORT_KINDS else f"{claim.kind:15}"
        rest = f"{kind}  {_margin(claim):22}  {claim.seconds:7.2f} s  {path}{name}"
        if claim.verdict is not Verdict.CERTIFIED:
            where = claim.reason.location.removeprefix("at ")
            rest += f": {claim.reason.message}{f' at {where}' * bool(where)} [{claim.reason.code}]"
        return self._line(word, colour, rest)

    def _line(self, word: str, colour: str, rest: str) -> str:
        """``word`` in colour, then ``rest``, which may come from a hostile file, with nothing a terminal obeys."""
        padded = f"{word:9}"
        line = self._broken(f"{padded}  {printable(rest)}", INDENT)
        return f"\x1b[{colour}m{padded}\x1b[0m{line[len(padded) :]}" if self.color else line

    def _broken(self, line: str, indent: str) -> str:
        """``line`` in lines of the terminal's width, if that is known, broken between words; a longer word is left whole."""
        if not self.width or len(line) <= self.width:
            return line
        shown = indent_of(line)
        room = max(self.width, len(indent) + NARROWEST)
        pieces, current = [], shown
        for space, word in re.findall(r"( *)([^ ]+)", line[len(shown) :]):
            if current.strip() and len(current) + len(space) + len(word) > room:
                pieces.append(current)
                current = indent + word
            else:
                current += space + word
        return "\n".join([*pieces, current])

    def _details(self, claim: ClaimResult, roots: Sequence[str]) -> list[str]:
        lines = [f"claim: {claim.statement}"]
        lines += _bound_lines("margin", claim.bound)
        if claim.deployed is not None:
            lines += _bound_lines("deployed margin", claim.deployed)
        if claim.leaves_total:
            noun = "leaves" if claim.kind in ("unsat", "equiv") else "conditions"
            lines.append(f"{noun}: {claim.leaves_certified} of {claim.leaves_total} proved")
        lines += [f"assumes: {assumption}" for assumption in claim.assumptions]
        lines += _tree_lines("arithmetic", claim.arithmetic)
        for name, value in claim.details.items():
            lines += _tree_lines(name, value)
        lines += _rests_on_lines(roots)
        return [f"{INDENT}{line}" for line in lines]


def _rests_on_lines(roots: Sequence[str]) -> list[str]:
    from tlcheck.report.rests_on import rests_on

    found = rests_on(roots) if roots else None
    if found is not None:
        return [found.line]
    return ["rests on: the sources of tlcheck are not installed"] if roots else []


def indent_of(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" "))]


def shown(number: Number) -> str:
    """``number`` in at most SHOWN_DIGITS digits, rounded further in its own direction (to nearest when exact)."""
    try:
        value = Decimal(number.decimal)
    except InvalidOperation:
        return number.decimal
    if not value.is_finite():
        return number.decimal
    rounding = ROUNDINGS.get(number.direction, ROUND_HALF_EVEN)
    return f"{Context(prec=SHOWN_DIGITS, rounding=rounding).plus(value):g}"


def printable(text: str) -> str:
    """``text`` with everything that is not a printable character written as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _cross_check(claim: ClaimResult) -> list[str]:
    """Who asks for a cross-check is told what was compared."""
    outcome = claim.arithmetic.get("cross_check")
    return [] if outcome is None else [f"{INDENT}cross-check: {outcome}"]


def _margin(claim: ClaimResult) -> str:
    parts = []
    if claim.bound.rigorous is not None:
        sign = "<=" if claim.bound.rigorous.direction == "up" else ">="
        parts.append(f"margin {sign} {shown(claim.bound.rigorous)}")
    if claim.deployed is not None and claim.deployed.rigorous is not None:
        parts.append(f"deployed >= {shown(claim.deployed.rigorous)}")
    return ", ".join(parts) or "-"


def _bound_lines(name: str, bound: Bound) -> list[str]:
    values = (("rigorous", bound.rigorous), ("claimed", bound.claimed), ("required", bound.required))
    text = ", ".join(f"{word} {number.decimal}" for word, number in values if number is not None)
    if bound.rigorous is not None and bound.claimed is not None:
        text += f", claimed - rigorous {_difference(bound.claimed, bound.rigorous)}"
    return [f"{name}: {text}"] if text else []


def _difference(left: Number, right: Number) -> str:
    """left - right in three digits, for the eye."""
    try:
        return f"{Context(prec=3).subtract(Decimal(left.decimal), Decimal(right.decimal)):g}"
    except InvalidOperation:
        return "unknown"


def _tree_lines(name: str, value: object, indent: str = "") -> list[str]:
    """``name: value``, nested mappings and sequences of mappings indented below their name."""
    if isinstance(value, dict) and value:
        lines = [f"{indent}{name}:"]
        for key, item in value.items():
            lines += _tree_lines(str(key), item, indent + "  ")
        return lines
    if isinstance(value, (list, tuple)) and any(isinstance(item, dict) for item in value):
        lines = [f"{indent}{name}:"]
        for item in value:
            row = (
                ", ".join(f"{key} {_word(entry)}" for key, entry in item.items())
                if isinstance(item, dict)
                else ""
            )
            lines.append(f"{indent}  {row or _word(item)}")
        return lines
    empty = value is None or (isinstance(value, dict) and not value)
    return [] if empty else [f"{indent}{name}: {_word(value)}"]


def _word(value: object) -> str:
    if isinstance(value, Number):
        return shown(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(_word(item) for item in value)
    return str(value)


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"
