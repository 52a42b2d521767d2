"""Where the tests find what is outside the repository, and the small things that many of them need."""

from __future__ import annotations

from pathlib import Path

import pytest

from tlcheck.options import ARITHMETICS
from tlcheck.readers.runtime_profile import chosen_profile

REPOSITORY = Path(__file__).resolve().parents[1]
CERTIFICATES = REPOSITORY / "certificates"

IEEE = chosen_profile().numbers
"""What deployed semantics assume by default."""

ENGINES = tuple(name for name in ARITHMETICS if name != "auto")
"""What is true of one engine is tried on every one: auto is a choice among them."""

DATA = REPOSITORY.parent / "shared" / "data"
"""Real proofs, models and properties, beside the repository; tests that need them skip when it is not there."""

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="shared data not present")

FAULTS = DATA.parent / "faults"
"""Small inputs on which version 0.1.0 went wrong, with a README that says what must come out."""

needs_faults = pytest.mark.skipif(not FAULTS.is_dir(), reason="shared faults not present")
