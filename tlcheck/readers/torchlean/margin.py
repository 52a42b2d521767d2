"""Classifier margins: TorchLean's ``robust_margin_cert_v0_1``, and ``tlcheck.margins/1`` of any model and data set.

A margin certificate states bounds of logits, flags and counts. Three claims are read from it: that flags and counts
follow from the stated bounds (no network); and, when the weights and data it names lie beside it (or the weights are given
with --model), that the examples flagged certified keep their label over their boxes, and that the stated bounds
contain the logits. Boxes are x +- eps, exactly, cut to [0, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Annotated, Literal

import numpy as np
from msgspec import Meta, Raw, Struct

from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.readers.bundle.manifest import ExactNumber
from tlcheck.readers.decimals import exact_number
from tlcheck.readers.files import Files
from tlcheck.readers.loaded import LoadedClaim
from tlcheck.readers.strict_json import decode
from tlcheck.readers.torchlean.networks import ModelFile, read_network
from tlcheck.readers.torchlean.numbers import EndLists, Read, decimals_text, intervals, number_reader
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.science.consistency import MarginArtifact, Stored
from tlcheck.trusted.science.examples import Examples
from tlcheck.trusted.science.logit_bounds import LogitBounds
from tlcheck.trusted.science.margins import Margins

Nat = Annotated[int, Meta(ge=0)]


class Example(Struct, frozen=True):
    label: Nat
    logits_lo: list[Raw]
    logits_hi: list[Raw]
    pred: int | None = None
    certified: bool | None = None


class Summary(Struct, frozen=True):
    examples: int | None = None
    nominal_ok: int | None = None
    certified_ok: int | None = None


class Origin(Struct, frozen=True):
    weights_path: str = ""
    dataset_path: str = ""
    weights_sha256: str = ""
    dataset_sha256: str = ""


class Certificate(Struct, frozen=True):
    num_classes: Annotated[int, Meta(ge=2)]
    examples: Annotated[list[Example], Meta(min_length=1)]
    summary: Summary = Summary()
    meta: Origin = Origin()
    eps: Raw = Raw()
    norm: str = "linf"


class DataExample(Struct, frozen=True):
    x: list[float]
    y: Nat


class DataSet(Struct, frozen=True):
    """``digits_dataset_v0_1``, and the data of ``tlcheck.margins/1``: numbers are the nearest binary64."""

    examples: Annotated[list[DataExample], Meta(min_length=1)]


class MarginsFile(Struct, frozen=True, forbid_unknown_fields=True):
    """``certified``: examples claimed robust, one by one; ``count``: how many of all are, at least."""

    format: Literal["tlcheck.margins/1"]
    data: ModelFile
    radius: ExactNumber
    examples: Nat
    model: ModelFile | None = None
    clip: tuple[ExactNumber, ExactNumber] | None = None
    certified: list[Nat] | None = None
    count: Nat | None = None
    name: str = ""


def load(data: bytes, files: Files, options: Options, format: str) -> Sequence[LoadedClaim]:
    """Raises InvalidInput TLC101, TLC103, TLC104, TLC106, TLC402, and what reading a model raises."""
    return _own(data, files, options) if format == "tlcheck.margins" else _torchlean(data, files, options)


def _own(data: bytes, files: Files, options: Options) -> Sequence[LoadedClaim]:
    read = decode(data, MarginsFile, files.where)
    if read.certified is None and read.count is None:
        raise InvalidInput("TLC101", "no claim", field="count", expected="certified, count or both")
    clip = None
    if read.clip is not None:
        clip = (exact_number(read.clip[0], field="clip"), exact_number(read.clip[1], field="clip"))
    graph = read_network(files, options, read.model)
    examples = _examples(
        files.read(read.data.file, "data", read.data.sha256), read.data.file,
        exact_number(read.radius, field="radius"), clip,
    )  # fmt: skip
    if examples.count != read.examples:
        raise InvalidInput(
            "TLC101",
            "not the number of examples",
            field="examples",
            expected=str(examples.count),
            got=str(read.examples),
        )
    decimals = "exact; data nearest binary64"
    claim = _margins(graph, examples, tuple(read.certified or ()), read.count, arithmetic(options), decimals)
    return [LoadedClaim(read.name or "margins", claim, sources=files.sources)]


def arithmetic(options: Options) -> str:
    """Margins have no passes over native kernels: who asks for them wants nothing assumed of a BLAS, and gets integers."""
    return "arb" if options.arith == "directed" else options.arith


def _margins(
    graph: Graph, examples: Examples, certified: tuple[int, ...], count: int | None, arith: str, decimals: str
) -> Margins:
    if count is not None and count > examples.count:
        raise InvalidInput(
            "TLC101", "more than there are examples", field="count", expected=f"at most {examples.count}"
        )
    try:
        return Margins(graph, examples, certified, count, arith, decimals)
    except ValueError as error:
        raise InvalidInput("TLC104", str(error)) from None


def _examples(data: bytes, file: str, radius: Fraction, clip: tuple[Fraction, Fraction] | None) -> Examples:
    read = decode(data, DataSet, file)
    sizes = {len(e.x) for e in read.examples}
    if len(sizes) != 1:
        raise InvalidInput("TLC101", "examples of different sizes", file=file, field="examples")
    labels = [e.y for e in read.examples]
    if max(labels) > np.iinfo(np.int64).max:
        raise InvalidInput("TLC101", "not a label", file=file, field="examples")
    inputs, wanted = np.array([e.x for e in read.examples], np.float64), np.array(labels, np.int64)
    try:
        return Examples(inputs, wanted, radius, clip)
    except ValueError as error:
        raise InvalidInput("TLC101", str(error), file=file) from None


def _torchlean(data: bytes, files: Files, options: Options) -> Sequence[LoadedClaim]:
    read = decode(data, Certificate, files.where)
    numbers = number_reader(options.decimals)
    decimals = decimals_text(options.decimals)
    stored = tuple(_stored(e, k, read.num_classes, numbers) for k, e in enumerate(read.examples))
    summary = read.summary
    artifact = MarginArtifact(
        stored, summary.examples, summary.nominal_ok, summary.certified_ok, decimals
    )  # fmt: skip
    found = _behind(read, files, options)
    claims = [LoadedClaim("artifact", artifact, sources=files.sources)]
    if found is None:
        return claims
    graph, examples = found
    if examples.count != len(stored) or examples.labels.tolist() != [e.label for e in stored]:
        raise InvalidInput("TLC104", "not the labels of the data", field="examples")
    if graph.n_outputs != read.num_classes:
        raise InvalidInput("TLC104", "not the model's number of classes", field="num_classes")
    flagged = tuple(k for k, e in enumerate(stored) if e.certified)
    claims.append(
        LoadedClaim(
            "margins",
            _margins(graph, examples, flagged, None, arithmetic(options), decimals),
            sources=files.sources,
        )
    )
    bounds = LogitBounds(graph, examples, [e.lower for e in stored], [e.upper for e in stored], decimals)
    return [*claims, LoadedClaim("logit bounds", bounds, sources=files.sources)]


def _stored(e: Example, k: int, classes: int, numbers: Read) -> Stored:
    field = f"examples[{k}]"
    if e.label >= classes:
        raise InvalidInput(
            "TLC101", "a label that is no class", field=f"{field}.label", expected=f"below {classes}"
        )
    for name, values in (("logits_lo", e.logits_lo), ("logits_hi", e.logits_hi)):
        if len(values) != classes:
            raise InvalidInput("TLC101", "wrong length", field=f"{field}.{name}", expected=str(classes))
    ends = intervals(EndLists(e.logits_lo, e.logits_hi), numbers, field, classes)
    return Stored(e.label, tuple(l for l, _ in ends), tuple(u for _, u in ends), e.certified, e.pred)


def _behind(read: Certificate, files: Files, options: Options) -> tuple[Graph, Examples] | None:
    """Model and examples, where both are there. The model named is optional: an artifact may travel alone."""
    if not read.meta.dataset_path or not read.eps or (options.model is None and not read.meta.weights_path):
        return None
    if read.norm != "linf":
        raise InvalidInput(
            "TLC202", "unsupported norm", field="norm", expected="linf", got=ascii(read.norm[:40])
        )
    try:
        named = ModelFile(read.meta.weights_path, read.meta.weights_sha256)
        graph = read_network(files, options, named, "meta.weights_path")
        data = files.read(read.meta.dataset_path, "meta.dataset_path", read.meta.dataset_sha256)
    except InvalidInput as error:
        if error.code == "TLC402" and options.model is None:
            return None
        raise
    radius = number_reader(options.decimals)(read.eps, "eps")
    if radius < 0:
        raise InvalidInput("TLC101", "a negative radius", field="eps")
    return graph, _examples(data, read.meta.dataset_path, radius, (Fraction(0), Fraction(1)))
