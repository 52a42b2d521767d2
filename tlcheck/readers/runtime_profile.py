"""Runtime profiles: how accurately a named runtime computes in float32, as a document that says where that is known from.

tlcheck's own are in ``tlcheck/profiles``; a file of the user's may be any other. What a profile says is assumed, never
checked here, and every verdict names it.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_MANIFEST_BYTES
from tlcheck.readers.bytes import read_bytes
from tlcheck.readers.decimals import exact_number
from tlcheck.readers.strict_json import decode
from tlcheck.trusted.arith.profile import Accuracy, Profile

FOLDER: Final = Path(__file__).parents[1] / "profiles"
DEFAULT: Final = "ieee-basic"

FunctionName = Literal[
    "Acos", "Asin", "Atan", "Cos", "Cube", "Erf", "Exp", "Log", "Pow", "Reciprocal", "RecurrentSigmoid",
    "RecurrentTanh", "Root", "Sigmoid", "Sin", "Softplus", "Sqrt", "Square", "Tanh",
]  # fmt: skip
Normalised = Literal[
    "GroupNormalization", "InstanceNormalization", "LayerNormalization", "SkipLayerNormalization"
]
Attending = Literal["Attention", "com.microsoft.Attention", "com.microsoft.MultiHeadAttention"]
Text = Annotated[str, Meta(min_length=1)]


class Provenance(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What runtime, how the numbers were found, what they don't cover, and when (YYYY-MM-DD)."""

    what: Text
    how: Text
    not_covered: Text
    date: Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]


class AccuracyText(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """|result - f(x)| <= absolute + relative |f(x)| + per_operand |x|: exact numbers as text (decimals, quotients, 0x1p-20)."""

    absolute: Text = "0"
    relative: Text = "0"
    per_operand: Text = "0"


class ProfileDocument(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A runtime profile. ``kind``: what its numbers are. ``normalisation``: how operators compute means and variances.
    ``attention``: whether they have the whole softmax before they add up, or run along with it, block by block.
    ``integer_products``: sums of products of uint8 and int8 numbers are exact, or pairs of products may saturate in int16.
    ``accumulate``: in what operators of float16 and bfloat16 numbers compute, before they round their results.
    ``matrix_products``: the arithmetic of products of matrices and convolutions.
    """

    format: Literal["tlcheck.profile"]
    version: Literal[1]
    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    kind: Literal["assumed", "documented", "measured", "proved"]
    provenance: Provenance
    normalisation: dict[Normalised, Literal["two-pass", "welford", "one-pass"]]
    functions: dict[FunctionName, AccuracyText]
    attention: dict[Attending, Literal["whole", "online"]] = {}
    integer_products: Literal["exact", "saturating"] = "saturating"
    accumulate: Literal["float32", "unknown"] = "unknown"
    matrix_products: Literal["float32", "tf32"] = "float32"


class RuntimeProfile(Struct, frozen=True):
    """A profile as verdicts name it, and its numbers."""

    document: ProfileDocument
    numbers: Profile


def profile_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a runtime profile."""
    from tlcheck.schemas import schema_of

    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "tlcheck runtime profile",
        **schema_of(ProfileDocument),
    }


def profile_names() -> list[str]:
    """tlcheck's own profiles."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def profile(name: str = DEFAULT) -> RuntimeProfile:
    """One of tlcheck's own. Raises InvalidInput TLC101."""
    if name not in profile_names():
        raise InvalidInput(
            "TLC101", "no such runtime profile", field="--profile", expected=" or ".join(profile_names()) + ", or a file",
            got=ascii(name[:80]),
        )  # fmt: skip
    path = FOLDER / f"{name}.json"
    return _decoded(read_bytes(path, limit=MAX_MANIFEST_BYTES), str(path))


@cache
def chosen_profile(text: str = DEFAULT) -> RuntimeProfile:
    """By name, or the file of that path: read once, so that one run has one answer. Raises InvalidInput."""
    path = Path(text)
    return read_profile(path) if path.suffix or len(path.parts) > 1 else profile(text)


def document_of(text: str = DEFAULT) -> bytes:
    """The document of ``chosen_profile``. Raises InvalidInput TLC402."""
    path = Path(text)
    return read_bytes(
        path if path.suffix or len(path.parts) > 1 else FOLDER / f"{text}.json", limit=MAX_MANIFEST_BYTES
    )


def deployed(semantics: str, text: str = DEFAULT) -> Profile | None:
    """The numbers that claims are decided with; None where the exact function alone is asked for. Raises InvalidInput."""
    return chosen_profile(text).numbers if semantics == "deployed" else None


def read_profile(path: Path) -> RuntimeProfile:
    """Raises InvalidInput TLC101, TLC106, TLC401, TLC402."""
    return profile_of(read_bytes(path, limit=MAX_MANIFEST_BYTES), str(path))


def profile_of(data: bytes, file: str) -> RuntimeProfile:
    """The profile in a document's bytes. Raises InvalidInput TLC101 (also: the name of one of tlcheck's own), TLC106."""
    found = _decoded(data, file)
    name = found.document.name
    if name in profile_names() and replace(found.numbers, digest="") != replace(
        profile(name).numbers, digest=""
    ):
        raise InvalidInput(
            "TLC101", f"a profile that is called {name} and says otherwise than tlcheck's own", file=file, field="name",
            expected="a name of its own", got=name,
        )  # fmt: skip
    return found


def _decoded(data: bytes, file: str) -> RuntimeProfile:
    document = decode(data, ProfileDocument, file)
    functions = {
        str(name): _accuracy(text, file, f"functions.{name}") for name, text in document.functions.items()
    }
    kernels = {str(operator): how for operator, how in document.normalisation.items()}
    numbers = Profile(
        document.name,
        sha256(data).hexdigest(),
        functions,
        kernels,
        {str(operator): how for operator, how in document.attention.items()},
        exact_products=document.integer_products == "exact",
        wide_sums=document.accumulate == "float32",
        tf32=document.matrix_products == "tf32",
    )
    return RuntimeProfile(document, numbers)


def _accuracy(text: AccuracyText, file: str, field: str) -> Accuracy:
    try:
        return Accuracy(
            *(exact_number(t, field=field) for t in (text.absolute, text.relative, text.per_operand))
        )
    except ValueError as error:
        raise InvalidInput("TLC101", str(error), file=file, field=field) from None
    except InvalidInput as error:
        error.file = error.file or file
        raise
