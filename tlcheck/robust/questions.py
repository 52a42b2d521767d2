"""One question a sample: is there a counterexample around it? The question is a VNN-LIB text, and the claim is about that text.

Made from a network, a data set and what the user says of both; what can mean two things is refused by name before anything
is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Final

from tlcheck.errors import InvalidInput
from tlcheck.prover.regions import distance
from tlcheck.readers.bytes import read_bytes
from tlcheck.readers.datasets.read import Asked, read_dataset
from tlcheck.readers.datasets.samples import Samples
from tlcheck.readers.decimals import exact_number
from tlcheck.readers.onnx import load_whole, read_model
from tlcheck.readers.onnx.external import Whole
from tlcheck.readers.vnnlib.read import read_query
from tlcheck.report.numerals import number
from tlcheck.robust.arrange import Arrangement, arranged, spread
from tlcheck.robust.region import Ball, Point
from tlcheck.robust.template import Filling, Template, read_template
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.query import Query
from tlcheck.writers.bundle import ModelOut
from tlcheck.writers.query_text import another_wins, query_text

NORMS: Final = ("linf", "l2-box")


@dataclass(frozen=True)
class Settings:
    """What is asked about each sample. Numbers are exact; ``eps``, ``clip``, ``mean``, ``std`` are in the units of the data
    over ``divide``; ``divide`` None: not said."""

    eps: Fraction
    norm: str = "linf"
    clip: tuple[Fraction, Fraction] | None = None
    mean: Point = (Fraction(0),)
    std: Point = (Fraction(1),)
    divide: Fraction | None = None
    layout: str = ""
    classes: tuple[str, ...] = ()
    template: Path | None = None
    limit: int | None = None
    data: Asked = field(default_factory=Asked)


@dataclass(frozen=True, eq=False)
class Network:
    """A classifier: one input tensor. ``content``: its file as it is."""

    path: Path
    content: bytes
    whole: Whole
    graph: Graph

    @property
    def shape(self) -> tuple[int, ...]:
        return self.graph.nodes[self.graph.inputs[0]].shape

    @property
    def out(self) -> ModelOut:
        return ModelOut(
            self.path.name.encode("utf-8", "replace").decode(),
            self.content,
            self.graph,
            self.whole.files,
            self.whole.sha256,
        )


def load_network(path: Path) -> Network:
    """Raises InvalidInput: as the reader of models, TLC503 several inputs."""
    whole = load_whole(path)
    graph = read_model(whole.content, file=str(path))
    if len(graph.inputs) != 1:
        raise InvalidInput(
            "TLC503",
            "samples are for networks of one input",
            file=str(path),
            got=f"{len(graph.inputs)} inputs",
        )
    return Network(path, path.read_bytes(), whole, graph)


@dataclass(frozen=True, eq=False)
class Questions:
    """A question for each of the first ``count`` samples. ``labels``: the number of each one's class, or its label's value."""

    network: Network
    samples: Samples
    settings: Settings
    arrangement: Arrangement
    ball: Ball
    labels: tuple[Fraction | None, ...]
    template: Template | None
    count: int

    def scaled(self, k: int) -> Point:
        """The sample in the order of the network's input, in the units of eps."""
        values = self.samples.values.exact(k)
        return self.ball.scaled(tuple(values[i] for i in self.arrangement.order), self.samples.names[k])

    def point(self, k: int) -> Point:
        """The network's input for the sample, exactly."""
        return self.ball.inputs(self.scaled(k))

    def text(self, k: int) -> bytes:
        """The question about the sample."""
        scaled = self.scaled(k)
        lower, upper = self.ball.ends(scaled)
        label, n = self.labels[k], self.network.graph.n_outputs
        if self.template is not None:
            filling = Filling(self.ball.inputs(scaled), lower, upper, label, self.settings.eps, n)
            return self.template.filled(filling)
        if label is None:
            raise ValueError("a question about a class needs one")
        about = [f"{self.name(k)} of {self.samples.source}: no other class within {self.within}"]
        return query_text(lower, upper, n, [another_wins(int(label), n)], about)

    def query(self, k: int, file: str) -> Query:
        """The question as it is read from a ``file``. Raises InvalidInput: it cannot be; TLC501: it is not about the sample."""
        query, point = read_query(self.text(k), self.network.graph, file=file), self.point(k)
        if all(distance(d.box, point) for d in query.disjuncts):
            raise InvalidInput(
                "TLC501", "the sample lies in no region of its own property: a proof would say nothing of it", file=file,
                field=self.name(k), expected="regions that hold it; are lower and upper where they belong?",
            )  # fmt: skip
        return query

    def name(self, k: int) -> str:
        """The sample and its label, for the claim."""
        name, label = self.samples.names[k], self.labels[k]
        labels = self.samples.labels
        shown = "" if label is None or labels is None else f", label {labels.texts[k]}"
        return "".join(c if c.isprintable() and c != "\\" else ascii(c)[1:-1] for c in name + shown)

    def file(self, k: int) -> str:
        """The name of the question's file."""
        return f"{k:05d}.vnnlib"

    @property
    def within(self) -> str:
        """How far a sample may be changed, in words."""
        units = "" if self.ball.divide == 1 else f" of the values divided by {number(self.ball.divide)}"
        clip = "" if self.ball.clip is None else ", clipped to " + " to ".join(map(number, self.ball.clip))
        norm = "linf" if self.settings.norm == "linf" else "the box around the l2 ball"
        return f"{number(self.settings.eps)} ({norm}{clip}){units}"

    def said(self) -> list[str]:
        """What was read and how it is used, in words: nothing of it is guessed in silence."""
        shape = " x ".join(map(str, self.network.shape))
        moved = any(m != 0 for m in self.ball.mean) or any(s != 1 for s in self.ball.std)
        lines = [
            f"network: {self.network.path.name}, input {shape}, {self.network.graph.n_outputs} outputs",
            f"data: {described(self.samples)}",
            f"order: {self.arrangement.layout}"
            + (" (values are moved)" if self.arrangement.moves else " (values stay in order)"),
        ]
        if self.template is None:
            lines.append(f"asked: no other class within {self.within}")
        else:
            ends = f"lower and upper within {self.within}" if self.template.asks_box else "regions of its own"
            lines.append(f"asked: {Path(self.template.file).name} for each sample, {ends}")
        if self.ball.clip is None:
            lines.append("no --clip: values may leave the range of the data")
        if moved:
            lines.append("then (value - mean) / std, exactly: the boxes are those of the network's input")
        low, high = (end / self.ball.divide for end in self.samples.values.span())
        if low < high and self.settings.eps >= high - low:
            lines.append("NOTE: eps is as large as the whole range of the data; are the units the same?")
        of = f"of the data, {_short(low)} to {_short(high)}" + (
            "" if self.ball.divide == 1 else " once divided"
        )
        if any(m != 0 and not low <= m <= high for m in self.ball.mean):
            lines.append(f"NOTE: --mean is outside the range {of}; are the units the same?")
        if low < high and any(s != 1 and s > high - low for s in self.ball.std):
            lines.append(f"NOTE: --std is larger than the range {of}; are the units the same?")
        return lines


def described(samples: Samples) -> str:
    """What was read, in words."""
    values = samples.values
    shape = " x ".join(map(str, values.shape)) or "one value"
    whole = ", whole numbers" if values.whole() else ""
    ends = " to ".join(_short(end) for end in values.span())
    labels = f"; labels: {samples.labels.by}" if samples.labels is not None else "; no labels"
    return f"{samples.source}: {values.count} samples of {shape}, {values.type}{whole}, values {ends}{labels}"


def _short(value: Fraction) -> str:
    text = number(value)
    return text if len(text) <= 12 else f"{float(value):.6g}"


def questions(model: Path, data: Path, settings: Settings) -> Questions:
    """The questions. Raises InvalidInput: TLC2xx the model, TLC501 to TLC504 the data and how they fit."""
    network = load_network(model)
    samples = read_dataset(data, settings.data)
    template = None
    if settings.template is not None:
        template = read_template(read_bytes(settings.template), str(settings.template))
    try:
        arrangement = arranged(samples.values.shape, network.shape, settings.layout)
        ball = ball_of(samples, settings, arrangement)
        labels = labels_of(samples, settings, network.graph, template)
    except InvalidInput as error:
        raise error.in_file(str(data)) from error.__cause__
    count = min(samples.values.count, settings.limit or samples.values.count)
    return Questions(network, samples, settings, arrangement, ball, labels, template, count)


def ball_of(samples: Samples, settings: Settings, arrangement: Arrangement) -> Ball:
    """The box around every sample, and its normalisation. Raises InvalidInput TLC502: what units are the values in?"""
    divide = settings.divide
    if divide is None:
        low, high = samples.values.span()
        if samples.values.integers or (samples.values.whole() and (high > 1 or low < 0)):
            raise InvalidInput(
                "TLC502", "whole numbers: does the network take them as they are (--divide 1) or divided, as by 255? --eps, "
                "--clip, --mean and --std are in the units of the divided values", got=f"values {low} to {high}",
            )  # fmt: skip
        divide = Fraction(1)
    mean, std = (
        tuple(numbers[place] for place in spread(numbers, arrangement.shape, option))
        for numbers, option in ((settings.mean, "--mean"), (settings.std, "--std"))
    )
    return Ball(settings.eps, mean, std, divide, settings.clip)


def labels_of(
    samples: Samples, settings: Settings, graph: Graph, template: Template | None = None
) -> tuple[Fraction | None, ...]:
    """The class of each sample, or its label's value where only a template asks for it."""
    n, shape = graph.n_outputs, graph.nodes[graph.outputs[0]].shape
    classes = template is None or template.asks_class
    if classes and (n < 2 or n != max(shape) or len(graph.outputs) != 1):
        raise InvalidInput(
            "TLC503", "the network's output is not one number a class: ask by --property-per-input",
            got=f"output {' x '.join(map(str, shape))}",
        )  # fmt: skip
    if samples.labels is None:
        if template is not None and not template.asks_label:
            return (None,) * samples.values.count
        raise InvalidInput("TLC501", "the data have no labels: give them with --labels")
    if classes and samples.labels.one_hot not in (0, n):
        raise InvalidInput(
            "TLC503", "one-hot labels for another number of classes than the network's outputs", field=samples.labels.by,
            expected=f"{n} places", got=str(samples.labels.one_hot),
        )  # fmt: skip
    texts = samples.labels.texts
    if settings.classes:
        return tuple(Fraction(_named(label, settings.classes, n, classes)) for label in texts)
    found = tuple(
        _numbered(label, name, n if classes else None)
        for label, name in zip(texts, samples.names, strict=True)
    )
    if classes and samples.labels.folders:
        _check_order(dict(zip(texts, found, strict=True)), n)
    return found


def _check_order(folders: Mapping[str, Fraction], n: int) -> None:
    """Folders of ``n`` classes that are called by numbers are in one order, by number and as text: else which output has each?

    As text is how torchvision's ImageFolder sorts them: 0, 1, 10, 11, 2. Raises InvalidInput TLC502.
    """
    widest = len(str(n - 1))
    if all(len(name) >= widest for name in folders) and any(name.startswith("0") for name in folders):
        return  # with zeros before them
    as_text = {name: k for k, name in enumerate(sorted(map(str, range(n))))}
    for name, place in folders.items():
        if as_text[str(place)] != place:
            raise InvalidInput(
                "TLC502", "is a class's folder that output by its number, or by its place in the order of text, which is how "
                "torchvision sorts them? name all in the outputs' order with --classes", field=f"folder {name}",
                expected=f"--classes 0,1,2,.. or --classes {','.join(list(as_text)[:4])},..",
                got=f"output {place} or output {as_text[str(place)]}",
            )  # fmt: skip


def _named(label: str, classes: Sequence[str], n: int, counted: bool) -> int:
    if counted and len(classes) != n:
        raise InvalidInput(
            "TLC503", "not one of --classes for each output", expected=str(n), got=str(len(classes))
        )
    if label not in classes:
        raise InvalidInput(
            "TLC503", "a label that is none of --classes", expected=", ".join(classes), got=ascii(label[:80])
        )
    return classes.index(label)


def _numbered(label: str, name: str, n: int | None) -> Fraction:
    try:
        value = exact_number(label)
    except InvalidInput:
        raise InvalidInput(
            "TLC502", "which output is this class? name all in the outputs' order with --classes", field=name,
            got=ascii(label[:80]),
        ) from None  # fmt: skip
    if n is not None and (value.denominator != 1 or not 0 <= value < n):
        raise InvalidInput(
            "TLC503",
            "a label that is no output of the network",
            field=name,
            expected=f"0 to {n - 1}",
            got=label,
        )
    return value
