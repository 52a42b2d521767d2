"""Which tests are near which module: arguments of pytest, beneath ``tests/``; the most dangerous modules first."""

from __future__ import annotations

from typing import Final

NEAR: Final[dict[str, tuple[str, ...]]] = {
    "trusted/arith/float32": ("trusted/test_radii.py", "trusted/test_zonotopes.py"),
    "trusted/cover": ("trusted/test_cover.py",),
}
