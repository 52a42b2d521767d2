"""VNN-LIB texts of the corpus, 1.0 and 2.0, with exact decimals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

Box = Sequence[tuple[Fraction, Fraction]]


def exact_text(q: Fraction) -> str:
    """``q`` exactly: a decimal where it has one of at most 160 places, else a quotient."""
    for places in range(161):
        scaled = q * 10**places
        if scaled.denominator == 1:
            digits = f"{abs(int(scaled)):0{places + 1}d}"
            text = f"{digits[:-places]}.{digits[-places:]}" if places else digits
            return f"-{text}" if q < 0 else text
        if q.denominator % 2 and q.denominator % 5:
            break
    return f"{q.numerator}/{q.denominator}"


def text_of(q: Fraction) -> str:
    """A decimal, exactly; only for fractions that have one."""
    text = exact_text(q)
    if "/" in text:
        raise ValueError(f"{q} has no short decimal")
    return text


def around(image: Sequence[int], eps: Fraction) -> list[tuple[Fraction, Fraction]]:
    """The box of radius ``eps`` around an image with values 0..16, in [0, 1]."""
    points = [Fraction(v, 16) for v in image]
    return [(max(Fraction(0), p - eps), min(Fraction(1), p + eps)) for p in points]


def bounds(box: Box) -> list[str]:
    return [
        f"({op} X_{i} {text_of(q)})"
        for i, pair in enumerate(box)
        for op, q in zip((">=", "<="), pair, strict=True)
    ]


def vnnlib1(n_outputs: int, box: Box, formulas: Iterable[str]) -> bytes:
    """Declarations, the box, and the formulas over X_i and Y_j, each asserted."""
    lines = [f"(declare-const X_{i} Real)" for i in range(len(box))]
    lines += [f"(declare-const Y_{j} Real)" for j in range(n_outputs)]
    lines += [f"(assert {f})" for f in [*bounds(box), *formulas]]
    return ("\n".join(lines) + "\n").encode()


def loses(label: int, n_outputs: int = 10, margin: Fraction = Fraction(0)) -> str:
    """Some other output is at least Y_label + margin."""
    rest = f"Y_{label}" if margin == 0 else f"(+ Y_{label} {text_of(margin)})"
    return "(or " + " ".join(f"(and (>= Y_{j} {rest}))" for j in range(n_outputs) if j != label) + ")"


def beats(label: int, other: int, margin: Fraction) -> str:
    """Y_other - Y_label >= margin."""
    return f"(>= (- Y_{other} Y_{label}) {text_of(margin)})"


def vnnlib2(
    inputs: Sequence[tuple[str, Sequence[int], Box]],
    output: tuple[str, Sequence[int]],
    formulas: Iterable[str],
) -> bytes:
    """A 2.0 property over named tensors of two axes; boxes are row-major."""

    def shape(dims: Sequence[int]) -> str:
        return "[" + ",".join(map(str, dims)) + "]"

    lines = ["(vnnlib-version <2.0>)", "(declare-network f"]
    lines += [f"  (declare-input {name} float32 {shape(dims)})" for name, dims, _ in inputs]
    lines += [f"  (declare-output {output[0]} float32 {shape(output[1])}))"]
    for name, dims, box in inputs:
        for k, (low, high) in enumerate(box):
            at = f"{name}[{k // dims[1]},{k % dims[1]}]"
            lines += [f"(assert (and (>= {at} {_real(low)}) (<= {at} {_real(high)})))"]
    lines += [f"(assert {f})" for f in formulas]
    return ("\n".join(lines) + "\n").encode()


def _real(q: Fraction) -> str:
    """2.0 wants a point in a real number."""
    text = text_of(q)
    return text if "." in text else text + ".0"
