"""Reader of tlcheck.tree/1 (``certificates/formats/tree.md``): a run's leaves as JSON lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import msgspec

from tlcheck.errors import InvalidInput
from tlcheck.readers.bytes import without_mark
from tlcheck.readers.hints.leaves import Hints, Leaves
from tlcheck.readers.hints.subject import Literal, Subject

FORMAT = "tlcheck.tree/1"


class _Line(msgspec.Struct, tag_field="record", forbid_unknown_fields=True):
    """A line of the file."""


class Head(_Line, tag="tree"):
    format: str
    producer: str = ""


class Constraint(msgspec.Struct, forbid_unknown_fields=True):
    outputs: list[tuple[int, float]]
    at_most: float


class Disjunct(_Line, tag="disjunct"):
    number: int
    constraints: list[Constraint]


class Layer(_Line, tag="layer"):
    number: int
    name: str = ""
    tensor: str | None = None
    input: list[float] | None = None
    values: list[float] | None = None


class Leaf(_Line, tag="leaf"):
    disjunct: int | None = None
    neurons: list[tuple[int, int, int, float]] = []
    lower: list[float] | None = None
    upper: list[float] | None = None


class End(_Line, tag="end"):
    leaves: int


Line = Head | Disjunct | Layer | Leaf | End
_DECODER = msgspec.json.Decoder(Line)


def read_tree_lines(data: bytes, subject: Subject, file: str) -> Hints:
    """Raises InvalidInput: TLC102 another version, TLC101 and TLC106 a line that is none."""
    lines = _lines(without_mark(data, "TLC106", file), file)
    head = next(lines, None)
    if not isinstance(head, Head) or head.format != FORMAT:
        got = head.format if isinstance(head, Head) else "another first line"
        raise InvalidInput(
            "TLC102", "unknown format", file=file, field="format", expected=FORMAT, got=ascii(got)
        )
    reader = _Reader(subject)
    for line in lines:
        reader.take(line)
    return Hints(
        head.producer[:80] or "another tool", {d: x.list() for d, x in reader.leaves.items()}, reader.passed
    )


def _lines(data: bytes, file: str) -> Iterator[Line]:
    """A last line that does not end is that of a run which was killed."""
    at = 0
    for number, line in enumerate(data.split(b"\n"), 1):
        at += len(line) + 1
        if not line.strip():
            continue
        try:
            yield _DECODER.decode(line)
        except msgspec.ValidationError as error:
            raise InvalidInput("TLC101", str(error), file=file, field=f"line {number}") from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            if at > len(data) and number > 1:
                return
            raise InvalidInput("TLC106", f"not JSON: {error}", file=file, field=f"line {number}") from None


class _Reader:
    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.leaves: dict[int, Leaves] = {}
        self.layers: dict[int, int | None] = {}
        self.disjuncts: dict[int, list[int]] = {}
        self.passed: Counter[str] = Counter()

    def take(self, line: Line) -> None:
        match line:
            case Layer():
                self.layers[line.number] = self._layer(line)
            case Disjunct():
                rows = [(dict(c.outputs), c.at_most) for c in line.constraints]
                self.disjuncts[line.number] = self.subject.disjuncts_like(rows)
            case Leaf():
                self._leaf(line)
            case _:
                pass

    def _layer(self, line: Layer) -> int | None:
        found = None if line.tensor is None else self.subject.layer_named(line.tensor)
        if found is None and line.input is not None and line.values is not None:
            found = self.subject.layer_with(line.input, line.values)
        self.passed["layers that the model does not have"] += found is None
        return found

    def _leaf(self, leaf: Leaf) -> None:
        of = range(len(self.subject.query.disjuncts))
        disjuncts = of if leaf.disjunct is None else self.disjuncts.get(leaf.disjunct, [])
        if not disjuncts:
            self.passed["leaves of no disjunct of the query"] += 1
            return
        neurons = [x for entry in leaf.neurons if (x := self._neuron(*entry)) is not None]
        if leaf.neurons and not neurons:
            self.passed["leaves on no neuron of the model"] += 1
            return
        for d in disjuncts:
            boxed = leaf.lower is not None and leaf.upper is not None
            faces = self.subject.box_literals(d, leaf.lower or (), leaf.upper or ()) if boxed else []
            self.leaves.setdefault(d, Leaves()).add([*neurons, *faces])

    def _neuron(self, layer: int, neuron: int, side: int, point: float) -> Literal | None:
        node = self.layers.get(layer)
        if node is None or side not in (-1, 1) or not 0 <= neuron < self.subject.graph.nodes[node].size:
            self.passed["splits on no neuron of the model"] += 1
            return None
        return node, neuron, side, point
