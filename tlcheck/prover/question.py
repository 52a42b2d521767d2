"""A network and a property in files: what is asked, and the bundle of an answer to it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path

from tlcheck import __version__
from tlcheck.readers.bundle.manifest import Producer
from tlcheck.readers.bytes import gunzip_if_packed, read_stored_bytes
from tlcheck.readers.data_files import beside
from tlcheck.readers.onnx import read_model
from tlcheck.readers.onnx.external import Whole, whole_model
from tlcheck.readers.vnnlib.read import read_query
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.guidance import Guidance
from tlcheck.trusted.query import Query
from tlcheck.writers.bundle import ClaimOut, SatOut, UnsatOut, write_bundle


@dataclass(frozen=True, eq=False)
class Question:
    """The files' bytes as they are stored (gzip or plain), and what they say. ``whole``: the model with all its weights."""

    model_file: Path
    property_file: Path
    model_bytes: bytes
    property_bytes: bytes
    whole: Whole
    graph: Graph
    query: Query

    @staticmethod
    def load(model: Path, property: Path) -> Question:
        """Raises InvalidInput as the readers."""
        model_bytes, property_bytes = read_stored_bytes(model), read_stored_bytes(property)
        plain = gunzip_if_packed(model_bytes, file=str(model))
        whole = whole_model(plain, beside(model.parent, model), file=str(model))
        graph = read_model(whole.content, file=str(model))
        query = read_query(gunzip_if_packed(property_bytes, file=str(property)), graph, file=str(property))
        return Question(model, property, model_bytes, property_bytes, whole, graph, query)

    @property
    def name(self) -> str:
        return self.property_file.name.removesuffix(".gz").removesuffix(".vnnlib")

    @cached_property
    def claim(self) -> UnsatClaim:
        return UnsatClaim(self.graph, self.query)

    def proof(self, target: Path, guidance: Guidance) -> None:
        """A bundle of both files and a proof that no input satisfies the property. Raises InvalidInput as ``write_bundle``."""
        self._write(target, UnsatOut(self.name, guidance))

    def witness(self, target: Path, point: tuple[Fraction, ...]) -> None:
        """The same, of a point that satisfies it."""
        self._write(target, SatOut(self.name, point))

    def _write(self, target: Path, claim: ClaimOut) -> None:
        write_bundle(
            target,
            model_bytes=self.model_bytes,
            model_name=self.model_file.name,
            property_bytes=self.property_bytes,
            property_name=self.property_file.name,
            data_files=self.whole.files,
            graph=self.graph,
            claims=[claim],
            producer=Producer("tlcheck certify", __version__),
        )
