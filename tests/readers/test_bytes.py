"""Safe reading of files and exact reading of decimals."""

from __future__ import annotations

import gzip
import hashlib
import os
import sys
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_DECIMAL_DIGITS
from tlcheck.readers.bytes import gunzip_if_packed, read_bytes, read_stored_bytes, sha256_hex
from tlcheck.readers.decimals import parse_decimal

TEXT = b"(declare-const X_0 Real)\n" * 1000


@pytest.mark.parametrize("name", ["p.vnnlib", "p.vnnlib.gz"])
def test_gzip_is_told_by_its_content_not_by_its_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(TEXT)
    assert read_bytes(path) == TEXT
    path.write_bytes(gzip.compress(TEXT))
    assert read_bytes(path) == TEXT
    assert read_stored_bytes(path) == gzip.compress(TEXT, mtime=0)[:4] + path.read_bytes()[4:]


@pytest.mark.parametrize("content", [b"", b"\x1f", b"x"])
def test_short_files_are_read_as_they_are(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "f"
    path.write_bytes(content)
    assert read_bytes(str(path)) == content


def test_several_members_and_zero_padding() -> None:
    packed = gzip.compress(b"one ") + gzip.compress(b"") + gzip.compress(b"two")
    assert gunzip_if_packed(packed) == b"one two"
    assert gunzip_if_packed(packed + bytes(512)) == b"one two"


def test_gzip_within_gzip_is_unpacked_once() -> None:
    inner = gzip.compress(TEXT)
    assert gunzip_if_packed(gzip.compress(inner)) == inner


def _corrupt_cases() -> dict[str, bytes]:
    packed = gzip.compress(os.urandom(5000) + TEXT, mtime=0)
    flipped = bytearray(packed)
    flipped[len(packed) // 2] ^= 0x40
    wrong_crc = packed[:-8] + bytes([packed[-8] ^ 1]) + packed[-7:]
    wrong_length = packed[:-1] + bytes([packed[-1] ^ 1])
    return {
        "magic only": packed[:2],
        "header only": packed[:10],
        "half": packed[: len(packed) // 2],
        "trailer missing": packed[:-8],
        "last byte missing": packed[:-1],
        "bit flipped": bytes(flipped),
        "wrong crc": wrong_crc,
        "wrong length": wrong_length,
        "garbage after": packed + b"garbage",
        "second member truncated": packed + packed[:-3],
        "unknown method": b"\x1f\x8b\x09" + packed[3:],
    }


@pytest.mark.parametrize("case", _corrupt_cases().items(), ids=lambda c: c[0])
def test_corrupt_gzip_is_tlc403(tmp_path: Path, case: tuple[str, bytes]) -> None:
    path = tmp_path / "p.gz"
    path.write_bytes(case[1])
    with pytest.raises(InvalidInput) as caught:
        read_bytes(path)
    assert caught.value.code == "TLC403"
    assert caught.value.file == str(path)
    assert "\n" not in caught.value.line()


def test_the_limit_is_exact_for_plain_and_packed(tmp_path: Path) -> None:
    path = tmp_path / "f"
    for content in (TEXT, gzip.compress(TEXT)):
        path.write_bytes(content)
        assert read_bytes(path, limit=len(TEXT)) == TEXT
        with pytest.raises(InvalidInput) as caught:
            read_bytes(path, limit=len(TEXT) - 1)
        assert caught.value.code == "TLC401"


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    bomb = gzip.compress(bytes(64 << 20), compresslevel=9)
    with pytest.raises(InvalidInput, match="too large") as caught:
        gunzip_if_packed(bomb, limit=1 << 20)
    assert caught.value.code == "TLC401"


def test_a_sparse_file_is_refused_by_its_size(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as stream:
        stream.truncate(1 << 40)
    with pytest.raises(InvalidInput) as caught:
        read_bytes(path)
    assert caught.value.code == "TLC401"


@pytest.mark.parametrize("name", ["absent", "folder", "nul\0name", "x" * 5000])
def test_what_is_no_file_is_tlc402(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(InvalidInput) as caught:
        read_bytes(os.path.join(tmp_path, name))
    assert caught.value.code == "TLC402"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidInput) as caught:
        read_bytes(tmp_path / "pipe")
    assert caught.value.code == "TLC402"


def test_sha256() -> None:
    assert sha256_hex(b"abc") == hashlib.sha256(b"abc").hexdigest()
    assert sha256_hex(b"").startswith("e3b0c442")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.1", Fraction(1, 10)),
        ("-0.10", Fraction(-1, 10)),
        ("+3", Fraction(3)),
        ("1e-06", Fraction(1, 10**6)),
        ("-2.5E+3", Fraction(-2500)),
        ("5.", Fraction(5)),
        (".5", Fraction(1, 2)),
        ("-0.0", Fraction(0)),
        ("00012.50", Fraction(25, 2)),
        ("1e0000000000000000000000002", Fraction(100)),
        ("0.1000000000000000055511151231257827", Fraction(1000000000000000055511151231257827, 10**34)),
        ("1e4096", Fraction(10**4096)),
        ("1e-4096", Fraction(1, 10**4096)),
        ("9" * 4096, Fraction(10**4096 - 1)),
        ("0." + "0" * 4094 + "1", Fraction(1, 10**4095)),
    ],
)
def test_decimals_are_exact(text: str, value: Fraction) -> None:
    assert parse_decimal(text) == value


@pytest.mark.parametrize(
    "text",
    (
        *(
            "",
            "+",
            ".",
            "e5",
            "1e",
            "1e+",
            "nan",
            "NaN",
            "inf",
            "-Infinity",
            "0x10",
            "1_0",
            "1,5",
            " 1",
            "1 ",
        ),
        *("1/2", "--1", "1.2.3", "1e5e5", "\u0661", "1\n", "1\0", "\u00bd", "1e1.5"),
    ),
)
def test_what_is_no_decimal(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_decimal(text, code="TLC106")
    assert caught.value.code == "TLC106"


@pytest.mark.parametrize(
    "text",
    [
        "1e999999999",
        "1e-999999999",
        "1e4097",
        "-1e-4097",
        "1e" + "9" * 100_000,
        "1" * (MAX_DECIMAL_DIGITS + 1),
        "0." + "0" * MAX_DECIMAL_DIGITS + "1",
    ],
)
def test_huge_decimals_are_refused_before_they_are_computed(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_decimal(text)
    assert caught.value.code == "TLC401"
    assert len(caught.value.line()) < 200


def test_long_decimals_do_not_depend_on_the_interpreters_digit_limit() -> None:
    before = sys.get_int_max_str_digits()
    try:
        sys.set_int_max_str_digits(640)
        value = parse_decimal("7" * 4000)
    finally:
        sys.set_int_max_str_digits(before)
    assert value == Fraction(7 * (10**4000 - 1) // 9)


@given(st.integers(), st.integers(0, 30), st.integers(-40, 40))
def test_decimals_agree_with_the_standard_library(mantissa: int, places: int, exponent: int) -> None:
    digits = f"{abs(mantissa):0{places + 1}d}"
    text = (
        ("-" if mantissa < 0 else "") + digits[: len(digits) - places] + "." + digits[len(digits) - places :]
    )
    text += f"e{exponent}"
    assert parse_decimal(text) == Fraction(mantissa) * Fraction(10) ** (exponent - places)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_printed_float_reads_back_to_what_it_prints(value: float) -> None:
    assert parse_decimal(repr(value)) == Fraction(repr(value))
