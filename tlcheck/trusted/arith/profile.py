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
    operation's class. ``normalisation``: by the name of the operator, how its means and variances are computed. ``attention``: by
    the name of the operator, how its softmax is.
    ``exact_products``: sums of products of 8-bit integers are exact, whatever their signs. ``wide_sums``: operators on 16-bit
    numbers are executed in float32, and what they give is rounded to 16 bits. ``tf32``: products of matrices and convolutions
    are TF32's (``product_error``)."""

    name: str
    digest: str
    functions: Mapping[str, Accuracy] = field(default_factory=dict)
    normalisation: Mapping[str, str] = field(default_factory=dict)
    attention: Mapping[str, str] = field(default_factory=dict)
    exact_products: bool = False
    wide_sums: bool = False
    tf32: bool = False

    def product_error(self, terms: int, error: Fraction) -> Fraction:
        """Of a sum of ``terms`` products whose float32 roundings err by ``error``, relative to the products' magnitudes.

        TF32: operands are cut to 10 bits after the leading one, to nearest or towards 0, by at most 2^-10 of themselves; products
        are exact, and blocks of them are added with at least 24 bits, each losing at most 2^-21 of the magnitudes so far.
        """
        if not self.tf32:
            return error
        cut = 1 + Fraction(1, 1 << 10)
        return cut**2 * (1 + Fraction(terms, 1 << 21)) * (1 + error) - 1

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
