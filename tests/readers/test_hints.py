"""Readers of hints: what each format says is found in the network; hostile files are refused in one line, never a crash."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import DATA, REPOSITORY, needs_data
from tlcheck.errors import InvalidInput
from tlcheck.prover.engine import Engine
from tlcheck.readers.bytes import read_bytes
from tlcheck.readers.hints import Hints, Subject, read_hints
from tlcheck.readers.onnx import read_model
from tlcheck.readers.vnnlib.read import read_query
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.graph import Graph, Node
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.affine import Linear
from tlcheck.trusted.ops.structure import Input

PROPERTY = b"""
(declare-const X_0 Real) (declare-const X_1 Real) (declare-const Y_0 Real) (declare-const Y_1 Real)
(assert (>= X_0 -2)) (assert (<= X_0 2)) (assert (>= X_1 -1)) (assert (<= X_1 1))
(assert (or (and (<= Y_0 Y_1)) (and (>= Y_0 3) (<= Y_1 1))))
"""
WEIGHTS = [
    np.array([[1.0, -0.5, 0.25], [0.5, 1.0, -1.0]]),
    np.array([[1.0, 0.5], [-1.0, 0.25], [0.75, -0.5]]),
    np.array([[1.0, -1.0], [0.5, 0.5]]),
]


def graph() -> Graph:
    """2 inputs, hidden layers of 3 (node 1) and 2 (node 3), 2 outputs."""
    nodes = [Node(Input((1, 2)), (), (1, 2))]
    for k, w in enumerate(WEIGHTS):
        if k:
            nodes.append(Node(Relu(), (len(nodes) - 1,), (1, w.shape[0])))
        affine = Linear(Constant(w), Constant(np.full(w.shape[1], 0.125)))
        nodes.append(Node(affine, (len(nodes) - 1,), (1, w.shape[1])))
    return Graph(tuple(nodes), (len(nodes) - 1,), ("x",), ("y",), {"second": 4})


@pytest.fixture
def subject() -> Subject:
    g = graph()
    return Subject(g, read_query(PROPERTY, g), Engine(g).values)


def read(text: str | bytes, subject: Subject, folder: Path, name: str = "hints") -> Hints:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_hints(path, subject)


def paths(hints: Hints, disjunct: int) -> list[set[tuple[int, int, int, float]]]:
    part = hints.leaves[disjunct]
    return [
        {(*part.cuts[part.cut[k]][:2], int(part.side[k]), part.cuts[part.cut[k]][2]) for k in range(a, b)}
        for a, b in zip(part.start, part.start[1:], strict=False)
    ]


def lines(*records: object) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


HEAD = {"record": "tree", "format": "tlcheck.tree/1", "producer": "a test"}
FIRST = {
    "record": "disjunct",
    "number": 5,
    "constraints": [{"outputs": [[0, 2.0], [1, -2.0]], "at_most": 0.0}],
}
SECOND = {
    "record": "disjunct", "number": 6,
    "constraints": [{"outputs": [[1, 1.0]], "at_most": 1.0}, {"outputs": [[0, -1.0]], "at_most": -3.0}],
}  # fmt: skip


def layer(subject: Subject, number: int, node: int) -> dict[str, object]:
    point = [0.3, -0.7]
    values = subject.values(np.array([point]))[node][0].tolist()
    return {"record": "layer", "number": number, "name": "any", "input": point, "values": values}


def test_a_tree_is_found_by_values_rows_and_faces(subject: Subject, tmp_path: Path) -> None:
    text = lines(
        HEAD, layer(subject, 0, 3), layer(subject, 1, 1), FIRST, SECOND,
        {"record": "leaf", "disjunct": 5, "neurons": [[0, 1, -1, 0.0], [1, 2, 1, 0.0]]},
        {"record": "leaf", "disjunct": 6, "lower": [-2.0, -1.0], "upper": [0.5, 1.0]},
        {"record": "end", "leaves": 2},
    )  # fmt: skip
    found = read(text, subject, tmp_path)
    assert paths(found, 0) == [{(3, 1, -1, 0.0), (1, 2, 1, 0.0)}]
    assert paths(found, 1) == [{(0, 0, -1, 0.5)}]
    assert found.line() == "2 leaves of a test"


def test_a_tree_whose_run_was_killed(subject: Subject, tmp_path: Path) -> None:
    text = lines(HEAD, layer(subject, 0, 1), {"record": "leaf", "neurons": [[0, 1, -1, 0.0]]})
    found = read(text + '{"record": "leaf", "neur', subject, tmp_path)
    assert paths(found, 0) == paths(found, 1) == [{(1, 1, -1, 0.0)}]


def test_a_layer_is_found_by_its_tensor(subject: Subject, tmp_path: Path) -> None:
    text = lines(
        HEAD,
        {"record": "layer", "number": 0, "tensor": "second"},
        {"record": "leaf", "neurons": [[0, 1, 1, 0.0]]},
    )
    assert paths(read(text, subject, tmp_path), 0) == [{(3, 1, 1, 0.0)}]


def test_what_is_not_in_the_model_is_passed_over(subject: Subject, tmp_path: Path) -> None:
    alien = {"record": "layer", "number": 9, "input": [0.0, 0.0], "values": [5.0, 6.0, 7.0]}
    text = lines(
        HEAD, alien, {"record": "disjunct", "number": 1, "constraints": [{"outputs": [[7, 1.0]], "at_most": 0}]},
        {"record": "leaf", "disjunct": 1, "neurons": []}, {"record": "leaf", "neurons": [[9, 0, 1, 0.0]]},
        {"record": "leaf", "neurons": [[0, 10**15, 1, 0.0], [0, 0, 3, 0.0], [0, -1, 1, 0.0]]},
        {"record": "leaf", "lower": [1.0], "upper": [2.0, 3.0, 4.0]},
    )  # fmt: skip
    found = read(text, subject, tmp_path)
    assert paths(found, 0) == [set()]
    assert "1 layers that the model does not have" in found.line()


def test_the_example_of_the_format_page_is_read(subject: Subject, tmp_path: Path) -> None:
    page = (REPOSITORY / "certificates" / "formats" / "tree.md").read_text(encoding="utf-8")
    found = read(page.partition("```json\n")[2].partition("```")[0], subject, tmp_path)
    assert found.source == "my verifier 1.0" and found.passed["layers that the model does not have"] == 1


APTP = """; a comment
(declare-const X_0 Real) (declare-const X_1 Real)
(declare-pwl N_1 N_2 N_3 ReLU)
(declare-pwl N_4 ReLU) (declare-pwl N_5 ReLU)
(assert (>= X_0 -2.0)) (assert (<= X_0 2.0))
(assert (or (and (< N_5 0)) (and (>= N_5 0)(>= N_1 0)) (and (<= 0 N_5) (< N_1 0) (<= X_1 0.25) (>= X_1 -1))))
(assert (<= Y_0 Y_1))
"""


def test_aptp(subject: Subject, tmp_path: Path) -> None:
    found = read(APTP, subject, tmp_path)
    assert set(found.leaves) == {0}
    assert paths(found, 0) == [
        {(3, 1, -1, 0.0)}, {(3, 1, 1, 0.0), (1, 0, 1, 0.0)}, {(3, 1, 1, 0.0), (1, 0, -1, 0.0), (0, 1, -1, 0.25)},
    ]  # fmt: skip
    assert set(read(APTP.replace("Y_0 Y_1", "Y_1 Y_0"), subject, tmp_path).leaves) == {0, 1}


MARABOU = {
    "tableau": [
        [{"var": 0, "val": -1.0}, {"var": 1, "val": 2.0}, {"var": 4, "val": -2.0}, {"var": 9, "val": 1.0}],
        [{"var": 4, "val": 1.0}, {"var": 7, "val": 1.0}],
    ],
    "upperBounds": [], "lowerBounds": [],
    "constraints": [{"constraintType": 0, "vars": [4, 5, 6]}, {"constraintType": 0, "vars": [7, 8]}],
    "proof": {"children": [
        {"split": [{"var": 4, "val": 0, "bound": "U"}, {"var": 5, "val": 0, "bound": "U"}]},
        {"split": [{"var": 4, "val": 0, "bound": "L"}, {"var": 6, "val": 0, "bound": "U"}],
         "children": [{"split": [{"var": 7, "val": 0, "bound": "U"}]}, {"split": [{"var": 0, "val": 0.5, "bound": "L"}]}]},
    ]},
}  # fmt: skip


def test_marabou_tells_neurons_by_their_weights(subject: Subject, tmp_path: Path) -> None:
    found = read(json.dumps(MARABOU), subject, tmp_path)
    assert paths(found, 0) == paths(found, 1)
    assert sorted(map(sorted, paths(found, 0))) == [
        [(0, 0, 1, 0.5), (1, 1, 1, 0.0)],
        [(1, 1, -1, 0.0)],
        [(1, 1, 1, 0.0)],
    ]
    assert "1 splits on a neuron that cannot be told" in found.line()


GOOD: dict[str, Callable[[Subject], str]] = {
    "tree": lambda s: lines(HEAD, layer(s, 0, 1), FIRST, {"record": "leaf", "disjunct": 5, "neurons": [[0, 1, -1, 0.0]]}),
    "aptp": lambda s: APTP,
    "marabou": lambda s: json.dumps(MARABOU),
}  # fmt: skip


@pytest.mark.parametrize("kind", GOOD)
@pytest.mark.parametrize("seed", range(60))
def test_broken_files_are_read_or_refused_in_one_line(
    kind: str, seed: int, subject: Subject, tmp_path: Path
) -> None:
    rng = random.Random(seed)
    data = bytearray(GOOD[kind](subject).encode())
    match seed % 4:
        case 0:
            del data[rng.randrange(len(data)) :]
        case 1:
            for _ in range(rng.randrange(1, 6)):
                data[rng.randrange(len(data))] = rng.randrange(256)
        case 2:
            at = rng.randrange(len(data))
            data[at:at] = rng.choice(
                [b"[" * 5000, b"(" * 5000, b'{"a":' * 3000, b"9" * 5000, b"\0", b"NaN", b"1e999", b"null"]
            )
        case _:
            a, b = sorted(rng.sample(range(len(data)), 2))
            data = data[:a] + data[b:] + data[a:b]
    try:
        read(bytes(data), subject, tmp_path)
    except InvalidInput as error:
        assert "\n" not in error.line() and len(error.line()) < 2000


@pytest.mark.parametrize(
    "text",
    [
        "", "nothing", "{}", "[]", '{"record": "tree", "format": "tlcheck.tree/2"}\n', '{"proof": ' + "[" * 100_000,
        '{"tableau": [], "constraints": [], "proof": ' + '{"children": [' * 5000, "(declare-pwl N_1 ReLU)", "(declare-const",
        lines(HEAD, {"record": "leaf", "unknown": 1}) + "\n", lines(HEAD, {"record": "leaf", "neurons": [[0, 0, 1]]}) + "\n",
        '{"record": "tree", "format": "tlcheck.tree/1"}\n{"record": "leaf", "lower": [NaN]}\n\n',
    ],
)  # fmt: skip
def test_what_is_no_evidence_is_refused(text: str, subject: Subject, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        read(text, subject, tmp_path)
    assert "\n" not in caught.value.line()


def test_a_missing_file_is_refused(subject: Subject, tmp_path: Path) -> None:
    for name in ("none.jsonl", "none.tlcert"):
        with pytest.raises(InvalidInput):
            read_hints(tmp_path / name, subject)
    with pytest.raises(InvalidInput):
        read_hints(tmp_path, subject)


def of_folder(folder: Path, model: str, prop: str) -> Subject:
    data = read_bytes(next(folder.glob(model)))
    g = read_model(data)
    return Subject(g, read_query(read_bytes(next(folder.glob(prop))), g), Engine(g).values)


@needs_data
@pytest.mark.parametrize(
    ("name", "count"), [("mnist_fc/256x2_prop_11_0.05", 39), ("acasxu/net_3_6_prop_3", 33)]
)
def test_the_tree_of_a_dump(name: str, count: int) -> None:
    folder = DATA / "abcrown" / name
    found = read_hints(folder, of_folder(folder, "*.onnx*", "*.vnnlib"))
    assert found.count >= count and not found.passed


@needs_data
def test_the_tree_of_a_real_marabou_proof() -> None:
    folder = DATA / "marabou" / "lunarlander_case_safe_17_box0.75"
    found = read_hints(folder / "proof.json.gz", of_folder(folder, "net.onnx", "prop.vnnlib"))
    (part,) = found.leaves.values()
    assert (
        part.count == 15
        and len(part.cuts) == 8
        and not found.passed["splits on a neuron that cannot be told"]
    )


def test_packed_files_are_unpacked(subject: Subject, tmp_path: Path) -> None:
    assert read(gzip.compress(APTP.encode()), subject, tmp_path, "x.aptp.gz").count == 3
