"""What the result of every kind of claim has in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.readers.loaded import LoadedClaim
from tlcheck.report.result import Number
from tlcheck.trusted.arith.decimals import decimal_outward

if TYPE_CHECKING:
    from tlcheck.trusted.arith.profile import Profile

ZERO = Number("0", "0x0.0p+0", "exact")


FLOAT32_ASSUMPTIONS = (
    "IEEE-754 double precision (the radii)",
    "float32 runtime: IEEE-754 round to nearest, any order of summation, FMA or not, flush-to-zero or not; "
    "no Winograd or FFT convolution, no fused weights",
)
PRODUCTS = {
    "float32": "no TF32",
    "tf32": "products of matrices and convolutions in TF32: operands cut to 10 bits, exact products, sums of 24 bits or more",
}


def deployed_profile(options: Options) -> Profile | None:
    """What deployed semantics assume of the runtime; None where the exact function alone is asked for. Raises InvalidInput."""
    if options.semantics != "deployed":
        return None
    from tlcheck.readers.runtime_profile import chosen_profile

    return chosen_profile(options.profile).numbers


def float32_assumptions(profile: str) -> tuple[str, ...]:
    """What is assumed of float32 executions; the last line names the profile."""
    from tlcheck.readers.runtime_profile import chosen_profile

    found = profile_named(profile)
    return (
        *FLOAT32_ASSUMPTIONS,
        PRODUCTS[chosen_profile(profile).document.matrix_products],
        f"runtime profile {found['name']} ({found['kind']}, sha256 {found['sha256'][:16]}...)",
    )


def profile_named(text: str) -> dict[str, str]:
    """Name, kind and SHA-256 of the document."""
    from tlcheck.readers.runtime_profile import chosen_profile

    found = chosen_profile(text)
    return {"name": found.document.name, "kind": found.document.kind, "sha256": found.numbers.digest}


def not_deployable(error: Exception) -> InvalidInput:
    """Of a NotDeployable of ring 0, which names the operator."""
    return InvalidInput("TLC202", f"no float32 rounding radius for {error} (--semantics deployed)")


def rounded(value: float, direction: str) -> Number:
    """A bound as reports have it: ``direction`` ("down" or "up") is the side on which its decimals err."""
    return Number(decimal_outward(value, direction), value.hex(), direction)


def about(loaded: LoadedClaim) -> dict[str, object]:
    """The details that say which claim it is: its name, the SHA-256 of what it was read from, who made it."""
    details: dict[str, object] = {"name": loaded.name, "sources": dict(loaded.sources)}
    if loaded.producer:
        details["producer"] = loaded.producer
    return details
