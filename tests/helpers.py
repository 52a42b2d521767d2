"""Where the tests find what is outside the repository, and the small things that many of them need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tlcheck.checking.schedule import directed
from tlcheck.errors import InvalidInput
from tlcheck.options import ARITHMETICS
from tlcheck.readers.runtime_profile import chosen_profile
from tlcheck.trusted.arith.interface import Engine
from tlcheck.trusted.plan import Settings

REPOSITORY = Path(__file__).resolve().parents[1]
CERTIFICATES = REPOSITORY / "certificates"

IEEE = chosen_profile().numbers
"""What deployed semantics assume by default."""

ENGINES = tuple(name for name in ARITHMETICS if name != "auto")
"""What is true of one engine is tried on every one: auto is a choice among them."""


def settings(arith: str, *others: Any, **named: Any) -> Settings:
    """Settings with the engine that goes with them."""
    return Settings(arith, *others, **named, directed=kernels_engine() if arith == "directed" else None)


def kernels_engine() -> Engine:
    """The engine over this machine's kernels; without them the test is skipped."""
    try:
        return directed()
    except InvalidInput as error:
        pytest.skip(f"a C compiler that builds the kernels: {error.line()}")


DATA = REPOSITORY.parent / "shared" / "data"
"""Real proofs, models and properties, beside the repository; tests that need them skip when it is not there."""

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="shared data not present")

FAULTS = DATA.parent / "faults"
"""Small inputs on which version 0.1.0 went wrong, with a README that says what must come out."""

needs_faults = pytest.mark.skipif(not FAULTS.is_dir(), reason="shared faults not present")
