"""What is assumed of the program that executes a network in float32: numbers. Where they come from is not known here.

Every operation is executed as its steps are here, whatever the order of summation, with or without FMA and flush-to-zero
(results and operands alike), or with an error that is no larger: sums and products are rounded to nearest, quotients by
constants are within three roundings, a function of one variable has its ``Accuracy``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction


class NotDeployable(Exception):
    """The operation has no float32 rounding radius: none is proved, or the profile does not say how accurate it is."""


@dataclass(frozen=True)
class Accuracy:
    """|result - f(x)| <= absolute + relative |f(x)| + per_operand |x|, for every finite operand x."""

    absolute: Fraction = Fraction(0)
    relative: Fraction = Fraction(0)
    per_operand: Fraction = Fraction(0)

    def __post_init__(self) -> None:
        parts = (self.absolute, self.relative, self.per_operand)
        if not all(0 <= part < 1 for part in parts):
            raise ValueError(f"accuracy {tuple(map(str, parts))}: each part is at least 0 and less than 1")


@dataclass(frozen=True)
class Profile:
    """``name`` and ``digest`` (of the document) say which it is, in verdicts and keys. ``functions``: by the name of the
    operation's class. ``normalisation``: by the name of the operator, how its means and variances are computed."""

    name: str
    digest: str
    functions: Mapping[str, Accuracy] = field(default_factory=dict)
    normalisation: Mapping[str, str] = field(default_factory=dict)

    def accuracy(self, function: str) -> Accuracy:
        """Raises NotDeployable where the profile does not say."""
        if function not in self.functions:
            raise NotDeployable(f"{function}, which the profile {self.name} does not list")
        return self.functions[function]

    def quotient(self) -> Fraction:
        """The relative error of a quotient: a reciprocal's, and one rounding more. Raises NotDeployable."""
        said = self.accuracy("Reciprocal")
        if said.absolute or said.per_operand:
            raise NotDeployable(
                f"a quotient, with an error of Reciprocal that is not relative (profile {self.name})"
            )
        return said.relative + Fraction(1, 1 << 24)
