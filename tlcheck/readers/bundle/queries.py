"""Claims of a bundle about a network and a property: both are read, and the evidence, each from the file of its role.

A file that the user gives is compared with the bundle's. Weights of an ONNX file that lie in another file are the
bundle's, beside it. A network or a property that several claims share is read once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from tlcheck.errors import InvalidInput
from tlcheck.readers.asked import asked_by, note_asked
from tlcheck.readers.bundle.arrays import ArrayFile, open_arrays
from tlcheck.readers.bundle.contents import Contents, Sources, checked_view, compare
from tlcheck.readers.bundle.evidence import CoverMissing, arrays_by_prefix, read_guidance
from tlcheck.readers.bundle.manifest import Equiv, ModelSource, PropertySource, Sat, Unsat
from tlcheck.readers.bytes import read_bytes, sha256_hex
from tlcheck.readers.data_files import beside
from tlcheck.readers.decimals import exact_number
from tlcheck.readers.loaded import LoadedClaim
from tlcheck.readers.onnx import Whole, load_whole, read_model, whole_model
from tlcheck.readers.vnnlib.read import read_query
from tlcheck.trusted.claim import SatClaim, UnsatClaim
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.query import Query


@dataclass(frozen=True, eq=False)
class Queries:
    """Caches are keyed by what the manifest says, file and role; a cached value was bound to its hashes when it was read."""

    bundle: Contents
    given_model: Path | None
    given_property: Path | None
    models: dict[object, tuple[Graph, Sources, tuple[str, ...]]] = field(default_factory=dict)
    properties: dict[object, tuple[Query, Sources]] = field(default_factory=dict)
    arrays: dict[str, tuple[ArrayFile, dict[str, dict[str, str]]]] = field(default_factory=dict)

    def load(self, claim: Unsat | Sat, name: str) -> LoadedClaim:
        """Raises InvalidInput."""
        graph, model_sources = self.model_of(claim.model)
        query, property_sources = self.property_of(claim.property, claim.model, graph)
        sources = {"manifest": self.bundle.sha256, **model_sources, **property_sources}
        producer = self.bundle.producer
        if isinstance(claim, Sat):
            return LoadedClaim(
                name, SatClaim(graph, query, witness_of(claim.witness, graph)), None, sources, producer
            )
        evidence = claim.evidence
        arrays, groups = self.arrays_of(evidence.arrays)
        sources["arrays"] = self.bundle.manifest.files[evidence.arrays].sha256
        unsat = UnsatClaim(graph, query)
        try:
            version = self.bundle.manifest.version
            guidance = read_guidance(evidence, version, arrays, groups[evidence.prefix], graph, query)
        except CoverMissing as problem:
            return LoadedClaim(name, unsat, None, sources, producer, ("TLC017", str(problem)))
        return LoadedClaim(name, unsat, guidance, sources, producer)

    def model_of(self, source: str | ModelSource) -> tuple[Graph, Sources]:
        if source not in self.models:
            with asked_by() as asked:
                graph, sources = self._read_model(source)
            self.models[source] = graph, sources, tuple(asked)
        graph, sources, modules = self.models[source]
        note_asked(*modules)
        return graph, sources

    def _read_model(self, source: str | ModelSource) -> tuple[Graph, Sources]:
        if isinstance(source, ModelSource) and source.weights is not None and source.architecture is not None:
            self._refuse_given_model(source.weights, source.architecture)
            weights, architecture = (
                self.bundle.content(source.weights),
                self.bundle.content(source.architecture),
            )
            from tlcheck.readers.sequential.read import read_safetensors_model

            note_asked("tlcheck.readers.sequential.read")
            graph = read_safetensors_model(
                weights,
                architecture,
                weights_file=self.bundle.where(source.weights),
                architecture_file=self.bundle.where(source.architecture),
            )
            return graph, {"weights": sha256_hex(weights), "architecture": sha256_hex(architecture)}
        if isinstance(source, ModelSource):
            data, file = self._given(self.given_model, source.sha256 or "", "model")
            whole = whole_model(data, beside(Path(file).parent), file=file)
        else:
            file = self.bundle.where(source)
            whole = whole_model(self.bundle.content(source), self.bundle.data_beside(source), file=file)
            self._check_given_model(whole)
        return read_model(whole.content, file=file), whole.sources()

    def _check_given_model(self, model: Whole) -> None:
        """The user's network is the bundle's, with all its data files: whatever is said of this bundle is said of it."""
        if self.given_model is None:
            return
        given = load_whole(self.given_model)
        for role, expected in model.sources().items():
            compare(expected, given.sources().get(role, "none"), str(self.given_model), f"--{role}")

    def _refuse_given_model(self, weights: str, architecture: str) -> None:
        """A network of two files is not the one that a single file holds, whatever its bytes are."""
        if self.given_model is not None:
            raise InvalidInput(
                "TLC103", f"the claim's network is weights ({ascii(weights)[1:-1]}) and architecture "
                f"({ascii(architecture)[1:-1]}) of the bundle, no ONNX file: leave --model out",
                file=str(self.given_model), field="--model",
            )  # fmt: skip

    def property_of(
        self, source: str | PropertySource, model: str | ModelSource, graph: Graph
    ) -> tuple[Query, Sources]:
        key = (source, model)
        if key not in self.properties:
            if isinstance(source, PropertySource):
                data, file = self._given(self.given_property, source.sha256, "property")
            else:
                data, file = self.bundle.content(source), self.bundle.where(source)
                self._check_given_property(data)
            query = read_query(data, graph, file=file)
            self.properties[key] = query, {"property": sha256_hex(data)}
        return self.properties[key]

    def _given(self, given: Path | None, expected: str, what: str) -> tuple[bytes, str]:
        """The user's file, for a claim whose bundle has no copy."""
        if given is None:
            raise InvalidInput(
                "TLC402",
                f"the bundle has no copy of the {what}",
                field=what,
                expected=f"--{what} FILE with SHA-256 {expected}",
            )
        data = read_bytes(given)
        compare(expected, sha256_hex(data), str(given), "SHA-256")
        return data, str(given)

    def _check_given_property(self, data: bytes) -> None:
        """The user's property is the bundle's copy."""
        given = self.given_property
        if given is not None:
            compare(sha256_hex(data), sha256_hex(read_bytes(given)), str(given), "--property")

    def arrays_of(self, name: str) -> tuple[ArrayFile, dict[str, dict[str, str]]]:
        if name not in self.arrays:
            bundle = self.bundle
            view = checked_view(bundle.path, bundle.store, bundle.manifest, name)
            arrays = open_arrays(view, bundle.where(name))
            users = [
                c.evidence
                for c in bundle.manifest.claims
                if isinstance(c, Unsat | Equiv) and c.evidence.arrays == name
            ]
            self.arrays[name] = arrays, arrays_by_prefix(arrays, [evidence.prefix for evidence in users])
        return self.arrays[name]


def witness_of(numbers: Sequence[str], graph: Graph) -> tuple[Fraction, ...]:
    """Raises InvalidInput TLC101."""
    if len(numbers) != graph.n_inputs:
        raise InvalidInput(
            "TLC101",
            "wrong number of values",
            field="witness",
            expected=str(graph.n_inputs),
            got=str(len(numbers)),
        )
    return tuple(exact_number(text, field=f"witness[{i}]") for i, text in enumerate(numbers))
