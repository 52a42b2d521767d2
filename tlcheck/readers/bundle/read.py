"""Reader for ``.tlcert`` bundles: a folder or a zip with manifest.json, models, properties and arrays.

When a claim is loaded: the bundle holds exactly the files that its manifest lists, with their SHA-256; the model and
the property are the ones with the claim's hashes, compared before they were parsed, and parsed from the very bytes
that were hashed. How a file is read follows from its role in the manifest, of which it has one, and a file that the user
gives is compared with the file of that role: a hash alone says nothing of what the bytes are taken for. Weights of an
ONNX file that lie in another file are the bundle's, beside it. The rest is guidance.
``certificates/FORMAT.md`` describes the format.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import overload

from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_FILE_BYTES, MAX_MANIFEST_BYTES
from tlcheck.options import Options
from tlcheck.readers.bundle.arrays import ArrayFile, open_arrays
from tlcheck.readers.bundle.evidence import CoverMissing, arrays_by_prefix, read_guidance
from tlcheck.readers.bundle.manifest import (
    MANIFEST,
    ArtifactClaim,
    Claim,
    Manifest,
    ModelSource,
    PropertySource,
    Sat,
    Unsat,
    claim_name,
    manifest_schema,
    read_manifest,
    role_of,
)
from tlcheck.readers.bundle.numbers import exact_number
from tlcheck.readers.bundle.store import Store, open_store
from tlcheck.readers.bytes import gunzip_if_packed, read_bytes, sha256_hex
from tlcheck.readers.data_files import ReadData, beside
from tlcheck.readers.files import Files
from tlcheck.readers.loaded import LoadedClaim
from tlcheck.readers.onnx import Whole, load_whole, read_model, whole_model
from tlcheck.readers.vnnlib.read import read_query
from tlcheck.trusted.claim import SatClaim, UnsatClaim
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.query import Query

__all__ = ["SUFFIX", "Bundle", "Claims", "is_bundle", "load_bundle", "manifest_schema", "read_bundle"]

SUFFIX = ".tlcert"


def is_bundle(path: Path) -> bool:
    """``path`` is named as a bundle is (it may still be malformed)."""
    return path.name.endswith(SUFFIX)


def load_bundle(
    path: Path, model: Path | None, prop: Path | None, options: Options | None = None
) -> Sequence[LoadedClaim]:
    """The claims of the bundle at ``path``, each loaded when asked for; see :func:`read_bundle`."""
    return read_bundle(path, model, prop, options).claims


def read_bundle(
    path: Path, model: Path | None, property: Path | None, options: Options | None = None
) -> Bundle:
    """The bundle at ``path``, every file checked against the manifest; nothing but the manifest is parsed yet.

    ``model`` and ``property`` stand in for files that the bundle has no copy of, and must equal those that it has: no
    claim of the bundle is about another network or property than these. Raises InvalidInput: TLC101 to TLC106, TLC401 to TLC404.
    """
    store = open_store(path)
    if MANIFEST not in store.sizes:
        raise InvalidInput("TLC101", f"a bundle without {MANIFEST}", file=str(path))
    if store.sizes[MANIFEST] > MAX_MANIFEST_BYTES:
        raise InvalidInput(
            "TLC401",
            "manifest too large",
            file=str(path),
            field=MANIFEST,
            expected=f"at most {MAX_MANIFEST_BYTES} bytes",
        )
    data = bytes(store.view(MANIFEST))
    manifest = read_manifest(data, f"{path}/{MANIFEST}")
    _check_files(path, store, manifest)
    return Bundle(
        path,
        manifest,
        sha256_hex(data),
        Claims(_Loader(path, store, manifest, sha256_hex(data), model, property, options or Options())),
    )


@dataclass(frozen=True, eq=False)
class Bundle:
    """``sha256`` is of manifest.json, which lists the hashes of all other files: it identifies the whole bundle."""

    path: Path
    manifest: Manifest
    sha256: str
    claims: Claims


def _check_files(path: Path, store: Store, manifest: Manifest) -> None:
    """The bundle holds the listed files and no others, each with its length and SHA-256."""
    listed = manifest.files
    extra = sorted(set(store.sizes) - set(listed) - {MANIFEST})
    if extra:
        raise InvalidInput("TLC101", "a file that the manifest does not list", file=str(path), field=extra[0])
    missing = sorted(set(listed) - set(store.sizes))
    if missing:
        raise InvalidInput(
            "TLC402", "a file that the manifest lists is missing", file=str(path), field=missing[0]
        )
    for name, entry in listed.items():
        if store.sizes[name] != entry.bytes:
            raise InvalidInput(
                "TLC103",
                "size differs from the manifest",
                file=str(path),
                field=name,
                expected=str(entry.bytes),
                got=str(store.sizes[name]),
            )
    for name in listed:
        _checked_view(path, store, manifest, name)


def _checked_view(path: Path, store: Store, manifest: Manifest, name: str) -> memoryview:
    """The file's stored bytes, if they have the manifest's hash."""
    view = store.view(name)
    _compare(manifest.files[name].sha256, hashlib.sha256(view).hexdigest(), str(path), name)
    return view


def _compare(expected: str, found: str, file: str, field: str) -> None:
    if expected != found:
        raise InvalidInput(
            "TLC103",
            "not the file the certificate was made for (SHA-256)",
            file=file,
            field=field,
            expected=expected,
            got=found,
        )


@dataclass(frozen=True, eq=False)
class Claims(Sequence[LoadedClaim]):
    """The bundle's claims in order; each is loaded anew when asked for, models and properties only once."""

    loader: _Loader

    def __len__(self) -> int:
        return len(self.loader.manifest.claims)

    @overload
    def __getitem__(self, position: int) -> LoadedClaim: ...
    @overload
    def __getitem__(self, position: slice) -> list[LoadedClaim]: ...
    def __getitem__(self, position: int | slice) -> LoadedClaim | list[LoadedClaim]:
        if isinstance(position, slice):
            return [self.loader.load(k) for k in range(len(self))[position]]
        return self.loader.load(range(len(self))[position])


Sources = dict[str, str]


@dataclass(frozen=True, eq=False)
class _Loader:
    """Caches are keyed by what the manifest says, file and role; a cached value was bound to its hashes when it was read."""

    path: Path
    store: Store
    manifest: Manifest
    sha256: str
    given_model: Path | None
    given_property: Path | None
    options: Options
    models: dict[object, tuple[Graph, Sources]] = field(default_factory=dict)
    properties: dict[object, tuple[Query, Sources]] = field(default_factory=dict)
    arrays: dict[str, tuple[ArrayFile, dict[str, dict[str, str]]]] = field(default_factory=dict)

    def load(self, position: int) -> LoadedClaim:
        """Raises InvalidInput naming the file and the claim's field."""
        claim = self.manifest.claims[position]
        try:
            return self._load(claim, claim_name(claim, position))
        except InvalidInput as error:
            if not error.file and error.field:
                error.field = f"claims[{position}].{error.field}"
            raise error.in_file(str(self.path)) from error.__cause__

    def _load(self, claim: Claim, name: str) -> LoadedClaim:
        if isinstance(claim, ArtifactClaim):
            return self._load_artifact(claim, name)
        graph, model_sources = self._model(claim.model)
        query, property_sources = self._property(claim.property, claim.model, graph)
        sources = {"manifest": self.sha256, **model_sources, **property_sources}
        producer = f"{self.manifest.producer.name} {self.manifest.producer.version}".strip()
        if isinstance(claim, Sat):
            return LoadedClaim(name, SatClaim(graph, query, _witness(claim, graph)), None, sources, producer)
        evidence = claim.evidence
        arrays, groups = self._arrays(evidence.arrays)
        sources["arrays"] = self.manifest.files[evidence.arrays].sha256
        unsat = UnsatClaim(graph, query)
        try:
            guidance = read_guidance(evidence, arrays, groups[evidence.prefix], graph, query)
        except CoverMissing as problem:
            return LoadedClaim(name, unsat, None, sources, producer, ("TLC017", str(problem)))
        return LoadedClaim(name, unsat, guidance, sources, producer)

    def _load_artifact(self, claim: ArtifactClaim, name: str) -> LoadedClaim:
        """One claim of a JSON artifact; the files that it names are the bundle's."""
        from tlcheck.readers.artifacts import ARTIFACTS, read_artifact

        if claim.format not in ARTIFACTS:
            raise InvalidInput("TLC102", "unknown format", field="format", got=ascii(claim.format[:80]))
        files = Files(
            self._where(claim.artifact), self._of_bundle, {"manifest": self.sha256},
            read_data=self._data_beside("model"),  # the models that an artifact names are in the bundle's own folder
        )  # fmt: skip
        options = replace(self.options, model=self.given_model, property=self.given_property)
        loaded = read_artifact(self._content(claim.artifact), files, options, claim.format)
        chosen = [item for item in loaded if not claim.part or item.name == claim.part]
        if len(chosen) != 1:
            raise InvalidInput(
                "TLC101",
                "not one claim of the artifact",
                field="part",
                expected=", ".join(item.name for item in loaded)[:200],
                got=ascii(claim.part[:80]),
            )
        producer = f"{self.manifest.producer.name} {self.manifest.producer.version}".strip()
        part = f"{claim.format}, {chosen[0].name}"
        return replace(chosen[0], name=name, producer=producer, part=part)

    def _of_bundle(self, name: str) -> bytes:
        if name not in self.manifest.files:
            raise InvalidInput("TLC402", "no such file in the bundle", got=ascii(name[:80]))
        return self._content(name)

    def _model(self, source: str | ModelSource) -> tuple[Graph, Sources]:
        if source not in self.models:
            self.models[source] = self._read_model(source)
        return self.models[source]

    def _read_model(self, source: str | ModelSource) -> tuple[Graph, Sources]:
        if isinstance(source, ModelSource) and source.weights is not None and source.architecture is not None:
            self._refuse_given_model(source.weights, source.architecture)
            weights, architecture = self._content(source.weights), self._content(source.architecture)
            from tlcheck.readers.sequential.read import read_safetensors_model

            graph = read_safetensors_model(
                weights,
                architecture,
                weights_file=self._where(source.weights),
                architecture_file=self._where(source.architecture),
            )
            return graph, {"weights": sha256_hex(weights), "architecture": sha256_hex(architecture)}
        if isinstance(source, ModelSource):
            data, file = self._given(self.given_model, source.sha256 or "", "model")
            whole = whole_model(data, beside(Path(file).parent), file=file)
        else:
            file = self._where(source)
            whole = whole_model(self._content(source), self._data_beside(source), file=file)
            self._check_given_model(whole)
        return read_model(whole.content, file=file), whole.sources()

    def _data_beside(self, model: str) -> ReadData:
        """Files of the bundle in the folder of the model."""

        def read(name: str) -> bytes:
            path = (PurePosixPath(model).parent / name).as_posix()
            if path not in self.manifest.files:
                raise InvalidInput(
                    "TLC205", "external data that the bundle does not hold", got=ascii(path[:80])
                )
            role = role_of(self.manifest, path)
            if role is not None:
                raise InvalidInput(
                    "TLC101", "a file in two roles", expected=role, got=f"weights of {model[:80]!a}"
                )
            return self._stored(path)

        return read

    def _check_given_model(self, model: Whole) -> None:
        """The user's network is the bundle's, with all its data files: whatever is said of this bundle is said of it."""
        if self.given_model is None:
            return
        given = load_whole(self.given_model)
        for role, expected in model.sources().items():
            _compare(expected, given.sources().get(role, "none"), str(self.given_model), f"--{role}")

    def _refuse_given_model(self, weights: str, architecture: str) -> None:
        """A network of two files is not the one that a single file holds, whatever its bytes are."""
        if self.given_model is not None:
            raise InvalidInput(
                "TLC103", f"the claim's network is weights ({ascii(weights)[1:-1]}) and architecture "
                f"({ascii(architecture)[1:-1]}) of the bundle, no ONNX file: leave --model out",
                file=str(self.given_model), field="--model",
            )  # fmt: skip

    def _property(
        self, source: str | PropertySource, model: str | ModelSource, graph: Graph
    ) -> tuple[Query, Sources]:
        key = (source, model)
        if key not in self.properties:
            if isinstance(source, PropertySource):
                data, file = self._given(self.given_property, source.sha256, "property")
            else:
                data, file = self._content(source), self._where(source)
                self._check_given_property(data)
            query = read_query(data, graph, file=file)
            self.properties[key] = query, {"property": sha256_hex(data)}
        return self.properties[key]

    def _where(self, name: str) -> str:
        return f"{self.path}/{name}"

    def _content(self, name: str) -> bytes:
        """The file's bytes, unpacked, bound to the manifest's hashes (again: the file could have changed since)."""
        stored = self._stored(name)
        expected = self.manifest.files[name].unpacked_sha256
        data = gunzip_if_packed(stored, limit=MAX_FILE_BYTES, file=self._where(name))
        if expected is not None:
            _compare(expected, sha256_hex(data), str(self.path), f"{name} (unpacked)")
        return data

    def _stored(self, name: str) -> bytes:
        stored = bytes(self.store.view(name))
        _compare(self.manifest.files[name].sha256, sha256_hex(stored), str(self.path), name)
        return stored

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
        _compare(expected, sha256_hex(data), str(given), "SHA-256")
        return data, str(given)

    def _check_given_property(self, data: bytes) -> None:
        """The user's property is the bundle's copy."""
        given = self.given_property
        if given is not None:
            _compare(sha256_hex(data), sha256_hex(read_bytes(given)), str(given), "--property")

    def _arrays(self, name: str) -> tuple[ArrayFile, dict[str, dict[str, str]]]:
        if name not in self.arrays:
            arrays = open_arrays(_checked_view(self.path, self.store, self.manifest, name), self._where(name))
            users = [
                c.evidence for c in self.manifest.claims if isinstance(c, Unsat) and c.evidence.arrays == name
            ]
            self.arrays[name] = arrays, arrays_by_prefix(arrays, [evidence.prefix for evidence in users])
        return self.arrays[name]


def _witness(claim: Sat, graph: Graph) -> tuple[Fraction, ...]:
    if len(claim.witness) != graph.n_inputs:
        raise InvalidInput(
            "TLC101",
            "wrong number of values",
            field="witness",
            expected=str(graph.n_inputs),
            got=str(len(claim.witness)),
        )
    return tuple(exact_number(text, field=f"witness[{i}]") for i, text in enumerate(claim.witness))
