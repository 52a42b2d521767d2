"""Reader for ``.tlcert`` bundles: a folder or a zip with manifest.json, models, properties and arrays.

When a claim is loaded: the bundle holds exactly the files that its manifest lists, with their SHA-256; the model and
the property are the ones with the claim's hashes, compared before they were parsed, and parsed from the very bytes
that were hashed. How a file is read follows from its role in the manifest, of which it has one, and a file that the user
gives is compared with the file of that role: a hash alone says nothing of what the bytes are taken for. Weights of an
ONNX file that lie in another file are the bundle's, beside it. The rest is guidance.
``certificates/FORMAT.md`` describes the format.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, overload

from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_MANIFEST_BYTES
from tlcheck.options import Options
from tlcheck.readers.asked import note_asked
from tlcheck.readers.bundle.contents import Contents, checked_view
from tlcheck.readers.bundle.manifest import (
    MANIFEST,
    ArtifactClaim,
    Claim,
    Differ,
    Equiv,
    Manifest,
    claim_name,
    manifest_schema,
    read_manifest,
)
from tlcheck.readers.bundle.store import Store, open_store
from tlcheck.readers.bytes import sha256_hex
from tlcheck.readers.files import Files
from tlcheck.readers.loaded import LoadedClaim, read_by

if TYPE_CHECKING:
    from tlcheck.readers.bundle.queries import Queries

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
    contents = Contents(path, store, manifest, sha256_hex(data))
    return Bundle(
        path,
        manifest,
        contents.sha256,
        Claims(_Loader(contents, replace(options or Options(), model=model, property=property))),
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
        checked_view(path, store, manifest, name)


@dataclass(frozen=True, eq=False)
class Claims(Sequence[LoadedClaim]):
    """The bundle's claims in order; each is loaded anew when asked for, models and properties only once."""

    loader: _Loader

    def __len__(self) -> int:
        return len(self.loader.bundle.manifest.claims)

    @overload
    def __getitem__(self, position: int) -> LoadedClaim: ...
    @overload
    def __getitem__(self, position: slice) -> list[LoadedClaim]: ...
    def __getitem__(self, position: int | slice) -> LoadedClaim | list[LoadedClaim]:
        if isinstance(position, slice):
            return [self.loader.load(k) for k in range(len(self))[position]]
        return self.loader.load(range(len(self))[position])


@dataclass(frozen=True, eq=False)
class _Loader:
    bundle: Contents
    options: Options
    """With the user's model and property."""

    def load(self, position: int) -> LoadedClaim:
        """Raises InvalidInput naming the file and the claim's field."""
        claim = self.bundle.manifest.claims[position]
        try:
            return read_by(__name__, lambda: [self._load(claim, claim_name(claim, position))])[0]
        except InvalidInput as error:
            if not error.file and error.field:
                error.field = f"claims[{position}].{error.field}"
            raise error.in_file(str(self.bundle.path)) from error.__cause__

    def _load(self, claim: Claim, name: str) -> LoadedClaim:
        if isinstance(claim, ArtifactClaim):
            return self._load_artifact(claim, name)
        note_asked("tlcheck.readers.bundle.queries")
        if isinstance(claim, Equiv | Differ):
            from tlcheck.readers.bundle.pairs import load_pair

            note_asked("tlcheck.readers.bundle.pairs")
            return load_pair(self._queries, claim, name, real=self.options.semantics == "real")
        return self._queries.load(claim, name)

    @cached_property
    def _queries(self) -> Queries:
        """For claims that are no artifacts."""
        from tlcheck.readers.bundle.queries import Queries

        return Queries(self.bundle, self.options.model, self.options.property)

    def _load_artifact(self, claim: ArtifactClaim, name: str) -> LoadedClaim:
        """One claim of a JSON artifact; the files that it names are the bundle's."""
        from tlcheck.readers.artifacts import ARTIFACTS, read_artifact

        note_asked("tlcheck.readers.artifacts")
        if claim.format not in ARTIFACTS:
            raise InvalidInput("TLC102", "unknown format", field="format", got=ascii(claim.format[:80]))
        files = Files(
            self.bundle.where(claim.artifact), self.bundle.listed, {"manifest": self.bundle.sha256},
            read_data=self.bundle.data_beside("model"),  # the models that an artifact names are in the bundle's own folder
        )  # fmt: skip
        loaded = read_artifact(self.bundle.content(claim.artifact), files, self.options, claim.format)
        chosen = [item for item in loaded if not claim.part or item.name == claim.part]
        if len(chosen) != 1:
            raise InvalidInput(
                "TLC101",
                "not one claim of the artifact",
                field="part",
                expected=", ".join(item.name for item in loaded)[:200],
                got=ascii(claim.part[:80]),
            )
        part = f"{claim.format}, {chosen[0].name}"
        return replace(chosen[0], name=name, producer=self.bundle.producer, part=part)
