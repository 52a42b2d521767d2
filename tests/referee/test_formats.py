"""Witness files as tools write them: every spacing read the same, everything else refused."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers import DATA, needs_data
from tests.referee.oracle import read
from tlcheck.errors import InvalidInput
from tlcheck.readers.vnnlib.witness import Names, Witness, load_witness, read_witness

POINT = (Fraction(1, 2), Fraction(-1, 1000))

SAME = [
    "((X_0 0.5)\n(X_1 -0.001)\n(Y_0 2))",
    "((X_0 0.5) (X_1 -1e-3) (Y_0 2.0) )\n",
    "(\n(X_0 0.5)\n(X_1 -1E-03)\n(Y_0 +2.)\n)\n",
    "( (X_0 .5)\n (X_1 -0.001)\n (Y_0 2))",
    "((X_0  0.5)\n(X_1  -0.001)\n(Y_0 2))",
    "sat\n((X_0 0.5)(X_1 -0.001)(Y_0 2))",
    "SAT ((X_0 0.5)\r\n(X_1 -0.001)\r\n(Y_0 2))\r\n",
    "((Y_0 2) (X_1 -0.001) (X_0 0.5))",
    "(X_0 0.5)\n(X_1 -0.001)\n(Y_0 2)\n",
    "((X_0 0.5)\n (X_1 -0.001)\n (Y_0 2)",  # the last parenthesis left out, as 264 published files do
    "sat\n((X_0 0.5) (X_1 -0.001) (Y_0 2)\n",
    "violated\n( ( X_0\t0.5 ) ( X_1 -0.001 ) ( Y_0 2 ) )",
    "sat\nX float32 [1,2]\n0.5\n-0.001\nY float32 [1]\n2\n",
    "X real [2]\n0.5 -1e-3\nY real []\n2",
    "sat\n\na float32 [1]\n0.5\nb float32 [1]\n-0.001\nout float32 [1, 1]\n2.0\n\n",
]

EMPTY = ["", "\n \n", "sat", "sat\n", "()", "( )", "unknown\n", "timeout", "sat ()"]

MALFORMED = [
    "((X_0 0.5)\n(X_1 -0.0",  # cut short: the number may have had more digits
    "((X_0 0.5)\n(X_1 -0.001",
    "((X_0 0.5)\n(X_1 -0.001)\n(Y_0 2",
    "((X_0 0.5) (X_1 0.5)\n(Y_0",
    "((X_0 0.5) (X_1 0.5) (",
    "(",
    "sat\n(",
    "((X_0 0.5) (X_1 0.5) sat",
    "((X_0 0.5) (X_1 0.5)\n0.25",
    "(X_0 0.5) (X_1 0.5))",
    "((X_0 tensor([[-0.4, 0.8],\n        [-0.3, 0.7]], dtype=torch.float64))\n(Y_0 1)\n)",  # two points
    "(((X_0 0.5) (X_1 0.5)))",
    "((X_0 0.5) (X_1 0.5)) ((X_0 0.5) (X_1 0.5))",
    "((X_0 0.5) (X_1 nan))",
    "((X_0 0.5) (X_1 -inf))",
    "((X_0 0.5) (X_0 0.5))",  # given twice
    "((X_0 0.5) (X_2 0.5))",  # X_1 missing
    "((X_0 0.5) (X_1 0.5) (Z_0 1))",
    "((X_0 0.5) (X_1 0.5)) 3",
    "((X_0 0.5) (X_1 0.5)))",
    "((X_0 0.5 0.5) (X_1 0.5))",
    "((X_0 tensor([[-0.4298]]))\n(Y_0 1))",
    "((X_0 0,5) (X_1 0.5))",
    "((X_0 1_0) (X_1 0.5))",
    "((X_0 0x1p-1) (X_1 0.5))",
    "((X_0 ) (X_1 0.5))",
    "satisfied ((X_0 0.5) (X_1 0.5))",
    "X float32 [2]\n0.5\n",
    "X float32 [2]\n0.5\n0.5\n0.5\n",
    "X float32 [2]\n0.5\nnan\n",
    "X float32 [a]\n0.5\n",
    "X float32 [2]\n0.5\u00a00.25\n",
    "\x0c",
    "X float32 [1]\n0.5\nX float32 [1]\n0.5",
    "\ufeff\ufeff((X_0 0.5) (X_1 0.5))",
    "((X_0 0.5)\ufeff (X_1 0.5))",
]


@pytest.mark.parametrize("text", SAME)
@pytest.mark.parametrize("packed", [False, True])
def test_every_spelling_is_the_same_point(tmp_path: Path, text: str, packed: bool) -> None:
    path = tmp_path / "w.counterexample"
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    witness = load_witness(path, 2)
    assert witness is not None
    assert witness.inputs == POINT
    assert witness.outputs == (Fraction(2),)


def test_a_byte_order_mark_means_nothing() -> None:
    for text in SAME:
        assert read_witness(b"\xef\xbb\xbf" + text.encode(), 2) == read_witness(text.encode(), 2)


@pytest.mark.parametrize("text", EMPTY)
def test_no_point(text: str) -> None:
    assert read_witness(text.encode(), 2) is None


@pytest.mark.parametrize("text", MALFORMED)
def test_malformed(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_witness(text.encode(), 2)
    assert caught.value.code == "TLC101"


@pytest.mark.parametrize("inputs_only", [True, False])
def test_cut_at_every_character(inputs_only: bool) -> None:
    """No cut of a file gives another point: only the cuts that leave every input complete are read, all the same."""
    values = ["0.25", "-1.5e-3", "12"]
    pairs = [f"(X_{i} {v})" for i, v in enumerate(values)] + (
        [] if inputs_only else ["(Y_0 7.5)", "(Y_1 -2)"]
    )
    whole = "(" + "\n ".join(pairs) + ")\n"
    inputs_end = whole.index(pairs[2]) + len(pairs[2])
    read = 0
    for cut in range(1, len(whole) + 1):
        try:
            witness = read_witness(whole[:cut].encode(), len(values))
        except InvalidInput as error:
            assert error.code == "TLC101" or (error.code == "TLC303" and cut < inputs_end)
            continue
        assert witness is not None and cut >= inputs_end
        assert witness.inputs == tuple(map(Fraction, values))
        assert witness.outputs in ((), (Fraction(15, 2),), (Fraction(15, 2), Fraction(-2)))
        read += 1
    assert read >= 3


@pytest.mark.parametrize(
    "text", ["((X_0 1))", "((X_0 1) (X_1 1) (X_2 1))", "((Y_0 1))", "X real [3]\n1 2 3\n", "Y real [1]\n0"]
)
def test_wrong_length(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_witness(text.encode(), 2)
    assert caught.value.code == "TLC303"


def test_inputs_by_name() -> None:
    """Two networks: the inputs of the second come after the outputs of the first, and may be as many."""
    data = b"X real [2]\n1\n2\nY real [2]\nnan\n0\nU real [2]\n3\n4\nV real [1]\n5\n"
    witness = read_witness(data, 4, declared(("X", "U"), ("Y", "V")))
    assert witness == Witness(
        "vnnlib-2.0", tuple(map(Fraction, (1, 2, 3, 4))), (None, Fraction(0), Fraction(5))
    )
    for inputs, outputs, said in (
        (("X", "W"), ("Y", "V"), "U"),
        (("X", "Y"), ("U",), "V"),
        (("X", "U", "W"), ("Y", "V"), "W"),
        (("X", "U"), ("Y", "V", "W"), "W"),
    ):
        with pytest.raises(InvalidInput) as caught:
            read_witness(data, 4, declared(inputs, outputs))
        assert caught.value.code == "TLC101" and said in (caught.value.got, caught.value.expected)


def declared(inputs: Sequence[str], outputs: Sequence[str]) -> Names:
    shapes = {"X": (2,), "Y": (2,), "U": (2,), "V": (1,), "W": (1,)}
    return Names(
        tuple((name, shapes[name]) for name in inputs), tuple((name, shapes[name]) for name in outputs), True
    )


def test_any_order_of_names() -> None:
    """Of a query with names, of X and Y, of X_i and Y_j, and of a model's tensors: never the order of the file."""
    names = Names((("t", (1,)), ("x", (1, 1))), (("u", ()),), True)
    with pytest.raises(InvalidInput, match="missing"):
        read_witness(b"t real [1]\n0\n", 2, names)
    told = b"u real []\n9\nx real [1]\n2\nt real [1]\n1\n"
    wanted = Witness("vnnlib-2.0", (Fraction(1), Fraction(2)), (Fraction(9),))
    model = replace(names, declared=False)
    whole = b"Y real [1]\n9\nX real [2]\n1\n2"
    flat = b"Y_0 real []\n9\nX_1 real []\n2\nX_0 real []\n1"
    nothing = b"a real [2]\n1\n2\nb real [1]\n9"
    for text, of in ((told, names), (told, model), (whole, model), (flat, model), (nothing, model)):
        assert read_witness(text, 2, of) == wanted
    for of in (names, model):
        with pytest.raises(InvalidInput) as caught:
            read_witness(told + b"z real [1]\n0\n", 2, of)
        assert caught.value.got == "z"
    uneven = Names((("a", (2,)), ("b", (1,))), (), False)  # of a model: three values, cut elsewhere
    assert read_witness(b"b real [1]\n3\na real [1,2]\n1\n2\n", 3, uneven) == Witness(
        "vnnlib-2.0", (Fraction(1), Fraction(2), Fraction(3)), ()
    )
    with pytest.raises(InvalidInput):
        read_witness(b"a real [1]\n1\nb real [2]\n2\n3\n", 3, uneven)
    with pytest.raises(InvalidInput) as caught:
        read_witness(b"A real [3,2]\n1\n2\n3\n4\n5\n6\n", 6, Names((("A", (2, 3)),), (), True))
    assert (caught.value.code, caught.value.expected) == ("TLC303", "[2, 3]")


def test_pairs_of_a_query_with_names() -> None:
    """X_i is the i-th input value, unless X_i or X is a variable of the query: then that variable, or refused."""
    flat = b"((X_0 1) (X_1 2) (Y_0 9))"
    ordered = Witness("vnncomp-1.0", (Fraction(1), Fraction(2)), (Fraction(9),))
    assert read_witness(flat, 2, Names((("a", (1,)), ("b", (1,))), (("c", ()),), True)) == ordered
    assert read_witness(flat, 2, Names((("X", (2,)),), (("Y", ()),), True)) == ordered
    swapped = Names((("X_1", (1,)), ("X_0", (1,))), (("Y_0", ()),), True)
    assert read_witness(flat, 2, swapped) == replace(ordered, inputs=(Fraction(2), Fraction(1)))
    for names in (
        Names((("Y", (2,)),), (("X", ()),), True),
        Names((("X", (1,)), ("Z", (1,))), (("Y", ()),), True),
        Names((("X_0", (1,)), ("Z", (1,))), (("Y_0", ()),), True),
    ):
        with pytest.raises(InvalidInput) as caught:
            read_witness(flat, 2, names)
        assert caught.value.code == "TLC101"


def test_outputs_may_be_anything() -> None:
    """They are not evidence: neither nan nor their number takes the point away."""
    witness = read_witness(b"((X_0 0.5) (X_1 -0.001) (Y_0 nan) (Y_1 inf))", 2)
    assert witness == Witness("vnncomp-1.0", POINT, (None, None))


def test_exponents_are_exact_and_limited() -> None:
    witness = read_witness(b"((X_0 1e-400) (X_1 12345678901234567890123456789e3))", 2)
    assert witness is not None
    assert witness.inputs == (Fraction(1, 10**400), Fraction(12345678901234567890123456789000))
    with pytest.raises(InvalidInput) as caught:
        read_witness(b"((X_0 1e999999999) (X_1 0))", 2)
    assert caught.value.code == "TLC401"


@pytest.mark.parametrize(
    "data",
    [b"\x1f\x8b\x08\x00broken", gzip.compress(b"((X_0 1) (X_1 1))", mtime=0)[:-4]],
    ids=["no stream", "cut"],
)
def test_corrupt_gzip(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "w.gz"
    path.write_bytes(data)
    with pytest.raises(InvalidInput) as caught:
        load_witness(path, 2)
    assert caught.value.code == "TLC403"


@pytest.mark.parametrize("data", [b"\xff\xfe((X_0 1))", b"((X_0 1) (X_1 \x00))"])
def test_not_text(data: bytes) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_witness(data, 2)
    assert caught.value.code == "TLC101"


DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9)
GAPS = st.text(" \t\n\r", max_size=3)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_round_trip(data: st.DataObject) -> None:
    inputs = data.draw(st.lists(DECIMALS, min_size=1, max_size=6))
    outputs = data.draw(st.lists(DECIMALS, max_size=3))
    pairs = [("X", i, v) for i, v in enumerate(inputs)] + [("Y", i, v) for i, v in enumerate(outputs)]
    gap = lambda: data.draw(GAPS)  # noqa: E731
    body = "".join(
        f"({gap()}{k}_{i} {gap()}{v}{gap()}){gap()}" for k, i, v in data.draw(st.permutations(pairs))
    )
    word = data.draw(st.sampled_from(["", "sat\n", "violated "]))
    witness = read_witness(f"{word}{gap()}({gap()}{body}){gap()}".encode(), len(inputs))
    assert witness is not None
    assert witness.inputs == tuple(map(Fraction, inputs))
    assert witness.outputs == tuple(map(Fraction, outputs))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=80) | st.text(alphabet="()XY_01 .-e\nsat[],", max_size=60).map(str.encode))
def test_anything_is_read_or_refused(data: bytes) -> None:
    try:
        witness = read_witness(data, 2)
    except InvalidInput:
        return
    assert witness is None or len(witness.inputs) == 2


def test_edited_at_random() -> None:
    """The reader and the oracle's, which share nothing, say the same of 6,000 files with one to three edits."""
    random, seen = Random(3), Counter[str]()
    whole = "((X_0 0.25)\n(X_1 -1.5e-3)\n (Y_0  7)\n)"
    letters = "()XY_0123456789.-+eE \t\n\r\x0b\x0c\u00a0\u0663nasif,"
    for _ in range(6000):
        text = random.choice([whole, whole[1:-1], whole[:-1], whole.replace("\n", "")])
        for _ in range(random.randint(1, 3)):
            k, j, letter = random.randrange(len(text)), random.randrange(len(text)), random.choice(letters)
            text = random.choice(
                [text[:k] + letter + text[k + 1 :], text[:k] + text[k + 1 :], text[:k] + letter + text[k:]]
                + [text[:k] + text[j] + text[k + 1 :], text[: k + 1]]
            )
            text = text or " "
        expected = read(text.encode(), 2)
        try:
            witness = read_witness(text.encode(), 2)
            found: str | list[Fraction] = "empty" if witness is None else list(witness.inputs)
        except InvalidInput as error:
            found = "wrong-shape" if error.code == "TLC303" else "malformed"
        assert found == expected, ascii(text)
        seen[found if isinstance(found, str) else "point"] += 1
    assert seen["point"] > 500 and set(seen) == {"point", "malformed", "wrong-shape", "empty"}


@needs_data
def test_every_published_file_is_read_or_refused() -> None:
    files = sorted((DATA / "vnncomp" / "counterexamples").rglob("*.gz"))
    assert len(files) > 300
    refused = 0
    for path in files:
        try:
            load_witness(path, 5)
        except InvalidInput as error:
            assert error.code in ("TLC101", "TLC303"), error.line()
            refused += error.code == "TLC101"
    assert refused == 2  # printed torch tensors
