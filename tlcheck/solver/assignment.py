"""The assignment after ``sat``: text for standard output, and files of ONNX TensorProto.

Text (section 5.3.1): for every declared variable, in declaration order, a header ``NAME TYPE [d1,d2]`` and its values,
row-major, one a line. Numbers are decimals without exponent, so that VNN-LIB reads them back; a value whose decimals
end (every float) is printed exactly.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np

from tlcheck.errors import InvalidInput
from tlcheck.readers.vnnlib.version2 import Tensor

Values = Iterable[tuple[Tensor, Sequence[Fraction]]]
ROUNDED_DIGITS: Final = 40
"""Decimals of a number whose decimals do not end."""
_STORED: Final = {"real": "float64", "bfloat16": "float32"}
"""The numpy type that holds a declared type that numpy lacks."""


def as_text(values: Values) -> str:
    """The lines of section 5.3.1."""
    lines = []
    for tensor, numbers in values:
        lines.append(f"{tensor.name} {tensor.dtype} [{','.join(map(str, tensor.shape))}]")
        whole = "int" in tensor.dtype
        lines += [decimal(q, whole=whole) for q in numbers]
    return "".join(f"{line}\n" for line in lines)


def decimal(q: Fraction, *, whole: bool = False) -> str:
    """``q`` as a decimal without exponent, exact where its decimals end; ``whole``: without a point."""
    sign, numerator, denominator = "-" if q < 0 else "", abs(q.numerator), q.denominator
    if whole and denominator == 1:
        return f"{sign}{numerator}"
    rest, twos, fives = denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    places = max(twos, fives, 1) if rest == 1 else ROUNDED_DIGITS
    digits = (numerator * 10**places + denominator // 2) // denominator  # exact when rest is 1
    before, after = divmod(digits, 10**places)
    return f"{sign}{before}.{after:0{places}d}"


def write_files(folder: Path, values: Values) -> None:
    """A file ``NAME.pb`` for each variable, an ONNX TensorProto of its declared type; ``real`` as float64.

    Each file is complete or not there. Raises InvalidInput TLC402: a folder that cannot be written, a value beyond float64.
    """
    from onnx import numpy_helper

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for tensor, numbers in values:
            dtype = np.dtype(_STORED.get(tensor.dtype, tensor.dtype))
            exact = [int(q) if dtype.kind in "iu" else float(q) for q in numbers]
            array = np.array(exact).astype(dtype).reshape(tensor.shape)
            content = numpy_helper.from_array(array, tensor.name).SerializeToString()
            target = folder / f"{tensor.name}.pb"
            part = folder / f".{tensor.name}.pb.{os.getpid()}"
            try:
                part.write_bytes(content)
                os.replace(part, target)
            finally:
                part.unlink(missing_ok=True)
    except OverflowError:
        raise InvalidInput(
            "TLC402",
            "a value is beyond float64: leave --serialise-assignments out to have it as text",
            file=str(folder),
        ) from None
    except OSError as error:
        raise InvalidInput(
            "TLC402", f"the folder cannot be written: {error.strerror}", file=str(folder)
        ) from error
